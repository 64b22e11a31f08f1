//! Small models of threads that meet in the keydir and in the value cache, run in many orders of their steps by shuttle.
//!
//! `cargo test -p bets_engine --features shuttle --test shuttle`. `BETS_SCHEDULES` says in how many orders each model is run (default 300).
//! What is not tried: other orders of memory than the sequentially consistent one (`bin/soak tsan` looks at these), and the steps inside the
//! epoch, which keeps atomics of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bets_engine::cache::{Spot, TableCache};
use bets_engine::epoch;
use bets_engine::format::segment::HEADER_LEN;
use bets_engine::keydir::{Batch, Chain, Direction, Exclusive, KeyChange, Keydir, Location, Span};
use bets_engine::seeded::{self, Fault};
use bets_engine::table::TableKind;
use bets_engine::{Deadline, Key, Now};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::atomic::{AtomicU32, Ordering};
use shuttle::{Config, Runner, thread};

const KINDS: [TableKind; 3] = [TableKind::Set, TableKind::Bag, TableKind::OrderedSet];

/// Segment 1 is merged into segment 9; writers append to segment 5.
const OLD: u16 = 1;
const NEW: u16 = 5;
const COPY: u16 = 9;

fn schedules() -> usize {
    std::env::var("BETS_SCHEDULES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(300)
}

/// Runs a model in so many orders: half of them at random, half with few changes of who goes on, at random places (Burckhardt et al., "A
/// randomized scheduler with probabilistic guarantees of finding bugs", 2010).
fn check(schedules: usize, model: impl Fn() + Send + Sync + 'static) {
    let model = Arc::new(model);
    run(RandomScheduler::new(schedules.div_ceil(2)), &model);
    run(PctScheduler::new(3, schedules / 2), &model);
}

fn run(scheduler: impl Scheduler + 'static, model: &Arc<impl Fn() + Send + Sync + 'static>) {
    let model = Arc::clone(model);
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    Runner::new(scheduler, config).run(move || model());
}

fn key(name: &[u8]) -> Key<'_> {
    // In a bag the last four bytes of the suffix are the fingerprint of the object.
    Key::new(name, 2)
}

fn at(segment: u16, n: u32) -> Location {
    Location::new(segment, 32 + n * 64, 64)
}

fn put(keydir: &Keydir, name: &[u8], location: Location, seq: u64) {
    let hash = keydir.hash(key(name));
    let mut guard = keydir.lock(Keydir::shard_of(hash));
    guard
        .put(hash, key(name), (location, Deadline::NEVER), seq)
        .unwrap();
}

/// As [`put`] for a key that is there, as who has read its record does it.
fn overwrite(keydir: &Keydir, name: &[u8], location: Location, seq: u64) {
    let hash = keydir.hash(key(name));
    let mut guard = keydir.lock(Keydir::shard_of(hash));
    let Some(candidate) = guard.candidate(hash) else {
        drop(guard);
        return put(keydir, name, location, seq);
    };
    assert!(guard.replace_candidate(hash, candidate, location));
}

fn remove(keydir: &Keydir, name: &[u8]) {
    let hash = keydir.hash(key(name));
    keydir
        .lock(Keydir::shard_of(hash))
        .remove(hash, key(name), u64::MAX);
}

/// What a merge does once a record is copied.
fn relocate(keydir: &Keydir, name: &[u8], seq: u64, to: Location) {
    let hash = keydir.hash(key(name));
    let mut guard = keydir.lock(Keydir::shard_of(hash));
    guard.relocate(hash, plain(keydir, name), seq, |old| old.segment() == OLD, to);
}

/// A record's key as a merge has it: in a bag without the fingerprint.
fn plain<'n>(keydir: &Keydir, name: &'n [u8]) -> Key<'n> {
    match keydir {
        Keydir::Bag(_) => key(name).split_fingerprint().0,
        _ => key(name),
    }
}

fn get(keydir: &Keydir, name: &[u8]) -> Option<Location> {
    loop {
        if let Ok(hit) = keydir.get(keydir.hash(key(name)), key(name), Now::BEFORE_ALL) {
            return hit.map(|hit| hit.location);
        }
        thread::yield_now();
    }
}

