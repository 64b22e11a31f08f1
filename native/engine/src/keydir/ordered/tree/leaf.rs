//! A leaf: sorted keys, and a few free places for *added* ones. What is in it is never changed: a key that finds no free place, or a removal, makes
//! another leaf, which takes this one's place.
//!
//! ```text
//! number of sorted keys 4, length of the prefix 4, next page 8 | added keys, 8 each | heads, 8 each | nodes, 8 each | prefix
//! ```
//! All in one allocation, so that a search finds what it needs in neighbouring cache lines. An added key is a word: 16 bits of a hash of its head over the
//! 48 bits of a pointer to its node. Who wants to replace a leaf first fills what is free with a mark, so that nothing is added to a leaf whose content was copied.
#![allow(
    unsafe_code,
    reason = "an allocation of a size known at run time, shared with readers that hold no count"
)]
#![allow(
    clippy::cast_ptr_alignment,
    reason = "the allocation is aligned as its header, and so are all its parts but bytes"
)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::super::node::Node;
use super::LEAF_MAX;
use super::keys::Keys;
use super::page::Page;
use super::search;
use crate::keydir::prefetch::{LINE, prefetch};
use crate::sync::{AtomicU64, Ordering};

/// The front of a leaf.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Header {
    len: u32,
    prefix_len: u32,
    next: *const Page,
    added: [AtomicU64; ADDED_MAX],
}

/// So many keys find a place before the leaf is made anew.
pub(super) const ADDED_MAX: usize = if cfg!(any(test, feature = "shuttle")) {
    2
} else {
    8
};

/// A place where nothing can be added any more.
const CLOSED: u64 = u64::MAX;

const POINTER_BITS: u32 = 48;

/// What a leaf costs beyond what its keys do, in bytes.
pub(super) const LEAF_LEN: usize = size_of::<Header>();
/// What it costs for each of its keys.
pub(super) const ENTRY_LEN: usize = size_of::<u64>() + size_of::<*const Node>();

/// The cache lines of a full leaf, all of which a search may look at: the front, the heads, the nodes, and the prefix behind them.
pub(super) const SEARCHED_LINES: usize = (LEAF_LEN + LEAF_MAX * ENTRY_LEN).div_ceil(LINE);

/// The length that no leaf has: the page was taken out of the tree, and has no keys.
const GONE: u32 = u32::MAX;

/// A leaf that lives for `'g` at least.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf<'g> {
    header: NonNull<Header>,
    alive: PhantomData<&'g Node>,
}

/// The parts that make up a new leaf, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'p> {
    pub(super) heads: [&'p [u64]; 3],
    pub(super) nodes: [&'p [*const Node]; 3],
    pub(super) prefix: &'p [u8],
    pub(super) next: *const Page,
}

/// A leaf without keys in front of this page. It belongs to the caller.
pub(super) fn empty(next: *const Page) -> NonNull<Header> {
    Parts {
        heads: [&[]; 3],
        nodes: [&[]; 3],
        prefix: &[],
        next,
    }
    .build()
}

/// A leaf of these nodes, in order, in front of this page. It belongs to the caller.
///
/// # Safety
/// The nodes are there.
pub(super) unsafe fn of(nodes: &[*const Node], next: *const Page) -> NonNull<Header> {
    // SAFETY: by this function's contract.
    let key = |node: &*const Node| unsafe { &**node }.key.compared();
    let prefix = match (nodes.first(), nodes.last()) {
        (Some(first), Some(last)) => search::prefix(key(first), key(last)),
        _ => &[],
    };
    let heads: Vec<u64> = nodes
        .iter()
        .map(|node| search::head(key(node), prefix.len()))
        .collect();
    Parts {
        heads: [&heads, &[], &[]],
        nodes: [nodes, &[], &[]],
        prefix,
        next,
    }
    .build()
}

/// Puts a leaf in front of another page.
///
/// # Safety
/// It is from this module, and nobody else has it.
pub(super) unsafe fn set_next(leaf: NonNull<Header>, next: *const Page) {
    // SAFETY: by this function's contract.
    unsafe { (*leaf.as_ptr()).next = next };
}

/// The mark of a page that was taken out of the tree. It belongs to the caller.
pub(super) fn gone(next: *const Page) -> NonNull<Header> {
    let mark = empty(next);
    // SAFETY: it was just made, and nobody else has it.
    unsafe { (*mark.as_ptr()).len = GONE };
    mark
}

impl Parts<'_> {
    /// A new leaf. It belongs to the caller. There are as many heads as nodes.
    pub(super) fn build(&self) -> NonNull<Header> {
        let len = self.nodes.iter().map(|part| part.len()).sum();
        debug_assert_eq!(len, self.heads.iter().map(|part| part.len()).sum());
        let layout = layout(len, self.prefix.len());
        // SAFETY: the layout has a header at least, so its size is not zero.
        let raw = unsafe { alloc(layout) };
        let Some(header) = NonNull::new(raw.cast::<Header>()) else {
            handle_alloc_error(layout);
        };
        // SAFETY: the allocation has room for the header, then `len` heads, then `len` nodes, then the prefix, and nobody else has it.
        unsafe {
            header.write(Header {
                len: len as u32,
                prefix_len: self.prefix.len() as u32,
                next: self.next,
                added: Default::default(),
            });
            let mut heads = header.add(1).cast::<u64>();
            for part in self.heads {
                ptr::copy_nonoverlapping(part.as_ptr(), heads.as_ptr(), part.len());
                heads = heads.add(part.len());
            }
            let mut nodes = heads.cast::<*const Node>();
            for part in self.nodes {
                ptr::copy_nonoverlapping(part.as_ptr(), nodes.as_ptr(), part.len());
                nodes = nodes.add(part.len());
            }
            ptr::copy_nonoverlapping(self.prefix.as_ptr(), nodes.cast().as_ptr(), self.prefix.len());
        }
        header
    }
}

