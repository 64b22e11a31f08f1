//! The keys of a leaf in order, those that were added among them, and the leaves that are made of them.
#![allow(unsafe_code, reason = "follows pointers that the epoch protects")]

use std::ops::Range;
use std::ptr::NonNull;

use smallvec::SmallVec;

use super::super::node::Node;
use super::leaf::{self, ADDED_MAX, Header, Leaf, Parts};
use super::page::Page;
use super::search;
use crate::keydir::prefetch::prefetch;

/// So many keys of a leaf, those that were added among them, are brought in order without memory of their own.
const MERGED: usize = 64;

/// All keys of a leaf in order, at one moment.
#[derive(Debug)]
pub(super) struct Keys<'g> {
    leaf: Leaf<'g>,
    /// If the leaf has more than its sorted keys.
    merged: Option<Merged>,
}

#[derive(Debug)]
struct Merged {
    heads: SmallVec<[u64; MERGED]>,
    nodes: SmallVec<[*const Node; MERGED]>,
}

impl<'g> Leaf<'g> {
    /// All its keys in order, as they are at this moment.
    pub(super) fn keys(self) -> Keys<'g> {
        let nodes: SmallVec<[&Node; ADDED_MAX]> = self.added().map(|(_, node)| node).collect();
        if nodes.is_empty() {
            return Keys {
                leaf: self,
                merged: None,
            };
        }
        for &node in &nodes {
            prefetch(node);
        }
        // An added key begins as the sorted ones do, so its head tells most.
        let skip = self.prefix().len();
        let mut added: SmallVec<[(u64, &[u8], &Node); ADDED_MAX]> = nodes
            .into_iter()
            .map(|node| (node.key.compared(), node))
            .map(|(key, node)| (search::head(key, skip), key, node))
            .collect();
        debug_assert!(added.iter().all(|(_, key, _)| key.starts_with(self.prefix())));
        added.sort_unstable_by_key(|(head, key, _)| (*head, *key));
        let (heads, nodes) = (self.heads(), self.pointers());
        let mut merged = Merged {
            heads: SmallVec::new(),
            nodes: SmallVec::new(),
        };
        let mut from = 0;
        for (head, key, node) in added {
            let at = from + search::behind_prefix(head, key, false, &heads[from..], |at| self.key(from + at));
            merged.heads.extend_from_slice(&heads[from..at]);
            merged.nodes.extend_from_slice(&nodes[from..at]);
            merged.heads.push(head);
            merged.nodes.push(node);
            from = at;
        }
        merged.heads.extend_from_slice(&heads[from..]);
        merged.nodes.extend_from_slice(&nodes[from..]);
        Keys {
            leaf: self,
            merged: Some(merged),
        }
    }
}

impl<'g> Keys<'g> {
    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.pointers().len()
    }

    /// Their heads.
    pub(super) fn heads(&self) -> &[u64] {
        match &self.merged {
            Some(merged) => &merged.heads,
            None => self.leaf.heads(),
        }
    }

    /// Their nodes' addresses.
    pub(super) fn pointers(&self) -> &[*const Node] {
        match &self.merged {
            Some(merged) => &merged.nodes,
            None => self.leaf.pointers(),
        }
    }

    /// A node.
    pub(super) fn node(&self, at: usize) -> &'g Node {
        // SAFETY: nodes named by a leaf live as long as it, by the contract of `Leaf::new`.
        unsafe { &*self.pointers()[at] }
    }

    /// The compared part of a key.
    pub(super) fn key(&self, at: usize) -> &'g [u8] {
        self.node(at).key.compared()
    }

    /// How many keys come before this one, it itself among them if `or_equal`.
    pub(super) fn before(&self, key: &[u8], or_equal: bool) -> usize {
        search::before(key, or_equal, self.leaf.prefix(), self.heads(), |at| self.key(at))
    }

    /// A leaf of these keys and one more. It belongs to the caller.
    pub(super) fn with(&self, at: usize, node: *const Node, key: &[u8]) -> NonNull<Header> {
        let (heads, nodes) = (self.heads(), self.pointers());
        let old = self.leaf.prefix();
        let prefix = match (at, self.len()) {
            (_, 0) => search::prefix(key, key),
            (0, len) => search::prefix(key, self.key(len - 1)),
            (at, len) if at == len => search::prefix(self.key(0), key),
            _ => old,
        };
        let shorter = prefix.len() < old.len();
        let again: Vec<u64> = if shorter {
            (0..self.len())
                .map(|at| search::head(self.key(at), prefix.len()))
                .collect()
        } else {
            Vec::new()
        };
        let (prefix, heads) = if shorter || self.len() == 0 {
            (prefix, again.as_slice())
        } else {
            (old, heads)
        };
        Parts {
            heads: [&heads[..at], &[search::head(key, prefix.len())], &heads[at..]],
            nodes: [&nodes[..at], &[node], &nodes[at..]],
            prefix,
            next: self.leaf.next(),
        }
        .build()
    }

    /// A leaf without one of these keys. It belongs to the caller.
    pub(super) fn without(&self, at: usize) -> NonNull<Header> {
        let (heads, nodes) = (self.heads(), self.pointers());
        Parts {
            heads: [&heads[..at], &[], &heads[at + 1..]],
            nodes: [&nodes[..at], &[], &nodes[at + 1..]],
            prefix: self.leaf.prefix(),
            next: self.leaf.next(),
        }
        .build()
    }

    /// A leaf of some of these keys, in front of this page. It belongs to the caller.
    pub(super) fn part(&self, range: Range<usize>, next: *const Page) -> NonNull<Header> {
        // SAFETY: nodes named by a leaf live as long as it, by the contract of `Leaf::new`.
        unsafe { leaf::of(&self.pointers()[range], next) }
    }

    /// A leaf of the same keys in front of another page. It belongs to the caller.
    pub(super) fn in_front_of(&self, next: *const Page) -> NonNull<Header> {
        Parts {
            heads: [self.heads(), &[], &[]],
            nodes: [self.pointers(), &[], &[]],
            prefix: self.leaf.prefix(),
            next,
        }
        .build()
    }
}
