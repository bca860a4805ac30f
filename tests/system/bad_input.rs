//! Mistakes and malice: clear errors, nothing lost, nobody else disturbed.

use session0_system_tests::{Host, HostBuilder, Run, binary, eventually, needs_root};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

const SLEEPER: &str = "command = ['/bin/sleep', '1000']\nstart = 'auto'\n";

#[test]
fn a_wrong_service_file_is_shown_with_line_column_and_caret_and_the_others_start() {
    if !needs_root("a_wrong_service_file_is_shown_with_line_column_and_caret_and_the_others_start") {
        return;
    }
    let host = HostBuilder::new()
        .service("good", SLEEPER)
        .service("key", "command = ['/bin/sleep', '1']\nstrat = 'auto'\n")
        .service("type", "command = 7\n")
        .service("program", "command = ['/no/such/program']\n")
        .service("account", "command = ['/bin/true']\naccount = 'nobody-at-all'\n")
        .service("loop1", "command = ['/bin/true']\ndepends = ['loop2']\nstart = 'auto'\n")
        .service("loop2", "command = ['/bin/true']\ndepends = ['loop1']\nstart = 'auto'\n")
        .service("bad name!", SLEEPER)
        .start();
    host.wait_state("good", "Running");
    let check = host.s0(&["service", "check"]);
    assert_eq!(check.code, 1, "{check:?}");
    let text = format!("{}{}", check.out, check.err);
    for expected in [
        "key.toml:2:1",
        "type.toml:1:11",
        "/no/such/program",
        "program.toml:1:",
        "nobody-at-all",
        "account.toml:2:",
        "loop1",
        "loop2",
        "bad name!",
        "^",
    ] {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
    assert!(text.contains("start"), "what is allowed is listed:\n{text}");
    let circular = host.s0(&["service", "start", "loop1"]);
    assert!(circular.code == 1 && circular.err.contains("10"), "{circular:?}");
    assert!(host.s0(&["status"]).out.contains("configuration"), "{}", host.s0(&["status"]).out);
}

fn api(host: &Host) -> UnixStream {
    let stream = UnixStream::connect(host.root().join("run/session0/api")).expect("the outer socket");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a positive time");
    stream
}

/// Reads until the other side closes.
fn closed(mut stream: UnixStream) -> bool {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => true,
        Err(error) => {
            matches!(error.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe)
        }
    }
}

#[test]
fn garbage_and_endless_messages_are_cut_off_and_nobody_notices() {
    if !needs_root("garbage_and_endless_messages_are_cut_off_and_nobody_notices") {
        return;
    }
    let host = HostBuilder::new().service("a", SLEEPER).start();
    host.wait_state("a", "Running");
    let daemon = host.daemon_pid();
    let resident = || {
        let text = std::fs::read_to_string(format!("/proc/{daemon}/status")).expect("it lives");
        text.lines()
            .find_map(|l| l.strip_prefix("VmRSS:")?.trim().split(' ').next()?.parse::<u64>().ok())
            .expect("a size")
    };
    let before = resident();
    for bytes in [
        &b"\0\0\0\0"[..],
        b"GET / HTTP/1.1\r\n\r\n\0",
        b"{\"method\":17}\0",
        b"[[[[[[[[[\0",
        b"{\"method\":\"io.session0.Host.Nothing\"}\0",
        &[0xff; 300],
    ] {
        let mut stream = api(&host);
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        assert!(closed(stream), "{bytes:?}");
    }
    let mut endless = api(&host);
    let block = [b'x'; 65536];
    let mut sent = 0_u64;
    while sent < 100 << 20 && endless.write_all(&block).is_ok() {
        sent += block.len() as u64;
    }
    assert!(sent < 100 << 20, "100 MB without an end were taken");
    assert!(resident() < before + 20_000, "memory grew from {before} to {} KiB", resident());
    assert_eq!(host.daemon_pid(), daemon, "the daemon did not die of it");
    assert_eq!(host.state("a"), "Running");
}

