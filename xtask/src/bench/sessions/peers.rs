//! Others who begin a session or run a program as somebody else.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use super::{Bench, xrdp};
use crate::bench::Outcome;
use crate::bench::manager::{PATIENCE, Place, on_path};
use crate::bench::process::{self, quiet};
use crate::bench::stamps::{self, milliseconds, now};

/// The account they act for: every Debian has it, and root needs no password for it.
const ACCOUNT: &str = "nobody";
/// Its uid.
const UID: u32 = 65_534;

/// `su`, with a login shell of ours.
pub struct Su {
    place: Place,
    shell: PathBuf,
}

impl Su {
    /// Its place and its shell, if there is one.
    pub fn new(bench: &Bench) -> Outcome<Option<Su>> {
        if on_path("su").is_none() {
            return Ok(None);
        }
        let place = Place::new(bench.root.join("su"), &bench.root.join("bin/stamp"), 1)?;
        let shell = place.directory("bin")?.join("stamp");
        stamps::compile_shell(&shell, place.stamps.path(), UID)?;
        Ok(Some(Su { place, shell }))
    }

    /// Milliseconds from before `su -` is spawned to the first instruction of the login shell.
    pub fn log_on(&self) -> Outcome<f64> {
        let next = self.place.stamps.read(0)?.instances + 1;
        let mut su = Command::new("su");
        su.arg("-").args(["-s".as_ref(), self.shell.as_os_str()]).arg(ACCOUNT);
        let begun = now();
        let child = quiet(&mut su, &self.place.root)?;
        let at = self.place.stamps.wait(0, next, PATIENCE);
        end(child)?;
        Ok(milliseconds(begun, at?))
    }
}

/// Those that run a program as somebody else and are here: a name, and the command.
pub fn runners() -> Vec<(&'static str, Command)> {
    let mut su = Command::new("su");
    su.args(["-s", "/bin/sh", "-c", "true", ACCOUNT]);
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "-u", ACCOUNT, "true"]);
    [("su", su), ("sudo", sudo)].into_iter().filter(|(name, _)| on_path(name).is_some()).collect()
}

/// Milliseconds from before a command is spawned until it has been waited for.
pub fn time(command: &mut Command, place: &Path) -> Outcome<f64> {
    let name = command.get_program().to_string_lossy().into_owned();
    let begun = now();
    let mut child = quiet(command, place)?;
    let status = child.wait().map_err(|e| format!("waiting for {name}: {e}"))?;
    let took = milliseconds(begun, now());
    match status.success() {
        true => Ok(took),
        false => Err(format!("{name} ended with {status}")),
    }
}

/// Who else begins sessions, and why there is no figure of ours for it.
pub fn absent() -> Vec<String> {
    let first = std::fs::read_to_string("/proc/1/comm").unwrap_or_default();
    let mut absent = Vec::new();
    if on_path("su").is_none() {
        absent.push("su: not on PATH".to_owned());
    }
    if on_path("sudo").is_none() {
        absent.push("sudo: not on PATH".to_owned());
    }
    absent.push(match first.trim() {
        "systemd" => "systemd-logind: this bench cannot drive it yet".to_owned(),
        _ => "systemd-logind does not run here: it needs systemd as PID 1. Published, not measured by us: \
              27 ms, the first 141 ms, 3.5 MiB for a session"
            .to_owned(),
    });
    if let Some(missing) = xrdp::PROGRAMS.iter().find(|program| on_path(program).is_none()) {
        absent
            .push(format!("{}: {missing} is not on PATH. Published, not measured by us: 430 ms", xrdp::NAME));
    }
    absent
}

/// Ends a command and everything below it: the shell sleeps until it is killed.
pub fn end(mut command: Child) -> Outcome<()> {
    let all = process::tree(i32::try_from(command.id()).unwrap_or(0));
    for process in all.into_iter().rev() {
        // One that ended because the one below it did is no error.
        let _ = process.kill();
    }
    command.wait().map(drop).map_err(|e| format!("waiting for a command's end: {e}"))
}
