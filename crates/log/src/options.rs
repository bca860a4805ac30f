//! The command line: `session0-log --max-size BYTES --keep N`.

use std::ffi::OsString;

/// How large log files become and how many old ones there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// A file that would become larger than this many bytes is rotated.
    pub size_max: u64,
    /// Rotated files of each unit.
    pub keep: u32,
}

/// Old files of one unit: a rotation renames each of them.
const KEEP_MAX: u32 = 1000;

const USAGE: &str = "usage: session0-log --max-size BYTES --keep N (started by session0-init)";

impl Options {
    /// Both are needed: session0d knows them from host.toml, and there is no other sensible source.
    pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Options, String> {
        let (mut size_max, mut keep) = (None, None);
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let value = arguments.next();
            let value = value.as_ref().and_then(|value| value.to_str());
            match (name.to_str(), value) {
                (Some("--max-size"), Some(value)) => size_max = Some(number(value, 1, u64::MAX)?),
                (Some("--keep"), Some(value)) => keep = Some(number(value, 0, u64::from(KEEP_MAX))?),
                _ => return Err(format!("what is {name:?}? {USAGE}")),
            }
        }
        match (size_max, keep) {
            (Some(size_max), Some(keep)) => Ok(Options { size_max, keep: keep as u32 }),
            _ => Err(USAGE.to_owned()),
        }
    }
}

fn number(text: &str, least: u64, most: u64) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{text:?} is not a number from {least} to {most}; {USAGE}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn both_numbers_are_needed() {
        assert_eq!(parse("--max-size 1000 --keep 3"), Ok(Options { size_max: 1000, keep: 3 }));
        for bad in ["", "--keep 3", "--max-size 0 --keep 1", "--keep x --max-size 1", "--keep", "--huh 1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
