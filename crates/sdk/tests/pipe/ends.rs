//! What can be done with the two ends.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use session0::pipe::{Code, Direction, PipeType, Read, ReadMode, Rest};

use crate::fake_host::{FakeHost, connected};

fn code<T: std::fmt::Debug>(result: Result<T, session0::pipe::Error>) -> Code {
    result.expect_err("an error").code()
}

#[test]
fn messages_keep_their_boundaries_at_any_size_none_included() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Message);
    let sizes = [0, 1, 3, 4, 4091, 4092, 4096, 16379, 16380, 16384, 65536, 0, 0, 3_000_000, 5];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (number, size) in sizes.iter().enumerate() {
                client.write_message(&vec![number as u8; *size]).expect("write");
            }
        });
        for (number, size) in sizes.iter().enumerate() {
            let message = instance.read_message().expect("read");
            assert_eq!(message.len(), *size);
            assert!(message.iter().all(|byte| *byte == number as u8));
        }
    });
}

#[test]
fn a_message_that_does_not_fit_is_given_in_parts_and_says_so() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Message);
    client.write_message(b"hello world").expect("write");
    client.write_message(b"").expect("write");
    client.write_message(b"next").expect("write");
    let mut buffer = [0; 5];
    let error = instance.read_whole(&mut buffer).expect_err("too small");
    assert_eq!((error.code(), error.bytes_read(), &buffer), (Code::MoreData, Some(5), b"hello"));
    assert_eq!(instance.read(&mut buffer), Ok(Read { bytes: 5, rest: Rest::More }));
    assert_eq!(&buffer, b" worl");
    assert_eq!(instance.read(&mut buffer), Ok(Read { bytes: 1, rest: Rest::Whole }));
    assert_eq!(instance.read(&mut buffer), Ok(Read { bytes: 0, rest: Rest::Whole }));
    instance.set_message_max(3);
    assert_eq!(code(instance.read_message()), Code::MoreData);
    assert_eq!(instance.read(&mut buffer[..1]), Ok(Read { bytes: 1, rest: Rest::More }));
    assert_eq!(instance.read_message(), Ok(b"ext".to_vec()));
}

#[test]
fn a_byte_pipe_is_a_stream_and_what_was_sent_is_read_after_its_end() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Byte);
    (&*client).write_all(b"all of it").expect("write");
    drop(client);
    let mut text = String::new();
    (&*instance).read_to_string(&mut text).expect("read");
    assert_eq!(text, "all of it");
    assert_eq!(code(instance.read(&mut [0; 4])), Code::BrokenPipe);
    assert_eq!(code(instance.write(b"x")), Code::NoData);
}

#[test]
fn calls_that_do_not_go_with_the_pipe_are_refused_by_number() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Byte);
    assert_eq!(code(instance.set_read_mode(ReadMode::Message)), Code::InvalidParameter);
    assert_eq!(code(instance.read_message()), Code::BadPipe);
    assert_eq!(code(client.write_message(b"x")), Code::BadPipe);
    assert_eq!(code(client.transact(b"x", &mut [0; 4])), Code::BadPipe);
    let server = host.server("in").direction(Direction::Inbound).create().expect("serve");
    let client = host.client("in").open().expect("open");
    let instance = server.accept().expect("accept");
    assert_eq!(code(client.read(&mut [0; 4])), Code::AccessDenied);
    assert_eq!(code(instance.write(b"x")), Code::AccessDenied);
    assert_eq!(client.write(b"x"), Ok(1));
}

#[test]
fn a_time_that_is_over_is_an_error_and_nothing_is_lost() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Message);
    instance.set_timeout(Some(Duration::from_millis(1)));
    assert_eq!(code(instance.read(&mut [0; 4])), Code::SemTimeout);
    client.write_message(b"late").expect("write");
    instance.set_timeout(None);
    assert_eq!(instance.read_message(), Ok(b"late".to_vec()));
}

#[test]
fn a_message_written_in_part_breaks_the_pipe_for_both_ends() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Message);
    client.set_timeout(Some(Duration::from_millis(1)));
    assert_eq!(code(client.write_message(&vec![1; 8_000_000])), Code::SemTimeout);
    assert_eq!(code(client.write_message(b"x")), Code::BrokenPipe);
    assert_eq!(code(client.read_message()), Code::BrokenPipe);
    assert_eq!(code(instance.read_message()), Code::BrokenPipe);
}
