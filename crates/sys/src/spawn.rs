//! Starting a program from the daemon: straight into namespaces and a control group, with nothing inherited but
//! what was granted.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Mode, OFlags};
use rustix::io::DupFlags;
use rustix::process::{Resource, Rlimit};
use session0_model::id::SessionId;

use crate::cgroup::SessionGroups;
use crate::fault::{Context, Fault};

// libc 0.2 has these two as c_int, where they overflow to 0 (libc#3584).
pub(crate) const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
pub(crate) const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;

/// Which namespaces a child gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespaces {
    /// None of its own.
    Inherited,
    /// PID, mount, IPC and UTS namespaces of its own: a session. Its programs get cgroup namespaces when they are
    /// launched; init must not have one: where v2 is mounted with `nsdelegate`, as systemd does, it could not put
    /// children into groups that are not below its namespace's root, which would be its parent's group.
    Session,
}

/// What to start.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// The program, opened with [`open_program`]: immune to what happens to its path meanwhile.
    pub program: BorrowedFd<'a>,
    /// argv.
    pub arguments: &'a [CString],
    /// The whole environment, `KEY=value`.
    pub environment: &'a [CString],
    /// Namespaces.
    pub namespaces: Namespaces,
    /// The v2 group it is born in.
    pub group: Option<BorrowedFd<'a>>,
    /// Ours and the number it has in the child. Everything else is closed at exec.
    pub descriptors: &'a [(BorrowedFd<'a>, RawFd)],
    /// Its limit of open files, if it is not to have ours. Set in the child: ours, lowered for the time, would forbid the very
    /// descriptors a start needs once we have more open than it allows.
    pub open_files: Option<Rlimit>,
}

/// A started program.
#[derive(Debug)]
pub struct Child {
    /// Its number, in our PID namespace.
    pub pid: i32,
    /// It.
    pub pidfd: OwnedFd,
}

/// Opens a program for [`Spawn::program`].
pub fn open_program(path: &Path) -> Result<OwnedFd, Fault> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).context("open the program", path.display())
}

/// Starts the init of a session: descriptors 3 = control listener, 4 = work group, 5 to 7 = v1 groups, standard
/// error = `messages`, no environment, its session's number as only argument. It and everything it starts get the usual limit of open
/// files, not the one the daemon raised for itself.
pub fn session_init(
    program: BorrowedFd<'_>,
    session: SessionId,
    listener: BorrowedFd<'_>,
    groups: &SessionGroups,
    messages: BorrowedFd<'_>,
) -> Result<Child, Fault> {
    let what = "start the init of session";
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .context(what, session)?;
    let null = null.as_fd();
    let [memory, pids, cpu] = groups.v1().map(|group| group.unwrap_or(null));
    let descriptors = [
        (null, 0),
        (null, 1),
        (messages, 2),
        (listener, 3),
        (groups.work(), 4),
        (memory, 5),
        (pids, 6),
        (cpu, 7),
    ];
    let arguments = [CString::from(c"session0-init"), number(session)];
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    let usual = Rlimit { current: Some(1024).min(maximum.or(Some(1024))), maximum };
    start(&Spawn {
        program,
        arguments: &arguments,
        environment: &[],
        namespaces: Namespaces::Session,
        group: Some(groups.init()),
        descriptors: &descriptors,
        open_files: Some(usual),
    })
    .context(what, session)
}

fn number(session: SessionId) -> CString {
    CString::new(session.to_string()).unwrap_or_default()
}

/// Descriptors at low numbers that mean nothing until a start puts what its child is to have there.
///
/// A child begins with a copy of everything we have open and closes it at its exec: with 200 sessions that are 2 600
/// descriptors and a sixth of a logon (measured). So the child shares our table at first, and then takes a copy of its beginning
/// only, which ends with these.
static LOW: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

/// So many, and above every number that a child is given: a session's init has 8, and there are the program and the pipe.
const LOW_COUNT: usize = 16;
/// See [`LOW_COUNT`].
const LOW_FIRST: RawFd = 64;

/// Reserves the low numbers, if that was not done. As early as possible: what is open before is copied for every child.
pub fn reserve_low() -> io::Result<()> {
    let mut low = LOW.lock().unwrap_or_else(PoisonError::into_inner);
    reserve(&mut low)
}

fn reserve(low: &mut Vec<OwnedFd>) -> io::Result<()> {
    while low.len() < LOW_COUNT {
        let null = null()?;
        low.push(rustix::io::fcntl_dupfd_cloexec(&null, LOW_FIRST)?);
    }
    Ok(())
}

fn null() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}

