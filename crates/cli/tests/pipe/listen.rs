//! `s0 pipe listen`: what its commands have and know, and how they and it end.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use session0::pipe::{Code, PipeClient};

use crate::host::{Host, random};

/// No test waits longer for what should be there.
const TIME_MAX: Duration = Duration::from_secs(60);

fn client(host: &Host, name: &str) -> PipeClient {
    let client = PipeClient::builder(name).socket(host.path("api")).wait(TIME_MAX).open().unwrap();
    client.set_timeout(Some(TIME_MAX));
    client
}

/// What a command says to a client that says nothing.
fn said(host: &Host, name: &str) -> String {
    let mut text = String::new();
    (&*client(host, name)).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_megabyte_through_a_command_comes_back_exactly() {
    let host = Host::start();
    let listener = host.listen(&["echo", "--", "cat"]);
    let output = host.run(&["pipe", "connect", "echo"], &random(1));
    assert!(output.status.code() == Some(0) && output.stdout == random(1));
    listener.signal(Signal::TERM);
    assert_eq!(listener.end(), (Some(0), Vec::new(), String::new()));
}

#[test]
fn messages_are_lines_of_a_command_and_its_lines_are_messages() {
    let host = Host::start();
    let _listener = host.listen(&["echo", "--type", "message", "--", "cat"]);
    let mut lines = random(2);
    lines.push(b'\n');
    let output = host.run(&["pipe", "connect", "echo"], &lines);
    assert!(output.status.code() == Some(0) && output.stdout == lines);
    let talking = client(&host, "echo");
    for message in [&b"one"[..], b"", b"\0\xff"] {
        talking.write_message(message).unwrap();
        assert_eq!(talking.read_message().unwrap(), message, "it waits for more");
    }
}

#[test]
fn a_bytewise_command_has_the_pipe_itself_and_no_other_descriptor() {
    let host = Host::start();
    let list = ["ls", "/proc/self/fd"];
    let bare = Command::new(list[0]).arg(list[1]).stdin(Stdio::null()).output().unwrap();
    let numbers = |text: &str| text.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
    let listener = host.listen(&["fds", "--", "ls", "/proc/self/fd"]);
    // Others are connected meanwhile: their pipes are not for this one.
    let _idle = host.listen(&["idle", "--", "cat"]);
    let _others = [client(&host, "idle"), client(&host, "fds")];
    let here = numbers(&said(&host, "fds"));
    assert_eq!(
        here,
        numbers(std::str::from_utf8(&bare.stdout).unwrap()),
        "more than the test itself was given"
    );
    drop(listener);
    let _listener = host.listen(&["links", "--", "readlink", "/proc/self/fd/0", "/proc/self/fd/1"]);
    let links = said(&host, "links");
    let (input, output) = links.trim_end().split_once('\n').unwrap();
    assert!(input.starts_with("socket:") && input == output, "{links}");
}

#[test]
fn a_messagewise_command_has_no_descriptor_but_its_streams() {
    let host = Host::start();
    let bare = Command::new("ls").arg("/proc/self/fd").stdin(Stdio::null()).output().unwrap();
    let _listener = host.listen(&["fds", "--type", "message", "--", "ls", "/proc/self/fd"]);
    let output = host.run(&["pipe", "connect", "fds"], b"");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), String::from_utf8(bare.stdout).unwrap());
}

#[test]
fn a_command_knows_the_verified_client_and_nothing_of_another_one() {
    let host = Host::start();
    let mut command = host.s0(&["pipe", "listen", "who", "--", "env"]);
    command.env("S0_PIPE_SERVICE", "a lie").env("S0_PIPE_UID", "12345");
    let _listener = host.listen_by(command);
    let output = host.run(&["pipe", "connect", "who", "--impersonation", "impersonation"], b"");
    let text = String::from_utf8(output.stdout).unwrap();
    let about: BTreeSet<&str> = text.lines().filter(|line| line.starts_with("S0_")).collect();
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let (uid, gid) = (format!("S0_PIPE_UID={uid}"), format!("S0_PIPE_GID={gid}"));
    let pid = about.iter().find(|line| line.starts_with("S0_PIPE_PID=")).expect("a pid");
    assert!(pid["S0_PIPE_PID=".len()..].parse::<u32>().is_ok_and(|pid| pid > 1), "{pid}");
    let expected = BTreeSet::from([
        "S0_PIPE_NAME=who",
        "S0_PIPE_SESSION=3",
        "S0_PIPE_ACCOUNT=alice",
        "S0_PIPE_IMPERSONATION=impersonation",
        pid,
        &uid,
        &gid,
    ]);
    assert_eq!(about, expected, "nothing else, and no lie of who started it");
}

