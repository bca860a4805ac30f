//! `cargo xtask bench ipc`: named pipes beside raw sockets, calls beside D-Bus, and both beside many pipes.

mod host;
mod measure;
mod program;
mod rows;

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::figures::{Figures, Measurement, Verdict, verdict};
use super::table::{OURS, Table};
use super::{Options, Outcome, is_wanted, machine, page, stamps};
use program::{Peers, Program};

pub use rows::ROWS;

/// What the design calls many.
const MANY: usize = 10_000;

/// How much is measured.
struct Bench {
    rounds: usize,
    /// Rounds of many pipes, each on hosts of their own.
    crowds: usize,
    /// Short exchanges in a round, of each row and server.
    short: usize,
    /// Connections made, and bulk transfers, in a round.
    connects: usize,
    /// Transfers of 64 MiB in a round.
    transfers: usize,
    /// Services started in a round.
    starts: usize,
    /// Clients that are many.
    clients: usize,
    /// Pipes that are many.
    pipes: usize,
}

/// What was not measured and with what the rest was.
#[derive(Default)]
struct Circumstances {
    absent: Vec<String>,
    versions: Vec<String>,
}

/// Measures, prints, and writes the page's part.
pub(super) fn measure(options: &Options, root: &Path) -> Outcome<()> {
    stamps::compile(&root.join("bin/stamp"))?;
    super::build(&root.join("bin"))?;
    let program = both_ends(root)?;
    let machine = machine::describe();
    let few = |few: usize, many: usize| if options.quick { few } else { many };
    let bench = Bench {
        rounds: options.rounds.unwrap_or(few(2, 7)).max(1),
        crowds: options.rounds.unwrap_or(few(1, 3)).clamp(1, 3),
        short: few(200, 2000),
        connects: few(50, 500),
        transfers: few(1, 3),
        starts: few(10, 100),
        clients: MANY,
        pipes: room_for_pipes().min(MANY),
    };
    let mut figures = Figures::default();
    let circumstances = take(options, &bench, &program, &mut figures)?;
    let machine = format!("{machine}, load {} at the end", machine::load());
    let table = Table { rows: &ROWS, figures: &figures };
    let text = part(&table, &bench, &machine, &circumstances);
    if options.json {
        let Circumstances { absent, versions } = circumstances;
        println!(
            "{:#}",
            json!({ "machine": machine, "absent": absent, "versions": versions, "rows": table.json() })
        );
    } else {
        println!("{text}");
    }
    if options.page || !options.quick && options.rows.is_empty() {
        page::write(page::Part::Ipc, &text)?;
    }
    let wanted = ROWS.iter().filter(|row| is_wanted(options, row.measurement));
    match wanted.filter(|row| verdict(row, &figures, OURS) == Verdict::Unknown).count() {
        0 => Ok(()),
        rows => Err(format!("{rows} rows have no figure")),
    }
}

/// A served pipe is two descriptors in the daemon and two in init, and the host gives five eighths of what it may open to pipes. Less a
/// few, as the host has others, and a round number.
fn room_for_pipes() -> usize {
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let pipes = usize::try_from(most.unwrap_or(u64::MAX) / 16 * 5).unwrap_or(usize::MAX);
    pipes.saturating_sub(100) / 100 * 100
}

/// Builds the program that is client and server, and copies it to where Session 0 sees it.
fn both_ends(root: &Path) -> Outcome<Program> {
    const NAME: &str = "session0-bench";
    let from = crate::release::build_one(NAME).map_err(|stop| stop.message)?;
    let path = root.join("bin").join(NAME);
    std::fs::copy(&from, &path).map_err(|e| format!("copying {}: {e}", from.display()))?;
    Ok(Program { path, root: root.to_path_buf() })
}

fn take(
    options: &Options,
    bench: &Bench,
    program: &Program,
    figures: &mut Figures,
) -> Outcome<Circumstances> {
    let mut circumstances = Circumstances::default();
    let beside_peers = [Measurement::RoundTrip, Measurement::Bulk, Measurement::Connect, Measurement::Call];
    let wanted: Vec<Measurement> = beside_peers.into_iter().filter(|one| is_wanted(options, *one)).collect();
    if !wanted.is_empty() {
        eprintln!("pipes and calls beside their peers, {} rounds", bench.rounds);
        let peers = Peers::start(program)?;
        peers.absent.iter().for_each(|absent| eprintln!("NOT MEASURED: {absent}"));
        measure::beside_peers(bench, program, &peers, &wanted, figures)?;
        circumstances = Circumstances { absent: peers.absent.clone(), versions: peers.versions.clone() };
    }
    if is_wanted(options, Measurement::ManyPipes) {
        eprintln!("{} clients, then {} pipes, {} rounds", bench.clients, bench.pipes, bench.crowds);
        if bench.pipes < MANY {
            circumstances
                .absent
                .push(format!("{MANY} pipes: the limit of open files leaves room for {} here", bench.pipes));
            circumstances.absent.iter().rev().take(1).for_each(|absent| eprintln!("NOT MEASURED: {absent}"));
        }
        measure::beside_many(bench, program, figures);
    }
    Ok(circumstances)
}

fn part(table: &Table, bench: &Bench, machine: &str, circumstances: &Circumstances) -> String {
    let mut text = format!(
        "## Pipes and calls\n\nWritten by `cargo xtask bench ipc`. All isolation is on. Machine: {machine}\n\n"
    );
    text += &table.goals_and_figures("###", "who");
    let _ = write!(
        text,
        "### What these rows of pipes and calls mean\n\nClient and server are one program (`tests/bench`), a release build, whichever way \
         they are connected, in the same loops; its own time is in ours and the peers' figures alike. Clients are outside every session, as \
         root. In a round the servers of a row take turns of 50 exchanges after 10 that do not count. {} rounds of {} exchanges, {} \
         connections, {} transfers a row; {} rounds beside {} clients and {} pipes, each on hosts of their own, of {} exchanges and {} starts. *Pinned*: \
         every process, the daemon and the bus too, on one processor; else wherever the kernel likes.\n\n",
        bench.rounds,
        bench.short,
        bench.connects,
        bench.transfers,
        bench.crowds,
        bench.clients,
        bench.pipes,
        bench.short,
        bench.starts
    );
    text += &table.definitions();
    if !circumstances.versions.is_empty() {
        let _ = write!(
            text,
            "\nD-Bus: {}. `dbus-daemon` has Debian's `session.conf`; with *system policy* Debian's `system.conf` and the permission for one \
             name. `dbus-broker` is told where to listen and that everybody may do everything by the bench in the place of its launcher \
             (`tests/bench/src/dbus/broker.rs`): the launcher needs systemd, and the policy is the least work for it.\n",
            circumstances.versions.join("; ")
        );
    }
    for absent in &circumstances.absent {
        let _ = writeln!(text, "\nNot measured: {absent}.");
    }
    text + &table.failures("###")
}
