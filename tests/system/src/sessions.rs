//! Accounts, sessions and programs in them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::host::{Host, Run, binary};
use crate::wait::{eventually, eventually_value};

impl Host {
    /// `s0 account add NAME --password-stdin`.
    pub fn account(&self, name: &str, password: &str) -> Run {
        self.s0_with(&["account", "add", name, "--password-stdin"], &format!("{password}\n"))
    }

    /// `s0 --root ROOT ARGUMENTS` with this on standard input.
    pub fn s0_with(&self, arguments: &[&str], input: &str) -> Run {
        let mut program = Program::start(&mut self.s0_command(arguments));
        program.say(input);
        program.end()
    }

    /// `s0 --root ROOT ARGUMENTS`, not started.
    pub fn s0_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("s0"));
        command.arg("--root").arg(self.root()).args(arguments);
        command
    }

    /// All sessions, as `s0 session list --json` has them.
    pub fn sessions(&self) -> Vec<Value> {
        match self.s0(&["session", "list", "--json"]).ok().json() {
            Value::Array(sessions) => sessions,
            other => panic!("not a list of sessions: {other}"),
        }
    }

    /// The numbers of a user's sessions.
    pub fn sessions_of(&self, user: &str) -> Vec<u32> {
        let sessions = self.sessions();
        let his = sessions.iter().filter(|session| session["user"] == user);
        his.filter_map(|session| session["id"].as_u64()).filter_map(|id| u32::try_from(id).ok()).collect()
    }

    /// A user's uid, while he has a session.
    pub fn uid_of(&self, user: &str) -> u32 {
        let sessions = self.sessions();
        let uid = sessions.iter().find(|session| session["user"] == user).and_then(|one| one["uid"].as_u64());
        uid.and_then(|uid| u32::try_from(uid).ok()).expect("he has a session, and a uid")
    }

    /// `s0 session run SESSION -- ARGUMENTS`, to its end.
    pub fn run_in(&self, session: u32, arguments: &[&str]) -> Run {
        Run::of(&mut self.command_in(session, arguments))
    }

    /// The same, not waited for.
    pub fn begin_in(&self, session: u32, arguments: &[&str]) -> Program {
        Program::start(&mut self.command_in(session, arguments))
    }

    /// The same, not started.
    pub fn command_in(&self, session: u32, arguments: &[&str]) -> Command {
        let mut command = self.s0_command(&["session", "run", &session.to_string(), "--"]);
        command.args(arguments);
        command
    }

    /// Ends the host when what is returned is dropped or this process ends, however that ends: for a host that many tests
    /// share.
    #[must_use]
    pub fn end_with_us(&self) -> Child {
        // The pipe closes with the last of us that holds it, and only we do.
        let script = "read -r x; \"$1\" --root \"$2\" down; rm -rf \"$2\" \"$3\"";
        Command::new("/bin/sh")
            .args(["-c", script, "sh"])
            .arg(binary("s0"))
            .args([self.root(), self.visible()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell")
    }
}

/// A program that is running, with its output so far.
pub struct Program {
    child: Child,
    said: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Program {
    /// Starts it with pipes.
    pub fn start(command: &mut Command) -> Program {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be executed");
        let said = Arc::new(Mutex::new(String::new()));
        let (stdout, sink) = (child.stdout.take().expect("piped"), Arc::clone(&said));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                let mut said = sink.lock().unwrap_or_else(PoisonError::into_inner);
                said.push_str(&String::from_utf8_lossy(&line));
                said.push('\n');
            }
        });
        Program { child, said, reader: Some(reader) }
    }

    /// What it has printed.
    pub fn text(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has printed `text`; everything it printed. Panics if it has ended without.
    pub fn wait(&mut self, text: &str) -> String {
        let said = self.wait_or_end(text);
        assert!(said.contains(text), "a program ended and did not print {text:?}; it printed:\n{said}");
        said
    }

    /// The same where the end is an answer, too: who calls it looks at what was printed.
    pub fn wait_or_end(&mut self, text: &str) -> String {
        eventually_value(&format!("a program prints {text:?}"), || {
            let over = self.child.try_wait().ok().flatten().is_some();
            // Its last words may still be on their way when it is over.
            let read = self.reader.as_ref().is_none_or(std::thread::JoinHandle::is_finished);
            let said = self.text();
            (said.contains(text) || over && read).then_some(said)
        })
    }

    /// Writes to its standard input.
    pub fn say(&mut self, text: &str) {
        if let Some(stdin) = &mut self.child.stdin {
            // It may have ended already, which its exit code says.
            let _ = stdin.write_all(text.as_bytes());
        }
    }

    /// Closes its standard input and waits for its end.
    pub fn end(mut self) -> Run {
        drop(self.child.stdin.take());
        let mut code = None;
        eventually(&format!("a program ends; it printed:\n{}", self.text()), || {
            code = self.child.try_wait().ok().flatten();
            code.is_some()
        });
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        let mut err = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut stderr, &mut err);
        }
        Run { code: code.and_then(|status| status.code()).unwrap_or(-1), out: self.text(), err }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
