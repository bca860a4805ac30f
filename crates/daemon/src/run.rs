//! From the command line to the loop, and from the loop to the exit status.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use session0_model::access::{Caller, Origin};
use session0_model::id::{SESSION_ZERO, SessionId};
use session0_model::launch::session_plan::Facilities;
use session0_model::session::Isolation;
use session0_model::system::{ExitReason, HostRequest, Input, Recovered, Request};
use session0_sys::cgroup::{Base, SessionGroups};
use session0_sys::fault::{Context as _, Fault};
use session0_sys::lock::{self, Lock, Locked};
use session0_sys::{capability, files, packet, process, spawn};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::api::host::{Door, Host as _};
use crate::config::Loaded;
use crate::core::{Core, Exit, State};
use crate::paths::{NEXT_SESSION, Paths};
use crate::session::{self, Joined, Place};
use crate::{api, config, facility, join, load, message, pipe, viewer};

/// Down, as asked.
const DOWN: u8 = 0;
/// Something is wrong that a new start may cure.
const BROKEN: u8 = 1;
/// Start me again at once.
const AGAIN: u8 = 75;
/// Refused: nothing changes until somebody does something.
const REFUSED: u8 = 78;

/// Connections that wait at an API socket; the SDK tries again when it is full.
const BACKLOG: i32 = 1024;

/// Why the daemon does not start.
enum Failure {
    /// The administrator must do something first.
    Refused(String),
    /// It may work the next time.
    Broken(String),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        Failure::Broken(fault.to_string())
    }
}

/// Is the daemon until it ends.
pub fn run(root: &Path) -> ExitCode {
    let code = match start(root) {
        Ok(code) => code,
        Err(Failure::Refused(why)) => {
            message::text(&format!("error: session0d does not start: {}", why.trim_end()));
            REFUSED
        }
        Err(Failure::Broken(why)) => {
            message::error("cannot start", &[("reason", &why)]);
            BROKEN
        }
    };
    ExitCode::from(code)
}

fn start(root: &Path) -> Result<u8, Failure> {
    let root = absolute(root)?;
    harmless()?;
    let paths = Paths::new(&root);
    files::open_directory(&root).map_err(|fault| Failure::Refused(fault.to_string()))?;
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::Refused("it must be root, to make namespaces and control groups".to_owned()));
    }
    let directories = directories(&paths).map_err(|fault| Failure::Refused(fault.to_string()))?;
    let _lock = only_one(&paths)?;
    let session_last = session_last(&paths, &directories)?;
    // What the configuration allows depends on it.
    let _ = process::raise_open_files();
    let loaded = config::load(&paths);
    load::say(&loaded);
    let (facilities, doubt) = doubts(&loaded);
    let Programs { init, logon, logger } = programs()?;
    let base = Base::open(&root).map_err(no_groups)?;
    let place = Place { paths, base, init, logon, facilities };
    // If not, the first start says why.
    let _ = spawn::reserve_low();
    capability::trim(capability::DAEMON).context("give up capabilities of", "session0d")?;
    process::set_not_dumpable().context("forbid dumps of", "session0d")?;
    let runtime = tokio::runtime::LocalRuntime::new().context("start", "the loop")?;
    runtime.block_on(live(place, loaded, logger, doubt, session_last))
}

/// Without control groups that can be written nothing changes by starting again.
fn no_groups(fault: Fault) -> Failure {
    match fault.reason.kind() {
        std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => {
            let hint = "in a container, control groups must be mounted writable (docs/guide/containers.md)";
            Failure::Refused(format!("{fault}; {hint}"))
        }
        _ => Failure::from(fault),
    }
}

/// What the machine has, and why no session may be made here.
fn doubts(loaded: &Loaded) -> (Facilities, Option<String>) {
    let usable = facility::usable(loaded.settings.accept);
    match (loaded.settings_problems, usable) {
        (0, Ok(facilities)) => (facilities, None),
        (0, Err(refusal)) => (facility::all_found(), Some(refusal)),
        _ => (facility::all_found(), Some("host.toml has errors".to_owned())),
    }
}

