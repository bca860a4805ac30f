//! services/<name>.toml: from what was written to what it means.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use session0_model::id::ServiceName;
use session0_model::launch::plan::{
    Elevation, Environment, LaunchPlan, Limits, Network, Role, RuntimeDirectory, UserNamespaces, Visibility,
};
use session0_model::limit;
use session0_model::service::definition::{Definition, Kind, NotifyAccess, Owner, Restart, StartType};
use toml::Spanned;

use super::account::{Account, Accounts, LOCAL_SYSTEM};
use super::environment::{Machine, Wanted};
use super::reader::{Reader, TextOrTexts};
use super::{environment, pipe, settings, value};

/// The bounding set of LocalSystem: all that a program of a session can have.
const LOCAL_SYSTEM_CAPABILITIES: u64 = session0_sys::capability::LOCAL_SYSTEM;
/// Directories that are private in Session 0: a program of the machine's is not there.
const PRIVATE: [&str; 6] = ["/tmp", "/var/tmp", "/run", "/var/run", "/dev", "/proc"];
/// What `/run` of a session has already.
const RUN_TAKEN: [&str; 3] = ["session0", "lock", "user"];
/// Paths and runtime directories of one service, each.
const PATHS_MAX: usize = 64;

/// What every service file is read with.
pub struct Context<'a> {
    /// Accounts.
    pub accounts: &'a Accounts,
    /// Environment of every program.
    pub machine: &'a Machine,
    /// Programs looked at already: five hundred services of one program look once.
    pub programs: RefCell<HashMap<String, Result<(), String>>>,
}

/// A service as read, with the places its dependencies are written at.
pub struct Written {
    /// What it means.
    pub definition: Definition,
    /// Place of each dependency.
    pub depends: Vec<Range<usize>>,
    /// Place of each pipe's name.
    pub pipes: Vec<Range<usize>>,
}

/// Reads one service. What is wrong goes to the reader; the result counts only if nothing was.
pub fn read(file: &mut Reader<'_>, name: ServiceName, context: &Context<'_>) -> Written {
    let unit = name.as_str().to_ascii_lowercase();
    let description = file.text("description").map(Spanned::into_inner).unwrap_or_default();
    let kind = file.choice("kind", &[("simple", Kind::Simple), ("notify", Kind::Notify)]);
    let kind = kind.unwrap_or(Kind::Simple);
    let timing = timing(file, kind);
    let (account_name, account) = account(file, context);
    let runtime_directories = runtime_directories(file);
    let state_directory = file.truth("state_directory").unwrap_or(false);
    let wanted = Wanted {
        account: &account,
        notify: kind == Kind::Notify,
        watchdog: timing.watchdog,
        runtime_directories: &runtime_directories,
        state: state_directory.then_some(unit.as_str()),
    };
    let environment = add_environment(file, context.machine.build(&wanted));
    let arguments = command(file);
    let program = arguments.as_ref().and_then(|command| program(file, command, &environment, context));
    let (depends, depends_at) = depends(file, &name);
    let rights = rights(file, &account);
    let plan = LaunchPlan {
        program: program.unwrap_or_default(),
        arguments: arguments.map(|command| command.words).unwrap_or_default(),
        environment: Environment::new(
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())),
        ),
        directory: directory(file),
        uid: account.uid,
        gid: account.gid,
        groups: context.accounts.supplementary(&account),
        capabilities: rights.capabilities,
        limits: file.section("limits", limits).unwrap_or_default(),
        write: write(file),
        runtime_directories,
        state_directory,
        network: rights.network,
        elevation: rights.elevation,
        user_namespaces: rights.user_namespaces,
        role: Role::Program,
    };
    let start = file.choice("start", &[("auto", StartType::Auto), ("demand", StartType::Demand)]);
    let control = file.section("control", |section| settings::grant(section, context.accounts));
    let (pipes, pipes_at) = pipe::read(file, context.accounts).into_iter().unzip();
    let definition = Definition {
        name,
        description,
        start: start.unwrap_or(StartType::Demand),
        kind,
        depends,
        restart: timing.restart,
        restart_delay: timing.restart_delay,
        start_wait: timing.start_wait,
        stop_wait: timing.stop_wait,
        stop_signal: timing.stop_signal,
        notify_access: timing.notify_access,
        watchdog: timing.watchdog,
        owner: Owner::Administrator,
        control: control.unwrap_or_default(),
        pipes,
        account: account_name,
        plan,
    };
    Written { definition, depends: depends_at, pipes: pipes_at }
}

