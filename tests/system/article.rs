//! The claims of the article about Windows' sessions, one test for each; `docs/article.md` has the commands that show them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, OnceLock, PoisonError};

use session0_system_tests::{
    Host, HostBuilder, Logon, PASSWORD, Run, article_host, binary, eventually, needs_root, skip,
};

/// A host with services, and a lock for those who look at who is on.
struct World {
    host: Host,
    users: Mutex<()>,
    _watcher: Child,
}

fn vista() -> &'static World {
    static WORLD: OnceLock<Option<World>> = OnceLock::new();
    let made = WORLD.get_or_init(|| std::panic::catch_unwind(|| start("vista")).ok());
    made.as_ref().expect("the host that these tests share could be made; see the first of them")
}

fn start(isolation: &str) -> World {
    let host = article_host(isolation);
    let watcher = host.end_with_us();
    World { host, users: Mutex::new(()), _watcher: watcher }
}

fn uids(host: &Host, unit: &str) -> BTreeSet<String> {
    let status = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let uid = |text: String| {
        text.lines().find_map(|line| Some(line.strip_prefix("Uid:")?.split_whitespace().next()?.to_owned()))
    };
    host.pids(unit).iter().map(status).filter_map(uid).collect()
}

fn leave(host: &Host, mut logon: Logon, user: &str) {
    logon.type_line("exit");
    logon.ended();
    eventually("its session is over", || host.sessions_of(user).is_empty());
}

#[test]
fn a1_services_do_low_level_work_quietly_in_the_background() {
    if !needs_root("a1_services_do_low_level_work_quietly_in_the_background") {
        return;
    }
    if !Path::new("/usr/bin/redis-server").exists() {
        return skip("a1_services_do_low_level_work_quietly_in_the_background", "redis is not installed");
    }
    let command = "command = ['/usr/bin/redis-server', '--port', '0', '--unixsocket', '/run/cache/socket', '--save', '']\n";
    let text = format!(
        "{command}account = 'redis'\nstart = 'auto'\nruntime_directory = ['cache']\nexpose = ['cache']\n"
    );
    let host = HostBuilder::new().service("cache", &text).start();
    host.wait_state("cache", "Running");
    let list = host.s0(&["service", "list"]).ok().out;
    assert!(list.contains("cache") && list.contains("Running"), "{list}");
    host.wait_log("cache", "accept connections");
    assert!(!host.up_output().contains("accept connections"), "it is quiet: its output is in its log");
}

#[test]
fn a2_a_service_starts_by_itself_when_the_computer_starts() {
    if !needs_root("a2_a_service_starts_by_itself_when_the_computer_starts") {
        return;
    }
    let host =
        HostBuilder::new().service("clock", "command = ['/bin/sleep', '1000']\nstart = 'auto'\n").start();
    host.wait_state("clock", "Running");
    assert_eq!(host.sessions().len(), 1, "nobody is logged on, and nobody asked");
    // That the machine's init, or a container, starts `s0 up` is proven in boot.rs and container.rs.
}

#[test]
fn a3_a_service_can_be_stopped_and_restarted() {
    if !needs_root("a3_a_service_can_be_stopped_and_restarted") {
        return;
    }
    let host =
        HostBuilder::new().service("clock", "command = ['/bin/sleep', '1000']\nstart = 'auto'\n").start();
    host.wait_state("clock", "Running");
    let before = host.pids("clock");
    host.s0(&["service", "restart", "clock"]).ok();
    let after = host.pids("clock");
    assert!(host.state("clock") == "Running" && after.len() == 1 && after != before);
    host.s0(&["service", "stop", "clock"]).ok();
    assert!(host.pids("clock").is_empty());
}

