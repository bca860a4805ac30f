//! Keys of the kernel: what is kept there is found by uid, not by session.

use std::ffi::CString;
use std::io::Error;

/// The uid's keyring.
pub const USER: i64 = -4;
const SESSION: i64 = -3;
const PROCESS: i64 = -2;

const JOIN_SESSION: i64 = 1;
const UNLINK: i64 = 9;
const LINK: i64 = 8;
const SEARCH: i64 = 10;
const READ: i64 = 11;
const SET_TIMEOUT: i64 = 15;
const GET_PERSISTENT: i64 = 22;

fn call(arguments: [i64; 5]) -> Result<i64, Error> {
    let [operation, one, two, three, four] = arguments;
    // SAFETY: the callers pass integers and pointers to what outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, operation, one, two, three, four) };
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}

/// Adds the secret under this name; it goes by itself after a minute.
pub fn plant(name: &str, secret: &str, ring: i64) -> Result<(), Error> {
    let text = CString::new(name).map_err(Error::other)?;
    // SAFETY: C strings, and the secret's pointer and length.
    let key = unsafe {
        libc::syscall(libc::SYS_add_key, c"user".as_ptr(), text.as_ptr(), secret.as_ptr(), secret.len(), ring)
    };
    if key < 0 {
        return Err(Error::last_os_error());
    }
    call([SET_TIMEOUT, key, 60, 0, 0]).map(|_| ())
}

/// In the keyring that stays when the user has no process left.
pub fn plant_persistent(name: &str, secret: &str) -> Result<(), Error> {
    let ring = call([GET_PERSISTENT, -1, PROCESS, 0, 0])?;
    plant(name, secret, ring)
}

/// In a session keyring that has a name.
pub fn plant_named(name: &str, secret: &str) -> Result<(), Error> {
    let text = CString::new(name).map_err(Error::other)?;
    call([JOIN_SESSION, text.as_ptr() as i64, 0, 0, 0])?;
    plant(name, secret, SESSION)?;
    // Whoever joins by name must be allowed to search it.
    const SET_PERMISSIONS: i64 = 5;
    call([SET_PERMISSIONS, SESSION, 0x3f3f_0000, 0, 0]).map(|_| ())
}

/// `user-key NAME`, `persistent-key NAME`, `session-key NAME`: finds it and reads it.
pub fn steal(kind: &str, name: &str) -> Result<String, Error> {
    let text = CString::new(name).map_err(Error::other)?;
    let ring = match kind {
        "persistent-key" => call([GET_PERSISTENT, -1, PROCESS, 0, 0])?,
        "session-key" => call([JOIN_SESSION, text.as_ptr() as i64, 0, 0, 0]).map(|_| SESSION)?,
        _ => {
            // A key that is possessed can be read; linking makes it so.
            call([LINK, USER, SESSION, 0, 0])?;
            USER
        }
    };
    let key = call([SEARCH, ring, c"user".as_ptr() as i64, text.as_ptr() as i64, 0])?;
    let mut bytes = [0_u8; 64];
    let length = call([READ, key, bytes.as_mut_ptr() as i64, 64, 0])?;
    if kind == "user-key" {
        let _ = call([UNLINK, USER, SESSION, 0, 0]);
    }
    Ok(String::from_utf8_lossy(&bytes[..usize::try_from(length).unwrap_or(0).min(64)]).into_owned())
}