struct Timing {
    restart: Restart,
    restart_delay: Duration,
    start_wait: Duration,
    stop_wait: Duration,
    stop_signal: u8,
    notify_access: NotifyAccess,
    watchdog: Option<Duration>,
}

fn timing(file: &mut Reader<'_>, kind: Kind) -> Timing {
    let restart =
        [("never", Restart::Never), ("on-failure", Restart::OnFailure), ("always", Restart::Always)];
    let access = [("main", NotifyAccess::Main), ("all", NotifyAccess::All)];
    if kind == Kind::Simple {
        for key in ["start_timeout", "notify_access", "watchdog"]
            .into_iter()
            .filter(|key| file.has(key))
            .collect::<Vec<_>>()
        {
            file.problem_at_key(key, format!("`{key}` needs kind = \"notify\""), None);
        }
    }
    let mut wait = |key, default| file.parsed(key, value::DURATION_FORM, value::duration).unwrap_or(default);
    let restart_delay = wait("restart_delay", limit::RESTART_DELAY);
    let start_wait = wait("start_timeout", limit::START_WAIT);
    let stop_wait = wait("stop_timeout", limit::STOP_WAIT);
    Timing {
        restart: file.choice("restart", &restart).unwrap_or(Restart::OnFailure),
        restart_delay,
        start_wait,
        stop_wait,
        stop_signal: file.parsed("stop_signal", value::SIGNAL_FORM, value::signal).unwrap_or(15),
        notify_access: file.choice("notify_access", &access).unwrap_or(NotifyAccess::Main),
        watchdog: file.parsed("watchdog", value::DURATION_FORM, |text| match value::duration(text)? {
            Duration::ZERO => Err("a watchdog of no time would always bite".into()),
            watchdog => Ok(watchdog),
        }),
    }
}

fn account(file: &mut Reader<'_>, context: &Context<'_>) -> (String, Account) {
    let written = file.text("account");
    let name = written.as_ref().map_or(LOCAL_SYSTEM, |name| name.get_ref().as_str());
    if let Some(account) = context.accounts.find(name) {
        let system = name.eq_ignore_ascii_case(LOCAL_SYSTEM);
        return (if system { LOCAL_SYSTEM.to_owned() } else { name.to_owned() }, account);
    }
    if let Some(name) = &written {
        let message = format!("there is no account `{}`", name.get_ref().escape_debug());
        file.problem(
            name.span(),
            message,
            Some("accounts are those in /etc/passwd, built-in ones (`s0 account list`), or \"LocalSystem\""),
        );
    }
    let nobody = Account {
        name: String::new(),
        uid: u32::MAX,
        gid: u32::MAX,
        home: String::new(),
        shell: String::new(),
    };
    (name.to_owned(), nobody)
}

fn runtime_directories(file: &mut Reader<'_>) -> Vec<RuntimeDirectory> {
    let mut directories: Vec<RuntimeDirectory> = Vec::new();
    if let Some(names) = file.texts("runtime_directory") {
        check_count(file, &names, "runtime_directory");
        for name in names.into_inner() {
            let text = name.get_ref();
            if !component(text) || RUN_TAKEN.contains(&text.as_str()) {
                let help = "a name without a slash; /run/session0, /run/lock and /run/user are taken";
                file.problem(
                    name.span(),
                    format!("`{}` cannot be a directory in /run", text.escape_debug()),
                    Some(help),
                );
            } else if directories.iter().all(|known| known.name != *text) {
                let name = name.into_inner();
                directories.push(RuntimeDirectory { name, mode: 0o755, visibility: Visibility::Private });
            }
        }
    }
    for name in file.texts("expose").map(Spanned::into_inner).unwrap_or_default() {
        match directories.iter_mut().find(|directory| directory.name == *name.get_ref()) {
            Some(directory) => directory.visibility = Visibility::Exposed,
            None => {
                let message =
                    format!("`{}` is not a runtime directory of this service", name.get_ref().escape_debug());
                file.problem(name.span(), message, Some("`expose` names some of `runtime_directory`"));
            }
        }
    }
    directories
}

/// One component of a path.
fn component(name: &str) -> bool {
    !name.is_empty() && name.len() <= 200 && !name.contains('/') && name != "." && name != ".."
}

