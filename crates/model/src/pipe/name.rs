//! A pipe's name: an id, never a path.

use alloc::string::String;
use alloc::sync::Arc;
use core::cmp::Ordering;
use core::fmt;
use serde::{Deserialize, Serialize};

use crate::limit;

/// A pipe's name: 1 to [`limit::PIPE_NAME_MAX`] characters of `A-Z a-z 0-9 . _ - + @ $ { } ~`, not beginning with a dot or a dash. Case
/// is kept and ignored in comparison (windows-semantics 6.1). Windows takes more characters; what could be read as a path, an option or
/// a second name is not among ours.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PipeName(Arc<str>);

/// What Windows' programs write before a name.
const WINDOWS_PREFIX: &str = r"\\.\pipe\";
/// Characters besides letters and digits.
const OTHERS: &str = "._-+@${}~";

/// Why a text is not a pipe's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadName {
    /// Nothing at all.
    Empty,
    /// Longer than [`limit::PIPE_NAME_MAX`].
    TooLong,
    /// It begins with this character.
    Leading(char),
    /// It has this character.
    Character(char),
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadName::Empty => f.write_str("a pipe's name cannot be empty"),
            BadName::TooLong => write!(f, "a pipe's name has at most {} characters", limit::PIPE_NAME_MAX),
            BadName::Leading(c) => write!(f, "a pipe's name cannot begin with {c:?}"),
            BadName::Character(c) => {
                write!(f, "a pipe's name cannot contain {c:?}; allowed are A-Z a-z 0-9 . _ - + @ $ {{ }} ~")
            }
        }
    }
}

impl PipeName {
    /// Checks and takes a name. `\\.\pipe\` before it is left out; any other backslash or slash is refused.
    pub fn new(text: &str) -> Result<PipeName, BadName> {
        let has_prefix =
            text.get(..WINDOWS_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(WINDOWS_PREFIX));
        let text = if has_prefix { &text[WINDOWS_PREFIX.len()..] } else { text };
        let Some(first) = text.chars().next() else { return Err(BadName::Empty) };
        // Every allowed character is one byte, so that a longer text is too long or has a character that is not.
        if text.chars().count() > limit::PIPE_NAME_MAX {
            return Err(BadName::TooLong);
        }
        if matches!(first, '.' | '-') {
            return Err(BadName::Leading(first));
        }
        match text.chars().find(|c| !c.is_ascii_alphanumeric() && !OTHERS.contains(*c)) {
            Some(c) => Err(BadName::Character(c)),
            None => Ok(PipeName(Arc::from(text))),
        }
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its socket: in lower case. `None`: it is too long to be a part of a socket's address in a session.
    pub fn socket_name(&self) -> Option<String> {
        (self.0.len() <= limit::PIPE_SOCKET_NAME_MAX).then(|| self.0.to_ascii_lowercase())
    }

    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl PartialEq for PipeName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}
impl Eq for PipeName {}
impl PartialOrd for PipeName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for PipeName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}
impl fmt::Display for PipeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl TryFrom<String> for PipeName {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        PipeName::new(&text)
    }
}
impl From<PipeName> for String {
    fn from(name: PipeName) -> String {
        String::from(&*name.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_id_and_case_does_not_count() {
        assert_eq!(PipeName::new("Echo").unwrap(), PipeName::new("eCHO").unwrap());
        assert_eq!(PipeName::new(r"\\.\PIPE\Echo").unwrap().as_str(), "Echo");
        assert_eq!(PipeName::new("Mojo.{1-2}_$x@~+").unwrap().socket_name().unwrap(), "mojo.{1-2}_$x@~+");
    }

    #[test]
    fn whatever_is_taken_for_a_name_can_be_the_name_of_a_file_and_is_read_back() {
        const PIECES: [&str; 16] =
            ["a", "Z", "9", ".", "..", "-", "/", "\\", "\0", "\\\\.\\pipe\\", "é", " ", "{", "~", "\n", "x"];
        let mut seed = 0x5e55_1005_u64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        let mut taken = 0;
        for _ in 0..50_000 {
            let text: String = (0..random(9)).map(|_| PIECES[random(PIECES.len())]).collect();
            let Ok(name) = PipeName::new(&text) else { continue };
            taken += 1;
            assert_eq!(PipeName::new(name.as_str()), Ok(name.clone()));
            let file = name.socket_name().expect("it is short");
            assert!(!file.contains(['/', '\0', '\\']) && file != "." && file != "..", "{text:?}");
            assert!(!file.starts_with(['.', '-']), "{text:?}");
        }
        assert!(taken > 1_000, "{taken} were names");
    }

    #[test]
    fn what_could_be_a_path_an_option_or_no_text_is_refused() {
        for bad in
            ["", r"\\.\pipe\", "a/b", "../x", ".", "..", ".x", "-x", "a\\b", "a b", "a\0b", "\0x", "é", "a\n"]
        {
            assert!(PipeName::new(bad).is_err(), "{bad:?}");
        }
        assert!(PipeName::new(&"x".repeat(limit::PIPE_NAME_MAX)).is_ok());
        assert_eq!(PipeName::new(&"x".repeat(limit::PIPE_NAME_MAX + 1)), Err(BadName::TooLong));
        assert_eq!(PipeName::new(&"x".repeat(limit::PIPE_SOCKET_NAME_MAX + 1)).unwrap().socket_name(), None);
    }
}
