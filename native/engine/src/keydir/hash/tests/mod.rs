//! Tests that look inside, and what they share.

mod bags;
mod behaviour;
mod model;
mod stress;

use super::marks::{self, Marks};
use super::slots::{self, Slot};
use super::write::Writer;
use super::*;
use crate::sync::AtomicU64;

/// A key's bytes by number: no one's compared part is a prefix of another's, and some are long.
fn key_bytes(id: u32) -> Vec<u8> {
    let filler = match id % 64 {
        7 => 300,
        63 => 20_000,
        n => n as usize % 12,
    };
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.resize(4 + filler, id as u8);
    bytes
}

/// Makes a full hash of the parts that the keydir uses.
fn hash_from(shard: u8, h32: u32) -> u64 {
    u64::from(shard) << 56 | u64::from(h32) << 24
}

/// Panics unless every shard is as its rules say.
fn check(keydir: &HashKeydir) {
    for (index, shard) in keydir.shards.iter().enumerate() {
        let mut state = shard.state.lock();
        if state.is_none() {
            continue;
        }
        let writer = Writer::new(shard, &mut state, index, Reclaim::Later);
        check_shard(&writer);
    }
}

#[allow(unsafe_code, reason = "looks at stored keys")]
fn check_shard(writer: &Writer<'_>) {
    let slots: &[Slot] = writer.slots();
    let capacity = writer.capacity();
    let mut last: Option<(u32, Vec<u8>)> = None;
    let mut bytes = 0;
    let mut len = 0;
    for (at, slot) in slots.iter().enumerate() {
        let meta = slot.meta();
        if meta == 0 {
            continue;
        }
        let hash = slots::hash_of(meta);
        let home = slots::home(hash, capacity);
        assert!(home <= at, "an entry stands before its home");
        assert!(
            slots[home..at].iter().all(|slot| slot.meta() != 0),
            "there is an empty slot between an entry's home and its place"
        );
        // SAFETY: the reference stands in a slot and the lock is held.
        let stored = unsafe { writer.stored(slots::key_ref_of(meta)) };
        let key = stored.key;
        bytes += super::entry::stored_len(stored);
        len += 1;
        let this = (hash, key.compared().to_vec());
        assert!(
            last.as_ref().is_none_or(|last| *last < this),
            "entries out of order"
        );
        last = Some(this);
    }
    let words: Vec<AtomicU64> = (0..marks::words(capacity))
        .map(|_| AtomicU64::default())
        .collect();
    let expected = Marks::new(&words, capacity);
    for slot in slots.iter().filter(|slot| slot.meta() != 0) {
        expected.set(slots::hash_of(slot.meta()));
    }
    assert_eq!(
        writer.marks().bits(),
        expected.bits(),
        "the marks are not those of the entries"
    );
    assert_eq!(slots.last().map(Slot::meta), Some(0), "the last slot is taken");
    assert_eq!(writer.shard.len.load(Ordering::Relaxed), len);
    assert!(len == 0 || len <= capacity, "more entries than homes");
    assert_eq!(writer.live_bytes(), bytes, "the arena's books are wrong");
}