/// Frees a leaf, not its nodes.
///
/// # Safety
/// `header` is from this module, is freed once, and nobody uses it any more.
pub(super) unsafe fn free(header: NonNull<Header>) {
    // SAFETY: by this function's contract the header is valid, and the layout is the one that it was allocated with.
    unsafe {
        let Header { len, prefix_len, .. } = *header.as_ref();
        let len = if len == GONE { 0 } else { len as usize };
        dealloc(header.as_ptr().cast(), layout(len, prefix_len as usize));
    }
}

fn layout(len: usize, prefix_len: usize) -> Layout {
    let size = LEAF_LEN + len * ENTRY_LEN + prefix_len;
    // Only a size that no memory has is refused.
    Layout::from_size_align(size, align_of::<Header>())
        .unwrap_or_else(|_| handle_alloc_error(Layout::new::<Header>()))
}

impl<'g> Leaf<'g> {
    /// # Safety
    /// `header` is from this module; it and the nodes that it names live for `'g`.
    pub(super) unsafe fn new(header: NonNull<Header>) -> Self {
        Leaf {
            header,
            alive: PhantomData,
        }
    }

    /// Has the processor fetch what [`Leaf::keys`] begins with.
    pub(super) fn prefetch(self) {
        prefetch(self.header.as_ptr());
        prefetch(self.header.as_ptr().cast::<u8>().wrapping_add(LINE));
    }

    /// Has the processor fetch what a search looks at, at once and not one after the other, without a look at the leaf.
    #[inline]
    pub(super) fn prefetch_search(self) {
        let front = self.header.as_ptr().cast::<u8>();
        for line in 0..SEARCHED_LINES {
            prefetch(front.wrapping_add(line * LINE));
        }
    }

    /// Has the processor fetch what comes then. Looks at the leaf.
    pub(super) fn prefetch_nodes(self) {
        prefetch(self.pointers().as_ptr());
        self.added().for_each(|(_, node)| prefetch(node));
    }

    /// What tells it from others.
    pub(super) fn as_ptr(self) -> *mut Header {
        self.header.as_ptr()
    }

