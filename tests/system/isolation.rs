//! What a service cannot do. Each attack also runs outside, where it must succeed: otherwise the test would
//! prove nothing, and says so as skipped.

use session0_system_tests::{Host, HostBuilder, Run, binary, needs_root, skip};
use std::collections::BTreeMap;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

/// Runs the tries as a service of this account and returns what came of each.
fn inside(account: &str, extra: &str, tries: &[&str]) -> (Host, BTreeMap<String, String>) {
    let builder = HostBuilder::new();
    let probe = builder.probe();
    let text = format!(
        "command = {:?}\naccount = \"{account}\"\nstart = \"auto\"\nrestart = \"never\"\n{extra}\n",
        command(&probe, tries)
    );
    let host = builder.service("attacker", &text).start();
    let log = host.wait_log("attacker", "sleep-after: ok");
    (host, results(&log))
}

fn command(probe: &str, tries: &[&str]) -> Vec<String> {
    let mut words = vec!["/bin/sh".to_owned(), "-c".to_owned(), String::new()];
    let list: Vec<String> = tries.iter().map(|one| one.split(' ').collect::<Vec<_>>().join(" ")).collect();
    words[2] = format!("{probe} {}; echo 'sleep-after: ok'; exec sleep 1000", list.join(" then "));
    words
}

/// The same outside, with a bare fork and exec.
fn outside(tries: &[&str]) -> BTreeMap<String, String> {
    let words: Vec<&str> = tries.join(" then ").leak().split(' ').collect();
    results(&Run::of(Command::new(binary("probe")).args(words)).out)
}

fn results(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.rsplit_once(": "))
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .collect()
}

/// Asserts that each try works outside and gives one of `expected` inside, also for uid 0.
fn refused_inside(test: &str, extra: &str, tries: &[&str], expected: &[&str]) {
    if !needs_root(test) {
        return;
    }
    let free = outside(tries);
    let (_host, bound) = inside("LocalSystem", extra, tries);
    for one in tries {
        let without = free.get(*one).map_or("no answer", String::as_str);
        let within = bound.get(*one).map_or("no answer", String::as_str);
        assert!(expected.contains(&within), "{one} in Session 0 gave {within}, expected one of {expected:?}");
        if expected.contains(&without) {
            skip(&format!("{test} [{one}]"), &format!("this kernel refuses it outside as well ({without})"));
        }
    }
}

#[test]
fn a_service_sees_only_processes_of_session_0() {
    if !needs_root("a_service_sees_only_processes_of_session_0") {
        return;
    }
    let (_host, bound) = inside("LocalSystem", "", &["pids"]);
    let pids = &bound["pids"];
    let free = outside(&["pids"]);
    assert!(free["pids"].split(',').count() > 15, "outside there is more to see: {}", free["pids"]);
    assert!(pids.split(',').count() < 8, "it sees more than its session: {pids}");
}

#[test]
fn a_service_of_another_account_sees_only_its_own_processes() {
    if !needs_root("a_service_of_another_account_sees_only_its_own_processes") {
        return;
    }
    let (_host, bound) = inside("nobody", "", &["pids", "read /proc/1/cmdline"]);
    assert!(bound["pids"].split(',').count() <= 3, "{}", bound["pids"]);
    assert!(!bound["pids"].starts_with("[1,"), "init is visible: {}", bound["pids"]);
    assert_eq!(bound["read /proc/1/cmdline"], "ENOENT");
}

#[test]
fn a_service_cannot_signal_or_trace_a_process_outside() {
    if !needs_root("a_service_cannot_signal_or_trace_a_process_outside") {
        return;
    }
    let mut target = Command::new("sleep").arg("1000").spawn().expect("sleep exists");
    let signal = format!("signal {}", target.id());
    let trace = format!("ptrace {}", target.id());
    let tries = [signal.as_str(), trace.as_str()];
    let free = outside(&tries);
    let (_host, bound) = inside("LocalSystem", "", &tries);
    let _ = target.kill();
    let _ = target.wait();
    for one in tries {
        assert_eq!(free[one], "ok", "{one} outside");
        assert!(["ESRCH", "EPERM"].contains(&bound[one].as_str()), "{one} inside gave {}", bound[one]);
    }
}

