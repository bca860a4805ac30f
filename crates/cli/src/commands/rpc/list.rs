//! `s0 rpc list`.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde::Serialize;
use session0::api::pipe::{Peer, PipeStatus};
use session0::rpc::Client;

use super::describe::interfaces;
use super::target::{HOST, failure, open};
use crate::commands::pipe::list::served_by;
use crate::context::Context;
use crate::describe::one_line;
use crate::failure::Failure;
use crate::output::Paint;
use crate::progress::Progress;
use crate::table::{Align, Field, Listing};
use crate::time;

/// All interfaces on pipes that say they have some
///
/// Each pipe is asked, side by side, for two seconds at most; one that does not answer, or that you may not open, is listed with the
/// reason. A pipe that would start its service is asked only with --start. The pipe `host` stands for the host itself.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  s0 rpc list\n  s0 rpc list --start\n  s0 rpc list --json | jq -r '.[].interfaces[]'"
)]
pub struct Args {
    /// Ask also those whose service is not running: it is started by that
    #[arg(long)]
    start: bool,
}

/// How long one may take.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long one may take whose service is started by being asked.
const START_MAX: Duration = Duration::from_secs(30);

/// What a pipe has.
#[derive(Debug, Clone, Serialize)]
struct Row {
    pipe: String,
    interfaces: Vec<String>,
    servers: Vec<Peer>,
    /// Why they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let tried = "list interfaces";
    let mut pipes = context.client(tried)?.pipes().map_err(|error| context.failure(tried, error))?;
    pipes.retain(|pipe| pipe.rpc);
    let progress = Progress::start(&context.output, "asking what interfaces there are".to_owned(), || None);
    let rows = ask(context, &pipes, args.start);
    drop(progress);
    if context.output.json {
        context.output.json(&rows);
    } else {
        listing(&rows, &pipes).print(&context.output);
    }
    Ok(())
}

/// The host first, then the pipes in their order.
fn ask(context: &Context, pipes: &[PipeStatus], start: bool) -> Vec<Row> {
    let (answer, answers) = channel();
    let mut rows = vec![asked(context, HOST, &[], ANSWER_MAX, 0, &answer)];
    let mut end = Instant::now() + ANSWER_MAX;
    for (index, pipe) in pipes.iter().enumerate() {
        rows.push(match not_asked(pipe, start) {
            Some(reason) => row(&pipe.name, &pipe.servers, Some(reason)),
            None => {
                let time = if pipe.servers.is_empty() { START_MAX } else { ANSWER_MAX };
                end = end.max(Instant::now() + time);
                asked(context, &pipe.name, &pipe.servers, time, index + 1, &answer)
            }
        });
    }
    drop(answer);
    collect(&answers, end, &mut rows);
    rows
}

fn row(pipe: &str, servers: &[Peer], reason: Option<String>) -> Row {
    Row { pipe: pipe.to_owned(), interfaces: Vec::new(), servers: servers.to_vec(), reason }
}

/// Why a pipe is left alone.
fn not_asked(pipe: &PipeStatus, start: bool) -> Option<String> {
    match (pipe.servers.as_slice(), &pipe.reserved_for) {
        ([], Some(service)) if pipe.starts_service && !start => {
            Some(format!("asking starts {}: --start does it", one_line(service)))
        }
        ([], _) if !pipe.starts_service => Some("nobody serves it".to_owned()),
        _ => None,
    }
}

type Answer = (usize, Result<Vec<String>, String>);

/// Asks in a thread of its own; what the row says until the answer is there.
fn asked(
    context: &Context,
    pipe: &str,
    servers: &[Peer],
    time: Duration,
    index: usize,
    answer: &Sender<Answer>,
) -> Row {
    let (own, name, answer) = (context.clone(), pipe.to_owned(), answer.clone());
    let question = move || {
        // Whoever waits no longer has said so already.
        let _ = answer.send((index, question(&own, &name, time)));
    };
    let thread = std::thread::Builder::new().name("s0-rpc-list".to_owned()).spawn(question);
    let reason = match thread {
        Ok(_) => format!("no answer within {}", time::short(time)),
        Err(error) => format!("it could not be asked: {error}"),
    };
    row(pipe, servers, Some(reason))
}

fn question(context: &Context, pipe: &str, time: Duration) -> Result<Vec<String>, String> {
    let end = Instant::now() + time;
    let tried = "ask it";
    let mut client: Client = open(context, tried, pipe, Some(time)).map_err(|failure| failure.reason)?;
    client.set_time_max(Some(end.saturating_duration_since(Instant::now())));
    interfaces(&mut client).map_err(|error| failure(tried, &error).reason)
}

fn collect(answers: &Receiver<Answer>, end: Instant, rows: &mut [Row]) {
    while let Ok((index, answer)) = answers.recv_timeout(end.saturating_duration_since(Instant::now())) {
        match answer {
            Ok(interfaces) => (rows[index].interfaces, rows[index].reason) = (interfaces, None),
            Err(reason) => rows[index].reason = Some(reason),
        }
    }
}

fn listing(rows: &[Row], pipes: &[PipeStatus]) -> Listing {
    let headings = [("PIPE", Align::Left), ("INTERFACE", Align::Left), ("SERVED BY", Align::Left)];
    let mut listing = Listing::new(&headings, "no interfaces");
    for (index, row) in rows.iter().enumerate() {
        let server = || match index.checked_sub(1).and_then(|index| pipes.get(index)) {
            Some(pipe) => served_by(pipe),
            None => Field::from("the host itself"),
        };
        let name = one_line(&row.pipe);
        if let Some(reason) = &row.reason {
            let paint = if row.servers.is_empty() && index > 0 { Paint::Faint } else { Paint::Bad };
            listing.row(vec![
                name.into(),
                Field::painted(format!("({})", one_line(reason)), paint),
                server(),
            ]);
            continue;
        }
        for interface in &row.interfaces {
            listing.row(vec![name.clone().into(), one_line(interface).into(), server()]);
        }
    }
    listing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use crate::output::{ColorChoice, Output};

    #[test]
    fn every_interface_is_a_line_and_a_pipe_that_was_not_asked_says_why() {
        let pipes = [fake::pipe("greeter"), fake::unserved_pipe("sleeper")];
        let rows = [
            Row { interfaces: vec!["io.session0.Host".to_owned()], ..row(HOST, &[], None) },
            Row {
                interfaces: vec!["org.example.A".to_owned(), "org.example.B".to_owned()],
                ..row("greeter", &[], None)
            },
            row("sleeper", &[], not_asked(&pipes[1], false)),
        ];
        let text = listing(&rows, &pipes).render(&Output::new(false, ColorChoice::Never));
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[0].starts_with("host ") && lines[0].ends_with("the host itself"), "{text}");
        assert!(lines[1].contains("org.example.A") && lines[1].ends_with("service spooler"), "{text}");
        assert!(lines[2].starts_with("greeter ") && lines[2].contains("org.example.B"), "{text}");
        assert!(lines[3].contains("--start") && lines[3].ends_with("starts spooler"), "{text}");
    }

    #[test]
    fn a_service_is_started_only_where_that_is_asked_for() {
        let sleeping = fake::unserved_pipe("sleeper");
        assert!(not_asked(&sleeping, false).is_some() && not_asked(&sleeping, true).is_none());
        let stays = PipeStatus { starts_service: false, ..sleeping };
        assert!(not_asked(&stays, true).is_some(), "asking would start nothing");
        assert!(not_asked(&fake::pipe("greeter"), false).is_none());
    }
}