#[test]
fn a4_a_service_runs_whether_or_not_anybody_is_logged_on() {
    if !needs_root("a4_a_service_runs_whether_or_not_anybody_is_logged_on") {
        return;
    }
    let World { host, users, .. } = vista();
    let _alone = users.lock().unwrap_or_else(PoisonError::into_inner);
    let before = host.service("system")["pid"].clone();
    assert!(before.is_number());
    let alice = host.logon("alice", PASSWORD);
    assert_eq!(host.service("system")["pid"], before, "one is on");
    let bob = host.logon("bob", PASSWORD);
    assert_eq!(host.service("system")["pid"], before, "two are on");
    leave(host, alice, "alice");
    leave(host, bob, "bob");
    assert_eq!(host.service("system")["pid"], before, "they are gone");
}

#[test]
fn a5_a_service_can_run_as_another_account() {
    if !needs_root("a5_a_service_can_run_as_another_account") {
        return;
    }
    let World { host, .. } = vista();
    for name in ["system", "clock", "hers"] {
        host.wait_state(name, "Running");
    }
    let list = host.s0(&["account", "list", "--json"]).ok().json();
    let all = list.as_array().cloned().unwrap_or_default();
    let alice = all.iter().find(|one| one["name"] == "alice").expect("she is there")["uid"].to_string();
    let nobody = Run::of(Command::new("id").args(["-u", "nobody"])).ok().out.trim().to_owned();
    assert_eq!(uids(host, "system"), ["0".to_owned()].into(), "the machine's own");
    assert_eq!(uids(host, "clock"), [nobody].into(), "one of the machine");
    assert_eq!(uids(host, "hers"), [alice].into(), "a built-in account");
}

#[test]
fn a6_services_do_not_disturb_those_at_the_machine() {
    if !needs_root("a6_services_do_not_disturb_those_at_the_machine") {
        return;
    }
    let World { host, users, .. } = vista();
    let _alone = users.lock().unwrap_or_else(PoisonError::into_inner);
    let bob = host.logon("bob", PASSWORD);
    let session = host.session_of("bob");
    host.s0(&["service", "start", "disturb"]).ok();
    let log = host.wait_log("disturb", "disturbed\ndisturbed");
    assert!(!log.is_empty());
    assert!(bob.shell("echo calm").contains("calm"));
    assert!(!bob.text().contains("intrusion"), "no message of a service: {}", bob.text());
    let seen = host.sh_in(session, "ps ax -o args=; ls /dev/pts");
    assert!(!seen.contains("disturb") && !seen.contains("date"), "no process of one: {seen}");
    host.s0(&["service", "stop", "disturb"]).ok();
    leave(host, bob, "bob");
}

#[test]
fn a7_a_program_in_a_users_session_does_not_reach_a_service() {
    if !needs_root("a7_a_program_in_a_users_session_does_not_reach_a_service") {
        return;
    }
    // One attack for the sentence; all of them are in attacks/.
    let World { host, users, .. } = vista();
    let _alone = users.lock().unwrap_or_else(PoisonError::into_inner);
    host.wait_state("hers", "Running");
    let before = host.pids("hers");
    let alice = host.logon("alice", PASSWORD);
    let run = host.run_in(host.session_of("alice"), &["pkill", "-9", "-f", "sleep 4711"]);
    assert_eq!(run.code, 1, "there is nothing to kill: {}{}", run.out, run.err);
    assert_eq!(host.pids("hers"), before);
    leave(host, alice, "alice");
}

#[test]
fn a8_each_user_who_logs_on_gets_a_separate_session() {
    if !needs_root("a8_each_user_who_logs_on_gets_a_separate_session") {
        return;
    }
    let World { host, users, .. } = vista();
    let _alone = users.lock().unwrap_or_else(PoisonError::into_inner);
    let alice = host.logon("alice", PASSWORD);
    let bob = host.logon("bob", PASSWORD);
    let again = host.logon_with(&["alice", "--new"], PASSWORD);
    let all: BTreeSet<u32> = host.sessions_of("alice").into_iter().chain(host.sessions_of("bob")).collect();
    assert_eq!(all.len(), 3, "{all:?}");
    let spaces: BTreeSet<String> =
        all.iter().map(|id| host.sh_in(*id, "readlink /proc/self/ns/pid")).collect();
    assert_eq!(spaces.len(), 3, "the kernel separates them");
    for id in all {
        host.s0(&["session", "logoff", &id.to_string()]).ok();
    }
    for mut logon in [alice, bob, again] {
        logon.ended();
    }
}

