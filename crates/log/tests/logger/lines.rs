//! Lines come into the log whole, in order, as they were said.

use std::io::Write as _;

use session0_model::limit::{LOG_LINE_MAX, LOG_PARTIAL_WAIT};

use crate::rig::{Rig, Unit, skip, until, without_stamp};

#[test]
fn lines_are_kept_in_order() {
    let rig = Rig::new();
    let mut unit = rig.unit("a");
    let expected: Vec<String> = (0..20_000).map(|number| format!("line {number}")).collect();
    for line in &expected {
        unit.say(format!("{line}\n"));
    }
    until("all lines", || rig.lines("a").len() == expected.len());
    assert!(rig.lines("a") == expected, "they are not in order");
    assert_eq!(unit.unread(), 0);
}

#[test]
fn what_was_said_before_the_logger_came_is_there() {
    let rig = Rig::new();
    let mut unit = Unit::new("early");
    unit.say("before\n");
    rig.add(&unit);
    rig.wait_lines("early", &["before"]);
}

#[test]
fn stamps_never_go_back() {
    let rig = Rig::new();
    let mut unit = rig.unit("a");
    for number in 0..100 {
        unit.say(format!("{number}\n"));
        until("the line", || rig.lines("a").len() > number);
    }
    let text = rig.read("a.log");
    let stamps: Vec<&str> =
        text.lines().map(|line| &line[..line.len() - without_stamp(line).len()]).collect();
    assert!(stamps.is_sorted());
}

#[test]
fn an_unfinished_line_waits_for_its_end() {
    let rig = Rig::new();
    let mut unit = rig.unit("a");
    unit.say("first\nhalf");
    let begun = std::time::Instant::now();
    rig.wait_lines("a", &["first"]);
    until("what is not written stays in the pipe", || unit.unread() == 4);
    unit.say(" and half\n");
    if begun.elapsed() > LOG_PARTIAL_WAIT / 2 {
        return skip(
            "an_unfinished_line_waits_for_its_end",
            &format!("this machine is too busy to say two halves of a line within {LOG_PARTIAL_WAIT:?}"),
        );
    }
    rig.wait_lines("a", &["first", "half and half"]);
}

#[test]
fn an_unfinished_line_does_not_wait_for_ever() {
    let rig = Rig::new();
    let mut unit = rig.unit("a");
    unit.say("password: ");
    rig.wait_lines("a", &["password: "]);
    until("what was written is taken from the pipe", || unit.unread() == 0);
    unit.say("secret\n");
    rig.wait_lines("a", &["password: ", "secret"]);
}

#[test]
fn a_line_without_end_is_cut() {
    let rig = Rig::new();
    let mut unit = rig.unit("a");
    unit.say(vec![b'x'; 3 * LOG_LINE_MAX]);
    unit.say("y\n");
    let cut = "x".repeat(LOG_LINE_MAX) + "\\";
    rig.wait_lines("a", &[&cut, &cut, &cut, "y"]);
}

#[test]
fn a_writer_that_a_full_pipe_holds_up_goes_on() {
    // Two pages: smaller than the longest line, as the kernel makes pipes above a user's share of them.
    let rig = Rig::new();
    let mut unit = Unit::new("a");
    rustix::pipe::fcntl_setpipe_size(&unit.write, 8192).unwrap();
    rig.add(&unit);
    let begun = std::time::Instant::now();
    unit.say("x".repeat(100));
    unit.say("y".repeat(8192) + "\n");
    // Held up until an unfinished line's time is over, it would take longer than that.
    assert!(begun.elapsed() < LOG_PARTIAL_WAIT, "the writer was held up");
    until("the end of it", || rig.lines("a").concat().len() >= 8292);
    let said: String = rig.lines("a").iter().map(|line| line.trim_end_matches('\\')).collect();
    assert_eq!(said, "x".repeat(100) + &"y".repeat(8192));
}

