//! The two hosts the attacks share, each with a user and what he needs. They are made when the first attack wants them and end
//! with this process.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::attack::{self, Way};
use crate::host::{Host, HostBuilder, Run};
use crate::terminal::Logon;

/// A host that cannot be made is not tried again for every attack.
type Made = OnceLock<Option<World>>;
static VISTA: Made = OnceLock::new();
static XP: Made = OnceLock::new();

/// The user who is attacked, by his own programs.
pub const USER: &str = "alice";
/// Another one, whose sessions may be filled and flooded.
pub const GUEST: &str = "mallory";
/// Of both.
pub use crate::people::PASSWORD;
/// An uid that nobody has, for attacks without session0.
const NOBODY_ELSE: u32 = 64_990;

/// The settings that both have. Small limits, so that filling them takes no time.
const SESSIONS: &str = "sessions_per_user = 8\n\
    [sessions]\nmemory = \"192M\"\ntasks = 150\nelevation = \"deny\"\nuser_namespaces = \"allow\"\n";

/// Tasks a user's session may have, as in [`SESSIONS`].
pub const TASKS_MAX: usize = 150;

/// Where an attack runs.
pub enum Place {
    /// The walls are up.
    Vista(&'static World),
    /// They are down.
    Xp(&'static World),
    /// Without session0.
    Bare,
}

impl Place {
    /// The host, where there is one.
    pub fn world(&self) -> Option<&'static World> {
        match self {
            Place::Vista(world) | Place::Xp(world) => Some(world),
            Place::Bare => None,
        }
    }

    /// The host whose files and sockets attacks without session0 use, too.
    pub fn any_world(&self) -> &'static World {
        self.world().unwrap_or_else(World::vista)
    }
}

/// A host with users in it.
pub struct World {
    /// The host.
    pub host: Host,
    /// Alice's session that attacks are made from.
    pub attacker: u32,
    /// Her other one; in xp there is none.
    pub neighbour: Option<u32>,
    /// Her uid.
    pub uid: u32,
    /// Their terminals stay for as long as the host does.
    _logons: Vec<Logon>,
    /// Ends the host with us: what is static is never dropped.
    _watcher: Child,
    /// One at a time logs on: who has which session is seen by what was added.
    arriving: Mutex<()>,
}

impl World {
    /// The host with the walls up.
    pub fn vista() -> &'static World {
        World::shared_one(&VISTA, "vista")
    }

    /// The host with the walls down.
    pub fn xp() -> &'static World {
        World::shared_one(&XP, "xp")
    }

    fn shared_one(made: &'static Made, isolation: &str) -> &'static World {
        let world = made.get_or_init(|| std::panic::catch_unwind(|| World::start(isolation)).ok());
        world.as_ref().unwrap_or_else(|| {
            panic!("the {isolation} host of the attacks could not be made; see the first of them")
        })
    }

    fn start(isolation: &str) -> World {
        let builder = HostBuilder::new().host_toml(&format!("isolation = \"{isolation}\"\n{SESSIONS}"));
        let host = builder.start();
        let watcher = host.end_with_us();
        prepare_files(&host);
        host.person(USER);
        host.person(GUEST);
        write_services(&host);
        host.s0(&["reload"]).ok();
        let mut logons = vec![host.logon(USER, PASSWORD)];
        let first = host.sessions_of(USER);
        let attacker = *first.first().expect("alice has a session");
        let neighbour = (isolation == "vista").then(|| {
            logons.push(host.logon_with(&[USER, "--new"], PASSWORD));
            let now = host.sessions_of(USER);
            *now.iter().find(|id| **id != attacker).expect("alice has another session")
        });
        let uid = host.uid_of(USER);
        World {
            host,
            attacker,
            neighbour,
            uid,
            _logons: logons,
            _watcher: watcher,
            arriving: Mutex::default(),
        }
    }

    /// Logs the guest on and runs `story` with his session, which is over afterwards.
    pub fn with_guest<T>(&self, story: impl FnOnce(u32) -> T) -> T {
        let arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.host.sessions_of(GUEST);
        let logon = self.host.logon_with(&[GUEST, "--new"], PASSWORD);
        let after = self.host.sessions_of(GUEST);
        drop(arriving);
        let session = *after.iter().find(|id| !before.contains(id)).expect("the guest has a session");
        let result = story(session);
        drop(logon);
        self.host.s0(&["session", "logoff", &session.to_string()]);
        result
    }

    /// The probe, as everybody sees it.
    pub fn probe(&self) -> String {
        crate::probe_path(&self.host)
    }

    /// A directory that everybody sees and may write.
    pub fn shared(&self) -> PathBuf {
        self.host.visible().join("shared")
    }

    /// Words for the probe with their places filled in.
    pub fn filled(&self, words: &[&str]) -> Vec<String> {
        words.iter().map(|word| self.fill(word)).collect()
    }

    fn fill(&self, word: &str) -> String {
        let visible = self.host.visible();
        word.replace("{hidden}", &hidden(&self.host).display().to_string())
            .replace("{visible}", &visible.display().to_string())
            .replace("{handle}", &handle(&self.host))
    }
}

