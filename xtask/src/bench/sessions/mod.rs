//! `cargo xtask bench sessions`: how fast users come into sessions of their own, and what those cost.

pub mod client;
mod host;
mod measure;
mod peers;
pub mod stand_in;
mod xrdp;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::figures::{Figures, Goal, Measurement, Row, Verdict, verdict};
use super::table::{OURS, Table};
use super::{Options, Outcome, is_wanted, machine, page, stamps};

/// Users that log on in turns in the row of many sessions.
const ROW_ONES: usize = 10;
/// What a host without sessions is called beside one with many.
const NO_SESSION: &str = "session0, no session";

/// All rows, in the table's order.
pub const ROWS: [Row; 9] = [
    Row {
        id: "logon",
        title: "logon, one after another",
        unit: "ms",
        definition: "**Start:** session0-logon is about to tell the daemon that the account is who it says. **End:** the first \
            instruction of the login shell. **Included:** making the session with all its isolation (control groups, device \
            policy, namespaces, private file systems, Landlock, seccomp), its accounts, its terminal, launching the shell. Each \
            logon is another user's; the session is logged off, and gone, before the next begins. su: from before `su -` is \
            spawned by root to the first instruction of the login shell; it includes loading su, PAM's account and session \
            rules of Debian, and no password; it makes no session of the kernel's: no namespace, no group, no terminal. \
            xrdp-sesman: from before `xrdp-sesrun` is spawned to the first instruction of the window manager; it includes the \
            password and an X server (Xvnc), which is what its sessions are; there are few samples.",
        goal: Goal::AtMost(8.0),
        measurement: Measurement::Logon,
    },
    Row {
        id: "logon-paused",
        title: "logon, a second apart",
        unit: "ms",
        definition: "The same with a pause of a second before each: caches are colder, and the kernel makes who moves between v1 \
            control groups wait when nobody has done so for a while.",
        goal: Goal::AtMost(8.0),
        measurement: Measurement::Logon,
    },
    Row {
        id: "logon-password",
        title: "logon from the password on",
        unit: "ms",
        definition: "**Start:** before the password is sent to session0-logon, the real one. **End:** as above. **Included:** all of \
            the above and checking the password with argon2id (19 MiB, slow by intent). The same user each time, logged off between.",
        goal: Goal::None,
        measurement: Measurement::Password,
    },
    Row {
        id: "memory-session",
        title: "memory of an idle text session",
        unit: "MiB",
        definition: "PSS of all our processes (keeper, `session0d`, every `session0-init`, `session0-log`, whatever \
            `session0-logon` is left) with 50 sessions that have been idle for two seconds, less the same without sessions, divided by \
            50. The shell is not in it, nor memory of the kernel, nor the client.",
        goal: Goal::AtMost(3.0),
        measurement: Measurement::Crowd,
    },
    Row {
        id: "memory-client",
        title: "memory of `s0 logon`",
        unit: "MiB",
        definition: "PSS of each of ten `s0 logon` that pass their terminals on. They are the users', not the host's.",
        goal: Goal::None,
        measurement: Measurement::Run,
    },
    Row {
        id: "logon-many",
        title: "logon with 190 sessions there",
        unit: "ms",
        definition: "As the first row, also in that each is logged off before the next, on a host that has 190 sessions all the time, in \
            turns with a host that has none.",
        goal: Goal::Times(1.1, NO_SESSION),
        measurement: Measurement::Crowd,
    },
    Row {
        id: "version-many",
        title: "Host.Version with 200 sessions",
        unit: "µs",
        definition: "A call on a connection that is there, from before it is written until its answer is read, one after another; three \
            hosts, with no session, 50 and 200 idle ones, take turns of 20 calls after 5 that do not count.",
        goal: Goal::Times(1.1, NO_SESSION),
        measurement: Measurement::Crowd,
    },
    Row {
        id: "status-many",
        title: "Service.Status with 200 sessions",
        unit: "µs",
        definition: "The same for a running service's status.",
        goal: Goal::Times(1.1, NO_SESSION),
        measurement: Measurement::Crowd,
    },
    Row {
        id: "run",
        title: "`true` run as a user",
        unit: "ms",
        definition: "From before the command is spawned until it has been waited for: `s0 session run N -- true` into a session that is \
            there, `su -s /bin/sh -c true nobody`, `sudo -n -u nobody true`. The call alone: from connecting to the API socket to the \
            word that the program has ended.",
        goal: Goal::None,
        measurement: Measurement::Run,
    },
];

