//! Launches, exits, and a daemon that comes and goes: one sentence a test.

mod common;

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use common::{Host, root, shell_plan, user_plan, wait_for};
use session0_model::id::LaunchId;
use session0_model::launch::exit::{ExitStatus, LaunchPhase};
use session0_model::launch::plan::{LaunchPlan, Limits, Role};
use session0_model::launch::wire::{Feed, FromInit, Remains, SignalTo, ToInit, decode, encode, key};
use session0_sys::cgroup::{Freezer, SessionLimits};
use session0_sys::packet::{self, Received};
use session0_sys::{datagram, fanotify, pidfd};

#[test]
fn exits_are_told_as_they_were() {
    if !root("exits_are_told_as_they_were") {
        return;
    }
    let mut host = Host::prepared();
    for (script, expected) in [
        ("exit 0", ExitStatus::Exited(0)),
        ("exit 7", ExitStatus::Exited(7)),
        ("kill -TERM $$", ExitStatus::Signaled { signal: 15, core: false }),
        ("ulimit -c 0; kill -SEGV $$", ExitStatus::Signaled { signal: 11, core: false }),
    ] {
        let launch = host.launch("exits", shell_plan(script));
        assert_eq!(host.exit_of(launch), expected, "{script}");
    }
    let launch = host.launch("usage", shell_plan("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"));
    match host.until("Exited", |said| matches!(said, FromInit::ExitedWithUsage { .. })) {
        FromInit::ExitedWithUsage { launch: which, usage, remains, .. } => {
            assert_eq!(which, launch);
            assert!(usage.cpu_us > 1000 && usage.memory_peak_kib > 100, "{usage:?}");
            assert_eq!(remains, Remains::Nothing);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_launch_that_fails_says_where_and_why() {
    if !root("a_launch_that_fails_says_where_and_why") {
        return;
    }
    let mut host = Host::prepared();
    let mut fails = |change: &dyn Fn(&mut session0_model::launch::plan::LaunchPlan), unit: &str| {
        let launch = host.launch_number();
        let mut plan = shell_plan("exit 0");
        change(&mut plan);
        host.say(&ToInit::Launch { launch, unit: unit.into(), plan });
        match host.until("LaunchFailed", |said| matches!(said, FromInit::LaunchFailed { .. })) {
            FromInit::LaunchFailed { failure, .. } => (failure.phase, failure.errno),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fails(&|plan| plan.program = "/nowhere".into(), "a"), (LaunchPhase::Exec, 2));
    assert_eq!(fails(&|plan| plan.program = "/etc/passwd".into(), "a"), (LaunchPhase::Exec, 13));
    assert_eq!(fails(&|plan| plan.directory = "/nowhere".into(), "a"), (LaunchPhase::WorkingDirectory, 2));
    assert_eq!(fails(&|plan| plan.write = vec!["/nowhere".into()], "a"), (LaunchPhase::Namespace, 2));
    assert_eq!(fails(&|plan| plan.role = Role::Logger, "a"), (LaunchPhase::Descriptors, 5));
    assert_eq!(fails(&|_| {}, "../a"), (LaunchPhase::Group, 22));
}

#[test]
fn killing_a_group_ends_all_of_it() {
    if !root("killing_a_group_ends_all_of_it") {
        return;
    }
    let mut host = Host::prepared();
    // A daemon that leaves its parent, and a main process that ends: something remains.
    let launch = host.launch("group", shell_plan("(setsid sleep 1000 & sleep 1000 &); exit 3"));
    match host.until("Exited", |said| matches!(said, FromInit::ExitedWithUsage { .. })) {
        FromInit::ExitedWithUsage { launch: which, status, remains, .. } => {
            assert_eq!((which, status), (launch, ExitStatus::Exited(3)));
            assert_eq!(remains, Remains::Processes);
        }
        other => panic!("{other:?}"),
    }
    let empty = |said: &FromInit| matches!(said, FromInit::GroupEmpty { unit } if unit == "group");
    host.say(&ToInit::Kill { unit: "group".into() });
    host.until("GroupEmpty", empty);
    // Once more: at once.
    host.say(&ToInit::Kill { unit: "group".into() });
    host.until("GroupEmpty", empty);
    // What is started afterwards is not killed. (Linux 6.18 kills what is born into a group that ever was.)
    let launch = host.launch("group", shell_plan("exit 8"));
    assert_eq!(host.exit_of(launch), ExitStatus::Exited(8));
    host.say(&ToInit::Forget { unit: "group".into() });
    host.say(&ToInit::Kill { unit: "group".into() });
    host.until("GroupEmpty", empty);
    assert!(host.groups.as_ref().unwrap().units().unwrap().is_empty());
}

#[test]
fn signals_go_to_the_main_process_or_to_all() {
    if !root("signals_go_to_the_main_process_or_to_all") {
        return;
    }
    let mut host = Host::prepared();
    let launch = host.launch("main", shell_plan("trap 'exit 5' USR1; sleep 1000 & wait"));
    std::thread::sleep(Duration::from_millis(100));
    host.say(&ToInit::Signal { launch, signal: 10, to: SignalTo::Main });
    assert_eq!(host.exit_of(launch), ExitStatus::Exited(5));
    let launch = host.launch("all", shell_plan("sleep 1000; exit 6"));
    std::thread::sleep(Duration::from_millis(100));
    host.say(&ToInit::Signal { launch, signal: 15, to: SignalTo::Group });
    assert_eq!(host.exit_of(launch), ExitStatus::Signaled { signal: 15, core: false });
    host.say(&ToInit::Kill { unit: "all".into() });
    host.until("GroupEmpty", |said| matches!(said, FromInit::GroupEmpty { .. }));
}

#[test]
fn another_process_can_become_the_main_one() {
    if !root("another_process_can_become_the_main_one") {
        return;
    }
    let mut host = Host::prepared();
    // One that will be adopted by init, and one whose own parent reaps it.
    for (unit, script, status) in [
        ("adopted", "(sh -c 'sleep 0.3; exit 4' & echo $! >/run/lock/adopted); exit 0", Some(4)),
        ("own", "sh -c 'sleep 0.3; exit 4' & echo $! >/run/lock/own; wait; sleep 1000", Some(4)),
    ] {
        let mut plan = shell_plan(&format!("{script}\n"));
        plan.state_directory = true;
        let launch = host.launch_number();
        plan.arguments[2] = script.replace("/run/lock/", &format!("/run/session0/state/{unit}/"));
        host.say(&ToInit::Launch { launch, unit: unit.into(), plan });
        let file = host.directory.join("state").join(unit).join(unit);
        let pid = wait_for(|| std::fs::read_to_string(&file).ok()?.trim().parse().ok());
        host.say(&ToInit::SetMain { launch, pid });
        let said = host.until("Exited", |said| matches!(said, FromInit::ExitedWithUsage { .. }));
        let FromInit::ExitedWithUsage { launch: which, status: found, .. } = said else { panic!() };
        assert_eq!(which, launch);
        if let Some(status) = status
            && unit == "adopted"
        {
            // The shell may end before SetMain arrives; then it was the exit, and that is right too.
            assert!(matches!(found, ExitStatus::Exited(code) if code == status || code == 0), "{found:?}");
        } else {
            assert_eq!(found, ExitStatus::Exited(4));
        }
        host.say(&ToInit::Kill { unit: unit.into() });
        host.until("GroupEmpty", |said| matches!(said, FromInit::GroupEmpty { .. }));
    }
}

#[test]
fn a_new_daemon_is_told_everything() {
    if !root("a_new_daemon_is_told_everything") {
        return;
    }
    let mut host = Host::prepared();
    let lives = host.launch("lives", shell_plan("exec sleep 1000"));
    let ended = host.launch("ended", shell_plan("exit 9"));
    host.exit_of(ended);
    let recorded = host.launch("recorded", shell_plan("exit 1"));
    host.exit_of(recorded);
    host.say(&ToInit::Store { key: "a".into(), bytes: b"old".into() });
    host.say(&ToInit::Store { key: "a".into(), bytes: b"new".into() });
    host.say(&ToInit::Store { key: "b".into(), bytes: vec![] });
    host.say(&ToInit::Unstore { key: "b".into() });
    let (read, write) = session0_sys::pipe::new().unwrap();
    let mut packet = Vec::new();
    encode(&ToInit::Keep { key: "pipe".into() }, &mut packet);
    host.send(&packet, Some(&read));

    let replayed = host.reconnect();
    let stored: Vec<_> = replayed.iter().filter(|said| matches!(said, FromInit::Stored { .. })).collect();
    assert_eq!(stored, [&FromInit::Stored { key: "a".into(), bytes: b"new".into() }]);
    let alive: Vec<LaunchId> = replayed
        .iter()
        .filter_map(|said| match said {
            FromInit::Alive { launch, unit, pid, group, .. } => {
                assert_eq!(unit, "lives");
                assert!(*pid > 1 && *group > 0);
                Some(*launch)
            }
            _ => None,
        })
        .collect();
    assert_eq!(alive, [lives]);
    let exits: Vec<(u64, LaunchId)> = replayed
        .iter()
        .filter_map(|said| match said {
            FromInit::ExitedWithUsage { sequence, launch, .. } => Some((*sequence, *launch)),
            _ => None,
        })
        .collect();
    assert_eq!(exits, [(1, ended), (2, recorded)]);
    let kept = replayed.iter().filter(|said| matches!(said, FromInit::Kept { .. })).count();
    assert_eq!(kept, 7, "api, notify, terminal, three displays and ours");

    // Half of it recorded, another daemon, and the kept pipe still is the same one.
    host.say(&ToInit::Acknowledge { through: 1 });
    rustix::io::write(&write, b"x").unwrap();
    host.control = packet::connect(&host.directory.join("init.sock")).unwrap();
    host.say(&ToInit::Hello { protocol: 2 });
    host.until("Replayed", |said| matches!(said, FromInit::Replayed));
    assert_eq!(
        host.said.iter().filter(|(said, _)| matches!(said, FromInit::ExitedWithUsage { .. })).count(),
        1
    );
    let pipe = host.kept("pipe");
    assert_eq!(rustix::io::read(&pipe, &mut [0; 4]).unwrap(), 1);
    // Exits while nobody is there come with the next one.
    let signal = ToInit::Signal { launch: lives, signal: 9, to: SignalTo::Main };
    host.say(&signal);
    let replayed = {
        std::thread::sleep(Duration::from_millis(50));
        host.reconnect()
    };
    let last = replayed.iter().rev().find(|said| matches!(said, FromInit::ExitedWithUsage { .. }));
    assert!(
        matches!(last, Some(FromInit::ExitedWithUsage { launch, status, .. })
        if *launch == lives && *status == ExitStatus::Signaled { signal: 9, core: false }),
        "{replayed:?}"
    );
}

#[test]
fn a_daemon_of_the_version_before_is_understood() {
    if !root("a_daemon_of_the_version_before_is_understood") {
        return;
    }
    let mut host = Host::prepared();
    host.control = packet::connect(&host.directory.join("init.sock")).unwrap();
    host.said.clear();
    host.say(&ToInit::Hello { protocol: 1 });
    host.until("Replayed", |said| matches!(said, FromInit::Replayed));
    let launch = host.launch("old", shell_plan("exit 2"));
    host.until("Exited", |said| matches!(said, FromInit::Exited { launch: which, .. } if *which == launch));
}

#[test]
fn nonsense_ends_the_connection_and_nothing_else() {
    if !root("nonsense_ends_the_connection_and_nothing_else") {
        return;
    }
    let mut host = Host::prepared();
    let lives = host.launch("lives", shell_plan("exec sleep 1000"));
    let too_much = ToInit::Store { key: "x".into(), bytes: vec![0; 20_000] };
    let mut long = Vec::new();
    encode(&too_much, &mut long);
    for nonsense in [vec![255; 50], vec![3], long, vec![0; 200]] {
        host.send(&nonsense, None);
        let mut buffer = [0; 1000];
        wait_for(|| {
            matches!(packet::receive(host.control.as_fd(), &mut buffer), Ok(Received::Closed)).then_some(())
        });
        let replayed = host.reconnect();
        let alive = |said: &FromInit| matches!(said, FromInit::Alive { launch, .. } if *launch == lives);
        assert!(replayed.iter().any(alive), "{replayed:?}");
    }
}

#[test]
fn nobody_inside_can_be_a_daemon() {
    if !root("nobody_inside_can_be_a_daemon") {
        return;
    }
    let mut host = Host::prepared();
    // The socket lies in a directory of the host's /tmp, which is not there inside; by descriptor it could be
    // reached only if init leaked one.
    let script =
        format!("ls {} 2>&1 | head -1; ls -l /proc/self/fd | grep -c socket", host.directory.display());
    let text = host.shell("inside", &script);
    assert!(text.contains("No such file") && text.ends_with("0\n"), "{text}");
}

#[test]
fn a_frozen_group_does_not_stop_init() {
    if !root("a_frozen_group_does_not_stop_init") {
        return;
    }
    let mut host = Host::prepared();
    host.groups.as_ref().unwrap().freeze(Freezer::Frozen).unwrap();
    let frozen = host.launch_number();
    host.say(&ToInit::Launch { launch: frozen, unit: "frozen".into(), plan: shell_plan("exit 3") });
    host.say(&ToInit::Kill { unit: "nothing".into() });
    let before = Instant::now();
    host.until("GroupEmpty", |said| matches!(said, FromInit::GroupEmpty { .. }));
    // A new daemon is not kept waiting either.
    let replayed = host.reconnect();
    assert!(before.elapsed() < Duration::from_secs(2));
    assert!(
        replayed.iter().any(|said| matches!(said, FromInit::Alive { launch, .. } if *launch == frozen)),
        "{replayed:?}"
    );
    host.groups.as_ref().unwrap().freeze(Freezer::Thawed).unwrap();
    assert_eq!(host.exit_of(frozen), ExitStatus::Exited(3));
}

#[test]
fn a_fork_bomb_stays_within_its_limit() {
    if !root("a_fork_bomb_stays_within_its_limit") {
        return;
    }
    let mut host = Host::prepared();
    let mut plan = user_plan("bomb() { bomb | bomb & }; bomb; sleep 1000");
    plan.limits = Limits { tasks: Some(30), ..Limits::default() };
    host.launch("bomb", plan);
    std::thread::sleep(Duration::from_millis(300));
    let units = host.groups.as_ref().unwrap();
    let path = host.base.as_ref().unwrap().path().join("session-0/work/bomb/cgroup.procs");
    let count = std::fs::read_to_string(&path).unwrap().lines().count();
    assert!(count <= 30, "{count} processes");
    assert!(units.populated().unwrap());
    // Others are not concerned.
    let launch = host.launch("other", shell_plan("exit 4"));
    assert_eq!(host.exit_of(launch), ExitStatus::Exited(4));
    host.say(&ToInit::Kill { unit: "bomb".into() });
    host.until("GroupEmpty", |said| matches!(said, FromInit::GroupEmpty { .. }));
}

#[test]
fn a_memory_hog_stays_within_its_limit() {
    if !root("a_memory_hog_stays_within_its_limit") {
        return;
    }
    let mut host = Host::prepared();
    let mut plan = shell_plan("exec perl -e '$x = \"x\" x (200 << 20); sleep 1000'");
    plan.limits = Limits { memory: Some(32 << 20), cpu_percent: Some(50), ..Limits::default() };
    let launch = host.launch("hog", plan);
    assert_eq!(host.exit_of(launch), ExitStatus::Signaled { signal: 9, core: false });
    // The limit can be taken away again.
    let mut plan = shell_plan("perl -e '$x = \"x\" x (64 << 20); print 1'");
    plan.limits = Limits { cpu_percent: Some(100), ..Limits::default() };
    let launch = host.launch("hog", plan);
    assert_eq!(host.exit_of(launch), ExitStatus::Exited(0));
}

#[test]
fn a_session_stays_within_its_limits() {
    if !root("a_session_stays_within_its_limits") {
        return;
    }
    let limits = SessionLimits { tasks: Some(40), memory: Some(1 << 30), cpu_percent: Some(150) };
    let mut host = Host::prepared_with(limits, |_| {});
    host.launch("bomb", user_plan("bomb() { bomb | bomb & }; bomb; sleep 1000"));
    std::thread::sleep(Duration::from_millis(300));
    let path = host.base.as_ref().unwrap().path().join("session-0/work/bomb/cgroup.procs");
    let count = std::fs::read_to_string(&path).unwrap().lines().count();
    assert!(count <= 40, "{count} processes");
    host.say(&ToInit::Kill { unit: "bomb".into() });
    host.until("GroupEmpty", |said| matches!(said, FromInit::GroupEmpty { .. }));
    let launch = host.launch("after", shell_plan("exit 0"));
    assert_eq!(host.exit_of(launch), ExitStatus::Exited(0));
}

#[test]
fn the_doors_of_a_session_tell_who_comes() {
    if !root("the_doors_of_a_session_tell_who_comes") {
        return;
    }
    let mut host = Host::prepared();
    let api = host.kept(key::API);
    let notify = host.kept(key::NOTIFY);
    let display = host.kept(&format!("{}/tmp/.X11-unix/X0", key::DISPLAY_TRIPWIRE));
    let script = r#"exec perl -MSocket -e '
        socket(N, 1, 2, 0); send(N, "READY=1", 0, sockaddr_un("/run/session0/notify")) or die $!;
        socket(A, 1, 1, 0); connect(A, sockaddr_un("/run/session0/api")) or die $!;
        socket(X, 1, 1, 0); connect(X, sockaddr_un("/tmp/.X11-unix/X0")) or die $!;
        sleep 1000'"#;
    let launch = host.launch_number();
    host.say(&ToInit::Launch { launch, unit: "caller".into(), plan: user_plan(script) });
    let said = host.until("Launched", |said| matches!(said, FromInit::Launched { .. }));
    let FromInit::Launched { group, pid, .. } = said else { panic!("{said:?}") };
    let mounts = host.base.as_ref().unwrap().mounts().clone();
    let belongs = |caller: &OwnedFd| {
        assert_eq!(pidfd::group_id(caller.as_fd(), &mounts).unwrap(), group);
        assert_eq!(pidfd::inner_pid(caller.as_fd()).unwrap(), pid);
    };
    let mut buffer = [0; 100];
    let message = wait_for(|| datagram::receive(notify.as_fd(), &mut buffer).unwrap());
    assert_eq!(message.sender.unwrap().uid, 64001);
    belongs(&message.pidfd.unwrap());
    for door in [&api, &display] {
        let client = wait_for(|| packet::accept(door.as_fd()).unwrap());
        assert_eq!(session0_sys::peer::credentials(client.as_fd()).unwrap().uid, 64001);
        belongs(&session0_sys::peer::pidfd(client.as_fd()).unwrap());
    }
    let unit = host.groups.as_ref().unwrap().unit_of(group).unwrap().unwrap();
    assert_eq!(unit.name, "caller");
    host.say(&ToInit::Kill { unit: "caller".into() });
    host.exit_of(launch);
}

#[test]
fn opening_a_terminal_is_noticed_and_refused() {
    if !root("opening_a_terminal_is_noticed_and_refused") {
        return;
    }
    let mut host = Host::prepared();
    let group = host.kept(key::TERMINAL_TRIPWIRE);
    for path in ["/dev/tty", "/dev/console"] {
        let launch = host.launch("reader", user_plan(&format!("exec 3<>{path}")));
        let attempt = wait_for(|| fanotify::read(group.as_fd()).unwrap().pop());
        assert_eq!(attempt.path().unwrap(), std::path::Path::new(path));
        assert!(pidfd::pid(attempt.pidfd.as_ref().unwrap().as_fd()).unwrap() > 0);
        attempt.answer(fanotify::Answer::Deny).unwrap();
        assert_eq!(host.exit_of(launch), ExitStatus::Exited(2));
    }
}

#[test]
fn a_logger_is_given_every_pipe_and_a_new_one_again() {
    if !root("a_logger_is_given_every_pipe_and_a_new_one_again") {
        return;
    }
    let mut host = Host::prepared();
    let directory = OwnedFd::from(std::fs::File::open(host.directory.join("state")).unwrap());
    let early = host.launch("early", user_plan("echo before; echo again >/dev/stdout; exec sleep 1000"));
    // The logger hands its feed to us by a socket of our own in the state directory.
    let post = packet::listen(&host.directory.join("state/post"), 0o666, 4).unwrap();
    let script = r#"exec perl -MSocket -e '
        socket(P, 1, 5, 0); connect(P, sockaddr_un("/run/session0/state/post")) or die $!;
        # SCM_RIGHTS without a library: sendmsg by number.
        my $data = "feed"; my $iov = pack("PQ", $data, 4);
        my $rights = pack("QiiiI", 20, 1, 1, 3, 0);
        my $message = pack("QIIPQPQII", 0, 0, 0, $iov, 1, $rights, 24, 0, 0);
        syscall(46, fileno(P), $message, 0) == 4 or die $!;
        -d "/proc/self/fd/4" or die "no log directory";
        sleep 1000'"#;
    for round in 0..2 {
        let mut packet = Vec::new();
        encode(&ToInit::LogDirectory, &mut packet);
        host.send(&packet, Some(&directory));
        let mut plan = user_plan(script);
        plan.role = Role::Logger;
        let logger = host.launch("session0-log", plan);
        let client = wait_for(|| packet::accept(post.as_fd()).unwrap());
        let mut buffer = [0; 64];
        let feed = wait_for(|| match packet::receive(client.as_fd(), &mut buffer).unwrap() {
            Received::Packet { mut descriptors, .. } => descriptors.pop(),
            _ => None,
        });
        let late = host.launch(&format!("late{round}"), user_plan("echo late"));
        host.exit_of(late);
        host.say(&ToInit::Forget { unit: format!("late{round}") });
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        wait_for(|| {
            match packet::receive(feed.as_fd(), &mut buffer).unwrap() {
                Received::Packet { length, mut descriptors } => {
                    let (message, rest) = decode::<Feed>(&buffer[..length]).unwrap();
                    assert!(rest.is_empty());
                    said.push((message, descriptors.pop()));
                }
                Received::Nothing => return None,
                Received::Closed => panic!("the feed ended"),
            }
            matches!(said.last(), Some((Feed::Gone { .. }, None))).then_some(())
        });
        assert!(matches!(said.remove(0), (Feed::Syslog, Some(_))));
        let pipe = |name: &str| {
            said.iter().find_map(|(message, pipe)| match message {
                Feed::Pipe { unit, group } if unit == name && *group > 0 => pipe.as_ref(),
                _ => None,
            })
        };
        let mut text = [0; 100];
        if round == 0 {
            let length = rustix::io::read(pipe("early").unwrap(), &mut text).unwrap();
            assert_eq!(&text[..length], b"before\nagain\n");
        }
        let length = rustix::io::read(pipe(&format!("late{round}")).unwrap(), &mut text).unwrap();
        assert_eq!(&text[..length], b"late\n");
        assert!(pipe("session0-log").is_some());
        host.say(&ToInit::Signal { launch: logger, signal: 9, to: SignalTo::Main });
        host.exit_of(logger);
    }
    host.say(&ToInit::Signal { launch: early, signal: 9, to: SignalTo::Main });
    host.exit_of(early);
}

/// As the sockets of many pipes are kept.
fn keep_sockets(host: &Host, count: usize) {
    for number in 0..count {
        let mut packet = Vec::new();
        encode(&ToInit::Keep { key: format!("pipe.{number}") }, &mut packet);
        host.send(&packet, Some(&std::os::unix::net::UnixDatagram::unbound().unwrap().into()));
    }
}

#[test]
fn a_launch_beside_the_descriptors_of_many_pipes_is_as_any_other() {
    if !root("a_launch_beside_the_descriptors_of_many_pipes_is_as_any_other") {
        return;
    }
    let mut host = Host::prepared();
    keep_sockets(&host, 2000);
    let script = "ls /proc/self/fd | tr '\\n' ' '; echo $PPID; grep -E '^(Threads|SigBlk)' /proc/self/status; \
        exec 2>&1; mount -t tmpfs none /mnt; touch /etc/x";
    let few = Host::prepared().shell("few", script);
    let many = host.shell("many", script);
    assert_eq!(many, few);
    assert!(many.starts_with("0 1 2 3 1\n"), "{many}");
    let (launch, plan) = (host.launch_number(), LaunchPlan::bare("/no/such", 0, 0));
    host.say(&ToInit::Launch { launch, unit: "none".into(), plan });
    let failed = host.until("LaunchFailed", |said| matches!(said, FromInit::LaunchFailed { .. }));
    assert!(
        matches!(&failed, FromInit::LaunchFailed { failure, .. } if failure.phase == LaunchPhase::Exec),
        "{failed:?}"
    );
    // Also one that ends at once is told to have begun, whoever runs first.
    for _ in 0..300 {
        let launch = host.launch("true", LaunchPlan { program: "/bin/true".into(), ..user_plan("") });
        assert_eq!(host.exit_of(launch), ExitStatus::Exited(0));
    }
    let status = format!("/proc/{}/status", host.init.pid);
    wait_for(|| std::fs::read_to_string(&status).unwrap().contains("Threads:\t1\n").then_some(()));
    // Who is born into a frozen group keeps nobody waiting, and has not what is kept.
    host.groups.as_ref().unwrap().freeze(Freezer::Frozen).unwrap();
    let frozen = host.launch_number();
    host.say(&ToInit::Launch { launch: frozen, unit: "frozen".into(), plan: shell_plan("exit 3") });
    host.say(&ToInit::Kill { unit: "nothing".into() });
    host.until("GroupEmpty", |said| matches!(said, FromInit::GroupEmpty { .. }));
    let procs = host.work().join("frozen/cgroup.procs");
    let pid = wait_for(|| std::fs::read_to_string(&procs).ok()?.trim().parse::<i32>().ok());
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    assert!(open < 500, "{open} descriptors");
    host.groups.as_ref().unwrap().freeze(Freezer::Thawed).unwrap();
    assert_eq!(host.exit_of(frozen), ExitStatus::Exited(3));
}

#[test]
fn a_replay_longer_than_a_turn_and_a_socket_comes_whole() {
    if !root("a_replay_longer_than_a_turn_and_a_socket_comes_whole") {
        return;
    }
    session0_sys::process::raise_open_files().unwrap();
    let mut host = Host::prepared();
    let kept = 2000;
    keep_sockets(&host, kept);
    host.connect_again();
    host.until("Replayed", |said| matches!(said, FromInit::Replayed));
    let mut keys = host.kept_keys();
    keys.retain(|key| key.starts_with("pipe."));
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), kept);
    assert!(host.said.iter().all(|(said, descriptors)| match said {
        FromInit::Kept { .. } => descriptors.len() == 1,
        _ => descriptors.is_empty(),
    }));
}

#[test]
fn a_session_that_cannot_be_made_says_why_and_ends() {
    if !root("a_session_that_cannot_be_made_says_why_and_ends") {
        return;
    }
    let mut host = Host::start(SessionLimits::default());
    let mut plan = host.plan();
    plan.state_root = "/nowhere/at/all".into();
    host.say(&ToInit::Prepare(plan));
    let said = host.until("PrepareFailed", |said| matches!(said, FromInit::PrepareFailed { .. }));
    assert!(
        matches!(said, FromInit::PrepareFailed { errno: 2, ref subject, .. } if subject == "/nowhere/at/all")
    );
    wait_for(|| pidfd::ended(host.init.pidfd.as_fd()).unwrap().then_some(()));
}
