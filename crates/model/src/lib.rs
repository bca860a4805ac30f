//! Every rule and every state of session0, and nothing else.
//!
//! This crate has no clock, no randomness, no file, no thread and no global: what happened comes in as
//! an [`system::Input`], what must be done goes out as [`system::Effect`]s. The programs around it
//! (`session0d`, `session0-init`, `session0-log`) perform effects and report what came of them.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod access;
pub mod event;
pub mod id;
pub mod launch;
pub mod limit;
pub mod logon;
pub mod pipe;
pub mod service;
pub mod session;
pub mod system;
pub mod time;
