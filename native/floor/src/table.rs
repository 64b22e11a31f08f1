//! A table: the log, and an index of it by hash or in the order of keys.
//!
//! A writer takes the lock of the key's shard and that of the log's end. A reader takes none and writes to nothing: a table is for one process at a time,
//! or for several that only read, which is what the benchmark's floor is measured with. Safe sharing costs a reader more, so it is no part of the least.
#![expect(unsafe_code, reason = "reads without locks")]

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Result;
use std::path::Path;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::frame::{BATCH, COMMIT, DELETE, Frame, PUT, Record};
use crate::log::Log;
use crate::slots::{LOCATION_BITS, Slots, location};

const SHARDS: usize = 256;
/// A list has the slot fetched of the key so many ahead of the one it is at, and half as many ahead what the slot points to.
const AHEAD: usize = 16;

/// A key in an ordered table: its bytes, then zeros, then its length, as numbers whose order is that of the bytes. Longer keys are refused.
type Ordered = [u64; 3];

pub struct Table {
    seed: u64,
    log: Mutex<Log>,
    index: Index,
}

enum Index {
    Hash(Vec<Mutex<Slots>>),
    /// Each with its location, and the length of its frame in the bits above.
    Ordered(Mutex<BTreeMap<Ordered, u64>>),
}

/// What a lock guards, without the lock.
fn read<T>(lock: &Mutex<T>) -> &T {
    // SAFETY: by the contract of tables nobody else is in a call with this one but to read, and no caller holds the lock.
    unsafe { &*lock.data_ptr() }
}

impl Table {
    pub fn create(dir: &Path, ordered: bool) -> Result<Table> {
        Ok(Table {
            seed: RandomState::new().hash_one(0),
            log: Mutex::new(Log::create(dir)?),
            index: if ordered {
                Index::Ordered(Mutex::default())
            } else {
                Index::Hash((0..SHARDS).map(|_| Mutex::new(Slots::new())).collect())
            },
        })
    }

