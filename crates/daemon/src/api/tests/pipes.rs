//! Connections that become pipes, and those that do not.

use std::os::fd::OwnedFd;

use session0_model::access::{Caller, Origin};
use session0_model::pipe::id::{InstanceId, ServerId};
use session0_model::pipe::request::{Listening, Opened, PipeRequest};
use session0_model::pipe::settings::{Access, Direction, InstancesMax, Kind};
use session0_model::system::{Refusal, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::{FalseHost, Limits, until, with_server};

/// What became of a pipe.
#[derive(Debug)]
pub enum Became {
    /// A client's connection for this server.
    HandedOver(OwnedFd),
    /// The instance was taken back.
    NotTaken,
    /// The connection of a server; without one, it left.
    Served(Option<OwnedFd>),
}

pub async fn answer(host: &FalseHost, request: PipeRequest) -> Result<Reply, Refusal> {
    let server_peer = Caller { origin: Origin::Outside, uid: 7, groups: vec![7], pid: 7 };
    match request {
        PipeRequest::Open { name, access, impersonation, .. } => {
            if name.as_str() == "slow" {
                host.0.begun.set(host.0.begun.get() + 1);
                host.0.slow.notified().await;
            }
            Ok(Reply::PipeOpened(Box::new(Opened {
                name,
                kind: Kind::Byte,
                direction: Direction::Duplex,
                access: access.unwrap_or(Access::Duplex),
                impersonation,
                buffer: None,
                descriptors: false,
                instance: InstanceId(3),
                server: ServerId(2),
                server_peer,
            })))
        }
        PipeRequest::Listen(listen) => Ok(Reply::PipeListening(Box::new(Listening {
            server: ServerId(2),
            name: listen.name,
            kind: Kind::Byte,
            direction: Direction::Duplex,
            instances_max: InstancesMax::Unlimited,
        }))),
        PipeRequest::List | PipeRequest::Status(_) | PipeRequest::Wait { .. } => Err(Refusal::AccessDenied),
    }
}

fn last(host: &FalseHost) -> Option<Became> {
    host.0.pipes.borrow_mut().pop()
}

#[test]
fn the_connection_of_an_open_that_was_answered_is_the_pipe() {
    with_server(Limits::default(), async |server| {
        let mut client = server.connect().await;
        let call = r#"{"method":"io.session0.Pipe.Open","parameters":{"pipe":"Echo"},"upgrade":true}"#;
        let reply = client.call(call).await;
        assert_eq!(reply["parameters"]["name"], "Echo");
        assert_eq!(reply["parameters"]["server"]["uid"], 7);
        until(|| !server.host.0.pipes.borrow().is_empty()).await;
        let Some(Became::HandedOver(socket)) = last(&server.host) else { panic!("nothing was handed over") };
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true).unwrap();
        let mut socket = UnixStream::from_std(socket).unwrap();
        // What is a call elsewhere is a few bytes here.
        client.send(b"{\"method\":\"io.session0.Host.Version\"}\0").await;
        let mut bytes = [0; 38];
        socket.read_exact(&mut bytes).await.unwrap();
        assert!(bytes.starts_with(b"{\"method\"") && bytes.ends_with(b"\0"));
        socket.write_all(b"x\0").await.unwrap();
        drop(socket);
        assert_eq!(client.ended().await, b"x\0");
    });
}

#[test]
fn who_goes_on_before_the_answer_gets_no_pipe_and_the_instance_is_taken_back() {
    with_server(Limits::default(), async |server| {
        let mut client = server.connect().await;
        client.send(b"{\"method\":\"io.session0.Pipe.Open\",\"parameters\":{\"pipe\":\"echo\"},\"upgrade\":true}\0too early").await;
        assert_eq!(client.ended().await, b"");
        assert!(matches!(last(&server.host), Some(Became::NotTaken)));
        server.assert_serves().await;
    });
}

