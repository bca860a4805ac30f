//! A service and its clients over socket pairs, in one thread.

mod bad_clients;
mod calls;
mod lying;
mod python;
mod random;

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, LocalSet};
use zlink::Reply;
use zlink::introspect::{self, Type};

use super::*;
use crate::pipe::Peer;

#[derive(Debug, Serialize, Deserialize, Type)]
struct Who {
    uid: u32,
    pid: i32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Type)]
struct Number {
    number: i64,
}

#[derive(Debug, Serialize, Deserialize, Type)]
struct Text {
    text: String,
}

#[derive(Debug, PartialEq, zlink::ReplyError, introspect::ReplyError)]
#[zlink(interface = "org.example.Test")]
enum Oops {
    AccessDenied { code: u32, message: String, hint: String },
    Empty,
}

/// What the tests see of their services.
#[derive(Default)]
struct Seen {
    /// Lets `Wait` be answered.
    go_on: Notify,
    begun: Cell<u32>,
    /// Methods that were dropped before their answer, and streams.
    dropped: Cell<u32>,
    noted: Cell<u32>,
}

/// Counts itself as dropped unless it was done.
struct Watched {
    seen: Rc<Seen>,
    done: bool,
}

impl Watched {
    fn new(seen: &Rc<Seen>) -> Watched {
        seen.begun.set(seen.begun.get() + 1);
        Watched { seen: seen.clone(), done: false }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.done {
            self.seen.dropped.set(self.seen.dropped.get() + 1);
        }
    }
}

struct Service {
    seen: Rc<Seen>,
}

/// What is tested with.
#[zlink::service(
    interface = "org.example.Test",
    vendor = "us",
    product = "test",
    version = "1",
    url = "https://example.org"
)]
impl<S: Identified> Service {
    /// Who asks.
    async fn who(&self, #[zlink(connection)] connection: &mut zlink::Connection<S>) -> Who {
        let client = connection.client();
        Who { uid: client.uid(), pid: client.pid() }
    }

    async fn add(&self, first: i64, second: i64) -> Number {
        Number { number: first + second }
    }

    async fn half(&self, number: u8) -> Number {
        Number { number: i64::from(number / 2) }
    }

    async fn fail(&self, empty: bool) -> Result<Number, Oops> {
        if empty {
            return Err(Oops::Empty);
        }
        let (message, hint) = ("not today\u{1b}[2J".to_owned(), "come back tomorrow".to_owned());
        Err(Oops::AccessDenied { code: 5, message, hint })
    }

    async fn nothing(&self) {}

    async fn note(&self) {
        self.seen.noted.set(self.seen.noted.get() + 1);
    }

    async fn wait(&self) -> Number {
        let mut watched = Watched::new(&self.seen);
        self.seen.go_on.notified().await;
        watched.done = true;
        Number { number: 1 }
    }

    async fn long(&self, bytes: u32) -> Text {
        Text { text: "x".repeat(bytes as usize) }
    }

    async fn fall(&self) -> Number {
        panic!("a method that panics")
    }

    #[zlink(more)]
    async fn count(&self, more: bool, to: i64) -> impl Stream<Item = Reply<Number>> + Unpin {
        let _ = more;
        futures_util::stream::iter(1..=to)
            .map(move |number| Reply::new(Some(Number { number })).set_continues(Some(number < to)))
    }

    #[zlink(more)]
    async fn watch(
        &self,
        more: bool,
        #[zlink(connection)] connection: &mut zlink::Connection<S>,
    ) -> impl Stream<Item = Reply<Number>> + Unpin {
        let _ = more;
        let number = i64::from(connection.client().uid());
        let watched = Watched::new(&self.seen);
        let first = Reply::new(Some(Number { number })).set_continues(Some(true));
        let never = futures_util::stream::pending().map(move |reply| {
            let _ = &watched;
            reply
        });
        futures_util::stream::iter([first]).chain(never)
    }

    #[zlink(more)]
    async fn broken(&self, more: bool) -> impl Stream<Item = Reply<Number>> + Unpin {
        let _ = more;
        futures_util::stream::iter([Reply::new(Some(Number { number: 0 })).set_continues(Some(true))])
    }

    #[zlink(more)]
    async fn stumble(&self, more: bool) -> impl Stream<Item = Result<Reply<Number>, Oops>> + Unpin {
        let _ = more;
        let first = Reply::new(Some(Number { number: 1 })).set_continues(Some(true));
        futures_util::stream::iter([Ok(first), Err(Oops::Empty)])
    }

    async fn take(&self, #[zlink(fds)] descriptors: Vec<OwnedFd>) -> Number {
        let close_on_exec = descriptors.iter().filter(|descriptor| {
            let flags = rustix::io::fcntl_getfd(descriptor).expect("flags");
            flags.contains(rustix::io::FdFlags::CLOEXEC)
        });
        Number { number: i64::try_from(close_on_exec.count()).expect("a few") }
    }

    #[zlink(return_fds)]
    async fn give(&self) -> (Number, Vec<OwnedFd>) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        rustix::io::write(&writer, b"hello").expect("write");
        (Number { number: 1 }, vec![reader.into()])
    }
}

fn identity(uid: u32) -> Peer {
    Peer { session: Some(1), uid, gid: uid, groups: Vec::new(), pid: 7, account: None, service: None }
}

/// Runs a test in which time passes only while everybody waits: if it is for ever, a day is over at once.
fn run<T>(test: impl Future<Output = T>) -> T {
    let test = async {
        tokio::time::timeout(Duration::from_secs(24 * 3600), test).await.expect("it does not wait for ever")
    };
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
    LocalSet::new().block_on(&runtime, test)
}

/// A client's end, and what will have ended the serving.
fn served(limits: Limits, seen: &Rc<Seen>) -> (UnixStream, JoinHandle<End>) {
    let (client, server) = UnixStream::pair().expect("a pair");
    let service = Service { seen: seen.clone() };
    let serving = async move { serve_stream(server, identity(1000), &limits, service).await };
    (client, tokio::task::spawn_local(serving))
}

fn over(stream: UnixStream) -> asynchronous::Client {
    asynchronous::Client::over(stream.into_std().expect("a stream")).expect("a client")
}

/// A client that is served by default.
fn client() -> asynchronous::Client {
    over(served(Limits::default(), &Rc::default()).0)
}

async fn say(stream: &mut UnixStream, text: &str) {
    stream.write_all(format!("{text}\0").as_bytes()).await.expect("send");
}

/// The next answer; `None` at the end.
async fn hear(stream: &mut UnixStream) -> Option<Value> {
    let mut bytes = Vec::new();
    loop {
        match stream.read_u8().await {
            Ok(0) => return Some(serde_json::from_slice(&bytes).expect("JSON")),
            Ok(byte) => bytes.push(byte),
            Err(_) => return None,
        }
    }
}

/// Lets everybody else run until a condition holds.
async fn until(condition: impl Fn() -> bool) {
    for _ in 0..1_000_000 {
        if condition() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came to that");
}
