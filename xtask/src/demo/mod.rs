//! `cargo xtask demo`: what session0 does, to look at.

mod attacks;

use lexopt::prelude::*;

use crate::{Stop, say};

const HELP: &str = "\
usage: cargo xtask demo attacks [--json]

  attacks   runs the attack suite (about a minute) and shows a table: each attack against a host with its walls up, and
            against one with its walls down, where it must succeed, or it would prove nothing
";

/// Runs the demo that is named.
pub fn main(mut parser: lexopt::Parser) -> Result<(), Stop> {
    let mut name = None;
    let mut form = attacks::Form::Table;
    while let Some(argument) = parser.next()? {
        match argument {
            Value(value) if name.is_none() => name = Some(value),
            Long("json") => form = attacks::Form::Json,
            Short('h') | Long("help") => {
                say(HELP);
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    match name.as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("attacks") => attacks::run(form),
        Some(other) => Err(format!("there is no demo {other:?}\n\n{HELP}").into()),
        None => Err(format!("no demo named\n\n{HELP}").into()),
    }
}
