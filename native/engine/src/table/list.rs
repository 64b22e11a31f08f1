//! Changes of several keys in one step.

use std::sync::atomic::Ordering;

use super::locks::Place;
use super::write::{check_len, leave_in_cache, tombstone};
use super::{Commit, Inner, Same, Wait, Write};
use crate::cache::Spot;
use crate::epoch;
use crate::format::record::{Kind, Record, delete_object_key};
use crate::keydir::{Location, WriteGuard};
use crate::{Deadline, Error, Key, Result};

/// Of a list, what each write looks at is fetched while so many before it are shown.
const AHEAD: usize = 8;

impl Inner {
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
                let appended = self.log.append(only, None, wait)?;
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
}