/// Starts a program. Returns after its exec, with exec's error if that failed.
///
/// All memory is prepared before the clone; the child makes only async-signal-safe calls.
pub fn start(spawn: &Spawn<'_>) -> io::Result<Child> {
    let arguments = pointers(spawn.arguments);
    let environment = pointers(spawn.environment);
    let (told, tell) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let top = spawn.descriptors.iter().map(|(_, target)| *target + 1).max().unwrap_or(0).max(3);
    let mut low = LOW.lock().unwrap_or_else(PoisonError::into_inner);
    reserve(&mut low)?;
    let used = spawn.descriptors.len() + 2;
    if used > low.len() || top > LOW_FIRST {
        return Err(rustix::io::Errno::INVAL.into());
    }
    let nothing = null()?;
    let granted = spawn.descriptors.iter().map(|(source, _)| *source).chain([spawn.program, tell.as_fd()]);
    let placed = granted
        .zip(low.iter_mut())
        .try_for_each(|(source, place)| rustix::io::dup3(source, place, DupFlags::CLOEXEC));
    let sources: Vec<_> =
        low.iter().zip(spawn.descriptors).map(|(low, (_, to))| (low.as_raw_fd(), *to)).collect();
    let plan = ChildPlan {
        program: low[used - 2].as_raw_fd(),
        arguments: &arguments,
        environment: &environment,
        sources: &sources,
        top,
        low_end: low.iter().map(|low| low.as_raw_fd() + 1).max().unwrap_or(0),
        tell: low[used - 1].as_raw_fd(),
        open_files: spawn.open_files,
    };
    let child = placed.map_err(io::Error::from).and_then(|()| clone(spawn.namespaces, spawn.group, &plan));
    // The read below ends when the last write end is closed, and nothing of what was granted stays with us.
    for place in low.iter_mut().take(used) {
        rustix::io::dup3(&nothing, place, DupFlags::CLOEXEC)?;
    }
    drop((low, tell));
    let child = child?;
    let mut word = [0u8; 4];
    match rustix::io::read(&told, &mut word)? {
        0 => Ok(child),
        _ => {
            let _ = rustix::process::waitid(
                rustix::process::WaitId::PidFd(child.pidfd.as_fd()),
                rustix::process::WaitIdOptions::EXITED,
            );
            Err(io::Error::from_raw_os_error(i32::from_ne_bytes(word)))
        }
    }
}

struct ChildPlan<'a> {
    program: RawFd,
    arguments: &'a [*const libc::c_char],
    environment: &'a [*const libc::c_char],
    sources: &'a [(RawFd, RawFd)],
    top: RawFd,
    low_end: RawFd,
    tell: RawFd,
    open_files: Option<Rlimit>,
}

fn clone(namespaces: Namespaces, group: Option<BorrowedFd<'_>>, plan: &ChildPlan<'_>) -> io::Result<Child> {
    let mut pidfd: RawFd = -1;
    // SAFETY: every bit pattern is a valid `clone_args` (integers only).
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    // It shares our descriptors until it has a table of its own, before which it changes none; we go on only after its exec or its
    // end, so that we change none either.
    args.flags = (libc::CLONE_PIDFD | libc::CLONE_FILES | libc::CLONE_VFORK) as u64 | CLONE_CLEAR_SIGHAND;
    match namespaces {
        Namespaces::Inherited => {}
        Namespaces::Session => {
            args.flags |=
                (libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS) as u64;
        }
    }
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(group) = group {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = group.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child has its own copy of memory and returns here with 0; it then runs only
    // `run_child`, which makes system calls alone. `args` and `pidfd` live for the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    if pid == 0 {
        // SAFETY: we are the child, just cloned; everything in `plan` was made before.
        unsafe { run_child(plan) }
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: clone3 succeeded with CLONE_PIDFD, so it has put a descriptor of ours there.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Child { pid: pid as i32, pidfd })
}

