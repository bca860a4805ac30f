//! `cargo xtask bench`: us and every peer on this machine, in one run, on the same work.
//!
//! `bench services` measures the service rows, `bench sessions` those of users' sessions (see [`sessions`]), `bench ipc` those of pipes
//! and calls (see [`ipc`]); each writes its part of
//! `docs/performance.md` and prints it. Every manager runs
//! in a directory of its own below one that is removed at the end, whatever the end is: a second process waits
//! for the first to be gone and then ends what it left (see `sweeper`).

mod figures;
mod ipc;
mod machine;
mod manager;
mod measure;
mod page;
mod process;
mod report;
pub mod sessions;
mod stamps;
mod sweeper;
mod table;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use figures::{Figures, Measurement, ROWS, Row, Verdict};
use manager::{Manager, Place, Session0};

/// What went wrong, as one sentence: what was tried, on what, why not.
pub type Outcome<T> = Result<T, String>;

/// Where the managers run. Session 0 has a `/tmp` and a `/run` of its own, but sees this.
const RUNS: &str = "/var/lib";

const HELP: &str = "\
Measures what is on this machine and us, and writes docs/performance.md

usage: cargo xtask bench services|sessions|ipc [options]

  --rounds N       services: runs of 500 services, and kills of the daemon, for each manager (default 7)
                   sessions: runs of everything (default 3); ipc: the same (default 7; of many pipes 3)
  --quick          fewer rounds and samples; writes no page
  --only ROW       measure this row (and those that come with it); writes no page; can be repeated
  --manager NAME   services: measure this manager; writes no page; can be repeated
  --json           print the figures as JSON instead of the page
  --page           write the page even so

Peers are found on PATH: dinit, s6, runit, supervisord; su, sudo; dbus-daemon, dbus-broker. Needs root, for the isolation of sessions, and a C compiler.";

/// How much is measured.
pub struct Bench {
    /// The directory everything lives in.
    root: PathBuf,
    /// Runs of the whole fleet, and kills of the daemon.
    rounds: usize,
    /// Runs of single samples.
    single_rounds: usize,
    /// Single samples in each of them.
    samples: usize,
    /// Services of the fleet.
    fleet: usize,
    /// Services below the daemon that is killed.
    crowd: usize,
}

impl Bench {
    /// An empty directory for a manager with `count` services.
    fn place(&self, manager: &str, count: usize) -> Outcome<Place> {
        Place::new(self.root.join(manager), &self.root.join("bin/stamp"), count)
    }
}

/// What the command line asked for.
#[derive(Default)]
struct Options {
    subject: Subject,
    rounds: Option<usize>,
    quick: bool,
    rows: Vec<String>,
    managers: Vec<String>,
    json: bool,
    page: bool,
}

/// Which bench.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Subject {
    #[default]
    Services,
    Sessions,
    Ipc,
}

impl Subject {
    fn rows(self) -> &'static [Row] {
        match self {
            Subject::Services => &ROWS,
            Subject::Sessions => &sessions::ROWS,
            Subject::Ipc => &ipc::ROWS,
        }
    }
}

/// Runs `cargo xtask bench` with what follows it on the command line.
pub fn run(arguments: Vec<OsString>) -> Outcome<()> {
    let Some(options) = parse(arguments)? else { return Ok(()) };
    if !rustix::process::geteuid().is_root() {
        return Err("the isolation of sessions needs root; run `sudo -E cargo xtask bench ...`".to_owned());
    }
    let root = PathBuf::from(format!("{RUNS}/session0-bench-{}", std::process::id()));
    fs::create_dir_all(root.join("bin")).map_err(|e| format!("making {}: {e}", root.display()))?;
    let sweeper = sweeper::start(&root)?;
    let done = match options.subject {
        Subject::Services => services(&options, &root),
        Subject::Sessions => sessions::measure(&options, &root),
        Subject::Ipc => ipc::measure(&options, &root),
    };
    sweeper.finish()?;
    done
}

