//! The server behind a false host, asked over real sockets.

mod bad_clients;
mod calls;
mod events;
mod pipes;
mod python;

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use session0_model::access::{Caller, Origin};
use session0_model::event::Event;
use session0_model::id::{SESSION_ZERO, ServiceName};
use session0_model::pipe::id::{InstanceId, ServerId};
use session0_model::pipe::request::Opened;
use session0_model::service::definition::{Kind, StartType};
use session0_model::service::refusal::Refusal as ServiceRefusal;
use session0_model::service::status::{OutputLost, Reloading, State, Status};
use session0_model::session::status::{ConnectState, SessionStatus};
use session0_model::system::{
    HostPhase, HostRequest, HostStatus, Refusal, ReloadReport, Reply, Request, ServiceRequest, SessionRequest,
};
use session0_model::time::Time;
use session0_model::{logon, session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinHandle;

use super::host::{Configured, Door, Host, Recorded, Subscription, Told};
use super::limits::Limits;
use super::server;

/// No test takes longer unless something hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Events the false host keeps for a subscriber.
const RING: usize = 16;
/// What the log of every service says.
const LOG: &str = "2026-11-23T01:02:03.000000Z hello\n";

#[derive(Clone)]
struct FalseHost(Rc<Inner>);

struct Inner {
    services: RefCell<Vec<Status>>,
    ring: RefCell<broadcast::Sender<Rc<Recorded>>>,
    sequence: Cell<u64>,
    /// Lets requests about the service `slow` be answered.
    slow: Notify,
    begun: Cell<u32>,
    abandoned: Cell<u32>,
    identify: Cell<Identify>,
    pipes: RefCell<Vec<pipes::Became>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Identify {
    Outside,
    Somebody,
    Mismatch,
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).expect("a service name")
}

fn status(text: &str) -> Status {
    Status {
        name: name(text),
        description: format!("the service {text}"),
        start: StartType::Auto,
        kind: Kind::Simple,
        account: "LocalSystem".to_owned(),
        state: State::Running,
        since: Time(1_000_000),
        launch: None,
        pid: Some(7),
        failure: None,
        failures: 0,
        restart_at: None,
        last_exit: None,
        last_usage: None,
        text: None,
        reloading: Reloading::No,
        waits_for: None,
        waits_for_user: None,
        output_lost: OutputLost::default(),
        stop_wait: Duration::from_secs(20),
    }
}

fn host_status() -> HostStatus {
    HostStatus {
        started: Time(0),
        sessions: vec![session_status()],
        counts: [1, 2, 3, 4],
        attention: Vec::new(),
        phase: HostPhase::Up,
        configuration_errors: 0,
    }
}

fn session_status() -> SessionStatus {
    SessionStatus {
        id: SESSION_ZERO,
        name: "Services".to_owned(),
        state: ConnectState::Disconnected,
        created: Time(0),
        protocol: Some(2),
        programs: 2,
        trouble: None,
        user: None,
    }
}

/// Counts itself as abandoned unless it was answered.
struct Waiting<'a> {
    inner: &'a Inner,
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.inner.abandoned.set(self.inner.abandoned.get() + 1);
        }
    }
}

impl FalseHost {
    fn new() -> FalseHost {
        FalseHost(Rc::new(Inner {
            services: RefCell::new(vec![status("redis"), status("slow")]),
            ring: RefCell::new(broadcast::channel(RING).0),
            sequence: Cell::new(0),
            slow: Notify::new(),
            begun: Cell::new(0),
            abandoned: Cell::new(0),
            identify: Cell::new(Identify::Outside),
            pipes: RefCell::default(),
        }))
    }

    fn emit(&self, event: Event) {
        let inner = &self.0;
        inner.sequence.set(inner.sequence.get() + 1);
        let recorded = Recorded { sequence: inner.sequence.get(), at_ms: 5, event };
        let _ = inner.ring.borrow().send(Rc::new(recorded));
    }

