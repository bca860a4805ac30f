//! `s0 logon`.

use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use rustix::termios::LocalModes;
use serde_json::json;

use super::host::{Host, Line, Program};
use super::screen::{Screen, contains, s0};

/// A logon with the password `open sesame` into a session with this script as its shell, and what the host then does.
fn session(
    script: &'static str,
    then: impl FnOnce(Line, Line, Program) + Send + Clone + 'static,
) -> impl Fn(Line) + Send + Sync + Clone + 'static {
    let then = Arc::new(Mutex::new(then));
    move |line| {
        if line.ask("Password:").as_deref() != Some("open sesame") {
            return line.refuse(1326, "could not log on as alice: the password is wrong");
        }
        let program = Program::shell(script);
        let viewer = line.log_on("new", &program);
        let then = then.lock().unwrap().clone();
        then(line, viewer, program);
    }
}

fn until_it_ends(_: Line, viewer: Line, mut program: Program) {
    viewer.ended(program.process.wait().unwrap());
    // Held until the client is gone: the host's master does not keep it waiting.
    viewer.hear();
}

/// The host learns that the client has hung up.
fn until_it_hangs_up(told: Sender<()>) -> impl FnOnce(Line, Line, Program) + Send + Clone + 'static {
    move |_, viewer, _program| {
        viewer.hear();
        told.send(()).unwrap();
    }
}

fn hung_up(told: &Receiver<()>) {
    told.recv_timeout(std::time::Duration::from_secs(30)).expect("the host sees the hang-up");
}

fn log_on(host: &Host) -> Screen {
    let mut screen = Screen::start(host, &["logon", "alice"]);
    screen.expect("Password:");
    screen.enter("open sesame\n");
    screen.expect("this is session 3");
    screen
}

#[test]
fn the_password_is_not_shown_and_the_terminal_is_given_back_as_it_was() {
    let host = Host::of_logons("plain", session("read line; echo got $line; exit 5", until_it_ends));
    let mut screen = Screen::start(&host, &["logon", "alice"]);
    screen.expect("Password:");
    assert!(!screen.local_modes().contains(LocalModes::ECHO), "it would be shown");
    screen.enter("open sesame\n");
    screen.expect("welcome\r\nthis is session 3\r\n");
    screen.until("raw", |screen| !screen.local_modes().contains(LocalModes::ICANON));
    screen.enter("hello\r");
    let status = screen.end();
    assert_eq!(status.code(), Some(0), "{}", screen.text());
    screen.assert_as_found();
    let text = screen.text();
    assert!(text.ends_with("hello\r\ngot hello\r\nsession 3 ended: its shell ended\r\n"), "{text:?}");
    assert!(!text.contains("sesame"), "{text:?}");
    screen.abandoned();
}

#[test]
fn refusals_end_with_their_exit_code_and_the_terminal_as_it_was() {
    for (code, exit) in [(1326, 1), (5, 3), (1359, 4)] {
        let host = Host::of_logons(&format!("refused-{code}"), move |line| {
            line.ask("Password:");
            line.refuse(code, "could not log on as alice: the user name or the password is wrong");
        });
        let mut screen = Screen::start(&host, &["logon", "alice"]);
        screen.expect("Password:");
        screen.enter("wrong\n");
        assert_eq!(screen.end().code(), Some(exit), "{}", screen.text());
        screen.assert_as_found();
        let expected =
            format!("error: could not log on as alice: the user name or the password is wrong ({code})");
        assert!(screen.text().contains(&expected), "{}", screen.text());
        screen.abandoned();
    }
}

#[test]
fn an_interrupt_at_the_prompt_cancels_the_logon() {
    for key in ["\x03", "\x1c", "\x04"] {
        let (told, cancelled) = channel();
        let host = Host::of_logons("cancelled", move |line| {
            assert_eq!(line.ask("Password:"), None);
            told.send(()).unwrap();
        });
        let mut screen = Screen::start(&host, &["logon", "alice"]);
        screen.expect("Password:");
        screen.enter(key);
        assert_eq!(screen.end().code(), Some(1), "{}", screen.text());
        assert!(screen.text().contains("could not log on as alice: it was cancelled"), "{}", screen.text());
        screen.assert_as_found();
        hung_up(&cancelled);
    }
}