#[test]
fn a_client_that_leaves_before_the_answer_gets_no_pipe() {
    with_server(Limits::default(), async |server| {
        let mut client = server.connect().await;
        client
            .send(b"{\"method\":\"io.session0.Pipe.Open\",\"parameters\":{\"pipe\":\"slow\"},\"upgrade\":true}\0")
            .await;
        until(|| server.host.0.begun.get() == 1).await;
        drop(client);
        server.assert_serves().await;
        assert!(last(&server.host).is_none(), "the request was abandoned before it was answered");
    });
}

#[test]
fn the_connection_of_a_server_goes_where_it_is_listened_to() {
    with_server(Limits::default(), async |server| {
        let mut client = server.connect().await;
        let call = r#"{"method":"io.session0.Pipe.Listen","parameters":{"pipe":"Echo"},"upgrade":true}"#;
        assert!(client.call(call).await["parameters"]["listening_max"].as_u64().is_some_and(|max| max > 0));
        until(|| !server.host.0.pipes.borrow().is_empty()).await;
        assert!(matches!(last(&server.host), Some(Became::Served(Some(_)))));
        let mut early = server.connect().await;
        early.send(format!("{call}\0{{\"listen\":{{\"instances\":1}}}}\0").as_bytes()).await;
        assert_eq!(early.ended().await, b"");
        assert!(matches!(last(&server.host), Some(Became::Served(None))));
    });
}

#[test]
fn without_upgrade_there_is_no_pipe_but_an_anonymous_one() {
    with_server(Limits::default(), async |server| {
        let mut client = server.connect().await;
        for (method, parameters) in [("Open", r#"{"pipe":"echo"}"#), ("Listen", r#"{"pipe":"echo"}"#)] {
            let call = format!(r#"{{"method":"io.session0.Pipe.{method}","parameters":{parameters}}}"#);
            assert_eq!(client.call(&call).await["error"], "io.session0.Pipe.InvalidParameter");
        }
        let anonymous = r#"{"method":"io.session0.Pipe.Open","parameters":{"pipe":"echo","impersonation":"anonymous"},"upgrade":true}"#;
        assert_eq!(client.call(anonymous).await["error"], "io.session0.Pipe.InvalidParameter");
        let oneway =
            r#"{"method":"io.session0.Pipe.Open","parameters":{"pipe":"echo"},"upgrade":true,"more":true}"#;
        assert_eq!(client.call(oneway).await["error"], "org.varlink.service.InvalidParameter");
        assert!(last(&server.host).is_none());
    });
}

#[test]
fn names_and_parameters_that_cannot_be_are_said_to_be_so() {
    with_server(Limits::default(), async |server| {
        let mut client = server.connect().await;
        for name in ["", "a/b", "..", "a b", "\\\\u0000x", "\\\\\\\\.\\\\pipe\\\\"] {
            let call = format!(
                r#"{{"method":"io.session0.Pipe.Open","parameters":{{"pipe":"{name}"}},"upgrade":true}}"#
            );
            let reply = client.call(&call).await;
            assert_eq!(reply["error"], "io.session0.Pipe.InvalidName", "{name:?}: {reply}");
            assert_eq!(reply["parameters"]["code"], 123);
        }
        for wrong in [
            r#""instances_max":256"#,
            r#""buffer":4294967295"#,
            r#""kind":"message","rpc":true"#,
            r#""access":["nobody knows"]"#,
        ] {
            let call = format!(
                r#"{{"method":"io.session0.Pipe.Listen","parameters":{{"pipe":"echo",{wrong}}},"upgrade":true}}"#
            );
            let reply = client.call(&call).await;
            assert_eq!(reply["error"], "io.session0.Pipe.InvalidParameter", "{wrong}: {reply}");
        }
        assert!(last(&server.host).is_none());
    });
}

/// Something became of a pipe.
pub fn note(host: &FalseHost, became: Became) {
    host.0.pipes.borrow_mut().push(became);
}
