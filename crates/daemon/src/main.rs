//! session0d: root, one thread, one loop, decides everything.
//!
//! ```text
//!   clients ─▶ api ──┐                                   ┌──▶ link ─▶ init
//!   init ─▶ link ────┤                                   ├──▶ event ─▶ events.jsonl, subscribers
//!   services ─▶ notify ├─▶ core ─▶ model ─▶ effects ─▶ executor ─▶ session: made, found, ended
//!   services ─▶ tripwire ┘                               └──▶ replies ─▶ clients
//!   signals, clock ──┘
//! ```
//!
//! Rules live in the model. Nothing here waits for anybody: what is not there yet comes later, as an input.

mod api;
mod arguments;
mod builtin;
mod clock;
mod config;
mod conversation;
mod core;
mod dropped;
mod event;
mod executor;
mod facility;
mod identity;
mod join;
mod link;
mod load;
mod logs;
mod message;
mod notify;
mod offline;
mod paths;
mod pipe;
mod program;
mod readiness;
mod run;
mod session;
mod tripwire;
mod viewer;

use std::process::ExitCode;

use arguments::Arguments;

fn main() -> ExitCode {
    let root = std::env::var_os("SESSION0_ROOT");
    match arguments::parse(std::env::args_os().skip(1), root) {
        Ok(Arguments::Run { root, level }) => {
            message::show(level);
            run::run(&root)
        }
        Ok(Arguments::Check { root, files, form }) => offline::check(&root, &files, form),
        Ok(Arguments::Doctor { root, form }) => offline::doctor(&root, form),
        Ok(Arguments::Reference) => {
            print!("{}", config::REFERENCE);
            ExitCode::SUCCESS
        }
        Ok(Arguments::Version) => {
            println!(
                "session0d {} (protocol {})",
                env!("CARGO_PKG_VERSION"),
                session0_model::launch::wire::PROTOCOL
            );
            ExitCode::SUCCESS
        }
        Ok(Arguments::Help) => {
            print!("{}", arguments::USAGE);
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("error: {why}\n{}", arguments::USAGE.trim_end());
            ExitCode::from(2)
        }
    }
}
