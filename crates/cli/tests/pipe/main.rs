//! Pipes and RPC through the command line, over a small host that pairs the ends.

mod connect;
mod host;
mod listen;
mod look;
mod rpc;
