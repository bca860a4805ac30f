//! Builds, tries, tests, measures and packages session0. Everything CI does is a command here.

mod bench;
mod demo;
mod dist;
mod install;
mod release;
mod test;
mod tidy;
mod up;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::*;

const HELP: &str = "\
usage: cargo xtask <command>

  up [-- COMMAND...]   build, start session0 on a trial root with the example services, open a shell in it
                       (or run COMMAND instead of the shell); leaving it ends the trial, nothing else is touched
  demo [--json]        the claims of the article about Windows' sessions, shown one by one (docs/article.md)
  demo attacks [--json]
                       the attack suite as a table: what each attack does with the walls up, and with them down
  test                 everything CI runs: fmt, clippy, tidy, unit, operations, simulation, system and doc tests
  bench services       measures us and the peers on this machine, writes docs/performance.md (bench --help)
  bench sessions       the same for sessions of users
  bench ipc            the same for named pipes and calls
  install [--prefix P] [--destdir D]
                       builds and installs: programs, host.toml, systemd unit or OpenRC script, man pages,
                       completions (asks sudo when you are not root); P is /usr/local unless given
  uninstall [--prefix P] [--destdir D]
                       removes exactly that; changed settings, service files, logs and state stay
  dist                 a Debian package, by cargo-deb
  tidy                 the rules no compiler checks: who may depend on whom, where unsafe may be, sizes, paths
";

fn main() -> ExitCode {
    if bench::sessions::stand_in::is_called() {
        return match bench::sessions::stand_in::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&format!("stand-in for session0-logon: {error}"));
                ExitCode::FAILURE
            }
        };
    }
    let mut parser = lexopt::Parser::from_env();
    let command = match parser.next() {
        Ok(Some(Value(command))) => command.to_string_lossy().into_owned(),
        Ok(Some(Short('h') | Long("help"))) => "help".to_owned(),
        Ok(None) => return usage("no command given"),
        Ok(Some(other)) => return usage(&other.unexpected().to_string()),
        Err(error) => return usage(&error.to_string()),
    };
    let result = match command.as_str() {
        "up" => up::main(parser),
        up::HOST_COMMAND => up::host_main(parser),
        "bench" => raw(parser).and_then(|rest| bench::run(rest).map_err(Stop::from)),
        "demo" => demo::main(parser),
        "test" => no_more(parser).and_then(|()| test::main()),
        "install" => install::install(parser),
        "uninstall" => install::uninstall(parser),
        "dist" => dist::run(parser),
        "tidy" => no_more(parser).and_then(|()| tidy::main()),
        "help" => {
            say(HELP);
            Ok(())
        }
        other => return usage(&format!("there is no command {other:?}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop { message, code }) => {
            if !message.is_empty() {
                complain(&format!("error: {message}"));
            }
            ExitCode::from(code)
        }
    }
}

/// Why a command ends early.
pub struct Stop {
    message: String,
    code: u8,
}

impl Stop {
    /// Ends with this exit code; everything has been said.
    pub fn silent(code: u8) -> Stop {
        Stop { message: String::new(), code }
    }
}

impl From<String> for Stop {
    fn from(message: String) -> Stop {
        Stop { message, code: 1 }
    }
}

impl From<lexopt::Error> for Stop {
    fn from(error: lexopt::Error) -> Stop {
        Stop { message: error.to_string(), code: 2 }
    }
}

fn no_more(mut parser: lexopt::Parser) -> Result<(), Stop> {
    match parser.next()? {
        None => Ok(()),
        Some(argument) => Err(argument.unexpected().into()),
    }
}

fn raw(mut parser: lexopt::Parser) -> Result<Vec<std::ffi::OsString>, Stop> {
    Ok(parser.raw_args()?.collect())
}

fn usage(why: &str) -> ExitCode {
    complain(&format!("error: {why}\n\n{HELP}"));
    ExitCode::from(2)
}

/// The repository's root.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// The cargo that called us.
pub fn cargo() -> std::process::Command {
    let mut command = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// Where cargo puts what it builds: two levels above this program.
pub fn target_directory() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("could not find this program: {error}"))?;
    let target = own.parent().and_then(Path::parent);
    target.map(Path::to_owned).ok_or_else(|| format!("{} is not in a target directory", own.display()))
}

/// Whether this process is root.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// To stdout; a terminal that is gone is no reason to stop before cleaning up.
pub fn say(text: &str) {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{}", text.trim_end_matches('\n')).and_then(|()| stdout.flush());
}

/// To stderr, the same way.
pub fn complain(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end_matches('\n'));
}