#[test]
fn a9_session_0_is_made_during_start_up_and_the_others_as_needed() {
    if !needs_root("a9_session_0_is_made_during_start_up_and_the_others_as_needed") {
        return;
    }
    let host = HostBuilder::new().start();
    let ids = || host.sessions().iter().filter_map(|one| one["id"].as_u64()).collect::<Vec<_>>();
    assert_eq!(ids(), [0], "before anybody is there");
    for name in ["alice", "bob"] {
        host.person(name);
    }
    let _alice = host.logon("alice", PASSWORD);
    assert_eq!(ids(), [0, 1]);
    let _bob = host.logon("bob", PASSWORD);
    assert_eq!(ids(), [0, 1, 2]);
    let events = host.events();
    let at = |text: &str| events.find(text).unwrap_or_else(|| panic!("{text:?} is not in {events}"));
    let order =
        [at("session 0 was made"), at("session 1 was made"), at("alice logged on"), at("session 2 was made")];
    assert!(order.is_sorted(), "{events}");
}

#[test]
fn a10_services_always_run_in_session_0() {
    if !needs_root("a10_services_always_run_in_session_0") {
        return;
    }
    let World { host, users, .. } = vista();
    let _alone = users.lock().unwrap_or_else(PoisonError::into_inner);
    let alice = host.logon("alice", PASSWORD);
    let session = host.session_of("alice");
    let s0 = host.visible_s0();
    let said = alice.shell(&format!("{s0} service restart clock; echo code-$?-"));
    assert!(said.contains("code-0-"), "she starts what she has the right to, from her session: {said}");
    let other = alice.shell(&format!("{s0} service restart system; echo code-$?-"));
    assert!(other.contains("code-3-") && other.contains("(5)"), "and nothing else: {other}");
    let pids = host.pids("clock");
    assert!(!pids.is_empty(), "it is in Session 0");
    assert!(host.pids_in(session).iter().all(|pid| !pids.contains(pid)), "and not in hers");
    assert!(!host.sh_in(session, "ps ax -o args=").contains("date"));
    leave(host, alice, "alice");
    let bob = host.logon("bob", PASSWORD);
    let his = bob.shell(&format!("{s0} service restart clock; echo code-$?-"));
    assert!(his.contains("code-3-") && his.contains("control"), "who has not the right is told of it: {his}");
    leave(host, bob, "bob");
}

#[test]
fn a11_as_in_xp_the_first_user_gets_session_0_and_the_second_session_1() {
    if !needs_root("a11_as_in_xp_the_first_user_gets_session_0_and_the_second_session_1") {
        return;
    }
    let World { host, .. } = &start("xp");
    let first = host.logon("alice", PASSWORD);
    let second = host.logon("bob", PASSWORD);
    assert_eq!((host.session_of("alice"), host.session_of("bob")), (0, 1));
    assert!(host.up_output().contains("Windows XP"), "there is a warning: {}", host.up_output());
    assert!(host.sh_in(0, "ps ax -o args=").contains("sleep 4711"), "services are there, too");
    drop((first, second));
    // The first who comes afterwards has it again.
    eventually("both are gone", || {
        host.sessions_of("alice").is_empty() && host.sessions_of("bob").is_empty()
    });
    let _bob = host.logon("bob", PASSWORD);
    assert_eq!(host.session_of("bob"), 0);
}

