//! The model: what each key holds and until when, and the random calls after each of which the table is read in every way and compared.

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

use crate::common::{ALL_KINDS, Random, all, contents, get, marked, meta_of, same};

pub const START: u64 = 1_700_000_000_000;
const KEYS: usize = 8;

/// A clock that tests set.
#[derive(Debug)]
pub struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Hand {
    pub fn new() -> Arc<Self> {
        Arc::new(Hand(AtomicU64::new(START)))
    }

    pub fn go(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn go_back(&self, ms: u64) {
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

/// A table with small segments and nothing in the background, so that the seed alone says what happens.
pub fn open(sim: &Sim, kind: TableKind, clock: &Arc<Hand>, ttl_ms: Option<u64>) -> Table {
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
                (
                    Change::Put(v.clone().into()),
                    found.map(|found| found.value.to_vec()),
                )
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

/// Random steps on a table of each type. While a fault is seeded, the seed that finds it is returned as the error.
pub fn soak(seeds: std::ops::Range<u64>, steps: usize) -> Result<(), u64> {
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
