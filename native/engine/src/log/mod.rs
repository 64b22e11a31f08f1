//! The log of an open table: the segments, the end that grows, and what makes it durable.
//!
//! Two locks, taken in this order and never the other way round: `maintenance` (the manifest and everything that waits for the
//! disk) and `append` (the end of the log, held for one write). Readers take neither. Those of `hints` come last: they are held while a step of making a
//! hint is done, in which none of the others is taken.

mod append;
mod backup;
mod extent;
mod hints;
mod maintain;
mod publish;
mod replace;
mod slots;
mod snapshot;
mod stage;
mod time;
mod waiters;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

pub use append::{Appended, Care, End, Old};
pub use extent::Extent;
pub(crate) use publish::create_segment;
pub use publish::publish;
pub use replace::Output;
pub use snapshot::Written;
pub use stage::FILE as STAGE_FILE;
pub use waiters::Notify;

use crate::cache::{Blocks, Keeper};
use crate::current::Current;
use crate::dir::Dir;
use crate::epoch::{self, Guard};
use crate::format::manifest::Manifest;
use crate::io::{File, Storage};
use crate::keydir::Location;
use crate::segment::handles::Handles;
use crate::segment::read::Near;
use crate::segment::{Segment, Segments};
use crate::sticky::Sticky;
use crate::sync::{Lines, Mutex};
use crate::table::{Config, Meta};
use crate::{Error, Result};
use hints::Hints;
use slots::Slots;
use time::Time;
use waiters::Waiters;

/// Above so many bytes that no sync has covered, appends may have to wait for the disk and do so where waiting is allowed.
pub const MAX_UNSYNCED_BYTES: u64 = 64 << 20;

/// The log of an open table.
#[derive(Debug)]
pub struct Log {
    pub(crate) storage: Arc<dyn Storage>,
    dir: Arc<Dir>,
    pub(crate) table: u64,
    /// As in the manifest, for those who may not wait for it.
    meta: Current<Meta>,
    config: Config,
    segments: Lines<Current<Segments>>,
    pub(crate) handles: Handles,
    append: Mutex<End>,
    maintenance: parking_lot::Mutex<Maintenance>,
    durable_seq: AtomicU64,
    last_seq: AtomicU64,
    unsynced_bytes: AtomicU64,
    disk_bytes: AtomicU64,
    /// The seq of the last record that removed everything, as far as this opening knows.
    cleared_seq: AtomicU64,
    closed: Lines<AtomicBool>,
    needs_care: AtomicBool,
    /// Whether somebody was told that care is due now, and it has not begun.
    care_is_planned: AtomicBool,
    pub(crate) sticky: Sticky,
    waiters: Waiters,
    hints: Hints,
    /// Set if the value cache keeps what is written.
    keeper: OnceLock<Keeper>,
    pub(crate) time: Lines<Time>,
}

/// What only one thread works on at a time.
#[derive(Debug)]
struct Maintenance {
    manifest: Manifest,
    cannot_reserve: bool,
    cannot_stage: bool,
    slots: Slots,
}

impl Log {
    /// The log of a table whose manifest is published and names `end` as its last, empty, unsealed segment.
    pub fn new(
        storage: Arc<dyn Storage>,
        dir: Arc<Dir>,
        config: Config,
        manifest: Manifest,
        segments: Segments,
        end: (Arc<Segment>, Arc<dyn File>),
        last_seq: u64,
    ) -> Self {
        let handles = Handles::new(&storage, &dir);
        handles.writing(&end.0, &end.1);
        let time = Time::new(Arc::clone(&config.clock), manifest.table, manifest.clock_ms);
        let disk_bytes = manifest.segments.iter().map(|s| s.len).sum();
        Log {
            handles,
            storage,
            dir,
            table: manifest.table,
            meta: Current::new(manifest.meta.clone()),
            config,
            segments: Lines(Current::new(segments)),
            append: Mutex::new(End::new(end, last_seq + 1)),
            maintenance: parking_lot::Mutex::new(Maintenance {
                manifest,
                cannot_reserve: false,
                cannot_stage: false,
                slots: Slots::default(),
            }),
            durable_seq: AtomicU64::new(last_seq),
            last_seq: AtomicU64::new(last_seq),
            unsynced_bytes: AtomicU64::new(0),
            disk_bytes: AtomicU64::new(disk_bytes),
            cleared_seq: AtomicU64::new(0),
            closed: Lines(AtomicBool::new(false)),
            needs_care: AtomicBool::new(false),
            care_is_planned: AtomicBool::new(false),
            sticky: Sticky::default(),
            waiters: Waiters::default(),
            hints: Hints::default(),
            keeper: OnceLock::new(),
            time: Lines(time),
        }
    }

    /// The table's directory.
    pub fn dir(&self) -> PathBuf {
        self.dir.path()
    }

    /// How the table was opened.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the manifest says of the table as a whole.
    pub fn meta(&self) -> Meta {
        Meta::clone(&self.meta.hold())
    }

    /// The segment of a slot. `None` if it has gone since: then the keydir has a newer location.
    pub fn segment(&self, slot: u16) -> Option<Arc<Segment>> {
        self.segments.hold().get(usize::from(slot)).cloned().flatten()
    }

    /// Calls `f`, which must not wait, with the segment of a slot, without touching its reference count.
    pub fn with_segment<R>(&self, slot: u16, f: impl FnOnce(&Arc<Segment>) -> R) -> Option<R> {
        self.segment_under(slot, &epoch::pin()).map(f)
    }

