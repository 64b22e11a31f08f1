//! Lookups.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::epoch::{self, Guard};
use smallvec::SmallVec;

use super::{Found, Inner, Table, Wait};
use crate::cache::{Spot, TableCache};
use crate::keydir::{Hit, Keydir, Location, key_hash};
use crate::segment::Segment;
use crate::segment::read::{Near, cached_put, check_put, plain_value, read_put};
use crate::{Error, Key, Now, Result};

/// A read that may not wait takes no more objects of a key than this: some 100 µs.
pub(super) const MAX_NOWAIT_OBJECTS: usize = 1_000;
/// So many objects of a key are brought near at a time.
const WARMED_OBJECTS: usize = 64;
/// How often a read that may not wait looks whether a change of many keys is through: some tens of microseconds.
const SPINS: usize = 2_000;

thread_local! {
    /// Where records are read to, one at a time.
    static BUF: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}
/// A larger buffer is not kept after the read.
const MAX_KEPT_LEN: usize = 1 << 20;

impl Table {
    /// Has the processor fetch what the next call for this key begins with, without waiting.
    pub fn prefetch(&self, key: Key<'_>) {
        let inner = &*self.inner;
        let hash = inner.hash(key);
        if let Some(cache) = &inner.cache {
            cache.prefetch(hash);
        }
        inner.keydir.load(&epoch::pin()).prefetch(hash);
    }

    /// Looks a key up and hands what is found to `f`, which may be called again if a writer interfered: only the last
    /// call's result counts. Touches the disk when the value is not cached.
    pub fn get<R>(&self, key: Key<'_>, wait: Wait, mut f: impl FnMut(Found<'_>) -> R) -> Result<Option<R>> {
        let inner = &*self.inner;
        inner.check()?;
        let now = inner.log.time.now();
        let mut found = |stored: &[u8], value: &[u8]| {
            f(Found {
                value,
                key: if stored == key.bytes() { None } else { Some(stored) },
            })
        };
        let hash = inner.hash(key);
        if let Some(cache) = &inner.cache {
            // Keydir and cache are asked one after the other; where they will look is known now.
            cache.prefetch(hash);
            let guard = &epoch::pin();
            // The cached record has the key too, so the keydir need not look at its own copy: a cache miss less.
            let candidate = inner.between_changes(wait, || {
                let keydir = inner.keydir.load(guard);
                keydir.prefetch(hash);
                cache.prefetch_record(hash);
                keydir.candidate(hash, key, now, guard).ok()
            });
            let Some(location) = candidate? else {
                return inner.nothing();
            };
            let spot = || Spot::new(hash, location);
            let hit = inner.cached(cache, location, spot, guard, |stored, value| {
                stored.starts_with(key.compared()).then(|| found(stored, value))
            });
            if let Some(Some(result)) = hit {
                return Ok(Some(result));
            }
        }
        loop {
            let Some(hit) = inner.probe(hash, key, now, wait)? else {
                return inner.nothing();
            };
            let spot = Spot::new(hash, hit.location);
            let read = inner.record(spot, key.compared(), wait, &mut found)?;
            if read.is_some() {
                return Ok(read);
            }
            // The record has moved, or the table is being closed and its keydir shows places that are gone.
            inner.check()?;
        }
    }

    /// Hands the objects of a key to `f`, with their index, in the order in which they were inserted and as they were at one moment. A table
    /// that is no bag has one at most. Gives what `f` breaks off with. `f` is called with index 0 again if a record moved meanwhile:
    /// what it got before does not count then. Touches the disk when a value is not cached. With [`Wait::Never`], a key of more than
    /// 1,000 objects gives [`Error::WouldBlock`].
    pub fn each<B>(
        &self,
        key: Key<'_>,
        wait: Wait,
        mut f: impl FnMut(usize, Found<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
        let inner = &*self.inner;
        inner.check()?;
        let now = inner.log.time.now();
        let hash = inner.hash(key);
        'moved: loop {
            let mut locations = SmallVec::<[Location; 8]>::new();
            inner.calm(wait, |keydir| {
                locations.clear();
                match keydir {
                    Keydir::Bag(keydir) => keydir
                        .entries(hash, key, |entries| {
                            locations.clear();
                            if wait == Wait::May || entries.len() <= MAX_NOWAIT_OBJECTS {
                                locations.extend(entries.live(now).map(|entry| entry.location));
                                Ok(())
                            } else {
                                Err(Error::WouldBlock)
                            }
                        })
                        .map(|found| found.transpose().map(drop)),
                    keydir => keydir.get(hash, key, now).map(|hit| {
                        locations.extend(hit.map(|hit| hit.location));
                        Ok(())
                    }),
                }
                .ok()
            })??;
            let mut warmed = None;
            for (at, &location) in locations.iter().enumerate() {
                if at % WARMED_OBJECTS == 0 && locations.len() > 1 {
                    let batch = &locations[at..locations.len().min(at + WARMED_OBJECTS)];
                    let records = batch.iter().map(|&at| (at, move || Spot::new(hash, at)));
                    // The guard of the batch before goes first, and none is kept where a read may wait.
                    drop(warmed.take());
                    let guard = epoch::pin();
                    inner.warm(records, true, &guard, &mut [None; WARMED_OBJECTS]);
                    warmed = Some(guard).filter(|_| wait == Wait::Never);
                }
                let read = inner.record(
                    Spot::new(hash, location),
                    key.compared(),
                    wait,
                    |stored, value| {
                        let stored = inner.own_key(stored, key.compared());
                        let form = (stored != key.bytes()).then_some(stored);
                        f(at, Found { value, key: form })
                    },
                )?;
                match read {
                    Some(ControlFlow::Continue(())) => {}
                    Some(ControlFlow::Break(result)) => return Ok(Some(result)),
                    None => {
                        inner.check()?;
                        continue 'moved;
                    }
                }
            }
            return Ok(None);
        }
    }

    /// Whether the key is there. Never touches the disk.
    pub fn contains(&self, key: Key<'_>, wait: Wait) -> Result<bool> {
        self.inner.check()?;
        let hash = self.inner.hash(key);
        match self.inner.probe(hash, key, self.inner.log.time.now(), wait)? {
            Some(_) => Ok(true),
            None => self.inner.nothing::<()>().map(|_| false),
        }
    }

    /// Number of objects, those that have expired and were not swept yet among them, as of one moment between changes of many keys, where [`Table::len`] may see a part of one. Never touches the disk.
    pub fn settled_len(&self, wait: Wait) -> Result<u64> {
        self.inner.calm(wait, |keydir| Some(keydir.len()))
    }
}

