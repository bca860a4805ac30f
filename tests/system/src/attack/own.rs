//! A program looks for what it should not have been given.

use std::process::Command;

use super::root::{judge, service_output};
use super::world::{Place, World, bare, bare_uid};
use super::{From, Outcome};
use crate::host::Run;

/// Runs the words where they belong; `before` stands before the command that starts them.
pub(super) fn run(place: &Place, from: From, before: &[&str], words: &[&str]) -> Outcome {
    let world = place.any_world();
    let mut words = world.filled(words);
    // A path is a program of its own.
    if !words.first().is_some_and(|word| word.starts_with('/')) {
        words.insert(0, world.probe());
    }
    let run = match (place, from) {
        (Place::Bare, from) => {
            let uid = if from == From::User { bare_uid() } else { 0 };
            Run::of(&mut behind(before, &bare(uid, &words[0], &words[1..]), uid))
        }
        (_, From::User) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            Run::of(&mut behind(before, &world.host.command_in(world.attacker, &words), 0))
        }
        (_, From::Service) => service_output(world, &name_for(world, &words), &words),
    };
    judge(world, &run)
}

fn name_for(world: &World, words: &[String]) -> String {
    let letters = words[1..].join("-");
    let plain: String = letters.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("own-{}-{}", world.attacker, plain)
}

/// The command started by another one: `sh -c 'exec 7<file; exec "$@"' sh COMMAND...`.
fn behind(before: &[&str], command: &Command, uid: u32) -> Command {
    let program = command.get_program().to_string_lossy().into_owned();
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    let all: Vec<String> =
        before.iter().map(|word| (*word).to_owned()).chain([program]).chain(words).collect();
    bare(uid, &all[0], &all[1..])
}
