//! What uid 0 in a session might do to the machine. Nothing is harmed: files are opened and not written, or their own text is
//! written back; nodes are made in a private place and removed.

use std::fs::File;
use std::io::{Error, Read};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;

use crate::attempt::{self, name_of};

fn checked(value: i64) -> Result<i64, Error> {
    if value < 0 { Err(Error::last_os_error()) } else { Ok(value) }
}

/// Prints the file's secret, or why not.
fn shown(result: Result<String, Error>) -> String {
    match result {
        Ok(text) => {
            println!("got {text}");
            "ok".into()
        }
        Err(error) => name_of(&error),
    }
}

/// `write-any PATH...`: whether one of those that the machine has can be opened for writing. `*` stands for one component.
pub fn write_any(paths: &[String]) -> String {
    any(paths, |path| {
        let text = std::fs::read(path).unwrap_or_default();
        let mut file = File::options().write(true).open(path)?;
        // Its own value again: nothing changes for anybody.
        match path.ends_with("core_pattern") {
            true => std::io::Write::write_all(&mut file, &text),
            false => Ok(()),
        }
    })
}

/// `open-any PATH...`: whether one of those that the machine has can be opened.
pub fn open_any(paths: &[String]) -> String {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    any(paths, |path| File::options().read(true).custom_flags(flags).open(path).map(drop))
}

fn any(paths: &[String], way: impl Fn(&str) -> Result<(), Error>) -> String {
    let mut last = "none of them is here".to_owned();
    for path in paths.iter().flat_map(|path| expanded(path)) {
        match way(&path) {
            Ok(()) => {
                println!("{path} can be opened");
                return "ok".into();
            }
            Err(error) => last = format!("{path} {}", name_of(&error)),
        }
    }
    last
}

/// Paths with a `*` as last but one component, or none.
fn expanded(path: &str) -> Vec<String> {
    let Some((before, after)) = path.split_once("*") else { return vec![path.to_owned()] };
    let entries = std::fs::read_dir(before).into_iter().flatten().flatten();
    entries.map(|entry| format!("{}{after}", entry.path().display())).collect()
}

/// `mknod-any c:MAJOR:MINOR...`: makes the nodes in a directory of its own and opens them.
pub fn make_any(nodes: &[String]) -> String {
    // Not below /tmp, where no node can be opened by anybody.
    let place = format!("/var/lib/probe-nodes-{}", std::process::id());
    if let Err(error) = std::fs::create_dir(&place) {
        return name_of(&error);
    }
    let mut last = "nothing".to_owned();
    for node in nodes {
        last = attempt::make_node(&format!("{node}:{place}"));
        println!("{node}: {last}");
        // A driver that is not there says so itself; the node was made and the policy passed.
        if last.ends_with(" ok") || last.ends_with("ENXIO") || last.ends_with("ENODEV") {
            last = "ok".into();
            break;
        }
    }
    let _ = std::fs::remove_dir(&place);
    last
}

/// `read-through PATH`: a file through the root directory of process 1.
pub fn read_through(path: &str) -> String {
    shown(std::fs::read_to_string(format!("/proc/1/root{path}")))
}

/// Bytes of a handle: what name_to_handle_at makes has at most 128.
#[repr(C)]
struct Handle {
    length: u32,
    kind: i32,
    bytes: [u8; 128],
}

/// `handle-of PATH`: the file's handle, as words a test can pass on.
pub fn handle_of(path: &str) -> String {
    let Ok(name) = std::ffi::CString::new(path) else { return "usage".into() };
    let mut handle = Handle { length: 128, kind: 0, bytes: [0; 128] };
    let mut mount = 0;
    // SAFETY: a C string; the handle has room for as many bytes as it says; all outlive the call.
    let made = checked(unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            name.as_ptr(),
            &raw mut handle,
            &raw mut mount,
            0,
        )
    });
    if let Err(error) = made {
        return name_of(&error);
    }
    let bytes = &handle.bytes[..(handle.length as usize).min(128)];
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}:{digits}", handle.kind)
}

