//! `s0 session run`.

use std::io::{IsTerminal, stdin, stdout};
use std::process::ExitCode;

use session0::session::{Run, Running, Streams, View};

use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::relay::{Outcome, Redraw, gone_code, relay};
use crate::terminal::{Place, Terminal, environment, pipes};

/// Run a program in a session, as its user
///
/// With a terminal of its own if this command is used at one, else its standard streams are passed on byte by byte. The exit code is
/// the program's, 128 and the signal's number if a signal ended it, or 4 if the host failed. When this command ends before the
/// program, the program is hung up (SIGHUP).
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  s0 session run 3 -- id\n  s0 session run 3 -t -- vim notes.txt\n  s0 session run 3 -- tar -c Documents > documents.tar"
)]
pub struct Args {
    /// The session's number
    #[arg(value_name = "SESSION")]
    session: u32,
    /// Give it a terminal
    #[arg(short = 't', long, conflicts_with = "no_terminal")]
    terminal: bool,
    /// Give it pipes, also at a terminal
    #[arg(short = 'T', long)]
    no_terminal: bool,
    /// The program and its arguments; without a slash it is looked for in the session's PATH
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<ExitCode, Failure> {
    let tried = format!("run {} in session {}", crate::describe::one_line(&args.command[0]), args.session);
    let wanted = args.terminal || !args.no_terminal && stdin().is_terminal() && stdout().is_terminal();
    let terminal = if wanted {
        let opened = Terminal::open(Place::Input);
        Some(opened.map_err(|why| Failure::usage(&tried, why).hint("-T runs it without a terminal"))?)
    } else {
        None
    };
    let call = Run {
        session: args.session,
        command: args.command.clone(),
        terminal: terminal.as_ref().map(Terminal::described),
        environment: Some(environment()),
    };
    let running = context.client(&tried)?.run(&call).map_err(|error| context.failure(&tried, error))?;
    let outcome = pass_on(running, terminal).map_err(|error| Failure::fault(&tried, error))?;
    match outcome {
        Outcome::Said(view) => {
            status(&view).ok_or_else(|| Failure::fault(tried, "the host does not say how it ended"))
        }
        Outcome::Silence => Err(Failure::fault(tried, "the host let go of it without saying how it ended")),
        Outcome::Gone(signal) => Ok(gone_code(signal)),
    }
}

fn pass_on(running: Running, terminal: Option<Terminal>) -> std::io::Result<Outcome> {
    match (running.streams, terminal) {
        (Streams::Terminal(master), Some(mut terminal)) => {
            relay(&mut terminal, master, running.viewer, Redraw::No)
        }
        (Streams::Pipes { input, output, error }, _) => pipes::pass_on(&running.viewer, input, output, error),
        (Streams::Terminal(_), None) => {
            Err(std::io::Error::other("the host gave it a terminal that was not asked for"))
        }
    }
}

/// As a shell says it.
fn status(view: &View) -> Option<ExitCode> {
    match view {
        View::Ended { code: Some(code), .. } => Some(ExitCode::from(*code)),
        View::Ended { signal: Some(signal), .. } => Some(ExitCode::from(128u8.saturating_add(*signal))),
        View::Ended { .. } | View::TakenOver { .. } | View::Unknown => None,
    }
}
