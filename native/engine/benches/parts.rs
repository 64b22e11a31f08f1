//! Each part of a write's and a read's path, with the physical limit of it beside it: `cargo bench -p bets_engine`, with words of the names to choose.
//!
//! A million keys of 19 bytes in random order, values of 103 bytes: `{16-byte binary, 100-byte binary}` as stored. The names tell what to compare: `a_limit_..` stands in
//! each group. The whole path is measured by `examples/table_bench.rs`, memory and the longest operation by `examples/keydir_bench.rs`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::wildcard_imports,
    reason = "a benchmark"
)]

use std::cell::Cell;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use bets_engine::format::frame::Frame;
use bets_engine::format::record::{Kind, Record, Stamp};
use bets_engine::io::{Storage, real::Os};
use bets_engine::keydir::{Hit, Keydir, Location};
use bets_engine::table::{Config, Meta, Open, Sync, Table, TableKind, Wait};
use bets_engine::{Deadline, Key, Now};
use divan::Bencher;

const KEYS: u64 = 1_000_000;
const KEY_LEN: usize = 19;
const VALUE: [u8; 103] = [5; 103];
/// What a put of them takes in the log.
const FRAME_LEN: usize = 149;

fn main() {
    // Many calls to a sample: one alone takes less than the clock can tell.
    divan::Divan::default()
        .sample_count(20)
        .sample_size(20_000)
        .config_with_args()
        .main();
    for name in [CACHED_NAME, UNCACHED_NAME] {
        let _ = std::fs::remove_dir_all(scratch(name));
    }
}

const CACHED_NAME: &str = "cached";
const UNCACHED_NAME: &str = "uncached";

fn key(i: u64) -> [u8; KEY_LEN] {
    let mut key = [7; KEY_LEN];
    let mixed = (i ^ (i << 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    key[1..9].copy_from_slice(&mixed.to_le_bytes());
    key[9..17].copy_from_slice(&i.to_le_bytes());
    key
}

/// Numbers below a million in no order.
fn random() -> impl Fn() -> u64 {
    let last = Cell::new(1u64);
    move || {
        let mut z = last.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        last.set(z);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 31)) % KEYS
    }
}

fn record<'a>(key: &'a [u8], value: &'a [u8]) -> Record<'a> {
    Record::new(Kind::Put, Key::plain(key), value)
}

fn stamp(seq: u64) -> Stamp {
    Stamp {
        segment: 1,
        seq,
        durable_seq: Some(seq.saturating_sub(5)),
    }
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("bets-parts-{}-{name}", std::process::id()))
}

mod frame {
    use super::*;

    fn framed() -> Vec<u8> {
        let mut bytes = Vec::new();
        record(&key(1), &VALUE).put(&mut bytes, stamp(9));
        bytes
    }

    #[divan::bench]
    fn a_limit_copy(bencher: Bencher) {
        let (from, mut to) = (framed(), [0; 256]);
        bencher.bench_local(|| {
            let from = black_box(&from[..]);
            black_box(&mut to)[..from.len()].copy_from_slice(from);
        });
    }

    #[divan::bench]
    fn a_limit_crc(bencher: Bencher) {
        let bytes = framed();
        bencher.bench_local(|| crc32fast::hash(black_box(&bytes)));
    }

    #[divan::bench]
    fn write(bencher: Bencher) {
        let (key, mut out) = (key(1), Vec::with_capacity(256));
        let seq = Cell::new(10);
        bencher.bench_local(|| {
            seq.set(seq.get() + 1);
            out.clear();
            record(black_box(&key), black_box(&VALUE)).put(&mut out, stamp(seq.get()));
        });
    }

    #[divan::bench]
    fn check(bencher: Bencher) {
        let bytes = framed();
        bencher.bench_local(|| {
            let frame = Frame::parse(black_box(&bytes)).unwrap();
            frame.value().unwrap().len()
        });
    }
}

/// A keydir of each type with all keys.
static HASH: LazyLock<Keydir> = LazyLock::new(|| filled(TableKind::Set));
static ORDERED: LazyLock<Keydir> = LazyLock::new(|| filled(TableKind::OrderedSet));

