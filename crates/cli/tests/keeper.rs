//! `s0 up` with a daemon made of shell: what the keeper makes of each way a daemon can behave.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A root, and beside it the programs: the real `s0` and a false `session0d`.
struct Stage {
    directory: PathBuf,
    root: PathBuf,
}

impl Stage {
    /// `None` without root: the keeper refuses to work then, which another test holds.
    fn new(name: &str, daemon: &str) -> Option<Stage> {
        if !rustix::process::geteuid().is_root() {
            let _ = writeln!(std::io::stderr().lock(), "SKIPPED {name}: needs root, as `s0 up` does");
            return None;
        }
        let directory = std::env::temp_dir().join(format!("s0-keeper-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        let root = directory.join("root");
        fs::create_dir_all(&root).unwrap();
        for path in [&directory, &root] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::copy(env!("CARGO_BIN_EXE_s0"), directory.join("s0")).unwrap();
        let program = directory.join("session0d");
        let script = format!("#!/bin/sh\nlog={}/starts\necho start >> $log\n{daemon}\n", directory.display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Some(Stage { directory, root })
    }

    fn up(&self) -> Child {
        let output =
            fs::File::options().create(true).append(true).open(self.directory.join("up.out")).unwrap();
        Command::new(self.directory.join("s0"))
            .arg("--root")
            .arg(&self.root)
            .arg("up")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap()
    }

    fn said(&self) -> String {
        fs::read_to_string(self.directory.join("up.out")).unwrap_or_default()
    }

    fn starts(&self) -> usize {
        fs::read_to_string(self.directory.join("starts")).unwrap_or_default().lines().count()
    }

    fn wait_starts(&self, number: usize) {
        eventually(|| self.starts() >= number, &format!("{number} starts of the daemon"));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn eventually(mut holds: impl FnMut() -> bool, what: &str) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn end(keeper: Child) -> ExitStatus {
    send(&keeper, Signal::TERM);
    wait(keeper)
}

/// A keeper that does not end is a failure, not a test that hangs.
fn wait(mut keeper: Child) -> ExitStatus {
    let mut status = None;
    eventually(
        || {
            status = keeper.try_wait().unwrap();
            status.is_some()
        },
        "the keeper's end",
    );
    status.unwrap()
}

/// Waits until told to end.
const OBEDIENT: &str = "trap 'exit 0' TERM\nwhile :; do sleep 0.02; done";

#[test]
fn sigterm_ends_the_daemon_in_order() {
    let Some(stage) = Stage::new("order", OBEDIENT) else { return };
    let keeper = stage.up();
    stage.wait_starts(1);
    assert_eq!(end(keeper).code(), Some(0), "{}", stage.said());
    assert!(stage.said().contains("SIGTERM: ordered shutdown, 90s at most"), "{}", stage.said());
    assert!(stage.said().contains("session0 is down"), "{}", stage.said());
    assert_eq!(stage.starts(), 1);
}

#[test]
fn sigterm_waits_for_a_daemon_that_is_only_just_starting() {
    let slow = format!("sleep 0.4\n{OBEDIENT}");
    let Some(stage) = Stage::new("early", &slow) else { return };
    let keeper = stage.up();
    stage.wait_starts(1);
    assert_eq!(end(keeper).code(), Some(0), "{}", stage.said());
    assert_eq!(stage.starts(), 1, "it was not killed by the signal:\n{}", stage.said());
}

#[test]
fn a_daemon_that_refuses_is_not_started_again() {
    let Some(stage) = Stage::new("refuses", "echo 'this machine lacks something' >&2\nexit 78") else {
        return;
    };
    assert_eq!(wait(stage.up()).code(), Some(1));
    assert_eq!(stage.said(), "this machine lacks something\n");
    assert_eq!(stage.starts(), 1);
}

#[test]
fn a_daemon_that_crashes_is_started_again() {
    let crashing = format!("[ $(wc -l < $log) -lt 3 ] && kill -9 $$\n{OBEDIENT}");
    let Some(stage) = Stage::new("crashes", &crashing) else { return };
    let keeper = stage.up();
    stage.wait_starts(3);
    assert_eq!(end(keeper).code(), Some(0));
    assert!(stage.said().contains("signal 9 (SIGKILL)), starting it again at once"), "{}", stage.said());
    assert!(stage.said().contains("in 100ms, restart 2 in a row"), "{}", stage.said());
}

#[test]
fn a_daemon_that_cannot_be_started_again_for_a_moment_does_not_end_the_keeper() {
    let daemon = format!("echo $$ > $log.pid\n{OBEDIENT}");
    let Some(stage) = Stage::new("missing", &daemon) else { return };
    let keeper = stage.up();
    let pid = || fs::read_to_string(stage.directory.join("starts.pid")).ok()?.trim().parse().ok();
    eventually(|| pid().is_some(), "the first daemon");
    let (program, aside) = (stage.directory.join("session0d"), stage.directory.join("aside"));
    fs::rename(&program, &aside).unwrap();
    kill_process(Pid::from_raw(pid().unwrap()).unwrap(), Signal::KILL).unwrap();
    eventually(|| stage.said().contains("trying again"), "the keeper says that it goes on");
    fs::rename(&aside, &program).unwrap();
    stage.wait_starts(2);
    assert!(end(keeper).success());
}

#[test]
fn a_daemon_that_crashes_in_the_shutdown_comes_back_to_finish_it() {
    let crashing = "trap 'if [ $(wc -l < $log) -lt 2 ]; then kill -9 $$; else exit 0; fi' TERM\nwhile :; do sleep 0.02; done";
    let Some(stage) = Stage::new("unfinished", crashing) else { return };
    let keeper = stage.up();
    stage.wait_starts(1);
    assert_eq!(end(keeper).code(), Some(0), "{}", stage.said());
    assert_eq!(stage.starts(), 2);
}

#[test]
fn a_daemon_that_asks_is_started_again_at_once() {
    let again = format!("[ $(wc -l < $log) -lt 5 ] && exit 75\n{OBEDIENT}");
    let Some(stage) = Stage::new("again", &again) else { return };
    let keeper = stage.up();
    stage.wait_starts(5);
    assert_eq!(end(keeper).code(), Some(0));
    assert!(!stage.said().contains("in a row"), "{}", stage.said());
}

#[test]
fn a_daemon_that_is_down_ends_the_keeper() {
    let Some(stage) = Stage::new("down", "exit 0") else { return };
    assert_eq!(wait(stage.up()).code(), Some(0));
    assert!(stage.said().contains("session0 is down"), "{}", stage.said());
}

#[test]
fn orphans_are_adopted_and_reaped() {
    let orphan = format!("(sleep 0.1 & echo $! > ${{log}}.orphan)\n{OBEDIENT}");
    let Some(stage) = Stage::new("orphans", &orphan) else { return };
    let keeper = stage.up();
    let path = stage.directory.join("starts.orphan");
    eventually(|| fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n')), "an orphan");
    let pid = fs::read_to_string(&path).unwrap();
    let proc = PathBuf::from("/proc").join(pid.trim());
    eventually(|| !proc.exists(), "the orphan is reaped");
    assert_eq!(end(keeper).code(), Some(0));
}

#[test]
fn a_second_up_says_that_one_is_running_and_where() {
    let Some(stage) = Stage::new("second", OBEDIENT) else { return };
    let keeper = stage.up();
    stage.wait_starts(1);
    let second =
        Command::new(stage.directory.join("s0")).arg("--root").arg(&stage.root).arg("up").output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(text.contains(&format!("keeper pid {}", keeper.id())), "{text}");
    assert!(text.contains(&format!("root {}", stage.root.display())) && text.contains("status"), "{text}");
    assert_eq!(end(keeper).code(), Some(0));
}

#[test]
fn a_daemon_whose_keeper_was_killed_is_taken_over() {
    let locking = format!(
        "exec 9<>$(dirname $log)/root/run/session0/daemon.lock\nflock 9 || exit 1\necho $$ >&9\ntouch $log.locked\n{OBEDIENT}"
    );
    let Some(stage) = Stage::new("over", &locking) else { return };
    let mut first = stage.up();
    let locked = stage.directory.join("starts.locked");
    eventually(|| locked.exists(), "the daemon has its lock");
    first.kill().unwrap();
    first.wait().unwrap();
    let second = stage.up();
    stage.wait_starts(2);
    eventually(|| stage.said().contains("lives without a keeper"), "it is said");
    assert_eq!(end(second).code(), Some(0), "{}", stage.said());
}

#[test]
fn hangup_reaches_the_daemon_and_does_not_end_the_host() {
    let listening = format!("trap 'touch $log.reloaded' HUP\n{OBEDIENT}");
    let Some(stage) = Stage::new("hangup", &listening) else { return };
    let keeper = stage.up();
    stage.wait_starts(1);
    let reloaded = stage.directory.join("starts.reloaded");
    // The shell sets its traps one after the other: only the last one says that all are there.
    std::thread::sleep(Duration::from_millis(200));
    send(&keeper, Signal::HUP);
    eventually(|| reloaded.exists(), "the daemon is told to read its configuration again");
    assert_eq!(end(keeper).code(), Some(0));
}
