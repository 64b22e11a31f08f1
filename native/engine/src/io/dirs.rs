//! Making a directory with its parents so that all of them are there after a power loss.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use super::{Kind, Storage};

/// Creates `dir` and its missing parents with `mkdir`, and syncs the parent of each.
///
/// The parent of the deepest directory that is already there is synced as well: whoever made that one may have been
/// killed before its sync.
pub(super) fn create_all(fs: &dyn Storage, dir: &Path, mkdir: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let mut missing = Vec::new();
    let mut existing = or_here(dir);
    while !is_dir(fs, existing)? {
        missing.push(existing);
        existing = or_here(existing.parent().unwrap_or(Path::new("/")));
    }
    match fs.sync_dir(&existing.join("..")) {
        Err(e) if !is_not_ours(&e) => return Err(e),
        _ => {}
    }
    for dir in missing.into_iter().rev() {
        match mkdir(dir) {
            // Another process can be making the same one.
            Err(e) if e.kind() == ErrorKind::AlreadyExists && is_dir(fs, dir)? => {}
            other => other?,
        }
        fs.sync_dir(or_here(dir.parent().unwrap_or(Path::new("/"))))?;
    }
    Ok(())
}

/// Whether a directory stands there; an error if something else does.
fn is_dir(fs: &dyn Storage, path: &Path) -> Result<bool> {
    match fs.stat_follow(path)? {
        Some(stat) if stat.kind == Kind::Dir => Ok(true),
        Some(_) => Err(ErrorKind::NotADirectory.into()),
        None => Ok(false),
    }
}

/// Directories far up may be closed to us, or may not be able to sync; then they were not made by us either.
fn is_not_ours(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::InvalidInput
    )
}

/// The parent of a relative name is the empty path, which means the working directory.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}