#[test]
fn a12_a_users_program_in_session_0_wreaks_havoc_without_being_a_service() {
    if !needs_root("a12_a_users_program_in_session_0_wreaks_havoc_without_being_a_service") {
        return;
    }
    let World { host, .. } = &start("xp");
    host.wait_state("hers", "Running");
    let before = host.pids("hers");
    let _alice = host.logon("alice", PASSWORD);
    let run = host.run_in(0, &["pkill", "-9", "-f", "sleep 4711"]);
    assert_eq!(run.code, 0, "it finds the service: {}{}", run.out, run.err);
    eventually("the service was killed, and started again", || {
        let now = host.pids("hers");
        !now.is_empty() && now != before
    });
    assert!(host.s0(&["service", "list"]).ok().out.contains("hers"));
    // All of what is possible there is the right column of `cargo xtask demo attacks`.
}

#[test]
fn a13_users_are_in_session_1_or_higher_and_session_0_is_refused_with_the_reason() {
    if !needs_root("a13_users_are_in_session_1_or_higher_and_session_0_is_refused_with_the_reason") {
        return;
    }
    let World { host, users, .. } = vista();
    let _alone = users.lock().unwrap_or_else(PoisonError::into_inner);
    let alice = host.logon("alice", PASSWORD);
    assert!(host.session_of("alice") >= 1);
    let run = host.run_in(0, &["sh"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("no user is logged on in it") && run.err.contains("services"), "{}", run.err);
    let off = host.s0(&["session", "logoff", "0"]);
    assert!(off.code == 1 && off.err.contains("1008"), "{}", off.err);
    leave(host, alice, "alice");
}

#[test]
fn a14_there_is_no_user_interface_in_session_0_and_no_graphics_hardware() {
    if !needs_root("a14_there_is_no_user_interface_in_session_0_and_no_graphics_hardware") {
        return;
    }
    let World { host, .. } = vista();
    host.s0(&["service", "start", "look"]).ok();
    let log = host.wait_log("look", "looked");
    let found = log.lines().filter(|line| line.contains("/dev/")).count();
    assert_eq!(found, 0, "no such device is there: {log}");
    let tried: Vec<&str> = log.lines().filter(|line| line.starts_with("mknod")).collect();
    assert!(tried.len() == 3 && tried.iter().all(|line| !line.ends_with(": ok")), "not even for root: {log}");
    let outside = Run::of(Command::new(binary("probe")).args(["mknod", "c:10:229:/var/tmp"])).out;
    if !outside.contains(": ok") {
        skip(
            "a14_there_is_no_user_interface_in_session_0_and_no_graphics_hardware [mknod]",
            "it is refused outside as well",
        );
    }
    host.s0(&["service", "start", "asks"]).ok();
    eventually("it is noticed", || {
        host.s0(&["service", "status", "asks"]).out.contains("waiting for a user nobody can see")
    });
}

#[test]
fn a20_services_and_programs_talk_by_named_pipes_and_rpc() {
    if !needs_root("a20_services_and_programs_talk_by_named_pipes_and_rpc") {
        return;
    }
    let World { host, users, .. } = vista();
    let _alone = users.lock().unwrap_or_else(PoisonError::into_inner);
    let s0 = host.visible_s0();
    for name in ["alice", "bob"] {
        let logon = host.logon(name, PASSWORD);
        let (session, uid) = (host.session_of(name), host.uid_of(name));
        let said = logon.shell(&format!("{s0} pipe connect hello"));
        assert!(said.contains(&format!("hello, {name} of session {session}")), "who it is was told: {said}");
        let said = logon.shell(&format!("{s0} rpc call greeter Greet '{{\"name\":\"you\"}}'"));
        assert!(said.contains(&format!("Hello you, uid {uid} from session {session}")), "{said}");
        // Nobody is told of a pipe's two ends by their programs' word, and nobody but the service serves it.
        let said = logon.shell(&format!("{s0} pipe listen hello --once </dev/null; echo code-$?-"));
        assert!(said.contains("code-3-") && said.contains("reserved"), "{said}");
        leave(host, logon, name);
    }
    for service in ["hello", "greeter"] {
        assert_eq!(host.state(service), "Running", "opening its pipe has started it");
        assert!(!host.pids(service).is_empty(), "in Session 0");
    }
}
