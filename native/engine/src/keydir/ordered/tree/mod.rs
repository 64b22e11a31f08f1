//! The index of an ordered keydir: a B+ tree whose leaves are linked, as in a B-link tree (Lehman and Yao, "Efficient locking for concurrent
//! operations on B-trees", TODS 1981), and are replaced rather than changed, by one compare-and-swap.
//!
//! A leaf has room for a few more keys, and is made anew when that is used up (`leaf`, `keys`). It belongs to a *page*, which keeps its place. Whoever finds no place for a key in a page's leaf goes on to the next page, so a page may be split
//! before those above it know. Readers therefore never wait and never start again: each leaf that they meet is what a page held at one moment,
//! and the leaves of a walk adjoin each other. Writers of one leaf start again when another one was quicker.
//!
//! Pages are split and taken out under a lock that is only ever tried. Where it is taken, a leaf stays larger than it should be, or empty, until the next
//! change there. An empty page goes in three steps: out of the nodes above it; its leaf is replaced by the mark *gone*, after which nothing is
//! added to it; the page before it takes its place in the chain. Between the last two, a writer that finds the mark takes the last one itself.
#![allow(unsafe_code, reason = "follows and frees pointers that the epoch protects")]

mod chain;
mod inner;
mod keys;
mod leaf;
mod page;
mod search;
#[cfg(test)]
mod tests;
mod walk;

use std::ptr::NonNull;

use crate::epoch::Guard;

pub use self::chain::{Chain, KeyChange};
use self::inner::{Change, Inner};
use self::leaf::Leaf;
use self::page::Page;
pub(crate) use self::search::{common, head};
use super::node::Node;
use crate::sync::{AtomicPtr, AtomicUsize, Mutex, Ordering};

/// A leaf of so many keys is split before the next one is added. It mostly stays below a kilobyte, from which on the C library tidies up all its free memory at an
/// allocation.
const LEAF_MAX: usize = if cfg!(any(test, feature = "shuttle")) {
    4
} else {
    48
};

/// What a key costs in its leaf, and a page beyond its keys, in bytes.
pub(super) const ENTRY_LEN: usize = leaf::ENTRY_LEN;
const PAGE_LEN: usize = size_of::<Page>() + leaf::LEAF_LEN + inner::CHILD_LEN;

/// See the module. It owns its nodes.
#[derive(Debug)]
pub(super) struct Tree {
    root: AtomicPtr<Inner>,
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

impl Tree {
    /// A tree without keys.
    pub(super) fn new() -> Self {
        let page = Page::new(Box::default(), leaf::empty(std::ptr::null()));
        let first = NonNull::from(Box::leak(Box::new(page)));
        // SAFETY: it was just made, and goes with the tree.
        let root = Inner::of(unsafe { first.as_ref() });
        Tree {
            root: AtomicPtr::new(root),
            first,
            structure: Mutex::new(()),
            pages: AtomicUsize::new(1),
        }
    }

    /// A tree of these pages.
    pub(super) fn of(chain: Chain) -> Self {
        let pages = chain.into_linked();
        let Some(first) = pages.first() else {
            return Tree::new();
        };
        Tree {
            // SAFETY: they were just given to this tree, and go with it.
            root: AtomicPtr::new(Inner::over(pages.iter().map(|page| unsafe { page.as_ref() }))),
            first: *first,
            structure: Mutex::new(()),
            pages: AtomicUsize::new(pages.len()),
        }
    }

    /// Bytes of memory beyond nodes and [`ENTRY_LEN`] for each.
    pub(super) fn overhead_bytes(&self) -> usize {
        self.pages.load(Ordering::Relaxed) * PAGE_LEN
    }

    /// Looks a key up.
    pub(super) fn get<'g>(&'g self, key: &[u8], guard: &'g Guard) -> Option<&'g Node> {
        self.leaf_of(key, guard).1.find(key)
    }

    /// The key's node, which is one that `make` made if it has none, and whether that is so. Calls of the same key do not overlap, nor with its removal.
    pub(super) fn get_or_insert<'g>(
        &'g self,
        key: &[u8],
        make: impl FnOnce() -> Node,
        guard: &'g Guard,
    ) -> (&'g Node, bool) {
        let (mut page, mut leaf) = self.leaf_to_change(key, guard);
        if let Some(found) = leaf.find(key) {
            return (found, false);
        }
        let node = Box::into_raw(Box::new(make()));
        loop {
            if leaf.add(key, node) {
                break;
            }
            let keys = leaf.close();
            let split = keys.len() >= LEAF_MAX && self.split(page, key, guard);
            if !split {
                let grown = keys.with(keys.before(key, false), node, key);
                if page.replace(leaf, grown, guard) {
                    break;
                }
            }
            (page, leaf) = self.leaf_to_change(key, guard);
        }
        // SAFETY: a node lives as long as it is in the tree, and then as long as the guards of its time.
        (unsafe { &*node }, true)
    }

    /// Takes a key out. Its node lives as long as the guard.
    pub(super) fn remove<'g>(&'g self, key: &[u8], guard: &'g Guard) -> Option<&'g Node> {
        loop {
            let (page, leaf) = self.leaf_to_change(key, guard);
            let node = leaf.find(key)?;
            let keys = leaf.close();
            let at = keys.before(key, false);
            if page.replace(leaf, keys.without(at), guard) {
                let gone = std::ptr::from_ref(node).cast_mut();
                // SAFETY: the exchange took it out of its leaf, and it was in no other one; it came from a box, and goes after all guards of its time.
                unsafe { guard.defer_unchecked(move || drop(Box::from_raw(gone))) };
                if keys.len() == 1 {
                    self.take_out(page, guard);
                }
                return Some(node);
            }
        }
    }

