//! Single promises.

use super::super::*;
use super::{check, hash_from};
use crate::keydir::Batch;

fn put(keydir: &HashKeydir, key: Key<'_>, location: u64) -> Option<Location> {
    let hash = keydir.hash(key);
    keydir
        .lock(shard_of(hash))
        .put(hash, key, Location::from_bits(location))
        .unwrap()
}

fn remove(keydir: &HashKeydir, key: Key<'_>) -> Option<Location> {
    let hash = keydir.hash(key);
    keydir.lock(shard_of(hash)).remove(hash, key)
}

#[test]
fn a_key_with_another_suffix_is_the_same_key() {
    let keydir = HashKeydir::new(7);
    let (int, float) = (Key::new(b"one:i", 4), Key::new(b"one:float", 4));
    assert_eq!(keydir.hash(int), keydir.hash(float));
    let hash = keydir.hash(int);
    assert_eq!(put(&keydir, int, 1), None);
    let hit = |key| {
        keydir
            .get(hash, key)
            .unwrap()
            .map(|hit| (hit.location.to_bits(), hit.same_form))
    };
    assert_eq!((hit(int), hit(float)), (Some((1, true)), Some((1, false))));

    let mut guard = keydir.lock(shard_of(hash));
    guard.set_location(hash, float, Location::from_bits(2));
    drop(guard);
    assert_eq!(
        hit(int),
        Some((2, true)),
        "setting the location changed the stored form"
    );

    assert_eq!(put(&keydir, float, 3), Some(Location::from_bits(2)));
    assert_eq!((hit(int), hit(float)), (Some((3, false)), Some((3, true))));
    assert_eq!(keydir.len(), 1);
    let mut stored = Vec::new();
    keydir.get_stored(hash, int, &mut stored).unwrap();
    assert_eq!(stored, b"one:float");
    assert_eq!(remove(&keydir, int), Some(Location::from_bits(3)));
    assert_eq!(hit(float), None);
}

#[test]
fn keys_of_64_mib_work() {
    let keydir = HashKeydir::new(1);
    let mut long = vec![5; 64 << 20];
    let before = keydir.memory_bytes();
    for i in 0..3 {
        long[0] = i;
        assert_eq!(put(&keydir, Key::plain(&long), u64::from(i)), None);
    }
    let mut stored = Vec::new();
    for i in 0..3 {
        long[0] = i;
        let key = Key::plain(&long);
        let location = keydir.get_stored(keydir.hash(key), key, &mut stored).unwrap();
        assert_eq!(location, Some(Location::from_bits(u64::from(i))));
        assert!(stored == long);
    }
    let (mut cursor, mut batch, mut calls) = (Cursor::start(), Batch::new(), 0);
    while keydir.scan(&mut cursor, 10, &mut batch).unwrap() {
        calls += 1;
        assert_eq!(batch.len(), 1, "a batch of long keys must be short");
        batch.clear();
    }
    assert_eq!(calls, 3);
    for i in 0..3 {
        long[0] = i;
        assert!(remove(&keydir, Key::plain(&long)).is_some());
    }
    assert!(keydir.memory_bytes() < before + 4096, "long keys were not freed");
    check(&keydir);
}

#[test]
fn dead_key_bytes_come_back_while_keys_come_and_go() {
    let keydir = HashKeydir::new(3);
    let key = |i: u64| [i.to_be_bytes(), (!i).to_be_bytes()].concat();
    for i in 0..100_000 {
        put(&keydir, Key::plain(&key(i)), i);
    }
    let before = keydir.memory_bytes();
    for i in 0..400_000_u64 {
        // The keys that go have no order, like those of a real table, so that no chunk dies by itself.
        let gone = i * 7919 % 100_000 + (i / 100_000) * 100_000;
        assert!(remove(&keydir, Key::plain(&key(gone))).is_some());
        put(&keydir, Key::plain(&key(100_000 + i)), i);
        if i % 10_000 == 0 {
            let bytes = keydir.memory_bytes();
            assert!(
                bytes < before * 5 / 4,
                "{bytes} bytes after {i} changes of {before}"
            );
        }
    }
    check(&keydir);
    for i in 400_000..500_000 {
        assert!(remove(&keydir, Key::plain(&key(i))).is_some());
    }
    assert!(keydir.is_empty());
    assert!(
        keydir.memory_bytes() < 1 << 20,
        "{} bytes when empty",
        keydir.memory_bytes()
    );
    check(&keydir);
}

