//! What cannot be written is lost visibly, and the service runs on.

use std::collections::HashMap;

use crate::rig::{Rig, Unit, until};

/// Totals by unit, as the daemon would know them.
#[derive(Default)]
struct Told(HashMap<String, (u64, u64)>);

impl Told {
    fn update(&mut self, rig: &Rig) {
        let mut buffer = [0; 4096];
        while let Ok(length) = rig.notify.recv(&mut buffer) {
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            let totals = text.strip_prefix("X_SESSION0_LOST=").unwrap_or_else(|| panic!("{text:?}"));
            let words: Vec<&str> = totals.split(' ').collect();
            let [unit, lines, bytes] = words[..] else { panic!("{text:?}") };
            self.0.insert(unit.to_owned(), (lines.parse().unwrap(), bytes.parse().unwrap()));
        }
    }

    fn of(&self, unit: &str) -> (u64, u64) {
        self.0.get(unit).copied().unwrap_or_default()
    }
}

fn stderr(rig: &Rig) -> String {
    std::fs::read_to_string(rig.path.join("stderr")).unwrap()
}

#[test]
fn a_full_disk_loses_visibly_and_recovers() {
    let Some(rig) = Rig::on_small_disk(
        "a_full_disk_loses_visibly_and_recovers",
        256 * 1024,
        "--max-size 1000000000 --keep 1",
    ) else {
        return;
    };
    let mut unit = rig.unit("a");
    let lines = 20_000u64;
    let mut bytes = 0;
    for number in 0..lines {
        let line = format!("line {number}\n");
        bytes += line.len() as u64;
        // Never held up, although nothing can be written for most of the time.
        unit.say(line);
    }
    until("everything is taken", || unit.unread() == 0);
    let mut told = Told::default();
    let kept: Vec<String> = rig.lines("a");
    let kept_lines = kept.len() as u64;
    let kept_bytes: u64 = kept.iter().map(|line| line.len() as u64 + 1).sum();
    until("the loss is told", || {
        told.update(&rig);
        told.of("a") == (lines - kept_lines, bytes - kept_bytes)
    });
    assert!(kept_lines > 1000 && kept_lines < lines - 1000, "{kept_lines}");
    assert!(stderr(&rig).contains("cannot write a.log: no space left on device"), "{}", stderr(&rig));

    // Room again: the log says what is missing, also before anything new is said.
    rustix::fs::ftruncate(open(&rig, "a.log"), 0).unwrap();
    let lost = format!(
        "session0-log: lost {} lines ({} bytes): no space left on device",
        lines - kept_lines,
        bytes - kept_bytes
    );
    rig.wait_lines("a", &[&lost]);
    unit.say("and on\n");
    rig.wait_lines("a", &[&lost, "and on"]);
}

fn open(rig: &Rig, name: &str) -> std::os::fd::OwnedFd {
    let flags = rustix::fs::OFlags::WRONLY;
    rustix::fs::openat(&rig.directory, name, flags, rustix::fs::Mode::empty()).unwrap()
}

#[test]
fn a_full_disk_under_a_flood_adds_up() {
    // The disk becomes full and free again many times; in the end every line is in the log or in the count.
    let Some(rig) =
        Rig::on_small_disk("a_full_disk_under_a_flood_adds_up", 96 * 1024, "--max-size 1000000000 --keep 1")
    else {
        return;
    };
    let mut unit = rig.unit("a");
    let mut seen = 0;
    let mut said = 0;
    for _ in 0..30 {
        for _ in 0..2000 {
            unit.say(format!("line {said} {}\n", "x".repeat(said % 100)));
            said += 1;
        }
        until("everything is taken", || unit.unread() == 0);
        // The lines behind the last of them are about to be written when the pipe is empty only if it lost some.
        seen += rig.lines("a").iter().filter(|line| is_whole(line)).count();
        rustix::fs::ftruncate(open(&rig, "a.log"), 0).unwrap();
    }
    let mut told = Told::default();
    until("the sum is right", || {
        told.update(&rig);
        seen as u64 + told.of("a").0 == said as u64
    });
    assert!(told.of("a").0 > 0);
}

fn is_whole(line: &str) -> bool {
    line.starts_with("line ") && !line.ends_with("cut short here]")
}

#[test]
fn a_log_file_that_is_a_link_is_refused() {
    let rig = Rig::new();
    let outside = rig.path.join("outside");
    std::fs::write(&outside, "precious\n").unwrap();
    std::os::unix::fs::symlink(&outside, rig.path.join("log/sym.log")).unwrap();
    std::fs::hard_link(&outside, rig.path.join("log/hard.log")).unwrap();
    let mut told = Told::default();
    for (name, why) in
        [("sym", "the log file is a symbolic link"), ("hard", "the log file has a second name")]
    {
        let mut unit = rig.unit(name);
        unit.say("one\ntwo\n");
        until("the loss is told", || {
            told.update(&rig);
            told.of(name) == (2, 8)
        });
        until("the reason is told", || stderr(&rig).contains(&format!("cannot write {name}.log: {why}")));
        assert_eq!(unit.unread(), 0);
        std::fs::remove_file(rig.path.join(format!("log/{name}.log"))).unwrap();
        rig.wait_lines(name, &[&format!("session0-log: lost 2 lines (8 bytes): {why}")]);
    }
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "precious\n");
}

#[test]
fn losses_wait_for_a_daemon_that_does_not_read() {
    let rig = Rig::new();
    let names: Vec<String> = (0..1000).map(|number| format!("u{number}")).collect();
    let units: Vec<Unit> = names
        .iter()
        .map(|name| {
            std::fs::create_dir(rig.path.join(format!("log/{name}.log"))).unwrap();
            let mut unit = rig.unit(name);
            unit.say("lost\n");
            unit
        })
        .collect();
    // More than the socket takes. Each is taken off its pipe although nobody reads what is told.
    for unit in &units {
        until("it is taken", || unit.unread() == 0);
    }
    let mut told = Told::default();
    until("all are told in the end", || {
        told.update(&rig);
        names.iter().all(|name| told.of(name) == (1, 5))
    });
}
