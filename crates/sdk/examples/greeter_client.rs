//! Has the greeter greet somebody: the first argument, or the user.

use std::time::Duration;

use serde_json::json;
use session0::rpc::Client;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).or_else(|| std::env::var("USER").ok()).unwrap_or_default();
    let mut greeter = Client::open("greeter")?;
    greeter.set_time_max(Some(Duration::from_secs(5)));
    let answer = greeter.call("org.example.Greeter.Greet", json!({"name": name}))?;
    println!("{}", answer["text"].as_str().unwrap_or_default());
    Ok(())
}
