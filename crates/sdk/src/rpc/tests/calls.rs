//! Calls as they should be, and mistakes that have a name.

use std::io::Read;
use std::os::fd::AsFd;

use serde_json::json;

use super::*;
use crate::Error;

fn refused(result: Result<Value, Error>) -> (String, Value) {
    let error = result.expect_err("refused");
    let refused = error.refused().unwrap_or_else(|| panic!("no refusal: {error:?}"));
    (refused.name.clone(), refused.parameters.clone())
}

#[test]
fn a_method_is_told_who_calls_it_on_each_connection() {
    run(async {
        let uids = [1000, 1001, 0];
        let mut clients = Vec::new();
        for uid in uids {
            let (client, server) = UnixStream::pair().expect("a pair");
            let service = Service { seen: Rc::default() };
            tokio::task::spawn_local(async move {
                serve_stream(server, identity(uid), &Limits::default(), service).await
            });
            clients.push(over(client));
        }
        for (client, uid) in clients.iter_mut().zip(uids) {
            let who: Who = client.call_typed("org.example.Test.Who", &Value::Null).await.expect("an answer");
            assert_eq!((who.uid, who.pid), (uid, 7));
        }
    });
}

#[test]
fn a_service_is_made_for_each_client_with_its_identity() {
    run(async {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let made = Rc::new(std::cell::RefCell::new(Vec::new()));
        let serving = {
            let made = made.clone();
            tokio::task::spawn_local(serve_accepted(
                Limits::default(),
                async move || receiver.recv().await.ok_or("no more"),
                move |client| {
                    made.borrow_mut().push(client.uid());
                    Service { seen: Rc::default() }
                },
            ))
        };
        for uid in [5, 6] {
            let (client, server) = UnixStream::pair().expect("a pair");
            sender.send((server, identity(uid))).expect("it accepts");
            let who: Who =
                over(client).call_typed("org.example.Test.Who", &Value::Null).await.expect("an answer");
            assert_eq!(who.uid, uid);
        }
        assert_eq!(*made.borrow(), [5, 6]);
        drop(sender);
        assert_eq!(serving.await.expect("no panic"), "no more");
    });
}

