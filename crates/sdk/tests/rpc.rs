//! RPC through named pipes, against a host that is a thread of the test.
#![allow(missing_docs)]

#[allow(dead_code, unused_imports)]
#[path = "pipe/fake_host.rs"]
mod fake_host;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command};

use rustix::thread::{CapabilitySet, capabilities};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use session0::Error;
use session0::pipe::asynchronous::PipeServer;
use session0::pipe::{Code, Impersonation, Peer, PipeType};
use session0::rpc::{self, Caller, Client, Identified};
use zlink::introspect::{self, Type};

use fake_host::{FakeHost, Rules};

const UID: u32 = 41_001;

#[derive(Debug, Serialize, Deserialize, Type)]
struct Who {
    uid: u32,
    session: Option<u32>,
    account: Option<String>,
}

#[derive(Debug, zlink::ReplyError, introspect::ReplyError)]
#[zlink(interface = "org.example.Who")]
enum Refusal {
    NotAllowed { code: u32 },
}

struct Service;

#[zlink::service(interface = "org.example.Who")]
impl<S: Identified> Service {
    async fn am_i(&self, #[zlink(connection)] connection: &mut zlink::Connection<S>) -> Who {
        let client = connection.client();
        let account = client.account().map(str::to_owned);
        Who { uid: client.uid(), session: client.session(), account }
    }

    async fn are_you(
        &self,
        #[zlink(connection)] connection: &mut zlink::Connection<S>,
    ) -> Result<Who, Refusal> {
        let uid = connection
            .impersonate(|| rustix::process::geteuid().as_raw())
            .map_err(|error| Refusal::NotAllowed { code: error.code().number() })?;
        Ok(Who { uid, session: None, account: None })
    }
}

fn alice() -> FakeHost {
    let client = Peer {
        session: Some(3),
        uid: UID,
        gid: UID,
        groups: Vec::new(),
        pid: 7,
        account: Some("alice".to_owned()),
        service: None,
    };
    FakeHost::with(Rules { client: Some(client), ..Rules::default() })
}

/// Serves `who` on a thread. Returns when it is served.
fn serve(host: &FakeHost, kind: PipeType) -> std::thread::JoinHandle<session0::pipe::Error> {
    let builder = PipeServer::builder("who").kind(kind).rpc(true).socket(&host.path);
    let (created, is_created) = std::sync::mpsc::channel();
    let serving = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let pipe = builder.create().await.expect("create");
            created.send(()).expect("the test waits");
            rpc::serve(pipe, |_| Service).await
        })
    });
    is_created.recv().expect("it is served");
    serving
}

fn call(client: &mut Client, method: &str) -> Result<Value, Error> {
    client.call(method, Value::Null)
}

#[test]
fn a_service_on_a_pipe_is_told_its_clients_by_the_host_and_serves_one_after_the_other() {
    let host = alice();
    let _serving = serve(&host, PipeType::Byte);
    assert_eq!(host.state().pipes["who"].listen["rpc"], true, "others can see that it speaks varlink");
    let mut clients: Vec<Client> = (0..3)
        .map(|_| Client::through(host.client("who").open().expect("open")).expect("a client"))
        .collect();
    for client in &mut clients {
        let who = call(client, "org.example.Who.AmI").expect("an answer");
        assert_eq!(who, json!({"uid": UID, "session": 3, "account": "alice"}));
    }
    host.until("who", |served| served.connected == 3);
    drop(clients);
    host.until("who", |served| served.connected == 0 && served.listening > 0);
    let mut client = Client::through(host.client("who").open().expect("open")).expect("a client");
    assert!(client.info().expect("info").interfaces.contains(&"org.example.Who".to_owned()));
}

#[test]
fn the_client_within_tokio_goes_through_a_pipe_too() {
    let host = alice();
    let _serving = serve(&host, PipeType::Byte);
    let pipe = host.client("who").open().expect("open");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let who = runtime.block_on(async {
        let mut client = rpc::asynchronous::Client::through(pipe)?;
        client.call("org.example.Who.AmI", Value::Null).await
    });
    assert_eq!(who.map(|who| who["uid"].clone()), Ok(json!(UID)));
}

#[test]
fn the_serving_ends_when_no_client_can_come_any_more() {
    let host = alice();
    let serving = serve(&host, PipeType::Byte);
    host.hang_up("who");
    assert_eq!(serving.join().expect("no panic").code(), Code::OperationAborted);
}

#[test]
fn a_pipe_of_messages_is_neither_served_nor_called_through() {
    let host = alice();
    let serving = serve(&host, PipeType::Message);
    assert_eq!(serving.join().expect("no panic").code(), Code::BadPipe);

    let _server = host.server("messages").kind(PipeType::Message).create().expect("create");
    let pipe = host.client("messages").open().expect("open");
    let error = Client::through(pipe).expect_err("messages");
    assert_eq!(error.code(), Some(230));
}

#[test]
fn a_method_does_as_its_client_what_the_client_lets_it() {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    if !capabilities(None).is_ok_and(|sets| sets.effective.contains(needed)) {
        let skipped = b"SKIPPED: acting as a client needs CAP_SETUID and CAP_SETGID\n";
        let _ = std::io::stderr().write_all(skipped);
        return;
    }
    let host = alice();
    let _serving = serve(&host, PipeType::Byte);
    let ask = |level| {
        let pipe = host.client("who").impersonation(level).open().expect("open");
        call(&mut Client::through(pipe).expect("a client"), "org.example.Who.AreYou")
    };
    assert_eq!(ask(Impersonation::Impersonation).map(|who| who["uid"].clone()), Ok(json!(UID)));
    let refused = ask(Impersonation::Identification).expect_err("not allowed");
    assert_eq!(refused.code(), Some(1346));
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program of the examples, which `cargo test` builds with all tests of this package (and not with `--test rpc` alone).
fn example(name: &str, host: &FakeHost) -> Command {
    let tests = std::env::current_exe().expect("this program");
    let built: PathBuf =
        tests.ancestors().nth(2).expect("a directory of programs").join("examples").join(name);
    assert!(built.exists(), "{} is built by `cargo test -p session0`", built.display());
    let mut command = Command::new(built);
    command.env("SESSION0_SOCKET", &host.path);
    command
}

#[test]
fn the_guides_service_greets_the_guides_client() {
    let host = alice();
    let _service = Running(example("greeter_service", &host).spawn().expect("start the service"));
    host.until("greeter", |served| served.listening > 0);
    let client = example("greeter_client", &host).arg("you").output().expect("run the client");
    assert_eq!(String::from_utf8_lossy(&client.stdout), format!("Hello you, uid {UID} from session 3\n"));
    let refused = example("greeter_client", &host).arg("").output().expect("run the client");
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("there is nobody to greet"));
}
