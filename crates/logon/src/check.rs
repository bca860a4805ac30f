//! Whether an account's password is this one.

use session0_model::limit::PASSWORD_MAX;
use session0_model::logon::name::AccountName;
use session0_model::logon::wire::{AccountPlace, LogonFailure, Source, User};
use session0_sys::account;

use crate::accounts::{Account, store};
use crate::hash;
use crate::machine;
use crate::over::Over;
use crate::secret::Secret;

/// Who it is, or why not. One hash is computed whatever comes of it: how long it takes does not tell whether there is such an
/// account.
pub fn check(
    place: &AccountPlace,
    name: &AccountName,
    password: &Secret,
) -> Result<Result<User, LogonFailure>, Over> {
    if place.sources.builtin {
        let accounts = store::load(place)?;
        if let Some(account) = accounts.find(name.as_str()) {
            return Ok(builtin(account, password).map(|()| user(account, name)));
        }
    }
    if place.sources.machine {
        let found = account::by_name(name.as_str());
        if let Some(found) = found.map_err(|error| Over::system("look up a machine account", error))? {
            return machine::check(&found, name, password);
        }
    }
    hash::waste(password);
    Ok(Err(LogonFailure::UnknownAccount))
}

/// Whether a built-in account's password is this one and may be used.
pub fn builtin(account: &Account, password: &Secret) -> Result<(), LogonFailure> {
    let right = hash::verify(&account.password, password) && usable(password);
    match (account.enabled, right) {
        (false, _) => Err(LogonFailure::Disabled),
        (true, false) => Err(LogonFailure::WrongPassword),
        (true, true) => Ok(()),
    }
}

/// No account has a password longer than this, and some schemes take for ever over one.
pub fn usable(password: &Secret) -> bool {
    password.bytes().len() <= PASSWORD_MAX
}

fn user(account: &Account, name: &AccountName) -> User {
    User {
        name: name.clone(),
        uid: account.uid,
        gid: account.uid,
        groups: Vec::new(),
        home: account.home.clone(),
        shell: account.shell.clone(),
        source: Source::Builtin,
    }
}
