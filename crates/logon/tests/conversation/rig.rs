//! The program between a false daemon and a false client.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use session0_api::conversation::{Account, Answer, Said};
use session0_model::launch::wire::{decode, encode};
use session0_model::logon::name::AccountName;
use session0_model::logon::wire::{
    AccountChange, AccountPlace, FromLogon, HomeFate, OldPassword, Sources, Task, ToLogon, User,
};
use session0_sys::packet::{self, Received, Sent};
use session0_sys::spawn::{self, Child, Namespaces, Spawn};

/// How long anything may take on a machine that does something else as well.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says that a test did not run, past the test runner's capture: a test that only returns is counted as passed.
pub fn skip(test: &str, reason: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED {test}: {reason}");
}

pub const UIDS: (u32, u32) = (3_000_000_000, 3_000_000_999);
/// The first uid an account gets.
pub const FIRST: u32 = UIDS.0 + 1;

/// Accounts and homes of a test's own.
pub struct Corner {
    pub top: PathBuf,
    pub place: AccountPlace,
}

impl Corner {
    pub fn new() -> Corner {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let top = std::env::temp_dir().join(format!("session0-conversation-{}-{number}", std::process::id()));
        std::fs::create_dir_all(top.join("skel")).unwrap();
        let at = |name: &str| top.join(name).to_str().unwrap().to_owned();
        let place = AccountPlace {
            accounts: at("etc/accounts.toml"),
            published: at("run/passwd"),
            homes: at("home"),
            homes_inside: "/home".into(),
            skeletons: vec![at("no-skel"), at("skel")],
            uids: UIDS,
            sources: Sources { builtin: true, machine: true },
        };
        Corner { top, place }
    }

    /// One with an account that has this password.
    pub fn with(name: &str, password: &str) -> Corner {
        let corner = Corner::new();
        corner.add(name, password);
        corner
    }

    pub fn start(&self, task: Task) -> Talk {
        let talk = Talk::start();
        talk.tell(&ToLogon::Begin { task, place: self.place.clone() });
        talk
    }

    pub fn add(&self, name: &str, password: &str) {
        let talk = self.start(add(name));
        talk.new_password(password);
        assert_eq!(talk.heard(), changed(name, AccountChange::Added));
        talk.done();
    }

