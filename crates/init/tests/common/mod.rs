//! A session with a real init, and the daemon's side of the conversation with it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use session0_model::id::{LaunchId, SESSION_ZERO};
use session0_model::launch::exit::ExitStatus;
use session0_model::launch::plan::{Elevation, Environment, LaunchPlan};
use session0_model::launch::session_plan::{SessionPlan, Sizes};
use session0_model::launch::wire::{FromInit, PROTOCOL, ToInit, decode, encode};
use session0_model::limit::PACKET_MAX;
use session0_sys::cgroup::{Base, SessionGroups, SessionLimits};
use session0_sys::device_policy::{self, OwnTerminal};
use session0_sys::packet::{self, Received, Sent};
use session0_sys::{capability, facility, pidfd, spawn};

/// Whether a test that needs namespaces can run. Says so loudly if not.
pub fn root(test: &str) -> bool {
    let root = rustix::process::getuid().is_root();
    if !root {
        eprintln!("SKIPPED: {test} needs root");
    }
    root
}

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// A session and its daemon.
pub struct Host {
    pub directory: PathBuf,
    pub base: Option<Base>,
    pub groups: Option<SessionGroups>,
    pub init: spawn::Child,
    pub control: OwnedFd,
    /// Said by init, not yet asked for.
    pub said: VecDeque<(FromInit, Option<OwnedFd>)>,
    last_launch: u64,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Host {
    /// An init that is connected and has been greeted.
    pub fn start(limits: SessionLimits) -> Host {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("session0-init-test-{}-{number}", std::process::id()));
        for name in ["state", "expose"] {
            std::fs::create_dir_all(directory.join(name)).unwrap();
        }
        let base = Base::open(&directory).unwrap();
        let groups = SessionGroups::create(&base, SESSION_ZERO, &limits).unwrap();
        device_policy::attach(groups.top(), OwnTerminal::Denied).unwrap();
        let socket = directory.join("init.sock");
        let listener = packet::listen(&socket, 0o600, 16).unwrap();
        let program = spawn::open_program(Path::new(env!("CARGO_BIN_EXE_session0-init"))).unwrap();
        let messages = std::io::stderr();
        let init =
            spawn::session_init(program.as_fd(), SESSION_ZERO, listener.as_fd(), &groups, messages.as_fd())
                .unwrap();
        let control = packet::connect(&socket).unwrap();
        let mut host = Host {
            directory,
            base: Some(base),
            groups: Some(groups),
            init,
            control,
            said: VecDeque::new(),
            last_launch: 0,
        };
        host.greet();
        host
    }

    /// A session that is made.
    pub fn prepared() -> Host {
        Host::prepared_with(SessionLimits::default(), |_| {})
    }

    /// A session that is made a little differently.
    pub fn prepared_with(limits: SessionLimits, change: impl FnOnce(&mut SessionPlan)) -> Host {
        let mut host = Host::start(limits);
        let mut plan = host.plan();
        change(&mut plan);
        host.say(&ToInit::Prepare(plan));
        match host
            .until("Prepared", |said| matches!(said, FromInit::Prepared | FromInit::PrepareFailed { .. }))
        {
            FromInit::Prepared => host,
            other => panic!("{other:?}"),
        }
    }

    pub fn plan(&self) -> SessionPlan {
        SessionPlan {
            session: SESSION_ZERO,
            facilities: facility::found(&facility::probe()),
            capabilities: capability::LOCAL_SYSTEM,
            read_only: ["/usr", "/etc", "/boot", "/root"].map(String::from).into(),
            hidden: Vec::new(),
            expose_root: self.directory.join("expose").to_str().unwrap().into(),
            state_root: self.directory.join("state").to_str().unwrap().into(),
            sizes: Sizes { tmp: 64 << 20, shm: 64 << 20, run: 16 << 20 },
            proc_gid: 64000,
            terminals_max: 16,
            tripwire_uids: vec![64001],
        }
    }

    fn greet(&mut self) {
        match self.until("Hello", |said| matches!(said, FromInit::Hello { .. })) {
            FromInit::Hello { session, .. } => assert_eq!(session, SESSION_ZERO),
            other => panic!("{other:?}"),
        }
        self.say(&ToInit::Hello { protocol: PROTOCOL });
    }

    /// Drops the connection and makes a new one, as a new daemon does. Returns what was replayed.
    pub fn reconnect(&mut self) -> Vec<FromInit> {
        self.control = packet::connect(&self.directory.join("init.sock")).unwrap();
        self.said.clear();
        self.greet();
        let mut replayed = Vec::new();
        loop {
            match self.next("Replayed").0 {
                FromInit::Replayed => return replayed,
                other => replayed.push(other),
            }
        }
    }

    pub fn say(&self, message: &ToInit) {
        self.say_all(std::slice::from_ref(message));
    }

    /// Several messages in as few packets as possible.
    pub fn say_all(&self, messages: &[ToInit]) {
        let mut packet = Vec::new();
        for message in messages {
            let mut one = Vec::new();
            encode(message, &mut one);
            if packet.len() + one.len() > PACKET_MAX {
                self.send(&packet, None);
                packet.clear();
            }
            packet.extend(one);
        }
        self.send(&packet, None);
    }

