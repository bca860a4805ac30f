//! A person's terminal passed on to a session: real programs on it, every byte, and what it is like afterwards.

use std::process::Command;

use session0_system_tests::{Host, Logon, PASSWORD, Shared, eventually, exists, needs_root, skip};

static SHARED: Shared = Shared::new();

fn host() -> &'static Host {
    SHARED.host("sessions_per_user = 2\n")
}

fn logon(name: &str) -> Logon {
    host().person(name);
    host().logon(name, PASSWORD)
}

/// A program that a test needs is there.
fn has(test: &str, program: &str) -> bool {
    let there = Command::new("which").arg(program).output().is_ok_and(|output| output.status.success());
    if !there {
        skip(test, &format!("{program} is not installed"));
    }
    there && needs_root(test)
}

/// What is in a file of the user's home.
fn content(host: &Host, user: &str, file: &str) -> String {
    host.run_in(host.session_of(user), &["cat", file]).out
}

#[test]
fn vim_edits_and_saves_a_file() {
    if !has("vim_edits_and_saves_a_file", "vim") {
        return;
    }
    let logon = logon("vimmer");
    logon.type_line("vim -u NONE note");
    logon.wait("[New");
    logon.type_bytes(b"ifirst line\rsecond \x1b");
    logon.type_bytes(b"aline\x1b:wq\r");
    logon.wait("written");
    logon.wait_prompt();
    assert!(logon.shell("cat note").contains("second line"), "{}", logon.text());
    assert_eq!(content(host(), "vimmer", "note"), "first line\nsecond line\n");
}

#[test]
fn top_shows_the_sessions_programs_and_is_left() {
    if !has("top_shows_the_sessions_programs_and_is_left", "top") {
        return;
    }
    let logon = logon("topper");
    logon.type_line("top");
    logon.wait("PID");
    logon.wait("bash");
    logon.type_bytes(b"q");
    logon.wait_prompt();
    assert!(logon.shell("echo left").contains("left"));
}

#[test]
fn tmux_runs_inside_a_session_and_ends_with_it() {
    if !has("tmux_runs_inside_a_session_and_ends_with_it", "tmux") {
        return;
    }
    let mut logon = logon("muxer");
    let session = host().session_of("muxer");
    logon.type_line("tmux -f /dev/null new");
    logon.wait("[0] 0:");
    // tmux draws only what changes: the number says that the shell in it has run something.
    logon.type_line("tty > inside; echo $((4000+711))");
    logon.wait("4711");
    assert_eq!(content(host(), "muxer", "inside").trim(), "/dev/pts/1");
    logon.type_bytes(b"\x02d");
    logon.wait("[detached");
    let pids = host().pids_in(session);
    assert!(pids.len() >= 3, "tmux goes on behind: {pids:?}");
    logon.type_line("exit");
    logon.ended();
    host().wait_sessions("muxer", 0);
    for pid in pids {
        eventually("nothing of it is left", || !exists(pid));
    }
}

#[test]
fn less_pages_and_searches() {
    if !has("less_pages_and_searches", "less") {
        return;
    }
    let logon = logon("lesser");
    logon.shell("seq 1 5000 > numbers");
    logon.type_line("less numbers");
    logon.wait("numbers");
    logon.type_bytes(b"/^4711$\r");
    logon.wait("4712");
    logon.type_bytes(b"q");
    logon.wait_prompt();
    assert!(logon.shell("echo left").contains("left"));
}

