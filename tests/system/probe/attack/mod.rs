//! `attack WAY NAME OUTER INNER`: one program of a user against another one. NAME is what the target was told to call its
//! things, OUTER its process id on the machine, INNER the one in its own namespace.
//!
//! Prints a line a try, and `got SECRET` when it has what only the target should have. The test compares that with the secret.

mod ipc;
mod process;

use std::io::Error;

use crate::attempt::name_of;
use crate::{keyring, target};

/// Whom to attack.
pub struct Target {
    name: String,
    outer: i32,
    inner: i32,
}

impl Target {
    /// Process ids worth a try: those found in /proc by the target's command line, then those the attacker was told.
    fn candidates(&self) -> Vec<i32> {
        let mut found = self.found();
        found.extend([self.outer, self.inner]);
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        found.retain(|pid| *pid > 1 && *pid != own);
        found.dedup();
        found
    }

    /// Those that certainly are the target.
    fn found(&self) -> Vec<i32> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = line.split(|byte| *byte == 0);
            // `probe hold NAME`, not the shell or the attacker that has the name in its own line.
            if words.nth(1) == Some(b"hold") && words.next() == Some(self.name.as_bytes()) {
                found.push(pid);
            }
        }
        found
    }
}

/// Runs one attack.
pub fn run(arguments: &[String]) -> String {
    let [way, name, outer, inner] = arguments else { return "usage".into() };
    let target =
        Target { name: name.clone(), outer: outer.parse().unwrap_or(0), inner: inner.parse().unwrap_or(0) };
    match way.as_str() {
        "nested" => nested(&target),
        way => one(way, &target),
    }
}

fn one(way: &str, target: &Target) -> String {
    let name = target.name.as_str();
    match way {
        "signal" => process::each(target, process::signal),
        "trace" => process::each(target, process::trace),
        "vm-read" => process::each(target, process::vm_read),
        "mem" => process::each(target, process::mem),
        "environ" => process::each(target, process::environ),
        "fd" => process::each(target, process::fd),
        "pidfd-getfd" => process::each(target, process::pidfd_getfd),
        "root" => process::each(target, |pid| process::through_root(pid, name)),
        "core" => process::core(target),
        "abstract" => said(ipc::abstract_socket(name)),
        "x11" => said(ipc::path_socket(&target::display(name))),
        "x11-abstract" => said(ipc::abstract_socket(&target::display(name))),
        "bus" => said(ipc::path_socket(&target::bus(name))),
        "bus-abstract" => said(ipc::abstract_socket(&format!("/tmp/dbus-{name}"))),
        "dev-shm" => said(ipc::file(&format!("/dev/shm/{name}"))),
        "tmp" => said(ipc::file(&format!("/tmp/{name}"))),
        "var-tmp" => said(ipc::file(&format!("/var/tmp/{name}"))),
        "run-user" => said(ipc::file(&format!("{}.secret", target::bus(name)))),
        "sysv-shm" => said(ipc::segment(name)),
        "sysv-sem" => said(ipc::semaphore(name)),
        "queue" => said(ipc::queue(name)),
        "plant" => ipc::plant(name),
        "user-key" | "persistent-key" | "session-key" => said(keyring::steal(way, name)),
        other => format!("no such attack {other}"),
    }
}

/// `got SECRET` on a line of its own, or the errno.
fn said(result: Result<String, Error>) -> String {
    match result {
        Ok(text) => {
            println!("got {text}");
            "ok".into()
        }
        Err(error) => name_of(&error),
    }
}

/// A user namespace of its own, in which it is root, and then everything again that a wall of the file system, of Landlock or
/// of the process table might not stop there.
fn nested(target: &Target) -> String {
    let (uid, gid) = {
        // SAFETY: no preconditions.
        unsafe { (libc::getuid(), libc::getgid()) }
    };
    // SAFETY: one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) } != 0 {
        return format!("unshare {}", name_of(&Error::last_os_error()));
    }
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ];
    for (file, text) in maps {
        println!("{file}: {:?}", std::fs::write(format!("/proc/self/{file}"), text).err());
    }
    for covered in ["/proc", "/tmp", "/dev/shm", "/run", "/dev"] {
        println!("umount {covered}: {}", crate::attempt::umount(covered));
    }
    let ways = ["tmp", "dev-shm", "abstract", "queue", "signal", "vm-read", "root"];
    for way in ways {
        println!("{way}: {}", one(way, target));
    }
    "tried".into()
}
