//! Attacks, each answering with `ok` or the errno's name.

use std::ffi::CString;
use std::io::{Error, Read};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

/// `EPERM` and the like; the message where there is no errno.
pub fn name_of(error: &Error) -> String {
    let names = [
        (1, "EPERM"),
        (2, "ENOENT"),
        (3, "ESRCH"),
        (6, "ENXIO"),
        (9, "EBADF"),
        (11, "EAGAIN"),
        (13, "EACCES"),
        (14, "EFAULT"),
        (16, "EBUSY"),
        (17, "EEXIST"),
        (19, "ENODEV"),
        (20, "ENOTDIR"),
        (22, "EINVAL"),
        (25, "ENOTTY"),
        (30, "EROFS"),
        (38, "ENOSYS"),
        (97, "EAFNOSUPPORT"),
        (111, "ECONNREFUSED"),
    ];
    match error.raw_os_error() {
        Some(number) => names
            .iter()
            .find(|(n, _)| *n == number)
            .map_or(format!("errno {number}"), |(_, name)| (*name).into()),
        None => error.to_string(),
    }
}

fn outcome<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(error) => name_of(&error),
    }
}

fn returned(value: i64) -> String {
    outcome(if value < 0 { Err(Error::last_os_error()) } else { Ok(()) })
}

/// Connects to an abstract socket.
pub fn abstract_connect(name: &str) -> String {
    outcome(SocketAddr::from_abstract_name(name).and_then(|address| UnixStream::connect_addr(&address)))
}

/// Connects to a socket in the file system.
pub fn connect(path: &str) -> String {
    outcome(UnixStream::connect(path))
}

/// Connects and waits for an answer, as an X or Wayland client does.
pub fn connect_and_wait(path: &str) -> String {
    match UnixStream::connect(path) {
        Ok(mut stream) => {
            println!("connected to {path}");
            let mut answer = [0; 8];
            match stream.read(&mut answer) {
                Ok(count) => format!("{count} bytes"),
                Err(error) => name_of(&error),
            }
        }
        Err(error) => name_of(&error),
    }
}

/// Opens for reading.
pub fn open(path: &str) -> String {
    outcome(std::fs::File::open(path))
}

/// Opens for writing, making the file, and leaves no trace.
pub fn write(path: &str) -> String {
    let existed = std::path::Path::new(path).exists();
    let result = std::fs::File::options().append(true).create(true).open(path);
    if result.is_ok() && !existed {
        let _ = std::fs::remove_file(path);
    }
    outcome(result)
}

/// `c:MAJOR:MINOR:DIRECTORY` or `b:...`: makes a device node and opens it.
pub fn make_node(what: &str) -> String {
    let parts: Vec<&str> = what.split(':').collect();
    let [kind, major, minor, directory] = parts[..] else { return "usage".into() };
    let mode = if kind == "b" { libc::S_IFBLK } else { libc::S_IFCHR } | 0o600;
    let path = format!("{directory}/probe-node-{}", std::process::id());
    let Ok(name) = CString::new(path.clone()) else { return "usage".into() };
    let device = libc::makedev(major.parse().unwrap_or(0), minor.parse().unwrap_or(0));
    // SAFETY: the path is a valid C string.
    let made = returned(i64::from(unsafe { libc::mknod(name.as_ptr(), mode, device) }));
    let result = if made == "ok" { format!("made, open {}", open(&path)) } else { made };
    let _ = std::fs::remove_file(path);
    result
}

/// Signal 0 and then SIGUSR1-harmless 0 again: only asks whether it may.
pub fn signal(pid: &str) -> String {
    // SAFETY: signal 0 delivers nothing.
    returned(i64::from(unsafe { libc::kill(pid.parse().unwrap_or(-2), 0) }))
}

/// PTRACE_SEIZE, and lets go again.
pub fn ptrace(pid: &str) -> String {
    let pid: i32 = pid.parse().unwrap_or(-2);
    // SAFETY: SEIZE takes no memory of ours.
    let result = returned(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) });
    if result == "ok" {
        // SAFETY: INTERRUPT and DETACH take no memory of ours.
        unsafe {
            libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0);
            libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL);
            libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0);
        }
    }
    result
}

/// ioctl with the given (hexadecimal) request on a pseudo-terminal of its own.
pub fn terminal_ioctl(request: &str) -> String {
    let request = u64::from_str_radix(request.trim_start_matches("0x"), 16).unwrap_or(0);
    let (mut master, mut slave) = (0, 0);
    // SAFETY: openpty fills two integers; the null pointers mean defaults.
    if unsafe {
        libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), std::ptr::null(), std::ptr::null())
    } != 0
    {
        return format!("openpty {}", name_of(&Error::last_os_error()));
    }
    // SAFETY: a fresh session so that the terminal can become ours.
    unsafe {
        if libc::fork() != 0 {
            let mut status = 0;
            libc::wait(&mut status);
            let code = libc::WEXITSTATUS(status);
            return if code == 0 { "ok".into() } else { name_of(&Error::from_raw_os_error(code)) };
        }
        libc::setsid();
        libc::ioctl(slave, libc::TIOCSCTTY, 0);
        let character = b'x';
        // The raw call: the C library's wrapper would pass all 64 bits as well, this makes it certain.
        let result = libc::syscall(libc::SYS_ioctl, slave, request, &character);
        libc::_exit(if result < 0 { *libc::__errno_location() } else { 0 });
    }
}

