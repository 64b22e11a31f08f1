//! What takes long is not done where nothing may wait: such a call gives `WouldBlock`, changes nothing, and goes through where waiting is allowed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::ops::ControlFlow;
use std::time::Duration;

use bets_engine::keydir::HashKeydir;
use bets_engine::table::{Change, Found, Table, TableKind, Wait};
use bets_engine::{Error, Key, Result};
use common::TestDir;

const SEED: u64 = 7;

/// A table that does nothing in the background.
fn table(kind: TableKind) -> (TestDir, Table) {
    let mut dir = TestDir::of(kind);
    dir.config.seed = Some(SEED);
    dir.config.background = false;
    dir.config.cache = false;
    let table = dir.open();
    (dir, table)
}

/// Keys of one shard.
fn neighbours(count: usize) -> Vec<[u8; 12]> {
    let keydir = HashKeydir::new(SEED);
    let keys = (0u64..).map(|i| {
        let mut key = [0; 12];
        key[..8].copy_from_slice(&i.to_be_bytes());
        key
    });
    let at_home = |key: &[u8; 12]| HashKeydir::shard_of(keydir.hash(Key::new(key, 8))) == 0;
    keys.filter(at_home).take(count).collect()
}

fn thread_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap())
}

/// How many of the calls may not be done without waiting. Each is done at once where it may wait, and the next one again without.
fn refused<T>(calls: impl Iterator<Item = T>, call: impl Fn(&T, Wait) -> Result<()>) -> usize {
    let (mut refused, mut longest) = (0, Duration::ZERO);
    for item in calls {
        let before = thread_time();
        let done = call(&item, Wait::Never);
        longest = longest.max(thread_time().checked_sub(before).unwrap());
        match done {
            Err(Error::WouldBlock) => {
                refused += 1;
                call(&item, Wait::May).unwrap();
            }
            done => done.unwrap(),
        }
    }
    println!("{refused} refused, the longest of the others {longest:?} of processor time");
    refused
}

#[test]
fn a_large_shard_grows_and_shrinks_where_waiting_is_allowed() {
    for kind in [TableKind::Set, TableKind::DuplicateBag] {
        let (_dir, table) = table(kind);
        let keys = neighbours(40_000);
        let put = |bytes: &&[u8; 12], wait| table.put(Key::new(*bytes, 8), b"", wait).map(drop);
        // Four of its growths, from 16,384 slots on, are long ones.
        let grown = refused(keys.iter(), put);
        assert!((3..=5).contains(&grown), "{grown} calls");
        let again = refused(keys.iter().take(100), put);
        assert_eq!(again, 0, "a write that grows nothing");
        let remove = |bytes: &&[u8; 12], wait| table.delete(Key::new(*bytes, 8), wait).map(drop);
        let shrunk = refused(keys.iter(), remove);
        assert!((1..=3).contains(&shrunk), "{shrunk} calls");
        assert_eq!(table.len(), 0);
    }
}

#[test]
fn a_key_of_very_many_objects_is_changed_where_waiting_is_allowed() {
    let (_dir, table) = table(TableKind::DuplicateBag);
    let mut bytes = [1; 12];
    let put = |i: &u32, wait| {
        let mut bytes = bytes;
        bytes[8..].copy_from_slice(&i.to_be_bytes());
        table.put(Key::new(&bytes, 8), b"", wait).map(drop)
    };
    // Its list of objects grows by a part, some dozen times.
    let grown = refused(0u32..40_000, put);
    assert!((1..=60).contains(&grown), "{grown} calls");
    bytes[8..].copy_from_slice(&7u32.to_be_bytes());
    let mut same = |_: &[u8], _: &[u8]| Some(true);
    let key = Key::new(&bytes, 8);
    let refused = table.delete_object(key, b"", Wait::Never, &mut same);
    assert!(matches!(refused, Err(Error::WouldBlock)));
    assert!(matches!(table.delete(key, Wait::Never), Err(Error::WouldBlock)));
    assert_eq!(table.len(), 40_000);
    table.delete_object(key, b"", Wait::May, &mut same).unwrap();
    assert_eq!(table.len(), 39_999);
    table.delete(key, Wait::May).unwrap();
    assert_eq!(table.len(), 0);
}

#[test]
fn a_lock_that_another_call_has_is_told_and_nothing_is_changed() {
    for kind in common::ALL_KINDS {
        let (_dir, table) = table(kind);
        let key = Key::plain(b"k");
        table.put(key, b"1", Wait::May).unwrap();
        let beside = || {
            let put = || table.put(key, b"2", Wait::Never);
            let busy = std::thread::scope(|scope| scope.spawn(put).join().unwrap());
            assert!(matches!(busy, Err(Error::Busy)), "{busy:?}");
        };
        if kind.is_bag() {
            let look = |_, _: Found<'_>| {
                beside();
                ControlFlow::Break(())
            };
            table.take_all(key, Wait::May, look).unwrap();
        } else {
            let look = |_: Option<Found<'_>>| {
                beside();
                (Change::Keep, ())
            };
            table.update(key, Wait::May, look).unwrap();
        }
        assert_eq!(common::get(&table, b"k").unwrap(), b"1");
        assert_eq!(table.len(), 1);
    }
}
