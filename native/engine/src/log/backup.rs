//! Backups: another directory with the same sealed segments.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::{Log, publish};
use crate::format::manifest::{Manifest, State};
use crate::io::File;
use crate::lock::DirLock;
use crate::segment::Segment;
use crate::{Error, Result};

/// Bytes that are copied in one go, where files cannot be linked.
const COPY_LEN: u64 = 1 << 20;

impl Log {
    /// Makes `to`, which must be empty or not there, a table with all records so far, by links to sealed segments or, on another file system, by copies. Gives the
    /// last seq that it has. What was made is removed again after an error. Nobody may remove sealed segments meanwhile.
    pub fn backup(&self, to: &Path) -> Result<u64> {
        let storage = &*self.storage;
        storage
            .create_dir_all(to)
            .map_err(|e| Error::io("create", to, e))?;
        let _lock = DirLock::take_silently(&self.storage, to)?;
        let names = storage.list(to).map_err(|e| Error::io("list", to, e))?;
        if !names.is_empty() {
            return Err(Error::NotATable {
                path: to.to_path_buf(),
                what: "something stands in it",
            });
        }
        self.rotate()?;
        let manifest = self.sealed_manifest();
        let last_seq = manifest.last_seq;
        let made = self.fill(to, &manifest);
        if made.is_err() {
            for name in storage.list(to).unwrap_or_default() {
                let _ = storage.unlink(&to.join(name));
            }
        }
        made.map(|()| last_seq)
    }

    /// The manifest of what is sealed.
    fn sealed_manifest(&self) -> Manifest {
        let mut manifest = self.maintenance.lock().manifest.clone();
        manifest.segments.retain(|entry| entry.state == State::Sealed);
        manifest.retired.clear();
        manifest.generation += 1;
        manifest.clock_ms = manifest.clock_ms.max(self.time.highest());
        manifest
    }

    /// Segments first: a directory that has some and no manifest is no table yet, and is not taken for an empty one.
    fn fill(&self, to: &Path, manifest: &Manifest) -> Result<()> {
        let storage = &*self.storage;
        for entry in &manifest.segments {
            let segment = {
                let segments = self.segments.hold();
                let found = segments.iter().flatten().find(|segment| segment.id == entry.id);
                Arc::clone(found.ok_or(Error::Missing {
                    path: to.to_path_buf(),
                })?)
            };
            let (from, target) = (
                segment.path(),
                to.join(crate::format::segment::file_name(entry.id)),
            );
            match storage.link(&from, &target) {
                Ok(()) => {}
                // Another file system, or one without links, or too many of them.
                Err(_) => self.copy(&segment, &target, entry.len)?,
            }
        }
        storage.sync_dir(to).map_err(|e| Error::io("sync", to, e))?;
        publish(storage, to, manifest, true).map_err(|failure| failure.error)
    }

    fn copy(&self, segment: &Segment, to: &Path, len: u64) -> Result<()> {
        let storage = &*self.storage;
        let from = segment
            .open(storage)
            .map_err(|e| Error::io("open", &segment.path(), e))?;
        let target: Arc<dyn File> = storage.create(to).map_err(|e| Error::io("create", to, e))?;
        let mut buf = Vec::new();
        let mut pos = 0;
        while pos < len {
            buf.resize(COPY_LEN.min(len - pos) as usize, 0);
            from.read_at(&mut buf, pos).map_err(|e| match e.kind() {
                ErrorKind::UnexpectedEof => Error::Damaged {
                    path: segment.path(),
                    offset: pos,
                    what: "the file is shorter than the manifest says",
                },
                _ => Error::io("read", &segment.path(), e),
            })?;
            target
                .write_at(&buf, pos)
                .map_err(|e| Error::io("write", to, e))?;
            pos += buf.len() as u64;
        }
        target.sync().map_err(|e| Error::io("sync", to, e))
    }
}
