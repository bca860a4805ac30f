//! Configuration: host.toml and services/*.toml, from text to what the model takes.
//!
//! Every error of every file is reported with its place; the good files load. The same code answers
//! `session0d --check`, offline.

mod access;
mod account;
mod environment;
mod file;
mod graph;
mod pipe;
mod problem;
mod reader;
mod service;
mod settings;
mod value;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use session0_model::id::ServiceName;
use session0_model::limit;
use session0_model::service::definition::Definition;
use session0_model::system::Configuration;

use crate::paths::Paths;
use problem::Source;
use service::{Context, Written};

pub use access::list as access_list;
pub use account::{Accounts, built_in_uid};
pub use environment::Machine;
pub use environment::{NOTIFY_SOCKET, PATH as PROGRAM_PATH};
pub use problem::Problem;
pub use settings::{REFERENCE, Rotation, Settings};

/// Service names that begin with this are our own.
pub const BUILT_IN_PREFIX: &str = "session0-";

/// All of it.
pub struct Loaded {
    /// host.toml.
    pub settings: Settings,
    /// What the model takes, without the built-in services.
    pub configuration: Configuration,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// How many of them are host.toml's.
    pub settings_problems: usize,
    /// Uids that a display is pretended to: services' and people's.
    pub tripwire_uids: Vec<u32>,
}

/// Loads everything below a root.
pub fn load(paths: &Paths) -> Loaded {
    let accounts = Accounts::load(Some(&paths.published_accounts()));
    let mut problems = Vec::new();
    let settings = settings::load(&paths.settings(), &accounts, &mut problems);
    let settings_problems = problems.len();
    let files = list(&paths.services(), &mut problems);
    let services = Services::read(&accounts, files, &mut problems);
    finish(&accounts, settings, settings_problems, services, problems)
}

/// host.toml alone, for what needs no more.
pub fn load_settings(paths: &Paths) -> (Settings, Vec<Problem>) {
    let mut problems = Vec::new();
    let settings =
        settings::load(&paths.settings(), &Accounts::load(Some(&paths.published_accounts())), &mut problems);
    (settings, problems)
}

/// Loads these files only, each as what its name says it is.
pub fn load_files(files: &[PathBuf]) -> Loaded {
    let accounts = Accounts::load(None);
    let mut problems = Vec::new();
    let (hosts, services): (Vec<_>, Vec<_>) =
        files.iter().cloned().partition(|path| path.file_name().is_some_and(|name| name == "host.toml"));
    let mut settings = Settings::built_in();
    for path in &hosts {
        settings = settings::load(path, &accounts, &mut problems);
    }
    let settings_problems = problems.len();
    let services = Services::read(&accounts, services, &mut problems);
    finish(&accounts, settings, settings_problems, services, problems)
}

fn finish(
    accounts: &Accounts,
    settings: Settings,
    settings_problems: usize,
    services: Services,
    mut problems: Vec<Problem>,
) -> Loaded {
    problems.extend(graph::problems(&services.written));
    let mut files: Vec<&Path> =
        problems[settings_problems..].iter().map(|problem| problem.file.as_path()).collect();
    files.sort_unstable();
    files.dedup();
    let errors = files.len() + usize::from(0 < settings_problems);
    let definitions: Vec<Definition> =
        services.written.into_values().map(|(_, written)| written.definition).collect();
    let tripwire_uids = tripwire_uids(accounts, &definitions);
    let configuration = Configuration {
        pipes_max: pipes_max(),
        services: definitions,
        administrators: settings.administrators.clone(),
        shutdown_wait: settings.shutdown_budget,
        sessions: settings.policy,
        errors: u32::try_from(errors).unwrap_or(u32::MAX),
        broken: services.broken,
        settings: Default::default(),
    };
    Loaded { settings, configuration, problems, settings_problems, tripwire_uids }
}

/// A served pipe is two descriptors here and two in init: five eighths of what we may open are for them. The rest is for those who wait
/// at pipes, for the API, and for ourselves.
fn pipes_max() -> Option<usize> {
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current?;
    usize::try_from(most / 16 * 5).ok()
}

