//! Clients of the API that are not what they say.

use std::fs::File;
use std::io::{Error, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::time::Duration;

use crate::attempt::name_of;
use crate::machine;

/// `call SOCKET JSON`: one call, and the answer.
pub fn call(socket: &str, json: &str) -> String {
    answer(UnixStream::connect(socket).and_then(|stream| asked(stream, json)))
}

fn answer(result: Result<String, Error>) -> String {
    result.unwrap_or_else(|error| name_of(&error))
}

fn asked(mut stream: UnixStream, json: &str) -> Result<String, Error> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(json.as_bytes())?;
    stream.write_all(&[0])?;
    let mut bytes = Vec::new();
    let mut one = [0];
    while stream.read(&mut one)? == 1 && one[0] != 0 {
        bytes.push(one[0]);
    }
    if bytes.is_empty() {
        return Ok("closed".into());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `call-on NUMBER JSON`: one call on a connection that was inherited, after saying who one is now.
pub fn call_on(number: &str, json: &str) -> String {
    // SAFETY: geteuid has no preconditions.
    println!("now uid {}", unsafe { libc::geteuid() });
    // SAFETY: inherited for this, and nobody else's.
    let stream = unsafe { UnixStream::from_raw_fd(number.parse().unwrap_or(-1)) };
    answer(asked(stream, json))
}

/// `connect-exec SOCKET PROGRAM JSON`: connects as who one is, then becomes PROGRAM (set-user-id) and calls on that connection.
pub fn connect_exec(socket: &str, program: &str, json: &str) -> String {
    let stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) => return name_of(&error),
    };
    // SAFETY: dup of our own descriptor; the copy is inherited.
    let number = unsafe { libc::dup(stream.as_raw_fd()) };
    let words = ["call-on".to_owned(), number.to_string(), json.to_owned()];
    name_of(&std::process::Command::new(program).args(words).exec())
}

/// `reuse-pid SOCKET UID JSON`: a process of UID connects and ends; one of root gets its number; then the call is made on that
/// connection. Needs a PID namespace of its own, with /proc.
pub fn reuse_pid(socket: &str, uid: &str, json: &str) -> String {
    let uid: u32 = uid.parse().unwrap_or(65534);
    let Ok((ours, theirs)) = UnixStream::pair() else { return "no pair".into() };
    // SAFETY: one thread; the child leaves by _exit.
    let first = unsafe { libc::fork() };
    if first == 0 {
        // SAFETY: no preconditions. What fails shows in what comes over the pair.
        let dropped = unsafe { libc::setresgid(uid, uid, uid) == 0 && libc::setresuid(uid, uid, uid) == 0 };
        let sent = dropped
            .then(|| UnixStream::connect(socket))
            .and_then(Result::ok)
            // SAFETY: ours, given away.
            .map(|stream| unsafe { File::from_raw_fd(stream.into_raw_fd()) })
            .is_some_and(|file| machine::send(&theirs, &file).is_ok());
        // SAFETY: leaves the child.
        unsafe { libc::_exit(i32::from(!sent)) };
    }
    drop(theirs);
    let connection = machine::received(&ours);
    // SAFETY: our own child.
    unsafe { libc::waitpid(first, std::ptr::null_mut(), 0) };
    let Ok(connection) = connection else { return "it could not connect".into() };
    if let Err(error) = std::fs::write("/proc/sys/kernel/ns_last_pid", (first - 1).to_string()) {
        return format!("ns_last_pid {}", name_of(&error));
    }
    // SAFETY: one thread; the child waits to be killed.
    let second = unsafe { libc::fork() };
    if second == 0 {
        // SAFETY: leaves the child.
        unsafe {
            libc::pause();
            libc::_exit(0)
        }
    }
    let status = std::fs::read_to_string(format!("/proc/{first}/status")).unwrap_or_default();
    let now = status.lines().find(|line| line.starts_with("Uid:")).unwrap_or("Uid: nobody").to_owned();
    println!("process {first} is now {now}, same number: {}", first == second);
    // SAFETY: ours, and from now on the stream's.
    let reply = answer(asked(unsafe { UnixStream::from_raw_fd(connection.into_raw_fd()) }, json));
    // SAFETY: our own child.
    unsafe { libc::kill(second, libc::SIGKILL) };
    reply
}

/// `door-give SOCKET`: gives the first who asks there the directory that this session's door is in.
pub fn door_give(socket: &str) -> String {
    let given = UnixListener::bind(socket).and_then(|listener| {
        // Another user may come.
        std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666))?;
        println!("listening");
        std::io::stdout().flush()?;
        let (stream, _) = listener.accept()?;
        machine::send(&stream, &directory("/run/session0")?)
    });
    let _ = std::fs::remove_file(socket);
    given.map_or_else(|error| name_of(&error), |()| "given".into())
}

/// `door-take SOCKET JSON`: takes it there and calls through it.
pub fn door_take(socket: &str, json: &str) -> String {
    let door = UnixStream::connect(socket).and_then(|stream| machine::received(&stream));
    match door {
        Ok(door) => call(&format!("/proc/self/fd/{}/api", door.as_raw_fd()), json),
        Err(error) => format!("no door: {}", name_of(&error)),
    }
}

fn directory(path: &str) -> Result<File, Error> {
    File::options().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(path)
}

/// `flood SOCKET COUNT`: that many connections, each with calls whose answers it never reads. Says how many it got, and stays.
pub fn flood(socket: &str, count: &str) -> String {
    let call = b"{\"method\":\"io.session0.Service.List\",\"parameters\":{}}\0";
    let mut held = Vec::new();
    let mut cut = 0;
    for _ in 0..count.parse().unwrap_or(100) {
        let Ok(mut stream) = UnixStream::connect(socket) else { break };
        let _ = stream.set_nonblocking(true);
        for _ in 0..64 {
            match stream.write_all(call) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    cut += 1;
                    break;
                }
            }
        }
        held.push(stream);
    }
    println!("holds {}, {cut} were cut off", held.len());
    let _ = std::io::stdout().flush();
    crate::load::sleep()
}
