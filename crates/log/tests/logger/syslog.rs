//! `/dev/log`: by whom a line was said is known from the kernel.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use session0_model::launch::wire::Feed;

use crate::rig::{Rig, skip, until};

fn socket(rig: &Rig) -> (OwnedFd, UnixDatagram) {
    let path = rig.path.join("dev-log");
    let socket = session0_sys::datagram::bind(&path, 0o666, 1 << 20).unwrap();
    let client = UnixDatagram::unbound().unwrap();
    client.connect(&path).unwrap();
    (socket, client)
}

/// The group this test itself is in; `None`, and said so, where the kernel does not tell.
fn own_group(test: &str) -> Option<u64> {
    let me = session0_sys::pidfd::open(std::process::id() as i32).unwrap();
    match session0_sys::pidfd::info(me.as_fd()) {
        Ok(info) => info.group,
        Err(error) => {
            skip(test, &format!("this kernel has no PIDFD_GET_INFO: {error}"));
            None
        }
    }
}

#[test]
fn a_message_goes_to_its_senders_log() {
    let Some(group) = own_group("a_message_goes_to_its_senders_log") else { return };
    let rig = Rig::new();
    let (socket, client) = socket(&rig);
    rig.feed(&Feed::Syslog, Some(&socket));
    let unit = rig.unit("sender");
    rig.feed(&Feed::Group { unit: unit.name.clone(), group }, None);
    client.send(b"<30>Nov 23 01:02:03 cron[7]: hello").unwrap();
    client.send(b"<11>other: I am nginx\n\x1b[2J").unwrap();
    rig.wait_lines(
        "sender",
        &["[daemon.info] cron[7]: hello", "[user.err] other: I am nginx", "[user.err] other: \\x1b[2J"],
    );
    assert_eq!(rig.names(), ["sender.log"]);
}

#[test]
fn a_message_of_nobody_known_is_kept() {
    let rig = Rig::new();
    let (socket, client) = socket(&rig);
    client.send(b"<13>early: said before the logger came").unwrap();
    rig.feed(&Feed::Syslog, Some(&socket));
    rig.wait_lines("unknown", &["[user.notice] early: said before the logger came"]);
}

#[test]
fn a_flood_of_messages_is_all_there() {
    let rig = Rig::new();
    let (socket, client) = socket(&rig);
    rig.feed(&Feed::Syslog, Some(&socket));
    for number in 0..5000 {
        client.send(format!("<13>flood: {number}").as_bytes()).unwrap();
    }
    until("all of it", || rig.lines("unknown").len() == 5000);
    let expected: Vec<String> = (0..5000).map(|number| format!("[user.notice] flood: {number}")).collect();
    assert_eq!(rig.lines("unknown"), expected);
}

#[test]
fn a_killed_logger_loses_no_message() {
    let mut rig = Rig::new();
    let (socket, client) = socket(&rig);
    rig.feed(&Feed::Syslog, Some(&socket));
    let sender = std::thread::spawn(move || {
        for number in 0..20_000 {
            client.send(format!("<13>n: {number}").as_bytes()).unwrap();
        }
    });
    for _ in 0..15 {
        let size = rig.size("unknown.log");
        until("the log grows", || rig.size("unknown.log") > size || sender.is_finished());
        rig.kill_and_restart();
        rig.feed(&Feed::Syslog, Some(&socket));
    }
    until("all is sent", || sender.is_finished());
    until("the last", || rig.read("unknown.log").contains(" 19999\n"));
    let mut next = 0;
    for line in rig.lines("unknown").iter().filter(|line| !line.contains("cut short")) {
        let number: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(number <= next, "{next} to {number} are lost");
        next = number + 1;
    }
    assert_eq!(next, 20_000);
}

#[test]
fn a_long_message_is_cut_visibly() {
    let rig = Rig::new();
    let (socket, client) = socket(&rig);
    rig.feed(&Feed::Syslog, Some(&socket));
    client.send(format!("<13>long: {}", "x".repeat(20_000)).as_bytes()).unwrap();
    until("the line", || !rig.lines("unknown").is_empty());
    let line = &rig.lines("unknown")[0];
    assert!(line.ends_with("xxx [session0-log: cut short here]"), "{}", &line[line.len() - 50..]);
    assert!(line.len() < 8300);
}
