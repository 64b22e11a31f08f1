//! The tree above the pages: which page a key belongs to. A node of it is never changed; a change makes the nodes on the way to the root anew and
//! shares the others.
//!
//! Nodes and pages are named by address. They belong to the tree, which frees what a change left behind when no reader has it.
#![allow(unsafe_code, reason = "follows pointers that the epoch protects")]

use super::page::{Page, PagePtr};
use super::search;
use crate::keydir::prefetch::{LINE, prefetch};

/// A node of more children is split.
const FANOUT: usize = if cfg!(any(test, feature = "shuttle")) {
    3
} else {
    64
};

/// What an inner node costs for each child, in bytes.
pub(super) const CHILD_LEN: usize = size_of::<u64>() + size_of::<Child>();

/// A node, with one child at least.
#[derive(Debug)]
pub(super) struct Inner {
    /// What the lower bounds of the children from the second on begin with.
    prefix: Box<[u8]>,
    /// The heads of these lower bounds.
    heads: Box<[u64]>,
    children: Box<[Child]>,
}

/// A part of the tree: its first page, and the node that leads to its pages if that is not the only one.
#[derive(Clone, Copy, Debug)]
struct Child {
    first: PagePtr,
    inner: InnerPtr,
}

/// The address of a node, or null. Who follows it answers for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InnerPtr(*mut Inner);

// SAFETY: an address is a number.
unsafe impl Send for InnerPtr {}
// SAFETY: as above.
unsafe impl Sync for InnerPtr {}

/// A new root, and what it takes the place of: to be freed, each by [`Inner::free`], when no reader has it.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) root: *mut Inner,
    pub(super) replaced: Vec<*mut Inner>,
}

impl Child {
    fn page(page: &Page) -> Self {
        Child {
            first: PagePtr(page),
            inner: InnerPtr(std::ptr::null_mut()),
        }
    }

    fn inner(inner: *mut Inner, children: &[Child]) -> Self {
        Child {
            first: children[0].first,
            inner: InnerPtr(inner),
        }
    }

    /// Its lower bound.
    fn low(&self) -> &[u8] {
        // SAFETY: a page that a node names lives as long as the node may be reached, and longer than who reaches it.
        unsafe { (*self.first.0).low() }
    }

    /// The node, or `None` if it is a page.
    fn node(&self) -> Option<&Inner> {
        // SAFETY: as in `low`, for the nodes below a node.
        unsafe { self.inner.0.as_ref() }
    }
}

impl Inner {
    /// The tree of one page.
    pub(super) fn of(page: &Page) -> *mut Self {
        Inner::over(std::iter::once(page))
    }

