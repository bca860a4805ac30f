//! `kill -9` of every one of our programs while users are on: what goes on, what ends, and that whoever is concerned is told.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use serde_json::Value;
use session0_system_tests::{Host, HostBuilder, Logon, PASSWORD, eventually, exists, needs_root};

/// A host with these users, and them on.
fn with(users: &[&str]) -> (Host, Vec<Logon>) {
    let host = HostBuilder::new().start();
    let mut logons = Vec::new();
    for user in users {
        host.person(user);
        logons.push(host.logon(user, PASSWORD));
    }
    (host, logons)
}

/// A host with alice's logon at the question, and how its terminal was set before.
fn asked() -> (Host, Logon, String) {
    let host = HostBuilder::new().start();
    host.person("alice");
    let logon = host.terminal(&["logon", "alice"]);
    let before = logon.settings();
    logon.wait("assword:");
    (host, logon, before)
}

/// What must be known of a session whatever happens to the daemon: facts, and times.
#[derive(Debug)]
struct Known(Vec<Value>, Vec<i64>);

impl PartialEq for Known {
    fn eq(&self, other: &Known) -> bool {
        // The daemon keeps times of a clock that nobody sets; told in milliseconds of the other, the last may differ.
        let near = self.1.iter().zip(&other.1).all(|(one, two)| one.abs_diff(*two) <= 5);
        self.0 == other.0 && near
    }
}

fn known(host: &Host, user: &str) -> Known {
    let session = host.session_of(user).to_string();
    let shown = host.s0(&["session", "show", &session, "--json"]).ok().json();
    let time = |key: &str| shown[key].as_i64().expect("it has that time");
    Known(
        ["id", "user", "uid", "state", "client"].map(|key| shown[key].clone()).to_vec(),
        ["created_ms", "logon_ms", "connected_ms"].map(time).to_vec(),
    )
}

fn stop(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("positive");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("ours");
}

#[test]
fn whoever_types_in_vim_notices_nothing_of_ten_dead_daemons() {
    if !needs_root("whoever_types_in_vim_notices_nothing_of_ten_dead_daemons") {
        return;
    }
    let (host, logons) = with(&["alice"]);
    let logon = &logons[0];
    let before = known(&host, "alice");
    logon.type_line("vim -u NONE note");
    logon.wait("[New");
    logon.type_bytes(b"i");
    let mut expected = String::new();
    for round in 0..10 {
        let old = host.daemon_pid();
        for part in ["before", "while it is away", "after"] {
            let text = format!("{round} {part} the daemon died");
            logon.type_line(&text);
            expected += &(text + "\n");
            match part {
                "before" => host.kill(old),
                "while it is away" => host.wait_new_daemon(old),
                _ => {}
            }
        }
    }
    logon.type_bytes(b"\x1b:$d\r:wq\r");
    logon.wait("written");
    let written = host.run_in(host.session_of("alice"), &["cat", "note"]).out;
    assert_eq!(written, expected, "every byte arrived");
    assert_eq!(known(&host, "alice"), before);
}

#[test]
fn a_daemon_that_dies_during_the_question_ends_the_logon_with_a_clear_word() {
    if !needs_root("a_daemon_that_dies_during_the_question_ends_the_logon_with_a_clear_word") {
        return;
    }
    let (host, mut logon, before) = asked();
    let (old, asking) = (host.daemon_pid(), host.logon_pids());
    assert_eq!(asking.len(), 1);
    host.kill(old);
    assert_eq!(logon.ended(), 4, "{}", logon.text());
    assert!(logon.text().contains("could not log on as alice"), "{}", logon.text());
    assert_eq!(logon.settings(), before, "its terminal is as it was");
    eventually("the process that asked is gone", || !exists(asking[0]));
    host.wait_new_daemon(old);
    assert_eq!(host.sessions().len(), 1, "nobody is logged on");
    assert!(host.logon("alice", PASSWORD).shell("id -un").contains("alice"));
}

#[test]
fn a_daemon_that_dies_between_the_password_and_the_shell_leaves_nothing_half() {
    if !needs_root("a_daemon_that_dies_between_the_password_and_the_shell_leaves_nothing_half") {
        return;
    }
    let host = HostBuilder::new().start();
    host.person("alice");
    for round in 0..6 {
        let mut logon = host.terminal(&["logon", "alice"]);
        logon.wait("assword:");
        let old = host.daemon_pid();
        logon.type_line(PASSWORD);
        // At another moment each time: as soon as the list knows of a session, or before.
        if round % 2 == 1 {
            eventually("a session is in the list", || {
                !host.sessions_of("alice").is_empty() || logon.text().contains("session")
            });
        }
        host.kill(old);
        host.wait_new_daemon(old);
        // Either the client was told that nothing came of it, or it is in a session that works.
        eventually("it is in a session or has ended", || {
            logon.text().contains("this is session") || logon.text().contains("could not log on")
        });
        if logon.text().contains("this is session") {
            assert!(logon.shell("id -un").contains("alice"), "{}", logon.text());
            logon.type_line("exit");
        }
        logon.ended();
        host.wait_sessions("alice", 0);
    }
    let groups = host.group("..");
    eventually("no group of a session is left", || {
        let entries = std::fs::read_dir(&groups).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("session-")).count() == 1
    });
}