/// Displays a service may look for: root's, its own account's, a person's.
fn tripwire_uids(accounts: &Accounts, definitions: &[Definition]) -> Vec<u32> {
    // Each is one kept descriptor in init; the table must have room for held connections as well.
    const UIDS_MAX: usize = 64;
    let mut uids = vec![0];
    let services = definitions.iter().map(|definition| definition.plan.uid);
    for uid in services.chain(accounts.people()) {
        if uids.len() < UIDS_MAX && !uids.contains(&uid) {
            uids.push(uid);
        }
    }
    uids
}

/// The `.toml` files of a directory, by name.
fn list(directory: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let opened = match std::fs::symlink_metadata(directory) {
        Ok(found) if found.is_symlink() => Err("it is a symbolic link, which is refused".to_owned()),
        Ok(found) if !found.is_dir() => Err("it is not a directory".to_owned()),
        Ok(_) => std::fs::read_dir(directory).map_err(|error| error.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => Err(error.to_string()),
    };
    let entries = match opened {
        Ok(entries) => entries,
        Err(why) => {
            problems.push(Problem::of_file(directory, format!("no service can be read: {why}")));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => files.push(entry.path()),
            Err(error) => problems.push(Problem::of_file(directory, format!("cannot be listed: {error}"))),
        }
    }
    // Editors' and package managers' leftovers (`.web.toml.swp`, `web.toml.dpkg-new`) are not service files.
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.retain(|path| !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")));
    files.sort_unstable();
    if limit::SERVICES_MAX < files.len() {
        let message = format!("there are {} service files, more than {}", files.len(), limit::SERVICES_MAX);
        problems.push(Problem::of_file(directory, message));
        files.truncate(limit::SERVICES_MAX);
    }
    files
}

/// Services as read, by name.
#[derive(Default)]
struct Services {
    written: BTreeMap<ServiceName, (Source, Written)>,
    broken: Vec<(ServiceName, String)>,
}

impl Services {
    fn read(accounts: &Accounts, files: Vec<PathBuf>, problems: &mut Vec<Problem>) -> Services {
        let machine = Machine::load();
        let context = Context { accounts, machine: &machine, programs: RefCell::new(HashMap::new()) };
        let mut services = Services::default();
        for path in files {
            services.read_one(path, &context, problems);
        }
        services
    }

    fn read_one(&mut self, path: PathBuf, context: &Context<'_>, problems: &mut Vec<Problem>) {
        let name = match name_of(&path) {
            Ok(name) => name,
            Err(why) => {
                problems.push(Problem::of_file(&path, why));
                return;
            }
        };
        if let Some((other, _)) = self.written.get(&name) {
            let other = other.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            problems.push(Problem::of_file(&path, format!("{other} has the same name: case does not count")));
            return;
        }
        let before = problems.len();
        let written = match file::read_trusted(&path, limit::SERVICE_FILE_MAX) {
            Ok(text) => {
                let source = Source { path, text };
                let written =
                    reader::read_file(&source, problems, |file| service::read(file, name.clone(), context));
                written.map(|written| (source, written))
            }
            Err(refusal) => {
                problems.push(Problem::of_file(&path, format!("cannot be read: {refusal}")));
                None
            }
        };
        match (written, problems.get(before)) {
            (Some(written), None) => {
                self.written.insert(name, written);
            }
            (_, problem) => {
                let why = problem.map_or_else(String::new, Problem::line);
                self.broken.push((name, why));
            }
        }
    }
}

/// The service's name is its file's.
fn name_of(path: &Path) -> Result<ServiceName, String> {
    let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else {
        return Err("the file's name is not UTF-8 text".to_owned());
    };
    let name = ServiceName::new(stem).map_err(|why| why.to_string())?;
    if stem.to_ascii_lowercase().starts_with(BUILT_IN_PREFIX) {
        return Err(format!("names that begin with {BUILT_IN_PREFIX} are for our own services"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
