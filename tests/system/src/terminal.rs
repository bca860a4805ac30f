//! A terminal of a person: a pseudo-terminal with `s0 logon` on it, typed on and looked at.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::host::{Host, Run, binary};
use crate::wait::{eventually, eventually_else};

/// How every test shell's prompt ends.
const PROMPT: &str = "$ ";
static NUMBER: AtomicU32 = AtomicU32::new(1000);

/// `s0 logon` on a terminal of its own.
pub struct Logon {
    client: Child,
    /// Gone once it has been hung up.
    master: Option<OwnedFd>,
    /// `/dev/pts/N`.
    name: String,
    seen: Mutex<Vec<u8>>,
}

impl Host {
    /// `s0 logon NAME`, the password given, until the shell's prompt is there.
    pub fn logon(&self, name: &str, password: &str) -> Logon {
        self.logon_with(&[name], password)
    }

    /// The same with more arguments (`--new`).
    pub fn logon_with(&self, arguments: &[&str], password: &str) -> Logon {
        let logon = self.terminal(&[&["logon"], arguments].concat());
        logon.give_password(password);
        logon.wait(PROMPT);
        logon
    }

    /// `s0 ARGUMENTS` as the first program of a new terminal of 24 lines and 80 characters.
    pub fn terminal(&self, arguments: &[&str]) -> Logon {
        self.terminal_with(arguments, &[])
    }

    /// The same with these variables in its environment.
    pub fn terminal_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Logon {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a pseudo-terminal");
        rustix::pty::grantpt(&master).and_then(|()| rustix::pty::unlockpt(&master)).expect("ours");
        let name = rustix::pty::ptsname(&master, Vec::new()).expect("it has a name");
        let slave = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().expect("/dev/pts/N"))
            .expect("the other side");
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&slave, size).expect("a terminal");
        rustix::io::ioctl_fionbio(&master, true).expect("a descriptor");
        let copy = || Stdio::from(slave.try_clone().expect("a descriptor can be duplicated"));
        // setsid makes the terminal on standard input the controlling one and becomes the program.
        let client = Command::new("setsid")
            .arg("--ctty")
            .arg(binary("s0"))
            .arg("--root")
            .arg(self.root())
            .args(arguments)
            .env("TERM", "xterm")
            .envs(environment.iter().copied())
            .stdin(copy())
            .stdout(copy())
            .stderr(copy())
            .spawn()
            .expect("util-linux is installed");
        let name = name.to_string_lossy().into_owned();
        Logon { client, master: Some(master), name, seen: Mutex::default() }
    }
}

impl Logon {
    /// Waits for the question and types the password.
    pub fn give_password(&self, password: &str) {
        self.wait("assword:");
        self.type_line(password);
    }

    /// Types it.
    pub fn type_bytes(&self, bytes: &[u8]) {
        let master = self.master.as_ref().expect("it has not been hung up");
        let mut file = File::from(master.try_clone().expect("a descriptor can be duplicated"));
        file.write_all(bytes).expect("a terminal takes a line");
    }

    /// Waits until a program has been left: the last that is shown is the shell's prompt.
    pub fn wait_prompt(&self) {
        let prompted = || {
            let text = self.text();
            text.rsplit_once(PROMPT).is_some_and(|(_, after)| matches!(after, "" | "\u{1b}[K"))
        };
        eventually("the shell asks for the next line", prompted);
    }

    /// Types more than a terminal takes at once: what is shown is read meanwhile.
    pub fn type_all(&self, bytes: &[u8]) {
        let master = self.master.as_ref().expect("it has not been hung up");
        let mut rest = bytes;
        let typed = || {
            while !rest.is_empty() {
                match rustix::io::write(master, &rest[..rest.len().min(1024)]) {
                    Ok(length) => rest = &rest[length..],
                    Err(_) => break,
                }
            }
            self.screen();
            rest.is_empty()
        };
        eventually("everything is typed", typed);
    }

    /// Types it and the return key.
    pub fn type_line(&self, text: &str) {
        self.type_bytes(format!("{text}\r").as_bytes());
    }

    /// Everything shown so far.
    pub fn screen(&self) -> Vec<u8> {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(master) = &self.master {
            let mut file = File::from(master.try_clone().expect("a descriptor can be duplicated"));
            let mut some = [0; 4096];
            // Not ready, and the other side's end (EIO), both end it for now.
            while let Ok(count @ 1..) = file.read(&mut some) {
                seen.extend(&some[..count]);
            }
        }
        seen.clone()
    }

    /// The same as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.screen()).into_owned()
    }

    /// Waits until `text` has been shown, and returns everything that was.
    pub fn wait(&self, text: &str) -> String {
        let look = || Some(self.text()).filter(|shown| shown.contains(text));
        eventually_else(look, || format!("the terminal shows {text:?}; it shows:\n{}", self.text()))
    }

    /// Runs a command in its bash to its end; what the command printed.
    pub fn shell(&self, command: &str) -> String {
        let number = NUMBER.fetch_add(2, Ordering::Relaxed);
        // What is typed is shown as well, and must not look like what is printed.
        let then = if command.ends_with('&') { "" } else { ";" };
        self.type_line(&format!("{command}{then} echo end-$(({number}+1))-"));
        let shown = self.wait(&format!("end-{}-", number + 1));
        let (before, _) = shown.split_once(&format!("end-{}-", number + 1)).unwrap_or((&shown, ""));
        // bash says this before it runs what was typed.
        before.rsplit("\x1b[?2004l").next().unwrap_or(before).to_owned()
    }

    /// The name of the terminal.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the terminal is set, as stty prints it.
    pub fn settings(&self) -> String {
        Run::of(Command::new("stty").args(["-F", &self.name, "-g"])).ok().out
    }

    /// Waits until the last that is shown has `text` in it; how much was shown. For floods: they are not searched again and again.
    pub fn wait_last(&self, text: &str) -> usize {
        let mut shown = 0;
        let ended = || {
            let screen = self.screen();
            shown = screen.len();
            let last = &screen[shown.saturating_sub(1000)..];
            last.windows(text.len()).any(|part| part == text.as_bytes())
        };
        eventually(&format!("the last that is shown has {text:?}"), ended);
        shown
    }

    /// Gives it another size, as a person does by pulling at the window.
    pub fn resize(&self, rows: u16, columns: u16) {
        let master = self.master.as_ref().expect("it has not been hung up");
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(master.as_fd(), size).expect("a terminal");
    }

    /// The terminal goes away, as a connection that breaks.
    pub fn hang_up(&mut self) {
        self.screen();
        self.master = None;
    }

    /// The pid of `s0`.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.client.id()).unwrap_or(0)
    }

    /// `kill -9` of `s0`.
    pub fn kill(&mut self) {
        let _ = self.client.kill();
    }

    /// Waits for the end of `s0`; its exit code, or -1 for a signal.
    pub fn ended(&mut self) -> i32 {
        let mut code = None;
        eventually("s0 logon ends", || {
            // Somebody has to look, or it could not write its last words.
            self.screen();
            code = self.client.try_wait().ok().flatten();
            code.is_some()
        });
        code.and_then(|status| status.code()).unwrap_or(-1)
    }
}

impl Drop for Logon {
    fn drop(&mut self) {
        self.master = None;
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}
