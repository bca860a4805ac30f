//! What a user's session is made of: the rows of the table in the design, seen from inside.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use session0_system_tests::{Host, HostBuilder, Logon, PASSWORD, Run, needs_root, probe_path, skip};
use std::sync::{Mutex, OnceLock};

/// Two sessions of one user, and one of another.
struct World {
    host: Host,
    one: u32,
    two: u32,
    other: u32,
    _logons: Mutex<Vec<Logon>>,
    _watcher: std::process::Child,
}

fn world() -> &'static World {
    static WORLD: OnceLock<Option<World>> = OnceLock::new();
    let made = WORLD.get_or_init(|| std::panic::catch_unwind(make).ok());
    made.as_ref().expect("the host that these tests share could be made; see the first of them")
}

fn make() -> World {
    let host = HostBuilder::new().host_toml("sessions_per_user = 2\n").start();
    let watcher = host.end_with_us();
    host.person("alice");
    host.person("bob");
    let first = host.logon("alice", PASSWORD);
    let one = host.session_of("alice");
    let second = host.logon_with(&["alice", "--new"], PASSWORD);
    let two = *host.sessions_of("alice").iter().find(|id| **id != one).expect("another one");
    let third = host.logon("bob", PASSWORD);
    let other = host.session_of("bob");
    World { host, one, two, other, _logons: Mutex::new(vec![first, second, third]), _watcher: watcher }
}

impl World {
    fn sh(&self, session: u32, line: &str) -> String {
        self.host.sh_in(session, line)
    }

    fn probe(&self, session: u32, words: &str) -> String {
        let out = self.sh(session, &format!("{} {words}", probe_path(&self.host)));
        out.lines()
            .last()
            .and_then(|line| line.rsplit_once(": "))
            .map_or(out.clone(), |(_, end)| end.to_owned())
    }
}

#[test]
fn each_session_has_namespaces_of_its_own() {
    if !needs_root("each_session_has_namespaces_of_its_own") {
        return;
    }
    let world = world();
    for kind in ["pid", "mnt", "ipc", "uts"] {
        let inside = [world.one, world.two, world.other]
            .map(|id| world.sh(id, &format!("readlink /proc/self/ns/{kind}")));
        let outside = fs::read_link(format!("/proc/self/ns/{kind}")).expect("proc is mounted");
        let mut all: BTreeSet<String> = inside.into_iter().collect();
        all.insert(outside.display().to_string());
        let zero = world.host.pids("session0-log");
        let zero = zero.first().and_then(|pid| fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok());
        all.insert(zero.expect("the logger runs in Session 0").display().to_string());
        assert_eq!(all.len(), 5, "{kind}: three sessions, Session 0 and the machine: {all:?}");
    }
    let name = world.sh(world.one, "uname -n");
    assert_eq!(name, Run::of(Command::new("uname").arg("-n")).out.trim(), "the machine's name is kept");
}

#[test]
fn private_places_are_private_also_for_two_sessions_of_one_user() {
    if !needs_root("private_places_are_private_also_for_two_sessions_of_one_user") {
        return;
    }
    let world = world();
    for place in ["/tmp", "/var/tmp", "/dev/shm", "/run/lock", "$XDG_RUNTIME_DIR"] {
        let file = format!("{place}/mine-{}", std::process::id());
        assert_eq!(world.sh(world.one, &format!("echo secret > {file} && cat {file}")), "secret", "{place}");
        for id in [world.two, world.other] {
            assert_eq!(
                world.sh(id, &format!("cat {file} 2>&1; ls -A {place}")).matches("mine").count(),
                1,
                "{place}: only the complaint names it in {id}"
            );
        }
        assert!(!std::path::Path::new(&file).exists(), "{place} of the machine has it");
    }
    let mounts = world.sh(world.one, "cat /proc/self/mountinfo");
    for place in ["/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/dev/pts", "/run", "/proc", "/dev"] {
        assert!(mounts.contains(&format!(" {place} ")), "{place} is a mount of its own:\n{mounts}");
    }
}

