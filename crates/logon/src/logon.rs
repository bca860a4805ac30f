//! A logon, from the first question to the session.
//!
//! ```text
//!   Password? ──▶ may it be checked? ──▶ check ──right──▶ Authenticated ──▶ Concluded ──▶ logged_on
//!      ▲                                   │ wrong
//!      └───── three times at most ─────────┘
//! ```

use std::os::fd::AsFd;

use session0_model::limit::LOGON_TRIES_MAX;
use session0_model::logon::name::AccountName;
use session0_model::logon::wire::{AccountPlace, FromLogon, LogonFailure, ToLogon, User};

use crate::accounts::{published, store};
use crate::check::check;
use crate::over::Over;
use crate::peers::Peers;
use crate::said::Said;
use crate::secret::Secret;

/// Said for every reason but one, so that it tells nothing.
pub const WRONG: &str = "logon failed: unknown user or wrong password";

/// Logs a user on.
pub fn logon(peers: &mut Peers, place: &AccountPlace, account: &AccountName) -> Result<(), Over> {
    let user = match authenticate(peers, place, account) {
        Err(over @ (Over::ClientGone | Over::ClientNonsense | Over::TimeUp)) => {
            peers.tell(&FromLogon::Failed { reason: LogonFailure::Abandoned })?;
            return Err(over);
        }
        other => other?,
    };
    peers.tell(&FromLogon::Authenticated(user))?;
    match peers.hear()? {
        (ToLogon::Concluded { session, entry, notices }, descriptors) if descriptors.len() == 2 => {
            let said = Said::LoggedOn { session, entry: entry.into(), notices };
            peers.say_with(&said, &[descriptors[0].as_fd(), descriptors[1].as_fd()])
        }
        _ => Err(Over::DaemonNonsense),
    }
}

fn authenticate(peers: &mut Peers, place: &AccountPlace, account: &AccountName) -> Result<User, Over> {
    if place.sources.builtin {
        // A broken file is found before anybody is asked for a password that cannot be checked.
        store::load(place)?;
        if published::stale(place) {
            match renew(peers, place) {
                // Names in a session depend on the list; who logs on is right all the same.
                Err(Over::Broken(text)) => complain!("the public list of accounts is old: {text}"),
                other => other?,
            }
        }
    }
    tries(peers, "Password: ", |password| check(place, account, password))
}

/// Writes the public list. What is in it is read under the lock: else a change made meanwhile would be missing in a list that looks
/// newer than it.
pub fn renew(peers: &mut Peers, place: &AccountPlace) -> Result<(), Over> {
    let _lock = store::lock(peers, place)?;
    Ok(published::write(place, &store::load(place)?)?)
}

/// Asks for a password until it is right, three times at most. The daemon says when one may be checked and is told what came of
/// it; the client is told only that it was wrong.
pub fn tries<T>(
    peers: &mut Peers,
    prompt: &str,
    check: impl Fn(&Secret) -> Result<Result<T, LogonFailure>, Over>,
) -> Result<T, Over> {
    for left in (0..LOGON_TRIES_MAX).rev() {
        let password = peers.ask(prompt)?;
        peers.attempt()?;
        let reason = match check(&password)? {
            Ok(right) => return Ok(right),
            Err(reason) => reason,
        };
        peers.tell(&FromLogon::Failed { reason })?;
        if reason == LogonFailure::Expired {
            // He knows the password: this tells him nothing he may not know.
            return Err(Over::refused_with(
                reason.code(),
                "the account or its password has expired",
                "passwd, or the administrator, can help",
            ));
        }
        if left > 0 {
            peers.say(&Said::Message { text: WRONG.into() })?;
        }
    }
    Err(Over::refused(LogonFailure::WrongPassword.code(), WRONG))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::tests::{Corner, account};
    use crate::hash::tests::work;

    #[test]
    fn an_unknown_name_is_as_much_work_as_a_wrong_password() {
        let mut corner = Corner::new("work");
        corner.place.sources.machine = true;
        let mut off = account("bob", 70_002);
        off.enabled = false;
        corner.write(&[account("alice", 70_001), off]);
        let check = |name: &str, text: &str| {
            let name = AccountName::new(name).unwrap();
            let (checked, hashes) = work(|| check(&corner.place, &name, &Secret::from(text)).unwrap());
            (checked.map(|user| user.uid), hashes)
        };
        assert_eq!(check("alice", "s3cret"), (Ok(70_001), 1));
        assert_eq!(check("alice", "wrong"), (Err(LogonFailure::WrongPassword), 1));
        assert_eq!(check("bob", "s3cret"), (Err(LogonFailure::Disabled), 1));
        assert_eq!(check("carol", "s3cret"), (Err(LogonFailure::UnknownAccount), 1));
        assert_eq!(check("root", "s3cret"), (Err(LogonFailure::Root), 1));
        assert_eq!(check("nobody", "s3cret"), (Err(LogonFailure::Disabled), 1));
        let long = "x".repeat(2000);
        assert_eq!(check("alice", &long), (Err(LogonFailure::WrongPassword), 1));
        assert_eq!(check("carol", &long), (Err(LogonFailure::UnknownAccount), 1));
    }

    #[test]
    fn sources_that_are_off_have_no_accounts() {
        let mut corner = Corner::new("sources");
        corner.write(&[account("alice", 70_001)]);
        corner.place.sources.builtin = false;
        let name = AccountName::new("alice").unwrap();
        let checked = check(&corner.place, &name, &Secret::from("s3cret")).unwrap();
        assert_eq!(checked.unwrap_err(), LogonFailure::UnknownAccount);
        let root = AccountName::new("root").unwrap();
        let checked = check(&corner.place, &root, &Secret::from("s3cret")).unwrap();
        assert_eq!(checked.unwrap_err(), LogonFailure::UnknownAccount, "the machine's are off");
    }
}
