//! One launch: clone into the unit's group, become what the plan says, exec.
//!
//! init is single-threaded and clones without sharing memory, so the child may do anything an ordinary program may;
//! all the same it prepares nothing that the parent can prepare. Every step that fails ends the child: a program
//! never runs with less of a wall than its plan says.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::process::{Gid, Resource, Rlimit, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};
use session0_model::launch::exit::{LaunchFailure, LaunchPhase};
use session0_model::launch::plan::{Elevation, LaunchPlan, Network, UserNamespaces};
use session0_model::launch::session_plan::SessionPlan;

use crate::low_table::{self, Child, Stack};
use crate::mount::{self, Depth};
use crate::process::OomScore;
use crate::seccomp;
use crate::session::Walls;
use crate::spawn::{CLONE_CLEAR_SIGHAND, CLONE_INTO_CGROUP};

/// What all launches of an init have in common.
pub struct Launcher {
    null: OwnedFd,
    stack: Stack,
    walls: Walls,
    capabilities: u64,
    open_files: Rlimit,
    oom: OomScore,
    elevation: Elevation,
    filter: [libc::sock_filter; 9],
    /// For programs that may become root of the session.
    set_id: Option<seccomp::Filter>,
}

/// Where a program is put and what it is given.
#[derive(Debug)]
pub struct Place<'a> {
    /// The unit's v2 group.
    pub group: BorrowedFd<'a>,
    /// The unit's own v1 groups, where it has limits of its own on v1.
    pub v1: [Option<BorrowedFd<'a>>; 3],
    /// Standard input, output and error.
    pub standard: Standard<'a>,
    /// Descriptors 3 and following. All of ours must have numbers above theirs.
    pub extra: &'a [BorrowedFd<'a>],
    /// What is executed, if not the plan's program by its path. It must have a number above those of `extra`, too.
    pub program: Option<BorrowedFd<'a>>,
    /// What the child has of our descriptors until exec.
    pub table: Table,
}

/// See [`Place::table`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// All of them.
    Whole,
    /// Those up to the highest that it needs, if that can be: for who has very many above.
    Low,
}

