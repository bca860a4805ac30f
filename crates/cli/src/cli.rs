//! The command line: nouns, then verbs. Help, man pages and completions are made from the comments here and in
//! `commands/`.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand, ValueHint};

use crate::commands::{account, generate, host, logon, pipe, rpc, service, session};
use crate::output::ColorChoice;

/// The command line of session0: services in Session 0, users in sessions of their own, isolated from each other
///
/// Exit codes: 0 done, 1 refused, 2 the command line makes no sense, 3 not permitted, 4 a fault of the host or the system.
#[derive(Debug, Parser)]
#[command(
    name = "s0",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    max_term_width = 110,
    after_help = "Examples:\n  sudo s0 up               start the host, in the foreground\n  s0 status                how it is, on one screen\n  s0 service start redis   start a service and wait until it is ready\n  s0 service log redis -f  follow what it says\n  s0 logon alice           work in a session of your own"
)]
pub struct Cli {
    #[command(flatten)]
    /// Options of every command.
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Print JSON instead of text; errors too, on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// The host on this root directory instead of the machine's own
    #[arg(long, global = true, value_name = "DIR", env = "SESSION0_ROOT", hide_env_values = true, value_hint = ValueHint::DirPath)]
    pub root: Option<OsString>,
    /// The API socket, where it is not below the root
    #[arg(long, global = true, value_name = "PATH", env = "SESSION0_SOCKET", hide_env_values = true, value_hint = ValueHint::FilePath)]
    pub socket: Option<OsString>,
    /// Colours; NO_COLOR is respected
    #[arg(
        long,
        global = true,
        value_name = "auto|always|never",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub color: ColorChoice,
}

/// Everything `s0` can do. What a verb is for stands at its `Args`.
#[derive(Debug, Subcommand)]
pub enum Command {
    Up(host::up::Args),
    Down(host::down::Args),
    Status(host::status::Args),
    Reload(host::reload::Args),
    Upgrade(host::upgrade::Args),
    Doctor(host::doctor::Args),
    Version(host::version::Args),
    Events(host::events::Args),
    /// Services: list, start, stop, look at their output
    #[command(subcommand)]
    Service(service::Verb),
    Logon(logon::Args),
    /// Sessions: list them, run programs in them, end them
    #[command(subcommand)]
    Session(session::Verb),
    /// Named pipes: the way across sessions
    #[command(subcommand)]
    Pipe(pipe::Verb),
    /// Interfaces on named pipes: what there is, what it says of itself, and calls
    #[command(subcommand)]
    Rpc(rpc::Verb),
    /// Built-in accounts: who can log on
    #[command(subcommand)]
    Account(account::Verb),
    /// Man pages and completions, for packaging
    #[command(subcommand, hide = true)]
    Generate(generate::Verb),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Every verb that can be called, with its words.
    fn verbs(command: &clap::Command, words: &str, into: &mut Vec<(String, clap::Command)>) {
        let words =
            if words.is_empty() { "s0".to_owned() } else { format!("{words} {}", command.get_name()) };
        if !command.has_subcommands() {
            into.push((words.clone(), command.clone()));
        }
        command.get_subcommands().for_each(|below| verbs(below, &words, into));
    }

    fn all() -> Vec<(String, clap::Command)> {
        let mut command = Cli::command();
        command.build();
        let mut found = Vec::new();
        verbs(&command, "", &mut found);
        found
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_an_example_of_itself() {
        for (words, command) in all() {
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let itself = examples.lines().any(|line| line.contains(words.trim_start_matches("s0 ")));
            assert!(examples.starts_with("Examples:") && itself, "{words} --help:\n{examples}");
        }
    }

    /// The help texts are an interface: a change is seen in review. `UPDATE_SNAPSHOT=1 cargo test` writes them anew.
    #[test]
    fn help_is_as_it_was_reviewed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/help.txt");
        let mut text = String::new();
        for (words, command) in all() {
            // The values of this process's environment are nobody's business.
            let help = command.term_width(100).mut_args(|arg| arg.hide_env_values(true)).render_long_help();
            text.push_str(&format!("$ {words} --help\n{help}\n"));
        }
        if std::env::var_os("UPDATE_SNAPSHOT").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let reviewed = std::fs::read_to_string(path).unwrap_or_default();
        for (now, then) in text.lines().zip(reviewed.lines()) {
            assert_eq!(now, then, "UPDATE_SNAPSHOT=1 cargo test -p session0-cli writes tests/help.txt anew");
        }
        assert_eq!(text.lines().count(), reviewed.lines().count());
    }
}