fn filled(kind: TableKind) -> Keydir {
    let keydir = Keydir::new(kind, 1);
    (0..KEYS).for_each(|i| put(&keydir, i));
    keydir
}

fn put(keydir: &Keydir, i: u64) {
    let bytes = key(i);
    let key = Key::plain(&bytes);
    let hash = keydir.hash(key);
    let mut guard = keydir.lock(Keydir::shard_of(hash));
    let record = (Location::from_bits(i), Deadline::NEVER);
    guard.put(hash, key, record, i).unwrap();
}

/// A line of memory, whose word is the number of the next one to look at.
#[repr(align(64))]
struct Line(u64);

/// 64 MiB of lines in one cycle, in no order.
static LINES: LazyLock<Box<[Line]>> = LazyLock::new(|| {
    let mut order: Vec<u64> = (0..KEYS).collect();
    let random = random();
    (1..order.len())
        .rev()
        .for_each(|i| order.swap(i, (random() as usize) % (i + 1)));
    let mut lines: Vec<Line> = (0..KEYS).map(Line).collect();
    for (i, &at) in order.iter().enumerate() {
        lines[at as usize].0 = order[(i + 1) % order.len()];
    }
    lines.into()
});

mod keydir {
    use super::*;

    #[divan::bench]
    fn a_limit_one_cache_miss(bencher: Bencher) {
        let lines = &*LINES;
        let at = Cell::new(0);
        bencher.bench_local(|| at.set(lines[at.get() as usize].0));
    }

    #[divan::bench]
    fn a_limit_hash_of_the_key(bencher: Bencher) {
        let random = random();
        bencher.bench_local(|| xxhash_rust::xxh3::xxh3_64_with_seed(&key(random()), 1));
    }

    #[divan::bench]
    fn set_candidate(bencher: Bencher) {
        let (keydir, random) = (&*HASH, random());
        bencher.bench_local(|| {
            let bytes = key(random());
            let key = Key::plain(&bytes);
            keydir
                .candidate(keydir.hash(key), key, Now::BEFORE_ALL, &bets_engine::epoch::pin())
                .unwrap()
                .unwrap()
        });
    }

    #[divan::bench(args = ["set", "ordered_set"])]
    fn hit(bencher: Bencher, kind: &str) {
        let (keydir, random) = (keydir_of(kind), random());
        bencher.bench_local(|| get(keydir, &key(random())).unwrap());
    }

    #[divan::bench(args = ["set", "ordered_set"])]
    fn miss(bencher: Bencher, kind: &str) {
        let (keydir, random) = (keydir_of(kind), random());
        bencher.bench_local(|| {
            assert!(get(keydir, &key(KEYS + random())).is_none());
        });
    }

    #[divan::bench(args = ["set", "ordered_set"])]
    fn overwrite(bencher: Bencher, kind: &str) {
        let (keydir, random) = (keydir_of(kind), random());
        bencher.bench_local(|| put(keydir, random()));
    }

    #[divan::bench(args = ["set", "ordered_set"], sample_count = 20, sample_size = 50_000)]
    fn insert(bencher: Bencher, kind: &str) {
        let kind = if kind == "set" {
            TableKind::Set
        } else {
            TableKind::OrderedSet
        };
        let (keydir, next) = (filled(kind), Cell::new(KEYS));
        bencher.bench_local(|| {
            put(&keydir, next.get());
            next.set(next.get() + 1);
        });
    }

    fn get(keydir: &Keydir, key: &[u8]) -> Option<Hit> {
        let key = Key::plain(key);
        keydir.get(keydir.hash(key), key, Now::BEFORE_ALL).unwrap()
    }

    fn keydir_of(kind: &str) -> &'static Keydir {
        if kind == "set" { &HASH } else { &ORDERED }
    }
}

/// A table with all keys, whose values are in the cache, and one whose values are read from its file.
static CACHED: LazyLock<Table> = LazyLock::new(|| table(true));
static UNCACHED: LazyLock<Table> = LazyLock::new(|| table(false));

