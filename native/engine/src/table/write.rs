//! Writes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::Guard;
use parking_lot::MutexGuard;

use super::{Change, Commit, Found, Inner, Same, Table, Wait, free};
use crate::format::frame::{Kind, MAX_KEY_LEN, MAX_VALUE_LEN, Record};
use crate::keydir::{Keydir, Location, SHARDS, WriteGuard};
use crate::log::Appended;
use crate::{Error, Key, Result};

/// How often a call that may not wait looks at a lock before it gives up.
const SPINS: usize = 500;

impl Table {
    /// Stores a value under a key, replacing what was there (the key's stored form too); in a bag, adds it to what is there, whether it
    /// is there already or not. Appends one record.
    pub fn put(&self, key: Key<'_>, value: &[u8], wait: Wait) -> Result<Commit> {
        check_len(key, value)?;
        let packed = self.inner.pack([value]);
        let record = packed.record(0, key, value);
        self.inner.with_shard(key, wait, |hash, shard| {
            if !shard.has_room(key) {
                return Err(Error::KeydirFull);
            }
            let appended = self.inner.log.append(&record, wait)?;
            let old = shard
                .put(hash, key, appended.location, appended.last_seq)
                .map_err(|_| Error::KeydirFull)?;
            Ok(self.inner.done(appended, old, Some((key, value))))
        })
    }

