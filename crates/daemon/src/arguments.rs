//! The command line. By hand: a root program that is started by a keeper has four options and needs no crate.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::message::Level;

/// What is wanted.
#[derive(Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Be the daemon.
    Run {
        /// The root.
        root: PathBuf,
        /// How much it says.
        level: Level,
    },
    /// Say what is wrong with the configuration.
    Check {
        /// The root.
        root: PathBuf,
        /// These files only; none is all of the root's.
        files: Vec<PathBuf>,
        /// How.
        form: Form,
    },
    /// Say what this machine can do.
    Doctor {
        /// The root.
        root: PathBuf,
        /// How.
        form: Form,
    },
    /// Print host.toml with every option and its default.
    Reference,
    /// Say which version this is.
    Version,
    /// Say how it is used.
    Help,
}

/// How something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// How it is used.
pub const USAGE: &str = "\
usage: session0d [--root ROOT] [--debug]                    run (started by `s0 up`)
       session0d --check [--root ROOT] [--json] [FILE...]   say what is wrong with the configuration
       session0d --doctor [--root ROOT] [--json]            say what this machine can do, and what is lost
       session0d --reference                                print host.toml with every option and its default
       session0d --version
ROOT is a directory below which all of session0's files are; without it SESSION0_ROOT, or the machine itself.
";

#[derive(PartialEq, Eq)]
enum Verb {
    Run,
    Check,
    Doctor,
}

/// Reads the command line; the second argument is SESSION0_ROOT.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    root: Option<OsString>,
) -> Result<Arguments, String> {
    let mut root = PathBuf::from(root.unwrap_or_default());
    let (mut verb, mut form, mut level, mut files) = (Verb::Run, Form::Text, Level::Info, Vec::new());
    let mut arguments = arguments.into_iter();
    let mut only_files = false;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--") if !only_files => only_files = true,
            Some("--root") if !only_files => {
                root = arguments.next().ok_or("--root needs a directory")?.into();
            }
            Some("--check") if !only_files => verb = Verb::Check,
            Some("--doctor") if !only_files => verb = Verb::Doctor,
            Some("--json") if !only_files => form = Form::Json,
            Some("--debug") if !only_files => level = Level::Debug,
            Some("--reference") if !only_files => return Ok(Arguments::Reference),
            Some("--version") if !only_files => return Ok(Arguments::Version),
            Some("--help" | "-h") if !only_files => return Ok(Arguments::Help),
            Some(option) if !only_files && option.starts_with('-') => {
                return Err(format!("there is no option {option}"));
            }
            _ => files.push(PathBuf::from(argument)),
        }
    }
    match verb {
        Verb::Check => Ok(Arguments::Check { root, files, form }),
        _ if !files.is_empty() => Err("files are for --check only".to_owned()),
        Verb::Doctor => Ok(Arguments::Doctor { root, form }),
        Verb::Run if form == Form::Json => Err("--json is for --check and --doctor".to_owned()),
        Verb::Run => Ok(Arguments::Run { root, level }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Result<Arguments, String> {
        parse(words.iter().map(OsString::from), Some("/env".into()))
    }

    #[test]
    fn the_command_line() {
        assert_eq!(of(&[]), Ok(Arguments::Run { root: "/env".into(), level: Level::Info }));
        assert_eq!(
            of(&["--root", "/r", "--debug"]),
            Ok(Arguments::Run { root: "/r".into(), level: Level::Debug })
        );
        let files = vec!["a.toml".into(), "--b".into()];
        assert_eq!(
            of(&["--check", "a.toml", "--json", "--", "--b"]),
            Ok(Arguments::Check { root: "/env".into(), files, form: Form::Json })
        );
        assert_eq!(of(&["--doctor"]), Ok(Arguments::Doctor { root: "/env".into(), form: Form::Text }));
        for bad in [&["--what"][..], &["file"], &["--root"], &["--json"]] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