    /// The tree of these pages, which come in order and of which there is one at least.
    pub(super) fn over<'p>(pages: impl Iterator<Item = &'p Page>) -> *mut Self {
        let mut level: Vec<Child> = pages.map(Child::page).collect();
        loop {
            let (len, count) = (level.len(), level.len().div_ceil(FANOUT));
            level = (0..count)
                .map(|i| Inner::build(&level[len * i / count..len * (i + 1) / count]))
                .collect();
            if let [root] = level.as_slice() {
                return root.inner.0;
            }
        }
    }

    fn build(children: &[Child]) -> Child {
        let behind = &children[1..];
        let prefix = match behind {
            [first, .., last] => search::prefix(first.low(), last.low()),
            [only] => search::prefix(only.low(), only.low()),
            [] => &[],
        };
        let inner = Box::new(Inner {
            prefix: prefix.into(),
            heads: behind
                .iter()
                .map(|child| search::head(child.low(), prefix.len()))
                .collect(),
            children: children.into(),
        });
        Child::inner(Box::into_raw(inner), children)
    }

    /// Frees a node, not what is below it.
    ///
    /// # Safety
    /// It is from this module, is freed once, and nobody uses it any more.
    pub(super) unsafe fn free(inner: *mut Inner) {
        // SAFETY: by this function's contract; nodes come from boxes.
        drop(unsafe { Box::from_raw(inner) });
    }

    /// Frees a node and all nodes below it, not the pages.
    ///
    /// # Safety
    /// As of [`Inner::free`], for each of them.
    pub(super) unsafe fn free_all(inner: *mut Inner) {
        // SAFETY: by this function's contract each is valid and ours.
        unsafe {
            for child in &(*inner).children {
                if !child.inner.0.is_null() {
                    Inner::free_all(child.inner.0);
                }
            }
            Inner::free(inner);
        }
    }

    /// The page where a key belongs; with `below`, where the keys before it end.
    pub(super) fn page(&self, key: &[u8], below: bool) -> *const Page {
        let mut inner = self;
        loop {
            let child = &inner.children[inner.index(key, below)];
            match child.node() {
                Some(node) => inner = node,
                None => return child.first.0,
            }
        }
    }

    /// The last page.
    pub(super) fn last(&self) -> *const Page {
        let mut inner = self;
        loop {
            let child = &inner.children[inner.children.len() - 1];
            match child.node() {
                Some(node) => inner = node,
                None => return child.first.0,
            }
        }
    }

    fn index(&self, key: &[u8], below: bool) -> usize {
        // A search waits for one line after the other, unless all are on their way.
        for heads in self.heads.chunks(LINE / size_of::<u64>()) {
            prefetch(heads.as_ptr());
        }
        search::before(key, !below, &self.prefix, &self.heads, |at| {
            self.children[at + 1].low()
        })
    }

    /// The tree below this root with one more page; it is one level higher if the root was split.
    pub(super) fn with(&self, page: &Page) -> Change {
        let mut replaced = vec![std::ptr::from_ref(self).cast_mut()];
        let root = match self.grown(page, &mut replaced) {
            (root, None) => root,
            (left, Some(right)) => Inner::build(&[left, right]),
        };
        Change {
            root: root.inner.0,
            replaced,
        }
    }

    /// The node with one more page, and another node behind it if it had to be split.
    fn grown(&self, page: &Page, replaced: &mut Vec<*mut Inner>) -> (Child, Option<Child>) {
        let at = self.index(page.low(), false);
        let mut children = self.children.to_vec();
        match self.children[at].node() {
            None => children.insert(at + 1, Child::page(page)),
            Some(inner) => {
                replaced.push(self.children[at].inner.0);
                let (left, right) = inner.grown(page, replaced);
                children[at] = left;
                if let Some(right) = right {
                    children.insert(at + 1, right);
                }
            }
        }
        if children.len() <= FANOUT {
            return (Inner::build(&children), None);
        }
        // Keys that come in order leave full nodes behind.
        let at_end = at + 2 == children.len();
        let (left, right) = children.split_at(if at_end {
            children.len() - 1
        } else {
            children.len() / 2
        });
        (Inner::build(left), Some(Inner::build(right)))
    }

    /// The tree below this root without a page, which is not its first one.
    pub(super) fn without(&self, page: &Page) -> Change {
        let mut replaced = vec![std::ptr::from_ref(self).cast_mut()];
        let mut root = match self.shrunk(page, &mut replaced) {
            Some(root) => root.inner.0,
            // It had the first page, so something is left.
            None => Inner::build(&self.children).inner.0,
        };
        // SAFETY: it was just made, or it is below a root that readers may still have.
        while let [Child { inner, .. }] = unsafe { &*(*root).children } {
            if inner.0.is_null() {
                break;
            }
            let only = inner.0;
            replaced.push(root);
            root = only;
        }
        Change { root, replaced }
    }

    /// The node without a page; `None` if nothing is left of it.
    fn shrunk(&self, page: &Page, replaced: &mut Vec<*mut Inner>) -> Option<Child> {
        let at = self.index(page.low(), false);
        let mut children = self.children.to_vec();
        match self.children[at].node() {
            None if children[at].first == PagePtr(page) => {
                children.remove(at);
            }
            None => {}
            Some(inner) => {
                replaced.push(self.children[at].inner.0);
                match inner.shrunk(page, replaced) {
                    Some(child) => children[at] = child,
                    None => {
                        children.remove(at);
                    }
                }
            }
        }
        (!children.is_empty()).then(|| Inner::build(&children))
    }
}
