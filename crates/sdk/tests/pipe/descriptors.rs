//! Descriptors that come: wanted, and unasked.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use session0::pipe::{Code, PipeType};

use crate::code;
use crate::fake_host::{FakeHost, connected};

/// A descriptor, and what says when nobody has it any more.
fn watched() -> (OwnedFd, impl FnOnce()) {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let closed = move || assert_eq!(reader.read(&mut [0]).expect("the end"), 0);
    (writer.into(), closed)
}

#[test]
fn descriptors_that_nobody_wants_are_closed_and_the_bytes_stay() {
    let host = FakeHost::new();
    for kind in [PipeType::Byte, PipeType::Message] {
        let (_server, instance, client) = connected(&host, kind);
        let (sent, closed) = watched();
        client.write_with(b"look", &[sent.as_fd()]).expect("write");
        drop(sent);
        let mut buffer = [0; 9];
        assert_eq!(instance.read(&mut buffer).map(|read| read.bytes), Ok(4));
        closed();
        assert!(instance.take_descriptors().is_empty());
    }
}

#[test]
fn descriptors_come_with_their_message_and_close_on_exec() {
    let host = FakeHost::new();
    let server = host.server("fds").kind(PipeType::Message).descriptors(true).create().expect("serve");
    let client = host.client("fds").open().expect("open");
    let instance = server.accept().expect("accept");
    let null = std::fs::File::open("/dev/null").expect("open");
    client.write(b"none").expect("write");
    client.write_with(b"two", &[null.as_fd(), null.as_fd()]).expect("write");
    client.write_with(b"", &[null.as_fd()]).expect("write");
    client.write_with(&[7; 50_000], &[null.as_fd()]).expect("write");
    for (length, count) in [(4, 0), (3, 2), (0, 1), (50_000, 1)] {
        assert_eq!(instance.read_message().expect("read").len(), length);
        let taken = instance.take_descriptors();
        assert_eq!(taken.len(), count, "with {length} bytes");
        for descriptor in taken {
            let flags = rustix::io::fcntl_getfd(&descriptor).expect("flags");
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }
}

#[test]
fn descriptors_right_behind_the_answer_are_the_clients_only_if_it_wants_them() {
    let host = FakeHost::new();
    let _server = host.server("echo").create().expect("serve");
    for wanted in [true, false] {
        let (sent, closed) = watched();
        host.state().rules.behind = Some((b"x".to_vec(), Some(sent)));
        let client = host.client("echo").descriptors(wanted).open().expect("open");
        assert!(client.take_descriptors().is_empty(), "before its byte was read");
        assert_eq!(client.read(&mut [0; 9]).map(|read| read.bytes), Ok(1));
        assert_eq!(client.take_descriptors().len(), usize::from(wanted));
        closed();
    }
}

#[test]
fn descriptors_with_the_answer_itself_are_closed() {
    let host = FakeHost::new();
    let _server = host.server("echo").create().expect("serve");
    let (sent, closed) = watched();
    host.state().rules.behind = Some((Vec::new(), Some(sent)));
    let client = host.client("echo").descriptors(true).open().expect("open");
    closed();
    drop(client);
}

#[test]
fn descriptors_that_the_host_sends_unasked_are_closed() {
    let host = FakeHost::new();
    let server = host.server("echo").create().expect("serve");
    let (sent, closed) = watched();
    host.say_raw("echo", b"{\"recount\":{}}\0", &[sent.as_fd()]);
    drop(sent);
    closed();
    let client = host.client("echo").open().expect("open");
    let instance = server.accept().expect("a client keeps its own descriptors");
    client.write(b"hello").expect("write");
    assert_eq!(instance.read(&mut [0; 9]).map(|read| read.bytes), Ok(5));
}

#[test]
fn descriptors_go_with_bytes_and_not_with_too_many_others() {
    let host = FakeHost::new();
    let (_server, _instance, client) = connected(&host, PipeType::Byte);
    let null = std::fs::File::open("/dev/null").expect("open");
    assert_eq!(code(client.write_with(b"", &[null.as_fd()])), Code::InvalidParameter);
    assert_eq!(code(client.write_with(b"x", &[null.as_fd(); 254])), Code::InvalidParameter);
}
