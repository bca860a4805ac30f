//! The terminal this program is used at, when it is more than a place to print: for passwords, and to be passed on to a session.
//!
//! Whatever happens it is given back as it was found: by [`Terminal`] when it is dropped, by its [`guard`] if this process is
//! killed.

mod buffer;
pub mod guard;
pub mod pipes;
pub mod relay;
mod screen;
pub mod signals;

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, ttyname,
};
use session0::session::Variable;

use guard::Guard;
use signals::{OF_TERMINALS, Signals};

/// Longest line a terminal gives at once.
const LINE_MAX: usize = 4096;

/// A terminal in use.
pub struct Terminal {
    /// Opened by us alone: it does not block, which is nobody else's business.
    file: OwnedFd,
    name: Option<String>,
    saved: Termios,
    mode: Mode,
    signals: Signals,
    /// There from the first change of the terminal on.
    guard: Option<Guard>,
}

/// How a terminal treats what is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As it was found.
    AsFound,
    /// By lines, not shown: for secrets.
    Quiet,
    /// Byte by byte, without a meaning: all of it is the session's.
    Raw,
}

/// Where the terminal is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is standard input.
    Input,
    /// Standard input is something else: standard output, or else the controlling terminal.
    Elsewhere,
}

/// Why what was asked for was not typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untyped {
    /// By ^C or the like, or the end of input, or because the terminal is gone.
    Cancelled,
    /// Whoever asks has something to say first.
    Interrupted,
}

impl Terminal {
    /// Opens it; the error says what is there instead.
    pub fn open(place: Place) -> Result<Terminal, String> {
        let streams = [io::stdin().as_fd().try_clone_to_owned(), io::stdout().as_fd().try_clone_to_owned()];
        let [input, output] = streams.map(|stream| stream.ok().filter(IsTerminal::is_terminal));
        let found = match place {
            Place::Input => input.ok_or("standard input is not a terminal")?.into(),
            Place::Elsewhere => output,
        };
        let file = reopen(found.as_ref()).map_err(|error| match found {
            Some(_) => format!("the terminal cannot be opened: {error}"),
            None => "neither standard output nor /dev/tty is a terminal".to_owned(),
        })?;
        let fault = |error: io::Error| format!("the terminal cannot be used: {error}");
        let name = ttyname(found.as_ref().unwrap_or(&file), Vec::new()).ok();
        Ok(Terminal {
            name: name.and_then(|name| name.into_string().ok()),
            saved: tcgetattr(&file).map_err(|error| fault(error.into()))?,
            file,
            mode: Mode::AsFound,
            signals: Signals::listen(&OF_TERMINALS).map_err(fault)?,
            guard: None,
        })
    }

    /// As the public interface describes it.
    pub fn described(&self) -> session0::session::Terminal {
        let size = self.size();
        session0::session::Terminal { rows: size.ws_row, columns: size.ws_col, name: self.name.clone() }
    }

