//! Programs of users: from what is to be started to the plan init starts it by.

use std::ffi::CStr;
use std::io::{Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;

use session0_model::id::{LaunchId, SessionId};
use session0_model::launch::plan::{Elevation, Environment, LaunchPlan, Streams, UserNamespaces};
use session0_model::launch::session_plan::UserPlan;
use session0_model::launch::wire::{ToInit, key};
use session0_model::logon::wire::User;
use session0_model::session::Isolation;
use session0_model::session::program::{Home, ProgramLaunch, What};

use crate::config::{Accounts, Machine, Settings};
use crate::core::State;
use crate::executor::say_in;
use crate::message;

/// Where a user's programs are looked for.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";

/// Key of the master of a launch's terminal.
pub fn terminal_key(launch: LaunchId) -> String {
    format!("{}{}", key::TERMINAL, launch.0)
}

/// A user enters a session: what it shows of accounts has him in it.
pub fn enter(state: &State, id: SessionId, user: &User) {
    let Some(session) = state.live(id) else { return };
    let shown = Accounts::shown(&state.place.paths.published_accounts(), user);
    let files =
        file(c"passwd", &shown.passwd).and_then(|passwd| Ok(vec![passwd, file(c"group", &shown.group)?]));
    let files = match files {
        Ok(files) => files,
        // Init then starts nothing of his.
        Err(error) => {
            let what = "cannot make what a session shows of accounts";
            return message::error(what, &[("session", &id), ("reason", &error)]);
        }
    };
    let runtime_bytes = state.settings.users.run;
    let home = read_only(&state.settings).iter().any(|path| path == "/").then(|| user.home.clone());
    let plan = UserPlan { uid: user.uid, gid: user.gid, runtime_bytes, home };
    session.link.say_with(&ToInit::Enter(plan), files);
}

/// What is read-only in users' sessions. One with a root of its own writes nothing of the machine's but its user's home: cron tables,
/// other homes' start-up files and programs in `/opt` would each make it root outside. Unless an administrator says otherwise.
pub fn read_only(settings: &Settings) -> Vec<String> {
    match (&settings.users.read_only, settings.users.elevation) {
        (Some(paths), _) => paths.clone(),
        (None, Elevation::Contained) => vec!["/".to_owned()],
        (None, Elevation::Deny) => ["/usr", "/boot", "/etc", "/root"].map(String::from).into(),
    }
}

/// A file in memory, to be read from its beginning.
fn file(name: &CStr, text: &str) -> std::io::Result<OwnedFd> {
    let mut file = std::fs::File::from(rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file.into())
}

/// Starts a program.
pub fn launch(state: &mut State, launch: ProgramLaunch) {
    let xp = state.system.isolation() == Isolation::Xp && launch.session == session0_model::id::SESSION_ZERO;
    let mut plan = plan(state, &launch);
    if xp {
        without_walls(&mut plan);
    }
    let ProgramLaunch { session, launch, unit, streams, .. } = launch;
    if let Some(session) = state.live_mut(session) {
        session.link.say(&ToInit::LaunchWith { launch, unit, plan, streams });
        session.launches += 1;
    }
}

/// Session 0 with its walls down: what a launch adds to them is left out as well.
pub fn without_walls(plan: &mut LaunchPlan) {
    plan.elevation = Elevation::Contained;
    plan.user_namespaces = UserNamespaces::Allowed;
    if plan.uid == 0 {
        plan.capabilities = u64::MAX;
    }
}

fn plan(state: &State, launch: &ProgramLaunch) -> LaunchPlan {
    let (user, settings) = (&launch.user, &state.settings.users);
    let environment = environment(&state.machine, launch);
    let (program, arguments) = command(user, &launch.what);
    let capabilities = match settings.elevation {
        Elevation::Deny => 0,
        // With CAP_FSETID a set-user-id program that somebody writes to would stay one.
        Elevation::Contained => session0_sys::capability::LOCAL_SYSTEM & !session0_sys::capability::FSETID,
    };
    LaunchPlan {
        arguments,
        environment: Environment::new(
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())),
        ),
        directory: match launch.home {
            Home::Own => user.home.clone(),
            Home::Root => "/".to_owned(),
        },
        groups: user.groups.clone(),
        capabilities,
        elevation: settings.elevation,
        user_namespaces: settings.user_namespaces,
        ..LaunchPlan::bare(&program, user.uid, user.gid)
    }
}

