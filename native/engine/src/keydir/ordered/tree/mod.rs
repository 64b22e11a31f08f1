//! The index of an ordered keydir: a B+ tree whose leaves are linked, as in a B-link tree (Lehman and Yao, "Efficient locking for concurrent
//! operations on B-trees", TODS 1981), and are replaced rather than changed, by one compare-and-swap.
//!
//! A leaf belongs to a *page*, which keeps its place. Whoever finds no place for a key in a page's leaf goes on to the next page, so a page may be split
//! before those above it know. Readers therefore never wait and never start again: each leaf that they meet is what a page held at one moment,
//! and the leaves of a walk adjoin each other. Writers of one leaf start again when another one was quicker.
//!
//! Pages are split and taken out under a lock that is only ever tried. Where it is taken, a leaf stays larger than it should be, or empty, until the next
//! change there. An empty page goes in three steps: out of the nodes above it; its leaf is replaced by the mark *gone*, after which nothing is
//! added to it; the page before it takes its place in the chain. Between the last two, a writer that finds the mark takes the last one itself.
#![allow(unsafe_code, reason = "follows and frees pointers that the epoch protects")]

mod inner;
mod leaf;
mod page;
mod search;
#[cfg(test)]
mod tests;
mod walk;

use std::ptr::NonNull;
use std::sync::Arc;

use crossbeam_epoch::{Atomic, Guard, Owned};

use self::inner::Inner;
use self::leaf::Leaf;
use self::page::Page;
use super::node::Node;
use crate::sync::{AtomicUsize, Mutex, Ordering};

/// A leaf of so many keys is split before the next one is added. It stays below a kilobyte, from which on the C library tidies up all its free memory at an
/// allocation.
const LEAF_MAX: usize = if cfg!(test) { 4 } else { 56 };

/// What a key costs in its leaf, and a page beyond its keys, in bytes.
pub(super) const ENTRY_LEN: usize = leaf::ENTRY_LEN;
const PAGE_LEN: usize = size_of::<Page>() + leaf::LEAF_LEN + inner::CHILD_LEN;

/// See the module. It owns its nodes.
#[derive(Debug)]
pub(super) struct Tree {
    root: Atomic<Inner>,
    /// The page of the smallest keys, which is there as long as the tree.
    first: NonNull<Page>,
    structure: Mutex<()>,
    /// Number of pages. Who holds `structure` changes it.
    pages: AtomicUsize,
}

// SAFETY: pages, leaves and nodes are reached through the tree alone, and what is in them may be shared and sent: atomics, locked state, bytes.
unsafe impl Send for Tree {}
// SAFETY: as above; every change of what others may see is one atomic operation, and what goes is freed by the epoch.
unsafe impl Sync for Tree {}

/// Where a key stands, or would stand.
#[derive(Clone, Copy)]
struct Place<'g> {
    page: &'g Page,
    leaf: Leaf<'g>,
    /// Number of keys of the leaf that come before.
    at: usize,
}

impl<'g> Place<'g> {
    /// The node, if it is this key's.
    fn found(&self, key: &[u8]) -> Option<&'g Node> {
        (self.at < self.leaf.len() && self.leaf.key(self.at) == key).then(|| self.leaf.node(self.at))
    }
}

impl Tree {
    /// A tree without keys.
    pub(super) fn new() -> Self {
        let page = Page::new(Arc::default(), leaf::empty(std::ptr::null()));
        let first = NonNull::from(Box::leak(Box::new(page)));
        // SAFETY: it was just made, and goes with the tree.
        let root = Inner::of(unsafe { first.as_ref() });
        Tree {
            root: Atomic::new(root),
            first,
            structure: Mutex::new(()),
            pages: AtomicUsize::new(1),
        }
    }

    /// Bytes of memory beyond nodes and [`ENTRY_LEN`] for each.
    pub(super) fn overhead_bytes(&self) -> usize {
        self.pages.load(Ordering::Relaxed) * PAGE_LEN
    }

    /// Looks a key up.
    pub(super) fn get<'g>(&'g self, key: &[u8], guard: &'g Guard) -> Option<&'g Node> {
        self.place(key, false, guard).found(key)
    }

