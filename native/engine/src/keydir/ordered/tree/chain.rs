//! Pages in the order of their keys that are no tree yet: nobody looks at them, there is nothing above them, and they do not name each other. So changes that come in the order
//! of their keys cost little: they find their pages by going along, and each leaf is made anew once, whatever it is that changes of it.
#![allow(unsafe_code, reason = "owns nodes by their addresses")]

#[cfg(test)]
mod tests;

use std::ptr::NonNull;

use smallvec::SmallVec;

use super::super::NODE;
use super::super::node::Node;
use super::leaf::{self, Leaf, Parts};
use super::page::Page;
use super::{LEAF_MAX, PAGE_LEN, search};
use crate::epoch::{self, Guard};
use crate::keydir::Location;
use crate::keydir::prefetch::prefetch;
use crate::{Deadline, Key};

/// A page is fetched so many pages ahead, and what it names half as many.
const AHEAD: usize = 8;

/// What becomes of a key.
#[derive(Clone, Copy, Debug)]
pub struct KeyChange<'k> {
    /// Its stored form.
    pub key: Key<'k>,
    /// Where its record stands and when its object expires; `None` if it goes.
    pub to: Option<(Location, Deadline)>,
}

/// Pages keep their addresses.
type Pages = Vec<Box<Page>>;

/// See the module. It owns its nodes, and its leaves have sorted keys alone. Its first page takes whatever comes before the second, also keys below its bound.
#[derive(Debug, Default)]
pub struct Chain {
    /// None is without keys.
    pages: Pages,
    /// Number of keys.
    len: usize,
    /// Bytes of memory outside their nodes.
    outside: usize,
}

/// The next leaf of a page, as far as it is known.
struct Next<'p> {
    leaf: Leaf<'p>,
    /// Sorted keys of the leaf that are in it, or go.
    taken: usize,
    heads: SmallVec<[u64; 64]>,
    nodes: SmallVec<[*const Node; 64]>,
    /// Whether all keys begin with the leaf's prefix, and the heads are right.
    fits: bool,
    gone: SmallVec<[*mut Node; 8]>,
}

impl Chain {
    /// A chain without keys.
    pub fn new() -> Self {
        Chain::default()
    }

    /// Bytes of memory that it holds.
    pub fn memory_bytes(&self) -> usize {
        self.pages.len() * PAGE_LEN + self.len * NODE + self.outside
    }

    /// Number of its keys, and the bytes of memory outside their nodes.
    pub(in crate::keydir::ordered) fn books(&self) -> (usize, usize) {
        (self.len, self.outside)
    }

    /// Whether all its keys come before those of the other one.
    pub fn is_before(&self, upper: &Chain) -> bool {
        // SAFETY: nobody else has the pages.
        let guard = &unsafe { epoch::unprotected() };
        let (Some(last), Some(first)) = (self.pages.last(), upper.pages.first()) else {
            return true;
        };
        let (last, first) = (last.leaf(guard), first.leaf(guard));
        last.key(last.len() - 1) < first.key(0)
    }

    /// Puts a chain behind it whose keys come after its own.
    pub fn append(&mut self, mut upper: Chain) {
        if let Some(first) = upper.pages.first_mut() {
            // SAFETY: nobody else has the pages.
            let low = first.leaf(&unsafe { epoch::unprotected() }).key(0).into();
            first.set_low(low);
        }
        self.pages.append(&mut upper.pages);
        self.len += upper.len;
        self.outside += upper.outside;
    }

