//! Tests of the ordered keydir.

mod model;
mod stress;

use super::*;
use crate::Deadline;
use crate::keydir::{Batch, Direction, Location, Span};
use std::ops::Bound;

/// A span from one bound to another.
fn span<'a>(direction: Direction, from: Bound<&'a [u8]>, until: Bound<&'a [u8]>) -> Span<'a> {
    Span {
        direction,
        from,
        until,
    }
}

fn all(direction: Direction) -> Span<'static> {
    span(direction, Bound::Unbounded, Bound::Unbounded)
}

fn put(keydir: &OrderedKeydir, key: Key<'_>, location: u64) -> Option<u64> {
    let hash = keydir.hash(key);
    keydir
        .lock(shard_of(hash))
        .put(hash, key, Location::from_bits(location))
        .map(Location::to_bits)
}

#[test]
fn a_scan_stops_when_the_keys_fill_its_batch() {
    let keydir = OrderedKeydir::new(0);
    for i in 0..5u8 {
        put(&keydir, Key::plain(&vec![i; 400 << 10]), u64::from(i));
    }
    let mut batch = Batch::new();
    assert!(keydir.scan(&all(Direction::Forward), 100, &mut batch));
    assert_eq!(batch.len(), 3);
    batch.clear();
    assert!(keydir.scan(&all(Direction::Backward), 2, &mut batch));
    assert_eq!(
        batch.iter().map(|(key, _)| key.bytes()[0]).collect::<Vec<_>>(),
        [4, 3]
    );
}

#[test]
fn keys_of_every_length_keep_both_parts() {
    let keydir = OrderedKeydir::new(0);
    for len in 1..60u8 {
        for suffix in 0..4u8 {
            let mut bytes = vec![len; usize::from(len)];
            bytes.extend(std::iter::repeat_n(7, usize::from(suffix)));
            let key = Key::new(&bytes, usize::from(len));
            put(&keydir, key, u64::from(suffix));
            assert!(keydir.get(key).is_some_and(|hit| hit.same_form));
            let mut found = Vec::new();
            let at = span(
                Direction::Forward,
                Bound::Included(key.compared()),
                Bound::Unbounded,
            );
            let next = keydir.next(&at, &mut found).unwrap();
            assert_eq!(
                (found.as_slice(), next.compared),
                (bytes.as_slice(), usize::from(len))
            );
            assert_eq!(next.location.to_bits(), u64::from(suffix));
        }
        let hash = keydir.hash(Key::plain(&vec![len; usize::from(len)]));
        let gone = keydir
            .lock(shard_of(hash))
            .remove(hash, Key::plain(&vec![len; usize::from(len)]));
        assert_eq!(gone.map(Location::to_bits), Some(3));
    }
    assert_eq!((keydir.len(), keydir.outside()), (0, 0));
}

/// Keys that came by a checkpoint are all booked in one lock's books, and go by those of their own locks: once a table's whole account was then above any memory.
#[test]
fn what_was_filled_and_removed_is_on_no_account() {
    let mut keydir = OrderedKeydir::new(0);
    let empty = keydir.memory_bytes();
    let keys: Vec<[u8; 40]> = (0..50).map(|i| [i; 40]).collect();
    let mut chain = Chain::new();
    let put = |key| KeyChange {
        key: Key::plain(key),
        to: Some((Location::from_bits(0), Deadline::NEVER)),
    };
    chain.merge(keys.iter().map(|key| put(key.as_slice())), |_| {});
    keydir.fill(chain);
    assert_eq!((keydir.len(), keydir.outside()), (50, 50 * 40));
    assert!(keydir.memory_bytes() > empty);
    for key in &keys {
        let key = Key::plain(key);
        let hash = keydir.hash(key);
        keydir.lock(shard_of(hash)).remove(hash, key);
        assert!(keydir.memory_bytes() < 1 << 20);
    }
    assert_eq!(keydir.memory_bytes(), empty);
}

#[test]
fn a_lock_in_use_is_busy_for_who_may_not_wait() {
    let keydir = OrderedKeydir::new(0);
    let held = keydir.lock(3);
    assert!(matches!(keydir.try_lock(3), Err(Busy)));
    assert!(keydir.try_lock(4).is_ok());
    drop(held);
    assert!(keydir.try_lock(3).is_ok());
}

impl OrderedKeydir {
    fn outside(&self) -> usize {
        self.sum(|shard| &shard.outside)
    }
}
