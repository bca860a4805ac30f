//! Attacks that are stories: on the API, and on what everybody shares.

use std::path::PathBuf;
use std::process::Command;

use super::conversation::log_on_as;
use super::root::assert_ran;
use super::world::{self, GUEST, PASSWORD, Place, TASKS_MAX, World, bare};
use super::{Outcome, own};
use crate::host::Run;
use crate::sessions::Program;
use crate::wait::eventually;

/// Where programs in a session find the API.
const DOOR: &str = "/run/session0/api";

fn outer_socket(world: &World) -> PathBuf {
    world.host.root().join("run/session0/api")
}

/// Starts the attack's own service: administrators may, nobody else.
fn start_call(service: &str) -> String {
    format!("{{\"method\":\"io.session0.Service.Start\",\"parameters\":{{\"name\":\"{service}\"}}}}")
}

/// The service that belongs to a story, by its test's name.
fn service_of(name: &str) -> String {
    world::service_name(world::number_of(name))
}

/// The call was refused if it was answered with an error, and the service did not start.
fn judge_call(world: &World, service: &str, output: &str) -> Outcome {
    // The probe repeats the call before the answer; without a probe nobody was refused.
    assert!(output.contains("io.session0.Service.Start"), "the call was not made: {output:?}");
    let state = world.host.state(service);
    assert!(!state.starts_with("exit"), "there is no service {service} to start: {state}");
    world.host.s0(&["service", "stop", service]);
    if state != "Stopped" || !output.contains("\"error\"") && output.contains("\"parameters\"") {
        return Outcome::Succeeded(format!("{service} is {state}; answered {output}"));
    }
    Outcome::Refused(error_in(output))
}

