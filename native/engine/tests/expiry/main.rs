//! Objects that expire, against a model: random calls, a clock that goes forward and back, restarts, kills, merges, power losses.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod model;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bets_engine::Key;
use bets_engine::clock::Clock;
use bets_engine::io::Storage;
use bets_engine::io::sim::Sim;
use bets_engine::seeded::{self, Fault};
use bets_engine::table::{Config, MergeChoice, Open, Table, TableKind, Ttl, Wait};
use common::{ALL_KINDS, contents, get, marked, merge_all, meta_of};
use model::{Hand, START, open, soak};

#[test]
fn a_table_with_expiry_is_as_the_model_has_it() {
    let seeds = std::env::var("BETS_EXPIRY_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok());
    soak(0..seeds.unwrap_or(20), 150).unwrap();
}

#[test]
fn the_model_finds_seeded_faults() {
    for fault in [Fault::ExpiredDropped, Fault::ClockForgotten] {
        seeded::put(Some(fault));
        let found = soak(0..200, 150);
        seeded::put(None);
        let Err(seed) = found else {
            panic!("{fault:?} was not found");
        };
        println!("{fault:?}: found by seed {seed}");
    }
}

#[test]
fn an_expired_record_never_uncovers_an_older_one() {
    for kind in [TableKind::Set, TableKind::OrderedSet] {
        let (sim, clock) = (Sim::new(), Hand::new());
        let mut table = open(&sim, kind, &clock, None);
        let key = Key::plain(b"k");
        table.put(key, b"older", Wait::May).unwrap();
        table.put(Key::plain(b"x"), &[0; 800], Wait::May).unwrap();
        table.sync().unwrap();
        table
            .expiring(Ttl::Ms(1_000))
            .put(key, b"newer", Wait::May)
            .unwrap();
        table.put(Key::plain(b"y"), &[0; 800], Wait::May).unwrap();
        table.put(Key::plain(b"z"), &[0; 800], Wait::May).unwrap();
        table.sync().unwrap();
        clock.go(1_000);
        assert_eq!(get(&table, b"k"), None);
        // The segment with the newer one is merged, the one with the older is not.
        let newer = table.segments()[1].id;
        assert!(table.merge_start(MergeChoice::Segments(&[newer])).unwrap());
        while table.merge_step(1_000).unwrap().unwrap().phase != bets_engine::merge::Phase::Done {}
        assert_eq!(get(&table, b"k"), None);
        // The checkpoint has live keys alone; without it the segments tell.
        for (back, by_checkpoint) in [(0, true), (0, false), (1_000_000, true), (0, false)] {
            table.close().unwrap();
            clock.go_back(back);
            if !by_checkpoint {
                sim.remove(Path::new("/t/CHECKPOINT")).unwrap();
            }
            table = open(&sim, kind, &clock, None);
            assert_eq!(get(&table, b"k"), None, "by the checkpoint: {by_checkpoint}");
        }
        // All together leave nothing of either.
        merge_all(&table);
        table.close().unwrap();
        let table = open(&sim, kind, &clock, None);
        assert_eq!((get(&table, b"k"), table.len()), (None, 3));
        assert_eq!(merge_all(&table).map_or(0, |report| report.kept), 0);
    }
}

/// Guards against an opening that leaves out what is over by the clock and forgets that time: once the clock was set back, and nobody had looked at it in between, the
/// next opening would find the object.
#[test]
fn what_an_opening_has_left_out_stays_out() {
    for kind in ALL_KINDS {
        let (sim, clock) = (Sim::new(), Hand::new());
        let table = open(&sim, kind, &clock, None);
        let stored = marked(b"k", b"v");
        let expiring = table.expiring(Ttl::Ms(1_000));
        expiring.put(Key::new(&stored, 1), b"v", Wait::May).unwrap();
        table.close().unwrap();
        sim.remove(Path::new("/t/CHECKPOINT")).unwrap();
        clock.go(2_000);
        let table = open(&sim, kind, &clock, None);
        clock.go_back(10_000);
        assert_eq!(table.len(), 0);
        assert!(!table.contains(Key::plain(b"k"), Wait::May).unwrap());
        table.kill();
        let sim = sim.kill(sim.ops());
        let table = open(&sim, kind, &clock, None);
        assert!(!table.contains(Key::plain(b"k"), Wait::May).unwrap(), "{kind:?}");
    }
}

#[test]
fn an_opening_takes_no_memory_for_what_has_expired() {
    for kind in ALL_KINDS {
        let (sim, clock) = (Sim::new(), Hand::new());
        let table = open(&sim, kind, &clock, None);
        let empty = table.stats().memory_bytes;
        for (n, ttl) in (0..200u8).flat_map(|n| [(n, 10_000), (n, 1_000)]) {
            let stored = marked(&[n], &[n; 30]);
            let expiring = table.expiring(Ttl::Ms(ttl));
            expiring.put(Key::new(&stored, 1), &[n; 30], Wait::May).unwrap();
        }
        table.close().unwrap();
        sim.remove(Path::new("/t/CHECKPOINT")).unwrap();
        clock.go(11_000);
        let table = open(&sim, kind, &clock, None);
        let held = table.stats().memory_bytes;
        assert!(held < empty + 4096, "{kind:?}: {held}, empty {empty}");
        let segments = table.segments();
        let is_dead = |share: &bets_engine::merge::Share| share.dead_bytes == share.bytes;
        assert!(segments.iter().all(|segment| is_dead(&segment.share)), "{kind:?}");
    }
}

#[test]
fn what_has_expired_is_taken_for_dead_and_merged_away() {
    for kind in ALL_KINDS {
        let (sim, clock) = (Sim::new(), Hand::new());
        let table = open(&sim, kind, &clock, Some(60_000));
        for n in 0..200u8 {
            let stored = marked(&[n], &[n; 30]);
            table.put(Key::new(&stored, 1), &[n; 30], Wait::May).unwrap();
        }
        table.sync().unwrap();
        let bytes = table.stats().disk_bytes;
        let memory = table.stats().memory_bytes;
        clock.go(60_000 + 600);
        assert_eq!(contents(&table), []);
        table.sweep().unwrap();
        assert_eq!(table.len(), 0);
        assert!(table.stats().memory_bytes < memory);
        assert!(
            table
                .segments()
                .iter()
                .all(|segment| segment.share.dead_bytes == segment.share.bytes)
        );
        merge_all(&table);
        assert!(
            table.stats().disk_bytes * 20 < bytes,
            "{} of {bytes}",
            table.stats().disk_bytes
        );
    }
}

#[test]
fn timers_do_not_outnumber_keys_for_long() {
    let (sim, clock) = (Sim::new(), Hand::new());
    let table = open(&sim, TableKind::Set, &clock, None);
    let memory = table.stats().memory_bytes;
    for n in 0..100_000u64 {
        // Each is due sooner than the one before.
        table
            .expiring(Ttl::Ms(1_000_000_000 - n * 1_000))
            .put(Key::plain(b"k"), b"v", Wait::May)
            .unwrap();
        if n % 1_000 == 0 {
            table.sweep().unwrap();
        }
    }
    table.sweep().unwrap();
    let held = table.stats().memory_bytes - memory;
    assert!(held < 200_000, "{held} bytes");
    assert_eq!(table.len(), 1);
}

#[test]
fn a_table_without_ttl_never_looks_at_the_clock() {
    #[derive(Debug)]
    struct Forbidden;
    impl Clock for Forbidden {
        fn now_ms(&self) -> u64 {
            // The opening learns the time once.
            static ASKED: AtomicU64 = AtomicU64::new(0);
            assert!(
                ASKED.fetch_add(1, Ordering::SeqCst) < 1,
                "somebody looks at the clock"
            );
            START
        }
    }
    let storage: Arc<dyn Storage> = Arc::new(Sim::new());
    let config = Config {
        background: false,
        clock: Arc::new(Forbidden),
        ..Config::default()
    };
    let table = Table::open(
        &storage,
        Path::new("/t"),
        &Open::OrCreate(meta_of(TableKind::Set)),
        config,
    )
    .unwrap();
    table.put(Key::plain(b"k"), b"v", Wait::May).unwrap();
    assert_eq!(contents(&table).len(), 1);
    assert_eq!(get(&table, b"k"), Some(b"v".to_vec()));
    table.delete(Key::plain(b"k"), Wait::May).unwrap();
    table.care().unwrap();
    assert_eq!(table.deadlines(Key::plain(b"k"), Wait::May).unwrap(), []);
}
