//! uid 0 in Session 0 attacks the machine.

use super::world::{self, Place, World, bare};
use super::{Attack, Outcome};
use crate::host::Run;

/// Runs the words as a LocalSystem service, or without session0 as root.
pub(super) fn run(attack: &Attack, place: &Place, words: &[&str]) -> Outcome {
    let world = place.any_world();
    let _door = words.contains(&"{visible}/namespace").then(|| give_namespace(world));
    let words = world.filled(words);
    let run = match place {
        Place::Vista(_) | Place::Xp(_) => as_service(world, attack, &words),
        Place::Bare => Run::of(&mut bare(0, &world.probe(), &words)),
    };
    judge(world, &run)
}

/// What an attacker printed means success when it has the machine's secret, or, where there is none to have, when it says `ok`.
pub(super) fn judge(world: &World, run: &Run) -> Outcome {
    assert_ran(run);
    let output = &run.out;
    if let Some(why) = output.lines().find_map(|line| line.strip_prefix("skip: ")) {
        return Outcome::Skipped(why.to_owned());
    }
    let success = match output.lines().find_map(|line| line.strip_prefix("got ")) {
        Some(got) => got.trim() == world::secret_of(&world.host),
        None => output.lines().any(|line| line.ends_with(" ok")),
    };
    if output.trim().is_empty() {
        return Outcome::Refused("it was killed".into());
    }
    let last = output.lines().rev().find(|line| line.contains(": ")).unwrap_or(output).trim();
    match success {
        true => Outcome::Succeeded(output.lines().next().unwrap_or(last).to_owned()),
        false if output.contains("none of them is here") => {
            Outcome::Skipped("this machine has none of them".into())
        }
        false => Outcome::Refused(last.rsplit_once(": ").map_or(last, |(_, why)| why).to_owned()),
    }
}

/// An attacker that never ran was refused nothing: it has said something, or was killed before it could.
pub(super) fn assert_ran(run: &Run) {
    let killed = run.code < 0 || run.code > 128;
    assert!(killed || !run.out.trim().is_empty(), "the attacker said nothing: {run:?}");
    // What a shell answers for a program that cannot be executed, or is not there.
    assert!(!matches!(run.code, 126 | 127), "the attacker was not executed: {run:?}");
}

fn as_service(world: &World, attack: &Attack, words: &[String]) -> Run {
    let name = format!("{}-root", world::service_name(world::number_of(attack.name)));
    service_output(world, &name, &[&[world.probe()], words].concat())
}

/// Runs the words as a LocalSystem service of this name, to their end. Both outputs are one.
pub(super) fn service_output(world: &World, name: &str, words: &[String]) -> Run {
    const END: &str = "the attack is over with ";
    let script = ["/bin/sh", "-c", "\"$@\"; echo the attack is over with $?; exec sleep 1000", "sh"];
    let command: Vec<String> =
        script.iter().map(|word| (*word).to_owned()).chain(words.iter().cloned()).collect();
    let text = format!("command = {command:?}\nstart = \"demand\"\nrestart = \"never\"\n");
    let file = world.host.root().join(format!("etc/session0/services/{name}.toml"));
    std::fs::write(file, text).expect("ours");
    world.host.s0(&["reload"]).ok();
    world.host.s0(&["service", "start", name]).ok();
    let log = world.host.wait_log(name, END);
    world.host.s0(&["service", "stop", name]);
    let code = log.lines().find_map(|line| line.strip_prefix(END)?.trim().parse().ok());
    let code = code.unwrap_or_else(|| panic!("nobody saw the attacker's end:\n{log}"));
    let out = log.lines().filter(|line| !line.starts_with(END)).collect::<Vec<_>>().join("\n");
    Run { code, out, err: String::new() }
}

/// Hands a descriptor of the machine's own mount namespace to whoever asks, once.
fn give_namespace(world: &World) -> std::thread::JoinHandle<()> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::os::fd::AsFd;
    let path = world.host.visible().join("namespace");
    let _ = std::fs::remove_file(&path);
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("ours");
    std::thread::spawn(move || {
        let Ok((stream, _)) = listener.accept() else { return };
        let namespace = std::fs::File::open("/proc/self/ns/mnt").expect("our own");
        let mut room = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut with = SendAncillaryBuffer::new(&mut room);
        let descriptors = [namespace.as_fd()];
        with.push(SendAncillaryMessage::ScmRights(&descriptors));
        let _ = sendmsg(&stream, &[std::io::IoSlice::new(b"x")], &mut with, SendFlags::empty());
    })
}