fn check_count(file: &mut Reader<'_>, items: &Spanned<Vec<Spanned<String>>>, key: &str) {
    if PATHS_MAX < items.get_ref().len() {
        file.problem(items.span(), format!("`{key}` has more than {PATHS_MAX} entries"), None);
    }
}

fn add_environment(file: &mut Reader<'_>, mut built: Vec<(String, String)>) -> Vec<(String, String)> {
    for (name, value) in file.pairs("environment").unwrap_or_default() {
        let written = name.get_ref();
        if written.is_empty() || written.contains('=') {
            file.problem(name.span(), "the name of a variable cannot be empty or contain `=`", None);
            continue;
        }
        match built.iter_mut().find(|(known, _)| known == written) {
            Some((_, known)) => *known = value.into_inner(),
            None => built.push((name.into_inner(), value.into_inner())),
        }
    }
    let bytes: usize = built.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if limit::ENVIRONMENT_MAX < bytes {
        let message = format!("the environment has {bytes} bytes, more than {}", limit::ENVIRONMENT_MAX);
        file.problem_at_key("environment", message, None);
    }
    built
}

struct Command {
    words: Vec<String>,
    /// Where its first word is written.
    program_at: Range<usize>,
}

fn command(file: &mut Reader<'_>) -> Option<Command> {
    if !file.has("command") {
        file.text("command");
        file.problem(
            0..0,
            "`command` is missing",
            Some("for example: command = [\"/usr/sbin/program\", \"--option\"]"),
        );
        return None;
    }
    let (words, program_at, all_at) = match file.text_or_texts("command")? {
        TextOrTexts::Text(text) => match value::words(text.get_ref()) {
            Ok(words) => (words, text.span(), text.span()),
            Err(message) => {
                file.problem(text.span(), message, None);
                return None;
            }
        },
        TextOrTexts::Texts(texts) => {
            let all = texts.span();
            let program = texts.get_ref().first().map_or(all.clone(), Spanned::span);
            (texts.into_inner().into_iter().map(Spanned::into_inner).collect(), program, all)
        }
    };
    let bytes: usize = words.iter().map(|word| word.len() + 1).sum();
    if limit::COMMAND_LINE_MAX < bytes {
        let message = format!("the command has {bytes} bytes, more than {}", limit::COMMAND_LINE_MAX);
        file.problem(all_at, message, None);
        return None;
    }
    if words.first().is_none_or(String::is_empty) {
        file.problem(all_at, "the command is empty", None);
        return None;
    }
    Some(Command { words, program_at })
}

fn program(
    file: &mut Reader<'_>,
    command: &Command,
    environment: &[(String, String)],
    context: &Context<'_>,
) -> Option<String> {
    let word = command.words.first()?;
    let look = |path: &str| {
        context.programs.borrow_mut().entry(path.to_owned()).or_insert_with(|| look(path)).clone()
    };
    if word.starts_with('/') {
        return match look(word) {
            Ok(()) => Some(word.clone()),
            Err(why) => {
                file.problem(command.program_at.clone(), format!("`{}` {why}", word.escape_debug()), None);
                None
            }
        };
    }
    let path =
        environment.iter().find(|(name, _)| name == "PATH").map_or(environment::PATH, |(_, path)| path);
    if word.contains('/') {
        let message = format!("`{}` is neither an absolute path nor a name", word.escape_debug());
        file.problem(command.program_at.clone(), message, Some("write the whole path"));
        return None;
    }
    let found = path
        .split(':')
        .filter(|directory| directory.starts_with('/'))
        .map(|directory| format!("{}/{word}", directory.trim_end_matches('/')))
        .find(|candidate| look(candidate).is_ok());
    if found.is_none() {
        let message = format!("there is no program `{}`", word.escape_debug());
        file.problem(command.program_at.clone(), message, Some(&format!("looked for it in {path}")));
    }
    found
}

/// Whether exec of this path can work in Session 0.
fn look(path: &str) -> Result<(), String> {
    if let Some(private) = private(path) {
        return Err(format!(
            "is below {private}, which is private in Session 0: the machine's files are not there"
        ));
    }
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err("does not exist".into()),
        Err(error) => return Err(format!("cannot be looked at: {error}")),
    };
    if !metadata.is_file() {
        return Err("is not a file".into());
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err("is not executable".into());
    }
    Ok(())
}

fn private(path: &str) -> Option<&'static str> {
    PRIVATE
        .into_iter()
        .find(|directory| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/')))
}

