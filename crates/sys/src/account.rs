//! The machine's accounts as its C library sees them: NSS and the shadow file. Only `session0-logon` asks: a look-up runs whatever
//! module the machine is configured with, in the asking process, for as long as that takes.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;

/// An account of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passwd {
    /// Its name, as the machine writes it.
    pub name: String,
    /// Its uid.
    pub uid: u32,
    /// Its gid.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Login shell; may be empty.
    pub shell: String,
}

/// An account's shadow(5) entry. Days are counted from 1970; -1 where the field is empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Shadow {
    /// The encrypted password.
    pub hash: String,
    /// When the password was changed last; 0: it must be changed.
    pub changed: i64,
    /// The password must be changed after so many days.
    pub max: i64,
    /// The account ends on this day.
    pub expire: i64,
}

/// Look-ups of entries larger than this are refused: the largest groups of the largest directories are smaller.
const BUFFER_MAX: usize = 4 << 20;
/// Groups one account can be in (NGROUPS_MAX).
const GROUPS_MAX: usize = 65_536;

/// The account with this name.
pub fn by_name(name: &str) -> io::Result<Option<Passwd>> {
    let name = c_string(name)?;
    look_up(|entry, buffer, length, found| {
        // SAFETY: `name` ends in zero; `entry` and `found` are writable, `buffer` has `length` bytes (`look_up`).
        unsafe { libc::getpwnam_r(name.as_ptr(), entry, buffer, length, found) }
    })
    .map(|found| found.map(|(entry, _buffer)| passwd(&entry)))
}

/// The account with this uid.
pub fn by_uid(uid: u32) -> io::Result<Option<Passwd>> {
    // SAFETY: as in `by_name`.
    look_up(|entry, buffer, length, found| unsafe { libc::getpwuid_r(uid, entry, buffer, length, found) })
        .map(|found| found.map(|(entry, _buffer)| passwd(&entry)))
}

/// The gid of the group with this name.
pub fn group(name: &str) -> io::Result<Option<u32>> {
    let name = c_string(name)?;
    look_up(|entry: *mut libc::group, buffer, length, found| {
        // SAFETY: as in `by_name`.
        unsafe { libc::getgrnam_r(name.as_ptr(), entry, buffer, length, found) }
    })
    .map(|found| found.map(|(entry, _buffer)| entry.gr_gid))
}

/// The name of the group with this gid.
pub fn group_by_gid(gid: u32) -> io::Result<Option<String>> {
    // SAFETY: as in `by_name`.
    look_up(|entry: *mut libc::group, buffer, length, found| unsafe {
        libc::getgrgid_r(gid, entry, buffer, length, found)
    })
    .map(|found| found.map(|(entry, _buffer)| text(entry.gr_name)))
}

/// The shadow entry of the account with this name. Only root can read it.
pub fn shadow(name: &str) -> io::Result<Option<Shadow>> {
    let name = c_string(name)?;
    let found = look_up(|entry: *mut libc::spwd, buffer, length, found| {
        // SAFETY: as in `by_name`.
        unsafe { libc::getspnam_r(name.as_ptr(), entry, buffer, length, found) }
    })?;
    Ok(found.map(|(entry, _buffer)| Shadow {
        hash: text(entry.sp_pwdp),
        changed: entry.sp_lstchg,
        max: entry.sp_max,
        expire: entry.sp_expire,
    }))
}

/// All groups an account is in, `gid` among them.
pub fn groups(name: &str, gid: u32) -> io::Result<Vec<u32>> {
    let name = c_string(name)?;
    let mut room = 64;
    loop {
        let mut groups = vec![0; room];
        let mut count = i32::try_from(room).unwrap_or(i32::MAX);
        // SAFETY: `name` ends in zero; `groups` has room for `count` numbers, and no more are written.
        let fits = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) };
        if fits >= 0 {
            groups.truncate(usize::try_from(count).unwrap_or(0));
            return Ok(groups);
        }
        // A larger count is how many there are; a module that does not say is asked with twice the room.
        room = usize::try_from(count).unwrap_or(0).max(room * 2);
        if room > GROUPS_MAX {
            return Err(io::Error::from_raw_os_error(libc::E2BIG));
        }
    }
}

