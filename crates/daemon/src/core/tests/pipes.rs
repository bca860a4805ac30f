//! Instances and servers whose other end is gone, or says what fits nowhere.

use session0_model::pipe::name::PipeName;
use session0_model::pipe::request::{Listen, PipeRequest, Wait};
use session0_model::pipe::settings::{Impersonation, Settings as PipeSettings};
use session0_model::pipe::status::PipeStatus;

use super::*;
use crate::pipe::server::{self, Stream};

fn name() -> PipeName {
    PipeName::new("echo").unwrap()
}

fn listen(settings: Option<PipeSettings>) -> Request {
    let listen = Listen { name: name(), settings, first: false, listening: 1 };
    Request::Pipe(PipeRequest::Listen(Box::new(listen)))
}

fn open() -> Request {
    let impersonation = Impersonation::Identification;
    Request::Pipe(PipeRequest::Open { name: name(), access: None, impersonation, wait: Wait::Not })
}

/// The pipe is served; returns the server and its end of the connection.
async fn serve(world: &World, stream: Stream) -> (ServerId, OwnedFd) {
    serve_as(world, None, stream).await
}

async fn serve_as(world: &World, settings: Option<PipeSettings>, stream: Stream) -> (ServerId, OwnedFd) {
    let Ok(Reply::PipeListening(listening)) = world.core.request(root(), listen(settings)).await else {
        panic!("it cannot be served");
    };
    let (ours, its) = session0_sys::anonymous::pair().unwrap();
    server::serve(&world.core, listening.server, Some(ours), stream);
    (listening.server, its)
}

async fn status(world: &World) -> Option<Box<PipeStatus>> {
    match world.core.request(root(), Request::Pipe(PipeRequest::Status(name()))).await {
        Ok(Reply::Pipe(status)) => Some(status),
        _ => None,
    }
}

#[test]
fn half_an_object_that_a_dead_daemon_has_read_costs_no_server_its_name() {
    run("half_an_object", async {
        for (stream, stays) in [(Stream::Torn, true), (Stream::Fresh, false)] {
            let world = World::new(&format!("{stream:?}"), &[]);
            let (_, its) = serve(&world, stream).await;
            rustix::io::write(&its, b"tances\":1}}\0{\"listen\":{\"instances\":2}}\0").unwrap();
            settle().await;
            let listening = status(&world).await.map(|status| status.listening);
            assert_eq!(listening, stays.then_some(3), "{stream:?}");
            rustix::io::write(&its, b"tances\":1}}\0").ok();
            settle().await;
            assert!(status(&world).await.is_none(), "there is one beginning only");
        }
    });
}
