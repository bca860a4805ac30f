//! What this machine can do, really tried.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::mount::MountAttrFlags;
use session0_model::launch::session_plan::Facilities;

use crate::cgroup::{Controller, Mounts};
use crate::device_policy::{self, OwnTerminal};
use crate::mount::{self, Depth, FsOption};
use crate::{capability, fanotify, packet, peer, pidfd, process, seccomp, session};

/// One facility, tried.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Which.
    pub facility: Facilities,
    /// Its name for people.
    pub name: &'static str,
    /// Whether it works here.
    pub found: bool,
    /// What was seen: a version, a place, or the error.
    pub detail: String,
    /// What is lost without it.
    pub lost: &'static str,
    /// Whether a host starts without it.
    pub without: Without,
}

/// Whether a host starts where a facility is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// Never: nothing works.
    Never,
    /// Where the administrator accepted it with this word: `accept = [...]` in host.toml.
    Accepted(&'static str),
    /// Always: most kernels lack it, and no wall of a session is made of it.
    Always,
}

impl Probe {
    /// The word for `accept = [...]`, if there is one.
    pub fn accept(&self) -> Option<&'static str> {
        match self.without {
            Without::Accepted(word) => Some(word),
            Without::Never | Without::Always => None,
        }
    }
}

/// What a facility is tried with: what was seen, or why it does not work.
type Trial = fn() -> io::Result<String>;

struct Entry {
    facility: Facilities,
    name: &'static str,
    trial: Trial,
    lost: &'static str,
    without: Without,
}

/// Tries everything a session is made of. As root; takes some milliseconds. What a trial changes, it changes in a
/// child of its own or removes again.
pub fn probe() -> Vec<Probe> {
    TABLE.iter().map(run).collect()
}

/// The facilities that work here.
pub fn found(probes: &[Probe]) -> Facilities {
    probes.iter().filter(|probe| probe.found).fold(Facilities::empty(), |all, probe| all | probe.facility)
}

fn run(entry: &Entry) -> Probe {
    let result = (entry.trial)();
    let found = result.is_ok();
    let detail = result.unwrap_or_else(|error| error.to_string());
    Probe {
        facility: entry.facility,
        name: entry.name,
        found,
        detail,
        lost: entry.lost,
        without: entry.without,
    }
}

const EVERYTHING: &str = "everything: a session is made of it";

