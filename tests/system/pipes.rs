//! Named pipes on real kernels: who is at the other end, names, instances, who may.

use std::collections::BTreeSet;
use std::process::{Child, Command};
use std::sync::OnceLock;

use serde_json::{Value, json};
use session0_system_tests::{
    At, Host, HostBuilder, Logon, PASSWORD, Program, Run, binary, eventually, needs_python, needs_root, skip,
    told,
};

/// A host with alice on twice and bob once.
struct World {
    host: Host,
    alice: At,
    again: At,
    bob: At,
    _logons: Vec<Logon>,
    _watcher: Child,
}

fn world() -> &'static World {
    static WORLD: OnceLock<Option<World>> = OnceLock::new();
    let made = WORLD.get_or_init(|| std::panic::catch_unwind(start).ok());
    made.as_ref().expect("the host that these tests share could be made; see the first of them")
}

fn start() -> World {
    let host = HostBuilder::new().host_toml("sessions_per_user = 2\n").start();
    let watcher = host.end_with_us();
    for name in ["alice", "bob"] {
        host.person(name);
    }
    let mut logons = vec![host.logon("alice", PASSWORD)];
    let first = host.session_of("alice");
    logons.push(host.logon_with(&["alice", "--new"], PASSWORD));
    let second = host.sessions_of("alice").into_iter().find(|id| *id != first).expect("she has another");
    logons.push(host.logon("bob", PASSWORD));
    let bob = host.session_of("bob");
    let at = At::Session;
    World { host, alice: at(first), again: at(second), bob: at(bob), _logons: logons, _watcher: watcher }
}

/// The number of the session.
fn number(at: At) -> Value {
    match at {
        At::Session(session) => session.into(),
        At::Outside => Value::Null,
    }
}

fn error_of(run: &Run) -> &str {
    let line = run.out.lines().find_map(|line| line.split_once("refused ")).map(|(_, rest)| rest);
    line.and_then(|rest| rest.split(' ').next()).unwrap_or_else(|| panic!("it was not refused: {run:?}"))
}

fn user(host: &Host, name: &str) -> Value {
    host.uid_of(name).into()
}

/// What the server and the client must be told of each other.
fn know_each_other(server: &Value, client: &Value, opened: &Value, of_client: &Value, of_server: &Value) {
    let facts = |from: &Value, of: &Value| {
        let of = of.as_object().expect("facts").keys();
        of.map(|key| (key.clone(), from[key].clone())).collect::<serde_json::Map<_, _>>()
    };
    assert_eq!(Value::from(facts(client, of_client)), *of_client, "the server is told who the client is");
    assert_eq!(Value::from(facts(server, of_server)), *of_server, "the client is told who the server is");
    assert_eq!(client["kernel"]["uid"], client["uid"], "the kernel says the same: {client}");
    assert_eq!(client["kernel"]["gid"], client["gid"]);
    assert_eq!(client["kernel"]["groups"], client["groups"]);
    assert_eq!(client["instance"], opened["instance"]);
}

/// Opens a pipe that tells its clients who they are.
fn introduced(host: &Host, from: At, name: &str) -> (Value, Value) {
    let run = host.opens(from, &[name, "wait=10000", "hear-all"]);
    assert!(run.out.contains("heard "), "{run:?}");
    (told(&run.out, "opened"), told(&run.out, "heard"))
}

