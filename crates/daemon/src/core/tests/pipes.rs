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

/// Asks, and leaves while the answer waits for init, which does not read.
async fn leave_before_the_answer(world: &World, request: Request) {
    let filler = ToInit::Store { key: "filler".into(), bytes: vec![0; 100_000] };
    world.core.with(|state| {
        let session = state.session.as_ref().unwrap();
        (0..100).for_each(|_| session.link.say(&filler));
    });
    world.core.flush();
    let core = world.core.clone();
    let asked = tokio::task::spawn_local(async move { core.request(root(), request).await });
    settle().await;
    assert!(!asked.is_finished(), "the answer waits");
    assert_eq!(world.core.with(|state| state.replies.len()), 1, "it is there");
    asked.abort();
    for _ in 0..200 {
        world.told();
        settle().await;
        if world.core.with(|state| state.replies.is_empty()) {
            return;
        }
    }
    panic!("init has read everything, and the answer still waits");
}

#[test]
fn an_instance_is_free_again_whose_client_left_before_its_answer() {
    run("an_instance_is_free_again", async {
        let world = World::new("instance", &[]);
        let (_, _its) = serve(&world, Stream::Fresh).await;
        leave_before_the_answer(&world, open()).await;
        let status = status(&world).await.unwrap();
        assert_eq!((status.listening, status.connected), (1, 0));
    });
}

#[test]
fn a_name_is_free_again_whose_server_left_before_its_answer() {
    run("a_name_is_free_again", async {
        let world = World::new("name", &[]);
        leave_before_the_answer(&world, listen(None)).await;
        assert!(status(&world).await.is_none());
        assert!(world.core.with(|state| state.pipes.servers.is_empty()));
    });
}

#[test]
fn a_client_with_more_groups_than_fit_is_not_passed_on_and_the_server_serves_on() {
    run("a_client_with_more_groups_than_fit", async {
        let world = World::new("groups", &[]);
        let (server, its) = serve(&world, Stream::Fresh).await;
        let client = Caller { groups: (1_000_000..1_005_000).collect(), ..root() };
        let Ok(Reply::PipeOpened(opened)) = world.core.request(client.clone(), open()).await else {
            panic!("it cannot be opened");
        };
        let (pipe, _client) = session0_sys::anonymous::pair().unwrap();
        world.core.hand_over(*opened, &client, pipe);
        settle().await;
        let status = status(&world).await.unwrap();
        assert_eq!((status.listening, status.connected), (1, 0));
        assert!(world.core.with(|state| state.pipes.servers.contains_key(&server)));
        let mut byte = [0];
        assert_eq!(rustix::io::read(&its, &mut byte), Err(rustix::io::Errno::AGAIN), "nothing was said");
    });
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

#[test]
fn who_is_not_its_sessions_user_is_told_to_servers_as_nobody_and_is_not_to_be_acted_as() {
    run("who_is_not_its_sessions_user", async {
        let world = World::new("nobody", &[]);
        let everyone = crate::config::access_list(&["everyone".into()], &config::Accounts::parse("", ""));
        let settings = PipeSettings { access: everyone.unwrap(), ..PipeSettings::default() };
        let (_, its) = serve_as(&world, Some(settings), Stream::Fresh).await;
        // Nobody's session, so that whoever claims to be in it could only be its root.
        let client = Caller {
            origin: Origin::Session { id: session0_model::id::SessionId(7), service: None },
            uid: 1000,
            groups: vec![1000, 27],
            pid: 1,
        };
        let impersonation = Impersonation::Impersonation;
        let open = PipeRequest::Open { name: name(), access: None, impersonation, wait: Wait::Not };
        let Ok(Reply::PipeOpened(opened)) = world.core.request(client.clone(), Request::Pipe(open)).await
        else {
            panic!("it cannot be opened");
        };
        let (pipe, _client) = session0_sys::anonymous::pair().unwrap();
        world.core.hand_over(*opened, &client, pipe);
        let mut object = [0; 4096];
        let length = rustix::io::read(&its, &mut object).unwrap();
        let said: serde_json::Value = serde_json::from_slice(&object[..length - 1]).unwrap();
        let said = &said["connected"];
        assert_eq!(said["impersonation"], "identification");
        assert_eq!(said["client"]["uid"], 65534);
        assert_eq!(said["client"]["gid"], 65534);
        assert_eq!(said["client"]["groups"], serde_json::json!([]));
        assert_eq!(said["client"]["session"], 7);
    });
}

#[test]
fn one_user_has_so_many_lists_under_way_and_root_has_a_place_beside_them() {
    run("one_user_has_so_many_lists", async {
        let world = World::new("lists", &[]);
        let user = |uid| Caller { uid, groups: vec![uid], ..root() };
        let place = |caller: &Caller| world.core.place_for_long_answer(caller);
        let hers: Vec<_> =
            (0..limit::PIPE_LISTS_PER_UID_MAX).map(|_| place(&user(1000)).ok().flatten()).collect();
        assert!(hers.iter().all(Option::is_some));
        assert!(place(&user(1000)).is_err());
        let others: Vec<_> = (1001..1100).filter_map(|uid| place(&user(uid)).ok()).collect();
        assert!(others.len() < limit::PIPE_LISTS_MAX && place(&user(1100)).is_err());
        assert!(place(&root()).is_ok());
        drop(hers);
        assert!(place(&user(1000)).is_ok());
    });
}
