//! `cargo xtask install` and `uninstall`: everything session0 is made of to where a machine looks for it, and away
//! again. A manifest beside the programs says what was put where; nothing else is ever removed.

mod files;
mod manifest;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use lexopt::prelude::*;

pub use files::{Item, Place};
use manifest::Manifest;

use crate::{Stop, is_root, release, say, target_directory, workspace};

/// Beside `s0`, in PREFIX/lib/session0: programs that people do not call.
pub const INNER_PROGRAMS: [&str; 4] = ["session0d", "session0-init", "session0-log", "session0-logon"];

/// The one file an administrator changes in place.
const SETTINGS: &str = "/etc/session0/host.toml";

/// Whom the files are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// This one, as it runs: only what its service manager needs.
    ThisMachine,
    /// Any: a directory that becomes a package.
    AnyMachine,
}

/// What the command line says.
struct Options {
    place: Place,
    /// Programs that are built already: we were started again by sudo.
    built: Option<PathBuf>,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> Result<Options, Stop> {
        let mut prefix = PathBuf::from("/usr/local");
        let (mut destdir, mut built) = (None, None);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("prefix") => prefix = parser.value()?.into(),
                Long("destdir") => destdir = Some(absolute(parser.value()?)?),
                Long("built") => built = Some(PathBuf::from(parser.value()?)),
                other => return Err(other.unexpected().into()),
            }
        }
        if !prefix.is_absolute() {
            return Err(format!("--prefix {} does not begin with a slash", prefix.display()).into());
        }
        Ok(Options { place: Place { prefix, destdir }, built })
    }

    fn whom(&self) -> For {
        match self.place.destdir {
            None => For::ThisMachine,
            Some(_) => For::AnyMachine,
        }
    }
}

fn absolute(path: OsString) -> Result<PathBuf, String> {
    std::path::absolute(&path)
        .map_err(|error| format!("could not use {}: {error}", Path::new(&path).display()))
}

/// Builds and installs.
pub fn install(parser: lexopt::Parser) -> Result<(), Stop> {
    let options = Options::parse(parser)?;
    let programs = match &options.built {
        Some(programs) => programs.clone(),
        None => release::build()?,
    };
    if options.whom() == For::ThisMachine && !is_root() {
        return as_root("install", &options, Some(&programs));
    }
    let items = items(&options.place, &programs, options.whom())?;
    put(&options.place, &items)?;
    if options.whom() == For::ThisMachine {
        tell_service_manager();
        say(&next_command(&options.place));
    }
    Ok(())
}

/// Removes what was installed.
pub fn uninstall(parser: lexopt::Parser) -> Result<(), Stop> {
    let options = Options::parse(parser)?;
    if options.whom() == For::ThisMachine {
        if !is_root() {
            return as_root("uninstall", &options, None);
        }
        if is_up() {
            return Err("session0 is up; end it first: `s0 down`".to_owned().into());
        }
        disable();
    }
    let place = &options.place;
    let manifest = Manifest::read(place)?.ok_or_else(|| {
        let path = place.at(&place.manifest());
        format!("nothing is installed there: {} does not exist (another --prefix?)", path.display())
    })?;
    let settings = files::forget_settings(place, Path::new(SETTINGS))?;
    for path in manifest.files() {
        files::remove(&place.at(path))?;
    }
    files::remove(&place.at(&place.manifest()))?;
    for path in manifest.directories() {
        files::remove_if_empty(&place.at(path));
    }
    say(&format!("removed session0 from {}", place.at(&place.prefix).display()));
    if let Some(kept) = settings {
        say(&format!("kept {}: you have changed it", kept.display()));
    }
    for kept in ["/etc/session0/services", "/var/lib/session0", "/var/log/session0"] {
        let path = place.at(Path::new(kept));
        if path.exists() {
            say(&format!("kept {}", path.display()));
        }
    }
    if options.whom() == For::ThisMachine {
        tell_service_manager();
    }
    Ok(())
}

/// Starts this program again by sudo, to do the part that needs it.
fn as_root(command: &str, options: &Options, built: Option<&Path>) -> Result<(), Stop> {
    let own = std::env::current_exe().map_err(|error| format!("could not find this program: {error}"))?;
    say(&format!("{command}ing below {} needs root: asking sudo", options.place.prefix.display()));
    let mut sudo = Command::new("sudo");
    sudo.arg(own).arg(command).arg("--prefix").arg(&options.place.prefix);
    if let Some(built) = built {
        sudo.arg("--built").arg(built);
    }
    match sudo.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Stop::silent(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))),
        Err(error) => Err(format!("could not run sudo: {error}; be root instead").into()),
    }
}