#[test]
fn a_service_and_a_users_program_are_each_told_truly_who_the_other_is() {
    if !needs_root("a_service_and_a_users_program_are_each_told_truly_who_the_other_is") {
        return;
    }
    let World { host, alice, .. } = world();
    let lines = "account = 'nobody'\n";
    host.serves_as("introduces", lines, &["known.service", "allow=interactive", "do=who"]);
    let (opened, client) = introduced(host, *alice, "known.service");
    let of_client = json!({ "session": number(*alice), "uid": user(host, "alice"), "account": "alice",
        "service": null, "level": "Identification", "alive": true });
    let of_server = json!({ "session": 0, "account": "nobody", "service": "introduces", "uid": 65534 });
    know_each_other(&opened["server"], &client, &opened, &of_client, &of_server);
    // The other way: a service is a user's client.
    let _server = host.serves(*alice, &["known.user", "allow=services", "do=who"]);
    host.add_probe(
        "visits",
        "account = 'nobody'\n",
        &["pipe-open", "known.user", "hear-all", "then", "sleep"],
    );
    host.s0(&["reload"]).ok();
    host.s0(&["service", "start", "visits"]).ok();
    let log = host.wait_log("visits", "heard ");
    let (opened, client) = (told(&log, "opened"), told(&log, "heard"));
    let of_client = json!({ "session": 0, "uid": 65534, "account": "nobody", "service": "visits" });
    let of_server =
        json!({ "session": number(*alice), "uid": user(host, "alice"), "account": "alice", "service": null });
    know_each_other(&opened["server"], &client, &opened, &of_client, &of_server);
}

#[test]
fn two_sessions_talk_and_each_knows_the_other_also_of_one_user() {
    if !needs_root("two_sessions_talk_and_each_knows_the_other_also_of_one_user") {
        return;
    }
    let World { host, alice, again, bob, .. } = world();
    let _server = host.serves(*alice, &["between", "allow=interactive", "do=who"]);
    for (from, name) in [(*bob, "bob"), (*again, "alice"), (*alice, "alice")] {
        let (opened, client) = introduced(host, from, "between");
        let of_client = json!({ "session": number(from), "uid": user(host, name), "account": name });
        let of_server = json!({ "session": number(*alice), "uid": user(host, "alice"), "service": null });
        know_each_other(&opened["server"], &client, &opened, &of_client, &of_server);
    }
}

#[test]
fn a_program_outside_talks_with_a_session_and_is_refused_where_it_is_not_wanted() {
    if !needs_python("a_program_outside_talks_with_a_session_and_is_refused_where_it_is_not_wanted") {
        return;
    }
    let World { host, alice, .. } = world();
    let _open = host.serves(*alice, &["for.all", "allow=everyone", "do=who"]);
    let (opened, client) = introduced(host, At::Outside, "for.all");
    let of_client = json!({ "session": null, "uid": 0, "account": "root", "service": null });
    know_each_other(&opened["server"], &client, &opened, &of_client, &json!({ "session": number(*alice) }));
    let _outside = host.serves(At::Outside, &["from.outside", "allow=interactive", "do=who"]);
    let (opened, client) = introduced(host, *alice, "from.outside");
    let of_server = json!({ "session": null, "uid": 0, "account": "root" });
    know_each_other(&opened["server"], &client, &opened, &json!({ "account": "alice" }), &of_server);
    let _closed = host.serves(*alice, &["for.sessions", "allow=everyone", "refuse-outside"]);
    assert_eq!(error_of(&host.opens(At::Outside, &["for.sessions"])), "5", "not even root outside");
    assert!(host.opens(*alice, &["for.sessions"]).out.contains("opened"));
    let socket = host.pipe_socket(At::Outside, "for.sessions");
    let read = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(9))";
    let run = Run::of(&mut host.python_at(At::Outside, read, &[&socket]));
    assert_eq!(run.out.trim(), "b''", "its socket lets nobody from outside in either: {run:?}");
}

