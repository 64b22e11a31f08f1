//! Tables in which a key has many objects, beside a model that keeps them in vectors.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use bets_engine::table::{Cursor, Table, TableKind, Wait};
use bets_engine::{Error, Key};
use common::{Random, TestDir, add, all, bag_key, marked, remove};

type Model = BTreeMap<u8, Vec<Vec<u8>>>;

const KINDS: [TableKind; 2] = [TableKind::Bag, TableKind::DuplicateBag];

fn model_add(model: &mut Model, kind: TableKind, k: u8, value: &[u8]) {
    let objects = model.entry(k).or_default();
    if kind == TableKind::DuplicateBag || !objects.iter().any(|o| o == value) {
        objects.push(value.to_vec());
    }
}

/// Checks every way to read against the model.
fn compare(table: &Table, model: &Model, random: &mut Random) {
    let objects: usize = model.values().map(Vec::len).sum();
    assert_eq!(table.len(), objects as u64);
    for k in 0..8 {
        assert_eq!(&all(table, &[k]), model.get(&k).unwrap_or(&Vec::new()));
        let there = table.contains(Key::plain(&[k]), Wait::May).unwrap();
        assert_eq!(there, model.contains_key(&k));
    }
    let (limit, bytes) = (random.below(12) + 1, [1, 300, 1 << 20][random.below(3)]);
    let mut scanned: Vec<(u8, Vec<u8>)> = Vec::new();
    let mut cursor = Cursor::default();
    loop {
        let mut step = Vec::new();
        let more = table
            .scan(&mut cursor, limit, bytes, Wait::May, |key, value| {
                assert_eq!(key.len(), 1, "a fingerprint was handed out");
                step.push((key[0], value.to_vec()));
            })
            .unwrap();
        assert!(step.len() <= limit);
        if cursor.within().is_some() {
            assert!(
                step.iter().all(|(k, _)| *k == step[0].0),
                "a step ended in its second key"
            );
        }
        scanned.append(&mut step);
        if !more {
            break;
        }
        if let (Some((k, _)), Some(seq)) = (scanned.last(), cursor.within()) {
            cursor = Cursor::inside(Key::plain(&[*k]), seq);
        }
    }
    let mut keys: Vec<u8> = scanned.iter().map(|(k, _)| *k).collect();
    keys.dedup();
    assert_eq!(keys.len(), model.len(), "a key's objects are apart: {keys:?}");
    scanned.sort_by_key(|(k, _)| *k);
    let expected = model
        .iter()
        .flat_map(|(&k, all)| all.iter().map(move |v| (k, v.clone())));
    assert!(scanned.into_iter().eq(expected));
}

