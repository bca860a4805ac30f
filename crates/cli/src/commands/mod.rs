//! One file per verb: `Args` says what it takes, `run` does it.

pub mod account;
pub mod generate;
pub mod host;
pub mod logon;
pub mod pipe;
pub mod rpc;
pub mod service;
pub mod session;
