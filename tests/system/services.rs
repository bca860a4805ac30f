//! Services: order, readiness, failure, restart, stop, reload.

use session0_system_tests::{Host, HostBuilder, eventually, needs_root};

const SLEEPER: &str = "command = ['/bin/sleep', '1000']\nstart = 'auto'\n";

#[test]
fn an_automatic_service_starts_with_the_host_and_a_demand_one_when_asked() {
    if !needs_root("an_automatic_service_starts_with_the_host_and_a_demand_one_when_asked") {
        return;
    }
    let host = HostBuilder::new()
        .service("auto", SLEEPER)
        .service("demand", "command = ['/bin/sleep', '1000']\n")
        .start();
    host.wait_state("auto", "Running");
    assert_eq!(host.state("demand"), "Stopped");
    host.s0(&["service", "start", "demand"]).ok();
    assert_eq!(host.state("demand"), "Running");
    assert_eq!(host.pids("demand").len(), 1);
    host.s0(&["service", "stop", "demand"]).ok();
    assert_eq!(host.state("demand"), "Stopped");
    assert_eq!(host.pids("demand").len(), 0);
}

#[test]
fn starting_what_runs_and_stopping_what_is_stopped_is_refused_with_windows_numbers() {
    if !needs_root("starting_what_runs_and_stopping_what_is_stopped_is_refused_with_windows_numbers") {
        return;
    }
    let host =
        HostBuilder::new().service("a", SLEEPER).service("b", "command = ['/bin/sleep', '1000']\n").start();
    host.wait_state("a", "Running");
    let again = host.s0(&["service", "start", "a"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("1056"), "{}", again.err);
    let stopped = host.s0(&["service", "stop", "b"]);
    assert_eq!(stopped.code, 1);
    assert!(stopped.err.contains("1062"), "{}", stopped.err);
    let missing = host.s0(&["service", "start", "c"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("1060"), "{}", missing.err);
}

#[test]
fn dependencies_start_first_and_stop_last() {
    if !needs_root("dependencies_start_first_and_stop_last") {
        return;
    }
    let host = HostBuilder::new()
        .service("base", "command = ['/bin/sleep', '1000']\n")
        .service("middle", "command = ['/bin/sleep', '1000']\ndepends = ['base']\n")
        .service("top", "command = ['/bin/sleep', '1000']\ndepends = ['middle']\n")
        .start();
    host.s0(&["service", "start", "top"]).ok();
    for name in ["base", "middle", "top"] {
        assert_eq!(host.state(name), "Running", "{name}");
    }
    let refused = host.s0(&["service", "stop", "base"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("1051") && refused.err.contains("middle"), "{}", refused.err);
    host.s0(&["service", "stop", "base", "--with-dependents"]).ok();
    for name in ["base", "middle", "top"] {
        assert_eq!(host.state(name), "Stopped", "{name}");
    }
}

#[test]
fn a_service_that_floods_with_main_processes_delays_nobody() {
    if !needs_root("a_service_that_floods_with_main_processes_delays_nobody") {
        return;
    }
    let builder = HostBuilder::new();
    let probe = builder.probe();
    let flood =
        format!("command = [{probe:?}, 'main-process-flood']\nkind = 'notify'\nstop_timeout = '100ms'\n");
    let other = format!("command = [{probe:?}, 'notify', 'READY=1', 'wait']\nkind = 'notify'\n");
    let host = builder.service("flood", &flood).service("other", &other).start();
    host.s0(&["service", "start", "flood"]).ok();
    let first = host.pids("flood")[0];
    eventually("another process is the main one", || {
        host.service("flood")["pid"].as_i64() != Some(first.into())
    });
    let begun = std::time::Instant::now();
    // Its message has thousands before it.
    host.s0(&["service", "start", "other"]).ok();
    assert!(begun.elapsed() < std::time::Duration::from_secs(3), "it took {:?}", begun.elapsed());
}

#[test]
fn a_notify_service_runs_when_it_says_so() {
    if !needs_root("a_notify_service_runs_when_it_says_so") {
        return;
    }
    let builder = HostBuilder::new();
    let probe = builder.probe();
    let ready = r"'STATUS=warming up', 'READY=1\nSTATUS=at your service', 'wait'";
    let host = builder
        .service("ready", &format!("command = [{probe:?}, 'notify', {ready}]\nkind = 'notify'\n"))
        .service("never", &format!("command = [{probe:?}, 'sleep']\nkind = 'notify'\nstart_timeout = '300ms'\nrestart = 'never'\n"))
        .start();
    host.s0(&["service", "start", "ready"]).ok();
    assert_eq!(host.state("ready"), "Running");
    assert!(host.service("ready").to_string().contains("at your service"));
    let late = host.s0(&["service", "start", "never"]);
    assert_eq!(late.code, 1);
    assert!(late.err.contains("1053") || late.err.contains("1070"), "{}", late.err);
    assert_eq!(host.pids("never").len(), 0);
}

#[test]
fn a_failed_service_shows_phase_status_and_last_lines() {
    if !needs_root("a_failed_service_shows_phase_status_and_last_lines") {
        return;
    }
    let host = HostBuilder::new()
        .service(
            "bad",
            "command = ['/bin/sh', '-c', 'echo it is all going wrong; exit 7']\nrestart = 'never'\n",
        )
        .service("shot", "command = ['/bin/sh', '-c', 'kill -SEGV $$']\nrestart = 'never'\n")
        .start();
    host.s0(&["service", "start", "bad", "--no-wait"]);
    host.s0(&["service", "start", "shot", "--no-wait"]);
    host.wait_state("bad", "Stopped");
    host.wait_log("bad", "it is all going wrong");
    let status = host.s0(&["service", "status", "bad"]);
    assert!(status.out.contains('7') && status.out.contains("it is all going wrong"), "{}", status.out);
    eventually("the signal is named", || host.s0(&["service", "status", "shot"]).out.contains("SEGV"));
}

#[test]
fn a_program_that_cannot_be_executed_says_why_at_once() {
    if !needs_root("a_program_that_cannot_be_executed_says_why_at_once") {
        return;
    }
    let builder = HostBuilder::new();
    let script = builder.visible().join("not-a-program");
    std::fs::write(&script, "\0\0\0\0").expect("ours");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("ours");
    let host =
        builder.service("broken", &format!("command = [{:?}]\n", script.display().to_string())).start();
    let start = host.s0(&["service", "start", "broken"]);
    assert_eq!(start.code, 1, "{start:?}");
    assert!(start.err.to_lowercase().contains("exec"), "{}", start.err);
    let status = host.s0(&["service", "status", "broken"]).out.to_lowercase();
    assert!(status.contains("exec"), "{status}");
}

#[test]
fn a_crashed_service_is_started_again_and_its_leftovers_are_gone() {
    if !needs_root("a_crashed_service_is_started_again_and_its_leftovers_are_gone") {
        return;
    }
    let host = HostBuilder::new()
        .service("crash", "command = ['/bin/sh', '-c', 'sleep 2000 & exec sleep 1000']\nstart = 'auto'\nrestart_delay = '0s'\n")
        .start();
    host.wait_state("crash", "Running");
    eventually("both processes are there", || host.pids("crash").len() == 2);
    let before = host.pids("crash");
    let main = main_pid(&host, "crash");
    host.kill(main);
    eventually("a new pair runs and the old one is gone", || {
        let now = host.pids("crash");
        now.len() == 2 && now.iter().all(|pid| !before.contains(pid))
    });
}

/// The machine's pid of the process whose command line begins with `sleep 1000`.
fn main_pid(host: &Host, unit: &str) -> i32 {
    let is_main = |pid: &&i32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .unwrap_or_default()
            .windows(4)
            .any(|four| four == b"1000")
    };
    session0_system_tests::eventually_value("the main process", || {
        host.pids(unit).iter().find(is_main).copied()
    })
}

#[test]
fn stopping_kills_what_ignores_the_signal_and_what_was_left_behind() {
    if !needs_root("stopping_kills_what_ignores_the_signal_and_what_was_left_behind") {
        return;
    }
    let builder = HostBuilder::new();
    let probe = builder.probe();
    let host = builder
        .service(
            "deaf",
            &format!("command = [{probe:?}, 'ignore-term']\nstop_timeout = '200ms'\nstart = 'auto'\n"),
        )
        .service("messy", &format!("command = [{probe:?}, 'leave-child', 'then', 'sleep']\nstart = 'auto'\n"))
        .start();
    host.wait_log("deaf", "ignoring");
    host.wait_log("messy", "left");
    eventually("the child is there", || host.pids("messy").len() == 2);
    host.s0(&["service", "stop", "deaf"]).ok();
    host.s0(&["service", "stop", "messy"]).ok();
    assert_eq!((host.pids("deaf").len(), host.pids("messy").len()), (0, 0));
}

#[test]
fn a_watchdog_that_is_not_fed_restarts_the_service() {
    if !needs_root("a_watchdog_that_is_not_fed_restarts_the_service") {
        return;
    }
    let builder = HostBuilder::new();
    let probe = builder.probe();
    let text = format!(
        "command = [{probe:?}, 'notify', 'READY=1', 'WATCHDOG=1', 'wait']\nkind = 'notify'\nwatchdog = '300ms'\nstart = 'auto'\nrestart_delay = '0s'\n"
    );
    let host = builder.service("silent", &text).start();
    host.wait_state("silent", "Running");
    let first = host.pids("silent");
    eventually("another instance runs", || {
        let now = host.pids("silent");
        !now.is_empty() && now != first
    });
    assert!(
        host.service("silent").to_string().to_lowercase().contains("watchdog")
            || host.s0(&["events"]).out.contains("atchdog")
    );
}

#[test]
fn limits_hold() {
    if !needs_root("limits_hold") {
        return;
    }
    let builder = HostBuilder::new();
    let probe = builder.probe();
    let host = builder
        .service("files", &format!("command = [{probe:?}, 'descriptor-hog']\nlimits = {{ open_files = 40 }}\nstart = 'auto'\n"))
        .service("hog", &format!("command = [{probe:?}, 'memory-hog']\nlimits = {{ memory = '96M' }}\nrestart = 'never'\nstart = 'auto'\n"))
        .service("bomb", &format!("command = [{probe:?}, 'fork-bomb']\nlimits = {{ tasks = 20 }}\nstart = 'auto'\n"))
        .start();
    let log = host.wait_log("files", "opened");
    assert!(log.contains("opened 37"), "{log}");
    host.wait_state("hog", "Stopped");
    assert!(host.s0(&["service", "status", "hog"]).out.contains("KILL"));
    eventually("the bomb fills its limit", || host.pids("bomb").len() == 20);
    host.s0(&["service", "stop", "bomb"]).ok();
    assert_eq!(host.pids("bomb").len(), 0);
}

#[test]
fn reload_says_what_takes_effect_when() {
    if !needs_root("reload_says_what_takes_effect_when") {
        return;
    }
    let host = HostBuilder::new()
        .service("stays", SLEEPER)
        .service("goes", SLEEPER)
        .service("changes", SLEEPER)
        .start();
    for name in ["stays", "goes", "changes"] {
        host.wait_state(name, "Running");
    }
    let before = host.pids("changes");
    let services = host.root().join("etc/session0/services");
    std::fs::remove_file(services.join("goes.toml")).expect("ours");
    std::fs::write(services.join("changes.toml"), "command = ['/bin/sleep', '2000']\nstart = 'auto'\n")
        .expect("ours");
    std::fs::write(services.join("comes.toml"), SLEEPER).expect("ours");
    let report = host.s0(&["reload"]).ok().out;
    for (name, word) in [("comes", "comes"), ("goes", "goes"), ("changes", "restart")] {
        assert!(report.contains(name) && report.contains(word), "{name} in:\n{report}");
    }
    host.wait_state("comes", "Running");
    assert_eq!(host.pids("changes"), before, "a reload disturbs nothing");
    host.s0(&["service", "stop", "goes"]).ok();
    eventually("goes is gone", || host.s0(&["service", "status", "goes"]).code == 1);
    host.s0(&["service", "restart", "changes"]).ok();
    eventually("the new command runs", || {
        host.pids("changes").iter().any(|pid| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .unwrap_or_default()
                .windows(4)
                .any(|four| four == b"2000")
        })
    });
}

#[test]
fn a_reload_that_leaves_something_as_it_was_says_so_with_its_exit_code() {
    if !needs_root("a_reload_that_leaves_something_as_it_was_says_so_with_its_exit_code") {
        return;
    }
    let host = HostBuilder::new().service("a", SLEEPER).start();
    let directory = host.root().join("etc/session0");
    let [settings, services] = ["host.toml", "services"].map(|name| directory.join(name));
    let good = std::fs::read_to_string(&settings).unwrap_or_default();
    assert_eq!(host.s0(&["reload"]).code, 0);
    let circle = |other: &str| format!("{SLEEPER}depends = ['{other}']\n");
    let mistakes = [
        (vec![("host.toml", "isolation = 3\n".to_owned())], "host.toml has errors"),
        (vec![("services/a.toml", "command = 3\n".to_owned())], "left as it was: a"),
        (vec![("services/b.toml", circle("c")), ("services/c.toml", circle("b"))], "b:"),
    ];
    for (files, said) in mistakes {
        for (name, text) in files {
            std::fs::write(directory.join(name), text).expect("ours");
        }
        for arguments in [&["reload"][..], &["reload", "--json"]] {
            let run = host.s0(arguments);
            assert_eq!(run.code, 1, "{arguments:?}: {run:?}");
            assert!(arguments.len() == 2 || run.out.contains(said), "{said} in: {run:?}");
        }
        std::fs::write(&settings, &good).expect("ours");
        std::fs::write(services.join("a.toml"), SLEEPER).expect("ours");
    }
    for name in ["b.toml", "c.toml"] {
        std::fs::remove_file(services.join(name)).expect("ours");
    }
    assert_eq!(host.s0(&["reload"]).code, 0, "all is mended");
}

#[test]
fn down_stops_everything_and_leaves_nothing() {
    if !needs_root("down_stops_everything_and_leaves_nothing") {
        return;
    }
    let host = HostBuilder::new().service("a", SLEEPER).service("b", SLEEPER).start();
    host.wait_state("b", "Running");
    let pids = [host.pids("a"), host.pids("b"), host.pids("init")].concat();
    let group = host.group("");
    assert!(pids.len() >= 3);
    host.down().ok();
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}/exe")).exists(), "{pid} still runs");
    }
    assert!(!group.exists(), "{} is left", group.display());
}

#[test]
fn a_user_may_ask_but_not_stop() {
    if !needs_root("a_user_may_ask_but_not_stop") {
        return;
    }
    let host = HostBuilder::new().service("a", SLEEPER).start();
    host.wait_state("a", "Running");
    // As nobody, with a copy of s0 that nobody can reach.
    let program = host.visible().join("s0");
    std::fs::copy(session0_system_tests::binary("s0"), &program).expect("ours");
    let ask = |arguments: &[&str]| {
        use std::os::unix::process::CommandExt;
        let mut command = std::process::Command::new(&program);
        command.uid(65534).gid(65534).arg("--root").arg(host.root()).args(arguments).current_dir("/");
        session0_system_tests::Run::of(&mut command)
    };
    assert_eq!(ask(&["service", "list"]).code, 0);
    for arguments in [
        &["service", "stop", "a"][..],
        &["service", "start", "a"],
        &["down"],
        &["reload"],
        &["upgrade"],
        &["service", "log", "a"],
    ] {
        let refused = ask(arguments);
        assert_eq!(refused.code, 3, "{arguments:?}: {refused:?}");
    }
    assert_eq!(host.state("a"), "Running");
}
