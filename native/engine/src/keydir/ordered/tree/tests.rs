//! Tests of the tree. Its leaves and inner nodes are small here, so that it is high and changes its shape all the time.

use std::ops::{Bound, ControlFlow};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::epoch;
use proptest::prelude::*;

use super::*;
use crate::keydir::{Direction, Location, Span};
use crate::{Deadline, Key};

fn insert(tree: &Tree, key: &[u8]) -> bool {
    let guard = epoch::pin();
    let make = || Node::new(Key::plain(key), Location::from_bits(0), Deadline::NEVER);
    tree.get_or_insert(key, make, &guard).1
}

fn keys(tree: &Tree, direction: Direction) -> Vec<Vec<u8>> {
    let guard = epoch::pin();
    let mut keys = Vec::new();
    let all = Span {
        direction,
        from: Bound::Unbounded,
        until: Bound::Unbounded,
    };
    tree.walk(&all, &guard, |node| {
        keys.push(node.key.compared().to_vec());
        ControlFlow::Continue(())
    });
    keys
}

/// Looks at the tree as a whole, while nobody changes it.
pub(super) fn check(tree: &Tree) {
    let guard = &epoch::pin();
    let mut pages = 0;
    // SAFETY: the first page is there as long as the tree.
    let mut page = Some(unsafe { tree.first.as_ref() });
    while let Some(at) = page {
        let leaf = at.leaf(guard);
        assert!(!leaf.is_gone());
        let named = tree.root(guard).page(at.low(), false);
        assert!(std::ptr::eq(named, at), "every page can be found from the root");
        let keys = leaf.keys();
        for i in 0..keys.len() {
            let key = keys.key(i);
            assert!(key.starts_with(leaf.prefix()) && key >= at.low());
            assert_eq!(keys.heads()[i], search::head(key, leaf.prefix().len()));
        }
        page = page_behind(leaf, guard);
        assert!(page.is_none_or(|next| next.low() > at.low()));
        pages += 1;
    }
    assert_eq!(tree.pages.load(Relaxed), pages);
    let forward = keys(tree, Direction::Forward);
    assert!(forward.is_sorted_by(|a, b| a < b));
    let mut backward = keys(tree, Direction::Backward);
    backward.reverse();
    assert_eq!(forward, backward);
}

#[test]
fn ascending_keys_leave_full_pages_and_descending_ones_half_full_ones() {
    let count = 1_000_u32;
    for (order, pages) in [(true, 160..=260), (false, 300..=510)] {
        let tree = Tree::new();
        for i in 0..count {
            let i = if order { i } else { count - i };
            assert!(insert(&tree, &i.to_be_bytes()));
            assert!(!insert(&tree, &i.to_be_bytes()));
        }
        check(&tree);
        let found = tree.pages.load(Relaxed);
        assert!(pages.contains(&found), "{found} pages");
    }
}

#[test]
fn pages_go_with_their_keys() {
    let tree = Tree::new();
    for i in 0..1_000_u32 {
        insert(&tree, &i.to_be_bytes());
        if let Some(old) = i.checked_sub(20) {
            assert!(tree.remove(&old.to_be_bytes(), &epoch::pin()).is_some());
        }
    }
    check(&tree);
    assert!(tree.pages.load(Relaxed) < 12);
    for i in (980..1_000_u32).rev() {
        assert!(tree.remove(&i.to_be_bytes(), &epoch::pin()).is_some());
    }
    check(&tree);
    assert_eq!(tree.pages.load(Relaxed), 1);
}

#[test]
fn an_empty_page_that_was_left_goes_with_the_next_one() {
    let tree = Tree::new();
    for i in 0..40_u32 {
        insert(&tree, &i.to_be_bytes());
    }
    let busy = tree.structure.lock();
    let pages = tree.pages.load(Relaxed);
    for i in 8..36_u32 {
        tree.remove(&i.to_be_bytes(), &epoch::pin());
    }
    assert_eq!(tree.pages.load(Relaxed), pages);
    // A leaf that cannot be split grows.
    for i in 0..20_u32 {
        insert(&tree, &[0, 0, 0, 0, i as u8]);
    }
    drop(busy);
    check(&tree);
    for i in 36..40_u32 {
        tree.remove(&i.to_be_bytes(), &epoch::pin());
    }
    check(&tree);
    // What is left: the keys up to 8, and those that were added.
    assert!(tree.pages.load(Relaxed) <= pages / 2);
}

