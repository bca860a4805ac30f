//! What every command works with: where the host is, how to print, and how its answers become failures.

use std::path::{Path, PathBuf};

use session0::pipe::{self, Code};
use session0::{Client, Error};

use crate::cli::Global;
use crate::failure::{Failure, Kind};
use crate::output::Output;
use crate::root::Root;

/// Made once from the command line.
#[derive(Debug, Clone)]
pub struct Context {
    /// The host's root.
    pub root: Root,
    /// The host's socket.
    pub socket: PathBuf,
    /// Printing.
    pub output: Output,
}

impl Context {
    /// From the options of every command.
    pub fn new(global: &Global) -> Context {
        let root = Root::new(global.root.as_deref().map(Path::new));
        // A variable that is set to nothing is as good as none.
        let socket = global.socket.clone().filter(|path| !path.is_empty()).map(PathBuf::from);
        Context {
            socket: socket.unwrap_or_else(|| root.socket()),
            root,
            output: Output::new(global.json, global.color),
        }
    }

    /// Calls the host.
    pub fn client(&self, tried: &str) -> Result<Client, Failure> {
        Client::connect(&self.socket).map_err(|error| self.failure(tried, error))
    }

    /// A failure of a call.
    pub fn failure(&self, tried: &str, error: Error) -> Failure {
        let code = error.code().unwrap_or(0);
        let hint = error.hint().map(|hint| self.with_root(hint));
        let words = error.to_string();
        let (tried, reason) = said_once(tried, &words);
        let failure = match error {
            Error::Refused(_) => Failure::refused(tried, reason),
            Error::NotPermitted(_) => Failure::new(Kind::NotPermitted, tried, reason),
            Error::Unreachable { .. } => return self.unreachable(tried, reason),
            _ => Failure::fault(tried, reason),
        };
        let failure = match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        };
        failure.code(code)
    }

    /// A failure of a call about a pipe, or on one.
    pub fn pipe_failure(&self, tried: &str, error: pipe::Error) -> Failure {
        if error.code() == Code::NotReady
            && let Err(unreachable) = Client::connect(&self.socket)
        {
            return self.failure(tried, unreachable);
        }
        let (tried, reason) = said_once(tried, error.message());
        let kind = match error.code() {
            Code::AccessDenied | Code::PrivilegeNotHeld => Kind::NotPermitted,
            Code::InternalError => Kind::Fault,
            _ => Kind::Refused,
        };
        let failure = Failure::new(kind, tried, reason).code(error.code().number());
        match error.hint() {
            Some(hint) => failure.hint(self.with_root(hint)),
            None => failure,
        }
    }

    /// The host's hints name commands for the machine's own host.
    fn with_root(&self, hint: &str) -> String {
        hint.replace("`s0 ", &format!("`s0 {}", self.root.flag()))
    }

    fn unreachable(&self, tried: &str, reason: &str) -> Failure {
        let hint = format!(
            "is it up? `sudo s0 {}up` starts it; another root is named with --root or SESSION0_ROOT",
            self.root.flag()
        );
        Failure::fault(tried, reason).hint(hint)
    }
}

/// The host says itself what could not be done; once is enough.
fn said_once<'a>(tried: &'a str, words: &'a str) -> (&'a str, &'a str) {
    words.strip_prefix("could not ").and_then(|rest| rest.split_once(": ")).unwrap_or((tried, words))
}
