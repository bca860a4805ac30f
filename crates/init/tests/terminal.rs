//! Programs of users with terminals and pipes: one sentence a test.

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use common::{GROUP, Host, PASSWD, root, user_plan, wait_for};
use session0_model::id::LaunchId;
use session0_model::launch::exit::{ExitStatus, LaunchPhase};
use session0_model::launch::plan::{Environment, LaunchPlan, Size, Streams};
use session0_model::launch::wire::{FromInit, SignalTo, ToInit, key};

const SIZE: Size = Size { rows: 33, columns: 101 };

/// The end of a terminal a person sits at.
struct Person {
    master: File,
    seen: String,
}

impl Person {
    fn new(mut ends: Vec<OwnedFd>) -> Person {
        assert_eq!(ends.len(), 1, "a terminal has one other end");
        Person { master: ends.remove(0).into(), seen: String::new() }
    }

    fn types(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until this was shown; returns what was shown before it, and forgets both.
    fn sees(&mut self, text: &str) -> String {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                let mut before = std::mem::replace(&mut self.seen, rest);
                before.truncate(at);
                return before;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{text:?} was not shown, but {:?}", self.seen);
            let mut poll = [rustix::event::PollFd::new(&self.master, rustix::event::PollFlags::IN)];
            let timeout = rustix::event::Timespec { tv_sec: left.as_secs() as i64 + 1, tv_nsec: 0 };
            rustix::event::poll(&mut poll, Some(&timeout)).unwrap();
            let mut buffer = [0; 4096];
            match self.master.read(&mut buffer) {
                Ok(length) => self.seen.push_str(&String::from_utf8_lossy(&buffer[..length])),
                Err(error) => panic!("{text:?} was not shown, but {:?}; then {error}", self.seen),
            }
        }
    }

    /// Does a line and returns what the shell says to it. The end is marked by something the echo does not contain.
    fn does(&mut self, line: &str) -> String {
        self.types(&format!("{line}; echo do''ne\n"));
        self.sees("do''ne");
        self.sees("done\r\n").replace("\r\n", "\n").trim_start().to_owned()
    }
}

/// A shell as a person has one: interactive, with job control, without line editing.
fn interactive() -> LaunchPlan {
    let mut plan = user_plan("");
    plan.program = "/bin/bash".into();
    plan.environment = Environment::new([("PATH", "/usr/bin:/bin"), ("PS1", "")]);
    plan.arguments = ["-bash", "--norc", "--noprofile", "--noediting", "-i"].map(String::from).into();
    plan
}

fn shell(host: &mut Host) -> (LaunchId, Person) {
    let (launch, ends) = host.launch_with("shell", interactive(), Streams::Terminal(SIZE)).unwrap();
    (launch, Person::new(ends))
}

#[test]
fn a_shell_has_a_terminal_of_its_session() {
    if !root("a_shell_has_a_terminal_of_its_session") {
        return;
    }
    let mut host = Host::user();
    let (launch, mut person) = shell(&mut host);
    assert_eq!(person.does("tty; stty size; stty -a | grep -o '[-]*iutf8'"), "/dev/pts/0\n33 101\niutf8\n");
    assert_eq!(person.does("stat -c '%u %g %a' $(tty); ls /dev/pts"), "64001 5 620\n0  ptmx\n");
    assert_eq!(person.does("test -t 0 && test -t 1 && test -t 2 && echo all"), "all\n");
    assert_eq!(person.does("echo through >/dev/tty; ls /proc/self/fd | tr '\\n' ' '"), "through\n0 1 2 3 ");
    assert_eq!(person.does("test $(cut -d' ' -f6 /proc/$$/stat) = $$ && echo leader"), "leader\n");
    let (_, second) = host.launch_with("shell", interactive(), Streams::Terminal(SIZE)).unwrap();
    assert_eq!(Person::new(second).does("tty"), "/dev/pts/1\n");
    person.types("exit 7\n");
    assert_eq!(host.exit_of(launch), ExitStatus::Exited(7));
}

#[test]
fn a_shell_has_job_control() {
    if !root("a_shell_has_job_control") {
        return;
    }
    let mut host = Host::user();
    let (_, mut person) = shell(&mut host);
    person.types("sleep 1000\n");
    let sleeps = |host: &Host| {
        let unit = host.groups.as_ref().unwrap().units().unwrap().remove(0);
        let group = format!("{}/{}", host.work().display(), unit.name);
        let processes = std::fs::read_to_string(format!("{group}/cgroup.procs")).unwrap();
        processes.lines().any(|pid| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep\0"))
        })
    };
    wait_for(|| sleeps(&host).then_some(()));
    person.types("\x03");
    person.sees("^C");
    assert_eq!(person.does("echo $?"), "130\n");
    person.types("sleep 1000\n");
    wait_for(|| sleeps(&host).then_some(()));
    person.types("\x1a");
    person.sees("Stopped");
    assert_eq!(person.does("jobs | grep -c Stopped; kill %1"), "1\n");
    // Nothing that is typed reaches who is not in the foreground.
    person.does("sleep 1000 & disown");
    wait_for(|| sleeps(&host).then_some(()));
    person.types("\x03");
    person.does("echo");
    assert!(sleeps(&host));
}

#[test]
fn a_new_size_is_told() {
    if !root("a_new_size_is_told") {
        return;
    }
    let mut host = Host::user();
    let script = "trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.01; done";
    let (launch, ends) = host.launch_with("size", user_plan(script), Streams::Terminal(SIZE)).unwrap();
    let mut person = Person::new(ends);
    person.sees("ready");
    let size = rustix::termios::Winsize { ws_row: 50, ws_col: 132, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&person.master, size).unwrap();
    person.sees("50 132");
    assert_eq!(host.exit_of(launch), ExitStatus::Exited(4));
}

