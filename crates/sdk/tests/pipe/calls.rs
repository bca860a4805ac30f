//! Opening, waiting, calling: what is asked, what is asked again, and what the errors are.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use session0::pipe::{Access, Code, Error, Impersonation, PipeType};

use crate::code;
use crate::fake_host::{FakeHost, Rules, connected};

const SHORT: Duration = Duration::from_millis(30);

#[test]
fn a_host_that_is_replaced_is_asked_again() {
    let host = FakeHost::with(Rules { close: 3, ..Rules::default() });
    let server = host.server("echo").kind(PipeType::Message).create().expect("serve");
    host.state().rules.close = 3;
    let client = host.client("echo").open().expect("open");
    client.write_message(b"hello").expect("write");
    assert_eq!(server.accept().expect("accept").read_message(), Ok(b"hello".to_vec()));
    host.state().rules.close = 3;
    host.client("echo").wait_free().expect("wait");
    assert_eq!(host.state().rules.close, 0);
}

#[test]
fn a_host_that_never_comes_back_is_given_up_when_the_time_is_over() {
    let host = FakeHost::with(Rules { close: u32::MAX, ..Rules::default() });
    let patience = Duration::from_secs(1);
    let error = host.client("echo").wait(SHORT).patience(patience).open().expect_err("nobody");
    // 121 where the time was over while an answer was waited for.
    assert!(matches!(error.code(), Code::NotReady | Code::SemTimeout), "{error}");
    assert!(host.state().calls.len() > 1, "it was asked once only");
}

#[test]
fn one_connection_too_many_is_waited_out_and_said_when_it_stays() {
    let host = FakeHost::with(Rules { too_many: 3, ..Rules::default() });
    let _server = host.server("echo").create().expect("serve");
    host.state().rules.too_many = 3;
    host.client("echo").open().expect("open");
    host.state().rules.too_many = u32::MAX;
    let error =
        host.client("echo").wait(SHORT).patience(Duration::from_secs(1)).open().expect_err("too many");
    assert_eq!((error.code(), error.hint()), (Code::NoSystemResources, Some("ask it")));
}

#[test]
fn a_host_that_says_nothing_is_late() {
    let host = FakeHost::with(Rules { silent: true, ..Rules::default() });
    assert_eq!(code(host.client("echo").wait(Duration::ZERO).patience(SHORT).open()), Code::SemTimeout);
    assert_eq!(code(host.client("echo").wait(SHORT).patience(SHORT).wait_free()), Code::SemTimeout);
    assert_eq!(code(host.client("echo").wait_default().patience(SHORT).open()), Code::SemTimeout);
    assert_eq!(code(host.server("echo").patience(SHORT).create()), Code::SemTimeout);
}

#[test]
fn no_host_at_all_is_said_with_what_helps() {
    let builder = session0::pipe::PipeClient::builder("echo").socket(Path::new("/nonexistent/api"));
    let error = builder.open().expect_err("nobody");
    assert_eq!(error.code(), Code::NotReady);
    assert!(error.hint().is_some_and(|hint| hint.contains("s0 up")));
}

#[test]
fn what_the_host_refuses_keeps_its_number_words_and_hint() {
    let refusals = [
        ("NoSuchPipe", 2, Code::FileNotFound, ErrorKind::NotFound),
        ("AccessDenied", 5, Code::AccessDenied, ErrorKind::PermissionDenied),
        ("NotReady", 21, Code::NotReady, ErrorKind::Other),
        ("InvalidParameter", 87, Code::InvalidParameter, ErrorKind::InvalidInput),
        ("TimedOut", 121, Code::SemTimeout, ErrorKind::TimedOut),
        ("InvalidName", 123, Code::InvalidName, ErrorKind::InvalidInput),
        ("BadPipe", 230, Code::BadPipe, ErrorKind::Unsupported),
        ("Busy", 231, Code::PipeBusy, ErrorKind::ResourceBusy),
        ("ServiceFailed", 1053, Code::Other(1053), ErrorKind::Other),
        ("ShutdownInProgress", 1115, Code::ShutdownInProgress, ErrorKind::Other),
        ("InternalError", 1359, Code::InternalError, ErrorKind::Other),
        ("TooMany", 1450, Code::NoSystemResources, ErrorKind::Other),
    ];
    let host = FakeHost::new();
    for (name, number, code, kind) in refusals {
        host.state().rules.refuse = Some((name, number));
        let client = host.client("echo").open().map(drop).expect_err(name);
        let server = host.server("echo").create().map(drop).expect_err(name);
        for error in [client, server] {
            assert_eq!((error.code(), error.code().number()), (code, number));
            assert_eq!(error.message(), format!("the host says {name}"));
            assert_eq!(error.hint(), Some("ask it"));
            assert_eq!(std::io::Error::from(error).kind(), kind, "{name}");
        }
    }
}

