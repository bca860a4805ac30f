//! Attacks on a process by its number.

use std::fs::File;
use std::io::{Error, Read};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use super::Target;
use crate::attempt::name_of;
use crate::target::MARK;

/// The same with every candidate.
pub fn each(target: &Target, way: impl Fn(i32) -> Result<Option<String>, Error>) -> String {
    let mut last = "nobody to attack".to_owned();
    for pid in target.candidates() {
        last = match way(pid) {
            Ok(Some(secret)) => {
                println!("got {secret}");
                "ok".into()
            }
            Ok(None) => "ok, nothing there".into(),
            Err(error) => name_of(&error),
        };
        println!("{pid}: {last}");
    }
    last
}

fn checked(value: i64) -> Result<i64, Error> {
    if value < 0 { Err(Error::last_os_error()) } else { Ok(value) }
}

/// Whether it arrived only the target can say. SIGURG harms nobody who is hit by mistake.
pub fn signal(pid: i32) -> Result<Option<String>, Error> {
    // SAFETY: no pointers.
    let by_number = checked(i64::from(unsafe { libc::kill(pid, libc::SIGURG) }));
    // SAFETY: no pointers; the descriptor is closed with the process.
    let by_descriptor =
        checked(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }).and_then(|descriptor| {
            // SAFETY: a null pointer asks for the information kill would send.
            checked(unsafe {
                libc::syscall(
                    libc::SYS_pidfd_send_signal,
                    descriptor,
                    libc::SIGURG,
                    std::ptr::null::<libc::siginfo_t>(),
                    0,
                )
            })
        });
    // SAFETY: getuid has no preconditions; everything of this user in the namespace, without us.
    if unsafe { libc::getuid() } != 0 {
        // SAFETY: no pointers.
        unsafe { libc::kill(-1, libc::SIGURG) };
    }
    by_number.or(by_descriptor).map(|_| None)
}

/// Stops it by ptrace and reads its heap word by word.
pub fn trace(pid: i32) -> Result<Option<String>, Error> {
    // SAFETY: SEIZE and INTERRUPT take no memory of ours.
    checked(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) })?;
    // SAFETY: as above; the status is not wanted.
    unsafe {
        libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0);
        libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL);
    }
    let found = heaps(pid).map(|heaps| {
        heaps.into_iter().find_map(|(start, end)| {
            let mut bytes = Vec::new();
            for address in (start..end).step_by(8) {
                // SAFETY: PEEKDATA by the raw call writes one word to `word`.
                let mut word = 0_u64;
                let read = unsafe {
                    libc::syscall(libc::SYS_ptrace, libc::PTRACE_PEEKDATA, pid, address, &raw mut word)
                };
                bytes.extend(if read == 0 { word } else { 0 }.to_ne_bytes());
            }
            secret_in(&bytes)
        })
    });
    // SAFETY: as above.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0) };
    found
}

/// process_vm_readv on its heap.
pub fn vm_read(pid: i32) -> Result<Option<String>, Error> {
    let read = |start: u64, bytes: &mut [u8]| {
        let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let remote = libc::iovec { iov_base: start as *mut libc::c_void, iov_len: bytes.len() };
        // SAFETY: `local` describes `bytes`; `remote` is in the other process and only read.
        checked(unsafe { libc::process_vm_readv(pid, &local, 1, &remote, 1, 0) } as i64)
    };
    // A place that nobody has: EFAULT says that it would have been allowed.
    if let Err(error) = read(4096, &mut [0; 8])
        && error.raw_os_error() != Some(libc::EFAULT)
    {
        return Err(error);
    }
    let mut found = None;
    for (start, end) in heaps(pid)? {
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(0)];
        read(start, &mut bytes)?;
        found = found.or(secret_in(&bytes));
    }
    Ok(found)
}

/// /proc/PID/mem.
pub fn mem(pid: i32) -> Result<Option<String>, Error> {
    let file = File::open(format!("/proc/{pid}/mem"))?;
    let mut found = None;
    for (start, end) in heaps(pid)? {
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(0)];
        file.read_exact_at(&mut bytes, start)?;
        found = found.or(secret_in(&bytes));
    }
    Ok(found)
}

