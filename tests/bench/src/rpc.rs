//! A varlink service on a pipe of a host, written as anybody would, and its client.

use serde::{Deserialize, Serialize};
use session0::pipe::asynchronous::PipeServer;
use session0::rpc::{Client, serve as serve_calls};
use zlink::introspect::Type;

use crate::Outcome;
use crate::address::Place;
use crate::measure::Exchange;

const METHOD: &str = "io.session0.Bench.Echo";
/// What it is asked with; it answers with the same.
pub const WORDS: &str = "session0 0.1.0, interface 1.0";

#[derive(Debug, Serialize, Deserialize, Type)]
struct Words {
    text: String,
}

struct Bench;

/// Says again what it is told.
#[zlink::service(interface = "io.session0.Bench", vendor = "session0", product = "bench", version = "1.0")]
impl Bench {
    /// Says it again.
    async fn echo(&self, text: String) -> Words {
        Words { text }
    }
}

/// Serves it, for ever.
pub fn serve(pipe: &Place) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| format!("starting tokio: {e}"))?.block_on(async {
        let server =
            PipeServer::builder(&pipe.name).socket(pipe.socket()).rpc(true).access(["everyone read write"]);
        let server = server.create().await.map_err(|e| format!("serving the pipe {pipe}: {e}"))?;
        Err(format!("serving the pipe {pipe}: {}", serve_calls(server, |_| Bench).await))
    })
}

/// A call, again and again.
pub struct Call(Client);

impl Call {
    /// Through this pipe.
    pub fn connect(pipe: &Place) -> Outcome<Call> {
        let opened = session0::pipe::PipeClient::builder(&pipe.name).socket(pipe.socket()).open();
        let opened = opened.map_err(|e| format!("opening the pipe {pipe}: {e}"))?;
        Client::through(opened).map(Call).map_err(|e| format!("calling through the pipe {pipe}: {e}"))
    }
}

impl Exchange for Call {
    fn exchange(&mut self) -> Outcome<()> {
        let asked = Words { text: WORDS.to_owned() };
        let answer: Words =
            self.0.call_typed(METHOD, &asked).map_err(|e| format!("calling {METHOD}: {e}"))?;
        match answer.text == WORDS {
            true => Ok(()),
            false => Err(format!("{METHOD} answers {:?}", answer.text)),
        }
    }
}
