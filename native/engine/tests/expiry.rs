//! Objects that expire, against a model: random calls, a clock that goes forward and back, restarts, kills, merges, power losses.
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
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bets_engine::clock::Clock;
use bets_engine::io::Storage;
use bets_engine::io::sim::{Plan, Sim};
use bets_engine::seeded::{self, Fault};
use bets_engine::table::{Change, Config, Cursor, MergeChoice, Open, Table, TableKind, Ttl, Wait};
use bets_engine::{Deadline, Error, Key};
use common::{ALL_KINDS, Random, all, contents, get, marked, merge_all, meta_of, same};

const START: u64 = 1_700_000_000_000;
const KEYS: usize = 8;

#[derive(Debug)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Hand {
    fn new() -> Arc<Self> {
        Arc::new(Hand(AtomicU64::new(START)))
    }

    fn go(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    fn go_back(&self, ms: u64) {
        self.0.fetch_sub(ms, Ordering::SeqCst);
    }
}

/// An object of the model: its value and when it expires.
type Object = (Vec<u8>, Option<u64>);

struct Run {
    kind: TableKind,
    sim: Sim,
    clock: Arc<Hand>,
    ttl_ms: Option<u64>,
    random: Random,
    table: Option<Table>,
    model: BTreeMap<u8, Vec<Object>>,
    /// The highest time that the table has told.
    now: u64,
    /// Whether there was anything since the last opening that expires: only then the time has to be kept.
    kept: bool,
}

fn open(sim: &Sim, kind: TableKind, clock: &Arc<Hand>, ttl_ms: Option<u64>) -> Table {
    let config = Config {
        max_file_size: 900,
        background: false,
        cache: kind as u8 % 2 == 0,
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        ttl_ms,
        ..Config::default()
    };
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    Table::open(&storage, Path::new("/t"), &Open::OrCreate(meta_of(kind)), config).unwrap()
}

impl Run {
    fn new(kind: TableKind, seed: u64) -> Run {
        let (sim, clock, mut random) = (Sim::new(), Hand::new(), Random::new(seed));
        let ttl_ms = (random.below(2) == 0).then_some(3_000);
        let table = Some(open(&sim, kind, &clock, ttl_ms));
        Run {
            kind,
            sim,
            clock,
            ttl_ms,
            random,
            table,
            model: BTreeMap::new(),
            now: 0,
            kept: false,
        }
    }

    fn table(&self) -> &Table {
        self.table.as_ref().unwrap()
    }

    /// Looks at the clock, and takes out of the model what has expired.
    fn tick(&mut self) {
        let now = self.table().now().ms();
        assert!(
            now >= self.now || !self.kept,
            "the time went back from {} to {now}",
            self.now
        );
        assert!(now >= self.clock.now_ms());
        self.now = now;
        self.model.retain(|_, objects| {
            objects.retain(|(_, deadline)| deadline.is_none_or(|deadline| deadline > now));
            !objects.is_empty()
        });
    }

    fn ttl(&mut self) -> (Ttl, Option<u64>) {
        match self.random.below(5) {
            0 => (Ttl::OfTable, self.ttl_ms.map(|ms| self.now + ms)),
            1 => (Ttl::Infinite, None),
            2 => {
                let at = self.now + 1 + self.random.below(2_000) as u64;
                (Ttl::Until(Deadline::at(at)), Some(at))
            }
            _ => {
                let ms = [1, 100, 1_000, 5_000, 60_000, 10_000_000][self.random.below(6)];
                (Ttl::Ms(ms), Some(self.now + ms))
            }
        }
    }

    fn pair(&mut self) -> (u8, Vec<u8>) {
        let byte = self.random.below(if self.kind.is_bag() { 5 } else { 200 }) as u8;
        let len = [3, 60][self.random.below(2)];
        (self.random.below(KEYS) as u8, vec![byte; len])
    }

    fn store(&mut self, k: u8, v: &[u8], deadline: Option<u64>) {
        let objects = self.model.entry(k).or_default();
        match self.kind {
            TableKind::Set | TableKind::OrderedSet => objects.clear(),
            TableKind::Bag => {
                // What is there with this deadline stays where it is.
                if objects.contains(&(v.to_vec(), deadline)) {
                    return;
                }
                objects.retain(|(other, _)| other != v);
            }
            TableKind::DuplicateBag => {}
        }
        objects.push((v.to_vec(), deadline));
        self.kept |= deadline.is_some();
    }

    fn put(&mut self) {
        let ((k, v), (ttl, deadline)) = (self.pair(), self.ttl());
        let table = self.table().expiring(ttl);
        match self.kind {
            TableKind::Set | TableKind::OrderedSet => table.put(Key::plain(&[k]), &v, Wait::May).map(drop),
            TableKind::Bag => {
                let stored = marked(&[k], &v);
                table
                    .add(Key::new(&stored, 1), &v, Wait::May, &mut same)
                    .map(drop)
            }
            TableKind::DuplicateBag => {
                let stored = marked(&[k], &v);
                table.put(Key::new(&stored, 1), &v, Wait::May).map(drop)
            }
        }
        .unwrap();
        self.store(k, &v, deadline);
    }

