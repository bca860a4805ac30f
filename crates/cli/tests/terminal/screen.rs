//! A person at a pseudo terminal.

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use super::host::{Host, terminal};

/// A test that waits longer waits for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// `s0` with this host.
pub fn s0(host: &Host) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s0"));
    words_for(&mut command, host);
    command
}

fn words_for(command: &mut Command, host: &Host) {
    command
        .arg("--socket")
        .arg(host.socket())
        .env_remove("SESSION0_ROOT")
        .env_remove("SESSION0_SOCKET")
        .env("NO_COLOR", "1");
}

/// The terminal, and `s0` at it.
pub struct Screen {
    pub master: OwnedFd,
    slave: OwnedFd,
    found: Termios,
    /// All that was shown so far.
    pub shown: Vec<u8>,
    pub s0: Child,
}

impl Screen {
    /// `s0` in front of it, as its session's leader.
    pub fn start(host: &Host, words: &[&str]) -> Screen {
        Screen::with_input(host, words, None)
    }

    /// With something else as standard input; the terminal is then that of the output alone.
    pub fn with_input(host: &Host, words: &[&str], input: Option<Stdio>) -> Screen {
        let (master, slave) = terminal();
        tcsetwinsize(&master, Winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let found = tcgetattr(&slave).unwrap();
        let mut command = Command::new("setsid");
        if input.is_none() {
            command.arg("-c");
        }
        command.arg(env!("CARGO_BIN_EXE_s0"));
        words_for(&mut command, host);
        let s0 = command
            .args(words)
            .stdin(input.unwrap_or_else(|| slave.try_clone().unwrap().into()))
            .stdout(slave.try_clone().unwrap())
            .stderr(slave.try_clone().unwrap())
            .spawn()
            .unwrap();
        Screen { master, slave, found, shown: Vec::new(), s0 }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    /// Reads on until this was shown, after what was waited for before.
    pub fn expect(&mut self, text: &str) {
        let begun = Instant::now();
        while !contains(&self.shown, text.as_bytes()) {
            assert!(begun.elapsed() < PATIENCE, "never shown: {text:?}\n{}", self.text());
            self.read();
        }
    }

    /// Reads what is there, waiting a moment for it.
    pub fn read(&mut self) -> usize {
        let moment = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        let mut bytes = [0; 64 * 1024];
        let ready = poll(&mut [PollFd::new(&self.master, PollFlags::IN)], Some(&moment)).unwrap();
        let length = if ready > 0 { rustix::io::read(&self.master, &mut bytes).unwrap_or(0) } else { 0 };
        self.shown.extend(&bytes[..length]);
        length
    }

    pub fn enter(&self, text: &str) {
        self.enter_bytes(text.as_bytes());
    }

    pub fn enter_bytes(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let length = rustix::io::write(&self.master, bytes).unwrap();
            bytes = &bytes[length..];
        }
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })
            .unwrap();
    }

    pub fn local_modes(&self) -> LocalModes {
        tcgetattr(&self.slave).unwrap().local_modes
    }

    /// Waits for a state of the terminal, reading on.
    pub fn until(&mut self, what: &str, holds: impl Fn(&Screen) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < PATIENCE, "never: {what}\n{}", self.text());
            self.read();
        }
    }

    pub fn is_as_found(&self) -> bool {
        let now = tcgetattr(self.slave.as_fd()).unwrap();
        now.input_modes == self.found.input_modes
            && now.output_modes == self.found.output_modes
            && now.control_modes == self.found.control_modes
            && now.local_modes == self.found.local_modes
    }

    pub fn assert_as_found(&self) {
        let now = tcgetattr(&self.slave).unwrap();
        assert!(self.is_as_found(), "{now:?}\nis not {:?}", self.found);
    }

    /// As a shell does before it gives the terminal to a program.
    pub fn as_a_shell_has_it(&self) {
        rustix::termios::tcsetattr(&self.slave, rustix::termios::OptionalActions::Now, &self.found).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.s0), signal).unwrap();
    }

    /// Waits for the end of `s0`, reading on until then and what it left.
    pub fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            let ended = self.s0.try_wait().unwrap();
            assert!(begun.elapsed() < PATIENCE, "s0 does not end\n{}", self.text());
            if self.read() == 0
                && let Some(status) = ended
            {
                return status;
            }
        }
    }

    /// Waits until nobody has the terminal open any more but this test's slave, which is closed.
    pub fn abandoned(self) {
        let Screen { master, slave, .. } = self;
        drop(slave);
        let begun = Instant::now();
        let mut bytes = [0; 4096];
        // A terminal that nobody has open is at its end, by an error.
        while begun.elapsed() < PATIENCE {
            let moment = Timespec { tv_sec: 1, tv_nsec: 0 };
            let ready = poll(&mut [PollFd::new(&master, PollFlags::IN)], Some(&moment)).unwrap();
            if ready > 0 && rustix::io::read(&master, &mut bytes).is_err() {
                return;
            }
        }
        panic!("somebody still has the terminal open");
    }
}

pub fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}
