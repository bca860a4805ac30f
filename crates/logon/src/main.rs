//! `session0-logon`: finds out whether somebody is who he says, and keeps the built-in accounts. One process per logon or change,
//! straight-line code, root; it decides nothing about who may log on where, and runs nobody's code.
//!
//! ```text
//!   client ── 4: conversation (JSON) ── session0-logon ── 3: logon::wire ── session0d
//!                                        │        │
//!                            accounts.toml        NSS, shadow
//! ```
//!
//! The client is anybody: every packet and every wait is bounded, and the end of either socket is the end of the process. A
//! password is in this process and nowhere else, and everything freed here is wiped first ([`Wiping`]).

/// A line on standard error, which is the host's log. Nobody there to read it is no reason to fail.
macro_rules! complain {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), "session0-logon: {}", format_args!($($text)*));
    }};
}

mod accounts;
mod change;
mod check;
mod crypt;
mod hash;
mod home;
mod logon;
mod machine;
mod over;
mod password;
mod peers;
mod said;
mod secret;
mod tree;

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use session0_model::limit::LOGON_TIME_MAX;
use session0_sys::memory::Wiping;
use session0_sys::{packet, process, started};

use peers::Peers;

#[global_allocator]
static MEMORY: Wiping = Wiping;

const DAEMON: i32 = 3;
const CLIENT: i32 = 4;

/// Beyond the conversation's own end, for what no poll of ours can cut short: a directory that does not answer NSS.
const GRACE_S: u32 = 10;

fn main() -> ExitCode {
    match start() {
        Ok((daemon, client)) => {
            let mut peers = Peers::new(daemon, client, LOGON_TIME_MAX);
            over::conclude(&mut peers);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain!("started by session0d only: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> io::Result<(OwnedFd, OwnedFd)> {
    let daemon = started::descriptor(DAEMON)?;
    // Nobody is a client that is gone: what needs none (the public list) can be done all the same.
    let client = started::descriptor(CLIENT).or_else(|_| packet::pair().map(|(ours, _gone)| ours))?;
    process::set_not_dumpable()?;
    process::set_no_core()?;
    rustix::thread::set_no_new_privs(true)?;
    process::end_after(LOGON_TIME_MAX.as_secs() as u32 + GRACE_S);
    // What is made here has the mode it is made with.
    rustix::process::umask(rustix::fs::Mode::empty());
    Ok((daemon, client))
}
