//! Lists of objects: random operations against a model, and readers beside a writer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use proptest::prelude::*;

use super::super::*;
use super::{check, key_bytes};
use crate::keydir::{Batch, Entry};

#[derive(Clone, Debug)]
enum Op {
    /// Adds objects, each with the next seq.
    Add(u32, usize),
    /// Adds an object with an earlier seq, as when records come in another order.
    AddEarlier(u32, u64),
    /// Gives one of a key's objects another location.
    Move(u32, usize),
    /// Removes those whose index is a multiple.
    Remove(u32, usize),
    RemoveThrough(u32, usize),
    Scan(usize),
}

fn ops() -> impl Strategy<Value = Op> {
    let key = 0..6_u32;
    prop_oneof![
        6 => (key.clone(), 1..40_usize).prop_map(|(k, n)| Op::Add(k, n)),
        2 => (key.clone(), any::<u64>()).prop_map(|(k, seq)| Op::AddEarlier(k, seq)),
        2 => (key.clone(), any::<usize>()).prop_map(|(k, n)| Op::Move(k, n)),
        3 => (key.clone(), 1..9_usize).prop_map(|(k, n)| Op::Remove(k, n)),
        1 => (key, any::<usize>()).prop_map(|(k, n)| Op::RemoveThrough(k, n)),
        2 => (1..30_usize).prop_map(Op::Scan),
    ]
}

type Model = BTreeMap<u32, Vec<Entry>>;

fn entry(seq: u64) -> Entry {
    Entry {
        location: Location::from_bits(seq.wrapping_mul(77)),
        seq,
        fingerprint: seq as u32 % 5,
        // Most lists have none at first.
        deadline: if seq % 4 == 3 {
            Deadline::at(seq)
        } else {
            Deadline::NEVER
        },
    }
}

/// All objects in the order of a traversal by steps of `limit`.
fn scan_all(keydir: &BagKeydir, limit: usize) -> Vec<(Vec<u8>, Location)> {
    let mut all = Vec::new();
    let mut behind: Option<(Vec<u8>, Option<u64>)> = None;
    loop {
        let mut batch = Batch::new();
        let mut cursor = Cursor::start();
        let mut within = None;
        if let Some((key, seq)) = &behind {
            let key = Key::plain(key);
            cursor = Cursor::after(keydir.hash(key), key);
            within = seq.map(|seq| (key, seq));
        }
        let more = keydir.scan(within, &mut cursor, limit, &mut batch).unwrap();
        assert!(batch.len() <= limit);
        all.extend(
            batch
                .iter()
                .map(|(key, location)| (key.bytes().to_vec(), location)),
        );
        if !more {
            return all;
        }
        if let Some((key, _)) = batch.iter().last() {
            behind = Some((key.bytes().to_vec(), batch.within(batch.len())));
        }
    }
}

fn compare(keydir: &BagKeydir, model: &Model) {
    check(&keydir.keys);
    let objects: usize = model.values().map(Vec::len).sum();
    assert_eq!(keydir.len(), objects as u64);
    for id in 0..6 {
        let bytes = key_bytes(id);
        let key = Key::plain(&bytes);
        let found = keydir
            .entries(keydir.hash(key), key, |entries| {
                let alike: Vec<Entry> = entries.with_fingerprint(2).collect();
                (entries.iter().collect::<Vec<_>>(), alike)
            })
            .unwrap();
        let expected = model.get(&id).map(|all| {
            let alike: Vec<Entry> = all.iter().copied().filter(|e| e.fingerprint == 2).collect();
            (all.clone(), alike)
        });
        assert_eq!(found, expected, "key {id}");
    }
}