/// The error's name in an answer, or how it ended.
fn error_in(output: &str) -> String {
    let named = output.split("\"error\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let short = named.and_then(|name| name.rsplit('.').next()).unwrap_or("closed");
    short.to_owned()
}

/// Calls as alice in her session.
fn call_as_user(world: &World, json: &str) -> String {
    world.host.run_in(world.attacker, &[&world.probe(), "call", DOOR, json]).out
}

/// Alice calls what is an administrator's, and adds whatever might make her one.
pub fn lies(place: &Place) -> Outcome {
    let service = service_of("a_client_that_says_it_is_an_administrator_is_not_believed");
    let call = start_call(&service);
    let lies = [
        call.replace("io.session0.Service.Start", "io.session0.Service.Start\\u0000"),
        call.replacen('{', "{\"uid\":0,\"pid\":1,\"session\":0,", 1),
        call.replace("\"parameters\":{", "\"parameters\":{\"uid\":0,\"account\":\"LocalSystem\","),
        call.clone(),
    ];
    let Some(world) = place.world() else {
        let world = place.any_world();
        let command = ["call".to_owned(), outer_socket(world).display().to_string(), call];
        let run = Run::of(&mut bare(0, &world.probe(), &command));
        return judge_call(world, &service, &run.out);
    };
    let mut last = Outcome::Skipped("nothing was tried".into());
    for lie in &lies {
        last = judge_call(world, &service, &call_as_user(world, lie));
        if matches!(last, Outcome::Succeeded(_)) {
            break;
        }
    }
    last
}

/// Connects as alice, then becomes root by a set-user-id program, and calls on the old connection.
pub fn becomes_root(place: &Place) -> Outcome {
    let service = service_of("a_client_that_becomes_root_after_it_connected_gains_nothing");
    let world = place.any_world();
    let socket = outer_socket(world).display().to_string();
    let program = world.host.visible().join("set-user-id").display().to_string();
    let (Place::Vista(_) | Place::Xp(_)) = place else {
        // The same program as root from the beginning.
        let words = ["call".to_owned(), socket, start_call(&service)];
        return judge_call(world, &service, &Run::of(&mut bare(0, &program, &words)).out);
    };
    let words = ["connect-exec".to_owned(), socket, program, start_call(&service)];
    let output = Run::of(&mut bare(world.uid, &world.probe(), &words)).out;
    if !output.contains("now uid 0") {
        return Outcome::Skipped("set-user-id programs do not work where the probe lies".into());
    }
    judge_call(world, &service, &output)
}

/// Connects as alice and ends; a process of root gets the number; the call is made then.
pub fn number_again(place: &Place) -> Outcome {
    let service = service_of("a_process_number_used_again_is_not_taken_for_who_had_it");
    let world = place.any_world();
    let socket = outer_socket(world).display().to_string();
    let uid = match place {
        Place::Bare => 0,
        Place::Vista(_) | Place::Xp(_) => world.uid,
    };
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(world.probe());
    let output = Run::of(command.args(["reuse-pid", &socket, &uid.to_string(), &start_call(&service)])).out;
    if !output.contains("same number: true") {
        return Outcome::Skipped(format!("the kernel does not give the number again: {}", output.trim()));
    }
    judge_call(world, &service, &output)
}

/// A directory descriptor of one session's door is given to a program in another, which calls through it.
pub fn carried_door(place: &Place) -> Outcome {
    let world = place.any_world();
    let socket = world.shared().join(format!("door-{}", world::number_of(CARRIED))).display().to_string();
    let story = |giver: u32| {
        let mut given = world.host.begin_in(giver, &[&world.probe(), "door-give", &socket]);
        given.wait_or_end("listening");
        let list = "{\"method\":\"io.session0.Session.List\",\"parameters\":{}}";
        let taken = world.host.run_in(world.attacker, &[&world.probe(), "door-take", &socket, list]);
        let ended = given.end();
        assert!(
            taken.out.contains("door-take ") && !taken.out.contains(": no door"),
            "no door came: {taken:?}"
        );
        assert!(ended.out.contains("given"), "the door was not given: {ended:?} {taken:?}");
        match taken.out.contains("\"sessions\"") {
            true => Outcome::Succeeded("answered as the other session".into()),
            false => Outcome::Refused(error_in(&taken.out)),
        }
    };
    match (place, world.neighbour) {
        // The same from within the session: the program can do it.
        (Place::Bare, _) => story(world.attacker),
        (_, Some(neighbour)) => story(neighbour),
        (_, None) => world.with_guest(story),
    }
}

const CARRIED: &str = "a_door_carried_into_another_session_is_refused";

/// Alice calls for what is the guest's and the services'.
pub fn others_sessions(place: &Place) -> Outcome {
    let world = place.any_world();
    world.with_guest(|session| {
        let run = |number: u32| {
            format!(
                "{{\"method\":\"io.session0.Session.Run\",\"parameters\":{{\"session\":{number},\"command\":[\"/bin/true\"]}}}}"
            )
        };
        let logoff = format!("{{\"method\":\"io.session0.Session.Logoff\",\"parameters\":{{\"session\":{session}}}}}");
        let add = "{\"method\":\"io.session0.Account.Add\",\"parameters\":{\"account\":\"eve\"}}".to_owned();
        let (Place::Vista(_) | Place::Xp(_)) = place else {
            let words = ["call".to_owned(), outer_socket(world).display().to_string(), run(session)];
            return all_refused([Run::of(&mut bare(0, &world.probe(), &words)).out]);
        };
        // Session 0 is nobody's in vista and hers in xp.
        let zero = world.neighbour.map(|_| run(0));
        let calls = [run(session), logoff, add].into_iter().chain(zero);
        let outcome = all_refused(calls.map(|call| call_as_user(world, &call)));
        match world.host.sessions_of(GUEST).contains(&session) {
            true => outcome,
            false => Outcome::Succeeded("the guest's session is gone".into()),
        }
    })
}

fn all_refused(answers: impl IntoIterator<Item = String>) -> Outcome {
    let mut last = Outcome::Skipped("nothing was tried".into());
    for answer in answers {
        if !answer.contains("\"error\"") {
            return Outcome::Succeeded(format!("answered {}", answer.trim()));
        }
        last = Outcome::Refused(error_in(&answer));
    }
    last
}

/// Names that are paths: of accounts, services, logons. Nothing may be made or found by them.
pub fn names_that_are_paths(place: &Place) -> Outcome {
    let Some(world) = place.world() else { return a_path_made_of_a_name() };
    let above = world.host.root().join("escaped");
    let names = [
        "../escaped",
        "../../escaped",
        "/escaped",
        ".",
        "..",
        "a/../../escaped",
        "a\nb",
        "-escaped",
        "@escaped",
    ];
    for name in names {
        for run in [
            world.host.s0_with(&["account", "add", "--password-stdin", "--", name], &format!("{PASSWORD}\n")),
            world.host.s0(&["service", "start", "--", name]),
            world.host.s0(&["service", "log", "--", name]),
        ] {
            if run.code == 0 {
                return Outcome::Succeeded(format!("{name:?} was taken: {}", run.out.trim()));
            }
        }
        let begin = format!(
            "{{\"method\":\"io.session0.Logon.Begin\",\"parameters\":{{\"account\":{name:?},\"terminal\":{{\"rows\":24,\"columns\":80}}}}}}"
        );
        if !call_as_user(world, &begin).contains("\"error\"") {
            return Outcome::Succeeded(format!("a logon of {name:?} was begun"));
        }
    }
    if let Some(how) = super::pipes::paths_as_names(world, &names[..7]) {
        return Outcome::Succeeded(how);
    }
    match above.exists() || PathBuf::from("/escaped").exists() {
        true => Outcome::Succeeded("a directory was made outside".into()),
        false => Outcome::Refused("none of them is a name".into()),
    }
}

/// What happens where a name is simply put behind a directory's.
fn a_path_made_of_a_name() -> Outcome {
    let place = std::env::temp_dir().join(format!("session0-names-{}", std::process::id()));
    let homes = place.join("homes");
    std::fs::create_dir_all(&homes).expect("a fresh directory");
    let made = std::fs::create_dir(homes.join("../escaped"));
    let escaped = place.join("escaped").exists();
    let _ = std::fs::remove_dir_all(&place);
    match escaped {
        true => Outcome::Succeeded("a directory beside the homes".into()),
        false => Outcome::Refused(format!("{made:?}")),
    }
}

/// Hundreds of connections that ask and never read.
pub fn flood(place: &Place) -> Outcome {
    let Some(world) = place.world() else { return flooded_without_limits() };
    let daemon = world.host.daemon_pid();
    world.with_guest(|session| {
        let mut attacker = world.host.begin_in(session, &[&world.probe(), "flood", DOOR, "700"]);
        let said = attacker.wait("holds");
        let answers = (0..5).all(|_| world.host.s0(&["service", "list"]).code == 0);
        match answers && world.host.daemon_pid() == daemon {
            true => Outcome::Refused(format!("`s0 service list` answered; the flood {}", said.trim())),
            false => Outcome::Succeeded(format!("the host does not answer; the flood {}", said.trim())),
        }
    })
}

/// A server that serves one after the other, and waits for whoever does not read.
fn flooded_without_limits() -> Outcome {
    use std::io::{Read, Write};
    let path = std::env::temp_dir().join(format!("session0-flood-{}", std::process::id()));
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a fresh path");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            while stream.write_all(&[0; 65536]).is_ok() {}
        }
    });
    let probe = crate::host::binary("probe").display().to_string();
    let words = ["flood".to_owned(), path.display().to_string(), "64".to_owned()];
    let mut attacker = Program::start(&mut bare(0, &probe, &words));
    attacker.wait("holds");
    let answered = std::os::unix::net::UnixStream::connect(&path).and_then(|mut stream| {
        stream.set_read_timeout(Some(std::time::Duration::from_millis(300)))?;
        stream.read(&mut [0])
    });
    let _ = std::fs::remove_file(&path);
    match answered {
        Err(error) => Outcome::Succeeded(format!("a server without limits does not answer: {error}")),
        Ok(_) => Outcome::Refused("it answered".into()),
    }
}

