//! Random operations, on the keydir and on a `BTreeMap` in its order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::*;
use super::{check, hash_from, key_bytes};
use crate::keydir::Batch;
use xxhash_rust::xxh3::xxh3_64_with_seed;

#[derive(Clone, Debug)]
enum Op {
    Put(u32, Vec<u8>, u64),
    PutRange(u32, u32),
    SetLocation(u32, u64),
    Relocate(u32, bool, u64),
    Remove(u32),
    RemoveRange(u32, u32),
    Get(u32, Vec<u8>),
    Next(u32),
    Scan(usize),
}

fn ops(keys: u32) -> impl Strategy<Value = Op> {
    let key = 0..keys;
    let suffix = prop_oneof![Just(vec![]), proptest::collection::vec(any::<u8>(), 0..3)];
    prop_oneof![
        4 => (key.clone(), suffix.clone(), any::<u64>()).prop_map(|(k, s, l)| Op::Put(k, s, l)),
        1 => (key.clone(), 1..keys / 2).prop_map(|(k, n)| Op::PutRange(k, n)),
        2 => (key.clone(), any::<u64>()).prop_map(|(k, l)| Op::SetLocation(k, l)),
        2 => (key.clone(), any::<bool>(), any::<u64>()).prop_map(|(k, right, l)| Op::Relocate(k, right, l)),
        4 => key.clone().prop_map(Op::Remove),
        1 => (key.clone(), 1..keys / 2).prop_map(|(k, n)| Op::RemoveRange(k, n)),
        4 => (key.clone(), suffix).prop_map(|(k, s)| Op::Get(k, s)),
        3 => key.prop_map(Op::Next),
        4 => (0..9_usize).prop_map(Op::Scan),
    ]
}

/// How hashes are given to keys: in few shards and with many ties, all at the end of the table, or as in life.
#[derive(Clone, Copy, Debug)]
enum Hashing {
    Tied,
    AtEnd,
    Real,
}

impl Hashing {
    fn hash(self, id: u32) -> u64 {
        match self {
            Hashing::Tied => hash_from(
                if id.is_multiple_of(3) { 0 } else { 255 },
                [0, 1, 7 << 28, u32::MAX][id as usize % 4],
            ),
            Hashing::AtEnd => hash_from(9, u32::MAX - id % 50),
            Hashing::Real => xxh3_64_with_seed(&id.to_le_bytes(), 3) & !(0x7e << 56),
        }
    }
}

type Place = (usize, u32, Vec<u8>);

struct Model {
    hashing: Hashing,
    keydir: HashKeydir,
    map: BTreeMap<Place, (Vec<u8>, u64, Deadline)>,
    cursor: Cursor,
    /// Keys that were there since the scan began.
    lasting: BTreeSet<Place>,
    seen: Vec<Place>,
}

impl Model {
    fn new(hashing: Hashing) -> Self {
        Model {
            hashing,
            keydir: HashKeydir::new(0),
            map: BTreeMap::new(),
            cursor: Cursor::start(),
            lasting: BTreeSet::new(),
            seen: Vec::new(),
        }
    }

    fn place(&self, id: u32) -> (u64, Place) {
        let hash = self.hashing.hash(id);
        (hash, (shard_of(hash), h32_of(hash), key_bytes(id)))
    }

    fn with<T>(&self, id: u32, suffix: &[u8], f: impl FnOnce(&HashKeydir, u64, Key<'_>) -> T) -> T {
        let (hash, (_, _, compared)) = self.place(id);
        let bytes = [compared.as_slice(), suffix].concat();
        f(&self.keydir, hash, Key::new(&bytes, compared.len()))
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Put(id, suffix, location) => self.put(*id, suffix, *location),
            Op::PutRange(first, count) => {
                (*first..first + count).for_each(|id| self.put(id, &[], u64::from(id)));
            }
            Op::SetLocation(id, location) => {
                let old = self.with(*id, b"x", |keydir, hash, key| {
                    keydir
                        .lock(shard_of(hash))
                        .set_location(hash, key, Location::from_bits(*location))
                });
                let (_, place) = self.place(*id);
                let expected = self
                    .map
                    .get_mut(&place)
                    .map(|found| std::mem::replace(&mut found.1, *location));
                assert_eq!(old.map(Location::to_bits), expected);
            }
            Op::Relocate(id, right, new) => {
                let (_, place) = self.place(*id);
                let old = self
                    .map
                    .get(&place)
                    .map_or(0, |found| found.1)
                    .wrapping_add(u64::from(!right));
                let done = self.with(*id, b"y", |keydir, hash, key| {
                    let (old, new) = (Location::from_bits(old), Location::from_bits(*new));
                    keydir.lock(shard_of(hash)).relocate(hash, key, old, new)
                });
                let found = self.map.get_mut(&place).filter(|_| *right);
                assert_eq!(done, found.is_some());
                if let Some(found) = found {
                    found.1 = *new;
                }
            }
            Op::Remove(id) => self.remove(*id),
            Op::RemoveRange(first, count) => (*first..first + count).for_each(|id| self.remove(id)),
            Op::Get(id, suffix) => self.get(*id, suffix),
            Op::Next(id) => self.next(*id),
            Op::Scan(limit) => self.scan(*limit),
        }
    }

