//! `s0 account passwd`.

use crate::context::Context;
use crate::conversation::Answers;
use crate::describe::one_line;
use crate::failure::Failure;

use super::{PROMPTS_MAX, change};

/// A new password for a built-in account
///
/// An administrator gives one to any account; everybody to himself, who is asked for the old one first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  s0 account passwd\n  sudo s0 account passwd alice\n  sudo s0 account passwd alice --password-stdin < password.txt"
)]
pub struct Args {
    /// The account; without it, one's own
    #[arg(value_name = "NAME")]
    account: Option<String>,
    /// Read the new password from standard input, one line
    #[arg(long)]
    password_stdin: bool,
}

/// Runs it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let tried = "change the password";
    let account = match &args.account {
        Some(account) => account.clone(),
        None => own(tried, "/etc/passwd").map_err(|failure| failure.hint("s0 account passwd NAME"))?,
    };
    let tried = format!("change the password of {}", one_line(&account));
    let answers = Answers::new(&tried, args.password_stdin.into(), PROMPTS_MAX)?;
    let done = ("password", "has a new password");
    change(context, &tried, &account, done, answers, |client| client.account_password(&account))
}

fn own(tried: &str, path: &str) -> Result<String, Failure> {
    let passwd = std::fs::read_to_string(path)
        .map_err(|error| Failure::fault(tried, format!("{path} cannot be read: {error}")))?;
    own_account(&passwd).ok_or_else(|| Failure::usage(tried, "this user has no name here"))
}

/// Inside a session the list has its built-in account; the host checks in any case whose it is.
fn own_account(passwd: &str) -> Option<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.get(2) == Some(&uid.as_str())).map(|fields| fields[0].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_own_account_is_that_of_ones_uid() {
        let uid = rustix::process::getuid().as_raw();
        let passwd = format!("nobody:x:65534:65534::/:/bin/false\n\nalice:x:{uid}:5::/home/alice:/bin/sh\n");
        assert_eq!(own_account(&passwd).as_deref(), Some("alice"));
        assert_eq!(own_account("broken"), None);
    }

    #[test]
    fn a_list_that_cannot_be_read_is_not_one_without_a_name() {
        let failure = own("change the password", "/no/passwd").unwrap_err();
        assert!(failure.reason.starts_with("/no/passwd cannot be read: "), "{failure}");
    }
}
