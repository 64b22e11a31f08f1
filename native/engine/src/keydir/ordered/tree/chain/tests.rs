//! Tests of chains, beside a `BTreeMap`.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::super::tests::check;
use super::super::{LEAF_MAX, Tree};
use super::*;
use crate::keydir::OrderedKeydir;
use crate::keydir::ordered::shard_of;

/// The stored form of a key, its location and its deadline.
type Stored = (Vec<u8>, u64, Deadline);
type Model = BTreeMap<Vec<u8>, Stored>;
/// What becomes of keys: their suffixes and deadlines, or that they go.
type Changes = BTreeMap<u16, Option<(u8, bool)>>;

/// Some begin alike for longer than a head, some are too long for their nodes.
fn compared(id: u16) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    [
        &[high][..],
        &b"0123456789abcdefghij"[..usize::from(low % 4) * 6],
        &[high, low],
    ]
    .concat()
}

fn apply(chain: &mut Chain, model: &mut Model, round: u64, changes: &Changes) {
    let mut becomes = BTreeMap::new();
    for (id, to) in changes {
        let key = compared(*id);
        let stored = to.map(|(suffix, expires)| {
            let form = [key.as_slice(), &[9; 30][..usize::from(suffix)]].concat();
            let deadline = if expires {
                Deadline::at(round)
            } else {
                Deadline::NEVER
            };
            (form, round << 16 | u64::from(*id), deadline)
        });
        becomes.insert(key, stored);
    }
    let mut expected = Vec::new();
    let (mut gone, mut changes) = (Vec::new(), Vec::new());
    for (key, to) in &becomes {
        let (form, to) = match to {
            Some((form, location, deadline)) => (form, Some((Location::from_bits(*location), *deadline))),
            None => (key, None),
        };
        changes.push(KeyChange {
            key: Key::new(form, key.len()),
            to,
        });
        expected.extend(match becomes[key].clone() {
            Some(stored) => model.insert(key.clone(), stored),
            None => model.remove(key),
        });
    }
    chain.merge(changes.into_iter(), |location| gone.push(location.to_bits()));
    assert_eq!(gone, expected.iter().map(|old| old.1).collect::<Vec<_>>());
}

fn contents(keydir: &OrderedKeydir) -> Vec<(Vec<u8>, Stored)> {
    let mut found = Vec::new();
    keydir.each(|key, location, deadline| {
        let stored = (key.bytes().to_vec(), location.to_bits(), deadline);
        found.push((key.compared().to_vec(), stored));
        true
    });
    found
}

proptest! {
    #[test]
    fn it_is_a_sorted_map(
        rounds in vec(btree_map(0..600_u16, prop::option::weighted(0.7, (0..30_u8, prop::bool::weighted(0.1))), 0..150), 1..8),
        upper in btree_map(0..600_u16, prop::option::weighted(0.7, (0..30_u8, prop::bool::weighted(0.1))), 0..20),
    ) {
        let (mut chain, mut model) = (Chain::new(), Model::new());
        for (round, changes) in (1..).zip(&rounds) {
            apply(&mut chain, &mut model, round, changes);
        }
        // Another one is appended if its keys come behind.
        let (mut behind, mut more) = (Chain::new(), Model::new());
        apply(&mut behind, &mut more, 9, &upper);
        let first = more.first_key_value();
        let is_before = first.zip(model.last_key_value()).is_none_or(|(first, last)| last.0 < first.0);
        prop_assert_eq!(chain.is_before(&behind), is_before);
        if is_before {
            chain.append(behind);
            model.append(&mut more);
        }
        prop_assert!(chain.pages.len() <= model.len());
        let mut keydir = OrderedKeydir::new(0);
        keydir.fill(chain);
        check(&keydir.tree);
        prop_assert_eq!(keydir.len(), model.len() as u64);
        prop_assert_eq!(contents(&keydir), model.clone().into_iter().collect::<Vec<_>>());
        // Nothing is left on its account when all of them are gone.
        for (key, (form, location, deadline)) in &model {
            let key = Key::new(form, key.len());
            let hash = keydir.hash(key);
            let mut guard = keydir.lock(shard_of(hash));
            let old = guard.put_until(hash, key, Location::from_bits(*location), *deadline);
            prop_assert!(old.is_some_and(|hit| hit.same_form && hit.deadline == *deadline));
            prop_assert!(guard.remove(hash, key).is_some());
        }
        check(&keydir.tree);
        prop_assert_eq!(keydir.memory_bytes(), OrderedKeydir::new(0).memory_bytes());
    }
}

/// The bound of a chain's first page is that of the key which came first. When the chain was put behind another one, keys before it could not be found any more.
#[test]
fn the_lowest_keys_of_a_chain_are_found_behind_another_one() {
    let (mut lower, mut upper) = (Chain::new(), Chain::new());
    let put = |chain: &mut Chain, ids: std::ops::Range<u16>| {
        let changes = ids.map(|id| (id, Some((0, false)))).collect();
        apply(chain, &mut Model::new(), 1, &changes);
    };
    put(&mut lower, 0..1);
    put(&mut upper, 520..530);
    put(&mut upper, 260..264);
    lower.append(upper);
    check(&Tree::of(lower));
}

/// A checkpoint's sections are chains that are put behind each other.
#[test]
fn chains_are_put_behind_each_other() {
    let of = |ids: std::ops::Range<u16>| {
        let (mut chain, changes) = (Chain::new(), ids.map(|id| (id, Some((0, false)))).collect());
        apply(&mut chain, &mut Model::new(), 1, &changes);
        chain
    };
    let mut whole = Chain::new();
    for from in [0, 3] {
        let part = Chain::new();
        assert!(whole.is_before(&part) && part.is_before(&whole));
        whole.append(part);
        let part = of(from * 256..from * 256 + 40);
        assert!(whole.is_before(&part) && !part.is_before(&of(0..1)));
        whole.append(part);
    }
    check(&Tree::of(whole));
}

/// The leaves are full, or as full as they can be alike, and the changes of a leaf cost one leaf.
#[test]
fn keys_in_order_leave_full_pages() {
    let keys: Vec<_> = (0..1000_u32).map(u32::to_be_bytes).collect();
    let change = |key| KeyChange {
        key: Key::plain(key),
        to: Some((Location::from_bits(7), Deadline::NEVER)),
    };
    let mut chain = Chain::new();
    chain.merge(keys.iter().map(|key| change(key.as_slice())), |_| unreachable!());
    assert_eq!(chain.pages.len(), 1000_usize.div_ceil(LEAF_MAX));
    let addresses = |chain: &Chain| {
        chain
            .pages
            .iter()
            .map(|page| &raw const **page)
            .collect::<Vec<_>>()
    };
    let before = addresses(&chain);
    let mut gone = 0;
    chain.merge(keys.iter().map(|key| change(key.as_slice())), |_| gone += 1);
    assert_eq!((gone, addresses(&chain)), (1000, before));
    check(&Tree::of(chain));
}
