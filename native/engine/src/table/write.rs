//! Writes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::epoch::{self, Guard};
use parking_lot::MutexGuard;
use smallvec::SmallVec;

use super::read::MAX_NOWAIT_OBJECTS;
use super::{Change, Commit, Found, Inner, Same, Table, Ttl, Wait, Write, free};
use crate::cache::{Spot, TableCache};
use crate::format::frame::{Kind, MAX_KEY_LEN, MAX_VALUE_LEN, Record, delete_object_key};
use crate::keydir::{Batch, Keydir, Location, SHARDS, WriteGuard};
use crate::log::Appended;
use crate::seeded::{self, Fault};
use crate::{Deadline, Error, Key, Now, Result};

/// How often a call that may not wait looks at a lock before it gives up.
const SPINS: usize = 500;
/// Of a list, what each write looks at is fetched while so many before it are shown.
const AHEAD: usize = 8;
/// A stored key of more bytes is copied to memory of its own while its object is changed.
const STORED_LEN: usize = 64;
/// So many objects are counted in one step.
const COUNTED: usize = 1_000;

impl Table {
    /// Stores a value under a key, replacing what was there (the key's stored form too); in a bag, adds it to what is there, whether it
    /// is there already or not. Appends one record.
    pub fn put(&self, key: Key<'_>, value: &[u8], wait: Wait) -> Result<Commit> {
        self.expiring(Ttl::OfTable).put(key, value, wait)
    }