    /// Stores all of them or none, isolated from every reader; of equal keys the last wins, but in a bag all are added. Appends one batch. With an empty list
    /// does nothing and gives the last commit.
    pub fn put_many(&self, puts: &[(Key<'_>, &[u8])], wait: Wait) -> Result<Commit> {
        Ok(self
            .inner
            .put_list(puts, wait, false, None)?
            .unwrap_or(Commit(self.inner.log.last_seq())))
    }

    /// Like [`Table::put_many`], but `None` and no change if one of the keys is present.
    pub fn put_many_new(&self, puts: &[(Key<'_>, &[u8])], wait: Wait) -> Result<Option<Commit>> {
        self.inner.put_list(puts, wait, true, None)
    }

    /// Reads a key's object and decides what becomes of it, in one step that no other writer of the key comes between. `f` is called at
    /// most once. After an error nothing was changed, whatever `f` said. Reads the value from the disk if it is not cached.
    pub fn update<R>(
        &self,
        key: Key<'_>,
        wait: Wait,
        f: impl FnOnce(Option<Found<'_>>) -> (Change, R),
    ) -> Result<(Option<Commit>, R)> {
        let inner = &*self.inner;
        inner.with_shard(key, wait, |hash, shard| {
            let Some(hit) = shard.get(hash, key) else {
                let (change, result) = f(None);
                return match change {
                    Change::Keep | Change::Delete => Ok((None, result)),
                    Change::Put(value) | Change::Replace(value) => inner
                        .store(shard, hash, key, &value, wait)
                        .map(|commit| (Some(commit), result)),
                };
            };
            let mut stored = Vec::new();
            let mut f = Some(f);
            let decided = inner.record(hit.location, key.compared(), wait, |form, value| {
                stored.extend_from_slice(form);
                let form = if hit.same_form { None } else { Some(form) };
                f.take().map(|f| f(Some(Found { value, key: form })))
            })?;
            // No segment goes away while a location that the keydir holds under lock points to it.
            let Some(Some((change, result))) = decided else {
                return Err(Error::Panicked);
            };
            let commit = match change {
                Change::Keep => return Ok((None, result)),
                Change::Put(value) => {
                    let form = Key::new(&stored, key.compared().len());
                    inner.store(shard, hash, form, &value, wait)?
                }
                Change::Replace(value) => inner.store(shard, hash, key, &value, wait)?,
                Change::Delete => inner.remove(shard, hash, key, wait)?,
            };
            Ok((Some(commit), result))
        })
    }

    /// Removes a key with all its objects; `None` if it was not there. Appends a tombstone. Does not read the value.
    pub fn delete(&self, key: Key<'_>, wait: Wait) -> Result<Option<Commit>> {
        self.inner.with_shard(key, wait, |hash, shard| {
            if shard.get(hash, key).is_none() {
                return Ok(None);
            }
            self.inner.remove(shard, hash, key, wait).map(Some)
        })
    }

    /// Removes every object in one step. Appends one record.
    pub fn clear(&self, wait: Wait) -> Result<Commit> {
        let inner = &*self.inner;
        inner.check()?;
        let keydir = inner.keydir.load_full();
        let all = lock_shards(&keydir, 0..SHARDS, wait)?;
        if !Arc::ptr_eq(&keydir, &inner.keydir.load()) {
            drop(all);
            return self.clear(wait);
        }
        let appended = inner
            .log
            .append(&Record::new(Kind::Clear, Key::plain(&[]), &[]), wait)?;
        inner.keydir.store(Arc::new(keydir.fresh()));
        drop(all);
        free(keydir);
        Ok(inner.done(appended, None, None))
    }
}

impl Inner {
    /// Runs `f` under the write lock of the key's shard.
    pub(super) fn with_shard<R>(
        &self,
        key: Key<'_>,
        wait: Wait,
        f: impl FnOnce(u64, &mut WriteGuard<'_>) -> Result<R>,
    ) -> Result<R> {
        self.check()?;
        loop {
            let keydir = self.keydir.load();
            let hash = keydir.hash(key);
            let mut shard = lock_shard(&keydir, Keydir::shard_of(hash), wait)?;
            // A clear puts a new keydir in place while it holds all locks of the old one.
            if self.is_current(&keydir) {
                // A close puts an empty one in place, in which no key is there.
                self.check()?;
                return f(hash, &mut shard);
            }
        }
    }

    pub(super) fn is_current(&self, keydir: &Guard<Arc<Keydir>>) -> bool {
        Arc::ptr_eq(keydir, &self.keydir.load())
    }

    pub(super) fn store(
        &self,
        shard: &mut WriteGuard<'_>,
        hash: u64,
        key: Key<'_>,
        value: &[u8],
        wait: Wait,
    ) -> Result<Commit> {
        check_len(key, value)?;
        if !shard.has_room(key) {
            return Err(Error::KeydirFull);
        }
        let packed = self.pack([value]);
        let appended = self.log.append(&packed.record(0, key, value), wait)?;
        let old = shard
            .put(hash, key, appended.location, appended.last_seq)
            .map_err(|_| Error::KeydirFull)?;
        Ok(self.done(appended, old, Some((key, value))))
    }

    pub(super) fn remove(
        &self,
        shard: &mut WriteGuard<'_>,
        hash: u64,
        key: Key<'_>,
        wait: Wait,
    ) -> Result<Commit> {
        // The tombstone has no use for the stored form.
        let record = Record::new(Kind::Delete, Key::plain(key.compared()), &[]);
        let appended = self.log.append(&record, wait)?;
        let old = shard.remove(hash, key);
        Ok(self.done(appended, old, None))
    }

    /// What is left to do once the keydir points at a new record.
    pub(super) fn done(
        &self,
        appended: Appended,
        old: Option<Location>,
        new: Option<(Key<'_>, &[u8])>,
    ) -> Commit {
        if let Some(cache) = &self.cache {
            if let Some(old) = old {
                cache.remove(old);
            }
            if let Some((key, value)) = new {
                cache.put(appended.location, key.bytes(), value);
            }
        }
        self.plan(appended.care);
        Commit(appended.last_seq)
    }

    /// With `same`, drops objects that are there already, in the table or in the list. `None` if nothing was stored.
    pub(super) fn put_list(
        &self,
        puts: &[(Key<'_>, &[u8])],
        wait: Wait,
        only_new: bool,
        same: Option<&mut Same<'_>>,
    ) -> Result<Option<Commit>> {
        self.check()?;
        for (key, value) in puts {
            check_len(*key, value)?;
        }
        if puts.is_empty() {
            return Ok(Some(Commit(self.log.last_seq())));
        }
        loop {
            let keydir = self.keydir.load();
            let hashes: Vec<u64> = puts.iter().map(|(key, _)| keydir.hash(*key)).collect();
            let mut wanted: Vec<usize> = hashes.iter().map(|&hash| Keydir::shard_of(hash)).collect();
            wanted.sort_unstable();
            wanted.dedup();
            let mut shards = lock_shards(&keydir, wanted.iter().copied(), wait)?;
            if self.is_current(&keydir) {
                self.check()?;
                let index = |hash: u64| wanted.binary_search(&Keydir::shard_of(hash)).unwrap_or_default();
                let Some(same) = same else {
                    return self.put_locked(puts, &hashes, &mut shards, index, wait, only_new);
                };
                // An object that is there makes its key no new one.
                let mut present = puts.iter().zip(&hashes);
                if only_new && present.any(|((key, _), &hash)| shards[index(hash)].get(hash, *key).is_some())
                {
                    return Ok(None);
                }
                let fresh = self.fresh(puts, &hashes, &mut shards, index, wait, same)?;
                let puts: Vec<_> = fresh.iter().map(|&at| puts[at]).collect();
                let hashes: Vec<_> = fresh.iter().map(|&at| hashes[at]).collect();
                if puts.is_empty() {
                    return Ok(None);
                }
                return self.put_locked(&puts, &hashes, &mut shards, index, wait, only_new);
            }
        }
    }

    fn put_locked(
        &self,
        puts: &[(Key<'_>, &[u8])],
        hashes: &[u64],
        shards: &mut [WriteGuard<'_>],
        index: impl Fn(u64) -> usize,
        wait: Wait,
        only_new: bool,
    ) -> Result<Option<Commit>> {
        for ((key, _), &hash) in puts.iter().zip(hashes) {
            let shard = &mut shards[index(hash)];
            if only_new && shard.get(hash, *key).is_some() {
                return Ok(None);
            }
            if !shard.has_room(*key) {
                return Err(Error::KeydirFull);
            }
        }
        let packed = self.pack(puts.iter().map(|(_, value)| *value));
        let records: Vec<Record<'_>> = puts
            .iter()
            .enumerate()
            .map(|(i, (key, value))| packed.record(i, *key, value))
            .collect();
        let mut locations = Vec::with_capacity(puts.len());
        let shown = self.lock_many(wait)?;
        let appended = match records.as_slice() {
            [only] => {
                let appended = self.log.append(only, wait)?;
                locations.push(appended.location);
                appended
            }
            several => self
                .log
                .append_batch(several, wait, |_, location| locations.push(location))?,
        };
        let mut old = Vec::new();
        let mut full = false;
        self.epoch.fetch_add(1, Ordering::AcqRel);
        let first_seq = appended.last_seq + 1 - puts.len() as u64;
        for ((((key, _), &hash), &location), seq) in puts.iter().zip(hashes).zip(&locations).zip(first_seq..)
        {
            match shards[index(hash)].put(hash, *key, location, seq) {
                Ok(before) => old.extend(before),
                Err(_) => full = true,
            }
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
        drop(shown);
        if full {
            // The log has the whole list and the keydir cannot show it: only a fresh start can tell them apart from others.
            self.log.sticky.set(Error::KeydirFull);
            return Err(Error::KeydirFull);
        }
        if let Some(cache) = &self.cache {
            for location in old {
                cache.remove(location);
            }
            for ((key, value), &location) in puts.iter().zip(&locations) {
                cache.put(location, key.bytes(), value);
            }
        }
        Ok(Some(self.done(appended, None, None)))
    }

    pub(super) fn lock_many(&self, wait: Wait) -> Result<MutexGuard<'_, ()>> {
        if wait == Wait::May {
            return Ok(self.many.lock());
        }
        spin(|| self.many.try_lock())
    }
}

/// Locks shards, which must come in ascending order.
pub(super) fn lock_shards(
    keydir: &Keydir,
    shards: impl Iterator<Item = usize>,
    wait: Wait,
) -> Result<Vec<WriteGuard<'_>>> {
    shards.map(|shard| lock_shard(keydir, shard, wait)).collect()
}

fn lock_shard(keydir: &Keydir, shard: usize, wait: Wait) -> Result<WriteGuard<'_>> {
    match wait {
        Wait::May => Ok(keydir.lock(shard)),
        Wait::Never => keydir.try_lock(shard).map_err(|_| Error::WouldBlock),
    }
}

fn spin<T>(mut attempt: impl FnMut() -> Option<T>) -> Result<T> {
    for _ in 0..SPINS {
        if let Some(got) = attempt() {
            return Ok(got);
        }
        std::hint::spin_loop();
    }
    Err(Error::WouldBlock)
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
