//! Named pipes against a host that is a thread of the test.
#![allow(missing_docs)]

mod asynchronous;
mod calls;
mod descriptors;
mod ends;
mod fake_host;
mod impersonate;
mod random;
mod server;

/// The code of an error.
fn code<T: std::fmt::Debug>(result: Result<T, session0::pipe::Error>) -> session0::pipe::Code {
    result.expect_err("an error").code()
}
