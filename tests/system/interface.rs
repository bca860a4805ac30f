//! The public interface, seen by somebody else's client and by somebody else's process.

use session0_system_tests::{HostBuilder, Run, needs_root, skip};
use std::process::Command;

#[test]
fn pythons_varlink_client_can_ask_describe_and_call() {
    let test = "pythons_varlink_client_can_ask_describe_and_call";
    if !needs_root(test) {
        return;
    }
    let python = std::env::var("SESSION0_PYTHON").unwrap_or_else(|_| "python3".into());
    if Run::of(Command::new(&python).args(["-c", "import varlink"])).code != 0 {
        skip(test, "the Python package varlink is not installed");
        return;
    }
    let host = HostBuilder::new().service("a", "command = ['/bin/sleep', '1000']\nstart = 'auto'\n").start();
    host.wait_state("a", "Running");
    let address = format!("unix:{}", host.root().join("run/session0/api").display());
    let varlink = |arguments: &[&str]| {
        Run::of(Command::new(&python).args(["-m", "varlink.cli"]).args(arguments)).ok().out
    };
    let info = varlink(&["info", &address]);
    for interface in ["io.session0.Host", "io.session0.Service", "io.session0.Session"] {
        assert!(info.contains(interface), "{info}");
        assert!(varlink(&["help", &format!("{address}/{interface}")]).contains("method"));
    }
    let list = varlink(&["call", &format!("{address}/io.session0.Service.List"), "{}"]);
    assert!(list.contains("running"), "{list}");
}

#[test]
fn a_service_finds_the_api_at_its_usual_place_and_is_known() {
    if !needs_root("a_service_finds_the_api_at_its_usual_place_and_is_known") {
        return;
    }
    let builder = HostBuilder::new();
    let s0 = builder.visible().join("s0");
    std::fs::copy(session0_system_tests::binary("s0"), &s0).expect("ours");
    let s0 = s0.display().to_string();
    let host = builder
        .service("peer", "command = ['/bin/sleep', '1000']\nstart = 'auto'\n")
        .service("root", &format!("command = ['/bin/sh', '-c', '{s0} service stop peer && echo stopped; exec sleep 1000']\n"))
        .service("nobody", &format!("command = ['/bin/sh', '-c', '{s0} service list; {s0} service stop peer; echo code $?; exec sleep 1000']\naccount = 'nobody'\n"))
        .start();
    host.wait_state("peer", "Running");
    host.s0(&["service", "start", "nobody"]).ok();
    let log = host.wait_log("nobody", "code");
    assert!(log.contains("peer") && log.contains("code 3"), "{log}");
    assert_eq!(host.state("peer"), "Running");
    host.s0(&["service", "start", "root"]).ok();
    host.wait_log("root", "stopped");
    host.wait_state("peer", "Stopped");
}

#[test]
fn a_door_carried_to_another_place_is_refused() {
    if !needs_root("a_door_carried_to_another_place_is_refused") {
        return;
    }
    let host = HostBuilder::new().start();
    // init's mount namespace, entered by its root directory: the listener is Session 0's, the caller is outside.
    let init = host.pids("init")[0];
    let door = format!("/proc/{init}/root/run/session0/api");
    let carried = Run::of(
        Command::new(session0_system_tests::binary("s0"))
            .arg("--socket")
            .arg(&door)
            .args(["service", "list"]),
    );
    assert_ne!(carried.code, 0, "{carried:?}");
    let events = std::fs::read_to_string(host.root().join("var/log/session0/events.jsonl")).expect("written");
    assert!(events.contains("identity"), "{events}");
}

#[test]
fn events_begin_with_a_snapshot_and_miss_nothing() {
    if !needs_root("events_begin_with_a_snapshot_and_miss_nothing") {
        return;
    }
    let host = HostBuilder::new().service("a", "command = ['/bin/sleep', '1000']\n").start();
    use std::io::BufRead;
    let mut follower = Command::new(session0_system_tests::binary("s0"))
        .arg("--root")
        .arg(host.root())
        .args(["events", "--follow", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("s0");
    let mut lines = std::io::BufReader::new(follower.stdout.take().expect("piped")).lines();
    let first: serde_json::Value =
        serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("json");
    assert!(first.to_string().contains("sequence"), "{first}");
    host.s0(&["service", "start", "a"]).ok();
    host.s0(&["service", "stop", "a"]).ok();
    let mut seen = String::new();
    for line in lines.map_while(Result::ok) {
        seen.push_str(&line);
        if line.contains("\"stopped\"") {
            break;
        }
    }
    let _ = follower.kill();
    let _ = follower.wait();
    for state in ["start_pending", "running", "stop_pending", "stopped"] {
        assert!(seen.contains(state), "{state} is not in {seen}");
    }
}

#[test]
fn every_command_speaks_json() {
    if !needs_root("every_command_speaks_json") {
        return;
    }
    let host = HostBuilder::new().service("a", "command = ['/bin/sleep', '1000']\nstart = 'auto'\n").start();
    host.wait_state("a", "Running");
    for arguments in [
        &["status"][..],
        &["service", "list"],
        &["service", "status", "a"],
        &["session", "list"],
        &["version"],
        &["doctor"],
        &["events"],
        &["reload"],
        &["service", "restart", "a"],
        &["service", "stop", "a"],
        &["service", "start", "a"],
        &["service", "check"],
    ] {
        let run = host.s0(&[arguments, &["--json"]].concat());
        assert_eq!(run.code, 0, "{arguments:?}: {run:?}");
        for line in run.out.lines().take(1).filter(|_| arguments == ["events"]) {
            serde_json::from_str::<serde_json::Value>(line).expect("each line is JSON");
        }
        if arguments != ["events"] {
            run.json();
        }
    }
    let refused = host.s0(&["service", "start", "none", "--json"]);
    assert_eq!(refused.code, 1);
    let error: serde_json::Value = serde_json::from_str(refused.err.trim())
        .or_else(|_| serde_json::from_str(refused.out.trim()))
        .expect("errors are JSON too");
    assert!(error.to_string().contains("1060"), "{error}");
}
