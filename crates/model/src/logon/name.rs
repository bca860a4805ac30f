//! Account names.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use serde::{Deserialize, Serialize};

use crate::limit::ACCOUNT_NAME_MAX;

/// An account's name: 1 to [`ACCOUNT_NAME_MAX`] characters of `A-Z a-z 0-9 . _ - @ \`, beginning with a letter or `_`. Wider than
/// what the built-in accounts allow for new names, because the machine's (a directory's) may be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(Arc<str>);

/// Why a text is not an account name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadAccountName {
    /// Nothing at all.
    Empty,
    /// Longer than [`ACCOUNT_NAME_MAX`].
    TooLong,
    /// It begins with this.
    Beginning(char),
    /// It has this character.
    Character(char),
}

impl fmt::Display for BadAccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadAccountName::Empty => f.write_str("an account name cannot be empty"),
            BadAccountName::TooLong => {
                write!(f, "an account name has at most {ACCOUNT_NAME_MAX} characters")
            }
            BadAccountName::Beginning(c) => {
                write!(f, "an account name begins with a letter or _, not with {c:?}")
            }
            BadAccountName::Character(c) => {
                write!(f, "an account name cannot contain {c:?}; allowed are A-Z a-z 0-9 . _ - @ \\")
            }
        }
    }
}

impl AccountName {
    /// Checks and takes a name.
    pub fn new(text: &str) -> Result<AccountName, BadAccountName> {
        let Some(first) = text.chars().next() else { return Err(BadAccountName::Empty) };
        if text.len() > ACCOUNT_NAME_MAX {
            return Err(BadAccountName::TooLong);
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-@\\".contains(*c)) {
            return Err(BadAccountName::Character(c));
        }
        match first.is_ascii_alphabetic() || first == '_' {
            true => Ok(AccountName(Arc::from(text))),
            false => Err(BadAccountName::Beginning(first)),
        }
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl TryFrom<String> for AccountName {
    type Error = BadAccountName;
    fn try_from(text: String) -> Result<Self, BadAccountName> {
        AccountName::new(&text)
    }
}
impl From<AccountName> for String {
    fn from(name: AccountName) -> String {
        String::from(&*name.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_can_harm_nobody_are_names() {
        for good in ["alice", "_apt", "J.Doe-2", "a@example.org", "DOMAIN\\bob"] {
            assert_eq!(AccountName::new(good).unwrap().as_str(), good);
        }
        let long = "x".repeat(10_000);
        for bad in ["", "a/b", "../x", "a\nb", "a:b", "\x1b[2J", "-rf", "1a", " a", "ä", "a\0", &long] {
            assert!(AccountName::new(bad).is_err(), "{bad:?}");
        }
    }
}
