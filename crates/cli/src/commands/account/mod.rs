//! Verbs about built-in accounts.

pub mod add;
pub mod disable;
pub mod enable;
pub mod list;
pub mod passwd;
pub mod remove;

use serde_json::json;
use session0::logon::Conversation;
use session0::{Client, Error};

use crate::context::Context;
use crate::conversation::{Answers, Conclusion, talk};
use crate::describe::one_line;
use crate::failure::Failure;

/// Verbs about built-in accounts
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    List(list::Args),
    Add(add::Args),
    Passwd(passwd::Args),
    Disable(disable::Args),
    Enable(enable::Args),
    Remove(remove::Args),
}

/// Runs one.
pub fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(args) => list::run(context, &args),
        Verb::Add(args) => add::run(context, &args),
        Verb::Passwd(args) => passwd::run(context, &args),
        Verb::Disable(args) => disable::run(context, &args),
        Verb::Enable(args) => enable::run(context, &args),
        Verb::Remove(args) => remove::run(context, &args),
    }
}

/// Prompts for a secret in one conversation: the old password, the new one, the new one again.
const PROMPTS_MAX: u32 = 3;

/// One change of one account: talks it through, and says in a line what was done.
fn change(
    context: &Context,
    tried: &str,
    account: &str,
    (outcome, words): (&str, &str),
    mut answers: Answers,
    call: impl FnOnce(&mut Client) -> Result<Conversation, Error>,
) -> Result<(), Failure> {
    let mut client = context.client(tried)?;
    let conversation = call(&mut client).map_err(|error| context.failure(tried, error))?;
    match talk(context, tried, conversation, &mut answers)? {
        Conclusion::Done(_) if context.output.json => {
            context.output.json(&json!({ "account": account, "outcome": outcome }));
        }
        Conclusion::Done(_) => context.output.line(format!("{} {words}", one_line(account))),
        Conclusion::LoggedOn(_) => return Err(Failure::fault(tried, "the host answered with a session")),
    }
    Ok(())
}
