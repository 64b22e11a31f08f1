//! Going through the keys in order.
#![allow(unsafe_code, reason = "follows a pointer that the epoch protects")]

use std::ops::{Bound, ControlFlow};

use crate::epoch::Guard;

use super::super::node::Node;
use super::keys::Keys;
use super::page::Page;
use super::{Tree, page_behind};
use crate::keydir::prefetch::prefetch;
use crate::keydir::{Direction, Span};

/// So many nodes ahead of the one that is looked at are fetched.
const AHEAD: usize = 12;
/// When so many nodes are left, what the next leaf begins with is fetched; and then where its nodes stand.
const NEXT_LEAF: usize = 10;
const NEXT_NODES: usize = 4;

impl Tree {
    /// Hands the nodes of the span to `sink` until it breaks; `true` if it did. A key that is there all the time is met once. Costs O(log n), and as much
    /// for each page on the way when it goes backward.
    pub(in super::super) fn walk<'g>(
        &'g self,
        span: &Span<'_>,
        guard: &'g Guard,
        sink: impl FnMut(&'g Node) -> ControlFlow<()>,
    ) -> bool {
        match span.direction {
            Direction::Forward => self.forward(span, guard, sink),
            Direction::Backward => self.backward(span, guard, sink),
        }
    }

    fn forward<'g>(
        &'g self,
        span: &Span<'_>,
        guard: &'g Guard,
        mut sink: impl FnMut(&'g Node) -> ControlFlow<()>,
    ) -> bool {
        let (first, or_equal) = match span.from {
            Bound::Unbounded => (&[][..], false),
            Bound::Included(key) => (key, false),
            Bound::Excluded(key) => (key, true),
        };
        let mut leaf = self.leaf_of(first, guard).1;
        let mut keys = leaf.keys();
        let mut at = keys.before(first, or_equal);
        loop {
            let until = match span.until {
                Bound::Unbounded => keys.len(),
                Bound::Included(key) => keys.before(key, true),
                Bound::Excluded(key) => keys.before(key, false),
            };
            let next = page_behind(leaf, guard).filter(|_| until == keys.len());
            if let Some(next) = next {
                prefetch(next);
            }
            for first in keys.pointers()[..until].iter().skip(at).take(AHEAD) {
                prefetch(*first);
            }
            for at in at..until {
                if let Some(ahead) = keys.pointers()[..until].get(at + AHEAD) {
                    prefetch(*ahead);
                } else if let Some(next) = next {
                    // The next leaf is three steps away, each of which tells where the following one leads.
                    match until - at {
                        NEXT_LEAF => next.leaf(guard).prefetch(),
                        NEXT_NODES => next.leaf(guard).prefetch_nodes(),
                        _ => {}
                    }
                }
                if sink(keys.node(at)).is_break() {
                    return true;
                }
            }
            let Some(next) = next else {
                return false;
            };
            leaf = next.leaf(guard);
            keys = leaf.keys();
            at = 0;
        }
    }

    fn backward<'g>(
        &'g self,
        span: &Span<'_>,
        guard: &'g Guard,
        mut sink: impl FnMut(&'g Node) -> ControlFlow<()>,
    ) -> bool {
        let mut from = span.from;
        loop {
            let (page, keys, at) = self.keys_up_to(from, guard);
            let until = match span.until {
                Bound::Unbounded => 0,
                Bound::Included(key) => keys.before(key, false),
                Bound::Excluded(key) => keys.before(key, true),
            };
            for at in (until..at).rev() {
                if let Some(ahead) = at.checked_sub(AHEAD) {
                    prefetch(keys.pointers()[ahead]);
                }
                if sink(keys.node(at)).is_break() {
                    return true;
                }
            }
            if until > 0 || page.low().is_empty() {
                return false;
            }
            from = Bound::Excluded(page.low());
        }
    }

    /// The last page that may have keys up to a bound, its keys, and how many of them are.
    fn keys_up_to<'g>(&'g self, bound: Bound<&[u8]>, guard: &'g Guard) -> (&'g Page, Keys<'g>, usize) {
        let (key, or_equal) = match bound {
            Bound::Unbounded => (None, true),
            Bound::Included(key) => (Some(key), true),
            Bound::Excluded(key) => (Some(key), false),
        };
        let root = self.root(guard);
        let page = match key {
            None => root.last(),
            Some(key) => root.page(key, !or_equal),
        };
        // SAFETY: as in `page_of`: a root names pages, one at least.
        let mut page = unsafe { &*page };
        loop {
            let leaf = page.leaf(guard);
            let within = |low: &[u8]| key.is_none_or(|key| low < key || or_equal && low == key);
            match page_behind(leaf, guard) {
                Some(next) if within(next.low()) => page = next,
                _ => {
                    let keys = leaf.keys();
                    let at = key.map_or(keys.len(), |key| keys.before(key, or_equal));
                    return (page, keys, at);
                }
            }
        }
    }
}
