//! A host whose users have the stamping program as their login shell.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, chown};
use std::path::{Path, PathBuf};

use super::client::{Api, Shell};
use super::stand_in::{self, FIRST_UID};
use crate::bench::manager::{self, Manager, PATIENCE, Place, Session0};
use crate::bench::process::Running;
use crate::bench::stamps::{self, milliseconds};
use crate::bench::{self, Outcome};

/// The account of a host with the real session0-logon.
const ACCOUNT: &str = "measured";
/// Its password.
const PASSWORD: &str = "correct horse battery staple";
/// A service that runs in every host of a bench, to be asked about.
pub const SERVICE: &str = "measured";

/// Who tells the daemon that a user is who he says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logon {
    /// The bench's stand-in: as many users as asked for.
    StandIn,
    /// Ours: one user with a password.
    Real,
}

/// A running host.
pub struct Host {
    /// Its directory and its users' stamps.
    pub place: Place,
    /// Its processes.
    pub running: Running,
    programs: PathBuf,
    begun: File,
}

impl Host {
    /// Makes and starts one below `root`, with programs from `root/bin`.
    pub fn launch(root: &Path, name: &str, logon: Logon, users: usize) -> Outcome<Host> {
        let place = Place::new(root.join(name), &root.join("bin/stamp"), users)?;
        let programs = place.directory("bin")?;
        for program in bench::our_programs() {
            let (from, to) = (root.join("bin").join(program), programs.join(program));
            fs::hard_link(&from, &to).map_err(|e| format!("linking {}: {e}", to.display()))?;
        }
        if logon == Logon::StandIn {
            stand_in(&place, &programs, users)?;
        }
        let begun = place.write(&format!("bin/{}", stand_in::BEGUN), "")?;
        let begun = File::options()
            .read(true)
            .write(true)
            .open(&begun)
            .and_then(|file| file.set_len(users as u64 * 8).map(|()| file))
            .map_err(|e| format!("making {}: {e}", begun.display()))?;
        let manager = Session0 { programs: programs.clone() };
        manager.configure(&place)?;
        place.write(
            &format!("root/etc/session0/services/{SERVICE}.toml"),
            "description = \"sleeps\"\ncommand = \"/bin/sleep infinity\"\nstart = \"auto\"\n",
        )?;
        let mut running = Running::start(manager.launch(&place), &place.root)?;
        running.wait_until(PATIENCE, || manager.is_ready(&place, None))?;
        let host = Host { place, running, programs, begun };
        if logon == Logon::Real {
            host.add_account()?;
        }
        Ok(host)
    }

    /// A connection.
    pub fn api(&self) -> Outcome<Api> {
        Api::connect(&manager::socket(&self.place))
    }

    /// One of the host's own programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Logs the user with this slot on. Milliseconds from the stand-in's word to the shell.
    pub fn log_on(&self, slot: usize) -> Outcome<(Shell, f64)> {
        let next = self.place.stamps.read(slot)?.instances + 1;
        let (shell, _) = self.api()?.log_on(&stand_in::account(slot), "")?;
        let at = self.place.stamps.wait(slot, next, PATIENCE)?;
        let mut begun = [0; 8];
        self.begun
            .read_exact_at(&mut begun, slot as u64 * 8)
            .map_err(|e| format!("reading when the logon began: {e}"))?;
        Ok((shell, milliseconds(u64::from_ne_bytes(begun), at)))
    }

    /// Logs the user of a host with passwords on. Milliseconds from the password to the shell.
    pub fn log_on_with_password(&self) -> Outcome<(Shell, f64)> {
        let next = self.place.stamps.read(0)?.instances + 1;
        let (shell, answered) = self.api()?.log_on(ACCOUNT, PASSWORD)?;
        let at = self.place.stamps.wait(0, next, PATIENCE)?;
        Ok((shell, milliseconds(answered, at)))
    }

    /// Ends a session.
    pub fn log_off(&self, shell: Shell) -> Outcome<()> {
        self.api()?.log_off(shell)
    }

    /// The account first, then its shell: only then is the uid known.
    fn add_account(&self) -> Outcome<()> {
        let shell = self.program(stand_in::SHELL);
        fs::copy(&self.place.program, &shell).map_err(|e| format!("copying {}: {e}", shell.display()))?;
        self.api()?.add_account(ACCOUNT, PASSWORD, &shell)?;
        let published = self.place.path("root/var/lib/session0/accounts.passwd");
        let text =
            fs::read_to_string(&published).map_err(|e| format!("reading {}: {e}", published.display()))?;
        let uid = text
            .lines()
            .filter_map(|line| line.strip_prefix(ACCOUNT)?.strip_prefix(':'))
            .find_map(|line| line.split(':').nth(1)?.parse().ok())
            .ok_or_else(|| format!("{ACCOUNT} is not in {}", published.display()))?;
        stamps::compile_shell(&shell, self.place.stamps.path(), uid)
    }
}

/// The stand-in, the shell it names and its users' homes.
fn stand_in(place: &Place, programs: &Path, users: usize) -> Outcome<()> {
    let (me, to) = (std::env::current_exe(), programs.join(stand_in::NAME));
    let me = me.map_err(|e| format!("finding this program: {e}"))?;
    fs::remove_file(&to)
        .and_then(|()| fs::copy(&me, &to).map(drop))
        .map_err(|e| format!("copying {}: {e}", to.display()))?;
    stamps::compile_shell(&programs.join(stand_in::SHELL), place.stamps.path(), FIRST_UID)?;
    for slot in 0..users {
        let home = place.directory(&format!("root/home/{}", stand_in::account(slot)))?;
        let uid = FIRST_UID + u32::try_from(slot).unwrap_or(0);
        chown(&home, Some(uid), Some(uid)).map_err(|e| format!("giving {} away: {e}", home.display()))?;
    }
    Ok(())
}
