use std::os::fd::AsFd;

use session0_api::conversation::Said;
use session0_model::logon::wire::{FromLogon, LogonFailure, ToLogon};
use session0_sys::packet;

use crate::rig::{Corner, Talk, add, logon, skip};

/// The steps of a logon; after each, somebody goes.
fn up_to(corner: &Corner, step: u32) -> Talk {
    let talk = corner.start(logon("alice"));
    talk.prompted("Password: ");
    if step > 0 {
        talk.answer("long enough");
        assert_eq!(talk.heard(), FromLogon::Attempt);
    }
    if step > 1 {
        talk.tell(&ToLogon::Wait { ms: if step == 2 { 3_600_000 } else { 0 } });
    }
    if step == 2 {
        assert_eq!(talk.said(), Said::Wait { ms: 3_600_000 });
    }
    if step > 2 {
        assert!(matches!(talk.heard(), FromLogon::Authenticated(_)));
    }
    talk
}

#[test]
fn a_client_that_goes_ends_the_process_at_every_step() {
    let corner = Corner::with("alice", "long enough");
    for step in 0..4 {
        let mut talk = up_to(&corner, step);
        talk.client = None;
        if step < 3 {
            assert_eq!(talk.heard(), FromLogon::Failed { reason: LogonFailure::Abandoned }, "step {step}");
        }
        talk.ended();
    }
    let mut talk = corner.start(add("bob"));
    talk.prompted("New password for bob: ");
    talk.answer("long enough");
    talk.prompted("Again: ");
    talk.client = None;
    talk.ended();
    assert_eq!((corner.names(), corner.homes()), (vec!["alice".to_owned()], vec!["alice".to_owned()]));
}

#[test]
fn a_daemon_that_goes_ends_the_process_at_every_step() {
    let corner = Corner::with("alice", "long enough");
    for step in 0..4 {
        let mut talk = up_to(&corner, step);
        talk.daemon = None;
        talk.ended();
    }
    let mut talk = Talk::start();
    talk.daemon = None;
    talk.ended();
}

#[test]
fn a_half_closed_client_is_gone() {
    let corner = Corner::with("alice", "long enough");
    let talk = up_to(&corner, 0);
    rustix::net::shutdown(talk.client.as_ref().unwrap(), rustix::net::Shutdown::Write).unwrap();
    assert_eq!(talk.heard(), FromLogon::Failed { reason: LogonFailure::Abandoned });
    talk.ended();
}

/// The client says this to the first question and is cut off without a password having been checked.
fn is_cut_off(corner: &Corner, packet: &[u8]) {
    let talk = up_to(corner, 0);
    talk.send(packet);
    let shown = String::from_utf8_lossy(&packet[..packet.len().min(60)]).into_owned();
    assert_eq!(talk.heard(), FromLogon::Failed { reason: LogonFailure::Abandoned }, "{shown:?}");
    talk.ended();
    assert!(!talk.messages().contains("long enough"));
}

#[test]
fn whoever_says_what_no_client_says_is_cut_off() {
    let corner = Corner::with("alice", "long enough");
    let deep = "[".repeat(16_000);
    let twice = "{\"answer\":\"long enough\"}{\"answer\":\"long enough\"}";
    for packet in [
        "garbage",
        "\0",
        "null",
        "{}",
        "{\"answer\":null}",
        "{\"prompt\":{\"text\":\"\",\"secret\":true}}",
        &deep,
        twice,
        "{\"answer\":\"long enough\",\"and\":1}",
    ] {
        is_cut_off(&corner, packet.as_bytes());
    }
    is_cut_off(&corner, b"{\"answer\":\"\xff\"}");
    // Whole JSON, but longer than a packet of the conversation may be.
    let long = format!("{{\"answer\":\"long enough\"{}}}", " ".repeat(16 * 1024));
    is_cut_off(&corner, long.as_bytes());
}

