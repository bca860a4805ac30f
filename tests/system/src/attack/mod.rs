//! The attack suite: a table of attacks (`tests/system/attacks/`), two hosts to run them against, and what must come of each.
//!
//! - A *boundary* attack must fail where the walls are up (`isolation = "vista"`) and succeed where they are down
//!   (`isolation = "xp"`): the same program, so that the test itself is proven.
//! - A *hygiene* attack must fail in both, and succeed against a bare fork and exec.
//! - What the kernel or the machine refuses also without us is skipped by name. It has proven nothing.
//!
//! An attack succeeds when the attacker has the target's secret, when the target noticed it, or when what it did can be seen
//! from outside. What it believes of itself does not count, except where it is about itself.

mod conversation;
mod neighbour;
mod own;
mod pipes;
mod root;
mod scenario;
mod world;

use std::sync::{Condvar, Mutex, PoisonError};

pub use conversation::log_on_as;
pub use world::{Place, World};

use crate::skip;

/// In the library the files of `attacks/` are the table; in the tests they are the tests.
macro_rules! attacks {
    ($($(#[$doc:meta])* $name:ident: $about:literal, $known:expr, $way:expr;)*) => {
        #[allow(unused_imports)]
        use crate::attack::{Attack, From, boundary, neighbour, own, pipes, root, scenario, scenarios, wall};
        /// This family's part of the table.
        pub const ALL: &[Attack] =
            &[$(Attack { name: stringify!($name), about: $about, known: &$known, way: $way }),*];
    };
}

pub use scenario as scenarios;

#[path = "../../attacks/mod.rs"]
pub mod families;

/// The table: every family by its name. One that is missing here fails its own tests.
const FAMILIES: [(&str, &[Attack]); 13] = [
    ("processes", families::processes::ALL),
    ("memory", families::memory::ALL),
    ("files", families::files::ALL),
    ("display", families::display::ALL),
    ("keyrings", families::keyrings::ALL),
    ("terminals", families::terminals::ALL),
    ("machine", families::machine::ALL),
    ("kernel", families::kernel::ALL),
    ("gains", families::gains::ALL),
    ("clients", families::clients::ALL),
    ("names", families::names::ALL),
    ("pipes", families::pipes::ALL),
    ("resources", families::resources::ALL),
];

/// One attack.
pub struct Attack {
    /// The sentence that is the test's name.
    pub name: &'static str,
    /// In a few words.
    pub about: &'static str,
    /// Numbers of the known attacks it belongs to ([`families`] lists them).
    pub known: &'static [u8],
    /// How it is done.
    pub way: Way,
}

/// How an attack is done.
pub enum Way {
    /// A program of a user against another program of the same user elsewhere. What the target holds, and what the attacker
    /// does (`probe attack`).
    Neighbour(&'static str, &'static str),
    /// uid 0 in Session 0 against the machine: words for the probe.
    Root(&'static [&'static str]),
    /// A program that tries what it should not be able to, or looks for what it should not have: where it must succeed, where it
    /// runs, what stands before the command that starts it, and words for the probe.
    Own(Proof, From, &'static [&'static str], &'static [&'static str]),
    /// A story of its own, and whether it is a boundary's.
    Story(Proof, fn(&Place) -> Outcome),
}

/// Where an attacker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// In a session of a user, as he.
    User,
    /// As a LocalSystem service.
    Service,
}

/// Where an attack must succeed, so that its failure means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Where the walls are down.
    Xp,
    /// Without session0.
    Bare,
}

/// See [`Way::Neighbour`].
pub const fn neighbour(holds: &'static str, attack: &'static str) -> Way {
    Way::Neighbour(holds, attack)
}

/// See [`Way::Root`].
pub const fn root(words: &'static [&'static str]) -> Way {
    Way::Root(words)
}

/// See [`Way::Own`]: what every program starts with, with the walls down as well.
pub const fn own(from: From, before: &'static [&'static str], words: &'static [&'static str]) -> Way {
    Way::Own(Proof::Bare, from, before, words)
}

/// See [`Way::Own`]: one of the walls that xp takes down.
pub const fn wall(from: From, words: &'static [&'static str]) -> Way {
    Way::Own(Proof::Xp, from, &[], words)
}

/// A story that proves itself without session0.
pub const fn scenario(story: fn(&Place) -> Outcome) -> Way {
    Way::Story(Proof::Bare, story)
}

/// A story about one of the walls that xp takes down.
pub const fn boundary(story: fn(&Place) -> Outcome) -> Way {
    Way::Story(Proof::Xp, story)
}

/// What came of an attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It failed: with what.
    Refused(String),
    /// It succeeded: with what.
    Succeeded(String),
    /// It could not be tried: why.
    Skipped(String),
}

impl Outcome {
    /// Its name in the demo's JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Refused(_) => "refused",
            Outcome::Succeeded(_) => "succeeded",
            Outcome::Skipped(_) => "skipped",
        }
    }

    /// With what, or why.
    pub fn detail(&self) -> &str {
        match self {
            Outcome::Refused(text) | Outcome::Succeeded(text) | Outcome::Skipped(text) => text,
        }
    }
}

/// An attack's outcomes.
#[derive(Debug)]
pub struct Report {
    /// Where the walls are up.
    pub vista: Outcome,
    /// Where they are down.
    pub xp: Outcome,
    /// Without session0; only where that decides something.
    pub bare: Option<Outcome>,
}