/// # Safety
/// Only in a just cloned child; every pointer in `plan` must be valid.
unsafe fn run_child(plan: &ChildPlan<'_>) -> ! {
    // SAFETY: system calls with integers and with pointers that `plan` keeps valid; see above.
    unsafe {
        // Must succeed: the table is our parent's until then.
        if libc::syscall(libc::SYS_close_range, plan.low_end, u32::MAX, libc::CLOSE_RANGE_UNSHARE) != 0 {
            fail(plan.tell);
        }
        for (source, target) in plan.sources {
            if libc::dup3(*source, *target, 0) < 0 {
                fail(plan.tell);
            }
        }
        libc::syscall(libc::SYS_close_range, plan.top, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        if crate::process::reset_signals().is_err() {
            fail(plan.tell);
        }
        if let Some(limit) = plan.open_files
            && rustix::process::setrlimit(Resource::Nofile, limit).is_err()
        {
            fail(plan.tell);
        }
        libc::syscall(
            libc::SYS_execveat,
            plan.program,
            c"".as_ptr(),
            plan.arguments.as_ptr(),
            plan.environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
        fail(plan.tell)
    }
}

/// # Safety
/// Only in a child that is to end.
unsafe fn fail(tell: RawFd) -> ! {
    // SAFETY: errno is a thread-local of ours; write and _exit are async-signal-safe.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(tell, (&raw const errno).cast(), size_of::<i32>());
        libc::_exit(127)
    }
}

/// A copy of this process, for a trial. Returns 0 in the copy, which must end with [`exit_now`].
pub(crate) fn fork(namespaces: u64) -> io::Result<i32> {
    // SAFETY: every bit pattern is a valid `clone_args` (integers only).
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = namespaces;
    args.exit_signal = libc::SIGCHLD as u64;
    // SAFETY: without CLONE_VM the child has its own copy of our memory; callers run only system calls and small
    // allocations in it (glibc's allocator is usable in a child of a program with one thread). `args` lives for
    // the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid as i32) }
}

/// Ends a [`fork`]ed copy without running anything of the original's.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes an integer and does not return.
    unsafe { libc::_exit(status) }
}

pub(crate) fn pointers(strings: &[impl AsRef<CStr>]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ref().as_ptr()).chain([std::ptr::null()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_what_was_granted_and_nothing_else() {
        let (read, write) = crate::pipe::new().unwrap();
        let leak = std::fs::File::open("/dev/null").unwrap();
        rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
        let shell = open_program(Path::new("/bin/sh")).unwrap();
        let script = "echo $A; ls /proc/self/fd | wc -l; grep -E 'Sig(Ign|Blk)' /proc/self/status";
        let child = start(&Spawn {
            program: shell.as_fd(),
            arguments: &[c"sh".into(), c"-c".into(), CString::new(script).unwrap()],
            environment: &[c"A=b".into(), c"PATH=/usr/bin:/bin".into()],
            namespaces: Namespaces::Inherited,
            group: None,
            descriptors: &[(leak.as_fd(), 0), (write.as_fd(), 1), (leak.as_fd(), 2)],
            open_files: None,
        })
        .unwrap();
        drop(write);
        let status = rustix::process::waitid(
            rustix::process::WaitId::PidFd(child.pidfd.as_fd()),
            rustix::process::WaitIdOptions::EXITED,
        );
        assert_eq!(status.unwrap().unwrap().exit_status(), Some(0));
        let mut text = [0; 1000];
        let length = rustix::io::read(&read, &mut text).unwrap();
        let text = std::str::from_utf8(&text[..length]).unwrap();
        // None of what was granted is with us any more.
        assert_eq!(rustix::io::read(&read, &mut [0; 1]).unwrap(), 0);
        // 0, 1, 2 and the one ls reads the directory with.
        assert_eq!(text, "b\n4\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    }

    #[test]
    fn a_limit_of_open_files_below_what_we_have_open_is_the_childs_alone() {
        let (read, write) = crate::pipe::new().unwrap();
        let many: Vec<_> = (0..100).map(|_| read.try_clone().unwrap()).collect();
        let ours = rustix::process::getrlimit(Resource::Nofile);
        let shell = open_program(Path::new("/bin/sh")).unwrap();
        let child = start(&Spawn {
            program: shell.as_fd(),
            arguments: &[c"sh".into(), c"-c".into(), c"ulimit -n".into()],
            environment: &[],
            namespaces: Namespaces::Inherited,
            group: None,
            descriptors: &[(many[0].as_fd(), 0), (write.as_fd(), 1), (write.as_fd(), 2)],
            open_files: Some(Rlimit { current: Some(20), maximum: ours.maximum }),
        })
        .unwrap();
        drop(write);
        let _ = rustix::process::waitid(
            rustix::process::WaitId::PidFd(child.pidfd.as_fd()),
            rustix::process::WaitIdOptions::EXITED,
        );
        let mut text = [0; 100];
        let length = rustix::io::read(&read, &mut text).unwrap();
        assert_eq!(std::str::from_utf8(&text[..length]).unwrap(), "20\n");
        assert_eq!(rustix::process::getrlimit(Resource::Nofile).current, ours.current);
    }

    #[test]
    fn an_exec_that_fails_is_an_error() {
        let file = open_program(Path::new("/etc/passwd")).unwrap();
        let result = start(&Spawn {
            program: file.as_fd(),
            arguments: &[],
            environment: &[],
            namespaces: Namespaces::Inherited,
            group: None,
            descriptors: &[],
            open_files: None,
        });
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EACCES));
    }
}
