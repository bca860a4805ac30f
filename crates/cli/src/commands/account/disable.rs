//! `s0 account disable`.

use crate::context::Context;
use crate::conversation::Answers;
use crate::describe::one_line;
use crate::failure::Failure;

use super::change;

/// Let an account log on no more; its sessions go on
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo s0 account disable alice")]
pub struct Args {
    /// The account
    #[arg(value_name = "NAME")]
    account: String,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let tried = format!("disable the account {}", one_line(&args.account));
    let done = ("disabled", "cannot log on any more");
    change(context, &tried, &args.account, done, Answers::NotYet, |client| {
        client.account_disable(&args.account)
    })
}
