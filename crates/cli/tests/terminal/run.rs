//! `s0 session run` and the other verbs about sessions.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};

use rustix::termios::LocalModes;
use serde_json::{Value, json};

use super::host::{Host, Line, Program, Reply, piped};
use super::screen::{Screen, s0};

fn words(parameters: &Value) -> Vec<String> {
    parameters["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// A host that runs what it is told in session 3.
fn running(name: &str) -> Host {
    Host::start(name, |method, parameters| {
        assert_eq!((method, &parameters["session"]), ("Session.Run", &json!(3)));
        let (viewer, client) = Line::new();
        let command = words(parameters);
        if parameters["terminal"].is_null() {
            with_pipes(&command, viewer, client)
        } else {
            with_terminal(&command, viewer, client)
        }
    })
}

fn with_pipes(command: &[String], viewer: Line, client: std::os::fd::OwnedFd) -> Reply {
    let (mut process, streams) = piped(command);
    std::thread::spawn(move || viewer.ended(process.wait().unwrap()));
    (json!({ "parameters": { "descriptors": 4 } }), std::iter::once(client).chain(streams).collect())
}

fn with_terminal(command: &[String], viewer: Line, client: std::os::fd::OwnedFd) -> Reply {
    let mut program = Program::start(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let master = program.master.try_clone().unwrap();
    std::thread::spawn(move || {
        viewer.ended(program.process.wait().unwrap());
        viewer.hear();
    });
    (json!({ "parameters": { "descriptors": 2 } }), vec![client, master])
}

fn run(host: &Host, script: &str, input: &[u8]) -> Output {
    let mut child = s0(host)
        .args(["session", "run", "3", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut into, input) = (child.stdin.take().unwrap(), input.to_vec());
    // A program that does not read to the end is what some tests are about.
    let writer = std::thread::spawn(move || drop(into.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

#[test]
fn every_byte_goes_both_ways_and_the_end_of_input_is_passed_on() {
    let host = running("bytes");
    let bytes: Vec<u8> = (0..1_048_577u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let output = run(&host, "cat; printf done >&2", &bytes);
    assert_eq!(output.status.code(), Some(0), "{:?}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == bytes, "{} of {} bytes, or others", output.stdout.len(), bytes.len());
    assert_eq!(output.stderr, b"done");
}

#[test]
fn a_flood_on_both_outputs_arrives_whole_on_each() {
    let host = running("both");
    let output = run(&host, "seq 1 100000 & seq 100000 1 >&2 & wait", b"");
    let numbers = |range: &mut dyn Iterator<Item = u32>| range.map(|n| format!("{n}\n")).collect::<String>();
    // Not compared by assert_eq, which would print megabytes.
    assert!(output.stdout == numbers(&mut (1..=100_000)).as_bytes());
    let down: String = numbers(&mut (1..=100_000).rev());
    // `seq 100000 1` counts nothing where no step is given.
    assert!(output.stderr.is_empty() || output.stderr == down.as_bytes());
}

#[test]
fn the_exit_code_is_the_programs() {
    let host = running("codes");
    assert_eq!(run(&host, "exit 0", b"").status.code(), Some(0));
    assert_eq!(run(&host, "exit 7", b"").status.code(), Some(7));
    assert_eq!(run(&host, "kill -9 $$", b"").status.code(), Some(137));
    assert_eq!(run(&host, "kill -15 $$", b"unread input").status.code(), Some(143));
}

#[test]
fn whoever_is_left_behind_with_the_output_is_not_waited_for() {
    let host = running("behind");
    let output = run(&host, "sleep 1000 & echo $!; echo spoken", b"");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    let (pid, rest) = text.split_once('\n').unwrap();
    assert_eq!(rest, "spoken\n");
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_reader_that_goes_away_is_felt_by_the_program() {
    let host = running("reader");
    let mut child = s0(&host)
        .args(["session", "run", "3", "--", "yes"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(141));
}

#[test]
fn an_interrupted_s0_hangs_up() {
    let (told, heard) = std::sync::mpsc::channel();
    let host = Host::start("interrupted", move |_, parameters| {
        let (viewer, client) = Line::new();
        let (mut process, streams) = piped(&words(parameters));
        let told = told.clone();
        std::thread::spawn(move || {
            viewer.hear();
            process.kill().unwrap();
            process.wait().unwrap();
            told.send(()).unwrap();
        });
        (json!({ "parameters": { "descriptors": 4 } }), std::iter::once(client).chain(streams).collect())
    });
    let mut child = s0(&host)
        .args(["session", "run", "3", "--", "sh", "-c", "echo begun; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut begun = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut begun).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(2));
    heard.recv_timeout(std::time::Duration::from_secs(30)).expect("the host sees it");
}

#[test]
fn a_host_that_does_not_say_how_it_ended_is_a_fault() {
    let host = Host::start("silent", |_, parameters| {
        let (viewer, client) = Line::new();
        let (mut process, streams) = piped(&words(parameters));
        std::thread::spawn(move || {
            process.wait().unwrap();
            drop(viewer);
        });
        (json!({ "parameters": { "descriptors": 4 } }), std::iter::once(client).chain(streams).collect())
    });
    let output = run(&host, "echo spoken", b"");
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(output.stdout, b"spoken\n");
    assert!(String::from_utf8(output.stderr).unwrap().contains("without saying how it ended"));
}

#[test]
fn descriptors_that_are_missing_are_a_fault() {
    let host = Host::start("missing", |_, _| {
        let (_, client) = Line::new();
        (json!({ "parameters": { "descriptors": 4 } }), vec![client])
    });
    let output = run(&host, "true", b"");
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("the host sent 1 of 4 descriptors for the program"), "{text}");
}

#[test]
fn at_a_terminal_the_program_has_one_too() {
    let host = running("terminal");
    let script = "trap 'stop=caught' INT; tty; \
        while [ -z \"$stop\" ]; do sleep 0.05; done; echo $stop; read line; echo got $line; exit 9";
    let mut screen = Screen::start(&host, &["session", "run", "3", "--", "sh", "-c", script]);
    screen.expect("/dev/pts/");
    screen.until("raw", |screen| !screen.local_modes().contains(LocalModes::ICANON));
    screen.enter("\x03");
    screen.expect("caught");
    screen.enter("words\r");
    assert_eq!(screen.end().code(), Some(9), "{}", screen.text());
    assert!(screen.text().ends_with("got words\r\n"), "{:?}", screen.text());
    screen.assert_as_found();
    screen.abandoned();
}

#[test]
fn without_a_terminal_it_has_pipes_unless_one_is_asked_for() {
    let host = running("pipes");
    let mut screen =
        Screen::start(&host, &["session", "run", "3", "-T", "--", "sh", "-c", "test -t 1 || echo piped"]);
    assert_eq!(screen.end().code(), Some(0));
    assert!(screen.text().contains("piped"), "{}", screen.text());
    let output =
        s0(&host).args(["session", "run", "3", "-t", "--", "id"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("-T runs it without a terminal"));
}

#[test]
fn refusals_and_the_end_of_a_session_are_said() {
    let host = Host::start("verbs", |method, parameters| {
        let refused = |name: &str, code: u32, message: &str| json!({ "error": format!("io.session0.Session.{name}"), "parameters": { "code": code, "message": message } });
        let reply = match (method, parameters["session"].as_u64()) {
            ("Session.Logoff", Some(3)) => json!({ "parameters": {} }),
            ("Session.Logoff", Some(4)) => {
                refused("AccessDenied", 5, "could not log session 4 off: it is bob's")
            }
            (_, _) => refused("NoSuchSession", 7022, "could not find it: there is no session 9"),
        };
        (reply, Vec::new())
    });
    let code = |words: &[&str]| s0(&host).args(words).output().unwrap();
    let output = code(&["session", "logoff", "3"]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"session 3 ended\n"[..]));
    assert_eq!(code(&["session", "logoff", "3", "--no-wait"]).stdout, b"session 3 is ending\n");
    assert_eq!(code(&["session", "logoff", "4"]).status.code(), Some(3));
    assert_eq!(code(&["session", "show", "9"]).status.code(), Some(1));
    assert_eq!(code(&["session", "run", "9", "--", "id"]).status.code(), Some(1));
}
