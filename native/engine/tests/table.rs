//! A table does what its calls say, also after it was closed and opened again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod common;

use std::borrow::Cow;
use std::ops::Bound;

use bets_engine::table::{Change, Cursor, Direction, Open, Table, TableKind, Wait};
use bets_engine::{Error, Key};
use common::{KINDS, TestDir, contents, get, key, put};

#[test]
fn what_was_put_is_found_also_after_reopening() {
    KINDS
        .into_iter()
        .for_each(what_was_put_is_found_also_after_reopening_in);
}

fn what_was_put_is_found_also_after_reopening_in(kind: TableKind) {
    let dir = TestDir::of(kind);
    let table = dir.open();
    for i in 0..1000u32 {
        put(&table, &i.to_be_bytes(), &[i as u8; 50]);
    }
    for i in (0..1000u32).step_by(3) {
        assert!(table.delete(key(&i.to_be_bytes()), Wait::May).unwrap().is_some());
    }
    let check = |table: &bets_engine::table::Table| {
        for i in 0..1000u32 {
            let expected = (i % 3 != 0).then(|| vec![i as u8; 50]);
            assert_eq!(get(table, &i.to_be_bytes()), expected);
        }
        assert_eq!(table.len(), 666);
    };
    check(&table);
    table.close().unwrap();
    assert!(matches!(table.contains(key(b"x"), Wait::May), Err(Error::Closed)));
    for _ in 0..3 {
        let table = dir.reopen();
        check(&table);
        table.close().unwrap();
    }
}

#[test]
fn a_table_that_was_not_closed_has_all_that_was_acknowledged() {
    let dir = TestDir::new();
    let table = dir.open();
    for i in 0..500u32 {
        put(&table, &i.to_be_bytes(), b"before");
        put(&table, &(i / 2).to_be_bytes(), b"after");
    }
    table.clear(Wait::May).unwrap();
    put(&table, b"last", b"one");
    let copy = dir.copy();
    assert_eq!(
        contents(&copy.reopen()),
        vec![(b"last".to_vec(), b"one".to_vec())]
    );
    assert_eq!(contents(&table), vec![(b"last".to_vec(), b"one".to_vec())]);
}

#[test]
fn a_list_is_there_whole_and_the_last_of_equal_keys_wins() {
    KINDS
        .into_iter()
        .for_each(a_list_is_there_whole_and_the_last_of_equal_keys_wins_in);
}

fn a_list_is_there_whole_and_the_last_of_equal_keys_wins_in(kind: TableKind) {
    let dir = TestDir::of(kind);
    let table = dir.open();
    let puts = [(key(b"a"), b"1".as_slice()), (key(b"b"), b"2"), (key(b"a"), b"3")];
    table.put_many(&puts, Wait::May).unwrap();
    assert_eq!(get(&table, b"a").unwrap(), b"3");
    assert!(
        table
            .put_many_new(&[(key(b"c"), b"4"), (key(b"b"), b"5")], Wait::May)
            .unwrap()
            .is_none()
    );
    assert_eq!(get(&table, b"c"), None);
    assert!(
        table
            .put_many_new(&[(key(b"c"), b"4"), (key(b"c"), b"5")], Wait::May)
            .unwrap()
            .is_some()
    );
    assert_eq!(get(&dir.copy().reopen(), b"c").unwrap(), b"5");
}

#[test]
fn an_update_keeps_or_replaces_the_stored_form() {
    KINDS
        .into_iter()
        .for_each(an_update_keeps_or_replaces_the_stored_form_in);
}