    fn subscribers(&self) -> usize {
        self.0.ring.borrow().receiver_count()
    }

    fn find(&self, wanted: &ServiceName) -> Result<Status, Refusal> {
        let services = self.0.services.borrow();
        services
            .iter()
            .find(|status| status.name == *wanted)
            .cloned()
            .ok_or(Refusal::Service(ServiceRefusal::DoesNotExist))
    }

    async fn about_service(&self, request: ServiceRequest) -> Result<Reply, Refusal> {
        let wanted = match request {
            ServiceRequest::List => return Ok(Reply::Services(self.0.services.borrow().clone())),
            ServiceRequest::ReadLog(name) => return self.find(&name).map(|_| Reply::Done),
            ServiceRequest::Status(name) => name,
            ServiceRequest::Start { name, .. } if name.as_str() == "redis" => {
                return Err(Refusal::Service(ServiceRefusal::AlreadyRunning));
            }
            ServiceRequest::Stop { name, .. } if name.as_str() == "redis" => {
                let names = vec![self::name("web"), self::name("mail")];
                return Err(Refusal::Service(ServiceRefusal::DependentServicesRunning(names)));
            }
            ServiceRequest::Start { name, .. }
            | ServiceRequest::Stop { name, .. }
            | ServiceRequest::Restart { name, .. } => name,
        };
        let status = self.find(&wanted)?;
        if wanted.as_str() == "slow" {
            self.0.begun.set(self.0.begun.get() + 1);
            let mut waiting = Waiting { inner: &self.0, answered: false };
            self.0.slow.notified().await;
            waiting.answered = true;
        }
        Ok(Reply::Service(Box::new(status)))
    }
}

impl Host for FalseHost {
    async fn request(&self, _caller: Caller, request: Request) -> Result<Reply, Refusal> {
        match request {
            Request::Service(request) => self.about_service(request).await,
            Request::Session(SessionRequest::List) => Ok(Reply::Sessions(vec![session_status()])),
            Request::Session(_) => Err(Refusal::Session(session::refusal::Refusal::NoSuchSession)),
            Request::Logon(_) => Err(Refusal::Logon(logon::refusal::Refusal::TooMany)),
            Request::Account(_) => Err(Refusal::AccessDenied),
            Request::Pipe(request) => pipes::answer(self, request).await,
            Request::Host(HostRequest::Status) => Ok(Reply::Host(host_status())),
            Request::Host(HostRequest::Reload) => {
                Ok(Reply::Reloaded(ReloadReport { added: vec![name("new")], ..ReloadReport::default() }))
            }
            Request::Host(HostRequest::Shutdown) => Err(Refusal::AccessDenied),
            Request::Host(HostRequest::Upgrade) => Ok(Reply::Done),
        }
    }

    fn hand_over(&self, _opened: Opened, _caller: &Caller, socket: OwnedFd) {
        pipes::note(self, pipes::Became::HandedOver(socket));
    }

    fn not_taken(&self, _server: ServerId, _instance: InstanceId) {
        pipes::note(self, pipes::Became::NotTaken);
    }

    fn serve_pipe(&self, _server: ServerId, socket: Option<OwnedFd>) {
        pipes::note(self, pipes::Became::Served(socket));
    }

    fn peer(&self, caller: &Caller) -> session0_api::pipe::Peer {
        let (gid, groups) = (caller.groups[0], Vec::new());
        let (account, service) = (None, None);
        session0_api::pipe::Peer {
            session: None,
            uid: caller.uid,
            gid,
            groups,
            pid: caller.pid,
            account,
            service,
        }
    }

    fn subscribe(&self, caller: &Caller) -> Subscription {
        Subscription {
            told: if caller.uid == 0 { Told::Everything } else { Told::WhatIsForAll },
            sequence: self.0.sequence.get(),
            host: host_status(),
            services: self.0.services.borrow().clone(),
            receiver: self.0.ring.borrow().subscribe(),
        }
    }