#[test]
fn bags_behave_as_vectors_of_objects() {
    for (kind, seed) in KINDS
        .into_iter()
        .flat_map(|kind| (0..6).map(move |seed| (kind, seed)))
    {
        let mut dir = TestDir::of(kind).max_file_size(4096);
        dir.config.cache = seed % 2 == 0;
        let mut table = dir.open();
        let mut model = Model::new();
        let mut random = Random::new(seed);
        for _ in 0..250 {
            let k = random.below(8) as u8;
            let object = |random: &mut Random| vec![random.below(20) as u8; [1, 9, 90][random.below(3)]];
            match random.below(20) {
                0..=8 => {
                    let value = object(&mut random);
                    let before = model.get(&k).map_or(0, Vec::len);
                    model_add(&mut model, kind, k, &value);
                    let added = add(&table, &[k], &value).unwrap().is_some();
                    assert_eq!(added, model[&k].len() > before);
                }
                9..=11 => {
                    let list: Vec<(Vec<u8>, Vec<u8>)> = (0..random.below(9))
                        .map(|_| {
                            let k = random.below(8) as u8;
                            let value = object(&mut random);
                            (marked(&[k], &value), value)
                        })
                        .collect();
                    let puts: Vec<_> = list.iter().map(|(k, v)| (bag_key(k), v.as_slice())).collect();
                    let new = random.below(2) == 0;
                    let refused = new && list.iter().any(|(k, _)| model.contains_key(&k[0]));
                    let done = match (kind, new) {
                        (TableKind::Bag, false) => table.add_many(&puts, Wait::May, &mut common::same),
                        (TableKind::Bag, true) => table.add_many_new(&puts, Wait::May, &mut common::same),
                        (_, false) => table.put_many(&puts, Wait::May).map(Some),
                        (_, true) => table.put_many_new(&puts, Wait::May),
                    };
                    let done = done.unwrap();
                    assert!(!refused || done.is_none());
                    if !refused {
                        for (k, v) in &list {
                            model_add(&mut model, kind, k[0], v);
                        }
                    }
                }
                12..=15 => {
                    // Mostly one that is there.
                    let value = match model.get(&k) {
                        Some(all) if random.below(4) > 0 => all[random.below(all.len())].clone(),
                        _ => object(&mut random),
                    };
                    let removed = remove(&table, &[k], &value).unwrap().is_some();
                    let objects = model.entry(k).or_default();
                    let before = objects.len();
                    objects.retain(|o| *o != value);
                    assert_eq!(removed, objects.len() < before);
                }
                16 => {
                    let removed = table.delete(Key::plain(&[k]), Wait::May).unwrap();
                    assert_eq!(removed.is_some(), model.remove(&k).is_some());
                }
                17 => {
                    let mut taken = Vec::new();
                    let (commit, stopped) = table
                        .take_all(Key::plain(&[k]), Wait::May, |at, found| {
                            assert_eq!(at, taken.len());
                            taken.push(found.value.to_vec());
                            if taken.len() == 30 {
                                ControlFlow::Break(())
                            } else {
                                ControlFlow::Continue(())
                            }
                        })
                        .unwrap();
                    assert_eq!(commit.is_some(), stopped.is_none() && !taken.is_empty());
                    if stopped.is_none() {
                        assert_eq!(taken, model.remove(&k).unwrap_or_default());
                    }
                }
                18 if random.below(5) == 0 => {
                    table.clear(Wait::May).unwrap();
                    model.clear();
                }
                18 => {}
                _ => {
                    if random.below(2) == 0 {
                        table.close().unwrap();
                    } else {
                        table.kill();
                    }
                    table = dir.reopen();
                }
            }
            model.retain(|_, all| !all.is_empty());
            compare(&table, &model, &mut random);
        }
    }
}

/// An object comes with its own form of the key, read from its record, while the keydir has the form of one of them.
#[test]
fn a_scan_hands_out_each_object_with_its_own_form_of_the_key() {
    let combinations = KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]);
    for (kind, cache) in combinations {
        let mut dir = TestDir::of(kind).max_file_size(4096);
        dir.config.cache = cache;
        let table = dir.open();
        let mut expected: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        // All keys in one form after all keys in another, so that the order of the records is not that of the traversal.
        for (round, form) in [b"".as_slice(), b"~", b"~~", b"", b"!"].into_iter().enumerate() {
            for k in 0..30_u8 {
                let (own, value) = ([&[k], form].concat(), vec![round as u8, k]);
                let key = [own.as_slice(), &marked(&[], &value)].concat();
                if kind == TableKind::Bag {
                    let added = table.add(bag_key(&key), &value, Wait::May, &mut common::same);
                    assert!(added.unwrap().is_some());
                } else {
                    table.put(bag_key(&key), &value, Wait::May).unwrap();
                }
                expected.push((own, value));
            }
        }
        expected.sort_by_key(|(key, _)| key[0]);
        assert_eq!(forms(&table), expected);
        table.close().unwrap();
        let table = dir.reopen();
        assert_eq!(forms(&table), expected);
        // Now some of them are in the cache, and others are not.
        for k in (0..30_u8).step_by(3) {
            all(&table, &[k]);
        }
        assert_eq!(forms(&table), expected);
    }
}

/// Keys and values of all objects, those of a key in their order.
fn forms(table: &Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut found, mut cursor) = (Vec::new(), Cursor::default());
    while table
        .scan(&mut cursor, 1000, 1 << 20, Wait::May, |key, value| {
            found.push((key.to_vec(), value.to_vec()));
        })
        .unwrap()
    {}
    found.sort_by_key(|(key, _)| key[0]);
    found
}