#[test]
fn a_name_is_an_id_whatever_its_case_and_never_a_path() {
    if !needs_root("a_name_is_an_id_whatever_its_case_and_never_a_path") {
        return;
    }
    let World { host, alice, .. } = world();
    let _server = host.serves(*alice, &["Case.And-More_1", "allow=interactive"]);
    for name in
        ["case.and-more_1", "CASE.AND-MORE_1", r"\\.\pipe\Case.And-More_1", r"\\.\PIPE\case.and-more_1"]
    {
        let run = host.opens(*alice, &[name, "say=x", "hear"]);
        assert!(run.out.contains("heard x"), "{name}: {run:?}");
        assert_eq!(told(&run.out, "opened")["name"], "Case.And-More_1", "as its server wrote it");
    }
    assert!(host.pipe_sockets().contains(&"case.and-more_1".to_owned()));
    for (length, socket) in [(88, true), (89, false), (256, false)] {
        let name = "n".repeat(length);
        let _long = host.serves(*alice, &[&name, "allow=interactive"]);
        assert!(host.opens(*alice, &[&name, "say=long", "hear"]).out.contains("heard long"), "{length}");
        assert_eq!(host.pipe_sockets().contains(&name), socket, "{length} characters");
        let shown = host.pipe(&name).expect("it is served").socket;
        assert_eq!(shown, socket.then(|| format!("/run/session0/pipe/{name}")));
    }
}

#[test]
fn what_could_be_read_as_a_path_is_no_name_and_nothing_appears() {
    if !needs_root("what_could_be_read_as_a_path_is_no_name_and_nothing_appears") {
        return;
    }
    let host = HostBuilder::new().start();
    let long = "n".repeat(257);
    let names = [
        "",
        ".",
        "..",
        "../api",
        "a/b",
        "/api",
        "a\\b",
        "-a",
        ".hidden",
        "a b",
        "a\nb",
        "a\tb",
        "\u{1b}[2J",
        "é",
        "@",
        "\\\\.\\pipe\\",
        "\\\\.\\pipe\\..\\api",
        &long,
    ];
    let abstract_like = "\0abstract";
    for name in names.iter().copied().chain([abstract_like]) {
        for method in ["Open", "Listen", "Status", "Wait"] {
            let code = code_of_call(&host, method, name);
            // An at sign alone is a name like any other: there are no abstract sockets that it could mean.
            if name == "@" {
                assert_ne!(code, json!(123));
            } else {
                assert_eq!(code, json!(123), "{method} of {name:?}");
            }
        }
    }
    eventually("the server of @ was told that its client is gone", || host.pipe_sockets().is_empty());
    assert!(host.root().join("run/session0/api").exists(), "and nothing is gone");
    let below = std::fs::read_dir(host.root().join("run/session0")).expect("ours").flatten();
    let names: BTreeSet<String> = below.map(|one| one.file_name().to_string_lossy().into_owned()).collect();
    assert!(names.iter().all(|name| !name.contains("hidden") && !name.contains("abstract")), "{names:?}");
}

/// The error's number that a raw call is answered with; null if it is not refused.
fn code_of_call(host: &Host, method: &str, name: &str) -> Value {
    let call = json!({ "method": format!("io.session0.Pipe.{method}"), "parameters": { "pipe": name },
        "upgrade": matches!(method, "Open" | "Listen") });
    let run = Run::of(
        Command::new(binary("probe")).args(["call", &host.api().display().to_string()]).arg(call.to_string()),
    );
    let answer = run.out.trim_end().rsplit_once("}: ").map_or("", |(_, answer)| answer).to_owned();
    let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    answer["parameters"]["code"].clone()
}

