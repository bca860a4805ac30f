//! A process beside this one that puts the terminal right if this one is killed: nothing of its own could do it then.
//!
//! It is `s0` again, in a session of its own so that no signal meant for this one reaches it. It holds the terminal and one end of a
//! socket: there it is told what is to be undone, and that all is well. The end of the socket without that word is the death of this
//! process.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::screen::Modes;
use super::{Mode, modes_for};

/// The word by which this program is started as a guard. No verb: nobody has a use for it.
const WORD: &str = "--terminal-guard";
const READY: [u8; 1] = [1];
const WELL: [u8; 1] = [2];

/// The guard of a terminal.
pub struct Guard {
    process: Child,
    socket: OwnedFd,
    told: Modes,
}

impl Guard {
    /// Starts one. The terminal's modes are what they are to be again.
    pub fn start(terminal: BorrowedFd<'_>) -> io::Result<Guard> {
        let (socket, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let process = Command::new("/proc/self/exe")
            .arg0("s0")
            .arg(WORD)
            .current_dir("/")
            .env_clear()
            .stdin(other)
            .stdout(terminal.try_clone_to_owned()?)
            .stderr(Stdio::null())
            .spawn()?;
        let guard = Guard { process, socket, told: Modes::default() };
        let mut word = [0];
        let (length, _) = rustix::io::retry_on_intr(|| recv(&guard.socket, &mut word, RecvFlags::empty()))?;
        if (length, word) != (1, READY) {
            return Err(io::Error::other("the guard of the terminal ended at once"));
        }
        Ok(guard)
    }

    /// What is to be undone on the screen has changed. A guard that does not listen is not waited for.
    pub fn tell(&mut self, modes: Modes) {
        if modes != self.told && self.say(&modes.0.to_le_bytes()) {
            self.told = modes;
        }
    }

    fn say(&self, bytes: &[u8]) -> bool {
        send(&self.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).is_ok()
    }
}

/// All is well. One that was stopped is not waited for.
impl Drop for Guard {
    fn drop(&mut self) {
        if !self.say(&WELL) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// Whether this process is started to be a guard.
pub fn is_meant() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    arguments.next().as_deref() == Some(OsStr::new(WORD)) && arguments.next().is_none()
}

/// The guard itself. What it was given is not a terminal and a socket if somebody started it by hand.
pub fn stand() -> ExitCode {
    let _ = rustix::process::setsid();
    let (socket, terminal) = (io::stdin(), io::stdout());
    let Ok(saved) = tcgetattr(&terminal) else { return ExitCode::from(2) };
    if send(&socket, &READY, SendFlags::NOSIGNAL).is_err() {
        return ExitCode::from(2);
    }
    let mut left = Modes::default();
    loop {
        let mut word = [0; 4];
        match rustix::io::retry_on_intr(|| recv(&socket, &mut word, RecvFlags::empty())) {
            Ok((1, _)) if word[0] == WELL[0] => return ExitCode::SUCCESS,
            Ok((4, _)) => left = Modes(u32::from_le_bytes(word)),
            Ok((0, _)) | Err(_) => break,
            Ok(_) => {}
        }
    }
    restore(terminal.as_fd(), &saved, left);
    ExitCode::SUCCESS
}

/// A shell may have been quicker and be reading a line with modes of its own: only the modes of the killed process are undone.
fn restore(terminal: BorrowedFd<'_>, saved: &Termios, left: Modes) {
    let Ok(now) = tcgetattr(terminal) else { return };
    let ours = [Mode::Quiet, Mode::Raw].iter().any(|mode| same(&now, &modes_for(saved, *mode)));
    let ours = ours && !same(&now, saved);
    if ours {
        let _ = tcsetattr(terminal, OptionalActions::Now, saved);
    }
    if !ours && left.is_plain() {
        return;
    }
    let mut bytes = left.undo();
    bytes.extend(b"\r\ns0 was killed; its guard has put this terminal right\r\n");
    // A terminal that takes nothing now shows nothing.
    let _ = rustix::io::write(terminal, &bytes);
}

fn same(one: &Termios, other: &Termios) -> bool {
    one.input_modes == other.input_modes
        && one.output_modes == other.output_modes
        && one.control_modes == other.control_modes
        && one.local_modes == other.local_modes
}
