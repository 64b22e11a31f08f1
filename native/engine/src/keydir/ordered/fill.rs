//! The keydir as a whole: handing out all entries in order, and filling it with keys that are not there yet.

use std::ops::{Bound, ControlFlow};

use crate::epoch::{self, Guard};

use super::OrderedKeydir;
use super::node::Node;
use super::tree::{LEAF_MAX, Run};
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

    /// Adds keys without a lock, to a keydir in which nobody looks yet. Several threads may do so with keys of their own.
    pub fn fill(&self) -> Fill<'_> {
        Fill {
            keydir: self,
            guard: epoch::pin(),
            run: Run::new(),
            len: 0,
            outside: 0,
        }
    }
}

/// A keydir that is being filled.
pub struct Fill<'a> {
    keydir: &'a OrderedKeydir,
    guard: Guard,
    /// Keys in order that come into the tree together.
    run: Run,
    /// Number of keys that came.
    len: usize,
    /// Bytes of memory outside the nodes that came.
    outside: usize,
}

impl Fill<'_> {
    /// Adds a key. If it is there already, nothing changes. Keys that come in order find their place sooner.
    pub fn push(&mut self, key: Key<'_>, location: Location, deadline: Deadline) {
        let last = self.run.last().map(|last| last.key.compared());
        if self.run.len() == LEAF_MAX || last.is_some_and(|last| last >= key.compared()) {
            self.add_run();
        }
        self.run.push(Box::new(Node::new(key, location, deadline)));
    }

    fn add_run(&mut self) {
        let run = std::mem::take(&mut self.run);
        let count = run.len();
        let outside: usize = run.iter().map(|node| node.outside(&self.guard)).sum();
        let left = self.keydir.tree.append(run, &self.guard);
        if left.is_empty() {
            self.len += count;
            self.outside += outside;
        }
        for node in left {
            let key = node.key.compared().to_vec();
            let (node, is_new) = self.keydir.tree.get_or_insert(&key, || *node, &self.guard);
            if is_new {
                self.len += 1;
                self.outside += node.outside(&self.guard);
            }
        }
        // What was replaced on the way can go: the nodes above a leaf take as much as the leaf, and only a flush frees anything.
        self.guard.repin();
        self.guard.flush();
    }
}

impl Drop for Fill<'_> {
    fn drop(&mut self) {
        self.add_run();
        let shard = &self.keydir.shards[0];
        shard.len.fetch_add(self.len, Ordering::Relaxed);
        shard.outside.fetch_add(self.outside, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Fill<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fill")
            .field("outside", &self.outside)
            .finish_non_exhaustive()
    }
}
