//! `s0 session show`.

use session0::api::session::SessionStatus;

use crate::context::Context;
use crate::describe;
use crate::failure::Failure;
use crate::output::{Output, Paint};
use crate::page::Page;
use crate::progress::Progress;
use crate::time;

/// One session: who is logged on, since when, and from where
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  s0 session show 3\n  s0 session show 3 --json | jq .user")]
pub struct Args {
    /// The session's number
    #[arg(value_name = "SESSION")]
    session: u32,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let tried = format!("ask how session {} is", args.session);
    let mut client = context.client(&tried)?;
    let progress = Progress::answer(&context.output);
    let answer = client.session(args.session);
    drop(progress);
    let session = answer.map_err(|error| {
        let all = || format!("`s0 {}session list` shows all sessions", context.root.flag());
        context.failure(&tried, error).or_hint(all)
    })?;
    if context.output.json {
        context.output.json(&session);
    } else {
        context.output.line(text(&context.output, &session, time::now_ms()));
    }
    Ok(())
}

fn text(output: &Output, session: &SessionStatus, now: i64) -> String {
    let mut page = Page::new(output);
    let title = output.paint(Paint::Strong, &format!("session {}", session.id));
    page.line(format!("{title}: {}", describe::one_line(&session.name)));
    let state = output.paint(describe::connect_paint(session.state), &describe::connect_state(session));
    page.row("state", state);
    let uid = session.uid.map(|uid| format!(" (uid {uid})")).unwrap_or_default();
    page.some("user", session.user.as_deref().map(|user| format!("{}{uid}", describe::one_line(user))));
    let when = |at: Option<i64>| at.map(|at| time::stamp_and_ago(at, now));
    page.some("logged on", when(session.logon_ms));
    let by = session.client_uid.map(|uid| format!(", by a program of uid {uid}")).unwrap_or_default();
    page.some(
        "terminal",
        session.client.as_deref().map(|client| format!("{}{by}", describe::one_line(client))),
    );
    page.some("attached", when(session.connected_ms));
    page.some("detached", when(session.disconnected_ms));
    page.row("programs", session.programs.to_string());
    page.row("created", time::stamp_and_ago(session.created_ms, now));
    page.some("protocol", session.protocol.map(|protocol| protocol.to_string()));
    let trouble = session.trouble.as_deref().map(describe::one_line);
    page.some("trouble", trouble.map(|trouble| output.paint(Paint::Bad, &trouble)));
    page.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use crate::output::ColorChoice;

    #[test]
    fn all_that_is_known_is_shown_and_nothing_that_is_not() {
        let output = Output::new(false, ColorChoice::Never);
        let shown = text(&output, &fake::session(3, "alice"), fake::NOW);
        for part in [
            "session 3: Alice",
            "Active",
            "alice (uid 1001)",
            "2026-11-23",
            "/dev/pts/5, by a program of uid 0",
            "4",
        ] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
        let services = text(&output, &fake::services(), fake::NOW);
        for part in ["user", "logged on", "terminal", "detached", "trouble"] {
            assert!(!services.contains(part), "{part} is in\n{services}");
        }
    }
}
