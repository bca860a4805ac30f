//! host.toml: the host's settings.

use session0_model::system::{SettingsFile, SettingsReport};
use std::path::Path;
use std::time::Duration;

use session0_model::access::{Administrators, Grant};
use session0_model::launch::plan::{Elevation, Limits, UserNamespaces};
use session0_model::launch::session_plan::{Facilities, Sizes};
use session0_model::limit;
use session0_model::logon::wire::Sources;
use session0_model::session::{HangUp, Isolation, Policy};

use super::account::Accounts;
use super::problem::{Problem, Source};
use super::reader::{self, Reader};
use super::value;
use crate::facility;

/// The commented reference, installed as /etc/session0/host.toml. It holds every option with its default.
pub const REFERENCE: &str = include_str!("../../../../config/host.toml");

const UIDS_FORM: &str = "uids are written like \"64000-64999\": two at least, none of them 0";
const MEMORY_FORM: &str = "memory is a size like \"4G\" or a share of the machine's like \"90%\"";
const CPU_FORM: &str = "\"all\", or a share of one CPU like \"50%\"; \"250%\" is two and a half CPUs";

/// What host.toml says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Facilities that may be missing.
    pub accept: Facilities,
    /// Who may do everything.
    pub administrators: Administrators,
    /// Uids that are ours.
    pub uids: std::ops::RangeInclusive<u32>,
    /// Budget of an ordered shutdown.
    pub shutdown_budget: Duration,
    /// Session 0 as a whole.
    pub session_limits: Limits,
    /// Read-only paths.
    pub read_only: Vec<String>,
    /// Pseudo-terminals.
    pub terminals: u32,
    /// Rules about users' sessions.
    pub policy: Policy,
    /// What each of them is made of.
    pub users: UserSettings,
    /// Whose accounts may log on.
    pub sources: Sources,
    /// Private file systems.
    pub sizes: Sizes,
    /// Service output.
    pub log: Rotation,
    /// Events.
    pub events: Rotation,
}

/// What a user's session is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSettings {
    /// It as a whole.
    pub limits: Limits,
    /// Read-only paths, where an administrator says which.
    pub read_only: Option<Vec<String>>,
    /// Pseudo-terminals.
    pub terminals: u32,
    /// What set-user-id programs gain.
    pub elevation: Elevation,
    /// Whether user namespaces can be made.
    pub user_namespaces: UserNamespaces,
    /// Bytes of `/run/user/<uid>`.
    pub run: u64,
}

/// How a log is put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes of one file.
    pub max_bytes: u64,
    /// Files that were put aside and are kept.
    pub keep: u32,
}

impl Settings {
    /// What another reading changes: in effect at once, and when Session 0 is made the next time. As the reference's
    /// first lines promise.
    pub fn changes(&self, to: &Settings) -> SettingsReport {
        let now = [
            ("administrators", self.administrators != to.administrators),
            ("shutdown_budget", self.shutdown_budget != to.shutdown_budget),
            ("events", self.events != to.events),
            ("sessions_per_user", self.policy.per_user != to.policy.per_user),
            ("logon", self.sources != to.sources),
            ("sessions", self.users != to.users || self.policy.hang_up != to.policy.hang_up),
        ];
        let next_session = [
            ("isolation", self.policy.isolation != to.policy.isolation),
            ("accept", self.accept != to.accept),
            ("uid_range", self.uids != to.uids),
            ("session0 limits", self.session_limits != to.session_limits),
            ("session0.read_only", self.read_only != to.read_only),
            ("session0.terminals", self.terminals != to.terminals),
            ("sizes", self.sizes != to.sizes),
            ("log", self.log != to.log),
        ];
        let changed = |all: &[(&str, bool)]| {
            all.iter().filter(|(_, changed)| *changed).map(|(name, _)| (*name).to_owned()).collect()
        };
        SettingsReport { now: changed(&now), next_session: changed(&next_session), file: SettingsFile::Taken }
    }

