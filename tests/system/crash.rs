//! `kill -9` of every one of our programs, and what survives it: everything but what init's own death ends.

use session0_system_tests::{Host, HostBuilder, Run, binary, eventually, eventually_value, needs_root, skip};
use std::process::Command;

fn all_pids(host: &Host, units: &[String]) -> Vec<Vec<i32>> {
    units.iter().map(|unit| host.pids(unit)).collect()
}

fn twenty_sleepers() -> (HostBuilder, Vec<String>) {
    let names: Vec<String> = (0..20).map(|number| format!("s{number}")).collect();
    let builder = names.iter().fold(HostBuilder::new(), |builder, name| {
        builder.service(name, "command = ['/bin/sleep', '1000']\nstart = 'auto'\n")
    });
    (builder, names)
}

#[test]
fn the_daemon_can_be_killed_and_nothing_is_disturbed() {
    if !needs_root("the_daemon_can_be_killed_and_nothing_is_disturbed") {
        return;
    }
    let (builder, names) = twenty_sleepers();
    let host = builder.start();
    for name in &names {
        host.wait_state(name, "Running");
    }
    let before = all_pids(&host, &names);
    for _ in 0..5 {
        let old = host.daemon_pid();
        host.kill(old);
        host.wait_new_daemon(old);
    }
    assert_eq!(all_pids(&host, &names), before);
    for name in &names {
        assert_eq!(host.state(name), "Running");
    }
    host.s0(&["service", "stop", "s0"]).ok();
    assert_eq!(host.pids("s0").len(), 0);
}

#[test]
fn an_exit_while_the_daemon_is_away_is_not_lost() {
    if !needs_root("an_exit_while_the_daemon_is_away_is_not_lost") {
        return;
    }
    let host = HostBuilder::new()
        .service("again", "command = ['/bin/sleep', '1000']\nstart = 'auto'\nrestart_delay = '0s'\n")
        .service("once", "command = ['/bin/sleep', '1000']\nstart = 'auto'\nrestart = 'never'\n")
        .start();
    host.wait_state("again", "Running");
    host.wait_state("once", "Running");
    let (again, once) = (host.pids("again"), host.pids("once"));
    let daemon = host.daemon_pid();
    // Stopped, not killed: the exits certainly happen while no daemon looks.
    let pid = rustix::process::Pid::from_raw(daemon).expect("positive");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("ours");
    host.kill(again[0]);
    host.kill(once[0]);
    eventually("both are gone", || host.pids("again").is_empty() && host.pids("once").is_empty());
    host.kill(daemon);
    host.wait_new_daemon(daemon);
    eventually("one is started again", || host.pids("again").len() == 1);
    host.wait_state("once", "Stopped");
    assert!(host.s0(&["service", "status", "once"]).out.contains("KILL"));
}

