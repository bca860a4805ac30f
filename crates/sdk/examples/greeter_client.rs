//! Has the greeter greet somebody: the first argument, or the user.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use session0::rpc::Client;

fn greet(name: &str) -> Result<String, session0::Error> {
    let mut greeter = Client::open("greeter")?;
    greeter.set_time_max(Some(Duration::from_secs(5)));
    let answer = greeter.call("org.example.Greeter.Greet", json!({"name": name}))?;
    Ok(answer["text"].as_str().unwrap_or_default().to_owned())
}

fn main() -> ExitCode {
    let name = std::env::args().nth(1).or_else(|| std::env::var("USER").ok()).unwrap_or_default();
    match greet(&name) {
        Ok(text) => println!("{text}"),
        Err(error) => {
            eprintln!("error: {error}\nhint: {}", error.hint().unwrap_or("there is none"));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
