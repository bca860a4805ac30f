//! What can be done with the two ends.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use session0::pipe::{Code, Direction, Peeked, PipeType, Read, ReadMode, Rest};

use crate::code;
use crate::fake_host::{FakeHost, connected};

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

#[test]
fn peeking_shows_what_is_there_and_takes_nothing() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Message);
    let nothing = Peeked { read: 0, available: 0, left_in_message: 0, something: false };
    let mut buffer = [0; 4];
    assert_eq!(instance.peek(&mut buffer), Ok(nothing));
    client.write_message(b"hello").expect("write");
    client.write_message(b"").expect("write");
    for _ in 0..2 {
        let peeked = instance.peek(&mut buffer).expect("peek");
        assert_eq!(peeked, Peeked { read: 4, available: 5, left_in_message: 1, something: true });
        assert_eq!(&buffer, b"hell");
    }
    assert_eq!(instance.read(&mut buffer[..2]), Ok(Read { bytes: 2, rest: Rest::More }));
    let peeked = instance.peek(&mut buffer).expect("peek");
    assert_eq!(peeked, Peeked { read: 3, available: 3, left_in_message: 0, something: true });
    assert_eq!(&buffer[..3], b"llo");
    assert_eq!(instance.read_message(), Ok(b"llo".to_vec()));
    assert_eq!(
        instance.peek(&mut buffer),
        Ok(Peeked { something: true, ..nothing }),
        "a message of length zero"
    );
    assert_eq!(instance.read_message(), Ok(Vec::new()));
    assert_eq!(instance.peek(&mut buffer), Ok(nothing));
    drop(client);
    assert_eq!(code(instance.peek(&mut buffer)), Code::BrokenPipe);
}

#[test]
fn peeking_a_large_message_looks_into_the_kernel() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Message);
    let message: Vec<u8> = (0..60_000u32).map(|number| number.to_le_bytes()[0]).collect();
    client.write_message(&message).expect("write");
    let mut buffer = vec![0; 50_000];
    let peeked = instance.peek(&mut buffer).expect("peek");
    assert_eq!((peeked.read, peeked.available, peeked.left_in_message), (50_000, 60_000, 10_000));
    assert!(buffer == message[..50_000]);
    assert!(instance.read_message().expect("read") == message);
}

#[test]
fn peeking_a_byte_pipe_tells_nothing_from_the_end() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Byte);
    assert!(!instance.peek(&mut [0; 4]).expect("peek").something);
    client.write(b"xyz").expect("write");
    drop(client);
    let peeked = instance.peek(&mut [0; 2]).expect("peek");
    assert_eq!((peeked.read, peeked.available, peeked.something), (2, 3, true));
    assert_eq!(instance.read(&mut [0; 4]).map(|read| read.bytes), Ok(3));
    assert_eq!(code(instance.peek(&mut [0; 2])), Code::BrokenPipe);
}

#[test]
fn peeking_does_not_wait_for_a_thread_that_reads() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Message);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| instance.read_message());
        assert!(!instance.peek(&mut []).expect("peek").something);
        client.write_message(b"for the reader").expect("write");
        assert_eq!(reader.join().expect("no panic"), Ok(b"for the reader".to_vec()));
    });
}

#[test]
fn flushing_returns_when_the_last_byte_was_read_and_not_before() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Message);
    client.flush().expect("nothing was written");
    client.write_message(&[1; 30_000]).expect("write");
    client.set_timeout(Some(Duration::from_millis(5)));
    assert_eq!(code(client.flush()), Code::SemTimeout);
    client.set_timeout(None);
    std::thread::scope(|scope| {
        let flush = scope.spawn(|| client.flush());
        instance.read_message().expect("read");
        flush.join().expect("no panic").expect("flush");
    });
    client.write_message(b"never read").expect("write");
    drop(instance);
    assert_eq!(code(client.flush()), Code::BrokenPipe);
}

#[test]
fn flushing_what_was_read_by_one_who_is_gone_since_is_done() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Byte);
    client.write(b"x").expect("write");
    assert_eq!(instance.read(&mut [0; 4]).map(|read| read.bytes), Ok(1));
    drop(instance);
    client.flush().expect("it was read");
}

