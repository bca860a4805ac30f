//! `s0 session list`.

use session0::api::session::SessionStatus;

use crate::context::Context;
use crate::describe;
use crate::failure::Failure;
use crate::table::{Align, Field, Listing};
use crate::time;

/// All sessions
///
/// Session 0 is that of the services: it exists first and always, and nobody is ever attached to it. The others are those of users
/// that are logged on. SINCE is the logon; of Session 0, its making.
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
    let trouble = sessions.iter().any(|session| session.trouble.is_some());
    let mut headings = vec![
        ("ID", Align::Right),
        ("NAME", Align::Left),
        ("USER", Align::Left),
        ("STATE", Align::Left),
        ("TERMINAL", Align::Left),
        ("SINCE", Align::Left),
        ("PROGRAMS", Align::Right),
    ];
    headings.extend(trouble.then_some(("ABOUT", Align::Left)));
    let mut listing = Listing::new(&headings, "no sessions");
    let word = |text: &Option<String>| text.as_deref().map(describe::one_line).unwrap_or_default();
    for session in sessions {
        let state = describe::connect_state(session);
        let mut row: Vec<Field> = vec![
            session.id.to_string().into(),
            describe::one_line(&session.name).into(),
            word(&session.user).into(),
            Field::painted(state, describe::connect_paint(session.state)),
            word(&session.client).into(),
            time::ago(session.logon_ms.unwrap_or(session.created_ms), now).into(),
            session.programs.to_string().into(),
        ];
        row.extend(trouble.then(|| word(&session.trouble).into()));
        listing.row(row);
    }
    listing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use crate::output::{ColorChoice, Output};

    #[test]
    fn users_and_their_terminals_fit_eighty_columns() {
        let sessions = [fake::services(), fake::session(12, "alexandra"), fake::session(13, "bob")];
        let text = listing(&sessions, fake::NOW).render(&Output::new(false, ColorChoice::Never));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for part in ["alexandra", "Disconnected", "/dev/pts/5", "1h 0min ago", "Services"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