#[test]
fn the_order_is_the_same_before_and_after_growth() {
    let keydir = HashKeydir::new(11);
    let mut order: Vec<(usize, u32, Vec<u8>)> = Vec::new();
    for i in 0..20_000_u32 {
        let key = i.to_be_bytes();
        let hash = keydir.hash(Key::plain(&key));
        order.push((shard_of(hash), h32_of(hash), key.to_vec()));
        put(&keydir, Key::plain(&key), u64::from(i));
        if [10, 300, 5_000, 19_999].contains(&i) {
            order.sort();
            let mut key = Vec::new();
            let mut cursor = Cursor::start();
            for (_, _, expected) in &order {
                keydir.next(&cursor, &mut key).unwrap().unwrap();
                assert_eq!(key, *expected);
                cursor = Cursor::after(keydir.hash(Key::plain(&key)), Key::plain(&key));
            }
            assert_eq!(keydir.next(&cursor, &mut key), Ok(None));
        }
    }
}

#[test]
fn a_held_lock_is_reported_and_stops_no_reader() {
    let keydir = HashKeydir::new(0);
    let hash = hash_from(5, 5);
    let key = Key::plain(b"k");
    let mut guard = keydir.lock(5);
    guard.put(hash, key, Location::from_bits(1)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(keydir.try_lock(5).err(), Some(Busy));
            assert!(keydir.get(hash, key).unwrap().is_some());
            assert!(keydir.next(&Cursor::start(), &mut Vec::new()).unwrap().is_some());
        });
    });
    drop(guard);
    assert!(keydir.try_lock(5).is_ok());
}

#[test]
fn a_reader_that_never_sees_a_quiet_moment_reports_busy() {
    let keydir = HashKeydir::new(0);
    let hash = hash_from(5, 5);
    let key = Key::plain(b"k");
    keydir.lock(5).put(hash, key, Location::from_bits(1)).unwrap();
    keydir.shards[5].change(|| {
        assert_eq!(keydir.get(hash, key), Err(Busy));
        assert_eq!(keydir.next(&Cursor::start(), &mut Vec::new()), Err(Busy));
        assert_eq!(keydir.scan(&mut Cursor::start(), 1, &mut Batch::new()), Err(Busy));
        assert_eq!(
            keydir.get(hash_from(6, 5), key),
            Ok(None),
            "another shard must not matter"
        );
    });
    assert!(keydir.get(hash, key).unwrap().is_some());
}

#[test]
fn a_loaded_keydir_has_what_was_put_into_it() {
    for reserve in [0, 10, 5_000, 50_000] {
        let mut keydir = HashKeydir::new(1);
        keydir.reserve(reserve);
        for i in 0..5_000_u32 {
            let key = i.to_be_bytes();
            let hash = keydir.hash(Key::plain(&key));
            let location = Location::from_bits(u64::from(i));
            assert_eq!(keydir.load(hash, Key::plain(&key), location), Ok(None));
        }
        has_all(&keydir, 5_000);
    }
}

/// Panics unless the keydir is as its rules say and has these numbers as keys, and as their locations.
fn has_all(keydir: &HashKeydir, keys: u32) {
    check(keydir);
    for i in 0..keys {
        let bytes = i.to_be_bytes();
        let key = Key::plain(&bytes);
        let hit = keydir.get(keydir.hash(key), key).unwrap();
        assert_eq!(hit.map(|hit| hit.location.to_bits()), Some(u64::from(i)));
    }
}

