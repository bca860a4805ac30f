//! Where the host's socket is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The socket's place, also inside every session.
pub const SOCKET: &str = "/run/session0/api";

/// Finds the socket: what is given explicitly; else the environment's `SESSION0_SOCKET`; else
/// [`SOCKET`] below `SESSION0_ROOT`, which is empty for the machine itself.
pub fn socket(explicit: Option<&Path>) -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    choose(explicit, variable("SESSION0_SOCKET").as_deref(), variable("SESSION0_ROOT").as_deref())
}

/// The socket of the host whose root directory this is.
pub fn below(root: &Path) -> PathBuf {
    root.join(SOCKET.trim_start_matches('/'))
}

fn choose(explicit: Option<&Path>, socket: Option<&OsStr>, root: Option<&OsStr>) -> PathBuf {
    match (explicit, socket, root) {
        (Some(path), _, _) => path.to_path_buf(),
        (None, Some(path), _) => PathBuf::from(path),
        (None, None, Some(root)) => below(Path::new(root)),
        (None, None, None) => PathBuf::from(SOCKET),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_particular_place_wins() {
        let (given, socket, root) = (Path::new("/g"), OsStr::new("/s"), OsStr::new("/r"));
        assert_eq!(choose(Some(given), Some(socket), Some(root)), Path::new("/g"));
        assert_eq!(choose(None, Some(socket), Some(root)), Path::new("/s"));
        assert_eq!(choose(None, None, Some(root)), Path::new("/r/run/session0/api"));
        assert_eq!(choose(None, None, None), Path::new("/run/session0/api"));
    }
}