impl Inner {
    /// "Not there", but for a table that was closed since the call began: a close puts an empty keydir in the place of the table's.
    pub(super) fn nothing<R>(&self) -> Result<Option<R>> {
        self.check().map(|()| None)
    }

    /// The key of a record as the caller knows it: without the object's fingerprint that stands behind it in a bag.
    pub(super) fn own_key<'k>(&self, stored: &'k [u8], compared: &[u8]) -> &'k [u8] {
        if self.kind.is_bag() {
            Key::new(stored, compared.len()).split_fingerprint().0.bytes()
        } else {
            stored
        }
    }

    /// Where the key's record stands, as of one moment between changes of many keys.
    fn probe(&self, hash: u64, key: Key<'_>, now: Now, wait: Wait) -> Result<Option<Hit>> {
        self.calm(wait, |keydir| keydir.get(hash, key, now).ok())
    }

    /// The hash of a key's compared part.
    #[inline]
    pub(crate) fn hash(&self, key: Key<'_>) -> u64 {
        key_hash(self.hash_seed, key)
    }

    /// Runs `f` on the keydir between two changes of many keys; `f` gives `None` if a writer was in its way.
    pub(super) fn calm<R>(&self, wait: Wait, mut f: impl FnMut(&Keydir) -> Option<R>) -> Result<R> {
        self.between_changes(wait, || f(self.keydir.load(&epoch::pin())))
    }

    /// The same for who has a guard, and loads the keydir under it.
    #[inline]
    fn between_changes<R>(&self, wait: Wait, mut f: impl FnMut() -> Option<R>) -> Result<R> {
        let mut tries = 0;
        loop {
            let epoch = self.epoch.load(Ordering::Acquire);
            if epoch & 1 == 0 {
                let found = f();
                std::sync::atomic::fence(Ordering::Acquire);
                if let (Some(found), true) = (found, self.epoch.load(Ordering::Relaxed) == epoch) {
                    return Ok(found);
                }
            }
            tries += 1;
            if tries < SPINS {
                std::hint::spin_loop();
            } else if wait == Wait::Never {
                return Err(Error::Busy);
            } else {
                // Whoever was showing the change may have panicked in the middle of it.
                self.check()?;
                std::thread::yield_now();
            }
        }
    }

    /// Hands the stored key and the value of a record to `f` if they are in memory: in a block as they were written, or as an entry of the cache, whose
    /// spot `spot` makes.
    pub(super) fn cached<R>(
        &self,
        cache: &TableCache,
        location: Location,
        spot: impl FnOnce() -> Spot,
        guard: &Guard,
        mut f: impl FnMut(&[u8], &[u8]) -> R,
    ) -> Option<R> {
        self.log
            .segment_under(location.segment(), guard)
            .and_then(|segment| cached_put(segment, location, guard, &mut f))
            .or_else(|| cache.get(spot(), f))
    }

    /// To be called before these records, with their locations and places in the cache, are asked for, which then costs less, and less still while the guard is kept: see
    /// [`TableCache::warm`]. Puts those into `near`, which has room for all, that need not be asked for any more.
    #[inline]
    pub(super) fn warm<'g>(
        &'g self,
        records: impl Iterator<Item = (Location, impl FnOnce() -> Spot)> + Clone,
        whole: bool,
        guard: &'g Guard,
        near: &mut [Option<Near<'g>>],
    ) {
        let Some(cache) = &self.cache else {
            return;
        };
        let locations = records.clone().map(|(location, _)| location);
        self.log.near(locations, whole, guard, near);
        if cache.has_entries() {
            let elsewhere = records.zip(near).filter(|(_, near)| near.is_none());
            drop(cache.warm(elsewhere.map(|((_, spot), _)| spot()), whole));
        }
    }

    /// Hands the stored key and the value of a record to `f`: from the cache, else from the segment, where the record is checked. `None` if
    /// the segment has gone since the keydir was asked.
    pub(super) fn record<R>(
        &self,
        spot: Spot,
        compared: &[u8],
        wait: Wait,
        mut f: impl FnMut(&[u8], &[u8]) -> R,
    ) -> Result<Option<R>> {
        let cached = |cache| self.cached(cache, spot.location, || spot, &epoch::pin(), &mut f);
        if let Some(found) = self.cache.as_ref().and_then(cached) {
            return Ok(Some(found));
        }
        let mut read = |buf: &mut Vec<u8>| {
            let result = self.read_record(spot.location, compared, wait, buf, |key, value| {
                if let Some(cache) = &self.cache {
                    cache.put(spot, key, value);
                }
                f(key, value)
            });
            if buf.capacity() > MAX_KEPT_LEN {
                *buf = Vec::new();
            }
            result
        };
        // The buffer is taken when `f` itself reads: then a fresh one serves.
        BUF.with(|buf| match buf.try_borrow_mut() {
            Ok(mut buf) => read(&mut buf),
            Err(_) => read(&mut Vec::new()),
        })
    }

    pub(super) fn read_record<R>(
        &self,
        location: Location,
        compared: &[u8],
        wait: Wait,
        buf: &mut Vec<u8>,
        f: impl FnOnce(&[u8], &[u8]) -> R,
    ) -> Result<Option<R>> {
        let len = location.frame_len().map(usize::from);
        let read = |segment: &Arc<Segment>| {
            let offset = location.offset();
            let frame = if segment.is_staged(offset) && self.log.read_staged(segment, location, wait, buf)? {
                check_put(segment, offset, compared, buf)?
            } else {
                read_put(&self.log.handles, segment, offset, len, compared, wait, buf)?
            };
            let value = plain_value(segment, offset, &frame, wait)?;
            Ok(f(frame.key().bytes(), &value))
        };
        let slot = location.segment();
        let read = match wait {
            Wait::Never => self.log.with_segment(slot, read),
            Wait::May => self.log.segment(slot).as_ref().map(read),
        };
        match read {
            // A merge has moved the record and removed the file.
            Some(Err(_)) if self.log.segment(slot).is_none() => Ok(None),
            read => read.transpose(),
        }
    }
}
