//! The keydir as a whole: handing out all entries in order, and taking those of a chain.

use std::ops::{Bound, ControlFlow};

use crate::epoch;

use super::OrderedKeydir;
use super::tree::{Chain, Tree};
use crate::keydir::{Direction, Location, Span};
use crate::sync::Ordering;
use crate::{Deadline, Key};

impl OrderedKeydir {
    /// Hands all stored keys, their locations and deadlines to `each`, in the order of the keys, as long as it says so.
    pub fn each(&self, mut each: impl FnMut(Key<'_>, Location, Deadline) -> bool) {
        let guard = epoch::pin();
        let mut whole = Vec::new();
        let all = Span {
            direction: Direction::Forward,
            from: Bound::Unbounded,
            until: Bound::Unbounded,
        };
        self.tree.walk(&all, &guard, |node| {
            let content = node.cell.read(&node.key, &guard);
            let compared = node.key.compared();
            whole.clear();
            whole.extend_from_slice(compared);
            whole.extend_from_slice(content.suffix);
            let key = Key::new(&whole, compared.len());
            if each(key, content.location, content.deadline) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
    }

    /// Takes the keys of a chain in place of its own. Costs O(pages).
    pub fn fill(&mut self, chain: Chain) {
        let (len, outside) = chain.books();
        self.tree = Tree::of(chain);
        for shard in &self.shards {
            shard.len.store(0, Ordering::Relaxed);
            shard.outside.store(0, Ordering::Relaxed);
        }
        self.shards[0].len.store(len, Ordering::Relaxed);
        self.shards[0].outside.store(outside, Ordering::Relaxed);
    }
}
