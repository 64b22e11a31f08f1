//! Traversal in the order of the keys, forward and backward.
//!
//! A place in the order is a key, present or not, so whatever happens to the table between two steps, the next one goes on
//! with what comes behind the last key that was seen.

use std::ops::{Bound, ControlFlow};

use crossbeam_epoch::{self as epoch, Guard};

use super::OrderedKeydir;
use super::cell::Cell;
use super::stored::StoredKey;
use crate::keydir::{BATCH_BYTES, Batch, Direction, Next, Span};

type Entry<'a, 'g> = crossbeam_skiplist::base::Entry<'a, 'g, StoredKey, Cell>;

impl OrderedKeydir {
    /// The first entry of the span, expired or not; its stored key, suffix included, replaces what is in `key`. Costs O(log n).
    pub fn next(&self, span: &Span<'_>, key: &mut Vec<u8>) -> Option<Next> {
        let mut found = None;
        let guard = epoch::pin();
        self.walk(span, &guard, |compared, entry| {
            let content = entry.value().read(entry.key(), &guard);
            key.clear();
            key.extend_from_slice(compared);
            key.extend_from_slice(content.suffix);
            found = Some(Next {
                compared: compared.len(),
                location: content.location,
                deadline: content.deadline,
            });
            ControlFlow::Break(())
        });
        found
    }

    /// Appends the first entries of the span, expired ones too, to `out`, at most `limit` and fewer when the keys are long. `true` if there may
    /// be more. An entry that is there all the time is not missed. Costs O(log n + limit) forward, O(limit * log n) backward.
    pub fn scan(&self, span: &Span<'_>, limit: usize, out: &mut Batch) -> bool {
        if limit == 0 {
            return true;
        }
        let full = out.len() + limit;
        let bytes_max = out.key_bytes() + BATCH_BYTES;
        let guard = epoch::pin();
        self.walk(span, &guard, |compared, entry| {
            let content = entry.value().read(entry.key(), &guard);
            out.push_parts(0, compared, content.suffix, content.location, content.deadline);
            if out.len() < full && out.key_bytes() < bytes_max {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })
    }

    /// Hands the entries of the span with their compared bytes to `sink` until it breaks; `true` if it did.
    fn walk<'a: 'g, 'g>(
        &'a self,
        span: &Span<'_>,
        guard: &'g Guard,
        mut sink: impl FnMut(&'g [u8], Entry<'a, 'g>) -> ControlFlow<()>,
    ) -> bool {
        let mut at = match span.direction {
            Direction::Forward => self.list.lower_bound(span.from, guard),
            Direction::Backward => self.list.upper_bound(span.from, guard),
        };
        while let Some(entry) = at {
            let compared = entry.key().key().compared();
            if !span.reaches(compared) {
                return false;
            }
            at = match sink(compared, entry.clone()) {
                ControlFlow::Break(()) => return true,
                ControlFlow::Continue(()) => match span.direction {
                    Direction::Forward => entry.next(),
                    Direction::Backward => entry.prev(),
                },
            };
        }
        false
    }
}

impl Span<'_> {
    /// Whether the end of the span is not before this key.
    fn reaches(&self, compared: &[u8]) -> bool {
        match (self.until, self.direction) {
            (Bound::Unbounded, _) => true,
            (Bound::Included(until), Direction::Forward) => compared <= until,
            (Bound::Excluded(until), Direction::Forward) => compared < until,
            (Bound::Included(until), Direction::Backward) => compared >= until,
            (Bound::Excluded(until), Direction::Backward) => compared > until,
        }
    }
}
