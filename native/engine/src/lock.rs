//! Who has a table's directory: the kernel's lock between OS processes, a register within this one.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use parking_lot::{Condvar, Mutex};

use crate::io::{self, Storage};
use crate::{Error, Result};

pub mod snapshot;

/// Tells the holder's pid, for messages only. Never unlinked while the table exists.
pub const PID_FILE: &str = "LOCK";

type Id = (u64, u64);

/// The directories that this process holds; `true` while one is being taken or given up: whoever comes then waits. Only a lock that is held keeps a
/// directory's number from being another's, once it is removed.
static HELD: LazyLock<(Mutex<HashMap<Id, bool>>, Condvar)> = LazyLock::new(Default::default);

/// A held directory.
#[derive(Debug)]
pub struct DirLock {
    /// `None` for a snapshot, which shuts nobody out.
    id: Option<Id>,
    kernel: Option<Box<dyn io::Lock>>,
}

impl DirLock {
    /// Takes an existing directory for writing. Waits while another table of this process on it is being closed, or just takes it.
    pub fn take(storage: &Arc<dyn Storage>, dir: &Path) -> Result<DirLock> {
        let held = Self::take_silently(storage, dir)?;
        tell_pid(&**storage, dir)?;
        Ok(held)
    }

    /// The same, without a change to the directory: whoever is refused meanwhile is told of an earlier holder.
    pub fn take_silently(storage: &Arc<dyn Storage>, dir: &Path) -> Result<DirLock> {
        let id = register(&**storage, dir)?;
        let mut held = DirLock {
            id: Some(id),
            kernel: None,
        };
        held.kernel = Some(lock(&**storage, dir, id)?);
        held.now(false);
        Ok(held)
    }

    /// The hold of a snapshot on its files.
    pub fn for_reading(kernel: Option<Box<dyn io::Lock>>) -> DirLock {
        DirLock { id: None, kernel }
    }

    /// Says that the holder is about to let go: who comes from now on waits.
    pub fn closing(&self) {
        self.now(true);
    }

    fn now(&self, changing: bool) {
        if let Some(id) = self.id {
            HELD.0.lock().insert(id, changing);
            HELD.1.notify_all();
        }
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        self.closing();
        self.kernel = None;
        if let Some(id) = self.id {
            HELD.0.lock().remove(&id);
            HELD.1.notify_all();
        }
    }
}

fn register(storage: &dyn Storage, dir: &Path) -> Result<Id> {
    let mut held = HELD.0.lock();
    loop {
        let id = dir_id(storage, dir)?;
        match held.get(&id) {
            None => {
                held.insert(id, true);
                return Ok(id);
            }
            Some(false) => {
                return Err(Error::AlreadyOpen {
                    dir: dir.to_path_buf(),
                });
            }
            Some(true) => HELD.1.wait(&mut held),
        }
    }
}

fn lock(storage: &dyn Storage, dir: &Path, id: Id) -> Result<Box<dyn io::Lock>> {
    let failed = |e| Error::io("lock", dir, e);
    let Some(lock) = storage.lock(dir, false).map_err(failed)? else {
        return Err(Error::Locked {
            dir: dir.to_path_buf(),
            pid: told_pid(storage, dir),
        });
    };
    // The directory may have been replaced between the look at its identity and the lock.
    if lock.id().map_err(failed)? != id || dir_id(storage, dir)? != id {
        return Err(failed(std::io::Error::new(
            ErrorKind::NotFound,
            "the directory was replaced while it was opened",
        )));
    }
    Ok(lock)
}

fn dir_id(storage: &dyn Storage, dir: &Path) -> Result<Id> {
    let stat = storage.stat_follow(dir).map_err(|e| Error::io("open", dir, e))?;
    match stat {
        Some(stat) if stat.kind == io::Kind::Dir => Ok(stat.id),
        Some(_) => Err(Error::NotATable {
            path: dir.to_path_buf(),
            what: "it is not a directory",
        }),
        None => Err(Error::NoTable {
            dir: dir.to_path_buf(),
        }),
    }
}

fn tell_pid(storage: &dyn Storage, dir: &Path) -> Result<()> {
    let path = pid_path(dir);
    let file = match storage.open(&path, true) {
        Err(e) if e.kind() == ErrorKind::NotFound => storage.create(&path),
        opened => opened,
    };
    let file = file.map_err(|e| Error::io("open", &path, e))?;
    let text = format!("{}\n", std::process::id());
    file.truncate(0)
        .and_then(|()| file.write_at(text.as_bytes(), 0))
        .map_err(|e| Error::io("write", &path, e))
}

fn told_pid(storage: &dyn Storage, dir: &Path) -> Option<u32> {
    let file = storage.open(&pid_path(dir), false).ok()?;
    let len = file.len().ok()?.min(20);
    let mut text = vec![0; len as usize];
    file.read_at(&mut text, 0).ok()?;
    std::str::from_utf8(&text).ok()?.trim().parse().ok()
}

fn pid_path(dir: &Path) -> PathBuf {
    dir.join(PID_FILE)
}