const TABLE: &[Entry] = &[
    Entry {
        facility: Facilities::CAPABILITIES,
        name: "capabilities",
        trial: capabilities,
        lost: EVERYTHING,
        without: Without::Never,
    },
    Entry {
        facility: Facilities::NAMESPACES,
        name: "namespaces",
        trial: namespaces,
        lost: EVERYTHING,
        without: Without::Never,
    },
    Entry {
        facility: Facilities::MOUNT_API,
        name: "mount by descriptor",
        trial: mount_api,
        lost: EVERYTHING,
        without: Without::Never,
    },
    Entry {
        facility: Facilities::CGROUP_KILL,
        name: "control groups v2",
        trial: cgroup_kill,
        lost: EVERYTHING,
        without: Without::Never,
    },
    Entry {
        facility: Facilities::PEER_PIDFD,
        name: "process descriptors of socket peers",
        trial: peer_pidfd,
        lost: "everything: a caller cannot be told from another of the same number",
        without: Without::Never,
    },
    Entry {
        facility: Facilities::SECCOMP,
        name: "seccomp filters",
        trial: seccomp_filter,
        lost: "everything: programs could type into terminals and load kernel code",
        without: Without::Never,
    },
    Entry {
        facility: Facilities::LANDLOCK_SCOPES,
        name: "Landlock scopes",
        trial: landlock_scopes,
        lost: "abstract sockets of the machine can be reached from a session, and one wall of two against \
               tracing processes outside is gone",
        without: Without::Accepted("landlock"),
    },
    Entry {
        facility: Facilities::DEVICE_POLICY,
        name: "device policy",
        trial: device_policy,
        lost: "only missing nodes and missing CAP_MKNOD keep a session from the machine's devices",
        without: Without::Accepted("device-policy"),
    },
    Entry {
        facility: Facilities::CGROUP_FREEZE,
        name: "freezer",
        trial: cgroup_freeze,
        lost: "programs cannot be paused",
        without: Without::Accepted("freeze"),
    },
    Entry {
        facility: Facilities::LIMIT_MEMORY,
        name: "memory limits",
        trial: || controller(Controller::Memory),
        lost: "a service can use all of the machine's memory",
        without: Without::Accepted("memory"),
    },
    Entry {
        facility: Facilities::LIMIT_TASKS,
        name: "task limits",
        trial: || controller(Controller::Tasks),
        lost: "a fork bomb in a service is the machine's fork bomb",
        without: Without::Accepted("tasks"),
    },
    Entry {
        facility: Facilities::LIMIT_CPU,
        name: "cpu limits",
        trial: || controller(Controller::Cpu),
        lost: "a service can use all of the machine's processor time",
        without: Without::Accepted("cpu"),
    },
    Entry {
        facility: Facilities::HIDEPID,
        name: "hidden processes",
        trial: hidepid,
        lost: "a service sees the names and arguments of other services' processes",
        without: Without::Accepted("hidepid"),
    },
    Entry {
        facility: Facilities::PIDFD_INFO,
        name: "process information by descriptor",
        trial: pidfd_info,
        lost: "messages of a process that ended at once cannot be attributed to its service",
        without: Without::Accepted("pidfd-info"),
    },
    Entry {
        facility: Facilities::FANOTIFY,
        name: "file access permission events",
        trial: fanotify_permission,
        lost: "a service that opens a terminal only sees that there is none: nobody is told that it waits",
        without: Without::Accepted("fanotify"),
    },
    Entry {
        facility: Facilities::KEYRING,
        name: "session keyrings",
        trial: keyring,
        lost: "nothing while the key calls are denied, as they are",
        without: Without::Accepted("keyring"),
    },
    Entry {
        facility: Facilities::DESCRIPTOR_REFUSAL,
        name: "refusal of clients' descriptors",
        trial: descriptor_refusal,
        lost: "whoever reaches an API socket can hold the daemon up with a descriptor that is slow to close",
        without: Without::Always,
    },
];

/// A container's root may lack some of those that making a session takes, or that its programs are to have.
fn capabilities() -> io::Result<String> {
    let held = rustix::thread::capabilities(None)?.permitted;
    let missing = capability::REQUIRED & !held.bits();
    if missing == 0 {
        return Ok("all of those it takes".to_owned());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("missing: {}", capability::names(missing))))
}

/// Runs a trial that changes its process in a child, with these namespaces of its own.
fn in_child(namespaces: u64, trial: fn() -> io::Result<()>) -> io::Result<()> {
    let (told, tell) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let pid = crate::spawn::fork(namespaces)?;
    if pid == 0 {
        let errno = match trial() {
            Ok(()) => 0,
            Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
        };
        let _ = rustix::io::write(&tell, &errno.to_ne_bytes());
        crate::spawn::exit_now(0);
    }
    drop(tell);
    let mut word = [0; 4];
    let read = rustix::io::read(&told, &mut word);
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
    }
    match (read?, i32::from_ne_bytes(word)) {
        (4, 0) => Ok(()),
        (4, errno) => Err(io::Error::from_raw_os_error(errno)),
        // It was killed before it could tell.
        _ => Err(io::Error::from_raw_os_error(libc::EPERM)),
    }
}