    fn put(&mut self, id: u32, suffix: &[u8], location: u64) {
        let deadline = if location % 3 == 0 {
            Deadline::at(location % 7)
        } else {
            Deadline::NEVER
        };
        let old = self.with(id, suffix, |keydir, hash, key| {
            let mut guard = keydir.lock(shard_of(hash));
            assert!(guard.has_room(key));
            guard
                .put_until(hash, key, Location::from_bits(location), deadline)
                .unwrap()
        });
        let (_, place) = self.place(id);
        let expected = self.map.insert(place, (suffix.to_vec(), location, deadline));
        assert_eq!(
            old.map(|old| (old.location.to_bits(), old.deadline)),
            expected.map(|found| (found.1, found.2))
        );
    }

    fn remove(&mut self, id: u32) {
        let old = self.with(id, b"z", |keydir, hash, key| {
            keydir.lock(shard_of(hash)).remove(hash, key)
        });
        let (_, place) = self.place(id);
        self.lasting.remove(&place);
        assert_eq!(
            old.map(Location::to_bits),
            self.map.remove(&place).map(|found| found.1)
        );
    }

    fn get(&self, id: u32, suffix: &[u8]) {
        let (_, place) = self.place(id);
        let found = self.map.get(&place);
        let hit = found.map(|(stored, location, deadline)| Hit {
            location: Location::from_bits(*location),
            same_form: stored == suffix,
            deadline: *deadline,
        });
        self.with(id, suffix, |keydir, hash, key| {
            assert_eq!(keydir.get(hash, key), Ok(hit));
            assert_eq!(keydir.lock(shard_of(hash)).get(hash, key), hit);
            let (mut free, mut locked) = (vec![1], vec![2]);
            let location = hit.map(|hit| hit.location);
            assert_eq!(keydir.get_stored(hash, key, &mut free), Ok(location));
            let mut guard = keydir.lock(shard_of(hash));
            assert_eq!(guard.stored_key(hash, key, &mut locked), location);
            if let Some((stored, _, _)) = found {
                let whole = [place.2.as_slice(), stored].concat();
                assert_eq!((&free, &locked), (&whole, &whole));
            }
        });
    }

    fn next(&self, id: u32) {
        let (_, place) = self.place(id);
        let mut bytes = Vec::new();
        let next = self.with(id, b"any", |keydir, hash, key| {
            keydir.next(&Cursor::after(hash, key), &mut bytes).unwrap()
        });
        let expected = self
            .map
            .range((std::ops::Bound::Excluded(place), std::ops::Bound::Unbounded))
            .next();
        match (next, expected) {
            (None, None) => {}
            (Some(next), Some(((_, _, compared), (suffix, location, deadline)))) => {
                assert_eq!(bytes, [compared.as_slice(), suffix].concat());
                assert_eq!(
                    (next.compared, next.location.to_bits(), next.deadline),
                    (compared.len(), *location, *deadline)
                );
            }
            different => panic!("{different:?}"),
        }
    }

    /// Goes on with the scan, or judges it and begins another.
    fn scan(&mut self, limit: usize) {
        if self.cursor == Cursor::start() {
            self.lasting = self.map.keys().cloned().collect();
        }
        let mut batch = Batch::new();
        let more = self.keydir.scan(&mut self.cursor, limit, &mut batch).unwrap();
        assert!(batch.len() <= limit);
        for (at, (key, location)) in batch.iter().enumerate() {
            let id = u32::from_be_bytes(key.bytes()[..4].try_into().unwrap());
            let (_, place) = self.place(id);
            assert_eq!(place.2, key.compared());
            assert_eq!(
                self.map.get(&place),
                Some(&(key.suffix().to_vec(), location.to_bits(), batch.deadline(at)))
            );
            assert!(
                self.seen.last().is_none_or(|last| *last < place),
                "seen out of order or twice"
            );
            self.seen.push(place);
        }
        if !more {
            let seen: BTreeSet<Place> = self.seen.drain(..).collect();
            assert!(self.lasting.is_subset(&seen), "the scan missed an entry");
            self.cursor = Cursor::start();
        }
    }

    fn finish(mut self) {
        check(&self.keydir);
        assert_eq!(self.keydir.len(), self.map.len() as u64);
        while self.cursor != Cursor::start() {
            self.scan(3);
        }
        self.scan(usize::MAX / 2);
        while self.cursor != Cursor::start() {
            self.scan(usize::MAX / 2);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn it_does_as_a_map_in_its_order_does(
        hashing in prop_oneof![Just(Hashing::Tied), Just(Hashing::AtEnd), Just(Hashing::Real)],
        ops in proptest::collection::vec(ops(400), 1..120),
    ) {
        let mut model = Model::new(hashing);
        for op in &ops {
            model.apply(op);
        }
        model.finish();
    }
}