    /// The settings when host.toml says nothing. The same as [`REFERENCE`] says; a test holds them together.
    pub fn built_in() -> Settings {
        let rotation = Rotation { max_bytes: 10 << 20, keep: 4 };
        Settings {
            accept: Facilities::empty(),
            administrators: Administrators::default(),
            uids: 64_000..=64_999,
            shutdown_budget: limit::SHUTDOWN_WAIT,
            session_limits: Limits {
                memory: Some(machine_memory() / 100 * 90),
                tasks: Some(16_384),
                cpu_percent: None,
                open_files: None,
            },
            read_only: ["/usr", "/boot", "/etc", "/root"].map(String::from).into(),
            terminals: 256,
            policy: Policy::default(),
            users: UserSettings {
                limits: Limits {
                    memory: Some(machine_memory() / 100 * 50),
                    tasks: Some(4096),
                    cpu_percent: None,
                    open_files: None,
                },
                read_only: None,
                terminals: 64,
                elevation: Elevation::Deny,
                user_namespaces: UserNamespaces::Denied,
                run: 256 << 20,
            },
            sources: Sources { builtin: true, machine: true },
            sizes: Sizes { tmp: 1 << 30, shm: 1 << 30, run: 64 << 20 },
            log: rotation,
            events: rotation,
        }
    }

    /// The uid and gid of the logger: the first of the range.
    pub fn logger_uid(&self) -> u32 {
        *self.uids.start()
    }
}

/// Reads host.toml; one that is not there says nothing. What is wrong in it is left at its default, and whoever
/// starts a host refuses to.
pub fn load(path: &Path, accounts: &Accounts, problems: &mut Vec<Problem>) -> Settings {
    match super::file::read_trusted(path, limit::SERVICE_FILE_MAX) {
        Ok(text) => read(&Source { path: path.to_owned(), text }, accounts, problems),
        Err(refusal) => {
            if !refusal.missing() {
                problems.push(Problem::of_file(path, format!("cannot be read: {refusal}")));
            }
            Settings::built_in()
        }
    }
}

/// As [`load`], of a text.
pub fn read(source: &Source, accounts: &Accounts, problems: &mut Vec<Problem>) -> Settings {
    let mut settings = Settings::built_in();
    reader::read_file(source, problems, |file| {
        let isolation = file.choice("isolation", &[("vista", Isolation::Vista), ("xp", Isolation::Xp)]);
        settings.policy.isolation = isolation.unwrap_or(settings.policy.isolation);
        if let Some(number) = file.number("sessions_per_user", 1..=limit::SESSIONS_MAX as u64) {
            settings.policy.per_user = u32::try_from(number).unwrap_or(1);
        }
        accept(file, &mut settings);
        uids(file, accounts, &mut settings);
        let budget = file.parsed("shutdown_budget", value::DURATION_FORM, value::duration);
        settings.shutdown_budget = budget.unwrap_or(settings.shutdown_budget);
        let administrators = file.section("administrators", |section| grant(section, accounts));
        settings.administrators = Administrators(administrators.unwrap_or_default());
        file.section("session0", |section| {
            let Settings { session_limits, read_only, terminals, .. } = &mut settings;
            session(section, session_limits, terminals);
            if let Some(paths) = self::read_only(section) {
                *read_only = paths;
            }
        });
        file.section("logon", |section| logon(section, &mut settings.sources));
        file.section("sessions", |section| user_sessions(section, &mut settings));
        file.section("sizes", |section| {
            let sizes = &mut settings.sizes;
            for (key, size) in [
                ("tmp", &mut sizes.tmp),
                ("shm", &mut sizes.shm),
                ("run", &mut sizes.run),
                ("user_run", &mut settings.users.run),
            ] {
                *size = section.parsed(key, value::SIZE_FORM, at_least_a_page).unwrap_or(*size);
            }
        });
        file.section("log", |section| rotation(section, &mut settings.log));
        file.section("events", |section| rotation(section, &mut settings.events));
    });
    settings
}

fn accept(file: &mut Reader<'_>, settings: &mut Settings) {
    for name in file.texts("accept").map(toml::Spanned::into_inner).unwrap_or_default() {
        match facility::by_word(name.get_ref()) {
            Some(facility) => settings.accept |= facility,
            None => {
                let message =
                    format!("`{}` is not a facility one can be without", name.get_ref().escape_debug());
                let allowed = format!("allowed: {}", facility::words().join(", "));
                file.problem(name.span(), message, Some(&allowed));
            }
        }
    }
}

fn uids(file: &mut Reader<'_>, accounts: &Accounts, settings: &mut Settings) {
    let parse = |text: &str| {
        let (from, to) = text.split_once('-').ok_or_else(|| format!("`{text}` is not a range"))?;
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| format!("`{text}` is not a uid"));
        let (from, to) = (number(from)?, number(to)?);
        if from == 0 || to <= from || to == u32::MAX {
            return Err(format!("`{text}` is not a usable range"));
        }
        match accounts.with_uid_in(from..=to) {
            Some(account) => Err(format!("the account `{}` has uid {} in it", account.name, account.uid)),
            None => Ok(from..=to),
        }
    };
    if let Some(range) = file.parsed("uid_range", UIDS_FORM, parse) {
        settings.uids = range;
    } else if file.has("uid_range") {
        // Said already.
    } else if let Some(account) = accounts.with_uid_in(settings.uids.clone()) {
        let message = format!("the account `{}` has uid {} of our default range", account.name, account.uid);
        file.problem_at_key("uid_range", message, Some("set `uid_range` to uids that nobody has"));
    }
}

