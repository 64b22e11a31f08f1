//! A table: what the NIF crate calls.
//!
//! A write of one key goes: lock the key's shard of the keydir, append to the log, point the keydir at the record, unlock. So one key's
//! seq, its place in the log and its place in the keydir follow one order. A read looks in the keydir without a lock, then takes the
//! value from the cache or the segment. A change of many keys is shown between two steps of the epoch: readers that see it odd try again.

mod bag;
mod batch;
mod care;
mod check;
mod expiring;
mod expiry;
mod gather;
mod list;
mod locks;
mod merge;
mod packed;
mod read;
mod scan;
mod slot;
mod standing;
mod types;
mod update;
mod write;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

pub use bag::Same;
pub use batch::Write;
pub use expiring::Expiring;
pub use merge::{MergeChoice, SegmentStats};
pub use types::{
    Change, Commit, Config, Cursor, Direction, Found, Meta, Open, Stats, Sync, TableKind, Ttl, Wait,
};

use crate::background;
use crate::cache::TableCache;
use crate::checkpoint;
use crate::current::Current;
use crate::epoch;
use crate::io::Storage;
use crate::keydir::{Keydir, SHARDS};
use crate::lock::DirLock;
use crate::log::{Care, Log};
use crate::merge::Merge;
use crate::recovery::{self, Opened, delete::delete};
use crate::sync::Mutex;
use crate::{Error, Result};
use care::{Release, free};
use expiry::{Sweeper, Timers};

/// An open table. Dropping it closes it in the background; [`Table::close`] waits and tells what went wrong.
#[derive(Debug)]
pub struct Table {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) log: Log,
    pub(crate) kind: TableKind,
    /// That of the keydir, whichever stands in place.
    hash_seed: u64,
    pub(crate) keydir: Current<Keydir>,
    /// Odd while a change of many keys is being shown.
    epoch: AtomicU64,
    /// Held by the one who is about to show a change of many keys.
    many: Mutex<()>,
    pub(crate) cache: Option<TableCache>,
    /// The merge under way. Taken before `maintenance` of the log.
    merge: parking_lot::Mutex<Option<Merge>>,
    lock: parking_lot::Mutex<Option<DirLock>>,
    panicked: AtomicBool,
    timers: Timers,
    sweeper: Arc<Sweeper>,
    release: Arc<Release>,
    itself: Weak<Inner>,
}

impl Table {
    /// Opens the table in `dir`, creating the directory if need be (see [`Open`]); for reading only, whatever is there must exist. Waits for the disk.
    pub fn open(storage: &Arc<dyn Storage>, dir: &Path, open: &Open, config: Config) -> Result<Table> {
        let cached = config.cache;
        let Opened { lock, log, keydir } = if config.read_only {
            recovery::snapshot::open(storage, dir, open, &config)?
        } else {
            recovery::open(storage, dir, open, config)?
        };
        let kind = log.meta().kind;
        let cache = cached.then(|| TableCache::new(kind.is_bag()));
        if let Some(cache) = &cache {
            log.keep_written(cache.keeper());
        }
        let inner = Arc::new_cyclic(|itself| Inner {
            kind,
            hash_seed: keydir.seed(),
            log,
            keydir: Current::new(keydir),
            epoch: AtomicU64::new(0),
            many: Mutex::new(()),
            cache,
            merge: parking_lot::Mutex::new(None),
            lock: parking_lot::Mutex::new(Some(lock)),
            panicked: AtomicBool::new(false),
            timers: Timers::new(),
            sweeper: Arc::new(Sweeper(Weak::clone(itself))),
            release: Arc::new(Release {
                inner: Weak::clone(itself),
                planned: AtomicBool::new(false),
            }),
            itself: Weak::clone(itself),
        });
        if inner.log.time.expires() && inner.log.check_writable().is_ok() {
            inner.begin_timers();
        }
        if inner.log.config().background && inner.log.wants_hints() {
            inner.plan_hints();
        }
        inner.plan_release();
        Ok(Table { inner })
    }

    /// The table's directory.
    pub fn dir(&self) -> PathBuf {
        self.inner.log.dir()
    }

    /// What is stored of the table.
    pub fn meta(&self) -> Meta {
        self.inner.log.meta()
    }

    /// Moves the table's directory to `to`, where nothing may stand, and stores the name. After a crash the directory stands at one of the
    /// two places. Readers and writers go on meanwhile. Waits for the disk.
    pub fn rename(&self, to: &Path, name: &[u8]) -> Result<()> {
        self.inner.check()?;
        self.inner.log.check_writable()?;
        self.inner.log.rename(to, name)
    }

    /// How the table was opened.
    pub fn config(&self) -> Config {
        self.inner.log.config().clone()
    }

    /// Syncs, seals and unlocks. Every call after it gives [`Error::Closed`]. Waits for the disk. A second close is `Ok`. An error means that
    /// the last writes may not be durable; the table is closed and unlocked all the same.
    pub fn close(&self) -> Result<()> {
        self.inner.close_whole()
    }

    /// Closes and removes the table with its files, and nothing that is not the table's. After a crash there is the whole table
    /// or none. Waits for the disk.
    pub fn destroy(&self) -> Result<()> {
        self.inner.log.check_writable()?;
        self.inner.close(|log| {
            log.abandon();
            delete(&*log.storage, &log.dir())
        })
    }

    /// Makes all writes so far durable. Waits for the disk.
    pub fn sync(&self) -> Result<()> {
        self.inner.check()?;
        self.inner.log.sync()
    }

