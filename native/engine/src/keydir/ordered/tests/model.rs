//! Random operations, on the keydir and on a `BTreeMap`.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Put(u16, Vec<u8>, u64),
    Relocate(u16, bool, u64),
    Remove(u16),
    Get(u16, Vec<u8>),
    Scan(bool, Bound<Vec<u8>>, Bound<Vec<u8>>, usize),
}

const KEYS: u16 = 40;

/// Compared parts of many lengths, none a prefix of another.
fn compared(id: u16) -> Vec<u8> {
    let mut bytes = vec![(id % 7) as u8; usize::from(id % 5) * 8];
    bytes.extend_from_slice(&[200 + (id % 5) as u8, (id >> 8) as u8, id as u8]);
    bytes
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    // A whole key, or what is a prefix of keys or of none.
    let place = (0..KEYS, 0..30_usize).prop_map(|(id, cut)| {
        let mut bytes = compared(id);
        bytes.truncate(cut.max(1));
        bytes
    });
    prop_oneof![
        1 => Just(Bound::Unbounded),
        3 => place.clone().prop_map(Bound::Included),
        3 => place.prop_map(Bound::Excluded),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let suffix = prop_oneof![Just(vec![]), proptest::collection::vec(0..3u8, 0..3)];
    prop_oneof![
        5 => (0..KEYS, suffix.clone(), any::<u64>()).prop_map(|(k, s, l)| Op::Put(k, s, l)),
        1 => (0..KEYS, any::<bool>(), any::<u64>()).prop_map(|(k, right, l)| Op::Relocate(k, right, l)),
        2 => (0..KEYS).prop_map(Op::Remove),
        2 => (0..KEYS, suffix).prop_map(|(k, s)| Op::Get(k, s)),
        3 => (any::<bool>(), bound(), bound(), 0..9_usize).prop_map(|(b, f, u, n)| Op::Scan(b, f, u, n)),
    ]
}

fn above(key: &[u8], bound: &Bound<Vec<u8>>) -> bool {
    match bound {
        Bound::Unbounded => true,
        Bound::Included(at) => key >= at.as_slice(),
        Bound::Excluded(at) => key > at.as_slice(),
    }
}

fn below(key: &[u8], bound: &Bound<Vec<u8>>) -> bool {
    match bound {
        Bound::Unbounded => true,
        Bound::Included(at) => key <= at.as_slice(),
        Bound::Excluded(at) => key < at.as_slice(),
    }
}

type Model = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

fn apply(keydir: &OrderedKeydir, model: &mut Model, op: Op) {
    match op {
        Op::Put(id, suffix, location) => {
            let bytes = [compared(id), suffix.clone()].concat();
            let old = put(keydir, Key::new(&bytes, compared(id).len()), location);
            let expected = model.insert(compared(id), (suffix, location));
            assert_eq!(old, expected.map(|(_, location)| location));
        }
        Op::Relocate(id, right, new) => {
            let bytes = compared(id);
            let present = model.get_mut(&bytes);
            let old = present.as_ref().map_or(0, |(_, location)| *location);
            let old = if right { old } else { !old };
            let hash = keydir.hash(Key::plain(&bytes));
            let done = keydir.lock(shard_of(hash)).relocate(
                hash,
                Key::plain(&bytes),
                Location::from_bits(old),
                Location::from_bits(new),
            );
            assert_eq!(done, right && present.is_some());
            if let Some((_, location)) = present.filter(|_| done) {
                *location = new;
            }
        }
        Op::Remove(id) => {
            let bytes = compared(id);
            let hash = keydir.hash(Key::plain(&bytes));
            let old = keydir
                .lock(shard_of(hash))
                .remove(hash, Key::plain(&bytes))
                .map(Location::to_bits);
            assert_eq!(old, model.remove(&bytes).map(|(_, location)| location));
        }
        Op::Get(id, suffix) => {
            let bytes = [compared(id), suffix.clone()].concat();
            let hit = keydir.get(Key::new(&bytes, compared(id).len()));
            assert_eq!(
                hit.map(|hit| (hit.location.to_bits(), hit.same_form)),
                model
                    .get(&compared(id))
                    .map(|(stored, location)| (*location, *stored == suffix))
            );
        }
        Op::Scan(backward, from, until, limit) => scan(keydir, model, backward, &from, &until, limit),
    }
    assert_eq!(keydir.len(), model.len() as u64);
}

fn scan(
    keydir: &OrderedKeydir,
    model: &Model,
    backward: bool,
    from: &Bound<Vec<u8>>,
    until: &Bound<Vec<u8>>,
    limit: usize,
) {
    let (low, high) = if backward { (until, from) } else { (from, until) };
    let within = |key: &[u8]| above(key, low) && below(key, high);
    let mut expected: Vec<_> = model
        .iter()
        .filter(|(key, _)| within(key))
        .map(|(key, (suffix, location))| ([key.as_slice(), suffix].concat(), key.len(), *location))
        .collect();
    if backward {
        expected.reverse();
    }
    let direction = if backward {
        Direction::Backward
    } else {
        Direction::Forward
    };
    let place = span(
        direction,
        from.as_ref().map(Vec::as_slice),
        until.as_ref().map(Vec::as_slice),
    );
    let mut first = Vec::new();
    let next = keydir.next(&place, &mut first);
    assert_eq!(
        next.map(|next| (first, next.compared, next.location.to_bits())),
        expected.first().cloned()
    );
    let mut batch = Batch::new();
    let more = keydir.scan(&place, limit, &mut batch);
    assert!(more || expected.len() <= limit);
    expected.truncate(limit);
    let found: Vec<_> = batch
        .iter()
        .map(|(key, location)| (key.bytes().to_vec(), key.compared().len(), location.to_bits()))
        .collect();
    assert_eq!(found, expected);
}

proptest! {
    #[test]
    fn it_is_a_sorted_map(ops in proptest::collection::vec(op(), 1..200)) {
        let keydir = OrderedKeydir::new(0);
        let mut model = BTreeMap::new();
        for op in ops {
            apply(&keydir, &mut model, op);
        }
    }
}
