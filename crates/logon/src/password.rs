//! A new password, asked for twice.

use session0_model::limit::{PASSWORD_MAX, PASSWORD_MIN};
use session0_model::logon::wire::OldPassword;

use crate::hash;
use crate::over::Over;
use crate::peers::Peers;
use crate::said::Said;

/// ERROR_PASSWORD_RESTRICTION.
const RESTRICTION: u32 = 1325;

/// Asks for it and returns its hash. Whoever changes his own is held to a length; an administrator is only told.
pub fn new(peers: &mut Peers, account: &str, old: OldPassword) -> Result<String, Over> {
    let password = peers.ask(&format!("New password for {account}: "))?;
    let length = password.characters();
    if length == 0 {
        return Err(Over::refused(RESTRICTION, "a password cannot be empty"));
    }
    if password.bytes().len() > PASSWORD_MAX {
        return Err(Over::refused(RESTRICTION, format!("a password has at most {PASSWORD_MAX} bytes")));
    }
    match old {
        OldPassword::Asked if length < PASSWORD_MIN => {
            let message = format!("a password has at least {PASSWORD_MIN} characters");
            return Err(Over::refused(RESTRICTION, message));
        }
        OldPassword::NotNeeded if length < PASSWORD_MIN => {
            let text = format!("this password is weak: it has fewer than {PASSWORD_MIN} characters");
            peers.say(&Said::Message { text })?;
        }
        OldPassword::Asked | OldPassword::NotNeeded => {}
    }
    if peers.ask("Again: ")? != password {
        return Err(Over::refused(RESTRICTION, "the two passwords are not the same"));
    }
    hash::make(&password).map_err(|error| Over::system("make a password hash", error))
}
