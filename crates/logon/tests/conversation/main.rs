//! Whole conversations with the real program: the tests are the daemon and the client.

mod accounts;
mod broken;
mod crash;
mod homes;
mod hostile;
mod logons;
mod machine;
mod rig;