#[test]
fn names_and_numbers_of_codes_are_windows_own() {
    assert_eq!(
        (Code::BadImpersonationLevel.number(), Code::BadImpersonationLevel.name()),
        (1346, "BAD_IMPERSONATION_LEVEL")
    );
    assert_eq!((Code::Other(7).number(), Code::Other(7).name()), (7, "OTHER"));
    for number in 0..2000 {
        assert_eq!(Code::from(number).number(), number);
    }
}

#[test]
fn a_refusal_of_a_pipe_has_its_type() {
    let host = FakeHost::with(Rules { refuse: Some(("Busy", 231)), ..Rules::default() });
    let error = session0::Client::connect(&host.path).expect("connect").pipe("echo").expect_err("refused");
    let typed = error.refused().and_then(session0::Refused::pipe_error);
    assert!(matches!(typed, Some(session0::api::pipe::Error::Busy(_))), "{typed:?}");
    assert_eq!(Error::from(error).code(), Code::PipeBusy);
}

#[test]
fn what_is_asked_for_is_what_the_host_hears() {
    let host = FakeHost::new();
    let _server = host.server("echo").create().expect("serve");
    host.until("echo", |served| served.listening == 4);
    let level = Impersonation::Impersonation;
    let wait = Duration::from_secs(40);
    host.client("echo").access(Access::Read).impersonation(level).wait(wait).open().expect("open");
    host.client("echo").wait(Duration::ZERO).open().expect("open");
    host.client("echo").wait_default().open().expect("open");
    host.client("echo").wait_for_ever().open().expect("open");
    let calls = host.state().calls.clone();
    let opens: Vec<_> = calls.iter().filter(|call| call["method"] == "io.session0.Pipe.Open").collect();
    assert_eq!(opens[0]["parameters"]["access"], "read");
    assert_eq!(opens[0]["parameters"]["impersonation"], "impersonation");
    assert_eq!(opens[0]["upgrade"], true);
    let asked = opens[0]["parameters"]["wait_ms"].as_u64().expect("a time");
    assert!((30_000..=40_000).contains(&asked), "{asked}");
    assert_eq!(opens[1]["parameters"], serde_json::json!({ "pipe": "echo" }));
    assert_eq!(opens[2]["parameters"]["wait_ms"], 0);
    assert_eq!(opens[3]["parameters"]["wait_ms"], u32::MAX);
}

#[test]
fn what_comes_right_behind_the_answer_is_the_pipes() {
    let host = FakeHost::new();
    let server = host.server("echo").kind(PipeType::Message).create().expect("serve");
    let behind = b"\x05\0\0\0hello\0\0\0\0\x04\0\0\0lo".to_vec();
    host.state().rules.behind = Some((behind, None));
    let client = host.client("echo").open().expect("open");
    let instance = server.accept().expect("accept");
    assert_eq!(client.read_message(), Ok(b"hello".to_vec()));
    assert_eq!(client.read_message(), Ok(Vec::new()));
    assert!(client.peek(&mut []).expect("peek").available == 2);
    // The rest of the message, as from the server's own socket.
    let socket = std::os::fd::AsFd::as_fd(&instance);
    rustix::net::send(socket, b"ng\x01\0\0\0!", rustix::net::SendFlags::empty()).expect("send");
    assert_eq!(client.read_message(), Ok(b"long".to_vec()));
    assert_eq!(client.read_message(), Ok(b"!".to_vec()));
}

#[test]
fn a_call_opens_asks_and_closes() {
    let host = FakeHost::new();
    let server = host.server("echo").kind(PipeType::Message).create().expect("serve");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let instance = server.accept().expect("accept");
            let request = instance.read_message().expect("read");
            instance.write_message(&[&request[..], b"!"].concat()).expect("write");
            assert_eq!(code(instance.read_message()), Code::BrokenPipe);
        });
        let answer = host.client("echo").call(b"hello", Duration::from_secs(20));
        assert_eq!(answer, Ok(b"hello!".to_vec()));
    });
    assert_eq!(code(host.client("echo").call(b"hello", SHORT)), Code::SemTimeout);
    assert_eq!(code(host.client("nobody").call(b"hello", SHORT)), Code::FileNotFound);
    let (_server, _instance, _client) = connected(&host, PipeType::Byte);
    assert_eq!(code(host.client("echo").call(b"hello", Duration::from_secs(20))), Code::BadPipe);
}

#[test]
fn waiting_returns_when_an_instance_is_free() {
    let host = FakeHost::new();
    assert_eq!(code(host.client("echo").wait_free()), Code::FileNotFound);
    let server = host.server("echo").instances(1).create().expect("serve");
    host.client("echo").wait_free().expect("it is free");
    let client = host.client("echo").open().expect("open");
    assert_eq!(code(host.client("echo").wait(SHORT).wait_free()), Code::SemTimeout);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| host.client("echo").wait_free());
        drop((server.accept().expect("accept"), client));
        waiting.join().expect("no panic").expect("it is free");
    });
}