#[test]
fn a_client_that_waits_keeps_no_other_from_being_answered() {
    run(async {
        let seen: Rc<Seen> = Rc::default();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let service_seen = seen.clone();
        tokio::task::spawn_local(serve_accepted(
            Limits::default(),
            async move || receiver.recv().await.ok_or(()),
            move |_| Service { seen: service_seen.clone() },
        ));
        let connect = || {
            let (client, server) = UnixStream::pair().expect("a pair");
            sender.send((server, identity(1))).expect("it accepts");
            client
        };
        let mut stuck = connect();
        say(&mut stuck, r#"{"method":"org.example.Test.Wait"}"#).await;
        until(|| seen.begun.get() == 1).await;
        let answer = over(connect()).call("org.example.Test.Add", json!({"first": 2, "second": 3})).await;
        assert_eq!(answer, Ok(json!({"number": 5})));
        assert_eq!(seen.dropped.get(), 0, "the first one still waits");
        seen.go_on.notify_one();
        assert_eq!(hear(&mut stuck).await, Some(json!({"parameters": {"number": 1}})));
    });
}

#[test]
fn further_clients_wait_while_as_many_as_may_be_are_served() {
    run(async {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        tokio::task::spawn_local(serve_accepted(
            Limits { connections: 1, ..Limits::default() },
            async move || receiver.recv().await.ok_or(()),
            |_| Service { seen: Rc::default() },
        ));
        let connect = || {
            let (client, server) = UnixStream::pair().expect("a pair");
            sender.send((server, identity(1))).expect("it accepts");
            over(client)
        };
        let mut first = connect();
        first.call("org.example.Test.Nothing", Value::Null).await.expect("an answer");
        let mut second = connect();
        second.set_time_max(Some(Duration::from_secs(1)));
        let late = second.call("org.example.Test.Nothing", Value::Null).await.expect_err("it waits");
        assert!(late.to_string().contains("in time"), "{late}");
        drop((first, second));
        let mut third = connect();
        third.call("org.example.Test.Nothing", Value::Null).await.expect("an answer");
    });
}

#[test]
fn a_service_says_what_it_is() {
    run(async {
        let mut client = client();
        let info = client.info().await.expect("info");
        assert_eq!((info.vendor.as_str(), info.product.as_str()), ("us", "test"));
        assert_eq!(info.interfaces, ["org.example.Test", "org.varlink.service"]);
        let description = client.describe("org.example.Test").await.expect("a description");
        assert!(
            description.contains("method Add(first: int, second: int) -> (number: int)"),
            "{description}"
        );
        assert!(!description.contains("connection"), "who calls is no parameter: {description}");
        let missing = client.describe("org.example.Absent").await.expect_err("there is none");
        assert_eq!(missing.refused().map(|refused| refused.short_name()), Some("InterfaceNotFound"));
    });
}

#[test]
fn an_error_comes_with_its_name_its_words_and_all_its_parameters() {
    run(async {
        let mut client = client();
        let error =
            client.call("org.example.Test.Fail", json!({"empty": false})).await.expect_err("an error");
        assert!(matches!(error, Error::NotPermitted(_)), "{error:?}");
        assert_eq!(error.code(), Some(5));
        assert_eq!(error.hint(), Some("come back tomorrow"));
        assert_eq!(error.to_string(), "not today\u{fffd}[2J", "for a terminal");
        let (name, parameters) = refused(client.call("org.example.Test.Fail", json!({"empty": true})).await);
        assert_eq!((name.as_str(), parameters), ("org.example.Test.Empty", json!({})));
    });
}

#[test]
fn mistakes_are_named_and_the_connection_goes_on() {
    run(async {
        let mut client = client();
        let mut wrong =
            async |method: &str, parameters: Value| refused(client.call(method, parameters).await);
        let named = |name: &str, field: &str, value: &str| {
            (format!("org.varlink.service.{name}"), json!({field: value}))
        };
        let invalid = |value: &str| named("InvalidParameter", "parameter", value);
        assert_eq!(
            wrong("org.example.Test.Subtract", json!({})).await,
            named("MethodNotFound", "method", "org.example.Test.Subtract")
        );
        assert_eq!(
            wrong("org.example.Absent.Add", json!({})).await,
            named("InterfaceNotFound", "interface", "org.example.Absent")
        );
        let add = "org.example.Test.Add";
        assert_eq!(wrong(add, Value::Null).await, invalid("first"));
        assert_eq!(wrong(add, json!({"first": 1})).await, invalid("second"));
        assert_eq!(wrong(add, json!({"first": "one", "second": 2})).await, invalid("first"));
        assert_eq!(wrong("org.example.Test.Half", json!({"number": 256})).await, invalid("number"));
        assert_eq!(wrong("org.example.Test.Nothing", json!({"extra": 1})).await, invalid("extra"));
        let answer = client.call(add, json!({"first": 1, "second": 2, "later": "ignored"})).await;
        assert_eq!(answer, Ok(json!({"number": 3})));
    });
}

#[test]
fn an_upgrade_is_refused_and_parameters_that_are_no_object_too() {
    run(async {
        let (mut stream, _) = served(Limits::default(), &Rc::default());
        say(&mut stream, r#"{"method":"org.example.Test.Nothing","upgrade":true}"#).await;
        say(&mut stream, r#"{"method":"org.example.Test.Nothing","parameters":[]}"#).await;
        for parameter in ["upgrade", "parameters"] {
            let parameters = json!({"parameter": parameter});
            let error = json!({"error": "org.varlink.service.InvalidParameter", "parameters": parameters});
            assert_eq!(hear(&mut stream).await, Some(error));
        }
    });
}

#[test]
fn nothing_is_an_answer() {
    run(async {
        assert_eq!(client().call("org.example.Test.Nothing", Value::Null).await, Ok(json!({})));
    });
}

#[test]
fn answers_come_one_after_the_other_and_who_asks_for_one_gets_one() {
    run(async {
        let mut client = client();
        let count = "org.example.Test.Count";
        let mut answers = client.call_more(count, json!({"to": 3})).await.expect("a call");
        let mut numbers = Vec::new();
        while let Some(answer) = answers.next().await {
            numbers.push(answer.expect("an answer")["number"].clone());
        }
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!(client.call(count, json!({"to": 3})).await, Ok(json!({"number": 1})));
        assert_eq!(client.call(count, json!({"to": 1})).await, Ok(json!({"number": 1})));
    });
}

#[test]
fn an_error_ends_a_stream_and_the_connection_goes_on() {
    run(async {
        let mut client = client();
        let mut answers = client.call_more("org.example.Test.Stumble", Value::Null).await.expect("a call");
        assert_eq!(answers.next().await, Some(Ok(json!({"number": 1}))));
        let (name, _) = refused(answers.next().await.expect("an item"));
        assert_eq!(name, "org.example.Test.Empty");
        assert_eq!(answers.next().await, None);
        client.call("org.example.Test.Nothing", Value::Null).await.expect("an answer");
    });
}

#[test]
fn a_stream_that_ends_without_its_last_answer_ends_the_connection() {
    run(async {
        let (stream, serving) = served(Limits::default(), &Rc::default());
        let mut client = over(stream);
        let mut answers = client.call_more("org.example.Test.Broken", Value::Null).await.expect("a call");
        assert_eq!(answers.next().await, Some(Ok(json!({"number": 0}))));
        let error = answers.next().await.expect("an item").expect_err("the end");
        assert!(error.to_string().contains("closed the connection"), "{error}");
        assert!(matches!(serving.await.expect("no panic"), End::Service(_)));
    });
}

#[test]
fn a_call_that_wants_no_answer_gets_none_and_is_done_though_its_caller_is_gone() {
    run(async {
        let seen: Rc<Seen> = Rc::default();
        let (mut stream, serving) = served(Limits::default(), &seen);
        say(&mut stream, r#"{"method":"org.example.Test.Note","oneway":true}"#).await;
        say(&mut stream, r#"{"method":"org.example.Test.Absent","oneway":true}"#).await;
        say(&mut stream, r#"{"method":"org.example.Test.Add","parameters":{"first":1,"second":1}}"#).await;
        assert_eq!(hear(&mut stream).await, Some(json!({"parameters": {"number": 2}})));
        say(&mut stream, r#"{"method":"org.example.Test.Wait","oneway":true}"#).await;
        say(&mut stream, r#"{"method":"org.example.Test.Note","oneway":true}"#).await;
        until(|| seen.begun.get() == 1).await;
        drop(stream);
        // Time passes when everybody waits, so the service knows by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        seen.go_on.notify_one();
        assert!(matches!(serving.await.expect("no panic"), End::Closed));
        assert_eq!((seen.noted.get(), seen.dropped.get()), (2, 0));
    });
}

#[test]
fn a_method_that_panics_takes_its_client_with_it_and_no_other() {
    run(async {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        tokio::task::spawn_local(serve_accepted(
            Limits::default(),
            async move || receiver.recv().await.ok_or(()),
            |_| Service { seen: Rc::default() },
        ));
        let mut clients = [1, 2].map(|uid| {
            let (client, server) = UnixStream::pair().expect("a pair");
            sender.send((server, identity(uid))).expect("it accepts");
            over(client)
        });
        let [fallen, other] = &mut clients;
        let error = fallen.call("org.example.Test.Fall", Value::Null).await.expect_err("no answer");
        assert!(error.to_string().contains("closed the connection"), "{error}");
        other.call("org.example.Test.Nothing", Value::Null).await.expect("an answer");
    });
}

#[test]
fn descriptors_go_both_ways_where_the_service_takes_them() {
    run(async {
        for (descriptors, taken) in [(Descriptors::Taken, 1), (Descriptors::Discarded, 0)] {
            let (mut stream, _) = served(Limits { descriptors, ..Limits::default() }, &Rc::default());
            let (reader, _writer) = std::io::pipe().expect("a pipe");
            let call = b"{\"method\":\"org.example.Test.Take\"}\0";
            let sent = [reader.as_fd()];
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
            assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&sent)));
            let slices = [std::io::IoSlice::new(call)];
            rustix::net::sendmsg(&stream, &slices, &mut control, rustix::net::SendFlags::empty())
                .expect("send");
            assert_eq!(hear(&mut stream).await, Some(json!({"parameters": {"number": taken}})));
        }
        let (mut stream, _) = served(Limits::default(), &Rc::default());
        say(&mut stream, r#"{"method":"org.example.Test.Give"}"#).await;
        stream.readable().await.expect("an answer");
        let mut input = crate::wire::Input::default();
        input.fill(stream.as_fd()).expect("read");
        assert!(input.take().is_some(), "an answer");
        let descriptor = input.take_exactly(1, "Give").expect("one descriptor").remove(0);
        let mut text = String::new();
        std::fs::File::from(descriptor).read_to_string(&mut text).expect("read");
        assert_eq!(text, "hello");
    });
}

#[test]
fn the_blocking_client_does_the_same() {
    run(async {
        let (stream, _) = served(Limits::default(), &Rc::default());
        let mut client = Client::over(stream.into_std().expect("a stream"));
        // Time must not jump while the other thread is at work.
        tokio::time::resume();
        let asked = tokio::task::spawn_blocking(move || {
            let info = client.info().expect("info");
            assert!(client.describe(&info.interfaces[0]).expect("a description").contains("method Add"));
            let sum: Number = client
                .call_typed("org.example.Test.Add", &json!({"first": 1, "second": 2}))
                .expect("an answer");
            assert_eq!(sum, Number { number: 3 });
            let answers = client.call_more("org.example.Test.Count", json!({"to": 3})).expect("a call");
            let numbers: Vec<Value> = answers.map(|answer| answer.expect("one")["number"].clone()).collect();
            assert_eq!(numbers, [1, 2, 3]);
            let long = client.call("org.example.Test.Long", json!({"bytes": 1_000_000})).expect("an answer");
            assert_eq!(long["text"].as_str().map(str::len), Some(1_000_000));
            let error = client.call("org.example.Test.Fail", json!({"empty": true})).expect_err("an error");
            assert_eq!(error.refused().map(|refused| refused.name.as_str()), Some("org.example.Test.Empty"));
        });
        asked.await.expect("no panic");
    });
}