/// What the outcomes mean.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The wall stands, and the attack would have been one.
    Holds,
    /// Nothing was shown: why.
    Skipped(String),
    /// The attack succeeded where it must not.
    Broken(String),
    /// The attack failed where it must not: it proves nothing.
    Unproven(String),
}

impl Attack {
    /// Where it must succeed.
    pub fn proof(&self) -> Proof {
        match self.way {
            Way::Neighbour(..) | Way::Root(_) => Proof::Xp,
            Way::Own(proof, ..) | Way::Story(proof, _) => proof,
        }
    }

    /// Runs it everywhere it has to run.
    pub fn run(&self) -> Report {
        let vista = self.against(&Place::Vista(World::vista()));
        let xp = self.against(&Place::Xp(World::xp()));
        let decided = self.proof() == Proof::Xp && matches!(xp, Outcome::Succeeded(_));
        let bare = (!decided).then(|| self.against(&Place::Bare));
        Report { vista, xp, bare }
    }

    fn against(&self, place: &Place) -> Outcome {
        match self.way {
            Way::Neighbour(holds, attack) => neighbour::run(self, place, holds, attack),
            Way::Root(words) => root::run(self, place, words),
            Way::Own(_, from, before, words) => own::run(place, from, before, words),
            Way::Story(_, story) => story(place),
        }
    }

    /// What its outcomes mean.
    pub fn verdict(&self, report: &Report) -> Verdict {
        if let Outcome::Succeeded(with) = &report.vista {
            return Verdict::Broken(format!("with the walls up: {with}"));
        }
        let elsewhere = match self.proof() {
            Proof::Xp => &report.xp,
            Proof::Bare => report.bare.as_ref().unwrap_or(&report.xp),
        };
        if let (Proof::Bare, Outcome::Succeeded(with)) = (self.proof(), &report.xp) {
            return Verdict::Broken(format!("in xp: {with}"));
        }
        match (elsewhere, &report.bare, &report.vista) {
            (Outcome::Succeeded(_), _, Outcome::Skipped(why)) => Verdict::Skipped(why.clone()),
            // Of a hygiene attack xp is another place where it must fail, and nobody has seen it fail there.
            (Outcome::Succeeded(_), _, _) => match &report.xp {
                Outcome::Skipped(why) => Verdict::Skipped(format!("in xp: {why}")),
                _ => Verdict::Holds,
            },
            // Where not even the bare attack works, the kernel is what refuses it.
            (_, Some(Outcome::Refused(why)), _) => {
                Verdict::Skipped(format!("this machine refuses it without session0 too: {why}"))
            }
            (Outcome::Skipped(why), _, _) => Verdict::Skipped(why.clone()),
            (Outcome::Refused(why), _, _) => {
                Verdict::Unproven(format!("where it should succeed it fails as well: {why}"))
            }
        }
    }
}

/// All attacks, family by family.
pub fn all() -> impl Iterator<Item = (&'static str, &'static Attack)> {
    FAMILIES.iter().flat_map(|(name, attacks)| attacks.iter().map(move |attack| (*name, attack)))
}

/// How many attacks run at a time: each starts a handful of programs.
const AT_ONCE_MAX: u32 = 2;
static AT_ONCE: Mutex<u32> = Mutex::new(0);
static ONE_ENDED: Condvar = Condvar::new();

/// A place among those that run at a time; given back when it is dropped, also by a panic.
struct Turn;

impl Turn {
    fn take() -> Turn {
        let running = AT_ONCE.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |running: &mut u32| *running >= AT_ONCE_MAX;
        let mut running = ONE_ENDED.wait_while(running, full).unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *AT_ONCE.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ONE_ENDED.notify_one();
    }
}

/// The test of one attack.
pub fn prove(name: &str) {
    if !crate::needs_root(name) {
        return;
    }
    let attack = all().find(|(_, attack)| attack.name == name).map(|(_, attack)| attack);
    let attack =
        attack.unwrap_or_else(|| panic!("{name} is not in the table: is its family in attacks/mod.rs?"));
    let turn = Turn::take();
    let report = attack.run();
    drop(turn);
    match attack.verdict(&report) {
        Verdict::Holds => {}
        Verdict::Skipped(why) => skip(name, &why),
        Verdict::Broken(how) => panic!("the attack succeeded {how}\n{report:#?}"),
        Verdict::Unproven(why) => panic!("the attack proves nothing: {why}\n{report:#?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hygiene_attack_that_xp_skipped_has_shown_nothing() {
        let attack = Attack { name: "any", about: "any", known: &[], way: own(From::User, &[], &["any"]) };
        let verdict = |xp: Outcome| {
            let bare = Some(Outcome::Succeeded("it works".into()));
            attack.verdict(&Report { vista: Outcome::Refused("EPERM".into()), xp, bare })
        };
        assert_eq!(verdict(Outcome::Refused("EPERM".into())), Verdict::Holds);
        assert_eq!(verdict(Outcome::Skipped("no room".into())), Verdict::Skipped("in xp: no room".into()));
        assert_eq!(verdict(Outcome::Succeeded("got it".into())), Verdict::Broken("in xp: got it".into()));
    }
}
