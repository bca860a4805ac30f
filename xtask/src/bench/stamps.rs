//! The file in which the measured services leave the time of their first instruction (`stamp.c`).

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::Outcome;

/// Bytes of one slot, as in `stamp.c`.
const SLOT: usize = 64;
/// What the program maps at a time.
const PAGE: usize = 65536;
/// How long the bench sleeps between two looks. The time itself is stamped by the service, so this adds nothing
/// to a figure; it is long enough not to take a CPU away from the manager.
const LOOK: Duration = Duration::from_micros(500);

/// Nanoseconds of CLOCK_MONOTONIC, the clock the services stamp with.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Milliseconds between two times of [`now`].
pub fn milliseconds(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
}

/// Compiles `stamp.c` into a static program at `to`.
pub fn compile(to: &Path) -> Outcome<()> {
    compile_with(to, &[])
}

/// Compiles it as a login shell, which writes into this file; the user with this uid has slot 0.
pub fn compile_shell(to: &Path, file: &Path, uid: u32) -> Outcome<()> {
    compile_with(to, &[format!("-DSTAMP_FILE=\"{}\"", file.display()), format!("-DSTAMP_UID={uid}")])
}

fn compile_with(to: &Path, definitions: &[String]) -> Outcome<()> {
    let source = to.with_extension("c");
    fs::write(&source, include_str!("stamp.c")).map_err(|e| format!("writing {}: {e}", source.display()))?;
    let output = Command::new("cc")
        .args(["-static", "-nostdlib", "-O2", "-fno-stack-protector", "-Wl,-z,noexecstack", "-o"])
        .args([to, &source])
        .args(definitions)
        .output()
        .map_err(|e| format!("running the C compiler cc: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("compiling {}: {}", source.display(), String::from_utf8_lossy(&output.stderr)))
}

/// One slot as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Instances so far.
    pub instances: u64,
    /// When the newest had its first instruction.
    pub at: u64,
}

/// The shared file of one fleet of services.
pub struct Stamps {
    file: File,
    path: PathBuf,
    count: usize,
}

impl Stamps {
    /// Makes the file for `count` services, all slots zero.
    pub fn create(path: &Path, count: usize) -> Outcome<Self> {
        let fail = |e| format!("making {}: {e}", path.display());
        let file =
            File::options().read(true).write(true).create(true).truncate(true).open(path).map_err(fail)?;
        file.set_len((count * SLOT).next_multiple_of(PAGE) as u64).map_err(fail)?;
        // A service may run under any account.
        file.set_permissions(Permissions::from_mode(0o666)).map_err(fail)?;
        Ok(Self { file, path: path.to_path_buf(), count })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Services that have a slot.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Reads one slot. The services write through a mapping, which the kernel keeps the same as reads.
    pub fn read(&self, index: usize) -> Outcome<Slot> {
        let mut bytes = [0; SLOT];
        self.file
            .read_exact_at(&mut bytes, (index * SLOT) as u64)
            .map_err(|e| format!("reading {}: {e}", self.path.display()))?;
        Ok(slot(&bytes))
    }

    /// Reads all slots.
    pub fn read_all(&self) -> Outcome<Vec<Slot>> {
        let mut bytes = vec![0; self.count * SLOT];
        self.file
            .read_exact_at(&mut bytes, 0)
            .map_err(|e| format!("reading {}: {e}", self.path.display()))?;
        Ok(bytes.chunks_exact(SLOT).map(slot).collect())
    }

    /// Waits until service `index` had `instances` instances; the time of the newest one's first instruction.
    pub fn wait(&self, index: usize, instances: u64, patience: Duration) -> Outcome<u64> {
        let end = now() + nanoseconds(patience);
        loop {
            let slot = self.read(index)?;
            if slot.instances >= instances {
                return Ok(slot.at);
            }
            if now() > end {
                return Err(format!("service {index} had no instance {instances} within {patience:?}"));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until every service had an instance; the time of the last one's first instruction.
    pub fn wait_all(&self, patience: Duration) -> Outcome<u64> {
        let end = now() + nanoseconds(patience);
        loop {
            let slots = self.read_all()?;
            let begun = slots.iter().filter(|slot| slot.instances > 0).count();
            if begun == self.count {
                return Ok(slots.iter().map(|slot| slot.at).max().unwrap_or(0));
            }
            if now() > end {
                return Err(format!("only {begun} of {} services began within {patience:?}", self.count));
            }
            // Reading all slots costs more than reading one, and the managers are busy now.
            std::thread::sleep(LOOK * 10);
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn slot(bytes: &[u8]) -> Slot {
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_ne_bytes(word)
    };
    Slot { instances: word(0), at: word(8) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_read_as_the_program_writes_it() {
        let mut bytes = [0; SLOT];
        bytes[..8].copy_from_slice(&3u64.to_ne_bytes());
        bytes[8..16].copy_from_slice(&17u64.to_ne_bytes());
        assert_eq!(slot(&bytes), Slot { instances: 3, at: 17 });
    }
}
