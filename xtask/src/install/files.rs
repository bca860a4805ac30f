//! Files in their places. A file appears whole or not at all, also over a program that is running.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::manifest::Manifest;

/// Where it is installed: the prefix as the machine will see it, and the directory a package is made of.
#[derive(Debug, Clone)]
pub struct Place {
    /// /usr/local, /usr, /opt/...
    pub prefix: PathBuf,
    /// In front of every path, if given.
    pub destdir: Option<PathBuf>,
}

impl Place {
    /// A path as it is while we install.
    pub fn at(&self, path: &Path) -> PathBuf {
        match &self.destdir {
            Some(destdir) => destdir.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    /// Where our own programs look for each other.
    pub fn inner(&self) -> PathBuf {
        self.prefix.join("lib/session0")
    }

    /// The list of what was installed.
    pub fn manifest(&self) -> PathBuf {
        self.inner().join("manifest")
    }

    /// Where systemd looks for units that come with software of this prefix.
    pub fn systemd(&self) -> PathBuf {
        if self.prefix == Path::new("/usr") || self.prefix == Path::new("/usr/local") {
            self.prefix.join("lib/systemd/system")
        } else {
            PathBuf::from("/etc/systemd/system")
        }
    }
}

/// One file to install.
#[derive(Debug)]
pub struct Item {
    path: PathBuf,
    mode: u32,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Of(PathBuf),
    Text(Vec<u8>),
}

impl Item {
    /// A program that was built.
    pub fn program(from: PathBuf, path: PathBuf) -> Item {
        Item { path, mode: 0o755, content: Content::Of(from) }
    }

    /// A file of the repository.
    pub fn file(from: PathBuf, path: PathBuf) -> Item {
        Item { path, mode: 0o644, content: Content::Of(from) }
    }

    /// A text made here.
    pub fn text(text: Vec<u8>, path: PathBuf, mode: u32) -> Item {
        Item { path, mode, content: Content::Text(text) }
    }

    /// Where it goes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same below another directory, if it is below this one.
    pub fn moved(mut self, from: &str, to: &str) -> Item {
        if let Ok(rest) = self.path.strip_prefix(from) {
            self.path = Path::new(to).join(rest);
        }
        self
    }

    /// Puts it there, without a list: a package has its own.
    pub fn put_alone(&self, place: &Place) -> Result<(), String> {
        self.put(place, &mut Manifest::default())
    }

    /// Puts it there.
    pub fn put(&self, place: &Place, manifest: &mut Manifest) -> Result<(), String> {
        let read;
        let content = match &self.content {
            Content::Text(text) => text,
            Content::Of(from) => {
                read =
                    fs::read(from).map_err(|error| format!("could not read {}: {error}", from.display()))?;
                &read
            }
        };
        if let Some(parent) = self.path.parent() {
            manifest.directory(place, parent)?;
        }
        write(&place.at(&self.path), content, self.mode)?;
        manifest.file(&self.path);
        Ok(())
    }
}

/// A file of ours with the prefix in the place of /usr/local.
pub fn with_prefix(file: &Path, prefix: &Path) -> Result<Vec<u8>, String> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("could not read {}: {error}", file.display()))?;
    let prefix = prefix.to_str().ok_or_else(|| format!("the prefix {} is not text", prefix.display()))?;
    // The comment that says so goes with it.
    let lines = text.lines().filter(|line| !line.contains("in the place of /usr/local"));
    Ok(lines.map(|line| line.replace("/usr/local", prefix) + "\n").collect::<String>().into_bytes())
}

/// Files of a directory, sorted.
pub fn list(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(directory)
        .map_err(|error| format!("could not read {}: {error}", directory.display()))?;
    let mut files: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

/// Writes a file under a temporary name and renames it.
pub fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), String> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".session0-new");
    let new = path.with_file_name(name);
    let written =
        fs::write(&new, content).and_then(|()| set_mode(&new, mode)).and_then(|()| fs::rename(&new, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&new);
        format!("could not write {}: {error}", path.display())
    })
}

/// Sets permission bits, whatever the umask is.
pub fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Removes a file; one that is gone already is fine.
pub fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("could not remove {}: {error}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes a directory if nothing is in it any more: what others put there keeps it.
pub fn remove_if_empty(path: &Path) {
    let _ = fs::remove_dir(path);
}

/// Puts the settings there unless the administrator has changed them. Returns the path if they were kept.
pub fn put_settings(
    place: &Place,
    path: &Path,
    new: &[u8],
    manifest: &mut Manifest,
) -> Result<Option<PathBuf>, String> {
    let there = place.at(path);
    if let Some(parent) = path.parent() {
        manifest.directory(place, parent)?;
    }
    match fs::read(&there) {
        Ok(content) if content != new && as_installed(place).as_ref() != Some(&content) => Ok(Some(there)),
        _ => write(&there, new, 0o644).map(|()| None),
    }
}

/// Removes the settings unless the administrator has changed them. Returns the path if they were kept.
pub fn forget_settings(place: &Place, path: &Path) -> Result<Option<PathBuf>, String> {
    let there = place.at(path);
    match fs::read(&there) {
        Ok(content) if as_installed(place).as_ref() != Some(&content) => Ok(Some(there)),
        _ => remove(&there).map(|()| None),
    }
}

/// The settings as the installed version came with.
fn as_installed(place: &Place) -> Option<Vec<u8>> {
    fs::read(place.at(&place.inner().join("host.toml"))).ok()
}
