//! How fast it is, with `cargo test --release -p session0-log -- --ignored --nocapture`. Figures, not claims.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::rig::{Rig, Unit, until};

const LINE: &str =
    "2026/11/23 01:02:03 [notice] 1234#1234: a line as a service of some importance says one\n";

/// Lines of `units` writers together for a while, in chunks of `chunk` lines.
fn measure(name: &str, units: usize, chunk: usize, lines: usize) {
    let rig = Rig::with("--max-size 50000000 --keep 2");
    let mut units: Vec<Unit> = (0..units).map(|number| rig.unit(&format!("u{number}"))).collect();
    let text = LINE.repeat(chunk);
    let rounds = lines / units.len() / chunk;
    let before = used(rig.pid());
    let begun = Instant::now();
    for _ in 0..rounds {
        for unit in &mut units {
            unit.write.write_all(text.as_bytes()).unwrap();
        }
    }
    for unit in &units {
        until("it is read", || unit.unread() == 0);
    }
    let took = begun.elapsed();
    let lines = (rounds * units.len() * chunk) as f64;
    let bytes = lines * LINE.len() as f64;
    let seconds = took.as_secs_f64();
    println!(
        "{name}: {:.0} MB/s, {:.2} million lines/s ({:.2} s, logger {:.2} s of CPU); memory {}",
        bytes / seconds / 1e6,
        lines / seconds / 1e6,
        seconds,
        (used(rig.pid()) - before).as_secs_f64(),
        memory(rig.pid()),
    );
}

fn used(pid: i32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let words: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = words[11].parse::<u64>().unwrap() + words[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn memory(pid: i32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let of = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    format!("PSS {} KiB, of it anonymous {} KiB", of("Pss:"), of("Pss_Anon:"))
}

#[test]
#[ignore = "a measurement"]
fn throughput() {
    measure("one unit, flooding", 1, 1000, 5_000_000);
    measure("one unit, a line a write", 1, 1, 2_000_000);
    measure("500 units, 20 lines a write", 500, 20, 5_000_000);
    measure("500 units, a line a write", 500, 1, 2_000_000);
}

#[test]
#[ignore = "a measurement"]
fn memory_of_idle_units() {
    for units in [0, 500, 2000] {
        let rig = Rig::new();
        let mut units: Vec<Unit> = (0..units).map(|number| rig.unit(&format!("unit-{number}"))).collect();
        for unit in &mut units {
            unit.say("started\n");
        }
        for unit in &units {
            until("it is read", || unit.unread() == 0);
        }
        println!("{} units: {}", units.len(), memory(rig.pid()));
    }
}