/// `users` and `groups` by name, as what they are allowed.
pub fn grant(section: &mut Reader<'_>, accounts: &Accounts) -> Grant {
    let mut grant = Grant::default();
    for name in section.texts("users").map(toml::Spanned::into_inner).unwrap_or_default() {
        match accounts.find(name.get_ref()) {
            Some(account) => grant.uids.push(account.uid),
            None => unknown(section, &name, "account", "/etc/passwd, and built-in ones (`s0 account list`)"),
        }
    }
    for name in section.texts("groups").map(toml::Spanned::into_inner).unwrap_or_default() {
        match accounts.group(name.get_ref()) {
            Some(gid) => grant.gids.push(gid),
            None => unknown(section, &name, "group", "/etc/group"),
        }
    }
    grant
}

fn unknown(section: &mut Reader<'_>, name: &toml::Spanned<String>, what: &str, file: &str) {
    let message = format!("there is no {what} `{}`", name.get_ref().escape_debug());
    section.problem(name.span(), message, Some(&format!("{what}s are those in {file}")));
}

fn logon(section: &mut Reader<'_>, sources: &mut Sources) {
    let Some(names) = section.texts("accounts") else { return };
    *sources = Sources { builtin: false, machine: false };
    for name in names.into_inner() {
        match name.get_ref().as_str() {
            "builtin" => sources.builtin = true,
            "machine" => sources.machine = true,
            other => {
                let message = format!("`{}` is no kind of account", other.escape_debug());
                section.problem(name.span(), message, Some("allowed: \"builtin\", \"machine\""));
            }
        }
    }
}

fn user_sessions(section: &mut Reader<'_>, settings: &mut Settings) {
    let users = &mut settings.users;
    session(section, &mut users.limits, &mut users.terminals);
    users.read_only = read_only(section);
    let elevation = [("deny", Elevation::Deny), ("contained", Elevation::Contained)];
    users.elevation = section.choice("elevation", &elevation).unwrap_or(users.elevation);
    let namespaces = [("deny", UserNamespaces::Denied), ("allow", UserNamespaces::Allowed)];
    users.user_namespaces = section.choice("user_namespaces", &namespaces).unwrap_or(users.user_namespaces);
    let hang_up = [("logoff", HangUp::Logoff), ("disconnect", HangUp::Disconnect)];
    settings.policy.hang_up = section.choice("hang_up", &hang_up).unwrap_or(settings.policy.hang_up);
}

fn read_only(section: &mut Reader<'_>) -> Option<Vec<String>> {
    let paths = section.texts("read_only")?;
    Some(super::service::absolute_paths(section, paths))
}

fn session(section: &mut Reader<'_>, limits: &mut Limits, terminals: &mut u32) {
    let memory = section.parsed("memory", MEMORY_FORM, |text| match value::percent(text) {
        Ok(share @ 1..=100) => Ok(machine_memory() / 100 * u64::from(share)),
        Ok(_) => Err(format!("`{text}` is more than the machine has")),
        Err(_) => value::size(text).and_then(|size| match size {
            0..0x100_0000 => Err(format!("`{text}` is less than the 16M our own programs may need")),
            size => Ok(size),
        }),
    });
    limits.memory = memory.or(limits.memory);
    limits.tasks = section.number("tasks", 16..=4_000_000).or(limits.tasks);
    let cpu = section.parsed("cpu", CPU_FORM, |text| match text {
        "all" => Ok(None),
        share => value::percent(share).map(Some),
    });
    limits.cpu_percent = cpu.unwrap_or(limits.cpu_percent);
    if let Some(number) = section.number("terminals", 1..=4096) {
        *terminals = u32::try_from(number).unwrap_or(*terminals);
    }
}

fn rotation(section: &mut Reader<'_>, rotation: &mut Rotation) {
    rotation.max_bytes =
        section.parsed("max_size", value::SIZE_FORM, at_least_a_page).unwrap_or(rotation.max_bytes);
    if let Some(keep) = section.number("keep", 0..=99) {
        rotation.keep = u32::try_from(keep).unwrap_or(rotation.keep);
    }
}

