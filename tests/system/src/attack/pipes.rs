//! Attacks on named pipes. Without session0 the same is done to a socket in a directory that programs share, and to an ordinary
//! server at it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::Outcome;
use super::root::{assert_ran, service_output};
use super::world::{Place, World, bare, bare_uid};
use crate::host::Run;
use crate::pipes::{At, told};
use crate::sessions::Program;
use crate::wait::{eventually, eventually_value};

static NUMBER: AtomicU32 = AtomicU32::new(0);
/// Clients of one uid that may wait for one pipe.
const WAITERS_PER_UID_MAX: u32 = 64;
/// Where sessions see pipes' sockets.
const SOCKETS: &str = "/run/session0/pipe";
/// Where they find the API.
const DOOR: &str = "/run/session0/api";

/// A name that nobody has used.
fn fresh(what: &str) -> String {
    format!("attacked.{what}.{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Alice's session, from which attacks are made.
fn attacker(world: &World) -> At {
    At::Session(world.attacker)
}

/// A directory that everybody may write, without the bit that protects what is another's: what programs that share one have.
fn shared_directory(world: &World) -> PathBuf {
    let path = world.host.visible().join(fresh("directory"));
    std::fs::create_dir(&path).expect("a fresh path");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("ours");
    path
}

/// The ordinary server at a socket in a directory, of this user.
fn shares(world: &World, uid: u32, path: &Path) -> Program {
    let words = ["pipe-share".to_owned(), path.display().to_string()];
    let mut server = Program::start(&mut bare(uid, &world.probe(), &words));
    server.wait("listening");
    server
}

fn probe(world: &World, uid: u32, words: &[&str]) -> Program {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Program::start(&mut bare(uid, &world.probe(), &words))
}

/// What the probe answered to the last word.
fn answer(run: &Run) -> String {
    assert_ran(run);
    let last = run.out.trim_end().lines().last().unwrap_or_default();
    last.rsplit_once(": ").map_or(last, |(_, answer)| answer).to_owned()
}

/// Who serves a pipe, as its client is told.
fn served_by(world: &World, at: At, name: &str) -> Value {
    told(&world.host.opens(at, &[name, "wait=20000"]).out, "opened")["server"].clone()
}

/// Alice serves the name of a service that has not been started yet, and waits for its clients.
pub fn squat(place: &Place) -> Outcome {
    let Some(world) = place.world() else { return bare_squat(place.any_world()) };
    let (name, service) = (fresh("squat"), fresh("service"));
    let declared = format!("account = 'nobody'\nstart = 'demand'\n[pipe.{name:?}]\naccess = ['everyone']\n");
    world.host.add_server(&service, &declared, &[&name, "do=who"]);
    world.host.s0(&["reload"]).ok();
    let mut squatter = world.host.begins_to_serve(attacker(world), &[&name, "allow=everyone"]);
    let said = squatter.wait_or_end("listening ");
    world.host.s0(&["service", "start", &service]).ok();
    let log = world.host.wait_log(&service, if said.contains("listening ") { "" } else { "listening " });
    let server = served_by(world, At::Outside, &name);
    world.host.s0(&["service", "stop", &service]);
    match server["service"] == json!(service) {
        true => Outcome::Refused(format!("{}; the service serves it", first_refused(&said))),
        false => Outcome::Succeeded(format!("{server} serves it; the service said {log:?}")),
    }
}

fn first_refused(said: &str) -> String {
    said.lines().find(|line| line.contains("refused")).unwrap_or(said.trim()).to_owned()
}

fn bare_squat(world: &World) -> Outcome {
    let path = shared_directory(world).join("service");
    let mut squatter = shares(world, bare_uid(), &path);
    let service = probe(world, 0, &["pipe-share", &path.display().to_string()]).end();
    let client = probe(world, 0, &["pipe-whole", &path.display().to_string()]).end();
    squatter.wait("message 5");
    match answer(&client).as_str() {
        "ok" => {
            Outcome::Succeeded(format!("the service: {}; its client spoke to the squatter", answer(&service)))
        }
        other => Outcome::Refused(other.to_owned()),
    }
}

/// Alice adds an instance of her own to a pipe of somebody else that she may read and write.
pub fn second_instance(place: &Place) -> Outcome {
    let Some(world) = place.world() else { return bare_second(place.any_world()) };
    let name = fresh("second");
    let _server = world.host.serves(At::Outside, &[&name, "allow=everyone", "do=hold"]);
    let mut second = world.host.begins_to_serve(attacker(world), &[&name, "allow=everyone"]);
    let said = second.wait_or_end("listening ");
    let listens = said.contains("listening ");
    match served_by(world, At::Outside, &name)["uid"] == 0 && !listens {
        true => Outcome::Refused(first_refused(&said)),
        false => Outcome::Succeeded(format!("it serves it as well: {}", said.trim())),
    }
}

fn bare_second(world: &World) -> Outcome {
    let path = shared_directory(world).join("socket");
    let _server = shares(world, 0, &path);
    let text = path.display().to_string();
    let removed = Run::of(&mut bare(bare_uid(), "/bin/rm", &["-f".into(), text.clone()]));
    if removed.code != 0 {
        return Outcome::Refused(removed.err);
    }
    let mut second = shares(world, bare_uid(), &path);
    let client = probe(world, 0, &["pipe-whole", &text]).end();
    second.wait("message 5");
    Outcome::Succeeded(format!("the next client spoke to it: {}", answer(&client)))
}

/// Alice serves a pipe, a LocalSystem service opens it and allows everything, and she opens a file of root's as it.
pub fn impersonate_upwards(place: &Place) -> Outcome {
    let world = place.any_world();
    let name = fresh("upwards");
    let secret = world.host.visible().join("secret").display().to_string();
    let act = format!("do=open={secret}");
    let at = match place {
        Place::Vista(_) | Place::Xp(_) => attacker(world),
        // The same server as root of the machine: it can.
        Place::Bare => At::Outside,
    };
    let _server = world.host.serves(at, &[&name, "allow=everyone", &act]);
    let words = [
        world.probe(),
        "pipe-open".into(),
        name,
        "level=impersonation".into(),
        "say=x".into(),
        "hear-all".into(),
    ];
    let run = service_output(world, &fresh("client"), &words);
    assert_ran(&run);
    let said = run.out.lines().find_map(|line| line.strip_prefix("heard ")).unwrap_or_default().to_owned();
    assert!(!said.is_empty(), "the server said nothing: {run:?}");
    match said.contains(" ok") {
        true => Outcome::Succeeded(said),
        false => Outcome::Refused(said),
    }
}

/// A client ends, and a process of root gets its number: whom does its server see?
pub fn number_again(place: &Place) -> Outcome {
    let world = place.any_world();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(world.probe());
    command
        .args(["pipe-reuse", &fresh("reuse"), &world.uid.to_string()])
        .env("SESSION0_SOCKET", world.host.api());
    let run = Run::of(&mut command);
    if !run.out.contains("same number: true") {
        return Outcome::Skipped(format!("the kernel does not give the number again: {}", run.out.trim()));
    }
    let found = run.out.lines().find(|line| line.starts_with("by number")).unwrap_or_default();
    let fooled = match place {
        // A server that looks by number.
        Place::Bare => found.contains("by number: uid 0;"),
        Place::Vista(_) | Place::Xp(_) => {
            !found.ends_with(&format!("by descriptor: alive Some(false), uid {}", world.uid))
        }
    };
    match fooled {
        true => Outcome::Succeeded(found.to_owned()),
        false => Outcome::Refused(found.to_owned()),
    }
}

/// Alice sends hundreds of sockets that linger to a server that asked for none and does not read.
pub fn descriptors(place: &Place) -> Outcome {
    let Some(world) = place.world() else { return bare_descriptors(place.any_world()) };
    let name = fresh("descriptors");
    let mut server = world.host.serves(At::Outside, &[&name, "allow=everyone", "do=deaf"]);
    let path = world.host.pipe_socket(attacker(world), &name);
    let run = world.host.begin_in(world.attacker, &[&world.probe(), "pipe-descriptors", &path]);
    server.wait("client ");
    // It reads nothing: whatever was sent stays on its way until the client is told why not, or given up.
    let run = match run_ended(run) {
        Some(run) => run,
        None => return Outcome::Succeeded("they are on their way".into()),
    };
    match answer(&run).as_str() {
        "ok" => Outcome::Succeeded("they were taken".into()),
        "errno 92" => {
            Outcome::Skipped("this kernel cannot refuse descriptors (it is older than 6.16)".into())
        }
        refused => Outcome::Refused(refused.to_owned()),
    }
}

/// Its end; nothing if it had sent what it had, and waits for an answer.
fn run_ended(mut program: Program) -> Option<Run> {
    let said = program.wait_or_end("pipe-descriptors ");
    said.contains("pipe-descriptors ").then(|| program.end())
}

fn bare_descriptors(world: &World) -> Outcome {
    let path = shared_directory(world).join("socket");
    let mut server = shares(world, 0, &path);
    probe(world, bare_uid(), &["pipe-descriptors", &path.display().to_string()]).end();
    let said = server.wait("keeps ");
    match said.contains("keeps 200 descriptors") {
        true => Outcome::Succeeded(said.lines().last().unwrap_or_default().to_owned()),
        false => Outcome::Refused(said),
    }
}

/// Hundreds of connections by the pipe's socket and by the API, of a pipe that is busy; somebody else wants another pipe.
pub fn flood(place: &Place) -> Outcome {
    let Some(world) = place.world() else { return bare_flood(place.any_world()) };
    let daemon = world.host.daemon_pid();
    let (busy, other) = (fresh("busy"), fresh("other"));
    let _busy = world.host.serves(At::Outside, &[&busy, "allow=everyone", "instances=1", "do=hold"]);
    let _other = world.host.serves(At::Outside, &[&other, "allow=everyone", "do=echo"]);
    world.with_guest(|session| {
        let path = format!("{SOCKETS}/{busy}");
        let mut flood =
            world.host.begin_in(session, &[&world.probe(), "pipe-flood", &path, DOOR, &busy, "600"]);
        let held = flood.wait("holds");
        let served = |at: At| world.host.opens(at, &[&other, "say=x", "hear"]).out.contains("heard x");
        let answers = (0..3).all(|_| served(attacker(world)) && served(At::Outside));
        let waiting = || world.host.pipe(&busy).map_or(u32::MAX, |pipe| pipe.waiting);
        let before = waiting();
        // At the same pipe there is a place for somebody else, too.
        let waits = world.host.begins_to_open(attacker(world), &[&busy, "wait=600000"]);
        let refused = eventually_value("it waits, or is refused", || {
            let refused = waits.text().contains("refused");
            (refused || waiting() > before).then_some(refused)
        });
        let bounded = before <= WAITERS_PER_UID_MAX && world.host.daemon_pid() == daemon;
        match answers && bounded && !refused {
            true => Outcome::Refused(format!("others are served; {before} wait; {}", held.trim())),
            false => Outcome::Succeeded(format!(
                "others are served: {answers}, wait: {}; {before} wait; {held}",
                !refused
            )),
        }
    })
}

fn bare_flood(world: &World) -> Outcome {
    let path = shared_directory(world).join("socket").display().to_string();
    let _server = shares(world, 0, Path::new(&path));
    let mut flood = probe(world, bare_uid(), &["pipe-flood", &path, &path, "any", "600"]);
    flood.wait("holds");
    let other = probe(world, 0, &["pipe-whole", &path]).end();
    match answer(&other).as_str() {
        "ok" => Outcome::Refused("it was served meanwhile".into()),
        why => Outcome::Succeeded(format!("nobody else is served: {why}")),
    }
}

/// As many names as one can have; somebody else wants to serve one, too.
pub fn hoard(place: &Place) -> Outcome {
    const WANTED: &str = "1500";
    let prefix = fresh("hoard");
    let held = |program: &mut Program| {
        let said = program.wait("holds ");
        said.trim().to_owned()
    };
    let Some(world) = place.world() else {
        let world = place.any_world();
        let directory = shared_directory(world).display().to_string();
        let mut hoard = probe(world, bare_uid(), &["pipe-hoard", &directory, &prefix, WANTED]);
        let said = held(&mut hoard);
        return match said.contains("holds 1500: ") {
            true => Outcome::Succeeded(said),
            false => Outcome::Refused(said),
        };
    };
    world.with_guest(|session| {
        let words = ["pipe-hoard", DOOR, &prefix, WANTED];
        let mut hoard = Program::start(&mut world.host.probe_at(At::Session(session), &words));
        let said = held(&mut hoard);
        let own = fresh("own");
        let _server = world.host.serves(attacker(world), &[&own, "allow=everyone", "do=echo"]);
        let served = world.host.opens(At::Outside, &[&own, "say=x", "hear"]).out.contains("heard x");
        let names = world.host.pipe_sockets().iter().filter(|name| name.starts_with(&prefix)).count();
        match served && (1..=1024).contains(&names) {
            true => Outcome::Refused(format!("{names} names; others have theirs")),
            false => Outcome::Succeeded(format!("{names} names, others are served: {served}; {said}")),
        }
    })
}

/// Alice says half of a message to a server, and half of an object to the host; somebody else wants to be served.
pub fn half_said(place: &Place) -> Outcome {
    let Some(world) = place.world() else { return bare_half(place.any_world()) };
    let (name, own) = (fresh("half"), fresh("own"));
    let mut server = world.host.serves(At::Outside, &[&name, "message", "allow=everyone", "do=echo"]);
    let socket = world.host.pipe_socket(attacker(world), &name);
    let mut half = world.host.begin_in(world.attacker, &[&world.probe(), "pipe-half", &socket]);
    half.wait("half");
    let parameters = json!({ "pipe": own }).to_string();
    let words = ["pipe-listen", DOOR, &parameters, "half={\"listen\":", "hold"];
    let mut lying = Program::start(&mut world.host.probe_at(attacker(world), &words));
    lying.wait("holding");
    server.wait("client ");
    let served = world.host.opens(At::Outside, &[&name, "wait=5000", "say=x", "hear"]);
    let answers = world.host.s0(&["service", "list"]).code == 0;
    // Whoever ends in the middle has said nothing.
    drop((half, lying));
    match served.out.contains("heard x") && answers {
        true => Outcome::Refused("others are served meanwhile".into()),
        false => Outcome::Succeeded(format!("{served:?}, the host answers: {answers}")),
    }
}

fn bare_half(world: &World) -> Outcome {
    let path = shared_directory(world).join("socket").display().to_string();
    let _server = shares(world, 0, Path::new(&path));
    let mut half = probe(world, bare_uid(), &["pipe-half", &path]);
    half.wait("half");
    let other = probe(world, 0, &["pipe-whole", &path]).end();
    match answer(&other).as_str() {
        "ok" => Outcome::Refused("it was served meanwhile".into()),
        why => Outcome::Succeeded(format!("nobody else is served: {why}")),
    }
}

/// Alice's client is killed in the middle of a message: does its server take the half for a message?
pub fn killed_halfway(place: &Place) -> Outcome {
    let world = place.any_world();
    let (mut server, mut client) = match place {
        Place::Vista(_) | Place::Xp(_) => {
            let name = fresh("halfway");
            let server = world.host.serves(At::Outside, &[&name, "message", "allow=everyone", "do=messages"]);
            let path = world.host.pipe_socket(attacker(world), &name);
            let line = format!("{} pipe-half {path} & read x; kill -9 $!", world.probe());
            (server, world.host.begin_in(world.attacker, &["sh", "-c", &line]))
        }
        Place::Bare => {
            let path = shared_directory(world).join("socket");
            let line = format!("{} pipe-half {} & read x; kill -9 $!", world.probe(), path.display());
            (shares(world, 0, &path), Program::start(Command::new("sh").args(["-c", &line])))
        }
    };
    client.wait("half");
    client.say("\n");
    let mut said = String::new();
    eventually("the server has noticed", || {
        said = server.wait_or_end("");
        said.contains("ended ") || said.contains("message ")
    });
    client.end();
    match said.lines().find(|line| line.starts_with("message ")) {
        Some(half) => Outcome::Succeeded(format!("it took {half:?} for a whole one")),
        None => Outcome::Refused(first_refused(&said)),
    }
}

/// What a file is: somebody's, and which.
fn identity(path: &Path) -> Option<(u64, u32, u32)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.ino(), file.mode(), file.uid()))
}