    /// Its size; one that does not know its own is as the first ones were.
    fn size(&self) -> Winsize {
        let mut size =
            tcgetwinsize(&self.file).unwrap_or(Winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 });
        if size.ws_row == 0 || size.ws_col == 0 {
            (size.ws_row, size.ws_col) = (24, 80);
        }
        size
    }

    /// Changes how it treats what is typed. With `Quiet` and back, what was typed before is forgotten: it was not meant for the prompt.
    fn enter(&mut self, mode: Mode) -> io::Result<()> {
        if mode != Mode::AsFound && self.guard.is_none() {
            self.guard = Some(Guard::start(self.file.as_fd())?);
        }
        let when = if mode == Mode::Quiet { OptionalActions::Flush } else { OptionalActions::Now };
        tcsetattr(&self.file, when, &modes_for(&self.saved, mode))?;
        self.mode = mode;
        Ok(())
    }

    /// Stops as a program is stopped by ^Z, with the terminal as it was found; goes on with it as it was.
    fn stop(&mut self) -> io::Result<()> {
        let mode = self.mode;
        self.enter(Mode::AsFound)?;
        kill_process(getpid(), Signal::STOP)?;
        self.enter(mode)
    }

    /// Shows a text, whole.
    pub fn show(&mut self, text: &str) -> io::Result<()> {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match rustix::io::retry_on_intr(|| rustix::io::write(&self.file, rest)) {
                Ok(length) => rest = &rest[length..],
                Err(rustix::io::Errno::AGAIN) => {
                    poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], None)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Asks for a line. Given up as soon as `asker` has something to say.
    pub fn ask(
        &mut self,
        prompt: &str,
        mode: Mode,
        asker: BorrowedFd<'_>,
    ) -> io::Result<Result<Secret, Untyped>> {
        self.enter(mode)?;
        self.show(prompt)?;
        let line = self.line(prompt, asker);
        if mode == Mode::Quiet || !matches!(line, Ok(Ok(_))) {
            self.show("\n")?;
        }
        self.enter(Mode::AsFound)?;
        line
    }

    fn line(&mut self, prompt: &str, asker: BorrowedFd<'_>) -> io::Result<Result<Secret, Untyped>> {
        loop {
            let mut watched = [
                PollFd::new(&self.signals, PollFlags::IN),
                PollFd::from_borrowed_fd(asker, PollFlags::IN),
                PollFd::new(&self.file, PollFlags::IN),
            ];
            rustix::io::retry_on_intr(|| poll(&mut watched, None))?;
            let [signals, asked, typed] = watched.map(|one| !one.revents().is_empty());
            match signals.then(|| self.signals.next()).flatten() {
                Some(Signal::CONT | Signal::WINCH) => {}
                Some(Signal::TSTP) => {
                    self.stop()?;
                    self.show(&format!("\n{prompt}"))?;
                }
                Some(_) => return Ok(Err(Untyped::Cancelled)),
                None if asked => return Ok(Err(Untyped::Interrupted)),
                None if typed => match read_line(&self.file)? {
                    Some(line) => return Ok(Ok(line)),
                    None => return Ok(Err(Untyped::Cancelled)),
                },
                None => {}
            }
        }
    }

    /// Waits until `asker` has something to say, or somebody wants to end this.
    pub fn wait_for(&mut self, asker: BorrowedFd<'_>) -> io::Result<Result<(), Untyped>> {
        loop {
            let mut watched =
                [PollFd::new(&self.signals, PollFlags::IN), PollFd::from_borrowed_fd(asker, PollFlags::IN)];
            rustix::io::retry_on_intr(|| poll(&mut watched, None))?;
            let [signals, asked] = watched.map(|one| !one.revents().is_empty());
            match signals.then(|| self.signals.next()).flatten() {
                Some(Signal::CONT | Signal::WINCH) => {}
                Some(Signal::TSTP) => self.stop()?,
                Some(_) => return Ok(Err(Untyped::Cancelled)),
                None if asked => return Ok(Ok(())),
                None => {}
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.mode != Mode::AsFound {
            let _ = self.enter(Mode::AsFound);
        }
    }
}

/// What is typed or read and nobody else is to see: overwritten when it is not needed any more.
pub struct Secret(Vec<u8>);

impl Secret {
    /// A line from standard input, not a byte more: a script may have further ones for further commands.
    pub fn from_input() -> Result<Secret, String> {
        let mut line = Secret(Vec::with_capacity(LINE_MAX));
        loop {
            let mut byte = [0];
            let length = rustix::io::retry_on_intr(|| rustix::io::read(io::stdin(), &mut byte));
            match length.map_err(|error| format!("standard input cannot be read: {error}"))? {
                0 if line.0.is_empty() => return Err("standard input is empty".to_owned()),
                0 => return Ok(line),
                _ if byte[0] == b'\n' => return Ok(line),
                _ if line.0.len() == LINE_MAX => {
                    return Err("the line on standard input is too long".to_owned());
                }
                _ => line.0.push(byte[0]),
            }
        }
    }

    /// The same once more.
    pub fn copy(&self) -> Secret {
        Secret(self.0.clone())
    }

    /// As text, if it is.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        session0::logon::wipe(&mut self.0);
    }
}

/// A line from a terminal that gives lines; `None` at its end.
fn read_line(terminal: &OwnedFd) -> io::Result<Option<Secret>> {
    let mut line = Secret(vec![0; LINE_MAX]);
    let length = match rustix::io::retry_on_intr(|| rustix::io::read(terminal, &mut line.0)) {
        Ok(length) => length,
        // A terminal that hung up is at its end.
        Err(rustix::io::Errno::IO) => 0,
        Err(error) => return Err(error.into()),
    };
    line.0.truncate(length);
    if length == 0 {
        return Ok(None);
    }
    if line.0.last() == Some(&b'\n') {
        line.0.pop();
    }
    Ok(Some(line))
}

/// Opened anew, so that what is set on the descriptor is not set for the shell too. A terminal of another user (after `su`) cannot be
/// opened again, but it can as the controlling one.
fn reopen(found: Option<&OwnedFd>) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = |path: &Path| rustix::fs::open(path, flags, rustix::fs::Mode::empty());
    let Some(found) = found else { return Ok(open(Path::new("/dev/tty"))?) };
    let number = std::os::fd::AsRawFd::as_raw_fd(found);
    let again = open(&Path::new("/proc/self/fd").join(number.to_string()));
    Ok(again.or_else(|_| open(Path::new("/dev/tty")))?)
}

/// The terminal's modes for a way to treat what is typed.
fn modes_for(saved: &Termios, mode: Mode) -> Termios {
    let mut modes = saved.clone();
    match mode {
        Mode::AsFound => {}
        Mode::Quiet => {
            modes.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
            modes.local_modes.insert(LocalModes::ICANON | LocalModes::ISIG);
            modes.input_modes.insert(InputModes::ICRNL);
        }
        Mode::Raw => modes.make_raw(),
    }
    modes
}

/// The variables that a session's programs need to know of a terminal.
pub fn environment() -> Vec<Variable> {
    let wanted = |name: &str| matches!(name, "TERM" | "COLORTERM") || name.starts_with("LC_");
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| wanted(name) && !value.is_empty())
        .map(|(name, value)| Variable { name, value })
        .collect()
}
