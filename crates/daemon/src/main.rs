//! session0d: root, one thread, one loop, decides everything.

mod api;
mod config;
mod facility;
mod message;
mod paths;

fn main() {}