#[test]
fn a_megabyte_is_not_read() {
    let corner = Corner::with("alice", "long enough");
    let talk = up_to(&corner, 0);
    rustix::net::sockopt::set_socket_send_buffer_size(talk.client.as_ref().unwrap(), 4 << 20).unwrap();
    let forced =
        rustix::net::sockopt::set_socket_send_buffer_size_force(talk.client.as_ref().unwrap(), 4 << 20);
    if let Err(error) = forced {
        return skip("a_megabyte_is_not_read", &format!("no right to a large buffer: {error}"));
    }
    talk.send(&vec![b' '; 1 << 20]);
    assert_eq!(talk.heard(), FromLogon::Failed { reason: LogonFailure::Abandoned });
    talk.ended();
}

#[test]
fn an_answer_nobody_asked_for_is_not_kept_for_the_next_question() {
    let corner = Corner::with("alice", "long enough");
    let talk = up_to(&corner, 0);
    for _ in 0..20 {
        talk.answer("wrong");
    }
    assert_eq!(talk.heard(), FromLogon::Attempt);
    talk.tell(&ToLogon::Wait { ms: 0 });
    assert_eq!(talk.heard(), FromLogon::Failed { reason: LogonFailure::WrongPassword });
    assert!(matches!(talk.said(), Said::Message { .. }));
    assert_eq!(talk.heard(), FromLogon::Failed { reason: LogonFailure::Abandoned });
    talk.ended();
}

#[test]
fn descriptors_of_a_client_do_not_arrive() {
    let corner = Corner::with("alice", "long enough");
    let talk = up_to(&corner, 0);
    let (ours, theirs) = packet::pair().unwrap();
    let answer = b"{\"answer\":\"long enough\"}";
    packet::send(talk.client.as_ref().unwrap().as_fd(), answer, &[theirs.as_fd()]).unwrap();
    drop(theirs);
    assert_eq!(talk.heard(), FromLogon::Attempt);
    // The program waits for the daemon now; it is alive, and nobody has the other end.
    let gone = packet::receive(ours.as_fd(), &mut [0; 8]).unwrap();
    assert!(matches!(gone, packet::Received::Closed), "{gone:?}");
}

/// How often a text is in a process's memory.
fn in_memory(talk: &Talk, text: &[u8]) -> usize {
    let proc = format!("/proc/{}", talk.child.pid);
    let memory = std::fs::File::open(format!("{proc}/mem")).expect("root may look");
    let maps = std::fs::read_to_string(format!("{proc}/maps")).unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut bytes = vec![0; (to - from) as usize];
        if std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, from).is_ok() {
            found += bytes.windows(text.len()).filter(|window| *window == text).count();
        }
    }
    found
}

#[test]
fn a_password_that_was_checked_is_nowhere_in_memory() {
    let corner = Corner::with("alice", "long enough");
    for (account, core) in
        [("alice", "qK7-zanzibar-Wx9"), ("root", "vB3-timbuktu-Jh2"), ("carol", "mT5-samarkand-Pd4")]
    {
        // Long, so that a block that was freed as it was is not all overwritten by what is allocated next; with something to
        // unescape, so that the parser copies.
        let typed = format!("\\\"{}", core.repeat(50));
        let talk = corner.start(logon(account));
        talk.prompted("Password: ");
        talk.answer(&typed);
        assert_eq!(talk.heard(), FromLogon::Attempt);
        assert_ne!(in_memory(&talk, core.as_bytes()), 0, "it waits to be checked: this search finds it");
        talk.tell(&ToLogon::Wait { ms: 0 });
        assert!(matches!(talk.heard(), FromLogon::Failed { .. }));
        assert!(matches!(talk.said(), Said::Message { .. }));
        talk.prompted("Password: ");
        assert_eq!(in_memory(&talk, core.as_bytes()), 0, "{account}");
    }
}

#[test]
fn a_password_is_in_no_memory_dump_and_in_no_environment() {
    let corner = Corner::with("alice", "long enough");
    let talk = up_to(&corner, 1);
    let proc = format!("/proc/{}", talk.child.pid);
    let limits = std::fs::read_to_string(format!("{proc}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    assert_eq!(std::fs::read(format!("{proc}/environ")).unwrap(), b"");
    let open = std::fs::read_dir(format!("{proc}/fd")).unwrap().count();
    assert_eq!(open, 5, "0 to 4 and nothing else");
}
