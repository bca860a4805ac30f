//! Attacks by a name: sockets, files, segments, queues.

use std::ffi::CString;
use std::io::{BufRead, Error, Read};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use crate::attempt::name_of;
use crate::target::key;

fn checked(value: i64) -> Result<i64, Error> {
    if value < 0 { Err(Error::last_os_error()) } else { Ok(value) }
}

/// What a listener behind an abstract name says.
pub fn abstract_socket(name: &str) -> Result<String, Error> {
    let address = SocketAddr::from_abstract_name(name)?;
    heard(UnixStream::connect_addr(&address)?)
}

/// What a listener behind a path says.
pub fn path_socket(path: &str) -> Result<String, Error> {
    heard(UnixStream::connect(path)?)
}

fn heard(mut stream: UnixStream) -> Result<String, Error> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut bytes = [0; 32];
    stream.read_exact(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A file's text.
pub fn file(path: &str) -> Result<String, Error> {
    std::fs::read_to_string(path)
}

/// A System V segment's text.
pub fn segment(name: &str) -> Result<String, Error> {
    // SAFETY: no pointers.
    let id = checked(i64::from(unsafe { libc::shmget(key(name), 0, 0) }))?;
    // SAFETY: the kernel chooses where.
    let address = unsafe { libc::shmat(id as i32, std::ptr::null(), libc::SHM_RDONLY) };
    if address as isize == -1 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the target's segments have 4096 bytes.
    let bytes = unsafe { std::slice::from_raw_parts(address.cast::<u8>(), 32) };
    let text = String::from_utf8_lossy(bytes).into_owned();
    // SAFETY: no pointers; it goes with the last process that has it.
    unsafe { libc::shmctl(id as i32, libc::IPC_RMID, std::ptr::null_mut()) };
    Ok(text)
}

/// Sets the target's semaphore, which the target notices.
pub fn semaphore(name: &str) -> Result<String, Error> {
    // SAFETY: no pointers.
    let id = checked(i64::from(unsafe { libc::semget(key(name), 1, 0) }))?;
    // SAFETY: SETVAL takes an integer.
    checked(i64::from(unsafe { libc::semctl(id as i32, 0, libc::SETVAL, 7) }))?;
    Ok("the semaphore set".into())
}

/// Takes the message out of the target's queue.
pub fn queue(name: &str) -> Result<String, Error> {
    let path = CString::new(format!("/{name}")).map_err(Error::other)?;
    // SAFETY: a C string.
    let queue =
        checked(i64::from(unsafe { libc::mq_open(path.as_ptr(), libc::O_RDONLY | libc::O_NONBLOCK) }))?;
    let mut bytes = [0_u8; 64];
    // SAFETY: the pointer and the length are `bytes`'s; the priority is not wanted.
    let length = checked(unsafe {
        libc::mq_receive(queue as i32, bytes.as_mut_ptr().cast(), bytes.len(), std::ptr::null_mut())
    } as i64)?;
    // SAFETY: a C string.
    unsafe { libc::mq_unlink(path.as_ptr()) };
    Ok(String::from_utf8_lossy(&bytes[..usize::try_from(length).unwrap_or(0).min(64)]).into_owned())
}

/// Lays a link where the target is going to write, says `planted`, and reads what came when it is told to (a line on standard
/// input).
pub fn plant(name: &str) -> String {
    let (link, own) = (format!("/tmp/{name}"), format!("/tmp/{name}.taken"));
    let laid = std::fs::write(&own, "").and_then(|()| std::os::unix::fs::symlink(&own, &link));
    println!("planted: {}", laid.map_or_else(|error| name_of(&error), |()| "ok".into()));
    let _ = std::io::stdin().lock().read_line(&mut String::new());
    let taken = std::fs::read_to_string(&own).unwrap_or_default();
    let _ = std::fs::remove_file(&own).and_then(|()| std::fs::remove_file(&link));
    if taken.is_empty() {
        return "nothing came".into();
    }
    println!("got {taken}");
    "ok".into()
}
