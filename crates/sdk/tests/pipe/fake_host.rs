//! A host that knows nothing but `io.session0.Pipe`, one pipe a name, and does what a test tells it.

use std::collections::{HashMap, VecDeque};
use std::io::{IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};
use session0::api::pipe::control::{FromHost, FromServer};
use session0::pipe::{Access, Direction, Impersonation, Peer, PipeType};

/// What the host does otherwise than a good one.
pub struct Rules {
    /// So many connections are closed before they are answered.
    pub close: u32,
    /// So many are one too many.
    pub too_many: u32,
    /// Nothing is answered.
    pub silent: bool,
    /// Every call is refused: name and code.
    pub refuse: Option<(&'static str, u32)>,
    /// What comes right behind the answer to `Open`.
    pub behind: Option<(Vec<u8>, Option<OwnedFd>)>,
    pub listening_max: u32,
    /// Who every client is said to be.
    pub client: Option<Peer>,
    /// The send buffer of both ends.
    pub buffer: Option<usize>,
    /// So many announced instances are refused.
    pub refuse_instances: u32,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            close: 0,
            too_many: 0,
            silent: false,
            refuse: None,
            behind: None,
            listening_max: 4,
            client: None,
            buffer: None,
            refuse_instances: 0,
        }
    }
}

/// A pipe that is served.
pub struct Served {
    /// Which server, where another one took its place.
    id: u64,
    pub control: UnixStream,
    pub listen: Value,
    pub listening: u32,
    pub connected: u32,
    pub stopped: bool,
    pub ended: bool,
    /// Every count it gave.
    pub counted: VecDeque<(u32, u32)>,
    /// The most instances there ever were.
    pub most: u32,
}

#[derive(Default)]
pub struct State {
    pub rules: Rules,
    pub pipes: HashMap<String, Served>,
    pub calls: Vec<Value>,
    instances: u64,
}

pub struct FakeHost {
    pub path: PathBuf,
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl FakeHost {
    pub fn new() -> FakeHost {
        FakeHost::with(Rules::default())
    }

    pub fn with(rules: Rules) -> FakeHost {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("session0-pipe-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("bind");
        let state = State { rules, ..State::default() };
        let inner = Arc::new(Inner { state: Mutex::new(state), changed: Condvar::new() });
        let host = Arc::clone(&inner);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (host, stream) = (Arc::clone(&host), stream.expect("accept"));
                std::thread::spawn(move || host.connection(stream));
            }
        });
        FakeHost { path, inner }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().expect("the host did not panic")
    }

    /// Waits until the pipe is so.
    pub fn until(&self, name: &str, right: impl Fn(&Served) -> bool) {
        let mut state = self.state();
        let end = Instant::now() + Duration::from_secs(60);
        while !state.pipes.get(name).is_some_and(&right) {
            assert!(Instant::now() < end, "{name} never was so");
            state = self.inner.changed.wait_timeout(state, Duration::from_millis(100)).expect("wait").0;
        }
    }

    pub fn server(&self, name: &str) -> session0::pipe::ServerBuilder {
        session0::pipe::PipeServer::builder(name).socket(&self.path)
    }

    pub fn client(&self, name: &str) -> session0::pipe::ClientBuilder {
        session0::pipe::PipeClient::builder(name).socket(&self.path).wait(Duration::from_secs(20))
    }

    /// Says something on the control connection.
    pub fn say(&self, name: &str, said: &FromHost) {
        say(&self.state().pipes[name].control, said, &[]);
    }

    /// Sends raw bytes and descriptors on the control connection.
    pub fn say_raw(&self, name: &str, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        send(&self.state().pipes[name].control, bytes, descriptors);
    }

    /// Loses the control connection.
    pub fn hang_up(&self, name: &str) {
        self.state().pipes[name].control.shutdown(std::net::Shutdown::Both).expect("shut down");
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn send(stream: &UnixStream, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
    }
    // Who is gone already hears nothing.
    let _ = sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
}

fn say(stream: &UnixStream, said: &FromHost, descriptors: &[BorrowedFd<'_>]) {
    let mut bytes = serde_json::to_vec(said).expect("serialize");
    bytes.push(0);
    send(stream, &bytes, descriptors);
}

fn read_object(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut object = Vec::new();
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(1) if byte[0] == 0 => return Some(object),
            Ok(1) => object.push(byte[0]),
            _ => return None,
        }
    }
}

fn refusal(interface: &str, name: &str, code: u32) -> Vec<u8> {
    let parameters = json!({ "code": code, "message": format!("the host says {name}"), "hint": "ask it" });
    let mut bytes = json!({ "error": format!("{interface}.{name}"), "parameters": parameters }).to_string();
    bytes.push('\0');
    bytes.into_bytes()
}