#[test]
fn keys_interrupt_stop_and_continue_programs() {
    if !needs_root("keys_interrupt_stop_and_continue_programs") {
        return;
    }
    let logon = logon("keys");
    logon.type_line("sleep 1000");
    let session = host().session_of("keys");
    let runs = |what: &str| host().sh_in(session, &format!("ps ax -o stat=,args= | grep '[s]leep {what}'"));
    eventually("it runs", || runs("1000").contains("S+"));
    logon.type_bytes(b"\x03");
    assert!(logon.shell("echo code-$?-").contains("code-130-"), "^C interrupts: {}", logon.text());
    logon.type_line("sleep 2000");
    eventually("it runs", || runs("2000").contains("S+"));
    logon.type_bytes(b"\x1a");
    logon.wait("Stopped");
    eventually("^Z stops it", || runs("2000").starts_with('T'));
    assert!(logon.shell("jobs").contains("Stopped"));
    logon.shell("bg");
    eventually("bg lets it go on behind", || runs("2000").starts_with("S "));
    logon.type_line("fg");
    eventually("fg brings it back", || runs("2000").contains("S+"));
    logon.type_bytes(b"\x1c");
    assert!(logon.shell("echo code-$?-").contains("code-131-"), "^\\ quits: {}", logon.text());
}

#[test]
fn a_new_size_reaches_programs_and_vim_draws_anew() {
    if !has("a_new_size_reaches_programs_and_vim_draws_anew", "vim") {
        return;
    }
    let logon = logon("sizes");
    assert!(logon.shell("stty size").contains("24 80"));
    logon.resize(40, 120);
    eventually("the shell's terminal has it", || logon.shell("stty size").contains("40 120"));
    logon.shell("seq 1 100 > long");
    logon.type_line("vim -u NONE long");
    logon.wait("\n39");
    logon.resize(60, 120);
    // The lines beyond the old size are drawn.
    logon.wait("\n59");
    logon.type_bytes(b":q!\r");
    logon.wait_prompt();
    assert!(logon.shell("stty size").contains("60 120"));
}

