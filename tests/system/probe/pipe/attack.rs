//! Clients and servers of pipes that are up to no good, and an ordinary server that is not prepared for them.

use std::fs::File;
use std::io::{Error, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg, sockopt,
};
use session0::pipe::{PipeClient, PipeServer};

use super::say;
use crate::attempt::name_of;
use crate::machine;

/// Descriptors that are sent at a time; the kernel takes 253.
const DESCRIPTORS: usize = 200;

/// `pipe-share PATH`: an ordinary server at a socket in a directory: one client after the other, a message of each (four bytes of
/// length before it), the end of a client taken for the end of its message, whatever comes with it kept.
pub fn share(path: &str) -> String {
    let bound = UnixListener::bind(path).and_then(|listener| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
        Ok(listener)
    });
    let listener = match bound {
        Ok(listener) => listener,
        Err(error) => return name_of(&error),
    };
    say(&format!("listening {path}"));
    let mut kept = Vec::new();
    for stream in listener.incoming().flatten() {
        if let Err(error) = taken(stream, &mut kept) {
            say(&format!("client {}", name_of(&error)));
        }
    }
    "ended".into()
}

fn taken(mut stream: UnixStream, kept: &mut Vec<OwnedFd>) -> Result<(), Error> {
    let mut bytes = vec![0; 64 << 10];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut with = RecvAncillaryBuffer::new(&mut room);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let read = recvmsg(&stream, &mut parts, &mut with, RecvFlags::CMSG_CLOEXEC)?.bytes;
    for message in with.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            kept.extend(rights);
        }
    }
    bytes.truncate(read);
    let mut more = [0; 4096];
    let whole = |bytes: &[u8]| {
        let length = bytes.first_chunk().map(|length| u32::from_le_bytes(*length));
        length.is_some_and(|length| bytes.len() >= 4 + length as usize)
    };
    while !whole(&bytes) {
        match stream.read(&mut more)? {
            0 => break,
            count => bytes.extend(&more[..count]),
        }
    }
    say(&format!("message {}, keeps {} descriptors", bytes.len().saturating_sub(4), kept.len()));
    stream.write_all(&bytes)
}

/// `pipe-half PATH`: half a message, by a socket in the file system, and nothing more.
pub fn half(path: &str) -> String {
    match UnixStream::connect(path).and_then(|stream| Ok(super::half(&stream).map(|()| stream)?)) {
        Ok(_stream) => {
            say("half");
            crate::load::sleep()
        }
        Err(error) => name_of(&error),
    }
}

/// `pipe-whole PATH`: a whole message, and the answer.
pub fn whole(path: &str) -> String {
    let asked = UnixStream::connect(path).and_then(|mut stream| {
        stream.set_read_timeout(Some(std::time::Duration::from_secs(1)))?;
        stream.write_all(b"\x05\0\0\0hello")?;
        let mut answer = [0; 9];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    });
    asked.map_or_else(|error| name_of(&error), |_| "ok".into())
}

/// `pipe-descriptors PATH`: sends TCP sockets that linger, which make whoever closes them last wait.
pub fn descriptors(path: &str) -> String {
    match UnixStream::connect(path).and_then(|stream| {
        sent(&stream)?;
        // The ordinary server takes what has come as a message.
        stream.shutdown(std::net::Shutdown::Write)?;
        let _ = (&stream).read(&mut [0; 16]);
        Ok(())
    }) {
        Ok(()) => "ok".into(),
        Err(error) => name_of(&error),
    }
}