#[test]
fn a_terminal_is_kept_until_it_is_released() {
    if !root("a_terminal_is_kept_until_it_is_released") {
        return;
    }
    let mut host = Host::user();
    let (launch, mut person) = shell(&mut host);
    let name = format!("{}{}", key::TERMINAL, launch.0);
    person.does("x=kept");
    // The daemon dies, and with it all it had; nobody reads what the shell says meanwhile.
    drop(person);
    let replayed = reconnect(&mut host);
    assert!(
        replayed.iter().any(|said| matches!(said, FromInit::Alive { launch: which, .. } if *which == launch))
    );
    let mut person = Person::new(vec![host.kept(&name)]);
    assert_eq!(person.does("echo $x"), "kept\n");
    person.types("echo last; exit 2\n");
    assert_eq!(host.exit_of(launch), ExitStatus::Exited(2));
    // What a program said last is there after it.
    drop(person);
    reconnect(&mut host);
    let mut person = Person::new(vec![host.kept(&name)]);
    person.sees("last\r\n");
    drop(person);
    host.say(&ToInit::Release { key: name.clone() });
    let replayed = reconnect(&mut host);
    let kept = |said: &FromInit| matches!(said, FromInit::Kept { key } if *key == name);
    assert!(!replayed.iter().any(kept));
    assert_eq!(host.ada("ls /dev/pts"), "ptmx\n");
}

/// As `Host::reconnect`, but the descriptors stay to be asked for.
fn reconnect(host: &mut Host) -> Vec<FromInit> {
    host.connect_again();
    host.until("Replayed", |said| matches!(said, FromInit::Replayed));
    host.said.iter().map(|(said, _)| said.clone()).collect()
}

#[test]
fn a_terminal_hangs_up_when_all_have_released_it() {
    if !root("a_terminal_hangs_up_when_all_have_released_it") {
        return;
    }
    let mut host = Host::user();
    let (launch, person) = shell(&mut host);
    drop(person);
    host.say(&ToInit::Release { key: format!("{}{}", key::TERMINAL, launch.0) });
    assert_eq!(host.exit_of(launch), ExitStatus::Signaled { signal: 1, core: false });
}

#[test]
fn a_launch_that_fails_keeps_no_terminal() {
    if !root("a_launch_that_fails_keeps_no_terminal") {
        return;
    }
    let mut host = Host::user();
    let mut plan = interactive();
    plan.program = "/nowhere".into();
    let failure = host.launch_with("a", plan, Streams::Terminal(SIZE)).unwrap_err();
    assert_eq!((failure.phase, failure.errno), (LaunchPhase::Exec, 2));
    let failure = host.launch_with("../a", interactive(), Streams::Terminal(SIZE)).unwrap_err();
    assert_eq!(failure.phase, LaunchPhase::Group);
    assert_eq!(host.ada("ls /dev/pts"), "ptmx\n");
    let replayed = host.reconnect();
    let kept = |said: &&FromInit| matches!(said, FromInit::Kept { .. });
    assert_eq!(replayed.iter().filter(kept).count(), 1, "the API's listener alone: {replayed:?}");
}

#[test]
fn a_session_has_as_many_terminals_as_its_plan_says() {
    if !root("a_session_has_as_many_terminals_as_its_plan_says") {
        return;
    }
    let mut host = Host::user_with(|plan, _| plan.terminals_max = 2);
    host.enter(64001, PASSWD, GROUP);
    let kept: Vec<_> = (0..2).map(|_| shell(&mut host)).collect();
    let failure = host.launch_with("shell", interactive(), Streams::Terminal(SIZE)).unwrap_err();
    assert_eq!((failure.phase, failure.errno), (LaunchPhase::Output, 28));
    drop(kept);
}

#[test]
fn pipes_are_three_and_end() {
    if !root("pipes_are_three_and_end") {
        return;
    }
    let mut host = Host::user();
    let script = "cat; echo error >&2; echo by name >/dev/stdout; test -t 0 || exit 6";
    let said = host.piped("pipes", user_plan(script), "hello\n");
    assert_eq!(said, (ExitStatus::Exited(6), "hello\nby name\n".into(), "error\n".into()));
    // A reader that is gone is SIGPIPE, not an error nobody understands.
    let (launch, ends) = host.launch_with("pipes", user_plan("exec yes"), Streams::Pipes).unwrap();
    drop(ends);
    assert_eq!(host.exit_of(launch), ExitStatus::Signaled { signal: 13, core: false });
}

#[test]
fn an_end_of_input_is_one_while_others_are_launched() {
    if !root("an_end_of_input_is_one_while_others_are_launched") {
        return;
    }
    let mut host = Host::user();
    let (reader, ends) = host.launch_with("reader", user_plan("cat"), Streams::Pipes).unwrap();
    let (sleeper, others) =
        host.launch_with("sleeper", user_plan("exec sleep 1000"), Streams::Pipes).unwrap();
    let mut ends = ends.into_iter();
    drop(ends.next());
    assert_eq!(host.exit_of(reader), ExitStatus::Exited(0), "nobody else holds its input");
    let mut text = String::new();
    File::from(ends.next().unwrap()).read_to_string(&mut text).unwrap();
    host.say(&ToInit::Signal { launch: sleeper, signal: 15, to: SignalTo::Main });
    host.exit_of(sleeper);
    drop(others);
    assert!(!session0_sys::pidfd::ended(host.init.pidfd.as_fd()).unwrap());
}
