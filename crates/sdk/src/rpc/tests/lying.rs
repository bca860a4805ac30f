//! Services that lie to their clients.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::Error;

const METHOD: &str = "org.example.Liar.Tell";

/// A client, and the end of whoever answers it.
fn liar() -> (asynchronous::Client, UnixStream) {
    let (client, server) = UnixStream::pair().expect("a pair");
    let mut client = over(client);
    client.set_time_max(Some(Duration::from_secs(30)));
    (client, server)
}

/// What comes of a call that is answered like this, and of the next one.
async fn answered(text: &str) -> (Error, Error) {
    let (mut client, mut server) = liar();
    let text = text.to_owned();
    let answering = tokio::task::spawn_local(async move {
        hear(&mut server).await.expect("a call");
        say(&mut server, &text).await;
        server
    });
    let first = client.call(METHOD, Value::Null).await.expect_err("not an answer");
    let _server = answering.await.expect("no panic");
    (first, client.call(METHOD, Value::Null).await.expect_err("spoilt"))
}

#[test]
fn what_is_no_answer_is_said_to_be_so_and_spoils_the_connection() {
    run(async {
        let lies = [
            "",
            "yes",
            "[]",
            r#"{"parameters":7}"#,
            r#"{"parameters":{},"continues":"maybe"}"#,
            r#"{"parameters":{},"continues":true}"#,
            r#"{"error":7}"#,
            r#"{"error":""}"#,
            r#"{"error":"a b\u001b[2J"}"#,
            r#"{"error":"org.example.Liar.No","continues":true}"#,
            "{\"parameters\":{\"a\":\"\u{1}\"}}",
        ];
        for lie in lies {
            let (first, next) = answered(lie).await;
            assert!(matches!(&first, Error::Protocol { what } if what.contains(METHOD)), "{lie}: {first:?}");
            assert!(first.to_string().chars().all(|one| !one.is_control()), "{lie}: {first}");
            assert!(next.to_string().contains("broke the connection"), "{lie}: {next}");
        }
    });
}

#[test]
fn an_answer_without_end_is_cut_off_at_the_longest_that_is_taken() {
    run(async {
        let (mut client, mut server) = liar();
        client.set_answer_max(100_000);
        let writing = tokio::task::spawn_local(async move {
            hear(&mut server).await.expect("a call");
            let mut written = 0_u64;
            server.write_all(b"{\"parameters\":{\"a\":\"").await.expect("begin");
            loop {
                match tokio::time::timeout(Duration::from_secs(1), server.write(&[b'x'; 4096])).await {
                    Ok(Ok(count)) => written += count as u64,
                    _ => return written,
                }
            }
        });
        let error = client.call(METHOD, Value::Null).await.expect_err("too long");
        assert!(error.to_string().contains("too long"), "{error}");
        assert!(writing.await.expect("no panic") < 2_000_000, "nobody reads on");
    });
}

#[test]
fn an_answer_that_does_not_come_is_late() {
    run(async {
        let (mut client, _server) = liar();
        let begun = Instant::now();
        let error = client.call(METHOD, Value::Null).await.expect_err("no answer");
        assert!(error.to_string().contains("did not answer org.example.Liar.Tell in time"), "{error}");
        assert_eq!(begun.elapsed().as_secs(), 30);
    });
}

#[test]
fn an_answer_that_trickles_does_not_outlast_the_time() {
    run(async {
        let (mut client, mut server) = liar();
        let begun = Instant::now();
        tokio::task::spawn_local(async move {
            hear(&mut server).await.expect("a call");
            while server.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(7)).await;
            }
        });
        let error = client.call(METHOD, Value::Null).await.expect_err("no answer");
        assert!(error.to_string().contains("in time"), "{error}");
        assert_eq!(begun.elapsed().as_secs(), 30);
        let error = client.call(METHOD, Value::Null).await.expect_err("spoilt");
        assert!(error.to_string().contains("broke the connection"), "{error}");
    });
}

#[test]
fn a_call_that_is_not_taken_is_late_too() {
    run(async {
        let (mut client, _server) = liar();
        let begun = Instant::now();
        let error = client.call(METHOD, json!({"a": "x".repeat(4_000_000)})).await.expect_err("not taken");
        assert!(error.to_string().contains("in time"), "{error}");
        assert_eq!(begun.elapsed().as_secs(), 30);
    });
}

