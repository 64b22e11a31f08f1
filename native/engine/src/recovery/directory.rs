//! The directory of a table that is to be opened: whether there is a table in it, which files are the table's, and making a new one.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::format::checkpoint::FILE as CHECKPOINT_FILE;
use crate::format::clock::FILE as CLOCK_FILE;
use crate::format::hint;
use crate::format::manifest::{BadManifest, DELETED_FILE, FILE, MAX_LEN, Manifest, NEW_FILE};
use crate::format::segment::parse_file_name;
use crate::io::{Kind, Storage};
use crate::lock::{DirLock, PID_FILE, snapshot};
use crate::log::{STAGE_FILE, publish};
use crate::table::{Config, Meta, Open};
use crate::{Error, Result};

/// So often at most is a directory made that others remove before it is locked.
const MAKE_ATTEMPTS: u32 = 100;

/// Refuses a directory without a table, before its lock is taken.
pub(crate) fn require_table(storage: &dyn Storage, dir: &Path) -> Result<()> {
    for name in [FILE, DELETED_FILE] {
        let path = dir.join(name);
        match storage.stat(&path) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => {}
            Err(e) if e.kind() == ErrorKind::NotADirectory => {
                return Err(Error::NotATable {
                    path: dir.to_path_buf(),
                    what: "it is not a directory",
                });
            }
            Err(e) => return Err(Error::io("open", &path, e)),
        }
    }
    let segments = match storage.list(dir) {
        Ok(names) => names.iter().any(|name| parse_file_name(name).is_some()),
        Err(e) if e.kind() == ErrorKind::NotFound => false,
        Err(e) => return Err(Error::io("open", dir, e)),
    };
    if segments {
        // A manifest can be lost by damage only: deleting a table leaves a file of another name until its segments are gone.
        return Err(Error::Missing { path: dir.join(FILE) });
    }
    Err(Error::NoTable {
        dir: dir.to_path_buf(),
    })
}

/// Locks a directory, which is made if it is not there. Who deletes a table holds the lock until the directory is gone, so one that was there a moment ago may not be
/// any more: then it is made again.
pub(super) fn make_and_lock(storage: &Arc<dyn Storage>, dir: &Path) -> Result<DirLock> {
    for _ in 1..MAKE_ATTEMPTS {
        create_dir(&**storage, dir)?;
        match DirLock::take(storage, dir) {
            Err(Error::NoTable { .. }) => {}
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            other => return other,
        }
    }
    create_dir(&**storage, dir)?;
    DirLock::take(storage, dir)
}

fn create_dir(storage: &dyn Storage, dir: &Path) -> Result<()> {
    match storage.stat_follow(dir) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => storage.create_dir_all(dir).map_err(|e| match e.kind() {
            ErrorKind::NotADirectory => Error::NotATable {
                path: dir.to_path_buf(),
                what: "a part of its path is not a directory",
            },
            _ => Error::io("create", dir, e),
        }),
        Err(e) if e.kind() == ErrorKind::NotADirectory => Err(Error::NotATable {
            path: dir.to_path_buf(),
            what: "a part of its path is not a directory",
        }),
        Err(e) => Err(Error::io("open", dir, e)),
    }
}

/// The names in a directory that belong to a table; each must be a regular file.
pub(crate) fn table_files(storage: &dyn Storage, dir: &Path) -> Result<Vec<String>> {
    let mut names = storage.list(dir).map_err(|e| Error::io("list", dir, e))?;
    names.retain(|name| {
        [
            FILE,
            NEW_FILE,
            DELETED_FILE,
            PID_FILE,
            snapshot::FILE,
            STAGE_FILE,
            CHECKPOINT_FILE,
            CLOCK_FILE,
        ]
        .contains(&name.as_str())
            || parse_file_name(name).is_some()
            || hint::parse_file_name(name).is_some()
    });
    for name in &names {
        let path = dir.join(name);
        let stat = storage.stat(&path).map_err(|e| Error::io("open", &path, e))?;
        if stat.is_some_and(|stat| stat.kind != Kind::File) {
            return Err(Error::NotATable {
                path,
                what: "only a regular file may have this name",
            });
        }
    }
    Ok(names)
}

/// The manifest of a table.
pub(crate) fn read_manifest(storage: &dyn Storage, dir: &Path) -> Result<Manifest> {
    let path = dir.join(FILE);
    let file = storage
        .open(&path, false)
        .map_err(|e| Error::io("open", &path, e))?;
    let len = file.len().map_err(|e| Error::io("read", &path, e))?;
    if len > MAX_LEN {
        return Err(Error::Damaged {
            path,
            offset: 0,
            what: "the manifest is too long",
        });
    }
    let mut bytes = vec![0; len as usize];
    file.read_at(&mut bytes, 0)
        .map_err(|e| Error::io("read", &path, e))?;
    Manifest::decode(&bytes).map_err(|bad| match bad {
        BadManifest::Newer(version) => Error::NewerVersion {
            path,
            version,
            supported: crate::format::VERSION,
        },
        BadManifest::Wrong(what) => Error::Damaged {
            path,
            offset: 0,
            what,
        },
    })
}

/// Refuses a table of another type or keypos than was asked for.
pub(crate) fn check_meta(stored: &Meta, open: &Open) -> Result<()> {
    let (kind, keypos) = match open {
        Open::Existing { kind, keypos } => (*kind, *keypos),
        Open::OrCreate(meta) => (Some(meta.kind), Some(meta.keypos)),
    };
    let asked = [
        ("type", stored.kind as u32, kind.map(|kind| kind as u32)),
        ("keypos", stored.keypos, keypos),
    ];
    for (property, stored, asked) in asked {
        if let Some(asked) = asked.filter(|asked| *asked != stored) {
            return Err(Error::Mismatch {
                property,
                stored,
                asked,
            });
        }
    }
    Ok(())
}

/// A new table's manifest, published before there is any segment: a directory with segments and no manifest is always damage.
pub(super) fn first_manifest(
    storage: &dyn Storage,
    dir: &Path,
    meta: &Meta,
    config: &Config,
) -> Result<Manifest> {
    let random = || {
        config
            .seed
            .unwrap_or_else(|| RandomState::new().build_hasher().finish())
    };
    let manifest = Manifest {
        generation: 1,
        table: random(),
        hash_seed: random(),
        last_seq: 0,
        clock_ms: 0,
        meta: meta.clone(),
        next_segment: 1,
        segments: Vec::new(),
        retired: Vec::new(),
    };
    publish(storage, dir, &manifest, !config.temporary).map_err(|failure| failure.error)?;
    Ok(manifest)
}

pub(super) fn orphans(names: &[String], manifest: &Manifest) -> Vec<u32> {
    let known = |id| manifest.segments.iter().any(|entry| entry.id == id) || manifest.retired.contains(&id);
    names
        .iter()
        .filter_map(|name| parse_file_name(name))
        .filter(|&id| !known(id))
        .collect()
}

/// Removes hints of segments that the manifest does not name. One that stays does no harm: no other segment will have its id.
pub(super) fn remove_orphaned_hints(
    storage: &dyn Storage,
    dir: &Path,
    names: &[String],
    manifest: &Manifest,
) {
    let named = |id| manifest.segments.iter().any(|entry| entry.id == id);
    let ids = names.iter().filter_map(|name| hint::parse_file_name(name));
    for id in ids.filter(|&id| !named(id)) {
        let _ = storage.unlink(&dir.join(hint::file_name(id)));
    }
}
