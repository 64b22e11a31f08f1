//! Where an open table's directory stands: a table may be renamed while it is open.

use std::io;
use std::path::{Path, PathBuf};

use parking_lot::RwLock;

/// The path of a table's directory.
#[derive(Debug)]
pub struct Dir(RwLock<PathBuf>);

impl Dir {
    /// A directory that stands at `path`.
    pub fn new(path: &Path) -> Self {
        Dir(RwLock::new(path.to_path_buf()))
    }

    /// Where it stands now.
    pub fn path(&self) -> PathBuf {
        self.0.read().clone()
    }

    /// Runs `f` on the path, which stays right until `f` is done.
    pub fn with<R>(&self, f: impl FnOnce(&Path) -> R) -> R {
        f(&self.0.read())
    }

    /// Lets `rename` move the directory from the first path to the second, and stands there if that went well.
    pub fn rename(&self, to: &Path, rename: impl FnOnce(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
        let mut path = self.0.write();
        rename(&path, to)?;
        *path = to.to_path_buf();
        Ok(())
    }
}
