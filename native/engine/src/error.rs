//! What can go wrong, each with what a caller needs to act on it.

use std::path::PathBuf;
use std::sync::Arc;

/// The engine's result.
pub type Result<T> = std::result::Result<T, Error>;

/// The engine's errors. Cloneable, so that one failure can be told to every waiter.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The call was made with [`Wait::Never`](crate::table::Wait) and would have to wait, or to work for long: make it again
    /// with `Wait::May` where waiting is allowed. Nothing was changed.
    #[error("the call would have to wait")]
    WouldBlock,
    /// The call was made with [`Wait::Never`](crate::table::Wait), and another one has what it needs, for a moment: make it again soon, or with `Wait::May`.
    /// Nothing was changed.
    #[error("another call is at work there")]
    Busy,
    /// The operating system refused.
    #[error("{op} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: `read`, `write`, `sync`, `create` ...
        op: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The system's own error.
        source: Arc<std::io::Error>,
    },
    /// Bytes are there that neither the engine nor a crash can have left.
    #[error("{} is damaged at offset {offset}: {what}", path.display())]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What was expected.
        what: &'static str,
    },
    /// A file that the manifest names is missing.
    #[error("{} is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Another OS process holds the table.
    #[error("{} is in use by OS process {}", dir.display(), pid.map_or("unknown".into(), |p| p.to_string()))]
    Locked {
        /// The table's directory.
        dir: PathBuf,
        /// Its holder, as far as it is known.
        pid: Option<u32>,
    },
    /// This process has the directory open as a table already.
    #[error("{} is already open in this VM", dir.display())]
    AlreadyOpen {
        /// The table's directory.
        dir: PathBuf,
    },
    /// There is no table in the directory.
    #[error("there is no table in {}", dir.display())]
    NoTable {
        /// The directory.
        dir: PathBuf,
    },
    /// The path is not a directory, or holds what no table directory holds (a symbolic link, say).
    #[error("{}: {what}", path.display())]
    NotATable {
        /// The path.
        path: PathBuf,
        /// Why it cannot be a table.
        what: &'static str,
    },
    /// A file was written by a newer version of bets.
    #[error("{} has format version {version}; this bets reads up to {supported}", path.display())]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u16,
        /// The newest version that this build reads.
        supported: u16,
    },
    /// A stored property of the table differs from the one asked for.
    #[error("the table has {property} {stored}, not {asked}")]
    Mismatch {
        /// `type` or `keypos`.
        property: &'static str,
        /// What the manifest says, as the number it is stored as.
        stored: u32,
        /// What the caller asked for.
        asked: u32,
    },
    /// An earlier failure (a failed sync, a panic) made the table read-only until it is opened again.
    #[error("the table is read-only since an earlier failure: {cause}")]
    ReadOnly {
        /// The first failure.
        cause: Arc<Error>,
    },
    /// The table was opened for reading only.
    #[error("the table was opened for reading only")]
    Snapshot,
    /// The call was acknowledged by none: its sync failed and its outcome is unknown.
    #[error("sync failed, the outcome is unknown: {cause}")]
    SyncFailed {
        /// The failure.
        cause: Arc<Error>,
    },
    /// A merge of the table is under way already.
    #[error("a merge is under way already")]
    Merging,
    /// Objects are live in segments that a merge has replaced: a fault of this library. Nothing is lost; the table is merged no more until it is opened again.
    #[error("a merge met objects that it had not copied")]
    MergeStuck,
    /// A key, object or list is larger than the documented limit.
    #[error("{what} of {len} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// `key`, `object` or `list`.
        what: &'static str,
        /// Its bytes.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The table was closed or deleted.
    #[error("the table is closed")]
    Closed,
    /// The keydir can hold no more keys like this one.
    #[error("the keydir is full")]
    KeydirFull,
    /// A limit of the format: too many segments.
    #[error("the table has too many segments")]
    TooManySegments,
    /// A bug: something panicked while it worked on this table, which is closed to writes since.
    #[error("internal error")]
    Panicked,
}

impl Error {
    /// An I/O error with its context.
    pub fn io(op: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        Error::Io {
            op,
            path: path.to_path_buf(),
            source: Arc::new(source),
        }
    }
}
