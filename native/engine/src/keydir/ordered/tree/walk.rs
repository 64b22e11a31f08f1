//! Going through the keys in order.

use std::ops::{Bound, ControlFlow};

use crossbeam_epoch::Guard;

use super::super::node::Node;
use super::leaf::Leaf;
use super::{Place, Tree, page_behind};
use crate::keydir::prefetch::prefetch;
use crate::keydir::{Direction, Span};

/// So many nodes ahead of the one that is looked at are fetched.
const AHEAD: usize = 12;

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
        let Place { mut leaf, mut at, .. } = match span.from {
            Bound::Unbounded => self.place(&[], false, guard),
            Bound::Included(key) => self.place(key, false, guard),
            Bound::Excluded(key) => self.place(key, true, guard),
        };
        loop {
            let until = match span.until {
                Bound::Unbounded => leaf.len(),
                Bound::Included(key) => leaf.before(key, true),
                Bound::Excluded(key) => leaf.before(key, false),
            };
            for at in at..until {
                if let Some(ahead) = leaf.pointers()[..until].get(at + AHEAD) {
                    prefetch(*ahead);
                }
                if sink(leaf.node(at)).is_break() {
                    return true;
                }
            }
            match page_behind(leaf, guard) {
                Some(next) if until == leaf.len() => {
                    leaf = next.leaf(guard);
                    at = 0;
                }
                _ => return false,
            }
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
            let Place { page, leaf, at } = self.place_before(from, guard);
            let until = match span.until {
                Bound::Unbounded => 0,
                Bound::Included(key) => leaf.before(key, false),
                Bound::Excluded(key) => leaf.before(key, true),
            };
            for at in (until..at).rev() {
                if let Some(ahead) = at.checked_sub(AHEAD) {
                    prefetch(leaf.pointers()[ahead]);
                }
                if sink(leaf.node(at)).is_break() {
                    return true;
                }
            }
            if until > 0 || page.low().is_empty() {
                return false;
            }
            from = Bound::Excluded(page.low());
        }
    }

    /// The last page that may have keys up to a bound, and how many of its keys are.
    fn place_before<'g>(&'g self, bound: Bound<&[u8]>, guard: &'g Guard) -> Place<'g> {
        let root = self.root(guard);
        let (key, or_equal) = match bound {
            Bound::Unbounded => (None, true),
            Bound::Included(key) => (Some(key), true),
            Bound::Excluded(key) => (Some(key), false),
        };
        let page = match key {
            None => root.last(),
            Some(key) => root.page(key, !or_equal),
        };
        // SAFETY: as in `page_of`: a root names pages, one at least.
        let mut page = unsafe { &*page };
        loop {
            let leaf: Leaf<'g> = page.leaf(guard);
            let within = |low: &[u8]| key.is_none_or(|key| low < key || or_equal && low == key);
            match page_behind(leaf, guard) {
                Some(next) if within(next.low()) => page = next,
                _ => {
                    let at = key.map_or(leaf.len(), |key| leaf.before(key, or_equal));
                    return Place { page, leaf, at };
                }
            }
        }
    }
}
