//! A user's session: what it shows, and what cannot be done in it. One sentence a test.

mod common;

use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;

use common::{GROUP, Host, PASSWD, root, shell_plan, user_plan};
use session0_model::launch::exit::{ExitStatus, LaunchPhase};
use session0_model::launch::plan::{Elevation, LaunchPlan, Streams, UserNamespaces};
use session0_model::launch::wire::{FromInit, ToInit, encode, key};
use session0_sys::capability;
use session0_sys::cgroup::SessionLimits;
use session0_sys::device_policy::OwnTerminal;

#[test]
fn a_users_session_has_a_terminal_node_and_nothing_of_services() {
    if !root("a_users_session_has_a_terminal_node_and_nothing_of_services") {
        return;
    }
    let mut host = Host::user();
    assert_eq!(host.kept_keys(), [key::API], "no notify socket and no tripwires");
    let text = host.ada("ls /dev | tr '\\n' ' '; stat -c '%t:%T %a %F' /dev/tty");
    assert_eq!(
        text,
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero \
         5:0 666 character special file\n"
    );
    let text = host
        .ada("ls -A /run /run/session0 /run/user /tmp/.X11-unix | tr '\\n' ' '; stat -c %a%u /tmp/.X11-unix");
    assert_eq!(
        text,
        "/run: lock session0 user  /run/session0: api expose group passwd pipe  /run/user: 64001  /tmp/.X11-unix: 17770\n"
    );
}

#[test]
fn the_walls_of_a_users_session_are_those_of_session_0() {
    if !root("the_walls_of_a_users_session_are_those_of_session_0") {
        return;
    }
    let mut host = Host::user();
    let script = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Sig(Ign|Blk))' /proc/self/status; ls /proc | grep -c '^1$'; \
        cat /proc/self/cgroup | grep ^0:; touch /session0-test; echo x >/proc/sys/kernel/hostname; \
        perl -e 'sub try { my ($n, @a) = @_; $! = 0; syscall($n, @a); print $!+0, \" \" } \
        try(16, 0, 0x5412, \"x\"); try(250, 0, 0, 0)'";
    let text = host.ada(script);
    for line in [
        "CapPrm:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "SigIgn:\t0000000000000000",
        "SigBlk:\t0000000000000000",
        "0::/",
        "0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is missing in\n{text}");
    }
    assert!(
        text.matches("Read-only file system").count() + text.matches("ermission denied").count() >= 2,
        "{text}"
    );
    assert!(text.ends_with("\n1 1 "), "TIOCSTI and keyctl: {text}");
}

#[test]
fn the_session_shows_the_accounts_its_user_entered_with() {
    if !root("the_session_shows_the_accounts_its_user_entered_with") {
        return;
    }
    let mut host = Host::user();
    let home = host.directory.join("homes/ada");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(64001), Some(64001)).unwrap();
    let text = host.ada_with(
        "id; whoami; ls -l -d /home/ada | cut -d' ' -f3,4; ls -ln -d /home/ada | cut -d' ' -f3,4; echo ~; pwd; \
         touch f && echo made; stat -c '%U %a' /etc/passwd",
        |plan| {
            plan.groups = vec![64002];
            plan.directory = "/home/ada".into();
        },
    );
    assert_eq!(
        text,
        "uid=64001(ada) gid=64001(ada) groups=64001(ada),64002(bob)\nada\nada ada\n64001 64001\n~\n/home/ada\nmade\nroot 644\n"
    );
    assert!(home.join("f").exists());
    let text = host.ada("grep ' /home ' /proc/self/mountinfo | cut -d' ' -f6; echo x >>/etc/passwd");
    assert!(text.starts_with("rw,nosuid,nodev"), "{text}");
    assert!(text.contains("Permission denied") || text.contains("Read-only"), "{text}");
}

#[test]
fn entering_again_replaces_what_is_shown() {
    if !root("entering_again_replaces_what_is_shown") {
        return;
    }
    let mut host = Host::user();
    let look = "whoami; grep -c '/etc/passwd' /proc/self/mountinfo; ls /run/user | tr '\\n' ' '; cat $D/kept";
    let with_d = |plan: &mut LaunchPlan| {
        plan.environment = session0_model::launch::plan::Environment::new([
            ("PATH", "/usr/bin:/bin"),
            ("D", "/run/user/64001"),
        ]);
    };
    host.ada_with("echo kept >$D/kept", with_d);
    host.enter(64002, &PASSWD.replace("ada:x", "lovelace:x"), GROUP);
    assert_eq!(host.ada_with(look, with_d), "lovelace\n1\n64001 64002 kept\n");
    host.enter(64001, PASSWD, GROUP);
    assert_eq!(host.ada_with(look, with_d), "ada\n1\n64001 64002 kept\n", "what is in use stays");
}