/// A terminal whose name moves the reader's terminal.
pub fn escapes(place: &Place) -> Outcome {
    const NAME: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m";
    let moves = |text: &str| text.chars().any(|c| c != '\n' && c.is_control());
    let Some(world) = place.world() else {
        let run = Run::of(Command::new("printf").args(["%s\\n", NAME]));
        return match moves(&run.out) {
            true => Outcome::Succeeded("the terminal gets it as it is".into()),
            false => Outcome::Refused("printf keeps it back".into()),
        };
    };
    let held =
        match log_on_as(&outer_socket(world), GUEST, PASSWORD, NAME, &[("LC_ALL", NAME), ("TERM", NAME)]) {
            Ok(held) => held,
            Err(answer) => return Outcome::Refused(error_in(&answer)),
        };
    let mut shown = String::new();
    let added = world.host.sessions_of(GUEST);
    for session in &added {
        let run = world.host.s0(&["session", "show", &session.to_string()]);
        shown += &(run.out + &run.err);
    }
    shown += &world.host.s0(&["session", "list"]).out;
    shown += &world.host.s0(&["status"]).out;
    drop(held);
    match moves(&shown) {
        true => Outcome::Succeeded(format!("shown as it is: {shown:?}")),
        false => Outcome::Refused("shown as text".into()),
    }
}

