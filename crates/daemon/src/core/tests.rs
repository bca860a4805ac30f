//! The loop against a false init on a socketpair, with real control groups: as root only.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command};

use session0_model::access::Origin;
use session0_model::id::{LaunchId, SESSION_ZERO};
use session0_model::launch::exit::ExitStatus;
use session0_model::launch::session_plan::Facilities;
use session0_model::launch::wire::{self, FromInit, Remains, ToInit};
use session0_model::limit;
use session0_model::service::status::State as ServiceState;
use session0_model::system::{Configuration, Recovered, ServiceRequest, Wait};
use session0_sys::cgroup::{Base, SessionGroups, SessionLimits};
use session0_sys::packet::{self, Received};

use super::*;
use crate::link::{Link, Replay};
use crate::paths::Paths;
use crate::session::Joined;
use crate::{builtin, config};

struct World {
    core: Core,
    /// The other end of the link.
    init: OwnedFd,
    /// Stands for init's process.
    process: Child,
    top: PathBuf,
}

impl World {
    /// A host whose Session 0 is just made, with the services of these files.
    fn new(name: &str, services: &[(&str, &str)]) -> World {
        let top = std::env::temp_dir().join(format!("session0-core-{name}-{}", std::process::id()));
        let paths = Paths::new(&top);
        std::fs::create_dir_all(paths.services()).unwrap();
        std::fs::create_dir_all(paths.inits()).unwrap();
        for (file, text) in services {
            std::fs::write(paths.services().join(file), text).unwrap();
        }
        let loaded = config::load(&paths);
        assert_eq!(loaded.problems, []);
        let base = Base::open(&top).unwrap();
        let groups = SessionGroups::create(&base, SESSION_ZERO, &SessionLimits::default()).unwrap();
        let program = || session0_sys::spawn::open_program(Path::new("/bin/false")).unwrap();
        let place = Place { paths, base, init: program(), logon: program(), facilities: Facilities::empty() };
        let (ours, theirs) = packet::pair().unwrap();
        let (link, incoming) = Link::over(ours).unwrap();
        let process = Command::new("/bin/sleep").arg("600").spawn().unwrap();
        let pidfd = session0_sys::pidfd::open(process.id() as i32).unwrap();
        let recovered = Recovered { protocol: 2, records: vec![], alive: vec![], exits: vec![] };
        let replay = Replay { prepared: true, recovered, kept: HashMap::new(), groups: vec![], exit: 0 };
        let session = Session::new(groups, pidfd, link, replay).unwrap();
        let core = Core::new(State::new(place, loaded.settings.clone(), vec![0], "/bin/true".into()));
        core.take([Input::Start {
            configuration: whole(loaded.configuration, &loaded.settings),
            recovered: None,
            sessions: Vec::new(),
            session_last: 0,
        }]);
        // The session that the model asked for is ours, not one of /bin/false.
        core.with(|state| state.creating.drain().for_each(|(_, task)| task.abort()));
        crate::join::join(&core, SESSION_ZERO, Joined { session, incoming });
        core.take([Input::SessionCreated { session: SESSION_ZERO, protocol: 2 }]);
        World { core, init: theirs, process, top }
    }

    /// What init was told since the last call.
    fn told(&self) -> Vec<ToInit> {
        let mut buffer = vec![0; limit::PACKET_MAX];
        let mut messages = Vec::new();
        while let Received::Packet { length, .. } = packet::receive(self.init.as_fd(), &mut buffer).unwrap() {
            let mut rest = &buffer[..length];
            while let Some((message, after)) = wire::decode(rest).filter(|_| !rest.is_empty()) {
                messages.push(message);
                rest = after;
            }
        }
        messages
    }

    fn say(&self, messages: &[FromInit]) {
        let mut bytes = Vec::new();
        messages.iter().for_each(|message| wire::encode(message, &mut bytes));
        packet::send(self.init.as_fd(), &bytes, &[]).unwrap();
    }

    fn state_of(&self, name: &str) -> ServiceState {
        let name = ServiceName::new(name).unwrap();
        self.core.with(|state| state.system.service(&name).unwrap().state)
    }