    /// Stores all of them or none, isolated from every reader; of equal keys the last wins, but in a bag all are added. Appends one batch. With an empty list
    /// does nothing and gives the last commit.
    pub fn put_many(&self, puts: &[(Key<'_>, &[u8])], wait: Wait) -> Result<Commit> {
        self.expiring(Ttl::OfTable).put_many(puts, wait)
    }

    /// Like [`Table::put_many`], but `None` and no change if one of the keys is present.
    pub fn put_many_new(&self, puts: &[(Key<'_>, &[u8])], wait: Wait) -> Result<Option<Commit>> {
        self.expiring(Ttl::OfTable).put_many_new(puts, wait)
    }

    /// Reads a key's object and decides what becomes of it, in one step that no other writer of the key comes between. `f` is called at
    /// most once. After an error nothing was changed, whatever `f` said. Reads the value from the disk if it is not cached.
    pub fn update<'v, R>(
        &self,
        key: Key<'_>,
        wait: Wait,
        f: impl FnOnce(Option<Found<'_>>) -> (Change<'v>, R),
    ) -> Result<(Option<Commit>, R)> {
        let inner = &*self.inner;
        let fresh = inner.deadline(Ttl::OfTable, wait)?;
        let now = inner.log.time.now();
        // Not handed on from call to call, which would move it each time.
        let mut result = None;
        let commit = inner.with_shard(key, wait, |hash, shard| {
            let Some(hit) = shard.get(hash, key, now) else {
                let (change, of_f) = f(None);
                result = Some(of_f);
                return match change {
                    Change::Keep | Change::Delete => Ok(None),
                    Change::Put(value) | Change::Replace(value) => {
                        inner.store(shard, hash, key, (&value, fresh), wait).map(Some)
                    }
                };
            };
            let mut stored = SmallVec::<[u8; STORED_LEN]>::new();
            let mut f = Some(f);
            let mut change = None;
            let spot = Spot::new(hash, hit.location);
            inner.record(spot, key.compared(), wait, |form, value| {
                stored.extend_from_slice(form);
                let form = if hit.same_form { None } else { Some(form) };
                if let Some(f) = f.take() {
                    let (decided, of_f) = f(Some(Found { value, key: form }));
                    (change, result) = (Some(decided), Some(of_f));
                }
            })?;
            match change {
                // No segment goes away while a location that the keydir holds under lock points to it.
                None => Err(Error::Panicked),
                Some(Change::Keep) => Ok(None),
                Some(Change::Put(value)) => {
                    let form = Key::new(&stored, key.compared().len());
                    inner
                        .store(shard, hash, form, (&value, hit.deadline), wait)
                        .map(Some)
                }
                Some(Change::Replace(value)) => inner
                    .store(shard, hash, key, (&value, hit.deadline), wait)
                    .map(Some),
                Some(Change::Delete) => inner.remove(shard, hash, key, wait).map(Some),
            }
        })?;
        result.map(|result| (commit, result)).ok_or(Error::Panicked)
    }

    /// Removes a key with all its objects; `None` if it was not there. Appends a tombstone. Does not read the value.
    pub fn delete(&self, key: Key<'_>, wait: Wait) -> Result<Option<Commit>> {
        let now = self.inner.log.time.now();
        self.inner.with_shard(key, wait, |hash, shard| {
            self.inner.prefetch(shard, hash, true);
            if shard.get(hash, key, now).is_none() {
                return Ok(None);
            }
            self.inner.remove(shard, hash, key, wait).map(Some)
        })
    }

    /// Removes every object in one step. Appends one record.
    pub fn clear(&self, wait: Wait) -> Result<Commit> {
        self.clear_counted(wait).map(|(commit, _)| commit)
    }

    /// Like [`Table::clear`], and tells how many objects there were.
    pub fn clear_counted(&self, wait: Wait) -> Result<(Commit, u64)> {
        let inner = &*self.inner;
        inner.check()?;
        let keydir = inner.keydir.hold();
        if inner.log.time.expires() && wait == Wait::Never && keydir.len() > MAX_NOWAIT_OBJECTS as u64 {
            return Err(Error::WouldBlock);
        }
        let all = lock_shards(&keydir, 0..SHARDS, wait)?;
        if !inner.keydir.is(&keydir) {
            drop(all);
            return self.clear_counted(wait);
        }
        let appended = inner
            .log
            .append(&Record::new(Kind::Clear, Key::plain(&[]), &[]), wait)?;
        inner.log.add_all_dead(appended.last_seq);
        take_time(Fault::CountedLate);
        inner.keydir.replace(keydir.fresh());
        inner.clear_timers();
        let now = inner.log.time.now();
        drop(all);
        let objects = count(&keydir, now);
        inner.forget_written(objects);
        free(keydir);
        Ok((inner.done(appended), objects))
    }
}

impl Inner {
    /// Runs `f` under the write lock of the key's shard.
    pub(crate) fn with_shard<R>(
        &self,
        key: Key<'_>,
        wait: Wait,
        f: impl FnOnce(u64, &mut WriteGuard<'_>) -> Result<R>,
    ) -> Result<R> {
        self.check()?;
        let hash = self.hash(key);
        if let Some(cache) = &self.cache {
            cache.prefetch(hash);
        }
        let (mut pinned, mut counted) = (None, None);
        loop {
            let keydir = self.current(wait, &mut pinned, &mut counted);
            keydir.prefetch(hash);
            let mut shard = lock_shard(keydir, Keydir::shard_of(hash), wait)?;
            // A clear puts a new keydir in place while it holds all locks of the old one.
            if self.keydir.is(keydir) {
                // A close puts an empty one in place, in which no key is there.
                self.check()?;
                return f(hash, &mut shard);
            }
        }
    }

    /// The keydir of now, kept as becomes one who may wait or not.
    fn current<'k>(
        &'k self,
        wait: Wait,
        pinned: &'k mut Option<Guard>,
        counted: &'k mut Option<Arc<Keydir>>,
    ) -> &'k Keydir {
        match wait {
            Wait::Never => self.keydir.load(pinned.get_or_insert_with(epoch::pin)),
            Wait::May => counted.insert(self.keydir.hold()),
        }
    }

    /// Has the processor fetch what will be looked at, while other things are done.
    fn prefetch(&self, shard: &mut WriteGuard<'_>, hash: u64, removes: bool) {
        shard.prefetch_key(hash, removes);
        if let Some(cache) = &self.cache {
            cache.prefetch_record(hash);
        }
    }

    pub(super) fn store(
        &self,
        shard: &mut WriteGuard<'_>,
        hash: u64,
        key: Key<'_>,
        (value, deadline): (&[u8], Deadline),
        wait: Wait,
    ) -> Result<Commit> {
        check_len(key, value)?;
        let packed = self.pack([value]);
        let record = packed.record(0, key, value).until(deadline);
        self.store_record(shard, hash, &record, value, wait)
    }

    /// Appends a put and shows it. `value` is that of the record, not compressed.
    pub(super) fn store_record(
        &self,
        shard: &mut WriteGuard<'_>,
        hash: u64,
        record: &Record<'_>,
        value: &[u8],
        wait: Wait,
    ) -> Result<Commit> {
        let (key, deadline) = (record.key, Deadline::of(record.expiry_ms));
        if !shard.has_room(key) {
            return Err(Error::KeydirFull);
        }
        if wait == Wait::Never && shard.is_long_to_add(hash, key) {
            return Err(Error::WouldBlock);
        }
        self.prefetch(shard, hash, false);
        let appended = self.log.append(record, wait)?;
        take_time(Fault::ShownLate);
        let old = shard
            .put(hash, key, (appended.location, deadline), appended.last_seq)
            .map_err(|_| Error::KeydirFull)?;
        self.watch(hash, key, deadline, old.map(|old| old.deadline));
        let mut old = old.map(|old| old.location);
        if let Some(location) = old {
            take_time(Fault::CountedLate);
            if self.log.add_dead(location) {
                old = None;
            }
        }
        if let Some(cache) = &self.cache {
            let spot = Spot::new(hash, appended.location);
            leave_in_cache(cache, spot, old, record, value);
        }
        Ok(self.done(appended))
    }

    pub(super) fn remove(
        &self,
        shard: &mut WriteGuard<'_>,
        hash: u64,
        key: Key<'_>,
        wait: Wait,
    ) -> Result<Commit> {
        if wait == Wait::Never && shard.is_long_to_remove(hash, key) {
            return Err(Error::WouldBlock);
        }
        let appended = self.log.append(&tombstone(key), wait)?;
        let old = shard.remove(hash, key, appended.last_seq);
        self.forget(hash, &old);
        Ok(self.done(appended))
    }

    /// Counts as dead what the keydir has let go of of a key with this hash, and makes room in the cache. To be called under the lock of its key.
    pub(super) fn forget(&self, hash: u64, locations: &[Location]) {
        for (at, &location) in locations.iter().enumerate() {
            let in_a_block = self.log.add_dead(location);
            if let Some(cache) = self
                .cache
                .as_ref()
                .filter(|_| !in_a_block && at < MAX_NOWAIT_OBJECTS)
            {
                cache.remove(Spot::new(hash, location));
            }
        }
    }

    /// What is left to do once the keydir points at a new record.
    pub(super) fn done(&self, appended: Appended) -> Commit {
        self.plan(appended.care);
        Commit(appended.last_seq)
    }

    /// With `same`, drops objects that are there already, in the table or in the list, unless their deadline changes. `None` if nothing was stored.
    pub(super) fn put_list(
        &self,
        puts: &[(Key<'_>, &[u8])],
        deadline: Deadline,
        wait: Wait,
        only_new: bool,
        mut same: Option<&mut Same<'_>>,
    ) -> Result<Option<Commit>> {
        self.check()?;
        for (key, value) in puts {
            check_len(*key, value)?;
        }
        if puts.is_empty() {
            return Ok(Some(Commit(self.log.last_seq())));
        }
        let keys = puts.iter().map(|(key, _)| *key);
        let now = self.log.time.now();
        self.with_shards(&keys, wait, |places, shards| {
            let mut present = puts.iter().zip(places);
            if only_new && present.any(|((key, _), at)| shards[at.shard].get(at.hash, *key, now).is_some()) {
                return Ok(None);
            }
            let writes = |(key, value)| (key, Some(value));
            match &mut same {
                None => {
                    let writes = puts.iter().copied().map(writes).zip(places.iter().copied());
                    self.write_locked(&writes.collect::<Vec<_>>(), &[], deadline, shards, wait)
                }
                Some(same) => {
                    let fresh = self.fresh(puts, places, (deadline, now), shards, wait, same)?;
                    let writes = fresh.puts.iter().map(|&i| (writes(puts[i]), places[i]));
                    let renewed = fresh.renewed.iter().map(|&(i, seq)| (puts[i].0, seq, places[i]));
                    let renewed: Vec<_> = renewed.collect();
                    self.write_locked(&writes.collect::<Vec<_>>(), &renewed, deadline, shards, wait)
                }
            }
        })
    }

    /// Runs `f` under the write locks of the shards of all keys, with the place of each.
    pub(super) fn with_shards<'k, R>(
        &self,
        keys: &(impl Iterator<Item = Key<'k>> + Clone),
        wait: Wait,
        mut f: impl FnMut(&[Place], &mut [WriteGuard<'_>]) -> Result<R>,
    ) -> Result<R> {
        let hashes: Vec<u64> = keys.clone().map(|key| self.hash(key)).collect();
        let (mut pinned, mut counted) = (None, None);
        loop {
            let keydir = self.current(wait, &mut pinned, &mut counted);
            let mut wanted: Vec<usize> = hashes.iter().map(|&hash| Keydir::shard_of(hash)).collect();
            wanted.sort_unstable();
            wanted.dedup();
            let mut shards = lock_shards(keydir, wanted.iter().copied(), wait)?;
            if !self.keydir.is(keydir) {
                continue;
            }
            self.check()?;
            let place = |&hash| Place {
                hash,
                shard: wanted.binary_search(&Keydir::shard_of(hash)).unwrap_or_default(),
            };
            let places: Vec<Place> = hashes.iter().map(place).collect();
            return f(&places, &mut shards);
        }
    }

    /// Appends puts and deletes (of keys that are there) as one batch and shows them in one step. `None` if there are none. `renewed` are objects of a bag, by their
    /// seqs, which puts among these take the place of.
    pub(super) fn write_locked(
        &self,
        writes: &[(Write<'_>, Place)],
        renewed: &[(Key<'_>, u64, Place)],
        deadline: Deadline,
        shards: &mut [WriteGuard<'_>],
        wait: Wait,
    ) -> Result<Option<Commit>> {
        let no_room =
            |((key, value), at): &(Write<'_>, Place)| value.is_some() && !shards[at.shard].has_room(*key);
        if writes.iter().any(no_room) {
            return Err(Error::KeydirFull);
        }
        let is_long = |((key, value), at): &(Write<'_>, Place)| match value {
            Some(_) => shards[at.shard].is_long_to_add(at.hash, *key),
            None => shards[at.shard].is_long_to_remove(at.hash, *key),
        };
        if wait == Wait::Never && writes.iter().any(is_long) {
            return Err(Error::WouldBlock);
        }
        let packed = self.pack(writes.iter().map(|((_, value), _)| value.unwrap_or_default()));
        let mut records: Vec<Record<'_>> = writes
            .iter()
            .enumerate()
            .map(|(i, ((key, value), _))| match value {
                Some(value) => packed.record(i, *key, value).until(deadline),
                None => tombstone(*key),
            })
            .collect();
        let old_keys: Vec<(usize, Vec<u8>)> = renewed
            .iter()
            .map(|(key, seq, _)| (key.compared().len(), delete_object_key(key.compared(), &[*seq])))
            .collect();
        let removals = old_keys
            .iter()
            .map(|(compared, key)| Record::new(Kind::DeleteObject, Key::new(key, *compared), &[]));
        records.extend(removals);
        let mut locations = Vec::with_capacity(records.len());
        let shown = self.lock_many(wait)?;
        let appended = match records.as_slice() {
            [] => return Ok(None),
            [only] => {
                let appended = self.log.append(only, wait)?;
                locations.push(appended.location);
                appended
            }
            several => self
                .log
                .append_batch(several, wait, |_, location| locations.push(location))?,
        };
        // Locations that were removed, with the hashes of their keys, and those that puts have replaced.
        let mut removed = Vec::new();
        let mut replaced = vec![None; writes.len()];
        let mut full = false;
        for (_, at) in writes.iter().take(AHEAD) {
            self.keydir.load(&epoch::pin()).prefetch(at.hash);
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
        let first_seq = appended.last_seq + 1 - records.len() as u64;
        let with_locations = writes.iter().zip(&locations);
        for (i, ((((key, value), at), &location), seq)) in with_locations.zip(first_seq..).enumerate() {
            if let Some((_, next)) = writes.get(i + AHEAD) {
                self.keydir.load(&epoch::pin()).prefetch(next.hash);
            }
            if let Some(((_, value), next)) = writes.get(i + AHEAD / 2) {
                shards[next.shard].prefetch_key(next.hash, value.is_none());
            }
            let shard = &mut shards[at.shard];
            if value.is_none() {
                let gone = shard.remove(at.hash, *key, seq);
                removed.extend(gone.into_iter().map(|gone| (at.hash, gone)));
                continue;
            }
            match shard.put(at.hash, *key, (location, deadline), seq) {
                Ok(before) => {
                    replaced[i] = before.map(|before| before.location);
                    self.watch(at.hash, *key, deadline, before.map(|before| before.deadline));
                }
                Err(_) => full = true,
            }
        }
        for (key, seq, at) in renewed {
            if let WriteGuard::Bag(shard) = &mut shards[at.shard] {
                let gone = shard.remove(at.hash, *key, &[*seq]);
                removed.extend(gone.into_iter().map(|gone| (at.hash, gone)));
            }
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
        drop(shown);
        if full {
            // The log has all of it and the keydir cannot show it: only a fresh start can tell them apart from others.
            self.log.sticky.set(Error::KeydirFull);
            return Err(Error::KeydirFull);
        }
        for (hash, gone) in removed {
            self.forget(hash, &[gone]);
        }
        self.keep_list(writes, &records, &locations, &mut replaced);
        Ok(Some(self.done(appended)))
    }

    /// Counts as dead what a list's puts have replaced, and leaves their records in the cache. To be called under the locks of all keys.
    fn keep_list(
        &self,
        writes: &[(Write<'_>, Place)],
        records: &[Record<'_>],
        locations: &[Location],
        replaced: &mut [Option<Location>],
    ) {
        // What is in a block is no entry of the cache.
        self.log.add_dead_list(replaced);
        let Some(cache) = &self.cache else {
            return;
        };
        for (i, (((_, value), at), &location)) in writes.iter().zip(locations).enumerate() {
            if let Some((_, next)) = writes.get(i + AHEAD) {
                cache.prefetch(next.hash);
            }
            if let Some((_, next)) = writes.get(i + AHEAD / 2) {
                cache.prefetch_record(next.hash);
            }
            if let Some(value) = value {
                let spot = Spot::new(at.hash, location);
                leave_in_cache(cache, spot, replaced[i], &records[i], value);
            }
        }
    }

    pub(super) fn lock_many(&self, wait: Wait) -> Result<MutexGuard<'_, ()>> {
        if wait == Wait::May {
            return Ok(self.many.lock());
        }
        spin(|| self.many.try_lock())
    }
}

/// How many objects of a keydir that nobody writes to had not expired by then. Costs O(1) if nothing expires.
fn count(keydir: &Keydir, now: Now) -> u64 {
    if now == Now::BEFORE_ALL {
        return keydir.len();
    }
    let (mut cursor, mut batch, mut live) = (super::Cursor::default(), Batch::new(), 0);
    loop {
        batch.clear();
        // Without writers, no read is in anybody's way.
        let Ok(more) = keydir.scan(&cursor.span(), cursor.within, COUNTED, &mut batch) else {
            return live;
        };
        live += (0..batch.len()).filter(|&at| !batch.is_over(at, now)).count() as u64;
        cursor.within = batch.within(batch.len());
        if let Some((key, _)) = batch.iter().last() {
            cursor.go_behind(key);
        }
        if !more {
            return live;
        }
    }
}

/// Where a key belongs: its hash, and which of the locked shards it is in.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) hash: u64,
    pub(super) shard: usize,
}

/// What was written is in a block, as a rule. What is too long for that, or compressed, which takes time to undo, is kept as an entry, and `old` is no entry any more.
fn leave_in_cache(cache: &TableCache, spot: Spot, old: Option<Location>, record: &Record<'_>, value: &[u8]) {
    if record.compressed || spot.location.frame_len().is_none() {
        cache.replace(spot, old, record.key.bytes(), value);
    } else if let Some(old) = old {
        cache.remove(Spot::new(spot.hash, old));
    }
}

/// Gives others time to come between, where a test asks for it.
fn take_time(late: Fault) {
    if seeded::has(late) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// The record that removes a key. It has no use for the stored form.
fn tombstone(key: Key<'_>) -> Record<'_> {
    Record::new(Kind::Delete, Key::plain(key.compared()), &[])
}

/// Locks shards, which must come in ascending order.
fn lock_shards(
    keydir: &Keydir,
    shards: impl Iterator<Item = usize>,
    wait: Wait,
) -> Result<Vec<WriteGuard<'_>>> {
    shards.map(|shard| lock_shard(keydir, shard, wait)).collect()
}

#[inline]
fn lock_shard(keydir: &Keydir, shard: usize, wait: Wait) -> Result<WriteGuard<'_>> {
    match wait {
        Wait::May => {
            let mut guard = keydir.lock(shard);
            guard.resize();
            Ok(guard)
        }
        Wait::Never => match keydir.try_lock(shard) {
            Ok(guard) if guard.is_resize_due() => Err(Error::WouldBlock),
            Ok(guard) => Ok(guard),
            Err(_) => Err(Error::Busy),
        },
    }
}

fn spin<T>(mut attempt: impl FnMut() -> Option<T>) -> Result<T> {
    for _ in 0..SPINS {
        if let Some(got) = attempt() {
            return Ok(got);
        }
        std::hint::spin_loop();
    }
    Err(Error::Busy)
}

pub(super) fn check_len(key: Key<'_>, value: &[u8]) -> Result<()> {
    let (key, value) = (key.bytes().len() as u64, value.len() as u64);
    if key > MAX_KEY_LEN {
        return Err(Error::TooLarge {
            what: "key",
            len: key,
            limit: MAX_KEY_LEN,
        });
    }
    if value > MAX_VALUE_LEN {
        return Err(Error::TooLarge {
            what: "object",
            len: value,
            limit: MAX_VALUE_LEN,
        });
    }
    Ok(())
}
