//! `kill -9` of the daemon, of Session 0's init and of what is at a pipe's ends: what goes on, what ends, and that nothing is lost.

use std::process::Command;

use session0_system_tests::{
    At, Host, HostBuilder, Logon, PASSWORD, Program, Run, binary, eventually, needs_python, needs_root, told,
};

/// A host with alice and bob on, and where they are.
fn with_two(builder: HostBuilder) -> (Host, Vec<Logon>, At, At) {
    let host = builder.start();
    let log_on = |name: &str| {
        host.person(name);
        host.logon(name, PASSWORD)
    };
    let logons = vec![log_on("alice"), log_on("bob")];
    let (alice, bob) = (At::Session(host.session_of("alice")), At::Session(host.session_of("bob")));
    (host, logons, alice, bob)
}

fn error_of(run: &Run) -> &str {
    let line = run.out.lines().find_map(|line| line.split_once("refused ")).map(|(_, rest)| rest);
    line.and_then(|rest| rest.split(' ').next()).unwrap_or_else(|| panic!("it was not refused: {run:?}"))
}

fn killed(host: &Host) {
    let old = host.daemon_pid();
    host.kill(old);
    host.wait_new_daemon(old);
}

/// Stopped, not killed: from here on certainly no daemon looks.
fn stopped(host: &Host) -> i32 {
    let old = host.daemon_pid();
    let pid = rustix::process::Pid::from_raw(old).expect("positive");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("ours");
    old
}

fn last_word<'a>(text: &'a str, word: &str) -> &'a str {
    text.lines()
        .rev()
        .find_map(|line| line.strip_prefix(word))
        .unwrap_or_else(|| panic!("no {word} in:\n{text}"))
}

#[test]
fn ten_daemons_die_while_a_pipe_carries_bytes_and_none_is_lost() {
    if !needs_root("ten_daemons_die_while_a_pipe_carries_bytes_and_none_is_lost") {
        return;
    }
    let (host, _logons, alice, bob) = with_two(HostBuilder::new());
    let mut server = host.serves(alice, &["carries", "allow=interactive", "do=sum"]);
    let length = 4 << 20;
    let mut client = host.begins_to_open(bob, &["carries", &format!("send={length}")]);
    client.wait("opened");
    let mut sent = 0;
    // A line is a piece of 64 KiB.
    let mut piece = |client: &mut Program| {
        client.say("\n");
        client.wait(&format!("at {sent}\n"));
        sent += 64 << 10;
    };
    for _ in 0..10 {
        let old = host.daemon_pid();
        piece(&mut client);
        host.kill(old);
        piece(&mut client);
        piece(&mut client);
        host.wait_new_daemon(old);
        piece(&mut client);
    }
    let run = client.end();
    let said = server.wait("sum ");
    assert_eq!(last_word(&said, "sum "), last_word(&run.out, "sent "), "every byte, in order");
    assert!(last_word(&said, "sum ").starts_with(&length.to_string()));
    assert_eq!(host.opens(bob, &["carries"]).code, 0, "and the pipe is there still");
}

#[test]
fn a_name_stays_taken_while_the_daemon_is_away() {
    if !needs_root("a_name_stays_taken_while_the_daemon_is_away") {
        return;
    }
    let (host, _logons, alice, bob) = with_two(HostBuilder::new());
    let _server = host.serves(alice, &["taken", "allow=interactive", "do=who"]);
    let At::Session(his) = bob else { return };
    let line = format!(
        "echo ready; read x; exec {} pipe-serve taken allow=interactive",
        session0_system_tests::probe_path(&host)
    );
    let mut inside = host.begin_in(his, &["sh", "-c", &line]);
    inside.wait("ready");
    let old = stopped(&host);
    let outside = host.begins_to_serve(At::Outside, &["taken", "allow=interactive"]);
    inside.say("\n");
    host.kill(old);
    for squatter in [outside, inside] {
        let run = squatter.end();
        assert_eq!(error_of(&run), "5", "{run:?}");
    }
    let run = host.opens(bob, &["taken", "hear-all"]);
    assert_eq!(told(&run.out, "opened")["server"]["account"], "alice");
}

#[test]
fn clients_that_come_while_the_daemon_is_away_are_served() {
    if !needs_python("clients_that_come_while_the_daemon_is_away_are_served") {
        return;
    }
    let (host, _logons, alice, bob) = with_two(HostBuilder::new());
    let mut server = host.serves(alice, &["meanwhile", "allow=everyone", "do=who"]);
    let At::Session(his) = bob else { return };
    let read = "import socket,sys
print('ready',flush=True); sys.stdin.readline()
s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print('connected',flush=True)
print('heard '+s.makefile().read(),flush=True)";
    let inner = host.pipe_socket(bob, "meanwhile");
    let mut by_socket = host.begin_in(his, &["/usr/bin/python3", "-c", read, &inner]);
    by_socket.wait("ready");
    let old = stopped(&host);
    let by_api = host.begins_to_open(At::Outside, &["meanwhile", "hear-all"]);
    by_socket.say("\n");
    by_socket.wait("connected");
    host.kill(old);
    let (by_api, by_socket) = (by_api.end(), by_socket.end());
    assert_eq!(told(&by_api.out, "heard")["account"], "root", "{by_api:?}");
    assert_eq!(told(&by_socket.out, "heard")["account"], "bob", "{by_socket:?}");
    // Instances are free again as they were.
    assert_eq!(host.opens(bob, &["meanwhile", "hear-all"]).code, 0);
    server.wait("\"account\":\"bob\"");
}