#[test]
fn a_transaction_is_one_also_among_many() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Message);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4u8)
            .map(|thread| {
                let client = &client;
                scope.spawn(move || {
                    for number in 0..100u8 {
                        let mut reply = [0; 2];
                        let read = client.transact(&[thread, number], &mut reply).expect("transact");
                        assert_eq!((read, reply), (Read { bytes: 2, rest: Rest::Whole }, [thread, number]));
                    }
                })
            })
            .collect();
        for _ in 0..400 {
            instance.write_message(&instance.read_message().expect("read")).expect("write");
        }
        clients.into_iter().for_each(|client| client.join().expect("no panic"));
    });
    client.write_message(b"a long answer").expect("write");
    instance.write_message(b"a long answer").expect("write");
    assert_eq!(client.transact(b"x", &mut [0; 3]), Ok(Read { bytes: 3, rest: Rest::More }));
    client.set_read_mode(ReadMode::Byte).expect("a message pipe");
    assert_eq!(code(client.transact(b"x", &mut [0; 3])), Code::BadPipe);
}

#[test]
fn disconnecting_wakes_and_ends_everything_here_and_the_client_reads_what_was_sent() {
    let host = FakeHost::new();
    let (server, mut instance, client) = connected(&host, PipeType::Message);
    assert_eq!(code(instance.connect()), Code::PipeConnected);
    instance.write_message(b"last words").expect("write");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| instance.read_message());
        instance.disconnect().expect("disconnect");
        assert_eq!(code(reader.join().expect("no panic")), Code::PipeNotConnected);
    });
    assert_eq!(code(instance.disconnect()), Code::PipeNotConnected);
    assert_eq!(code(instance.write(b"x")), Code::PipeNotConnected);
    assert_eq!(code(instance.flush()), Code::PipeNotConnected);
    assert_eq!(code(instance.peek(&mut [])), Code::PipeNotConnected);
    assert_eq!(client.read_message(), Ok(b"last words".to_vec()));
    assert_eq!(code(client.read_message()), Code::BrokenPipe);
    assert_eq!(code(client.write(b"x")), Code::NoData);
    let other = host.client("echo").open().expect("a new instance listens");
    instance.connect().expect("connect");
    other.write_message(b"hello").expect("write");
    assert_eq!(instance.read_message(), Ok(b"hello".to_vec()));
    drop(other);
    assert_eq!(code(instance.read_message()), Code::BrokenPipe);
    assert_eq!(code(instance.connect()), Code::NoData, "it was not disconnected");
    drop(server);
}

#[test]
fn a_message_pipe_is_a_stream_only_to_who_reads_bytes() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Message);
    for message in ["one ", "", "two"] {
        client.write_message(message.as_bytes()).expect("write");
    }
    assert!(std::io::Write::write(&mut &*client, b"x").is_err());
    assert!(std::io::Read::read(&mut &*instance, &mut [0; 4]).is_err());
    assert_eq!(instance.read(&mut [0; 1]), Ok(Read { bytes: 1, rest: Rest::More }));
    instance.set_read_mode(ReadMode::Byte).expect("a message pipe");
    assert_eq!(code(instance.read_message()), Code::BadPipe);
    drop(client);
    let mut text = String::new();
    (&*instance).read_to_string(&mut text).expect("read");
    assert_eq!(text, "ne two");
}

#[test]
fn a_client_given_away_as_a_socket_takes_what_was_read_ahead_with_it() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Message);
    instance.write_message(b"one").expect("write");
    instance.write_message(b"two").expect("write");
    assert_eq!(client.read_message(), Ok(b"one".to_vec()));
    let (mut socket, rest) = client.into_stream().expect("between messages");
    assert_eq!(rest, b"\x03\0\0\0two");
    socket.write_all(b"\x02\0\0\0ok").expect("write");
    assert_eq!(instance.read_message(), Ok(b"ok".to_vec()));
    let (_server, instance, client) = connected(&host, PipeType::Message);
    instance.write_message(b"one").expect("write");
    assert_eq!(client.read(&mut [0; 1]), Ok(Read { bytes: 1, rest: Rest::More }));
    assert_eq!(code(client.into_stream()), Code::MoreData);
}
