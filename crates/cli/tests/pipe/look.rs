//! `s0 pipe list` and `s0 pipe show`.

use serde_json::{Value, json};

use crate::host::Host;

fn pipe(name: &str) -> Value {
    json!({
        "name": name, "kind": "message", "direction": "duplex", "instances_max": 10, "listening": 2,
        "connected": 1, "waiting": 0, "default_timeout_ms": 50, "refuse_outside": false, "rpc": false,
        "access": ["allow interactive read write"], "starts_service": false, "opened": 12, "refused": 0,
        "servers": [{ "session": 0, "uid": 0, "gid": 0, "pid": 42, "service": "spooler" }],
        "clients": [{ "instance": 7, "since_ms": 1, "peer":
            { "session": 3, "uid": 1001, "gid": 1001, "pid": 77, "account": "alice" } }],
    })
}

#[test]
fn pipes_are_a_table_and_whole_as_json() {
    let host = Host::with(vec![pipe("jobs"), pipe("log")], Vec::new());
    let text = String::from_utf8(host.run(&["pipe", "list"], b"").stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 3 && lines[0].starts_with("NAME") && lines[1].contains("1/2/10"), "{text}");
    let all: Vec<Value> = serde_json::from_slice(&host.run(&["pipe", "list", "--json"], b"").stdout).unwrap();
    assert_eq!(all[1]["name"], "log");
    assert_eq!(all[0]["clients"][0]["peer"]["account"], "alice");
    let none = Host::start();
    assert!(none.run(&["pipe", "list"], b"").stdout.starts_with(b"no pipes"));
}

#[test]
fn a_pipe_is_a_page_and_whole_as_json() {
    let host = Host::with(vec![pipe("jobs")], Vec::new());
    let text = String::from_utf8(host.run(&["pipe", "show", "jobs"], b"").stdout).unwrap();
    assert!(
        text.starts_with("pipe jobs: messages, both ways\n") && text.contains("alice in session 3"),
        "{text}"
    );
    let one: Value =
        serde_json::from_slice(&host.run(&["--json", "pipe", "show", "jobs"], b"").stdout).unwrap();
    assert_eq!(one["servers"][0]["service"], "spooler");
    let colored = host.run(&["--color", "always", "pipe", "show", "jobs"], b"");
    assert!(colored.stdout.contains(&0x1b));
}

#[test]
fn a_pipe_that_is_not_there_is_refused_with_the_command_that_helps() {
    let host = Host::start();
    let output = host.run(&["pipe", "show", "nobody"], b"");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1) && text.contains("(2)") && text.contains("`s0 pipe list`"),
        "{text}"
    );
}
