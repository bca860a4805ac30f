//! The same within tokio.

use std::time::Duration;

use session0::pipe::asynchronous::{ClientBuilder, Instance, PipeClient, PipeServer, ServerBuilder, Stream};
use session0::pipe::{Code, Impersonation, PipeType, Read, ReadMode, Rest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::code;
use crate::fake_host::{FakeHost, Rules};
use crate::random::message;

fn run(act: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(act);
}

fn serve(host: &FakeHost) -> ServerBuilder {
    PipeServer::builder("echo").socket(&host.path)
}

fn client(host: &FakeHost) -> ClientBuilder {
    PipeClient::builder("echo").socket(&host.path).wait(Duration::from_secs(20))
}

async fn connected(host: &FakeHost, kind: PipeType) -> (PipeServer, Instance, PipeClient) {
    let server = serve(host).kind(kind).create().await.expect("serve");
    let client = client(host).open().await.expect("open");
    let instance = server.accept().await.expect("accept");
    (server, instance, client)
}

/// What may be given to a task that moves between threads.
fn moves<T: Send>(act: T) -> T {
    act
}

#[test]
fn everything_that_waits_may_be_in_a_task_that_moves_between_threads() {
    let host = FakeHost::new();
    run(async {
        let server = moves(serve(&host).kind(PipeType::Message).create()).await.expect("serve");
        moves(client(&host).wait_free()).await.expect("it is free");
        let client = moves(client(&host).open()).await.expect("open");
        let mut instance = moves(server.accept_within(Duration::from_secs(20))).await.expect("accept");
        moves(client.write_with(b"x", &[])).await.expect("write");
        moves(instance.read_whole(&mut [0; 4])).await.expect("read");
        moves(client.flush()).await.expect("flush");
        instance.disconnect().expect("disconnect");
        drop(moves(instance.connect()));
        drop(moves(session0::pipe::asynchronous::call("echo", b"x", Duration::ZERO)));
        drop(moves(session0::pipe::asynchronous::wait("echo", None)));
        let _ = moves(Stream::new(&*client));
    });
}

/// Polls it so often, and then drops it if it is not done.
async fn a_little<T>(act: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut act = std::pin::pin!(act);
    for _ in 0..polls {
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(act.as_mut().poll(context))).await;
        if let std::task::Poll::Ready(done) = polled {
            return Some(done);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[test]
fn a_read_that_is_dropped_at_any_moment_loses_nothing() {
    let host = FakeHost::with(Rules { buffer: Some(1), ..Rules::default() });
    run(async {
        let (_server, instance, client) = connected(&host, PipeType::Message).await;
        let writing = async {
            for number in 0..60 {
                client.write_message(&message(number)).await.expect("write");
            }
        };
        let reading = async {
            for number in 0..60 {
                let mut whole = Vec::new();
                loop {
                    if number % 2 == 0 {
                        if let Some(found) = a_little(instance.read_message(), 1 + number % 3).await {
                            whole.extend(found.expect("read"));
                            break;
                        }
                    } else {
                        let mut buffer = vec![0; 30_000];
                        if let Some(read) = a_little(instance.read(&mut buffer), 1).await {
                            let read = read.expect("read");
                            whole.extend(&buffer[..read.bytes]);
                            if read.rest == Rest::Whole {
                                break;
                            }
                        }
                    }
                    tokio::task::yield_now().await;
                }
                assert!(whole == message(number), "{number}");
            }
        };
        both(writing, reading).await;
    });
}

/// Drives both to their ends.
async fn both(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    let (mut one_done, mut other_done) = (false, false);
    std::future::poll_fn(|context| {
        one_done = one_done || one.as_mut().poll(context).is_ready();
        other_done = other_done || other.as_mut().poll(context).is_ready();
        if one_done && other_done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[test]
fn a_message_whose_write_is_dropped_in_the_middle_breaks_the_pipe_for_both_ends() {
    let host = FakeHost::new();
    run(async {
        let (_server, instance, client) = connected(&host, PipeType::Message).await;
        let large = vec![1; 8_000_000];
        assert!(a_little(client.write_message(&large), 3).await.is_none());
        assert_eq!(code(client.write_message(b"x").await), Code::BrokenPipe);
        assert_eq!(code(instance.read_message().await), Code::BrokenPipe);
    });
}

#[test]
fn a_byte_pipe_is_a_stream_of_tokios() {
    let host = FakeHost::new();
    run(async {
        let (_server, instance, client) = connected(&host, PipeType::Byte).await;
        let all: Vec<u8> = (0..1_000_000usize).map(|at| (at * 13).to_le_bytes()[0]).collect();
        let (sent, mut instance, mut client) = (all.clone(), Stream::new(instance), Stream::new(client));
        let writer = tokio::spawn(async move {
            client.write_all(&sent).await.expect("write");
            client.shutdown().await.expect("nothing");
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("read");
            answer
        });
        let mut found = vec![0; all.len()];
        instance.read_exact(&mut found).await.expect("read");
        assert!(found == all);
        instance.write_all(b"thanks").await.expect("write");
        drop(instance);
        assert_eq!(writer.await.expect("no panic"), "thanks");
    });
}

#[test]
fn it_is_refused_and_late_with_the_same_numbers() {
    let host = FakeHost::new();
    run(async {
        let (server, mut instance, client) = connected(&host, PipeType::Message).await;
        assert_eq!(code(server.try_accept()), Code::PipeListening);
        assert_eq!(code(server.accept_within(Duration::from_millis(2)).await), Code::SemTimeout);
        client.set_timeout(Some(Duration::from_millis(2)));
        assert_eq!(code(client.read(&mut [0; 4]).await), Code::SemTimeout);
        client.write_message(b"hello").await.expect("write");
        assert_eq!(code(client.flush().await), Code::SemTimeout);
        assert_eq!(instance.peek(&mut []).expect("peek").available, 5);
        assert_eq!(instance.read(&mut [0; 2]).await, Ok(Read { bytes: 2, rest: Rest::More }));
        assert_eq!(code(instance.read_whole(&mut [0; 2]).await), Code::MoreData);
        assert_eq!(instance.read_message().await, Ok(b"o".to_vec()));
        client.flush().await.expect("all was read");
        let mut stream = Stream::new(&*client);
        assert!(stream.read_u8().await.is_err(), "messages are no stream");
        assert!(stream.write_u8(1).await.is_err());
        assert_eq!(code(instance.impersonate(|| ())), Code::BadImpersonationLevel);
        instance.set_read_mode(ReadMode::Byte).expect("a message pipe");
        client.write_message(b"bytes").await.expect("write");
        let mut bytes = [0; 5];
        Stream::new(&*instance).read_exact(&mut bytes).await.expect("read");
        assert_eq!(&bytes, b"bytes");
        assert_eq!(code(instance.connect().await), Code::PipeConnected);
        instance.disconnect().expect("disconnect");
        assert_eq!(code(instance.write(b"x").await), Code::PipeNotConnected);
        assert_eq!(code(client.write(b"x").await), Code::NoData);
        assert_eq!(code(client.read_message().await), Code::BrokenPipe);
        drop(server);
        assert_eq!(code(instance.connect().await), Code::OperationAborted);
    });
}

#[test]
fn an_accept_that_is_dropped_loses_no_client() {
    let host = FakeHost::new();
    run(async {
        let server = serve(&host).kind(PipeType::Message).create().await.expect("serve");
        assert!(a_little(server.accept(), 2).await.is_none());
        let asking = async {
            let answer = client(&host).call(b"hello", Duration::from_secs(20)).await;
            assert_eq!(answer, Ok(b"hello".to_vec()));
        };
        let answering = async {
            let instance = loop {
                if let Some(instance) = a_little(server.accept(), 1).await {
                    break instance.expect("accept");
                }
                tokio::task::yield_now().await;
            };
            let request = instance.read_message().await.expect("read");
            instance.write_message(&request).await.expect("write");
            instance.flush().await.expect("flush");
        };
        both(asking, answering).await;
    });
}

#[test]
fn transactions_of_several_tasks_do_not_mix() {
    let host = FakeHost::new();
    run(async {
        let (_server, instance, client) = connected(&host, PipeType::Message).await;
        let client = std::sync::Arc::new(client);
        tokio::spawn(async move {
            while let Ok(request) = instance.read_message().await {
                instance.write_message(&request).await.expect("write");
            }
        });
        let tasks: Vec<_> = (0..4u8)
            .map(|task| {
                let client = std::sync::Arc::clone(&client);
                tokio::spawn(async move {
                    for number in 0..50u8 {
                        let mut reply = [0; 2];
                        let read = client.transact(&[task, number], &mut reply).await.expect("transact");
                        assert_eq!(read.rest, Rest::Whole);
                        assert_eq!(reply, [task, number]);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
}

#[test]
fn a_host_that_is_replaced_is_asked_again_and_one_that_says_nothing_is_late() {
    let host = FakeHost::with(Rules { close: 2, ..Rules::default() });
    run(async {
        let server = serve(&host).create().await.expect("serve");
        host.state().rules.close = 2;
        host.state().rules.too_many = 2;
        let behind = Some((b"x".to_vec(), None));
        host.state().rules.behind = behind;
        let open = client(&host).open().await.expect("open");
        let mut byte = [0];
        assert_eq!(open.read(&mut byte).await.map(|read| read.bytes), Ok(1));
        assert_eq!(&byte, b"x");
        let hidden = client(&host).impersonation(Impersonation::Anonymous).open().await.expect("open");
        drop(server.accept().await.expect("accept"));
        let instance = server.accept().await.expect("accept");
        assert_eq!(instance.client().uid(), 65534);
        hidden.write(b"who?").await.expect("write");
        assert_eq!(instance.read(&mut [0; 9]).await.map(|read| read.bytes), Ok(4));
        client(&host).wait_free().await.expect("it is free");
        host.state().rules.silent = true;
        let short = Duration::from_millis(30);
        assert_eq!(code(client(&host).wait(short).patience(short).open().await), Code::SemTimeout);
        assert_eq!(code(client(&host).wait_default().patience(short).open().await), Code::SemTimeout);
    });
}