fn depends(file: &mut Reader<'_>, name: &ServiceName) -> (Vec<ServiceName>, Vec<Range<usize>>) {
    let mut names: Vec<ServiceName> = Vec::new();
    let mut places = Vec::new();
    let Some(written) = file.texts("depends") else { return (names, places) };
    if limit::DEPENDENCIES_MAX < written.get_ref().len() {
        let message = format!("a service has at most {} dependencies", limit::DEPENDENCIES_MAX);
        file.problem(written.span(), message, None);
    }
    for dependency in written.into_inner() {
        match ServiceName::new(dependency.get_ref()) {
            Ok(other) if other == *name => {
                file.problem(dependency.span(), format!("`{name}` depends on itself"), None);
            }
            Ok(other) if names.contains(&other) => {}
            Ok(other) => {
                names.push(other);
                places.push(dependency.span());
            }
            Err(why) => file.problem(dependency.span(), why.to_string(), None),
        }
    }
    (names, places)
}

struct Rights {
    capabilities: u64,
    network: Network,
    elevation: Elevation,
    user_namespaces: UserNamespaces,
}

fn rights(file: &mut Reader<'_>, account: &Account) -> Rights {
    let mut capabilities = if account.uid == 0 { LOCAL_SYSTEM_CAPABILITIES } else { 0 };
    if let Some(names) = file.texts("capabilities") {
        capabilities = 0;
        for name in names.into_inner() {
            match value::capability(name.get_ref()) {
                Ok(bit) => capabilities |= bit,
                Err(message) => {
                    let allowed = value::CAPABILITIES.map(|(name, _)| name).join(", ");
                    file.problem(name.span(), message, Some(&format!("allowed: {allowed}")));
                }
            }
        }
    }
    let network = [("shared", Network::Shared), ("private", Network::Private)];
    let elevation = [("deny", Elevation::Deny), ("contained", Elevation::Contained)];
    let namespaces = [("deny", UserNamespaces::Denied), ("allow", UserNamespaces::Allowed)];
    let usual = if account.uid == 0 { Elevation::Contained } else { Elevation::Deny };
    Rights {
        capabilities,
        network: file.choice("network", &network).unwrap_or(Network::Shared),
        elevation: file.choice("elevation", &elevation).unwrap_or(usual),
        user_namespaces: file.choice("user_namespaces", &namespaces).unwrap_or(UserNamespaces::Denied),
    }
}

fn directory(file: &mut Reader<'_>) -> String {
    let Some(directory) = file.text("directory") else { return "/".to_owned() };
    if !directory.get_ref().starts_with('/') {
        file.problem(directory.span(), "the working directory must be an absolute path", None);
    }
    directory.into_inner()
}

fn limits(section: &mut Reader<'_>) -> Limits {
    Limits {
        memory: section.parsed("memory", value::SIZE_FORM, |text| match value::size(text)? {
            0..0x8_0000 => Err(format!("`{text}` is less than 512K: no program would start")),
            size => Ok(size),
        }),
        tasks: section.number("tasks", 1..=4_000_000),
        cpu_percent: section.parsed("cpu", value::PERCENT_FORM, value::percent),
        open_files: section.number("open_files", 16..=1_048_576),
    }
}

fn write(file: &mut Reader<'_>) -> Vec<String> {
    let Some(written) = file.texts("write") else { return Vec::new() };
    check_count(file, &written, "write");
    let places: Vec<_> = written.get_ref().iter().map(|path| (path.span(), path.get_ref().clone())).collect();
    for (span, path) in places {
        if path.starts_with('/') && !std::path::Path::new(&path).exists() {
            file.problem(span, format!("`{}` does not exist", path.escape_debug()), None);
        }
    }
    absolute_paths(file, written)
}

/// Paths that are absolute and without `..`; others are problems.
pub fn absolute_paths(file: &mut Reader<'_>, written: Spanned<Vec<Spanned<String>>>) -> Vec<String> {
    let mut paths = Vec::with_capacity(written.get_ref().len());
    for path in written.into_inner() {
        let text = path.get_ref();
        if !text.starts_with('/') || text.split('/').any(|part| part == "..") || 4096 <= text.len() {
            let message = format!("`{}` is not an absolute path without `..`", text.escape_debug());
            file.problem(path.span(), message, None);
        } else {
            paths.push(path.into_inner());
        }
    }
    paths
}