#[test]
fn root_in_session_0_cannot_trace_its_init() {
    if !needs_root("root_in_session_0_cannot_trace_its_init") {
        return;
    }
    let (_host, bound) = inside(
        "LocalSystem",
        "",
        &["ptrace 1", "open /proc/1/mem", "list /proc/1/root", "open /proc/1/environ"],
    );
    for (one, result) in &bound {
        if one != "sleep-after" {
            assert!(!result.starts_with("ok") && !result.contains("bin"), "{one} gave {result}");
        }
    }
}

#[test]
fn a_service_cannot_connect_to_an_abstract_socket_outside() {
    if !needs_root("a_service_cannot_connect_to_an_abstract_socket_outside") {
        return;
    }
    let name = format!("session0-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a short name");
    let _listener = UnixListener::bind_addr(&address).expect("the name is free");
    let one = format!("abstract {name}");
    assert_eq!(outside(&[&one])[&one], "ok");
    let (_host, bound) = inside("LocalSystem", "", &[&one]);
    assert_eq!(bound[&one], "EPERM");
}

#[test]
fn session_0_has_no_device_but_the_harmless_ones() {
    if !needs_root("session_0_has_no_device_but_the_harmless_ones") {
        return;
    }
    let (_host, bound) = inside("LocalSystem", "", &["list /dev"]);
    let allowed = [
        "console", "fd", "full", "log", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
        "stdout", "tty", "urandom", "zero", "core",
    ];
    for name in bound["list /dev"].split(' ') {
        assert!(allowed.contains(&name), "/dev/{name} is in Session 0");
    }
}

#[test]
fn root_in_session_0_cannot_make_a_device() {
    let nodes = [
        "mknod c:10:229:/var/tmp",
        "mknod c:4:0:/var/tmp",
        "mknod c:1:1:/var/tmp",
        "mknod b:254:0:/var/tmp",
        "mknod c:226:0:/var/tmp",
        "mknod c:13:64:/var/tmp",
    ];
    if !needs_root("root_in_session_0_cannot_make_a_device") {
        return;
    }
    let (_host, bound) = inside("LocalSystem", "", &nodes);
    let free = outside(&nodes);
    for one in nodes {
        assert!(free[one].starts_with("made"), "{one} outside gave {}", free[one]);
        assert_eq!(bound[one], "EPERM", "{one}");
    }
}

#[test]
fn the_kernels_dangerous_calls_are_refused() {
    refused_inside(
        "the_kernels_dangerous_calls_are_refused",
        "",
        &[
            "syscall keyctl",
            "syscall bpf",
            "syscall perf_event_open",
            "syscall open_by_handle_at",
            "syscall io_uring_setup",
            "syscall userfaultfd",
            "syscall kexec_load",
            "syscall init_module",
            "syscall reboot",
            "syscall swapoff",
            "syscall sethostname",
            "syscall add_key",
            "syscall request_key",
            "vsock",
        ],
        &["EPERM", "ENOSYS", "EAFNOSUPPORT"],
    );
}

#[test]
fn a_character_cannot_be_pushed_into_a_terminal_in_any_spelling() {
    refused_inside(
        "a_character_cannot_be_pushed_into_a_terminal_in_any_spelling",
        "",
        &["tiocsti 0x5412", "tiocsti 0x100005412", "tiocsti 0xffffffff00005412"],
        &["EPERM"],
    );
}

#[test]
fn user_namespaces_are_refused() {
    refused_inside("user_namespaces_are_refused", "", &["clone3-user", "unshare-user"], &["EPERM", "ENOSYS"]);
}

#[test]
fn nothing_can_be_mounted_or_unmounted() {
    refused_inside("nothing_can_be_mounted_or_unmounted", "", &["mount"], &["EPERM"]);
    if !needs_root("nothing_can_be_mounted_or_unmounted") {
        return;
    }
    let (_host, bound) =
        inside("LocalSystem", "", &["umount /proc", "umount /dev", "umount /tmp", "umount /run"]);
    for (one, result) in bound.iter().filter(|(one, _)| one.starts_with("umount")) {
        assert_eq!(result, "EPERM", "{one}");
    }
}