fn an_update_keeps_or_replaces_the_stored_form_in(kind: TableKind) {
    let dir = TestDir::of(kind);
    let table = dir.open();
    let (plain, suffixed) = (Key::new(b"k", 1), Key::new(b"k~", 1));
    table.put(suffixed, b"1", Wait::May).unwrap();
    let update = |key, change: fn(Cow<'static, [u8]>) -> Change<'static>| {
        table
            .update(key, Wait::May, |found| {
                let found = found.unwrap();
                (change(found.value.to_vec().into()), found.key.map(<[u8]>::to_vec))
            })
            .unwrap()
            .1
    };
    assert_eq!(update(plain, Change::Put), Some(b"k~".to_vec()));
    assert_eq!(contents(&table)[0].0, b"k~");
    assert_eq!(contents(&dir.copy().reopen())[0].0, b"k~");
    assert_eq!(update(plain, Change::Replace), Some(b"k~".to_vec()));
    assert_eq!(update(plain, |_| Change::Keep), None);
    assert_eq!(contents(&dir.copy().reopen())[0].0, b"k");
    update(suffixed, |_| Change::Delete);
    assert!(table.is_empty());
    assert!(dir.copy().reopen().is_empty());
}

#[test]
fn a_traversal_in_steps_sees_every_object_once() {
    KINDS
        .into_iter()
        .for_each(a_traversal_in_steps_sees_every_object_once_in);
}

fn a_traversal_in_steps_sees_every_object_once_in(kind: TableKind) {
    let dir = TestDir::of(kind);
    let table = dir.open();
    for i in 0..777u32 {
        put(&table, &i.to_be_bytes(), &vec![1; (i % 100) as usize]);
    }
    for (objects, bytes) in [(1, 1 << 20), (10, 1 << 20), (1000, 500), (1000, 1 << 20)] {
        let mut seen = Vec::new();
        let mut cursor = Cursor::default();
        while table
            .scan(&mut cursor, objects, bytes, Wait::May, |key, value| {
                assert_eq!(
                    value.len(),
                    u32::from_be_bytes(key.try_into().unwrap()) as usize % 100
                );
                seen.push(key.to_vec());
            })
            .unwrap()
        {}
        let mut next = Cursor::default();
        for expected in &seen {
            let found = table.next_key(&next, Wait::May).unwrap().unwrap();
            assert_eq!(&found, expected);
            next = Cursor::after(key(&found));
        }
        assert_eq!(table.next_key(&next, Wait::May).unwrap(), None);
        seen.sort();
        assert_eq!(
            seen,
            (0..777u32).map(|i| i.to_be_bytes().to_vec()).collect::<Vec<_>>()
        );
    }
}

/// Who looks for few objects goes on behind the key that a step came to, so that one is told even if it is not wanted; and nothing else is.
#[test]
fn a_traversal_hands_over_what_is_wanted_and_where_it_came_to() {
    for (kind, cache) in KINDS.into_iter().flat_map(|kind| [(kind, true), (kind, false)]) {
        let mut dir = TestDir::of(kind);
        dir.config.cache = cache;
        let table = dir.open();
        for i in 0..500u32 {
            put(&table, &i.to_be_bytes(), &[i as u8; 40]);
        }
        let is_wanted = |key: &[u8]| u32::from_be_bytes(key.try_into().unwrap()) % 50 == 7;
        let (mut cursor, mut plain) = (Cursor::default(), Cursor::default());
        let (mut found, mut steps) = (Vec::new(), 0);
        loop {
            let mut all = Vec::new();
            let more = table.scan(&mut plain, 30, 1 << 20, Wait::May, |key, _| {
                all.push(key.to_vec())
            });
            let mut told = Vec::new();
            let still = table.scan_wanted(
                &mut cursor,
                (30, 1 << 20, steps % 2 == 0),
                Wait::May,
                |key, value| is_wanted(key) && value == vec![key[3]; 40],
                |key, value| told.push((key.to_vec(), value.map(<[u8]>::to_vec))),
            );
            assert_eq!(more.as_ref().unwrap(), still.as_ref().unwrap());
            let value = |key: &Vec<u8>| is_wanted(key).then(|| vec![key[3]; 40]);
            let last = all.last().cloned();
            all.retain(|key| is_wanted(key) || Some(key) == last.as_ref());
            assert_eq!(
                told,
                all.iter()
                    .map(|key| (key.clone(), value(key)))
                    .collect::<Vec<_>>()
            );
            found.extend(told.into_iter().filter(|(_, value)| value.is_some()));
            steps += 1;
            if !more.unwrap() {
                break;
            }
        }
        assert_eq!((found.len(), steps >= 500 / 30), (10, true), "{kind:?}");
    }
}

#[test]
fn small_segments_rotate_and_all_is_found() {
    let mut dir = TestDir::new().max_file_size(2000);
    // A copy of the directory, file by file, is what a killed process leaves only while no thread works on it.
    dir.config.background = false;
    let table = dir.open();
    for round in 0..5u8 {
        for i in 0..100u32 {
            put(&table, &i.to_be_bytes(), &[round; 60]);
        }
        table
            .put_many(
                &[(key(b"l1"), &[round; 900]), (key(b"l2"), &[round; 1500])],
                Wait::May,
            )
            .unwrap();
    }
    assert!(table.stats().segments > 10);
    let before = contents(&table);
    assert_eq!(before.len(), 102);
    assert_eq!(contents(&dir.copy().reopen()), before);
    table.close().unwrap();
    assert_eq!(contents(&dir.reopen()), before);
}

#[test]
fn a_deleted_table_leaves_nothing_and_takes_nothing_else() {
    let dir = TestDir::new();
    let table = dir.open();
    put(&table, b"a", b"b");
    table.destroy().unwrap();
    assert!(!dir.path().exists());
    let table = dir.open();
    put(&table, b"a", b"b");
    std::fs::write(dir.path().join("mine.txt"), b"keep").unwrap();
    table.destroy().unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(matches!(dir.try_reopen(), Err(Error::NoTable { .. })));
}

#[test]
fn a_second_open_is_refused_and_harms_nothing() {
    let dir = TestDir::new();
    let table = dir.open();
    put(&table, b"a", b"b");
    assert!(matches!(dir.try_reopen(), Err(Error::AlreadyOpen { .. })));
    put(&table, b"c", b"d");
    table.close().unwrap();
    assert_eq!(dir.reopen().len(), 2);
}

#[test]
fn other_properties_than_the_stored_ones_are_refused() {
    let dir = TestDir::new();
    dir.open().close().unwrap();
    let mut meta = common::meta();
    meta.keypos = 2;
    let refused = dir.try_open(&Open::OrCreate(meta));
    assert!(matches!(
        refused,
        Err(Error::Mismatch {
            property: "keypos",
            stored: 1,
            asked: 2
        })
    ));
    dir.reopen();
}

#[test]
fn a_renamed_table_goes_on_and_is_found_at_its_new_place() {
    let dir = TestDir::new().max_file_size(1000);
    let table = dir.open();
    for i in 0..100u8 {
        put(&table, &[i], &[i; 30]);
    }
    let to = dir.path().with_extension("renamed").join("deeper");
    table.rename(&to, b"new name").unwrap();
    assert_eq!(table.dir(), to);
    assert!(!dir.path().exists());
    // Sealed segments are opened by their new paths, and new ones are made there.
    for i in 0..100u8 {
        assert_eq!(get(&table, &[i]), Some(vec![i; 30]));
        put(&table, &[i], &[i; 31]);
    }
    assert!(matches!(table.rename(&to, b""), Err(Error::NotATable { .. })));
    table.close().unwrap();
    let moved = TestDir::at(&to);
    let table = moved.reopen();
    assert_eq!(table.meta().name, b"new name");
    assert_eq!(table.len(), 100);
    table.destroy().unwrap();
    std::fs::remove_dir(to.parent().unwrap()).unwrap();
}

#[test]
fn descriptors_are_bounded_however_many_segments_there_are() {
    let dir = TestDir::new().max_file_size(500);
    let table = dir.open();
    for i in 0..=255u8 {
        put(&table, &[i], &[i; 300]);
    }
    table.close().unwrap();
    let table = dir.reopen();
    for i in 0..=255u8 {
        assert_eq!(get(&table, &[i]), Some(vec![i; 300]));
    }
    assert!(table.stats().segments > 100);
    let held = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    let held = held.filter(|path| path.starts_with(dir.path())).count();
    assert!(held <= 16, "{held} descriptors");
}

/// The keys that a traversal meets, in steps of a few.
fn walk(table: &Table, mut cursor: Cursor) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    let mut next = cursor.clone();
    while table
        .scan(&mut cursor, 3, 1 << 20, Wait::May, |key, value| {
            assert_eq!(key, value);
            seen.push(key.to_vec());
        })
        .unwrap()
    {}
    for expected in &seen {
        let found = table.next_key(&next, Wait::May).unwrap();
        assert_eq!(found.as_ref(), Some(expected));
        next.go_behind(key(expected));
    }
    assert_eq!(table.next_key(&next, Wait::May).unwrap(), None);
    seen
}