#[test]
fn a_second_answer_is_not_taken_for_that_of_the_next_call() {
    run(async {
        let (mut client, mut server) = liar();
        let answering = tokio::task::spawn_local(async move {
            hear(&mut server).await.expect("a call");
            say(&mut server, r#"{"parameters":{"answer":1}}"#).await;
            say(&mut server, r#"{"parameters":{"answer":2}}"#).await;
            server
        });
        assert_eq!(client.call(METHOD, Value::Null).await, Ok(json!({"answer": 1})));
        let _server = answering.await.expect("no panic");
        let error = client.call(METHOD, Value::Null).await.expect_err("something is there");
        assert!(error.to_string().contains("sent what nobody asked for"), "{error}");
    });
}

#[test]
fn answers_that_continue_for_ever_come_one_by_one_and_leaving_them_spoils_the_connection() {
    run(async {
        let (mut client, mut server) = liar();
        tokio::task::spawn_local(async move {
            hear(&mut server).await.expect("a call");
            while server.write_all(b"{\"parameters\":{},\"continues\":true}\0").await.is_ok() {}
        });
        let mut answers = client.call_more(METHOD, Value::Null).await.expect("a call");
        for _ in 0..10_000 {
            assert_eq!(answers.next().await, Some(Ok(json!({}))));
        }
        let error = client.call(METHOD, Value::Null).await.expect_err("answers are due");
        assert!(error.to_string().contains("not all taken"), "{error}");
    });
}

#[test]
fn each_of_many_answers_has_its_own_time_and_an_error_is_the_last() {
    run(async {
        let (mut client, mut server) = liar();
        tokio::task::spawn_local(async move {
            hear(&mut server).await.expect("a call");
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                say(&mut server, r#"{"parameters":{},"continues":true}"#).await;
            }
            hear(&mut server).await
        });
        let begun = Instant::now();
        let mut answers = client.call_more(METHOD, Value::Null).await.expect("a call");
        for _ in 0..3 {
            assert_eq!(answers.next().await, Some(Ok(json!({}))));
        }
        let error = answers.next().await.expect("an item").expect_err("late");
        assert!(error.to_string().contains("in time"), "{error}");
        assert_eq!(begun.elapsed().as_secs(), 90);
        assert_eq!(answers.next().await, None);
    });
}

#[test]
fn a_service_that_is_gone_is_said_to_be_so() {
    run(async {
        let (mut client, server) = liar();
        drop(server);
        let error = client.call(METHOD, Value::Null).await.expect_err("gone");
        assert!(error.to_string().contains("closed the connection"), "{error}");
    });
}

#[test]
fn a_call_without_a_time_of_its_own_is_given_up_and_one_of_many_answers_is_not() {
    run(async {
        let (client, server) = UnixStream::pair().expect("a pair");
        let mut client = over(client);
        let began = Instant::now();
        let error = client.call(METHOD, Value::Null).await.expect_err("no answer");
        assert!(error.to_string().contains("in time"), "{error}");
        assert!(began.elapsed() >= CALL_TIME);
        drop(server);

        let (client, mut server) = UnixStream::pair().expect("a pair");
        let mut client = over(client);
        let answering = tokio::task::spawn_local(async move {
            hear(&mut server).await.expect("a call");
            tokio::time::sleep(100 * CALL_TIME).await;
            say(&mut server, r#"{"parameters":{"late":true}}"#).await;
        });
        let mut answers = client.call_more(METHOD, Value::Null).await.expect("asked");
        assert_eq!(answers.next().await.expect("an answer").expect("good")["late"], true);
        answering.await.expect("no panic");
    });
}

#[test]
fn the_blocking_client_gives_up_in_time_too() {
    let (client, server) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let mut client = Client::over(client);
    client.set_time_max(Some(Duration::from_millis(20)));
    let error = client.call(METHOD, Value::Null).expect_err("no answer");
    assert!(error.to_string().contains("in time"), "{error}");
    drop(server);

    let (client, server) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let mut client = Client::over(client);
    client.set_time_max(Some(Duration::from_millis(20)));
    let error = client.call(METHOD, json!({"a": "x".repeat(4_000_000)})).expect_err("not taken");
    assert!(error.to_string().contains("in time"), "{error}");
    drop(server);
}

#[test]
fn parameters_that_are_no_object_are_not_sent() {
    run(async {
        let (mut client, server) = liar();
        for parameters in [json!(1), json!([1]), json!("a")] {
            let error = client.call(METHOD, parameters).await.expect_err("no object");
            assert!(error.to_string().contains("must be a JSON object"), "{error}");
        }
        let nothing = server.try_read(&mut [0; 8]).expect_err("nothing");
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    });
}

#[test]
fn a_socket_that_is_not_there_is_said_to_be_so() {
    let path = std::env::temp_dir().join(format!("session0-rpc-absent-{}", std::process::id()));
    let error = Client::connect(&path).expect_err("absent");
    assert!(error.to_string().ends_with("there is no such socket"), "{error}");
    let error = run(async { asynchronous::Client::connect(&path).await }).expect_err("absent");
    assert!(error.to_string().ends_with("there is no such socket"), "{error}");
}

#[test]
fn a_service_at_an_ordinary_socket_is_connected_to() {
    let path = std::env::temp_dir().join(format!("session0-rpc-there-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("bind");
    let mut first = Client::connect(&path).expect("connect");
    let second = run(async { asynchronous::Client::connect(&path).await.map(drop) });
    std::fs::remove_file(&path).expect("remove");
    assert_eq!(second, Ok(()));
    drop(listener);
    let gone = first.call(METHOD, Value::Null).expect_err("nobody took it");
    assert!(gone.to_string().starts_with(&format!("no answer from {}", path.display())), "{gone}");
}