/// What a program has as standard input, output and error.
#[derive(Debug)]
pub enum Standard<'a> {
    /// A service: nothing as input, this as output and error.
    Output(BorrowedFd<'a>),
    /// A user's program: this terminal as all three, which becomes its controlling one.
    Terminal(BorrowedFd<'a>),
    /// A user's program: these.
    Pipes([BorrowedFd<'a>; 3]),
}

/// A child on its way to exec.
#[derive(Debug)]
pub struct Launching {
    /// Its number.
    pub pid: i32,
    /// Readable once its fate is known; see [`outcome`]. Never read it blocking: the child may be frozen.
    pub fate: OwnedFd,
}

/// What became of a [`Launching`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not known yet.
    Pending,
    /// exec succeeded (or the child was killed before it: its exit says so).
    Executed,
    /// It failed; the child ends by itself.
    Failed(LaunchFailure),
}

impl Launcher {
    /// For a session made by this plan. `open_files` and `oom`: what children get back.
    pub fn new(
        walls: Walls,
        session: &SessionPlan,
        open_files: Rlimit,
        oom: OomScore,
    ) -> io::Result<Launcher> {
        let SessionPlan { capabilities, elevation, .. } = *session;
        let null = rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let filter = seccomp::user_namespace_filter();
        let set_id = match (elevation, walls) {
            (Elevation::Contained, Walls::Up) => Some(seccomp::set_id_filter()?),
            (Elevation::Deny, _) | (_, Walls::Down) => None,
        };
        let stack = Stack::new()?;
        Ok(Launcher { null, stack, walls, capabilities, open_files, oom, elevation, filter, set_id })
    }

    /// Clones the child. It goes on by itself; look at its fate with [`outcome`].
    pub fn start(&self, plan: &LaunchPlan, place: &Place<'_>) -> Result<Launching, LaunchFailure> {
        let texts = Texts::of(plan).ok_or(failure(LaunchPhase::Exec, libc::EINVAL))?;
        let (fate, tell) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|error| failure(LaunchPhase::Clone, error.raw_os_error()))?;
        rustix::fs::fcntl_setfl(&fate, OFlags::NONBLOCK)
            .map_err(|error| failure(LaunchPhase::Clone, error.raw_os_error()))?;
        let child = ChildLaunch { launcher: self, plan, place, texts: &texts, tell: tell.as_raw_fd() };
        let pid = child
            .clone_into_group()
            .map_err(|error| failure(LaunchPhase::Clone, error.raw_os_error().unwrap_or(libc::EIO)))?;
        Ok(Launching { pid, fate })
    }
}

/// Looks at a child's fate without waiting.
pub fn outcome(fate: BorrowedFd<'_>) -> Outcome {
    let mut word = [0u8; 8];
    match rustix::io::read(fate, &mut word) {
        Ok(8) => {
            let [a, b, c, d, e, f, g, h] = word;
            let index = u32::from_ne_bytes([a, b, c, d]) as usize;
            let phase = PHASES.get(index).copied().unwrap_or(LaunchPhase::Exec);
            Outcome::Failed(failure(phase, i32::from_ne_bytes([e, f, g, h])))
        }
        Ok(_) => Outcome::Executed,
        Err(_) => Outcome::Pending,
    }
}

/// In the order of the enum, so that a phase can be told as a number.
const PHASES: [LaunchPhase; 13] = [
    LaunchPhase::Group,
    LaunchPhase::Limits,
    LaunchPhase::Directory,
    LaunchPhase::Output,
    LaunchPhase::Clone,
    LaunchPhase::Namespace,
    LaunchPhase::Descriptors,
    LaunchPhase::ResourceLimits,
    LaunchPhase::Filter,
    LaunchPhase::Identity,
    LaunchPhase::Capabilities,
    LaunchPhase::WorkingDirectory,
    LaunchPhase::Exec,
];

/// A launch's failure.
pub fn failure(phase: LaunchPhase, errno: i32) -> LaunchFailure {
    LaunchFailure { phase, errno }
}

/// The plan's texts as the kernel wants them.
struct Texts {
    program: CString,
    directory: CString,
    write: Vec<CString>,
    argument_pointers: Vec<*const libc::c_char>,
    environment_pointers: Vec<*const libc::c_char>,
    // What the argument pointers point into; the environment's point into the plan, which outlives this.
    _arguments: Vec<CString>,
}

impl Texts {
    /// `None`: a text has a zero byte inside, or the environment none at its end.
    fn of(plan: &LaunchPlan) -> Option<Texts> {
        let arguments = strings(plan.arguments.iter().map(String::as_str)).ok()?;
        // Each variable of the plan's text ends with a zero byte, so it needs no copy.
        let text = plan.environment.as_text();
        if !text.is_empty() && !text.ends_with('\0') {
            return None;
        }
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == 0).map(|(at, _)| at + 1);
        let begins = std::iter::once(0).chain(ends).take_while(|at| *at < text.len());
        let mut environment_pointers: Vec<*const libc::c_char> =
            begins.map(|at| text[at..].as_ptr().cast()).collect();
        environment_pointers.push(std::ptr::null());
        Some(Texts {
            program: CString::new(plan.program.as_str()).ok()?,
            directory: CString::new(plan.directory.as_str()).ok()?,
            write: strings(plan.write.iter().map(String::as_str)).ok()?,
            argument_pointers: crate::spawn::pointers(&arguments),
            environment_pointers,
            _arguments: arguments,
        })
    }
}

fn strings<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<CString>, std::ffi::NulError> {
    texts.map(CString::new).collect()
}

/// A step's error: where and why.
type Step = Result<(), (LaunchPhase, i32)>;

trait In {
    fn during(self, phase: LaunchPhase) -> Step;
}

impl<T> In for Result<T, Errno> {
    fn during(self, phase: LaunchPhase) -> Step {
        self.map(drop).map_err(|error| (phase, error.raw_os_error()))
    }
}

impl<T> In for io::Result<T> {
    fn during(self, phase: LaunchPhase) -> Step {
        self.map(drop).map_err(|error| (phase, error.raw_os_error().unwrap_or(libc::EIO)))
    }
}

fn last(phase: LaunchPhase) -> (LaunchPhase, i32) {
    (phase, io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Everything the child needs; made before the clone.
struct ChildLaunch<'a> {
    launcher: &'a Launcher,
    plan: &'a LaunchPlan,
    place: &'a Place<'a>,
    texts: &'a Texts,
    tell: RawFd,
}

impl Child for ChildLaunch<'_> {
    fn run(&self) -> ! {
        let (phase, errno) = match self.become_program() {
            Err(failed) => failed,
            Ok(()) => (LaunchPhase::Exec, libc::EIO),
        };
        let index = PHASES.iter().position(|one| *one == phase).unwrap_or(0) as u32;
        let mut word = [0u8; 8];
        word[..4].copy_from_slice(&index.to_ne_bytes());
        word[4..].copy_from_slice(&errno.to_ne_bytes());
        // SAFETY: `tell` is the pipe's end we were cloned with; nothing else in this process uses it or is to
        // run any more.
        unsafe {
            libc::write(self.tell, word.as_ptr().cast(), word.len());
            libc::_exit(127)
        }
    }
}

