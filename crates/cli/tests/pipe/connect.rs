//! `s0 pipe connect`: what passes, how it ends, and with which exit code.

use std::io::{Read, Write};
use std::process::Stdio;

use session0::pipe::PipeType;

use crate::host::{Host, random};

fn err(output: &std::process::Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_megabyte_of_any_bytes_passes_exactly_both_ways_at_once() {
    let host = Host::start();
    let server = host.server("echo").create().unwrap();
    let serving = std::thread::spawn(move || {
        let instance = server.accept().unwrap();
        std::thread::scope(|scope| {
            // Neither side reads before it writes all: only ways that do not wait for each other come to an end.
            scope.spawn(|| {
                let mut pipe = &*instance;
                pipe.write_all(&random(2)).unwrap();
                rustix::net::shutdown(&instance, rustix::net::Shutdown::Write).unwrap();
            });
            let mut got = Vec::new();
            (&*instance).read_to_end(&mut got).unwrap();
            got
        })
    });
    let output = host.run(&["pipe", "connect", "echo"], &random(1));
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(output.stdout == random(2), "what the server said is not what came");
    assert!(serving.join().unwrap() == random(1), "what was said is not what the server heard");
}

#[test]
fn the_end_of_the_input_is_passed_on_and_the_last_words_still_come() {
    for kind in [PipeType::Byte, PipeType::Message] {
        let host = Host::start();
        let server = host.server("count").kind(kind).create().unwrap();
        let serving = std::thread::spawn(move || {
            let instance = server.accept().unwrap();
            let mut bytes = 0;
            while let Ok(read) = instance.read(&mut [0; 64]) {
                bytes += read.bytes;
            }
            instance.write(format!("{bytes} bytes").as_bytes()).unwrap();
        });
        let output = host.run(&["pipe", "connect", "count"], b"12345");
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        assert!(output.stdout.starts_with(b"5 bytes"), "{kind:?}: {:?}", output.stdout);
        serving.join().unwrap();
    }
}

#[test]
fn a_server_that_has_said_everything_still_hears_what_is_said() {
    let host = Host::start();
    let server = host.server("quiet").create().unwrap();
    let mut command = host.s0(&["pipe", "connect", "quiet"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let instance = server.accept().unwrap();
    instance.write(b"go on").unwrap();
    rustix::net::shutdown(&instance, rustix::net::Shutdown::Write).unwrap();
    let mut heard = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut heard).unwrap();
    child.stdin.take().unwrap().write_all(b"afterwards").unwrap();
    let mut got = Vec::new();
    (&*instance).read_to_end(&mut got).unwrap();
    assert_eq!((&heard, got.as_slice()), (b"go on", &b"afterwards"[..]));
    drop(instance);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn nothing_waits_for_more_before_it_is_passed_on() {
    for kind in [PipeType::Byte, PipeType::Message] {
        let host = Host::start();
        let server = host.server("talk").kind(kind).create().unwrap();
        let mut command = host.s0(&["pipe", "connect", "talk"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let instance = server.accept().unwrap();
        let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        for word in ["one", "two", "three"] {
            to.write_all(format!("{word}\n").as_bytes()).unwrap();
            let end = if kind == PipeType::Byte { "\n" } else { "" };
            let mut heard = vec![0; word.len() + end.len()];
            let length = instance.read(&mut heard).unwrap().bytes;
            assert_eq!(&heard[..length], format!("{word}{end}").as_bytes());
            instance.write(&heard).unwrap();
            let mut back = vec![0; word.len() + 1];
            from.read_exact(&mut back).unwrap();
            assert_eq!(back, format!("{word}\n").as_bytes());
        }
        drop((instance, to));
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

/// Serves one client: gives what it said, and says what is given.
fn messages(host: &Host, answers: &'static [&'static [u8]]) -> std::thread::JoinHandle<Vec<Vec<u8>>> {
    let server = host.server("messages").kind(PipeType::Message).create().unwrap();
    std::thread::spawn(move || {
        let instance = server.accept().unwrap();
        let mut got = Vec::new();
        while let Ok(message) = instance.read_message() {
            got.push(message);
        }
        answers.iter().for_each(|answer| instance.write_message(answer).unwrap());
        got
    })
}

#[test]
fn each_line_is_a_message_and_each_message_a_line() {
    let host = Host::start();
    let serving = messages(&host, &[b"first", b"", b"second"]);
    let output = host.run(&["pipe", "connect", "messages"], b"one\n\n\0\xff\nlast");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(output.stdout, b"first\n\nsecond\n");
    assert_eq!(serving.join().unwrap(), [&b"one"[..], b"", b"\0\xff", b"last"]);
}

#[test]
fn messages_end_as_it_is_said_both_ways() {
    let host = Host::start();
    let serving = messages(&host, &[b"a\nb", b"c"]);
    let output = host.run(&["pipe", "connect", "messages", "--null"], b"one\n\0two\0");
    assert_eq!(output.stdout, b"a\nb\0c\0", "{}", err(&output));
    assert_eq!(serving.join().unwrap(), [&b"one\n"[..], b"two"]);
    let serving = messages(&host, &[b"a", b"b"]);
    let output = host.run(&["pipe", "connect", "messages", "--delimiter", "::"], b"one:two::three");
    assert_eq!(output.stdout, b"a::b::", "{}", err(&output));
    assert_eq!(serving.join().unwrap(), [&b"one:two"[..], b"three"]);
}

#[test]
fn the_whole_input_can_be_one_message_of_any_length() {
    let host = Host::start();
    let serving = messages(&host, &[b"a", b"b\n"]);
    let output = host.run(&["pipe", "connect", "messages", "--whole"], &random(3));
    assert_eq!(output.stdout, b"ab\n", "{}", err(&output));
    assert!(serving.join().unwrap() == [random(3)]);
    let serving = messages(&host, &[]);
    host.run(&["pipe", "connect", "messages", "--whole"], b"");
    assert_eq!(serving.join().unwrap(), [b""], "nothing at all is a message of length zero");
}

#[test]
fn messages_that_come_are_objects_where_json_is_asked_for() {
    let host = Host::start();
    let _serving = messages(&host, &[b"two\nlines", b"\xff\xfe", b""]);
    let output = host.run(&["--json", "pipe", "connect", "messages"], b"");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "{\"message\":\"two\\nlines\"}\n{\"base64\":\"//4=\"}\n{\"message\":\"\"}\n");
}

#[test]
fn a_server_that_goes_without_having_heard_everything_is_a_failure() {
    let host = Host::start();
    let server = host.server("rude").create().unwrap();
    let serving = std::thread::spawn(move || {
        let instance = server.accept().unwrap();
        instance.read(&mut [0; 10]).unwrap().bytes
    });
    let output = host.run(&["pipe", "connect", "rude"], &random(4));
    serving.join().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(err(&output).contains("before it had read everything (109)"), "{}", err(&output));
}

#[test]
fn a_closed_output_ends_it_quietly() {
    let host = Host::start();
    let server = host.server("talkative").create().unwrap();
    let mut command = host.s0(&["pipe", "connect", "talkative"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let instance = server.accept().unwrap();
    drop(child.stdout.take());
    // As `yes` into `head`: it writes until nobody is there.
    while instance.write(&[b'y'; 4096]).is_ok() {}
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn a_client_that_only_writes_ends_when_the_server_has_read_all() {
    let host = Host::start();
    let server = host.server("drop").direction(session0::pipe::Direction::Inbound).create().unwrap();
    let serving = std::thread::spawn(move || {
        let instance = server.accept().unwrap();
        let mut got = Vec::new();
        (&*instance).read_to_end(&mut got).unwrap();
        got
    });
    let output = host.run(&["pipe", "connect", "drop"], &random(5));
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(serving.join().unwrap() == random(5));
}

#[test]
fn a_client_that_only_reads_says_nothing() {
    let host = Host::start();
    let server = host.server("both").create().unwrap();
    let serving = std::thread::spawn(move || {
        let instance = server.accept().unwrap();
        let refused = instance.read(&mut [0; 10]).unwrap_err().code();
        instance.write(b"news").unwrap();
        refused
    });
    let output = host.run(&["pipe", "connect", "both", "--access", "read"], b"not to be sent");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"news"[..]), "{}", err(&output));
    assert_eq!(serving.join().unwrap(), session0::pipe::Code::AccessDenied);
}

#[test]
fn silence_is_given_up_on_after_the_time_that_was_said() {
    let host = Host::start();
    let server = host.server("silent").create().unwrap();
    let serving = std::thread::spawn(move || server.accept().unwrap().read(&mut [0; 10]).is_err());
    let mut command = host.s0(&["pipe", "connect", "silent", "--timeout", "100ms"]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let open_input = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(open_input);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(err(&output).contains("100ms (121)"), "{}", err(&output));
    assert!(serving.join().unwrap());
}

#[test]
fn every_refusal_has_its_exit_code_and_its_number() {
    let host = Host::with(Vec::new(), vec!["secret"]);
    let server = host.server("busy").instances(1).create().unwrap();
    let _client = session0::pipe::PipeClient::builder("busy").socket(host.path("api")).open().unwrap();
    let _instance = server.accept().unwrap();
    for (arguments, code, text) in [
        (&["nobody"][..], 1, "(2)\nhint: `s0 pipe list`"),
        (&["busy"], 1, "(231)\nhint: --wait"),
        (&["busy", "--wait", "1ms"], 1, "(121)"),
        (&["secret"], 3, "(5)\nhint: `s0 pipe show secret`"),
        (&["busy", "--wait", "soon"], 2, "500ms"),
        (&["busy", "--null", "--whole"], 2, "cannot be used with"),
        (&["busy", "--delimiter", ""], 2, "at least one character"),
    ] {
        let output = host.run(&[&["pipe", "connect"], arguments].concat(), b"");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", err(&output));
        assert!(err(&output).contains(text), "{arguments:?}: {}", err(&output));
    }
    let output = host.run(&["--json", "pipe", "connect", "secret"], b"");
    let value: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&value["error"]["kind"], &value["error"]["code"]), (&"not_permitted".into(), &5.into()));
}

#[test]
fn an_instance_that_becomes_free_is_waited_for() {
    let host = Host::start();
    let server = host.server("one").instances(1).create().unwrap();
    let first = session0::pipe::PipeClient::builder("one").socket(host.path("api")).open().unwrap();
    let instance = server.accept().unwrap();
    let mut command = host.s0(&["pipe", "connect", "one", "--wait"]);
    let waiting = command.stdout(Stdio::piped()).spawn().unwrap();
    drop((first, instance));
    server.accept().unwrap().write(b"your turn").unwrap();
    let output = waiting.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"your turn"[..]));
}