    /// The key's node, which is one that `make` made if it has none, and whether that is so. Calls of the same key do not overlap, nor with its removal.
    pub(super) fn get_or_insert<'g>(
        &'g self,
        key: &[u8],
        make: impl FnOnce() -> Node,
        guard: &'g Guard,
    ) -> (&'g Node, bool) {
        let mut place = self.place_to_change(key, guard);
        if let Some(found) = place.found(key) {
            return (found, false);
        }
        let node = Box::into_raw(Box::new(make()));
        loop {
            if place.leaf.len() >= LEAF_MAX {
                self.split(place.page, key, guard);
                place = self.place_to_change(key, guard);
            }
            let grown = place.leaf.with(place.at, node, key);
            if place.page.replace(place.leaf, grown, guard) {
                // SAFETY: a node lives as long as it is in the tree, and then as long as the guards of its time.
                return (unsafe { &*node }, true);
            }
            place = self.place_to_change(key, guard);
        }
    }

    /// Takes a key out. Its node lives as long as the guard.
    pub(super) fn remove<'g>(&'g self, key: &[u8], guard: &'g Guard) -> Option<&'g Node> {
        loop {
            let place = self.place_to_change(key, guard);
            let node = place.found(key)?;
            if place
                .page
                .replace(place.leaf, place.leaf.without(place.at), guard)
            {
                let gone = std::ptr::from_ref(node).cast_mut();
                // SAFETY: the exchange took it out of its leaf, and it was in no other one; it came from a box, and goes after all guards of its time.
                unsafe { guard.defer_unchecked(move || drop(Box::from_raw(gone))) };
                if place.leaf.len() == 1 {
                    self.take_out(place.page, guard);
                }
                return Some(node);
            }
        }
    }

    /// The place of a key for who only looks.
    fn place<'g>(&'g self, key: &[u8], behind: bool, guard: &'g Guard) -> Place<'g> {
        let mut page = self.page_of(key, guard);
        loop {
            let leaf = page.leaf(guard);
            let at = leaf.before(key, behind);
            match page_behind(leaf, guard) {
                Some(next) if at == leaf.len() && **next.low() <= *key => page = next,
                _ => return Place { page, leaf, at },
            }
        }
    }

    /// The place of a key in a page that is in the tree.
    fn place_to_change<'g>(&'g self, key: &[u8], guard: &'g Guard) -> Place<'g> {
        'start: loop {
            let mut page = self.page_of(key, guard);
            let mut before: Option<(&Page, Leaf<'_>)> = None;
            loop {
                let leaf = page.leaf(guard);
                if leaf.is_gone() {
                    if let Some((before, its_leaf)) = before {
                        before.replace(its_leaf, its_leaf.before_page(leaf.next()), guard);
                    }
                    continue 'start;
                }
                let at = leaf.before(key, false);
                match page_behind(leaf, guard) {
                    Some(next) if at == leaf.len() && **next.low() <= *key => {
                        before = Some((page, leaf));
                        page = next;
                    }
                    _ => return Place { page, leaf, at },
                }
            }
        }
    }

    fn root<'g>(&self, guard: &'g Guard) -> &'g Inner {
        // SAFETY: there is a root from the first moment to the last, and one that was replaced lives as long as the guards of its time.
        unsafe { self.root.load(Ordering::Acquire, guard).deref() }
    }

    fn page_of<'g>(&'g self, key: &[u8], guard: &'g Guard) -> &'g Page {
        // SAFETY: pages that a root names live as long as it, and then as long as the guards of its time.
        unsafe { &*self.root(guard).page(key, false) }
    }

    fn set_root(&self, root: Inner, guard: &Guard) {
        let old = self.root.swap(Owned::new(root), Ordering::AcqRel, guard);
        // SAFETY: the swap took it out, and only one does so.
        unsafe { guard.defer_destroy(old) };
    }

    /// Splits a page whose leaf is full, unless the tree is just being changed.
    fn split(&self, page: &Page, key: &[u8], guard: &Guard) {
        let Some(_structure) = self.structure.try_lock() else {
            return;
        };
        loop {
            let leaf = page.leaf(guard);
            if leaf.is_gone() || leaf.len() < LEAF_MAX {
                return;
            }
            // Keys that come in order leave full leaves behind.
            let behind_all = leaf.before(key, false) == leaf.len();
            if behind_all && page_behind(leaf, guard).is_some_and(|next| **next.low() <= *key) {
                return;
            }
            let (at, first) = if behind_all {
                (leaf.len(), key)
            } else {
                (leaf.len() / 2, leaf.key(leaf.len() / 2))
            };
            let low = search::separator(leaf.key(at - 1), first);
            let upper = leaf.part(at..leaf.len(), leaf.next());
            let right = Box::into_raw(Box::new(Page::new(low.into(), upper)));
            if page.replace(leaf, leaf.part(0..at, right), guard) {
                // SAFETY: it was just put into the tree, and pages are taken out under the lock that is held.
                let right = unsafe { &*right };
                self.set_root(self.root(guard).with(right), guard);
                self.pages.fetch_add(1, Ordering::Relaxed);
                return;
            }
            // SAFETY: nobody else has seen it.
            drop(unsafe { Box::from_raw(right) });
        }
    }

    /// Takes a page out if its leaf is empty, and those before it that were left empty, unless the tree is just being changed.
    fn take_out<'g>(&'g self, mut page: &'g Page, guard: &'g Guard) {
        let Some(_structure) = self.structure.try_lock() else {
            return;
        };
        while let Some(before) = self.unlink(page, guard) {
            page = before;
        }
    }

    /// Takes a page out if its leaf is empty, and gives the one before it. For who holds `structure`.
    fn unlink<'g>(&'g self, page: &'g Page, guard: &'g Guard) -> Option<&'g Page> {
        let leaf = page.leaf(guard);
        if std::ptr::eq(page, self.first.as_ptr()) || leaf.is_gone() || leaf.len() > 0 {
            return None;
        }
        self.set_root(self.root(guard).without(page), guard);
        if !page.replace(leaf, leaf::gone(leaf.next()), guard) {
            // A key was added meanwhile.
            self.set_root(self.root(guard).with(page), guard);
            return None;
        }
        // SAFETY: as in `page_of`. The page with the keys before this one's is there: the first page is.
        let mut before = unsafe { &*self.root(guard).page(page.low(), true) };
        loop {
            let its_leaf = before.leaf(guard);
            match page_behind(its_leaf, guard) {
                Some(next) if std::ptr::eq(next, page) => {
                    before.replace(its_leaf, its_leaf.before_page(leaf.next()), guard);
                }
                Some(next) if **next.low() < **page.low() => before = next,
                // A writer has done so.
                _ => break,
            }
        }
        self.pages.fetch_sub(1, Ordering::Relaxed);
        let gone = std::ptr::from_ref(page).cast_mut();
        // SAFETY: nothing that is in the tree names it any more, it came from a box, and a page is marked as gone once.
        unsafe { guard.defer_unchecked(move || drop(Box::from_raw(gone))) };
        Some(before)
    }
}

/// The page behind the one that had this leaf.
fn page_behind<'g>(leaf: Leaf<'g>, _guard: &'g Guard) -> Option<&'g Page> {
    // SAFETY: the page behind a leaf lives as long as the leaf is its page's, and then as long as the guards of its time.
    unsafe { leaf.next().as_ref() }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // SAFETY: nobody else has the tree, so nobody holds a guard for it.
        let guard = unsafe { crossbeam_epoch::unprotected() };
        let mut page = self.first.as_ptr();
        while !page.is_null() {
            // SAFETY: each page is met once, along the chain, and came from a box, as did the nodes of its leaf, which are in no other one.
            unsafe {
                let owned = Box::from_raw(page);
                let leaf = owned.leaf(guard);
                for node in leaf.pointers() {
                    drop(Box::from_raw(node.cast_mut()));
                }
                page = leaf.next().cast_mut();
            }
        }
        let root = std::mem::replace(&mut self.root, Atomic::null());
        // SAFETY: the pointer is the only one to the root.
        drop(unsafe { root.try_into_owned() });
    }
}
