//! `cargo xtask dist`: a Debian package of what `cargo xtask install` installs.
//!
//! The files are put into `<target>/release/session0-package/`, and cargo-deb makes a package of them after
//! `package.metadata.deb` in crates/cli/Cargo.toml and the scripts in config/debian/.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::install::{self, Item, Place};
use crate::{Stop, cargo, release, say, target_directory, workspace};

/// In `<target>/release`, where cargo-deb looks for what was built.
const STAGE: &str = "session0-package";

/// Makes the package.
pub fn run(mut parser: lexopt::Parser) -> Result<(), Stop> {
    if let Some(argument) = parser.next()? {
        return Err(argument.unexpected().into());
    }
    if !has_cargo_deb() {
        let how = "cargo install cargo-deb --locked";
        return Err(format!("cargo-deb makes the package, and it is not on this machine: {how}").into());
    }
    let programs = release::build()?;
    stage(&programs)?;
    let target = target_directory()?;
    let output = target.join("dist");
    std::fs::create_dir_all(&output)
        .map_err(|error| format!("could not make {}: {error}", output.display()))?;
    let status = cargo()
        // The programs are built and named by their place in the target directory.
        .args(["deb", "--package", "session0-cli", "--no-build", "--no-strip", "--quiet", "--output"])
        .arg(&output)
        .env("CARGO_TARGET_DIR", &target)
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(_) => return Err("cargo deb failed; see above".to_owned().into()),
        Err(error) => return Err(format!("could not run cargo deb: {error}").into()),
    }
    let package = newest(&output)?;
    say(&format!("made {}\nnext: sudo apt install {}", package.display(), package.display()));
    Ok(())
}

fn has_cargo_deb() -> bool {
    let mut command: Command = cargo();
    command.args(["deb", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The package's files in their places.
fn stage(programs: &Path) -> Result<(), Stop> {
    let destdir = target_directory()?.join("release").join(STAGE);
    let _ = std::fs::remove_dir_all(&destdir);
    let place = Place { prefix: "/usr".into(), destdir: Some(destdir) };
    let mut items = install::items(&place, programs, install::For::AnyMachine)?;
    items.push(Item::file(workspace().join("config/host.toml"), "/etc/session0/host.toml".into()));
    for item in items {
        item.moved("/usr/share/zsh/site-functions", "/usr/share/zsh/vendor-completions").put_alone(&place)?;
    }
    Ok(())
}

fn newest(directory: &Path) -> Result<PathBuf, String> {
    let time = |path: &PathBuf| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let entries = std::fs::read_dir(directory)
        .map_err(|error| format!("could not read {}: {error}", directory.display()))?;
    let packages = entries.filter_map(Result::ok).map(|entry| entry.path());
    packages
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .max_by_key(time)
        .ok_or_else(|| format!("cargo deb left no package in {}", directory.display()))
}
