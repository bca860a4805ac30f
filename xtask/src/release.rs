//! The programs as they are released.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{Stop, cargo, complain, target_directory};

/// The packages whose programs a host consists of.
const PACKAGES: [&str; 4] = ["session0-cli", "session0-daemon", "session0-init", "session0-log"];

/// Builds the programs; the directory they are in.
///
/// They are linked statically where the C library can be: none of them loads anything at run time (no NSS, no PAM), a
/// copy runs on any distribution, the root programs start no dynamic linker, and an init with fewer mappings clones
/// faster (500 launches: a tenth less).
pub fn build() -> Result<PathBuf, Stop> {
    // Not on stdout: what the command prints may be JSON.
    complain("building session0 (release) ...");
    let mut command = cargo();
    command.args(["build", "--release"]);
    // Minutes on a cold machine: who watches sees it go on.
    if !std::io::stderr().is_terminal() {
        command.arg("--quiet");
    }
    PACKAGES.iter().for_each(|package| {
        command.args(["--package", package]);
    });
    let mut directory = target_directory()?;
    if let Some(target) = static_target() {
        // With a target named, the flags are for the programs only, not for what runs while they are built.
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        command.args(["--target", &target]);
        command.env("RUSTFLAGS", format!("{flags} -C target-feature=+crt-static").trim_start());
        directory.push(target);
    }
    match command.status() {
        Ok(status) if status.success() => Ok(directory.join("release")),
        Ok(_) => Err("it does not build; see above".to_owned().into()),
        Err(error) => Err(format!("could not run cargo: {error}").into()),
    }
}

/// This machine's target, if its C library can be linked statically.
fn static_target() -> Option<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = answer(Command::new(rustc).arg("-vV"))?;
    let target = version.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned();
    // Asked for a library it does not have, the compiler answers with the bare name.
    let library = answer(Command::new("cc").arg("-print-file-name=libc.a"))?;
    (target.ends_with("-linux-gnu") && library.trim().starts_with('/')).then_some(target)
}

fn answer(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
