//! `s0 account`.

use std::io::Write;
use std::process::{Output, Stdio};

use rustix::termios::LocalModes;
use serde_json::{Value, json};

use super::host::{Host, Line, Reply, begin};
use super::screen::{Screen, s0};

/// A host with accounts: the password of each is typed twice, and must be `open sesame`.
fn accounts(method: &str, parameters: &Value) -> Reply {
    let (method, name) = (method.to_owned(), parameters["account"].as_str().unwrap_or_default().to_owned());
    let home = parameters["home"].as_bool();
    begin(move |line| match method.as_str() {
        "Account.List" => {
            let alice = json!({ "name": "alice", "uid": 60001, "full_name": "Alice Liddell", "home": "/home/alice",
                "shell": "/bin/bash", "enabled": true });
            line.say(json!({ "done": { "accounts": [alice] } }));
        }
        "Account.Add" | "Account.Password" => change(&line),
        "Account.Remove" if name == "busy" => line.refuse(2402, "could not remove busy: it has a session"),
        "Account.Remove" if home.is_some() => line.say(json!({ "done": {} })),
        "Account.Disable" | "Account.Enable" => line.say(json!({ "done": {} })),
        other => line.refuse(1359, other),
    })
}

fn change(line: &Line) {
    let new = line.ask("New password:");
    let again = line.ask("Again:");
    match (new.as_deref(), again.as_deref()) {
        (Some("open sesame"), Some("open sesame")) => line.say(json!({ "done": {} })),
        _ => line.refuse(1325, "could not change the password: it is too short"),
    }
}

fn run(host: &Host, words: &[&str], input: &[u8]) -> Output {
    let mut child = s0(host)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn a_script_changes_accounts_with_the_password_on_standard_input() {
    let host = Host::start("script", accounts);
    let added = run(&host, &["account", "add", "alice", "--password-stdin"], b"open sesame\nnot read");
    assert_eq!(out(&added), (Some(0), "alice can log on now\n".to_owned()));
    let changed = run(&host, &["account", "passwd", "alice", "--password-stdin"], b"open sesame");
    assert_eq!(out(&changed), (Some(0), "alice has a new password\n".to_owned()));
    let (code, text) = out(&run(&host, &["account", "passwd", "alice", "--password-stdin"], b"short\n"));
    assert!(code == Some(1) && text.contains("too short (1325)"), "{text}");
    for words in
        [["account", "disable", "alice"], ["account", "enable", "alice"], ["account", "remove", "alice"]]
    {
        let (code, text) = out(&run(&host, &words, b""));
        assert!(code == Some(0) && text.starts_with("alice "), "{words:?}: {text}");
    }
    let (code, text) = out(&run(&host, &["account", "list"], b""));
    assert!(code == Some(0) && text.contains("alice  60001  enabled  Alice Liddell"), "{text}");
    let (code, text) = out(&run(&host, &["account", "remove", "busy"], b""));
    assert!(code == Some(1) && text.contains("it has a session (2402)"), "{text}");
}

#[test]
fn two_commands_of_a_script_read_a_line_each() {
    let host = Host::start("lines", accounts);
    let mut shell = std::process::Command::new("sh")
        .arg("-c")
        .arg("\"$@\" add alice --password-stdin && \"$@\" add bob --password-stdin")
        .args(["sh", env!("CARGO_BIN_EXE_s0"), "--socket", host.socket().to_str().unwrap(), "account"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(b"open sesame\nopen sesame\n").unwrap();
    let output = shell.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"alice can log on now\nbob can log on now\n");
}

#[test]
fn without_a_terminal_the_password_has_to_be_on_standard_input() {
    let host = Host::start("nobody", accounts);
    let (code, text) = out(&run(&host, &["account", "add", "alice"], b"open sesame\n"));
    assert!(code == Some(2) && text.contains("--password-stdin"), "{text}");
    let (code, text) = out(&run(&host, &["account", "add", "alice", "--password-stdin"], b""));
    assert!(code == Some(2) && text.contains("standard input is empty"), "{text}");
    let (code, text) = out(&run(&host, &["account", "remove", "alice", "--home"], b""));
    assert!(code == Some(2) && text.contains("--yes"), "{text}");
    let (code, text) = out(&run(&host, &["account", "remove", "alice", "--home", "--yes"], b""));
    assert!(code == Some(0) && text.contains("and its home"), "{text}");
}

#[test]
fn at_a_terminal_the_password_is_asked_for_twice_and_not_shown() {
    let host = Host::start("asked", accounts);
    let mut screen = Screen::start(&host, &["account", "add", "alice"]);
    for prompt in ["New password:", "Again:"] {
        screen.expect(prompt);
        assert!(!screen.local_modes().contains(LocalModes::ECHO));
        screen.enter("open sesame\n");
    }
    assert_eq!(screen.end().code(), Some(0), "{}", screen.text());
    assert!(screen.text().ends_with("alice can log on now\r\n") && !screen.text().contains("sesame"));
    screen.assert_as_found();
    screen.abandoned();
}

#[test]
fn the_home_is_removed_only_after_a_yes() {
    let host = Host::start("home", accounts);
    for (answer, code) in [("\n", 1), ("no\n", 1), ("y\n", 0)] {
        let mut screen = Screen::start(&host, &["account", "remove", "alice", "--home"]);
        screen.expect("remove the home of alice with everything in it?");
        screen.enter(answer);
        assert_eq!(screen.end().code(), Some(code), "{answer:?}: {}", screen.text());
    }
}
