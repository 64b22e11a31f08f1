//! Applying units to the chain of a keydir in the order of the keys. The records of many units, each of which has its own in order, are sorted, the last one of each key
//! is found, and each leaf is made anew once for all of them.
//!
//! That is one part, for one thread: what the others decode meanwhile allocates little, while here each key is an allocation. Two threads that allocate all the time wait for each
//! other where the allocator has one lock for both.

use std::sync::atomic::Ordering;

use super::super::load::{Refused, named};
use super::unit::{Item, Unit};
use super::{Load, Stopped};
use crate::format::record::Kind;
use crate::keydir::prefetch::prefetch;
use crate::keydir::{Chain, KeyChange, Location, common, head};
use crate::{Deadline, Result};

/// Units are applied when they take this part of the memory that the chain does: of the fewer keys each leaf is made anew, the more that costs, and a load shall need
/// little more memory than what it loads.
const SHARE: usize = 6;
/// A record is fetched so many records ahead, and its key half as many.
const AHEAD: usize = 16;

/// Whether so many units make a round.
pub(super) fn are_enough(units: &[Unit], chain: &Chain) -> bool {
    units.iter().map(Unit::memory_bytes).sum::<usize>() >= chain.memory_bytes() / SHARE
}

/// A record on its way into the chain.
#[derive(Clone, Copy)]
struct Entry {
    /// Eight bytes of its key, behind what all keys begin with, as a number.
    head: u64,
    unit: u32,
    item: u32,
}

/// The records of units, sorted by their keys and, of one key, by their seqs.
struct Sorted<'u> {
    units: &'u [Unit],
    entries: Vec<Entry>,
}

impl Load<'_> {
    /// Applies the units of `now` and decodes those of `next`.
    pub(super) fn sorted_round(
        &self,
        chain: &mut Chain,
        now: &[Unit],
        next: &mut [Unit],
        threads: usize,
    ) -> std::result::Result<(), Stopped> {
        let chain = parking_lot::Mutex::new(chain);
        self.round(next, None, 1, threads, |_| {
            self.apply_sorted(&mut chain.lock(), &Sorted::new(now))
        })
    }

    /// Brings records into the chain, and counts what is live of the segments.
    fn apply_sorted(&self, chain: &mut Chain, sorted: &Sorted<'_>) -> Result<()> {
        let mut live = vec![0; sorted.units.len()];
        let mut done = Ok(());
        let changes = sorted.of_one_key().map_while(|entries| {
            let change = self.last_of(sorted, entries, &mut live);
            change.map_err(|error| done = Err(error)).ok()
        });
        chain.merge(changes, |old| self.add_dead(old));
        for (unit, live) in sorted.units.iter().zip(live) {
            self.sources[unit.source].segment.add_live_bytes(live);
        }
        done
    }

    /// What the records of a key come to.
    fn last_of<'u>(&self, sorted: &Sorted<'u>, entries: &[Entry], live: &mut [u64]) -> Result<KeyChange<'u>> {
        let mut expires = false;
        for entry in entries {
            let (unit, item) = sorted.at(entry);
            match item.kind {
                Kind::Put => expires |= item.deadline != Deadline::NEVER,
                Kind::Delete => {}
                _ => return Err(self.refused(unit, item, Refused::Alien)),
            }
        }
        if expires {
            self.expiry.met.store(true, Ordering::Relaxed);
        }
        // Of those before it nothing is counted, neither that they were live nor that they are not.
        let last = &entries[entries.len() - 1];
        let (unit, item) = sorted.at(last);
        // One that has expired hides what is older all the same.
        let is_there = item.kind == Kind::Put && !item.deadline.is_over(self.expiry.now);
        if is_there {
            match (item.location.frame_len(), named(self.segments, item.location)) {
                (None, Some(segment)) => segment.add_live(item.location, u64::from(item.frame_len)),
                _ => live[last.unit as usize] += u64::from(item.frame_len),
            }
        }
        Ok(KeyChange {
            key: unit.key(item),
            to: is_there.then_some((item.location, item.deadline)),
        })
    }

    fn add_dead(&self, location: Location) {
        if let Some(segment) = named(self.segments, location) {
            segment.add_dead(location);
        }
    }
}

impl<'u> Sorted<'u> {
    fn new(units: &'u [Unit]) -> Self {
        let shared = |a: &'u [u8], b: &[u8]| &a[..common(a, b)];
        let ends = units.iter().flat_map(|unit| {
            let items = unit.all_items();
            let ends = [items.first(), items.last()];
            ends.map(|item| item.map(|item| unit.key(item).compared()))
        });
        let skip = ends.flatten().reduce(shared).map_or(0, <[u8]>::len);
        let mut entries = Vec::with_capacity(units.iter().map(|unit| unit.all_items().len()).sum());
        for (unit, at) in units.iter().zip(0..) {
            entries.extend(unit.all_items().iter().zip(0..).map(|(key, item)| Entry {
                head: head(unit.key(key).compared(), skip),
                unit: at,
                item,
            }));
        }
        let mut sorted = Sorted {
            units,
            entries: Vec::new(),
        };
        // A stable sort, which finds the units' own order and merges it: a key's records stay in theirs.
        entries.sort_by(|a, b| {
            let heads = a.head.cmp(&b.head);
            heads.then_with(|| sorted.key(a).cmp(sorted.key(b)))
        });
        sorted.entries = entries;
        sorted
    }

    fn at(&self, entry: &Entry) -> (&'u Unit, &'u Item) {
        let unit = &self.units[entry.unit as usize];
        (unit, &unit.all_items()[entry.item as usize])
    }

    fn key(&self, entry: &Entry) -> &'u [u8] {
        let (unit, item) = self.at(entry);
        unit.key(item).compared()
    }

    /// The records of each key.
    fn of_one_key(&self) -> impl Iterator<Item = &[Entry]> {
        let mut at = 0;
        let keys = self
            .entries
            .chunk_by(|a, b| a.head == b.head && self.key(a) == self.key(b));
        keys.inspect(move |entries| {
            at += entries.len();
            if let Some(entry) = self.entries.get(at + AHEAD) {
                prefetch(self.at(entry).1);
            }
            if let Some(entry) = self.entries.get(at + AHEAD / 2) {
                let (unit, item) = self.at(entry);
                prefetch(unit.bytes.as_ptr().wrapping_add(item.start as usize));
            }
        })
    }
}