#[test]
fn terminals_and_process_numbers_are_the_sessions_own() {
    if !needs_root("terminals_and_process_numbers_are_the_sessions_own") {
        return;
    }
    let world = world();
    for id in [world.one, world.two, world.other] {
        let names = world.sh(id, "ls /dev/pts");
        let numbers: Vec<&str> = names.split_whitespace().filter(|name| *name != "ptmx").collect();
        assert_eq!(numbers, ["0"], "session {id} has its shell's terminal and no other");
        let seen = world.sh(id, "ls /proc | grep -c '^[0-9]'");
        assert!(seen.parse::<u32>().is_ok_and(|count| count < 8), "{seen} processes are seen in {id}");
        assert_eq!(world.sh(id, "cat /proc/1/cmdline 2>/dev/null | wc -c"), "0", "init is not seen");
    }
}

#[test]
fn only_harmless_devices_are_there_and_the_own_terminal() {
    if !needs_root("only_harmless_devices_are_there_and_the_own_terminal") {
        return;
    }
    let world = world();
    let allowed = [
        "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
        "urandom", "zero", "log",
    ];
    for name in world.sh(world.one, "ls /dev").split_whitespace() {
        assert!(allowed.contains(&name), "/dev/{name} is in a session");
    }
    assert_eq!(
        world
            .sh(world.one, "head -c 3 /dev/zero | wc -c; echo x > /dev/null; head -c 3 /dev/urandom | wc -c"),
        "3\n3"
    );
    let without = world.sh(world.one, "sh -c 'true > /dev/tty' 2>&1");
    assert!(without.contains("No such device or address"), "a program without one has none: {without}");
    let line = "script -qec 'echo seen > /dev/tty; tty' /dev/null";
    let shown = world.sh(world.one, line);
    assert!(
        shown.contains("seen") && shown.contains("/dev/pts/"),
        "a program's own terminal can be opened: {shown}"
    );
}

#[test]
fn a_session_has_no_capability_and_no_way_to_one() {
    if !needs_root("a_session_has_no_capability_and_no_way_to_one") {
        return;
    }
    let world = world();
    let status = world
        .sh(world.one, "grep -E '^(Cap|NoNewPrivs|Seccomp):' /proc/self/status; grep ^Cap /proc/self/status");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000")), "{set}: {status}");
    }
    assert!(status.contains("NoNewPrivs:\t1"), "elevation is denied: {status}");
    assert!(status.contains("Seccomp:\t2"), "{status}");
    assert_eq!(world.probe(world.one, "unshare-user"), "EPERM");
    assert_eq!(world.probe(world.one, "clone3-user"), "ENOSYS");
    assert_eq!(world.probe(world.one, "mount"), "EPERM");
    for syscall in ["kexec", "bpf-map", "vsock"] {
        let words = if syscall == "kexec" { "syscall kexec_load" } else { syscall };
        let inside = world.probe(world.one, words);
        assert!(inside != "ok", "{syscall} gave {inside}");
    }
}

#[test]
fn the_machines_system_and_our_own_directories_are_not_the_users_to_change_or_see() {
    if !needs_root("the_machines_system_and_our_own_directories_are_not_the_users_to_change_or_see") {
        return;
    }
    let world = world();
    for path in ["/usr", "/etc", "/boot", "/root"] {
        let options = world.sh(world.one, &format!("findmnt -no OPTIONS -T {path}"));
        assert!(options.starts_with("ro"), "{path}: {options}");
    }
    for path in ["etc/session0", "var/log/session0", "run/session0"] {
        let place = world.host.root().join(path);
        let seen = world
            .sh(world.one, &format!("ls {} 2>&1; cat {}/* 2>/dev/null", place.display(), place.display()));
        assert!(
            !seen.contains("accounts") && !seen.contains("events") && !seen.contains("daemon.lock"),
            "{path}: {seen}"
        );
    }
    assert_eq!(world.sh(world.one, "ls /etc/session0 /var/log/session0 /var/lib/session0 2>/dev/null"), "");
    assert!(world.sh(world.one, "ls /run/session0").contains("api"), "the way to the host is there");
    for path in ["/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/kcore"] {
        assert_ne!(
            world.sh(world.one, &format!("echo x 2>/dev/null > {path} && echo written")),
            "written",
            "{path}"
        );
    }
}