#[test]
fn system_files_are_read_only_even_for_root() {
    let tries = [
        "write /etc/session0-probe",
        "write /usr/session0-probe",
        "write /root/session0-probe",
        "write /etc/passwd",
        "write /proc/sys/kernel/core_pattern",
        "write /proc/sysrq-trigger",
        "write /sys/kernel/uevent_helper",
        "write /etc/ld.so.preload",
        "write /session0-probe",
    ];
    if !needs_root("system_files_are_read_only_even_for_root") {
        return;
    }
    let (_host, bound) = inside("LocalSystem", "", &tries);
    for one in tries {
        assert!(
            ["EROFS", "EACCES", "EPERM", "ENOENT"].contains(&bound[one].as_str()),
            "{one} gave {}",
            bound[one]
        );
    }
    assert_eq!(bound["write /etc/session0-probe"], "EROFS");
    assert_eq!(outside(&tries[..1])["write /etc/session0-probe"], "ok");
    // With an entry of `/` made anew (`/lib64`), the machine would execute what a service wrote.
    assert_eq!(bound["write /session0-probe"], "EROFS");
}

#[test]
fn directories_of_the_machine_that_are_not_its_system_stay_writable() {
    if !needs_root("directories_of_the_machine_that_are_not_its_system_stay_writable") {
        return;
    }
    let tries = ["write /var/lib/session0-probe", "write /srv/session0-probe", "write /home/session0-probe"];
    let (_host, bound) = inside("LocalSystem", "", &tries);
    for one in tries {
        assert_eq!(bound[one], "ok", "{one}");
    }
}

#[test]
fn write_never_opens_the_kernels_settings() {
    if !needs_root("write_never_opens_the_kernels_settings") {
        return;
    }
    let builder = HostBuilder::new();
    // As a service could plant it where it may write, between two of its launches.
    let link = builder.visible().join("data");
    std::os::unix::fs::symlink("/proc/sys", &link).expect("ours");
    let text =
        format!("command = ['/bin/sleep', '1000']\nstart = 'auto'\nwrite = [{link:?}]\nrestart = 'never'\n");
    let host = builder.service("attacker", &text).start();
    host.wait_state("attacker", "Stopped");
    let status = host.s0(&["service", "status", "attacker"]).out;
    assert!(status.contains("EPERM") || status.contains("not permitted"), "{status}");
}

#[test]
fn write_opens_exactly_the_path_it_names() {
    if !needs_root("write_opens_exactly_the_path_it_names") {
        return;
    }
    let directory = format!("/etc/session0-test-{}", std::process::id());
    std::fs::create_dir_all(&directory).expect("root may");
    let (one, other) = (format!("write {directory}/x"), "write /etc/session0-probe");
    let (host, bound) = inside("LocalSystem", &format!("write = [{directory:?}]"), &[&one, other]);
    drop(host);
    let _ = std::fs::remove_dir_all(&directory);
    assert_eq!(bound[&one], "ok");
    assert_eq!(bound[other], "EROFS");
}

#[test]
fn tmp_run_and_shared_memory_are_the_sessions_own() {
    if !needs_root("tmp_run_and_shared_memory_are_the_sessions_own") {
        return;
    }
    let name = format!("session0-outside-{}", std::process::id());
    let places = ["/tmp", "/var/tmp", "/dev/shm", "/run"];
    for place in places {
        std::fs::write(format!("{place}/{name}"), "x").expect("root may");
    }
    let tries: Vec<String> = places.iter().map(|place| format!("list {place}")).collect();
    let (_host, bound) = inside("LocalSystem", "", &tries.iter().map(String::as_str).collect::<Vec<_>>());
    for place in places {
        let _ = std::fs::remove_file(format!("{place}/{name}"));
        assert!(!bound[&format!("list {place}")].contains(&name), "{place} is the machine's");
    }
}

#[test]
fn the_hosts_own_runtime_directory_is_hidden() {
    if !needs_root("the_hosts_own_runtime_directory_is_hidden") {
        return;
    }
    // The root is where Session 0 would see it if it were not hidden.
    let builder = HostBuilder::new();
    let visible = builder.visible().to_owned();
    let root = visible.join("root");
    std::fs::create_dir_all(root.join("etc/session0/services")).expect("ours");
    let probe = builder.probe();
    let tries = [
        format!("list {}", root.join("run/session0").display()),
        format!("list {}", root.join("run/session0/init").display()),
    ];
    let words = command(&probe, &tries.iter().map(String::as_str).collect::<Vec<_>>());
    std::fs::write(
        root.join("etc/session0/services/attacker.toml"),
        format!("command = {words:?}\nstart = \"auto\"\n"),
    )
    .expect("ours");
    let mut keeper =
        Command::new(binary("s0")).arg("--root").arg(&root).args(["up", "--quiet"]).spawn().expect("s0");
    let log = session0_system_tests::eventually_value("the attacker prints", || {
        let text = std::fs::read_to_string(root.join("var/log/session0/services/attacker.log")).ok()?;
        text.contains("sleep-after").then_some(text)
    });
    Run::of(Command::new(binary("s0")).arg("--root").arg(&root).arg("down")).ok();
    let _ = keeper.wait();
    assert!(!log.contains("0.sock"), "init's control socket is visible:\n{log}");
    assert!(!log.contains("daemon.lock"), "{log}");
    let _ = std::fs::remove_dir_all(&visible);
    let _ = std::fs::remove_dir_all(builder.root());
}