/// A user namespace by unshare.
pub fn unshare_user() -> String {
    // SAFETY: one thread.
    returned(i64::from(unsafe { libc::unshare(libc::CLONE_NEWUSER) }))
}

/// A user namespace by clone3.
pub fn clone3_user() -> String {
    // SAFETY: all-zero is a valid clone_args.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = libc::CLONE_NEWUSER as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    // SAFETY: without CLONE_VM this is a fork; the child leaves at once.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &mut arguments, size_of::<libc::clone_args>()) };
    if pid == 0 {
        // SAFETY: leaves the child without running anything of the parent's.
        unsafe { libc::_exit(0) };
    }
    returned(pid)
}

/// Mounts a tmpfs.
pub fn mount() -> String {
    // SAFETY: constant C strings.
    let result = returned(i64::from(unsafe {
        libc::mount(c"none".as_ptr(), c"/mnt".as_ptr(), c"tmpfs".as_ptr(), 0, std::ptr::null())
    }));
    if result == "ok" {
        // SAFETY: as above.
        unsafe { libc::umount(c"/mnt".as_ptr()) };
    }
    result
}

/// Detaches a mount.
pub fn umount(path: &str) -> String {
    let Ok(path) = CString::new(path) else { return "usage".into() };
    // SAFETY: a valid C string.
    returned(i64::from(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) }))
}

/// System calls that a session has no business with, with arguments that do nothing.
pub fn syscall(name: &str) -> String {
    let zero: [u64; 16] = [0; 16];
    let empty = zero.as_ptr() as i64;
    let (number, arguments): (i64, [i64; 5]) = match name {
        "keyctl" => (libc::SYS_keyctl, [0, -3, 0, 0, 0]), // KEYCTL_GET_KEYRING_ID of the session keyring
        "add_key" => (libc::SYS_add_key, [c"user".as_ptr() as i64, c"probe".as_ptr() as i64, empty, 1, -1]),
        "request_key" => {
            (libc::SYS_request_key, [c"user".as_ptr() as i64, c"probe-none".as_ptr() as i64, 0, 0, 0])
        }
        "bpf" => (libc::SYS_bpf, [0, empty, 0, 0, 0]),
        "perf_event_open" => (libc::SYS_perf_event_open, [empty, 0, -1, -1, 0]),
        "open_by_handle_at" => (libc::SYS_open_by_handle_at, [-100, empty, 0, 0, 0]),
        "io_uring_setup" => (libc::SYS_io_uring_setup, [1, empty, 0, 0, 0]),
        "userfaultfd" => (libc::SYS_userfaultfd, [1, 0, 0, 0, 0]),
        "kexec_load" => (libc::SYS_kexec_load, [0, 99, 0, 0, 0]),
        "init_module" => (libc::SYS_init_module, [0, 0, empty, 0, 0]),
        "reboot" => (libc::SYS_reboot, [0, 0, 0, 0, 0]),
        "swapoff" => (libc::SYS_swapoff, [c"/nonexistent".as_ptr() as i64, 0, 0, 0, 0]),
        "sethostname" => (libc::SYS_sethostname, [c"probe".as_ptr() as i64, 0, 0, 0, 0]),
        "x32" => (0x4000_0000 | 39, [0; 5]),
        other => return format!("no such call {other}"),
    };
    // SAFETY: every pointer above is valid or null, and the calls are chosen to change nothing.
    returned(unsafe {
        libc::syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4])
    })
}

/// A socket to the hypervisor.
pub fn vsock() -> String {
    // SAFETY: no pointers.
    returned(i64::from(unsafe { libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0) }))
}

/// Makes a map in the kernel, the smallest thing bpf can do.
pub fn bpf_map() -> String {
    // BPF_MAP_CREATE of an array (2) with keys of 4 bytes, values of 4 bytes, one entry.
    let attributes: [u32; 32] = std::array::from_fn(|index| [2, 4, 4, 1].get(index).copied().unwrap_or(0));
    // SAFETY: the attributes outlive the call, and the size is theirs.
    returned(unsafe { libc::syscall(libc::SYS_bpf, 0, attributes.as_ptr(), size_of_val(&attributes)) })
}

/// Runs the rest of the arguments with landlock_create_ruleset answering ENOSYS, as on a kernel without Landlock.
pub fn without_landlock(command: &[String]) -> String {
    use std::os::unix::process::CommandExt;
    let Some((program, arguments)) = command.split_first() else { return "usage".into() };
    let number = libc::SYS_landlock_create_ruleset as u32;
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let back = (libc::BPF_RET | libc::BPF_K) as u16;
    let filter = [
        libc::sock_filter { code: load, jt: 0, jf: 0, k: 0 },
        libc::sock_filter { code: equal, jt: 0, jf: 1, k: number },
        libc::sock_filter { code: back, jt: 0, jf: 0, k: 0x0005_0000 | libc::ENOSYS as u32 },
        libc::sock_filter { code: back, jt: 0, jf: 0, k: 0x7fff_0000 },
    ];
    let program_of_filter = libc::sock_fprog { len: 4, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the filter lives until the call returns; the kernel copies it.
    let installed = unsafe { libc::syscall(libc::SYS_seccomp, 1, 0, &program_of_filter) };
    if installed != 0 {
        return name_of(&Error::last_os_error());
    }
    name_of(&std::process::Command::new(program).args(arguments).exec())
}