    fn open_log(&self, _service: &ServiceName) -> io::Result<Vec<OwnedFd>> {
        let (reader, mut writer) = io::pipe()?;
        io::Write::write_all(&mut writer, LOG.as_bytes())?;
        Ok(vec![reader.into()])
    }

    fn wall_ms(&self, at: Time) -> i64 {
        i64::try_from(at.0 / 1_000_000).unwrap_or(i64::MAX)
    }

    fn configured(&self, service: &ServiceName) -> Configured {
        Configured {
            command: vec![format!("/bin/{service}")],
            depends: vec![name("net")],
            dependents: Vec::new(),
        }
    }

    fn identify(&self, _door: Door, _socket: BorrowedFd<'_>) -> io::Result<Caller> {
        match self.0.identify.get() {
            Identify::Outside => Ok(Caller { origin: Origin::Outside, uid: 0, groups: vec![0], pid: 1 }),
            Identify::Somebody => {
                Ok(Caller { origin: Origin::Outside, uid: 1000, groups: vec![1000], pid: 1 })
            }
            Identify::Mismatch => Err(io::Error::new(io::ErrorKind::PermissionDenied, "wrong group")),
        }
    }
}

/// A server on a socket of its own, gone with the test.
struct Server {
    host: FalseHost,
    directory: PathBuf,
    task: JoinHandle<()>,
}

impl Server {
    fn start(limits: Limits) -> Server {
        thread_local! { static COUNT: Cell<u32> = const { Cell::new(0) }; }
        COUNT.set(COUNT.get() + 1);
        let thread = format!("{:?}", std::thread::current().id());
        let unique = format!("session0-api-{}-{thread}-{}", std::process::id(), COUNT.get());
        let directory = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&directory).expect("make a directory");
        let host = FalseHost::new();
        let listener = std::os::unix::net::UnixListener::bind(directory.join("api")).expect("bind");
        let task = tokio::task::spawn_local(server::listen_within(
            host.clone(),
            Door::Outside,
            listener.into(),
            limits,
        ));
        Server { host, directory, task }
    }

    fn path(&self) -> PathBuf {
        self.directory.join("api")
    }

    async fn connect(&self) -> Peer {
        Peer { stream: UnixStream::connect(self.path()).await.expect("connect") }
    }

    /// That everybody else is served.
    async fn assert_serves(&self) {
        let mut client = session0::asynchronous::Client::connect(&self.path()).await.expect("connect");
        assert_eq!(client.version().await.expect("an answer").product, "session0");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A client that can be wrong.
struct Peer {
    stream: UnixStream,
}

impl Peer {
    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("send");
    }

    async fn call(&mut self, json: &str) -> serde_json::Value {
        self.send(json.as_bytes()).await;
        self.send(&[0]).await;
        self.receive().await
    }

    async fn receive(&mut self) -> serde_json::Value {
        let mut bytes = Vec::new();
        loop {
            match self.stream.read_u8().await.expect("an answer") {
                0 => return serde_json::from_slice(&bytes).expect("JSON"),
                byte => bytes.push(byte),
            }
        }
    }

    /// Reads to the end that the server makes.
    async fn ended(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A server that closes while calls of ours are unread resets the connection.
        let _ = self.stream.read_to_end(&mut rest).await;
        rest
    }
}

/// Runs a test with a server of these limits.
fn with_server<T>(limits: Limits, test: impl AsyncFnOnce(&Server) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let server = Server::start(limits);
        tokio::time::timeout(PATIENCE, test(&server)).await.expect("it hangs")
    })
}

/// Waits for something that happens in the server's tasks.
async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

/// Something blocking, beside the server.
async fn beside<T: Send + 'static>(path: &Path, work: impl FnOnce(PathBuf) -> T + Send + 'static) -> T {
    let path = path.to_path_buf();
    tokio::task::spawn_blocking(move || work(path)).await.expect("no panic")
}