/// A file of the machine that no session sees: its root lies below the machine's /tmp.
pub fn hidden(host: &Host) -> PathBuf {
    host.root().join("hidden-secret")
}

/// What stands in it and in `secret` of the visible directory.
pub fn secret_of(host: &Host) -> String {
    std::fs::read_to_string(hidden(host)).unwrap_or_default()
}

fn handle(host: &Host) -> String {
    let run = Run::of(Command::new(crate::probe_path(host)).arg("handle-of").arg(hidden(host)));
    run.out.trim().rsplit(' ').next().unwrap_or_default().to_owned()
}

fn prepare_files(host: &Host) {
    use std::os::unix::fs::PermissionsExt;
    let allow = |path: &std::path::Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
    };
    let random = std::fs::read_to_string("/proc/sys/kernel/random/uuid").expect("the kernel's");
    let secret = random.trim().replace('-', "");
    for path in [hidden(host), host.visible().join("secret")] {
        std::fs::write(&path, &secret).expect("ours");
        allow(&path, 0o600);
    }
    let shared = host.visible().join("shared");
    std::fs::create_dir_all(&shared).expect("ours");
    allow(&shared, 0o1777);
    let elevated = host.visible().join("set-user-id");
    std::fs::copy(crate::probe_path(host), &elevated).expect("ours");
    allow(&elevated, 0o4755);
}

/// A service for every attack that needs one: a target that runs as alice, or an attacker that runs as LocalSystem; and one for
/// each story that nobody but an administrator may start.
fn write_services(host: &Host) {
    let probe = crate::probe_path(host);
    let write = |name: &str, text: String| {
        std::fs::write(host.root().join(format!("etc/session0/services/{name}.toml")), text).expect("ours");
    };
    let text = |words: &[String], account: &str| {
        format!("command = {words:?}\naccount = \"{account}\"\nstart = \"demand\"\nrestart = \"never\"\n")
    };
    for (number, (_, one)) in attack::all().enumerate() {
        match one.way {
            Way::Neighbour(holds, _) => {
                let words = [probe.clone(), "hold".into(), target_name(number, "service"), holds.into()];
                write(&service_name(number), text(&words, USER));
            }
            Way::Story(..) => {
                write(&service_name(number), text(&["/bin/sleep".into(), "1000".into()], "LocalSystem"));
            }
            Way::Root(_) | Way::Own(..) => {}
        }
    }
}

/// The service that belongs to the attack with this number.
pub fn service_name(number: usize) -> String {
    format!("of-attack-{number}")
}

/// What a target of this attack calls its things: not two on the machine are called the same.
pub fn target_name(number: usize, place: &str) -> String {
    format!("attacked-{}-{number}-{place}", std::process::id())
}

/// The number of an attack in the table.
pub fn number_of(name: &str) -> usize {
    attack::all().position(|(_, attack)| attack.name == name).expect("it is in the table")
}

/// A program of a user without session0.
pub fn bare(uid: u32, program: &str, words: &[String]) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    command.args(words);
    if uid != 0 {
        command.uid(uid).gid(uid).current_dir("/");
    }
    command
}

/// Who makes attacks without session0.
pub const fn bare_uid() -> u32 {
    NOBODY_ELSE
}
