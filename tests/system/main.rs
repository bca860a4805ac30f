//! The system tests: one sentence a test, on the real kernel, with real daemons. One file per domain.

/// In the tests the files of `attacks/` are tests; in the library they are the table that the tests look into.
macro_rules! attacks {
    ($($(#[$doc:meta])* $name:ident: $about:literal, $known:expr, $way:expr;)*) => {
        $(#[test]
        fn $name() {
            session0_system_tests::attack::prove(stringify!($name));
        })*
    };
}

mod accounts;
mod article;
mod attacks;
mod bad_input;
mod boot;
mod container;
mod crash;
mod elevation;
mod examples;
mod interface;
mod isolation;
mod logon;
mod output;
mod pipe_crash;
mod pipe_services;
mod pipes;
mod rpc;
mod services;
mod session_crash;
mod session_isolation;
mod sessions;
mod terminal;
mod tripwires;