#[test]
fn a_host_that_refuses_before_the_password_is_typed_ends_the_prompt() {
    let host = Host::of_logons("late", |line| {
        line.say(json!({ "message": { "text": "one\u{7}line" } }));
        line.say(json!({ "prompt": { "text": "Password:", "secret": true } }));
        line.refuse(1223, "could not log on as alice: nobody answered in time");
    });
    let mut screen = Screen::start(&host, &["logon", "alice"]);
    assert_eq!(screen.end().code(), Some(1), "{}", screen.text());
    assert!(screen.text().contains("one line") && screen.text().contains("in time"), "{}", screen.text());
    screen.assert_as_found();
}

#[test]
fn the_session_has_the_size_of_the_terminal_also_when_it_changes() {
    // The program may run before it has the size: the false host begins it first.
    let script = "until [ \"$(stty size)\" = '40 100' ]; do sleep 0.05; done; stty size; \
        until [ \"$(stty size)\" = '33 77' ]; do sleep 0.05; done; echo resized";
    let host = Host::of_logons("size", session(script, until_it_ends));
    let mut screen = log_on(&host);
    screen.expect("40 100");
    screen.resize(33, 77);
    assert_eq!(screen.end().code(), Some(0), "{}", screen.text());
    assert!(screen.text().contains("resized"));
}

#[test]
fn an_interrupt_in_the_session_reaches_the_program_and_not_s0() {
    let script = "trap 'stop=interrupted' INT; echo begun; \
        while [ -z \"$stop\" ]; do sleep 0.05; done; echo $stop, after; read line; echo over";
    let host = Host::of_logons("interrupt", session(script, until_it_ends));
    let mut screen = log_on(&host);
    screen.expect("begun");
    screen.enter("\x03");
    screen.expect("interrupted, after");
    screen.enter("\r");
    assert_eq!(screen.end().code(), Some(0));
    assert!(screen.text().contains("over"));
}

#[test]
fn the_last_output_is_shown_although_the_end_was_said_before_it_was_read() {
    // The end is said before the client even has the terminal; the program's output waits in it.
    let host = Host::of_logons("last", |line| {
        let mut program = Program::shell("seq 1 500; printf 'the last words'");
        let status = program.process.wait().unwrap();
        let (viewer, client) = Line::new();
        viewer.ended(status);
        let object = json!({ "logged_on": { "session": 3, "entry": "new" } });
        line.say_with(object, vec![program.master.try_clone().unwrap(), client]);
        viewer.hear();
    });
    let mut screen = Screen::start(&host, &["logon", "alice"]);
    assert_eq!(screen.end().code(), Some(0));
    let text = screen.text();
    assert!(text.contains("\r\n499\r\n500\r\nthe last words\r\nsession 3 ended"), "{text:?}");
}

#[test]
fn a_flood_to_a_terminal_that_is_slow_arrives_whole() {
    let host = Host::of_logons("flood", session("seq 1 150000", until_it_ends));
    let mut screen = log_on(&host);
    let status = screen.end();
    assert_eq!(status.code(), Some(0));
    let expected: String = (1..=150_000).map(|number| format!("{number}\r\n")).collect();
    assert!(contains(&screen.shown, expected.as_bytes()), "{} bytes", screen.shown.len());
}

