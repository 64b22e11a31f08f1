//! Stands in for the operating system's storage.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;

use bets_engine::io::{File, Lock, Stat, Storage};

/// A storage that can do directories only.
#[derive(Debug)]
pub struct Stub;

fn no<T>() -> Result<T> {
    Err(Error::from(ErrorKind::Unsupported))
}

#[derive(Debug)]
struct NoLock;

impl Lock for NoLock {
    fn id(&self) -> Result<(u64, u64)> {
        Ok((0, 0))
    }
}

impl Storage for Stub {
    fn create(&self, _path: &Path) -> Result<Arc<dyn File>> {
        no()
    }
    fn open(&self, _path: &Path, _write: bool) -> Result<Arc<dyn File>> {
        no()
    }
    fn stat(&self, path: &Path) -> Result<Option<Stat>> {
        self.stat_follow(path)
    }
    fn stat_follow(&self, path: &Path) -> Result<Option<Stat>> {
        Ok(path.is_dir().then_some(Stat {
            kind: bets_engine::io::Kind::Dir,
            len: 0,
            id: (0, 0),
        }))
    }
    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        Ok(std::fs::read_dir(dir)?
            .filter_map(|e| e.ok()?.file_name().into_string().ok())
            .collect())
    }
    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir)
    }
    fn remove_dir(&self, dir: &Path) -> Result<()> {
        std::fs::remove_dir(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        std::fs::rename(from, to)
    }
    fn unlink(&self, path: &Path) -> Result<()> {
        std::fs::remove_file(path)
    }
    fn link(&self, _from: &Path, _to: &Path) -> Result<()> {
        no()
    }
    fn sync_dir(&self, _dir: &Path) -> Result<()> {
        Ok(())
    }
    fn lock(&self, _path: &Path, _shared: bool) -> Result<Option<Box<dyn Lock>>> {
        Ok(Some(Box::new(NoLock)))
    }
}