#[test]
fn names_are_right_in_a_session() {
    if !needs_root("names_are_right_in_a_session") {
        return;
    }
    let world = world();
    let uid = world.host.uid_of("alice");
    let seen = world.sh(
        world.one,
        "id -un; id -gn; id -u; echo ~alice; stat -c %U ~; getent passwd bob | cut -d: -f1; pwd",
    );
    assert_eq!(seen, format!("alice\nalice\n{uid}\n/home/alice\nalice\nbob\n/home/alice"));
    assert!(
        !fs::read_to_string("/etc/passwd").expect("the machine's").contains(&uid.to_string()),
        "only there"
    );
    let hashes = world.sh(world.one, "grep -rls 'argon2id[$]' /etc /run; cat /etc/shadow 2>/dev/null");
    assert_eq!(hashes, "", "no hash can be read");
}

#[test]
fn the_environment_is_built_and_nothing_is_inherited() {
    if !needs_root("the_environment_is_built_and_nothing_is_inherited") {
        return;
    }
    let world = world();
    let allowed: BTreeSet<&str> = [
        "HOME",
        "LANG",
        "LOGNAME",
        "MAIL",
        "PATH",
        "PWD",
        "SHELL",
        "TERM",
        "TZ",
        "USER",
        "XDG_RUNTIME_DIR",
        "_",
        "SHLVL",
        "OLDPWD",
        "SESSION0_SESSION",
        "COLORTERM",
    ]
    .into();
    let names = world.sh(world.one, "env | cut -d= -f1");
    for name in names.lines().filter(|name| !name.starts_with("LC_")) {
        assert!(allowed.contains(name), "{name} is in the environment: {names}");
    }
    assert_eq!(world.sh(world.one, "echo $HOME $USER $LOGNAME $SHELL"), "/home/alice alice alice /bin/bash");
}

#[test]
fn no_program_of_a_session_is_seen_from_another_one_or_from_session_0() {
    if !needs_root("no_program_of_a_session_is_seen_from_another_one_or_from_session_0") {
        return;
    }
    let world = world();
    let mut sleeper = world.host.begin_in(world.one, &["sh", "-c", "echo up; exec sleep 4711"]);
    sleeper.wait("up");
    let here = world.sh(world.one, "ps ax");
    assert!(here.contains("sleep 4711"), "{here}");
    for id in [world.two, world.other] {
        assert!(!world.sh(id, "ps ax").contains("sleep 4711"));
    }
}

/// A host in a mount namespace of its own, where sudo's rules are the test's.
fn with_sudo(elevation: &str) -> (Host, u32, Logon) {
    let builder = HostBuilder::new().host_toml(&format!("[sessions]\nelevation = \"{elevation}\"\n"));
    let rules = "mount -t tmpfs -o mode=755 sudoers /etc/sudoers.d && \
        echo 'alice ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/session0-test && chmod 440 /etc/sudoers.d/session0-test && \
        exec \"$@\"";
    let up = builder.up_command();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", rules, "sh"])
        .arg(up.get_program())
        .args(up.get_args());
    command.stdin(std::process::Stdio::null());
    let host = builder.spawn_by(command);
    host.wait_until_up();
    host.person("alice");
    let logon = host.logon("alice", PASSWORD);
    let session = host.session_of("alice");
    (host, session, logon)
}