    /// The hash of a key, whose slot begins to be fetched. An ordered table needs none.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        let Index::Hash(shards) = &self.index else {
            return 0;
        };
        let hash = xxh3_64_with_seed(key, self.seed);
        read(&shards[shard(hash)]).prefetch(hash);
        hash
    }

    /// Has the processor fetch the record that is likely the key's.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if let Index::Hash(shards) = &self.index {
            let slots = read(&shards[shard(hash)]);
            if let Ok(at) = slots.find(hash, |_| true) {
                read(&self.log).prefetch(slots.at(at));
            }
        }
    }

    /// The record of a key.
    #[inline]
    pub fn get(&self, key: &[u8], hash: u64) -> Option<Record<'_>> {
        let log = read(&self.log);
        match &self.index {
            Index::Hash(shards) => {
                let slots = read(&shards[shard(hash)]);
                if !slots.may_have(hash) {
                    return None;
                }
                let at = slots.find(hash, |location| {
                    // The key's line comes first, and what follows is on its way meanwhile.
                    log.prefetch(location);
                    is(log, location, key)
                });
                log.read(slots.at(at.ok()?))
            }
            Index::Ordered(tree) => {
                let location = location(*read(tree).get(&ordered(key)?)?);
                log.prefetch(location);
                log.read(location)
            }
        }
    }

    /// Stores a frame in the place of what its key had.
    pub fn put(&self, frame: &mut Frame, hash: u64) -> Option<()> {
        match &self.index {
            Index::Hash(shards) => {
                let mut slots = shards[shard(hash)].lock();
                store(&mut slots, &mut self.log.lock(), frame, hash)
            }
            Index::Ordered(tree) => {
                let key = ordered(frame.key_bytes())?;
                let mut tree = tree.lock();
                let mut log = self.log.lock();
                let (location, len) = log.append(frame, PUT)?;
                if let Some(old) = tree.insert(key, location | len << LOCATION_BITS) {
                    log.bury(old >> LOCATION_BITS);
                }
                Some(())
            }
        }
    }

    /// Stores frames as one batch in the log.
    pub fn put_list(&self, frames: &mut [(Frame, u64)]) -> Option<()> {
        let Index::Hash(shards) = &self.index else {
            return frames
                .iter_mut()
                .try_for_each(|(frame, hash)| self.put(frame, *hash));
        };
        let mut shards: Vec<_> = shards.iter().map(Mutex::lock).collect();
        let mut log = self.log.lock();
        let mut bound = Frame::new();
        bound.raw_key(&(frames.len() as u64).to_le_bytes(), &[]);
        log.append(&mut bound, BATCH)?;
        for i in 0..frames.len() {
            if let Some((_, hash)) = frames.get(i + AHEAD) {
                shards[shard(*hash)].prefetch(*hash);
            }
            if let Some((_, hash)) = frames.get(i + AHEAD / 2)
                && let slots = &shards[shard(*hash)]
                && let Ok(at) = slots.find(*hash, |_| true)
            {
                log.prefetch(slots.at(at));
            }
            let (frame, hash) = &mut frames[i];
            store(&mut shards[shard(*hash)], &mut log, frame, *hash)?;
        }
        log.append(&mut bound, COMMIT).map(|_| ())
    }

    /// Writes a tombstone for the frame's key and takes it out of the index, if it is there.
    pub fn delete(&self, frame: &mut Frame, hash: u64) -> Option<()> {
        match &self.index {
            Index::Hash(shards) => {
                let mut slots = shards[shard(hash)].lock();
                let mut log = self.log.lock();
                if let Ok(at) = slots.find(hash, |location| is(&log, location, frame.key_bytes())) {
                    log.append(frame, DELETE)?;
                    let dead = log.len_at(slots.at(at));
                    log.bury(dead);
                    slots.remove(at);
                }
            }
            Index::Ordered(tree) => {
                let (mut tree, mut log) = (tree.lock(), self.log.lock());
                if let Some(old) = tree.remove(&ordered(frame.key_bytes())?) {
                    log.append(frame, DELETE)?;
                    log.bury(old >> LOCATION_BITS);
                }
            }
        }
        Some(())
    }

    /// Replaces `locations` by those of the next `count` slots from a place on, and gives the place behind them; `None` if that is the end.
    pub fn step(&self, from: usize, count: usize, locations: &mut Vec<u64>) -> Option<usize> {
        locations.clear();
        let Index::Hash(shards) = &self.index else {
            return None;
        };
        let (number, at) = (from >> 32, from & 0xffff_ffff);
        let words = read(shards.get(number)?).words();
        let end = words.len().min(at + count);
        locations.extend(
            words
                .get(at..end)?
                .iter()
                .filter(|word| **word != 0)
                .map(|word| location(*word)),
        );
        if end < words.len() {
            Some(number << 32 | end)
        } else {
            (number + 1 < shards.len()).then_some((number + 1) << 32)
        }
    }

    /// Replaces `locations` by those of the next `count` keys from one on.
    pub fn range(&self, from: &[u8], count: usize, locations: &mut Vec<u64>) -> Option<()> {
        locations.clear();
        if let Index::Ordered(tree) = &self.index {
            let words = read(tree).range(ordered(from)?..).take(count);
            locations.extend(words.map(|(_, word)| location(*word)));
        }
        Some(())
    }

    /// The records at these locations, from the last to the first.
    pub fn records(&self, locations: &[u64]) -> impl Iterator<Item = Record<'_>> {
        let log = read(&self.log);
        (0..locations.len()).rev().filter_map(move |i| {
            if let Some(ahead) = i.checked_sub(AHEAD) {
                log.prefetch(locations[ahead]);
            }
            log.read(locations[i])
        })
    }
}

fn shard(hash: u64) -> usize {
    (hash >> 56) as usize
}

fn is(log: &Log, location: u64, key: &[u8]) -> bool {
    log.read(location).is_some_and(|record| record.key == key)
}

/// The frame is written before the key's old record is looked at, which may still be on its way from memory.
fn store(slots: &mut Slots, log: &mut Log, frame: &mut Frame, hash: u64) -> Option<()> {
    let (location, _) = log.append(frame, PUT)?;
    match slots.find(hash, |old| is(log, old, frame.key_bytes())) {
        Ok(at) => {
            let dead = log.len_at(slots.at(at));
            log.bury(dead);
            slots.set(at, hash, location);
        }
        Err(at) => slots.insert(at, hash, location),
    }
    Some(())
}

fn ordered(key: &[u8]) -> Option<Ordered> {
    let mut bytes = [0; size_of::<Ordered>()];
    let (last, room) = bytes.split_last_mut()?;
    room.get_mut(..key.len())?.copy_from_slice(key);
    *last = key.len() as u8;
    let mut words = Ordered::default();
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_be_bytes(*bytes);
    }
    Some(words)
}
