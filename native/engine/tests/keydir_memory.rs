//! What the keydir's memory comes to, counted by the allocator. One test, since it counts for the whole process.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_precision_loss)]

#[path = "common/counting.rs"]
mod counting;

use bets_engine::keydir::{Chain, Exclusive, KeyChange, Keydir, Location, OrderedKeydir};
use bets_engine::table::TableKind;
use bets_engine::{Deadline, Key};

fn key(i: u64, len: usize) -> Vec<u8> {
    let mut bytes = i.to_be_bytes().to_vec();
    bytes.resize(len, 1);
    bytes
}

fn load(keydir: &mut Keydir, i: u64, len: usize) {
    let bytes = key(i, len);
    let hash = keydir.hash(Key::plain(&bytes));
    load_at(keydir, hash, Key::plain(&bytes), i);
}

fn load_at(keydir: &mut Keydir, hash: u64, key: Key<'_>, seq: u64) {
    let shard = Keydir::shard_of(hash);
    let mut guard = match keydir.exclusive() {
        Exclusive::Hashed(keydir) => keydir.lock(shard),
        Exclusive::Ordered(_) => keydir.lock(shard),
    };
    let record = (Location::from_bits(seq), Deadline::NEVER);
    guard.put(hash, key, record, seq).unwrap();
}

/// What is asked of a kind of keydir.
struct Asked {
    kind: TableKind,
    /// Bytes a key beyond the key's own.
    most: f64,
    /// How far its own count may be from the allocator's, in bytes and in parts of the whole.
    off: (usize, usize),
}

#[test]
fn memory_is_bounded_counted_and_given_back() {
    // A key's slot and the head of its bytes, 28 at most, are shared by its objects.
    holds_objects(1, 28.0 + 24.0);
    holds_objects(2, 14.0 + 24.0);
    holds_objects(10, 24.0);
    holds_objects(1000, 28.0);
    holds(&Asked {
        kind: TableKind::Set,
        most: 28.0,
        // The test harness has a thread of its own, which allocates a little when it likes.
        off: (4096, usize::MAX),
    });
    holds(&Asked {
        kind: TableKind::OrderedSet,
        most: 60.0,
        // It counts neither what pages are told apart by nor leaves that wait for readers to leave.
        off: (1 << 20, 200),
    });
    holds_what_a_chain_brought();
}

/// Bytes an object beyond the key's, for keys of so many objects.
fn holds_objects(per_key: u64, most: f64) {
    let start = counting::held();
    let mut keydir = Keydir::new(TableKind::DuplicateBag, 1);
    let keys = 400_000 / per_key;
    // The objects of a key do not come one behind the other.
    for seq in 0..keys * per_key {
        let mut bytes = key(seq % keys, 16);
        bytes.extend_from_slice(&(seq as u32).to_le_bytes());
        let key = Key::new(&bytes, 16);
        let hash = keydir.hash(key);
        load_at(&mut keydir, hash, key, seq);
    }
    assert_eq!(keydir.len(), keys * per_key);
    let counted = keydir.memory_bytes() as usize;
    let allocated = counting::held() - start + size_of::<Keydir>();
    assert!(
        counted.abs_diff(allocated) < 4096,
        "{counted}, {allocated} allocated"
    );
    let each = (counted as f64 - 16.0 * keys as f64) / (keys * per_key) as f64;
    println!("{per_key} objects a key: {each:.1} bytes an object beyond the key");
    assert!(each <= most, "{each} bytes an object beyond the key");
    drop(keydir);
    let left = counting::held() - start;
    assert!(left < 4096, "{left} bytes are not given back");
}

