//! What was written stays in memory: it is read without its file, and never wrong.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;

use bets_engine::Error;
use bets_engine::io::Storage;

use bets_engine::io::failing::{Call, Failing, Fault};
use bets_engine::io::sim::Sim;
use bets_engine::table::{Config, Open, Sync, Table, TableKind, Wait};
use common::{ALL_KINDS, KINDS, contents, get, key, merge_all, meta_of, put, put_many};

fn open(kind: TableKind, sync: Sync) -> (Failing, Table) {
    open_with(kind, sync, 50_000)
}

fn open_with(kind: TableKind, sync: Sync, max_file_size: u64) -> (Failing, Table) {
    let failing = Failing::over_sim(Sim::new());
    let storage: Arc<dyn Storage> = Arc::new(failing.clone());
    let config = Config {
        background: false,
        max_file_size,
        sync,
        ..Config::default()
    };
    let table = Table::open(&storage, Path::new("/t"), &Open::OrCreate(meta_of(kind)), config).unwrap();
    (failing, table)
}

fn no_reads() -> Fault {
    Fault::nth(1, &[Call::Read, Call::ReadNowait]).persistent()
}

fn number(n: u32) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

fn value(n: u32) -> Vec<u8> {
    vec![n as u8; 50 + n as usize % 700]
}

/// Objects one by one and in lists, some overwritten, some deleted; files are left behind and, with `stage`, the last ones are staged.
fn fill(table: &Table, stage: bool) {
    for n in 0..300 {
        put(table, &number(n), &value(n));
    }
    if stage {
        table.care().unwrap();
    }
    let list: Vec<_> = (300..500).map(|n| (number(n), value(n))).collect();
    put_many(table, &list).unwrap();
    for n in 0..60 {
        put(table, &number(n), &value(n + 1));
    }
    for n in 60..90 {
        table.delete(key(&number(n)), Wait::May).unwrap();
    }
}

#[test]
fn what_was_written_is_read_without_its_file() {
    for kind in ALL_KINDS {
        for sync in [Sync::Interval(1_000), Sync::Always, Sync::None] {
            let (failing, table) = open(kind, sync);
            fill(&table, true);
            assert!(table.stats().segments > 3);
            let reads = || failing.counts().all_of(&[Call::Read, Call::ReadNowait]);
            let before = reads();
            failing.arm(no_reads());
            let found = contents(&table);
            assert_eq!(found.len() as u64, table.len());
            for (k, _) in &found {
                let compared = &k[..4];
                assert!(table.contains(key(compared), Wait::May).unwrap());
            }
            if !kind.is_bag() {
                for n in 90..500 {
                    assert_eq!(get(&table, &number(n)), Some(value(n)), "{kind:?} {n}");
                }
            }
            failing.disarm();
            assert_eq!(reads(), before, "{kind:?} {sync:?}");
            // Written again it is as it was.
            let again = contents(&reopened(&failing, &table));
            assert_eq!(again, found, "{kind:?}");
        }
    }
}

fn reopened(failing: &Failing, table: &Table) -> Table {
    let config = Config {
        cache: false,
        ..table.config()
    };
    table.close().unwrap();
    let existing = Open::Existing {
        kind: None,
        keypos: None,
    };
    let storage: Arc<dyn Storage> = Arc::new(failing.clone());
    Table::open(&storage, Path::new("/t"), &existing, config).unwrap()
}

#[test]
fn what_a_merge_copies_stays_in_memory() {
    for kind in ALL_KINDS {
        let (failing, table) = open(kind, Sync::None);
        fill(&table, false);
        let before = contents(&table);
        for again in 0..3 {
            assert!(again > 0 || merge_all(&table).is_some());
            failing.arm(no_reads());
            assert_eq!(contents(&table), before, "{kind:?}");
            failing.disarm();
            put(&table, &number(1_000 + again), b"more");
            table.delete(key(&number(1_000 + again)), Wait::May).unwrap();
            merge_all(&table);
        }
        assert_eq!(contents(&reopened(&failing, &table)), before, "{kind:?}");
    }
}

