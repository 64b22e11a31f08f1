//! Puts and deletes in one step.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use bets_engine::Error;
use bets_engine::table::{Table, TableKind, Wait, Write};
use common::{ALL_KINDS, Random, TestDir, contents, get, key, put, same};

fn write(table: &Table, writes: &[(&str, Option<&str>)]) -> bool {
    let writes: Vec<Write<'_>> = writes
        .iter()
        .map(|(k, v)| (key(k.as_bytes()), v.map(str::as_bytes)))
        .collect();
    table.write_many(&writes, Wait::May).unwrap().is_some()
}

#[test]
fn the_last_write_of_a_key_wins() {
    let dir = TestDir::new();
    let table = dir.open();
    put(&table, b"c", b"0");
    let wrote = write(
        &table,
        &[
            ("a", Some("1")),
            ("b", None),
            ("a", Some("2")),
            ("b", Some("1")),
            ("c", None),
            ("d", Some("1")),
            ("d", None),
        ],
    );
    assert!(wrote);
    let expected = vec![(b"a".to_vec(), b"2".to_vec()), (b"b".to_vec(), b"1".to_vec())];
    assert_eq!(contents(&table), expected);
    assert_eq!(contents(&dir.copy().reopen()), expected, "after a kill");
    table.close().unwrap();
    assert_eq!(contents(&dir.reopen()), expected, "after a close");
}

#[test]
fn what_changes_nothing_is_not_written() {
    let dir = TestDir::new();
    let table = dir.open();
    put(&table, b"a", b"1");
    let seq = table.seq();
    assert!(!write(&table, &[]));
    assert!(!write(&table, &[("b", None), ("c", None)]));
    assert!(!write(&table, &[("b", Some("1")), ("b", None)]));
    assert_eq!(table.seq(), seq);
}

/// Guards lengths that 32 bits cannot tell, and the limits before them: whatever stores an object refuses it before anything is written.
#[test]
fn what_is_too_large_is_refused_however_it_is_stored() {
    // Zeros that nobody reads take no memory.
    let zeros = vec![0; (1 << 32) + 2];
    let refused = |what: &'static str, len: usize, result: Result<(), Error>| {
        assert!(
            matches!(&result, Err(Error::TooLarge { what: told, len: bytes, .. }) if *told == what && *bytes == len as u64),
            "{len} bytes: {result:?}"
        );
    };
    for kind in ALL_KINDS {
        let dir = TestDir::of(kind);
        let table = dir.open();
        put(&table, b"a", b"1");
        let seq = table.seq();
        for len in [
            (1 << 30) + 1,
            (1 << 31) - 1,
            (1 << 31) + 1,
            (1 << 32) - 1,
            (1 << 32) + 1,
        ] {
            let object = &zeros[..len];
            let list = [(key(b"b"), &b"2"[..]), (key(b"c"), object)];
            refused("object", len, table.put(key(b"b"), object, Wait::May).map(drop));
            refused("object", len, table.put_many(&list, Wait::May).map(drop));
            refused("object", len, table.put_many_new(&list, Wait::May).map(drop));
            refused("key", len, table.put(key(object), b"2", Wait::May).map(drop));
            if kind == TableKind::Bag {
                let added = table.add(key(b"b"), object, Wait::May, &mut same).map(drop);
                refused("object", len, added);
            }
        }
        refused(
            "key",
            (64 << 20) + 1,
            table.put(key(&zeros[..=64 << 20]), b"2", Wait::May).map(drop),
        );
        assert_eq!((table.seq(), table.len()), (seq, 1));
    }
}

#[test]
fn one_that_is_too_large_changes_nothing() {
    let dir = TestDir::new();
    let table = dir.open();
    put(&table, b"a", b"1");
    let large = vec![0; (1 << 30) + 1];
    let writes: [Write<'_>; 2] = [(key(b"a"), None), (key(b"b"), Some(&large))];
    let refused = table.write_many(&writes, Wait::May);
    assert!(matches!(refused, Err(Error::TooLarge { what: "object", .. })));
    assert_eq!(get(&table, b"a"), Some(b"1".to_vec()));
}

#[test]
fn random_batches_do_what_a_map_does() {
    let dir = TestDir::new().max_file_size(8192);
    let mut table = dir.open();
    let mut model = BTreeMap::new();
    let mut random = Random::new(11);
    for step in 0..2000_u32 {
        let writes: Vec<(Vec<u8>, Option<Vec<u8>>)> = (0..random.below(6))
            .map(|_| {
                let k = vec![random.below(40) as u8];
                let put = random.below(3) > 0;
                (k, put.then(|| step.to_le_bytes().to_vec()))
            })
            .collect();
        let given: Vec<Write<'_>> = writes.iter().map(|(k, v)| (key(k), v.as_deref())).collect();
        table.write_many(&given, Wait::May).unwrap();
        for (k, v) in writes {
            match v {
                Some(v) => model.insert(k, v),
                None => model.remove(&k),
            };
        }
        if step % 200 == 0 {
            table.close().unwrap();
            table = dir.reopen();
        }
        if step % 20 == 0 {
            let expected: Vec<_> = model.clone().into_iter().collect();
            assert_eq!(contents(&table), expected, "after step {step}");
            assert_eq!(table.len(), expected.len() as u64);
        }
    }
}

/// Two keys are never there together nor both missing.
#[test]
fn readers_see_a_batch_whole_or_not_at_all() {
    let dir = TestDir::new();
    let table = dir.open();
    let done = AtomicBool::new(false);
    put(&table, b"x", b"0");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..20_000 {
                let (there, gone) = if n % 2 == 0 { ("y", "x") } else { ("x", "y") };
                write(&table, &[(there, Some("1")), (gone, None)]);
            }
            done.store(true, Ordering::Release);
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    assert_eq!(contents(&table).len(), 1);
                }
            });
        }
    });
}
