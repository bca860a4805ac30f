//! A host that a test writes: what it answers to calls, what it says in conversations, and programs as sessions have them.

use std::io::{IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    recv, sendmsg, socketpair,
};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use serde_json::{Value, json};

/// An answer: the object and the descriptors that come with it.
pub type Reply = (Value, Vec<OwnedFd>);

/// A false host.
pub struct Host {
    directory: PathBuf,
}

impl Host {
    /// Answers calls of any number of connections: method without its interface's prefix, and parameters.
    pub fn start(name: &str, answer: impl Fn(&str, &Value) -> Reply + Send + Sync + 'static) -> Host {
        let directory = std::env::temp_dir().join(format!("s0-terminal-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir(&directory).unwrap();
        let host = Host { directory };
        let listener = UnixListener::bind(host.socket()).unwrap();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, answer) = (stream.unwrap(), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream, &*answer));
            }
        });
        host
    }

    /// A host where every logon is this conversation.
    pub fn of_logons(name: &str, talk: impl Fn(Line) + Send + Sync + Clone + 'static) -> Host {
        Host::start(name, move |method, _| {
            assert_eq!(method, "Logon.Begin");
            begin(talk.clone())
        })
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("api")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn serve(mut stream: &UnixStream, answer: &dyn Fn(&str, &Value) -> Reply) {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).unwrap_or(0) == 1 {
        if byte != [0] {
            bytes.push(byte[0]);
            continue;
        }
        let call: Value = serde_json::from_slice(&bytes).unwrap();
        let method = call["method"].as_str().unwrap().trim_start_matches("io.session0.").to_owned();
        let (reply, descriptors) = answer(&method, &call["parameters"]);
        send(stream.as_fd(), format!("{reply}\0").as_bytes(), &descriptors);
        bytes.clear();
    }
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[OwnedFd]) {
    let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !borrowed.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(&borrowed)));
    }
    // Whoever does not listen any more is what many tests are about.
    let _ = sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
}

/// The answer that begins a conversation, which is held in a thread of its own.
pub fn begin(talk: impl FnOnce(Line) + Send + 'static) -> Reply {
    let (host, client) = pair();
    std::thread::spawn(move || talk(Line { socket: host }));
    (json!({ "parameters": { "descriptors": 1 } }), vec![client])
}

fn pair() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
}

/// The host's end of a conversation or of a viewer's socket.
pub struct Line {
    socket: OwnedFd,
}

impl Line {
    /// One that a client is given the other end of.
    pub fn new() -> (Line, OwnedFd) {
        let (host, client) = pair();
        (Line { socket: host }, client)
    }

    pub fn say(&self, object: Value) {
        self.say_with(object, Vec::new());
    }

    pub fn say_with(&self, object: Value, descriptors: Vec<OwnedFd>) {
        send(self.socket.as_fd(), object.to_string().as_bytes(), &descriptors);
    }

    /// An answer; `None` when the client is gone.
    pub fn hear(&self) -> Option<String> {
        let mut bytes = [0; 16 * 1024];
        let (length, _) = recv(&self.socket, &mut bytes, RecvFlags::empty()).unwrap_or(([0; 0].len(), 0));
        let object: Value = serde_json::from_slice(&bytes[..length]).ok()?;
        Some(object["answer"].as_str()?.to_owned())
    }

    pub fn ask(&self, prompt: &str) -> Option<String> {
        self.say(json!({ "prompt": { "text": prompt, "secret": true } }));
        self.hear()
    }

    pub fn refuse(&self, code: u32, message: &str) {
        self.say(json!({ "refused": { "code": code, "message": message } }));
    }

    /// The user is in session 3, in front of this program.
    pub fn log_on(&self, entry: &str, program: &Program) -> Line {
        let (viewer, client) = Line::new();
        let object = json!({ "logged_on": { "session": 3, "entry": entry, "notices": ["welcome"] } });
        self.say_with(object, vec![program.master.try_clone().unwrap(), client]);
        viewer
    }

    pub fn ended(&self, status: ExitStatus) {
        let reason = "its shell ended";
        self.say(json!({ "ended": { "reason": reason, "code": status.code(), "signal": status.signal() } }));
    }
}

/// A program on a pseudo terminal of its own, whose master the host keeps as well.
pub struct Program {
    pub master: OwnedFd,
    pub process: Child,
}

impl Program {
    pub fn start(command: &[&str]) -> Program {
        let (master, slave) = terminal();
        let process = Command::new("setsid")
            .arg("-c")
            .args(command)
            .env("PS1", "$ ")
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave)
            .spawn()
            .unwrap();
        Program { master, process }
    }

    pub fn shell(script: &str) -> Program {
        Program::start(&["sh", "-c", script])
    }

    /// Reads what it shows up to this, as a terminal before this one would have.
    pub fn wait_for(&self, text: &str) {
        let mut shown = Vec::new();
        while !shown.ends_with(format!("{text}\r\n").as_bytes()) {
            let mut byte = [0];
            assert_eq!(rustix::io::read(&self.master, &mut byte), Ok(1));
            shown.push(byte[0]);
        }
    }
}

/// The session ends with its test.
impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A pseudo terminal: master and slave.
pub fn terminal() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
    (master, slave)
}

/// A program with pipes, and the descriptors a client gets: input, output, error.
pub fn piped(command: &[String]) -> (Child, Vec<OwnedFd>) {
    let mut process = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let descriptors = vec![
        process.stdin.take().unwrap().into(),
        process.stdout.take().unwrap().into(),
        process.stderr.take().unwrap().into(),
    ];
    (process, descriptors)
}
