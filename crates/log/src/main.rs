//! session0-log: writes what services say to rotated files, and nothing else.
//!
//! Started by a session's init as a user of its own, without capabilities. Descriptor 3 is the feed ([`Feed`]): init sends
//! the read end of every unit's output pipe and keeps a duplicate, so our death costs nothing. Descriptor 4 is the log
//! directory.
//!
//! ```text
//!   service ──▶ its pipe ──tee──▶ scratch pipe ──read──▶ lines ──write──▶ <unit>.log ──rename──▶ <unit>.log.1 ...
//!                  │                                                  │
//!                  └──────────────── only now: taken out ◀────────────┘
//! ```
//!
//! What cannot be written (the disk is full, the file is not ours) is taken out all the same: a service never waits for
//! a disk. It is counted, said in the log as soon as that works again, and told to the daemon.
//!
//! [`Feed`]: session0_model::launch::wire::Feed

use std::io;
use std::process::ExitCode;

use session0_model::limit::SERVICES_MAX;
use session0_sys::{process, started};

mod line;
mod logger;
mod loss;
mod options;
mod pipe;
mod sink;
mod stamp;
mod store;
mod syslog;
mod unit;

use logger::Logger;
use loss::Notifier;
use options::Options;
use sink::{Sink, complain};
use store::Store;

const FEED: i32 = 3;
const DIRECTORY: i32 = 4;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            complain(&error);
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("cannot go on: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    let feed = started::descriptor(FEED)?;
    let directory = started::descriptor(DIRECTORY)?;
    let terminate = started::terminate()?;
    let store = Store::new(directory, options.size_max, options.keep);
    let sink = Sink::new(store, Notifier::from_environment(), files_max());
    Logger::new(feed, &terminate, sink, options.size_max)?.run()?;
    Ok(())
}

/// How many log files may be open at a time. Half of our descriptors are the units' pipes, which have to be: init
/// does not send them twice.
fn files_max() -> usize {
    // Refused only if a limit was lowered since: then what there is is enough for fewer files.
    let _ = process::raise_open_files();
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    (most / 2).saturating_sub(32).clamp(8, SERVICES_MAX)
}
