//! Leaves nothing behind, also when the bench is interrupted or killed.
//!
//! A copy of this program in a process group of its own waits on a pipe whose other end only the bench holds.
//! When the bench is gone, for whatever reason, the pipe ends, and the copy ends every process that belongs to the
//! bench's directory, removes the control groups recorded there and then the directory.

use std::fs;
use std::io::{Read, Write, stdin};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::Outcome;
use super::process;

/// The waiting process.
pub struct Sweeper(Child);

/// Starts it for a directory.
pub fn start(root: &Path) -> Outcome<Sweeper> {
    let me = std::env::current_exe().map_err(|e| format!("finding this program: {e}"))?;
    let mut child = Command::new(me)
        .args(["bench", "--sweep"])
        .process_group(0)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|e| format!("starting the sweeper: {e}"))?;
    if let Some(pipe) = &mut child.stdin {
        pipe.write_all(root.as_os_str().as_bytes()).map_err(|e| format!("telling the sweeper: {e}"))?;
    }
    Ok(Sweeper(child))
}

impl Sweeper {
    /// Lets it do its work now, and waits for it.
    pub fn finish(mut self) -> Outcome<()> {
        drop(self.0.stdin.take());
        self.0.wait().map(drop).map_err(|e| format!("waiting for the sweeper: {e}"))
    }
}

/// The sweeper itself.
pub fn run() -> Outcome<()> {
    let mut root = Vec::new();
    stdin().read_to_end(&mut root).map_err(|e| format!("waiting for the bench to end: {e}"))?;
    let root = PathBuf::from(std::ffi::OsString::from_vec(root));
    if root.as_os_str().is_empty() {
        return Ok(());
    }
    for place in fs::read_dir(&root).into_iter().flatten().flatten() {
        process::sweep(&place.path());
    }
    process::sweep(&root);
    fs::remove_dir_all(&root).map_err(|e| format!("removing {}: {e}", root.display()))
}
