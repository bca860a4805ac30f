//! `kill -9` at any moment: nothing is lost.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::rig::{Rig, Unit, until};

const UNITS: usize = 4;
const KILLS: usize = 25;

#[test]
fn a_logger_killed_in_a_flood_loses_no_line() {
    let mut rig = Rig::with("--max-size 1000000000 --keep 1");
    let units: Vec<Unit> = (0..UNITS).map(|number| rig.unit(&format!("u{number}"))).collect();
    let stop = AtomicBool::new(false);
    let said: Vec<usize> = std::thread::scope(|scope| {
        let writers: Vec<_> = units
            .iter()
            .map(|unit| {
                let mut write = unit.write.try_clone().unwrap();
                let stop = &stop;
                scope.spawn(move || flood(&mut write, stop))
            })
            .collect();
        for kill in 0..KILLS {
            // In the middle of it: when the log has grown again, by another amount each time.
            let size = rig.size("u0.log");
            until("the log grows", || rig.size("u0.log") > size + kill as u64 * 7919);
            rig.kill_and_restart();
            for unit in &units {
                rig.add(unit);
            }
        }
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    for (unit, said) in units.iter().zip(said) {
        until("everything is read", || unit.unread() == 0);
        check(&rig.lines(&unit.name), said);
    }
}

/// Says numbered lines of all lengths until told to stop; how many.
fn flood(write: &mut std::fs::File, stop: &AtomicBool) -> usize {
    use std::io::Write as _;
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut lines = String::new();
        for _ in 0..50 {
            lines.push_str(&format!("{number} {}\n", "x".repeat(number * 31 % 300)));
            number += 1;
        }
        write.write_all(lines.as_bytes()).unwrap();
    }
    number
}

/// Every line is there, whole, and in order but for what is said again after a kill.
fn check(lines: &[String], said: usize) {
    let (mut next, mut repeats, mut torn) = (0, 0, 0);
    for line in lines {
        if line.ends_with("[session0-log: cut short here]") {
            torn += 1;
            continue;
        }
        let (number, filler) = line.split_once(' ').unwrap_or_else(|| panic!("not a line of ours: {line:?}"));
        let number: usize = number.parse().unwrap();
        assert_eq!(filler.len(), number * 31 % 300, "line {number} is not whole");
        assert!(number <= next, "lines {next} to {number} are lost");
        if number < next {
            repeats += 1;
        }
        next = number + 1;
    }
    assert_eq!(next, said, "the last lines are lost");
    assert!(torn <= KILLS);
    eprintln!("{said} lines, {repeats} times back, {torn} torn");
}

#[test]
fn a_logger_killed_between_rotations_loses_no_line() {
    // Small files, all of them kept, so that kills fall into rotations.
    let mut rig = Rig::with("--max-size 5000 --keep 900");
    let mut unit = rig.unit("a");
    let mut said = 0;
    for _ in 0..20 {
        for _ in 0..200 {
            unit.say(format!("{said}\n"));
            said += 1;
        }
        rig.kill_and_restart();
        rig.add(&unit);
    }
    until("everything is read", || unit.unread() == 0);
    // The last line may be in a file, but not be taken out of the pipe yet, or the other way round: it is in a file.
    let mut seen = vec![false; said];
    for name in rig.names() {
        for line in rig.read(&name).lines().filter(|line| !line.contains("cut short")) {
            seen[crate::rig::without_stamp(line).parse::<usize>().unwrap()] = true;
        }
    }
    let lost: Vec<usize> = (0..said).filter(|number| !seen[*number]).collect();
    assert!(lost.is_empty(), "{lost:?} of {said} in {} files", rig.names().len());
}