fn sent(stream: &UnixStream) -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let lingers = TcpStream::connect(listener.local_addr()?)?;
    sockopt::set_socket_linger(&lingers, Some(std::time::Duration::from_secs(600)))?;
    let many = [lingers.as_fd(); DESCRIPTORS];
    let mut room = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(200))];
    let mut with = SendAncillaryBuffer::new(&mut room);
    with.push(SendAncillaryMessage::ScmRights(&many));
    sendmsg(stream, &[IoSlice::new(b"\x01\0\0\0x")], &mut with, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// `pipe-flood PATH API NAME COUNT`: so many connections to the socket, and as many calls that open the pipe and wait. Says what it
/// holds, and stays.
pub fn flood(arguments: &[String]) -> String {
    let [path, api, name, count] = arguments else { return "usage".into() };
    let count = count.parse().unwrap_or(100);
    let parameters = format!("{{\"pipe\":\"{name}\",\"wait_ms\":600000}}");
    let open =
        format!("{{\"method\":\"io.session0.Pipe.Open\",\"parameters\":{parameters},\"upgrade\":true}}\0");
    let connects = |path: &str, says: &[u8]| {
        let mut held = Vec::new();
        for _ in 0..count {
            let connected = connect_at_once(path);
            let Ok(mut stream) = connected else { break };
            let _ = stream.write_all(says);
            held.push(stream);
        }
        held
    };
    let (by_socket, by_api) = (connects(path, b"\x05\0"), connects(api, open.as_bytes()));
    say(&format!("holds {} by the socket, {} by the API", by_socket.len(), by_api.len()));
    crate::load::sleep()
}

/// `pipe-hoard SOCKET PREFIX COUNT`: serves so many names, or has as many sockets in a directory where SOCKET is one. Says how many it
/// has, and stays.
pub fn hoard(arguments: &[String]) -> String {
    let [place, prefix, count] = arguments else { return "usage".into() };
    // As many descriptors as it may have.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = rustix::process::Rlimit { current: limit.maximum, ..limit };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, most);
    let mut held: Vec<OwnedFd> = Vec::new();
    let mut why = "nothing refused it".to_owned();
    for number in 0..count.parse().unwrap_or(100) {
        let name = format!("{prefix}.{number}");
        let one = match std::path::Path::new(place).is_dir() {
            true => UnixListener::bind(format!("{place}/{name}")).map(OwnedFd::from),
            false => super::raw::served(place, &format!("{{\"pipe\":{name:?}}}")).map(OwnedFd::from),
        };
        match one {
            Ok(one) => held.push(one),
            Err(error) => {
                why = error.to_string();
                break;
            }
        }
    }
    say(&format!("holds {}: {why}", held.len()));
    crate::load::sleep()
}

/// A full queue is an error, not a wait.
fn connect_at_once(path: &str) -> Result<UnixStream, Error> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

/// `pipe-reuse NAME UID`: a client of UID opens a pipe of ours and ends; a process of root gets its number. Says what its server
/// finds by the number and by the descriptor. Needs a PID namespace of its own, with /proc.
pub fn reuse(name: &str, uid: &str) -> String {
    let uid: u32 = uid.parse().unwrap_or(65534);
    let (Ok((ours, theirs)), Ok((go, went))) = (UnixStream::pair(), UnixStream::pair()) else {
        return "no pair".into();
    };
    // Before there is a second thread, which the library's server has.
    // SAFETY: one thread; the child leaves by _exit.
    let first = unsafe { libc::fork() };
    if first == 0 {
        drop(go);
        let opened = visit(name, uid, &went);
        let file = opened.map(|pipe| pipe.into_stream());
        let sent = match file {
            Some(Ok((stream, _))) => {
                // SAFETY: ours, given away.
                let file = unsafe { File::from_raw_fd(stream.into_raw_fd()) };
                machine::send(&theirs, &file).is_ok()
            }
            _ => false,
        };
        // SAFETY: leaves the child.
        unsafe { libc::_exit(i32::from(!sent)) };
    }
    drop((theirs, went));
    let server = match PipeServer::builder(name).access(["everyone"]).create() {
        Ok(server) => server,
        Err(error) => return super::refused(&error),
    };
    let _ = (&go).write_all(b"x");
    let instance = match server.accept() {
        Ok(instance) => instance,
        Err(error) => return super::refused(&error),
    };
    let _connection = machine::received(&ours);
    // SAFETY: our own child.
    unsafe { libc::waitpid(first, std::ptr::null_mut(), 0) };
    if let Err(error) = std::fs::write("/proc/sys/kernel/ns_last_pid", (first - 1).to_string()) {
        return format!("ns_last_pid {}", name_of(&error));
    }
    // SAFETY: the child does nothing but wait to be killed.
    let second = unsafe { libc::fork() };
    if second == 0 {
        // SAFETY: leaves the child.
        unsafe {
            libc::pause();
            libc::_exit(0)
        }
    }
    let status = std::fs::read_to_string(format!("/proc/{first}/status")).unwrap_or_default();
    let now = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or("nobody").trim();
    let owner = now.split_whitespace().next().unwrap_or("nobody");
    say(&format!("same number: {}", first == second));
    say(&format!(
        "by number: uid {owner}; by descriptor: alive {:?}, uid {}",
        instance.client().is_alive(),
        instance.client().uid()
    ));
    // SAFETY: our own child.
    unsafe { libc::kill(second, libc::SIGKILL) };
    "ok".into()
}

/// As this uid, once it is told to.
fn visit(name: &str, uid: u32, told: &UnixStream) -> Option<PipeClient> {
    let mut told = told;
    told.read_exact(&mut [0]).ok()?;
    // SAFETY: no preconditions.
    let dropped = unsafe { libc::setresgid(uid, uid, uid) == 0 && libc::setresuid(uid, uid, uid) == 0 };
    dropped.then(|| PipeClient::open(name).ok())?
}

/// `pipe-remove DIRECTORY NAME`: takes a socket away, or puts something in its place, in every way there is; also as root of a user
/// namespace of its own, where the kernel lets it make one. Says what worked.
pub fn remove(directory: &str, name: &str) -> String {
    let mut last = removed(directory, name);
    if last == "ok" {
        return last;
    }
    // SAFETY: one thread.
    let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
    // SAFETY: one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) } != 0 {
        say(&format!("as root of its own: {}", name_of(&Error::last_os_error())));
        return last;
    }
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ];
    for (file, text) in maps {
        let _ = std::fs::write(format!("/proc/self/{file}"), text);
    }
    say(&format!("as root of its own, umount: {}", crate::attempt::umount(directory)));
    last = removed(directory, name);
    last
}

