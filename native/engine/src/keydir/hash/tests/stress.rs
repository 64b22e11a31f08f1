//! Readers beside writers. A location tells which key it belongs to, so that a reader can judge what it got.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::super::*;
use super::{check, hash_from};
use crate::keydir::Batch;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Keys below are never removed.
const STABLE: u32 = 300;
const KEYS: u32 = 3_000;

fn key_bytes(id: u32, suffix: u32) -> Vec<u8> {
    let mut bytes = format!("key {id:06}").into_bytes();
    bytes.resize(10 + id as usize % 40, b'.');
    bytes.resize(bytes.len() + suffix as usize % 3, b's');
    bytes
}

fn key(bytes: &[u8], id: u32) -> Key<'_> {
    Key::new(bytes, 10 + id as usize % 40)
}

/// Few shards, so that threads meet, and few hashes of an end, so that some tie.
fn hash(id: u32) -> u64 {
    let mixed = xxh3_64_with_seed(&id.to_le_bytes(), 1);
    hash_from(
        mixed as u8 % 3,
        if id.is_multiple_of(16) {
            u32::MAX - id % 5
        } else {
            (mixed >> 8) as u32
        },
    )
}

fn location(id: u32, round: u32) -> Location {
    Location::from_bits(u64::from(id) << 32 | u64::from(round))
}

fn id_of(location: Location) -> u32 {
    (location.to_bits() >> 32) as u32
}

fn patiently<T>(mut f: impl FnMut() -> Result<T, Busy>) -> T {
    loop {
        match f() {
            Ok(result) => return result,
            Err(Busy) => std::thread::yield_now(),
        }
    }
}

/// Overwrites stable keys, in changing forms, and lets waves of others come and go; threads share the keys by parity.
fn write(keydir: &HashKeydir, parity: u32, rounds: u32) {
    for round in 0..rounds {
        let grow = round / 4 % 2 == 0;
        for id in (parity..KEYS).step_by(2) {
            let bytes = key_bytes(id, round + id);
            let key = key(&bytes, id);
            let hash = hash(id);
            let mut guard = keydir.lock(shard_of(hash));
            if id < STABLE || (id + round) % 3 == 0 || grow {
                let old = if id % 2 == 0 && guard.get(hash, key).is_some() {
                    guard.set_location(hash, key, location(id, round))
                } else {
                    guard.put(hash, key, location(id, round)).unwrap()
                };
                assert!(old.is_none_or(|old| id_of(old) == id));
            } else {
                guard.remove(hash, key);
            }
        }
    }
}

fn read(keydir: &HashKeydir, done: &AtomicBool, seed: u64) -> u64 {
    let mut stored = Vec::new();
    let mut looks = 0_u64;
    while !done.load(Relaxed) {
        for _ in 0..100 {
            looks += 1;
            let random = xxh3_64_with_seed(&looks.to_le_bytes(), seed) as u32;
            let id = if looks.is_multiple_of(2) {
                random % STABLE
            } else {
                random % KEYS
            };
            let bytes = key_bytes(id, 0);
            let key = key(&bytes, id);
            let hit = patiently(|| keydir.get(hash(id), key));
            assert!(
                hit.is_some() || id >= STABLE,
                "key {id} is there and was not found"
            );
            assert!(
                hit.is_none_or(|hit| id_of(hit.location) == id),
                "another key's location"
            );
            if let Some(location) = patiently(|| keydir.get_stored(hash(id), key, &mut stored)) {
                assert_eq!(id_of(location), id);
                assert!(stored.starts_with(key.compared()), "another key's bytes");
            }
        }
    }
    looks
}

fn traverse(keydir: &HashKeydir, done: &AtomicBool, passes: &AtomicU64) {
    let (mut batch, mut locations) = (Batch::new(), Vec::new());
    while !done.load(Relaxed) {
        let mut seen = BTreeSet::new();
        let mut last = None;
        let mut cursor = Cursor::start();
        loop {
            batch.clear();
            let result = keydir.scan(&mut cursor, 7, &mut batch);
            for (key, location) in batch.iter() {
                let id = id_of(location);
                let bytes = key_bytes(id, 0);
                assert_eq!(key.compared(), super::stress::key(&bytes, id).compared());
                let place = (shard_of(hash(id)), h32_of(hash(id)), key.compared().to_vec());
                assert!(
                    last.as_ref().is_none_or(|last| *last < place),
                    "out of order or twice"
                );
                last = Some(place);
                seen.insert(id);
            }
            if result == Ok(false) {
                break;
            }
        }
        assert!(
            (0..STABLE).all(|id| seen.contains(&id)),
            "a traversal missed a key"
        );
        let more = patiently(|| {
            locations.clear();
            keydir.locations(&Cursor::start(), usize::MAX, &mut locations)
        });
        assert!(!more);
        let mut ids: Vec<u32> = locations
            .iter()
            .map(|&location| id_of(location))
            .filter(|&id| id < STABLE)
            .collect();
        ids.sort_unstable();
        assert!(
            ids.into_iter().eq(0..STABLE),
            "a key that stays is missed or met twice"
        );
        passes.fetch_add(1, Relaxed);
    }
}

#[test]
fn readers_and_traversals_always_see_what_is_there() {
    let rounds = if cfg!(debug_assertions) { 200 } else { 1_000 };
    let keydir = HashKeydir::new(0);
    write(&keydir, 0, 1);
    write(&keydir, 1, 1);
    let (done, passes) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writers: Vec<_> = [0, 1]
            .map(|parity| {
                scope.spawn({
                    let keydir = &keydir;
                    move || write(keydir, parity, rounds)
                })
            })
            .into();
        let readers: Vec<_> = [3, 4]
            .map(|seed| {
                scope.spawn({
                    let (keydir, done) = (&keydir, &done);
                    move || read(keydir, done, seed)
                })
            })
            .into();
        let scanner = scope.spawn(|| traverse(&keydir, &done, &passes));
        let outcome: Vec<_> = writers
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        done.store(true, Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
        scanner.join().unwrap();
        assert!(outcome.iter().all(Result::is_ok));
    });
    assert!(passes.load(Relaxed) > 0);
    check(&keydir);
}
