//! `s0 account enable`.

use crate::context::Context;
use crate::conversation::Answers;
use crate::describe::one_line;
use crate::failure::Failure;

use super::change;

/// Let an account log on again
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo s0 account enable alice")]
pub struct Args {
    /// The account
    #[arg(value_name = "NAME")]
    account: String,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let tried = format!("enable the account {}", one_line(&args.account));
    let done = ("enabled", "can log on again");
    change(context, &tried, &args.account, done, Answers::NotYet, |client| {
        client.account_enable(&args.account)
    })
}