#[test]
fn the_runtime_directory_is_the_users_alone_and_bounded() {
    if !root("the_runtime_directory_is_the_users_alone_and_bounded") {
        return;
    }
    let mut host = Host::user();
    let text = host.ada(
        "stat -c '%a %u %g' /run/user/64001; grep ' /run/user/64001 ' /proc/self/mountinfo | cut -d' ' -f6; \
         head -c 9000000 /dev/zero >/run/user/64001/big",
    );
    assert!(text.starts_with("700 64001 64001\nrw,nosuid,nodev"), "{text}");
    assert!(text.contains("No space left"), "{text}");
    let other = host.ada_with("ls /run/user/64001", |plan| (plan.uid, plan.gid) = (64002, 64002));
    assert!(other.contains("Permission denied"), "{other}");
}

#[test]
fn who_could_not_enter_starts_nothing() {
    if !root("who_could_not_enter_starts_nothing") {
        return;
    }
    let mut host = Host::user_with(|_, _| {});
    let failure = host.launch_with("ada", user_plan("exit 0"), Streams::Pipes).unwrap_err();
    assert_eq!((failure.phase, failure.errno), (LaunchPhase::Namespace, 13), "nobody has entered");
    host.enter(64001, PASSWD, GROUP);
    let (pipe, _write) = session0_sys::pipe::new().unwrap();
    let plan = session0_model::launch::session_plan::UserPlan {
        uid: 64001,
        gid: 64001,
        runtime_bytes: 1 << 20,
        home: None,
    };
    let mut packet = Vec::new();
    encode(&ToInit::Enter(plan), &mut packet);
    host.send_all(&packet, &[pipe.as_fd(), pipe.as_fd()]);
    let failure = host.launch_with("ada", user_plan("exit 0"), Streams::Pipes).unwrap_err();
    assert_eq!((failure.phase, failure.errno), (LaunchPhase::Namespace, 29));
    host.enter(64001, &"x".repeat((4 << 20) + 1), GROUP);
    let failure = host.launch_with("ada", user_plan("exit 0"), Streams::Pipes).unwrap_err();
    assert_eq!((failure.phase, failure.errno), (LaunchPhase::Namespace, 27));
    host.enter(64001, PASSWD, GROUP);
    assert_eq!(host.ada("whoami"), "ada\n");
}

#[test]
fn what_services_expose_is_seen_and_not_changed() {
    if !root("what_services_expose_is_seen_and_not_changed") {
        return;
    }
    let mut host =
        Host::user_with(|_, shown| shown.exposed = vec!["db".into(), "lock".into(), "gone".into()]);
    host.enter(64001, PASSWD, GROUP);
    let place = host.directory.join("expose/db");
    std::fs::create_dir(&place).unwrap();
    std::fs::set_permissions(&place, PermissionsExt::from_mode(0o777)).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(place.join("socket")).unwrap();
    std::fs::set_permissions(place.join("socket"), PermissionsExt::from_mode(0o666)).unwrap();
    let text = host.ada(
        "readlink /run/db; touch /run/db/file; stat -c %F /run/lock; \
         perl -MSocket -e 'socket(S,1,1,0); print connect(S, sockaddr_un(\"/run/db/socket\")) ? \"connected\" : $!'",
    );
    assert!(text.starts_with("session0/expose/db\n") && text.contains("Read-only file system"), "{text}");
    assert!(text.contains("directory\n") && text.ends_with("connected"), "{text}");
    drop(listener);
}

#[test]
fn a_homes_directory_reached_by_a_link_is_refused() {
    if !root("a_homes_directory_reached_by_a_link_is_refused") {
        return;
    }
    let mut host = Host::start_with(SessionLimits::default(), Some(OwnTerminal::Allowed));
    let link = host.directory.join("link");
    std::os::unix::fs::symlink("/", &link).unwrap();
    let (plan, kind) =
        host.user_kind(|_, shown| shown.homes = Some(link.join("etc").to_str().unwrap().into()));
    host.say(&ToInit::PrepareKind { plan, kind });
    let said = host.until("PrepareFailed", |said| matches!(said, FromInit::PrepareFailed { .. }));
    assert!(matches!(said, FromInit::PrepareFailed { errno: 40, .. }), "{said:?}");
}

