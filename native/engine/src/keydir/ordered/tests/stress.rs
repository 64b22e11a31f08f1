//! Readers beside writers. A location tells the key and the form that it belongs to, so that a reader can judge what it got.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::*;

/// Keys below are never removed.
const STABLE: u32 = 200;
const KEYS: u32 = 1_000;

/// Stable keys stand between those that come and go.
fn compared(id: u32) -> Vec<u8> {
    let mut bytes = (id % STABLE).to_be_bytes().to_vec();
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.resize(8 + id as usize % 30, b'.');
    bytes
}

fn location(id: u32, form: usize, round: u32) -> u64 {
    u64::from(id) << 32 | u64::from(round) << 2 | form as u64
}

/// Overwrites stable keys, in changing forms, and lets waves of others come and go; threads share the keys by parity.
fn write(keydir: &OrderedKeydir, parity: u32, rounds: u32) {
    for round in 0..rounds {
        for id in (parity..KEYS).step_by(2) {
            let compared = compared(id);
            let form = (round / 3 + id) as usize % 3;
            let bytes = [compared.as_slice(), &b"ss"[..form]].concat();
            if id < STABLE || !(id + round).is_multiple_of(3) {
                let old = put(
                    keydir,
                    Key::new(&bytes, compared.len()),
                    location(id, form, round),
                );
                assert!(old.is_none_or(|old| old >> 32 == u64::from(id)));
                assert!(
                    old.is_some() || round == 0 || id >= STABLE,
                    "a writer missed a key"
                );
            } else {
                let key = Key::plain(&compared);
                let hash = keydir.hash(key);
                keydir.lock(shard_of(hash)).remove(hash, key);
            }
        }
    }
}

/// Whether the key and the location belong together, in form too; gives the id.
fn judge(key: Key<'_>, found: Location) -> u32 {
    let id = (found.to_bits() >> 32) as u32;
    assert_eq!(key.compared(), compared(id), "another key's location");
    assert_eq!(
        key.suffix().len() as u64,
        found.to_bits() & 3,
        "another form's location"
    );
    id
}

fn read(keydir: &OrderedKeydir, done: &AtomicBool, looks: &AtomicU64) {
    let mut batch = Batch::new();
    let mut random = 1_u32;
    while !done.load(Relaxed) {
        random = random.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        let id = (random >> 8) % STABLE;
        let compared = compared(id);
        let hit = keydir.get(Key::plain(&compared));
        assert!(
            hit.is_some_and(|hit| hit.location.to_bits() >> 32 == u64::from(id)),
            "key {id} is there and was not found"
        );
        for direction in [Direction::Forward, Direction::Backward] {
            batch.clear();
            keydir.scan(
                &span(direction, Bound::Included(&compared), Bound::Unbounded),
                1,
                &mut batch,
            );
            let (key, found) = batch.iter().next().unwrap();
            assert_eq!(judge(key, found), id, "{direction:?}");
        }
        looks.fetch_add(1, Relaxed);
    }
}

fn traverse(keydir: &OrderedKeydir, direction: Direction, done: &AtomicBool, passes: &AtomicU64) {
    let mut batch = Batch::new();
    while !done.load(Relaxed) {
        let mut stable = vec![false; STABLE as usize];
        let mut last: Option<Vec<u8>> = None;
        loop {
            batch.clear();
            let from = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let more = keydir.scan(&span(direction, from, Bound::Unbounded), 7, &mut batch);
            for (key, found) in batch.iter() {
                let id = judge(key, found);
                if let Some(last) = &last {
                    let order = key.compared().cmp(last);
                    let right = if direction == Direction::Forward {
                        order.is_gt()
                    } else {
                        order.is_lt()
                    };
                    assert!(right, "out of order or twice");
                }
                last = Some(key.compared().to_vec());
                if let Some(seen) = stable.get_mut(id as usize) {
                    *seen = true;
                }
            }
            if !more {
                break;
            }
        }
        assert!(stable.iter().all(|&seen| seen), "a traversal missed a key");
        passes.fetch_add(1, Relaxed);
    }
}

#[test]
fn readers_and_traversals_always_see_what_is_there() {
    let rounds = if cfg!(debug_assertions) { 300 } else { 2_000 };
    let keydir = OrderedKeydir::new(0);
    write(&keydir, 0, 1);
    write(&keydir, 1, 1);
    let done = AtomicBool::new(false);
    let [looks, forward, backward] = [0; 3].map(AtomicU64::new);
    std::thread::scope(|scope| {
        let (keydir, done) = (&keydir, &done);
        let others = [
            scope.spawn(|| read(keydir, done, &looks)),
            scope.spawn(|| traverse(keydir, Direction::Forward, done, &forward)),
            scope.spawn(|| traverse(keydir, Direction::Backward, done, &backward)),
        ];
        let writers = [0, 1].map(|parity| scope.spawn(move || write(keydir, parity, rounds)));
        let written = writers.map(std::thread::ScopedJoinHandle::join);
        done.store(true, Relaxed);
        for other in others {
            other.join().unwrap();
        }
        assert!(written.iter().all(Result::is_ok));
    });
    assert!(
        [looks, forward, backward]
            .iter()
            .all(|count| count.load(Relaxed) > 0)
    );
}