    /// Reports every launch that was asked for as done.
    fn launch_all(&self) -> Vec<(LaunchId, String)> {
        let launches: Vec<_> = self
            .told()
            .into_iter()
            .filter_map(|message| match message {
                ToInit::Launch { launch, unit, .. } => Some((launch, unit)),
                _ => None,
            })
            .collect();
        for (index, (launch, _)) in launches.iter().enumerate() {
            let pid = 10 + index as i32;
            self.say(&[FromInit::Launched { launch: *launch, pid, group: 1000 + index as u64, at: now() }]);
        }
        launches
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.core.with(|state| state.session.take().map(|session| session.groups.remove(&state.place.base)));
        let _ = Base::open(&self.top).and_then(Base::remove);
        let _ = std::fs::remove_dir_all(&self.top);
    }
}

fn whole(configuration: Configuration, settings: &Settings) -> Configuration {
    let logger = builtin::logger(Path::new("/bin/true"), settings).unwrap();
    let mut configuration = configuration;
    configuration.services.push(logger);
    configuration
}

fn run(name: &str, test: impl Future<Output = ()>) {
    if !rustix::process::geteuid().is_root() {
        // Past the runner's capture, or a test that only returned is counted as passed.
        let skipped = format!("SKIPPED {name}: needs root, for control groups\n");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), skipped.as_bytes());
        return;
    }
    tokio::runtime::LocalRuntime::new().unwrap().block_on(test);
}

/// Lets the tasks run.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
}

fn root() -> Caller {
    Caller { origin: Origin::Outside, uid: 0, groups: vec![0], pid: 1 }
}

fn start(name: &str) -> Request {
    Request::Service(ServiceRequest::Start { name: ServiceName::new(name).unwrap(), wait: Wait::Settled })
}

const AUTO: &str = "command = \"/bin/sleep 1\"\nstart = \"auto\"\naccount = \"root\"\n";
const DEMAND: &str = "command = \"/bin/sleep 1\"\naccount = \"root\"\n";

#[test]
fn automatic_services_run_and_a_start_is_answered_after_its_record() {
    run("automatic_services_run", async {
        let world = World::new("start", &[("a.toml", AUTO), ("b.toml", DEMAND)]);
        let units: Vec<String> = {
            let first = world.launch_all();
            settle().await;
            let mut units: Vec<_> =
                first.into_iter().chain(world.launch_all()).map(|(_, unit)| unit).collect();
            units.sort();
            units
        };
        assert_eq!(units, ["a", "session0-log"]);
        settle().await;
        assert_eq!(world.state_of("a"), ServiceState::Running);

        let core = world.core.clone();
        let asked = tokio::task::spawn_local(async move { core.request(root(), start("b")).await });
        settle().await;
        let told = world.told();
        let at = |wanted: fn(&ToInit) -> bool| told.iter().position(wanted);
        let launch = at(|message| matches!(message, ToInit::Launch { unit, .. } if unit == "b")).unwrap();
        let record = at(|message| matches!(message, ToInit::Store { .. })).unwrap();
        assert!(record < launch, "{told:?}");
        assert!(!asked.is_finished());
        let ToInit::Launch { launch, .. } = told[launch].clone() else { unreachable!() };
        world.say(&[FromInit::Launched { launch, pid: 30, group: 1030, at: now() }]);
        assert!(matches!(asked.await.unwrap(), Ok(Reply::Service(status)) if status.pid == Some(30)));
    });
}

#[test]
fn an_exit_is_acknowledged_once_it_is_recorded() {
    run("an_exit_is_acknowledged", async {
        let world = World::new("exit", &[("a.toml", AUTO)]);
        let mut launches = world.launch_all();
        settle().await;
        launches.extend(world.launch_all());
        settle().await;
        world.told();
        let launch = launches.iter().find(|(_, unit)| unit == "a").unwrap().0;
        let (status, remains) = (ExitStatus::Exited(3), Remains::Nothing);
        world.say(&[FromInit::Exited { sequence: 7, launch, status, at: now(), remains }]);
        settle().await;
        let told = world.told();
        let acknowledged =
            told.iter().position(|message| *message == ToInit::Acknowledge { through: 7 }).unwrap();
        let record = told.iter().position(|message| matches!(message, ToInit::Store { .. })).unwrap();
        assert!(record < acknowledged, "{told:?}");
    });
}