/// A set-user-id copy of a program that becomes whom it is told. Homes are mounted nosuid and `/tmp` is private, so it is put
/// where the session sees the machine, and goes with this value.
struct SetUid(std::path::PathBuf);

impl SetUid {
    fn new(name: &str) -> SetUid {
        let path = std::path::PathBuf::from(format!("/opt/session0-test-{name}-{}", std::process::id()));
        std::fs::copy("/usr/bin/setpriv", &path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o4755)).unwrap();
        SetUid(path)
    }

    /// Runs a script with real and effective uid 0.
    fn run(&self, script: &str) -> String {
        format!("{} --reuid 0 --regid 0 --clear-groups /bin/sh -c '{script}'", self.0.display())
    }
}

impl Drop for SetUid {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn contained(plan: &mut LaunchPlan) {
    plan.elevation = Elevation::Contained;
    plan.capabilities = capability::LOCAL_SYSTEM;
}

#[test]
fn contained_root_is_root_among_its_own_and_nowhere_else() {
    if !root("contained_root_is_root_among_its_own_and_nowhere_else") {
        return;
    }
    let mut host = Host::user_with(|plan, _| {
        let hidden = plan.expose_root.replace("/expose", "/hidden");
        plan.hidden = vec![hidden, "/usr/share".into()];
    });
    host.enter(64001, PASSWD, GROUP);
    let own = host.ada_with("grep -E '^Cap(Prm|Eff|Amb|Bnd)' /proc/self/status", contained);
    let nothing = own.lines().filter(|line| line.ends_with("\t0000000000000000")).count();
    assert_eq!(nothing, 3, "nothing is his before he elevates: {own}");
    let set_uid = SetUid::new("contained");
    let script = set_uid.run(
        "id -u; grep -E \"^Cap(Prm|Bnd)\" /proc/self/status; chown 64002 /run/user/64001 && echo chowned; \
         ls -A /usr/share | wc -l; umount /usr/share; umount -l /usr/share; mount -o remount,rw /usr/share; \
         ls -A /usr/share | wc -l; umount /etc/passwd; \
         mount -t tmpfs none /mnt; mount --bind / /mnt; mount -t proc none /mnt; umount /proc/sys; \
         mknod /tmp/x c 1 1; mknod /tmp/y b 254 0; \
         cat /proc/1/environ /proc/1/mem; ls -l /proc/1/root /proc/1/ns/mnt /proc/1/fd; \
         chroot /proc/1/root true; echo end",
    );
    let text = host.ada_with(&script, contained);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        &lines[..5],
        ["0", "CapPrm:\t00000000200405fb", "CapBnd:\t00000000200405fb", "chowned", "0"],
        "{text}"
    );
    assert_eq!(lines.iter().filter(|line| **line == "0").count(), 3, "still hidden: {text}");
    assert_eq!(lines.last(), Some(&"end"), "{text}");
    assert!(!text.contains("->"), "{text}");
    let refused = ["must be superuser", "ermission denied", "not permitted", "No such file"];
    let refusals = lines.iter().filter(|line| refused.iter().any(|word| line.contains(word))).count();
    assert!(refusals == 16, "{refusals} of what was tried was refused: {text}");
    // ptrace(PTRACE_SEIZE, 1), process_vm_readv of 1, pidfd_open(1) and pidfd_getfd of it, mount, umount2, setns.
    let perl = "sub try { my ($n, @a) = @_; $! = 0; my $r = syscall($n, @a); print $!+0, \" \"; $r } \
        try(101, 0x4206, 1, 0, 0); my $p = try(434, 1, 0); try(438, $p, 3, 0); \
        try(165, \"none\", \"/mnt\", \"tmpfs\", 0, 0); try(166, \"/usr/share\", 2); try(308, $p, 0x20000);";
    let script = format!("cat >/tmp/t.pl <<'E'\n{perl}\nE\n{}", set_uid.run("perl /tmp/t.pl"));
    assert_eq!(host.ada_with(&script, contained), "1 0 1 1 1 1 ", "only pidfd_open succeeds");
}

#[test]
fn a_user_does_not_see_pid_1_at_all() {
    if !root("a_user_does_not_see_pid_1_at_all") {
        return;
    }
    let mut host = Host::user();
    let text = host.ada("ls -d /proc/1; cat /proc/1/cmdline; ls /proc | grep '^[0-9]' | wc -l");
    assert_eq!(text.matches("No such file").count(), 2, "{text}");
}

