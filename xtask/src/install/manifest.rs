//! What was installed: one line each, `file PATH` or `directory PATH`, without the destination directory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::files::{self, Place};

/// Files, and directories that were not there before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    files: BTreeSet<PathBuf>,
    directories: BTreeSet<PathBuf>,
}

impl Manifest {
    /// Reads the one of this place, if something is installed there.
    pub fn read(place: &Place) -> Result<Option<Manifest>, String> {
        let path = place.at(&place.manifest());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("could not read {}: {error}", path.display())),
        };
        let mut manifest = Manifest::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("file", path)) => manifest.files.insert(path.into()),
                Some(("directory", path)) => manifest.directories.insert(path.into()),
                _ => return Err(format!("{} is not a manifest of ours: {line:?}", path.display())),
            };
        }
        Ok(Some(manifest))
    }

    /// Writes it.
    pub fn write(&mut self, place: &Place) -> Result<(), String> {
        self.directory(place, &place.inner())?;
        let mut text = String::new();
        for (kind, paths) in [("file", &self.files), ("directory", &self.directories)] {
            for path in paths {
                text.push_str(&format!("{kind} {}\n", path.display()));
            }
        }
        files::write(&place.at(&place.manifest()), text.as_bytes(), 0o644)
    }

    /// Makes a directory and its parents, and remembers those that were not there.
    pub fn directory(&mut self, place: &Place, directory: &Path) -> Result<(), String> {
        let missing: Vec<&Path> = directory.ancestors().take_while(|path| !place.at(path).exists()).collect();
        for path in missing.into_iter().rev() {
            let there = place.at(path);
            std::fs::create_dir_all(&there)
                .and_then(|()| files::set_mode(&there, 0o755))
                .map_err(|error| format!("could not make {}: {error}", there.display()))?;
            self.directories.insert(path.to_owned());
        }
        Ok(())
    }

    /// Remembers a file.
    pub fn file(&mut self, path: &Path) {
        self.files.insert(path.to_owned());
    }

    /// Whether this file is one of them.
    pub fn has(&self, path: &Path) -> bool {
        self.files.contains(path)
    }

    /// Only the directories: what an installation over another one begins with.
    pub fn without_files(self) -> Manifest {
        Manifest { files: BTreeSet::new(), ..self }
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.iter()
    }

    /// The directories, inner ones first.
    pub fn directories(&self) -> impl Iterator<Item = &PathBuf> {
        self.directories.iter().rev()
    }
}