    fn put_list(&mut self, only_new: bool) {
        let (ttl, deadline) = self.ttl();
        let list: Vec<_> = (0..=self.random.below(4)).map(|_| self.pair()).collect();
        let keys: Vec<_> = list.iter().map(|(k, v)| marked(&[*k], v)).collect();
        let key = |i: usize| {
            if self.kind.is_bag() {
                Key::new(&keys[i], 1)
            } else {
                Key::plain(&keys[i][..1])
            }
        };
        let puts: Vec<_> = (0..list.len()).map(|i| (key(i), list[i].1.as_slice())).collect();
        let table = self.table().expiring(ttl);
        let bag = self.kind == TableKind::Bag;
        let stored = match (only_new, bag) {
            (false, false) => table.put_many(&puts, Wait::May).map(Some),
            (true, false) => table.put_many_new(&puts, Wait::May),
            (false, true) => table.add_many(&puts, Wait::May, &mut same),
            (true, true) => table.add_many_new(&puts, Wait::May, &mut same),
        }
        .unwrap();
        let new = list.iter().all(|(k, _)| !self.model.contains_key(k));
        if only_new {
            assert_eq!(stored.is_some(), new, "insert_new over {list:?}");
        }
        if !only_new || new {
            // Of equal objects in a list the first one counts.
            let mut seen = Vec::new();
            for (k, v) in list {
                if !bag || !seen.contains(&(k, v.clone())) {
                    self.store(k, &v, deadline);
                }
                seen.push((k, v));
            }
        }
    }

    /// An update keeps the deadline, and gives what is not there the table's.
    fn update(&mut self) {
        let (k, v) = self.pair();
        let found = self
            .table()
            .update(Key::plain(&[k]), Wait::May, |found| {
                (Change::Put(v.clone()), found.map(|found| found.value.to_vec()))
            })
            .unwrap()
            .1;
        let before = self.model.get(&k).map(|objects| objects[0].clone());
        assert_eq!(found, before.as_ref().map(|(value, _)| value.clone()));
        let fresh = self.ttl_ms.map(|ms| self.now + ms);
        self.store(k, &v, before.map_or(fresh, |(_, deadline)| deadline));
    }

    fn delete(&mut self) {
        let (k, v) = self.pair();
        let there = self.model.contains_key(&k);
        if self.kind.is_bag() && self.random.below(2) == 0 {
            let stored = marked(&[k], &v);
            let key = Key::new(&stored, 1);
            let copies = self.table().delete_copies(key, &v, Wait::May, &mut same).unwrap();
            let objects = self.model.entry(k).or_default();
            let before = objects.len();
            objects.retain(|(other, _)| *other != v);
            assert_eq!(copies.map_or(0, |(_, copies)| copies), before - objects.len());
            if objects.is_empty() {
                self.model.remove(&k);
            }
            return;
        }
        let deleted = if self.kind.is_bag() && self.random.below(2) == 0 {
            let mut taken = Vec::new();
            let (commit, _) = self
                .table()
                .take_all(Key::plain(&[k]), Wait::May, |_, found| {
                    taken.push(found.value.to_vec());
                    ControlFlow::<()>::Continue(())
                })
                .unwrap();
            let expected = self.model.get(&k).cloned().unwrap_or_default();
            assert_eq!(taken, expected.into_iter().map(|(v, _)| v).collect::<Vec<_>>());
            commit
        } else {
            self.table().delete(Key::plain(&[k]), Wait::May).unwrap()
        };
        assert_eq!(deleted.is_some(), there);
        self.model.remove(&k);
    }

    fn merge(&mut self) {
        let everything = self.random.below(2) == 0;
        let mut ids: Vec<u32> = self.table().segments().iter().map(|segment| segment.id).collect();
        ids.retain(|_| self.random.below(2) == 0);
        let choice = if everything {
            MergeChoice::Everything
        } else {
            MergeChoice::Segments(&ids)
        };
        match self.table().merge_start(choice) {
            Ok(_) | Err(Error::Merging) => {}
            Err(error) => panic!("{error}"),
        }
        for _ in 0..[1, 4, usize::MAX][self.random.below(3)] {
            match self.table().merge_step(300).unwrap() {
                Some(progress) if progress.phase != bets_engine::merge::Phase::Done => {}
                _ => break,
            }
        }
    }