impl ChildLaunch<'_> {
    fn clone_into_group(&self) -> io::Result<i32> {
        // SAFETY: every bit pattern is a valid `clone_args` (integers only).
        let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
        args.flags = CLONE_INTO_CGROUP | CLONE_CLEAR_SIGHAND;
        args.exit_signal = libc::SIGCHLD as u64;
        args.cgroup = self.place.group.as_raw_fd() as u64;
        let low = match self.place.table {
            Table::Whole => None,
            // SAFETY: we have one thread; the flags are those above.
            Table::Low => unsafe { low_table::clone(&self.launcher.stack, self.end(), &mut args, self) },
        };
        if let Some(cloned) = low {
            return cloned;
        }
        // SAFETY: without CLONE_VM the child has its own copy of our memory, and as we have one thread it is whole;
        // it returns here with 0 and never leaves `run`. `args` lives for the call.
        let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
        match pid {
            0 => self.run(),
            pid if pid > 0 => Ok(pid as i32),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The number after the highest that the child uses.
    fn end(&self) -> RawFd {
        let place = self.place;
        let standard = self.standard();
        let used = standard.iter().chain(place.extra).chain(&place.program).chain(place.v1.iter().flatten());
        let highest = used.map(AsRawFd::as_raw_fd).chain([place.group.as_raw_fd(), self.tell]).max();
        highest.map_or(RawFd::MAX, |highest| highest + 1)
    }

    /// What becomes 0, 1 and 2.
    fn standard(&self) -> [BorrowedFd<'_>; 3] {
        match self.place.standard {
            Standard::Output(output) => [self.launcher.null.as_fd(), output, output],
            Standard::Terminal(terminal) => [terminal; 3],
            Standard::Pipes(pipes) => pipes,
        }
    }

    /// Returns only with an error.
    fn become_program(&self) -> Step {
        self.join_groups().during(LaunchPhase::Limits)?;
        self.namespaces()?;
        self.descriptors()?;
        self.resource_limits().during(LaunchPhase::ResourceLimits)?;
        self.bounding_set().during(LaunchPhase::Capabilities)?;
        self.filters()?;
        self.identity().during(LaunchPhase::Identity)?;
        self.capabilities().during(LaunchPhase::Capabilities)?;
        rustix::process::chdir(&self.texts.directory).during(LaunchPhase::WorkingDirectory)?;
        // An empty path means the descriptor itself.
        let (directory, path, flags) = match self.place.program {
            Some(program) => (program.as_raw_fd(), c"", libc::AT_EMPTY_PATH),
            None => (libc::AT_FDCWD, self.texts.program.as_c_str(), 0),
        };
        // SAFETY: the pointers are into `texts`, whose strings are alive, and both lists end with null.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                directory,
                path.as_ptr(),
                self.texts.argument_pointers.as_ptr(),
                self.texts.environment_pointers.as_ptr(),
                flags,
            );
        }
        Err(last(LaunchPhase::Exec))
    }

    fn join_groups(&self) -> io::Result<()> {
        for group in self.place.v1.iter().flatten() {
            crate::cgroup::write(*group, "tasks", "0")?;
        }
        self.launcher.oom.restore()
    }

    fn namespaces(&self) -> Step {
        match self.launcher.walls {
            // Its own group is the root of all groups it hears of.
            // SAFETY: a cgroup namespace of our own shares no memory and no descriptors with anybody.
            Walls::Up => unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWCGROUP) }
                .during(LaunchPhase::Namespace)?,
            Walls::Down => {}
        }
        if !self.texts.write.is_empty() {
            // SAFETY: a mount namespace of our own shares no memory and no descriptors with anybody.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.during(LaunchPhase::Namespace)?;
            for path in &self.texts.write {
                make_writable(path).during(LaunchPhase::Namespace)?;
            }
        }
        match self.plan.network {
            Network::Shared => Ok(()),
            Network::Private => private_network().during(LaunchPhase::Namespace),
        }
    }

    fn descriptors(&self) -> Step {
        let phase = LaunchPhase::Descriptors;
        let standard = self.standard();
        let all = standard.iter().chain(self.place.extra);
        let mut next: RawFd = 0;
        for descriptor in all {
            // SAFETY: dup3 with integers. What was open at the target number is the parent's in its own table;
            // here nobody uses it any more.
            if unsafe { libc::dup3(descriptor.as_raw_fd(), next, 0) } < 0 {
                return Err(last(phase));
            }
            next += 1;
        }
        // SAFETY: close_range with integers; it only marks.
        if unsafe { libc::syscall(libc::SYS_close_range, next, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) } != 0 {
            return Err(last(phase));
        }
        rustix::process::setsid().during(phase)?;
        match self.place.standard {
            Standard::Terminal(terminal) => rustix::process::ioctl_tiocsctty(terminal).during(phase)?,
            Standard::Output(_) | Standard::Pipes(_) => {}
        }
        // Actions are all the default already: init's own are, see `session::begin`.
        crate::process::unblock_signals().during(phase)
    }

    fn resource_limits(&self) -> Result<(), Errno> {
        let limit = match self.plan.limits.open_files {
            Some(number) => Rlimit { current: Some(number), maximum: Some(number) },
            None => self.launcher.open_files,
        };
        rustix::process::setrlimit(Resource::Nofile, limit)
    }

    /// Before the uid changes: it needs CAP_SETPCAP.
    fn bounding_set(&self) -> Result<(), Errno> {
        let mut surplus = match self.launcher.walls {
            Walls::Up => self.launcher.capabilities & !self.plan.capabilities,
            Walls::Down => 0,
        };
        while surplus != 0 {
            let lowest = surplus & surplus.wrapping_neg();
            rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(lowest))?;
            surplus &= !lowest;
        }
        Ok(())
    }

    fn filters(&self) -> Step {
        let elevation = match self.launcher.elevation {
            Elevation::Contained => self.plan.elevation,
            Elevation::Deny => Elevation::Deny,
        };
        match (elevation, &self.launcher.set_id) {
            (Elevation::Deny, _) => rustix::thread::set_no_new_privs(true).during(LaunchPhase::Filter)?,
            // LocalSystem is root from the beginning, and what it may write is its own.
            (Elevation::Contained, Some(filter)) if self.plan.uid != 0 => {
                seccomp::install(filter).during(LaunchPhase::Filter)?;
            }
            (Elevation::Contained, _) => {}
        }
        match (self.plan.user_namespaces, self.launcher.walls) {
            (UserNamespaces::Denied, Walls::Up) => {
                seccomp::install_raw(&self.launcher.filter).during(LaunchPhase::Filter)
            }
            (UserNamespaces::Allowed, _) | (UserNamespaces::Denied, Walls::Down) => Ok(()),
        }
    }

    fn identity(&self) -> Result<(), Errno> {
        // SAFETY: gid_t is a u32; the pointer and the count are the list's.
        if unsafe { libc::setgroups(self.plan.groups.len(), self.plan.groups.as_ptr()) } != 0 {
            return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO));
        }
        let (uid, gid) = (Uid::from_raw(self.plan.uid), Gid::from_raw(self.plan.gid));
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        if !uid.is_root() && self.granted() != 0 {
            rustix::thread::set_keep_capabilities(true)?;
        }
        rustix::thread::set_thread_res_uid(uid, uid, uid)
    }

    /// What the program has from its start. A user's has nothing: his plan's set bounds what set-uid programs may gain.
    fn granted(&self) -> u64 {
        match (&self.place.standard, self.plan.uid) {
            (Standard::Output(_), _) | (_, 0) => self.plan.capabilities & self.launcher.capabilities,
            (Standard::Terminal(_) | Standard::Pipes(_), _) => 0,
        }
    }

    /// Nothing of init's own is left. For root, exec makes the bounding set the permitted one; for others what is
    /// granted is made ambient.
    fn capabilities(&self) -> Result<(), Errno> {
        if self.plan.uid == 0 && self.launcher.walls == Walls::Down {
            // All that init has.
            return Ok(());
        }
        let granted = CapabilitySet::from_bits_retain(self.granted());
        let root = self.plan.uid == 0;
        let inheritable = if root { CapabilitySet::empty() } else { granted };
        let sets = CapabilitySets { effective: granted, permitted: granted, inheritable };
        rustix::thread::set_capabilities(None, sets)?;
        if root {
            return Ok(());
        }
        for capability in granted.iter() {
            rustix::thread::configure_capability_in_ambient_set(capability, true)?;
        }
        Ok(())
    }
}

/// linux/magic.h: PROC_SUPER_MAGIC, SYSFS_MAGIC.
const KERNEL_MAGICS: [u32; 2] = [0x9fa0, 0x6265_6572];

/// In a mount namespace of our own: lays a writable clone over a read-only path. Symbolic links are followed, so
/// that the path means what the service will mean by it.
fn make_writable(path: &CStr) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let target = rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)?;
    if KERNEL_MAGICS.contains(&(rustix::fs::fstatfs(&target)?.f_type as u32)) {
        // A link that a service has put in the path: the machine's settings are nobody's to write.
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    let copy = mount::clone_tree(target.as_fd(), Depth::Recursive)?;
    let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY;
    mount::set_attributes(copy.as_fd(), MountAttrFlags::empty(), read_only, Depth::Recursive)?;
    mount::attach_on(copy.as_fd(), target.as_fd())
}

/// An empty network with loopback up.
fn private_network() -> io::Result<()> {
    // SAFETY: a network namespace of our own shares no memory and no descriptors with anybody.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: every bit pattern is a valid `ifreq` (integers in a union).
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an `ifreq`, which outlives the call (netdevice(7)).
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as libc::Ioctl, &raw const request) } != 0
    {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
