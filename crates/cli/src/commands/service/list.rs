//! `s0 service list`.

use session0::api::service::ServiceStatus;

use crate::context::Context;
use crate::describe;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::table::{Align, Field, Listing};
use crate::time;

/// All services and their states
///
/// PID is the process's number in Session 0; outside it has another one, and NSpid in /proc/<pid>/status shows both.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  s0 service list\n  s0 service list --json | jq -r '.[] | select(.state == \"running\") | .name'"
)]
pub struct Args {}

/// Runs it.
pub fn run(context: &Context, _: &Args) -> Result<(), Failure> {
    let tried = "list services";
    let progress = Progress::answer(&context.output);
    let services = context.client(tried)?.services().map_err(|error| context.failure(tried, error))?;
    drop(progress);
    if context.output.json {
        context.output.json(&services);
    } else {
        listing(&services, time::now_ms()).print(&context.output);
    }
    Ok(())
}

fn listing(services: &[ServiceStatus], now: i64) -> Listing {
    let headings = [
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("SINCE", Align::Right),
        ("PID", Align::Right),
        ("START", Align::Left),
        ("ABOUT", Align::Left),
    ];
    let mut listing =
        Listing::new(&headings, "no services; their files belong into etc/session0/services/<name>.toml");
    for service in services {
        let paint = describe::state_paint(service);
        let about = match describe::attention(service) {
            Some(reason) => Field::painted(reason, crate::output::Paint::Bad),
            None => describe::about(service).into(),
        };
        listing.row(vec![
            service.name.clone().into(),
            Field::painted(describe::state(service), paint),
            time::age(now - service.since_ms).into(),
            service.pid.map(|pid| pid.to_string()).unwrap_or_default().into(),
            describe::start(service.start).into(),
            about,
        ]);
    }
    listing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use crate::output::{Output, Painting};

    #[test]
    fn every_service_has_one_line_and_a_failed_one_says_why() {
        let services = [fake::running("web", 42), fake::failed("flaky"), fake::stopped("idle")];
        let output = Output {
            json: false,
            painting: Painting::Plain,
            error_painting: Painting::Plain,
            width: None,
            progress: false,
        };
        let text = listing(&services, fake::NOW).render(&output);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(
            lines[1].starts_with("web ") && lines[1].contains("Running") && lines[1].contains("42"),
            "{text}"
        );
        assert!(lines[2].contains("exit status 3"), "{text}");
        assert!(lines[3].contains("Stopped") && lines[3].ends_with("about idle"), "{text}");
    }

    #[test]
    fn a_service_cannot_draw_on_the_terminal_of_who_lists_it() {
        let mut service = fake::running("web", 42);
        service.description = "two\nlines \x1b[31mred".to_owned();
        let output = Output::new(false, crate::output::ColorChoice::Never);
        let text = listing(&[service], fake::NOW).render(&output);
        assert!(!text.contains('\x1b') && text.lines().count() == 2, "{text:?}");
    }
}
