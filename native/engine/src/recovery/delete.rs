//! Deleting a table, so that after a crash there is the whole table or none.

use std::io::ErrorKind;
use std::path::Path;

use crate::format::checkpoint::FILE as CHECKPOINT_FILE;
use crate::format::clock::FILE as CLOCK_FILE;
use crate::format::hint;
use crate::format::manifest::{DELETED_FILE, FILE, NEW_FILE};
use crate::format::segment::parse_file_name;
use crate::io::Storage;
use crate::lock::{PID_FILE, snapshot};
use crate::log::STAGE_FILE;
use crate::{Error, Result};

/// Deletes the table in `dir`, whose lock the caller holds, then the directory if nothing else is in it.
pub fn delete(storage: &dyn Storage, dir: &Path) -> Result<()> {
    let (from, to) = (dir.join(FILE), dir.join(DELETED_FILE));
    storage
        .rename(&from, &to)
        .map_err(|e| Error::io("rename", &from, e))?;
    finish(storage, dir)?;
    remove(storage, &dir.join(snapshot::FILE))?;
    remove(storage, &dir.join(PID_FILE))?;
    match storage.remove_dir(dir) {
        Ok(()) => sync_dir(storage, dir.parent().unwrap_or(Path::new("."))),
        // What else is in it is not the table's.
        Err(_) => Ok(()),
    }
}

/// Removes the files of a table whose manifest was renamed. The renamed manifest goes last: while a segment is there, it is there.
pub(super) fn finish(storage: &dyn Storage, dir: &Path) -> Result<()> {
    // Before anything goes, the renaming is durable; whoever renamed may have died before that.
    sync_dir(storage, dir)?;
    for name in storage.list(dir).map_err(|e| Error::io("list", dir, e))? {
        let is_part = parse_file_name(&name).is_some() || hint::parse_file_name(&name).is_some();
        if is_part || [NEW_FILE, STAGE_FILE, CHECKPOINT_FILE, CLOCK_FILE].contains(&name.as_str()) {
            remove(storage, &dir.join(name))?;
        }
    }
    sync_dir(storage, dir)?;
    remove(storage, &dir.join(DELETED_FILE))?;
    sync_dir(storage, dir)
}

fn remove(storage: &dyn Storage, path: &Path) -> Result<()> {
    match storage.unlink(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove", path, e)),
        _ => Ok(()),
    }
}

fn sync_dir(storage: &dyn Storage, dir: &Path) -> Result<()> {
    storage.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))
}
