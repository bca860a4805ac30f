//! Pseudo-terminals of a session, as its init makes them for users' programs.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::pty::OpenptFlags;
use rustix::termios::{InputModes, OptionalActions, Winsize};
use session0_model::launch::plan::Size;

use crate::session::TTY_GID;

/// Both ends of a new terminal.
#[derive(Debug)]
pub struct Terminal {
    /// The end of whoever shows it.
    pub master: OwnedFd,
    /// The program's end.
    pub slave: OwnedFd,
}

/// A new terminal of the session's, which belongs to this user as a login's does. Modes are the kernel's, and UTF-8.
pub fn open(size: Size, uid: u32) -> io::Result<Terminal> {
    // By this path and not by the link `/dev/ptmx`: nothing can be put in its place, as nobody makes files in a devpts.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let master = rustix::fs::open(c"/dev/pts/ptmx", flags, Mode::empty())?;
    rustix::pty::unlockpt(&master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    let mut modes = rustix::termios::tcgetattr(&slave)?;
    modes.input_modes |= InputModes::IUTF8;
    rustix::termios::tcsetattr(&slave, OptionalActions::Now, &modes)?;
    rustix::termios::tcsetwinsize(&slave, window(size))?;
    rustix::fs::fchown(&slave, Some(Uid::from_raw(uid)), Some(Gid::from_raw(TTY_GID)))?;
    rustix::fs::fchmod(&slave, Mode::from_raw_mode(0o620))?;
    Ok(Terminal { master, slave })
}

fn window(size: Size) -> Winsize {
    Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 }
}