/// How much is measured.
struct Bench {
    root: PathBuf,
    rounds: usize,
    /// Logons one after another in a round.
    logons: usize,
    /// Logons a second apart in a round.
    paused: usize,
    /// The same of a peer whose sessions stay.
    heavy: usize,
    /// Sessions whose memory is measured.
    some: usize,
    /// Sessions at the most.
    many: usize,
    /// Calls in a round.
    calls: usize,
    /// Programs run in a round.
    runs: usize,
}

/// Measures, prints, and writes the page's part.
pub(super) fn measure(options: &Options, root: &Path) -> Outcome<()> {
    stamps::compile(&root.join("bin/stamp"))?;
    super::build(&root.join("bin"))?;
    let machine = machine::describe();
    let few = |few: usize, many: usize| if options.quick { few } else { many };
    let bench = Bench {
        root: root.to_path_buf(),
        rounds: options.rounds.unwrap_or(few(1, 3)).max(1),
        logons: few(10, 40),
        paused: few(5, 20),
        heavy: few(2, 8),
        some: 50,
        many: 200,
        calls: few(300, 2000),
        runs: few(10, 100),
    };
    let figures = take(options, &bench);
    let machine = format!("{machine}, load {} at the end", machine::load());
    let absent = peers::absent();
    let table = Table { rows: &ROWS, figures: &figures };
    let text = part(&table, &bench, &machine, &absent);
    if options.json {
        println!("{:#}", json!({ "machine": machine, "absent": absent, "rows": table.json() }));
    } else {
        println!("{text}");
    }
    if options.page || !options.quick && options.rows.is_empty() {
        page::write(page::Part::Sessions, &text)?;
    }
    let wanted = ROWS.iter().filter(|row| is_wanted(options, row.measurement));
    match wanted.filter(|row| verdict(row, &figures, OURS) == Verdict::Unknown).count() {
        0 => Ok(()),
        rows => Err(format!("{rows} rows have no figure")),
    }
}

/// Fills its rows.
type Take = fn(&Bench, &mut Figures);

fn take(options: &Options, bench: &Bench) -> Figures {
    let mut figures = Figures::default();
    let measurements: [(Measurement, &str, Take); 4] = [
        (Measurement::Logon, "logons", measure::logon),
        (Measurement::Password, "logons with a password", measure::password),
        (Measurement::Crowd, "more and more sessions", measure::crowd),
        (Measurement::Run, "programs run in a session", measure::run),
    ];
    for (measurement, what, take) in measurements {
        if is_wanted(options, measurement) {
            eprintln!("{what}, {} rounds", bench.rounds);
            take(bench, &mut figures);
        }
    }
    figures
}

fn part(table: &Table, bench: &Bench, machine: &str, absent: &[String]) -> String {
    let mut text = format!(
        "## Sessions\n\nWritten by `cargo xtask bench sessions`. All isolation is on. Machine: {machine}\n\n"
    );
    text += &table.goals_and_figures("###", "who");
    let _ = write!(
        text,
        "### What these rows mean\n\nThe login shell is the same static C program as above, which writes the time of its first \
         instruction. So that the password's check is not in a figure that begins after it, the host of all rows but one runs a \
         copy of our release programs in which `session0-logon` is replaced by the bench's stand-in \
         (`xtask/src/bench/sessions/stand_in.rs`): told to begin, it writes the time and says the account is authenticated, and \
         passes the terminal on to the client. Daemon, init and everything after that word are the real ones. Nothing is pinned \
         to a CPU. {} rounds, each on a host of its own: {} logons one after another, {} a second apart, {} calls, {} runs; ours and \
         the peers' in turns.\n\n",
        bench.rounds, bench.logons, bench.paused, bench.calls, bench.runs
    );
    text += &table.definitions();
    text += "\nNot measured:\n\n";
    for peer in absent {
        let _ = writeln!(text, "- {peer}.");
    }
    text + &table.failures("###")
}