#[test]
fn the_process_that_asks_can_be_killed_and_only_its_logon_is_over() {
    if !needs_root("the_process_that_asks_can_be_killed_and_only_its_logon_is_over") {
        return;
    }
    let (host, logons) = with(&["alice"]);
    host.person("bob");
    let mut other = host.terminal(&["logon", "bob"]);
    other.wait("assword:");
    let asking = host.logon_pids();
    assert_eq!(asking.len(), 1);
    host.kill(asking[0]);
    assert_eq!(other.ended(), 4, "{}", other.text());
    assert!(other.text().contains("could not log on as bob"), "{}", other.text());
    assert!(logons[0].shell("id -un").contains("alice"));
    assert!(host.logon("bob", PASSWORD).shell("id -un").contains("bob"));
}

#[test]
fn a_sessions_init_can_be_killed_and_only_that_session_ends() {
    if !needs_root("a_sessions_init_can_be_killed_and_only_that_session_ends") {
        return;
    }
    let (host, mut logons) = with(&["alice", "bob"]);
    logons[0].shell("setsid sleep 1000 &");
    let (session, bobs) = (host.session_of("alice"), known(&host, "bob"));
    let pids = host.pids_in(session);
    assert!(pids.len() >= 2, "{pids:?}");
    host.kill(host.init_of(session));
    logons[0].ended();
    assert!(logons[0].text().contains(&format!("session {session} ended")), "{}", logons[0].text());
    host.wait_sessions("alice", 0);
    assert!(pids.iter().all(|pid| !exists(*pid)), "nothing of it is left");
    assert_eq!(known(&host, "bob"), bobs);
    assert!(logons[1].shell("id -un").contains("bob"));
    assert!(host.logon("alice", PASSWORD).shell("id -un").contains("alice"));
}

#[test]
fn session_0s_init_can_be_killed_and_users_sessions_go_on() {
    if !needs_root("session_0s_init_can_be_killed_and_users_sessions_go_on") {
        return;
    }
    let (host, logons) = with(&["alice"]);
    let before = known(&host, "alice");
    let old = host.pids("init");
    host.kill(old[0]);
    eventually("Session 0 is made again", || {
        let new = host.pids("init");
        !new.is_empty()
            && new != old
            && host.sessions().iter().any(|one| one["id"] == 0 && one["state"] == "disconnected")
    });
    assert!(logons[0].shell("id -un").contains("alice"));
    assert_eq!(known(&host, "alice"), before);
    eventually("programs can be started in it", || {
        host.run_in(host.session_of("alice"), &["true"]).code == 0
    });
}

#[test]
fn a_shell_that_exits_while_the_daemon_is_away_ends_its_session() {
    if !needs_root("a_shell_that_exits_while_the_daemon_is_away_ends_its_session") {
        return;
    }
    let (host, mut logons) = with(&["alice"]);
    let session = host.session_of("alice");
    let pids = host.pids_in(session);
    let daemon = host.daemon_pid();
    // Stopped, not killed: the exit certainly happens while no daemon looks.
    stop(daemon);
    logons[0].type_line("exit");
    eventually("the shell is gone", || pids.iter().all(|pid| !exists(*pid)));
    host.kill(daemon);
    host.wait_new_daemon(daemon);
    logons[0].ended();
    assert!(logons[0].text().contains(&format!("session {session} ended")), "{}", logons[0].text());
    host.wait_sessions("alice", 0);
}

#[test]
fn a_terminal_that_goes_away_while_the_daemon_is_away_ends_its_session() {
    if !needs_root("a_terminal_that_goes_away_while_the_daemon_is_away_ends_its_session") {
        return;
    }
    let (host, mut logons) = with(&["alice"]);
    let daemon = host.daemon_pid();
    stop(daemon);
    logons[0].hang_up();
    logons[0].ended();
    host.kill(daemon);
    host.wait_new_daemon(daemon);
    host.wait_sessions("alice", 0);
}

#[test]
fn a_logoff_goes_on_to_its_end_with_the_next_daemon() {
    if !needs_root("a_logoff_goes_on_to_its_end_with_the_next_daemon") {
        return;
    }
    let (host, mut logons) = with(&["alice"]);
    let session = host.session_of("alice");
    let mut deaf =
        host.begin_in(session, &["sh", "-c", "trap '' HUP TERM; echo up; while :; do sleep 0.05; done"]);
    deaf.wait("up");
    let pids = host.pids_in(session);
    host.s0(&["session", "logoff", &session.to_string(), "--no-wait"]).ok();
    let old = host.daemon_pid();
    host.kill(old);
    host.wait_new_daemon(old);
    host.wait_sessions("alice", 0);
    logons[0].ended();
    eventually("nothing of it is left", || pids.iter().all(|pid| !exists(*pid)));
}

