//! A session's life: what belongs to it, what ends it, and that its end is the end of everything in it.

use session0_system_tests::{
    Host, HostBuilder, PASSWORD, Shared, eventually, exists, needs_root, probe_path,
};

static SHARED: Shared = Shared::new();
static DISCONNECTING: Shared = Shared::new();

fn host() -> &'static Host {
    SHARED.host("sessions_per_user = 2\n")
}

fn disconnecting() -> &'static Host {
    DISCONNECTING.host("[sessions]\nhang_up = \"disconnect\"\n")
}

fn field(host: &Host, session: u32, name: &str) -> serde_json::Value {
    host.s0(&["session", "show", &session.to_string(), "--json"]).ok().json()[name].clone()
}

#[test]
fn leaving_the_shell_ends_everything_that_was_started_also_what_hid_itself() {
    if !needs_root("leaving_the_shell_ends_everything_that_was_started_also_what_hid_itself") {
        return;
    }
    host().person("leaver");
    let mut logon = host().logon("leaver", PASSWORD);
    let session = host().session_of("leaver");
    logon.shell("sleep 1000 &");
    logon.shell("nohup sleep 1000 > /dev/null 2>&1 &");
    logon.shell("setsid sleep 1000 > /dev/null 2>&1 < /dev/null");
    // Twice forked, a session of its own, and deaf to everything that can be ignored.
    logon.shell("(trap '' HUP TERM INT; setsid sh -c 'trap \"\" HUP TERM; (sleep 1000) & sleep 1000' > /dev/null 2>&1 &)");
    let mut pids = Vec::new();
    eventually("all of it runs", || {
        pids = host().pids_in(session);
        pids.len() >= 6
    });
    logon.type_line("exit");
    assert_eq!(logon.ended(), 0);
    assert!(logon.text().contains(&format!("session {session} ended")), "{}", logon.text());
    host().wait_sessions("leaver", 0);
    for pid in pids {
        eventually(&format!("{pid} is gone"), || !exists(pid));
    }
}

#[test]
fn logoff_tells_programs_and_kills_what_does_not_listen() {
    if !needs_root("logoff_tells_programs_and_kills_what_does_not_listen") {
        return;
    }
    host().person("logger");
    let mut logon = host().logon("logger", PASSWORD);
    let session = host().session_of("logger");
    let told = host().visible().join("told");
    std::fs::create_dir(&told).expect("our own directory");
    std::fs::set_permissions(&told, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("ours");
    let script =
        format!("trap 'echo yes > {}/hup; exit' HUP; echo up; while :; do sleep 0.05; done", told.display());
    let mut listener = host().begin_in(session, &["/bin/sh", "-c", &script]);
    listener.wait("up");
    let mut deaf = host()
        .begin_in(session, &["/bin/sh", "-c", "trap '' HUP TERM; echo up; while :; do sleep 0.05; done"]);
    deaf.wait("up");
    host().s0(&["session", "logoff", &session.to_string()]).ok();
    assert!(host().sessions_of("logger").is_empty(), "logoff waits for the end");
    logon.ended();
    assert!(logon.text().contains("ended"), "{}", logon.text());
    assert!(told.join("hup").exists(), "a program that listens was told");
    for program in [listener, deaf] {
        assert_ne!(program.end().code, 0);
    }
}

#[test]
fn a_terminal_that_goes_away_ends_its_session() {
    if !needs_root("a_terminal_that_goes_away_ends_its_session") {
        return;
    }
    host().person("hangs");
    let mut logon = host().logon("hangs", PASSWORD);
    logon.hang_up();
    host().wait_sessions("hangs", 0);
    let mut logon = host().logon("hangs", PASSWORD);
    logon.kill();
    host().wait_sessions("hangs", 0);
}

#[test]
fn a_session_is_kept_when_its_terminal_goes_away_where_that_is_set_and_is_come_back_to() {
    if !needs_root("a_session_is_kept_when_its_terminal_goes_away_where_that_is_set_and_is_come_back_to") {
        return;
    }
    let host = disconnecting();
    host.person("keeper");
    let mut logon = host.logon("keeper", PASSWORD);
    let session = host.session_of("keeper");
    let logged_on = field(host, session, "logon_ms");
    logon.shell("KEPT=kept-4711; sleep 1000 &");
    logon.hang_up();
    eventually("it is disconnected", || field(host, session, "state") == "disconnected");
    assert!(field(host, session, "disconnected_ms").is_i64());
    let again = host.terminal(&["logon", "keeper"]);
    again.give_password(PASSWORD);
    again.wait(&format!("session {session} goes on here"));
    let kept = again.shell("echo $KEPT; jobs");
    assert!(kept.contains("kept-4711") && kept.contains("sleep 1000"), "{kept}");
    assert_eq!(field(host, session, "logon_ms"), logged_on, "he logged on then");
    assert!(field(host, session, "disconnected_ms").is_null());
    assert_eq!(host.session_of("keeper"), session);
}

#[test]
fn killing_the_client_leaves_the_session_where_that_is_set() {
    if !needs_root("killing_the_client_leaves_the_session_where_that_is_set") {
        return;
    }
    let host = disconnecting();
    host.person("killed");
    let mut logon = host.logon("killed", PASSWORD);
    let session = host.session_of("killed");
    logon.kill();
    eventually("it is disconnected", || field(host, session, "state") == "disconnected");
    host.s0(&["session", "logoff", &session.to_string()]).ok();
    assert!(host.sessions_of("killed").is_empty());
}

#[test]
fn an_administrator_and_the_user_run_programs_in_a_session_and_others_do_not() {
    if !needs_root("an_administrator_and_the_user_run_programs_in_a_session_and_others_do_not") {
        return;
    }
    for name in ["runa", "runb"] {
        host().person(name);
    }
    let (a, b) = (host().logon("runa", PASSWORD), host().logon("runb", PASSWORD));
    let (ida, idb) = (host().session_of("runa"), host().session_of("runb"));
    let run = host().run_in(ida, &["sh", "-c", "id -un; echo err >&2; exit 7"]);
    assert_eq!((run.code, run.out.trim(), run.err.trim()), (7, "runa", "err"));
    assert_eq!(host().run_in(ida, &["sh", "-c", "kill -9 $$"]).code, 137);
    let missing = host().run_in(ida, &["not-there"]);
    assert!(missing.code == 1 && missing.err.contains("ENOENT"), "{}", missing.err);
    let s0 = host().visible_s0();
    let own = a.shell(&format!(
        "{s0} session run {ida} -T -- id -un; {s0} session run {idb} -T -- id -un; echo code-$?-"
    ));
    assert!(own.contains("runa") && own.contains("code-3-") && !own.contains("runb"), "{own}");
    let off = b.shell(&format!("{s0} session logoff {ida}; echo code-$?-"));
    assert!(off.contains("code-3-"), "{off}");
    assert_eq!(host().sessions_of("runa"), [ida]);
}

#[test]
fn bytes_pass_unchanged_through_a_program_in_a_session() {
    if !needs_root("bytes_pass_unchanged_through_a_program_in_a_session") {
        return;
    }
    host().person("bytes");
    let _logon = host().logon("bytes", PASSWORD);
    let session = host().session_of("bytes");
    let text: String = (0..200_000).map(|number| format!("line {number} \u{1b}[0m\u{4}\u{3}\n")).collect();
    let mut program = host().begin_in(session, &["cat"]);
    program.say(&text);
    let run = program.end();
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out == text, "{} bytes of {}", run.out.len(), text.len());
}