/// The locations that a traversal finds, in its order.
fn traverse(keydir: &Keydir) -> Vec<(Vec<u8>, Location)> {
    let (mut found, mut batch) = (Vec::new(), Batch::new());
    let mut behind: Option<Vec<u8>> = None;
    loop {
        batch.clear();
        let from = behind.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let span = Span {
            direction: Direction::Forward,
            from,
            until: Bound::Unbounded,
        };
        let more = keydir.scan(&span, None, 2, &mut batch);
        found.extend(
            batch
                .iter()
                .map(|(key, location)| (key.compared().to_vec(), location)),
        );
        behind = found.last().map(|(key, _)| key.clone());
        match more {
            Ok(false) => return found,
            Ok(true) => {}
            Err(_) => thread::yield_now(),
        }
    }
}

const NAMES: [&[u8]; 3] = [b"a0\0\0\0\0", b"b0\0\0\0\0", b"c0\0\0\0\0"];

/// A keydir whose keys are in the segment that is merged.
fn filled(kind: TableKind) -> Arc<Keydir> {
    let mut keydir = Keydir::new(kind, 7);
    let records = (0u32..)
        .zip(NAMES)
        .map(|(n, name)| (key(name), (at(OLD, n), Deadline::NEVER), n));
    match keydir.exclusive() {
        Exclusive::Hashed(keydir) => {
            for (key, record, n) in records {
                let hash = keydir.hash(key);
                let mut guard = keydir.lock(Keydir::shard_of(hash));
                guard.put(hash, key, record, u64::from(n) + 1).unwrap();
            }
        }
        Exclusive::Ordered(keydir) => {
            let mut chain = Chain::new();
            let changes = records.map(|(key, record, _)| KeyChange {
                key,
                to: Some(record),
            });
            chain.merge(changes, |_| {});
            keydir.fill(chain);
        }
    }
    Arc::new(keydir)
}

/// A writer overwrites one key, deletes and puts back another and leaves the third; a merge points all three at copies. Whoever is last, a write is never undone.
fn writer_and_merge(kind: TableKind) {
    let keydir = filled(kind);
    let writer = {
        let keydir = Arc::clone(&keydir);
        thread::spawn(move || {
            if kind == TableKind::Bag {
                remove(&keydir, NAMES[0]);
            }
            overwrite(&keydir, NAMES[0], at(NEW, 0), 10);
            remove(&keydir, NAMES[1]);
            put(&keydir, NAMES[1], at(NEW, 1), 12);
        })
    };
    let merge = {
        let keydir = Arc::clone(&keydir);
        thread::spawn(move || {
            for (n, name) in (0u32..).zip(NAMES) {
                relocate(&keydir, name, u64::from(n) + 1, at(COPY, n));
            }
        })
    };
    let reader = {
        let keydir = Arc::clone(&keydir);
        thread::spawn(move || {
            let stays = get(&keydir, NAMES[2]).expect("a key that stays was not found");
            assert!(stays == at(OLD, 2) || stays == at(COPY, 2));
            let changes = get(&keydir, NAMES[0]);
            let may = [at(OLD, 0), at(COPY, 0), at(NEW, 0)];
            assert!(changes.is_some_and(|found| may.contains(&found)) || kind == TableKind::Bag);
            let mut seen = traverse(&keydir);
            seen.retain(|(name, _)| name == b"c0");
            assert_eq!(seen.len(), 1, "a traversal sees a key that stays once");
        })
    };
    for thread in [writer, merge, reader] {
        thread.join().unwrap();
    }
    assert_eq!(get(&keydir, NAMES[0]), Some(at(NEW, 0)), "a write was undone");
    assert_eq!(get(&keydir, NAMES[1]), Some(at(NEW, 1)), "a write was undone");
    assert_eq!(get(&keydir, NAMES[2]), Some(at(COPY, 2)));
    assert_eq!(keydir.len(), 3);
}

/// Two writers let the table grow and shrink while a reader looks for what stays and traverses.
fn growth(kind: TableKind) {
    let keydir = filled(kind);
    let grow = |from: u8| {
        let keydir = Arc::clone(&keydir);
        thread::spawn(move || {
            for n in from..from + 3 {
                put(
                    &keydir,
                    &[b'g', n, 0, 0, 0, n],
                    at(NEW, u32::from(n)),
                    20 + u64::from(n),
                );
            }
            remove(&keydir, &[b'g', from, 0, 0, 0, from]);
        })
    };
    let writers = [grow(0), grow(10)];
    let reader = {
        let keydir = Arc::clone(&keydir);
        thread::spawn(move || {
            for (n, name) in (0u32..).zip(NAMES) {
                assert_eq!(get(&keydir, name), Some(at(OLD, n)));
            }
            let seen = traverse(&keydir);
            for name in NAMES {
                assert_eq!(seen.iter().filter(|(found, _)| found == &name[..2]).count(), 1);
            }
        })
    };
    for thread in writers.into_iter().chain([reader]) {
        thread.join().unwrap();
    }
    assert_eq!(keydir.len(), 7);
}

