//! The directory of service output: the logger's.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, Uid};
use session0_sys::fault::{Context as _, Fault};

/// Opens it, and sees to it that it and what is in it belong to the logger.
pub fn directory(path: &Path, uid: u32) -> Result<OwnedFd, Fault> {
    let what = "give the logger";
    let directory = session0_sys::files::make_directory(path, 0o750)?;
    let stat = rustix::fs::fstat(&directory).context(what, path.display())?;
    if stat.st_uid == uid && stat.st_gid == uid {
        return Ok(directory);
    }
    // It is new, or `uid_range` was changed.
    let (user, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)));
    for entry in rustix::fs::Dir::read_from(directory.as_fd()).context(what, path.display())? {
        let entry = entry.context(what, path.display())?;
        if entry.file_type() == rustix::fs::FileType::RegularFile {
            rustix::fs::chownat(&directory, entry.file_name(), user, group, AtFlags::SYMLINK_NOFOLLOW)
                .context(what, path.display())?;
        }
    }
    rustix::fs::fchown(&directory, user, group).context(what, path.display())?;
    rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o750)).context(what, path.display())?;
    Ok(directory)
}
