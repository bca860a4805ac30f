//! Named pipes on a host: servers and clients of the probe, wherever they are to be.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use session0::api::pipe::PipeStatus;

use crate::host::{Host, Run, probe_path};
use crate::sessions::Program;

/// Python, as sessions see it too.
const PYTHON: &str = "/usr/bin/python3";

/// False, and said so, when the test does not run as root or there is no Python.
pub fn needs_python(test: &str) -> bool {
    if !Path::new(PYTHON).exists() {
        crate::skip(test, "Python is not installed");
        return false;
    }
    crate::needs_root(test)
}

/// Where a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// In a session.
    Session(u32),
    /// Outside every session, as root.
    Outside,
}

impl Host {
    /// The API outside.
    pub fn api(&self) -> PathBuf {
        self.root().join("run/session0/api")
    }

    /// The directory of pipes' sockets outside.
    pub fn pipe_directory(&self) -> PathBuf {
        self.root().join("run/session0/pipe")
    }

    /// The names in it.
    pub fn pipe_sockets(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.pipe_directory()).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// A client of the API outside.
    pub fn client(&self) -> session0::Client {
        session0::Client::connect(&self.api()).expect("the host answers")
    }

    /// A pipe as it is now, if it is there.
    pub fn pipe(&self, name: &str) -> Option<PipeStatus> {
        self.client().pipe(name).ok()
    }

    /// The probe with these words, not started.
    pub fn probe_at(&self, at: At, words: &[&str]) -> Command {
        let probe = probe_path(self);
        match at {
            At::Session(session) => self.command_in(session, &[&[probe.as_str()], words].concat()),
            At::Outside => {
                let mut command = Command::new(probe);
                command.args(words).env("SESSION0_SOCKET", self.api());
                command
            }
        }
    }

    /// `pipe-serve WORDS`, once it listens.
    pub fn serves(&self, at: At, words: &[&str]) -> Program {
        let mut server = self.begins_to_serve(at, words);
        server.wait("listening ");
        server
    }

    /// The same, which may be refused.
    pub fn begins_to_serve(&self, at: At, words: &[&str]) -> Program {
        Program::start(&mut self.probe_at(at, &[&["pipe-serve"], words].concat()))
    }

    /// `pipe-serve WORDS` as a new service with these lines in its file, once it listens.
    pub fn serves_as(&self, service: &str, lines: &str, words: &[&str]) {
        self.add_server(service, lines, words);
        self.s0(&["reload"]).ok();
        self.s0(&["service", "start", service]).ok();
        self.wait_log(service, "listening ");
    }

    /// The file of such a service.
    pub fn add_server(&self, service: &str, lines: &str, words: &[&str]) {
        self.add_probe(service, lines, &[&["pipe-serve"], words].concat());
    }

    /// The file of a service that is the probe with these words.
    pub fn add_probe(&self, service: &str, lines: &str, words: &[&str]) {
        let probe = probe_path(self);
        let command = [&[probe.as_str()], words].concat();
        let text = format!("command = {command:?}\n{lines}");
        let file = self.root().join(format!("etc/session0/services/{service}.toml"));
        std::fs::write(file, text).expect("our own root");
    }

    /// `pipe-open WORDS`, to its end; its input is empty.
    pub fn opens(&self, at: At, words: &[&str]) -> Run {
        Run::of(&mut self.probe_at(at, &[&["pipe-open"], words].concat()))
    }

    /// The same, not waited for.
    pub fn begins_to_open(&self, at: At, words: &[&str]) -> Program {
        Program::start(&mut self.probe_at(at, &[&["pipe-open"], words].concat()))
    }

    /// Python run with a program of ours.
    pub fn python_at(&self, at: At, program: &str, arguments: &[&str]) -> Command {
        let words = [&[PYTHON, "-c", program], arguments].concat();
        match at {
            At::Session(session) => self.command_in(session, &words),
            At::Outside => {
                let mut command = Command::new(words[0]);
                command.args(&words[1..]);
                command
            }
        }
    }

    /// A pipe's own socket as it is seen there.
    pub fn pipe_socket(&self, at: At, name: &str) -> String {
        let directory = match at {
            At::Session(_) => Path::new("/run/session0/pipe").to_path_buf(),
            At::Outside => self.pipe_directory(),
        };
        directory.join(name).display().to_string()
    }
}

/// The JSON behind a word at a line's beginning: the last such line.
pub fn told(output: &str, word: &str) -> Value {
    let mut lines = output.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    let last = lines.next_back().unwrap_or_else(|| panic!("no line begins with {word:?}:\n{output}"));
    serde_json::from_str(last).unwrap_or_else(|error| panic!("not JSON ({error}): {last}"))
}
