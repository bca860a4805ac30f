//! Where everything of ours lies: below the root directory, which is the machine's own unless `--root` says otherwise.

use std::path::{Path, PathBuf};

/// The prefix of every path of ours. Empty means the machine itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Root(PathBuf);

impl Root {
    /// Takes `--root`; `/` and nothing are the machine. A relative path counts from here.
    pub fn new(path: Option<&Path>) -> Root {
        let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else { return Root::default() };
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // `components` drops a slash at the end, without which O_NOFOLLOW would not see a link.
        let tidy: PathBuf = absolute.components().collect();
        if tidy == Path::new("/") { Root::default() } else { Root(tidy) }
    }

    /// Whether this is the machine's own.
    pub fn is_machine(&self) -> bool {
        self.0.as_os_str().is_empty()
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        if self.is_machine() { Path::new("/") } else { &self.0 }
    }

    /// A path of ours, given without a slash at its beginning.
    pub fn path(&self, below: &str) -> PathBuf {
        self.directory().join(below)
    }

    /// Runtime files: locks, sockets.
    pub fn run(&self, name: &str) -> PathBuf {
        self.path("run/session0").join(name)
    }

    /// The outer API socket.
    pub fn socket(&self) -> PathBuf {
        self.run("api")
    }

    /// What `s0` needs before a verb to mean this root, with a space at the end: `--root /tmp/x `, or nothing where the
    /// environment says it already.
    pub fn flag(&self) -> String {
        let environment = std::env::var_os("SESSION0_ROOT").filter(|root| !root.is_empty());
        if self.is_machine() || environment.is_some_and(|root| Root::new(Some(Path::new(&root))) == *self) {
            return String::new();
        }
        format!("--root {} ", self.0.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_root_and_the_slash_are_the_machine() {
        assert!(Root::new(None).is_machine());
        assert!(Root::new(Some(Path::new(""))).is_machine());
        assert!(Root::new(Some(Path::new("/"))).is_machine());
        assert_eq!(Root::new(None).socket(), Path::new("/run/session0/api"));
        assert_eq!(Root::new(None).flag(), "");
    }

    #[test]
    fn a_root_is_absolute_and_prefixes_every_path() {
        let root = Root::new(Some(Path::new("/tmp/trial/")));
        assert_eq!(root.socket(), Path::new("/tmp/trial/run/session0/api"));
        assert_eq!(root.flag(), "--root /tmp/trial ");
        assert!(Root::new(Some(Path::new("trial"))).directory().is_absolute());
    }
}