#[test]
fn a_client_that_finds_every_instance_busy_is_told_or_waits_and_is_served_in_turn() {
    if !needs_root("a_client_that_finds_every_instance_busy_is_told_or_waits_and_is_served_in_turn") {
        return;
    }
    let World { host, alice, bob, .. } = world();
    let mut server =
        host.serves(*alice, &["one", "allow=interactive", "instances=1", "timeout=50", "do=hold"]);
    let mut first = host.begins_to_open(*bob, &["one", "hold"]);
    first.wait("opened");
    assert_eq!(error_of(&host.opens(*bob, &["one"])), "231", "who does not wait");
    assert_eq!(error_of(&host.opens(*bob, &["one", "wait=100"])), "121", "who waits too shortly");
    assert_eq!(error_of(&host.opens(*bob, &["one", "wait-default"])), "121", "who waits the pipe's own time");
    // Three who wait, one after the other, and each holds it until it is told to let go.
    let mut waiting: Vec<Program> = Vec::new();
    for _ in 0..3 {
        waiting.push(host.begins_to_open(*bob, &["one", "wait=60000", "hold"]));
        let count = waiting.len();
        let waits = || host.pipe("one").is_some_and(|pipe| pipe.waiting as usize == count);
        eventually("it waits", waits);
    }
    let mut before = told(&first.text(), "opened")["instance"].as_u64().expect("a number");
    assert_eq!(first.end().code, 0);
    for mut next in waiting {
        next.wait("opened");
        let instance = told(&next.text(), "opened")["instance"].as_u64().expect("a number");
        assert!(before < instance, "first come, first served");
        before = instance;
        assert_eq!(next.end().code, 0);
    }
    server.wait(&format!("ended {before}"));
    let pipe = host.pipe("one").expect("it is served");
    assert_eq!((pipe.instances_max, pipe.opened, pipe.waiting), (Some(1), 4, 0));
    assert_eq!(pipe.refused, 3);
}

#[test]
fn there_are_never_more_instances_than_the_limit() {
    if !needs_root("there_are_never_more_instances_than_the_limit") {
        return;
    }
    let World { host, alice, .. } = world();
    let server = host.serves(At::Outside, &["four", "allow=everyone", "instances=4", "do=echo"]);
    let api = host.api();
    let now = std::sync::atomic::AtomicUsize::new(0);
    let most = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                use std::sync::atomic::Ordering::SeqCst;
                for _ in 0..8 {
                    let wait = std::time::Duration::from_secs(60);
                    let client = session0::pipe::PipeClient::builder("four").socket(&api).wait(wait);
                    let client = client.open().expect("its turn comes");
                    client.write(b"x").expect("the server is there");
                    // The server has taken it once it has answered, and holds it until the client has closed.
                    assert_eq!(client.read(&mut [0; 8]).expect("an echo").bytes, 1);
                    most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                    now.fetch_sub(1, SeqCst);
                }
            });
        }
    });
    let most = most.into_inner();
    assert!((1..=4).contains(&most), "{most} at a time");
    // As the server saw it: who began and was not over yet.
    let (mut held, mut held_most) = (0_i32, 0);
    let mut said = String::new();
    eventually("the server has said of all that they are over", || {
        said = server.text();
        said.lines().filter(|line| line.starts_with("ended")).count() == 128
    });
    for line in said.lines() {
        held += i32::from(line.starts_with("client")) - i32::from(line.starts_with("ended"));
        held_most = held_most.max(held);
    }
    assert!((1..=4).contains(&held_most), "{held_most} at a time at the server");
    assert_eq!(host.pipe("four").expect("it is served").opened, 128);
    let run = host.begins_to_serve(*alice, &["four", "allow=everyone", "instances=4"]).end();
    assert_eq!(error_of(&run), "5", "nobody adds instances of his own");
}

