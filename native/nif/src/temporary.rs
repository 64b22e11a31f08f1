//! Directories for tables that have neither a name nor a directory.
//!
//! They stand in one directory a VM, on which the VM holds a kernel lock. So whoever gets that lock knows that the VM is
//! gone, whatever its process id is now and in whichever container it ran, and may sweep the directory away.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};

use bets_engine::Error;
use bets_engine::io::{Kind, Lock, Storage};
use parking_lot::Mutex;

use crate::storage::storage;

const PREFIX: &str = "bets-temporary-";

/// A table's directory holds no deeper tree than this.
const DEPTH_MAX: u32 = 4;

struct Base {
    path: PathBuf,
    /// Held, and never looked at, for as long as the VM uses the directory.
    _lock: Box<dyn Lock>,
    next: u64,
}

static BASE: Mutex<Option<Base>> = Mutex::new(None);

/// A path for a new temporary table below `root`; nothing stands there yet. Touches the disk the first time.
pub fn fresh(root: &Path) -> Result<PathBuf, Error> {
    let mut base = BASE.lock();
    let base = match base.as_mut() {
        Some(base) => base,
        None => base.insert(make_base(&**storage(), root)?),
    };
    base.next += 1;
    Ok(base.path.join(base.next.to_string()))
}

fn make_base(storage: &dyn Storage, root: &Path) -> Result<Base, Error> {
    loop {
        let path = root.join(format!("{PREFIX}{:016x}", random()));
        storage
            .create_dir_all(&path)
            .map_err(|source| Error::io("create", &path, source))?;
        // Between the two calls a sweeper may have taken the lock, and the directory with it.
        let lock = match storage.lock(&path, false) {
            Ok(Some(lock)) => lock,
            Ok(None) => continue,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(Error::io("lock", &path, source)),
        };
        let held = lock.id().map_err(|source| Error::io("lock", &path, source))?;
        if matches!(storage.stat(&path), Ok(Some(stat)) if stat.id == held) {
            return Ok(Base {
                path,
                _lock: lock,
                next: 0,
            });
        }
    }
}

fn random() -> u64 {
    // `RandomState` is seeded by the system.
    RandomState::new().build_hasher().finish()
}

/// Removes this VM's directory if no table is left in it.
pub fn remove_base() {
    let mut base = BASE.lock();
    // While a table is left in it the lock stays, or another VM's sweep would take the table for a dead one's.
    if let Some(Base { path, .. }) = &*base
        && storage().remove_dir(path).is_ok()
    {
        *base = None;
    }
}

/// Removes the temporary directories below `root` that dead VMs of this user left, and tells how many. What cannot be
/// removed stays.
pub fn sweep(root: &Path) -> usize {
    let storage = &**storage();
    let Ok(names) = storage.list(root) else { return 0 };
    let mut swept = 0;
    for name in names.iter().filter(|name| name.starts_with(PREFIX)) {
        let path = root.join(name);
        if !matches!(storage.stat(&path), Ok(Some(stat)) if stat.kind == Kind::Dir) {
            continue;
        }
        if let Ok(Some(_lock)) = storage.lock(&path, false)
            && remove_tree(storage, &path, DEPTH_MAX).is_ok()
        {
            swept += 1;
        }
    }
    swept
}

fn remove_tree(storage: &dyn Storage, dir: &Path, depth: u32) -> std::io::Result<()> {
    for name in storage.list(dir)? {
        let path = dir.join(name);
        match storage.stat(&path)? {
            Some(stat) if stat.kind == Kind::Dir && depth > 0 => remove_tree(storage, &path, depth - 1)?,
            Some(_) => storage.unlink(&path)?,
            None => {}
        }
    }
    storage.remove_dir(dir)
}
