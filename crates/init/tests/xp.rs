//! A session with its walls down: what the walls prevent works here, which proves the tests that say it does not work
//! elsewhere. One sentence a test.

mod common;

use common::{GROUP, Host, PASSWD, root, shell_plan, skip};
use session0_model::launch::plan::{Elevation, LaunchPlan, Size, Streams};
use session0_model::launch::wire::key;
use session0_sys::capability;

/// A script of a service of uid 0, whose plan is as bounded as any.
fn service(host: &mut Host, script: &str) -> String {
    host.shell_with("attack", script, |plan| plan.elevation = Elevation::Deny)
}

#[test]
fn uid_0_is_uid_0_of_the_machine() {
    if !root("uid_0_is_uid_0_of_the_machine") {
        return;
    }
    let mut host = Host::xp();
    let text = service(&mut host, "grep -E '^(Cap(Prm|Bnd|Eff)|Seccomp:)' /proc/self/status");
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    for name in ["CapPrm:", "CapEff:", "CapBnd:", "Seccomp:"] {
        let line = own.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[test]
fn the_machines_devices_are_made_and_opened() {
    if !root("the_machines_devices_are_made_and_opened") {
        return;
    }
    if std::fs::File::open("/dev/fuse").is_err() {
        skip("the_machines_devices_are_made_and_opened", "this machine has no /dev/fuse to open");
        return;
    }
    let mut host = Host::xp();
    let text = service(
        &mut host,
        "mknod /tmp/fuse c 10 229 && (: <>/tmp/fuse) && echo made; (: <>/dev/fuse) && echo the machines; \
         ls /dev | wc -l; (: </dev/null) && echo null",
    );
    assert!(text.starts_with("made\nthe machines\n") && text.ends_with("null\n"), "{text}");
    let count: usize = text.lines().nth(2).unwrap().parse().unwrap();
    assert!(count >= std::fs::read_dir("/dev").unwrap().count(), "{text}");
}

#[test]
fn the_kernels_settings_may_be_written_and_its_groups_seen() {
    if !root("the_kernels_settings_may_be_written_and_its_groups_seen") {
        return;
    }
    let mut host = Host::xp();
    let text = service(
        &mut host,
        "(: >>/proc/sys/kernel/core_pattern) && echo opened; \
         ls /sys/fs/cgroup | wc -l; mount -t tmpfs none /mnt && echo mounted; grep -c session /proc/self/cgroup",
    );
    assert!(text.starts_with("opened\n") && text.contains("mounted\n"), "{text}");
    assert!(!text.contains("\n0\n"), "{text}");
}

#[test]
fn processes_are_seen_and_traced() {
    if !root("processes_are_seen_and_traced") {
        return;
    }
    let mut host = Host::xp();
    host.launch("sleeper", LaunchPlan { uid: 64001, gid: 64001, ..shell_plan("exec sleep 1000") });
    // ptrace(PTRACE_SEIZE) of init and of another's process; keyctl(GET_KEYRING_ID, SESSION); ioctl(TIOCSTI).
    let script = r#"perl -e '
        sub try { my ($n, @a) = @_; $! = 0; syscall($n, @a); print $!+0, " " }
        until (defined $other) { ($other) = grep { open(F, "/proc/$_/comm") && <F> eq "sleep\n" } map { m{(\d+)} } glob("/proc/[0-9]*") }
        try(101, 0x4206, 1, 0, 0); try(101, 0x4206, $other + 0, 0, 0); try(250, 0, -3, 1);
        open(T, "+<", "/dev/ptmx"); try(16, fileno(T), 0x5412, "x");
        print -e "/proc/1/environ" ? "seen" : "hidden"'"#;
    assert_eq!(service(&mut host, script), "0 0 0 0 seen");
}

#[test]
fn abstract_sockets_of_the_machine_are_reached() {
    if !root("abstract_sockets_of_the_machine_are_reached") {
        return;
    }
    use std::os::linux::net::SocketAddrExt;
    let name = format!("session0-test-xp-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let mut host = Host::xp();
    let script = format!(
        "perl -MSocket -e 'socket(S, 1, 1, 0); $! = 0; connect(S, pack(\"Sa*\", 1, \"\\0{name}\")); print $!+0'"
    );
    assert_eq!(service(&mut host, &script), "0");
}

#[test]
fn services_and_a_user_share_it_and_leave_nothing_on_the_machine() {
    if !root("services_and_a_user_share_it_and_leave_nothing_on_the_machine") {
        return;
    }
    let mut host = Host::xp();
    assert_eq!(host.kept_keys(), [key::API, key::NOTIFY], "no tripwires");
    host.enter(64001, PASSWD, GROUP);
    let size = Size { rows: 24, columns: 80 };
    let mut plan =
        common::user_plan("tty; : <>/dev/tty && echo opened; whoami; touch /dev/shm/s0 /tmp/s0 /run/lock/s0");
    plan.capabilities = capability::LOCAL_SYSTEM;
    let (launch, ends) = host.launch_with("shell", plan, Streams::Terminal(size)).unwrap();
    host.exit_of(launch);
    let mut text = [0; 4096];
    let length = rustix::io::read(&ends[0], &mut text).unwrap();
    assert_eq!(std::str::from_utf8(&text[..length]).unwrap(), "/dev/pts/0\r\nopened\r\nada\r\n");
    assert_eq!(
        service(&mut host, "ls /dev/shm /tmp/s0 /run/lock/s0 | tr '\\n' ' '"),
        "/run/lock/s0 /tmp/s0  /dev/shm: s0 "
    );
    for path in ["/dev/shm/s0", "/tmp/s0", "/run/lock/s0", "/run/session0/notify", "/dev/session0"] {
        assert!(!std::path::Path::new(path).exists(), "{path}");
    }
    let log = std::path::Path::new("/dev/log").symlink_metadata().is_ok();
    let inside =
        service(&mut host, "test -S /dev/log && echo log; test -S /run/session0/notify && echo notify");
    assert_eq!(inside, if log { "log\nnotify\n" } else { "notify\n" });
}