#[test]
fn a_client_that_never_reads_and_one_that_says_half_a_word_disturb_nobody() {
    if !needs_root("a_client_that_never_reads_and_one_that_says_half_a_word_disturb_nobody") {
        return;
    }
    let host = HostBuilder::new().service("a", SLEEPER).start();
    let call = b"{\"method\":\"io.session0.Service.List\",\"parameters\":{}}\0";
    let mut deaf: Vec<UnixStream> = (0..8).map(|_| api(&host)).collect();
    for stream in &mut deaf {
        stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a positive time");
        for _ in 0..20_000 {
            if stream.write_all(call).is_err() {
                break;
            }
        }
    }
    let _half: Vec<UnixStream> = (0..8)
        .map(|_| {
            let mut stream = api(&host);
            let _ = stream.write_all(b"{\"method\":\"io.session0.Se");
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(host.s0(&["service", "list"]).code, 0);
    }
}

#[test]
fn a_fork_bomb_and_a_memory_hog_leave_the_host_answering() {
    if !needs_root("a_fork_bomb_and_a_memory_hog_leave_the_host_answering") {
        return;
    }
    let builder = HostBuilder::new().host_toml("[session0]\ntasks = 400\nmemory = '300M'\n");
    let probe = builder.probe();
    let host = builder
        .service("bomb", &format!("command = [{probe:?}, 'fork-bomb']\nrestart = 'never'\n"))
        .service("hog", &format!("command = [{probe:?}, 'memory-hog']\nrestart = 'never'\n"))
        .service("calm", SLEEPER)
        .start();
    host.wait_state("calm", "Running");
    let calm = host.pids("calm");
    host.s0(&["service", "start", "bomb"]).ok();
    eventually("the bomb fills the session", || host.pids("bomb").len() > 300);
    assert_eq!(host.s0(&["service", "list"]).code, 0);
    assert!(host.pids("bomb").len() <= 400);
    host.s0(&["service", "stop", "bomb"]).ok();
    eventually("the bomb is gone", || host.pids("bomb").is_empty());
    host.s0(&["service", "start", "hog", "--no-wait"]);
    eventually("the hog is killed", || {
        assert_eq!(host.s0(&["service", "list"]).code, 0);
        host.state("hog") == "Stopped"
    });
    assert_eq!(host.pids("calm"), calm);
}

#[test]
fn a_second_up_says_that_one_is_running_and_where() {
    if !needs_root("a_second_up_says_that_one_is_running_and_where") {
        return;
    }
    let host = HostBuilder::new().start();
    let second = Run::of(Command::new(binary("s0")).arg("--root").arg(host.root()).arg("up"));
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.err.contains(&host.keeper_pid().to_string()), "{}", second.err);
    assert!(second.err.contains(&*host.root().to_string_lossy()), "{}", second.err);
    assert_eq!(host.s0(&["status"]).code, 0);
}

#[test]
fn roots_and_directories_that_are_symlinks_are_refused() {
    if !needs_root("roots_and_directories_that_are_symlinks_are_refused") {
        return;
    }
    for place in
        ["", "run/session0", "var/log/session0", "etc/session0/services", "var/log/session0/services"]
    {
        let builder = HostBuilder::new();
        let elsewhere = builder.visible().join("elsewhere");
        std::fs::create_dir_all(&elsewhere).expect("ours");
        let link = if place.is_empty() { builder.visible().join("link") } else { builder.root().join(place) };
        let root = if place.is_empty() { link.clone() } else { builder.root().to_owned() };
        let _ = std::fs::remove_dir_all(&link);
        std::fs::create_dir_all(link.parent().expect("not the root")).expect("ours");
        std::os::unix::fs::symlink(&elsewhere, &link).expect("ours");
        let up =
            Run::of(Command::new("timeout").arg("20").arg(binary("s0")).arg("--root").arg(&root).arg("up"));
        assert!(up.code != 0 && up.code != 124, "{place:?}: {up:?}");
        assert!(format!("{}{}", up.err, up.out).contains("link"), "{place:?}: {up:?}");
        assert_eq!(std::fs::read_dir(&elsewhere).expect("ours").count(), 0, "{place:?} was written through");
        let _ = std::fs::remove_dir_all(builder.root());
        let _ = std::fs::remove_dir_all(builder.visible());
    }
}

#[test]
fn without_a_host_every_command_says_so_and_how_to_start_one() {
    let root = std::env::temp_dir().join(format!("session0-none-{}", std::process::id()));
    for arguments in [&["status"][..], &["service", "list"], &["session", "list"], &["down"], &["reload"]] {
        let run = Run::of(Command::new(binary("s0")).arg("--root").arg(&root).args(arguments));
        assert_eq!(run.code, 4, "{run:?}");
        assert!(run.err.contains("up` starts it"), "{}", run.err);
    }
}

#[test]
fn a_missing_facility_is_refused_unless_accepted() {
    if !needs_root("a_missing_facility_is_refused_unless_accepted") {
        return;
    }
    // A kernel without Landlock: the call answers ENOSYS for everything started below `probe without-landlock`.
    let builder = HostBuilder::new();
    let without = |builder: &HostBuilder| {
        let mut command = Command::new(binary("probe"));
        command.arg("without-landlock").arg(binary("s0")).arg("--root").arg(builder.root()).arg("up");
        command
    };
    let refused = Run::of(&mut without(&builder));
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.err.contains("accept") && refused.err.to_lowercase().contains("landlock"),
        "{}",
        refused.err
    );
    let word = refused
        .err
        .split("accept = [")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .expect("the line to write")
        .to_owned();
    let builder = builder.host_toml(&format!("accept = [{word}]\n"));
    let mut keeper = without(&builder).stdout(std::process::Stdio::null()).spawn().expect("probe");
    let s0 = |arguments: &[&str]| {
        Run::of(Command::new(binary("s0")).arg("--root").arg(builder.root()).args(arguments))
    };
    eventually("it runs, weaker", || s0(&["status"]).code == 0);
    assert!(s0(&["status"]).out.to_lowercase().contains("landlock"), "{}", s0(&["status"]).out);
    s0(&["down"]).ok();
    let _ = keeper.wait();
    let _ = std::fs::remove_dir_all(builder.root());
    let _ = std::fs::remove_dir_all(builder.visible());
}

