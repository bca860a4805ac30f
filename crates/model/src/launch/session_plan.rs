//! One session, prepared by the daemon, made by its init.

use alloc::string::String;
use alloc::vec::Vec;
use bitflags::bitflags;
use serde::{Deserialize, Serialize};

use super::plan::Elevation;
use crate::id::SessionId;

bitflags! {
    /// The kernel facilities a session is made of. One that the machine lacks is left out only where the
    /// administrator accepted that (`accept =` in host.toml).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Facilities: u32 {
        /// PID, mount, IPC, UTS and cgroup namespaces. Never optional.
        const NAMESPACES = 1 << 0;
        /// open_tree, move_mount, mount_setattr. Never optional.
        const MOUNT_API = 1 << 1;
        /// A cgroup v2 tree with `cgroup.kill`. Never optional.
        const CGROUP_KILL = 1 << 2;
        /// pidfds of socket peers (SO_PEERPIDFD). Never optional.
        const PEER_PIDFD = 1 << 3;
        /// seccomp filters. Never optional.
        const SECCOMP = 1 << 4;
        /// Landlock scopes: signals and abstract sockets.
        const LANDLOCK_SCOPES = 1 << 5;
        /// The device policy (BPF_PROG_ATTACH on the group).
        const DEVICE_POLICY = 1 << 6;
        /// `cgroup.freeze`.
        const CGROUP_FREEZE = 1 << 7;
        /// A memory controller, v1 or v2.
        const LIMIT_MEMORY = 1 << 8;
        /// A pids controller, v1 or v2.
        const LIMIT_TASKS = 1 << 9;
        /// A cpu controller, v1 or v2.
        const LIMIT_CPU = 1 << 10;
        /// /proc with hidepid=invisible.
        const HIDEPID = 1 << 11;
        /// PIDFD_GET_INFO: identity of processes that have already ended.
        const PIDFD_INFO = 1 << 12;
        /// fanotify permission events: the terminal tripwire.
        const FANOTIFY = 1 << 13;
        /// Kernel keyrings can be made per session.
        const KEYRING = 1 << 14;
        /// The capabilities a session is made with, and those it gives its programs. Never optional.
        const CAPABILITIES = 1 << 15;
        /// SO_PASSRIGHTS: clients of the API cannot hand descriptors over. No session is made of it: always optional.
        const DESCRIPTOR_REFUSAL = 1 << 16;
    }
}

/// How a session's insides are made. Sent once, before anything is launched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPlan {
    /// Which session.
    pub session: SessionId,
    /// What to use.
    pub facilities: Facilities,
    /// Capability bounding set of everything in the session.
    pub capabilities: u64,
    /// The most that set-user-id programs gain in it, whatever a launch says.
    pub elevation: Elevation,
    /// Paths made read-only, recursively, if they exist. `/` is every directory in it. What is private to the session stays
    /// writable.
    pub read_only: Vec<String>,
    /// Directories covered by an empty read-only file system, if they exist (our own runtime directory).
    pub hidden: Vec<String>,
    /// The host directory that becomes `/run/session0/expose`, absolute.
    pub expose_root: String,
    /// The host directory that becomes `/run/session0/state`, absolute.
    pub state_root: String,
    /// Sizes of the private file systems, in bytes.
    pub sizes: Sizes,
    /// Gid whose members see all of `/proc` (the logger's).
    pub proc_gid: u32,
    /// Pseudo-terminals the session may have.
    pub terminals_max: u32,
    /// Uids for which `/run/user/<uid>` with a Wayland tripwire is made.
    pub tripwire_uids: Vec<u32>,
}

/// Sizes of private file systems in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// `/tmp` and `/var/tmp`, each.
    pub tmp: u64,
    /// `/dev/shm`.
    pub shm: u64,
    /// `/run`.
    pub run: u64,
}

/// What a session is for. Decides what [`SessionPlan`] does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionKind {
    /// Session 0 with every wall up: no terminal, tripwires where a display would be.
    Services,
    /// A user's: it has `/dev/tty`, no tripwires and no state directories.
    User(Shown),
    /// Session 0 as Windows XP had it (`isolation = "xp"`): services and the first user share it, and no wall stands between
    /// uid 0 in it and the machine but the PID namespace. To show and to test what isolation prevents.
    Xp(Shown),
}

/// What a session that has users in it shows of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Shown {
    /// The host directory that becomes `/home`, absolute; `None` where the machine's own is meant (trials have their own).
    pub homes: Option<String>,
    /// Names of exposed runtime directories: each gets a link `/run/<name>` to `session0/expose/<name>`.
    pub exposed: Vec<String>,
}

/// What leads out of every session, besides the sockets that its init makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doors {
    /// The host directory that becomes `/run/session0/pipe`, absolute: the sockets of named pipes. Nothing in it can be made,
    /// changed or removed from inside.
    pub pipes: String,
}

/// What a session gets when a user enters it. Two descriptors come with it, open for reading: the whole text of
/// `/etc/passwd` and of `/etc/group` as the session is to see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPlan {
    /// Owner of `/run/user/<uid>`.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Size of `/run/user/<uid>` in bytes.
    pub runtime_bytes: u64,
    /// His home, where it is to be writable within a read-only path. Only if it is his.
    pub home: Option<String>,
}

/// The step of making a session that failed, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SessionPhase {
    /// Cleaning up what was inherited.
    Descriptors,
    /// The root tree.
    Root,
    /// /proc.
    Proc,
    /// /sys.
    Sys,
    /// /dev.
    Dev,
    /// /tmp, /var/tmp, /run.
    Private,
    /// Read-only and hidden paths.
    ReadOnly,
    /// API, notify, log and tripwire sockets.
    Sockets,
    /// Keyring.
    Keyring,
    /// Landlock.
    Landlock,
    /// seccomp.
    Seccomp,
    /// Capabilities.
    Capabilities,
}