    pub fn list(&self) -> Vec<Account> {
        let talk = self.start(Task::List);
        let mut all = Vec::new();
        loop {
            match talk.said() {
                Said::Accounts { accounts } => all.extend(accounts),
                Said::Done { accounts: Some(accounts) } => {
                    all.extend(accounts);
                    return all;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub fn names(&self) -> Vec<String> {
        self.list().into_iter().map(|account| account.name).collect()
    }

    /// Logs on with a password; whoever it is, if it was right.
    pub fn try_logon(&self, name: &str, password: &str) -> Option<User> {
        let talk = self.start(logon(name));
        talk.password("Password: ", password);
        match talk.heard() {
            FromLogon::Authenticated(user) => Some(user),
            FromLogon::Failed { .. } => None,
            other => panic!("{other:?}"),
        }
    }

    pub fn accounts(&self) -> String {
        std::fs::read_to_string(&self.place.accounts).unwrap()
    }

    pub fn published(&self) -> String {
        std::fs::read_to_string(&self.place.published).unwrap()
    }

    pub fn home(&self, name: &str) -> PathBuf {
        self.top.join("home").join(name)
    }

    /// What is in the directory of homes.
    pub fn homes(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.top.join("home")).into_iter().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Corner {
    fn drop(&mut self) {
        // A deep tree is removed by the program itself.
        let _ = std::fs::remove_dir_all(&self.top);
    }
}

pub fn name(name: &str) -> AccountName {
    AccountName::new(name).unwrap()
}

pub fn logon(account: &str) -> Task {
    Task::Logon { account: name(account) }
}

pub fn add(account: &str) -> Task {
    Task::Add { account: name(account), full_name: String::new(), shell: None }
}

pub fn remove(account: &str, home: HomeFate) -> Task {
    Task::Remove { account: name(account), home }
}

pub fn new_password(account: &str, old: OldPassword) -> Task {
    Task::Password { account: name(account), old }
}

pub fn changed(account: &str, change: AccountChange) -> FromLogon {
    FromLogon::Changed { account: name(account), change }
}

/// One conversation.
pub struct Talk {
    pub daemon: Option<OwnedFd>,
    pub client: Option<OwnedFd>,
    pub child: Child,
    messages: PathBuf,
}

impl Talk {
    /// A program that was told nothing yet.
    pub fn start() -> Talk {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let messages =
            std::env::temp_dir().join(format!("session0-conversation-{}-{number}.err", std::process::id()));
        let (daemon, daemons) = packet::pair().unwrap();
        let (client, clients) = packet::pair().unwrap();
        let program = spawn::open_program(env!("CARGO_BIN_EXE_session0-logon").as_ref()).unwrap();
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let stderr = File::create(&messages).unwrap();
        let descriptors = [
            (null.as_fd(), 0),
            (null.as_fd(), 1),
            (stderr.as_fd(), 2),
            (daemons.as_fd(), 3),
            (clients.as_fd(), 4),
        ];
        let child = spawn::start(&Spawn {
            program: program.as_fd(),
            arguments: &[c"session0-logon".to_owned()],
            environment: &[],
            namespaces: Namespaces::Inherited,
            group: None,
            descriptors: &descriptors,
            open_files: None,
        });
        Talk { daemon: Some(daemon), client: Some(client), child: child.unwrap(), messages }
    }

    /// A program that sees this directory's passwd, group and shadow as the machine's.
    #[expect(clippy::zombie_processes, reason = "it is reaped by its pidfd, as the others are")]
    pub fn on_another_machine(etc: &std::path::Path) -> Talk {
        let (daemon, daemons) = packet::pair().unwrap();
        let (client, clients) = packet::pair().unwrap();
        let messages = etc.join("messages");
        let binds: Vec<String> = ["passwd", "group", "shadow"]
            .iter()
            .map(|file| format!("mount --bind {}/{file} /etc/{file}", etc.display()))
            .collect();
        let script = format!(
            "{} && exec {} 3<&0 4<&1 </dev/null >/dev/null",
            binds.join(" && "),
            env!("CARGO_BIN_EXE_session0-logon")
        );
        let child = std::process::Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .stdin(daemons)
            .stdout(clients)
            .stderr(File::create(&messages).unwrap())
            .spawn()
            .expect("unshare(1) is there");
        let pid = i32::try_from(child.id()).unwrap();
        let child = Child { pid, pidfd: session0_sys::pidfd::open(pid).unwrap() };
        Talk { daemon: Some(daemon), client: Some(client), child, messages }
    }

    pub fn tell(&self, message: &ToLogon) {
        self.tell_with(message, &[]);
    }

    pub fn tell_with(&self, message: &ToLogon, descriptors: &[&OwnedFd]) {
        let mut bytes = Vec::new();
        encode(message, &mut bytes);
        let descriptors: Vec<_> = descriptors.iter().map(|descriptor| descriptor.as_fd()).collect();
        let daemon = self.daemon.as_ref().unwrap();
        assert_eq!(packet::send(daemon.as_fd(), &bytes, &descriptors).unwrap(), Sent::All);
    }

    /// What the daemon is told next.
    #[track_caller]
    pub fn heard(&self) -> FromLogon {
        let (bytes, _) = receive(self.daemon.as_ref().unwrap()).expect("it is told something");
        let (message, rest) = decode(&bytes).expect("our language");
        assert!(rest.is_empty());
        message
    }

    /// What the client is told next.
    #[track_caller]
    pub fn said(&self) -> Said {
        self.said_with().0
    }

    #[track_caller]
    pub fn said_with(&self) -> (Said, Vec<OwnedFd>) {
        let (bytes, descriptors) = receive(self.client.as_ref().unwrap()).expect("it is told something");
        (serde_json::from_slice(&bytes).expect("the public language"), descriptors)
    }

    pub fn answer(&self, text: &str) {
        self.send(&serde_json::to_vec(&Answer::Answer(text.into())).unwrap());
    }

    pub fn send(&self, bytes: &[u8]) {
        let client = self.client.as_ref().unwrap();
        assert_eq!(packet::send(client.as_fd(), bytes, &[]).unwrap(), Sent::All);
    }

    #[track_caller]
    pub fn prompted(&self, wanted: &str) {
        match self.said() {
            Said::Prompt { text, secret: true } => assert_eq!(text, wanted),
            other => panic!("{other:?} and not {wanted:?}"),
        }
    }

    /// Answers the question for a password, which the daemon lets be checked.
    #[track_caller]
    pub fn password(&self, prompt: &str, password: &str) {
        self.prompted(prompt);
        self.answer(password);
        assert_eq!(self.heard(), FromLogon::Attempt);
        self.tell(&ToLogon::Wait { ms: 0 });
    }

    /// Answers the questions for a new one.
    #[track_caller]
    pub fn new_password(&self, password: &str) {
        match self.said() {
            Said::Prompt { text, secret: true } if text.starts_with("New password for ") => {}
            other => panic!("{other:?}"),
        }
        self.answer(password);
        loop {
            match self.said() {
                Said::Message { .. } => {}
                Said::Prompt { text, secret: true } if text == "Again: " => break,
                other => panic!("{other:?}"),
            }
        }
        self.answer(password);
    }

    #[track_caller]
    pub fn done(&self) {
        assert_eq!(self.said(), Said::Done { accounts: None });
        self.ended();
    }

    #[track_caller]
    pub fn refused(&self, wanted: u32) -> String {
        match self.said() {
            Said::Refused { code, message, .. } if code == wanted => message,
            other => panic!("{other:?} and not {wanted}"),
        }
    }

    /// The program's end, which was orderly.
    #[track_caller]
    pub fn ended(&self) {
        if let Some(daemon) = &self.daemon {
            assert!(receive(daemon).is_none(), "the daemon was told more");
        }
        if let Some(client) = &self.client {
            assert!(receive(client).is_none(), "the client was told more");
        }
        assert_eq!(self.reap(), Some(0));
    }

    /// Its exit status.
    pub fn reap(&self) -> Option<i32> {
        let id = rustix::process::WaitId::PidFd(self.child.pidfd.as_fd());
        let status = rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED).unwrap().unwrap();
        status.exit_status()
    }

    pub fn kill(&self) {
        session0_sys::pidfd::send_signal(self.child.pidfd.as_fd(), 9).unwrap();
        self.reap();
    }

    /// What it wrote on standard error.
    pub fn messages(&self) -> String {
        std::fs::read_to_string(&self.messages).unwrap()
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = session0_sys::pidfd::send_signal(self.child.pidfd.as_fd(), 9);
        let id = rustix::process::WaitId::PidFd(self.child.pidfd.as_fd());
        // Reaped already, or now.
        let _ = rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED);
        let _ = std::fs::remove_file(&self.messages);
    }
}

/// The next packet; `None`: the other end is closed.
#[track_caller]
fn receive(socket: &OwnedFd) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match packet::receive(socket.as_fd(), &mut buffer).unwrap() {
            Received::Packet { length, descriptors } => {
                return Some((buffer[..length].to_vec(), descriptors));
            }
            Received::Closed => return None,
            Received::Nothing => {
                let mut poll = [PollFd::new(socket, PollFlags::IN)];
                let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
                assert_eq!(rustix::event::poll(&mut poll, Some(&patience)), Ok(1), "nothing came");
            }
        }
    }
}
