//! Files that a log makes: segments, and the manifest that names them.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::format::manifest::{FILE, MAX_LEN, Manifest, NEW_FILE};
use crate::format::segment::{HEADER_LEN, header};
use crate::io::{File, Storage};
use crate::seeded::{self, Fault};
use crate::segment::Segment;
use crate::{Error, Result};

/// Creates a segment's file with its header, durable with its name if `durable`.
pub(crate) fn create_segment(
    storage: &dyn Storage,
    segment: &Segment,
    table: u64,
    durable: bool,
) -> Result<Arc<dyn File>> {
    let path = &segment.path();
    let file = storage.create(path).map_err(|e| Error::io("create", path, e))?;
    let made = (|| {
        let header: [u8; HEADER_LEN as usize] = header(segment.id, table);
        file.write_at(&header, 0)
            .map_err(|e| Error::io("write", path, e))?;
        if durable {
            file.sync().map_err(|e| Error::io("sync", path, e))?;
            let dir = path.parent().unwrap_or(Path::new("."));
            storage.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))?;
        }
        Ok(())
    })();
    if let Err(error) = made {
        let _ = storage.unlink(path);
        return Err(error);
    }
    Ok(file)
}

/// Why a manifest was not published.
#[derive(Debug)]
pub struct PublishFailure {
    /// The failure.
    pub error: Error,
    /// Whether the new manifest may stand all the same.
    pub outcome_unknown: bool,
}

/// Replaces the manifest in one step; but not by one that no opening would read.
pub fn publish(
    storage: &dyn Storage,
    dir: &Path,
    manifest: &Manifest,
    durable: bool,
) -> std::result::Result<(), PublishFailure> {
    let (path, new) = (dir.join(FILE), dir.join(NEW_FILE));
    let known = |error| PublishFailure {
        error,
        outcome_unknown: false,
    };
    let bytes = manifest.encode();
    if bytes.len() as u64 > MAX_LEN {
        return Err(known(Error::TooManySegments));
    }
    if Manifest::decode(&bytes).is_err() {
        let (offset, what) = (0, "no manifest that can be read follows this one");
        return Err(known(Error::Damaged { path, offset, what }));
    }
    match storage.unlink(&new) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(known(Error::io("remove", &new, e))),
        _ => {}
    }
    let file = storage
        .create(&new)
        .map_err(|e| known(Error::io("create", &new, e)))?;
    file.write_at(&bytes, 0)
        .map_err(|e| known(Error::io("write", &new, e)))?;
    if durable {
        file.sync().map_err(|e| known(Error::io("sync", &new, e)))?;
    }
    storage
        .rename(&new, &path)
        .map_err(|e| known(Error::io("rename", &new, e)))?;
    if durable && !seeded::has(Fault::DirNotSynced) {
        storage.sync_dir(dir).map_err(|e| PublishFailure {
            error: Error::io("sync", dir, e),
            outcome_unknown: true,
        })?;
    }
    Ok(())
}
