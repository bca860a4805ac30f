//! Clients that do wrong, and what it costs others: nothing.

use std::os::fd::AsFd;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::*;

async fn end(serving: JoinHandle<End>) -> End {
    serving.await.expect("no panic")
}

#[test]
fn a_call_of_64_kib_is_taken_and_one_of_65_is_not() {
    run(async {
        let call = |length: usize| {
            let head = r#"{"method":"org.example.Test.Nothing","ignored":""#;
            let fill = "x".repeat(length - head.len() - 2);
            format!("{head}{fill}\"}}")
        };
        let (mut stream, serving) = served(Limits::default(), &Rc::default());
        say(&mut stream, &call(64 * 1024)).await;
        assert_eq!(hear(&mut stream).await, Some(json!({})));
        let long = call(65 * 1024);
        let writing = tokio::task::spawn_local(async move {
            let _ = stream.write_all(long.as_bytes()).await;
            stream
        });
        assert!(matches!(end(serving).await, End::TooLong));
        writing.await.expect("no panic");
    });
}

#[test]
fn half_a_call_is_cut_off_after_its_time_even_if_it_trickles() {
    run(async {
        let (mut silent, serving) = served(Limits::default(), &Rc::default());
        silent.write_all(b"{\"method\":").await.expect("send");
        let begun = Instant::now();
        assert!(matches!(end(serving).await, End::HalfACall));
        assert_eq!(begun.elapsed().as_secs(), 10);

        let (mut trickling, serving) = served(Limits::default(), &Rc::default());
        let begun = Instant::now();
        tokio::task::spawn_local(async move {
            while trickling.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
        });
        assert!(matches!(end(serving).await, End::HalfACall));
        assert_eq!(begun.elapsed().as_secs(), 10);
    });
}

