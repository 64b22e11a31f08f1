//! Many threads on one table: no lost update, no half-seen list, no wrong value, with rotation, merges and syncs going on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bets_engine::Error;
use bets_engine::io::{Storage, sim::Sim};
use bets_engine::table::{Change, Config, Cursor, Found, Open, Sync, Table, TableKind, Wait};
use common::{KINDS, Random, TestDir, contents, get, key, merge_all, put};

/// Calls as the NIF does: first without waiting, then where waiting is allowed.
fn either<R>(mut call: impl FnMut(Wait) -> bets_engine::Result<R>) -> R {
    match call(Wait::Never) {
        Err(Error::WouldBlock | Error::Busy) => call(Wait::May).unwrap(),
        answer => answer.unwrap(),
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

/// Runs `work` on threads until `seconds` are over and so much was counted; for a minute at most.
fn for_seconds(
    seconds: f32,
    (counted, enough): (&AtomicU64, u64),
    work: &[&(dyn Fn(&AtomicBool) + std::marker::Sync)],
) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for f in work {
            let stop = &stop;
            scope.spawn(move || f(stop));
        }
        let start = Instant::now();
        let is_enough = || counted.load(Ordering::Relaxed) > enough;
        while start.elapsed() < Duration::from_secs_f32(seconds)
            || !is_enough() && start.elapsed() < Duration::from_mins(1)
        {
            thread::sleep(Duration::from_millis(10));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(is_enough(), "the machine does not get on");
    });
}

fn until(stop: &AtomicBool, mut f: impl FnMut(u64)) {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        f(n);
        n += 1;
    }
}

#[test]
fn no_update_is_lost() {
    for sync in [Sync::Interval(5), Sync::None] {
        let mut dir = TestDir::new().max_file_size(20_000);
        dir.config.sync = sync;
        let table = dir.open();
        let added = AtomicU64::new(0);
        let add = |stop: &AtomicBool| {
            until(stop, |n| {
                let k = [(n % 3) as u8];
                either(|wait| {
                    table.update(key(&k), wait, |found| {
                        let old = found.map_or(0, |found| number(found.value));
                        (Change::Put((old + 1).to_le_bytes().to_vec().into()), ())
                    })
                });
                added.fetch_add(1, Ordering::Relaxed);
            });
        };
        let merge = |stop: &AtomicBool| until(stop, |_| drop(merge_all(&table)));
        for_seconds(1.0, (&added, 1000), &[&add, &add, &add, &merge]);
        let sum = |table: &Table| contents(table).iter().map(|(_, v)| number(v)).sum::<u64>();
        assert_eq!(sum(&table), added.load(Ordering::Relaxed));
        assert_eq!(sum(&dir.copy().reopen()), added.load(Ordering::Relaxed));
        table.close().unwrap();
        assert_eq!(sum(&dir.reopen()), added.load(Ordering::Relaxed));
    }
}

#[test]
fn a_list_is_never_seen_in_part() {
    KINDS.into_iter().for_each(a_list_is_never_seen_in_part_in);
}

