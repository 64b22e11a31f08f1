//! Writes: puts, deletes, clears.

use super::care::free;
use super::locks::lock_shards;
use super::read::MAX_NOWAIT_OBJECTS;
use super::{Commit, Inner, Table, Ttl, Wait};
use crate::cache::{Spot, TableCache};
use crate::format::record::{Kind, MAX_KEY_LEN, MAX_VALUE_LEN, Record};
use crate::keydir::{Batch, Candidate, Keydir, Location, SHARDS, WriteGuard};
use crate::log::{Appended, Old};
use crate::seeded::{self, Fault};
use crate::{Deadline, Error, Key, Now, Result};

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
            .append(&Record::new(Kind::Clear, Key::plain(&[]), &[]), None, wait)?;
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
        replaces: Option<Candidate>,
        wait: Wait,
    ) -> Result<Commit> {
        check_len(key, value)?;
        let packed = self.pack([value]);
        let record = packed.record(0, key, value).until(deadline);
        self.store_record(shard, hash, &record, value, replaces, wait)
    }

    /// Appends a put and shows it. `value` is that of the record, not compressed. It `replaces` the shard's candidate, if
    /// that is known to be the key's entry, with the same bytes of the key and, as this record, without a deadline: then nothing is looked for.
    pub(super) fn store_record(
        &self,
        shard: &mut WriteGuard<'_>,
        hash: u64,
        record: &Record<'_>,
        value: &[u8],
        replaces: Option<Candidate>,
        wait: Wait,
    ) -> Result<Commit> {
        let (key, deadline) = (record.key, Deadline::of(record.expiry_ms));
        debug_assert!(replaces.is_none() || deadline == Deadline::NEVER);
        if replaces.is_none() {
            if !shard.has_room(key) {
                return Err(Error::KeydirFull);
            }
            if wait == Wait::Never && shard.is_long_to_add(hash, key) {
                return Err(Error::WouldBlock);
            }
            self.prefetch(shard, hash, false);
        }
        let appended = self.log.append(record, replaces.map(|old| old.location), wait)?;
        take_time(Fault::ShownLate);
        let old = if let Some(old) = replaces {
            let shown = shard.replace_candidate(hash, old, appended.location);
            debug_assert!(shown, "the entry stands where it stood, for the lock was kept");
            if !shown {
                // The log has it, and what the keydir shows in its place is not known.
                self.log.sticky.set(Error::Panicked);
                return Err(Error::Panicked);
            }
            take_time(Fault::CountedLate);
            Some(old.location).filter(|&location| !match appended.old {
                Old::Live => self.log.add_dead(location),
                Old::Dead => self.log.let_go(location),
                Old::Gone => true,
            })
        } else {
            let put = shard.put(hash, key, (appended.location, deadline), appended.last_seq);
            let old = put.map_err(|_| {
                // The log has it and the keydir cannot show it: only a fresh start can tell it.
                self.log.sticky.set(Error::KeydirFull);
                Error::KeydirFull
            })?;
            self.watch(hash, key, deadline, old.map(|old| old.deadline));
            if old.is_some() {
                take_time(Fault::CountedLate);
            }
            old.map(|old| old.location)
                .filter(|&location| !self.log.add_dead(location))
        };
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
        let appended = self.log.append(&tombstone(key), None, wait)?;
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

/// What was written is in a block, as a rule. What is too long for that, or compressed, which takes time to undo, is kept as an entry, and `old` is no entry any more.
pub(super) fn leave_in_cache(
    cache: &TableCache,
    spot: Spot,
    old: Option<Location>,
    record: &Record<'_>,
    value: &[u8],
) {
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
pub(super) fn tombstone(key: Key<'_>) -> Record<'_> {
    Record::new(Kind::Delete, Key::plain(key.compared()), &[])
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