/// `by-handle KIND:DIGITS`: opens a file that no name leads to here, by its number in the file system.
pub fn by_handle(text: &str) -> String {
    let Some((kind, digits)) = text.split_once(':') else { return "usage".into() };
    let mut handle = Handle { length: 0, kind: kind.parse().unwrap_or(0), bytes: [0; 128] };
    for (at, pair) in digits.as_bytes().chunks(2).enumerate().take(128) {
        let pair = std::str::from_utf8(pair).unwrap_or("0");
        handle.bytes[at] = u8::from_str_radix(pair, 16).unwrap_or(0);
        handle.length += 1;
    }
    let Ok(root) = File::open("/var/lib") else { return "no /var/lib".into() };
    // SAFETY: the handle outlives the call and has as many bytes as it says.
    let opened = checked(unsafe {
        libc::syscall(libc::SYS_open_by_handle_at, root.as_raw_fd(), &raw mut handle, libc::O_RDONLY)
    });
    shown(opened.and_then(|number| {
        let mut secret = String::new();
        // SAFETY: the kernel has just made it for us.
        unsafe { File::from_raw_fd(number as i32) }.read_to_string(&mut secret)?;
        Ok(secret)
    }))
}

/// `enter SOCKET PATH`: takes the descriptor of a mount namespace from there, enters it and reads a file of it.
pub fn enter(socket: &str, path: &str) -> String {
    let entered = UnixStream::connect(socket).and_then(|stream| received(&stream)).and_then(|namespace| {
        // SAFETY: an open descriptor.
        checked(i64::from(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNS) }))
    });
    shown(entered.and_then(|_| std::fs::read_to_string(path)))
}

/// A descriptor that comes over a socket.
pub fn received(stream: &UnixStream) -> Result<File, Error> {
    let mut byte = [0_u8];
    let mut room = [0_u64; 8];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: all-zero is a valid msghdr; its pointers are to what outlives the call.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
        message.msg_control = room.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&room) as _;
        checked(libc::recvmsg(stream.as_raw_fd(), &mut message, 0) as i64)?;
        let first = libc::CMSG_FIRSTHDR(&message);
        if first.is_null() || (*first).cmsg_type != libc::SCM_RIGHTS {
            return Err(Error::other("no descriptor came"));
        }
        let number = std::ptr::read_unaligned(libc::CMSG_DATA(first).cast::<i32>());
        Ok(File::from_raw_fd(number))
    }
}

/// Sends a descriptor over a socket.
pub fn send(stream: &UnixStream, file: &File) -> Result<(), Error> {
    let mut byte = [0_u8];
    let mut room = [0_u64; 8];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: as in `received`; the space is for one descriptor, which is open.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
        message.msg_control = room.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(4) as _;
        let first = libc::CMSG_FIRSTHDR(&message);
        (*first).cmsg_level = libc::SOL_SOCKET;
        (*first).cmsg_type = libc::SCM_RIGHTS;
        (*first).cmsg_len = libc::CMSG_LEN(4) as _;
        std::ptr::write_unaligned(libc::CMSG_DATA(first).cast::<i32>(), file.as_raw_fd());
        checked(libc::sendmsg(stream.as_raw_fd(), &message, 0) as i64).map(|_| ())
    }
}

/// Attaches itself to the machine's first control group, without writing: only opens what one writes to.
pub fn leave_group() -> String {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let trees = mounts.lines().filter(|line| line.contains(" - cgroup2 ") || line.contains(" - cgroup "));
    let mut paths: Vec<String> =
        trees.filter_map(|line| line.split(' ').nth(4)).map(|at| format!("{at}/cgroup.procs")).collect();
    // Where none is mounted it is mounted, in a mount namespace of one's own.
    let place = c"/mnt";
    // SAFETY: constant C strings; what is mounted goes with this process's mount namespace.
    let mounted = unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                std::ptr::null(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
            && libc::mount(c"none".as_ptr(), place.as_ptr(), c"cgroup2".as_ptr(), 0, std::ptr::null()) == 0
    };
    println!("mounted: {mounted}");
    paths.push("/mnt/cgroup.procs".into());
    write_any(&paths)
}
