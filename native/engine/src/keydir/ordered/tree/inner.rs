//! The tree above the pages: which page a key belongs to. It is never changed; a change makes the nodes on the way to the root anew and
//! shares the others.

use std::ptr;
use std::sync::Arc;

use super::page::Page;
use super::search;

/// A node of more children is split.
const FANOUT: usize = if cfg!(test) { 3 } else { 64 };

/// What an inner node costs for each child, in bytes.
pub(super) const CHILD_LEN: usize = size_of::<u64>() + size_of::<Arc<[u8]>>() + size_of::<Child>();

/// A node, with one child at least.
#[derive(Debug, Clone)]
pub(super) struct Inner {
    /// What the lower bounds from the second on begin with.
    prefix: Box<[u8]>,
    /// The heads of the lower bounds from the second on.
    heads: Box<[u64]>,
    /// Where each child begins. Only who asks for the node's own begin looks at the first.
    lows: Box<[Arc<[u8]>]>,
    children: Box<[Child]>,
}

#[derive(Debug, Clone)]
enum Child {
    Page(*const Page),
    Inner(Arc<Inner>),
}

/// A node, and another one behind it if it had to be split.
type Grown = (Inner, Option<Inner>);

impl Inner {
    /// The tree of one page.
    pub(super) fn of(page: &Page) -> Self {
        Inner::new(vec![(Arc::clone(page.low()), Child::Page(page))])
    }

    fn new(children: Vec<(Arc<[u8]>, Child)>) -> Self {
        let (lows, children): (Vec<_>, Vec<_>) = children.into_iter().unzip();
        let prefix = match lows.get(1..) {
            Some([first, .., last]) => search::prefix(first, last),
            Some([only]) => search::prefix(only, only),
            _ => &[],
        };
        Inner {
            heads: lows
                .iter()
                .skip(1)
                .map(|low| search::head(low, prefix.len()))
                .collect(),
            prefix: prefix.into(),
            lows: lows.into(),
            children: children.into(),
        }
    }

    /// The page where a key belongs; with `below`, where the keys before it end.
    pub(super) fn page(&self, key: &[u8], below: bool) -> *const Page {
        let mut inner = self;
        loop {
            match &inner.children[inner.index(key, below)] {
                Child::Page(page) => return *page,
                Child::Inner(child) => inner = child,
            }
        }
    }

    /// The last page.
    pub(super) fn last(&self) -> *const Page {
        let mut inner = self;
        loop {
            match inner.children.last() {
                Some(Child::Page(page)) => return *page,
                Some(Child::Inner(child)) => inner = child,
                None => return ptr::null(),
            }
        }
    }

    fn index(&self, key: &[u8], below: bool) -> usize {
        search::before(key, !below, &self.prefix, &self.heads, |at| &self.lows[at + 1])
    }

    /// The tree with one more page; a tree is one level higher if its root was split.
    pub(super) fn with(&self, page: &Page) -> Self {
        match self.grown(page) {
            (root, None) => root,
            (left, Some(right)) => Inner::new(vec![left.into_child(), right.into_child()]),
        }
    }

    fn grown(&self, page: &Page) -> Grown {
        let at = self.index(page.low(), false);
        let mut entries = self.entries();
        match &self.children[at] {
            Child::Page(_) => entries.insert(at + 1, (Arc::clone(page.low()), Child::Page(page))),
            Child::Inner(child) => {
                let (left, right) = child.grown(page);
                entries[at] = left.into_child();
                if let Some(right) = right {
                    entries.insert(at + 1, right.into_child());
                }
            }
        }
        if entries.len() <= FANOUT {
            return (Inner::new(entries), None);
        }
        // Keys that come in order leave full nodes behind.
        let at_end = at + 2 == entries.len();
        let right = entries.split_off(if at_end {
            entries.len() - 1
        } else {
            entries.len() / 2
        });
        (Inner::new(entries), Some(Inner::new(right)))
    }

    /// The tree without a page, which is not its first one.
    pub(super) fn without(&self, page: &Page) -> Self {
        let mut root = self.shrunk(page).unwrap_or_else(|| self.clone());
        while let [Child::Inner(only)] = &*root.children {
            root = Inner::clone(&Arc::clone(only));
        }
        root
    }

    /// The node without a page; `None` if nothing is left of it.
    fn shrunk(&self, page: &Page) -> Option<Self> {
        let at = self.index(page.low(), false);
        let mut entries = self.entries();
        match &self.children[at] {
            Child::Page(found) if ptr::eq(*found, page) => {
                entries.remove(at);
            }
            Child::Page(_) => {}
            Child::Inner(child) => match child.shrunk(page) {
                Some(child) => entries[at] = child.into_child(),
                None => {
                    entries.remove(at);
                }
            },
        }
        (!entries.is_empty()).then(|| Inner::new(entries))
    }

    fn entries(&self) -> Vec<(Arc<[u8]>, Child)> {
        self.lows
            .iter()
            .cloned()
            .zip(self.children.iter().cloned())
            .collect()
    }

    fn into_child(self) -> (Arc<[u8]>, Child) {
        (Arc::clone(&self.lows[0]), Child::Inner(Arc::new(self)))
    }
}
