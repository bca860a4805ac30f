//! Instances, their number, and the connection to the host.

use std::collections::HashSet;
use std::time::Duration;

use session0::api::pipe::control::FromHost;
use session0::pipe::{Code, PipeClient, PipeType};

use crate::code;
use crate::fake_host::{FakeHost, Rules, connected};

#[test]
fn instances_never_exceed_the_limit_and_each_that_is_gone_is_made_up_for() {
    let host = FakeHost::new();
    let server = host.server("few").instances(3).create().expect("serve");
    host.until("few", |served| served.listening == 3);
    let clients: Vec<PipeClient> = (0..3).map(|_| host.client("few").open().expect("open")).collect();
    let instances: Vec<_> = (0..3).map(|_| server.accept().expect("accept")).collect();
    host.until("few", |served| (served.listening, served.connected) == (0, 3));
    let no_wait = || host.client("few").wait(Duration::ZERO).open();
    assert_eq!(code(no_wait()), Code::PipeBusy);
    assert_eq!(code(host.client("few").wait(Duration::from_millis(5)).open()), Code::SemTimeout);
    instances[0].disconnect().expect("disconnect");
    host.until("few", |served| (served.listening, served.connected) == (1, 2));
    drop(instances);
    host.until("few", |served| (served.listening, served.connected) == (3, 0));
    drop(clients);
    for _ in 0..20 {
        let client = no_wait().expect("open");
        drop(server.accept().expect("accept"));
        drop(client);
        host.until("few", |served| served.listening == 3);
    }
    assert_eq!(host.state().pipes["few"].most, 3);
}

#[test]
fn no_more_listen_than_the_host_lets_listen_and_unaccepted_clients_count() {
    let host = FakeHost::with(Rules { listening_max: 2, ..Rules::default() });
    let server = host.server("many").create().expect("serve");
    host.until("many", |served| served.listening == 2);
    let _clients = [host.client("many").open().expect("open"), host.client("many").open().expect("open")];
    host.until("many", |served| (served.listening, served.connected) == (0, 2));
    assert_eq!(code(host.client("many").wait(Duration::ZERO).open()), Code::PipeBusy);
    let _one = server.accept().expect("accept");
    host.until("many", |served| (served.listening, served.connected) == (1, 2));
    let _two = server.accept().expect("accept");
    host.until("many", |served| (served.listening, served.connected) == (2, 2));
    assert_eq!(host.state().pipes["many"].most, 4);
}

#[test]
fn without_a_client_accepting_says_which_wait_it_was() {
    let host = FakeHost::new();
    let server = host.server("idle").create().expect("serve");
    assert_eq!(code(server.try_accept()), Code::PipeListening);
    assert_eq!(code(server.accept_within(Duration::from_millis(2))), Code::SemTimeout);
}

#[test]
fn several_threads_accept_and_each_client_is_accepted_once() {
    let host = FakeHost::new();
    let server = host.server("echo").kind(PipeType::Message).create().expect("serve");
    let mut numbers = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let accept = |_| {
                        let instance = server.accept().expect("accept");
                        let request = instance.read_message().expect("read");
                        instance.write_message(&request).expect("write");
                        instance.flush().expect("flush");
                        instance.number()
                    };
                    (0..10).map(accept).collect::<Vec<u64>>()
                })
            })
            .collect();
        for number in 0..40u8 {
            let answer = host.client("echo").call(&[number], Duration::from_secs(20));
            assert_eq!(answer, Ok(vec![number]));
        }
        threads.into_iter().for_each(|thread| numbers.extend(thread.join().expect("no panic")));
    });
    assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), 40);
}

#[test]
fn a_new_daemon_is_told_the_true_counts_while_nobody_accepts() {
    let host = FakeHost::new();
    let (_server, _instance, _client) = connected(&host, PipeType::Byte);
    let _unaccepted = host.client("echo").open().expect("open");
    host.until("echo", |served| (served.listening, served.connected) == (3, 2));
    host.say("echo", &FromHost::Recount {});
    host.until("echo", |served| served.counted == [(3, 2)]);
    host.say_raw("echo", b"{\"something_new\":{\"x\":1}}\0{\"recount\":{}}\0", &[]);
    host.until("echo", |served| served.counted.len() == 2);
}

#[test]
fn a_server_that_is_dropped_stops_and_its_clients_go_on() {
    let host = FakeHost::new();
    let (server, instance, client) = connected(&host, PipeType::Message);
    let unaccepted = host.client("echo").open().expect("open");
    host.until("echo", |served| (served.listening, served.connected) == (3, 2));
    drop(server);
    host.until("echo", |served| served.stopped && served.connected == 1);
    assert_eq!(code(unaccepted.read_message()), Code::BrokenPipe);
    client.write_message(b"still there?").expect("write");
    assert_eq!(instance.read_message(), Ok(b"still there?".to_vec()));
    host.say("echo", &FromHost::Recount {});
    host.until("echo", |served| served.counted == [(0, 1)]);
    assert!(!host.state().pipes["echo"].ended);
    drop(instance);
    host.until("echo", |served| served.connected == 0 && served.ended);
}