/// As many processes as there can be, in a session with a limit.
pub fn fork_bomb(place: &Place) -> Outcome {
    let Some(world) = place.world() else {
        return own::run(place, super::From::Service, &[], &["forks", "400"]);
    };
    let daemon = world.host.daemon_pid();
    world.with_guest(|session| {
        let _bomb = fill(world, session);
        let answers = (0..5).all(|_| world.host.s0(&["service", "list"]).code == 0);
        let number = processes(world, session);
        match answers && number <= TASKS_MAX && world.host.daemon_pid() == daemon {
            true => Outcome::Refused(format!("`s0 service list` answered; {number} processes")),
            false => Outcome::Succeeded(format!("{number} processes; the host answers: {answers}")),
        }
    })
}

/// A fork bomb in a session, once it has taken everything there was.
fn fill(world: &World, session: u32) -> Program {
    let bomb = world.host.begin_in(session, &[&world.probe(), "fork-bomb", &bomb_name(world, session)]);
    // The shell and what started the bomb are in the session, too.
    eventually("the session is full", || processes(world, session) + 8 >= TASKS_MAX);
    bomb
}

fn bomb_name(world: &World, session: u32) -> String {
    format!("{}-in-{session}", world.host.root().display())
}

/// How many processes the bomb in a session is, seen from the machine.
fn processes(world: &World, session: u32) -> usize {
    let name = bomb_name(world, session);
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0).skip(1);
        words.next() == Some(b"fork-bomb") && words.next() == Some(name.as_bytes())
    })
    .count()
}

/// Memory beyond the session's limit.
pub fn memory_hog(place: &Place) -> Outcome {
    const WORDS: [&str; 2] = ["takes", "400"];
    let Some(world) = place.world() else { return own::run(place, super::From::Service, &[], &WORDS) };
    let daemon = world.host.daemon_pid();
    world.with_guest(|session| {
        let attacker = world.host.begin_in(session, &[&world.probe(), WORDS[0], WORDS[1]]);
        let answers = world.host.s0(&["service", "list"]).code == 0;
        let run = attacker.end();
        assert_ran(&run);
        let took = run.out.contains(": ok");
        match answers && !took && world.host.daemon_pid() == daemon {
            true => Outcome::Refused(format!("it was ended ({}); `s0 service list` answered", run.code)),
            false => Outcome::Succeeded(format!("took all of it: {took}; the host answers: {answers}")),
        }
    })
}

/// As many descriptors as a program can have, and it keeps them.
pub fn descriptor_hog(place: &Place) -> Outcome {
    let world = place.any_world();
    let taken = |attacker: &mut Program| {
        let said = attacker.wait("opened");
        said.trim().rsplit(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
    };
    let (Place::Vista(_) | Place::Xp(_)) = place else {
        let mut attacker = Program::start(&mut bare(0, &world.probe(), &["descriptor-hog".into()]));
        return match taken(&mut attacker) {
            number @ 100.. => Outcome::Succeeded(format!("it holds {number}")),
            number => Outcome::Refused(format!("it holds {number}")),
        };
    };
    let daemon = world.host.daemon_pid();
    world.with_guest(|session| {
        let mut attacker = world.host.begin_in(session, &[&world.probe(), "descriptor-hog"]);
        let number = taken(&mut attacker);
        let answers = (0..5).all(|_| world.host.s0(&["service", "list"]).code == 0);
        match answers && world.host.daemon_pid() == daemon {
            true => Outcome::Refused(format!("it holds {number}; `s0 service list` answered")),
            false => Outcome::Succeeded("the host does not answer".into()),
        }
    })
}

/// A session in which nothing can be started any more: what is started all the same must not be root.
pub fn full_session_stays_the_users(place: &Place) -> Outcome {
    let world = place.any_world();
    let (Place::Vista(_) | Place::Xp(_)) = place else {
        // A program that gives up root, where the kernel does not let it, and does not look.
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-setuid", "--inh-caps", "-setuid"]).arg(world.probe());
        let run = Run::of(command.args(["drop-to", "65534"]));
        return match run.out.contains(": ok") {
            true => Outcome::Succeeded("it is still root".into()),
            false => Outcome::Refused(format!("{}{}", run.out.trim(), run.err.trim())),
        };
    };
    world.with_guest(|session| {
        let _bomb = fill(world, session);
        let run = world.host.run_in(session, &[&world.probe(), "credentials"]);
        match run.out.contains("Uid: 0") {
            true => Outcome::Succeeded(format!("a program of root in his session: {}", run.out.trim())),
            false if run.out.contains("Uid: ") => Outcome::Refused("it ran as the user".into()),
            false => Outcome::Refused("it was not started".into()),
        }
    })
}