/// Alice takes a pipe's socket away, or puts something into its place.
pub fn replace_socket(place: &Place) -> Outcome {
    let world = place.any_world();
    if matches!(place, Place::Vista(_) | Place::Xp(_)) {
        return replaced(world, |words| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            world.host.run_in(world.attacker, &words)
        });
    }
    let directory = shared_directory(world);
    let path = directory.join("socket");
    let _server = shares(world, 0, &path);
    let before = identity(&path);
    let directory = directory.display().to_string();
    let run = probe(world, bare_uid(), &["pipe-remove", &directory, "socket"]).end();
    match identity(&path) == before {
        true => Outcome::Refused(answer(&run)),
        false => Outcome::Succeeded(run.out.trim().to_owned()),
    }
}

/// The same by a LocalSystem service: it may not mount, which xp lets it.
pub fn replace_socket_as_root(place: &Place) -> Outcome {
    let world = place.any_world();
    match place {
        Place::Vista(_) | Place::Xp(_) => {
            replaced(world, |words| service_output(world, &fresh("remover"), words))
        }
        Place::Bare => Outcome::Skipped("there is no service".into()),
    }
}

fn replaced(world: &World, attack: impl FnOnce(&[String]) -> Run) -> Outcome {
    let name = fresh("replace");
    let _server = world.host.serves(At::Outside, &[&name, "allow=everyone", "do=echo"]);
    let path = world.host.pipe_directory().join(&name);
    let before = identity(&path);
    assert!(before.is_some(), "it has a socket");
    let run = attack(&[world.probe(), "pipe-remove".into(), SOCKETS.into(), name.clone()]);
    let socket = world.host.pipe_socket(attacker(world), &name);
    let reached = world.host.run_in(world.attacker, &[&world.probe(), "pipe-whole", &socket]);
    let reached = answer(&reached) == "ok";
    let sockets = world.host.pipe_sockets();
    let strange = sockets.iter().any(|name| ["other.name", "link.name"].contains(&name.as_str()));
    match identity(&path) == before && reached && !strange {
        true => Outcome::Refused(answer(&run)),
        false => Outcome::Succeeded(run.out.trim().to_owned()),
    }
}

