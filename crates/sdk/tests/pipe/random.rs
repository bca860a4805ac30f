//! Both ends under random sizes, buffers, delays and deaths: nothing is lost, doubled or out of order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use session0::pipe::{Code, Pipe, PipeType, ReadMode, Rest};

use crate::fake_host::{FakeHost, Rules, connected};

/// Numbers that look random and are the same in every run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("64 bits") % limit
    }
}

/// The message of this number: its length and every byte follow from it.
pub fn message(number: usize) -> Vec<u8> {
    let mut random = Random(0x9e37_79b9 + number as u64 * 7919);
    let length = [0, 1, 4, 100, 3000, 17_000, 90_000, 300_000][random.below(8)];
    (0..length).map(|at| (at * 31 + number).to_le_bytes()[0]).collect()
}

/// Reads one message in one of the ways there are.
fn read_somehow(pipe: &Pipe, random: &mut Random, ways: usize) -> Result<Vec<u8>, session0::pipe::Error> {
    match random.below(ways) {
        0 => pipe.read_message(),
        1 => {
            let mut whole = Vec::new();
            loop {
                let mut buffer = vec![0; 1 + random.below(100_000)];
                let read = pipe.read(&mut buffer)?;
                whole.extend(&buffer[..read.bytes]);
                if read.rest == Rest::Whole {
                    return Ok(whole);
                }
            }
        }
        _ => {
            // With hardly any time nothing may be lost either. (The time is for the writes at this end, too.)
            pipe.set_timeout(Some(Duration::from_micros(50)));
            let result = loop {
                match pipe.read_message() {
                    Err(error) if error.code() == Code::SemTimeout => {}
                    result => break result,
                }
            };
            pipe.set_timeout(None);
            result
        }
    }
}

#[test]
fn messages_go_both_ways_at_once_under_small_buffers() {
    for (seed, buffer) in [(1, None), (2, Some(1)), (3, Some(40_000))] {
        let host = FakeHost::with(Rules { buffer, ..Rules::default() });
        let (_server, instance, client) = connected(&host, PipeType::Message);
        let pipes: [&Pipe; 2] = [&instance, &client];
        std::thread::scope(|scope| {
            for (side, pipe) in pipes.into_iter().enumerate() {
                scope.spawn(move || {
                    for number in 0..150 {
                        pipe.write_message(&message(number * 2 + side)).expect("write");
                    }
                });
                scope.spawn(move || {
                    let mut random = Random(seed * 100 + side as u64 + 1);
                    for number in 0..150 {
                        let found = read_somehow(pipe, &mut random, 2).expect("read");
                        assert!(found == message(number * 2 + 1 - side), "{number} on side {side}");
                        if random.below(10) == 0 {
                            std::thread::sleep(Duration::from_micros(random.below(300) as u64));
                        }
                    }
                });
            }
        });
    }
}

#[test]
fn an_end_that_dies_at_any_moment_leaves_whole_messages_and_then_the_end() {
    for seed in 1..40 {
        let host = FakeHost::with(Rules { buffer: (seed % 2 == 0).then_some(1), ..Rules::default() });
        let (_server, instance, client) = connected(&host, PipeType::Message);
        let mut random = Random(seed);
        let dying = random.below(40);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0..dying {
                    client.write_message(&message(number)).expect("write");
                }
                // Half a message, as of one who is killed in the middle of it.
                if seed % 3 == 0 {
                    let socket = std::os::fd::AsFd::as_fd(&client);
                    let half = b"\x10\0\0\0half";
                    let _ = rustix::net::send(socket, half, rustix::net::SendFlags::NOSIGNAL);
                }
            });
            let mut found = 0;
            loop {
                match read_somehow(&instance, &mut random, 3) {
                    Ok(read) => assert!(read == message(found), "{found}"),
                    Err(error) => {
                        assert_eq!(error.code(), Code::BrokenPipe);
                        break;
                    }
                }
                found += 1;
            }
            assert_eq!(found, dying);
        });
    }
}