    fn header(self) -> &'g Header {
        // SAFETY: by the contract of `new`.
        unsafe { self.header.as_ref() }
    }

    /// Whether this is the mark of a page that was taken out of the tree.
    pub(super) fn is_gone(self) -> bool {
        self.header().len == GONE
    }

    /// Number of sorted keys.
    pub(super) fn len(self) -> usize {
        match self.header().len {
            GONE => 0,
            len => len as usize,
        }
    }

    /// The page behind this one; null behind the last.
    pub(super) fn next(self) -> *const Page {
        self.header().next
    }

    /// The heads of its sorted keys.
    pub(super) fn heads(self) -> &'g [u64] {
        // SAFETY: `len` heads stand behind the header, and nobody changes them.
        unsafe { std::slice::from_raw_parts(self.header.as_ptr().add(1).cast(), self.len()) }
    }

    /// The addresses of their nodes.
    pub(super) fn pointers(self) -> &'g [*const Node] {
        // SAFETY: `len` nodes stand behind as many heads, and nobody changes them.
        unsafe {
            let heads = self.header.as_ptr().add(1).cast::<u64>();
            std::slice::from_raw_parts(heads.add(self.len()).cast(), self.len())
        }
    }

    /// What all its keys begin with, or some of that.
    pub(super) fn prefix(self) -> &'g [u8] {
        // SAFETY: the prefix stands behind the nodes, and nobody changes it.
        unsafe {
            let heads = self.header.as_ptr().add(1).cast::<u64>();
            std::slice::from_raw_parts(
                heads.add(2 * self.len()).cast(),
                self.header().prefix_len as usize,
            )
        }
    }

    /// The key's node, if it has one.
    pub(super) fn find(self, key: &[u8]) -> Option<&'g Node> {
        let at = self.before(key, false);
        if let Some(node) = self.pointers().get(at) {
            // SAFETY: nodes named by a leaf live as long as it, by the contract of `new`.
            let node = unsafe { &**node };
            if node.key.compared() == key {
                return Some(node);
            }
        }
        let tag = self.tag(key)?;
        self.added()
            .find(|(found, node)| *found == tag && node.key.compared() == key)
            .map(|(_, node)| node)
    }

    /// How many of the sorted keys come before this one, it itself among them if `or_equal`.
    pub(super) fn before(self, key: &[u8], or_equal: bool) -> usize {
        search::before(key, or_equal, self.prefix(), self.heads(), |at| self.key(at))
    }

    /// The compared part of a sorted key.
    pub(super) fn key(self, at: usize) -> &'g [u8] {
        // SAFETY: nodes named by a leaf live as long as it, by the contract of `new`.
        unsafe { &*self.pointers()[at] }.key.compared()
    }

    /// The node of the sorted key that [`Leaf::before`] found for this one, if it is the same.
    pub(super) fn node(self, at: usize, key: &[u8]) -> Option<&'g Node> {
        let node = *self.pointers().get(at)?;
        // Another head tells as much without a look at the node.
        if self.heads()[at] != search::head(key, self.prefix().len()) {
            return None;
        }
        // SAFETY: nodes named by a leaf live as long as it, by the contract of `new`.
        let node = unsafe { &*node };
        (node.key.compared() == key).then_some(node)
    }

    /// Adds a key that is not there; `false` if there is no place for it.
    pub(super) fn add(self, key: &[u8], node: *const Node) -> bool {
        let pointer = node as u64;
        let Some(tag) = self.tag(key).filter(|_| pointer >> POINTER_BITS == 0) else {
            return false;
        };
        let word = tag << POINTER_BITS | pointer;
        self.header().added.iter().any(|place| {
            place.load(Ordering::Relaxed) == 0
                && place
                    .compare_exchange(0, word, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
        })
    }

    /// All its keys in order. From now on none is added.
    pub(super) fn close(self) -> Keys<'g> {
        for place in &self.header().added {
            // What stands there already stays.
            let _ = place.compare_exchange(0, CLOSED, Ordering::AcqRel, Ordering::Relaxed);
        }
        self.keys()
    }

    /// The added keys' nodes, each behind the hash that its word has.
    pub(super) fn added(self) -> impl Iterator<Item = (u64, &'g Node)> {
        let words = self.header().added.iter();
        words
            .map(|place| place.load(Ordering::Acquire))
            .filter(|word| *word != 0 && *word != CLOSED)
            .map(|word| {
                let node = (word & ((1 << POINTER_BITS) - 1)) as *const Node;
                // SAFETY: words are made of the addresses of nodes, which live as long as the leaf, by the contract of `new`.
                (word >> POINTER_BITS, unsafe { &*node })
            })
    }

    /// What an added key's word begins with; `None` if the key does not begin as the sorted ones do.
    fn tag(self, key: &[u8]) -> Option<u64> {
        let prefix = self.prefix();
        key.starts_with(prefix)
            .then(|| search::head(key, prefix.len()).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> POINTER_BITS)
    }
}
