//! What the system tests stand on: a host of its own for each test, and the means to look at it from outside.
//!
//! Every test needs root and makes its own root directory and control groups, so that tests run beside each
//! other. A test that cannot run here says so with [`skip`] and is counted as skipped.

mod article;
pub mod attack;
mod conversation;
mod host;
mod people;
mod pipes;
mod sessions;
mod terminal;
mod wait;

pub use article::article_host;
pub use conversation::Conversation;
pub use host::{Host, HostBuilder, Run, binary, exists, needs_root, probe_path};
pub use people::{PASSWORD, Shared};
pub use pipes::{At, needs_python, told};
pub use sessions::Program;
pub use terminal::Logon;
pub use wait::{eventually, eventually_value};

use std::io::Write;

/// Says loudly that a test did not run. Written past the test runner's capture, so that it is always seen and
/// counted.
pub fn skip(test: &str, reason: &str) {
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED {test}: {reason}");
}