#[test]
fn without_elevation_set_uid_programs_gain_nothing() {
    if !root("without_elevation_set_uid_programs_gain_nothing") {
        return;
    }
    let mut host = Host::user();
    let set_uid = SetUid::new("denied");
    let text = host.ada(&set_uid.run("id -u"));
    assert!(text.contains("setresuid failed") || text.contains("not permitted"), "{text}");
    // The same program is refused nothing where it may: the test would see it.
    assert_eq!(host.ada_with(&set_uid.run("id -u"), contained), "0\n");
}

#[test]
fn a_user_namespace_gains_nothing_outside() {
    if !root("a_user_namespace_gains_nothing_outside") {
        return;
    }
    use std::os::linux::net::SocketAddrExt;
    let name = format!("session0-test-ns-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let mut host = Host::user_with(|plan, _| plan.hidden = vec!["/usr/share".into()]);
    host.enter(64001, PASSWD, GROUP);
    let script = format!(
        "cat >/tmp/s <<'E'\nid -u; mount -t tmpfs none /mnt && echo mounted\n\
         mount -t proc none /mnt; mount -t sysfs none /mnt; mount -t cgroup2 none /mnt; mount -t devpts none /mnt && umount /mnt\n\
         umount /usr/share; umount -l /proc/sys; umount /proc; umount /etc/passwd\n\
         mount -o remount,rw,bind /etc; mount -o remount,rw,bind /usr/share\n\
         mount --bind /usr /mnt; ls -A /usr/share | wc -l; mknod /tmp/n c 1 3\n\
         perl -MSocket -e 'socket(S, 1, 1, 0); $! = 0; connect(S, pack(\"Sa*\", 1, \"\\0{name}\")); print $!+0, \"\\n\"'\n\
         kill -9 {}; kill -9 1; ls /proc/1/root; echo end\nE\nunshare -Urm sh /tmp/s; unshare -Urmpf mount -t proc none /mnt; unshare -UrC mount -t cgroup2 none /mnt; ls -A /usr/share | wc -l",
        std::process::id()
    );
    let text = host.ada_with(&script, |plan| plan.user_namespaces = UserNamespaces::Allowed);
    assert!(text.starts_with("0\nmounted\n"), "a namespace there is: {text}");
    let refused = [
        "ermission denied",
        "not permitted",
        "nvalid argument",
        "not mounted",
        "wrong fs type",
        "must be superuser",
        "No such process",
        "No such file",
        "bad option",
        "write-protected",
        "cannot remount",
        "not mount point",
        "cannot mount",
    ];
    let refusals = text.lines().filter(|line| refused.iter().any(|word| line.contains(word))).count();
    assert!(refusals == 16, "{refusals}: {text}");
    assert!(text.contains("\n0\n") && text.ends_with("\n0\n"), "what is hidden stays so: {text}");
    assert!(text.contains("\n1\n"), "EPERM of the abstract socket: {text}");
    assert!(text.contains("end"), "{text}");
    assert!(!session0_sys::pidfd::ended(host.init.pidfd.as_fd()).unwrap());
    assert!(!host.ada("unshare -Ur true && echo made").contains("made"), "denied is denied");
}

#[test]
fn a_launch_in_a_users_session_needs_no_logger() {
    if !root("a_launch_in_a_users_session_needs_no_logger") {
        return;
    }
    let mut host = Host::user();
    let (launch, ends) = host.launch_with("shell", user_plan("exit 3"), Streams::Pipes).unwrap();
    assert_eq!(ends.len(), 3);
    assert_eq!(host.exit_of(launch), ExitStatus::Exited(3));
    let mut plan = shell_plan("exit 0");
    plan.directory = "/nowhere".into();
    let failure = host.launch_with("shell", plan, Streams::Pipes).unwrap_err();
    assert_eq!((failure.phase, failure.errno), (LaunchPhase::WorkingDirectory, 2));
    host.say(&ToInit::Kill { unit: "shell".into() });
    host.until("GroupEmpty", |said| matches!(said, FromInit::GroupEmpty { .. }));
    host.say(&ToInit::Forget { unit: "shell".into() });
    host.say(&ToInit::Kill { unit: "shell".into() });
    host.until("GroupEmpty", |said| matches!(said, FromInit::GroupEmpty { .. }));
    assert!(host.groups.as_ref().unwrap().units().unwrap().is_empty());
}
