//! A session with a real init, and the daemon's side of the conversation with it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use session0_model::id::{LaunchId, SESSION_ZERO};
use session0_model::launch::exit::{ExitStatus, LaunchFailure};
use session0_model::launch::plan::{Elevation, Environment, LaunchPlan, Streams};
use session0_model::launch::session_plan::{Doors, SessionKind, SessionPlan, Shown, Sizes, UserPlan};
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
        skip(test, "needs root");
    }
    root
}

/// Says that a test did not run, past the test runner's capture: a test that only returns is counted as passed.
pub fn skip(test: &str, reason: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED {test}: {reason}");
}

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// A session and its daemon.
pub struct Host {
    pub directory: PathBuf,
    pub base: Option<Base>,
    pub groups: Option<SessionGroups>,
    pub init: spawn::Child,
    /// How long the session's groups and its device policy took.
    pub groups_made: Duration,
    /// When init was about to be cloned.
    pub cloned: Instant,
    pub control: OwnedFd,
    /// Said by init, not yet asked for.
    pub said: VecDeque<(FromInit, Vec<OwnedFd>)>,
    last_launch: u64,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Host {
    /// An init that is connected and has been greeted.
    pub fn start(limits: SessionLimits) -> Host {
        Host::start_with(limits, Some(OwnTerminal::Denied))
    }

    /// The same with this device policy, or with none.
    pub fn start_with(limits: SessionLimits, policy: Option<OwnTerminal>) -> Host {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("session0-init-test-{}-{number}", std::process::id()));
        for name in ["state", "expose", "pipe", "homes", "hidden"] {
            std::fs::create_dir_all(directory.join(name)).unwrap();
        }
        let base = Base::open(&directory).unwrap();
        let begin = Instant::now();
        let groups = SessionGroups::create(&base, SESSION_ZERO, &limits).unwrap();
        if let Some(policy) = policy {
            device_policy::attach(groups.top(), policy).unwrap();
        }
        let groups_made = begin.elapsed();
        let socket = directory.join("init.sock");
        let listener = packet::listen(&socket, 0o600, 16).unwrap();
        let program = spawn::open_program(Path::new(env!("CARGO_BIN_EXE_session0-init"))).unwrap();
        let messages = std::io::stderr();
        let cloned = Instant::now();
        let init =
            spawn::session_init(program.as_fd(), SESSION_ZERO, listener.as_fd(), &groups, messages.as_fd())
                .unwrap();
        let control = packet::connect(&socket).unwrap();
        let mut host = Host {
            directory,
            base: Some(base),
            groups: Some(groups),
            init,
            groups_made,
            cloned,
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
        host.make(plan, SessionKind::Services);
        host
    }

    /// A user's session, a little different.
    pub fn user_with(change: impl FnOnce(&mut SessionPlan, &mut Shown)) -> Host {
        let mut host = Host::start_with(SessionLimits::default(), Some(OwnTerminal::Allowed));
        let (plan, kind) = host.user_kind(change);
        host.make(plan, kind);
        host
    }

    /// What makes a user's session.
    pub fn user_kind(&self, change: impl FnOnce(&mut SessionPlan, &mut Shown)) -> (SessionPlan, SessionKind) {
        let mut plan = self.plan();
        plan.state_root = String::new();
        plan.tripwire_uids = Vec::new();
        let homes = self.directory.join("homes").to_str().unwrap().into();
        let mut shown = Shown { homes: Some(homes), exposed: Vec::new() };
        change(&mut plan, &mut shown);
        (plan, SessionKind::User(shown))
    }

    /// A user's session with ada (64001) in it.
    pub fn user() -> Host {
        let mut host = Host::user_with(|_, _| {});
        host.enter(64001, PASSWD, GROUP);
        host
    }

    /// A session with its walls down.
    pub fn xp() -> Host {
        let mut host = Host::start_with(SessionLimits::default(), None);
        let mut plan = host.plan();
        plan.read_only = Vec::new();
        let homes = host.directory.join("homes").to_str().unwrap().into();
        let kind = SessionKind::Xp(Shown { homes: Some(homes), exposed: Vec::new() });
        host.make(plan, kind);
        host
    }

    /// As a daemon of this version has a session made.
    fn make(&mut self, plan: SessionPlan, kind: SessionKind) {
        let doors = Doors { pipes: self.directory.join("pipe").to_str().unwrap().into() };
        self.say(&ToInit::PrepareWith { plan, kind, doors });
        self.until_prepared();
    }

    pub fn until_prepared(&mut self) {
        match self
            .until("Prepared", |said| matches!(said, FromInit::Prepared | FromInit::PrepareFailed { .. }))
        {
            FromInit::Prepared => {}
            other => panic!("{other:?}"),
        }
    }

    /// A user enters; the session sees these accounts.
    pub fn enter(&mut self, uid: u32, passwd: &str, group: &str) {
        let text = |text: &str| {
            let memory = rustix::fs::memfd_create("accounts", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
            let mut file = std::fs::File::from(memory);
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
            OwnedFd::from(file)
        };
        let mut packet = Vec::new();
        let plan = UserPlan { uid, gid: uid, runtime_bytes: 8 << 20, home: None };
        encode(&ToInit::Enter(plan), &mut packet);
        self.send_all(&packet, &[text(passwd).as_fd(), text(group).as_fd()]);
    }

    /// Starts a plan with streams and returns the other ends once exec happened.
    pub fn launch_with(
        &mut self,
        unit: &str,
        plan: LaunchPlan,
        streams: Streams,
    ) -> Result<(LaunchId, Vec<OwnedFd>), LaunchFailure> {
        let launch = self.launch_number();
        self.say(&ToInit::LaunchWith { launch, unit: unit.into(), plan, streams });
        let outcome = self.until("Launched", |said| {
            matches!(said, FromInit::Launched { launch: which, .. }
                | FromInit::LaunchFailed { launch: which, .. } if *which == launch)
        });
        let told = |said: &FromInit| matches!(said, FromInit::Streams { launch: which } if *which == launch);
        let index = self.said.iter().position(|(said, _)| told(said));
        match outcome {
            FromInit::Launched { .. } => {
                let (_, ends) = self.said.remove(index.expect("streams come before Launched")).unwrap();
                Ok((launch, ends))
            }
            FromInit::LaunchFailed { failure, .. } => {
                assert_eq!(index, None, "nothing is given of a launch that failed");
                Err(failure)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Runs a user's program with pipes and returns how it ended, and both its outputs.
    pub fn piped(&mut self, unit: &str, plan: LaunchPlan, input: &str) -> (ExitStatus, String, String) {
        let (launch, ends) = self.launch_with(unit, plan, Streams::Pipes).unwrap();
        let [to_input, output, error] = <[OwnedFd; 3]>::try_from(ends).unwrap();
        let mut to_input = std::fs::File::from(to_input);
        std::io::Write::write_all(&mut to_input, input.as_bytes()).unwrap();
        drop(to_input);
        let error = std::thread::spawn(move || std::io::read_to_string(std::fs::File::from(error)).unwrap());
        let output = std::io::read_to_string(std::fs::File::from(output)).unwrap();
        (self.exit_of(launch), output, error.join().unwrap())
    }

    /// What ada's script writes, both outputs in one.
    pub fn ada(&mut self, script: &str) -> String {
        self.ada_with(script, |_| {})
    }

    /// The same with a changed plan.
    pub fn ada_with(&mut self, script: &str, change: impl FnOnce(&mut LaunchPlan)) -> String {
        let mut plan = user_plan(&format!("exec 2>&1\n{script}"));
        change(&mut plan);
        self.piped("ada", plan, "").1
    }

    pub fn plan(&self) -> SessionPlan {
        SessionPlan {
            session: SESSION_ZERO,
            facilities: facility::found(&facility::probe()),
            capabilities: capability::LOCAL_SYSTEM,
            elevation: Elevation::Contained,
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
        self.connect_again();
        let mut replayed = Vec::new();
        loop {
            match self.next("Replayed").0 {
                FromInit::Replayed => return replayed,
                other => replayed.push(other),
            }
        }
    }

    /// The same, and what is replayed stays to be asked for.
    pub fn connect_again(&mut self) {
        self.control = packet::connect(&self.directory.join("init.sock")).unwrap();
        self.said.clear();
        self.greet();
    }

    /// Where the units' groups are.
    pub fn work(&self) -> PathBuf {
        self.base.as_ref().unwrap().path().join("session-0/work")
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
                self.send_all(&packet, &[]);
                packet.clear();
            }
            packet.extend(one);
        }
        self.send_all(&packet, &[]);
    }

    pub fn send(&self, packet: &[u8], descriptor: Option<&OwnedFd>) {
        let descriptors: Vec<_> = descriptor.iter().map(|descriptor| descriptor.as_fd()).collect();
        self.send_all(packet, &descriptors);
    }

    pub fn send_all(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let end = Instant::now() + PATIENCE;
        while packet::send(self.control.as_fd(), packet, descriptors).unwrap() == Sent::Later {
            assert!(Instant::now() < end, "init does not read");
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// The next thing init says.
    pub fn next(&mut self, expected: &str) -> (FromInit, Vec<OwnedFd>) {
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
                let mut descriptors = Some(descriptors);
                let mut rest = &buffer[..length];
                while !rest.is_empty() {
                    let (message, after) = decode(rest).expect("init speaks its language");
                    rest = after;
                    // A message with descriptors is alone in its packet.
                    self.said.push_back((message, descriptors.take().unwrap_or_default()));
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

    /// The keys of what is kept, as init said them.
    pub fn kept_keys(&self) -> Vec<String> {
        let key = |said: &FromInit| match said {
            FromInit::Kept { key } => Some(key.clone()),
            _ => None,
        };
        self.said.iter().filter_map(|(said, _)| key(said)).collect()
    }

    /// The descriptor that was kept under a key (said by init before).
    pub fn kept(&mut self, key: &str) -> OwnedFd {
        let index = self
            .said
            .iter()
            .position(|(said, _)| matches!(said, FromInit::Kept { key: kept } if kept == key));
        self.said.remove(index.expect("it is kept")).unwrap().1.pop().expect("with a descriptor")
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

/// The accounts that a session with ada in it sees.
pub const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nada:x:64001:64001:Ada:/home/ada:/bin/sh\nbob:x:64002:64002::/home/bob:/bin/sh\n";
pub const GROUP: &str = "root:x:0:\ntty:x:5:\nada:x:64001:\nbob:x:64002:ada\n";

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

/// Looks until it is there.
pub fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}