    /// Opens the table again, after a close, a kill, or a sync and the loss of power.
    fn reopen(&mut self) {
        let table = self.table.take().unwrap();
        match self.random.below(3) {
            0 => table.close().unwrap(),
            1 => {
                table.kill();
                self.sim = self.sim.kill(usize::MAX);
            }
            _ => {
                table.sync().unwrap();
                table.kill();
                self.sim = self.sim.crash(usize::MAX, &Plan::Nothing);
            }
        }
        if self.random.below(2) == 0 {
            self.clock.go_back(self.random.below(100_000) as u64);
        }
        self.table = Some(open(&self.sim, self.kind, &self.clock, self.ttl_ms));
        self.tick();
        self.kept = self
            .model
            .values()
            .flatten()
            .any(|(_, deadline)| deadline.is_some());
    }

    fn step(&mut self) {
        self.tick();
        match self.random.below(26) {
            8..=9 => self.put_list(false),
            10 => self.put_list(true),
            11..=12 if !self.kind.is_bag() => self.update(),
            0..=7 | 11..=12 => self.put(),
            13..=14 => self.delete(),
            15 => {
                let (_, objects) = self.table().clear_counted(Wait::May).unwrap();
                assert_eq!(objects as usize, self.model.values().map(Vec::len).sum::<usize>());
                self.model.clear();
            }
            16..=17 => self.table().care().map(drop).unwrap(),
            18 => self.table().sync().unwrap(),
            19..=20 => self.merge(),
            21..=22 => self.reopen(),
            23 => {
                let back = self.random.below(20_000) as u64;
                self.clock.go_back(back);
            }
            _ => {
                let on = [1, 50, 900, 4_000, 70_000][self.random.below(5)];
                self.clock.go(on);
            }
        }
        self.check();
    }

    /// Every way to read tells what the model has.
    fn check(&mut self) {
        self.tick();
        let table = self.table.as_ref().unwrap();
        let mut keys = Vec::new();
        for k in 0..KEYS as u8 {
            let expected = self.model.get(&k).cloned().unwrap_or_default();
            let key = Key::plain(std::slice::from_ref(&k));
            let values: Vec<_> = expected.iter().map(|(v, _)| v.clone()).collect();
            assert_eq!(all(table, &[k]), values, "the objects of {k}");
            assert_eq!(
                get(table, &[k]),
                values.first().cloned(),
                "the first object of {k}"
            );
            assert_eq!(table.contains(key, Wait::May).unwrap(), !values.is_empty());
            let deadlines = table.deadlines(key, Wait::May).unwrap();
            let deadlines: Vec<_> = deadlines.iter().map(|deadline| deadline.ms()).collect();
            assert_eq!(deadlines, expected.iter().map(|(_, d)| *d).collect::<Vec<_>>());
            if !values.is_empty() {
                keys.push(k);
            }
        }
        let expected: Vec<_> = self
            .model
            .iter()
            .flat_map(|(k, objects)| objects.iter().map(|(v, _)| (vec![*k], v.clone())))
            .collect();
        let mut found = contents(table);
        if !self.kind.is_bag() {
            found.sort();
        }
        assert_eq!(found, expected, "a traversal");
        let mut met = Vec::new();
        let mut cursor = Cursor::default();
        while let Some(key) = table.next_key(&cursor, Wait::May).unwrap() {
            met.push(key[0]);
            cursor.go_behind(Key::plain(&key));
        }
        met.sort_unstable();
        assert_eq!(met, keys, "key by key");
        if self.kind != TableKind::OrderedSet {
            let bits = table.slot_bits();
            let slots =
                (0..Table::slots(bits)).flat_map(|slot| table.slot(slot, bits, Wait::May).unwrap().unwrap());
            let mut met: Vec<_> = slots.map(|key| key[0]).collect();
            met.sort_unstable();
            assert_eq!(met, keys, "slot by slot");
        }
        assert!(table.len() as usize >= expected.len());
        if self.random.below(4) == 0 {
            let live = expected.len();
            self.table().sweep().unwrap();
            // Wherever its timer stands, what has expired before this period is not counted after it.
            let later = self.clock.now_ms().max(self.now) + 501;
            self.clock.0.store(later, Ordering::SeqCst);
            self.table().sweep().unwrap();
            let len = self.table().len() as usize;
            self.tick();
            let still = self.model.values().map(Vec::len).sum::<usize>();
            assert!(
                still <= len && len <= live,
                "{len} objects, not {still} to {live}"
            );
        }
    }
}

fn soak(seeds: std::ops::Range<u64>, steps: usize) -> Result<(), u64> {
    for seed in seeds {
        for kind in ALL_KINDS {
            let failed = std::panic::catch_unwind(|| {
                let mut run = Run::new(kind, seed);
                for _ in 0..steps {
                    run.step();
                }
            });
            if let Err(panic) = failed {
                println!("seed {seed} of {kind:?}");
                if seeded_run() {
                    return Err(seed);
                }
                std::panic::resume_unwind(panic);
            }
        }
    }
    Ok(())
}

fn seeded_run() -> bool {
    seeded::has(Fault::ExpiredDropped) || seeded::has(Fault::ClockForgotten)
}

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