/// The way of an opening: many keys at a time, in order.
fn holds_what_a_chain_brought() {
    const BATCH: u64 = 50_000;
    let start = counting::held();
    let mut chain = Chain::new();
    for batch in 0..20 {
        let mut keys: Vec<_> = (batch * BATCH..(batch + 1) * BATCH)
            .map(|i| key(i.wrapping_mul(0x9e37_79b9_7f4a_7c15), 16))
            .collect();
        keys.sort_unstable();
        let changes = keys.iter().map(|key| KeyChange {
            key: Key::plain(key),
            to: Some((Location::from_bits(batch), Deadline::NEVER)),
        });
        chain.merge(changes, |_| unreachable!());
        drop(keys);
        let (counted, allocated) = (chain.memory_bytes(), counting::held() - start);
        assert!(
            counted.abs_diff(allocated) < (64 << 10) + allocated / 100,
            "a chain: {counted}, {allocated} allocated"
        );
    }
    let mut keydir = OrderedKeydir::new(1);
    keydir.fill(chain);
    let (counted, allocated) = (keydir.memory_bytes() as usize, counting::held() - start);
    assert!(
        counted.abs_diff(allocated) < (64 << 10) + allocated / 100,
        "filled: {counted}, {allocated} allocated"
    );
    let each = counted as f64 / (20 * BATCH) as f64 - 16.0;
    assert!(each <= 60.0, "{each} bytes a key beyond the key");
    drop(keydir);
    let left = counting::held() - start;
    assert!(left < 4096, "{left} bytes are not given back");

    // Keys that go take their memory with them, and so does a chain that comes into no keydir.
    let mut chain = Chain::new();
    for keys in [0..BATCH, BATCH..2 * BATCH] {
        for to in [Some((Location::from_bits(1), Deadline::NEVER)), None] {
            let keys: Vec<_> = keys.clone().map(|i| key(i, 40)).collect();
            let until = if to.is_some() {
                keys.len()
            } else {
                keys.len() - 100
            };
            let change = |key| KeyChange {
                key: Key::plain(key),
                to,
            };
            chain.merge(keys[..until].iter().map(|key| change(key)), |_| {});
        }
    }
    let (counted, allocated) = (chain.memory_bytes(), counting::held() - start);
    assert!(
        (200 * 60..200 * 150).contains(&counted) && counted.abs_diff(allocated) < 64 << 10,
        "200 keys are left: {counted}, {allocated} allocated"
    );
    drop(chain);
    let left = counting::held() - start;
    assert!(left < 4096, "{left} bytes are not given back");
}

fn holds(asked: &Asked) {
    let start = counting::held();
    let mut keydir = Keydir::new(asked.kind, 1);
    assert!(
        keydir.memory_bytes() < 32 << 10,
        "empty: {}",
        keydir.memory_bytes()
    );
    for i in 0..10 {
        load(&mut keydir, i, 20);
    }
    assert!(
        keydir.memory_bytes() < 64 << 10,
        "ten objects: {}",
        keydir.memory_bytes()
    );

    let mut worst: f64 = 0.0;
    for len in [40, 16, 20] {
        keydir = Keydir::new(asked.kind, 1);
        for i in 0..2_000_000 {
            load(&mut keydir, i, len);
            if i >= 500_000 && i % 5_000 == 0 {
                let counted = keydir.memory_bytes() as usize;
                let allocated = counting::held() - start + size_of::<Keydir>();
                assert!(
                    counted.abs_diff(allocated) < asked.off.0 + allocated / asked.off.1,
                    "after {i} keys: {counted}, {allocated} allocated"
                );
                worst = worst.max(counted as f64 / i as f64 - len as f64);
            }
        }
    }
    println!("{:?}: at most {worst:.1} bytes a key beyond the key", asked.kind);
    assert!(worst <= asked.most, "{worst} bytes a key beyond the key");

    // The way of a running table: memory that readers might look at is freed later, but it is freed.
    for i in 0..300_000 {
        let bytes = key(i, 20);
        let hash = keydir.hash(Key::plain(&bytes));
        let mut guard = keydir.lock(Keydir::shard_of(hash));
        guard.remove(hash, Key::plain(&bytes), u64::MAX);
        drop(guard);
        let bytes = key(i + 5_000_000, 24);
        let hash = keydir.hash(Key::plain(&bytes));
        let mut guard = keydir.lock(Keydir::shard_of(hash));
        guard
            .put(
                hash,
                Key::plain(&bytes),
                (Location::from_bits(i), Deadline::NEVER),
                i,
            )
            .unwrap();
    }
    for _ in 0..1_000 {
        bets_engine::epoch::pin().flush();
    }
    let counted = keydir.memory_bytes() as usize;
    let lag = (counting::held() - start).saturating_sub(counted);
    assert!(
        lag < (64 << 10) + counted / asked.off.1,
        "{lag} bytes are not given back"
    );
    drop(keydir);
    for _ in 0..1_000 {
        bets_engine::epoch::pin().flush();
    }
    let left = counting::held() - start;
    assert!(left < 64 << 10, "{left} bytes are left behind");
}
