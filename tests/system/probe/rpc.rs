//! A service by varlink on a named pipe, with methods that are good for trying its limits; and a client that floods it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use session0::pipe::asynchronous::PipeServer;
use session0::rpc::{self, Caller, Identified};
use zlink::introspect::Type;

use crate::attempt::name_of;
use crate::pipe::say;

#[derive(Debug, Serialize, Deserialize, Type)]
struct Said {
    text: String,
    uid: u32,
    session: Option<i64>,
}

struct Trial;

/// Tries what callers may do.
#[zlink::service(interface = "org.example.Trial")]
impl<S: Identified> Trial {
    /// Says it again, and who asked.
    async fn say(&self, text: String, #[zlink(connection)] connection: &mut zlink::Connection<S>) -> Said {
        let client = connection.client();
        Said { text, uid: client.uid(), session: client.session().map(i64::from) }
    }

    /// Never answers.
    async fn wait(&self) {
        say("waits");
        std::future::pending::<()>().await;
    }
}

/// `rpc-serve NAME`: serves it until it is killed.
pub fn serve(name: &str) -> String {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return name_of(&error),
    };
    let served = runtime.block_on(async {
        let pipe = PipeServer::builder(name).access(["everyone"]).rpc(true).create().await?;
        say(&format!("listening {name}"));
        Err::<(), _>(rpc::serve(pipe, |_client| Trial).await)
    });
    served.map_or_else(|error| crate::pipe::refused(&error), |()| "ended".into())
}

/// `rpc-flood SOCKET HOW`: `long` sends a call without end, `unread` sends calls without end and reads no answer. Says how that ended,
/// or after 20 seconds without a change that it is held.
pub fn flood(socket: &str, how: &str) -> String {
    let mut stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) => return name_of(&error),
    };
    let _ = stream.set_write_timeout(Some(Duration::from_secs(20)));
    let text = "x".repeat(32 << 10);
    let call = format!("{{\"method\":\"org.example.Trial.Say\",\"parameters\":{{\"text\":\"{text}\"}}}}\0");
    let bytes = match how {
        "long" => text.as_bytes(),
        _ => call.as_bytes(),
    };
    say("floods");
    let mut sent = 0_usize;
    loop {
        match stream.write(bytes) {
            Ok(count) => sent += count,
            Err(error) => {
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest);
                return format!("ended after {} KiB: {}", sent >> 10, name_of(&error));
            }
        }
    }
}
