//! The managers that are measured, each driven by its own programs.

mod dinit;
mod runit;
mod s6;
mod session0;
mod supervisord;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Outcome;
use super::process::{self, Running};
use super::stamps::Stamps;

pub use session0::{Session0, ask, socket};

/// How the services of a fleet are to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// All by one order.
    Together,
    /// Each by its own; until then it is known and stopped.
    Single,
}

/// One manager's directory and the services it runs.
pub struct Place {
    /// The directory, empty at first. Services of ours see it as well.
    pub root: PathBuf,
    /// The measured program.
    pub program: PathBuf,
    /// The services' stamps.
    pub stamps: Stamps,
}

impl Place {
    /// An empty directory with stamps for `count` services.
    pub fn new(root: PathBuf, program: &Path, count: usize) -> Outcome<Self> {
        if root.exists() {
            fs::remove_dir_all(&root).map_err(|e| format!("removing {}: {e}", root.display()))?;
        }
        fs::create_dir_all(&root).map_err(|e| format!("making {}: {e}", root.display()))?;
        let stamps = Stamps::create(&root.join("stamps"), count)?;
        Ok(Self { root, program: program.to_path_buf(), stamps })
    }

    /// A path below the directory.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The command line of one service.
    pub fn service(&self, index: usize) -> String {
        format!("{} {} {index}", self.program.display(), self.stamps.path().display())
    }

    /// Writes a file below the directory, making the directories above it.
    pub fn write(&self, relative: &str, text: &str) -> Outcome<PathBuf> {
        let path = self.path(relative);
        let fail = |e| format!("writing {}: {e}", path.display());
        if let Some(above) = path.parent() {
            fs::create_dir_all(above).map_err(fail)?;
        }
        fs::write(&path, text).map_err(fail)?;
        Ok(path)
    }

    /// Makes a directory below the directory.
    pub fn directory(&self, relative: &str) -> Outcome<PathBuf> {
        let path = self.path(relative);
        fs::create_dir_all(&path).map_err(|e| format!("making {}: {e}", path.display()))?;
        Ok(path)
    }
}

/// A manager of services.
pub trait Manager {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Its version, as it says it itself.
    fn version(&self) -> String;

    /// How it is told to start all services, how one, and what its services' files say about restarts and output.
    fn notes(&self) -> &'static str;

    /// Whether its only order to start many services is its own start.
    fn is_told_by_its_start(&self) -> bool {
        false
    }

    /// Writes what the manager needs without any service.
    fn configure(&self, place: &Place) -> Outcome<()>;

    /// Writes the services' files, without telling the manager.
    fn install(&self, place: &Place, start: Start) -> Outcome<()>;

    /// The command that is the manager.
    fn launch(&self, place: &Place) -> Command;

    /// Whether it answers, and for [`Start::Single`] whether it knows its services.
    fn is_ready(&self, place: &Place, start: Option<Start>) -> bool;

    /// The command that starts all installed services.
    fn start_all(&self, place: &Place) -> Command;

    /// The command that starts one service.
    fn start_one(&self, place: &Place, index: usize) -> Command;
}

/// Configures and starts a manager without services and waits until it answers.
pub fn launch_empty(manager: &dyn Manager, place: &Place) -> Outcome<Running> {
    manager.configure(place)?;
    let mut running = Running::start(manager.launch(place), &place.root)?;
    running.wait_until(PATIENCE, || manager.is_ready(place, None))?;
    Ok(running)
}

/// Configures and starts a manager that knows all services, stopped, and waits until it answers.
pub fn launch_single(manager: &dyn Manager, place: &Place) -> Outcome<Running> {
    manager.configure(place)?;
    manager.install(place, Start::Single)?;
    let mut running = Running::start(manager.launch(place), &place.root)?;
    running.wait_until(PATIENCE, || manager.is_ready(place, Some(Start::Single)))?;
    Ok(running)
}

/// How long a manager may take for anything before it counts as failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// All managers whose programs are here, ours first, and why the others are not.
pub fn found(ours: Session0) -> (Vec<Box<dyn Manager>>, Vec<String>) {
    let peers: [(&[&str], Box<dyn Manager>); 4] = [
        (&["dinit", "dinitctl"], Box::new(dinit::Dinit)),
        (&["s6-svscan", "s6-supervise", "s6-svc", "s6-svscanctl"], Box::new(s6::S6)),
        (&["runsvdir", "runsv", "sv"], Box::new(runit::Runit)),
        (&["supervisord", "supervisorctl"], Box::new(supervisord::Supervisord)),
    ];
    let mut managers: Vec<Box<dyn Manager>> = vec![Box::new(ours)];
    let mut absent = Vec::new();
    for (programs, manager) in peers {
        match programs.iter().find(|program| on_path(program).is_none()) {
            Some(missing) => absent.push(format!("{} ({missing} is not on PATH)", manager.name())),
            None => managers.push(manager),
        }
    }
    (managers, absent)
}

pub fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// A command with arguments.
fn command<I: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Whether a control command succeeds.
fn succeeds(mut command: Command, place: &Place) -> bool {
    process::control(&mut command, &place.root).is_ok()
}

/// The version Debian's package has, for programs that do not tell theirs.
pub fn package_version(package: &str) -> String {
    let output = Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output();
    match output {
        Ok(output) if output.status.success() => {
            format!("Debian {}", String::from_utf8_lossy(&output.stdout).trim())
        }
        Ok(_) | Err(_) => "version unknown".to_owned(),
    }
}

/// The first line a program prints.
pub fn first_line(mut command: Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or("version unknown").trim().to_owned()
}
