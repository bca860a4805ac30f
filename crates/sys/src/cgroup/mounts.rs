//! Where the control group file systems are.

use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Controller;
use crate::fault::{Context, Fault};

/// A mounted control group file system.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mounted {
    /// Where it is mounted.
    at: PathBuf,
    /// Which of its groups is there (not `/` in a container without its own cgroup namespace).
    root: PathBuf,
}

impl Mounted {
    /// The directory of the group /proc/<pid>/cgroup calls `group`.
    fn directory(&self, group: &str) -> PathBuf {
        let below = Path::new(group).strip_prefix(&self.root).unwrap_or(Path::new(group));
        self.at.join(below.strip_prefix("/").unwrap_or(below))
    }
}

/// The v1 controllers that limits use, where they are mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct V1 {
    /// memory
    pub memory: Option<PathBuf>,
    /// pids
    pub pids: Option<PathBuf>,
    /// cpu
    pub cpu: Option<PathBuf>,
}

/// The control group mounts of this machine, as our mount namespace has them.
#[derive(Debug, Clone)]
pub struct Mounts {
    v2: Mounted,
    v2_controllers: Vec<String>,
    /// Those on v1.
    pub v1: V1,
}

impl Mounts {
    /// Reads /proc/self/mountinfo. No v2 mount is an error.
    pub fn find() -> Result<Mounts, Fault> {
        let what = "find control groups in";
        let path = "/proc/self/mountinfo";
        let text = std::fs::read(path).context(what, path)?;
        let mut mounts = Self::parse(&text).ok_or(io::ErrorKind::NotFound).context(what, path)?;
        let controllers = mounts.v2.at.join("cgroup.controllers");
        let text = std::fs::read_to_string(&controllers).context("read", controllers.display())?;
        mounts.v2_controllers = text.split_ascii_whitespace().map(String::from).collect();
        Ok(mounts)
    }

    /// `None`: no v2.
    fn parse(mountinfo: &[u8]) -> Option<Mounts> {
        let mut v2 = None;
        let mut v1 = V1::default();
        for line in mountinfo.split(|byte| *byte == b'\n') {
            let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
            // id parent major:minor root mountpoint options optional... - type source super-options
            let Some(dash) = words.iter().position(|word| *word == b"-") else { continue };
            let (Some(root), Some(at), Some(kind)) = (words.get(3), words.get(4), words.get(dash + 1)) else {
                continue;
            };
            let mounted = Mounted { at: unescape(at), root: unescape(root) };
            match *kind {
                b"cgroup2" => v2 = v2.or(Some(mounted)),
                b"cgroup" => {
                    let options = words.get(dash + 3).copied().unwrap_or_default();
                    for option in options.split(|byte| *byte == b',') {
                        match option {
                            b"memory" => v1.memory = v1.memory.or(Some(mounted.at.clone())),
                            b"pids" => v1.pids = v1.pids.or(Some(mounted.at.clone())),
                            b"cpu" => v1.cpu = v1.cpu.or(Some(mounted.at.clone())),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Some(Mounts { v2: v2?, v2_controllers: Vec::new(), v1 })
    }

    /// Where v2 is mounted.
    pub fn v2(&self) -> &Path {
        &self.v2.at
    }

    /// Whether v2 has this controller (it is then not on v1).
    pub fn v2_has(&self, controller: Controller) -> bool {
        self.v2_controllers.iter().any(|name| name == controller.name())
    }

    /// Where v1 has this controller mounted.
    pub fn v1_of(&self, controller: Controller) -> Option<&Path> {
        match controller {
            Controller::Memory => self.v1.memory.as_deref(),
            Controller::Tasks => self.v1.pids.as_deref(),
            Controller::Cpu => self.v1.cpu.as_deref(),
        }
    }

    /// The directory of our own v2 group.
    pub fn own_group(&self) -> Result<PathBuf, Fault> {
        let what = "find our control group in";
        let path = "/proc/self/cgroup";
        let text = std::fs::read_to_string(path).context(what, path)?;
        let group = text.lines().find_map(|line| line.strip_prefix("0::"));
        let group = group.ok_or(io::ErrorKind::NotFound).context(what, path)?;
        Ok(self.v2.directory(group))
    }

    /// The id of the v2 group that /proc/<pid>/cgroup calls `group`.
    pub fn group_id_at(&self, group: &str) -> io::Result<u64> {
        Ok(std::fs::metadata(self.v2.directory(group))?.ino())
    }
}

/// Undoes mountinfo's octal escapes.
pub(crate) fn unescape(word: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let code = rest
            .get(1..4)
            .filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..b'8').contains(d)));
        match code {
            Some(digits) => {
                let value = digits.iter().fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                bytes.push(value as u8);
                rest = &rest[4..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_machine_is_understood() {
        let text = b"35 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
            36 31 0:36 / /sys/fs/cgroup/p\\040ids rw - cgroup cgroup rw,pids\n\
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:3 - cgroup2 cgroup2 rw\n";
        let mounts = Mounts::parse(text).unwrap();
        assert_eq!(mounts.v2(), Path::new("/sys/fs/cgroup/unified"));
        assert_eq!(mounts.v1_of(Controller::Memory), Some(Path::new("/sys/fs/cgroup/memory")));
        assert_eq!(mounts.v1_of(Controller::Tasks), Some(Path::new("/sys/fs/cgroup/p ids")));
        assert_eq!(mounts.v1_of(Controller::Cpu), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct")));
    }

    #[test]
    fn a_container_without_its_own_cgroup_namespace_is_understood() {
        let text = b"41 31 0:38 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let mounts = Mounts::parse(text).unwrap();
        assert_eq!(mounts.v2.directory("/docker/abc"), Path::new("/sys/fs/cgroup/"));
        assert_eq!(mounts.v2.directory("/docker/abc/x"), Path::new("/sys/fs/cgroup/x"));
        assert!(Mounts::parse(b"22 27 0:21 / /proc rw - proc proc rw\n").is_none());
    }
}
