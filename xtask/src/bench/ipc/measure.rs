//! The measurements of pipes and calls.

use std::thread::sleep;
use std::time::Duration;

use super::Bench;
use super::host::{Crowd, Host, Memory};
use super::program::{Peers, Pinned, Program, pin_everything};
use super::rows::{FEW, ROWS, SEQPACKET, SEQPACKET_INSIDE, STREAM, STREAM_INSIDE};
use crate::bench::Outcome;
use crate::bench::figures::{Figures, Measurement, Row};
use crate::bench::table::OURS;

/// Before memory is read, and before calls beside many pipes.
const CALM: Duration = Duration::from_secs(2);
/// Bytes of one transfer.
const TRANSFER: u64 = 64 << 20;

/// A server: what the table calls it, and its address.
type Server = (String, String);

/// The rows that have peers.
pub fn beside_peers(
    bench: &Bench,
    program: &Program,
    peers: &Peers,
    wanted: &[Measurement],
    figures: &mut Figures,
) -> Outcome<()> {
    let host = Host::launch(program, "ipc", Crowd::Few)?;
    for round in 1..=bench.rounds {
        eprintln!("round {round}");
        for pinned in [Pinned::No, Pinned::Yes] {
            pin_everything(pinned)?;
            for row in
                ROWS.iter().filter(|row| wanted.contains(&row.measurement) && Pinned::of(row.id) == pinned)
            {
                let servers = servers(row, &host, peers);
                let measured = program.measure(&arguments(row, bench), &servers, pinned);
                note(figures, row, &servers, measured);
            }
        }
    }
    pin_everything(Pinned::No)
}

/// What the program is told for a row.
fn arguments(row: &Row, bench: &Bench) -> Vec<String> {
    let id = row.id.trim_end_matches("-pinned");
    let size = match id.rsplit('-').next() {
        Some("64") => 64,
        Some("4k") => 4096,
        Some("64k") => 64 << 10,
        Some("1m") => 1 << 20,
        _ => 1,
    };
    let (what, count) = match row.measurement {
        Measurement::Bulk => ("bulk", bench.transfers),
        Measurement::Connect => ("connect", bench.connects),
        Measurement::Call => ("call", bench.short),
        _ => ("round-trip", bench.short),
    };
    let text = format!("{what} --size {size} --total {TRANSFER} --count {count}");
    text.split(' ').map(str::to_owned).collect()
}

/// Who takes turns in a row, we first.
fn servers(row: &Row, host: &Host, peers: &Peers) -> Vec<Server> {
    let id = row.id.trim_end_matches("-pinned");
    let server = |name: &str, address: String| (name.to_owned(), address);
    let ours = |kind: &str, name: &str| server(OURS, host.address(kind, name));
    let stream = server(STREAM, format!("stream:{}", peers.stream.display()));
    let seqpacket = server(SEQPACKET, format!("seqpacket:{}", peers.seqpacket.display()));
    let inside = server(STREAM_INSIDE, host.inside("stream"));
    let seqpacket_inside = server(SEQPACKET_INSIDE, host.inside("seqpacket"));
    let buses = |kind: &str, suffix: &str| -> Vec<Server> {
        let bus = |(name, path): &(&str, std::path::PathBuf)| {
            server(&format!("{name}{suffix}"), format!("{kind}:{}", path.display()))
        };
        peers.buses.iter().map(bus).collect()
    };
    match id {
        "connect" => [vec![ours("byte", "bench-byte"), stream, inside], buses("bus", "")].concat(),
        "call-host" => [vec![ours("host", "")], buses("dbus", ""), buses("bus", " itself")].concat(),
        "call-service" => [vec![ours("rpc", "bench-rpc")], buses("dbus", "")].concat(),
        "bulk-message-1m" => vec![ours("message", "bench-message"), stream, inside],
        _ if id.contains("message") => {
            vec![ours("message", "bench-message"), seqpacket, seqpacket_inside, stream, inside]
        }
        _ => vec![ours("byte", "bench-byte"), stream, inside],
    }
}

/// The samples in the row's unit, each with who they are of.
fn note(
    figures: &mut Figures,
    row: &'static Row,
    servers: &[Server],
    measured: Outcome<std::collections::BTreeMap<String, Vec<f64>>>,
) {
    let unit = if row.unit == "ms" { 1000.0 } else { 1.0 };
    match measured {
        Ok(mut measured) => {
            for (name, _) in servers {
                let samples = measured.remove(name).unwrap_or_default();
                figures.note(row.id, name, Ok(samples.into_iter().map(|sample| sample / unit).collect()));
            }
        }
        Err(error) => servers.iter().for_each(|(name, _)| figures.note(row.id, name, Err(error.clone()))),
    }
}

/// The rows of many pipes.
pub fn beside_many(bench: &Bench, program: &Program, figures: &mut Figures) {
    let crowds = [("connected", Crowd::Connected(bench.clients)), ("named", Crowd::Named(bench.pipes))];
    for round in 1..=bench.crowds {
        for (name, crowd) in crowds {
            eprintln!("round {round}, {name}");
            if let Err(error) = beside(bench, program, name, crowd, figures) {
                for row in ROWS.iter().filter(|row| is_of(row, name)) {
                    figures.note(row.id, OURS, Err(error.clone()));
                }
            }
        }
    }
}

/// Whether a row is about this crowd.
fn is_of(row: &Row, crowd: &str) -> bool {
    row.measurement == Measurement::ManyPipes && row.id.ends_with(crowd)
}

/// A host with a crowd and one without, in turns.
fn beside(bench: &Bench, program: &Program, name: &str, crowd: Crowd, figures: &mut Figures) -> Outcome<()> {
    let few = Host::launch(program, "few", Crowd::Few)?;
    let mut many = Host::launch(program, name, crowd)?;
    sleep(CALM);
    let before = many.memory()?;
    many.fill(program, crowd)?;
    sleep(CALM);
    let after = many.memory()?;
    // Where two processes land decides more than ten thousand pipes do.
    pin_everything(Pinned::Yes)?;
    for row in ROWS.iter().filter(|row| is_of(row, name)) {
        let what = row.id.split('-').next().unwrap_or_default();
        let (command, kind, of, count) = match what {
            "version" => ("call", "host", "", bench.short),
            "open" => ("connect", "byte", "bench-byte", bench.connects),
            "trip" => ("round-trip", "byte", "bench-byte", bench.short),
            "start" => ("call", "service", "sleeps", bench.starts),
            _ => {
                figures.note(row.id, OURS, Ok(vec![kept(what, before, after) / crowd.size() as f64]));
                continue;
            }
        };
        let servers = [(OURS.to_owned(), many.address(kind, of)), (FEW.to_owned(), few.address(kind, of))];
        let arguments = format!("{command} --size 64 --count {count}");
        let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        note(figures, row, &servers, program.measure(&arguments, &servers, Pinned::Yes));
    }
    pin_everything(Pinned::No)
}

/// KiB that a program keeps for all of them.
fn kept(program: &str, before: Memory, after: Memory) -> f64 {
    match program {
        "daemon" => after.daemon - before.daemon,
        _ => after.init - before.init,
    }
}