/// 64 KiB: less holds no line of the largest length, or no file system.
fn at_least_a_page(text: &str) -> Result<u64, String> {
    match value::size(text)? {
        0..0x1_0000 => Err(format!("`{text}` is less than 64K")),
        size => Ok(size),
    }
}

/// The machine's memory in bytes (sysinfo(2)).
fn machine_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Settings, Vec<String>) {
        let accounts =
            Accounts::parse("anna:x:1000:1000::/:/bin/sh\nours:x:64005:1::/:/bin/sh\n", "adm:x:4:\n");
        let mut problems = Vec::new();
        let settings =
            read(&Source { path: "host.toml".into(), text: text.into() }, &accounts, &mut problems);
        (settings, problems.iter().map(Problem::render).collect())
    }

    #[test]
    fn the_reference_is_the_default() {
        let mut problems = Vec::new();
        let source = Source { path: "host.toml".into(), text: REFERENCE.into() };
        let settings = read(&source, &Accounts::default(), &mut problems);
        assert_eq!(problems, []);
        assert_eq!(settings, Settings::built_in());
    }

    #[test]
    fn every_option_is_read() {
        let (settings, problems) = read_text(
            "isolation = \"xp\"\nsessions_per_user = 3\naccept = [\"fanotify\"]\nuid_range = \"70000-70001\"\nshutdown_budget = \"5s\"\n\
            [administrators]\nusers = [\"anna\"]\ngroups = [\"adm\"]\n\
            [session0]\nmemory = \"1G\"\ntasks = 100\ncpu = \"150%\"\nread_only = [\"/usr\"]\nterminals = 3\n\
            [logon]\naccounts = [\"machine\"]\n\
            [sessions]\nmemory = \"2G\"\ntasks = 200\ncpu = \"50%\"\nread_only = []\nterminals = 4\nelevation = \"contained\"\n\
            user_namespaces = \"allow\"\nhang_up = \"disconnect\"\n\
            [sizes]\ntmp = \"1M\"\nshm = \"2M\"\nrun = \"3M\"\nuser_run = \"4M\"\n[log]\nmax_size = \"1M\"\nkeep = 1\n\
            [events]\nmax_size = \"2M\"\nkeep = 0\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        let expected = Settings {
            accept: Facilities::FANOTIFY,
            administrators: Administrators(Grant { uids: vec![1000], gids: vec![4] }),
            uids: 70_000..=70_001,
            shutdown_budget: Duration::from_secs(5),
            session_limits: Limits {
                memory: Some(1 << 30),
                tasks: Some(100),
                cpu_percent: Some(150),
                open_files: None,
            },
            read_only: vec!["/usr".into()],
            terminals: 3,
            policy: Policy { isolation: Isolation::Xp, per_user: 3, hang_up: HangUp::Disconnect },
            users: UserSettings {
                limits: Limits {
                    memory: Some(2 << 30),
                    tasks: Some(200),
                    cpu_percent: Some(50),
                    open_files: None,
                },
                read_only: Some(Vec::new()),
                terminals: 4,
                elevation: Elevation::Contained,
                user_namespaces: UserNamespaces::Allowed,
                run: 4 << 20,
            },
            sources: Sources { builtin: false, machine: true },
            sizes: Sizes { tmp: 1 << 20, shm: 2 << 20, run: 3 << 20 },
            log: Rotation { max_bytes: 1 << 20, keep: 1 },
            events: Rotation { max_bytes: 2 << 20, keep: 0 },
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn what_is_wrong_is_said_with_a_caret() {
        let (_, problems) =
            read_text("uid_range = \"64000-64999\"\nacept = []\n[administrators]\nusers = [\"bob\"]\n");
        assert_eq!(
            problems,
            [
                "error: host.toml:1:13: the account `ours` has uid 64005 in it\n   |\n 1 | uid_range = \"64000-64999\"\n   \
                 |             ^^^^^^^^^^^^^\n  = uids are written like \"64000-64999\": two at least, none of them 0",
                "error: host.toml:2:1: unknown key `acept`\n   |\n 2 | acept = []\n   | ^^^^^\n  = did you mean `accept`?",
                "error: host.toml:4:10: there is no account `bob`\n   |\n 4 | users = [\"bob\"]\n   |          ^^^^^\n  \
                 = accounts are those in /etc/passwd, and built-in ones (`s0 account list`)",
            ]
        );
        let (_, problems) = read_text("uid_range = \"70000-70009\"\naccept = [\"seccomp\", \"x\"]\n");
        assert!(problems[0].contains("`seccomp` is not a facility one can be without"), "{problems:?}");
        assert!(problems[1].contains("`x` is not"), "{problems:?}");
    }
}
