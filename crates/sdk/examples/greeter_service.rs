//! Greets whoever calls, and knows who that is.
#![allow(missing_docs)]

use serde::{Deserialize, Serialize};
use session0::pipe::asynchronous::PipeServer;
use session0::rpc::{self, Caller, Identified};
use zlink::introspect::{ReplyError, Type};

#[derive(Debug, Serialize, Deserialize, Type)]
struct Greeting {
    text: String,
}

#[derive(Debug, zlink::ReplyError, ReplyError)]
#[zlink(interface = "org.example.Greeter")]
enum Refusal {
    NoName { message: String, hint: String },
}

struct Greeter;

/// Greets.
#[zlink::service(interface = "org.example.Greeter", vendor = "Example", product = "Greeter", version = "1.0")]
impl<S: Identified> Greeter {
    /// Greets somebody by name.
    async fn greet(
        &self,
        name: String,
        #[zlink(connection)] connection: &mut zlink::Connection<S>,
    ) -> Result<Greeting, Refusal> {
        if name.is_empty() {
            let (message, hint) = ("there is nobody to greet".to_owned(), "give a name".to_owned());
            return Err(Refusal::NoName { message, hint });
        }
        let client = connection.client();
        let from = client.session().map_or("outside".to_owned(), |number| format!("session {number}"));
        Ok(Greeting { text: format!("Hello {name}, uid {} from {from}", client.uid()) })
    }
}

async fn serve() -> Result<(), session0::pipe::Error> {
    let pipe = PipeServer::builder("greeter").rpc(true).create().await?;
    Err(rpc::serve(pipe, |_client| Greeter).await)
}

fn main() -> std::io::Result<std::process::ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Err(error) = runtime.block_on(serve()) {
        eprintln!("error: {error}\nhint: {}", error.hint().unwrap_or("there is none"));
    }
    Ok(std::process::ExitCode::FAILURE)
}
