//! `s0` at a real pseudo terminal, with a false host whose sessions are real programs on a real pseudo terminal of theirs.

mod account;
mod host;
mod logon;
mod run;
mod screen;