#[test]
fn who_waits_when_the_daemon_dies_waits_on_and_is_served() {
    if !needs_root("who_waits_when_the_daemon_dies_waits_on_and_is_served") {
        return;
    }
    let (host, _logons, alice, bob) = with_two(HostBuilder::new());
    let _server = host.serves(alice, &["waited.for", "allow=everyone", "instances=1", "do=echo"]);
    let mut holds = host.begins_to_open(bob, &["waited.for", "say=a", "hear", "hold"]);
    holds.wait("heard a");
    let waits = host.begins_to_open(bob, &["waited.for", "wait=60000", "say=b", "hear"]);
    let waiting = || host.pipe("waited.for").is_some_and(|pipe| pipe.waiting == 1);
    eventually("it waits", waiting);
    killed(&host);
    eventually("it waits with the next daemon, too", waiting);
    assert_eq!(holds.end().code, 0);
    let run = waits.end();
    assert!(run.out.contains("heard b"), "{run:?}");
}

#[test]
fn instances_are_counted_right_after_the_daemon_died() {
    if !needs_root("instances_are_counted_right_after_the_daemon_died") {
        return;
    }
    let (host, _logons, alice, bob) = with_two(HostBuilder::new());
    let _server = host.serves(alice, &["counted", "allow=everyone", "instances=2", "do=echo"]);
    let mut before = host.begins_to_open(bob, &["counted", "say=a", "hear", "hold"]);
    before.wait("heard a");
    let first = told(&before.text(), "opened")["instance"].as_u64();
    killed(&host);
    let mut after = host.begins_to_open(bob, &["counted", "say=b", "hear", "hold"]);
    after.wait("heard b");
    assert_eq!(error_of(&host.opens(bob, &["counted"])), "231", "there are two, and both are taken");
    let pipe = host.pipe("counted").expect("it is served");
    assert_eq!((pipe.connected, pipe.listening, pipe.instances_max), (2, 0, Some(2)));
    let second = told(&after.text(), "opened")["instance"].as_u64();
    assert!(first < second, "no number is given twice: {first:?} {second:?}");
    let clients = pipe.clients.expect("outside is an administrator");
    let shown: Vec<u64> = clients.iter().map(|client| client.instance).collect();
    assert_eq!(Some(shown), second.map(|second| vec![second]), "who came before is counted, not listed");
    // Who came before the daemon died gives its instance back, too.
    assert_eq!(before.end().code, 0);
    let run = host.opens(bob, &["counted", "wait=20000", "say=c", "hear"]);
    assert!(run.out.contains("heard c"), "{run:?}");
    assert_eq!(after.end().code, 0);
    eventually("both listen again", || host.pipe("counted").is_some_and(|pipe| pipe.listening == 2));
}

#[test]
fn an_end_that_closes_while_the_daemon_is_away_is_known_afterwards() {
    if !needs_root("an_end_that_closes_while_the_daemon_is_away_is_known_afterwards") {
        return;
    }
    let (host, _logons, alice, bob) = with_two(HostBuilder::new());
    let mut server = host.serves(alice, &["closes", "allow=everyone", "instances=1", "do=hold"]);
    let dying = host.serves(At::Outside, &["dies", "allow=everyone"]);
    let mut client = host.begins_to_open(At::Outside, &["closes", "hold"]);
    client.wait("opened");
    let old = stopped(&host);
    drop(client);
    server.wait("ended ");
    drop(dying);
    host.kill(old);
    assert_eq!(host.opens(bob, &["closes", "wait=20000"]).code, 0);
    assert!(host.opens(bob, &["closes", "wait=20000"]).out.contains("opened"), "its instance is free");
    assert_eq!(error_of(&host.opens(bob, &["dies"])), "2", "nobody serves it any more");
    eventually("its socket is gone", || host.pipe_sockets() == ["closes"]);
}

