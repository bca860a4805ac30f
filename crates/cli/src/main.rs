//! `s0`: the command line of session0, and as `s0 up` the keeper.

mod cli;
mod commands;
mod context;
mod conversation;
mod describe;
mod failure;
#[cfg(test)]
mod fake;
mod interrupt;
mod keeper;
mod output;
mod page;
mod progress;
mod root;
mod table;
mod terminal;
mod time;
mod words;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use cli::{Cli, Command};
use context::Context;
use failure::{Failure, Told};

fn main() -> ExitCode {
    if terminal::guard::is_meant() {
        return terminal::guard::stand();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let context = Context::new(&cli.global);
    match run(&context, cli.command) {
        Ok(code) => code,
        Err(failure) => {
            if failure.told == Told::NotYet {
                context.output.failure(&failure);
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

/// The exit code is 0, or that of a program that was run.
fn run(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    use commands::{account, generate, host, logon, pipe, rpc, service, session};
    match command {
        Command::Up(args) => host::up::run(context, &args)?,
        Command::Down(args) => host::down::run(context, &args)?,
        Command::Status(args) => host::status::run(context, &args)?,
        Command::Reload(args) => host::reload::run(context, &args)?,
        Command::Upgrade(args) => host::upgrade::run(context, &args)?,
        Command::Doctor(args) => host::doctor::run(context, &args)?,
        Command::Version(args) => host::version::run(context, &args)?,
        Command::Events(args) => host::events::run(context, &args)?,
        Command::Service(verb) => service::run(context, verb)?,
        Command::Logon(args) => return logon::run(context, &args),
        Command::Session(verb) => return session::run(context, verb),
        Command::Pipe(verb) => return pipe::run(context, verb),
        Command::Rpc(verb) => rpc::run(context, verb)?,
        Command::Account(verb) => account::run(context, verb)?,
        Command::Generate(verb) => generate::run(context, verb)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The help of a noun without a verb. clap shows it by itself only as long as SESSION0_ROOT, which it counts as an argument,
/// is not set.
fn eprint_help() {
    let mut command = Cli::command();
    command.build();
    for word in std::env::args_os().skip(1) {
        if let Some(below) = command.find_subcommand(&word).cloned() {
            command = below;
        }
    }
    output::note(command.render_help().to_string().trim_end());
}

/// What clap has to say: help and versions on stdout, mistakes on stderr with exit code 2, as JSON where asked for.
fn usage(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if json && !asked {
        let text = error.to_string();
        let mut parts = text.trim().splitn(2, '\n');
        let reason = parts.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        output::note(&Failure::usage("understand the command line", reason).hint("s0 --help").to_json());
    } else if error.kind() == ErrorKind::MissingSubcommand {
        eprint_help();
    } else {
        let _ = error.print();
    }
    ExitCode::from(if asked { 0 } else { 2 })
}