fn a_list_is_never_seen_in_part_in(kind: TableKind) {
    let dir = TestDir::of(kind).max_file_size(100_000);
    let table = dir.open();
    let keys: Vec<[u8; 1]> = (0..8).map(|k| [k]).collect();
    let write = |stop: &AtomicBool| {
        until(stop, |n| {
            let value = n.to_le_bytes();
            let puts: Vec<_> = keys.iter().map(|k| (key(k), value.as_slice())).collect();
            either(|wait| table.put_many(&puts, wait));
        });
    };
    write(&AtomicBool::new(true));
    let puts: Vec<_> = keys.iter().map(|k| (key(k), [0; 8])).collect();
    let puts: Vec<_> = puts.iter().map(|(k, v)| (*k, v.as_slice())).collect();
    table.put_many(&puts, Wait::May).unwrap();
    let looks = AtomicU64::new(0);
    let read = |stop: &AtomicBool| {
        let mut random = Random::new(1);
        until(stop, |_| {
            // One after the other, in any order: what a later look sees is never older than what an earlier one saw.
            let (a, b) = (&keys[random.below(8)], &keys[random.below(8)]);
            let look =
                |k: &[u8]| either(|wait| table.get(key(k), wait, |found| number(found.value))).unwrap();
            let first = look(a);
            let second = look(b);
            assert!(
                second >= first,
                "list {first} was seen, then the rest of list {second}"
            );
            looks.fetch_add(1, Ordering::Relaxed);
        });
    };
    let snapshot = |stop: &AtomicBool| {
        until(stop, |_| {
            let mut seen = Vec::new();
            either(|wait| {
                seen.clear();
                table.scan(&mut Cursor::default(), 100, 1 << 20, wait, |_, v| {
                    seen.push(number(v))
                })
            });
            assert_eq!(seen.len(), 8);
            assert!(
                seen.iter().all(|&n| n == seen[0]),
                "one step of a traversal shows {seen:?}"
            );
        });
    };
    for_seconds(1.0, (&looks, 1000), &[&write, &read, &snapshot]);
}

#[test]
fn a_clear_and_writers_agree() {
    KINDS.into_iter().for_each(a_clear_and_writers_agree_in);
}

fn a_clear_and_writers_agree_in(kind: TableKind) {
    let dir = TestDir::of(kind).max_file_size(50_000);
    let table = dir.open();
    let (written, seen_before_clear) = (AtomicU64::new(0), AtomicU64::new(0));
    let write = |stop: &AtomicBool| {
        until(stop, |n| {
            either(|wait| table.put(key(&(n % 500).to_be_bytes()), &n.to_le_bytes(), wait));
            // Nobody else writes this key: it is there unless a clear came.
            if get(&table, &(n % 500).to_be_bytes()).is_none() {
                seen_before_clear.fetch_add(1, Ordering::Relaxed);
            }
            written.fetch_add(1, Ordering::Relaxed);
        });
    };
    let clear = |stop: &AtomicBool| {
        until(stop, |_| {
            either(|wait| table.clear(wait));
            thread::sleep(Duration::from_millis(3));
        });
    };
    for_seconds(0.5, (&written, 100), &[&write, &clear]);
    let before = contents(&table);
    assert_eq!(
        contents(&dir.copy().reopen()),
        before,
        "the log and the keydir disagree on what came after the clear"
    );
}

#[test]
fn reads_go_on_while_everything_changes() {
    KINDS
        .into_iter()
        .for_each(reads_go_on_while_everything_changes_in);
}

fn reads_go_on_while_everything_changes_in(kind: TableKind) {
    let dir = TestDir::of(kind).max_file_size(200_000);
    let table = dir.open();
    for i in 0..2000u32 {
        put(&table, &i.to_be_bytes(), &[(i % 251) as u8; 40]);
    }
    let write = |stop: &AtomicBool| {
        let mut random = Random::new(3);
        until(stop, |_| {
            let i = random.below(2000) as u32;
            either(|wait| table.put(key(&i.to_be_bytes()), &vec![(i % 251) as u8; random_len(i)], wait));
        });
    };
    let churn = |stop: &AtomicBool| {
        until(stop, |n| {
            let k = [1, 2, 3, 4, (n % 256) as u8, (n / 256 % 256) as u8];
            either(|wait| table.put(key(&k), b"transient", wait));
            either(|wait| table.delete(key(&k), wait));
        });
    };
    let read = |stop: &AtomicBool| {
        let mut random = Random::new(4);
        until(stop, |_| {
            let i = random.below(2000) as u32;
            let value = either(|wait| table.get(key(&i.to_be_bytes()), wait, |found| found.value.to_vec()));
            let value = value.expect("a present key is always found");
            assert!(!value.is_empty() && value.iter().all(|&byte| byte == (i % 251) as u8));
        });
    };
    let passes = AtomicU64::new(0);
    let traverse = |stop: &AtomicBool| {
        until(stop, |_| {
            let mut cursor = Cursor::default();
            let mut seen = 0;
            while either(|wait| {
                table.scan(&mut cursor, 64, 1 << 16, wait, |k, _| {
                    seen += usize::from(k.len() == 4)
                })
            }) {}
            assert_eq!(seen, 2000, "an object present throughout is seen exactly once");
            passes.fetch_add(1, Ordering::Relaxed);
        });
    };
    for_seconds(1.0, (&passes, 10), &[&write, &churn, &read, &traverse]);
    table.close().unwrap();
    assert_eq!(
        contents(&dir.reopen())
            .iter()
            .filter(|(k, _)| k.len() == 4)
            .count(),
        2000
    );
}

