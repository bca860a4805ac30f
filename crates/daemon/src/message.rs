//! The daemon's own messages: one line each on standard error, which the keeper passes on.
//!
//! `warn cannot read accounts file=/etc/passwd reason="permission denied"`: level, words, fields with the same names
//! everywhere. No crate for it: one thread, one sink, no spans.

use std::cell::Cell;
use std::fmt::{Display, Write as _};
use std::io::Write as _;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A bug of ours.
    Error,
    /// The administrator should look.
    Warn,
    /// Lifecycle that a person wants to see.
    Info,
    /// One-off details.
    Debug,
}

thread_local! {
    static SHOWN: Cell<Level> = const { Cell::new(Level::Info) };
    static UNWRITTEN: Cell<u64> = const { Cell::new(0) };
}

/// Shows everything up to this level.
pub fn show(level: Level) {
    SHOWN.set(level);
}

type Field<'a> = (&'a str, &'a dyn Display);

/// A bug of ours.
pub fn error(words: &str, fields: &[Field<'_>]) {
    say(Level::Error, words, fields);
}

/// The administrator should look.
pub fn warn(words: &str, fields: &[Field<'_>]) {
    say(Level::Warn, words, fields);
}

/// Lifecycle.
pub fn info(words: &str, fields: &[Field<'_>]) {
    say(Level::Info, words, fields);
}

/// Details.
pub fn debug(words: &str, fields: &[Field<'_>]) {
    say(Level::Debug, words, fields);
}

/// Several lines for a person, as they are.
pub fn text(text: &str) {
    // As with `say`: nobody there to read it is no reason to fail.
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

fn say(level: Level, words: &str, fields: &[Field<'_>]) {
    if SHOWN.get() < level {
        return;
    }
    let mut line = line(level, words, fields);
    let before = UNWRITTEN.get();
    if 0 < before {
        line.insert_str(0, &format!("warn messages lost count={before}\n"));
    }
    // Standard error may be a full pipe that nobody reads: the daemon does not wait for it (see `run`), it counts.
    match std::io::stderr().write_all(line.as_bytes()) {
        Ok(()) => UNWRITTEN.set(0),
        Err(_) => UNWRITTEN.set(before + 1),
    }
}

fn line(level: Level, words: &str, fields: &[Field<'_>]) -> String {
    let level = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    let mut line = format!("{level} {words}");
    for (name, value) in fields {
        let value = value.to_string();
        let plain = |c: char| c.is_alphanumeric() || "/._-:+@%,#".contains(c);
        let _ = match !value.is_empty() && value.chars().all(plain) {
            true => write!(line, " {name}={value}"),
            false => write!(line, " {name}={value:?}"),
        };
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_level_words_and_fields() {
        let path = "/etc/passwd";
        assert_eq!(
            line(
                Level::Warn,
                "cannot read",
                &[("file", &path), ("reason", &"no \"such\"\nfile"), ("count", &3)]
            ),
            "warn cannot read file=/etc/passwd reason=\"no \\\"such\\\"\\nfile\" count=3\n"
        );
    }
}
