//! Service output: written, rotated, followed, and lost only visibly.

use session0_system_tests::{Host, HostBuilder, Run, eventually, needs_root};
use std::process::{Command, Stdio};

#[test]
fn output_is_written_with_its_time_and_shown() {
    if !needs_root("output_is_written_with_its_time_and_shown") {
        return;
    }
    let host = HostBuilder::new()
        .service("speaks", "command = ['/bin/sh', '-c', 'echo one; echo two >&2; printf three; exec sleep 1000']\nstart = 'auto'\n")
        .start();
    host.wait_log("speaks", "three");
    let shown = host.s0(&["service", "log", "speaks"]).ok().out;
    for word in ["one", "two", "three"] {
        assert!(shown.contains(word), "{shown}");
    }
    let path = host.root().join("var/log/session0/services/speaks.log");
    let raw = std::fs::read_to_string(path).expect("written");
    assert!(raw.lines().all(|line| line.as_bytes().get(10) == Some(&b'T') && line.contains("Z ")), "{raw}");
}

#[test]
fn output_cannot_move_the_readers_terminal() {
    if !needs_root("output_cannot_move_the_readers_terminal") {
        return;
    }
    let host = HostBuilder::new()
        .service(
            "rude",
            r#"command = ["/bin/sh", "-c", "printf '\\033[2J\\007 polite\\n'; exec sleep 1000"]
start = "auto"
"#,
        )
        .start();
    let log = host.wait_log("rude", "polite");
    assert!(!log.contains('\u{1b}') && !log.contains('\u{7}'), "{log:?}");
    assert!(!host.s0(&["service", "log", "rude"]).ok().out.contains('\u{1b}'));
}

#[test]
fn following_shows_new_lines_over_a_rotation() {
    if !needs_root("following_shows_new_lines_over_a_rotation") {
        return;
    }
    let builder = HostBuilder::new().host_toml("[log]\nmax_size = '64K'\nkeep = 3\n");
    let host = builder
        .service("count", "command = ['/bin/sh', '-c', 'i=0; while [ $i -lt 6000 ]; do echo number $i of the count; i=$((i+1)); done; echo finished; exec sleep 1000']\n")
        .start();
    let mut follower = Command::new(session0_system_tests::binary("s0"))
        .arg("--root")
        .arg(host.root())
        .args(["service", "log", "count", "-f"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("s0");
    host.s0(&["service", "start", "count"]).ok();
    use std::io::BufRead;
    let reader = std::io::BufReader::new(follower.stdout.take().expect("piped"));
    let mut next = None;
    for line in reader.lines().map_while(Result::ok) {
        if line.contains("finished") {
            break;
        }
        if let Some(number) =
            line.split("number ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok())
        {
            if let Some(expected) = next {
                assert_eq!(number, expected, "a line is missing or doubled");
            }
            next = Some(number + 1);
        }
    }
    let _ = follower.kill();
    let _ = follower.wait();
    assert_eq!(next, Some(6000));
    let directory = host.root().join("var/log/session0/services");
    let files = std::fs::read_dir(directory).expect("ours").flatten();
    let of_count = files.filter(|file| file.file_name().to_string_lossy().starts_with("count.log")).count();
    assert!((2..=4).contains(&of_count), "{of_count} files");
}

#[test]
fn a_full_disk_costs_lines_never_the_service() {
    if !needs_root("a_full_disk_costs_lines_never_the_service") {
        return;
    }
    let builder = HostBuilder::new();
    let logs = builder.root().join("var/log/session0/services");
    std::fs::create_dir_all(&logs).expect("ours");
    Run::of(Command::new("mount").args(["-t", "tmpfs", "-o", "size=96k,mode=0755", "none"]).arg(&logs)).ok();
    let _unmount = Unmount(logs.clone());
    let probe = builder.probe();
    let host = builder
        .service("talker", &format!("command = [{probe:?}, 'lines', '50000', 'then', 'notify', 'STATUS=all said', 'wait']\nkind = 'simple'\nenvironment = {{ NOTIFY_SOCKET = '/run/session0/notify' }}\n"))
        .start();
    host.s0(&["service", "start", "talker"]).ok();
    eventually("the loss is shown", || lost(&host) > 0);
    assert_eq!(host.state("talker"), "Running");
    assert!(host.s0(&["status"]).out.contains("lost"), "{}", host.s0(&["status"]).out);
    drop(host);
}

fn lost(host: &Host) -> i64 {
    host.service("talker")["output_lost"]["lines"].as_i64().unwrap_or(0)
}

struct Unmount(std::path::PathBuf);
impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_log_file_that_is_a_symlink_is_not_followed() {
    if !needs_root("a_log_file_that_is_a_symlink_is_not_followed") {
        return;
    }
    let builder = HostBuilder::new();
    let logs = builder.root().join("var/log/session0/services");
    std::fs::create_dir_all(&logs).expect("ours");
    let target = builder.root().join("target");
    std::fs::write(&target, "untouched").expect("ours");
    std::os::unix::fs::symlink(&target, logs.join("victim.log")).expect("ours");
    let host = builder
        .service(
            "victim",
            "command = ['/bin/sh', '-c', 'echo through the link; exec sleep 1000']\nstart = 'auto'\n",
        )
        .start();
    host.wait_state("victim", "Running");
    eventually("the loss is counted", || {
        host.service("victim")["output_lost"]["lines"].as_i64().unwrap_or(0) > 0
    });
    assert_eq!(std::fs::read_to_string(&target).expect("ours"), "untouched");
}

#[test]
fn syslog_goes_to_the_services_own_log() {
    if !needs_root("syslog_goes_to_the_services_own_log") {
        return;
    }
    let host = HostBuilder::new()
        .service("old", "command = ['/bin/sh', '-c', 'logger -t old from long ago; exec sleep 1000']\naccount = 'nobody'\nstart = 'auto'\n")
        .start();
    let log = host.wait_log("old", "from long ago");
    assert!(log.contains("old"), "{log}");
}
