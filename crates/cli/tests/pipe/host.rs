//! A host that knows pipes: it pairs clients and servers as the real one does. Whoever serves, serves with the library or with `s0`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use serde_json::{Value, json};
use session0::pipe::{PipeServer, ServerBuilder};

/// A varlink interface that the host has itself.
pub const HOST_INTERFACE: &str = "interface io.session0.Host\nmethod Version() -> (version: string)\n";

/// A pipe that is served.
struct Served {
    /// Which of those that were served by this name.
    number: u32,
    control: UnixStream,
    asked: Value,
    listening: u64,
}

/// The host.
pub struct Host {
    directory: PathBuf,
    inner: Arc<Inner>,
}

struct Inner {
    pipes: Mutex<HashMap<String, Served>>,
    changed: Condvar,
    /// Of instances and servers.
    numbers: AtomicU32,
    /// What `List` and `Status` answer besides, by name.
    listed: Vec<Value>,
    /// Names that nobody may open.
    denied: Vec<&'static str>,
}

impl Host {
    pub fn start() -> Host {
        Host::with(Vec::new(), Vec::new())
    }

    /// With what is listed, and names that nobody may open.
    pub fn with(listed: Vec<Value>, denied: Vec<&'static str>) -> Host {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("s0-cli-pipe-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir(&directory).unwrap();
        let listener = UnixListener::bind(directory.join("api")).unwrap();
        let (pipes, changed, numbers) = (Mutex::default(), Condvar::new(), AtomicU32::new(0));
        let inner = Arc::new(Inner { pipes, changed, numbers, listed, denied });
        let serving = Arc::clone(&inner);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, serving) = (stream.unwrap(), Arc::clone(&serving));
                std::thread::spawn(move || serving.connection(stream));
            }
        });
        Host { directory, inner }
    }

    /// Its directory, for files of the test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// `s0` for this host.
    pub fn s0(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_s0"));
        command.arg("--socket").arg(self.path("api")).args(arguments).stdin(Stdio::null());
        command.env_remove("SESSION0_ROOT").env_remove("SESSION0_SOCKET").env_remove("NO_COLOR");
        command
    }

    /// `s0` with this input, to its end.
    pub fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = self.s0(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (mut to, input) = (child.stdin.take().unwrap(), input.to_vec());
        let writer = std::thread::spawn(move || drop(to.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// A pipe that the test serves.
    pub fn server(&self, name: &str) -> ServerBuilder {
        PipeServer::builder(name).socket(self.path("api"))
    }

    /// `s0 pipe listen`, which listens when this returns.
    pub fn listen(&self, arguments: &[&str]) -> Listener {
        self.listen_by(self.s0(&[&["pipe", "listen"], arguments].concat()))
    }

    /// By this command.
    pub fn listen_by(&self, mut command: Command) -> Listener {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        assert!(line.contains("listening"), "{line}");
        Listener { child, errors, first: line }
    }

    /// Waits until as many instances of the pipe listen.
    pub fn until_listening(&self, name: &str, count: u64) {
        let end = Instant::now() + Duration::from_secs(60);
        let mut pipes = self.inner.lock();
        while pipes.get(name).is_none_or(|served| served.listening != count) {
            assert!(Instant::now() < end, "never {count} instances of {name} listen");
            pipes = self.inner.changed.wait_timeout(pipes, Duration::from_millis(100)).unwrap().0;
        }
    }

    /// What was asked for when the pipe was made.
    pub fn asked(&self, name: &str) -> Value {
        self.inner.lock()[name].asked.clone()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// An `s0 pipe listen` that runs.
pub struct Listener {
    pub child: Child,
    pub errors: BufReader<ChildStderr>,
    /// The line that says that it listens.
    pub first: String,
}

impl Listener {
    /// Its next words on standard error.
    pub fn error_line(&mut self) -> String {
        let mut line = String::new();
        self.errors.read_line(&mut line).unwrap();
        line
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Its exit code, and what it said until its end.
    pub fn end(mut self) -> (Option<i32>, Vec<u8>, String) {
        let mut out = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
        let mut errors = String::new();
        self.errors.read_to_string(&mut errors).unwrap();
        (self.child.wait().unwrap().code(), out, errors)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A megabyte and a bit that looks like nothing, the same for the same seed.
pub fn random(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::new();
    while bytes.len() < (1 << 20) + 17 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes
}

/// Reads up to a zero byte.
pub fn read_object(stream: &mut impl Read) -> Option<Value> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).ok()? == 1 {
        if byte == [0] {
            return serde_json::from_slice(&bytes).ok();
        }
        bytes.push(byte[0]);
    }
    None
}

fn send(stream: &UnixStream, object: &Value, descriptors: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
    }
    let bytes = format!("{object}\0");
    // Who is gone already hears nothing.
    let _ = sendmsg(stream, &[IoSlice::new(bytes.as_bytes())], &mut control, SendFlags::NOSIGNAL);
}

fn refusal(name: &str, code: u32) -> Value {
    let parameters = json!({ "code": code, "message": format!("could not do it: {name}") });
    json!({ "error": format!("io.session0.Pipe.{name}"), "parameters": parameters })
}

fn peer(stream: &UnixStream) -> Value {
    let credentials = rustix::net::sockopt::socket_peercred(stream).unwrap();
    json!({
        "session": 3, "uid": credentials.uid.as_raw(), "gid": credentials.gid.as_raw(), "groups": [],
        "pid": credentials.pid.as_raw_nonzero().get(), "account": "alice",
    })
}

fn or<'a>(object: &'a Value, key: &str, otherwise: &'a Value) -> &'a Value {
    object.get(key).unwrap_or(otherwise)
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Served>> {
        self.pipes.lock().unwrap()
    }

    fn connection(&self, mut stream: UnixStream) {
        while let Some(call) = read_object(&mut stream) {
            let (method, parameters) = (call["method"].as_str().unwrap(), &call["parameters"]);
            let answer = match method {
                "io.session0.Pipe.Listen" => return self.listen(stream, parameters),
                "io.session0.Pipe.Open" => match self.open(&stream, parameters) {
                    Ok(()) => return,
                    Err(refusal) => refusal,
                },
                "io.session0.Pipe.List" => json!({ "parameters": { "pipes": self.listed } }),
                "io.session0.Pipe.Status" => {
                    let found = self.listed.iter().find(|pipe| pipe["name"] == parameters["pipe"]);
                    found.map_or(refusal("NoSuchPipe", 2), |pipe| json!({ "parameters": { "pipe": pipe } }))
                }
                "org.varlink.service.GetInfo" => {
                    json!({ "parameters": { "interfaces": ["io.session0.Host", "org.varlink.service"] } })
                }
                "org.varlink.service.GetInterfaceDescription" => {
                    json!({ "parameters": { "description": HOST_INTERFACE } })
                }
                "io.session0.Host.Version" => json!({ "parameters": { "version": "1" } }),
                other => panic!("{other}"),
            };
            send(&stream, &answer, &[]);
        }
    }

    fn open(&self, stream: &UnixStream, asked: &Value) -> Result<(), Value> {
        let name = asked["pipe"].as_str().unwrap();
        if self.denied.contains(&name) {
            return Err(refusal("AccessDenied", 5));
        }
        let wait = Duration::from_millis(asked["wait_ms"].as_u64().unwrap_or(0).min(60_000));
        let end = Instant::now() + wait;
        let mut pipes = self.lock();
        while pipes.get(name).is_some_and(|served| served.listening == 0) && Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now());
            pipes = self.changed.wait_timeout(pipes, left).unwrap().0;
        }
        let served = pipes.get_mut(name).ok_or_else(|| refusal("NoSuchPipe", 2))?;
        if served.listening == 0 {
            return Err(if wait.is_zero() { refusal("Busy", 231) } else { refusal("TimedOut", 121) });
        }
        served.listening -= 1;
        let instance = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (byte, duplex) = (json!("byte"), json!("duplex"));
        let direction = or(&served.asked, "direction", &duplex);
        let access = match direction.as_str() {
            Some("inbound") => json!("write"),
            Some("outbound") => json!("read"),
            _ => or(asked, "access", &duplex).clone(),
        };
        let opened = json!({
            "name": name, "kind": or(&served.asked, "kind", &byte), "direction": direction, "access": access,
            "instance": instance, "server": peer(&served.control), "descriptors": 0,
        });
        let impersonation = or(asked, "impersonation", &json!("identification")).clone();
        let connected = json!({ "connected": {
            "instance": instance, "access": access, "impersonation": impersonation, "client": peer(stream),
        } });
        send(stream, &json!({ "parameters": opened }), &[]);
        let process = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        send(&served.control, &connected, &[stream.as_fd(), process.as_fd()]);
        self.changed.notify_all();
        Ok(())
    }

    fn listen(&self, mut stream: UnixStream, asked: &Value) {
        let name = asked["pipe"].as_str().unwrap();
        let (byte, duplex) = (json!("byte"), json!("duplex"));
        let limit = asked.get("instances_max").filter(|most| **most != json!(0));
        let answer = json!({ "parameters": {
            "name": name, "kind": or(asked, "kind", &byte), "direction": or(asked, "direction", &duplex),
            "instances_max": limit, "listening_max": 4,
        } });
        let control = stream.try_clone().unwrap();
        let listening = asked["listening"].as_u64().unwrap_or(1);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let served = Served { number, control, asked: asked.clone(), listening };
        self.lock().insert(name.to_owned(), served);
        send(&stream, &answer, &[]);
        self.changed.notify_all();
        while let Some(said) = read_object(&mut stream) {
            let mut pipes = self.lock();
            let Some(served) = pipes.get_mut(name).filter(|served| served.number == number) else { return };
            if let Some(instances) = said["listen"]["instances"].as_u64() {
                served.listening += instances;
            } else if said.get("stop").is_some() {
                served.listening = 0;
            }
            self.changed.notify_all();
        }
        let mut pipes = self.lock();
        if pipes.get(name).is_some_and(|served| served.number == number) {
            pipes.remove(name);
        }
        self.changed.notify_all();
    }
}
