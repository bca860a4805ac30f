//! `s0 service status`.

use serde::Serialize;
use session0::api::service::{ServiceState, ServiceStatus};
use session0::log::{Past, read};
use session0::{Client, Error};

use crate::context::Context;
use crate::describe;
use crate::failure::Failure;
use crate::output::{Output, Paint};
use crate::page::Page;
use crate::progress::Progress;
use crate::time;
use crate::words::count;

/// One service: how it is, why, and its last words if it failed
///
/// For a failed one: the phase it failed in, its exit status or signal, and its last lines of output. For one that waits for a
/// user nobody can see: the call, when, and what to use instead.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  s0 service status redis\n  s0 service status redis --json | jq .failure"
)]
pub struct Args {
    /// The service's name
    name: String,
}

/// Lines of output shown for a failed service.
const LAST_LINES: usize = 10;

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let tried = format!("ask how {} is", args.name);
    let mut client = context.client(&tried)?;
    let progress = Progress::answer(&context.output);
    let answer = client.service(&args.name);
    drop(progress);
    let service = answer.map_err(|error| {
        let all = || format!("`s0 {}service list` shows all services", context.root.flag());
        context.failure(&tried, error).or_hint(all)
    })?;
    let last = match service.failure {
        Some(_) => last_lines(&mut client, &service.name),
        None => Ok(Vec::new()),
    };
    if context.output.json {
        context.output.json(&InFull {
            service: &service,
            last_output: last.ok().filter(|_| service.failure.is_some()),
        });
        return Ok(());
    }
    context.output.line(text(&context.output, &service, time::now_ms()));
    if service.failure.is_some() {
        context.output.line(last_words(&last));
    }
    Ok(())
}

/// For programs: the host's answer and what the failed service printed last.
#[derive(Serialize)]
struct InFull<'a> {
    #[serde(flatten)]
    service: &'a ServiceStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_output: Option<Vec<String>>,
}

fn last_lines(client: &mut Client, name: &str) -> Result<Vec<String>, Error> {
    let files = client.open_log(name)?;
    let lines = read(files, Past::Last(LAST_LINES))?;
    lines.map(|line| Ok(describe::one_line(&String::from_utf8_lossy(&line?)))).collect()
}

fn last_words(last: &Result<Vec<String>, Error>) -> String {
    match last {
        Ok(lines) if lines.is_empty() => "\nit printed nothing".to_owned(),
        Ok(lines) => format!("\nits last output:\n  {}", lines.join("\n  ")),
        Err(error) => format!("\nits output cannot be shown: {error}"),
    }
}

fn text(output: &Output, service: &ServiceStatus, now: i64) -> String {
    let mut page = Page::new(output);
    let title = output.paint(Paint::Strong, &service.name);
    page.line(match describe::about(service) {
        about if about.is_empty() => title,
        about => format!("{title}: {about}"),
    });
    let state = output.paint(describe::state_paint(service), describe::state(service));
    page.row("state", format!("{state} since {}", time::stamp_and_ago(service.since_ms, now)));
    page.some("pid", service.pid.map(|pid| format!("{pid} (in Session 0)")));
    page.some("command", command(&service.command));
    page.row("account", service.account.clone());
    page.row("start", describe::start(service.start).to_owned());
    page.row("kind", describe::kind(service.kind).to_owned());
    page.some("needs", names(&service.depends));
    page.some("needed by", names(&service.dependents));
    page.some("says", service.text.as_deref().map(describe::one_line));
    if service.reloading {
        page.row("reloading", "its own configuration, at the moment".to_owned());
    }
    page.some("waits for", service.waits_for.clone());
    failure(&mut page, output, service, now);
    user(&mut page, output, service, now);
    if service.output_lost.lines > 0 || service.output_lost.bytes > 0 {
        let lost = service.output_lost;
        let text =
            format!("{} ({}) could not be written", count(lost.lines, "line"), count(lost.bytes, "byte"));
        page.row("output lost", output.paint(Paint::Bad, &text));
    }
    page.text()
}

/// A long script is cut.
fn command(words: &[String]) -> Option<String> {
    const SHOWN_MAX: usize = 240;
    let text = describe::command(words);
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    match (text.is_empty(), cut.len() < text.len()) {
        (true, _) => None,
        (false, true) => Some(format!("{cut} ...")),
        (false, false) => Some(text),
    }
}