#[test]
fn one_write_much_larger_than_a_pipe_goes_through() {
    // Written in one call, it wakes the reader only at its end, or when the pipe is empty: which it never is,
    // because lines do not end where pages do.
    let rig = Rig::new();
    let unit = rig.unit("a");
    let expected: Vec<String> =
        (0..100_000).map(|number| format!("a line like any other, {number}")).collect();
    let text = expected.join("\n") + "\n";
    let mut write = unit.write.try_clone().unwrap();
    let writer = std::thread::spawn(move || write.write_all(text.as_bytes()).unwrap());
    let begun = std::time::Instant::now();
    until("the write ends", || writer.is_finished());
    until("it is all read", || unit.unread() == 0);
    // Not assert_eq: nobody reads two times 3 MB.
    assert!(rig.lines("a") == expected, "lines are missing or were cut");
    // 60 pipes full: one of them having to wait until the unfinished line's time is over would show.
    assert!(begun.elapsed() < 10 * LOG_PARTIAL_WAIT, "{:?}", begun.elapsed());
}

#[test]
fn writes_of_all_sizes_come_through_whole() {
    let rig = Rig::new();
    let unit = rig.unit("a");
    // Any numbers will do, the same ones each time.
    let mut seed = 1u64;
    let mut any = move |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % most
    };
    let expected: Vec<String> = (0..20_000)
        .map(|number| {
            format!("{number} {}", "x".repeat(any(if number % 50 == 0 { 8000 } else { 200 }) as usize))
        })
        .collect();
    let text = expected.join("\n") + "\n";
    let mut write = unit.write.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let most = if any(3) == 0 { 200_000 } else { 5000 };
            let (now, later) = rest.split_at(rest.len().min(1 + any(most) as usize));
            write.write_all(now).unwrap();
            rest = later;
        }
    });
    until("the last write", || writer.is_finished());
    until("it is all read", || unit.unread() == 0);
    // Joined, because a line whose writer was not scheduled for a second is in two parts.
    assert!(rig.lines("a").concat() == expected.concat(), "something is missing");
}

#[test]
fn tiny_packets_without_an_end_are_read() {
    let rig = Rig::new();
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::DIRECT).unwrap();
    rustix::pipe::fcntl_setpipe_size(&write, 1 << 20).unwrap();
    let mut unit = Unit { name: "a".to_owned(), read, write: write.into() };
    // More slots than the scratch pipe has would need rights; as many as there are, each a byte.
    for _ in 0..200 {
        unit.say("x");
    }
    rig.add(&unit);
    rig.wait_lines("a", &[&"x".repeat(200)]);
}

#[test]
fn a_unit_that_goes_has_its_last_words() {
    let rig = Rig::new();
    let mut unit = rig.unit("a");
    unit.say("last\nwords");
    rig.gone(&unit);
    rig.wait_lines("a", &["last", "words"]);
    // And comes again, with a new pipe.
    let mut unit = rig.unit("a");
    unit.say("back\n");
    rig.wait_lines("a", &["last", "words", "back"]);
}

#[test]
fn a_pipe_is_replaced_after_its_last_words() {
    let rig = Rig::new();
    let mut old = rig.unit("a");
    old.say("old");
    let mut new = rig.unit("a");
    new.say("new\n");
    rig.wait_lines("a", &["old", "new"]);
}

#[test]
fn writers_that_are_gone_are_no_reason_to_spin() {
    let rig = Rig::new();
    let Unit { name, read, mut write } = Unit::new("a");
    rig.add(&Unit { name, read, write: write.try_clone().unwrap() });
    write.write_all(b"end\nwithout newline").unwrap();
    drop(write);
    rig.wait_lines("a", &["end", "without newline"]);
    let used = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", rig.pid())).unwrap();
        let fields: Vec<u64> =
            stat.rsplit(')').next().unwrap().split(' ').filter_map(|word| word.parse().ok()).collect();
        fields[10] + fields[11]
    };
    let before = used();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(used() - before < 10, "the logger is busy with nothing");
}

#[test]
fn what_would_move_a_terminal_is_shown() {
    let rig = Rig::new();
    let mut unit = rig.unit("a");
    unit.say(b"\x1b]0;title\x07 dos\r\nlatin \xe4, euro \xe2\x82\xac\n");
    rig.wait_lines("a", &["\\x1b]0;title\\x07 dos", "latin \\xe4, euro \u{20ac}"]);
}