#[test]
fn a_paste_of_a_megabyte_of_any_bytes_arrives_whole_at_a_program_that_is_slow() {
    let script = "stty raw -echo; echo ready; head -c 1000000 | { sleep 0.2; cksum; }";
    let host = Host::of_logons("paste", session(script, until_it_ends));
    let mut screen = log_on(&host);
    screen.expect("ready");
    let bytes: Vec<u8> = (0..1_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    screen.enter_bytes(&bytes);
    assert_eq!(screen.end().code(), Some(0));
    let mut cksum =
        std::process::Command::new("cksum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut cksum.stdin.take().unwrap(), &bytes).unwrap();
    let expected = String::from_utf8(cksum.wait_with_output().unwrap().stdout).unwrap();
    assert!(screen.text().contains(expected.trim()), "{expected} is not in {}", screen.text());
}

#[test]
fn a_session_taken_over_leaves_no_full_screen_program_behind() {
    let (go, gone) = channel::<()>();
    let gone = Arc::new(Mutex::new(gone));
    let script = "printf '\\033[?1049h\\033[?25l\\033[1;31mediting'; sleep 1000";
    let host = Host::of_logons(
        "taken",
        session(script, move |_, viewer, _program| {
            gone.lock().unwrap().recv().unwrap();
            viewer.say(json!({ "taken_over": { "by": "/dev/pts/5" } }));
            viewer.hear();
        }),
    );
    let mut screen = log_on(&host);
    screen.expect("editing");
    go.send(()).unwrap();
    assert_eq!(screen.end().code(), Some(0));
    screen.assert_as_found();
    let end = "editing\x1b[?1049l\x1b[0m\x1b[?25h\r\n\
        session 3 was taken over by a logon at /dev/pts/5; log on again to come back\r\n";
    assert!(screen.text().ends_with(end), "{:?}", screen.text());
    screen.abandoned();
}

#[test]
fn a_host_that_lets_go_without_a_word_is_a_fault() {
    let host =
        Host::of_logons("silence", session("echo here; sleep 1000", |_, viewer, _program| drop(viewer)));
    let mut screen = log_on(&host);
    assert_eq!(screen.end().code(), Some(4), "{}", screen.text());
    assert!(screen.text().contains("without a word"), "{}", screen.text());
    screen.assert_as_found();
}

#[test]
fn a_terminal_that_goes_away_is_a_hang_up_for_the_session() {
    let (told, heard) = channel();
    let host = Host::of_logons("hangup", session("echo here; sleep 1000", until_it_hangs_up(told)));
    let mut screen = log_on(&host);
    screen.expect("here");
    let Screen { master, mut s0, .. } = screen;
    drop(master);
    assert_eq!(s0.wait().unwrap().code(), Some(129));
    hung_up(&heard);
}

#[test]
fn told_to_end_it_hangs_up_and_gives_the_terminal_back() {
    let (told, heard) = channel();
    let host =
        Host::of_logons("term", session("printf '\\033[?2004hhere'; sleep 1000", until_it_hangs_up(told)));
    let mut screen = log_on(&host);
    screen.expect("here");
    screen.signal(Signal::TERM);
    assert_eq!(screen.end().code(), Some(143));
    screen.assert_as_found();
    assert!(screen.text().ends_with("here\x1b[?2004l\r\n"), "{:?}", screen.text());
    hung_up(&heard);
    screen.abandoned();
}

#[test]
fn killed_in_a_session_its_guard_gives_the_terminal_back() {
    let (told, heard) = channel();
    let script = "printf '\\033[?1049h\\033[?25lediting'; sleep 1000";
    let host = Host::of_logons("killed", session(script, until_it_hangs_up(told)));
    let mut screen = log_on(&host);
    screen.expect("editing");
    assert!(!screen.local_modes().contains(LocalModes::ICANON), "raw before");
    screen.signal(Signal::KILL);
    hung_up(&heard);
    screen.expect("its guard has put this terminal right");
    screen.until("as found", Screen::is_as_found);
    assert!(screen.text().contains("\x1b[?1049l\x1b[?25h"), "{:?}", screen.text());
    screen.end();
    screen.abandoned();
}

#[test]
fn killed_at_the_prompt_its_guard_gives_the_terminal_back() {
    let host = Host::of_logons("killed-prompt", |line| drop(line.ask("Password:")));
    let mut screen = Screen::start(&host, &["logon", "alice"]);
    screen.expect("Password:");
    assert!(!screen.local_modes().contains(LocalModes::ECHO), "quiet before");
    screen.signal(Signal::KILL);
    screen.until("as found", Screen::is_as_found);
    screen.end();
    screen.abandoned();
}

#[test]
fn a_terminal_that_the_shell_has_put_right_already_is_left_to_it() {
    let (told, heard) = channel();
    let host = Host::of_logons("killed-stopped", session("echo here; sleep 1000", until_it_hangs_up(told)));
    let mut screen = log_on(&host);
    screen.expect("here");
    screen.signal(Signal::STOP);
    screen.as_a_shell_has_it();
    screen.signal(Signal::KILL);
    hung_up(&heard);
    screen.end();
    screen.assert_as_found();
    assert!(!screen.text().contains("guard"), "{}", screen.text());
    screen.abandoned();
}

#[test]
fn stopped_and_continued_it_has_the_terminal_raw_again() {
    let host = Host::of_logons("stopped", session("echo here; read line; echo got $line", until_it_ends));
    let mut screen = log_on(&host);
    screen.expect("here");
    screen.signal(Signal::STOP);
    screen.as_a_shell_has_it();
    screen.signal(Signal::CONT);
    screen.until("raw again", |screen| !screen.local_modes().contains(LocalModes::ICANON));
    screen.enter("back\r");
    assert_eq!(screen.end().code(), Some(0));
    assert!(screen.text().contains("got back"), "{}", screen.text());
    screen.assert_as_found();
}

#[test]
fn a_session_that_goes_on_here_is_told_to_draw_itself_anew() {
    let host = Host::of_logons("again", |line| {
        // It has the size of the terminal already, before anybody logs on: without more it would not be told.
        let script =
            "stty rows 40 cols 100; trap 'echo drawn; exit' WINCH; echo ready; while :; do sleep 0.01; done";
        let mut program = Program::shell(script);
        program.wait_for("ready");
        let viewer = line.log_on("reconnected", &program);
        viewer.ended(program.process.wait().unwrap());
        viewer.hear();
    });
    let mut screen = Screen::start(&host, &["logon", "alice"]);
    assert_eq!(screen.end().code(), Some(0), "{}", screen.text());
    let text = screen.text();
    assert!(text.contains("session 3 goes on here\r\n") && text.contains("drawn"), "{text}");
}

#[test]
fn the_password_may_come_from_standard_input_and_the_session_is_on_the_terminal() {
    let host = Host::of_logons("stdin", session("read line; echo got $line", until_it_ends));
    let (input, mut into) = std::io::pipe().unwrap();
    let mut screen = Screen::with_input(&host, &["logon", "alice", "--password-stdin"], Some(input.into()));
    std::io::Write::write_all(&mut into, b"open sesame\n").unwrap();
    screen.expect("this is session 3");
    screen.enter("hello\r");
    assert_eq!(screen.end().code(), Some(0), "{}", screen.text());
    assert!(screen.text().contains("got hello"), "{}", screen.text());
    screen.assert_as_found();
}

#[test]
fn one_line_is_one_guess() {
    let host = Host::of_logons("guess", |line| {
        line.ask("Password:");
        assert_eq!(line.ask("Password again:"), None);
    });
    let (input, mut into) = std::io::pipe().unwrap();
    let mut screen = Screen::with_input(&host, &["logon", "alice", "--password-stdin"], Some(input.into()));
    std::io::Write::write_all(&mut into, b"wrong\n").unwrap();
    assert_eq!(screen.end().code(), Some(1), "{}", screen.text());
    assert!(screen.text().contains("Password again:"), "{}", screen.text());
}

#[test]
fn without_a_terminal_it_is_said_what_is_needed() {
    let host = Host::of_logons("none", |_| {});
    let output = s0(&host).args(["logon", "alice"]).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("standard input is not a terminal") && text.contains("--password-stdin"), "{text}");
    let mut alone = std::process::Command::new("setsid");
    alone.arg("-w").arg(env!("CARGO_BIN_EXE_s0")).arg("--socket").arg(host.socket());
    let output = alone.args(["logon", "alice", "--password-stdin"]).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("neither standard output nor /dev/tty is a terminal"), "{text}");
}

#[test]
fn as_json_the_end_is_an_object() {
    let host = Host::of_logons("json", session("exit 7", until_it_ends));
    let mut screen = Screen::start(&host, &["--json", "logon", "alice"]);
    screen.expect("Password:");
    screen.enter("open sesame\n");
    assert_eq!(screen.end().code(), Some(0));
    let text = screen.text();
    let last: serde_json::Value = serde_json::from_str(text.trim_end().lines().last().unwrap()).unwrap();
    assert_eq!((&last["session"], &last["outcome"], &last["code"]), (&json!(3), &json!("ended"), &json!(7)));
}