#[test]
fn inits_death_ends_the_pipes_of_session_0_and_no_others() {
    if !needs_python("inits_death_ends_the_pipes_of_session_0_and_no_others") {
        return;
    }
    let builder = HostBuilder::new();
    let command = format!("command = [{:?}, 'pipe-serve', 'of.service', 'do=echo']\n", builder.probe());
    let text =
        format!("{command}account = 'nobody'\nstart = 'auto'\n[pipe.'of.service']\naccess = ['everyone']\n");
    let (host, _logons, alice, bob) = with_two(builder.service("serves", &text));
    host.wait_log("serves", "listening");
    let _server = host.serves(alice, &["of.user", "allow=everyone", "do=echo"]);
    let mut goes_on = host.begins_to_open(bob, &["of.user", "say=a", "hear", "hold", "say=b", "hear"]);
    goes_on.wait("heard a");
    let mut ends = host.begins_to_open(bob, &["of.service", "say=a", "hear", "hear"]);
    ends.wait("heard a");
    let before = host.pids("serves");
    host.kill(host.pids("init")[0]);
    assert_eq!(error_of(&ends.end()), "109", "its server is gone");
    eventually("its service runs again", || {
        let now = host.pids("serves");
        !now.is_empty() && now != before
    });
    let run = host.opens(bob, &["of.service", "wait=20000", "say=c", "hear"]);
    assert!(run.out.contains("heard c"), "{run:?}");
    let run = goes_on.end();
    assert!(run.out.contains("heard b"), "it did not notice: {run:?}");
    for (at, name) in [(bob, "of.user"), (bob, "of.service"), (At::Outside, "of.user")] {
        let read = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.send(b'x'); print(s.recv(9))";
        let run = Run::of(&mut host.python_at(at, read, &[&host.pipe_socket(at, name)]));
        assert_eq!(run.out.trim(), "b'x'", "{name} has its socket: {run:?}");
    }
    // What a new daemon must know is kept by the new init.
    killed(&host);
    for name in ["of.user", "of.service"] {
        let run = host.opens(bob, &[name, "wait=20000", "say=d", "hear"]);
        assert!(run.out.contains("heard d"), "{name}: {run:?}");
        let squatter = host.begins_to_serve(bob, &[name, "allow=everyone"]).end();
        assert_eq!(error_of(&squatter), "5");
    }
}

#[test]
fn a_logoff_ends_a_users_pipes_and_down_leaves_nothing() {
    if !needs_root("a_logoff_ends_a_users_pipes_and_down_leaves_nothing") {
        return;
    }
    let (mut host, _logons, alice, bob) = with_two(HostBuilder::new());
    let _hers = host.serves(alice, &["hers", "allow=everyone", "do=echo"]);
    let _his = host.serves(bob, &["his", "allow=everyone", "do=echo"]);
    let _outside = host.serves(At::Outside, &["outside", "allow=everyone"]);
    let mut client = host.begins_to_open(bob, &["hers", "say=a", "hear", "hear"]);
    client.wait("heard a");
    assert_eq!(host.pipe_sockets(), ["hers", "his", "outside"]);
    let At::Session(session) = alice else { return };
    host.s0(&["session", "logoff", &session.to_string()]).ok();
    assert_eq!(error_of(&client.end()), "109");
    eventually("her pipe is gone", || host.pipe("hers").is_none());
    assert_eq!(host.pipe_sockets(), ["his", "outside"]);
    assert!(host.opens(bob, &["his", "say=b", "hear"]).out.contains("heard b"));
    host.s0(&["down"]).ok();
    if let Some(mut keeper) = host.take_keeper() {
        let _ = keeper.wait();
    }
    assert_eq!(host.pipe_sockets(), [""; 0]);
}

#[test]
fn an_upgrade_passes_open_pipes_on() {
    if !needs_root("an_upgrade_passes_open_pipes_on") {
        return;
    }
    let (host, _logons, alice, bob) = with_two(HostBuilder::new());
    let _server = host.serves(alice, &["passes", "message", "allow=everyone", "instances=2", "do=echo"]);
    let mut open = host.begins_to_open(bob, &["passes", "say=a", "hear", "hold", "say=b", "hear"]);
    open.wait("heard a");
    let old = host.daemon_pid();
    host.s0(&["upgrade"]).ok();
    host.wait_new_daemon(old);
    let run = host.opens(bob, &["passes", "say=c", "hear"]);
    assert!(run.out.contains("heard c"), "{run:?}");
    let run = open.end();
    assert!(run.out.contains("heard b"), "{run:?}");
}

#[test]
fn starting_and_dying_at_every_moment_leaves_no_name_behind() {
    if !needs_root("starting_and_dying_at_every_moment_leaves_no_name_behind") {
        return;
    }
    let host = HostBuilder::new().start();
    for round in 0..5 {
        let serves = |number: u32| {
            let name = format!("name.{round}.{number}");
            let mut command = Command::new(binary("probe"));
            command.args(["pipe-serve", &name, "allow=everyone"]).env("SESSION0_SOCKET", host.api());
            Program::start(&mut command)
        };
        let mut servers: Vec<Program> = (0..8).map(serves).collect();
        let old = host.daemon_pid();
        // At another moment each time: so many have been answered.
        for server in servers.iter_mut().take(round * 2) {
            server.wait("listening");
        }
        host.kill(old);
        servers.truncate(4);
        host.wait_new_daemon(old);
        for server in &mut servers {
            server.wait("listening");
        }
        for number in 0..4 {
            let name = format!("name.{round}.{number}");
            let run = host.opens(At::Outside, &[&name, "wait=20000", "say=x", "hear"]);
            assert!(run.out.contains("heard x"), "{name}: {run:?}");
        }
        drop(servers);
        eventually("nothing is left", || {
            host.pipe_sockets().is_empty() && host.client().pipes().is_ok_and(|pipes| pipes.is_empty())
        });
    }
}
