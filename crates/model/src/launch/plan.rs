//! One launch, prepared to the last detail by the daemon so that init decides nothing.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Everything init needs to start one program. Strings hold no zero bytes (checked where they are read).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchPlan {
    /// Absolute path of the program.
    pub program: String,
    /// `argv`, the program's own name first.
    pub arguments: Vec<String>,
    /// The whole environment, built; nothing is inherited.
    pub environment: Environment,
    /// Working directory, absolute.
    pub directory: String,
    /// Uid of all four kinds.
    pub uid: u32,
    /// Gid of all four kinds.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Capability bounding set as the kernel's bit mask. For a uid other than 0 these are also made ambient, but not for a
    /// program whose streams are a user's ([`Streams`]): that one has none, and these are what set-uid programs may gain.
    pub capabilities: u64,
    /// Limits of its own; all `None` costs nothing.
    pub limits: Limits,
    /// Paths below the read-only system directories that this program may write. Not empty: it gets a mount
    /// namespace of its own.
    pub write: Vec<String>,
    /// Directories made for it below `/run`, owned by `uid:gid`.
    pub runtime_directories: Vec<RuntimeDirectory>,
    /// Whether `/run/session0/state/<unit>` is made for it, owned by `uid:gid`, mode 0700.
    pub state_directory: bool,
    /// Network.
    pub network: Network,
    /// What set-uid programs may gain.
    pub elevation: Elevation,
    /// Whether it may make user namespaces.
    pub user_namespaces: UserNamespaces,
    /// What the program is to init.
    pub role: Role,
}

impl LaunchPlan {
    /// A program with every wall up and nothing granted: no arguments, no environment, no capabilities, no limits of its
    /// own. What a particular one has besides is written over this.
    pub fn bare(program: &str, uid: u32, gid: u32) -> LaunchPlan {
        LaunchPlan {
            program: String::from(program),
            arguments: Vec::new(),
            environment: Environment::default(),
            directory: String::from("/"),
            uid,
            gid,
            groups: Vec::new(),
            capabilities: 0,
            limits: Limits::default(),
            write: Vec::new(),
            runtime_directories: Vec::new(),
            state_directory: false,
            network: Network::Shared,
            elevation: Elevation::Deny,
            user_namespaces: UserNamespaces::Denied,
            role: Role::Program,
        }
    }
}

/// The variables of a program, as one text: each `NAME=value` and a zero byte, which is also how exec wants them. A host
/// has thousands of services and the same handful of variables in each; one text is a third of a table of pairs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Environment(String);

impl Environment {
    /// The variables in order. Those with a zero byte, or a name that is empty or has `=`, are left out; what reads
    /// them from files refuses them first.
    pub fn new<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Environment {
        let mut text = String::new();
        for (name, value) in variables {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                continue;
            }
            for part in [name, "=", value, "\0"] {
                text.push_str(part);
            }
        }
        text.shrink_to_fit();
        Environment(text)
    }

    /// Each `NAME=value`.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split_terminator('\0')
    }

    /// The whole text: every variable ends with a zero byte.
    pub fn as_text(&self) -> &str {
        &self.0
    }
}

/// A directory below `/run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeDirectory {
    /// One path component.
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    /// Whether it is seen outside Session 0 (`expose =`): it then lives below `/run/session0/expose/` and
    /// `/run/<name>` is a link to it.
    pub visibility: Visibility,
}

/// Who sees a runtime directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Visibility {
    /// Session 0 only.
    Private,
    /// The machine and, from the sessions issue on, user sessions.
    Exposed,
}

/// A service's own limits. `None` is "only what its session has".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Number of tasks (processes and threads).
    pub tasks: Option<u64>,
    /// Share of one CPU in percent; 250 is two and a half CPUs.
    pub cpu_percent: Option<u32>,
    /// Open files (RLIMIT_NOFILE, soft and hard).
    pub open_files: Option<u64>,
}

/// The network a program sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The machine's, as on Windows.
    Shared,
    /// An empty one with loopback up.
    Private,
}

/// What set-user-id programs may do for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Elevation {
    /// Nothing: no_new_privs.
    Deny,
    /// They work, within the session's bounding set.
    Contained,
}

/// User namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserNamespaces {
    /// unshare and clone with CLONE_NEWUSER are EPERM, clone3 is ENOSYS.
    Denied,
    /// Allowed.
    Allowed,
}

/// What the standard streams of a user's program are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Streams {
    /// A pseudo-terminal of the session, which becomes the program's controlling terminal.
    Terminal(Size),
    /// Three pipes.
    Pipes,
}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl Size {
    /// Of a terminal that does not say.
    pub const USUAL: Size = Size { rows: 24, columns: 80 };
}

/// What a program is to its init.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// An ordinary program: stdin is /dev/null, stdout and stderr are its unit's output pipe.
    Program,
    /// The logger: besides that, descriptor 3 is the feed of output pipes ([`crate::launch::wire::Feed`]) and
    /// descriptor 4 the log directory.
    Logger,
}