    /// Calls `notify` once when the write is durable, or when it is known that it never will be. Never waits.
    pub fn on_durable(&self, commit: Commit, notify: Box<dyn FnOnce(Result<()>) + Send>) {
        if self.inner.log.on_durable(commit.0, notify) {
            self.inner.plan(Care::Now);
        }
    }

    /// Fails the table closed: a caller's code panicked in the middle of a call, and nobody knows in which state. Every call from now on
    /// gives [`Error::Panicked`]; what was acknowledged is in the log.
    pub fn fail(&self) {
        self.inner.panicked.store(true, Ordering::Release);
        self.inner.log.sticky.set(Error::Panicked);
    }

    /// An empty table on a disk that is simulated, without background threads.
    #[cfg(test)]
    pub(crate) fn simulated() -> Table {
        Table::simulated_with(Config::default())
    }

    /// The same with this configuration.
    #[cfg(test)]
    pub(crate) fn simulated_with(config: Config) -> Table {
        Table::simulated_of(TableKind::Set, config)
    }

    /// The same of this type.
    #[cfg(test)]
    pub(crate) fn simulated_of(kind: TableKind, config: Config) -> Table {
        let storage: Arc<dyn Storage> = Arc::new(crate::io::sim::Sim::new());
        let open = Open::OrCreate(Meta {
            kind,
            keypos: 1,
            equality: 0,
            name: Vec::new(),
        });
        let config = Config {
            background: false,
            seed: Some(7),
            ..config
        };
        Table::open(&storage, Path::new("/t"), &open, config).unwrap()
    }

    /// Lets go of the table as the death of its process would: nothing is synced or published.
    #[cfg(any(test, feature = "testing"))]
    pub fn kill(self) {
        self.inner.log.abandon();
        *self.inner.lock.lock() = None;
    }

    /// The highest sequence number given. Never touches the disk.
    pub fn seq(&self) -> u64 {
        self.inner.log.last_seq()
    }

    /// Number of objects, those that have expired and were not swept yet among them. Never touches the disk.
    pub fn len(&self) -> u64 {
        self.inner.keydir.load(&epoch::pin()).len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers for `info`. Never touches the disk.
    pub fn stats(&self) -> Stats {
        let Inner {
            log, keydir, cache, ..
        } = &*self.inner;
        let keydir = keydir.hold();
        Stats {
            objects: keydir.len(),
            memory_bytes: keydir.memory_bytes()
                + log.buffer_bytes()
                + self.inner.timers.memory_bytes()
                + size_of::<Inner>() as u64,
            cache_bytes: cache.as_ref().map_or(0, TableCache::held_bytes),
            disk_bytes: log.disk_bytes(),
            segments: log.segment_count(),
            seq: log.last_seq(),
            durable_seq: log.durable_seq(),
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if let Some(held) = self.inner.lock.lock().as_ref() {
            // From here on an opening of the directory waits for the close instead of being refused.
            held.closing();
            let inner = Arc::clone(&self.inner);
            background::run_once(move || {
                // Nobody is left to be told; the next opening recovers what a failed close left.
                let _ = inner.close_whole();
            });
        }
    }
}

impl Inner {
    pub(crate) fn check(&self) -> Result<()> {
        if self.panicked.load(Ordering::Acquire) {
            return Err(Error::Panicked);
        }
        self.log.check_open()
    }

    /// Closes the table and leaves a checkpoint of its keydir.
    fn close_whole(&self) -> Result<()> {
        self.close(|log| {
            if log.config().read_only {
                log.abandon();
                return Ok(());
            }
            log.close()?;
            self.write_checkpoint();
            Ok(())
        })
    }

    /// Leaves a checkpoint for the next opening, which does without it if it cannot be written.
    fn write_checkpoint(&self) {
        let Some((manifest, sealed)) = self.log.closed_manifest() else {
            return;
        };
        loop {
            // The log takes nothing any more; a write that was acknowledged may not be in the keydir yet, but has its locks.
            let keydir = self.keydir.hold();
            let mut guards: Vec<_> = (0..SHARDS).map(|shard| keydir.lock(shard)).collect();
            if self.keydir.is(&keydir) {
                let (storage, dir) = (&*self.log.storage, self.log.dir());
                let _ = checkpoint::write(storage, &dir, &manifest, &sealed, &keydir, &mut guards);
                return;
            }
        }
    }

    fn close(&self, finish: impl FnOnce(&Log) -> Result<()>) -> Result<()> {
        let mut lock = self.lock.lock();
        let Some(held) = lock.as_ref() else {
            return Ok(());
        };
        held.closing();
        // A merge waits for nobody between two steps, so this waits for one step.
        let mut merge = self.merge.lock();
        if let Some(merge) = merge.as_ref() {
            merge.spare_inputs(self);
        }
        let finished = finish(&self.log);
        // Only now: readers need the inputs of a merge that has not relocated all keys until the table is closed.
        if let Some(merge) = merge.take() {
            merge.give_up(self);
        }
        drop(merge);
        *lock = None;
        drop(lock);
        free(self.keydir.replace(self.keydir.hold().fresh()));
        self.clear_timers();
        // No later table has this one's number in the cache, so its values only take room until then.
        if let Some(inner) = self.itself.upgrade().filter(|inner| inner.cache.is_some()) {
            background::run_once(move || {
                inner.log.forget_written();
                inner.cache.iter().for_each(TableCache::clear);
            });
        }
        finished
    }
}
