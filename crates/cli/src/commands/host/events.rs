//! `s0 events`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};

use serde_json::Value;
use session0::api::host::EventsReply;
use session0::events::{Notice, Snapshot};

use crate::context::Context;
use crate::describe::one_line;
use crate::failure::{Failure, Kind};
use crate::interrupt;
use crate::time;

/// What happened, and what happens
///
/// Prints the newest recorded events, or with --follow everything from now on: first the host as it is, then each event; over
/// a daemon that is replaced. Ends with ^C.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  s0 events\n  s0 events -n 200 --since 1h\n  s0 events --follow --json | jq -r .event.text"
)]
pub struct Args {
    /// Follow what happens from now on
    #[arg(long, short)]
    follow: bool,
    /// How many recorded events
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 50, conflicts_with = "follow")]
    lines: usize,
    /// Only events since then: 10min, 2h, today, 2026-11-23, "2026-11-23 01:02:03" (UTC)
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    since: Option<String>,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    if args.follow { follow(context) } else { recorded(context, args) }
}

fn follow(context: &Context) -> Result<(), Failure> {
    let tried = "follow events";
    let fail = |error| context.failure(tried, error);
    interrupt::ends_quietly();
    for notice in context.client(tried)?.events().map_err(fail)? {
        match notice.map_err(fail)? {
            Notice::Snapshot(snapshot) => show_snapshot(context, *snapshot),
            Notice::Event(happening) if context.output.json => context.output.json(&EventsReply {
                sequence: happening.sequence,
                at_ms: happening.at_ms,
                host: None,
                services: None,
                sessions: None,
                event: Some(happening.event),
            }),
            Notice::Event(happening) => {
                context.output.line(line(happening.at_ms, &happening.event.text));
            }
            Notice::Interrupted(_) if context.output.json => {}
            Notice::Interrupted(why) => {
                context.output.line(line(time::now_ms(), &format!("interrupted: {why}")))
            }
        }
    }
    Ok(())
}

fn show_snapshot(context: &Context, snapshot: Snapshot) {
    if context.output.json {
        context.output.json(&EventsReply {
            sequence: snapshot.sequence,
            at_ms: snapshot.at_ms,
            host: Some(snapshot.host),
            services: Some(snapshot.services),
            sessions: Some(snapshot.sessions),
            event: None,
        });
        return;
    }
    let running = snapshot.host.counts.running;
    let text = format!("{running} of {} services running", snapshot.services.len());
    context.output.line(line(snapshot.at_ms, &text));
}

fn line(at_ms: i64, text: &str) -> String {
    format!("{}  {}", time::stamp(at_ms), one_line(text))
}

/// The host writes each event as one line of JSON into a file; older ones are put aside as `.1`, `.2` ...
fn recorded(context: &Context, args: &Args) -> Result<(), Failure> {
    let tried = "read the recorded events";
    let since = match &args.since {
        Some(text) => time::parse_since(text, time::now_ms()).map_err(|why| Failure::usage(tried, why))?,
        None => i64::MIN,
    };
    let mut newest = VecDeque::new();
    for file in files(context, tried)? {
        for text in BufReader::new(file).split(b'\n').map_while(Result::ok) {
            // A line that a crash cut short is left out.
            let Ok(event) = serde_json::from_slice::<Value>(&text) else { continue };
            if event["at_ms"].as_i64().is_some_and(|at| at >= since) {
                newest.push_back(event);
            }
            if newest.len() > args.lines {
                newest.pop_front();
            }
        }
    }
    if newest.is_empty() && !context.output.json {
        context.output.line("no events recorded");
    }
    for event in newest {
        if context.output.json {
            context.output.json(&event);
        } else {
            let text = event["event"]["text"].as_str().or(event["text"].as_str()).unwrap_or_default();
            context.output.line(line(event["at_ms"].as_i64().unwrap_or(0), text));
        }
    }
    Ok(())
}

/// The oldest first.
fn files(context: &Context, tried: &str) -> Result<Vec<File>, Failure> {
    let newest = context.root.path("var/log/session0/events.jsonl");
    let first = File::open(&newest).map_err(|error| {
        let reason = format!("{}: {error}", newest.display());
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => Failure::new(Kind::NotPermitted, tried, reason)
                .hint("sudo s0 events; or `s0 events --follow` for what happens from now on"),
            _ => Failure::fault(tried, reason).hint("`s0 events --follow` shows what happens from now on"),
        }
    })?;
    let mut files = vec![first];
    for number in 1.. {
        let older = newest.with_extension(format!("jsonl.{number}"));
        match File::open(older) {
            Ok(file) => files.push(file),
            Err(_) => break,
        }
    }
    files.reverse();
    Ok(files)
}
