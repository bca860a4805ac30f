//! Calls over named pipes: the guide's service as a service, somebody else's client, and clients and services that misbehave.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use session0::rpc::Client;
use session0_system_tests::{At, Host, HostBuilder, Logon, PASSWORD, Program, Run, binary, needs_root, skip};

/// A host with the guide's service, and alice on.
fn with_greeter() -> (Host, Logon, At) {
    let builder = HostBuilder::new();
    let program = builder.visible().join("greeter");
    std::fs::copy(binary("greeter"), &program).expect("ours");
    let file = guides_file().replace("/usr/local/bin/greeter", &program.display().to_string());
    let host = builder.service("greeter", &file).start();
    host.person("alice");
    let logon = host.logon("alice", PASSWORD);
    let alice = At::Session(host.session_of("alice"));
    (host, logon, alice)
}

/// What the guide has as the service's file.
fn guides_file() -> String {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/first-service.md");
    let guide = std::fs::read_to_string(guide).expect("the guide is there");
    let block = guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    block.expect("the guide has the file").to_owned()
}

fn client(host: &Host, pipe: &str) -> Client {
    let opened = session0::pipe::PipeClient::builder(pipe).socket(host.api());
    let opened = opened.wait(Duration::from_secs(20)).open().expect("it is served");
    Client::through(opened).expect("it speaks varlink")
}

#[test]
fn the_guides_service_is_started_by_a_call_and_knows_who_calls() {
    if !needs_root("the_guides_service_is_started_by_a_call_and_knows_who_calls") {
        return;
    }
    let (host, _logon, alice) = with_greeter();
    assert_eq!(host.state("greeter"), "Stopped");
    let greeted = client(&host, "greeter").call("org.example.Greeter.Greet", json!({ "name": "you" }));
    assert_eq!(greeted.expect("it greets")["text"], "Hello you, uid 0 from outside");
    assert_eq!(host.state("greeter"), "Running");
    let description = client(&host, "greeter").describe("org.example.Greeter").expect("it is described");
    assert!(description.contains("method Greet(name: string)"), "{description}");
    // Any client, by the socket, in a session.
    let call = r#"{"method":"org.example.Greeter.Greet","parameters":{"name":"me"}}"#;
    let run = Run::of(&mut host.probe_at(alice, &["call", "/run/session0/pipe/greeter", call]));
    let At::Session(session) = alice else { return };
    let expected = format!("Hello me, uid {} from session {session}", host.uid_of("alice"));
    assert!(run.out.contains(&expected), "{run:?}");
    let nobody = client(&host, "greeter").call("org.example.Greeter.Greet", json!({ "name": "" }));
    let error = nobody.expect_err("there is nobody to greet");
    assert!(error.to_string().contains("there is nobody to greet"), "{error}");
}