fn table(cache: bool) -> Table {
    bets_engine::cache::set_capacity(1 << 30);
    let storage: Arc<dyn Storage> = Arc::new(Os);
    let meta = Meta {
        kind: TableKind::Set,
        keypos: 1,
        equality: 0,
        name: Vec::new(),
    };
    let config = Config {
        cache,
        sync: Sync::None,
        ..Config::default()
    };
    let dir = scratch(if cache { CACHED_NAME } else { UNCACHED_NAME });
    let table = Table::open(&storage, &dir, &Open::OrCreate(meta), config).unwrap();
    for i in 0..KEYS {
        table.put(Key::plain(&key(i)), &VALUE, Wait::May).unwrap();
    }
    // Makes the stage, if none is there yet, and leaves all records in the file.
    table.care().unwrap();
    table
}

mod append {
    use super::*;

    /// A million frames' room in a file that is preallocated.
    fn file(name: &str) -> File {
        let path = scratch(name);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all_at(&vec![1; FRAME_LEN * KEYS as usize], 0).unwrap();
        file
    }

    #[divan::bench]
    fn a_limit_pwrite_each(bencher: Bencher) {
        let (file, at) = (file("pwrite"), Cell::new(0));
        bencher.bench_local(|| {
            file.write_all_at(&[5; FRAME_LEN], at.get()).unwrap();
            at.set((at.get() + FRAME_LEN as u64) % (FRAME_LEN as u64 * KEYS));
        });
    }

    /// What a stage of that length costs each record that goes through it.
    #[divan::bench]
    fn a_limit_pwrite_of_64_kib(bencher: Bencher) {
        let (file, at) = (file("pwrite64"), Cell::new(0));
        let bytes = vec![5; 64 << 10];
        bencher
            .counter(divan::counter::ItemsCount::new(bytes.len() / FRAME_LEN))
            .bench_local(|| {
                file.write_all_at(&bytes, at.get()).unwrap();
                at.set((at.get() + bytes.len() as u64) % (FRAME_LEN as u64 * KEYS - bytes.len() as u64));
            });
    }

    #[divan::bench(args = [CACHED_NAME, UNCACHED_NAME], sample_count = 20, sample_size = 20_000)]
    fn overwrite(bencher: Bencher, table: &str) {
        let table = if table == CACHED_NAME {
            &*CACHED
        } else {
            &*UNCACHED
        };
        let random = random();
        bencher.bench_local(|| table.put(Key::plain(&key(random())), &VALUE, Wait::May).unwrap());
    }
}

mod read {
    use super::*;

    #[divan::bench]
    fn a_limit_two_cache_misses(bencher: Bencher) {
        let lines = &*LINES;
        let at = Cell::new(0);
        bencher.bench_local(|| {
            let next = lines[at.get() as usize].0;
            at.set(lines[next as usize].0);
        });
    }

    #[divan::bench]
    fn a_limit_pread(bencher: Bencher) {
        let path = scratch("pread");
        std::fs::write(&path, vec![1; FRAME_LEN * KEYS as usize]).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let (random, mut buffer) = (random(), [0; FRAME_LEN]);
        bencher.bench_local(|| {
            file.read_exact_at(&mut buffer, random() * FRAME_LEN as u64)
                .unwrap()
        });
    }

    #[divan::bench]
    fn from_the_cache(bencher: Bencher) {
        let (table, random) = (&*CACHED, random());
        bencher.bench_local(|| get(table, &key(random())));
    }

    #[divan::bench]
    fn from_the_file(bencher: Bencher) {
        let (table, random) = (&*UNCACHED, random());
        bencher.bench_local(|| get(table, &key(random())));
    }

    #[divan::bench]
    fn from_the_stage(bencher: Bencher) {
        let table = &*UNCACHED;
        (0..100).for_each(|i| drop(table.put(Key::plain(&key(i)), &VALUE, Wait::May)));
        let random = random();
        bencher.bench_local(|| get(table, &key(random() % 100)));
    }

    fn get(table: &Table, key: &[u8]) -> usize {
        table
            .get(Key::plain(key), Wait::May, |found| found.value.len())
            .unwrap()
            .unwrap()
    }
}
