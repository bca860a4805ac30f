//! It starts when the computer starts: as PID 1 of a fresh PID namespace, as a container's first process.

use session0_system_tests::{HostBuilder, Run, binary, eventually, needs_root};
use std::process::{Command, Stdio};

#[test]
fn up_as_pid_1_starts_reaps_and_ends_in_order_on_sigterm() {
    if !needs_root("up_as_pid_1_starts_reaps_and_ends_in_order_on_sigterm") {
        return;
    }
    let builder = HostBuilder::new().service("a", "command = ['/bin/sh', '-c', 'trap \"echo goodbye; exit 0\" TERM; while :; do sleep 0.1; done']\nstart = 'auto'\n");
    let root = builder.root().to_owned();
    let mut container = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(binary("s0"))
        .arg("--root")
        .arg(&root)
        .arg("up")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("unshare");
    let keeper = session0_system_tests::eventually_value("the keeper", || {
        child_of(i32::try_from(container.id()).ok()?)
    });
    // As somebody who comes into the container: who is outside its PID namespace is nobody to the daemon.
    let s0 = |arguments: &[&str]| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &keeper.to_string(), "-p", "-m"]).arg(binary("s0"));
        Run::of(command.arg("--root").arg(&root).args(arguments))
    };
    eventually("a runs", || s0(&["service", "status", "a"]).out.contains("Running"));
    // An orphan of a container's other process falls to PID 1, which must reap it.
    Run::of(Command::new("nsenter").args([
        "-t",
        &keeper.to_string(),
        "-p",
        "-m",
        "sh",
        "-c",
        "(sleep 0.05 &) ; true",
    ]))
    .ok();
    eventually("no zombie stays", || !zombies_below(keeper));
    let pid = rustix::process::Pid::from_raw(keeper).expect("positive");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("ours");
    let status = container.wait().expect("it ends");
    assert!(status.success(), "{status:?}");
    let log = std::fs::read_to_string(root.join("var/log/session0/services/a.log")).expect("written");
    assert!(log.contains("goodbye"), "the service was told to stop:\n{log}");
    let _ = std::fs::remove_dir_all(&root);
    let _ = std::fs::remove_dir_all(builder.visible());
}

fn children(parent: i32) -> Vec<(i32, char)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        if fields.get(1).and_then(|one| one.parse::<i32>().ok()) == Some(parent) {
            found.push((pid, fields[0].chars().next().unwrap_or('?')));
        }
    }
    found
}

fn child_of(parent: i32) -> Option<i32> {
    children(parent).first().map(|(pid, _)| *pid)
}

fn zombies_below(parent: i32) -> bool {
    children(parent).iter().any(|(_, state)| *state == 'Z')
}