#[test]
fn the_command_line_lists_describes_and_calls_the_guides_service() {
    if !needs_root("the_command_line_lists_describes_and_calls_the_guides_service") {
        return;
    }
    let (host, _logon, alice) = with_greeter();
    let At::Session(session) = alice else { return };
    let s0 = host.visible_s0();
    let list = host.s0(&["rpc", "list"]).ok().out;
    assert!(list.contains("greeter"), "{list}");
    assert_eq!(host.state("greeter"), "Stopped", "to list is not to start");
    let greeted =
        host.s0(&["rpc", "call", "greeter", "org.example.Greeter.Greet", r#"{"name":"you"}"#, "--json"]);
    assert_eq!(greeted.ok().json(), json!({ "text": "Hello you, uid 0 from outside" }));
    let list = host.s0(&["rpc", "list"]).ok().out;
    assert!(list.contains("org.example.Greeter"), "{list}");
    let description = host.s0(&["rpc", "describe", "greeter"]).ok().out;
    assert!(description.contains("interface org.example.Greeter"), "{description}");
    assert!(description.contains("method Greet(name: string)"), "{description}");
    let hers = host.run_in(session, &[&s0, "rpc", "call", "greeter", "Greet", r#"{"name":"me"}"#]).ok().out;
    assert!(hers.contains(&format!("uid {} from session {session}", host.uid_of("alice"))), "{hers}");
    let refused = host.s0(&["rpc", "call", "greeter", "Greet", r#"{"name":""}"#]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("there is nobody to greet") && refused.err.contains("give a name"),
        "{refused:?}"
    );
    let wrong = host.s0(&["rpc", "call", "greeter", "Greet", r#"{"nobody":7}"#]);
    assert!(wrong.code == 1 && wrong.err.contains("InvalidParameter"), "{wrong:?}");
    let none = host.s0(&["rpc", "call", "nothing.there", "Greet"]);
    assert!(none.code == 1 && none.err.contains("(2)"), "{none:?}");
    let own = host.s0(&["rpc", "call", "host", "io.session0.Pipe.List", "--json"]).ok().json();
    assert_eq!(own["pipes"][0]["name"], "greeter", "{own}");
}

#[test]
fn pythons_varlink_client_calls_a_service_by_its_pipe() {
    let test = "pythons_varlink_client_calls_a_service_by_its_pipe";
    if !needs_root(test) {
        return;
    }
    let python = std::env::var("SESSION0_PYTHON").unwrap_or_else(|_| "python3".into());
    if Run::of(Command::new(&python).args(["-c", "import varlink"])).code != 0 {
        return skip(test, "the Python package varlink is not installed");
    }
    let (host, _logon, _) = with_greeter();
    let address = format!("unix:{}", host.pipe_socket(At::Outside, "greeter"));
    let varlink =
        |arguments: &[&str]| Run::of(Command::new(&python).args(["-m", "varlink.cli"]).args(arguments));
    let info = varlink(&["info", &address]).ok().out;
    assert!(info.contains("org.example.Greeter"), "{info}");
    let help = varlink(&["help", &format!("{address}/org.example.Greeter")]).ok().out;
    assert!(help.contains("method Greet"), "{help}");
    let method = format!("{address}/org.example.Greeter.Greet");
    let greeted = varlink(&["call", &method, r#"{"name":"python"}"#]).ok().out;
    assert!(greeted.contains("Hello python, uid 0 from outside"), "{greeted}");
    let refused = varlink(&["call", &method, r#"{"name":""}"#]);
    let said = format!("{}{}", refused.out, refused.err);
    assert!(said.contains("org.example.Greeter.NoName"), "{refused:?}");
    let wrong = varlink(&["call", &method, r#"{"name":7}"#]);
    let said = format!("{}{}", wrong.out, wrong.err);
    assert!(said.contains("org.varlink.service.InvalidParameter"), "{wrong:?}");
}

#[test]
fn a_client_in_a_long_call_and_one_that_floods_keep_nobody_from_being_answered() {
    if !needs_root("a_client_in_a_long_call_and_one_that_floods_keep_nobody_from_being_answered") {
        return;
    }
    let host = HostBuilder::new().start();
    let mut server = Program::start(&mut host.probe_at(At::Outside, &["rpc-serve", "trial"]));
    server.wait("listening");
    let socket = host.pipe_socket(At::Outside, "trial");
    std::thread::scope(|scope| {
        let stuck = scope.spawn(|| {
            let mut stuck = client(&host, "trial");
            stuck.set_time_max(Some(Duration::from_secs(30)));
            stuck.call("org.example.Trial.Wait", json!({}))
        });
        server.wait("waits");
        let flood = |how: &str| {
            let mut flood = Program::start(&mut host.probe_at(At::Outside, &["rpc-flood", &socket, how]));
            flood.wait("floods");
            flood
        };
        let (mut long, _unread) = (flood("long"), flood("unread"));
        for round in 0..20 {
            let text = format!("round {round}");
            let said = client(&host, "trial").call("org.example.Trial.Say", json!({ "text": text }));
            assert_eq!(said.expect("it is answered")["text"], *text);
        }
        // What is too long is cut off; who does not read is held by his own socket, and harms nobody meanwhile.
        assert!(long.wait("ended after").contains("rpc-flood"));
        let said = client(&host, "trial").call("org.example.Trial.Say", json!({ "text": "still" }));
        assert_eq!(said.expect("it is answered")["uid"], 0);
        // And the one that is stuck is told when its service is gone.
        drop(server);
        let ended = stuck.join().expect("no panic");
        let error = ended.expect_err("nobody answers it");
        assert!(error.to_string().contains("closed"), "{error}");
    });
}

#[test]
fn a_service_that_does_not_answer_is_an_error_at_the_deadline() {
    if !needs_root("a_service_that_does_not_answer_is_an_error_at_the_deadline") {
        return;
    }
    let host = HostBuilder::new().start();
    // One whose method never answers, and one that is not there any more though its connection is: it was stopped.
    let mut server = Program::start(&mut host.probe_at(At::Outside, &["rpc-serve", "mute"]));
    server.wait("listening");
    let mut mute = client(&host, "mute");
    mute.set_time_max(Some(Duration::from_millis(200)));
    let error = mute.call("org.example.Trial.Wait", json!({})).expect_err("it never answers");
    assert!(error.to_string().ends_with("in time"), "{error}");
    let pid = host.client().pipe("mute").expect("it is served").servers[0].pid;
    let pid = rustix::process::Pid::from_raw(pid).expect("positive");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("ours");
    let mut stopped = client(&host, "mute");
    stopped.set_time_max(Some(Duration::from_millis(200)));
    let error = stopped.info().expect_err("it does nothing");
    assert!(error.to_string().ends_with("in time"), "{error}");
}