#[test]
fn a_key_with_10_000_objects_is_added_to_cut_into_and_opened_again() {
    for kind in KINDS {
        let dir = TestDir::of(kind);
        let table = dir.open();
        let n = 10_000_u32;
        for i in 0..n {
            add(&table, b"k", &i.to_be_bytes()).unwrap();
        }
        for i in (0..n).step_by(3) {
            assert!(remove(&table, b"k", &i.to_be_bytes()).unwrap().is_some());
        }
        let expected: Vec<Vec<u8>> = (0..n)
            .filter(|i| i % 3 > 0)
            .map(|i| i.to_be_bytes().to_vec())
            .collect();
        assert!(all(&table, b"k") == expected);
        // A caller that may not work for long is sent away.
        let refused = table.each(Key::plain(b"k"), Wait::Never, |_, _| {
            ControlFlow::<()>::Continue(())
        });
        assert!(matches!(refused, Err(Error::WouldBlock)));
        table.close().unwrap();
        let table = dir.reopen();
        assert!(all(&table, b"k") == expected);
        assert_eq!(table.len(), expected.len() as u64);
    }
}

#[test]
fn an_object_that_is_there_makes_a_list_not_new() {
    let dir = TestDir::of(TableKind::Bag);
    let table = dir.open();
    add(&table, b"k", b"1").unwrap();
    let (there, new) = (marked(b"k", b"1"), marked(b"n", b"2"));
    let puts = [(bag_key(&new), b"2".as_slice()), (bag_key(&there), b"1")];
    let done = table.add_many_new(&puts, Wait::May, &mut common::same).unwrap();
    assert_eq!((done, table.len()), (None, 1));
}

#[test]
fn an_object_that_cannot_be_compared_changes_nothing() {
    let dir = TestDir::of(TableKind::Bag);
    let table = dir.open();
    add(&table, b"k", b"1").unwrap();
    let (key_1, key_2) = (marked(b"k", b"1"), marked(b"k", b"2"));
    let puts = [(bag_key(&key_2), b"2".as_slice()), (bag_key(&key_1), b"1")];
    let seq = table.seq();
    let unsure = &mut |_: &[u8], _: &[u8]| None;
    assert!(matches!(
        table.add_many(&puts, Wait::May, unsure),
        Err(Error::WouldBlock)
    ));
    assert!(matches!(
        table.delete_object(puts[1].0, puts[1].1, Wait::May, unsure),
        Err(Error::WouldBlock)
    ));
    assert_eq!((all(&table, b"k"), table.seq()), (vec![b"1".to_vec()], seq));
    // Another fingerprint: nothing has to be compared.
    assert!(table.add(puts[0].0, b"2", Wait::May, unsure).unwrap().is_some());
}

#[test]
fn the_calls_of_bags_are_refused_by_other_tables() {
    let dir = TestDir::new();
    let table = dir.open();
    let key = marked(b"k", b"1");
    let refused = table.add(bag_key(&key), b"1", Wait::May, &mut common::same);
    assert!(matches!(refused, Err(Error::Mismatch { property: "type", .. })));
    assert_eq!(table.seq(), 0);
}

/// A writer adds a list of four objects to a key, removes two, and takes the rest, over and over.
#[test]
fn readers_see_lists_whole() {
    let dir = TestDir::of(TableKind::DuplicateBag);
    let table = dir.open();
    let stop = AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut looks = 0_u64;
                    while !stop.load(Ordering::Relaxed) {
                        let found = all(&table, b"k");
                        let names: Vec<u8> = found.iter().map(|v| v[0]).collect();
                        assert!(
                            [b"".as_slice(), b"abcb", b"ac"].contains(&names.as_slice()),
                            "{names:?}"
                        );
                        assert!(found.iter().all(|v| v[1..] == found[0][1..]), "of two rounds");
                        looks += 1;
                    }
                    looks
                })
            })
            .collect();
        for round in 0..3000_u32 {
            let object = |name: u8| [[name].as_slice(), &round.to_be_bytes()].concat();
            let list: Vec<_> = b"abcb".iter().map(|&name| object(name)).collect();
            let keys: Vec<_> = list.iter().map(|v| marked(b"k", v)).collect();
            let puts: Vec<_> = keys
                .iter()
                .zip(&list)
                .map(|(k, v)| (bag_key(k), v.as_slice()))
                .collect();
            table.put_many(&puts, Wait::May).unwrap();
            remove(&table, b"k", &object(b'b')).unwrap().unwrap();
            table.delete(Key::plain(b"k"), Wait::May).unwrap().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .sum::<u64>()
    });
    assert!(looks > 0);
}