/// A login shell knows that it is one by a hyphen before its name.
fn command(user: &User, what: &What) -> (String, Vec<String>) {
    match what {
        What::Shell => {
            let name = user.shell.rsplit('/').next().unwrap_or("sh");
            (user.shell.clone(), vec![format!("-{name}")])
        }
        What::Command(words) => {
            let program = words.first().map(|word| look_up(word)).unwrap_or_default();
            (program, words.clone())
        }
    }
}

/// A program without a slash is looked for where the session would; one that is not found fails at exec.
fn look_up(word: &str) -> String {
    let executable = |path: &String| {
        std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    match word.contains('/') {
        true => word.to_owned(),
        false => {
            let found = PATH.split(':').map(|directory| format!("{directory}/{word}")).find(executable);
            found.unwrap_or_else(|| word.to_owned())
        }
    }
}

fn environment(machine: &Machine, launch: &ProgramLaunch) -> Vec<(String, String)> {
    let user = &launch.user;
    let mut all: Vec<(String, String)> = Vec::with_capacity(16);
    let mut put = |name: &str, value: &str| all.push((name.to_owned(), value.to_owned()));
    put("PATH", PATH);
    put(
        "HOME",
        match launch.home {
            Home::Own => &user.home,
            Home::Root => "/",
        },
    );
    put("USER", user.name.as_str());
    put("LOGNAME", user.name.as_str());
    put("SHELL", &user.shell);
    put("XDG_RUNTIME_DIR", &format!("/run/user/{}", user.uid));
    if let Some(lang) = &machine.lang {
        put("LANG", lang);
    }
    if let Some(zone) = &machine.zone {
        put("TZ", zone);
    }
    if let Streams::Terminal(_) = launch.streams {
        put("TERM", "dumb");
    }
    for (name, value) in launch.environment.iter().filter(|(name, value)| harmless(name, value)) {
        match all.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => known.clone_from(value),
            None => all.push((name.clone(), value.clone())),
        }
    }
    all
}

/// What a client may say about a session's environment: how its terminal wants to be spoken to, and in which language.
fn harmless(name: &str, value: &str) -> bool {
    /// Variables of a client; there are twelve LC_ ones.
    const NAMES: [&str; 2] = ["TERM", "COLORTERM"];
    let locale = name.strip_prefix("LC_").is_some_and(|rest| {
        !rest.is_empty() && rest.len() <= 20 && rest.bytes().all(|byte| byte.is_ascii_uppercase())
    });
    (NAMES.contains(&name) || locale)
        && value.len() <= 64
        && !value.is_empty()
        && !value.contains("..")
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+@:".contains(&byte))
}

/// The other ends of a program's streams came.
pub fn streams(state: &mut State, id: SessionId, launch: LaunchId, descriptors: Vec<OwnedFd>) {
    let Some(session) = state.live_mut(id) else { return };
    if let [terminal] = &descriptors[..] {
        match terminal.try_clone() {
            Ok(terminal) => {
                session.kept.insert(terminal_key(launch), terminal);
            }
            Err(error) => message::warn("cannot keep a terminal", &[("session", &id), ("reason", &error)]),
        }
    }
    session.streams.insert(launch, descriptors);
}

/// A program is gone, and with it what init has of it.
pub fn forget(state: &mut State, id: SessionId, unit: String) {
    if let Some(session) = state.live_mut(id) {
        session.units.remove(&unit);
    }
    say_in(state, id, &ToInit::Forget { unit });
}

/// Nobody is to come back to a program's terminal.
pub fn release_terminal(state: &mut State, id: SessionId, launch: LaunchId) {
    let key = terminal_key(launch);
    if let Some(session) = state.live_mut(id) {
        session.streams.remove(&launch);
        session.kept.remove(&key);
    }
    say_in(state, id, &ToInit::Release { key });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_sets_no_variable_that_could_harm() {
        for (name, value) in [
            ("TERM", "xterm-256color"),
            ("COLORTERM", "truecolor"),
            ("LC_ALL", "de_DE.UTF-8"),
            ("LC_TIME", "C"),
        ] {
            assert!(harmless(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("LD_PRELOAD", "x"),
            ("PATH", "x"),
            ("LC_", "C"),
            ("LC_all", "C"),
            ("LC_ALL", "../../x"),
            ("LC_ALL", "/tmp/x"),
            ("LANGUAGE", "x"),
            ("TERM", ""),
            ("TERM", "a b"),
            ("TERM", "x\u{1b}[2J"),
            ("TERM", &"x".repeat(65)),
            ("TERMINFO", "x"),
            ("LC_ALL\nLD_PRELOAD", "x"),
        ] {
            assert!(!harmless(name, value), "{name}={value}");
        }
    }
}
