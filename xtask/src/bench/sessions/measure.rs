//! The measurements of sessions.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::json;

use super::client::{Api, Shell, receive};
use super::host::{Host, Logon, SERVICE};
use super::peers::{self, Su};
use super::stand_in;
use super::xrdp::{self, Xrdp};
use super::{Bench, NO_SESSION, ROW_ONES};
use crate::bench::Outcome;
use crate::bench::figures::Figures;
use crate::bench::manager::PATIENCE;
use crate::bench::process::{self, pss};
use crate::bench::stamps::{milliseconds, now};
use crate::bench::table::OURS;

/// The pause between two logons of the row with pauses.
const PAUSE: Duration = Duration::from_secs(1);
/// Hosts are left alone this long before memory is read.
const CALM: Duration = Duration::from_secs(2);
/// Calls of a turn before those that count.
const WARM: usize = 5;
/// Those that count.
const CALLS_IN_A_TURN: usize = 20;
/// Clients whose memory is read.
const CLIENTS: usize = 10;

/// Rows `logon` and `logon-paused`.
pub fn logon(bench: &Bench, figures: &mut Figures) {
    let rows = [("logon", Duration::ZERO, bench.logons), ("logon-paused", PAUSE, bench.paused)];
    let su = Su::new(bench).transpose();
    for _ in 0..bench.rounds {
        for (row, pause, count) in rows {
            let ours = Host::launch(&bench.root, "logon", Logon::StandIn, count).and_then(|host| {
                sleep(CALM);
                (0..count).map(|slot| logon_once(&host, slot, pause)).collect()
            });
            figures.note(row, OURS, ours);
            if let Some(su) = &su {
                figures.note(
                    row,
                    "su",
                    su.as_ref().map_err(Clone::clone).and_then(|su| paced(count, pause, || su.log_on())),
                );
            }
        }
        if let Some(xrdp) = Xrdp::launch(bench).transpose() {
            let theirs = xrdp.and_then(|xrdp| paced(bench.heavy, Duration::ZERO, || xrdp.log_on()));
            figures.note("logon", xrdp::NAME, theirs);
        }
    }
}

/// Samples with a pause before each.
fn paced(count: usize, pause: Duration, sample: impl Fn() -> Outcome<f64>) -> Outcome<Vec<f64>> {
    let one = |_| {
        sleep(pause);
        sample()
    };
    (0..count).map(one).collect()
}

fn logon_once(host: &Host, slot: usize, pause: Duration) -> Outcome<f64> {
    sleep(pause);
    let (shell, took) = host.log_on(slot)?;
    host.log_off(shell)?;
    Ok(took)
}

/// Row `logon-password`.
pub fn password(bench: &Bench, figures: &mut Figures) {
    for _ in 0..bench.rounds {
        let round = Host::launch(&bench.root, "password", Logon::Real, 1).and_then(|host| {
            sleep(CALM);
            let one = |_| {
                let (shell, took) = host.log_on_with_password()?;
                host.log_off(shell)?;
                Ok(took)
            };
            (0..bench.logons).map(one).collect()
        });
        figures.note("logon-password", OURS, round);
    }
}

/// What hosts with no, some and many sessions showed.
struct Crowd {
    memory: f64,
    logons: [Vec<f64>; 2],
    version: [Vec<f64>; 3],
    status: [Vec<f64>; 3],
}

/// Rows `memory-session`, `logon-many`, `version-many`, `status-many`.
pub fn crowd(bench: &Bench, figures: &mut Figures) {
    for _ in 0..bench.rounds {
        let names = [NO_SESSION.to_owned(), format!("{OURS}, {} sessions", bench.some), OURS.to_owned()];
        match crowd_round(bench) {
            Ok(Crowd { memory, logons: [first, last], version, status }) => {
                figures.note("memory-session", OURS, Ok(vec![memory]));
                figures.note("logon-many", OURS, Ok(last));
                figures.note("logon-many", &names[0], Ok(first));
                for (row, figure) in [("version-many", version), ("status-many", status)] {
                    for (name, samples) in names.iter().zip(figure) {
                        figures.note(row, name, Ok(samples));
                    }
                }
            }
            Err(error) => {
                for row in ["memory-session", "logon-many", "version-many", "status-many"] {
                    figures.note(row, OURS, Err(error.clone()));
                }
            }
        }
    }
}

/// Three hosts, so that what is compared is measured in turns: without sessions, with some, with many.
fn crowd_round(bench: &Bench) -> Outcome<Crowd> {
    let launch = |name, users| Host::launch(&bench.root, name, Logon::StandIn, users);
    // The memory first: the programs' pages are shared with whoever else runs them.
    let some = launch("some", bench.some)?;
    sleep(CALM);
    let before = some.running.memory() as f64;
    let _some = fill(&some, 0..bench.some)?;
    sleep(CALM);
    let memory = (some.running.memory() as f64 - before) / bench.some as f64 / 1024.0;

    let (none, many) = (launch("none", ROW_ONES)?, launch("many", bench.many)?);
    let there = bench.many - ROW_ONES;
    let _many = fill(&many, 0..there)?;
    sleep(CALM);
    let mut logons = [Vec::new(), Vec::new()];
    for slot in (0..ROW_ONES).cycle().take(bench.logons) {
        for ((host, slot), samples) in [(&none, slot), (&many, there + slot)].into_iter().zip(&mut logons) {
            let (shell, sample) = host.log_on(slot)?;
            host.log_off(shell)?;
            samples.push(sample);
        }
    }
    let _rest = fill(&many, there..bench.many)?;
    sleep(CALM);
    let mut apis = [none.api()?, some.api()?, many.api()?];
    let version = calls(&mut apis, bench.calls, "io.session0.Host.Version", &json!({}))?;
    let status = calls(&mut apis, bench.calls, "io.session0.Service.Status", &json!({ "name": SERVICE }))?;
    Ok(Crowd { memory, logons, version, status })
}