/// Records are kept, moved and forgotten while they are looked for: what is found is the record of its place.
fn cache(many: bool) {
    let cache = Arc::new(TableCache::new(many));
    let spot = |location| Spot { hash: 7, location };
    let places = [spot(at(OLD, 0)), spot(at(COPY, 0)), spot(at(NEW, 0))];
    let new = places[2].location;
    let value = move |place: Spot| if place.location == new { b"new" } else { b"old" };
    let act = |f: Box<dyn Fn(&TableCache) + Send>| {
        let cache = Arc::clone(&cache);
        thread::spawn(move || f(&cache))
    };
    let threads = [
        act(Box::new(move |cache| {
            cache.put(places[0], b"k", b"old");
            cache.replace(places[2], Some(places[0].location), b"k", b"new");
        })),
        act(Box::new(move |cache| {
            cache.relocate(places[0], places[1].location);
            cache.put(places[1], b"k", b"old");
            cache.remove(places[2]);
        })),
        act(Box::new(move |cache| {
            for place in places.into_iter().chain(places) {
                cache.get(place, |key, found| {
                    assert_eq!((key, found), (&b"k"[..], &value(place)[..]))
                });
            }
        })),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
    for place in places {
        cache.get(place, |_, found| assert_eq!(found, value(place)));
        cache.remove(place);
    }
}

/// What is written stays in blocks, some of it in the place of what failed, while blocks go: what is found is what was written there at last.
fn blocks() {
    let cache = TableCache::new(false);
    let mut filler = cache.keeper().filler(true);
    let blocks = Arc::clone(filler.blocks());
    let byte = |offset: u32| (offset.wrapping_mul(0x9e37_79b1) >> 24) as u8;
    let shown = Arc::new(AtomicU32::new(HEADER_LEN));
    let known = Arc::clone(&shown);
    let writer = thread::spawn(move || {
        let mut at = HEADER_LEN;
        for (failed, len) in [(0, 100), (50, 20_000), (30_000, 17_000), (10, 30)] {
            filler.write(at, &vec![0xff; failed], &[]);
            filler.write(at, &(at..at + len).map(byte).collect::<Vec<_>>(), &[]);
            at += len;
            shown.store(at, Ordering::SeqCst);
        }
    });
    let found = Arc::clone(&blocks);
    let reader = thread::spawn(move || {
        for _ in 0..3 {
            let end = known.load(Ordering::SeqCst);
            let places = [(HEADER_LEN, 100), (HEADER_LEN + 100, 20_000), (end - 30, 30)];
            for (offset, len) in places {
                if offset >= HEADER_LEN && offset + len <= end {
                    let is_right = |bytes: &[u8]| (offset..).zip(bytes).all(|(at, &b)| b == byte(at));
                    assert_ne!(
                        found.get(offset, len as usize, &epoch::pin(), is_right),
                        Some(false)
                    );
                }
            }
        }
    });
    let other = thread::spawn(move || {
        blocks.subtract(HEADER_LEN, 15_000);
        blocks.clear();
    });
    for thread in [writer, reader, other] {
        thread.join().unwrap();
    }
}

#[test]
fn blocks_give_what_was_written_at_last_or_nothing() {
    check(schedules(), blocks);
}

#[test]
fn a_merge_and_a_writer_agree() {
    for kind in KINDS {
        check(schedules(), move || writer_and_merge(kind));
    }
}

#[test]
fn readers_find_what_stays_while_the_table_grows() {
    for kind in KINDS {
        check(schedules(), move || growth(kind));
    }
}

#[test]
fn the_cache_gives_the_record_of_its_place() {
    for many in [false, true] {
        check(schedules(), move || cache(many));
    }
}

/// The models are worth what they find.
#[test]
fn a_relocation_that_does_not_compare_is_found() {
    for kind in [TableKind::Set, TableKind::OrderedSet] {
        let found = catch_unwind(AssertUnwindSafe(|| {
            check(300, move || {
                seeded::put(Some(Fault::RelocationNotCompared));
                writer_and_merge(kind);
            })
        }));
        seeded::put(None);
        assert!(found.is_err(), "{kind:?}: the fault was not found");
    }
}
