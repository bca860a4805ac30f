//! `s0 account remove`.

use std::io::{IsTerminal, Write, stderr, stdin};

use session0::Home;

use crate::context::Context;
use crate::conversation::Answers;
use crate::describe::one_line;
use crate::failure::Failure;

use super::change;

/// Remove an account; refused while it has a session
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo s0 account remove alice\n  sudo s0 account remove alice --home --yes"
)]
pub struct Args {
    /// The account
    #[arg(value_name = "NAME")]
    account: String,
    /// Remove its home too, with everything in it
    #[arg(long)]
    home: bool,
    /// Do not ask whether the home is to be removed
    #[arg(long, requires = "home")]
    yes: bool,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let tried = format!("remove the account {}", one_line(&args.account));
    let (home, done) = if args.home {
        if !args.yes {
            ask(&tried, &args.account)?;
        }
        (Home::Removed, ("removed", "is removed, and its home"))
    } else {
        (Home::Kept, ("removed", "is removed; its home is kept"))
    };
    change(context, &tried, &args.account, done, Answers::NotYet, |client| {
        client.account_remove(&args.account, home)
    })
}

/// Anything but a yes is a no.
fn ask(tried: &str, account: &str) -> Result<(), Failure> {
    if !stdin().is_terminal() {
        let why = "nobody can be asked whether the home is to be removed: standard input is not a terminal";
        return Err(Failure::usage(tried, why).hint("--yes removes it without a question"));
    }
    let question = format!("remove the home of {} with everything in it? [y/N] ", one_line(account));
    let _ = stderr().lock().write_all(question.as_bytes());
    let mut answer = String::new();
    stdin().read_line(&mut answer).map_err(|error| Failure::fault(tried, error))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::refused(tried, "it was not confirmed")),
    }
}
