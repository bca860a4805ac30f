//! The group all our sessions are below.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::{Controller, Mounts};
use crate::fault::{Context, Fault};

/// The base group, on v2 and on the v1 controllers that limits need.
#[derive(Debug)]
pub struct Base {
    mounts: Mounts,
    /// Below the mount points: one component, or the path of our delegated group.
    name: PathBuf,
    v2: OwnedFd,
    v1: [Option<OwnedFd>; 3],
    delegated: bool,
}

/// The child group of a delegated base where the host's own processes go (v2 allows controllers only below
/// groups without processes).
const HOST: &str = "host";

impl Base {
    /// Finds the base group for this root, without making anything: our own group if it is delegated to us, else
    /// `session0-<hash of root>` at the top.
    pub fn name_of(mounts: &Mounts, root: &Path) -> Result<PathBuf, Fault> {
        Ok(match Self::delegated(mounts)? {
            Some(path) => path,
            None => mounts.v2().join(format!("session0-{:08x}", hash(root))),
        })
    }

    pub(crate) fn delegated(mounts: &Mounts) -> Result<Option<PathBuf>, Fault> {
        let own = mounts.own_group()?;
        if own == mounts.v2() {
            return Ok(None);
        }
        if is_delegated(&own) {
            return Ok(Some(own));
        }
        // A daemon before us has moved the host's processes into the child.
        let parent = own.parent().filter(|_| own.file_name() == Some(OsStr::new(HOST)));
        Ok(parent.filter(|parent| is_delegated(parent)).map(Path::to_path_buf))
    }

    /// Finds or makes the base group, moves our own processes out of the way where it is a delegated one, and
    /// enables the v2 controllers that exist.
    pub fn open(root: &Path) -> Result<Base, Fault> {
        let what = "make the control group";
        let mounts = Mounts::find()?;
        let delegated = Self::delegated(&mounts)?;
        let path = Self::name_of(&mounts, root)?;
        let v2 = crate::files::make_directory(&path, 0o755)?;
        if delegated.is_some() {
            move_to_host(&v2).context(what, path.join(HOST).display())?;
        }
        let name = path.strip_prefix(mounts.v2()).unwrap_or(&path).to_path_buf();
        let mut base = Base { mounts, name, v2, v1: [None, None, None], delegated: delegated.is_some() };
        base.enable_controllers()?;
        for (index, controller) in Controller::ALL.into_iter().enumerate() {
            if let Some(mount) = base.mounts.v1_of(controller) {
                let path = mount.join(&base.name);
                base.v1[index] = Some(crate::files::make_directory(&path, 0o755)?);
            }
        }
        Ok(base)
    }

    fn enable_controllers(&self) -> Result<(), Fault> {
        let what = "enable controllers of";
        if !self.delegated {
            // The top group: controllers must be given to its children first. They usually are. In a container the
            // top is an ordinary group that the container's processes are in, and they are in the way.
            let top = crate::files::open_directory(self.mounts.v2())?;
            match enable(&self.mounts, top.as_fd()) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    move_to_host(&top).context(what, self.mounts.v2().display())?;
                    enable(&self.mounts, top.as_fd()).context(what, self.mounts.v2().display())?;
                }
                other => other.context(what, self.mounts.v2().display())?,
            }
        }
        enable(&self.mounts, self.v2.as_fd()).context(what, self.path().display())
    }

    /// The mounts it was found in.
    pub fn mounts(&self) -> &Mounts {
        &self.mounts
    }

    /// Its directory on v2.
    pub fn path(&self) -> PathBuf {
        self.mounts.v2().join(&self.name)
    }

    /// Its v2 directory.
    pub(super) fn v2(&self) -> &OwnedFd {
        &self.v2
    }

    /// Its v1 directory for one controller.
    pub(super) fn v1(&self, index: usize) -> Option<&OwnedFd> {
        self.v1[index].as_ref()
    }

    /// Removes the base group when no session is left. A delegated group stays: it is not ours to remove. Groups
    /// that are still in use stay.
    pub fn remove(self) -> Result<(), Fault> {
        if self.delegated {
            return Ok(());
        }
        let places = Controller::ALL.into_iter().filter_map(|controller| self.mounts.v1_of(controller));
        for mount in places.chain([self.mounts.v2()]) {
            let directory = crate::files::open_directory(mount)?;
            super::remove(directory.as_fd(), self.name.as_os_str())
                .context("remove the control group", mount.join(&self.name).display())?;
        }
        Ok(())
    }
}

/// Enables for the children of `group` what the machine has on v2. What the group itself was not given is left
/// out: the limits that need it then say so.
pub(super) fn enable(mounts: &Mounts, group: std::os::fd::BorrowedFd<'_>) -> std::io::Result<()> {
    let given = super::read(group, "cgroup.controllers")?;
    let enabled = super::read(group, "cgroup.subtree_control")?;
    for controller in Controller::ALL {
        let name = controller.name();
        let has = |text: &str| text.split_ascii_whitespace().any(|word| word == name);
        if mounts.v2_has(controller) && has(&given) && !has(&enabled) {
            super::write(group, "cgroup.subtree_control", &format!("+{name}"))?;
        }
    }
    Ok(())
}

fn is_delegated(group: &Path) -> bool {
    ["trusted.delegate", "user.delegate"].into_iter().any(|name| {
        let mut value = [0u8; 8];
        matches!(rustix::fs::getxattr(group, name, &mut value[..]), Ok(1) if value[0] == b'1')
    })
}

fn move_to_host(base: &OwnedFd) -> std::io::Result<()> {
    let host = super::make_group(base.as_fd(), OsStr::new(HOST))?;
    for process in super::processes(base.as_fd())? {
        match super::write(host.as_fd(), "cgroup.procs", &process.to_string()) {
            // It ended meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            other => other?,
        }
    }
    Ok(())
}

/// FNV-1a over the root's path: stable across versions, and nobody gains by a collision.
fn hash(root: &Path) -> u32 {
    use std::os::unix::ffi::OsStrExt;
    root.as_os_str()
        .as_bytes()
        .iter()
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
