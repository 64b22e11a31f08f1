//! The records of a step of a traversal, gathered from wherever they are.

use super::standing::{AHEAD, ahead};
use super::{Inner, Wait};
use crate::cache::{Spot, TableCache};
use crate::epoch;
use crate::keydir::Batch;
use crate::segment::read::Near;
use crate::{Error, Key, Now, Result};

/// A step that may not wait gathers at most so many times the bytes that it was asked for.
const PLAIN_FACTOR: usize = 4;

/// The first `count` of these entries of a keydir, but those that have expired.
pub(super) struct Records<'k> {
    pub(super) keys: &'k Batch,
    pub(super) count: usize,
    pub(super) now: Now,
}

/// What was read of the records of a step. Used again, it does not allocate for each.
#[derive(Default)]
pub(super) struct Gathered {
    values: Vec<u8>,
    /// Where in the values that of a record stands, if it is wanted.
    reads: Vec<Option<(usize, usize)>>,
    /// The keys that have another form than in the keydir, with the numbers of their records.
    forms: Vec<(usize, Box<[u8]>)>,
}

/// The stored key of a record, and its value if that is wanted.
type Met<'r> = (&'r [u8], Option<&'r [u8]>);

impl Records<'_> {
    /// The numbers of the records.
    fn live(&self) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.count).filter(|&at| self.is_live(at))
    }

    fn is_live(&self, at: usize) -> bool {
        self.now == Now::BEFORE_ALL || !self.keys.is_over(at, self.now)
    }
}

impl Gathered {
    /// Bytes of memory that it keeps for values.
    pub(super) fn held_bytes(&self) -> usize {
        self.values.capacity()
    }

    fn clear(&mut self, count: usize) {
        self.values.clear();
        self.reads.clear();
        self.reads.resize(count, None);
        self.forms.clear();
    }

    /// Keeps what was found of a record. It is put where it stays: handed on from call to call, some words would be waited for each time.
    fn keep(&mut self, records: &Records<'_>, at: usize, (stored, value): Met<'_>) {
        if let Some(value) = value {
            let start = self.values.len();
            self.values.extend_from_slice(value);
            self.reads[at] = Some((start, self.values.len()));
        }
        let key = records.keys.key(at);
        // The compared parts are the same, so without suffixes there is nothing to compare.
        let same_form = if key.suffix().is_empty() {
            stored.len() == key.bytes().len()
        } else {
            stored == key.bytes()
        };
        if !same_form {
            self.forms.push((at, stored.into()));
        }
    }

    /// Hands on what was kept, in the order of the records.
    fn hand_on(&mut self, records: &Records<'_>, f: &mut impl FnMut(&[u8], Option<&[u8]>)) {
        self.forms.sort_unstable_by_key(|form| form.0);
        let mut forms = self.forms.iter().peekable();
        let last = records.live().next_back();
        for at in records.live() {
            if self.reads[at].is_none() && last != Some(at) {
                continue;
            }
            while forms.next_if(|form| form.0 < at).is_some() {}
            let form = forms.next_if(|form| form.0 == at);
            let key = form.map_or(records.keys.key(at).bytes(), |form| &form.1);
            f(key, self.reads[at].map(|(start, end)| &self.values[start..end]));
        }
    }
}

impl Inner {
    /// Hands on the records that are wanted, and of the last one at least the key, but none if the result is an error. Where it may not wait, it takes little more than so many
    /// bytes. `whole` tells that most will be wanted, as in [`Inner::warm`]. `false` if a record has moved meanwhile: then none was handed on either.
    pub(super) fn hand_on(
        &self,
        records: &Records<'_>,
        gathered: &mut Gathered,
        (bytes, whole, wait): (usize, bool, Wait),
        wanted: &mut impl FnMut(&[u8], &[u8]) -> bool,
        f: &mut impl FnMut(&[u8], Option<&[u8]>),
    ) -> Result<bool> {
        let keys = records.keys;
        let spot = |at| Spot::new(self.hash(keys.key(at)), keys.location(at));
        let guard = epoch::pin();
        gathered.clear(records.count);
        let mut missing = Vec::new();
        let record = |at| (keys.location(at), move || spot(at));
        // Entries of the cache are waited for in rounds: the more at once the better.
        let has_entries = self.cache.as_ref().is_some_and(TableCache::has_entries);
        let part = if has_entries { records.count } else { AHEAD };
        ahead(
            records.count,
            part,
            |part, near| self.warm(part.map(record), whole, &guard, near),
            |at, near| {
                if !records.is_live(at) {
                    return true;
                }
                let mut keep = |stored: &[u8], value: &[u8]| {
                    gathered.keep(records, at, self.met(keys.key(at), stored, value, wanted));
                };
                if let Some((stored, value)) = near.and_then(Near::put) {
                    keep(stored, value);
                    return true;
                }
                let cached = |cache| self.cached(cache, keys.location(at), || spot(at), &guard, keep);
                if self.cache.as_ref().and_then(cached).is_none() {
                    missing.push(at);
                }
                true
            },
        );
        // What may wait for the disk must not hold up the freeing of memory.
        drop(guard);
        missing.sort_unstable_by_key(|&at| (keys.location(at).segment(), keys.location(at).offset()));
        for at in missing {
            let key = keys.key(at);
            let found = self.record(spot(at), key.compared(), wait, |stored, value| {
                gathered.keep(records, at, self.met(key, stored, value, wanted));
            })?;
            if found.is_none() {
                return Ok(false);
            }
            // Compressed records may be much longer than their frames told.
            if wait == Wait::Never && gathered.values.len() > bytes.saturating_mul(PLAIN_FACTOR) {
                return Err(Error::WouldBlock);
            }
        }
        gathered.hand_on(records, f);
        Ok(true)
    }

    /// The record of a key of the keydir, as it was found.
    fn met<'r>(
        &self,
        key: Key<'_>,
        stored: &'r [u8],
        value: &'r [u8],
        wanted: &mut impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Met<'r> {
        let stored = self.own_key(stored, key.compared());
        (stored, Some(value).filter(|value| wanted(stored, value)))
    }
}
