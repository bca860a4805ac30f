//! What tests about users share: a host that many of them use, each with an account of its own.

use std::process::{Child, Command};
use std::sync::OnceLock;

use crate::host::{Host, HostBuilder, Run};

/// Everybody's.
pub const PASSWORD: &str = "correct horse 7";

/// A host that the tests of a file share. It is made for the first of them and ends with this process.
pub struct Shared(OnceLock<Option<(Host, Child)>>);

impl Shared {
    /// One that is not made yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Shared {
        Shared(OnceLock::new())
    }

    /// The host; made with these settings.
    pub fn host(&'static self, settings: &str) -> &'static Host {
        let start = || {
            let host = HostBuilder::new().host_toml(settings).start();
            let watcher = host.end_with_us();
            (host, watcher)
        };
        // A host that cannot be made is not tried again for every test.
        let made = self.0.get_or_init(|| std::panic::catch_unwind(start).ok());
        &made.as_ref().expect("the host that tests share could be made; see the first of them").0
    }
}

impl Host {
    /// A new account with everybody's password.
    pub fn person(&self, name: &str) {
        self.account(name, PASSWORD).ok();
    }

    /// The only session of a user.
    pub fn session_of(&self, user: &str) -> u32 {
        let sessions = self.sessions_of(user);
        assert_eq!(sessions.len(), 1, "{user} has the sessions {sessions:?}");
        sessions[0]
    }

    /// Waits until a user has so many sessions.
    pub fn wait_sessions(&self, user: &str, count: usize) {
        crate::eventually(&format!("{user} has {count} sessions"), || self.sessions_of(user).len() == count);
    }

    /// Runs a line of shell in a session; what it printed, without the last newline.
    pub fn sh_in(&self, session: u32, line: &str) -> String {
        self.run_in(session, &["/bin/sh", "-c", line]).out.trim_end().to_owned()
    }

    /// Pids on the machine of what runs in a session, init not counted.
    pub fn pids_in(&self, session: u32) -> Vec<i32> {
        let base = self.group("..");
        let mut found = Vec::new();
        let mut waiting = vec![base.join(format!("session-{session}")).join("work")];
        while let Some(directory) = waiting.pop() {
            let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
            waiting.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
            let text = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
            found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
        found
    }

    /// Pids of the processes that ask at a logon: children of the daemon.
    pub fn logon_pids(&self) -> Vec<i32> {
        let daemon = self.daemon_pid().to_string();
        let all = Run::of(Command::new("ps").args(["--ppid", &daemon, "-o", "pid=,args="])).out;
        let ours = all.lines().filter(|line| line.contains("session0-logon"));
        ours.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
    }

    /// The pid on the machine of a session's init.
    pub fn init_of(&self, session: u32) -> i32 {
        let group = self.group("..").join(format!("session-{session}")).join("init");
        let text = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    /// `s0` where sessions see it: its own directory may lie below /tmp, which is private there.
    pub fn visible_s0(&self) -> String {
        static COPYING: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _one = COPYING.lock();
        let copy = self.visible().join("s0");
        if !copy.exists() {
            std::fs::copy(crate::binary("s0"), &copy).expect("our own directory");
        }
        copy.display().to_string()
    }

    /// The text of all events so far.
    pub fn events(&self) -> String {
        self.s0(&["events"]).ok().out
    }
}
