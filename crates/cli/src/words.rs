//! Numbers of the system in words.

/// Signals by number, 1 to 31 (Linux on every architecture we build for).
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// `9 (SIGKILL)`.
pub fn signal(number: u32) -> String {
    let name = (number as usize).checked_sub(1).and_then(|index| SIGNALS.get(index));
    match name {
        Some(name) => format!("{number} ({name})"),
        None => number.to_string(),
    }
}

/// `1 service`, `2 services`.
pub fn count(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names() {
        assert_eq!(signal(9), "9 (SIGKILL)");
        assert_eq!(signal(31), "31 (SIGSYS)");
        assert_eq!(signal(0), "0");
        assert_eq!(signal(64), "64");
    }
}