#[test]
fn access_lists_let_in_whom_they_name_and_nobody_else() {
    if !needs_root("access_lists_let_in_whom_they_name_and_nobody_else") {
        return;
    }
    let World { host, alice, again, bob, .. } = world();
    let At::Session(second) = *again else { return };
    let session = format!("session {second}");
    let service = ["service lists.member"];
    // The list, and who is let in: alice in her first session, in her second, bob.
    let lists: [(&[&str], [bool; 3]); 9] = [
        (&["everyone"], [true, true, true]),
        (&["interactive"], [true, true, true]),
        (&["services"], [false, false, false]),
        (&["outside"], [false, false, false]),
        (&["user bob"], [false, false, true]),
        (&["deny user bob", "everyone"], [true, true, false]),
        (&["everyone", "deny user bob"], [true, true, true]),
        (&[&session], [false, true, false]),
        (&service, [false, false, false]),
    ];
    for (index, (list, who)) in lists.iter().enumerate() {
        let name = format!("list.{index}");
        let entries: Vec<String> = list.iter().map(|entry| format!("allow={entry}")).collect();
        let words: Vec<&str> =
            [name.as_str()].into_iter().chain(entries.iter().map(String::as_str)).collect();
        let _server = host.serves(At::Outside, &words);
        for (at, lets) in [*alice, *again, *bob].into_iter().zip(who) {
            let run = host.opens(at, &[&name]);
            match lets {
                true => assert!(run.out.contains("opened"), "{list:?} {at:?}: {run:?}"),
                false => assert_eq!(error_of(&run), "5", "{list:?} {at:?}"),
            }
        }
    }
    // Without a list: whoever serves it, in any session of his, and administrators.
    let _server = host.serves(*alice, &["list.none"]);
    for at in [*alice, *again, At::Outside] {
        assert!(host.opens(at, &["list.none"]).out.contains("opened"), "{at:?}");
    }
    assert_eq!(error_of(&host.opens(*bob, &["list.none"])), "5");
    let run = host.begins_to_serve(*alice, &["list.bad", "allow=everybody"]).end();
    assert_eq!(error_of(&run), "87");
    assert!(run.out.contains("everybody"), "it says what is wrong: {run:?}");
}

#[test]
fn a_pipe_that_cannot_be_what_it_is_to_be_is_refused_and_said_why() {
    if !needs_root("a_pipe_that_cannot_be_what_it_is_to_be_is_refused_and_said_why") {
        return;
    }
    let World { host, alice, .. } = world();
    for (words, why) in [
        (&["rpc", "inbound"][..], "both ways"),
        (&["rpc", "message"], "bytes"),
        (&["instances=256"], "256"),
        (&["allow=user nobody.here"], "nobody.here"),
        (&["allow=interactive fly"], "fly"),
    ] {
        let run = host.begins_to_serve(*alice, &[&["cannot.be"], words].concat()).end();
        assert_eq!(error_of(&run), "87", "{words:?}");
        assert!(run.out.contains(why), "{words:?}: {run:?}");
    }
    // Whoever serves it as well must ask for the same.
    let _server = host.serves(*alice, &["is.bytes", "instances=3"]);
    for words in [&["message"][..], &["instances=4"], &["inbound"], &["allow=everyone"]] {
        let run = host.begins_to_serve(*alice, &[&["is.bytes"], words].concat()).end();
        assert_eq!(error_of(&run), "5", "{words:?}: {run:?}");
    }
    let mut second = host.begins_to_serve(*alice, &["is.bytes", "instances=3"]);
    assert!(second.wait_or_end("listening").contains("refused 231"), "the first listens for all three");
}

#[test]
fn a_group_and_a_right_are_looked_at() {
    if !needs_root("a_group_and_a_right_are_looked_at") {
        return;
    }
    let World { host, alice, bob, .. } = world();
    // Bob serves what alice may only read; and a service's group is let in.
    let _server =
        host.serves(*bob, &["rights", "allow=user alice read", "allow=group daemon write", "do=hold"]);
    let run = host.opens(*alice, &["rights"]);
    assert!(run.out.contains("opened"), "{run:?}");
    assert_eq!(error_of(&host.opens(*alice, &["rights", "write"])), "5");
    let wrote = host.opens(*alice, &["rights", "say=x"]);
    assert_eq!(error_of(&wrote), "5", "what was opened for reading is not written to");
    let run = host.begins_to_serve(*alice, &["rights"]).end();
    assert_eq!(error_of(&run), "5", "reading is not serving");
    let tries =
        ["pipe-open", "rights", "write", "say=x", "then", "pipe-open", "rights", "read", "then", "sleep"];
    host.add_probe("of.group", "account = 'daemon'\n", &tries);
    host.s0(&["reload"]).ok();
    host.s0(&["service", "start", "of.group"]).ok();
    let log = host.wait_log("of.group", "rights read: ");
    assert!(log.contains("say=x: ok") && log.contains("refused 5"), "{log}");
}