#[test]
fn who_asks_nothing_is_closed_after_a_while_and_who_waits_for_an_answer_is_not() {
    run(async {
        let (_idle, serving) = served(Limits::default(), &Rc::default());
        let begun = Instant::now();
        assert!(matches!(end(serving).await, End::Idle));
        assert_eq!(begun.elapsed().as_secs(), 300);

        let seen: Rc<Seen> = Rc::default();
        let (mut waiting, _) = served(Limits::default(), &seen);
        say(&mut waiting, r#"{"method":"org.example.Test.Wait"}"#).await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        seen.go_on.notify_one();
        assert_eq!(hear(&mut waiting).await, Some(json!({"parameters": {"number": 1}})));
    });
}

#[test]
fn who_never_reads_is_cut_off() {
    run(async {
        let (mut stream, serving) = served(Limits::default(), &Rc::default());
        say(&mut stream, r#"{"method":"org.example.Test.Long","parameters":{"bytes":4000000}}"#).await;
        let begun = Instant::now();
        assert!(matches!(end(serving).await, End::NeverReads));
        assert_eq!(begun.elapsed().as_secs(), 10);
    });
}

#[test]
fn garbage_ends_the_connection() {
    run(async {
        let garbage = [
            "",
            "hello",
            "[]",
            r#"["org.example.Test.Nothing"]"#,
            "{}",
            "{\"method\":7}",
            "{\"method\":\"a\"",
            "null",
            "{\"method\":\"a\"}x",
        ];
        for text in garbage {
            let (mut stream, serving) = served(Limits::default(), &Rc::default());
            say(&mut stream, text).await;
            assert_eq!(hear(&mut stream).await, None, "{text}");
            assert!(matches!(end(serving).await, End::Garbage(_)), "{text}");
        }
        let deep = format!("{{\"method\":\"org.example.Test.Nothing\",\"parameters\":{}", "[".repeat(60_000));
        let (mut stream, serving) = served(Limits::default(), &Rc::default());
        say(&mut stream, &deep).await;
        assert!(matches!(end(serving).await, End::Garbage(_)));
    });
}

/// Bytes that wait in a socket to be read.
fn unread(stream: &UnixStream) -> u64 {
    rustix::io::ioctl_fionread(stream.as_fd()).expect("ask")
}

#[test]
fn a_flood_of_calls_waits_in_the_socket_while_others_are_answered() {
    run(async {
        let seen: Rc<Seen> = Rc::default();
        let (client, server) = UnixStream::pair().expect("a pair");
        let watched = server.as_fd().try_clone_to_owned().expect("a duplicate");
        let watched = UnixStream::from_std(watched.into()).expect("a stream");
        let service = Service { seen: seen.clone() };
        tokio::task::spawn_local(async move {
            serve_stream(server, identity(1), &Limits::default(), service).await
        });
        let mut flood = client;
        say(&mut flood, r#"{"method":"org.example.Test.Wait"}"#).await;
        until(|| seen.begun.get() == 1).await;
        let note = b"{\"method\":\"org.example.Test.Note\",\"oneway\":true}\0";
        let mut sent = 0;
        while let Ok(count) = flood.try_write(&note.repeat(1000)) {
            sent += count as u64;
        }
        let mut other = client_of(&seen);
        other.call("org.example.Test.Nothing", Value::Null).await.expect("an answer");
        assert!(sent > 100_000, "the socket takes a flood: {sent}");
        assert_eq!(unread(&watched), sent, "the server took none of it while it was at work");
        assert_eq!(seen.noted.get(), 0);
        seen.go_on.notify_one();
        hear(&mut flood).await.expect("an answer");
        // It is worked off in turns with others.
        until(|| seen.noted.get() > 0).await;
        other.call("org.example.Test.Nothing", Value::Null).await.expect("an answer");
        let whole = u32::try_from(sent / note.len() as u64).expect("a count");
        assert!(seen.noted.get() < whole, "the other one was answered in between");
        until(|| seen.noted.get() == whole).await;
    });
}

fn client_of(seen: &Rc<Seen>) -> asynchronous::Client {
    over(served(Limits::default(), seen).0)
}

#[test]
fn a_subscriber_that_leaves_is_noticed_at_once() {
    run(async {
        let seen: Rc<Seen> = Rc::default();
        let (mut stream, serving) = served(Limits::default(), &seen);
        say(&mut stream, r#"{"method":"org.example.Test.Watch","more":true}"#).await;
        let first = json!({"parameters": {"number": 1000}, "continues": true});
        assert_eq!(hear(&mut stream).await, Some(first), "a stream knows who it is for, too");
        // Calls that wait to be read must not hide it.
        say(&mut stream, r#"{"method":"org.example.Test.Nothing"}"#).await;
        let begun = Instant::now();
        drop(stream);
        assert!(matches!(end(serving).await, End::Closed));
        assert_eq!((seen.begun.get(), seen.dropped.get()), (1, 1));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_method_whose_caller_leaves_is_dropped_at_once() {
    run(async {
        let seen: Rc<Seen> = Rc::default();
        let (mut stream, serving) = served(Limits::default(), &seen);
        say(&mut stream, r#"{"method":"org.example.Test.Wait"}"#).await;
        until(|| seen.begun.get() == 1).await;
        let begun = Instant::now();
        drop(stream);
        assert!(matches!(end(serving).await, End::Closed));
        assert_eq!(seen.dropped.get(), 1);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_client_that_closed_only_its_sending_side_gets_its_answer() {
    run(async {
        let seen: Rc<Seen> = Rc::default();
        let (mut stream, _) = served(Limits::default(), &seen);
        say(&mut stream, r#"{"method":"org.example.Test.Wait"}"#).await;
        stream.shutdown().await.expect("shut down");
        until(|| seen.begun.get() == 1).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        seen.go_on.notify_one();
        assert_eq!(hear(&mut stream).await, Some(json!({"parameters": {"number": 1}})));
    });
}

#[test]
fn a_method_that_takes_longer_than_it_may_is_dropped_with_an_error() {
    run(async {
        let seen: Rc<Seen> = Rc::default();
        let limits = Limits { handling_time: Some(Duration::from_secs(5)), ..Limits::default() };
        let mut client = over(served(limits, &seen).0);
        let begun = Instant::now();
        let error = client.call("org.example.Test.Wait", Value::Null).await.expect_err("too long");
        assert_eq!(error.refused().map(|refused| refused.name.as_str()), Some(TIMED_OUT));
        assert_eq!(error.code(), Some(1460));
        assert_eq!((begun.elapsed().as_secs(), seen.dropped.get()), (5, 1));
        client.call("org.example.Test.Nothing", Value::Null).await.expect("the connection goes on");
    });
}
