//! A program of a user attacks another program of the same user.

use std::process::Command;

use super::world::{self, Place, World, bare};
use super::{Attack, Outcome};
use crate::host::Run;
use crate::sessions::Program;
use crate::wait::{eventually, eventually_value};

/// Runs it against every target there is in this place. The first success is the result.
pub(super) fn run(attack: &Attack, place: &Place, holds: &str, way: &str) -> Outcome {
    let number = world::number_of(attack.name);
    let mut last = Outcome::Skipped("there was no target".into());
    for lair in lairs(place) {
        let target = match Target::start(number, place, lair, holds) {
            Ok(target) => target,
            Err(why) => {
                last = better(last, Outcome::Skipped(why));
                continue;
            }
        };
        let outcome = target.attacked(place, way);
        if matches!(outcome, Outcome::Succeeded(_)) {
            return outcome;
        }
        last = better(last, outcome);
    }
    last
}

/// A refusal says more than a target that could not hold anything.
fn better(old: Outcome, new: Outcome) -> Outcome {
    match (&old, &new) {
        (Outcome::Refused(_), Outcome::Skipped(_)) => old,
        _ => new,
    }
}

/// Where a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lair {
    /// The user's other session.
    Session(u32),
    /// A service that runs under his account.
    Service,
    /// A program of his outside all sessions.
    Outside,
}

fn lairs(place: &Place) -> Vec<Lair> {
    match place {
        Place::Vista(world) => {
            let session = world.neighbour.map(Lair::Session);
            session.into_iter().chain([Lair::Service, Lair::Outside]).collect()
        }
        Place::Xp(_) => vec![Lair::Service],
        Place::Bare => vec![Lair::Outside],
    }
}

/// A target that holds its secret and waits.
struct Target {
    name: String,
    secret: String,
    lair: Lair,
    /// Its output, where it is not a service's.
    program: Option<Program>,
    service: String,
    world: &'static World,
    /// Whose it is.
    uid: u32,
    outer: i32,
    inner: i32,
}

impl Target {
    fn start(number: usize, place: &Place, lair: Lair, holds: &str) -> Result<Target, String> {
        let world = place.any_world();
        let label = match lair {
            Lair::Session(_) => "session",
            Lair::Service => "service",
            Lair::Outside => "outside",
        };
        let name = world::target_name(number, label);
        let words = ["hold".to_owned(), name.clone(), holds.to_owned()];
        let probe = world.probe();
        let program = match lair {
            Lair::Session(session) => {
                let words: Vec<&str> = [&probe].into_iter().chain(&words).map(String::as_str).collect();
                Some(world.host.begin_in(session, &words))
            }
            Lair::Service => None,
            Lair::Outside => Some(Program::start(&mut bare(uid(place), &probe, &words))),
        };
        let service = world::service_name(number);
        if lair == Lair::Service {
            world.host.s0(&["service", "start", &service]).ok();
        }
        let mut target = Target {
            name,
            secret: String::new(),
            lair,
            program,
            service,
            world,
            uid: uid(place),
            outer: 0,
            inner: 0,
        };
        target.wait_until_ready()?;
        Ok(target)
    }

    /// Reads its secret and finds its process. An error if it could hold nothing.
    fn wait_until_ready(&mut self) -> Result<(), String> {
        let text = eventually_value(&format!("the target {} is ready", self.name), || {
            Some(self.text()).filter(|text| text.contains("ready "))
        });
        let secret = text.lines().find_map(|line| line.strip_prefix("ready ")).unwrap_or_default();
        self.secret = secret.trim().to_owned();
        let places: Vec<&str> = text.lines().filter(|line| line.starts_with("place ")).collect();
        (self.outer, self.inner) = eventually_value("its process is found", || process(&self.name));
        if places.iter().all(|line| !line.ends_with(": ok")) {
            return Err(format!("the target could hold nothing: {}", places.join(", ")));
        }
        Ok(())
    }

    fn text(&self) -> String {
        match &self.program {
            Some(program) => program.text(),
            None => self.world.host.log(&self.service),
        }
    }

    /// Runs the attacker and says what came of it.
    fn attacked(&self, place: &Place, way: &str) -> Outcome {
        let words: Vec<String> =
            ["attack", way, &self.name, &self.outer.to_string(), &self.inner.to_string()]
                .map(str::to_owned)
                .into();
        let mut command = attacker(place, &words);
        let run = if way == "plant" {
            let mut attacker = Program::start(&mut command);
            attacker.wait_or_end("planted:");
            self.tell(rustix::process::Signal::USR1);
            eventually("the target has written", || self.text().contains("wrote:"));
            attacker.say("\n");
            attacker.end()
        } else {
            Run::of(&mut command)
        };
        let against = match self.lair {
            Lair::Session(_) => "his other session",
            Lair::Service => "his service",
            Lair::Outside => "his program outside",
        };
        if run.out.contains(&self.secret) {
            return Outcome::Succeeded(format!("read the secret of {against}"));
        }
        if let Some(effect) = self.effect() {
            return Outcome::Succeeded(format!("{against} noticed it: {effect}"));
        }
        if let Some(why) = run.out.lines().find_map(|line| line.strip_prefix("skip: ")) {
            return Outcome::Skipped(why.to_owned());
        }
        let last = run.out.lines().last().and_then(|line| line.rsplit_once(": ")).map(|(_, why)| why);
        let Some(why) = last else {
            panic!("the attacker did not run: {run:?}");
        };
        Outcome::Refused(format!("{why} against {against}"))
    }

    /// What the target noticed, by its own word.
    fn effect(&self) -> Option<String> {
        if process(&self.name).is_none() {
            return Some("it was ended".into());
        }
        self.tell(rustix::process::Signal::USR2);
        let text = eventually_value("the target says what it noticed", || {
            Some(self.text()).filter(|text| text.contains("effects:"))
        });
        let effects = text.lines().rev().find(|line| line.starts_with("effects:"))?.to_owned();
        (effects != "effects: signals=0 semaphore=0").then_some(effects)
    }

    fn tell(&self, signal: rustix::process::Signal) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.outer) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.tell(rustix::process::Signal::KILL);
        // What is in a session goes with the session.
        if self.lair == Lair::Outside {
            let words = ["clean".to_owned(), self.name.clone()];
            Run::of(&mut bare(self.uid, &self.world.probe(), &words));
        }
    }
}

fn uid(place: &Place) -> u32 {
    place.world().map_or(world::bare_uid(), |world| world.uid)
}

/// The command that runs the attacker.
fn attacker(place: &Place, words: &[String]) -> Command {
    let world = place.any_world();
    let probe = world.probe();
    match place {
        Place::Vista(_) | Place::Xp(_) => {
            let words: Vec<&str> = [&probe].into_iter().chain(words).map(String::as_str).collect();
            world.host.command_in(world.attacker, &words)
        }
        Place::Bare => bare(uid(place), &probe, words),
    }
}

/// A target's process id on the machine, and the one in its own namespace.
fn process(name: &str) -> Option<(i32, i32)> {
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let mut words = line.split(|byte| *byte == 0).skip(1);
        if words.next() != Some(b"hold") || words.next() != Some(name.as_bytes()) {
            return None;
        }
        let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        Some((pid, numbers.split_whitespace().last()?.parse().ok()?))
    })
}