#[test]
fn a_child_that_is_killed_leaves_whole_messages_and_then_the_end() {
    const CHILD: &str = "SESSION0_PIPE_TEST_CHILD";
    if let Ok(path) = std::env::var(CHILD) {
        let client = session0::pipe::PipeClient::builder("echo").socket(path).open().expect("open");
        let mut number = 0;
        while client.write_message(&message(number)).is_ok() {
            number += 1;
        }
        return;
    }
    let test = "random::a_child_that_is_killed_leaves_whole_messages_and_then_the_end";
    let host = FakeHost::new();
    let server = host.server("echo").kind(PipeType::Message).create().expect("serve");
    for kill_after in [0, 1, 5, 23] {
        let mut child = std::process::Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", test])
            .env(CHILD, &host.path)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("start");
        let instance = server.accept().expect("accept");
        for number in 0.. {
            if number == kill_after {
                child.kill().expect("kill");
            }
            match instance.read_message() {
                Ok(read) => assert!(read == message(number), "{number}"),
                Err(error) => {
                    assert_eq!(error.code(), Code::BrokenPipe);
                    assert!(number >= kill_after);
                    break;
                }
            }
        }
        assert_eq!(instance.client().is_alive(), Some(true), "the host here gives its own process");
        child.wait().expect("reap");
    }
}

#[test]
fn servers_and_clients_come_and_go_and_the_counts_stay_true() {
    let host = FakeHost::new();
    let server = host.server("busy").kind(PipeType::Message).instances(5).create().expect("serve");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..3u64 {
            let (server, done) = (&server, &done);
            scope.spawn(move || {
                let mut random = Random(thread + 77);
                while !done.load(Ordering::Acquire) {
                    let Ok(instance) = server.accept_within(Duration::from_millis(20)) else { continue };
                    if random.below(4) > 0
                        && let Ok(request) = instance.read_message()
                    {
                        // The client may be gone already.
                        let _ = instance.write_message(&request);
                    }
                    if random.below(2) == 0 {
                        instance.disconnect().expect("disconnect");
                    }
                }
            });
        }
        let clients: Vec<_> = (0..4u64)
            .map(|thread| {
                let host = &host;
                scope.spawn(move || {
                    let mut random = Random(thread + 99);
                    let mut answers = 0;
                    for number in 0..60 {
                        let client = host.client("busy").open().expect("open");
                        if random.below(3) == 0 || client.write_message(&message(number)).is_err() {
                            continue;
                        }
                        match client.read_message() {
                            Ok(answer) => {
                                assert!(answer == message(number));
                                answers += 1;
                            }
                            Err(error) => assert_eq!(error.code(), Code::BrokenPipe),
                        }
                    }
                    answers
                })
            })
            .collect();
        let answers: usize = clients.into_iter().map(|client| client.join().expect("no panic")).sum();
        assert!(answers > 0);
        done.store(true, Ordering::Release);
    });
    // Clients that came and went while nobody accepted any more are with the server, or on their way to it.
    let settled = || {
        let state = host.state();
        let served = &state.pipes["busy"];
        (served.listening, served.connected) == (4, 0)
    };
    while !settled() {
        let _ = server.accept_within(Duration::from_millis(5));
    }
    assert!(host.state().pipes["busy"].most <= 5);
}

#[test]
fn a_byte_pipe_keeps_every_byte_in_order_whoever_writes_how_much() {
    let host = FakeHost::with(Rules { buffer: Some(1), ..Rules::default() });
    let (_server, instance, client) = connected(&host, PipeType::Byte);
    assert_eq!(instance.read_mode(), ReadMode::Byte);
    let all: Vec<u8> = (0..2_000_000usize).map(|at| (at * 17 + at / 251).to_le_bytes()[0]).collect();
    let all = &all;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut random = Random(5);
            client.set_timeout(Some(Duration::from_micros(80)));
            let mut rest = &all[..];
            while !rest.is_empty() {
                let size = rest.len().min(1 + random.below(60_000));
                match client.write(&rest[..size]) {
                    Ok(count) => rest = &rest[count..],
                    Err(error) => assert_eq!(error.code(), Code::SemTimeout),
                }
            }
        });
        let mut random = Random(6);
        let mut found: Vec<u8> = Vec::new();
        loop {
            let mut buffer = vec![0; 1 + random.below(70_000)];
            match instance.read(&mut buffer) {
                Ok(read) => found.extend(&buffer[..read.bytes]),
                Err(error) => {
                    assert_eq!(error.code(), Code::BrokenPipe);
                    break;
                }
            }
        }
        assert!(found == *all, "{} of {} bytes", found.len(), all.len());
    });
}