/// A server lies about instances: closes one that is another's, counts what nobody asked for, listens beyond its limit.
pub fn lying_server(place: &Place) -> Outcome {
    let world = place.any_world();
    let (foreign, own) = (fresh("foreign"), fresh("liar"));
    let mut victim = world.host.serves(At::Outside, &[&foreign, "allow=everyone", "instances=1", "do=echo"]);
    let mut client =
        world.host.begins_to_open(At::Outside, &[&foreign, "say=a", "hear", "hold", "say=b", "hear"]);
    client.wait("heard a");
    victim.wait("client ");
    let instance = told(&client.text(), "opened")["instance"].clone();
    let closed = json!({ "closed": { "instance": instance } }).to_string();
    let counted = json!({ "counted": { "listening": 9, "connected": 9 } }).to_string();
    let listen = json!({ "listen": { "instances": 4_000_000_000_u32 } }).to_string();
    let connected = || world.host.pipe(&foreign).map(|pipe| (pipe.connected, pipe.listening));
    let before = connected();
    let (at, api) = match place {
        Place::Vista(_) | Place::Xp(_) => (attacker(world), DOOR.to_owned()),
        Place::Bare => (At::Outside, world.host.api().display().to_string()),
    };
    if matches!(place, Place::Bare) {
        // The rightful server says the same, and it is done: the words are the right ones.
        let parameters =
            json!({ "pipe": own, "instances_max": 2, "listening": 1, "access": ["everyone"] }).to_string();
        let mut rightful = Program::start(
            &mut world
                .host
                .probe_at(at, &["pipe-listen", &api, &parameters, "await", &listen, "await", "hold"]),
        );
        rightful.wait("answered");
        let _client = world.host.begins_to_open(At::Outside, &[&own, "hold"]);
        let said = rightful.wait("holding");
        let pipe = world.host.pipe(&own);
        return match pipe.map(|pipe| (pipe.connected, pipe.listening)) {
            Some((1, 1)) if said.contains("refused") => {
                Outcome::Succeeded("for its own pipe the words do what they say".into())
            }
            other => Outcome::Refused(format!("{other:?}: {said}")),
        };
    }
    let parameters = json!({ "pipe": own, "instances_max": 1, "access": ["everyone"] }).to_string();
    let lied = |words: &[&str]| {
        let words = [&["pipe-listen", &api, &parameters], words].concat();
        let run = Run::of(&mut world.host.probe_at(at, &words));
        assert!(run.out.contains("answered {\"parameters\""), "it could not serve its own: {run:?}");
        run.out
    };
    // It is cut off after each, and its own pipe is gone with it.
    let cut = [&closed, &counted].iter().all(|lie| lied(&[lie, "end"]).contains("closed"));
    let mut greedy = Program::start(
        &mut world.host.probe_at(at, &["pipe-listen", &api, &parameters, &listen, "await", "hold"]),
    );
    let said = greedy.wait("holding");
    let more = world.host.pipe(&own).map(|pipe| pipe.listening + pipe.connected);
    let went_on = client.end().out.contains("heard b");
    let whole = connected_unless_over(&before, went_on);
    match cut && more == Some(1) && said.contains("refused") && whole {
        true => Outcome::Refused("it is cut off, and its limit holds".into()),
        false => Outcome::Succeeded(format!(
            "cut off: {cut}; {more:?} instances; the other's: {before:?} {went_on}"
        )),
    }
}

/// The foreign instance was connected, and it was of use to the end.
fn connected_unless_over(before: &Option<(u32, u32)>, went_on: bool) -> bool {
    *before == Some((1, 0)) && went_on
}

/// Names of pipes that are paths: nothing is made or found by them.
pub fn paths_as_names(world: &World, names: &[&str]) -> Option<String> {
    let before = world.host.pipe_sockets();
    for name in names {
        for at in [attacker(world), At::Outside] {
            let run = world.host.begins_to_serve(at, &[name, "allow=everyone"]).end();
            if !run.out.contains("refused 123") {
                return Some(format!("{name:?} was served: {run:?}"));
            }
        }
    }
    let strange = |name: &String| !before.contains(name) && !name.starts_with("attacked.");
    let after = eventually_value("the directory is read", || Some(world.host.pipe_sockets()));
    after.into_iter().find(strange).map(|name| format!("{name:?} is there"))
}
