//! Every method, every refusal, through the SDK and by hand.

use std::io::Read;
use std::os::fd::AsFd;

use session0::{Dependents, Error, Wait};
use session0_api::service::ServiceState;
use tokio::io::AsyncWriteExt;

use super::*;

#[test]
fn every_method_is_answered_through_the_blocking_client() {
    with_server(Limits::default(), async |server| {
        beside(&server.path(), |path| {
            let mut client = session0::Client::connect(&path).expect("connect");
            assert_eq!(client.version().expect("version").version, env!("CARGO_PKG_VERSION"));
            assert_eq!(client.host().expect("host").counts.running, 4);
            assert_eq!(client.reload().expect("reload").added, ["new"]);
            client.upgrade().expect("upgrade");
            assert_eq!(client.sessions().expect("sessions")[0].name, "Services");
            let services = client.services().expect("services");
            assert_eq!(services.len(), 2);
            let redis = client.service("redis").expect("service");
            // What is configured comes only with answers about one service.
            assert_eq!(
                (redis.command.as_slice(), redis.depends.as_slice()),
                (&["/bin/redis".into()][..], &["net".into()][..])
            );
            assert!(services[0].command.is_empty());
            assert_eq!((redis.state, redis.state_number, redis.since_ms), (ServiceState::Running, 4, 1));
            assert_eq!(client.restart("redis", Wait::Settled).expect("restart").name, "redis");
            let mut text = String::new();
            let files = client.open_log("redis").expect("files");
            (&files[0]).read_to_string(&mut text).expect("read");
            assert_eq!((files.len(), text.as_str()), (1, LOG));
        })
        .await;
    });
}

#[test]
fn every_method_is_answered_through_the_asynchronous_client() {
    with_server(Limits::default(), async |server| {
        let mut client = session0::asynchronous::Client::connect(&server.path()).await.expect("connect");
        assert_eq!(client.host().await.expect("host").started_ms, 0);
        assert_eq!(client.services().await.expect("services").len(), 2);
        assert_eq!(client.open_log("redis").await.expect("files").len(), 1);
        assert!(matches!(client.shutdown().await, Err(Error::NotPermitted(_))));
        // A call that is given up spoils the connection, not the client.
        let start = client.start("slow", Wait::Settled);
        assert!(tokio::time::timeout(Duration::from_millis(20), start).await.is_err());
        assert_eq!(client.sessions().await.expect("sessions").len(), 1);
    });
}

#[test]
fn refusals_have_name_code_words_and_what_helps() {
    with_server(Limits::default(), async |server| {
        let mut client = session0::asynchronous::Client::connect(&server.path()).await.expect("connect");
        let Err(Error::Refused(refused)) = client.start("redis", Wait::Begun).await else {
            panic!("refused")
        };
        assert_eq!(refused.name, "io.session0.Service.AlreadyRunning");
        assert_eq!(refused.code, Some(1056));
        assert_eq!(refused.message, "could not start redis: it runs already");
        assert_eq!(refused.hint.as_deref(), Some("`s0 service restart redis` starts it anew"));
        let stopped = client.stop("redis", Wait::Begun, Dependents::Refuse).await;
        let Err(Error::Refused(refused)) = stopped else { panic!("refused") };
        let Some(session0_api::service::Error::DependentServicesRunning(dependents)) =
            refused.service_error()
        else {
            panic!("{refused:?}")
        };
        assert_eq!((dependents.code, dependents.names), (1051, vec!["web".to_owned(), "mail".to_owned()]));
        let Err(Error::Refused(refused)) = client.service("none").await else { panic!("refused") };
        assert_eq!((refused.short_name(), refused.code), ("NoSuchService", Some(1060)));
        let Err(Error::Refused(refused)) = client.service("a/b").await else { panic!("refused") };
        assert_eq!((refused.short_name(), refused.code), ("InvalidName", Some(123)));
        let Err(Error::NotPermitted(refused)) = client.shutdown().await else { panic!("refused") };
        assert_eq!((refused.name.as_str(), refused.code), ("io.session0.Host.AccessDenied", Some(5)));
    });
}

