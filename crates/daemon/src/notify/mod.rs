//! The notify socket: sd_notify's messages of services, and the logger's losses.

mod parse;
mod receive;

pub use receive::{Deferred, listen, started};

use parse::{Said, parse};
