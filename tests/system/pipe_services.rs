//! Named pipes and services: reserved names, services that opening a pipe starts, acting as the client, and what the kernel holds.

use std::os::unix::fs::PermissionsExt;
use std::process::Child;
use std::sync::OnceLock;

use serde_json::{Value, json};
use session0_system_tests::{
    At, Host, HostBuilder, Logon, PASSWORD, Program, Run, eventually, needs_python, needs_root, told,
};

/// A host with services that have pipes, and alice and bob on.
struct World {
    host: Host,
    alice: At,
    bob: At,
    _logons: Vec<Logon>,
    _watcher: Child,
}

fn world() -> &'static World {
    static WORLD: OnceLock<Option<World>> = OnceLock::new();
    let made = WORLD.get_or_init(|| std::panic::catch_unwind(start).ok());
    made.as_ref().expect("the host that these tests share could be made; see the first of them")
}

fn start() -> World {
    let sleeper = "command = ['/bin/sleep', '1000']\nstart = 'auto'\n";
    let builder = HostBuilder::new();
    let serves = |name: &str, act: &str| {
        format!("command = [{:?}, 'pipe-serve', '{name}', 'do={act}']\naccount = 'nobody'\n", builder.probe())
    };
    let starts = "access = ['everyone']\nstarts = true\n";
    let fails = "command = ['/bin/sh', '-c', 'echo no licence; exit 7']\nrestart = 'never'\n";
    let files = [
        ("boot", format!("{sleeper}[pipe.'at.boot']\naccess = ['everyone read write instance']\n")),
        ("starter", format!("{}[pipe.'Starter']\ntype = 'message'\n{starts}", serves("starter", "echo"))),
        ("plain", format!("{}[pipe.'plain.starter']\n{starts}", serves("plain.starter", "who"))),
        ("fails", format!("{fails}[pipe.'failing']\n{starts}")),
        ("other", format!("{}start = 'demand'\n", serves("at.boot", "echo"))),
    ];
    let builder = files.into_iter().fold(builder, |builder, (name, text)| builder.service(name, &text));
    let host = builder.start();
    let watcher = host.end_with_us();
    let log_on = |name: &str| {
        host.person(name);
        host.logon(name, PASSWORD)
    };
    let logons = vec![log_on("alice"), log_on("bob")];
    let (alice, bob) = (At::Session(host.session_of("alice")), At::Session(host.session_of("bob")));
    World { host, alice, bob, _logons: logons, _watcher: watcher }
}

fn error_of(run: &Run) -> &str {
    let line = run.out.lines().find_map(|line| line.split_once("refused ")).map(|(_, rest)| rest);
    line.and_then(|rest| rest.split(' ').next()).unwrap_or_else(|| panic!("it was not refused: {run:?}"))
}

#[test]
fn a_declared_pipe_is_its_services_from_boot_and_nobody_else_serves_it() {
    if !needs_root("a_declared_pipe_is_its_services_from_boot_and_nobody_else_serves_it") {
        return;
    }
    let World { host, alice, .. } = world();
    let pipe = host.pipe("AT.BOOT").expect("it is known before it is served");
    assert_eq!((pipe.reserved_for.as_deref(), pipe.starts_service), (Some("boot"), false));
    for at in [*alice, At::Outside] {
        for name in ["at.boot", "At.Boot", r"\\.\pipe\at.boot"] {
            let run = host.begins_to_serve(at, &[name, "first", "allow=everyone"]).end();
            assert_eq!(error_of(&run), "5", "{at:?}: {run:?}");
        }
    }
    host.s0(&["service", "start", "other"]);
    assert!(host.wait_log("other", "refused ").contains("refused 5"), "nor another service");
    assert!(host.pipe("at.boot").is_some_and(|pipe| pipe.servers.is_empty()));
    let events = host.events();
    let said = "may not serve the pipe at.boot: the name is reserved for a service";
    assert!(events.contains(said), "administrators are told: {events}");
    let run = host.opens(*alice, &["at.boot"]);
    assert_eq!(error_of(&run), "2", "nothing starts who would serve it: {run:?}");
}

