//! `s0 pipe list`.

use session0::api::pipe::PipeStatus;

use crate::context::Context;
use crate::describe;
use crate::failure::Failure;
use crate::output::Paint;
use crate::progress::Progress;
use crate::table::{Align, Field, Listing};

/// All named pipes
///
/// INSTANCES are those that have a client, those that wait for one, and the most there may be (- where they are unlimited). A pipe that
/// is reserved for a service is listed although nobody serves it: `starts NAME` where opening it starts the service.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  s0 pipe list\n  s0 pipe list --json | jq -r '.[] | select(.rpc) | .name'"
)]
pub struct Args {}

/// Runs it.
pub fn run(context: &Context, _: &Args) -> Result<(), Failure> {
    let tried = "list pipes";
    let progress = Progress::answer(&context.output);
    let pipes = context.client(tried)?.pipes().map_err(|error| context.failure(tried, error))?;
    drop(progress);
    if context.output.json {
        context.output.json(&pipes);
    } else {
        listing(&pipes).print(&context.output);
    }
    Ok(())
}

fn listing(pipes: &[PipeStatus]) -> Listing {
    let headings = [
        ("NAME", Align::Left),
        ("TYPE", Align::Left),
        ("DIRECTION", Align::Left),
        ("INSTANCES", Align::Right),
        ("SERVED BY", Align::Left),
        ("ACCESS", Align::Left),
    ];
    let mut listing = Listing::new(&headings, "no pipes; `s0 pipe listen NAME` serves one");
    for pipe in pipes {
        listing.row(vec![
            describe::one_line(&pipe.name).into(),
            describe::pipe_type(pipe.kind).into(),
            describe::direction(pipe.direction).into(),
            instances(pipe).into(),
            served_by(pipe),
            access(pipe).into(),
        ]);
    }
    listing
}

fn instances(pipe: &PipeStatus) -> String {
    let most = pipe.instances_max.map_or_else(|| "-".to_owned(), |most| most.to_string());
    format!("{}/{}/{most}", pipe.connected, pipe.listening)
}

/// Who serves it, or what becomes of who opens it.
pub fn served_by(pipe: &PipeStatus) -> Field {
    match (pipe.servers.as_slice(), &pipe.reserved_for) {
        ([], Some(service)) if pipe.starts_service => {
            Field::painted(format!("starts {}", describe::one_line(service)), Paint::Faint)
        }
        ([], Some(service)) => {
            Field::painted(format!("reserved for {}", describe::one_line(service)), Paint::Faint)
        }
        ([], None) => Field::painted("nobody any more", Paint::Faint),
        ([only], _) => describe::peer(only).into(),
        ([first, others @ ..], _) => format!("{} +{}", describe::peer(first), others.len()).into(),
    }
}

/// What is allowed is said without the word.
fn access(pipe: &PipeStatus) -> String {
    if pipe.access.is_empty() {
        return "its owner".to_owned();
    }
    let short = |entry: &String| {
        let entry = describe::one_line(entry);
        entry.strip_prefix("allow ").map_or(entry.clone(), str::to_owned)
    };
    pipe.access.iter().map(short).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use crate::output::{ColorChoice, Output};

    fn text(pipes: &[PipeStatus]) -> String {
        listing(pipes).render(&Output::new(false, ColorChoice::Never))
    }

    #[test]
    fn a_pipe_is_a_line_with_its_instances_its_server_and_its_access() {
        let text = text(&[fake::pipe("spooler")]);
        let line = text.lines().nth(1).unwrap();
        for part in [
            "spooler ",
            "message",
            "duplex",
            "1/2/10",
            "service spooler",
            "interactive read write, deny user",
        ] {
            assert!(line.contains(part), "{part} is not in\n{text}");
        }
        assert!(!line.contains("allow"), "{text}");
    }

    #[test]
    fn one_that_nobody_serves_says_what_opening_it_does() {
        let starts = fake::unserved_pipe("spooler");
        let waits = PipeStatus { starts_service: false, ..starts.clone() };
        let left = PipeStatus { reserved_for: None, starts_service: false, ..starts.clone() };
        let text = text(&[starts, waits, left]);
        for part in ["starts spooler", "reserved for spooler", "nobody any more"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn unlimited_instances_further_servers_and_an_empty_access_list_have_words() {
        let mut pipe = fake::pipe("x");
        pipe.instances_max = None;
        pipe.servers = vec![fake::user(3, "alice"), fake::user(4, "bob"), fake::user(5, "carol")];
        pipe.access = Vec::new();
        let text = text(&[pipe]);
        for part in ["1/2/-", "alice in session 3 +2", "its owner"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn a_server_cannot_draw_on_the_terminal_of_who_lists_it() {
        let mut pipe = fake::pipe("x");
        pipe.servers[0].service = Some("two\nlines \x1b[31mred".to_owned());
        pipe.access = vec!["\x1b[2J".to_owned()];
        let text = text(&[pipe]);
        assert!(!text.contains('\x1b') && text.lines().count() == 2, "{text:?}");
    }
}
