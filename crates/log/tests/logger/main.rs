//! The real `session0-log`, fed as an init feeds it.

mod crash;
mod lines;
mod loss;
mod rig;
mod syslog;
mod throughput;