/// Everything that is installed but the settings.
pub fn items(place: &Place, programs: &Path, whom: For) -> Result<Vec<Item>, Stop> {
    let root = workspace();
    let (bin, inner) = (place.prefix.join("bin"), place.inner());
    let mut items = vec![Item::program(programs.join("s0"), bin.join("s0"))];
    items.extend(INNER_PROGRAMS.map(|name| Item::program(programs.join(name), inner.join(name))));
    // The settings as they are without changes: to tell a changed file from an old one, and to read.
    items.push(Item::file(root.join("config/host.toml"), inner.join("host.toml")));

    let unit = "config/systemd/session0.service";
    if whom == For::AnyMachine || Path::new("/usr/lib/systemd/system").exists() {
        let text = files::with_prefix(&root.join(unit), &place.prefix)?;
        items.push(Item::text(text, place.systemd().join("session0.service"), 0o644));
    }
    if whom == For::AnyMachine || Path::new("/sbin/openrc-run").exists() {
        let text = files::with_prefix(&root.join("config/openrc/session0"), &place.prefix)?;
        items.push(Item::text(text, "/etc/init.d/session0".into(), 0o755));
    }
    let share = place.prefix.join("share");
    items.extend(generated(&programs.join("s0"), &share)?);
    let examples = share.join("doc/session0/examples");
    for file in files::list(&root.join("config/examples"))? {
        let name = file.file_name().unwrap_or_default().to_owned();
        items.push(Item::file(file, examples.join(name)));
    }
    Ok(items)
}

/// Man pages and completions, as the program itself describes its command line.
fn generated(s0: &Path, share: &Path) -> Result<Vec<Item>, Stop> {
    let pages = target_directory()?.join("man");
    let _ = std::fs::remove_dir_all(&pages);
    run(Command::new(s0).args(["generate", "man"]).arg(&pages))?;
    let mut items = Vec::new();
    for page in files::list(&pages)? {
        let name = page.file_name().unwrap_or_default().to_owned();
        items.push(Item::file(page, share.join("man/man1").join(name)));
    }
    for (shell, path) in [
        ("bash", "bash-completion/completions/s0"),
        ("zsh", "zsh/site-functions/_s0"),
        ("fish", "fish/vendor_completions.d/s0.fish"),
    ] {
        let text = run(Command::new(s0).args(["generate", "completions", shell]))?;
        items.push(Item::text(text, share.join(path), 0o644));
    }
    Ok(items)
}

fn run(command: &mut Command) -> Result<Vec<u8>, Stop> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(output.stdout),
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(format!("{command:?} failed: {why}").into())
        }
        Err(error) => Err(format!("could not run {command:?}: {error}").into()),
    }
}

/// Puts everything in its place and says so.
fn put(place: &Place, items: &[Item]) -> Result<(), Stop> {
    let before = Manifest::read(place)?;
    let settings = std::fs::read(workspace().join("config/host.toml"))
        .map_err(|error| format!("could not read config/host.toml: {error}"))?;
    let mut manifest = before.clone().unwrap_or_default().without_files();
    let kept = files::put_settings(place, Path::new(SETTINGS), &settings, &mut manifest)?;
    manifest.directory(place, Path::new("/etc/session0/services"))?;
    for item in items {
        item.put(place, &mut manifest)?;
        say(&format!("  {}", place.at(item.path()).display()));
    }
    say(&format!("  {}", place.at(Path::new(SETTINGS)).display()));
    if let Some(kept) = kept {
        let reference = place.inner().join("host.toml");
        say(&format!("kept {}: you have changed it; as it comes: {}", kept.display(), reference.display()));
    }
    // What an older version had and this one has not.
    for path in before.iter().flat_map(Manifest::files).filter(|path| !manifest.has(path)) {
        files::remove(&place.at(path))?;
        say(&format!("removed {}", place.at(path).display()));
    }
    manifest.write(place)?;
    Ok(())
}

fn next_command(place: &Place) -> String {
    let s0 = place.prefix.join("bin/s0");
    if is_up() {
        return format!("session0 is up, still as it was. Next: {} upgrade", s0.display());
    }
    if Path::new("/run/systemd/system").exists() {
        return "next: systemctl enable --now session0".to_owned();
    }
    if Path::new("/sbin/openrc-run").exists() {
        return "next: rc-update add session0 && rc-service session0 start".to_owned();
    }
    format!("next: {} up (neither systemd nor OpenRC runs here)", s0.display())
}

fn tell_service_manager() {
    if Path::new("/run/systemd/system").exists() {
        let _ = Command::new("systemctl").arg("daemon-reload").status();
    }
}

/// Nothing may be left that starts what is no longer there.
fn disable() {
    if Path::new("/run/systemd/system").exists() {
        let _ = Command::new("systemctl").args(["--quiet", "disable", "session0.service"]).status();
    } else if Path::new("/sbin/openrc-run").exists() {
        let _ = Command::new("rc-update").args(["--quiet", "delete", "session0"]).status();
    }
}

/// Whether a keeper or a daemon of this machine runs: it holds its lock.
fn is_up() -> bool {
    ["/run/session0/keeper.lock", "/run/session0/daemon.lock"].iter().any(|path| {
        std::fs::File::open(path).is_ok_and(|file| {
            let how = rustix::fs::FlockOperation::NonBlockingLockShared;
            rustix::fs::flock(&file, how).is_err_and(|error| error == rustix::io::Errno::WOULDBLOCK)
        })
    })
}

#[cfg(test)]
mod tests;