#[test]
fn a_reply_waits_until_its_records_have_left() {
    run("a_reply_waits", async {
        let world = World::new("full", &[("b.toml", DEMAND)]);
        // Init does not read, and its socket is full.
        let filler = ToInit::Store { key: "filler".into(), bytes: vec![0; 100_000] };
        world.core.with(|state| {
            let session = state.session.as_ref().unwrap();
            (0..100).for_each(|_| session.link.say(&filler));
        });
        world.core.flush();
        let core = world.core.clone();
        let begun = Request::Service(ServiceRequest::Start {
            name: ServiceName::new("b").unwrap(),
            wait: Wait::Begun,
        });
        let asked = tokio::task::spawn_local(async move { core.request(root(), begun).await });
        settle().await;
        assert!(!asked.is_finished(), "the answer must not be there before its record is");
        for _ in 0..200 {
            world.told();
            settle().await;
            if asked.is_finished() {
                break;
            }
        }
        assert!(asked.await.unwrap().is_ok());
    });
}

#[test]
fn everybody_is_answered_when_init_dies() {
    run("everybody_is_answered", async {
        let mut world = World::new("death", &[("b.toml", DEMAND)]);
        world.launch_all();
        settle().await;
        let core = world.core.clone();
        let asked = tokio::task::spawn_local(async move { core.request(root(), start("b")).await });
        settle().await;
        world.process.kill().unwrap();
        let answer = tokio::time::timeout(std::time::Duration::from_secs(10), asked).await;
        assert!(matches!(answer, Ok(Ok(Err(_)))), "{answer:?}");
        world.core.with(|state| {
            assert!(state.session.is_none() && state.pending.is_empty());
            state.creating.drain().for_each(|(_, task)| task.abort());
        });
    });
}

#[test]
fn a_request_that_is_dropped_is_abandoned() {
    run("a_request_that_is_dropped", async {
        let world = World::new("abandon", &[("b.toml", DEMAND)]);
        let core = world.core.clone();
        let asked = tokio::task::spawn_local(async move { core.request(root(), start("b")).await });
        settle().await;
        assert_eq!(world.core.with(|state| state.pending.len()), 1);
        asked.abort();
        settle().await;
        assert_eq!(world.core.with(|state| state.pending.len()), 0);
    });
}

/// Sends READY=1 to the socket it is told of, and lives on. In the service's group, as a service's program is.
const EARLY: &str = "use Socket; <STDIN>; socket(my $s, AF_UNIX, SOCK_DGRAM, 0); connect($s, \
    pack_sockaddr_un($ARGV[0])); send($s, 'READY=1', 0); <STDIN>;";

#[test]
fn a_program_that_speaks_before_its_start_is_reported_is_heard() {
    run("a_program_that_speaks_before", async {
        let file = format!("{DEMAND}kind = \"notify\"\nnotify_access = \"all\"\n");
        let world = World::new("early", &[("b.toml", &file)]);
        world.launch_all();
        settle().await;
        let core = world.core.clone();
        let asked = tokio::task::spawn_local(async move { core.request(root(), start("b")).await });
        settle().await;
        let launches = world.told();
        let launch = launches.iter().find_map(|message| match message {
            ToInit::Launch { launch, .. } => Some(*launch),
            _ => None,
        });
        let group = world.core.with(|state| {
            let groups = &state.session.as_ref().unwrap().groups;
            rustix::fs::mkdirat(groups.work(), "b", rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
            state.place.base.path().join("session-0/work/b")
        });
        let path = world.top.join("notify");
        let socket = session0_sys::datagram::bind(&path, 0o600, 1 << 16).unwrap();
        world.core.spawn_in_session(crate::notify::listen(world.core.clone(), socket));
        let mut program = Command::new("/usr/bin/perl")
            .args(["-e", EARLY, path.to_str().unwrap()])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::fs::write(group.join("cgroup.procs"), program.id().to_string()).unwrap();
        std::io::Write::write_all(program.stdin.as_mut().unwrap(), b"\n").unwrap();
        for _ in 0..500 {
            settle().await;
            if world.core.with(|state| !state.deferred.is_empty()) {
                break;
            }
        }
        assert_eq!(world.core.with(|state| state.deferred.len()), 1);
        assert!(!asked.is_finished());
        let launch = launch.unwrap();
        world.say(&[FromInit::Launched { launch, pid: 30, group: 1030, at: now() }]);
        let answer = tokio::time::timeout(std::time::Duration::from_secs(5), asked).await;
        program.kill().unwrap();
        program.wait().unwrap();
        assert!(matches!(answer, Ok(Ok(Ok(Reply::Service(_))))), "{answer:?}");
    });
}

mod pipes;