#[test]
fn a_write_that_failed_is_not_read_from_memory() {
    for kind in [TableKind::Set, TableKind::OrderedSet] {
        for half in [false, true] {
            let (failing, table) = open(kind, Sync::Always);
            put(&table, b"a", b"1");
            let fault = Fault::nth(1, &[Call::Write]);
            failing.arm(if half { fault.half() } else { fault });
            let failed = table.put(key(b"a"), b"2", Wait::May);
            assert!(matches!(failed, Err(Error::Io { op: "write", .. })), "{failed:?}");
            failing.disarm();
            assert_eq!(get(&table, b"a").unwrap(), b"1");
            // Of the same key and length, at the same place.
            put(&table, b"a", b"3");
            assert_eq!(get(&table, b"a").unwrap(), b"3");
            assert_eq!(contents(&table), [(b"a".to_vec(), b"3".to_vec())]);
        }
    }
}

/// Found in a review: what is too long to be read from blocks was put there all the same, and pressed out what can be.
#[test]
fn what_is_too_long_for_blocks_takes_no_room_there() {
    for kind in KINDS {
        let (failing, table) = open_with(kind, Sync::None, 20 << 20);
        let long = vec![7; 2 << 20];
        for n in 0..20 {
            put(&table, &number(n), &long);
            put(&table, &number(n + 100), &value(n));
        }
        let list: Vec<_> = (200..220).map(|n| (number(n), value(n))).collect();
        let mixed: Vec<_> = list
            .iter()
            .cloned()
            .chain([(number(300), long.clone())])
            .collect();
        put_many(&table, &mixed).unwrap();
        put_many(&table, &list[..10]).unwrap();
        for merged in [false, true] {
            let held = table.stats().cache_bytes;
            assert!(held < 100 * (64 << 10), "{kind:?}, merged {merged}: {held} bytes");
            failing.arm(no_reads());
            for n in (0..20).map(|n| n + 100).chain(200..220) {
                let expected = if n < 200 { value(n - 100) } else { value(n) };
                assert_eq!(
                    get(&table, &number(n)),
                    Some(expected),
                    "{kind:?}, merged {merged}"
                );
            }
            failing.disarm();
            assert_eq!(get(&table, &number(300)), Some(long.clone()));
            merge_all(&table);
        }
    }
}

/// A reader who is slow to leave keeps the memory, but not its place on the account: what it would have crowded out stays.
#[test]
fn the_blocks_of_a_retired_segment_go_at_once() {
    let (_, table) = open(TableKind::Set, Sync::None);
    for n in 0..2_000 {
        put(&table, &number(n), &[1; 500]);
    }
    for n in 0..2_000 {
        if n % 3 > 0 {
            table.delete(key(&number(n)), Wait::May).unwrap();
        }
    }
    let before = table.stats().cache_bytes;
    let (pinned, is_pinned) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let _guard = bets_engine::epoch::pin();
            pinned.send(()).unwrap();
            let _ = left.recv();
        });
        is_pinned.recv().unwrap();
        merge_all(&table);
        let after = table.stats().cache_bytes;
        drop(leave);
        assert!(
            before > 1_000_000 && after < before / 2,
            "{before} bytes, {after} after the merge"
        );
    });
}

#[test]
fn a_cleared_table_keeps_nothing_in_memory() {
    let (_, table) = open(TableKind::Set, Sync::None);
    fill(&table, false);
    assert!(table.stats().cache_bytes > 100_000);
    table.clear(Wait::May).unwrap();
    assert_eq!(table.stats().cache_bytes, 0);
    fill(&table, false);
    assert!(table.stats().cache_bytes > 100_000);
    assert_eq!(get(&table, &number(499)), Some(value(499)));
}
