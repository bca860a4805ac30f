//! The measurements. In each, the managers take turns, so that what the machine does besides hits all alike.

use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::figures::Figures;
use super::manager::{self, Manager, PATIENCE, Place, Session0, Start};
use super::process::{self, Running};
use super::stamps::{milliseconds, now};
use super::{Bench, Outcome};

/// A manager is left alone this long before a clock is started.
const SETTLE: Duration = Duration::from_millis(500);
/// And this long before its memory is read.
const CALM: Duration = Duration::from_secs(2);
/// Two single samples lie this far apart.
const BETWEEN: Duration = Duration::from_millis(5);
/// A killed service has run longer than every peer's throttle asks for.
const RUN_BEFORE_KILL: Duration = Duration::from_millis(2500);

/// A manager that is mostly slower than this gets few samples.
const SLOW_MS: f64 = 500.0;
/// As many slow ones as this.
const SLOW_SAMPLES: usize = 10;

/// Rows `start-500`, `memory-service`, `memory-idle`.
pub fn fleet(bench: &Bench, managers: &[Box<dyn Manager>], figures: &mut Figures) {
    for round in 1..=bench.rounds {
        for manager in managers {
            let name = manager.name();
            match fleet_round(bench, manager.as_ref()) {
                Ok(one) => {
                    eprintln!(
                        "  round {round}: {name:12} {:8.1} ms, {:6.2} MiB idle, {:6.2} KiB a service",
                        one.started,
                        one.idle / 1024.0,
                        one.service
                    );
                    figures.add("start-500", name, vec![one.started]);
                    figures.add("memory-idle", name, vec![one.idle / 1024.0]);
                    figures.add("memory-service", name, vec![one.service]);
                }
                Err(error) => {
                    eprintln!("  round {round}: {name:12} {error}");
                    for row in ["start-500", "memory-idle", "memory-service"] {
                        figures.fail(row, name, &error);
                    }
                }
            }
        }
    }
}

/// What one fleet showed: milliseconds, KiB, KiB.
struct FleetRound {
    started: f64,
    idle: f64,
    service: f64,
}

fn fleet_round(bench: &Bench, manager: &dyn Manager) -> Outcome<FleetRound> {
    let place = bench.place(manager.name(), bench.fleet)?;
    let running = manager::launch_empty(manager, &place)?;
    sleep(CALM);
    let idle = running.memory() as f64;
    let (running, begun, last) = if manager.is_told_by_its_start() {
        drop(running);
        manager.install(&place, Start::Together)?;
        let begun = now();
        let running = Running::start(manager.launch(&place), &place.root)?;
        let last = place.stamps.wait_all(PATIENCE)?;
        (running, begun, last)
    } else {
        manager.install(&place, Start::Together)?;
        sleep(SETTLE);
        let mut tell = manager.start_all(&place);
        let begun = now();
        let told = process::quiet(&mut tell, &place.root)?;
        let last = place.stamps.wait_all(PATIENCE)?;
        finish(told)?;
        (running, begun, last)
    };
    sleep(CALM);
    let full = running.memory() as f64;
    Ok(FleetRound { started: milliseconds(begun, last), idle, service: (full - idle) / bench.fleet as f64 })
}

/// Rows `start-one` and `restart`.
pub fn single(bench: &Bench, managers: &[Box<dyn Manager>], figures: &mut Figures) {
    for round in 1..=bench.single_rounds {
        let mut turns: Vec<Turn> =
            managers.iter().map(|manager| Turn::launch(bench, manager.as_ref())).collect();
        sleep(SETTLE);
        take_turns(bench, &mut turns, Sample::Start);
        record("start-one", round, &mut turns, figures);
        sleep(RUN_BEFORE_KILL);
        turns.iter_mut().for_each(Turn::look);
        take_turns(bench, &mut turns, Sample::Kill);
        record("restart", round, &mut turns, figures);
    }
}

/// What is done to one service.
#[derive(Clone, Copy)]
enum Sample {
    Start,
    Kill,
}

fn take_turns(bench: &Bench, turns: &mut [Turn], sample: Sample) {
    for index in 0..bench.samples {
        for turn in turns.iter_mut() {
            turn.take(index, sample);
            sleep(BETWEEN);
        }
    }
}

fn record(row: &'static str, round: usize, turns: &mut [Turn], figures: &mut Figures) {
    for turn in turns {
        let name = turn.manager.name();
        match &turn.broken {
            Some(error) => {
                eprintln!("  round {round}: {row} {name:12} {error}");
                figures.fail(row, name, error);
            }
            None => {
                figures.add(row, name, std::mem::take(&mut turn.samples));
                let median = figures.row(row).find(|series| series.manager == name);
                let median = median.and_then(|series| series.percentile(50)).unwrap_or(0.0);
                eprintln!("  round {round}: {row} {name:12} {median:8.2} ms so far");
            }
        }
    }
}

/// One manager in a round of single samples.
struct Turn<'a> {
    manager: &'a dyn Manager,
    alive: Option<(Place, Running)>,
    services: std::collections::BTreeMap<usize, process::Process>,
    samples: Vec<f64>,
    broken: Option<String>,
}