    /// The page and the leaf where a key belongs, for who only looks.
    fn leaf_of<'g>(&'g self, key: &[u8], guard: &'g Guard) -> (&'g Page, Leaf<'g>) {
        let mut page = self.page_of(key, guard);
        loop {
            let leaf = page.leaf(guard);
            leaf.prefetch_search();
            match later_page(leaf, key, guard) {
                Some(next) => page = next,
                None => return (page, leaf),
            }
        }
    }

    /// The page and the leaf where a key belongs, in the tree.
    fn leaf_to_change<'g>(&'g self, key: &[u8], guard: &'g Guard) -> (&'g Page, Leaf<'g>) {
        'start: loop {
            let mut page = self.page_of(key, guard);
            let mut before: Option<(&Page, Leaf<'_>)> = None;
            loop {
                let leaf = page.leaf(guard);
                leaf.prefetch_search();
                if leaf.is_gone() {
                    if let Some((before, its_leaf)) = before {
                        before.replace(its_leaf, its_leaf.close().in_front_of(leaf.next()), guard);
                    }
                    continue 'start;
                }
                match later_page(leaf, key, guard) {
                    Some(next) => {
                        before = Some((page, leaf));
                        page = next;
                    }
                    None => return (page, leaf),
                }
            }
        }
    }

    fn root<'g>(&self, _guard: &'g Guard) -> &'g Inner {
        // SAFETY: there is a root from the first moment to the last, and one that was replaced lives as long as the guards of its time.
        unsafe { &*self.root.load(Ordering::Acquire) }
    }

    fn page_of<'g>(&'g self, key: &[u8], guard: &'g Guard) -> &'g Page {
        // SAFETY: pages that a root names live as long as it, and then as long as the guards of its time.
        unsafe { &*self.root(guard).page(key, false) }
    }

    /// For who holds `structure`.
    fn set_root(&self, change: Change, guard: &Guard) {
        self.root.store(change.root, Ordering::Release);
        for old in change.replaced {
            // SAFETY: nothing below the new root names it, and a node is replaced once: only the holder of the lock does so.
            unsafe { guard.defer_unchecked(move || Inner::free(old)) };
        }
    }

    /// Splits a page whose leaf is full; `false` if that is not so, or the tree is just being changed.
    fn split(&self, page: &Page, key: &[u8], guard: &Guard) -> bool {
        let Some(_structure) = self.structure.try_lock() else {
            return false;
        };
        let leaf = page.leaf(guard);
        let keys = leaf.close();
        if leaf.is_gone() || keys.len() < LEAF_MAX {
            return false;
        }
        // Keys that come in order leave full leaves behind.
        let behind_all = keys.before(key, false) == keys.len();
        if behind_all && page_behind(leaf, guard).is_some_and(|next| next.low() <= key) {
            return false;
        }
        let (at, first) = if behind_all {
            (keys.len(), key)
        } else {
            (keys.len() / 2, keys.key(keys.len() / 2))
        };
        let low = search::separator(keys.key(at - 1), first);
        let upper = keys.part(at..keys.len(), leaf.next());
        let right = Box::into_raw(Box::new(Page::new(low.into(), upper)));
        if !page.replace(leaf, keys.part(0..at, right), guard) {
            // SAFETY: nobody else has seen it.
            drop(unsafe { Box::from_raw(right) });
            return false;
        }
        self.add_to_root(right, guard);
        true
    }

    /// Lets a page be found that was just put behind another one. For who holds `structure`.
    fn add_to_root(&self, page: *const Page, guard: &Guard) {
        // SAFETY: it was just put into the tree, and pages are taken out under the lock that is held.
        let page = unsafe { &*page };
        self.set_root(self.root(guard).with(page), guard);
        self.pages.fetch_add(1, Ordering::Relaxed);
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
        if std::ptr::eq(page, self.first.as_ptr()) || leaf.is_gone() || leaf.keys().len() > 0 {
            return None;
        }
        self.set_root(self.root(guard).without(page), guard);
        let is_empty = leaf.close().len() == 0;
        if !is_empty || !page.replace(leaf, leaf::gone(leaf.next()), guard) {
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
                    before.replace(its_leaf, its_leaf.close().in_front_of(leaf.next()), guard);
                }
                Some(next) if next.low() < page.low() => before = next,
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

/// The page behind the one that had this leaf, if the key is not before that one's keys.
fn later_page<'g>(leaf: Leaf<'g>, key: &[u8], guard: &'g Guard) -> Option<&'g Page> {
    if leaf.before(key, false) < leaf.len() {
        return None;
    }
    page_behind(leaf, guard).filter(|next| next.low() <= key)
}

/// The page behind the one that had this leaf.
fn page_behind<'g>(leaf: Leaf<'g>, _guard: &'g Guard) -> Option<&'g Page> {
    // SAFETY: the page behind a leaf lives as long as the leaf is its page's, and then as long as the guards of its time.
    unsafe { leaf.next().as_ref() }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // SAFETY: nobody else has the tree, so nobody holds a guard for it.
        let guard = &unsafe { crate::epoch::unprotected() };
        let mut page = self.first.as_ptr();
        while !page.is_null() {
            // SAFETY: each page is met once, along the chain, and came from a box, as did the nodes of its leaf, which are in no other one.
            unsafe {
                let owned = Box::from_raw(page);
                let leaf = owned.leaf(guard);
                for node in leaf.keys().pointers() {
                    drop(Box::from_raw(node.cast_mut()));
                }
                page = leaf.next().cast_mut();
            }
        }
        // SAFETY: the root and all that is below it belong to the tree, and none of it was freed.
        unsafe { Inner::free_all(*self.root.get_mut()) };
    }
}
