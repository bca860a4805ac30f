//! Names of signals and errors.

/// A signal's name.
pub fn signal(number: u8) -> String {
    const NAMES: [&str; 32] = [
        "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU",
        "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    /// The first two belong to the C library; programs count from the third.
    const SIGRTMIN: u8 = 34;
    match NAMES.get(usize::from(number)) {
        Some(name) if !name.is_empty() => format!("SIG{name}"),
        _ if number >= SIGRTMIN => format!("SIGRTMIN+{}", number - SIGRTMIN),
        _ => format!("signal {number}"),
    }
}

/// An error's name, if it is one that a launch or a program usually has.
pub fn errno(number: i32) -> Option<&'static str> {
    const NAMES: [&str; 41] = [
        "",
        "EPERM",
        "ENOENT",
        "ESRCH",
        "EINTR",
        "EIO",
        "ENXIO",
        "E2BIG",
        "ENOEXEC",
        "EBADF",
        "ECHILD",
        "EAGAIN",
        "ENOMEM",
        "EACCES",
        "EFAULT",
        "ENOTBLK",
        "EBUSY",
        "EEXIST",
        "EXDEV",
        "ENODEV",
        "ENOTDIR",
        "EISDIR",
        "EINVAL",
        "ENFILE",
        "EMFILE",
        "ENOTTY",
        "ETXTBSY",
        "EFBIG",
        "ENOSPC",
        "ESPIPE",
        "EROFS",
        "EMLINK",
        "EPIPE",
        "EDOM",
        "ERANGE",
        "EDEADLK",
        "ENAMETOOLONG",
        "ENOLCK",
        "ENOSYS",
        "ENOTEMPTY",
        "ELOOP",
    ];
    const OTHERS: [(i32, &str); 8] = [
        (71, "EPROTO"),
        (75, "EOVERFLOW"),
        (87, "EUSERS"),
        (95, "EOPNOTSUPP"),
        (98, "EADDRINUSE"),
        (110, "ETIMEDOUT"),
        (111, "ECONNREFUSED"),
        (122, "EDQUOT"),
    ];
    let common = usize::try_from(number).ok().and_then(|index| NAMES.get(index)).copied();
    let other = OTHERS.iter().find(|(other, _)| *other == number).map(|(_, name)| *name);
    common.filter(|name| !name.is_empty()).or(other)
}

/// An error's meaning, without Rust's `(os error N)`.
pub fn errno_text(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number).to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Meaning and name: `No such file or directory (ENOENT)`.
pub fn errno_phrase(number: i32) -> String {
    match errno(number) {
        Some(name) => format!("{} ({name})", errno_text(number)),
        None => format!("{} (error {number})", errno_text(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn names_are_linuxs() {
        assert_eq!(signal(9), "SIGKILL");
        assert_eq!(signal(31), "SIGSYS");
        assert_eq!(signal(34), "SIGRTMIN+0");
        assert_eq!(signal(0), "signal 0");
        assert_eq!(errno(Errno::NOENT.raw_os_error()), Some("ENOENT"));
        assert_eq!(errno(Errno::LOOP.raw_os_error()), Some("ELOOP"));
        assert_eq!(errno(Errno::TXTBSY.raw_os_error()), Some("ETXTBSY"));
        assert_eq!(errno(Errno::DQUOT.raw_os_error()), Some("EDQUOT"));
        assert_eq!(errno(Errno::USERS.raw_os_error()), Some("EUSERS"));
        assert_eq!((errno(0), errno(-1), errno(9999)), (None, None, None));
        assert_eq!(errno_phrase(2), "No such file or directory (ENOENT)");
    }
}