#[test]
fn an_anonymous_client_is_named_by_nobody() {
    if !needs_root("an_anonymous_client_is_named_by_nobody") {
        return;
    }
    let World { host, alice, bob, .. } = world();
    let _server = host.serves(*alice, &["masked", "allow=interactive", "do=who"]);
    let run = host.opens(*bob, &["masked", "level=anonymous", "hear-all"]);
    let client = told(&run.out, "heard");
    let expected = json!({ "instance": client["instance"], "session": null, "uid": 65534, "gid": 65534, "groups": [], "pid": 0,
        "account": null, "service": null, "level": "Anonymous", "alive": null,
        "kernel": { "uid": 65534, "gid": 65534, "groups": client["kernel"]["groups"] } });
    assert_eq!(client, expected);
    let groups = client["kernel"]["groups"].as_array().cloned().unwrap_or_default();
    assert!(groups.iter().all(|group| *group == json!(65534)), "nor by its groups: {client}");
    let shown = host.pipe("masked").and_then(|pipe| pipe.clients);
    assert!(shown.is_some_and(|clients| clients.iter().all(|one| one.peer.uid == 65534)));
    let named = host.opens(*bob, &["masked", "hear-all"]);
    assert!(
        !told(&named.out, "heard").to_string().contains("65534"),
        "who is not masked is named: {named:?}"
    );
}

#[test]
fn a_pipe_is_a_plain_socket_for_programs_of_any_language() {
    let test = "a_pipe_is_a_plain_socket_for_programs_of_any_language";
    if !needs_python(test) {
        return;
    }
    let World { host, alice, bob, .. } = world();
    let _bytes = host.serves(*alice, &["plain.bytes", "allow=everyone", "do=echo"]);
    let _messages = host.serves(*alice, &["plain.messages", "message", "allow=everyone", "do=echo"]);
    let bytes = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'hello\\n'); print(s.recv(100))";
    let messages = "import socket,struct,sys\n\
        s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
        def one(b): s.sendall(struct.pack('<I',len(b))+b)\n\
        def got():\n n,=struct.unpack('<I',s.recv(4,socket.MSG_WAITALL)); return s.recv(n&0x7fffffff,socket.MSG_WAITALL) if n else b''\n\
        [one(b) for b in (b'first',b'',b'x'*70000)]\n\
        print(got(),got(),len(got()))";
    for at in [*alice, *bob, At::Outside] {
        let run = Run::of(&mut host.python_at(at, bytes, &[&host.pipe_socket(at, "plain.bytes")])).ok();
        assert_eq!(run.out.trim(), r"b'hello\n'", "{at:?}");
        let run = Run::of(&mut host.python_at(at, messages, &[&host.pipe_socket(at, "plain.messages")])).ok();
        assert_eq!(run.out.trim(), "b'first' b'' 70000", "{at:?}");
    }
    // From Session 0, as a service.
    let socket = host.pipe_socket(*alice, "plain.bytes");
    let stays = format!("{bytes}; import time; time.sleep(1000)");
    let command = ["/usr/bin/python3", "-u", "-c", &stays, &socket];
    let text = format!("command = {command:?}\naccount = 'nobody'\n");
    std::fs::write(host.root().join("etc/session0/services/plain.client.toml"), text).expect("our own root");
    host.s0(&["reload"]).ok();
    host.s0(&["service", "start", "plain.client"]).ok();
    host.wait_log("plain.client", r"b'hello\n'");
    if !std::path::Path::new("/usr/bin/socat").exists() {
        return skip(&format!("{test} [socat]"), "socat is not installed");
    }
    let mut socat = Program::start(&mut host.command_in(
        match *bob {
            At::Session(id) => id,
            At::Outside => 0,
        },
        &["socat", "-", &format!("UNIX-CONNECT:{socket}")],
    ));
    socat.say("hello from socat\n");
    socat.wait("hello from socat");
    assert_eq!(socat.end().code, 0);
}