#[test]
fn a_lost_host_ends_accepting_with_a_clear_error_and_clients_go_on() {
    let host = FakeHost::new();
    let (server, mut instance, client) = connected(&host, PipeType::Message);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.accept());
        host.hang_up("echo");
        let error = waiting.join().expect("no panic").expect_err("nobody comes");
        assert_eq!(error.code(), Code::OperationAborted);
        assert!(error.message().contains("host closed the connection"), "{error}");
    });
    assert_eq!(code(server.try_accept()), Code::OperationAborted);
    client.write_message(b"still there?").expect("write");
    assert_eq!(instance.read_message(), Ok(b"still there?".to_vec()));
    instance.disconnect().expect("disconnect");
    assert_eq!(code(instance.connect()), Code::OperationAborted);
}

#[test]
fn where_others_have_all_the_instances_accepting_says_so_until_there_is_room() {
    let host = FakeHost::with(Rules { listening_max: 1, ..Rules::default() });
    let server = host.server("shared").create().expect("serve");
    let client = host.client("shared").open().expect("open");
    host.state().rules.refuse_instances = u32::MAX;
    let instance = server.accept().expect("accept");
    drop((instance, client));
    assert_eq!(code(server.accept()), Code::PipeBusy);
    assert_eq!(code(server.try_accept()), Code::PipeListening);
    host.state().rules.refuse_instances = 0;
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.accept());
        let _client = host.client("shared").open().expect("open");
        waiting.join().expect("no panic").expect("accept");
    });
}

#[test]
fn a_host_that_talks_nonsense_is_not_listened_to() {
    let host = FakeHost::new();
    let server = host.server("echo").create().expect("serve");
    host.say_raw("echo", b"{\"connected\":7}\0", &[]);
    assert_eq!(code(server.accept()), Code::InternalError);
    let server = host.server("echo").create().expect("serve");
    host.say_raw("echo", &[b'x'; 30_000], &[]);
    assert_eq!(code(server.accept()), Code::InternalError);
}

#[test]
fn what_is_asked_of_a_pipe_is_what_the_host_hears() {
    let host = FakeHost::new();
    let builder = host.server("Full").kind(PipeType::Message).direction(session0::pipe::Direction::Outbound);
    let builder = builder.instances(7).first_instance(true).buffer(4096).refuse_outside(true).rpc(true);
    let builder = builder.default_timeout(Duration::from_micros(1500)).descriptors(true);
    let server = builder.access(["interactive", "user alice read"]).create().expect("serve");
    assert_eq!((server.name(), server.kind(), server.instances_max()), ("Full", PipeType::Message, Some(7)));
    let expected = serde_json::json!({
        "pipe": "Full", "kind": "message", "direction": "outbound", "instances_max": 7, "first": true,
        "default_timeout_ms": 2, "buffer": 4096, "access": ["interactive", "user alice read"],
        "refuse_outside": true, "descriptors": true, "rpc": true, "listening": 1,
    });
    assert_eq!(host.state().pipes["Full"].listen, expected);
    let client = host.client("Full").open().expect("open");
    let instance = server.accept().expect("accept");
    assert_eq!(code(client.write(b"x")), Code::AccessDenied);
    assert_eq!(code(instance.read(&mut [0; 4])), Code::AccessDenied);
    let _server = host.server("bare").create().expect("serve");
    assert_eq!(host.state().pipes["bare"].listen, serde_json::json!({ "pipe": "bare", "listening": 1 }));
}

#[test]
fn a_number_of_instances_that_cannot_be_is_refused_here() {
    let host = FakeHost::new();
    assert_eq!(code(host.server("x").instances(255).create()), Code::InvalidParameter);
    assert_eq!(code(host.server("x").instances(0).create()), Code::InvalidParameter);
    assert_eq!(code(host.server("x").default_timeout(Duration::MAX).create()), Code::InvalidParameter);
    assert!(host.state().calls.is_empty());
}

#[test]
fn the_client_is_who_the_host_says_and_its_process_is_watched() {
    let host = FakeHost::new();
    let (_server, instance, client) = connected(&host, PipeType::Byte);
    let seen = instance.client();
    assert_eq!((seen.session(), seen.account(), seen.service()), (Some(3), Some("alice"), None));
    assert_eq!(seen.pid(), i32::try_from(std::process::id()).expect("a pid"));
    assert_eq!((seen.uid(), seen.is_alive()), (rustix::process::getuid().as_raw(), Some(true)));
    assert_eq!((client.server().pid, client.name()), (seen.pid(), "echo"));
    assert_eq!(client.instance(), instance.number());
    let builder = host.client("echo").impersonation(session0::pipe::Impersonation::Anonymous);
    let hidden = builder.open().expect("open");
    let server_end = _server.accept().expect("accept");
    assert_eq!((server_end.client().uid(), server_end.client().is_alive()), (65534, None));
    hidden.write(b"who?").expect("write");
    assert_eq!(server_end.read(&mut [0; 9]).map(|read| read.bytes), Ok(4));
}