proptest! {
    #[test]
    fn lists_behave_as_vectors(ops in proptest::collection::vec(ops(), 1..80)) {
        let keydir = BagKeydir::new(5);
        let mut model = Model::new();
        let mut next = 1_u64 << 40;
        for op in ops {
            let with = |id: u32, f: &mut dyn FnMut(&mut BagGuard<'_>, u64, Key<'_>)| {
                let bytes = key_bytes(id);
                let key = Key::plain(&bytes);
                let hash = keydir.hash(key);
                f(&mut keydir.lock(shard_of(hash)), hash, key);
            };
            match op {
                Op::Add(id, n) => with(id, &mut |guard, hash, key| {
                    for _ in 0..n {
                        guard.add(hash, key, entry(next)).unwrap();
                        model.entry(id).or_default().push(entry(next));
                        next += 1;
                    }
                }),
                Op::AddEarlier(id, seq) => with(id, &mut |guard, hash, key| {
                    let new = entry(seq % (1 << 40));
                    for _ in 0..2 {
                        guard.add(hash, key, new).unwrap();
                    }
                    let all = model.entry(id).or_default();
                    if let Err(at) = all.binary_search_by_key(&new.seq, |e| e.seq) {
                        all.insert(at, new);
                    }
                }),
                Op::Move(id, n) => with(id, &mut |guard, hash, key| {
                    let to = Location::from_bits(n as u64 | 1 << 63);
                    match model.get_mut(&id) {
                        Some(all) => {
                            let at = n % all.len();
                            assert_eq!(guard.with_seq(hash, key, all[at].seq), Some(all[at]));
                            assert!(guard.relocate(hash, key, all[at].seq, to));
                            all[at].location = to;
                        }
                        None => assert!(!guard.relocate(hash, key, n as u64, to)),
                    }
                }),
                Op::Remove(id, n) => with(id, &mut |guard, hash, key| {
                    let all = model.entry(id).or_default();
                    let gone: Vec<u64> = all.iter().step_by(n).map(|e| e.seq).collect();
                    // One that is not there is no matter.
                    let asked: Vec<u64> = std::iter::once(0).chain(gone.iter().copied()).collect();
                    assert_eq!(guard.remove(hash, key, &asked).len(), gone.len());
                    all.retain(|e| !gone.contains(&e.seq));
                    if all.is_empty() {
                        model.remove(&id);
                    }
                }),
                Op::RemoveThrough(id, n) => with(id, &mut |guard, hash, key| {
                    let all = model.entry(id).or_default();
                    let through = if all.is_empty() { 9 } else { all[n % all.len()].seq };
                    let kept: Vec<Entry> = all.iter().copied().filter(|e| e.seq > through).collect();
                    assert_eq!(guard.remove_through(hash, key, through).len(), all.len() - kept.len());
                    *all = kept;
                    if all.is_empty() {
                        model.remove(&id);
                    }
                }),
                Op::Scan(limit) => {
                    let mut expected: Vec<(u64, Vec<u8>, Location)> = model
                        .iter()
                        .flat_map(|(&id, all)| all.iter().map(move |e| (id, e.location)))
                        .map(|(id, location)| (keydir.hash(Key::plain(&key_bytes(id))) >> 24, key_bytes(id), location))
                        .collect();
                    expected.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
                    let expected: Vec<_> = expected.into_iter().map(|(_, key, location)| (key, location)).collect();
                    prop_assert_eq!(scan_all(&keydir, limit), expected);
                }
            }
            compare(&keydir, &model);
        }
    }
}

/// A writer appends 8 objects and removes them in two halves, over and over: a reader must see a state that there was.
#[test]
fn readers_see_states_that_there_were() {
    let keydir = BagKeydir::new(1);
    let bytes = key_bytes(1);
    let key = Key::plain(&bytes);
    let hash = keydir.hash(key);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = [0_u64; 9];
                while !stop.load(Relaxed) {
                    let found = keydir.entries(hash, key, |entries| entries.iter().collect::<Vec<_>>());
                    let Ok(Some(found)) = found else { continue };
                    let round = found[0].seq / 8;
                    for (at, entry) in found.iter().enumerate() {
                        assert_eq!(entry.location, Location::from_bits(entry.seq * 3));
                        assert_eq!(entry.fingerprint, entry.seq as u32);
                        assert_eq!(entry.seq / 8, round, "objects of two rounds: {found:?}");
                        // All, a beginning while it grows, or the odd ones.
                        let odd = found[0].seq % 8 == 1;
                        let expected = if odd { 2 * at as u64 + 1 } else { at as u64 };
                        assert_eq!(entry.seq % 8, expected, "{found:?}");
                    }
                    seen[found.len()] += 1;
                }
                assert!(seen.iter().sum::<u64>() > 0);
            });
        }
        for round in 0..30_000_u64 {
            let mut guard = keydir.lock(shard_of(hash));
            for n in 0..8 {
                let seq = round * 8 + n;
                let entry = Entry {
                    location: Location::from_bits(seq * 3),
                    seq,
                    fingerprint: seq as u32,
                    deadline: Deadline::NEVER,
                };
                guard.add(hash, key, entry).unwrap();
            }
            let even: Vec<u64> = (0..8).step_by(2).map(|n| round * 8 + n).collect();
            guard.remove(hash, key, &even);
            drop(guard);
            keydir.lock(shard_of(hash)).remove_through(hash, key, u64::MAX);
        }
        stop.store(true, Relaxed);
    });
    assert_eq!(keydir.len(), 0);
    let small = BagKeydir::new(1).memory_bytes() + 4096;
    assert!(keydir.memory_bytes() < small, "{}", keydir.memory_bytes());
}