#[test]
fn the_terminal_is_as_it_was_although_the_daemon_died_meanwhile() {
    if !needs_root("the_terminal_is_as_it_was_although_the_daemon_died_meanwhile") {
        return;
    }
    let (host, mut logon, before) = asked();
    logon.type_line(PASSWORD);
    logon.wait("$ ");
    let old = host.daemon_pid();
    host.kill(old);
    host.wait_new_daemon(old);
    assert_ne!(logon.settings(), before, "it is still the session's");
    logon.type_line("exit");
    assert_eq!(logon.ended(), 0, "{}", logon.text());
    assert_eq!(logon.settings(), before);
}

#[test]
fn the_daemon_is_upgraded_while_users_are_on() {
    if !needs_root("the_daemon_is_upgraded_while_users_are_on") {
        return;
    }
    let (host, logons) = with(&["alice"]);
    let (before, old) = (known(&host, "alice"), host.daemon_pid());
    host.s0(&["upgrade"]).ok();
    host.wait_new_daemon(old);
    assert_eq!(known(&host, "alice"), before);
    assert!(logons[0].shell("id -un").contains("alice"));
}

#[test]
fn the_keeper_can_be_killed_and_sessions_go_on_under_the_next() {
    if !needs_root("the_keeper_can_be_killed_and_sessions_go_on_under_the_next") {
        return;
    }
    let (mut host, logons) = with(&["alice"]);
    let before = known(&host, "alice");
    let mut keeper = host.take_keeper().expect("it was ours");
    host.kill(i32::try_from(keeper.id()).expect("a pid"));
    let _ = keeper.wait();
    host.up_again();
    host.wait_until_up();
    assert_eq!(known(&host, "alice"), before);
    assert!(logons[0].shell("id -un").contains("alice"));
}

#[test]
fn programs_started_from_outside_survive_the_daemon_and_their_end_is_told() {
    if !needs_root("programs_started_from_outside_survive_the_daemon_and_their_end_is_told") {
        return;
    }
    let (host, _logons) = with(&["alice"]);
    let session = host.session_of("alice");
    let mut program = host.begin_in(session, &["sh", "-c", "echo up; read line; echo got $line; exit 7"]);
    program.wait("up");
    let old = host.daemon_pid();
    host.kill(old);
    host.wait_new_daemon(old);
    program.say("word\n");
    let run = program.end();
    assert!(run.out.contains("got word"), "{}", run.out);
    assert_eq!(run.code, 7, "{}", run.err);
}

#[test]
fn a_program_of_a_session_that_ended_is_not_taken_for_one_outside_by_a_pipe() {
    if !needs_root("a_program_of_a_session_that_ended_is_not_taken_for_one_outside_by_a_pipe") {
        return;
    }
    let (host, _logons) = with(&["alice"]);
    let run = host.root().join("run/session0");
    let mut server = UnixStream::connect(run.join("api")).expect("the host is up");
    let listen = r#"{"method":"io.session0.Pipe.Listen","upgrade":true,"parameters":{"pipe":"post","access":["everyone"]}}"#;
    say(&mut server, listen);
    assert_eq!(hear(&mut server)["parameters"]["name"], "post");
    let session = host.session_of("alice");
    let before = host.pids_in(session).len();
    let connect = "perl -MIO::Socket::UNIX -e \
        'print {IO::Socket::UNIX->new(Peer => q(/run/session0/pipe/post))} 1; open F, q(>connected)'";
    let script = format!("until [ -e go ]; do sleep 0.02; done; exec {connect}");
    let program = host.begin_in(session, &["sh", "-c", &script]);
    eventually("it waits", || before < host.pids_in(session).len());
    // It connects, and ends, while there is nobody to look who it is.
    let (daemon, home) = (host.daemon_pid(), host.root().join("home/alice"));
    stop(daemon);
    std::fs::write(home.join("go"), "").expect("our own root");
    eventually("it has ended", || host.pids_in(session).len() == before);
    assert!(home.join("connected").exists(), "it was able to");
    host.kill(daemon);
    host.wait_new_daemon(daemon);
    assert!(hear(&mut server)["recount"].is_object());
    say(&mut server, r#"{"counted":{"listening":1,"connected":0}}"#);
    let _outside = UnixStream::connect(run.join("pipe/post")).expect("it is served");
    let client = hear(&mut server)["connected"]["client"].clone();
    assert_eq!((&client["uid"], &client["session"]), (&Value::from(0), &Value::Null), "the next one is ours");
    drop(program);
}

/// One object of the host's conversation with a pipe's server.
fn say(server: &mut UnixStream, object: &str) {
    server.write_all(format!("{object}\0").as_bytes()).expect("the host reads");
}

fn hear(server: &mut UnixStream) -> Value {
    let mut object = Vec::new();
    let mut byte = [0];
    while server.read_exact(&mut byte).is_ok() && byte != [0] {
        object.push(byte[0]);
    }
    serde_json::from_slice(&object).expect("the host says an object")
}