#[test]
fn calls_that_are_wrong_are_told_what_is_wrong_with_them() {
    let cases = [
        (r#"{"method":"io.session0.Service.Fly"}"#, "MethodNotFound", "io.session0.Service.Fly"),
        (r#"{"method":"io.session0.Weather.Get"}"#, "InterfaceNotFound", "io.session0.Weather"),
        (r#"{"method":"nothing"}"#, "InterfaceNotFound", "nothing"),
        (r#"{"method":"org.varlink.service.Fly"}"#, "MethodNotFound", "org.varlink.service.Fly"),
        (r#"{"method":"io.session0.Service.Status"}"#, "InvalidParameter", "name"),
        (r#"{"method":"io.session0.Service.Status","parameters":{"name":5}}"#, "InvalidParameter", "integer"),
        (
            r#"{"method":"io.session0.Service.Status","parameters":{"name":"a","more":1}}"#,
            "InvalidParameter",
            "more",
        ),
        (r#"{"method":"io.session0.Service.List","parameters":[]}"#, "InvalidParameter", "parameters"),
        (r#"{"method":"io.session0.Host.Version","upgrade":true}"#, "InvalidParameter", "upgrade"),
        (
            r#"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"a.b"}}"#,
            "InterfaceNotFound",
            "a.b",
        ),
    ];
    with_server(Limits::default(), async |server| {
        let mut peer = server.connect().await;
        for (call, error, about) in cases {
            let answer = peer.call(call).await;
            assert_eq!(answer["error"], format!("org.varlink.service.{error}"), "{call}");
            let parameters = answer["parameters"].to_string();
            assert!(parameters.contains(about), "{call} {parameters}");
        }
        server.assert_serves().await;
    });
}

#[test]
fn the_service_describes_itself() {
    with_server(Limits::default(), async |server| {
        let mut peer = server.connect().await;
        let info = peer.call(r#"{"method":"org.varlink.service.GetInfo"}"#).await;
        let interfaces = info["parameters"]["interfaces"].as_array().expect("interfaces").clone();
        assert_eq!(
            interfaces,
            [
                "io.session0.Host",
                "io.session0.Service",
                "io.session0.Session",
                "io.session0.Logon",
                "io.session0.Account",
                "io.session0.Pipe",
                "org.varlink.service"
            ]
        );
        for interface in interfaces {
            let call = format!(
                r#"{{"method":"org.varlink.service.GetInterfaceDescription","parameters":{{"interface":{interface}}}}}"#
            );
            let answer = peer.call(&call).await;
            let description = answer["parameters"]["description"].as_str().expect("a description").to_owned();
            let read = zlink::idl::Interface::try_from(description.as_str()).expect("a readable description");
            assert_eq!(read.name().as_str(), interface.as_str().expect("text"));
        }
    });
}

#[test]
fn pipelined_calls_are_answered_in_their_order_and_one_way_calls_not() {
    with_server(Limits::default(), async |server| {
        let mut peer = server.connect().await;
        let calls = concat!(
            "{\"method\":\"io.session0.Host.Version\"}\0",
            "{\"method\":\"io.session0.Service.Status\",\"parameters\":{\"name\":\"redis\"},\"oneway\":true}\0",
            "{\"method\":\"io.session0.Session.List\"}\0{\"method\":\"io.session0.Service.List\"}\0",
        );
        peer.send(calls.as_bytes()).await;
        assert_eq!(peer.receive().await["parameters"]["product"], "session0");
        assert_eq!(peer.receive().await["parameters"]["sessions"][0]["id"], 0);
        assert_eq!(peer.receive().await["parameters"]["services"][0]["name"], "redis");
    });
}

#[test]
fn a_slow_call_delays_nobody_and_is_abandoned_when_its_client_hangs_up() {
    with_server(Limits::default(), async |server| {
        let inner = server.host.0.clone();
        let mut slow = server.connect().await;
        slow.send(b"{\"method\":\"io.session0.Service.Start\",\"parameters\":{\"name\":\"slow\"}}\0").await;
        until(|| inner.begun.get() == 1).await;
        server.assert_serves().await;
        assert_eq!(inner.abandoned.get(), 0);
        // Calls that wait to be read are no hang-up, and do not hide one.
        slow.send(b"{\"method\":\"io.session0.Host.Version\"}\0").await;
        server.assert_serves().await;
        assert_eq!(inner.abandoned.get(), 0);
        drop(slow);
        until(|| inner.abandoned.get() == 1).await;
    });
}

#[test]
fn one_way_calls_of_a_client_that_left_at_once_are_carried_out() {
    with_server(Limits::default(), async |server| {
        let inner = server.host.0.clone();
        let mut peer = server.connect().await;
        let call =
            "{\"method\":\"io.session0.Service.Start\",\"parameters\":{\"name\":\"slow\"},\"oneway\":true}\0";
        peer.send(call.repeat(3).as_bytes()).await;
        drop(peer);
        until(|| inner.begun.get() == 3).await;
    });
}

#[test]
fn a_client_that_only_closed_its_sending_side_gets_its_answer() {
    with_server(Limits::default(), async |server| {
        let inner = server.host.0.clone();
        let mut peer = server.connect().await;
        peer.send(b"{\"method\":\"io.session0.Service.Start\",\"parameters\":{\"name\":\"slow\"}}\0").await;
        peer.stream.shutdown().await.expect("shut down");
        until(|| inner.begun.get() == 1).await;
        server.assert_serves().await;
        inner.slow.notify_waiters();
        assert_eq!(peer.receive().await["parameters"]["service"]["name"], "slow");
        assert!(peer.ended().await.is_empty());
    });
}

#[test]
fn descriptors_that_nobody_asked_for_are_closed() {
    with_server(Limits::default(), async |server| {
        let mut peer = server.connect().await;
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let call = b"{\"method\":\"io.session0.Host.Version\"}\0";
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
        let descriptors = [writer.as_fd()];
        control.push(rustix::net::SendAncillaryMessage::ScmRights(&descriptors));
        let slices = [io::IoSlice::new(call)];
        let flags = rustix::net::SendFlags::empty();
        rustix::net::sendmsg(peer.stream.as_fd(), &slices, &mut control, flags).expect("send");
        assert_eq!(peer.receive().await["parameters"]["product"], "session0");
        drop(writer);
        // The end of the pipe comes only if no copy of the descriptor is left, the connection being open.
        assert_eq!(reader.read(&mut [0]).expect("read"), 0);
    });
}

#[test]
fn a_caller_whose_identity_does_not_agree_is_told_so() {
    with_server(Limits::default(), async |server| {
        server.host.0.identify.set(Identify::Mismatch);
        beside(&server.path(), |path| {
            let mut client = session0::Client::connect(&path).expect("connect");
            let Err(Error::NotPermitted(refused)) = client.version() else { panic!("refused") };
            assert_eq!(refused.code, Some(5));
            assert!(refused.message.contains("wrong group"), "{refused:?}");
        })
        .await;
    });
}

#[test]
fn a_long_list_is_answered_whole() {
    with_server(Limits::default(), async |server| {
        *server.host.0.services.borrow_mut() =
            (0..4096).map(|number| status(&format!("s{number}"))).collect();
        beside(&server.path(), |path| {
            let mut client = session0::Client::connect(&path).expect("connect");
            assert_eq!(client.services().expect("services").len(), 4096);
        })
        .await;
    });
}