#[test]
fn a_user_with_the_right_starts_a_service_and_it_runs_in_session_0() {
    if !needs_root("a_user_with_the_right_starts_a_service_and_it_runs_in_session_0") {
        return;
    }
    let builder = HostBuilder::new();
    let probe = builder.probe();
    let text = format!("command = ['{probe}', 'sleep']\n");
    let host = builder.service("work", &text).start();
    for name in ["admin", "guest"] {
        host.person(name);
    }
    let settings = "[administrators]\nusers = [\"admin\"]\n";
    std::fs::write(host.root().join("etc/session0/host.toml"), settings).expect("our own root");
    host.s0(&["reload"]).ok();
    let (admin, guest) = (host.logon("admin", PASSWORD), host.logon("guest", PASSWORD));
    let s0 = host.visible_s0();
    let refused = guest.shell(&format!("{s0} service start work; echo code-$?-"));
    assert!(refused.contains("code-3-"), "{refused}");
    assert_eq!(host.state("work"), "Stopped");
    let started = admin.shell(&format!("{s0} service start work; echo code-$?-"));
    assert!(started.contains("code-0-"), "{started}");
    assert_eq!(host.pids("work").len(), 1, "it is in Session 0's groups");
    let session = host.session_of("admin");
    assert!(!host.pids_in(session).contains(&host.pids("work")[0]));
    let seen = host.sh_in(session, "ps ax");
    assert!(!seen.contains(&probe_path(&host)), "{seen}");
}

#[test]
fn session_numbers_are_never_used_again_also_after_down_and_up() {
    if !needs_root("session_numbers_are_never_used_again_also_after_down_and_up") {
        return;
    }
    let mut host = HostBuilder::new().start();
    host.person("alice");
    let mut last = 0;
    for round in 0..4 {
        let mut logon = host.logon("alice", PASSWORD);
        let session = host.session_of("alice");
        assert!(session > last, "{session} after {last}");
        last = session;
        if round == 1 {
            // With the user on.
            host.s0(&["down"]).ok();
            let mut keeper = host.take_keeper().expect("it was ours");
            let _ = keeper.wait();
            logon.ended();
            host.up_again();
            host.wait_until_up();
        } else {
            logon.type_line("exit");
            logon.ended();
            host.wait_sessions("alice", 0);
        }
    }
}

#[test]
fn down_with_users_on_ends_their_sessions_and_tells_them() {
    if !needs_root("down_with_users_on_ends_their_sessions_and_tells_them") {
        return;
    }
    let host = HostBuilder::new().start();
    let mut logons = Vec::new();
    let mut pids = Vec::new();
    for name in ["alice", "bob"] {
        host.person(name);
        let logon = host.logon(name, PASSWORD);
        logon.shell("sleep 1000 &");
        pids.extend(host.pids_in(host.session_of(name)));
        logons.push((logon, name));
    }
    assert!(pids.len() >= 4, "{pids:?}");
    assert_eq!(host.down().code, 0);
    for (mut logon, name) in logons {
        logon.ended();
        let text = logon.text();
        assert!(text.contains("ended") && text.contains("shut"), "{name} is told: {text}");
    }
    for pid in pids {
        assert!(!exists(pid), "{pid} lives on");
    }
}