fn random_len(i: u32) -> usize {
    [1, 40, 300][i as usize % 3]
}

#[test]
fn in_always_mode_a_group_shares_its_sync() {
    let mut dir = TestDir::new();
    dir.config.sync = Sync::Always;
    let table = dir.open();
    let acked = AtomicU64::new(0);
    let write = |stop: &AtomicBool| {
        until(stop, |n| {
            let (tell, told) = std::sync::mpsc::channel();
            let commit = either(|wait| table.put(key(&n.to_be_bytes()), b"v", wait));
            table.on_durable(commit, Box::new(move |answer| tell.send(answer.is_ok()).unwrap()));
            assert!(told.recv().unwrap());
            assert!(table.stats().durable_seq >= commit.0);
            acked.fetch_add(1, Ordering::Relaxed);
        });
    };
    for_seconds(0.5, (&acked, 10), &[&write, &write, &write, &write]);
}

#[test]
fn the_interval_passes_and_all_is_durable() {
    let mut dir = TestDir::new();
    dir.config.sync = Sync::Interval(20);
    let table = dir.open();
    for round in 0..3u8 {
        put(&table, b"a", &[round]);
        let start = Instant::now();
        while table.stats().durable_seq < table.stats().seq {
            assert!(start.elapsed() < Duration::from_secs(20), "no sync came");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_table_that_is_dropped_closes_and_can_be_opened_at_once() {
    let dir = TestDir::new();
    for i in 0..20u8 {
        let table = dir.open();
        put(&table, &[i], b"v");
        assert_eq!(table.len(), u64::from(i) + 1);
        drop(table);
    }
}

/// Who began before a close finds the key or an error, never that it is not there.
#[test]
fn a_close_hides_no_key() {
    for _ in 0..300 {
        let storage: Arc<dyn Storage> = Arc::new(Sim::new());
        let how = Open::OrCreate(common::meta());
        let table = Table::open(&storage, Path::new("/t"), &how, Config::default()).unwrap();
        put(&table, b"k", b"v");
        let begun = AtomicU64::new(0);
        let read = |look: &(dyn Fn() -> bets_engine::Result<bool> + std::marker::Sync)| {
            begun.fetch_add(1, Ordering::Relaxed);
            loop {
                match look() {
                    Ok(found) => assert!(found, "a key is hidden"),
                    Err(Error::Closed) => break,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| read(&|| Ok(table.get(key(b"k"), Wait::May, |_| ())?.is_some())));
            scope.spawn(|| read(&|| table.contains(key(b"k"), Wait::May)));
            scope.spawn(|| read(&|| Ok(table.next_key(&Cursor::default(), Wait::May)?.is_some())));
            scope.spawn(|| {
                read(&|| {
                    let mut objects = 0;
                    table.scan(&mut Cursor::default(), 10, 1000, Wait::May, |_, _| objects += 1)?;
                    Ok(objects == 1)
                });
            });
            // A writer that took the empty table for the truth would say that there was nothing to delete, and the key would be back.
            scope.spawn(|| {
                read(&|| {
                    let kept = |found: Option<Found<'_>>| (Change::Keep, found.is_some());
                    Ok(table.update(key(b"k"), Wait::May, kept)?.1)
                });
            });
            scope.spawn(|| read(&|| Ok(table.put_many_new(&[(key(b"k"), b"w")], Wait::May)?.is_none())));
            while begun.load(Ordering::Relaxed) < 6 {
                thread::yield_now();
            }
            table.close().unwrap();
        });
    }
}
