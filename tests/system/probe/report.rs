//! What the program sees of itself and around it.

use std::fs;

/// Processes visible in /proc.
pub fn pids() -> String {
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    format!("{pids:?}")
}

/// Open descriptors with what they are.
pub fn descriptors() -> String {
    let mut found = Vec::new();
    for number in 0..4096 {
        if let Ok(target) = fs::read_link(format!("/proc/self/fd/{number}")) {
            found.push(format!("{number}={}", target.display()));
        }
    }
    found.join(" ")
}

/// The environment's names, sorted.
pub fn environment() -> String {
    let mut names: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    names.sort();
    names.join(" ")
}

/// Uid, groups, capabilities, no_new_privs, seccomp, signals.
pub fn credentials() -> String {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let wanted = [
        "Uid",
        "Gid",
        "Groups",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
        "SigIgn",
        "SigBlk",
    ];
    let lines = text.lines().filter(|line| wanted.iter().any(|name| line.split(':').next() == Some(name)));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("; ")
}

/// Names in a directory.
pub fn list(path: &str) -> String {
    match fs::read_dir(path) {
        Ok(entries) => {
            let mut names: Vec<String> =
                entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names.join(" ")
        }
        Err(error) => format!("{error}"),
    }
}

/// A file's first line.
pub fn read(path: &str) -> String {
    match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).lines().next().unwrap_or("").to_owned(),
        Err(error) => crate::attempt::name_of(&error),
    }
}