#[test]
fn marks_tell_of_most_keys_that_are_not_there() {
    let keydir = HashKeydir::new(1);
    let may_be_there = |keys: std::ops::Range<u32>| {
        let has_mark = |i: &u32| {
            let hash = keydir.hash(Key::plain(&i.to_be_bytes()));
            let index = shard_of(hash);
            let mut state = keydir.shards[index].state.lock();
            let writer = Writer::new(&keydir.shards[index], &mut state, index, Reclaim::Later);
            writer.marks().may_have(h32_of(hash))
        };
        keys.filter(has_mark).count()
    };
    for i in 0..50_000_u32 {
        put(&keydir, Key::plain(&i.to_be_bytes()), u64::from(i));
    }
    assert_eq!(may_be_there(0..50_000), 50_000);
    let in_vain = may_be_there(100_000..150_000);
    assert!(in_vain < 1_500, "{in_vain} of 50,000 are looked for in vain");
    for i in 0..49_000_u32 {
        assert!(remove(&keydir, Key::plain(&i.to_be_bytes())).is_some());
    }
    let in_vain = may_be_there(0..49_000);
    assert!(
        in_vain < 1_500,
        "{in_vain} that were deleted are looked for in vain"
    );
}

#[test]
fn a_filled_keydir_has_what_was_handed_out() {
    let (from, filled) = (HashKeydir::new(1), HashKeydir::new(1));
    for i in 0..5_000_u32 {
        put(&from, Key::plain(&i.to_be_bytes()), u64::from(i));
    }
    for shard in 0..SHARDS {
        let count = from.shards[shard].len.load(Ordering::Relaxed);
        let mut to = filled.lock(shard);
        let mut fill = to.fill(count, 0);
        from.lock(shard).each(|key, location, deadline| {
            assert_eq!(fill.push(filled.hash(key), key, location, deadline), Ok(true));
        });
    }
    has_all(&filled, 5_000);
}

#[test]
fn removing_what_is_not_there_does_nothing() {
    let keydir = HashKeydir::new(1);
    assert_eq!(remove(&keydir, Key::plain(b"a")), None);
    put(&keydir, Key::plain(b"a"), 1);
    assert_eq!(remove(&keydir, Key::plain(b"b")), None);
    assert_eq!(keydir.len(), 1);
}

#[test]
fn deletes_alone_give_key_bytes_back() {
    let keydir = HashKeydir::new(3);
    let key = |i: u32| [i.to_be_bytes(); 50].concat();
    for i in 0..50_000 {
        put(&keydir, Key::plain(&key(i)), 0);
    }
    let before = keydir.memory_bytes();
    for i in (0..50_000).filter(|i| i % 5 != 0) {
        assert!(remove(&keydir, Key::plain(&key(i))).is_some());
    }
    check(&keydir);
    let after = keydir.memory_bytes();
    assert!(
        after < before * 2 / 5,
        "{after} bytes of {before} for a fifth of the keys"
    );
}

/// Of the keys that stayed each was moved several times, a fifth of the time that the deletes took.
#[test]
fn no_key_is_moved_while_keys_go_and_slots_are_as_empty() {
    let keydir = HashKeydir::new(3);
    let key = |i: u64| [i.to_be_bytes(), (!i).to_be_bytes()].concat();
    for i in 0..100_000 {
        put(&keydir, Key::plain(&key(i)), i);
    }
    let before = keydir.memory_bytes();
    let gone = |i: u64| key(i * 7919 % 100_000);
    for i in 0..40_000 {
        assert!(remove(&keydir, Key::plain(&gone(i))).is_some());
    }
    assert_eq!(keydir.memory_bytes(), before);
    // Where keys come as well, those that stay are brought closer together.
    for i in 40_000..60_000 {
        assert!(remove(&keydir, Key::plain(&gone(i))).is_some());
        put(&keydir, Key::plain(&key(100_000 + i)), i);
    }
    assert!(
        keydir.memory_bytes() < before,
        "{} of {before}",
        keydir.memory_bytes()
    );
    check(&keydir);
}