#[test]
fn what_is_asked_for_is_what_the_host_is_asked_for() {
    let host = Host::start();
    let _listener = host.listen(&[
        "all",
        "--type",
        "message",
        "--direction",
        "inbound",
        "--instances",
        "3",
        "--access",
        "interactive",
        "--access",
        "user bob write",
        "--first",
        "--refuse-outside",
        "--",
        "cat",
    ]);
    let asked = host.asked("all");
    for (key, value) in [
        ("kind", serde_json::json!("message")),
        ("direction", serde_json::json!("inbound")),
        ("instances_max", serde_json::json!(3)),
        ("access", serde_json::json!(["interactive", "user bob write"])),
        ("first", serde_json::json!(true)),
        ("refuse_outside", serde_json::json!(true)),
    ] {
        assert_eq!(asked[key], value, "{asked}");
    }
    let _listener = host.listen(&["bare", "--", "cat"]);
    let asked = host.asked("bare");
    for key in ["kind", "direction", "instances_max", "access", "first", "refuse_outside"] {
        assert!(asked.get(key).is_none(), "{key} is decided by the service's file: {asked}");
    }
}

#[test]
fn several_clients_are_served_at_once() {
    let host = Host::start();
    let _listener = host.listen(&["echo", "--instances", "2", "--", "cat"]);
    let (first, second) = (client(&host, "echo"), client(&host, "echo"));
    for (pipe, word) in [(&second, b"second"), (&first, b"first."), (&second, b"again.")] {
        pipe.write(word).unwrap();
        let mut back = [0; 6];
        (&**pipe).read_exact(&mut back).unwrap();
        assert_eq!(&back, word);
    }
    let third = PipeClient::builder("echo").socket(host.path("api")).open();
    assert_eq!(third.unwrap_err().code(), Code::PipeBusy);
    drop(first);
    host.until_listening("echo", 1);
}

#[test]
fn one_way_is_one_stream() {
    let host = Host::start();
    let listener = host.listen(&["in", "--direction", "inbound", "--once", "--", "cat"]);
    assert_eq!(host.run(&["pipe", "connect", "in"], b"news").status.code(), Some(0));
    assert_eq!(listener.end(), (Some(0), b"news".to_vec(), String::new()), "its output is its own");
    let listener =
        host.listen(&["out", "--direction", "outbound", "--once", "--", "sh", "-c", "cat; echo end"]);
    let output = host.run(&["pipe", "connect", "out"], b"not to be sent");
    assert_eq!(output.stdout, b"end\n", "its input is empty");
    assert_eq!(listener.end().0, Some(0));
}

#[test]
fn one_client_only_ends_with_the_commands_exit_code() {
    let host = Host::start();
    for (command, code) in [("exit 7", 7), ("exit 0", 0), ("kill -9 $$", 137)] {
        let listener = host.listen(&["once", "--once", "--", "sh", "-c", command]);
        assert_eq!(host.asked("once")["instances_max"], 1);
        said(&host, "once");
        let (status, _, errors) = listener.end();
        assert_eq!(status, Some(code), "{command}: {errors}");
        assert_eq!(errors.is_empty(), code == 0, "{errors}");
    }
    // It is there, and what it is to be run by is not.
    let script = std::env::temp_dir().join(format!("session0-listen-{}", std::process::id()));
    std::fs::write(&script, "#!/nonexistent/interpreter\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let listener = host.listen(&["once", "--once", "--", script.to_str().unwrap()]);
    said(&host, "once");
    let (status, _, errors) = listener.end();
    std::fs::remove_file(&script).unwrap();
    assert!(status == Some(127) && errors.contains("could not run "), "{errors}");
}

#[test]
fn a_command_that_fails_is_said_and_the_next_client_is_served() {
    let host = Host::start();
    let mut listener = host.listen(&["fail", "--", "sh", "-c", "echo said; exit 3"]);
    for _ in 0..2 {
        assert_eq!(said(&host, "fail"), "said\n");
        assert_eq!(listener.error_line(), "sh for alice in session 3: exit status 3\n");
    }
    let mut command = host.s0(&["--json", "pipe", "listen", "json", "--", "sh", "-c", "kill -9 $$"]);
    command.stdin(Stdio::null());
    let mut listener = host.listen_by(command);
    let first: serde_json::Value = serde_json::from_str(&listener.first).unwrap();
    assert_eq!(first, serde_json::json!({ "listening": { "pipe": "json", "type": "byte" } }));
    said(&host, "json");
    let ended: serde_json::Value = serde_json::from_str(&listener.error_line()).unwrap();
    assert_eq!(
        (&ended["ended"]["signal"], &ended["ended"]["client"]["account"]),
        (&9.into(), &"alice".into())
    );
}

#[test]
fn quietly_it_says_nothing_at_all() {
    let host = Host::start();
    let mut command = host.s0(&["pipe", "listen", "quiet", "--quiet", "--once", "--", "sh", "-c", "exit 3"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    host.until_listening("quiet", 1);
    said(&host, "quiet");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(3), &b""[..]));
}

/// The processes whose parent this is, also those that have ended and were not waited for.
fn children(of: u32) -> Vec<String> {
    let stat = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("stat")).ok();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| stat(entry.unwrap()));
    let parent = |stat: &String| {
        let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        behind_name.split_whitespace().nth(1) == Some(&of.to_string())
    };
    processes.filter(parent).collect()
}

