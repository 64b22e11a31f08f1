//! Measures the keydir, and beside the ordered one a skip list: nanoseconds an operation and bytes of memory a key.
//!
//! `cargo run --release --example keydir_bench [keys ...] [set] [ordered_set]`, by default 1,000,000 keys and both types.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss
)]

#[path = "../tests/common/counting.rs"]
mod counting;

use std::hint::black_box;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bets_engine::keydir::{Batch, Direction, HashKeydir, Keydir, Location, Span};
use bets_engine::table::TableKind;
use bets_engine::{Deadline, Key, Now};
use crossbeam_epoch as epoch;
use crossbeam_skiplist::base::SkipList;

const KEY: usize = 16;

/// The `i`th key of 16 bytes, all of it random-looking.
fn key(i: u64) -> [u8; KEY] {
    let mut bytes = [0; KEY];
    bytes[..8].copy_from_slice(&mix(i).to_le_bytes());
    bytes[8..].copy_from_slice(&mix(!i).to_le_bytes());
    bytes
}

fn mix(i: u64) -> u64 {
    let mut z = i.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn put(keydir: &Keydir, i: u64, location: u64) {
    let bytes = key(i);
    let hash = keydir.hash(Key::plain(&bytes));
    let mut guard = keydir.lock(Keydir::shard_of(hash));
    guard
        .put(
            hash,
            Key::plain(&bytes),
            (Location::from_bits(location), Deadline::NEVER),
            0,
        )
        .unwrap();
}

fn get(keydir: &Keydir, i: u64) -> bool {
    let bytes = key(i);
    loop {
        let key = Key::plain(&bytes);
        if let Ok(hit) = keydir.get(keydir.hash(key), key, Now::BEFORE_ALL) {
            return hit.is_some();
        }
    }
}

/// Processor time of this thread, which other work on the machine does not add to.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Nanoseconds an operation when `threads` threads share `count` of them, and if `longest` the processor time of the longest.
/// To take that costs some hundred nanoseconds an operation.
fn measure(name: &str, threads: u64, count: u64, longest: bool, work: impl Fn(u64) + Sync) {
    let begin = Instant::now();
    let worst = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|t| {
                let work = &work;
                scope.spawn(move || {
                    let mut worst = Duration::ZERO;
                    for i in (t..count).step_by(threads as usize) {
                        if longest {
                            let begin = cpu_time();
                            work(i);
                            worst = worst.max(cpu_time().checked_sub(begin).unwrap());
                        } else {
                            work(i);
                        }
                    }
                    worst
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .max()
            .unwrap()
    });
    let ns = begin.elapsed().as_nanos() as f64 / count as f64;
    if longest {
        println!(
            "  {name:<28} {ns:8.1} ns   longest {:8.1} us of processor time",
            worst.as_nanos() as f64 / 1e3
        );
    } else {
        println!("  {name:<28} {ns:8.1} ns");
    }
}

fn run(kind: TableKind, keys: u64, threads: u64) {
    println!(
        "{kind:?}: {keys} keys of {KEY} bytes, {threads} thread(s); ns an operation of all threads together"
    );
    measure("making key and hash alone", threads, keys, false, |i| {
        let bytes = key(i);
        black_box(xxhash_rust::xxh3::xxh3_64_with_seed(black_box(&bytes), 1));
    });
    let before = counting::begin_peak();
    let mut keydir = Keydir::new(kind, 1);
    measure("insert", threads, keys, false, |i| put(&keydir, i, i));
    let held = (counting::held() - before) as f64;
    let peak = (counting::peak() - before) as f64;
    let own = (keys * KEY as u64) as f64;
    println!(
        "  bytes a key beyond the key: {:.1} by its own count, {:.1} allocated, {:.1} at the peak",
        (keydir.memory_bytes() as f64 - own) / keys as f64,
        (held - own) / keys as f64,
        (peak - own) / keys as f64
    );
    let random = |i| mix(i ^ 0x5555) % keys;
    measure("hit by candidate", threads, keys, false, |i| {
        let bytes = key(random(i));
        assert!(
            keydir
                .candidate(
                    keydir.hash(Key::plain(&bytes)),
                    Key::plain(&bytes),
                    Now::BEFORE_ALL,
                    &bets_engine::epoch::pin()
                )
                .unwrap()
                .is_some()
        );
    });
    measure("hit", threads, keys, false, |i| assert!(get(&keydir, random(i))));
    measure("miss", threads, keys, false, |i| assert!(!get(&keydir, keys + i)));
    measure("overwrite", threads, keys, false, |i| {
        put(&keydir, random(i), i + 1);
    });
    scan(&keydir, keys, Direction::Forward);
    if kind == TableKind::OrderedSet {
        scan(&keydir, keys, Direction::Backward);
    }
    measure("delete one, insert another", threads, keys, true, |i| {
        let bytes = key(i);
        let hash = keydir.hash(Key::plain(&bytes));
        keydir
            .lock(Keydir::shard_of(hash))
            .remove(hash, Key::plain(&bytes), u64::MAX);
        put(&keydir, keys + i, i);
    });
    println!(
        "  bytes a key beyond the key: {:.1} after it",
        (keydir.memory_bytes() as f64 - own) / keys as f64
    );
    measure("delete", threads, keys, true, |i| {
        let bytes = key(keys + i);
        let hash = keydir.hash(Key::plain(&bytes));
        keydir
            .lock(Keydir::shard_of(hash))
            .remove(hash, Key::plain(&bytes), u64::MAX);
    });
    println!("  {} bytes when empty again", keydir.memory_bytes());
    keydir = Keydir::new(kind, 1);
    measure("insert, each timed", threads, keys, true, |i| put(&keydir, i, i));
    let begin = Instant::now();
    drop(std::mem::replace(&mut keydir, Keydir::new(kind, 1)));
    println!("  drop of all: {} ms", begin.elapsed().as_millis());
    if threads == 1 && kind == TableKind::Set {
        load(keys);
    }
}

fn scan(keydir: &Keydir, keys: u64, direction: Direction) {
    let begin = Instant::now();
    let (mut last, mut batch, mut seen) = (Vec::new(), Batch::new(), 0);
    loop {
        batch.clear();
        let span = Span {
            direction,
            from: if seen == 0 {
                Bound::Unbounded
            } else {
                Bound::Excluded(&last)
            },
            until: Bound::Unbounded,
        };
        let more = keydir.scan(&span, None, 100, &mut batch).unwrap();
        seen += batch.len() as u64;
        if let Some((key, _)) = batch.iter().last() {
            last = key.compared().to_vec();
        }
        if !more {
            break;
        }
    }
    assert_eq!(seen, keys);
    println!(
        "  {:<28} {:8.1} ns",
        format!("scan {direction:?}, 100 at a time"),
        begin.elapsed().as_nanos() as f64 / keys as f64
    );
}

/// All keys with their hashes, in traversal order.
fn sorted(keys: u64) -> Vec<(u64, [u8; KEY])> {
    let keydir = HashKeydir::new(1);
    let mut all: Vec<_> = (0..keys)
        .map(|i| (keydir.hash(Key::plain(&key(i))), key(i)))
        .collect();
    all.sort_unstable();
    all
}

fn load(keys: u64) {
    let ordered = sorted(keys);
    for (name, reserve) in [("load", 0), ("load, reserved", keys)] {
        let mut keydir = HashKeydir::new(1);
        let begin = Instant::now();
        keydir.reserve(reserve);
        for i in 0..keys {
            let bytes = key(i);
            let hash = keydir.hash(Key::plain(&bytes));
            keydir
                .load(hash, Key::plain(&bytes), Location::from_bits(i))
                .unwrap();
        }
        println!(
            "  {name:<28} {:8.1} ns",
            begin.elapsed().as_nanos() as f64 / keys as f64
        );
    }
    let mut keydir = HashKeydir::new(1);
    let begin = Instant::now();
    keydir.reserve(keys);
    for (hash, bytes) in &ordered {
        keydir
            .load(*hash, Key::plain(bytes), Location::from_bits(*hash))
            .unwrap();
    }
    println!(
        "  {:<28} {:8.1} ns",
        "load in order, reserved",
        begin.elapsed().as_nanos() as f64 / keys as f64
    );
    println!(
        "  bytes a key beyond the key: {:.1} reserved",
        (keydir.memory_bytes() as f64 / keys as f64) - KEY as f64
    );
}

/// What the ordered keydir is measured against: crossbeam's list, with a location in a cell that an overwrite changes.
fn skip_list(keys: u64, threads: u64) {
    println!(
        "SkipList: {keys} keys of {KEY} bytes, {threads} thread(s); ns an operation of all threads together"
    );
    let before = counting::held();
    let list: SkipList<[u8; KEY], AtomicU64> = SkipList::new(epoch::default_collector().clone());
    measure("insert", threads, keys, false, |i| {
        let guard = epoch::pin();
        list.get_or_insert(key(i), AtomicU64::new(i), &guard)
            .release(&guard);
    });
    println!(
        "  bytes a key beyond the key: {:.1} allocated",
        ((counting::held() - before) as f64 / keys as f64) - KEY as f64
    );
    measure("hit", threads, keys, false, |i| {
        let guard = epoch::pin();
        let found = list.get(&key(mix(i) % keys), &guard);
        black_box(found.unwrap().value().load(Relaxed));
    });
    measure("overwrite", threads, keys, false, |i| {
        let guard = epoch::pin();
        let found = list.get(&key(mix(i) % keys), &guard);
        found.unwrap().value().store(i, Relaxed);
    });
    let begin = Instant::now();
    let guard = epoch::pin();
    let mut at = list.front(&guard);
    while let Some(entry) = at {
        black_box(entry.value().load(Relaxed));
        at = entry.next();
    }
    let ns = begin.elapsed().as_nanos() as f64 / keys as f64;
    println!("  {:<28} {ns:8.1} ns", "scan Forward");
    drop(guard);
    measure("delete", threads, keys, false, |i| {
        let guard = epoch::pin();
        list.remove(&key(i), &guard).unwrap().release(&guard);
    });
}

fn main() {
    let mut sizes: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|arg| arg.parse().ok())
        .collect();
    if sizes.is_empty() {
        sizes.push(1_000_000);
    }
    let mut kinds: Vec<TableKind> = std::env::args()
        .filter_map(|arg| match arg.as_str() {
            "set" => Some(TableKind::Set),
            "ordered_set" => Some(TableKind::OrderedSet),
            _ => None,
        })
        .collect();
    if kinds.is_empty() {
        kinds = vec![TableKind::Set, TableKind::OrderedSet];
    }
    for keys in sizes {
        for &kind in &kinds {
            run(kind, keys, 1);
            run(kind, keys, 2);
            if kind == TableKind::OrderedSet {
                skip_list(keys, 1);
                skip_list(keys, 2);
            }
        }
    }
}