#[test]
fn key_bytes_come_back_when_all_hashes_are_the_same() {
    let keydir = HashKeydir::new(3);
    let hash = hash_from(1, u32::MAX);
    let mut before = 0;
    for i in 0..8_000_u32 {
        let mut guard = keydir.lock(1);
        guard
            .put(
                hash,
                Key::plain(&(i * 7919).to_le_bytes()),
                Location::from_bits(0),
            )
            .unwrap();
        if i < 1_000 {
            before = keydir.memory_bytes();
        } else {
            assert!(
                guard
                    .remove(hash, Key::plain(&((i - 1_000) * 7919).to_le_bytes()))
                    .is_some()
            );
        }
    }
    check(&keydir);
    let after = keydir.memory_bytes();
    assert!(after < before * 5 / 4, "{after} bytes of {before}");
}

#[test]
fn a_candidate_is_the_record_of_the_hash() {
    let keydir = HashKeydir::new(3);
    let hash = hash_from(1, 9);
    let candidate = |hash| keydir.candidate(hash, &crate::epoch::pin());
    assert_eq!(candidate(hash), Ok(None));
    put(&keydir, Key::plain(b"elsewhere"), 1);
    keydir
        .lock(1)
        .put(hash, Key::plain(b"a"), Location::from_bits(2))
        .unwrap();
    assert_eq!(candidate(hash), Ok(Some(Location::from_bits(2))));
    assert_eq!(candidate(hash_from(1, 8)), Ok(None));
    assert_eq!(candidate(hash_from(1, 10)), Ok(None));
    keydir
        .lock(1)
        .put(hash, Key::plain(b"b"), Location::from_bits(3))
        .unwrap();
    assert!(candidate(hash).unwrap().is_some());
}

#[test]
fn a_candidate_is_replaced_if_it_is_still_the_same() {
    let keydir = HashKeydir::new(3);
    // The second and the third share a home with the first, and stand behind it.
    let hashes = [9, 10, 11].map(|h32| hash_from(1, h32));
    let mut guard = keydir.lock(1);
    for (location, (hash, key)) in (1..).zip(hashes.into_iter().zip([b"a", b"b", b"c"])) {
        assert!(guard.candidate(hash).is_none());
        let location = Location::from_bits(location);
        guard.put(hash, Key::plain(key), location).unwrap();
        assert_eq!(guard.candidate(hash).unwrap().location, location);
    }
    let locations = |guard: &mut WriteGuard<'_>| {
        let places = hashes.into_iter().zip([b"a", b"b", b"c"]);
        let found = places.map(|(hash, key)| guard.get(hash, Key::plain(key)).unwrap().location.to_bits());
        found.collect::<Vec<_>>()
    };
    let old = guard.candidate(hashes[1]).unwrap();
    assert!(guard.replace_candidate(hashes[1], old, Location::from_bits(7)));
    assert_eq!(locations(&mut guard), [1, 7, 3]);
    assert!(!guard.replace_candidate(hashes[1], old, Location::from_bits(8)));
    assert_eq!(locations(&mut guard), [1, 7, 3]);
    let old = guard.candidate(hashes[1]).unwrap();
    assert!(guard.remove(hashes[0], Key::plain(b"a")).is_some());
    assert!(!guard.replace_candidate(hashes[1], old, Location::from_bits(8)));
    let left =
        |guard: &mut WriteGuard<'_>, at: usize| guard.candidate(hashes[at]).unwrap().location.to_bits();
    assert_eq!([left(&mut guard, 1), left(&mut guard, 2)], [7, 3]);
}
