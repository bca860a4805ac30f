//! What the bench needs to know about processes: who belongs to a manager, what memory they use, how to end all
//! of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Outcome;

/// The environment variable that marks every process a manager was started with.
pub const MARK: &str = "SESSION0_BENCH";

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its number outside any session.
    pub pid: i32,
    /// When it began, in the kernel's ticks.
    pub began: u64,
}

impl Process {
    /// Sends SIGKILL.
    pub fn kill(self) -> Outcome<()> {
        let pid = Pid::from_raw(self.pid).ok_or_else(|| format!("{} is no pid", self.pid))?;
        kill_process(pid, Signal::KILL).map_err(|e| format!("killing {}: {e}", self.pid))
    }
}

/// All processes with their parents.
fn parents() -> BTreeMap<i32, (i32, u64)> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| Some((pid, parent_and_begin(pid)?)))
        .collect()
}

/// Fields 4 and 22 of `/proc/PID/stat`, counted after the name, which may hold anything.
fn parent_and_begin(pid: i32) -> Option<(i32, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let began = fields.nth(17)?.parse().ok()?;
    Some((parent, began))
}

/// `root` and everything below it.
pub fn tree(root: i32) -> Vec<Process> {
    let parents = parents();
    let mut members = BTreeSet::from([root]);
    loop {
        let before = members.len();
        members.extend(
            parents
                .iter()
                .filter(|(_, (up, _))| members.contains(up))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if members.len() == before {
            break;
        }
    }
    members.into_iter().filter_map(|pid| Some(Process { pid, began: parents.get(&pid)?.1 })).collect()
}

/// The running services of a fleet by their slot: processes whose arguments are `stamp`, the file, the slot.
pub fn services(stamps: &Path) -> BTreeMap<usize, Process> {
    let file = stamps.as_os_str().as_bytes();
    let mut found = BTreeMap::new();
    for (pid, (_, began)) in parents() {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut arguments = arguments.split(|byte| *byte == 0).skip(1);
        if arguments.next() != Some(file) {
            continue;
        }
        let slot = arguments.next().and_then(|slot| std::str::from_utf8(slot).ok()?.parse().ok());
        if let Some(slot) = slot {
            found.insert(slot, Process { pid, began });
        }
    }
    found
}

/// The last component of the program a process runs.
pub fn program(pid: i32) -> Option<String> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(path.file_name()?.to_string_lossy().into_owned())
}

/// Proportional set size in KiB: private memory, and of shared memory the process's share.
pub fn pss(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// A started manager. Dropping it ends everything it started.
pub struct Running {
    child: Child,
    place: PathBuf,
}

impl Running {
    /// Starts a manager that lives below `place`, with an environment of our own making, its messages in
    /// `place/messages`.
    pub fn start(mut command: Command, place: &Path) -> Outcome<Self> {
        let messages = place.join("messages");
        let output = fs::File::options()
            .create(true)
            .append(true)
            .open(&messages)
            .map_err(|e| format!("opening {}: {e}", messages.display()))?;
        let errors = output.try_clone().map_err(|e| format!("opening {}: {e}", messages.display()))?;
        let name = command.get_program().to_string_lossy().into_owned();
        let child = clean(&mut command, place)
            .current_dir(place)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("starting {name}: {e}"))?;
        Ok(Self { child, place: place.to_path_buf() })
    }

    /// The manager's processes: everything below the one we started that is not a measured service.
    pub fn managers(&self) -> Vec<Process> {
        let service = |process: &Process| program(process.pid).is_some_and(|name| name == "stamp");
        tree(self.pid()).into_iter().filter(|process| !service(process)).collect()
    }

    /// PSS in KiB of all the manager's processes.
    pub fn memory(&self) -> u64 {
        self.managers().iter().filter_map(|process| pss(process.pid)).sum()
    }

    /// The process of the manager that runs this program.
    pub fn find(&self, name: &str) -> Option<Process> {
        self.managers().into_iter().find(|process| program(process.pid).is_some_and(|found| found == name))
    }

    /// Waits until `ready` says so. Ends early when the manager has ended.
    pub fn wait_until(&mut self, patience: Duration, mut ready: impl FnMut() -> bool) -> Outcome<()> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if ready() {
                remember_groups(&self.place, self.pid());
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("it ended with {status}: {}", self.last_messages()));
            }
            remember_groups(&self.place, self.pid());
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("not ready within {patience:?}: {}", self.last_messages()))
    }

    /// The last lines of what the manager said.
    pub fn last_messages(&self) -> String {
        let text = fs::read(self.place.join("messages")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The manager itself first, so that it starts nothing again.
        let rest = tree(self.pid());
        let _ = self.child.kill();
        let _ = self.child.wait();
        for process in rest.into_iter().filter(|process| is_alive(*process)) {
            let _ = process.kill();
        }
        sweep(&self.place);
    }
}