    /// The segment of a slot, without touching its reference count.
    #[inline]
    pub fn segment_under<'g>(&'g self, slot: u16, guard: &'g Guard) -> Option<&'g Arc<Segment>> {
        self.segments.load(guard).get(usize::from(slot))?.as_ref()
    }

    /// The object whose frame stands here is no longer live. To be called under the write lock of its key. `true` if its record is in a block, and so most likely no
    /// entry of the value cache.
    pub fn add_dead(&self, location: Location) -> bool {
        self.with_segment(location.segment(), |segment| segment.add_dead(location))
            .unwrap_or(false)
    }

    /// The same for a record that is counted already.
    pub fn let_go(&self, location: Location) -> bool {
        self.with_segment(location.segment(), |segment| segment.let_go(location))
            .unwrap_or(false)
    }

    /// [`Log::add_dead`] for many objects: of those whose records are in blocks, nothing is left.
    pub fn add_dead_list(&self, locations: &mut [Option<Location>]) {
        let guard = epoch::pin();
        let segments = self.segments.load(&guard);
        for dead in locations {
            let segment = dead.and_then(|dead| segments.get(usize::from(dead.segment()))?.as_ref());
            *dead = dead.filter(|&dead| !segment.is_some_and(|segment| segment.add_dead(dead)));
        }
    }

    /// From now on what is written stays in memory as long as the value cache has room.
    pub fn keep_written(&self, keeper: Keeper) {
        // A table is opened once.
        let _ = self.keeper.set(keeper);
    }

    /// Whether anything that was written is kept.
    fn keeps_written(&self) -> bool {
        let segments = self.segments.hold();
        segments
            .iter()
            .flatten()
            .any(|segment| segment.blocks().is_some())
    }

    /// Lets go of what was kept.
    pub fn forget_written(&self) {
        let segments = self.segments.hold();
        segments
            .iter()
            .flatten()
            .filter_map(|segment| segment.blocks())
            .for_each(Blocks::clear);
    }

    /// Puts into `near` those of the records at these locations that are in blocks, which the processor begins to fetch. See [`Near::find`].
    #[inline]
    pub fn near<'g>(
        &'g self,
        locations: impl Iterator<Item = Location>,
        whole: bool,
        guard: &'g Guard,
        near: &mut [Option<Near<'g>>],
    ) {
        let segments = self.segments.load(guard);
        for (near, location) in near.iter_mut().zip(locations) {
            let segment = segments
                .get(usize::from(location.segment()))
                .and_then(Option::as_ref);
            *near = segment.and_then(|segment| Near::find(segment, location, whole, guard));
        }
    }

    /// Calls `f` with a record that is in a block, or in two. See [`Near::with`].
    pub fn with_near<R>(
        &self,
        location: Location,
        guard: &Guard,
        f: impl FnOnce(Near<'_>) -> Option<R>,
    ) -> Option<R> {
        Near::with(self.segment_under(location.segment(), guard)?, location, guard, f)
    }

    /// No object is live any more since this record. To be called under all write locks.
    pub fn add_all_dead(&self, seq: u64) {
        self.cleared_seq.store(seq, Ordering::Release);
        let segments = self.segments.hold();
        segments
            .iter()
            .flatten()
            .for_each(|segment| segment.add_all_dead());
    }

    /// The seq of the last record that removed everything; 0 if this opening has seen none.
    pub fn cleared_seq(&self) -> u64 {
        self.cleared_seq.load(Ordering::Acquire)
    }

    /// The sealed segments, in the order of their seqs, which do not overlap.
    pub fn sealed(&self) -> Vec<Arc<Segment>> {
        let segments = self.segments.hold();
        let mut sealed: Vec<_> = segments
            .iter()
            .flatten()
            .filter(|segment| segment.sealed().is_some())
            .cloned()
            .collect();
        sealed.sort_by_key(|segment| segment.sealed().map(|entry| entry.first_seq));
        sealed
    }

    /// The highest seq given.
    pub fn last_seq(&self) -> u64 {
        self.last_seq.load(Ordering::Acquire)
    }

    /// The highest seq known to be durable.
    pub fn durable_seq(&self) -> u64 {
        self.durable_seq.load(Ordering::Acquire)
    }

    /// Bytes of the segments, to the ends of their records.
    pub fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of all live objects' frames. Exact when nobody is writing. Costs O(number of segments).
    pub fn live_bytes(&self) -> u64 {
        let segments = self.segments.hold();
        let live = segments.iter().flatten().map(|segment| segment.live_bytes());
        live.sum()
    }

    /// Number of segments.
    pub fn segment_count(&self) -> u64 {
        let segments = self.segments.hold();
        let named = segments.iter().flatten().filter(|segment| !segment.is_retired());
        named.count() as u64
    }

    /// Refuses what a closed table cannot do.
    pub fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    /// Calls `notify` once when `seq` is durable or known never to be. Says whether a sync is needed for it.
    pub fn on_durable(&self, seq: u64, notify: Notify) -> bool {
        if let Some(cause) = self.sticky.get() {
            notify(Err(Error::SyncFailed { cause }));
            return false;
        }
        if self.durable_seq() >= seq {
            notify(Ok(()));
            return false;
        }
        self.waiters.add(seq, notify);
        // A sync, a failure or a close may have come between the check and the entry in the list.
        if self.durable_seq() >= seq || self.sticky.get().is_some() || self.check_open().is_err() {
            self.answer_waiters();
        }
        true
    }

    fn answer_waiters(&self) {
        let failed = self.sticky.get().map(|cause| Error::SyncFailed { cause });
        let closed = failed.or_else(|| self.check_open().err());
        self.waiters.answer(self.durable_seq(), closed);
    }
}