#[test]
fn a_reload_that_reserves_a_name_drops_who_squats_on_it() {
    if !needs_root("a_reload_that_reserves_a_name_drops_who_squats_on_it") {
        return;
    }
    let World { host, alice, bob, .. } = world();
    let mut squatter = host.serves(*alice, &["squatted", "allow=everyone", "do=hold"]);
    let mut victim = host.begins_to_open(*bob, &["squatted", "hold"]);
    victim.wait("opened");
    let pipe = "account = 'nobody'\n[pipe.'squatted']\naccess = ['interactive']\n";
    host.add_server("rightful", pipe, &["squatted", "do=who"]);
    host.s0(&["reload"]).ok();
    squatter.wait("refused ");
    assert!(host.events().contains("may not serve the pipe squatted"));
    host.s0(&["service", "start", "rightful"]).ok();
    host.wait_log("rightful", "listening");
    let run = host.opens(*bob, &["squatted", "hear-all"]);
    assert_eq!(told(&run.out, "opened")["server"]["service"], "rightful", "{run:?}");
}

#[test]
fn opening_a_pipe_starts_its_service_and_waits_for_it() {
    if !needs_root("opening_a_pipe_starts_its_service_and_waits_for_it") {
        return;
    }
    let World { host, alice, bob, .. } = world();
    for (at, round) in [(*alice, "first"), (*bob, "after a stop"), (At::Outside, "once more")] {
        assert_eq!(host.state("starter"), "Stopped");
        // It does not say that it wants to wait: the service is not there yet, which is not the same as busy.
        let run = host.opens(at, &["starter", &format!("say={round}"), "hear"]);
        assert!(run.out.contains(&format!("heard {round}")), "{run:?}");
        let opened = told(&run.out, "opened");
        assert_eq!(opened["server"]["service"], "starter");
        assert_eq!(opened["name"], "Starter", "what the file says is what the pipe is");
        assert_eq!(host.state("starter"), "Running");
        host.s0(&["service", "stop", "starter"]).ok();
    }
}

#[test]
fn many_who_open_at_once_start_it_once_and_all_are_served() {
    if !needs_root("many_who_open_at_once_start_it_once_and_all_are_served") {
        return;
    }
    let builder = HostBuilder::new();
    let command =
        format!("command = [{:?}, 'pipe-serve', 'rush', 'do=echo']\naccount = 'nobody'\n", builder.probe());
    let text = format!("{command}[pipe.'rush']\naccess = ['everyone']\nstarts = true\n");
    let host = builder.service("rush", &text).start();
    let api = host.api();
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                let client = session0::pipe::PipeClient::builder("rush").socket(&api);
                let client = client.wait(std::time::Duration::from_secs(60)).open().expect("it is started");
                client.write(b"x").expect("it is there");
                assert_eq!(client.read(&mut [0; 8]).expect("an echo").bytes, 1);
            });
        }
    });
    assert_eq!(host.log("rush").matches("listening").count(), 1);
    assert_eq!(host.pids("rush").len(), 1);
}

#[test]
fn clients_that_come_while_their_service_is_restarted_are_served() {
    if !needs_root("clients_that_come_while_their_service_is_restarted_are_served") {
        return;
    }
    let builder = HostBuilder::new();
    let command = format!(
        "command = [{:?}, 'pipe-serve', 'restarts', 'do=who']\naccount = 'nobody'\n",
        builder.probe()
    );
    let text = format!("{command}[pipe.'restarts']\naccess = ['everyone']\nstarts = true\n");
    let host = builder.service("restarts", &text).start();
    let api = host.api();
    let over = std::sync::atomic::AtomicBool::new(false);
    let opened = std::thread::scope(|scope| {
        let clients = scope.spawn(|| {
            let mut opened = 0;
            while !over.load(std::sync::atomic::Ordering::Relaxed) || opened < 10 {
                let client = session0::pipe::PipeClient::builder("restarts").socket(&api);
                let client = client.wait(std::time::Duration::from_secs(60)).open();
                // It may be stopped right after, and then what it would have said is lost.
                client.unwrap_or_else(|error| panic!("after {opened}: {error}"));
                opened += 1;
            }
            opened
        });
        for _ in 0..5 {
            host.s0(&["service", "restart", "restarts"]).ok();
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        clients.join().expect("every client was served")
    });
    assert!(opened >= 10);
    assert_eq!(host.pids("restarts").len(), 1);
}

#[test]
fn a_pipes_own_socket_starts_the_service_as_well() {
    if !needs_python("a_pipes_own_socket_starts_the_service_as_well") {
        return;
    }
    let World { host, bob, .. } = world();
    assert_eq!(host.state("plain"), "Stopped");
    let read = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print('heard '+s.makefile().read())";
    let socket = host.pipe_socket(*bob, "plain.starter");
    let run = Run::of(&mut host.python_at(*bob, read, &[&socket])).ok();
    assert_eq!(told(&run.out, "heard")["account"], "bob");
    assert_eq!(host.state("plain"), "Running");
}

#[test]
fn a_service_that_fails_is_a_clear_error_and_no_wait() {
    if !needs_python("a_service_that_fails_is_a_clear_error_and_no_wait") {
        return;
    }
    let World { host, alice, .. } = world();
    let run = host.opens(*alice, &["failing", "wait=100000"]);
    assert!(run.out.contains("refused ") && !run.out.contains("opened"), "{run:?}");
    assert!(run.out.contains("fails"), "it names the service: {run:?}");
    let read = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(9))";
    let socket = host.pipe_socket(*alice, "failing");
    let run = Run::of(&mut host.python_at(*alice, read, &[&socket]));
    assert_eq!(run.out.trim(), "b''", "by the socket it is the end: {run:?}");
    assert!(host.pipe("failing").is_some_and(|pipe| pipe.refused >= 2));
}

