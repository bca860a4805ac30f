//! What a program in a session sees, and what it cannot do: one sentence a test.

mod common;

use common::{Host, root, shell_plan, user_plan};
use session0_model::launch::plan::{
    Elevation, Environment, Network, RuntimeDirectory, UserNamespaces, Visibility,
};
use session0_sys::capability;

#[test]
fn the_file_systems_of_a_session_are_its_own() {
    if !root("the_file_systems_of_a_session_are_its_own") {
        return;
    }
    let mut host = Host::prepared();
    let mounts = host.shell("look", "cat /proc/self/mountinfo");
    let at = |path: &str| {
        let mut lines = mounts.lines().filter(|line| line.split(' ').nth(4) == Some(path));
        lines.next_back().unwrap_or_else(|| panic!("nothing at {path} in\n{mounts}")).to_owned()
    };
    assert!(at("/proc").contains("hidepid=invisible"), "{}", at("/proc"));
    assert!(at("/sys").contains(" ro,") && at("/sys").contains("sysfs"), "{}", at("/sys"));
    assert!(at("/proc/sys").contains(" ro,"), "{}", at("/proc/sys"));
    assert!(at("/etc").contains(" ro,"), "{}", at("/etc"));
    assert!(at("/usr").contains(" ro,"), "{}", at("/usr"));
    for path in ["/tmp", "/var/tmp", "/run", "/dev/shm"] {
        assert!(at(path).contains("nosuid,nodev") && at(path).contains("tmpfs"), "{}", at(path));
    }
    assert!(at("/dev/pts").contains("max=16"), "{}", at("/dev/pts"));
    assert!(!mounts.contains("/cgroup") && !mounts.contains("- cgroup"), "{mounts}");
    assert!(!mounts.contains("devtmpfs"), "{mounts}");
    // Outermost first: nothing inherited lies below ours.
    for path in ["/proc", "/sys", "/dev", "/run"] {
        assert_eq!(mounts.lines().filter(|line| line.split(' ').nth(4) == Some(path)).count(), 1, "{mounts}");
    }

    let said = host.shell(
        "say",
        "ls -A /tmp /run; ls /sys/fs/cgroup | wc -l; cat /proc/kcore | wc -c; \
        cat /proc/keys | wc -c; echo x > /proc/sys/kernel/hostname; echo x > /etc/session0-test; \
        mount -t tmpfs none /mnt; umount /proc; ls -d /proc/1",
    );
    assert!(said.contains(".X11-unix") && said.contains("session0"), "{said}");
    assert_eq!(said.matches("Read-only file system").count(), 2, "{said}");
    assert!(
        said.to_lowercase().contains("must be superuser") || said.contains("permission denied"),
        "{said}"
    );
}

