//! `s0 account add`.

use session0::api::account::Add;

use crate::context::Context;
use crate::conversation::Answers;
use crate::describe::one_line;
use crate::failure::Failure;

use super::{PROMPTS_MAX, change};

/// A new built-in account
///
/// Asks for its password and makes its home from the skeleton. The account exists in sessions only, not in the machine's own list.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo s0 account add alice --full-name \"Alice Liddell\"\n  sudo s0 account add alice --password-stdin < password.txt"
)]
pub struct Args {
    /// The account's name
    #[arg(value_name = "NAME")]
    account: String,
    /// The person's name
    #[arg(long, value_name = "TEXT")]
    full_name: Option<String>,
    /// Login shell
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::ExecutablePath)]
    shell: Option<String>,
    /// Read the password from standard input, one line
    #[arg(long)]
    password_stdin: bool,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let tried = format!("add the account {}", one_line(&args.account));
    let answers = Answers::new(&tried, args.password_stdin.into(), PROMPTS_MAX)?;
    let add =
        Add { account: args.account.clone(), full_name: args.full_name.clone(), shell: args.shell.clone() };
    change(context, &tried, &args.account, ("added", "can log on now"), answers, |client| {
        client.account_add(&add)
    })
}