/// A file of this owner, which nobody else may read.
fn private(host: &Host, name: &str, uid: u32) -> String {
    let path = host.visible().join(name);
    std::fs::write(&path, name).expect("ours");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
    std::os::unix::fs::chown(&path, Some(uid), Some(uid)).expect("root may");
    path.display().to_string()
}

#[test]
fn a_server_opens_files_as_its_client_and_no_others_while_it_does() {
    if !needs_root("a_server_opens_files_as_its_client_and_no_others_while_it_does") {
        return;
    }
    let World { host, alice, bob, .. } = world();
    let hers = private(host, "hers", host.uid_of("alice"));
    let his = private(host, "his", host.uid_of("bob"));
    let roots = private(host, "roots", 0);
    let act = format!("do=open={hers},{his},{roots}");
    host.serves_as("acts", "account = 'LocalSystem'\n", &["acts", "allow=interactive", &act]);
    for (at, expected) in [
        (*alice, format!("as client {hers} ok, {his} EACCES, {roots} EACCES; as itself ok")),
        (*bob, format!("as client {hers} EACCES, {his} ok, {roots} EACCES; as itself ok")),
    ] {
        let run = host.opens(at, &["acts", "level=impersonation", "say=x", "hear-all"]);
        assert!(run.out.contains(&format!("heard {expected}")), "{run:?}");
    }
    for level in ["identification", "anonymous"] {
        let run = host.opens(*alice, &["acts", &format!("level={level}"), "say=x", "hear-all"]);
        assert!(run.out.contains("heard refused 1346 "), "{level}: {run:?}");
        assert!(run.out.contains("as itself ok"));
    }
    // A service that is not LocalSystem has not the capabilities, whatever its client allows.
    host.serves_as("cannot", "account = 'nobody'\n", &["cannot", "allow=interactive", &act]);
    let run = host.opens(*alice, &["cannot", "level=impersonation", "say=x", "hear-all"]);
    assert!(run.out.contains("heard refused 1314 "), "{run:?}");
    assert!(run.out.contains("as itself EACCES"));
}