#[test]
fn the_devices_of_a_session_are_harmless_and_no_others_can_be_made() {
    if !root("the_devices_of_a_session_are_harmless_and_no_others_can_be_made") {
        return;
    }
    let mut host = Host::prepared();
    let list = host.shell("list", "ls /dev | tr '\\n' ' '");
    assert_eq!(
        list.trim(),
        "console fd full log mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    );
    let said = host.shell(
        "make",
        "echo x >/dev/null && head -c1 /dev/zero | wc -c; \
        mknod /tmp/disk b 254 0; mknod /dev/fuse c 10 229; echo end",
    );
    assert_eq!(said.matches("Operation not permitted").count(), 2, "{said}");
    assert!(said.starts_with('1') && said.ends_with("end\n"), "{said}");
}

#[test]
fn processes_outside_and_of_others_are_not_there() {
    if !root("processes_outside_and_of_others_are_not_there") {
        return;
    }
    let mut host = Host::prepared();
    let groups = host.shell("groups", "grep ^0: /proc/self/cgroup; grep -c session /proc/self/cgroup");
    assert!(groups.starts_with("0::/\n"), "{groups}");
    let sleeper = host.launch("sleeper", shell_plan("exec sleep 1000"));
    let text = host.shell_with("see", "ls /proc | grep -c '^[0-9]'; tr '\\0' ' ' </proc/1/cmdline", |plan| {
        plan.uid = 64001;
        plan.gid = 64001;
        plan.capabilities = 0;
    });
    // The shell, ls and grep, and neither init nor the sleeper.
    let count: u32 = text.lines().next().unwrap().parse().unwrap();
    assert!(count <= 3, "{text}");
    let text = host.shell("root", "ls -l /proc/1/root /proc/1/ns/mnt; cat /proc/1/environ");
    assert!(!text.contains("->"), "{text}");
    host.say(&session0_model::launch::wire::ToInit::Kill { unit: "sleeper".into() });
    host.exit_of(sleeper);
}

#[test]
fn a_program_begins_as_its_plan_says() {
    if !root("a_program_begins_as_its_plan_says") {
        return;
    }
    let mut host = Host::prepared();
    let script = "tr '\\0' '\\n' </proc/self/environ; ls /proc/self/fd | tr '\\n' ' '; echo; \
        grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Sig(Ign|Blk)|Seccomp:)' /proc/self/status; pwd; umask; \
        ulimit -n; cut -d' ' -f6 /proc/self/stat; cat /proc/self/oom_score_adj";
    let text = host.shell_with("user", script, |plan| {
        plan.uid = 64001;
        plan.gid = 64002;
        plan.groups = vec![7, 8];
        plan.capabilities = capability::NET_BIND_SERVICE;
        plan.environment = Environment::new([("A", "b=c"), ("PATH", "/usr/bin:/bin")]);
        plan.directory = "/usr".into();
        plan.limits.open_files = Some(77);
        plan.elevation = Elevation::Deny;
    });
    for line in [
        "A=b=c",
        // ls has its own directory open besides.
        "0 1 2 3 ",
        "Uid:\t64001\t64001\t64001\t64001",
        "Gid:\t64002\t64002\t64002\t64002",
        "Groups:\t7 8 ",
        "CapInh:\t0000000000000400",
        "CapPrm:\t0000000000000400",
        "CapEff:\t0000000000000400",
        "CapBnd:\t0000000000000400",
        "CapAmb:\t0000000000000400",
        "NoNewPrivs:\t1",
        "SigIgn:\t0000000000000000",
        "SigBlk:\t0000000000000000",
        "Seccomp:\t2",
        "/usr",
        "0022",
        "77",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is missing in\n{text}");
    }
    let text = host.shell(
        "system",
        "grep -E '^(Uid|Cap|NoNewPrivs)' /proc/self/status; tr '\\0' '\\n' </proc/self/environ",
    );
    for line in [
        "CapPrm:\t00000000200405fb",
        "CapBnd:\t00000000200405fb",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is missing in\n{text}");
    }
    let environment: Vec<&str> = text.lines().filter(|line| line.contains('=')).collect();
    assert!(environment.iter().all(|line| line.starts_with("PATH=") || line.starts_with("PWD=")), "{text}");
}

#[test]
fn user_namespaces_are_denied_unless_allowed() {
    if !root("user_namespaces_are_denied_unless_allowed") {
        return;
    }
    let mut host = Host::prepared();
    // clone3 is ENOSYS: libc falls back, so threads and forks work.
    let script = "unshare -U true && echo made; perl -e '$! = 0; syscall(435, 0, 0); print $!+0, \"\\n\"'";
    let text = host.shell_with("denied", script, |plan| *plan = with_state(user_plan(script), plan));
    assert!(!text.contains("made") && text.contains("not permitted"), "{text}");
    assert!(text.ends_with("38\n"), "{text}");
    let text = host.shell_with("allowed", script, |plan| {
        *plan = with_state(user_plan(script), plan);
        plan.user_namespaces = UserNamespaces::Allowed;
    });
    assert!(text.contains("made"), "{text}");
}

/// The plan, with the script and directory of the one it replaces.
fn with_state(
    mut plan: session0_model::launch::plan::LaunchPlan,
    before: &session0_model::launch::plan::LaunchPlan,
) -> session0_model::launch::plan::LaunchPlan {
    plan.arguments = before.arguments.clone();
    plan.state_directory = true;
    plan
}

#[test]
fn denied_calls_are_denied_in_every_spelling() {
    if !root("denied_calls_are_denied_in_every_spelling") || !cfg!(target_arch = "x86_64") {
        return;
    }
    let mut host = Host::prepared();
    // number, arguments: ioctl(TIOCSTI) with nothing, with high bits, sign-extended; keyctl; add_key; bpf;
    // io_uring_setup; socket(AF_VSOCK); open_by_handle_at; reboot; clock_settime; and ioctl(TIOCGWINSZ).
    let script = r#"perl -e '
        sub try { my ($n, @a) = @_; $! = 0; syscall($n, @a); print $!+0, " " }
        open(T, "+<", "/dev/ptmx"); $t = fileno(T);
        try(16, $t, 0x5412, "x"); try(16, $t, 0x5412 | (1 << 32), "x"); try(16, $t, -4294945774, "x");
        try(16, $t, 0x541c | (7 << 32), "x");
        try(250, 0, 0, 0); try(248, 0, 0, 0, 0, 0); try(321, 0, 0, 0); try(425, 1, 0);
        try(41, 40, 1, 0); try(304, 0, 0, 0); try(169, 0, 0, 0, 0); try(227, 0, 0);
        try(323, 0); try(298, 0, 0, 0, 0, 0);
        print "| "; $w = "x" x 8; try(16, $t, 0x5413, $w); try(41, 1, 1, 0);
    '"#;
    let text = host.shell("calls", script);
    assert_eq!(text, "1 1 1 1 1 1 1 1 1 1 1 1 1 1 | 0 0 ", "errno of each call");
    // x32 numbers kill.
    let text = host.shell("x32", "perl -e 'syscall(0x40000000 + 39)'; echo $?");
    assert!(text.ends_with("159\n"), "{text}");
}

#[test]
fn nothing_outside_can_be_reached() {
    if !root("nothing_outside_can_be_reached") {
        return;
    }
    use std::os::linux::net::SocketAddrExt;
    let name = format!("session0-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let mut host = Host::prepared();
    let script = format!(
        "perl -MSocket -e 'socket(S, 1, 1, 0); $! = 0; connect(S, pack(\"Sa*\", 1, \"\\0{name}\")); print $!+0'; \
         echo; kill -9 {} 2>&1; kill -STOP 1; kill -TERM 1; kill -KILL 1; echo alive",
        std::process::id()
    );
    let text = host.shell("reach", &script);
    assert!(text.starts_with("1\n"), "{text}");
    assert!(text.contains("No such process") && text.ends_with("alive\n"), "{text}");
    assert!(!session0_sys::pidfd::ended(std::os::fd::AsFd::as_fd(&host.init.pidfd)).unwrap());
}

#[test]
fn write_makes_one_path_writable_for_one_service() {
    if !root("write_makes_one_path_writable_for_one_service") {
        return;
    }
    // /opt is nobody's; made read-only for this session only.
    let mut host = Host::prepared_with(Default::default(), |plan| plan.read_only.push("/opt".into()));
    let place = std::path::Path::new("/opt").join(format!("session0-test-{}", std::process::id()));
    std::fs::create_dir_all(place.join("mine")).unwrap();
    let script = format!("touch {0}/mine/x && echo wrote; touch {0}/y; ls {0}/mine", place.display());
    let text = host.shell_with("writer", &script, |plan| {
        plan.write = vec![place.join("mine").to_str().unwrap().into()];
    });
    let other = host.shell("other", &script);
    std::fs::remove_dir_all(&place).unwrap();
    assert!(
        text.contains("wrote") && text.contains("Read-only file system") && text.ends_with("x\n"),
        "{text}"
    );
    assert!(!other.contains("wrote"), "{other}");
}

#[test]
fn a_private_network_is_empty_but_for_loopback() {
    if !root("a_private_network_is_empty_but_for_loopback") {
        return;
    }
    let mut host = Host::prepared();
    let text = host.shell_with(
        "net",
        "cat /proc/net/dev | grep -c :; cat /proc/net/if_inet6 | wc -l; \
        perl -MSocket -e 'socket(L,2,1,0); bind(L,sockaddr_in(80,INADDR_LOOPBACK)) or print $!; listen(L,1); \
        socket(C,2,1,0); print connect(C,sockaddr_in(80,INADDR_LOOPBACK)) ? \"up\" : $!'",
        |plan| {
            plan.network = Network::Private;
        },
    );
    assert!(text.starts_with("1\n") && text.ends_with("up"), "{text}");
}

#[test]
fn directories_are_made_owned_and_exposed() {
    if !root("directories_are_made_owned_and_exposed") {
        return;
    }
    let mut host = Host::prepared();
    let text = host.shell_with(
        "data",
        "ls -ldn /run/private /run/shared /run/shared/. /run/session0/state/data; \
        echo hello >/run/shared/file; ls -ld /run/lock /tmp /tmp/.X11-unix",
        |plan| {
            plan.uid = 64001;
            plan.gid = 64002;
            plan.capabilities = 0;
            let directory =
                |name: &str, visibility| RuntimeDirectory { name: name.into(), mode: 0o750, visibility };
            plan.runtime_directories =
                vec![directory("private", Visibility::Private), directory("shared", Visibility::Exposed)];
        },
    );
    assert!(text.contains("drwxr-x--- 2 64001 64002"), "{text}");
    assert!(text.contains("/run/shared -> session0/expose/shared"), "{text}");
    assert!(text.contains("drwx------ 2 64001 64002"), "{text}");
    assert_eq!(text.matches("drwxrwxrwt").count(), 3, "{text}");
    assert_eq!(std::fs::read_to_string(host.directory.join("expose/shared/file")).unwrap(), "hello\n");
}

/// What each attempt to change the directory of pipes ends with, as a number.
const CHANGE: &str = r#"perl -MSocket -e '
    sub try { $! = 0; print shift->() ? "done " : $!+0 . " " }
    my ($there, $new) = ("/run/session0/pipe/later", "/run/session0/pipe/new");
    try(sub { unlink $there }); try(sub { rename $there, $new }); try(sub { chmod 0600, $there });
    try(sub { chown 1, 1, $there }); try(sub { open(F, ">", $new) }); try(sub { mkdir $new });
    try(sub { symlink "x", $new }); try(sub { chmod 0777, "/run/session0/pipe" });
    try(sub { socket(S, 1, 1, 0) && bind(S, sockaddr_un($new)) })'"#;

/// Connects to a pipe's socket as a client does.
const CONNECT: &str = "perl -MSocket -e 'socket(S, 1, 1, 0); print connect(S, sockaddr_un(\"/run/session0/pipe/later\")) ? \"connected\" : $!'";

/// A socket that anybody may connect to, bound while the session is there.
fn bind_later(host: &Host) -> std::os::unix::net::UnixListener {
    let path = host.directory.join("pipe/later");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    listener
}

#[test]
fn sockets_of_pipes_appear_in_every_session_and_nobody_there_changes_them() {
    if !root("sockets_of_pipes_appear_in_every_session_and_nobody_there_changes_them") {
        return;
    }
    let erofs = "30 ".repeat(9);
    let mut services = Host::prepared();
    let _listener = bind_later(&services);
    let connected = services.shell_with("client", CONNECT, |plan| {
        (plan.uid, plan.gid, plan.capabilities) = (64001, 64001, 0);
    });
    assert_eq!(connected, "connected");
    assert_eq!(services.shell("root", CHANGE), erofs);
    let again = services.shell("again", "mount -o remount,bind,rw /run/session0/pipe && echo remounted");
    assert!(!again.contains("remounted"), "{again}");
    let mounts = services.shell("mounts", "grep ' /run/session0/pipe ' /proc/self/mountinfo");
    assert!(mounts.contains(" ro,nosuid,nodev,noexec"), "{mounts}");

    let mut user = Host::user();
    let _listener = bind_later(&user);
    assert_eq!(user.ada(CONNECT), "connected");
    // Also as the session's own root.
    assert_eq!(user.ada_with(CHANGE, |plan| (plan.uid, plan.gid) = (0, 0)), erofs);

    let mut shared = Host::xp();
    let _listener = bind_later(&shared);
    assert_eq!(shared.shell("client", CONNECT), "connected");
    assert_eq!(shared.shell("root", CHANGE), erofs);
}

#[test]
fn a_daemon_that_knows_no_doors_gets_a_session_without() {
    if !root("a_daemon_that_knows_no_doors_gets_a_session_without") {
        return;
    }
    let mut host = Host::start(Default::default());
    let plan = host.plan();
    host.say(&session0_model::launch::wire::ToInit::Prepare(plan));
    host.until_prepared();
    let list = host.shell("list", "ls /run/session0 | tr '\\n' ' '");
    assert_eq!(list, "api expose notify state ");
}