fn reply(parameters: &Value) -> Vec<u8> {
    let mut bytes = json!({ "parameters": parameters }).to_string();
    bytes.push('\0');
    bytes.into_bytes()
}

const PIPE: &str = "io.session0.Pipe";

impl Inner {
    fn connection(&self, mut stream: UnixStream) {
        while let Some(call) = read_object(&mut stream) {
            let call: Value = serde_json::from_slice(&call).expect("JSON");
            let mut state = self.state.lock().expect("no panic");
            state.calls.push(call.clone());
            let rules = &mut state.rules;
            if rules.silent {
                drop(state);
                // Until the client has had enough.
                let _ = read_object(&mut stream);
                return;
            }
            if rules.close > 0 {
                rules.close -= 1;
                return;
            }
            if rules.too_many > 0 {
                rules.too_many -= 1;
                send(&stream, &refusal("io.session0.Host", "TooManyClients", 1450), &[]);
                return;
            }
            if let Some((name, code)) = rules.refuse {
                send(&stream, &refusal(PIPE, name, code), &[]);
                continue;
            }
            let upgrade = call["upgrade"] == true;
            let parameters = call["parameters"].clone();
            match call["method"].as_str().expect("a method") {
                "io.session0.Pipe.Listen" => {
                    assert!(upgrade);
                    drop(state);
                    return self.listen(stream, parameters);
                }
                "io.session0.Pipe.Open" => {
                    if self.open(state, &stream, &parameters, upgrade) {
                        return;
                    }
                }
                "io.session0.Pipe.Wait" => {
                    let name = parameters["pipe"].as_str().expect("a name").to_owned();
                    let wait = parameters["wait_ms"].as_u64().unwrap_or(0).max(50);
                    match self.free(state, &name, Some(wait)) {
                        Ok(_) => send(&stream, &reply(&json!({})), &[]),
                        Err(refusal) => send(&stream, &refusal, &[]),
                    }
                }
                "io.session0.Pipe.Status" => {
                    send(&stream, &refusal(PIPE, "NoSuchPipe", 2), &[]);
                }
                other => panic!("{other}"),
            }
        }
    }