#[test]
fn a_container_short_of_a_capability_is_told_which() {
    if !needs_root("a_container_short_of_a_capability_is_told_which") {
        return;
    }
    let builder = HostBuilder::new();
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-mknod,-audit_write"]).arg(binary("s0"));
    let refused = Run::of(command.arg("--root").arg(builder.root()).arg("up"));
    assert_eq!(refused.code, 1, "{refused:?}");
    for word in ["CAP_MKNOD", "CAP_AUDIT_WRITE"] {
        assert!(refused.err.contains(word), "{}", refused.err);
    }
    let _ = std::fs::remove_dir_all(builder.root());
    let _ = std::fs::remove_dir_all(builder.visible());
}

#[test]
fn a_host_that_is_refused_leaves_no_control_group() {
    if !needs_root("a_host_that_is_refused_leaves_no_control_group") {
        return;
    }
    let builder = HostBuilder::new().host_toml("nonsense = 1\n");
    let run = Run::of(&mut builder.up_command());
    assert!(run.code != 0 && run.err.contains("host.toml has errors"), "{run:?}");
    // The group's name is made of the root's path (FNV-1a).
    let name = builder.root().as_os_str().as_encoded_bytes();
    let hash =
        name.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("proc is mounted");
    let places = mounts.lines().filter(|line| line.contains(" - cgroup"));
    for place in places.filter_map(|line| line.split(' ').nth(4)) {
        let group = std::path::Path::new(place).join(format!("session0-{hash:08x}"));
        assert!(!group.exists(), "{} is left", group.display());
    }
    let _ = std::fs::remove_dir_all(builder.root());
    let _ = std::fs::remove_dir_all(builder.visible());
}

#[test]
fn a_client_cannot_hold_the_daemon_up_with_a_descriptor_that_is_slow_to_close() {
    if !needs_root("a_client_cannot_hold_the_daemon_up_with_a_descriptor_that_is_slow_to_close") {
        return;
    }
    let host = HostBuilder::new().start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let slow = TcpStream::connect(listener.local_addr().expect("bound")).expect("we listen");
    let _peer = listener.accept().expect("we connected");
    // Bytes that nobody takes: closing it waits for them, for as long as it is told to.
    slow.set_nonblocking(true).expect("ours");
    while (&slow).write(&[0; 1 << 16]).is_ok() {}
    rustix::net::sockopt::set_socket_linger(&slow, Some(Duration::from_secs(60))).expect("ours");
    let client = api(&host);
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    let given = [slow.as_fd()];
    assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&given)));
    let bytes = [std::io::IoSlice::new(b"{")];
    let sent = rustix::net::sendmsg(&client, &bytes, &mut control, rustix::net::SendFlags::empty());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a kernel");
    match sent {
        Err(error) => {
            assert_eq!(error, rustix::io::Errno::PERM);
            // It is ours alone, and need not hold us up either.
            rustix::net::sockopt::set_socket_linger(&slow, None).expect("ours");
        }
        Ok(_) if before_6_16(&kernel) => {
            return session0_system_tests::skip("a_client_cannot_hold_the_daemon_up", "needs Linux 6.16");
        }
        Ok(_) => panic!("the daemon is to close it"),
    }
    host.s0(&["status"]).ok();
}

#[test]
fn a_service_cannot_hold_the_daemon_up_with_a_descriptor_that_is_slow_to_close() {
    if !needs_root("a_service_cannot_hold_the_daemon_up_with_a_descriptor_that_is_slow_to_close") {
        return;
    }
    let builder = HostBuilder::new();
    let slow = format!(
        "command = [{:?}, 'notify-slow']\nkind = 'notify'\naccount = 'nobody'\nstart_timeout = '10m'\nrestart = 'never'\n",
        builder.probe()
    );
    let host = builder.service("slow", &slow).service("a", SLEEPER).start();
    host.wait_state("a", "Running");
    let daemon = host.daemon_pid();
    let before = children(daemon);
    host.s0(&["service", "start", "slow", "--no-wait"]).ok();
    // Its peers read nothing for as long as it lives, which it still does when all its messages are handled, and when these answer.
    host.wait_log("slow", "barrier passed");
    host.s0(&["session", "list"]).ok();
    assert_eq!(host.state("a"), "Running");
    assert_eq!(host.state("slow"), "StartPending");
    assert!(!host.pids("slow").is_empty(), "it holds the peers");
    assert_eq!(host.daemon_pid(), daemon);
    eventually("nothing of it stays with the daemon", || children(daemon) == before && !has_tcp(daemon));
}

fn children(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it lives")
}

/// Whether a process has a TCP socket of this network open.
fn has_tcp(pid: i32) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("a network");
    let numbers: Vec<&str> = table.lines().filter_map(|line| line.split_ascii_whitespace().nth(9)).collect();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives");
    open.flatten().filter_map(|one| std::fs::read_link(one.path()).ok()).any(|link| {
        let link = link.to_string_lossy().into_owned();
        link.strip_prefix("socket:[")
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|one| numbers.contains(&one))
    })
}

fn before_6_16(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) < (Some(6), Some(16))
}