/// /proc/PID/environ.
pub fn environ(pid: i32) -> Result<Option<String>, Error> {
    let bytes = std::fs::read(format!("/proc/{pid}/environ"))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(text.split('\0').find_map(|one| one.strip_prefix("HELD_SECRET=")).map(str::to_owned))
}

/// /proc/PID/fd: opens what the target has open.
pub fn fd(pid: i32) -> Result<Option<String>, Error> {
    let mut found = None;
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let opened = File::options().read(true).custom_flags(flags).open(entry.path());
        found = found.or(opened.ok().and_then(|file| secret_of(&file)));
    }
    Ok(found)
}

/// pidfd_getfd: takes what the target has open.
pub fn pidfd_getfd(pid: i32) -> Result<Option<String>, Error> {
    // SAFETY: no pointers.
    let process = checked(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let mut last = None;
    let mut found = None;
    for number in 0..16 {
        // SAFETY: no pointers.
        match checked(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process, number, 0) }) {
            // SAFETY: the kernel has just made it for us.
            Ok(taken) => found = found.or(secret_of(&unsafe { File::from_raw_fd(taken as i32) })),
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => {}
            Err(error) => last = Some(error),
        }
    }
    // SAFETY: ours, and nobody uses it any more.
    unsafe { libc::close(process as i32) };
    match (found, last) {
        (None, Some(error)) => Err(error),
        (found, _) => Ok(found),
    }
}

/// A file of the target's through its root directory.
pub fn through_root(pid: i32, name: &str) -> Result<Option<String>, Error> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/root/tmp/{name}"))?;
    Ok(Some(text))
}

/// Makes the target dump core, and reads the file.
pub fn core(target: &Target) -> String {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.starts_with('|') || pattern.contains('/') {
        println!("skip: cores of this machine go to {}", pattern.trim());
        return "skipped".into();
    }
    let mut last = "nobody to attack".to_owned();
    // Only what certainly is the target, or cannot be anybody else here: the signal kills.
    let unknown = !std::path::Path::new(&format!("/proc/{}", target.outer)).exists();
    let victims = target.found().into_iter().chain(Some(target.outer).filter(|pid| unknown && *pid > 1));
    for pid in victims {
        // SAFETY: no pointers.
        let sent = checked(i64::from(unsafe { libc::kill(pid, libc::SIGABRT) }));
        last = sent.as_ref().map_or_else(name_of, |_| "sent".into());
        println!("{pid}: {last}");
        if sent.is_ok() {
            wait_until_gone(pid);
        }
    }
    for entry in std::fs::read_dir("/tmp").into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("core") {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            if let Some(secret) = secret_in(&bytes) {
                println!("got {secret}");
                let _ = std::fs::remove_file(entry.path());
                last = "ok".into();
            }
        }
    }
    last
}

/// By a descriptor of the process: the core file is complete when it has ended.
fn wait_until_gone(pid: i32) {
    // SAFETY: no pointers.
    let Ok(process) = checked(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }) else { return };
    let mut poll = libc::pollfd { fd: process as i32, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, which outlives the call.
    unsafe { libc::poll(&mut poll, 1, 10_000) };
}

/// A process's heaps, by its map.
fn heaps(pid: i32) -> Result<Vec<(u64, u64)>, Error> {
    let mut map = String::new();
    File::open(format!("/proc/{pid}/maps"))?.read_to_string(&mut map)?;
    let heaps = map.lines().filter(|line| line.ends_with("[heap]")).filter_map(|line| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
    });
    Ok(heaps.collect())
}

/// The 32 hexadecimal digits behind the mark.
fn secret_in(bytes: &[u8]) -> Option<String> {
    let mark = MARK.as_bytes();
    bytes.windows(mark.len() + 32).find_map(|window| {
        let digits = window.strip_prefix(mark)?;
        digits.iter().all(u8::is_ascii_hexdigit).then(|| String::from_utf8_lossy(digits).into_owned())
    })
}

/// What stands in it, if it is a file of a secret's size: reading anything else could take what is somebody's.
fn secret_of(file: &File) -> Option<String> {
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() != 32 {
        return None;
    }
    let mut bytes = [0; 32];
    // SAFETY: the pointer and the length are `bytes`'s.
    let read = unsafe { libc::pread(file.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    (read == 32).then(|| String::from_utf8_lossy(&bytes).into_owned())
}
