//! All of session0's unsafe code: Linux as the programs need it.
//!
//! Everything here is single-threaded by contract: no function leaves a thread behind (`low_table` has one for the length of a
//! clone), and the ones that run between clone and exec ([`launch`], [`spawn`]) make only async-signal-safe calls.

pub mod account;
pub mod anonymous;
pub mod capability;
pub mod cgroup;
pub mod datagram;
pub mod device_policy;
pub mod facility;
pub mod fanotify;
pub mod fault;
pub mod files;
pub mod holder;
pub mod launch;
pub mod lock;
mod low_table;
pub mod memory;
pub mod mount;
pub mod packet;
pub mod peer;
pub mod pidfd;
pub mod pipe;
pub mod process;
pub mod reaper;
pub mod seccomp;
pub mod session;
pub mod spawn;
pub mod started;
pub mod terminal;

pub use fault::{Context, Fault};

/// Says that a test did not run, past the test runner's capture: a test that only returns is counted as passed.
#[cfg(test)]
pub(crate) fn skip(test: &str, reason: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED {test}: {reason}");
}
