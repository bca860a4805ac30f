//! `session0-init`: PID 1 of a session. Launches what the daemon tells it to, reaps what ends, and remembers for the
//! daemon what the daemon must not forget. It decides nothing.
//!
//! ```text
//!   session0d ── control (SEQPACKET) ──▶ init ── clone3, exec ──▶ services
//!                                         │  ◀── SIGCHLD ────────────┘
//!                                         └── feed (SEQPACKET) ──▶ session0-log
//! ```
//!
//! One thread, one loop, nothing in it waits for anybody but the loop's own poll. No signal handlers: PID 1 is
//! immune to what it has no handler for.

/// A line on standard error. Nobody there to read it is no reason to fail, as it would be for `eprintln`.
macro_rules! complain {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), $($text)*);
    }};
}

mod control;
mod directory;
mod exits;
mod feed;
mod init;
mod launch;
mod message;
mod poll;
mod store;
mod unit;

use std::process::ExitCode;

use session0_model::id::SessionId;

fn main() -> ExitCode {
    // Its only argument, so that a list of processes tells the sessions apart. No path is in it: everybody who sees
    // PID 1 can read it.
    let session = std::env::args().nth(1).and_then(|text| text.parse().ok()).map(SessionId);
    let Some(session) = session else {
        complain!(
            "session0-init: started by session0d only: it needs its session's number and what goes with it"
        );
        return ExitCode::from(2);
    };
    match init::Init::new(session).and_then(init::Init::run) {
        Ok(()) => ExitCode::from(1),
        Err(error) => {
            complain!("session0-init {session}: {error}");
            ExitCode::from(1)
        }
    }
}
