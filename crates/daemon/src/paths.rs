//! Where our files are: everything below one root.

use std::path::{Path, PathBuf};

/// The file with the number of the next user session: kept until reboot, so that none is given twice.
pub const NEXT_SESSION: &str = "next-session";

/// Paths below a root; an empty root is the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The paths below `root`.
    pub fn new(root: &Path) -> Paths {
        let root = if root.as_os_str().is_empty() { Path::new("/") } else { root };
        Paths { root: root.to_owned() }
    }

    /// The root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// host.toml.
    pub fn settings(&self) -> PathBuf {
        self.root.join("etc/session0/host.toml")
    }

    /// Our configuration.
    pub fn configuration(&self) -> PathBuf {
        self.root.join("etc/session0")
    }

    /// Service files.
    pub fn services(&self) -> PathBuf {
        self.root.join("etc/session0/services")
    }

    /// What is gone after a reboot.
    pub fn run(&self) -> PathBuf {
        self.root.join("run/session0")
    }

    /// Exposed runtime directories.
    pub fn expose(&self) -> PathBuf {
        self.run().join("expose")
    }

    /// Sockets of named pipes, which every session sees.
    pub fn pipes(&self) -> PathBuf {
        self.run().join("pipe")
    }

    /// Built-in accounts, with the hashes of their passwords: not for us to read.
    pub fn accounts(&self) -> PathBuf {
        self.configuration().join("accounts.toml")
    }

    /// The same as passwd(5) has it, without hashes: written by session0-logon.
    pub fn published_accounts(&self) -> PathBuf {
        self.library().join("accounts.passwd")
    }

    /// Homes of built-in accounts.
    pub fn homes(&self) -> PathBuf {
        self.root.join("home")
    }

    /// Whether the root is the machine itself.
    pub fn machine(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The number of the next user session.
    pub fn next_session(&self) -> PathBuf {
        self.run().join(NEXT_SESSION)
    }

    /// Control sockets of inits.
    pub fn inits(&self) -> PathBuf {
        self.run().join("init")
    }

    /// The outer API socket.
    pub fn api(&self) -> PathBuf {
        self.run().join("api")
    }

    /// Logs and events.
    pub fn log(&self) -> PathBuf {
        self.root.join("var/log/session0")
    }

    /// Service output.
    pub fn service_logs(&self) -> PathBuf {
        self.log().join("services")
    }

    /// What survives a reboot.
    pub fn library(&self) -> PathBuf {
        self.root.join("var/lib/session0")
    }

    /// State directories of services.
    pub fn state(&self) -> PathBuf {
        self.library().join("services")
    }
}