/// Relative to where we were started; it is the last thing that depends on that.
fn absolute(root: &Path) -> Result<PathBuf, Failure> {
    match root.as_os_str().is_empty() {
        true => Ok(PathBuf::from("/")),
        false => Ok(std::path::absolute(root).context("find", root.display())?),
    }
}

/// What a daemon does to itself before anything else.
fn harmless() -> Result<(), Fault> {
    // Taken and dropped at once: closed. What may be above is not inherited by anything we start.
    (3..=63).for_each(|number| drop(session0_sys::started::descriptor(number)));
    // A keeper that does not read our messages must not stop us. A terminal is everybody's and is left as it is.
    if let Ok(stat) = rustix::fs::fstat(std::io::stderr())
        && rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Fifo
    {
        let _ = rustix::fs::fcntl_setfl(std::io::stderr(), rustix::fs::OFlags::NONBLOCK);
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    rustix::process::chdir("/").context("change to", "/")
}

/// Our directories, none of them behind a symbolic link. Returns the runtime directory.
fn directories(paths: &Paths) -> Result<OwnedFd, Fault> {
    let run = files::make_directory(&paths.run(), 0o755)?;
    files::make_directory(&paths.inits(), 0o700)?;
    let seen = [paths.expose(), paths.pipes()];
    let ours = [paths.configuration(), paths.services(), paths.log(), paths.library(), paths.state()];
    for path in seen.into_iter().chain(ours) {
        files::make_directory(&path, 0o755)?;
    }
    if !paths.machine() {
        // Sessions of a trial see it as /home; the machine's own is the machine's matter.
        files::make_directory(&paths.homes(), 0o755)?;
    }
    let inits = files::open_directory(&paths.inits())?;
    rustix::fs::fchmod(&inits, rustix::fs::Mode::from_raw_mode(0o700))
        .context("close", paths.inits().display())?;
    Ok(run)
}

fn only_one(paths: &Paths) -> Result<Lock, Failure> {
    let path = paths.run().join("daemon.lock");
    match lock::take(&path).map_err(|fault| Failure::Refused(fault.to_string()))? {
        Locked::Ours(lock) => Ok(lock),
        Locked::Held(pid) => {
            let who = pid.map_or_else(|| "another one".to_owned(), |pid| format!("process {pid}"));
            Err(Failure::Refused(format!("{who} is the session0d of {} already", paths.root().display())))
        }
    }
}

/// The highest number of a user session ever given. A file that says nothing is no reason to begin anew: a number that is given
/// twice would be worse than none.
fn session_last(paths: &Paths, run: &OwnedFd) -> Result<u32, Failure> {
    let path = paths.next_session();
    match std::fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(next) if 0 < next => Ok(next - 1),
            _ => Err(Failure::Refused(format!(
                "{} does not hold the number of the next session; write one that was not used yet",
                path.display()
            ))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            files::replace(run.as_fd(), NEXT_SESSION, b"1\n", 0o644)?;
            Ok(0)
        }
        Err(error) => Err(Failure::Broken(format!("could not read {}: {error}", path.display()))),
    }
}

/// Writes down the number of the next user session.
pub fn keep_next_session(paths: &Paths, next: u32) -> Result<(), Fault> {
    let run = files::open_directory(&paths.run())?;
    files::replace(run.as_fd(), NEXT_SESSION, format!("{next}\n").as_bytes(), 0o644)
}

/// Our other programs.
struct Programs {
    init: OwnedFd,
    logon: OwnedFd,
    logger: PathBuf,
}

/// Found beside our own program.
fn programs() -> Result<Programs, Failure> {
    let own = std::env::current_exe().context("find", "our own program")?;
    let beside = own.parent().unwrap_or(Path::new("/"));
    let open = |name: &str| {
        spawn::open_program(&beside.join(name)).map_err(|fault| Failure::Refused(fault.to_string()))
    };
    let logger = beside.join("session0-log");
    open("session0-log")?;
    Ok(Programs { init: open("session0-init")?, logon: open("session0-logon")?, logger })
}

