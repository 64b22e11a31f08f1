//! Bringing units into the chain of a keydir in the order of the keys. Each unit's records are brought into order when they are decoded, as a *run*. Runs are gathered until they are worth it; then they are
//! merged, the last record of each key is found, and each leaf is made anew once for all of them.
//!
//! That is one part, for one thread: what the others decode meanwhile allocates little, while here each key is an allocation. Two threads that allocate all the time wait for each
//! other where the allocator has one lock for both.

use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::super::load::{Refused, named};
use super::unit::{Item, Run, Unit};
use super::{Load, Stopped};
use crate::format::record::Kind;
use crate::keydir::prefetch::prefetch;
use crate::keydir::{Chain, KeyChange, Location, common, head};
use crate::{Deadline, Result};

/// Records are applied when they take this part of the memory that the chain does: of the fewer keys each leaf is made anew, the more that costs, and a load shall need
/// little more memory than what it loads.
const SHARE: usize = 5;
/// A record is fetched so many records ahead, and its key half as many.
const AHEAD: usize = 16;

/// What was decoded and is not in the chain yet, in the order of the seqs.
#[derive(Default)]
pub(super) struct Gathered {
    runs: Vec<Run>,
    /// Bytes of memory that it takes, those among them that bringing it into order will.
    bytes: usize,
}

impl Gathered {
    /// Takes over what a unit has.
    pub(super) fn take(&mut self, unit: &mut Unit) {
        let run = std::mem::take(&mut unit.run);
        // A stable sort may want half as much again.
        let of_item = size_of::<Item>() + size_of::<Entry>() * 3 / 2;
        self.bytes += size_of::<Run>() + run.keys.len() + run.items.len() * of_item;
        self.runs.push(run);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Takes all that there is, if it is so much that it shall come into the chain, or the last.
    pub(super) fn take_due(&mut self, chain: &Chain, is_last: bool) -> Gathered {
        if is_last || self.bytes >= chain.memory_bytes() / SHARE {
            std::mem::take(self)
        } else {
            Gathered::default()
        }
    }
}

/// A record on its way into the chain.
#[derive(Clone, Copy)]
struct Entry {
    /// Eight bytes of its key, behind what all keys begin with, as a number.
    head: u64,
    run: u32,
    item: u32,
}

/// The records of runs, sorted by their keys and, of one key, by their seqs.
struct Sorted<'r> {
    runs: &'r [Run],
    entries: Vec<Entry>,
}

impl Load<'_> {
    /// Brings what is gathered into the chain, and decodes the units of `next`.
    pub(super) fn sorted_round(
        &self,
        chain: &mut Chain,
        gathered: &Gathered,
        next: &mut [Unit],
        threads: usize,
    ) -> std::result::Result<(), Stopped> {
        let chain = Mutex::new(chain);
        let parts = usize::from(!gathered.is_empty());
        self.round(next, None, parts, threads, |_| {
            self.apply_sorted(&mut chain.lock(), &Sorted::new(&gathered.runs))
        })
    }

    /// Brings records into the chain, and counts what is live of the segments.
    fn apply_sorted(&self, chain: &mut Chain, sorted: &Sorted<'_>) -> Result<()> {
        let mut live = vec![0; sorted.runs.len()];
        let mut done = Ok(());
        let changes = sorted.of_one_key().map_while(|entries| {
            let change = self.last_of(sorted, entries, &mut live);
            change.map_err(|error| done = Err(error)).ok()
        });
        chain.merge(changes, |old| self.add_dead(old));
        for (run, live) in sorted.runs.iter().zip(live) {
            self.sources[run.source].segment.add_live_bytes(live);
        }
        done
    }

    /// What the records of a key come to.
    fn last_of<'r>(&self, sorted: &Sorted<'r>, entries: &[Entry], live: &mut [u64]) -> Result<KeyChange<'r>> {
        let mut expires = false;
        for entry in entries {
            let (run, item) = sorted.at(entry);
            match item.kind {
                Kind::Put => expires |= item.deadline != Deadline::NEVER,
                Kind::Delete => {}
                _ => return Err(self.refused(run.source, item, Refused::Alien)),
            }
        }
        if expires {
            self.expiry.met.store(true, Ordering::Relaxed);
        }
        // Of those before it nothing is counted, neither that they were live nor that they are not.
        let last = &entries[entries.len() - 1];
        let (run, item) = sorted.at(last);
        // One that has expired hides what is older all the same.
        let is_there = item.kind == Kind::Put && !item.deadline.is_over(self.expiry.now);
        if is_there {
            match (item.location.frame_len(), named(self.segments, item.location)) {
                (None, Some(segment)) => segment.add_live(item.location, u64::from(item.frame_len)),
                _ => live[last.run as usize] += u64::from(item.frame_len),
            }
        }
        Ok(KeyChange {
            key: run.key(item),
            to: is_there.then_some((item.location, item.deadline)),
        })
    }

    fn add_dead(&self, location: Location) {
        if let Some(segment) = named(self.segments, location) {
            segment.add_dead(location);
        }
    }
}

impl<'r> Sorted<'r> {
    fn new(runs: &'r [Run]) -> Self {
        let shared = |a: &'r [u8], b: &[u8]| &a[..common(a, b)];
        let ends = runs.iter().flat_map(|run| {
            let ends = [run.items.first(), run.items.last()];
            ends.map(|item| item.map(|item| run.key(item).compared()))
        });
        let skip = ends.flatten().reduce(shared).map_or(0, <[u8]>::len);
        let mut entries = Vec::with_capacity(runs.iter().map(|run| run.items.len()).sum());
        for (run, at) in runs.iter().zip(0..) {
            entries.extend(run.items.iter().zip(0..).map(|(key, item)| Entry {
                head: head(run.key(key).compared(), skip),
                run: at,
                item,
            }));
        }
        let mut sorted = Sorted {
            runs,
            entries: Vec::new(),
        };
        // A stable sort, which finds the runs and merges them: a key's records stay in their order.
        entries.sort_by(|a, b| {
            let heads = a.head.cmp(&b.head);
            heads.then_with(|| sorted.key(a).cmp(sorted.key(b)))
        });
        sorted.entries = entries;
        sorted
    }

    fn at(&self, entry: &Entry) -> (&'r Run, &'r Item) {
        let run = &self.runs[entry.run as usize];
        (run, &run.items[entry.item as usize])
    }

    fn key(&self, entry: &Entry) -> &'r [u8] {
        let (run, item) = self.at(entry);
        run.key(item).compared()
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
                let (run, item) = self.at(entry);
                prefetch(run.keys.as_ptr().wrapping_add(item.start as usize));
            }
        })
    }
}