#[test]
fn an_ordered_table_is_traversed_both_ways_between_bounds() {
    let dir = TestDir::of(TableKind::OrderedSet);
    let table = dir.open();
    let keys: Vec<Vec<u8>> = (0..20u8).map(|i| vec![i / 5, i % 5]).collect();
    for k in keys.iter().rev() {
        put(&table, k, k);
    }
    table.close().unwrap();
    let table = dir.reopen();
    let backward: Vec<Vec<u8>> = keys.iter().rev().cloned().collect();
    assert_eq!(walk(&table, Cursor::default()), keys);
    assert_eq!(walk(&table, Cursor::backward()), backward);
    // A key that is not there has its place.
    assert_eq!(walk(&table, Cursor::after(key(&[0, 9]))), keys[5..]);
    assert_eq!(walk(&table, Cursor::before(key(&[3, 0]))), backward[5..]);
    // All keys that begin with a one.
    let (low, high) = (Bound::Included(&[1][..]), Bound::Excluded(&[2][..]));
    assert_eq!(
        walk(&table, Cursor::range(Direction::Forward, low, high)),
        keys[5..10]
    );
    assert_eq!(
        walk(&table, Cursor::range(Direction::Backward, high, low)),
        backward[10..15]
    );
    table.clear(Wait::May).unwrap();
    assert!(walk(&table, Cursor::default()).is_empty());
    put(&table, &[7], &[7]);
    assert_eq!(walk(&table, Cursor::backward()), [[7]]);
}

#[test]
fn a_sync_tells_that_the_files_were_removed() {
    for with_directory in [false, true] {
        let mut dir = TestDir::new();
        dir.config.background = false;
        let table = dir.open();
        put(&table, b"a", b"1");
        table.sync().unwrap();
        if with_directory {
            std::fs::remove_dir_all(dir.path()).unwrap();
        } else {
            for file in std::fs::read_dir(dir.path()).unwrap() {
                std::fs::remove_file(file.unwrap().path()).unwrap();
            }
        }
        put(&table, b"b", b"2");
        assert!(matches!(table.sync(), Err(Error::Io { op: "sync", .. })));
        // No write is acknowledged any more that nobody could find again; what is there can still be read and saved.
        assert!(table.put(key(b"c"), b"3", Wait::May).is_err());
        assert_eq!(get(&table, b"b").as_deref(), Some(&b"2"[..]));
    }
}
