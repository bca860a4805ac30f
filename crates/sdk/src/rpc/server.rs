//! Serving clients, each in a task of its own.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::LocalSet;
use zlink::service::Service;

use super::connection::{self, Connection, End};
use super::frames::Descriptors;
use super::shape::Known;
use super::socket::{Link, Socket};
use crate::pipe::asynchronous::PipeServer;
use crate::pipe::{self, Impersonation, Peer, PipeType};

/// How long accepting pauses when no descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What one client may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one call. 64 KiB.
    pub call_bytes: usize,
    /// A call that has begun must be whole within this. 10 s.
    pub call_time: Duration,
    /// A connection on which nothing is asked is closed after this. 5 minutes.
    pub idle_time: Duration,
    /// An answer must be taken within this, or the client is cut off. 10 s.
    pub write_time: Duration,
    /// A method that takes longer is dropped, and its caller gets the error [`TIMED_OUT`](super::TIMED_OUT). What a stream of answers
    /// takes after the method returned it does not count. `None`, which it is by default, is for ever.
    pub handling_time: Option<Duration>,
    /// Clients served at one time; further ones wait. 256. A pipe with fewer instances has fewer clients.
    pub connections: usize,
    /// What becomes of descriptors that clients send: discarded, unless methods take some (`#[zlink(fds)]`).
    pub descriptors: Descriptors,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            call_bytes: 64 * 1024,
            call_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(5 * 60),
            write_time: Duration::from_secs(10),
            handling_time: None,
            connections: 256,
            descriptors: Descriptors::Discarded,
        }
    }
}

/// Serves a pipe with the default [`Limits`]; see [`serve_with`].
pub async fn serve<S>(pipe: PipeServer, make_service: impl FnMut(&pipe::Client) -> S) -> pipe::Error
where
    S: Service<Socket, Upgrade = ()> + 'static,
{
    serve_with(pipe, Limits::default(), make_service).await
}

/// Serves everybody who opens a pipe, each in a task of its own. `make_service` makes the service of one client; what all clients share
/// goes into it by `Rc` or `Arc`. It ends only when no client can come any more (995, 231), and cuts off those that are connected then;
/// 230 at once if the pipe carries messages.
///
/// The pipe is one made with [`rpc(true)`](crate::pipe::asynchronous::ServerBuilder::rpc), so that others see what it speaks. It is
/// served by any runtime of tokio's, within `block_on`. A method that panics ends its client's connection and no other (in a program
/// that unwinds). Dropping the future ends them all.
pub async fn serve_with<S>(
    pipe: PipeServer,
    limits: Limits,
    make_service: impl FnMut(&pipe::Client) -> S,
) -> pipe::Error
where
    S: Service<Socket, Upgrade = ()> + 'static,
{
    if pipe.kind() != PipeType::Byte {
        let message = format!("{} carries messages and cannot be called through", pipe.name());
        return pipe::Error::new(pipe::Code::BadPipe, message);
    }
    let accept = async || {
        loop {
            match pipe.accept().await {
                Ok(instance) => return Ok(Arc::new(Link::Pipe(Box::new(instance)))),
                // The client that came is gone; the next one may find a descriptor again.
                Err(error) if error.code() == pipe::Code::NoSystemResources => {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    };
    serve_links(limits, accept, make_service).await
}

/// Serves one client that is connected already, by a stream that is no pipe of a host; until it ends. Its identity is what the program
/// says.
///
/// It may run beside others of its kind with `tokio::task::spawn_local`, or with `futures`' `join!`.
pub async fn serve_stream<S>(stream: UnixStream, client: Peer, limits: &Limits, mut service: S) -> End
where
    S: Service<Socket, Upgrade = ()>,
{
    let link = by_stream(stream, client);
    let known = Rc::new(connection::describe(&mut service, link.clone()).await);
    Connection::new(link, service, known, Rc::new(limits.clone())).run().await
}

/// Serves whoever `accept` gives by streams that are no pipes of a host, each in a task of its own, until `accept` gives an error.
/// `make_service` makes the service of one client; what all clients share goes into it by `Rc` or `Arc`.
///
/// A method that panics ends that client's connection and no other (in a program that unwinds). Dropping the future ends them all.
pub async fn serve_accepted<S, E>(
    limits: Limits,
    mut accept: impl AsyncFnMut() -> Result<(UnixStream, Peer), E>,
    make_service: impl FnMut(&pipe::Client) -> S,
) -> E
where
    S: Service<Socket, Upgrade = ()> + 'static,
{
    let accept = async || accept().await.map(|(stream, client)| by_stream(stream, client));
    serve_links(limits, accept, make_service).await
}

/// Nobody but the program says who it is, and nothing can be done with it: so it has no process and is anonymous by its level.
fn by_stream(stream: UnixStream, client: Peer) -> Arc<Link> {
    Arc::new(Link::Stream(stream, pipe::Client::new(client, None, Impersonation::Anonymous)))
}

async fn serve_links<S, E>(
    limits: Limits,
    mut accept: impl AsyncFnMut() -> Result<Arc<Link>, E>,
    mut make_service: impl FnMut(&pipe::Client) -> S,
) -> E
where
    S: Service<Socket, Upgrade = ()> + 'static,
{
    let limits = Rc::new(limits);
    let room = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
    let known: OnceCell<Rc<Known>> = OnceCell::new();
    let clients = LocalSet::new();
    let accepting = async {
        loop {
            // The semaphore is never closed; were it, clients would go without a permit.
            let place = room.clone().acquire_owned().await.ok();
            let link = match accept().await {
                Ok(accepted) => accepted,
                Err(error) => return error,
            };
            let mut service = make_service(link.client());
            let describe = async || Rc::new(connection::describe(&mut service, link.clone()).await);
            let known = known.get_or_init(describe).await.clone();
            let connection = Connection::new(link, service, known, limits.clone());
            tokio::task::spawn_local(async move {
                let _place = place;
                connection.run().await
            });
        }
    };
    clients.run_until(accepting).await
}
