//! `s0 logon`.

use std::process::ExitCode;

use serde_json::{Value, json};
use session0::logon::{Begin, Entry, LoggedOn};
use session0::session::View;

use crate::context::Context;
use crate::conversation::{Answers, Conclusion, PasswordFrom, WITHOUT_TERMINAL, talk, terminal_failed};
use crate::describe::one_line;
use crate::failure::Failure;
use crate::terminal::relay::{Outcome, Redraw, gone_code, relay};
use crate::terminal::{self, Place, Terminal};

/// Log on and work in a session of your own
///
/// Asks for the password and passes this terminal on to the account's session: the one it has, which goes on here, or a new one. The
/// session ends with its shell. When this terminal closes, or a logon elsewhere takes the session over, its programs go on; log
/// on again to come back to them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  s0 logon alice\n  s0 logon alice --new\n  s0 logon alice --password-stdin < password.txt"
)]
pub struct Args {
    /// The account
    #[arg(value_name = "NAME")]
    account: String,
    /// Another session, although the account has one
    #[arg(long)]
    new: bool,
    /// Read the password from standard input, one line; the session is shown on standard output, or else on /dev/tty
    #[arg(long)]
    password_stdin: bool,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<ExitCode, Failure> {
    let tried = format!("log on as {}", one_line(&args.account));
    let (place, hint) = match PasswordFrom::from(args.password_stdin) {
        PasswordFrom::Prompt => {
            (Place::Input, format!("{WITHOUT_TERMINAL}; the session still needs a terminal"))
        }
        PasswordFrom::Input => (
            Place::Elsewhere,
            "the session needs a terminal to be shown on: `ssh -t`, `docker run -t`".to_owned(),
        ),
    };
    let terminal = Terminal::open(place).map_err(|why| Failure::usage(&tried, why).hint(hint))?;
    let begin = Begin {
        account: args.account.clone(),
        terminal: terminal.described(),
        environment: Some(terminal::environment()),
        new: Some(args.new),
    };
    let mut answers = match Answers::new(&tried, args.password_stdin.into(), 1)? {
        Answers::NotYet => Answers::Typed(Box::new(terminal)),
        read => return with_password(context, &tried, &begin, read, terminal),
    };
    let logged_on = log_on(context, &tried, &begin, &mut answers)?;
    match answers {
        Answers::Typed(terminal) => work(context, &tried, *terminal, logged_on),
        Answers::NotYet | Answers::Read(..) => Err(Failure::fault(tried, "the terminal is gone")),
    }
}

fn with_password(
    context: &Context,
    tried: &str,
    begin: &Begin,
    mut answers: Answers,
    terminal: Terminal,
) -> Result<ExitCode, Failure> {
    let logged_on = log_on(context, tried, begin, &mut answers)?;
    drop(answers);
    work(context, tried, terminal, logged_on)
}

fn log_on(context: &Context, tried: &str, begin: &Begin, answers: &mut Answers) -> Result<LoggedOn, Failure> {
    let conversation = context.client(tried)?.logon(begin).map_err(|error| context.failure(tried, error))?;
    match talk(context, tried, conversation, answers)? {
        Conclusion::LoggedOn(logged_on) => Ok(*logged_on),
        Conclusion::Done(_) => Err(Failure::fault(tried, "the host ended the logon without a session")),
    }
}

/// The session on this terminal, until one of them ends.
fn work(
    context: &Context,
    tried: &str,
    mut terminal: Terminal,
    logged_on: LoggedOn,
) -> Result<ExitCode, Failure> {
    let LoggedOn { session, entry, notices, terminal: master, viewer } = logged_on;
    for line in notices.iter().map(|notice| one_line(notice)).chain([greeting(session, entry)]) {
        terminal.show(&format!("{line}\n")).map_err(|error| terminal_failed(tried, &error))?;
    }
    let redraw = match entry {
        Entry::New | Entry::Unknown => Redraw::No,
        Entry::Reconnected | Entry::TakenOver => Redraw::Yes,
    };
    let outcome = relay(&mut terminal, master, viewer, redraw);
    drop(terminal);
    match outcome.map_err(|error| terminal_failed(tried, &error))? {
        Outcome::Said(view) => {
            let (text, value) = ended(session, &view);
            if context.output.json {
                context.output.json(&value);
            } else {
                context.output.line(text);
            }
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Silence => {
            let tried = format!("show session {session} any longer");
            let hint = format!("`s0 {}session list` shows whether it goes on", context.root.flag());
            Err(Failure::fault(tried, "the host let go of its terminal without a word").hint(hint))
        }
        Outcome::Gone(signal) => Ok(gone_code(signal)),
    }
}

fn greeting(session: u32, entry: Entry) -> String {
    match entry {
        Entry::New | Entry::Unknown => format!("this is session {session}"),
        Entry::Reconnected => format!("session {session} goes on here"),
        Entry::TakenOver => {
            format!("session {session} goes on here, and no longer on the terminal it was on")
        }
    }
}

/// In a line, and for programs.
fn ended(session: u32, view: &View) -> (String, Value) {
    match view {
        View::Ended { reason, code, signal } => {
            let why = one_line(reason);
            let text = if why.is_empty() {
                format!("session {session} ended")
            } else {
                format!("session {session} ended: {why}")
            };
            let value = json!({ "session": session, "outcome": "ended", "reason": reason, "code": code, "signal": signal });
            (text, value)
        }
        View::TakenOver { by } => {
            let by_whom = one_line(by);
            let text = format!(
                "session {session} was taken over by a logon at {by_whom}; log on again to come back"
            );
            (text, json!({ "session": session, "outcome": "taken_over", "by": by }))
        }
        View::Unknown => (
            format!("session {session} is no longer shown here"),
            json!({ "session": session, "outcome": "unknown" }),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_one_line_without_control_characters() {
        let view = View::Ended { reason: "its shell\nended".to_owned(), code: Some(0), signal: None };
        assert_eq!(ended(3, &view).0, "session 3 ended: its shell ended");
        let view = View::TakenOver { by: "/dev/pts/5\x1b[2J".to_owned() };
        let (text, value) = ended(3, &view);
        assert_eq!(text, "session 3 was taken over by a logon at /dev/pts/5 [2J; log on again to come back");
        assert_eq!(value["outcome"], "taken_over");
    }
}
