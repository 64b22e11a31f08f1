//! The lock by which snapshots keep files: whoever reads a table beside its writer holds it shared.
//!
//! A snapshot takes it before it reads the manifest. So whoever holds it alone for a moment, after a manifest is published, knows that no snapshot reads by an
//! earlier one. A writer makes the file when it opens the table: one who cannot make it himself, on a read-only mount, can still lock it.

use std::io::{ErrorKind, Result as IoResult};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::io::{Lock, Storage};
use crate::{Error, Result};

/// What is locked.
pub const FILE: &str = "snapshot.lock";

/// A writer holds the lock alone for as long as it takes to publish a manifest.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

/// Makes the file if it is not there.
pub fn make(storage: &dyn Storage, dir: &Path) -> Result<()> {
    let path = dir.join(FILE);
    match storage.create(&path) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(Error::io("create", &path, e)),
        _ => Ok(()),
    }
}

/// Holds the lock alone. `None` if a snapshot may be open.
pub fn alone(storage: &dyn Storage, dir: &Path) -> Option<Box<dyn Lock>> {
    make(storage, dir).ok()?;
    storage.lock(&dir.join(FILE), false).ok().flatten()
}

/// Holds the lock for a snapshot. `None` if there is no such file and none can be made.
pub fn hold(storage: &dyn Storage, dir: &Path) -> Result<Option<Box<dyn Lock>>> {
    let path = dir.join(FILE);
    let begin = Instant::now();
    loop {
        match try_hold(storage, &path) {
            Ok(Some(lock)) => return Ok(Some(lock)),
            Ok(None) if begin.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            Ok(None) => {
                return Err(Error::Locked {
                    dir: dir.to_path_buf(),
                    pid: super::told_pid(storage, dir),
                });
            }
            Err(e) if e.kind() == ErrorKind::NotFound => match storage.create(&path) {
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied
                    ) =>
                {
                    return Ok(None);
                }
                Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(Error::io("create", &path, e)),
                _ => {}
            },
            Err(e) => return Err(Error::io("lock", &path, e)),
        }
    }
}

/// `None` if it is held, or was removed with its table meanwhile.
fn try_hold(storage: &dyn Storage, path: &Path) -> IoResult<Option<Box<dyn Lock>>> {
    let Some(lock) = storage.lock(path, true)? else {
        return Ok(None);
    };
    let id = lock.id()?;
    let there = storage.stat(path)?;
    Ok(there.is_some_and(|stat| stat.id == id).then_some(lock))
}