#[test]
fn a_service_starts_with_clean_descriptors_signals_and_environment() {
    if !needs_root("a_service_starts_with_clean_descriptors_signals_and_environment") {
        return;
    }
    let builder = HostBuilder::new();
    let probe = builder.probe();
    let text = format!(
        "command = [{probe:?}, 'fds', 'then', 'credentials', 'then', 'environment', 'then', 'sleep']\naccount = 'nobody'\nstart = 'auto'\nenvironment = {{ GREETING = 'hello' }}\n"
    );
    // What the keeper has in its environment must not arrive.
    let host = builder.service("clean", &text).start();
    let log = host.wait_log("clean", "environment: ");
    let found = results(&log);
    let descriptors: Vec<&str> =
        found["fds"].split(' ').map(|one| one.split('=').next().unwrap_or("")).collect();
    assert_eq!(descriptors, ["0", "1", "2"], "{}", found["fds"]);
    let credentials = &log.lines().find(|line| line.starts_with("credentials")).unwrap_or("").to_owned();
    for expected in [
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "Uid: 65534 65534 65534 65534",
        "SigBlk: 0000000000000000",
        "Seccomp: 2",
    ] {
        assert!(credentials.contains(expected), "{expected} is not in {credentials}");
    }
    let environment = log.lines().find(|line| line.starts_with("environment")).unwrap_or("");
    assert!(environment.contains("GREETING=hello"), "{environment}");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO")) {
        assert!(!environment.contains(&format!("{name}=")), "{name} came through");
    }
}

#[test]
fn a_service_starts_with_every_signal_at_its_default() {
    if !needs_root("a_service_starts_with_every_signal_at_its_default") {
        return;
    }
    // Read by a program that changes none itself, under a keeper that ignores some.
    let text = "command = ['/bin/cat', '/proc/self/status']\nstart = 'auto'\nrestart = 'never'\n";
    let builder = HostBuilder::new().service("reads", text);
    let mut up = Command::new("/bin/sh");
    up.args(["-c", "trap '' PIPE HUP USR1 INT; exec \"$@\"", "sh"]).arg(binary("s0"));
    up.arg("--root").arg(builder.root()).args(["up", "--quiet"]);
    let mut keeper = up.stdin(std::process::Stdio::null()).spawn().expect("sh");
    let log = builder.root().join("var/log/session0/services/reads.log");
    let text = session0_system_tests::eventually_value("it prints", || {
        std::fs::read_to_string(&log).ok().filter(|text| text.contains("SigCgt"))
    });
    Run::of(Command::new(binary("s0")).arg("--root").arg(builder.root()).arg("down")).ok();
    let _ = keeper.wait();
    let _ = std::fs::remove_dir_all(builder.root());
    let _ = std::fs::remove_dir_all(builder.visible());
    for name in ["SigBlk", "SigIgn", "SigCgt"] {
        let line = text.lines().find(|line| line.contains(name)).unwrap_or("");
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
}

#[test]
fn local_system_holds_no_capability_that_would_void_the_rest() {
    if !needs_root("local_system_holds_no_capability_that_would_void_the_rest") {
        return;
    }
    let (host, _) = inside("LocalSystem", "", &["credentials"]);
    let log = host.log("attacker");
    let bounding = log.split("CapBnd: ").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or("");
    assert_eq!(u64::from_str_radix(bounding, 16).ok(), Some(0x2004_05fb), "{log}");
}

#[test]
fn a_private_network_has_only_loopback() {
    if !needs_root("a_private_network_has_only_loopback") {
        return;
    }
    let (_host, bound) = inside(
        "LocalSystem",
        "network = \"private\"",
        &["list /sys/class/net", "list /proc/self/net/dev_snmp6"],
    );
    let seen = bound["list /proc/self/net/dev_snmp6"].clone();
    assert!(seen == "lo" || seen.contains("No such file"), "{seen}");
}