type Try<'a> = &'a dyn Fn() -> Result<(), Error>;

fn removed(directory: &str, name: &str) -> String {
    let path = format!("{directory}/{name}");
    let (other, link) = (format!("{directory}/other.name"), format!("{directory}/link.name"));
    let mode = || std::os::unix::fs::PermissionsExt::from_mode(0o000);
    // A remount that is allowed is of no harm by itself.
    say(&format!("remount, {}", outcome(remounted(directory))));
    let tries: [(&str, Try<'_>); 6] = [
        ("remove", &|| std::fs::remove_file(&path)),
        ("rename", &|| std::fs::rename(&path, &other)),
        ("link", &|| std::os::unix::fs::symlink(&path, &link)),
        ("bind", &|| UnixListener::bind(&path).map(drop)),
        ("bind beside", &|| UnixListener::bind(&other).map(drop)),
        ("close", &|| std::fs::set_permissions(&path, mode())),
    ];
    let mut last = "nothing was tried".to_owned();
    for (what, attempt) in tries {
        last = outcome(attempt());
        say(&format!("{what}, {last}"));
        if last == "ok" {
            break;
        }
    }
    last
}

fn outcome(result: Result<(), Error>) -> String {
    result.map_or_else(|error| name_of(&error), |()| "ok".into())
}

fn remounted(directory: &str) -> Result<(), Error> {
    let path = std::ffi::CString::new(directory)?;
    let flags = libc::MS_REMOUNT | libc::MS_BIND;
    // SAFETY: valid C strings, or null where none is read.
    let code =
        unsafe { libc::mount(std::ptr::null(), path.as_ptr(), std::ptr::null(), flags, std::ptr::null()) };
    if code == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}