    /// Waits until an instance listens.
    fn free<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        name: &str,
        wait_ms: Option<u64>,
    ) -> Result<MutexGuard<'a, State>, Vec<u8>> {
        let end = Instant::now() + Duration::from_millis(wait_ms.unwrap_or(0));
        loop {
            match state.pipes.get(name) {
                None => return Err(refusal(PIPE, "NoSuchPipe", 2)),
                Some(served) if served.stopped => return Err(refusal(PIPE, "NoSuchPipe", 2)),
                Some(served) if served.listening > 0 => return Ok(state),
                Some(_) if wait_ms.is_none() => return Err(refusal(PIPE, "Busy", 231)),
                Some(_) if Instant::now() >= end => return Err(refusal(PIPE, "TimedOut", 121)),
                Some(_) => {}
            }
            let left = end.saturating_duration_since(Instant::now());
            state = self.changed.wait_timeout(state, left).expect("wait").0;
        }
    }

    /// Whether the connection is the pipe now.
    fn open(&self, state: MutexGuard<'_, State>, stream: &UnixStream, asked: &Value, upgrade: bool) -> bool {
        let name = asked["pipe"].as_str().expect("a name");
        let wait = asked["wait_ms"].as_u64().map(|wait| if wait == 0 { 50 } else { wait });
        let mut state = match self.free(state, name, wait) {
            Ok(state) => state,
            Err(refusal) => {
                send(stream, &refusal, &[]);
                return false;
            }
        };
        state.instances += 1;
        let instance = state.instances;
        let mut peer = own_peer(stream);
        if let Some(client) = &state.rules.client {
            peer = client.clone();
        }
        let (behind, buffer) = (state.rules.behind.take(), state.rules.buffer);
        let served = state.pipes.get_mut(name).expect("it is there");
        served.listening -= 1;
        served.connected += 1;
        let level = asked.get("impersonation").cloned().unwrap_or(json!("identification"));
        let level: Impersonation = serde_json::from_value(level).expect("a level");
        let direction = served.listen.get("direction").cloned().unwrap_or(json!("duplex"));
        let access = access(&direction, asked);
        let kind = served.listen.get("kind").cloned().unwrap_or(json!("byte"));
        let opened = json!({
            "name": name, "kind": kind, "direction": direction, "access": access, "instance": instance,
            "server": own_peer(&served.control), "descriptors": u32::from(!upgrade),
        });
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let mut answer = reply(&opened);
        let end: OwnedFd = if upgrade {
            let (more, with) = behind.unwrap_or_default();
            answer.extend(more);
            let with: Vec<BorrowedFd<'_>> = with.iter().map(AsFd::as_fd).collect();
            send(stream, &answer, &with);
            stream.try_clone().expect("clone").into()
        } else {
            send(stream, &answer, &[theirs.as_fd()]);
            ours.into()
        };
        // As a host leaves it that waits for nobody.
        rustix::io::ioctl_fionbio(&end, true).expect("set");
        if let Some(buffer) = buffer {
            for end in [end.as_fd(), stream.as_fd()] {
                rustix::net::sockopt::set_socket_send_buffer_size(end, buffer).expect("set");
            }
        }
        let process = (level != Impersonation::Anonymous).then(|| {
            let pid = rustix::process::getpid();
            rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).expect("a pidfd")
        });
        if level == Impersonation::Anonymous {
            peer = Peer {
                session: None,
                uid: 65534,
                gid: 65534,
                groups: vec![],
                pid: 0,
                account: None,
                service: None,
            };
        }
        let mut with = vec![end.as_fd()];
        with.extend(process.as_ref().map(AsFd::as_fd));
        let said = FromHost::Connected { instance, access, impersonation: level, client: peer };
        say(&served.control, &said, &with);
        self.changed.notify_all();
        upgrade
    }

    fn listen(&self, mut stream: UnixStream, asked: Value) {
        let name = asked["pipe"].as_str().expect("a name").to_owned();
        let limit = asked["instances_max"].as_u64().filter(|most| *most != 0);
        let mut state = self.state.lock().expect("no panic");
        let listening = u32::try_from(asked["listening"].as_u64().unwrap_or(1)).expect("a count");
        let answer = json!({
            "name": name, "kind": asked.get("kind").unwrap_or(&json!("byte")),
            "direction": asked.get("direction").unwrap_or(&json!("duplex")),
            "instances_max": limit, "listening_max": state.rules.listening_max,
        });
        state.instances += 1;
        let id = state.instances;
        let served = Served {
            id,
            control: stream.try_clone().expect("clone"),
            listen: asked,
            listening,
            connected: 0,
            stopped: false,
            ended: false,
            counted: VecDeque::new(),
            most: listening,
        };
        state.pipes.insert(name.clone(), served);
        send(&stream, &reply(&answer), &[]);
        self.changed.notify_all();
        drop(state);
        while let Some(object) = read_object(&mut stream) {
            let said: FromServer = serde_json::from_slice(&object).expect("an object");
            let mut state = self.state.lock().expect("no panic");
            let State { rules, pipes, .. } = &mut *state;
            let Some(served) = pipes.get_mut(&name).filter(|served| served.id == id) else { return };
            match said {
                FromServer::Listen { instances } => {
                    let refused = rules.refuse_instances.min(instances);
                    rules.refuse_instances -= refused;
                    served.listening += instances - refused;
                    if refused > 0 {
                        say(&served.control, &FromHost::Refused { instances: refused }, &[]);
                    }
                }
                FromServer::Closed { .. } => served.connected -= 1,
                FromServer::Stop {} => {
                    served.listening = 0;
                    served.stopped = true;
                }
                FromServer::Counted { listening, connected } => {
                    served.counted.push_back((listening, connected));
                }
                FromServer::Unknown => panic!("unknown"),
            }
            served.most = served.most.max(served.listening + served.connected);
            self.changed.notify_all();
        }
        let mut state = self.state.lock().expect("no panic");
        if let Some(served) = state.pipes.get_mut(&name).filter(|served| served.id == id) {
            served.ended = true;
        }
        self.changed.notify_all();
    }
}

fn access(direction: &Value, asked: &Value) -> Access {
    match serde_json::from_value(direction.clone()).expect("a direction") {
        Direction::Inbound => Access::Write,
        Direction::Outbound => Access::Read,
        _ => asked
            .get("access")
            .map_or(Access::Duplex, |access| serde_json::from_value(access.clone()).expect("an access")),
    }
}

fn own_peer(stream: &UnixStream) -> Peer {
    let credentials = rustix::net::sockopt::socket_peercred(stream).expect("credentials");
    Peer {
        session: Some(3),
        uid: credentials.uid.as_raw(),
        gid: credentials.gid.as_raw(),
        groups: Vec::new(),
        pid: credentials.pid.as_raw_nonzero().get(),
        account: Some("alice".to_owned()),
        service: None,
    }
}

/// A pipe with both ends.
pub fn connected(
    host: &FakeHost,
    kind: PipeType,
) -> (session0::pipe::PipeServer, session0::pipe::Instance, session0::pipe::PipeClient) {
    let server = host.server("echo").kind(kind).create().expect("serve");
    let client = host.client("echo").open().expect("open");
    let instance = server.accept().expect("accept");
    (server, instance, client)
}
