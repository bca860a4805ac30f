//! accounts.toml on the disk: nobody's but root's, whole or not at all, changed by one at a time.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags};
use session0_model::limit::ACCOUNTS_FILE_MAX;
use session0_model::logon::wire::AccountPlace;
use session0_sys::lock::{self, Lock, Locked};
use session0_sys::{Context, Fault, files};

use super::Accounts;
use crate::over::{NO_RESOURCES, Over};
use crate::peers::Peers;

/// Somebody else's change takes milliseconds.
const LOCK_AGAIN: Duration = Duration::from_millis(10);

/// Reads the accounts. A file that is not there has none in it; one that is broken is for the administrator.
pub fn load(place: &AccountPlace) -> Result<Accounts, Over> {
    match read(&place.accounts)? {
        None => Ok(Accounts::none(place.uids)),
        Some(text) => Accounts::parse(&text, place.uids)
            .map_err(|problem| Over::Broken(format!("{}:{problem}", place.accounts))),
    }
}

/// Waits until nobody else changes the accounts.
pub fn lock(peers: &mut Peers, place: &AccountPlace) -> Result<Lock, Over> {
    let (directory, name) = split(&place.accounts)?;
    files::make_directory(directory, 0o755)?;
    let path = directory.join(format!("{name}.lock"));
    loop {
        match lock::take(&path)? {
            Locked::Ours(lock) => return Ok(lock),
            Locked::Held(_) => peers.pause(LOCK_AGAIN)?,
        }
    }
}

/// Writes the accounts. The lock is the caller's word that nobody else does. What could not be read again is not written: nobody
/// could log on.
pub fn save(place: &AccountPlace, accounts: &Accounts, _lock: &Lock) -> Result<(), Over> {
    let text = accounts.text();
    if text.len() as u64 > ACCOUNTS_FILE_MAX {
        return Err(Over::refused(
            NO_RESOURCES,
            format!("{} would have more than {ACCOUNTS_FILE_MAX} bytes", place.accounts),
        ));
    }
    Ok(replace(&place.accounts, text.as_bytes(), 0o600)?)
}

/// Writes a file so that a reader, also one after a power cut, sees the old or the new content. What a killed writer left is
/// removed first: the lock keeps two of us apart.
pub fn replace(path: &str, content: &[u8], mode: u32) -> Result<(), Fault> {
    let what = "write";
    let (directory, name) = split(path)?;
    let directory = files::make_directory(directory, 0o755)?;
    let temporary = format!(".{name}.new");
    match rustix::fs::unlinkat(&directory, &temporary, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error).context(what, path),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file =
        rustix::fs::openat(&directory, &temporary, flags, Mode::from_raw_mode(mode)).context(what, path)?;
    let mut file = std::fs::File::from(file);
    let written = file
        .write_all(content)
        .and_then(|()| Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?))
        .and_then(|()| file.sync_all())
        .and_then(|()| Ok(rustix::fs::renameat(&directory, &temporary, &directory, name)?));
    if written.is_err() {
        // It is in nobody's way, and the next writer removes it if we cannot.
        let _ = rustix::fs::unlinkat(&directory, &temporary, AtFlags::empty());
    }
    written.context(what, path)?;
    rustix::fs::fsync(&directory).context(what, path)
}

/// The file's text, if it is there and root's alone.
fn read(path: &str) -> Result<Option<String>, Over> {
    let broken = |reason: &str| Over::Broken(format!("{path}: {reason}"));
    let (directory, name) = split(path)?;
    let opened = files::open_directory(directory)
        .and_then(|directory| files::open_read(directory.as_fd(), Path::new(name)));
    let file = match opened {
        Err(fault) if fault.reason.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(broken(&fault.reason.to_string())),
        Ok(file) => file,
    };
    let stat = rustix::fs::fstat(&file).map_err(|error| broken(&error.to_string()))?;
    if stat.st_uid != 0 {
        return Err(broken(&format!("it belongs to uid {}, not to root: chown root {path}", stat.st_uid)));
    }
    if stat.st_mode & 0o7177 != 0 {
        let mode = stat.st_mode & 0o7777;
        return Err(broken(&format!("its mode is {mode:o}, others can get at the hashes: chmod 600 {path}")));
    }
    let mut bytes = Vec::new();
    file.take(ACCOUNTS_FILE_MAX + 1).read_to_end(&mut bytes).map_err(|error| broken(&error.to_string()))?;
    if bytes.len() as u64 > ACCOUNTS_FILE_MAX {
        return Err(broken(&format!("it has more than {ACCOUNTS_FILE_MAX} bytes")));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| broken("it is not UTF-8 text"))
}

/// A path's directory and name.
pub fn split(path: &str) -> Result<(&Path, &str), Fault> {
    let both = Path::new(path).parent().zip(Path::new(path).file_name().and_then(|name| name.to_str()));
    both.filter(|_| path.starts_with('/'))
        .ok_or_else(|| Fault::new("use the path", path, io::Error::from(io::ErrorKind::InvalidInput)))
}
