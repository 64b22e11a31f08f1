//! Puts and deletes of many keys in one step.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::write::{check_len, lock_shards};
use super::{Commit, Inner, Table, Wait};
use crate::format::frame::{Kind, Record};
use crate::keydir::{Keydir, WriteGuard};
use crate::{Error, Key, Result};

/// A key and its new value, or `None` if the key is to be removed.
pub type Write<'a> = (Key<'a>, Option<&'a [u8]>);

impl Table {
    /// Stores and removes all of them or none, isolated from every reader; of writes of the same key the last wins. Appends one batch, or
    /// nothing, and gives `None`, if no write would change anything. For tables in which a key has one object.
    pub fn write_many(&self, writes: &[Write<'_>], wait: Wait) -> Result<Option<Commit>> {
        let inner = &*self.inner;
        inner.check()?;
        for (key, value) in writes {
            check_len(*key, value.unwrap_or_default())?;
        }
        let writes = last_of_each_key(writes);
        loop {
            let keydir = inner.keydir.load();
            let hashes: Vec<u64> = writes.iter().map(|(key, _)| keydir.hash(*key)).collect();
            let mut wanted: Vec<usize> = hashes.iter().map(|&hash| Keydir::shard_of(hash)).collect();
            wanted.sort_unstable();
            wanted.dedup();
            let mut shards = lock_shards(&keydir, wanted.iter().copied(), wait)?;
            if !inner.is_current(&keydir) {
                continue;
            }
            let places = hashes.iter().map(|&hash| Place {
                hash,
                shard: wanted.binary_search(&Keydir::shard_of(hash)).unwrap_or_default(),
            });
            let writes = writes.iter().copied().zip(places).collect();
            return inner.write_locked(writes, &mut shards, wait);
        }
    }
}

/// Where a key belongs: its hash, and which of the locked shards it is in.
#[derive(Clone, Copy)]
struct Place {
    hash: u64,
    shard: usize,
}

impl Inner {
    fn write_locked(
        &self,
        mut writes: Vec<(Write<'_>, Place)>,
        shards: &mut [WriteGuard<'_>],
        wait: Wait,
    ) -> Result<Option<Commit>> {
        // A tombstone for a key that is not there would only take room.
        writes.retain(|((key, value), at)| value.is_some() || shards[at.shard].get(at.hash, *key).is_some());
        if writes
            .iter()
            .any(|((key, value), at)| value.is_some() && !shards[at.shard].has_room(*key))
        {
            return Err(Error::KeydirFull);
        }
        let packed = self.pack(writes.iter().map(|((_, value), _)| value.unwrap_or_default()));
        let records: Vec<Record<'_>> = writes
            .iter()
            .enumerate()
            .map(|(i, ((key, value), _))| match value {
                Some(value) => packed.record(i, *key, value),
                None => Record::new(Kind::Delete, Key::plain(key.compared()), &[]),
            })
            .collect();
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
        let mut old = Vec::new();
        let mut full = false;
        self.epoch.fetch_add(1, Ordering::AcqRel);
        let first_seq = appended.last_seq + 1 - writes.len() as u64;
        for ((((key, value), at), &location), seq) in writes.iter().zip(&locations).zip(first_seq..) {
            let shard = &mut shards[at.shard];
            if value.is_none() {
                old.extend(shard.remove(at.hash, *key));
                continue;
            }
            match shard.put(at.hash, *key, location, seq) {
                Ok(before) => old.extend(before),
                Err(_) => full = true,
            }
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
        drop(shown);
        if full {
            // The log has all of it and the keydir cannot show it: only a fresh start can tell them apart from others.
            self.log.sticky.set(Error::KeydirFull);
            return Err(Error::KeydirFull);
        }
        if let Some(cache) = &self.cache {
            for location in old {
                cache.remove(location);
            }
            for (((key, value), _), &location) in writes.iter().zip(&locations) {
                if let Some(value) = value {
                    cache.put(location, key.bytes(), value);
                }
            }
        }
        Ok(Some(self.done(appended, None, None)))
    }
}

/// Leaves out what a later write of the same key undoes.
fn last_of_each_key<'a>(writes: &[Write<'a>]) -> Vec<Write<'a>> {
    let mut seen = HashSet::with_capacity(writes.len());
    let mut last: Vec<Write<'a>> = writes
        .iter()
        .rev()
        .filter(|(key, _)| seen.insert(key.compared()))
        .copied()
        .collect();
    last.reverse();
    last
}