fn names(names: &[String]) -> Option<String> {
    if names.is_empty() { None } else { Some(names.join(", ")) }
}

fn failure(page: &mut Page, output: &Output, service: &ServiceStatus, now: i64) {
    if let Some(failure) = &service.failure {
        let code = if failure.code == 0 { String::new() } else { format!(" ({})", failure.code) };
        page.row("failed", output.paint(Paint::Bad, &format!("{}{code}", describe::one_line(&failure.text))));
        page.some("phase", failure.phase.clone());
        page.some("ended by", failure.exit.as_ref().map(describe::exit));
    } else if service.state == ServiceState::Stopped || service.failures > 0 {
        page.some("last exit", service.last_exit.as_ref().map(describe::exit));
    }
    if service.failures > 0 {
        page.row("failures", format!("{} in a row", service.failures));
    }
    let restart = service.restart_at_ms.map(|at| format!("in {}", time::age((at - now).max(0))));
    page.some("restarts", restart);
    page.some(
        "used",
        service.last_usage.filter(|_| service.pid.is_none()).map(|usage| {
            format!(
                "{:.3} s of processor, {} KiB of memory at most",
                usage.cpu_us as f64 / 1e6,
                usage.memory_peak_kib
            )
        }),
    );
}

fn user(page: &mut Page, output: &Output, service: &ServiceStatus, now: i64) {
    let Some(waits) = &service.waits_for_user else { return };
    let attention = match service.pid {
        Some(_) => "waiting for a user nobody can see",
        None => "asked a user nobody can see, before it ended",
    };
    page.row("attention", output.paint(Paint::Bad, attention));
    page.row("its call", describe::one_line(&waits.call));
    page.row("at", time::stamp_and_ago(waits.at_ms, now));
    page.row("outcome", describe::outcome(waits.outcome).to_owned());
    page.row("instead", describe::one_line(&waits.instead));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use crate::output::ColorChoice;

    fn shown(service: &ServiceStatus) -> String {
        text(&Output::new(false, ColorChoice::Never), service, fake::NOW)
    }

    #[test]
    fn a_running_service_shows_since_when_and_its_process() {
        let text = shown(&fake::running("web", 42));
        assert!(text.contains("Running since 2026-11-23"), "{text}");
        assert!(text.contains("42 (in Session 0)"), "{text}");
        assert!(!text.contains("failed"), "{text}");
    }

    #[test]
    fn a_failed_one_shows_phase_status_and_when_it_restarts() {
        let text = shown(&fake::failed("flaky"));
        for part in ["Stopped", "running", "exit status 3", "2 in a row", "in 5s", "(1066)"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn one_that_runs_again_still_says_how_it_ended_before() {
        let again = ServiceStatus {
            failures: 2,
            last_exit: fake::failed("flaky").last_exit,
            ..fake::running("flaky", 42)
        };
        let text = shown(&again);
        assert!(text.contains("last exit  exit status 3") && text.contains("2 in a row"), "{text}");
    }

    #[test]
    fn one_that_has_ended_waits_for_nobody() {
        let text = shown(&ServiceStatus { pid: None, ..fake::asking("asks") });
        assert!(!text.contains("waiting") && text.contains("asked a user"), "{text}");
    }

    #[test]
    fn one_that_waits_for_a_user_shows_the_call_and_what_to_use_instead() {
        let text = shown(&fake::asking("asks"));
        for part in ["waiting for a user nobody can see", "open /dev/tty", "a message box", "refused"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn a_command_is_quoted_as_a_shell_wants_it() {
        let words =
            |words: &[&str]| describe::command(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(words(&["/bin/sh", "-c", "a b"]), "/bin/sh -c 'a b'");
        assert_eq!(words(&["echo", "it's"]), "echo \"it's\"");
        assert_eq!(words(&["echo", "it's $5"]), "echo 'it'\\''s $5'");
        assert_eq!(words(&["echo", ""]), "echo ''");
    }

    #[test]
    fn last_words_are_there_or_it_is_said_that_there_are_none() {
        assert!(last_words(&Ok(vec!["a".into(), "b".into()])).contains("\n  a\n  b"));
        assert!(last_words(&Ok(Vec::new())).contains("nothing"));
    }
}
