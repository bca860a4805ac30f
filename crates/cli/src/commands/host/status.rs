//! `s0 status`.

use session0::api::host::HostStatus;
use session0::api::session::{ConnectState, SessionStatus};

use crate::context::Context;
use crate::describe;
use crate::failure::Failure;
use crate::output::{Output, Paint};
use crate::progress::Progress;
use crate::table::{Align, Field, Listing};
use crate::time;
use crate::words::count;

/// How the host is, on one screen
///
/// Since when it is up, its sessions, its services by state, the services that want attention and why, and what is degraded.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  s0 status\n  s0 status --json | jq .attention")]
pub struct Args {}

/// Runs it.
pub fn run(context: &Context, _: &Args) -> Result<(), Failure> {
    let tried = "ask how the host is";
    let progress = Progress::answer(&context.output);
    let host = context.client(tried)?.host().map_err(|error| context.failure(tried, error))?;
    drop(progress);
    if context.output.json {
        context.output.json(&host);
    } else {
        context.output.line(screen(context, &host, time::now_ms()));
    }
    Ok(())
}

fn screen(context: &Context, host: &HostStatus, now: i64) -> String {
    let output = &context.output;
    let (phase, paint) = describe::phase(host.phase);
    let mut lines = vec![format!(
        "session0 {}, started {}{}",
        output.paint(paint, phase),
        time::stamp_and_ago(host.started_ms, now),
        if context.root.is_machine() {
            String::new()
        } else {
            format!(", root {}", context.root.directory().display())
        },
    )];
    lines.push(String::new());
    for session in &host.sessions {
        lines.push(format!("session {:<4} {}", session.id, about(output, session)));
    }
    lines.push(format!("services     {}", counts(output, host)));
    lines.push(String::new());
    lines.extend(attention(output, host));
    lines.extend(degraded(context, host));
    lines.join("\n")
}

fn about(output: &Output, session: &SessionStatus) -> String {
    // A session that is as it should be needs no colour.
    let paint = match describe::connect_paint(session.state) {
        Paint::Good => Paint::Plain,
        other => other,
    };
    let state = output.paint(paint, &describe::connect_state(session));
    let trouble = session.trouble.as_deref().map(describe::one_line).map(|text| format!(": {text}"));
    let programs = count(session.programs.into(), "program");
    let user = session.user.as_deref().map(|user| format!(", {}", describe::one_line(user)));
    let client = session.client.as_deref().filter(|_| session.state == ConnectState::Active);
    let client = client.map(|client| format!(" at {}", describe::one_line(client))).unwrap_or_default();
    let user = user.unwrap_or_default();
    format!("{}{user}, {state}{client}, {programs}{}", session.name, trouble.unwrap_or_default())
}

fn counts(output: &Output, host: &HostStatus) -> String {
    let counts = host.counts;
    let all = [
        (counts.running, "running", Paint::Good),
        (counts.start_pending, "starting", Paint::Moving),
        (counts.stop_pending, "stopping", Paint::Moving),
        (counts.stopped, "stopped", Paint::Plain),
    ];
    let shown: Vec<String> = all
        .iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, what, paint)| output.paint(*paint, &format!("{number} {what}")))
        .collect();
    if shown.is_empty() { "none configured".to_owned() } else { shown.join(", ") }
}

fn attention(output: &Output, host: &HostStatus) -> Vec<String> {
    if host.attention.is_empty() {
        return vec!["no service wants attention".to_owned()];
    }
    let mut listing =
        Listing::new(&[("WANTS ATTENTION", Align::Left), ("STATE", Align::Left), ("WHY", Align::Left)], "");
    for service in &host.attention {
        let why = describe::attention(service).unwrap_or_default();
        let state = Field::painted(describe::state(service), describe::state_paint(service));
        listing.row(vec![service.name.clone().into(), state, why.into()]);
    }
    vec![listing.render(output)]
}

fn degraded(context: &Context, host: &HostStatus) -> Vec<String> {
    let mut lines = Vec::new();
    for missing in &host.degraded {
        let text = format!("degraded: no {}, so {}", missing.facility, describe::one_line(&missing.lost));
        lines.push(context.output.paint(Paint::Moving, &text));
    }
    if host.configuration_errors > 0 {
        let files = count(host.configuration_errors.into(), "file");
        let text = format!(
            "configuration: {files} with errors, not in effect: `s0 {}service check`",
            context.root.flag()
        );
        lines.push(context.output.paint(Paint::Bad, &text));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use crate::output::ColorChoice;

    #[test]
    fn a_session_that_is_as_it_should_be_is_not_bad() {
        let output = Output::new(false, ColorChoice::Always);
        let active = about(&output, &fake::session(3, "alice"));
        assert_eq!(active, "Alice, alice, Active at /dev/pts/5, 4 programs");
        assert_eq!(about(&output, &fake::services()), "Services, Disconnected, 2 programs");
        let down = SessionStatus { state: ConnectState::Down, ..fake::session(3, "alice") };
        assert!(about(&output, &down).contains("\x1b[31mDown"));
        let newer =
            SessionStatus { state: ConnectState::Unknown, state_number: 3, ..fake::session(3, "alice") };
        assert!(about(&output, &newer).contains("State 3"));
    }
}