async fn live(
    place: Place,
    loaded: Loaded,
    logger: PathBuf,
    doubt: Option<String>,
    session_last: u32,
) -> Result<u8, Failure> {
    let signals = Signals::new().context("listen for", "signals")?;
    let (joined, recovered) = find(&place).await?.unzip();
    let users = find_users(&place).await?;
    match (&joined, doubt) {
        (_, None) => {}
        (None, Some(doubt)) => {
            remove_groups(&place);
            return Err(Failure::Refused(doubt));
        }
        // Services run and nobody else can look after them: a mistake in a file must not keep us away.
        (Some(_), Some(doubt)) => {
            message::warn("going on with a session that is there", &[("although", &doubt)])
        }
    }
    if joined.is_none() {
        session::leftovers(&place, SESSION_ZERO).await?;
    }
    let Loaded { settings, configuration, tripwire_uids, .. } = loaded;
    let configuration = load::with_built_in(configuration, &settings, &logger);
    if settings.policy.isolation == Isolation::Xp {
        message::warn(
            "isolation is that of Windows XP: the first user shares Session 0 with the services, and its walls are down",
            &[("setting", &"isolation = \"xp\"")],
        );
    }
    let state = State::new(place, settings, tripwire_uids, logger);
    let core = Core::new(state);
    let outside = outer_listener(&core, joined.as_ref())?;
    begin(&core, joined, users, Beginning { configuration, recovered, session_last });
    let listener = outside.try_clone().context("duplicate", "the API listener")?;
    api::serve(core.clone(), Door::Outside, listener);
    tokio::task::spawn_local(core.clone().tick());
    signals.serve(&core);
    let exit = core.ended().await;
    Ok(leave(&core, exit).await)
}

async fn find(place: &Place) -> Result<Option<(Joined, Recovered)>, Failure> {
    session::find(place, SESSION_ZERO).await.map_err(|fault| match fault.reason.kind() {
        // An init of a version we do not speak: starting again changes nothing.
        std::io::ErrorKind::Unsupported => Failure::Refused(fault.to_string()),
        _ => Failure::Broken(fault.to_string()),
    })
}

/// Sessions of users that a daemon before us left. What cannot be found again is ended: nobody could be its daemon.
async fn find_users(place: &Place) -> Result<Vec<(SessionId, Joined, Recovered)>, Failure> {
    let mut found = Vec::new();
    for id in SessionGroups::all(&place.base).context("look for", "sessions")? {
        if id == SESSION_ZERO {
            continue;
        }
        match session::find(place, id).await {
            Ok(Some((joined, recovered))) => found.push((id, joined, recovered)),
            Ok(None) => session::leftovers(place, id).await?,
            Err(fault) => {
                message::warn("a session cannot be found again", &[("session", &id), ("reason", &fault)]);
                session::leftovers(place, id).await?;
            }
        }
    }
    Ok(found)
}

/// What a daemon begins with.
struct Beginning {
    configuration: session0_model::system::Configuration,
    recovered: Option<Recovered>,
    session_last: u32,
}

fn begin(
    core: &Core,
    joined: Option<Joined>,
    users: Vec<(SessionId, Joined, Recovered)>,
    beginning: Beginning,
) {
    let Beginning { configuration, recovered, session_last } = beginning;
    if let Some(joined) = joined {
        let running = recovered.as_ref().map_or(0, |recovered| recovered.alive.len());
        message::info("session found", &[("session", &SESSION_ZERO), ("running", &running)]);
        join::join(core, SESSION_ZERO, joined);
    }
    let mut sessions = Vec::with_capacity(users.len());
    for (id, joined, recovered) in users {
        message::info("session found", &[("session", &id)]);
        join::join(core, id, joined);
        sessions.push((id, recovered));
    }
    pipe::adopt(core);
    core.take([Input::Start { configuration, recovered, sessions, session_last }]);
    pipe::settle(core);
    watch_viewers(core);
}