#[test]
fn a_flood_does_not_starve_the_others() {
    let rig = Rig::new();
    let mut flood = rig.unit("flood");
    let mut quiet = rig.unit("quiet");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let lines = "flooding the log with lines\n".repeat(1000);
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                flood.say(&lines);
            }
        });
        for number in 0..200 {
            quiet.say(format!("{number}\n"));
            until("a quiet unit's line", || rig.lines("quiet").len() > number);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn rotation_keeps_the_bound_and_loses_nothing() {
    let rig = Rig::with("--max-size 20000 --keep 5");
    let mut unit = rig.unit("a");
    let mut oldest = usize::MAX;
    let mut total = 0;
    for round in 0..20 {
        for number in 0..200 {
            unit.say(format!("line {:06}\n", round * 200 + number));
            total += 1;
        }
        until("the round's last line", || {
            rig.lines("a").iter().any(|line| line.ends_with(&format!("{:06}", total - 1)))
        });
        let names = rig.names();
        assert!(names.len() <= 6, "{names:?}");
        let mut all = Vec::new();
        for name in ["a.log.5", "a.log.4", "a.log.3", "a.log.2", "a.log.1", "a.log"] {
            let text = rig.read(name);
            assert!(text.len() <= 20_000, "{name} has {} bytes", text.len());
            assert!(text.is_empty() || text.ends_with('\n'));
            all.extend(text.lines().map(|line| without_stamp(line).to_owned()));
        }
        let first: usize = all[0].strip_prefix("line ").unwrap().parse().unwrap();
        oldest = oldest.min(first);
        let expected: Vec<String> = (first..total).map(|number| format!("line {number:06}")).collect();
        assert_eq!(all, expected);
    }
    assert_eq!(oldest, 0);
    assert_eq!(rig.names().len(), 6);
}

#[test]
fn five_hundred_units_speak_at_once() {
    let rig = Rig::new();
    let mut units: Vec<Unit> = (0..500).map(|number| rig.unit(&format!("unit-{number}"))).collect();
    for round in 0..20 {
        for unit in &mut units {
            unit.say(format!("{} says {round}\n", unit.name));
        }
    }
    for unit in &units {
        let expected: Vec<String> = (0..20).map(|round| format!("{} says {round}", unit.name)).collect();
        until("the unit's lines", || rig.lines(&unit.name).len() == 20);
        assert_eq!(rig.lines(&unit.name), expected);
    }
}

#[test]
fn the_end_of_the_feed_ends_it_after_all_was_read() {
    let mut rig = Rig::new();
    let mut units: Vec<Unit> = (0..20).map(|number| rig.unit(&format!("unit-{number}"))).collect();
    for unit in &mut units {
        unit.say("whole\nhalf");
    }
    rig.close_feed();
    for unit in &units {
        assert_eq!(rig.lines(&unit.name), ["whole", "half"]);
    }
}

#[test]
fn told_to_end_it_leaves_half_a_line_to_the_next() {
    let mut rig = Rig::new();
    let mut unit = rig.unit("a");
    unit.say("whole\nhalf");
    rig.wait_lines("a", &["whole"]);
    rig.terminate_and_restart();
    assert_eq!(unit.unread(), 4);
    unit.say(" and half\n");
    rig.add(&unit);
    rig.wait_lines("a", &["whole", "half and half"]);
}

#[test]
fn nonsense_in_the_feed_is_ignored() {
    use session0_model::launch::wire::Feed;
    let rig = Rig::new();
    let unit = Unit::new("x");
    rig.feed(&Feed::Pipe { unit: "../escape".to_owned(), group: 0 }, Some(&unit.read));
    rig.feed(&Feed::Pipe { unit: "no-descriptor".to_owned(), group: 0 }, None);
    rig.feed(&Feed::Gone { unit: "never-was".to_owned() }, None);
    rig.feed(&Feed::Group { unit: "never-was".to_owned(), group: 7 }, None);
    let file = std::fs::File::open("/dev/null").unwrap().into();
    rig.feed(&Feed::Pipe { unit: "no-pipe".to_owned(), group: 0 }, Some(&file));
    let mut unit = rig.unit("good");
    unit.say("still here\n");
    rig.wait_lines("good", &["still here"]);
    assert_eq!(rig.names(), ["good.log"]);
}