#[test]
fn a_server_sees_the_same_client_by_the_socket_as_by_the_api() {
    if !needs_python("a_server_sees_the_same_client_by_the_socket_as_by_the_api") {
        return;
    }
    let World { host, alice, bob, .. } = world();
    let _server = host.serves(*alice, &["same", "allow=everyone", "do=who"]);
    let read = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print('heard '+s.makefile().read())";
    for at in [*bob, At::Outside] {
        let (_, mut by_api) = introduced(host, at, "same");
        let run = Run::of(&mut host.python_at(at, read, &[&host.pipe_socket(at, "same")])).ok();
        let mut by_socket = told(&run.out, "heard");
        for key in ["instance", "pid"] {
            by_api[key].take();
            by_socket[key].take();
        }
        assert_eq!(by_api, by_socket);
        assert!(by_socket["uid"].is_u64() && by_socket["kernel"]["uid"] == by_socket["uid"]);
    }
}

#[test]
fn the_command_line_serves_and_opens_pipes_as_a_service_and_in_a_session() {
    if !needs_root("the_command_line_serves_and_opens_pipes_as_a_service_and_in_a_session") {
        return;
    }
    let World { host, alice, bob, .. } = world();
    let s0 = host.visible_s0();
    let tells = "echo \"$S0_PIPE_NAME: $S0_PIPE_ACCOUNT $S0_PIPE_UID in ${S0_PIPE_SESSION:-none}, $S0_PIPE_IMPERSONATION\"; cat";
    let command = [&s0, "pipe", "listen", "tells", "--", "/bin/sh", "-c", tells];
    let text = format!(
        "command = {command:?}\naccount = 'nobody'\n[pipe.'tells']\naccess = ['interactive']\nstarts = true\n"
    );
    std::fs::write(host.root().join("etc/session0/services/tells.toml"), text).expect("our own root");
    host.s0(&["reload"]).ok();
    for (at, name) in [(*alice, "alice"), (*bob, "bob")] {
        let At::Session(session) = at else { continue };
        let connects = format!("echo said by {name} | {s0} pipe connect tells");
        let run = host.run_in(session, &["/bin/sh", "-c", &connects]).ok();
        let expected =
            format!("tells: {name} {} in {session}, identification\nsaid by {name}\n", host.uid_of(name));
        assert_eq!(run.out, expected);
    }
    let list = host.s0(&["pipe", "list"]).ok().out;
    assert!(list.lines().any(|line| line.starts_with("tells ") && line.contains("byte")), "{list}");
    let shown = host.s0(&["pipe", "show", "tells", "--json"]).ok().json();
    assert_eq!((&shown["reserved_for"], &shown["opened"]), (&json!("tells"), &json!(2)), "{shown}");
    // Who may not is told so by the exit code, as who wants what is not there, or is busy.
    let At::Session(his) = *bob else { return };
    let _closed = host.serves(*alice, &["closed", "allow=user alice"]);
    let _busy = host.serves(*alice, &["busy", "allow=interactive", "instances=1", "do=hold"]);
    let mut holds = host.begins_to_open(*alice, &["busy", "hold"]);
    holds.wait("opened");
    for (name, code, number) in
        [("closed", 3, "(5)"), ("nobody.has.it", 1, "(2)"), ("busy", 1, "(231)"), ("a/b", 1, "(123)")]
    {
        let run = host.run_in(his, &[&s0, "pipe", "connect", name]);
        assert_eq!(run.code, code, "{name}: {run:?}");
        assert!(run.err.contains(number), "{name}: {run:?}");
    }
    let run = host.run_in(his, &[&s0, "pipe", "listen", "tells", "--once"]);
    assert_eq!(run.code, 3, "the name is the service's: {run:?}");
}
