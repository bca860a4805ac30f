//! The command line where no host is: what it says, on which stream, and with which exit code.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn s0(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s0"));
    command.args(arguments).stdin(Stdio::null());
    command.env_remove("SESSION0_ROOT").env_remove("SESSION0_SOCKET").env_remove("NO_COLOR");
    command
}

fn run(arguments: &[&str]) -> Output {
    s0(arguments).output().unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A directory of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("s0-cli-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const VERBS: [&[&str]; 24] = [
    &["status"],
    &["down"],
    &["reload"],
    &["upgrade"],
    &["events", "--follow"],
    &["service", "list"],
    &["service", "status", "a"],
    &["service", "start", "a"],
    &["service", "stop", "a"],
    &["service", "log", "a", "-f"],
    &["session", "list"],
    &["session", "show", "1"],
    &["session", "logoff", "1"],
    &["session", "run", "1", "--", "id"],
    &["pipe", "list"],
    &["pipe", "show", "a"],
    &["pipe", "connect", "a"],
    &["pipe", "listen", "a", "--", "cat"],
    &["rpc", "list"],
    &["rpc", "describe", "host"],
    &["rpc", "call", "a", "b.C"],
    &["account", "list"],
    &["account", "passwd", "a"],
    &["account", "remove", "a"],
];

#[test]
fn every_verb_says_that_nobody_answers_and_how_to_start_a_host() {
    for verb in VERBS {
        let output = run(&[&["--root", "/nonexistent/root"], verb].concat());
        assert_eq!(output.status.code(), Some(4), "{verb:?}: {output:?}");
        let text = err(&output);
        assert!(text.starts_with("error: could not "), "{verb:?}: {text}");
        assert!(text.contains("/nonexistent/root/run/session0/api"), "{verb:?}: {text}");
        assert!(
            text.contains("hint: ") && text.contains("s0 --root /nonexistent/root up"),
            "{verb:?}: {text}"
        );
        assert!(out(&output).is_empty(), "{verb:?}: {output:?}");
    }
}

#[test]
fn errors_are_json_where_json_is_asked_for() {
    for verb in VERBS {
        let output = run(&[&["--json", "--root", "/nonexistent/root"], verb].concat());
        let value: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(value["error"]["kind"], "fault", "{value}");
        assert!(value["error"]["hint"].as_str().unwrap().contains("s0 "), "{value}");
    }
    let output = run(&["--json", "service", "start"]);
    assert_eq!(output.status.code(), Some(2));
    let value: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(value["error"]["kind"], "usage", "{value}");
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    for arguments in [
        &["frobnicate"][..],
        &[],
        &["service"],
        &["service", "start"],
        &["service", "log", "a", "-n", "many"],
        &["status", "--no-such-option"],
        &["--color", "perhaps", "status"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_time_that_is_none_is_a_usage_error_that_says_what_is_one() {
    let output = run(&["service", "log", "a", "--since", "soon"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(err(&output).contains("10min") && err(&output).contains("today"), "{output:?}");
}

#[test]
fn help_and_version_go_to_standard_output_and_end_with_0() {
    for arguments in [&["--help"][..], &["service", "start", "--help"], &["--version"], &["version"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
}

#[test]
fn a_socket_nobody_listens_on_any_more_is_not_mistaken_for_a_host() {
    let scratch = Scratch::new("stale");
    let socket = scratch.0.join("api");
    drop(UnixListener::bind(&socket).unwrap());
    let output = run(&["--socket", socket.to_str().unwrap(), "status"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(err(&output).contains("listens"), "{output:?}");
}

#[test]
fn a_host_that_speaks_nonsense_or_hangs_up_is_a_fault_and_not_a_panic() {
    let scratch = Scratch::new("nonsense");
    for (name, answer) in
        [("garbage", &b"\xff\xfe{}\0"[..]), ("nothing", b""), ("wrong", b"{\"parameters\":{}}\0")]
    {
        let socket = scratch.0.join(name);
        let listener = UnixListener::bind(&socket).unwrap();
        let host = std::thread::spawn(move || {
            use std::io::Write;
            for _ in 0..3 {
                let Ok((mut stream, _)) = listener.accept() else { return };
                let mut call = [0; 256];
                let length = stream.read(&mut call).unwrap_or(0);
                if length == 0 || call.starts_with(b"end") {
                    return;
                }
                let _ = stream.write_all(answer);
            }
        });
        let output = run(&["--socket", socket.to_str().unwrap(), "status"]);
        assert_eq!(output.status.code(), Some(4), "{name}: {output:?}");
        assert!(err(&output).starts_with("error: could not ask how the host is"), "{name}: {output:?}");
        if let Ok(mut end) = std::os::unix::net::UnixStream::connect(&socket) {
            use std::io::Write;
            let _ = end.write_all(b"end");
        }
        let _ = host.join();
    }
}

#[test]
fn colour_only_where_it_is_asked_for() {
    let plain = run(&["--root", "/nonexistent/root", "status"]);
    assert!(!err(&plain).contains('\x1b'), "{plain:?}");
    let colored = run(&["--root", "/nonexistent/root", "--color", "always", "status"]);
    assert!(err(&colored).contains('\x1b'), "{colored:?}");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let mut child = s0(&["generate", "completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn man_pages_and_completions_are_made_from_the_same_words() {
    let scratch = Scratch::new("man");
    let directory = scratch.0.join("man1");
    let output = run(&["generate", "man", directory.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for page in [
        "s0.1",
        "s0-up.1",
        "s0-service-start.1",
        "s0-session-list.1",
        "s0-logon.1",
        "s0-account-add.1",
        "s0-pipe-list.1",
        "s0-pipe-show.1",
        "s0-pipe-connect.1",
        "s0-pipe-listen.1",
        "s0-rpc-list.1",
        "s0-rpc-describe.1",
        "s0-rpc-call.1",
    ] {
        let text = std::fs::read_to_string(directory.join(page)).unwrap();
        assert!(text.contains("EXAMPLES"), "{page}:\n{text}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["generate", "completions", shell]);
        for word in ["restart", "connect", "refuse-outside", "describe"] {
            assert!(out(&output).contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn up_without_root_is_not_permitted_and_says_sudo() {
    if !rustix::process::geteuid().is_root() {
        let output = run(&["up"]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(err(&output).contains("sudo s0 up"), "{output:?}");
    }
}

/// It waits for the password then. The files in /proc of what is not dumpable are root's, whose ever the process is: root's own would say
/// nothing.
#[test]
fn who_asks_for_a_password_leaves_no_core_file() {
    let scratch = Scratch::new("core");
    std::fs::set_permissions(&scratch.0, PermissionsExt::from_mode(0o755)).unwrap();
    let program = scratch.0.join("s0");
    std::fs::copy(env!("CARGO_BIN_EXE_s0"), &program).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(program);
    command.args(["account", "passwd", "alice", "--password-stdin"]).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    if rustix::process::getuid().is_root() {
        command.uid(65534);
    }
    let mut child = command.spawn().unwrap();
    let limits = PathBuf::from(format!("/proc/{}/limits", child.id()));
    let forbidden = || {
        let text = std::fs::read_to_string(&limits).unwrap();
        let core = text.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let none = core.split_whitespace().filter(|word| *word == "0").count() == 2;
        none && std::fs::metadata(&limits).unwrap().uid() == 0
    };
    let until = Instant::now() + Duration::from_secs(20);
    let mut done = forbidden();
    while !done && Instant::now() < until {
        std::thread::yield_now();
        done = forbidden();
    }
    let asks = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(done && asks, "core files: {done}, still asking: {asks}");
}