    pub fn send(&self, packet: &[u8], descriptor: Option<&OwnedFd>) {
        let descriptors: Vec<_> = descriptor.iter().map(|descriptor| descriptor.as_fd()).collect();
        let end = Instant::now() + PATIENCE;
        while packet::send(self.control.as_fd(), packet, &descriptors).unwrap() == Sent::Later {
            assert!(Instant::now() < end, "init does not read");
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// The next thing init says.
    pub fn next(&mut self, expected: &str) -> (FromInit, Option<OwnedFd>) {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(said) = self.said.pop_front() {
                return said;
            }
            self.listen(end, expected);
        }
    }

    fn listen(&mut self, end: Instant, expected: &str) {
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "init did not say {expected}");
        let mut poll = [rustix::event::PollFd::new(&self.control, rustix::event::PollFlags::IN)];
        let timeout = rustix::event::Timespec { tv_sec: left.as_secs() as i64, tv_nsec: 0 };
        rustix::event::poll(&mut poll, Some(&timeout)).unwrap();
        let mut buffer = vec![0; PACKET_MAX];
        match packet::receive(self.control.as_fd(), &mut buffer).unwrap() {
            Received::Nothing => {}
            Received::Closed => panic!("init closed the connection instead of saying {expected}"),
            Received::Packet { length, descriptors } => {
                let mut descriptors = descriptors.into_iter();
                let mut rest = &buffer[..length];
                while !rest.is_empty() {
                    let (message, after) = decode(rest).expect("init speaks its language");
                    rest = after;
                    self.said.push_back((message, descriptors.next()));
                }
            }
        }
    }

    /// The first thing init says that is what is asked for; what came before stays to be asked for.
    pub fn until(&mut self, expected: &str, wanted: impl Fn(&FromInit) -> bool) -> FromInit {
        let end = Instant::now() + PATIENCE;
        let mut looked = 0;
        loop {
            while looked < self.said.len() {
                if wanted(&self.said[looked].0) {
                    return self.said.remove(looked).unwrap().0;
                }
                looked += 1;
            }
            self.listen(end, expected);
        }
    }

    /// The descriptor that was kept under a key (said by init before).
    pub fn kept(&mut self, key: &str) -> OwnedFd {
        let index = self
            .said
            .iter()
            .position(|(said, _)| matches!(said, FromInit::Kept { key: kept } if kept == key));
        self.said.remove(index.expect("it is kept")).unwrap().1.expect("with a descriptor")
    }

    pub fn launch_number(&mut self) -> LaunchId {
        self.last_launch += 1;
        LaunchId(self.last_launch)
    }

    /// Starts a plan and returns once exec happened.
    pub fn launch(&mut self, unit: &str, plan: LaunchPlan) -> LaunchId {
        let launch = self.launch_number();
        self.say(&ToInit::Launch { launch, unit: unit.into(), plan });
        match self.until("Launched", |said| {
            matches!(said, FromInit::Launched { launch: which, .. }
                | FromInit::LaunchFailed { launch: which, .. } if *which == launch)
        }) {
            FromInit::Launched { .. } => launch,
            other => panic!("{unit}: {other:?}"),
        }
    }

    pub fn exit_of(&mut self, launch: LaunchId) -> ExitStatus {
        let exited = |said: &FromInit| match said {
            FromInit::ExitedWithUsage { launch, status, .. } | FromInit::Exited { launch, status, .. } => {
                Some((*launch, *status))
            }
            _ => None,
        };
        let said = self.until("Exited", |said| exited(said).is_some_and(|(which, _)| which == launch));
        exited(&said).unwrap().1
    }

    /// Runs a shell script in the session and returns what it wrote.
    pub fn shell(&mut self, unit: &str, script: &str) -> String {
        self.shell_with(unit, script, |_| {})
    }

    /// The same with a changed plan.
    pub fn shell_with(&mut self, unit: &str, script: &str, change: impl FnOnce(&mut LaunchPlan)) -> String {
        let script = format!("exec >/run/session0/state/{unit}/out 2>&1\n{script}");
        let mut plan = shell_plan(&script);
        plan.state_directory = true;
        change(&mut plan);
        let launch = self.launch(unit, plan);
        self.exit_of(launch);
        std::fs::read_to_string(self.directory.join("state").join(unit).join("out")).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let (Some(groups), Some(base)) = (self.groups.take(), self.base.take()) else { return };
        let _ = groups.freeze(session0_sys::cgroup::Freezer::Thawed);
        let _ = groups.kill();
        let pidfd = self.init.pidfd.as_fd();
        let end = Instant::now() + PATIENCE;
        while !pidfd::ended(pidfd).unwrap_or(true) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOHANG;
        let _ = rustix::process::waitid(rustix::process::WaitId::PidFd(pidfd), options);
        while groups.populated().unwrap_or(false) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        let removed = groups.remove(&base).and_then(|()| base.remove());
        let _ = std::fs::remove_dir_all(&self.directory);
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}

/// A root shell with everything on.
pub fn shell_plan(script: &str) -> LaunchPlan {
    LaunchPlan {
        arguments: ["sh", "-c", script].map(String::from).into(),
        environment: Environment::new([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")]),
        capabilities: capability::LOCAL_SYSTEM,
        elevation: Elevation::Contained,
        ..LaunchPlan::bare("/bin/sh", 0, 0)
    }
}

/// The same as nobody in particular.
pub fn user_plan(script: &str) -> LaunchPlan {
    LaunchPlan { uid: 64001, gid: 64001, capabilities: 0, elevation: Elevation::Deny, ..shell_plan(script) }
}