#[test]
fn a_terminals_variables_come_with_it_and_dangerous_ones_do_not() {
    if !needs_root("a_terminals_variables_come_with_it_and_dangerous_ones_do_not") {
        return;
    }
    host().person("colours");
    let path = format!("/session0-test-path:{}", std::env::var("PATH").unwrap_or_default());
    let environment = [
        ("TERM", "screen-256color"),
        ("COLORTERM", "truecolor"),
        ("LC_TIME", "C.UTF-8"),
        ("LC_PAPER", "$(touch /tmp/x)"),
        ("LD_LIBRARY_PATH", "/session0-test-library"),
        ("LD_BIND_NOW", "1"),
        ("BASH_ENV", "/session0-test-env"),
        ("IFS", "x"),
        ("PATH", path.as_str()),
    ];
    let logon = host().terminal_with(&["logon", "colours"], &environment);
    logon.give_password(PASSWORD);
    logon.wait("$ ");
    let shown = logon.shell("env | sort");
    for line in ["TERM=screen-256color", "COLORTERM=truecolor", "LC_TIME=C.UTF-8"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    for word in ["session0-test", "LD_", "BASH_ENV", "touch"] {
        assert!(!shown.contains(word), "{word}: {shown}");
    }
}

#[test]
fn a_megabyte_pasted_into_cat_arrives_whole() {
    if !needs_root("a_megabyte_pasted_into_cat_arrives_whole") {
        return;
    }
    let logon = logon("paster");
    // Echo off: what is typed would come back, and nobody has to read it.
    logon.shell("stty -echo");
    logon.type_line("cat > pasted; echo done-$((4000+711))-");
    let text: String =
        (0..26_000).map(|number| format!("{number:05} {}\n", "0123456789".repeat(3) + "0123")).collect();
    assert!(text.len() > 1 << 20);
    logon.type_all(text.as_bytes());
    logon.type_bytes(b"\x04");
    logon.wait("done-4711-");
    let arrived = content(host(), "paster", "pasted");
    assert!(arrived == text, "{} bytes of {}", arrived.len(), text.len());
}

#[test]
fn a_flood_is_shown_to_its_end() {
    if !needs_root("a_flood_is_shown_to_its_end") {
        return;
    }
    let logon = logon("flood");
    logon.type_line("yes 'a line of the flood' | head -c 50000000; echo end-$((4000+711))-");
    let shown = logon.wait_last("end-4711-");
    // A terminal puts a carriage return before each newline.
    let lines = 50_000_000 / 20;
    assert!(shown >= 50_000_000 + lines, "{shown} bytes were shown");
    assert!(logon.shell("echo alive").contains("alive"));
}

#[test]
fn a_flood_is_stopped_by_a_key() {
    if !needs_root("a_flood_is_stopped_by_a_key") {
        return;
    }
    let logon = logon("stopper");
    logon.type_line("yes flood");
    logon.wait("flood\r\nflood");
    logon.type_bytes(b"\x03");
    logon.type_line("echo end-$((4000+711))-");
    logon.wait_last("end-4711-");
    assert!(host().s0(&["session", "list"]).code == 0, "the host answers");
}

/// A terminal before a logon, during it, and after what `end` does to it.
fn restored(name: &str, end: impl FnOnce(&mut Logon, u32)) {
    host().person(name);
    let mut logon = host().terminal_with(&["logon", name], &[]);
    let before = logon.settings();
    logon.wait("assword:");
    assert_ne!(logon.settings(), before, "a password is not shown");
    logon.type_line(PASSWORD);
    logon.wait("$ ");
    assert_ne!(logon.settings(), before, "every key is the session's");
    end(&mut logon, host().session_of(name));
    logon.ended();
    eventually("the terminal is as it was", || logon.settings() == before);
}

#[test]
fn the_terminal_is_as_it_was_after_a_normal_end() {
    if !needs_root("the_terminal_is_as_it_was_after_a_normal_end") {
        return;
    }
    restored("exits", |logon, _| logon.type_line("exit"));
}

#[test]
fn the_terminal_is_as_it_was_after_a_logoff() {
    if !needs_root("the_terminal_is_as_it_was_after_a_logoff") {
        return;
    }
    restored("loggedoff", |logon, session| {
        logon.type_line("stty raw; printf '\\033[?1049h\\033[?25l'");
        eventually("another screen is shown", || logon.text().contains("\u{1b}[?25l"));
        host().s0(&["session", "logoff", &session.to_string()]).ok();
    });
}

#[test]
fn the_terminal_is_as_it_was_after_a_take_over_and_the_screen_too() {
    if !has("the_terminal_is_as_it_was_after_a_take_over_and_the_screen_too", "vim") {
        return;
    }
    let mut second = None;
    restored("overtaken", |logon, _| {
        logon.type_line("vim -u NONE note");
        logon.wait("[New");
        let other = host().terminal(&["logon", "overtaken"]);
        other.give_password(PASSWORD);
        // vim draws its screen there.
        other.wait("goes on here");
        other.wait("[34m~");
        logon.wait("\u{1b}[?1049l");
        second = Some(other);
    });
    assert!(second.is_some());
}

#[test]
fn the_terminal_is_as_it_was_after_its_client_was_killed() {
    if !needs_root("the_terminal_is_as_it_was_after_its_client_was_killed") {
        return;
    }
    restored("killedclient", |logon, _| logon.kill());
}

#[test]
fn the_terminal_is_as_it_was_after_a_logon_that_was_given_up() {
    if !needs_root("the_terminal_is_as_it_was_after_a_logon_that_was_given_up") {
        return;
    }
    let mut logon = host().terminal(&["logon", "whoever"]);
    let before = logon.settings();
    logon.wait("assword:");
    logon.type_bytes(b"\x03");
    logon.ended();
    assert_eq!(logon.settings(), before);
}

#[test]
fn the_client_is_stopped_and_goes_on_without_losing_a_byte() {
    if !needs_root("the_client_is_stopped_and_goes_on_without_losing_a_byte") {
        return;
    }
    let logon = logon("stopped");
    let pid = rustix::process::Pid::from_raw(logon.pid()).expect("positive");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("ours");
    logon.type_line("seq 1 20000; echo end-$((4000+711))-");
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).expect("ours");
    logon.wait_last("end-4711-");
    let text = logon.text();
    assert!(text.contains("\n19999\r\n20000\r\n"), "{}", &text[text.len().saturating_sub(300)..]);
}
