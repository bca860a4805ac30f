//! `s0 account list`.

use session0::logon::Account;

use crate::context::Context;
use crate::conversation::{Answers, Conclusion, talk};
use crate::describe::one_line;
use crate::failure::Failure;
use crate::output::Paint;
use crate::table::{Align, Field, Listing};

/// All built-in accounts
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  s0 account list\n  s0 account list --json")]
pub struct Args {}

/// Runs it.
pub fn run(context: &Context, _: &Args) -> Result<(), Failure> {
    let tried = "list accounts";
    let conversation =
        context.client(tried)?.account_list().map_err(|error| context.failure(tried, error))?;
    let Conclusion::Done(Some(accounts)) = talk(context, tried, conversation, &mut Answers::NotYet)? else {
        return Err(Failure::fault(tried, "the host answered without accounts"));
    };
    if context.output.json {
        context.output.json(&accounts);
    } else {
        listing(&accounts).print(&context.output);
    }
    Ok(())
}

fn listing(accounts: &[Account]) -> Listing {
    let headings = [
        ("NAME", Align::Left),
        ("UID", Align::Right),
        ("LOGON", Align::Left),
        ("FULL NAME", Align::Left),
        ("HOME", Align::Left),
        ("SHELL", Align::Left),
    ];
    let mut listing = Listing::new(&headings, "no accounts");
    for account in accounts {
        let logon = match account.enabled {
            true => Field::painted("enabled", Paint::Good),
            false => Field::painted("disabled", Paint::Bad),
        };
        listing.row(vec![
            one_line(&account.name).into(),
            account.uid.to_string().into(),
            logon,
            one_line(&account.full_name).into(),
            one_line(&account.home).into(),
            one_line(&account.shell).into(),
        ]);
    }
    listing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{ColorChoice, Output};

    #[test]
    fn a_disabled_account_is_seen_to_be_so() {
        let account = Account {
            name: "alice".to_owned(),
            uid: 60_001,
            full_name: "Alice\tLiddell".to_owned(),
            home: "/home/alice".to_owned(),
            shell: "/bin/bash".to_owned(),
            enabled: false,
        };
        let text = listing(&[account]).render(&Output::new(false, ColorChoice::Never));
        assert!(text.lines().nth(1).unwrap().starts_with("alice  60001  disabled  Alice Liddell"), "{text}");
    }
}