#[test]
fn a_client_waits_while_the_daemon_is_away() {
    if !needs_root("a_client_waits_while_the_daemon_is_away") {
        return;
    }
    let host = HostBuilder::new().start();
    let daemon = host.daemon_pid();
    let pid = rustix::process::Pid::from_raw(daemon).expect("positive");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("ours");
    let client = Command::new(binary("s0"))
        .arg("--root")
        .arg(host.root())
        .args(["session", "list"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("s0");
    host.kill(daemon);
    let output = client.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("Services"));
}

#[test]
fn starting_under_fire_ends_as_configured() {
    if !needs_root("starting_under_fire_ends_as_configured") {
        return;
    }
    let names: Vec<String> = (0..60).map(|number| format!("n{number}")).collect();
    let builder = names.iter().enumerate().fold(HostBuilder::new(), |builder, (number, name)| {
        let depends =
            if number % 7 == 3 { format!("depends = ['n{}']\n", number - 1) } else { String::new() };
        builder.service(name, &format!("command = ['/bin/sleep', '1000']\nstart = 'auto'\n{depends}"))
    });
    let host = builder.spawn();
    let mut last = 0;
    // The daemon dies as soon as it is there, again and again, in the middle of making the session and of launching.
    for _ in 0..6 {
        last = eventually_value("a new daemon", || {
            Some(host.daemon_pid()).filter(|pid| *pid > 0 && *pid != last)
        });
        host.kill(last);
    }
    host.wait_until_up();
    for name in &names {
        host.wait_state(name, "Running");
    }
    for name in &names {
        assert_eq!(host.pids(name).len(), 1, "{name} runs once");
    }
}

#[test]
fn inits_death_ends_session_0_and_it_is_made_again() {
    if !needs_root("inits_death_ends_session_0_and_it_is_made_again") {
        return;
    }
    let (builder, names) = twenty_sleepers();
    let host = builder.start();
    for name in &names {
        host.wait_state(name, "Running");
    }
    let before = all_pids(&host, &names).concat();
    let init = host.pids("init");
    host.kill(init[0]);
    eventually("every service runs again under a new init", || {
        let now = all_pids(&host, &names).concat();
        now.len() == names.len() && now.iter().all(|pid| !before.contains(pid))
    });
    for pid in before {
        assert!(
            !std::path::Path::new(&format!("/proc/{pid}/exe")).exists(),
            "{pid} of the old session lives"
        );
    }
}

#[test]
fn the_keeper_can_be_killed_and_another_takes_over() {
    if !needs_root("the_keeper_can_be_killed_and_another_takes_over") {
        return;
    }
    let (builder, names) = twenty_sleepers();
    let mut host = builder.start();
    for name in &names {
        host.wait_state(name, "Running");
    }
    let before = all_pids(&host, &names);
    let mut keeper = host.take_keeper().expect("it runs");
    keeper.kill().expect("ours");
    keeper.wait().expect("ours");
    assert_eq!(host.s0(&["status"]).code, 0, "the daemon goes on without a keeper");
    host.up_again();
    let old = host.daemon_pid();
    eventually("a keeper has the lock", || host.lock_pid("keeper.lock") == host.keeper_pid());
    eventually("it answers", || host.s0(&["status"]).code == 0);
    eventually("the new keeper's daemon is in charge", || {
        host.daemon_pid() != old && host.s0(&["status"]).code == 0
    });
    assert_eq!(all_pids(&host, &names), before);
    host.down().ok();
}

#[test]
fn the_logger_can_be_killed_and_no_line_is_lost() {
    if !needs_root("the_logger_can_be_killed_and_no_line_is_lost") {
        return;
    }
    let builder = HostBuilder::new().host_toml("[log]\nmax_size = '64M'\n");
    let probe = builder.probe();
    let count = 200_000;
    let host = builder
        .service("talker", &format!("command = [{probe:?}, 'lines', '{count}', 'then', 'sleep']\n"))
        .start();
    host.s0(&["service", "start", "talker"]).ok();
    for _ in 0..8 {
        if let Some(pid) = host.pids("session0-log").first() {
            host.kill(*pid);
        }
        eventually("another logger", || !host.pids("session0-log").is_empty());
    }
    let log = host.wait_log("talker", &format!("lines {count}: {count} lines"));
    let mut seen = vec![false; count];
    for number in log.lines().filter_map(|line| line.strip_prefix("line ")?.parse::<usize>().ok()) {
        seen[number] = true;
    }
    let missing = seen.iter().filter(|one| !**one).count();
    assert_eq!(missing, 0, "{missing} of {count} lines are lost");
}

#[test]
fn the_daemon_is_replaced_under_an_init_one_version_older() {
    let test = "the_daemon_is_replaced_under_an_init_one_version_older";
    if !needs_root(test) {
        return;
    }
    let Some(old_init) = old_init() else {
        skip(test, "session0-init with feature protocol-1 is not built beside this test");
        return;
    };
    // A set of programs of their own, so that the init can be an older one.
    let builder = HostBuilder::new()
        .service("a", "command = ['/bin/sleep', '1000']\nstart = 'auto'\nrestart_delay = '0s'\n");
    let programs = builder.visible().join("bin");
    std::fs::create_dir_all(&programs).expect("ours");
    for name in ["s0", "session0d", "session0-log", "session0-logon"] {
        std::fs::copy(binary(name), programs.join(name)).expect("ours");
    }
    std::fs::copy(old_init, programs.join("session0-init")).expect("ours");
    let root = builder.root().to_owned();
    let s0 = |arguments: &[&str]| {
        Run::of(Command::new(programs.join("s0")).arg("--root").arg(&root).args(arguments))
    };
    let mut keeper = Command::new(programs.join("s0"))
        .arg("--root")
        .arg(&root)
        .args(["up", "--quiet"])
        .spawn()
        .expect("s0");
    eventually("a runs under the old init", || s0(&["service", "status", "a"]).out.contains("Running"));
    assert!(
        s0(&["session", "list", "--json"]).out.contains("\"protocol\""),
        "{}",
        s0(&["session", "list", "--json"]).out
    );
    let pid =
        |text: String| serde_json::from_str::<serde_json::Value>(&text).ok().and_then(|v| v["pid"].as_i64());
    let before = pid(s0(&["service", "status", "a", "--json"]).out);
    assert!(before.is_some());
    // The new version arrives, and the daemon is replaced.
    std::fs::remove_file(programs.join("session0-init")).expect("ours");
    std::fs::copy(binary("session0-init"), programs.join("session0-init")).expect("ours");
    s0(&["upgrade"]).ok();
    eventually("it answers again", || s0(&["status"]).code == 0);
    assert_eq!(pid(s0(&["service", "status", "a", "--json"]).out), before, "the service was not disturbed");
    assert!(
        s0(&["doctor"]).out.contains("protocol"),
        "doctor names the session on an old init:\n{}",
        s0(&["doctor"]).out
    );
    s0(&["service", "restart", "a"]).ok();
    assert_ne!(pid(s0(&["service", "status", "a", "--json"]).out), before);
    s0(&["down"]).ok();
    let _ = keeper.wait();
    let _ = std::fs::remove_dir_all(builder.visible());
    let _ = std::fs::remove_dir_all(&root);
}

/// Where `cargo xtask test` puts the older init.
fn old_init() -> Option<std::path::PathBuf> {
    let directory = std::env::current_exe().ok()?.parent()?.parent()?.join("protocol-1");
    Some(directory.join("session0-init")).filter(|path| path.exists())
}