/// Goes on watching the clients that programs' streams are with. One whose socket was not kept is gone.
fn watch_viewers(core: &Core) {
    let gone = core.with(|state| {
        let mut gone = Vec::new();
        let viewers = state.system.viewers();
        viewer::close_unknown(state, &viewers);
        for (session, viewer) in viewers {
            let kept = state.live(session).and_then(|session| session.kept(&viewer::key(viewer)));
            match kept {
                Some(socket) => viewer::watch(core, state, viewer, socket),
                None if state.viewers.contains_key(&viewer) => {}
                None => gone.push(Input::ViewerGone(viewer)),
            }
        }
        gone
    });
    core.take(gone);
}

/// The outer API listener: the one init kept, so that clients that came while no daemon was there are served; else a
/// new one.
fn outer_listener(core: &Core, joined: Option<&Joined>) -> Result<OwnedFd, Failure> {
    let path = core.with(|state| state.place.paths.api());
    let what = "listen at";
    let kept = joined.and_then(|joined| joined.session.kept(join::OUTSIDE));
    let listener = match kept.filter(|_| std::fs::symlink_metadata(&path).is_ok()) {
        Some(listener) => listener,
        None => {
            let temporary = path.with_extension("new");
            let _ = std::fs::remove_file(&temporary);
            let listener =
                packet::listen_stream(&temporary, 0o666, BACKLOG).context(what, temporary.display())?;
            std::fs::rename(&temporary, &path).context(what, path.display())?;
            listener
        }
    };
    let ours = listener.try_clone().context("duplicate", "the API listener")?;
    core.with(|state| state.outside = Some(ours));
    Ok(listener)
}

/// What signals mean to us: SIGTERM and SIGINT an ordered shutdown, SIGHUP a reload.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    fn serve(self, core: &Core) {
        for mut signal in [self.terminate, self.interrupt] {
            let core = core.clone();
            tokio::task::spawn_local(async move {
                while signal.recv().await.is_some() {
                    message::info("told to shut down", &[]);
                    core.take([Input::Shutdown]);
                }
            });
        }
        let (core, mut hang_up) = (core.clone(), self.hang_up);
        tokio::task::spawn_local(async move {
            while hang_up.recv().await.is_some() {
                reload(&core).await;
            }
        });
    }
}

async fn reload(core: &Core) {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let caller = Caller { origin: Origin::Outside, uid: 0, groups: vec![0], pid };
    match core.request(caller, Request::Host(HostRequest::Reload)).await {
        Ok(_) => message::info("configuration read again", &[]),
        Err(refusal) => message::warn("reload refused", &[("reason", &format_args!("{refusal:?}"))]),
    }
}

/// The last things, and the exit status.
async fn leave(core: &Core, exit: Exit) -> u8 {
    // Answers are with the API's tasks: they have a moment to write them.
    const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(50);
    tokio::time::sleep(LAST_WORDS).await;
    core.flush();
    match exit {
        Exit::Broken => BROKEN,
        Exit::Asked(ExitReason::Upgrade) => AGAIN,
        Exit::Asked(ExitReason::Down) => {
            let place = core.with(|state| {
                pipe::close_all(state);
                state.place.clone()
            });
            for path in [place.paths.api(), place.socket(SESSION_ZERO)] {
                let _ = std::fs::remove_file(path);
            }
            remove_groups(&place);
            DOWN
        }
    }
}

/// Everything that shares the place ends with the loop; the groups are removed by a second look at them.
fn remove_groups(place: &Place) {
    let removed = Base::open(place.paths.root()).and_then(Base::remove);
    if let Err(fault) = removed {
        message::warn("control groups are left", &[("reason", &fault)]);
    }
}