    /// Makes changes of keys that come in order, each key once. The location that a key had before is given to `gone`. Costs O(changes + pages).
    pub fn merge<'k>(
        &mut self,
        changes: impl Iterator<Item = KeyChange<'k>>,
        mut gone: impl FnMut(Location),
    ) {
        let mut changes = changes.peekable();
        let mut pages = std::mem::take(&mut self.pages);
        if let (true, Some(first)) = (pages.is_empty(), changes.peek()) {
            let low = first.key.compared().into();
            pages.push(Box::new(Page::new(low, leaf::empty(std::ptr::null()))));
        }
        self.pages.reserve(pages.len() + pages.len() / 8);
        let mut rest = pages.into_iter();
        while let Some(page) = rest.next() {
            let behind = rest.as_slice();
            if let Some(page) = behind.get(AHEAD) {
                prefetch(&raw const **page);
            }
            if let Some(page) = behind.get(AHEAD / 2) {
                page.prefetch();
            }
            let end = behind.first().map(|next| next.low());
            let is_here = |change: &KeyChange<'_>| end.is_none_or(|end| change.key.compared() < end);
            if changes.peek().is_some_and(is_here) {
                self.change(page, || changes.next_if(is_here), &mut gone);
            } else {
                self.pages.push(page);
            }
        }
    }

    /// Makes the changes of a page, and adds what comes of it.
    fn change<'k>(
        &mut self,
        page: Box<Page>,
        mut next_change: impl FnMut() -> Option<KeyChange<'k>>,
        gone: &mut impl FnMut(Location),
    ) {
        // SAFETY: nobody else has the pages.
        let guard = &unsafe { epoch::unprotected() };
        let mut next = Next::new(page.leaf(guard));
        let mut is_same = true;
        while let Some(KeyChange { key, to }) = next_change() {
            let at = next.leaf.before(key.compared(), false);
            match (next.leaf.node(at, key.compared()), to) {
                (Some(node), to) => {
                    gone(node.cell.read(&node.key, guard).location);
                    if let Some((location, deadline)) = to {
                        let (came, went) = node.update(key.suffix(), location, deadline, guard);
                        self.outside = self.outside + came - went;
                    } else {
                        self.len -= 1;
                        self.outside -= node.outside(guard);
                        next.leave_out(at);
                        is_same = false;
                    }
                }
                (None, Some((location, deadline))) => {
                    let node = Box::new(Node::new(key, location, deadline));
                    self.len += 1;
                    self.outside += node.outside(guard);
                    next.add(at, key.compared(), Box::into_raw(node));
                    is_same = false;
                }
                (None, None) => {}
            }
        }
        if is_same && next.leaf.len() > 0 {
            self.pages.push(page);
            return;
        }
        next.finish(page, &mut self.pages, guard);
    }

    /// Its pages, each with the one behind it; the first takes all keys before those of the second. They belong to the caller.
    pub(super) fn into_linked(mut self) -> Vec<NonNull<Page>> {
        if let Some(first) = self.pages.first_mut() {
            first.set_low(Box::default());
        }
        let pages = std::mem::take(&mut self.pages);
        let pages: Vec<_> = pages
            .into_iter()
            .map(|page| NonNull::from(Box::leak(page)))
            .collect();
        for (at, page) in pages.iter().enumerate() {
            // SAFETY: nobody else has them.
            unsafe {
                if let Some(later) = pages.get(at + AHEAD) {
                    later.as_ref().prefetch();
                }
                let next = pages
                    .get(at + 1)
                    .map_or(std::ptr::null(), |next| next.as_ptr().cast_const());
                (*page.as_ptr()).set_next(next);
            }
        }
        pages
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // SAFETY: nobody else has the pages.
        let guard = &unsafe { epoch::unprotected() };
        for page in self.pages.drain(..) {
            for node in page.leaf(guard).keys().pointers() {
                // SAFETY: it came from a box, is in no other leaf, and nobody else has it.
                drop(unsafe { Box::from_raw(node.cast_mut()) });
            }
        }
    }
}

impl<'p> Next<'p> {
    fn new(leaf: Leaf<'p>) -> Self {
        Next {
            leaf,
            taken: 0,
            heads: SmallVec::new(),
            nodes: SmallVec::new(),
            fits: leaf.len() > 0,
            gone: SmallVec::new(),
        }
    }

    /// Takes over what the leaf has before this place in it.
    fn take_until(&mut self, at: usize) {
        let range = self.taken..at;
        self.heads.extend_from_slice(&self.leaf.heads()[range.clone()]);
        self.nodes.extend_from_slice(&self.leaf.pointers()[range]);
        self.taken = at;
    }

    fn leave_out(&mut self, at: usize) {
        self.take_until(at);
        self.taken = at + 1;
        self.gone.push(self.leaf.pointers()[at].cast_mut());
    }

    fn add(&mut self, at: usize, key: &[u8], node: *const Node) {
        self.take_until(at);
        let prefix = self.leaf.prefix();
        self.fits &= key.starts_with(prefix);
        self.heads.push(search::head(key, prefix.len()));
        self.nodes.push(node);
    }

    /// Gives the page the leaf, and puts it and those that take what would be too many keys behind `pages`. A page without keys goes.
    fn finish(mut self, mut page: Box<Page>, pages: &mut Pages, guard: &Guard) {
        self.take_until(self.leaf.len());
        let (len, count) = (self.nodes.len(), self.nodes.len().div_ceil(LEAF_MAX));
        let mut ranges = (0..count).map(|i| len * i / count..len * (i + 1) / count);
        if let Some(range) = ranges.next() {
            let at = pages.len();
            let first = self.build(range);
            for range in ranges {
                let low = search::separator(self.key(range.start - 1), self.key(range.start));
                pages.push(Box::new(Page::new(low.into(), self.build(range))));
            }
            // Only now: what was built so far may have been made of the old leaf.
            page.set_leaf(first);
            pages.insert(at, page);
        }
        for node in std::mem::take(&mut self.gone) {
            // SAFETY: it came from a box, and is in no leaf any more.
            unsafe { guard.defer_unchecked(move || drop(Box::from_raw(node))) };
        }
    }

    fn key(&self, at: usize) -> &[u8] {
        // SAFETY: nodes live until the chain lets go of them.
        unsafe { &*self.nodes[at] }.key.compared()
    }

    /// A leaf of some of the keys. It belongs to the caller.
    fn build(&self, range: std::ops::Range<usize>) -> NonNull<leaf::Header> {
        let (heads, nodes) = (&self.heads[range.clone()], &self.nodes[range]);
        // To make heads anew all nodes are looked at: only if that may tell keys apart.
        if self.fits && heads.is_sorted_by(|a, b| a < b) {
            return Parts {
                heads: [heads, &[], &[]],
                nodes: [nodes, &[], &[]],
                prefix: self.leaf.prefix(),
                next: std::ptr::null(),
            }
            .build();
        }
        for node in nodes {
            prefetch(*node);
        }
        // SAFETY: as in `key`.
        unsafe { leaf::of(nodes, std::ptr::null()) }
    }
}
