//! `cargo xtask demo`: what session0 does, to look at.

mod article;
mod attacks;

use std::io::{self, BufRead, BufReader, IsTerminal};
use std::process::{Command, Stdio};

use lexopt::prelude::*;

use crate::{Stop, cargo, complain, is_root, release, say, target_directory, up};

const HELP: &str = "\
usage: cargo xtask demo [attacks] [--json]

            walks through the claims of the article about Windows' sessions (docs/article.md), with the commands that show
            them: in a host as since Vista, and in one as in XP where a claim has two sides
  attacks   runs the attack suite (about a minute) and shows a table: each attack against a host with its walls up, and
            against one with its walls down, where it must succeed, or it would prove nothing
  --json    one object a line, for programs
";

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Table,
    /// One object a line.
    Json,
}

/// Runs the demo that is named.
pub fn main(mut parser: lexopt::Parser) -> Result<(), Stop> {
    let mut name = None;
    let mut form = Form::Table;
    while let Some(argument) = parser.next()? {
        match argument {
            Value(value) if name.is_none() => name = Some(value),
            Long("json") => form = Form::Json,
            Short('h') | Long("help") => {
                say(HELP);
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    match name.as_deref().map(std::ffi::OsStr::to_string_lossy).as_deref() {
        Some("attacks") => attacks::run(form),
        Some(other) => Err(format!("there is no demo {other:?}\n\n{HELP}").into()),
        None => article::run(form),
    }
}

/// Builds everything and runs a program of the system tests as root, with each line it prints; whether it was content.
fn play(program: &str, mut line: impl FnMut(&str)) -> Result<bool, Stop> {
    complain("building session0 and the demo ...");
    release::run(cargo().args(["build", "--workspace", "--quiet"]))?;
    let program = target_directory()?.join("debug").join(program);
    let mut command = if is_root() {
        Command::new(&program)
    } else {
        up::ask_sudo()?;
        let mut sudo = Command::new("sudo");
        sudo.arg("--non-interactive").arg("--").arg(&program);
        sudo
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("could not run {}: {error}", program.display()))?;
    let heard = child.stdout.take().map_or(Ok(()), |output| lines(BufReader::new(output), &mut line));
    let status = child.wait().map_err(|error| format!("could not wait for the demo: {error}"))?;
    heard.map_err(|error| format!("could not read what the demo says: {error}"))?;
    Ok(status.success())
}

/// Each line, also one that is not UTF-8: what comes after it counts as well.
fn lines(output: impl BufRead, line: &mut impl FnMut(&str)) -> io::Result<()> {
    output.split(b'\n').try_for_each(|one| {
        line(&String::from_utf8_lossy(&one?));
        Ok(())
    })
}

const GREEN: &str = "32";
const YELLOW: &str = "33";
const RED: &str = "31";
const STRONG: &str = "1";
const DIM: &str = "2";

/// Whether there is colour.
#[derive(Debug, Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn of_stdout() -> Paint {
        Paint(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
    }

    fn paint(self, colour: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The text without what could move the terminal, and not longer than this.
fn cut(text: &str, length: usize) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match plain.chars().count() > length {
        true => plain.chars().take(length - 3).chain("...".chars()).collect(),
        false => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_neither_breaks_the_table_nor_moves_the_terminal() {
        assert_eq!(cut("abc\u{1b}[2J\n", 20), "abc [2J ");
        assert_eq!(cut("abcdefghij", 8), "abcde...");
    }

    #[test]
    fn a_line_that_is_not_utf_8_does_not_end_the_demo() {
        let mut heard = Vec::new();
        lines(&b"one\n\xff\nthree\n"[..], &mut |line| heard.push(line.to_owned())).unwrap();
        assert_eq!(heard, ["one", "\u{fffd}", "three"]);
    }
}