fn parse(arguments: Vec<OsString>) -> Outcome<Option<Options>> {
    use lexopt::Arg::{Long, Short, Value};
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut options = Options::default();
    let mut what = None;
    let text = |value: Result<OsString, lexopt::Error>| {
        value.map_err(|e| e.to_string())?.into_string().map_err(|_| "an argument is not text".to_owned())
    };
    while let Some(argument) = parser.next().map_err(|e| e.to_string())? {
        match argument {
            Value(word) if what.is_none() => what = Some(word),
            Long("rounds") => {
                let rounds = text(parser.value())?;
                options.rounds =
                    Some(rounds.parse().map_err(|_| format!("--rounds {rounds} is not a number"))?);
            }
            Long("quick") => options.quick = true,
            Long("only") => options.rows.push(text(parser.value())?),
            Long("manager") => options.managers.push(text(parser.value())?),
            Long("json") => options.json = true,
            Long("page") => options.page = true,
            Long("sweep") => return sweeper::run().map(|()| None),
            Short('h') | Long("help") => {
                println!("{HELP}");
                for subject in [Subject::Services, Subject::Sessions, Subject::Ipc] {
                    let rows: Vec<_> = subject.rows().iter().map(|row| row.id).collect();
                    println!("rows of {subject:?}: {}", rows.join(", "));
                }
                return Ok(None);
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    options.subject = match what {
        Some(word) if word == "services" => Subject::Services,
        Some(word) if word == "sessions" => Subject::Sessions,
        Some(word) if word == "ipc" => Subject::Ipc,
        Some(other) => {
            return Err(format!("there is no bench {}; there are: services, sessions, ipc", other.display()));
        }
        None => return Err("which bench? There are: services, sessions, ipc".to_owned()),
    };
    let rows = options.subject.rows();
    let known = || rows.iter().map(|row| row.id).collect::<Vec<_>>().join(", ");
    match options.rows.iter().find(|asked| !rows.iter().any(|row| row.id == **asked)) {
        Some(row) => Err(format!("there is no row {row}; rows are {}", known())),
        None => Ok(Some(options)),
    }
}

fn services(options: &Options, root: &Path) -> Outcome<()> {
    let programs = root.join("bin");
    stamps::compile(&programs.join("stamp"))?;
    let ours = Session0 { programs: programs.clone() };
    let (mut managers, absent) = manager::found(Session0 { programs: programs.clone() });
    let asked =
        |name: &str| options.managers.is_empty() || options.managers.iter().any(|asked| asked == name);
    if asked(ours.name()) {
        build(&programs)?;
    }
    managers.retain(|manager| asked(manager.name()));
    let machine = machine::describe();
    for peer in &absent {
        eprintln!("not measured: {peer}");
    }

    let bench = Bench {
        root: root.to_path_buf(),
        rounds: options.rounds.unwrap_or(if options.quick { 2 } else { 7 }).max(1),
        single_rounds: if options.quick { 1 } else { 4 },
        samples: if options.quick { 10 } else { 50 },
        fleet: 500,
        crowd: 1000,
    };
    let figures = take(options, &bench, &managers, asked(ours.name()).then_some(&ours));

    let machine = format!("{machine}, load {} at the end", machine::load());
    let table = table::Table { rows: &ROWS, figures: &figures };
    let report = report::Report { machine, managers: &managers, absent, bench: &bench, table };
    if options.json {
        println!("{:#}", report.json());
    } else {
        println!("{}", report.page());
    }
    let whole = !options.quick && options.rows.is_empty() && options.managers.is_empty();
    if whole || options.page {
        page::write(page::Part::Services, &report.page())?;
    }
    let unknown = ROWS.iter().filter(|row| is_wanted(options, row.measurement));
    let unknown =
        unknown.filter(|row| figures::verdict(row, &figures, table::OURS) == Verdict::Unknown).count();
    match unknown {
        0 => Ok(()),
        _ if !asked(table::OURS) => Ok(()),
        rows => Err(format!("{rows} rows have no figure for us or for the peer to beat")),
    }
}

fn take(options: &Options, bench: &Bench, managers: &[Box<dyn Manager>], ours: Option<&Session0>) -> Figures {
    let mut figures = Figures::default();
    if is_wanted(options, Measurement::Fleet) {
        eprintln!("{} services started, {} rounds", bench.fleet, bench.rounds);
        measure::fleet(bench, managers, &mut figures);
    }
    if is_wanted(options, Measurement::Single) {
        eprintln!(
            "services started and killed one by one, {} rounds of {}",
            bench.single_rounds, bench.samples
        );
        measure::single(bench, managers, &mut figures);
    }
    if let Some(ours) = ours.filter(|_| is_wanted(options, Measurement::DaemonKilled)) {
        eprintln!("session0d killed below {} services, {} rounds", bench.crowd, bench.rounds);
        measure::daemon_killed(bench, ours, &mut figures);
    }
    figures
}

fn is_wanted(options: &Options, measurement: Measurement) -> bool {
    let asked = |row: &Row| options.rows.iter().any(|id| id == row.id);
    options.rows.is_empty()
        || options.subject.rows().iter().any(|row| row.measurement == measurement && asked(row))
}

/// What a host of ours consists of.
fn our_programs() -> impl Iterator<Item = &'static str> {
    ["s0"].into_iter().chain(crate::install::INNER_PROGRAMS)
}

/// Builds our programs as they are released and copies them to where Session 0 sees them.
fn build(to: &Path) -> Outcome<()> {
    let programs = crate::release::build().map_err(|stop| stop.message)?;
    for program in our_programs() {
        let from = programs.join(program);
        fs::copy(&from, to.join(program)).map_err(|e| format!("copying {}: {e}", from.display()))?;
    }
    Ok(())
}
