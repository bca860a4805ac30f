//! The system tests: one sentence a test, on the real kernel, with real daemons. One file per domain.

mod bad_input;
mod boot;
mod container;
mod crash;
mod examples;
mod interface;
mod isolation;
mod output;
mod services;
mod tripwires;
