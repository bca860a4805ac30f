//! The accounts as everybody may see them: passwd(5) lines. The daemon makes a session's names from them.

use std::fmt::Write as _;
use std::time::SystemTime;

use session0_model::logon::wire::AccountPlace;
use session0_sys::Fault;

use super::{Accounts, store};

/// Writes the list.
pub fn write(place: &AccountPlace, accounts: &Accounts) -> Result<(), Fault> {
    store::replace(&place.published, lines(accounts).as_bytes(), 0o644)
}

/// Whether the list is missing or older than the accounts, or they are gone: somebody changed them by hand.
pub fn stale(place: &AccountPlace) -> bool {
    match (changed(&place.published), changed(&place.accounts)) {
        (None, _) | (Some(_), None) => true,
        (Some(published), Some(accounts)) => published < accounts,
    }
}

fn changed(path: &str) -> Option<SystemTime> {
    std::fs::symlink_metadata(path).and_then(|found| found.modified()).ok()
}

fn lines(accounts: &Accounts) -> String {
    let mut out = String::new();
    for account in accounts.list() {
        // `*`, not `x`: there is no line in shadow(5) for it, without which PAM takes an account for a broken one.
        let super::Account { name, uid, full_name, home, shell, .. } = account;
        let _ = writeln!(out, "{name}:*:{uid}:{uid}:{full_name}:{home}:{shell}");
    }
    out
}
