//! `s0 session list`.

use session0::api::session::{ConnectState, SessionStatus};

use crate::context::Context;
use crate::describe;
use crate::failure::Failure;
use crate::output::Paint;
use crate::table::{Align, Field, Listing};
use crate::time;

/// All sessions
///
/// Session 0 is that of the services: it exists first and always, and nobody is ever attached to it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  s0 session list\n  s0 session list --json")]
pub struct Args {}

/// Runs it.
pub fn run(context: &Context, _: &Args) -> Result<(), Failure> {
    let tried = "list sessions";
    let sessions = context.client(tried)?.sessions().map_err(|error| context.failure(tried, error))?;
    if context.output.json {
        context.output.json(&sessions);
    } else {
        listing(&sessions, time::now_ms()).print(&context.output);
    }
    Ok(())
}

fn listing(sessions: &[SessionStatus], now: i64) -> Listing {
    let headings = [
        ("ID", Align::Right),
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("PROGRAMS", Align::Right),
        ("CREATED", Align::Left),
        ("ABOUT", Align::Left),
    ];
    let mut listing = Listing::new(&headings, "no sessions");
    for session in sessions {
        let paint = match session.state {
            ConnectState::Active | ConnectState::Disconnected => Paint::Good,
            ConnectState::Init => Paint::Moving,
            ConnectState::Down => Paint::Bad,
            ConnectState::Unknown => Paint::Plain,
        };
        listing.row(vec![
            session.id.to_string().into(),
            session.name.clone().into(),
            Field::painted(describe::connect_state(session.state), paint),
            session.programs.to_string().into(),
            time::stamp_and_ago(session.created_ms, now).into(),
            session.trouble.as_deref().map(describe::one_line).unwrap_or_default().into(),
        ]);
    }
    listing
}
