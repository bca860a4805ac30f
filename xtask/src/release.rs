//! The programs as they are released.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{Stop, cargo, complain, target_directory};

/// The packages whose programs a host consists of and that load nothing at run time.
const PACKAGES: [&str; 4] = ["session0-cli", "session0-daemon", "session0-init", "session0-log"];
/// Looks accounts up as the machine is configured to (NSS), which loads the machine's own modules: a program that is linked
/// statically cannot.
const LOADS: &str = "session0-logon";

/// Builds the programs; the directory they are in.
///
/// They are linked statically where the C library can be and nothing is loaded at run time: a copy runs on any
/// distribution, the root programs start no dynamic linker, and an init with fewer mappings clones faster (500 launches: a
/// tenth less).
pub fn build() -> Result<PathBuf, Stop> {
    // Not on stdout: what the command prints may be JSON.
    complain("building session0 (release) ...");
    let directory = target_directory()?;
    match static_target() {
        // With a target named, the flags are for the programs only, not for what runs while they are built. It is named for
        // both, so that all programs come into one directory.
        Some(target) => {
            let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
            let flags = format!("{flags} -C target-feature=+crt-static");
            run(release(&PACKAGES).args(["--target", &target]).env("RUSTFLAGS", flags.trim_start()))?;
            run(release(&[LOADS]).args(["--target", &target]))?;
            Ok(directory.join(target).join("release"))
        }
        None => {
            run(release(&PACKAGES).args(["--package", LOADS]))?;
            Ok(directory.join("release"))
        }
    }
}

/// Builds one further program, which has its package's name; where it is. It is linked as the machine links.
pub fn build_one(package: &str) -> Result<PathBuf, Stop> {
    complain(&format!("building {package} (release) ..."));
    run(&mut release(&[package]))?;
    Ok(target_directory()?.join("release").join(package))
}

fn release(packages: &[&str]) -> Command {
    let mut command = cargo();
    command.args(["build", "--release"]);
    // Minutes on a cold machine: who watches sees it go on.
    if !std::io::stderr().is_terminal() {
        command.arg("--quiet");
    }
    packages.iter().for_each(|package| {
        command.args(["--package", package]);
    });
    command
}

/// Runs cargo, which says itself what does not build.
pub fn run(command: &mut Command) -> Result<(), Stop> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
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