/// A server without the library: it takes one client, and tries both ways with it.
const SERVER: &str = "import socket,sys,json,array
c=socket.socket(socket.AF_UNIX); c.connect(sys.argv[1])
c.sendall(json.dumps({'method':'io.session0.Pipe.Listen','parameters':json.loads(sys.argv[2]),'upgrade':True}).encode()+b'\\0')
b=b''
while b'\\0' not in b: b+=c.recv(1)
print('listening',flush=True)
d,a,_,_=c.recvmsg(65536,socket.CMSG_SPACE(64))
f=array.array('i'); f.frombytes(a[0][2][:len(a[0][2])//4*4])
p=socket.socket(fileno=f[0])
print('told '+d.rstrip(b'\\0').decode(),flush=True)
try: print('wrote',p.send(b'from server'),flush=True)
except OSError as e: print('wrote',type(e).__name__,flush=True)
print('read',p.recv(100),flush=True)
sys.stdin.read()";

/// A client without the library, by the pipe's own socket: it tries both ways.
const CLIENT: &str = "import socket,sys
s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
r=s.recv(100)
try: print('wrote',s.send(b'from client'),flush=True)
except OSError as e: print('wrote',type(e).__name__,flush=True)
print('read',r,flush=True)";

/// The same, which writes first: nothing comes to it.
const WRITER: &str = "import socket,sys
s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.settimeout(30)
print('read',s.recv(100),flush=True)
print('wrote',s.send(b'from client'),flush=True)";

fn both_ways(
    host: &Host,
    server_at: At,
    client_at: At,
    client: &str,
    parameters: &Value,
) -> (String, String) {
    let api = match server_at {
        At::Session(_) => "/run/session0/api".into(),
        At::Outside => host.api().display().to_string(),
    };
    let mut server = Program::start(&mut host.python_at(server_at, SERVER, &[&api, &parameters.to_string()]));
    server.wait("listening");
    let name = parameters["pipe"].as_str().expect("a name");
    let run = Run::of(&mut host.python_at(client_at, client, &[&host.pipe_socket(client_at, name)])).ok();
    let said = server.wait("read ");
    (said, run.out)
}

#[test]
fn direction_and_access_are_held_by_the_kernel_for_a_server_that_ignores_them() {
    if !needs_python("direction_and_access_are_held_by_the_kernel_for_a_server_that_ignores_them") {
        return;
    }
    let World { host, alice, bob, .. } = world();
    let everyone = ["everyone"];
    let inbound = json!({ "pipe": "goes.in", "direction": "inbound", "access": everyone });
    let (server, client) = both_ways(host, *alice, *bob, WRITER, &inbound);
    assert!(server.contains("wrote BrokenPipeError") && server.contains("read b'from client'"), "{server}");
    assert!(client.contains("read b''") && client.contains("wrote 11"), "{client}");
    let outbound = json!({ "pipe": "goes.out", "direction": "outbound", "access": everyone });
    let (server, client) = both_ways(host, *alice, *bob, CLIENT, &outbound);
    assert!(server.contains("wrote 11") && server.contains("read b''"), "{server}");
    assert!(client.contains("wrote BrokenPipeError") && client.contains("read b'from server'"), "{client}");
    // A pipe for both ways, of which this client may only read.
    let reads = json!({ "pipe": "goes.both", "access": ["user bob read"] });
    let (server, client) = both_ways(host, *alice, *bob, CLIENT, &reads);
    assert!(server.contains(r#""access":"read""#) && server.contains("read b''"), "{server}");
    assert!(client.contains("wrote BrokenPipeError") && client.contains("read b'from server'"), "{client}");
}

#[test]
fn who_is_killed_in_the_middle_leaves_an_end_and_no_half_message() {
    if !needs_root("who_is_killed_in_the_middle_leaves_an_end_and_no_half_message") {
        return;
    }
    let World { host, alice, .. } = world();
    // A client, in the middle of its second message.
    let mut server = host.serves(*alice, &["cut", "message", "allow=everyone", "do=messages"]);
    let mut client = host.begins_to_open(At::Outside, &["cut", "say=whole", "half", "hold"]);
    client.wait("half");
    server.wait("message 5");
    drop(client);
    let said = server.wait("ended ");
    assert!(said.contains("refused 109"), "{said}");
    assert_eq!(said.matches("message ").count(), 1, "the half one is none: {said}");
    // A server, in the middle of one.
    let mut server = host.serves(At::Outside, &["cut.there", "message", "allow=everyone", "do=half"]);
    let mut client = host.begins_to_open(*alice, &["cut.there", "hear"]);
    server.wait("half true");
    client.wait("opened");
    drop(server);
    let run = client.end();
    assert_eq!(error_of(&run), "109", "{run:?}");
    assert!(!run.out.contains("heard"), "{run:?}");
    // A server, in the middle of a transaction.
    let mut server = host.serves(At::Outside, &["cut.between", "message", "allow=everyone", "do=deaf"]);
    let client = host.begins_to_open(*alice, &["cut.between", "transact"]);
    server.wait("client ");
    drop(server);
    let run = client.end();
    assert_eq!(error_of(&run), "109", "{run:?}");
    eventually("nobody serves them any more", || {
        host.pipe("cut.there").is_none() && host.pipe("cut.between").is_none()
    });
}