/// Gives a command the environment every manager and control command is run with.
pub fn clean<'a>(command: &'a mut Command, place: &Path) -> &'a mut Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().envs([("HOME", "/root"), ("LANG", "C"), ("USER", "root"), ("LOGNAME", "root")]);
    command.env("PATH", path).env(MARK, place)
}

/// Starts a command without input and output.
pub fn quiet(command: &mut Command, place: &Path) -> Outcome<Child> {
    let name = command.get_program().to_string_lossy().into_owned();
    clean(command, place)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("starting {name}: {e}"))
}

/// Runs a control command to its end, without its output. The time between is not measured here.
pub fn control(command: &mut Command, place: &Path) -> Outcome<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        clean(command, place).stdin(Stdio::null()).output().map_err(|e| format!("starting {name}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{name} ended with {}: {}", output.status, String::from_utf8_lossy(&said).trim()))
}

/// Ends every process that belongs to `place`, and removes the groups recorded there. Returns when none is left,
/// or after ten seconds.
pub fn sweep(place: &Path) {
    let begun = Instant::now();
    for group in groups(place) {
        let _ = fs::write(group.join("cgroup.kill"), "1");
    }
    while begun.elapsed() < Duration::from_secs(10) {
        let left = belonging(place);
        if left.is_empty() {
            break;
        }
        for process in left {
            let _ = process.kill();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    for group in groups(place) {
        remove_group(&group);
    }
    let _ = fs::remove_file(place.join("groups"));
}

fn is_alive(process: Process) -> bool {
    parent_and_begin(process.pid).is_some_and(|(_, began)| began == process.began)
}

/// Processes that name `place` in their environment, arguments or program; not this one and its parents.
fn belonging(place: &Path) -> Vec<Process> {
    let needle = place.as_os_str().as_bytes();
    let parents = parents();
    let mut ours = BTreeSet::new();
    let mut at = i32::try_from(std::process::id()).unwrap_or(0);
    while let Some((up, _)) = parents.get(&at) {
        ours.insert(at);
        at = *up;
    }
    let names =
        |pid: i32, file: &str| contains(&fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default(), needle);
    let runs = |pid: i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.starts_with(place));
    parents
        .into_iter()
        .filter(|(pid, _)| !ours.contains(pid))
        .filter(|(pid, _)| names(*pid, "cmdline") || names(*pid, "environ") || runs(*pid))
        .filter(|(pid, _)| fs::metadata(format!("/proc/{pid}/exe")).is_ok())
        .map(|(pid, (_, began))| Process { pid, began })
        .collect()
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|window| window == needle)
}

/// Writes down which control groups of ours the manager has made, so that they are removed even if this program
/// is killed: `<base>/session-0` of the process that is in one.
fn remember_groups(place: &Path, root: i32) {
    let mut found = BTreeSet::new();
    for process in tree(root) {
        let text = fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).unwrap_or_default();
        for group in text.lines().filter_map(|line| line.splitn(3, ':').nth(2)) {
            if let Some((base, _)) = group.split_once("/session-0") {
                found.insert(format!("{}/session-0\n", base.trim_start_matches('/')));
            }
        }
    }
    if !found.is_empty() {
        let _ = fs::write(place.join("groups"), found.into_iter().collect::<String>());
    }
}

/// The recorded groups in every hierarchy.
fn groups(place: &Path) -> Vec<PathBuf> {
    let recorded = fs::read_to_string(place.join("groups")).unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let trees: Vec<&str> = mounts
        .lines()
        .filter(|line| line.contains(" - cgroup"))
        .filter_map(|line| line.split_ascii_whitespace().nth(4))
        .collect();
    let mut all = Vec::new();
    for session in recorded.lines() {
        all.extend(trees.iter().map(|tree| Path::new(tree).join(session)).filter(|path| path.is_dir()));
    }
    all
}

/// Removes a session's group and, where it is one of our own making and not a delegated one, the base it lies in.
/// The kernel refuses groups that still have processes, so this is tried for a while.
fn remove_group(session: &Path) {
    let base = session
        .parent()
        .filter(|base| base.file_name().is_some_and(|name| name.as_bytes().starts_with(b"session0-")));
    let group = base.unwrap_or(session);
    for _ in 0..100 {
        remove_below(group);
        if !group.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn remove_below(group: &Path) {
    let Ok(entries) = fs::read_dir(group) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_below(&entry.path());
    }
    let _ = fs::remove_dir(group);
}