impl<'a> Turn<'a> {
    fn launch(bench: &Bench, manager: &'a dyn Manager) -> Self {
        let alive = bench
            .place(manager.name(), bench.samples)
            .and_then(|place| manager::launch_single(manager, &place).map(|running| (place, running)));
        let (alive, broken) = match alive {
            Ok(alive) => (Some(alive), None),
            Err(error) => (None, Some(error)),
        };
        Self { manager, alive, services: Default::default(), samples: Vec::new(), broken }
    }

    fn take(&mut self, index: usize, sample: Sample) {
        if self.broken.is_some() || self.is_known_to_be_slow() {
            return;
        }
        let figure = match sample {
            Sample::Start => self.start_one(index),
            Sample::Kill => self.kill_one(index),
        };
        match figure {
            Ok(figure) => self.samples.push(figure),
            Err(error) => self.broken = Some(error),
        }
    }

    /// A peer that waits a second by design shows it in a few samples; more would only make the run long.
    fn is_known_to_be_slow(&self) -> bool {
        let slow = self.samples.iter().filter(|figure| **figure > SLOW_MS).count();
        slow >= SLOW_SAMPLES && slow * 2 > self.samples.len()
    }

    fn start_one(&mut self, index: usize) -> Outcome<f64> {
        let (place, _) = self.alive.as_ref().ok_or("not running")?;
        let mut start = self.manager.start_one(place, index);
        let begun = now();
        let told = process::quiet(&mut start, &place.root)?;
        let at = place.stamps.wait(index, 1, PATIENCE)?;
        finish(told)?;
        Ok(milliseconds(begun, at))
    }

    /// Finds the processes to kill; this reads all of /proc, so it is done once and before the clock starts.
    fn look(&mut self) {
        if let Some((place, _)) = &self.alive {
            self.services = process::services(place.stamps.path());
        }
    }

    fn kill_one(&mut self, index: usize) -> Outcome<f64> {
        let (place, _) = self.alive.as_ref().ok_or("not running")?;
        let service = self.services.get(&index).ok_or_else(|| format!("service {index} does not run"))?;
        let next = place.stamps.read(index)?.instances + 1;
        let begun = now();
        service.kill()?;
        let at = place.stamps.wait(index, next, PATIENCE)?;
        Ok(milliseconds(begun, at))
    }
}

/// Rows `daemon-killed` and `disturbed`: only ours has a daemon that may be killed. Each round has a host of its
/// own, because the keeper waits before it restarts a daemon that ends for the second time within a minute.
pub fn daemon_killed(bench: &Bench, ours: &Session0, figures: &mut Figures) {
    for round in 1..=bench.rounds {
        match daemon_killed_round(bench, ours) {
            Ok((back, disturbed)) => {
                eprintln!("  round {round}: back after {back:.1} ms, {disturbed} services disturbed");
                figures.add("daemon-killed", ours.name(), vec![back]);
                figures.add("disturbed", ours.name(), vec![disturbed as f64]);
            }
            Err(error) => {
                eprintln!("  round {round}: {error}");
                for row in ["daemon-killed", "disturbed"] {
                    figures.fail(row, ours.name(), &error);
                }
            }
        }
    }
}

fn daemon_killed_round(bench: &Bench, ours: &Session0) -> Outcome<(f64, usize)> {
    let place = bench.place(ours.name(), bench.crowd)?;
    let running = manager::launch_empty(ours, &place)?;
    ours.install(&place, Start::Together)?;
    process::control(&mut ours.start_all(&place), &place.root)?;
    place.stamps.wait_all(PATIENCE)?;
    sleep(SETTLE * 2);
    kill_daemon(&place, &running)
}

/// Milliseconds until the first answer, and how many services are not what they were.
fn kill_daemon(place: &Place, running: &Running) -> Outcome<(f64, usize)> {
    let daemon = running.find("session0d").ok_or("session0d does not run")?;
    let before = (process::services(place.stamps.path()), place.stamps.read_all()?);
    let socket = manager::socket(place);
    let begun = now();
    daemon.kill()?;
    manager::ask(&socket, "io.session0.Host.Version", PATIENCE)?;
    let back = milliseconds(begun, now());
    let next = running.find("session0d").ok_or("session0d did not come back")?;
    if next == daemon {
        return Err("the killed session0d answered".to_owned());
    }
    sleep(SETTLE);
    let after = (process::services(place.stamps.path()), place.stamps.read_all()?);
    let same = |index: &usize| before.0.get(index).is_some_and(|process| after.0.get(index) == Some(process));
    let calm = |index: &usize| before.1[*index].instances == after.1[*index].instances;
    let undisturbed = (0..place.stamps.count()).filter(|index| same(index) && calm(index)).count();
    Ok((back, place.stamps.count() - undisturbed))
}

/// Waits for a control command that has done what it was for. Its verdict does not matter: the stamp is there.
fn finish(mut told: Child) -> Outcome<()> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if told.try_wait().map_err(|e| format!("waiting for the control command: {e}"))?.is_some() {
            return Ok(());
        }
        sleep(Duration::from_millis(1));
    }
    told.kill().map_err(|e| format!("ending the control command: {e}"))?;
    told.wait().map(drop).map_err(|e| format!("waiting for the control command: {e}"))
}