const SESSION_NAMESPACES: u64 = (libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u64;

fn namespaces() -> io::Result<String> {
    in_child(SESSION_NAMESPACES, || Ok(()))?;
    Ok("pid, mount, ipc, uts, cgroup".into())
}

fn mount_api() -> io::Result<String> {
    in_child(SESSION_NAMESPACES, || {
        let memory = mount::new("tmpfs", &[FsOption::Text("size", "4k".into())], MountAttrFlags::empty())?;
        let set = MountAttrFlags::MOUNT_ATTR_RDONLY;
        mount::set_attributes(memory.as_fd(), set, MountAttrFlags::empty(), Depth::One)?;
        let private = rustix::mount::MountPropagationFlags::PRIVATE;
        rustix::mount::mount_change(c"/", private | rustix::mount::MountPropagationFlags::REC)?;
        mount::attach(memory.as_fd(), Path::new("/"))?;
        let null = mount::open_target(Path::new("/proc"), rustix::fs::ResolveFlags::empty())?;
        let null = null.ok_or(io::ErrorKind::NotFound)?;
        mount::clone_tree(null.as_fd(), Depth::Recursive).map(drop)
    })?;
    Ok("open_tree, move_mount, mount_setattr".into())
}

/// A trial group's name, followed by the process that tries.
const TRIAL: &str = "session0-probe-";

/// Removes the empty groups of those that were killed while they tried.
fn sweep(place: &Path) {
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(TRIAL)?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            // Refused by the kernel if there is anything in it.
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

/// A group made for a trial, removed when dropped.
struct TrialGroup {
    parent: OwnedFd,
    name: String,
    group: OwnedFd,
}

impl TrialGroup {
    fn new() -> io::Result<TrialGroup> {
        let mounts = Mounts::find()?;
        let place = trial_place(&mounts)?;
        sweep(&place);
        let parent = crate::files::open_directory(&place)?;
        let name = format!("{TRIAL}{}", std::process::id());
        let group = crate::cgroup::make_group(parent.as_fd(), name.as_ref())?;
        Ok(TrialGroup { parent, name, group })
    }
}

/// Our own group if it is delegated to us (others are not ours to write), else the top.
fn trial_place(mounts: &Mounts) -> io::Result<std::path::PathBuf> {
    Ok(crate::cgroup::Base::delegated(mounts)?.unwrap_or_else(|| mounts.v2().to_path_buf()))
}

impl Drop for TrialGroup {
    fn drop(&mut self) {
        // An empty group of ours; should it stay, the next trial of this process number uses it.
        let _ = crate::cgroup::remove(self.parent.as_fd(), self.name.as_ref());
    }
}

fn cgroup_kill() -> io::Result<String> {
    let trial = TrialGroup::new()?;
    crate::cgroup::kill(trial.group.as_fd())?;
    crate::cgroup::populated(trial.group.as_fd())?;
    Ok(format!("v2 at {}", Mounts::find()?.v2().display()))
}

fn cgroup_freeze() -> io::Result<String> {
    let trial = TrialGroup::new()?;
    crate::cgroup::freeze(trial.group.as_fd(), crate::cgroup::Freezer::Frozen)?;
    crate::cgroup::freeze(trial.group.as_fd(), crate::cgroup::Freezer::Thawed)?;
    Ok("cgroup.freeze".into())
}

fn device_policy() -> io::Result<String> {
    let trial = TrialGroup::new()?;
    device_policy::attach(trial.group.as_fd(), OwnTerminal::Denied)?;
    Ok("BPF program on a group".into())
}

fn controller(controller: Controller) -> io::Result<String> {
    let mounts = Mounts::find()?;
    if mounts.v2_has(controller) {
        return Ok(format!("{} on v2", controller.name()));
    }
    match mounts.v1_of(controller) {
        Some(path) => Ok(format!("{} on v1 at {}", controller.name(), path.display())),
        None => Err(io::Error::other(format!("no {} controller is mounted", controller.name()))),
    }
}

fn peer_pidfd() -> io::Result<String> {
    let (left, _right) = packet::pair()?;
    peer::pidfd(left.as_fd())?;
    Ok("SO_PEERPIDFD".into())
}

fn pidfd_info() -> io::Result<String> {
    let me = pidfd::open(rustix::process::getpid().as_raw_nonzero().get())?;
    match pidfd::info(me.as_fd())?.group {
        Some(_) => Ok("PIDFD_GET_INFO".into()),
        None => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn seccomp_filter() -> io::Result<String> {
    in_child(0, || {
        seccomp::install(&seccomp::session_filter()?)?;
        match session::seal::join_new_keyring() {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::ENOSYS)),
        }
    })?;
    Ok("filter with arguments".into())
}

fn landlock_scopes() -> io::Result<String> {
    let abi = session::seal::landlock_abi()?;
    in_child(0, session::seal::restrict_scopes).map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL | libc::E2BIG) => io::Error::other(format!("ABI {abi}, 6 is needed (Linux 6.12)")),
        _ => error,
    })?;
    Ok(format!("ABI {abi}"))
}