/// What a look-up found, and the buffer that its texts are in: to be read before the buffer goes.
type Found<E> = Option<(E, Vec<libc::c_char>)>;

/// Asks with a buffer that grows until the entry fits.
fn look_up<E: Copy>(
    ask: impl Fn(*mut E, *mut libc::c_char, usize, *mut *mut E) -> libc::c_int,
) -> io::Result<Found<E>> {
    let mut length = 1024;
    loop {
        let mut buffer: Vec<libc::c_char> = vec![0; length];
        let mut entry = MaybeUninit::<E>::uninit();
        let mut found = std::ptr::null_mut();
        match ask(entry.as_mut_ptr(), buffer.as_mut_ptr(), length, &raw mut found) {
            // Not there is also said by these errors (getpwnam_r(3)).
            0 | libc::ENOENT | libc::ESRCH if found.is_null() => return Ok(None),
            // SAFETY: a result that is not null is `entry`, filled in (getpwnam_r(3) and its sisters); its pointers lead into
            // `buffer`, whose heap block does not move with the Vec.
            0 => return Ok(Some((unsafe { entry.assume_init() }, buffer))),
            libc::EINTR => {}
            libc::ERANGE if length < BUFFER_MAX => length *= 2,
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

fn passwd(entry: &libc::passwd) -> Passwd {
    Passwd {
        name: text(entry.pw_name),
        uid: entry.pw_uid,
        gid: entry.pw_gid,
        home: text(entry.pw_dir),
        shell: text(entry.pw_shell),
    }
}

/// A text of an entry. Only called by the look-ups, while the entry's buffer is there.
fn text(pointer: *const libc::c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the entry's texts end in zero (getpwnam_r(3)).
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

fn c_string(name: &str) -> io::Result<CString> {
    Ok(CString::new(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_there_and_nobody_else_is_root() {
        let root = by_uid(0).unwrap().unwrap();
        assert_eq!(root.uid, 0);
        assert_eq!(by_name(&root.name).unwrap().unwrap(), root);
        assert!(root.home.starts_with('/'));
        let roots = group_by_gid(0).unwrap().unwrap();
        assert_eq!(group(&roots).unwrap(), Some(0));
        assert!(groups(&root.name, root.gid).unwrap().contains(&root.gid));
    }

    #[test]
    fn who_is_not_there_is_no_error() {
        assert_eq!(by_name("no-such-account-here").unwrap(), None);
        assert_eq!(group("no-such-group-here").unwrap(), None);
        assert_eq!(group_by_gid(4_294_000_000).unwrap(), None);
        assert!(shadow("no-such-account-here").unwrap().is_none());
        assert!(by_name("a\0b").is_err());
        assert_eq!(by_uid(4_294_000_000).unwrap(), None);
    }

    #[test]
    fn a_buffer_grows_until_the_entry_fits_and_not_for_ever() {
        let asked = std::cell::Cell::new(0);
        let found = look_up(|entry: *mut u32, _, length, found| {
            asked.set(length);
            if length < 5000 {
                return libc::ERANGE;
            }
            // SAFETY: both are writable, as `look_up` has it.
            unsafe {
                *entry = 7;
                *found = entry;
            }
            0
        });
        assert_eq!(found.unwrap().unwrap().0, 7);
        assert_eq!(asked.get(), 8192);
        let refused = look_up(|_: *mut u32, _, length, _| {
            asked.set(length);
            libc::ERANGE
        });
        assert!(refused.is_err());
        assert_eq!(asked.get(), BUFFER_MAX);
    }
}