/// Logs these users on.
fn fill(host: &Host, users: Range<usize>) -> Outcome<Vec<Shell>> {
    users.map(|slot| host.log_on(slot).map(|(shell, _)| shell)).collect()
}

/// Microseconds of calls one after another on one connection to each host; the hosts take turns.
fn calls(
    apis: &mut [Api; 3],
    count: usize,
    method: &str,
    parameters: &serde_json::Value,
) -> Outcome<[Vec<f64>; 3]> {
    let mut samples = [const { Vec::new() }; 3];
    for _ in 0..count.div_ceil(CALLS_IN_A_TURN) {
        for (api, samples) in apis.iter_mut().zip(&mut samples) {
            for call in 0..WARM + CALLS_IN_A_TURN {
                let begun = now();
                api.call(method, parameters)?;
                if call >= WARM {
                    samples.push(milliseconds(begun, now()) * 1000.0);
                }
            }
        }
    }
    Ok(samples)
}

/// Rows `run` and `memory-client`.
pub fn run(bench: &Bench, figures: &mut Figures) {
    for _ in 0..bench.rounds {
        match Host::launch(&bench.root, "run", Logon::StandIn, CLIENTS + 1) {
            Ok(host) => {
                let ours = host.log_on(CLIENTS).map(|(shell, _)| {
                    let command = (0..bench.runs).map(|_| s0_run(&host, shell.session)).collect();
                    let call = (0..bench.runs).map(|_| call_run(&host, shell.session)).collect();
                    (command, call)
                });
                let (command, call) = ours.unwrap_or_else(|error| (Err(error.clone()), Err(error)));
                figures.note("run", OURS, command);
                figures.note("run", "session0, the call alone", call);
                figures.note("memory-client", OURS, client_memory(&host));
            }
            Err(error) => figures.note("run", OURS, Err(error)),
        }
        for (name, mut command) in peers::runners() {
            let theirs = (0..bench.runs).map(|_| peers::time(&mut command, &bench.root)).collect();
            figures.note("run", name, theirs);
        }
    }
}

fn s0_run(host: &Host, session: u32) -> Outcome<f64> {
    let mut s0 = s0(host);
    s0.args(["session", "run", &session.to_string(), "--", "true"]);
    peers::time(&mut s0, &host.place.root)
}

fn s0(host: &Host) -> Command {
    let mut s0 = Command::new(host.program("s0"));
    s0.arg("--root").arg(host.place.path("root"));
    s0
}

/// The same without a program that asks for it: a connection, the call, and what the viewer's socket says at the end.
fn call_run(host: &Host, session: u32) -> Outcome<f64> {
    let begun = now();
    let call = json!({ "session": session, "command": ["true"] });
    let (_, streams) = host.api()?.call("io.session0.Session.Run", &call)?;
    let viewer = streams.first().ok_or("a program without a viewer's socket")?;
    let (said, _) = receive(viewer).map_err(|e| format!("hearing how it ended: {e}"))?;
    let took = milliseconds(begun, now());
    let said: serde_json::Value = serde_json::from_slice(&said).map_err(|e| format!("reading it: {e}"))?;
    match said["ended"]["code"].as_u64() {
        Some(0) => Ok(took),
        _ => Err(format!("true in session {session}: {said}")),
    }
}

/// MiB of each of some `s0 logon`, each with a terminal of its own.
fn client_memory(host: &Host) -> Outcome<Vec<f64>> {
    let mut clients = Vec::new();
    for slot in 0..CLIENTS {
        clients.push(Client::start(host, slot)?);
        host.place.stamps.wait(slot, 1, PATIENCE.min(Duration::from_secs(5)))?;
    }
    sleep(CALM);
    let memory = |client: &Client| {
        let pid = i32::try_from(client.child.id()).unwrap_or(0);
        pss(pid).map(|pss| pss as f64 / 1024.0).ok_or_else(|| "`s0 logon` ended".to_owned())
    };
    clients.iter().map(memory).collect()
}

/// `s0 logon` and the terminal it has. Dropping it hangs up and waits.
struct Client {
    child: Child,
    terminal: Option<OwnedFd>,
}

impl Client {
    fn start(host: &Host, slot: usize) -> Outcome<Client> {
        let (terminal, its) = terminal().map_err(|e| format!("opening a terminal: {e}"))?;
        let second = its.try_clone().map_err(|e| format!("opening a terminal: {e}"))?;
        let mut s0 = s0(host);
        let child = process::clean(&mut s0, Path::new(&host.place.root))
            .args(["logon", &stand_in::account(slot)])
            .stdin(its)
            .stdout(second)
            .stderr(std::process::Stdio::null())
            .spawn()
            .map_err(|e| format!("starting s0 logon: {e}"))?;
        Ok(Client { child, terminal: Some(terminal) })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.terminal.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn terminal() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let its = rustix::fs::open(name, flags, Mode::empty())?;
    Ok((master, its))
}