#[test]
fn no_command_that_has_ended_is_left_as_a_zombie() {
    let host = Host::start();
    let listener = host.listen(&["brief", "--", "echo", "hello"]);
    for _ in 0..5 {
        assert_eq!(said(&host, "brief"), "hello\n");
    }
    let end = Instant::now() + Duration::from_secs(60);
    while !children(listener.child.id()).is_empty() {
        assert!(Instant::now() < end, "{:?}", children(listener.child.id()));
        std::thread::yield_now();
    }
}

#[test]
fn a_signal_ends_it_and_its_commands_in_order() {
    let host = Host::start();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let last_words = "trap 'echo bye; exit 0' TERM; echo ready; while :; do read x || sleep 1; done";
        let listener = host.listen(&["long", "--", "sh", "-c", last_words]);
        let mut pipe = client(&host, "long");
        let mut ready = [0; 6];
        pipe_read(&mut pipe, &mut ready);
        listener.signal(signal);
        let mut rest = String::new();
        (&*pipe).read_to_string(&mut rest).unwrap();
        assert_eq!((&ready, rest.as_str()), (b"ready\n", "bye\n"));
        assert_eq!(listener.end().0, Some(0));
    }
}

fn pipe_read(pipe: &mut PipeClient, to: &mut [u8]) {
    (&**pipe).read_exact(to).unwrap();
}

#[test]
fn a_further_signal_ends_commands_that_do_not_listen() {
    let host = Host::start();
    let listener =
        host.listen(&["deaf", "--", "sh", "-c", "trap '' TERM; echo ready; while :; do read x; done"]);
    let mut pipe = client(&host, "deaf");
    pipe_read(&mut pipe, &mut [0; 6]);
    let pid = listener.child.id();
    listener.signal(Signal::TERM);
    listener.signal(Signal::TERM);
    let (code, _, errors) = listener.end();
    assert!(code == Some(0) && errors.contains("9 (SIGKILL)"), "{errors}");
    assert_eq!(children(pid), [""; 0]);
}

#[test]
fn without_a_command_its_own_streams_are_the_clients() {
    let host = Host::start();
    let mut command = host.s0(&["pipe", "listen", "chat"]);
    command.stdin(Stdio::piped());
    let mut listener = host.listen_by(command);
    let mut input = listener.child.stdin.take().unwrap();
    let mut output = listener.child.stdout.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(&random(7)).unwrap());
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        output.read_to_end(&mut all).unwrap();
        all
    });
    let output = host.run(&["pipe", "connect", "chat"], &random(8));
    writer.join().unwrap();
    assert!(output.status.code() == Some(0) && output.stdout == random(7));
    assert!(reader.join().unwrap() == random(8));
    assert_eq!(listener.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_name_that_cannot_be_served_is_refused_before_it_says_that_it_listens() {
    let host = Host::start();
    for (arguments, code) in [
        (&["x", "--instances", "0", "--", "cat"][..], 2),
        (&["x", "--instances", "255", "--", "cat"], 2),
        (&[], 2),
        (&["x", "--", "/nonexistent/program"], 2),
        (&["x", "--", "no-such-program"], 2),
    ] {
        let output = host.run(&[&["pipe", "listen"], arguments].concat(), b"");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_s0"));
    command.args(["--root", "/nonexistent/root", "pipe", "listen", "x", "--", "cat"]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(4) && !text.contains("listening"), "{text}");
}
