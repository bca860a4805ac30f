//! Named pipes against a host that is a thread of the test.
#![allow(missing_docs)]

mod ends;
mod fake_host;
