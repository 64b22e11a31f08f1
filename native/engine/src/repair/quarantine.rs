//! Keeping what was damaged: `quarantine`, a folder in the table's directory.
//!
//! A file is put there as a second name of itself, so its bytes are those that were found, it takes no room, and an interrupted
//! repair leaves it where it was too. Nothing is ever replaced there, and nothing there is ever read or removed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::io::{Kind, Storage};
use crate::{Error, Result};

/// The folder's name.
pub const FOLDER: &str = "quarantine";
/// A file is copied in pieces of so many bytes where it cannot have two names.
const COPY_LEN: usize = 1 << 20;

/// Puts files of `dir` into its quarantine, durably. Gives where they are now, too.
pub fn keep(storage: &dyn Storage, dir: &Path, names: &[String]) -> Result<Vec<PathBuf>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let folder = dir.join(FOLDER);
    match storage.stat(&folder).map_err(|e| Error::io("open", &folder, e))? {
        Some(stat) if stat.kind == Kind::Dir => {}
        Some(_) => {
            return Err(Error::NotATable {
                path: folder,
                what: "only a directory may have this name",
            });
        }
        None => storage
            .create_dir_all(&folder)
            .map_err(|e| Error::io("create", &folder, e))?,
    }
    let kept = names
        .iter()
        .map(|name| keep_one(storage, &dir.join(name), &folder, name))
        .collect::<Result<Vec<_>>>()?;
    for dir in [&folder, dir] {
        storage.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))?;
    }
    Ok(kept)
}

fn keep_one(storage: &dyn Storage, from: &Path, folder: &Path, name: &str) -> Result<PathBuf> {
    let id = |path: &Path| match storage.stat(path) {
        Ok(stat) => Ok(stat.map(|stat| stat.id)),
        Err(e) => Err(Error::io("open", path, e)),
    };
    let mut to = folder.join(name);
    for n in 1u32.. {
        match storage.link(from, &to) {
            Ok(()) => break,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                // A repair that was interrupted has put it there.
                if id(&to)? == id(from)? {
                    break;
                }
                to = folder.join(format!("{name}.{n}"));
            }
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(Error::io("open", from, e)),
            // Not every file system has second names.
            Err(_) => match copy(storage, from, &to) {
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
                    to = folder.join(format!("{name}.{n}"));
                }
                done => {
                    done?;
                    break;
                }
            },
        }
    }
    Ok(to)
}

fn copy(storage: &dyn Storage, from: &Path, to: &Path) -> Result<()> {
    let read_error = |e| Error::io("read", from, e);
    let write_error = |e| Error::io("write", to, e);
    let source = storage.open(from, false).map_err(read_error)?;
    let source = super::patient::Patient::new(source);
    let target = storage.create(to).map_err(|e| Error::io("create", to, e))?;
    let len = crate::io::File::len(&source).map_err(read_error)?;
    let mut buf = vec![0; COPY_LEN];
    let mut pos = 0;
    while pos < len {
        let piece = &mut buf[..(len - pos).min(COPY_LEN as u64) as usize];
        crate::io::File::read_at(&source, piece, pos).map_err(read_error)?;
        target.write_at(piece, pos).map_err(write_error)?;
        pos += piece.len() as u64;
    }
    target.sync().map_err(|e| Error::io("sync", to, e))
}