fn hidepid() -> io::Result<String> {
    in_child(SESSION_NAMESPACES, || {
        let options = [FsOption::Text("hidepid", "invisible".into()), FsOption::Text("gid", "0".into())];
        mount::new("proc", &options, MountAttrFlags::empty()).map(drop)
    })?;
    Ok("hidepid=invisible".into())
}

fn fanotify_permission() -> io::Result<String> {
    let group = fanotify::group()?;
    // A file nobody else opens: marks go with the group at the end of this function.
    let path = std::env::temp_dir().join(format!(".session0-probe-{}", std::process::id()));
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::EXCL | rustix::fs::OFlags::WRONLY;
    rustix::fs::open(&path, flags, rustix::fs::Mode::RUSR)?;
    let marked = fanotify::mark(group.as_fd(), &path);
    std::fs::remove_file(&path)?;
    marked?;
    Ok("FAN_OPEN_PERM with process descriptors".into())
}

fn keyring() -> io::Result<String> {
    in_child(0, session::seal::join_new_keyring)?;
    Ok("one for each session".into())
}

fn descriptor_refusal() -> io::Result<String> {
    let (ours, _client) = packet::pair()?;
    match packet::try_refuse_descriptors(ours.as_fd()) {
        Ok(()) => Ok("SO_PASSRIGHTS".into()),
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {
            Err(io::Error::other("the kernel has no SO_PASSRIGHTS (Linux 6.16)"))
        }
        Err(error) => Err(error),
    }
}

/// The oldest kernel everything is promised on.
pub const KERNEL_OLDEST: (u32, u32) = (6, 12);

/// Whether the running kernel is at least [`KERNEL_OLDEST`].
pub fn kernel_is_supported() -> bool {
    process::kernel_version() >= KERNEL_OLDEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_facility_is_tried_once() {
        let mut all = Facilities::empty();
        for entry in TABLE {
            assert!(!all.intersects(entry.facility), "{} is there twice", entry.name);
            all |= entry.facility;
        }
        assert_eq!(all, Facilities::all());
    }

    #[test]
    fn probing_works_and_leaves_nothing() {
        if !rustix::process::getuid().is_root() {
            return crate::skip("probing_works_and_leaves_nothing", "needs root");
        }
        for probe in probe() {
            println!("{:40} {} {}", probe.name, if probe.found { "found" } else { "MISSING" }, probe.detail);
            assert!(probe.found || probe.without != Without::Never, "{}: {}", probe.name, probe.detail);
        }
        let place = trial_place(&Mounts::find().unwrap()).unwrap();
        assert!(!place.join(format!("{TRIAL}{}", std::process::id())).exists());
        // Nor what one that was killed has left.
        let orphan = place.join(format!("{TRIAL}4194399"));
        std::fs::create_dir(&orphan).unwrap();
        drop(TrialGroup::new().unwrap());
        assert!(!orphan.exists());
    }
}
