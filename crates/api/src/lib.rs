//! The public interface of session0: six Varlink interfaces, the types they speak and their errors.
//!
//! The doc comments of this crate *are* the comments of `idl/*.varlink`, which are generated from it
//! (`SESSION0_WRITE_IDL=1 cargo test -p session0-api` writes them again) and compared by a test. The
//! interface only grows within a major version: a field may be added when it is optional, an enumeration
//! may gain a name (readers take unknown names as `Unknown`), nothing changes its meaning.
//!
//! | Interface | Module | About |
//! |---|---|---|
//! | `io.session0.Host` | [`host`] | the host: status, reload, shutdown, upgrade, events |
//! | `io.session0.Service` | [`service`] | services: list, status, start, stop, restart, output |
//! | `io.session0.Session` | [`session`] | sessions: list, status, logoff, programs in them |
//! | `io.session0.Logon` | [`logon`] | logging on |
//! | `io.session0.Account` | [`account`] | built-in accounts |
//! | `io.session0.Pipe` | [`pipe`] | named pipes |
//!
//! Times are milliseconds since 1970 and end in `_ms`; spans in milliseconds end in `_ms` too and say so.
#![forbid(unsafe_code)]

pub mod account;
pub mod conversation;
mod describe;
pub mod error;
pub mod event;
pub mod failure;
pub mod host;
pub mod interface;
pub mod logon;
pub mod pipe;
pub mod service;
pub mod session;

pub use describe::describe;

/// The version of the public interface. It grows by one when a method, a field or a name is added.
pub const INTERFACE_VERSION: u32 = 3;

/// Who made it, as `org.varlink.service.GetInfo` says.
pub const VENDOR: &str = "session0";
/// The product's name.
pub const PRODUCT: &str = "session0";
/// The product's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Where to read about it: the manual page.
pub const URL: &str = "man:s0(1)";

/// All interfaces of session0.
pub const INTERFACES: [&zlink::idl::Interface<'static>; 6] = [
    host::DESCRIPTION,
    service::DESCRIPTION,
    session::DESCRIPTION,
    logon::DESCRIPTION,
    account::DESCRIPTION,
    pipe::DESCRIPTION,
];