fn has_sudo(test: &str) -> bool {
    if !needs_root(test) {
        return false;
    }
    let there = std::path::Path::new("/usr/bin/sudo").exists();
    if !there {
        skip(test, "sudo is not installed");
    }
    there
}

#[test]
fn sudo_gains_nothing_where_elevation_is_denied() {
    if !has_sudo("sudo_gains_nothing_where_elevation_is_denied") {
        return;
    }
    let (host, session, _logon) = with_sudo("deny");
    let run = host.run_in(session, &["sudo", "-n", "id", "-u"]);
    assert_ne!(run.code, 0);
    assert!(run.err.contains("no new privileges"), "{}{}", run.out, run.err);
}

#[test]
fn sudo_works_where_elevation_is_contained_and_root_stays_in_the_session() {
    if !has_sudo("sudo_works_where_elevation_is_contained_and_root_stays_in_the_session") {
        return;
    }
    let (host, session, logon) = with_sudo("contained");
    let run = host.run_in(session, &["sudo", "-n", "id", "-u"]);
    assert_eq!(run.out.trim(), "0", "{}", run.err);
    assert!(logon.shell("sudo id -un").contains("root"), "also at the terminal: {}", logon.text());
    let root = |line: &str| host.run_in(session, &["sudo", "-n", "sh", "-c", line]);
    for path in ["/usr/session0-test", "/etc/session0-test", "/root/session0-test", "/session0-test"] {
        let run = root(&format!("touch {path}"));
        assert!(run.code != 0 && run.err.contains("Read-only"), "{path}: {}", run.err);
        assert!(!std::path::Path::new(path).exists());
    }
    for line in [
        "mount -t tmpfs x /mnt",
        "mknod /tmp/disk b 8 0",
        "hostname other",
        "mount -o remount,rw /usr",
        "chroot /proc/1/root true",
    ] {
        assert_ne!(root(line).code, 0, "{line} worked");
    }
    let seen = root("ls /proc | grep -c '^[0-9]'").out;
    assert!(seen.trim().parse::<u32>().is_ok_and(|count| count < 12), "root sees only its session: {seen}");
    let bound = root("grep CapBnd /proc/self/status").out;
    let bits = u64::from_str_radix(bound.trim().rsplit('\t').next().unwrap_or("f"), 16).expect("a mask");
    assert_eq!(bits & !0x2004_05fb, 0, "{bound}");
    let ours = host.root().join("etc/session0/accounts.toml");
    assert_ne!(root(&format!("cat {}", ours.display())).code, 0, "our own files are not there");
    let s0 = host.visible_s0();
    let run = root(&format!("{s0} account disable alice"));
    assert_eq!(run.code, 3, "root of a session is no administrator: {}", run.err);
}

#[test]
fn user_namespaces_are_there_where_they_are_allowed_and_gain_nothing() {
    if !needs_root("user_namespaces_are_there_where_they_are_allowed_and_gain_nothing") {
        return;
    }
    let host = HostBuilder::new().host_toml("[sessions]\nuser_namespaces = \"allow\"\n").start();
    host.person("alice");
    let _logon = host.logon("alice", PASSWORD);
    let session = host.session_of("alice");
    let inside = host.run_in(session, &["unshare", "-Ur", "id", "-u"]);
    if inside.code != 0 && Run::of(Command::new("unshare").args(["-Ur", "true"])).code != 0 {
        skip("user_namespaces_are_there_where_they_are_allowed_and_gain_nothing", "the machine has none");
        return;
    }
    assert_eq!(inside.out.trim(), "0", "{}", inside.err);
    for line in [
        "touch /etc/session0-test",
        "umount /proc",
        "mount -o remount,rw /usr",
        "mknod /tmp/d c 1 3",
        "cat /proc/1/environ",
    ] {
        let run = host.run_in(session, &["unshare", "-Urm", "sh", "-c", line]);
        assert!(run.code != 0 || run.out.is_empty() && line.starts_with("cat"), "{line}: {}", run.out);
    }
}
