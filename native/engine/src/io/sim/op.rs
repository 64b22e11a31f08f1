//! What the simulator logs.

use std::sync::Arc;

/// A file or directory, by its place in the disk's list.
pub(super) type Ino = u32;

/// A directory and a name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) dir: Ino,
    pub(super) name: Arc<str>,
}

/// A change of one file's bytes or length.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: u64, data: Arc<[u8]> },
    Truncate { len: u64 },
    Preallocate { len: u64 },
}

/// A change of names. Each is atomic.
#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Add { at: Name, ino: Ino },
    Remove { at: Name, ino: Ino },
    Move { from: Name, to: Name, ino: Ino },
}

impl NameChange {
    /// Whether it changes this directory.
    pub(super) fn touches(&self, ino: Ino) -> bool {
        match self {
            NameChange::Add { at, .. } | NameChange::Remove { at, .. } => at.dir == ino,
            NameChange::Move { from, to, .. } => from.dir == ino || to.dir == ino,
        }
    }
}

/// One logged operation.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Change {
        ino: Ino,
        change: Change,
        kind: OpKind,
    },
    /// A new file or directory.
    Make {
        at: Name,
        ino: Ino,
        dir: bool,
    },
    Name {
        change: NameChange,
        kind: OpKind,
    },
    Sync {
        ino: Ino,
        ok: bool,
    },
    SyncDir {
        ino: Ino,
        ok: bool,
    },
}

/// What kind of operation the last one before a crash was: for counting that every kind was crashed after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpKind {
    /// No operation yet.
    Start,
    /// A write past everything written to the file before.
    Append,
    /// Any other write.
    Overwrite,
    /// A change of a file's length.
    Truncate,
    /// Space reserved.
    Preallocate,
    /// A file made.
    Create,
    /// A directory made.
    CreateDir,
    /// A second name made.
    Link,
    /// A name changed.
    Rename,
    /// A file's name removed.
    Unlink,
    /// A directory removed.
    RemoveDir,
    /// A file synced.
    Sync,
    /// A directory synced.
    SyncDir,
    /// A file's sync that failed.
    SyncFailed,
    /// A directory's sync that failed.
    SyncDirFailed,
}

impl OpKind {
    /// Its name in reports: `append`, `sync_dir` ...
    pub fn name(self) -> &'static str {
        match self {
            OpKind::Start => "start",
            OpKind::Append => "append",
            OpKind::Overwrite => "overwrite",
            OpKind::Truncate => "truncate",
            OpKind::Preallocate => "preallocate",
            OpKind::Create => "create",
            OpKind::CreateDir => "create_dir",
            OpKind::Link => "link",
            OpKind::Rename => "rename",
            OpKind::Unlink => "unlink",
            OpKind::RemoveDir => "remove_dir",
            OpKind::Sync => "sync",
            OpKind::SyncDir => "sync_dir",
            OpKind::SyncFailed => "sync_failed",
            OpKind::SyncDirFailed => "sync_dir_failed",
        }
    }
}

impl Op {
    pub(super) fn kind(&self) -> OpKind {
        match self {
            Op::Change { kind, .. } | Op::Name { kind, .. } => *kind,
            Op::Make { dir: false, .. } => OpKind::Create,
            Op::Make { dir: true, .. } => OpKind::CreateDir,
            Op::Sync { ok: true, .. } => OpKind::Sync,
            Op::Sync { ok: false, .. } => OpKind::SyncFailed,
            Op::SyncDir { ok: true, .. } => OpKind::SyncDir,
            Op::SyncDir { ok: false, .. } => OpKind::SyncDirFailed,
        }
    }
}