/// Else a key could be added to a leaf whose keys were copied already, and be lost with it.
#[test]
fn a_closed_leaf_takes_no_more_keys() {
    let tree = Tree::new();
    let guard = &epoch::pin();
    let node = Node::new(Key::plain(b"b"), Location::from_bits(0), Deadline::NEVER);
    // SAFETY: the first page is there as long as the tree.
    let leaf = unsafe { tree.first.as_ref() }.leaf(guard);
    assert_eq!(leaf.close().len(), 0);
    assert!(!leaf.add(b"b", &raw const node));
    assert!(leaf.find(b"b").is_none());
    // Another leaf takes its place.
    assert!(insert(&tree, b"b"));
    check(&tree);
}

proptest! {
    #[test]
    fn it_is_a_sorted_set(ops in proptest::collection::vec((any::<bool>(), 0..60_u8, 0..4_usize), 1..400)) {
        let tree = Tree::new();
        let mut model = std::collections::BTreeSet::new();
        for (add, id, long) in ops {
            // Some begin alike for longer than a head, some end in zeros.
            let key = [&[id % 5][..], &b"0123456789"[..3 * long], &[id, 0][..=usize::from(id % 2)]].concat();
            if add {
                prop_assert_eq!(insert(&tree, &key), model.insert(key));
            } else {
                prop_assert_eq!(tree.remove(&key, &epoch::pin()).is_some(), model.remove(&key));
            }
        }
        check(&tree);
        prop_assert_eq!(keys(&tree, Direction::Forward), model.into_iter().collect::<Vec<_>>());
    }
}

/// Each writer has keys of its own, next to those of the others, and knows which of them are there; others go through all of them.
#[test]
fn pages_that_come_and_go_hide_no_key() {
    let rounds = if cfg!(debug_assertions) { 400 } else { 4_000 };
    let tree = Tree::new();
    let key = |i: u32, writer: u32| [i.to_be_bytes(), writer.to_be_bytes()].concat();
    for i in (0..200).step_by(10) {
        insert(&tree, &key(i, 9));
    }
    let (done, walks) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (tree, done, walks) = (&tree, &done, &walks);
        let writers = [0, 1, 2].map(|writer| {
            scope.spawn(move || {
                for round in 0..rounds {
                    // A wave of keys, far enough on to let pages come and go.
                    let base = (round * 7) % 180;
                    for i in base..base + 20 {
                        assert!(insert(tree, &key(i, writer)));
                        assert!(tree.get(&key(i, writer), &epoch::pin()).is_some());
                    }
                    for i in base..base + 20 {
                        assert!(tree.remove(&key(i, writer), &epoch::pin()).is_some());
                        assert!(tree.get(&key(i, writer), &epoch::pin()).is_none());
                    }
                }
            })
        });
        for direction in [Direction::Forward, Direction::Backward] {
            scope.spawn(move || {
                while !done.load(Relaxed) {
                    let mut found = keys(tree, direction);
                    if direction == Direction::Backward {
                        found.reverse();
                    }
                    assert!(found.is_sorted_by(|a, b| a < b));
                    assert_eq!(found.iter().filter(|key| key[7] == 9).count(), 20);
                    walks.fetch_add(1, Relaxed);
                }
            });
        }
        let written = writers.map(std::thread::ScopedJoinHandle::join);
        done.store(true, Relaxed);
        assert!(written.iter().all(Result::is_ok));
    });
    assert!(walks.load(Relaxed) > 0);
    check(&tree);
    assert_eq!(keys(&tree, Direction::Forward).len(), 20);
}
