//! Random workloads on a simulated disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bets_engine::clock::Clock;
use bets_engine::io::Storage;
use bets_engine::io::sim::Sim;
use bets_engine::merge::Phase;
use bets_engine::table::{Change, Config, MergeChoice, Open, Table, TableKind, Ttl, Wait};
use bets_engine::{Error, Key, Result};

use crate::common::{ALL_KINDS, Random, add, marked, meta_of, put_many, remove, same};
use crate::history::{History, Objects, State, objects, store};

pub const DIR: &str = "/t";

const EXISTING: Open = Open::Existing {
    kind: None,
    keypos: None,
};

/// A clock that workloads set.
#[derive(Debug)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Hand {
    fn at(ms: u64) -> Arc<Hand> {
        Arc::new(Hand(AtomicU64::new(ms)))
    }
}

/// When all that expires has expired.
const DOOMSDAY: u64 = 1 << 60;

fn config(compressed: bool, clock: Arc<Hand>) -> Config {
    Config {
        clock,
        compressed,
        max_file_size: 700,
        background: false,
        seed: Some(7),
        cache: false,
        ..Config::default()
    }
}

fn open_at(sim: &Sim, open: &Open, compressed: bool, clock: &Arc<Hand>) -> Result<Table> {
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    Table::open(
        &storage,
        Path::new(DIR),
        open,
        config(compressed, Arc::clone(clock)),
    )
}

fn open_snapshot(sim: &Sim, dir: &str) -> Result<Table> {
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    let config = Config {
        read_only: true,
        ..config(false, Hand::at(DOOMSDAY))
    };
    Table::open(&storage, Path::new(dir), &EXISTING, config)
}

/// What an opening for reading only finds when all that expires has expired.
pub fn read_only(sim: &Sim, dir: &str) -> Result<State> {
    match open_snapshot(sim, dir) {
        Ok(table) => {
            let found = objects(&table);
            table.kill();
            Ok(Some(found))
        }
        Err(Error::NoTable { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What an opening finds when all that expires has expired, after which its process dies. So a history tells only of what does not expire: an object that
/// does hides what was there before, for ever.
pub fn reopen(sim: &Sim) -> Result<State> {
    // Reading does not depend on whether values are compressed.
    match open_at(sim, &EXISTING, false, &Hand::at(DOOMSDAY)) {
        Ok(table) => {
            let found = objects(&table);
            table.kill();
            Ok(Some(found))
        }
        Err(Error::NoTable { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A key's first byte is compared, the rest is its form.
fn key(bytes: &[u8]) -> Key<'_> {
    Key::new(bytes, 1)
}

/// A workload under way.
#[expect(clippy::struct_excessive_bools, reason = "each is a temper of the workload")]
struct Run<'a> {
    sim: &'a Sim,
    random: &'a mut Random,
    kind: TableKind,
    compressed: bool,
    /// Whether every step is synced.
    always: bool,
    /// Whether much is deleted, and segments are merged a few at a time.
    merges: bool,
    /// Whether objects expire.
    expires: bool,
    table: Table,
    clock: Arc<Hand>,
    /// When what a key has expires, by the key's first byte, where a key has one object.
    deadlines: BTreeMap<u8, u64>,
    state: Objects,
    history: History,
    /// Snapshots that are open, and what they have to show.
    snapshots: Vec<(Table, Objects)>,
    backups: usize,
    wrong: Option<String>,
}

/// Why a workload ended.
pub enum Ended {
    /// It is through.
    Done,
    /// A sync failed, as it was told to.
    SyncFailed,
    /// It found something wrong.
    Wrong(String),
}

/// Runs a random workload; its history, and how it ended.
pub fn workload(sim: &Sim, random: &mut Random) -> (History, Ended) {
    let kind = ALL_KINDS[random.below(ALL_KINDS.len())];
    let compressed = random.below(3) == 0;
    let clock = Hand::at(1);
    let table = match open_at(sim, &Open::OrCreate(meta_of(kind)), compressed, &clock) {
        Ok(table) => table,
        Err(error) => return (History::new(), Ended::Wrong(error.to_string())),
    };
    let (always, expires) = (random.below(3) == 0, random.below(3) == 0);
    let mut run = Run {
        sim,
        always,
        merges: random.below(if expires { 2 } else { 3 }) == 0,
        expires,
        random,
        kind,
        compressed,
        table,
        clock,
        deadlines: BTreeMap::new(),
        state: Objects::new(),
        history: History::new(),
        snapshots: Vec::new(),
        backups: 0,
        wrong: None,
    };
    run.add(true);
    let fails = run.random.below(6) == 0;
    let ended = match run.steps(fails) {
        Ok(()) => Ended::Done,
        Err(_) if fails => Ended::SyncFailed,
        Err(error) => Ended::Wrong(error.to_string()),
    };
    // A sync that is still to fail would fail this opening.
    let found = (matches!(ended, Ended::Done) && !fails)
        .then(|| reopen(sim))
        .map(|found| found.map_err(|error| error.to_string()));
    let expected = run.history.allowed(sim.ops(), true).last().cloned().flatten();
    run.table.kill();
    if let Some(wrong) = run.wrong {
        return (run.history, Ended::Wrong(wrong));
    }
    match found {
        Some(Err(wrong)) => (run.history, Ended::Wrong(wrong)),
        Some(Ok(found)) if found != expected => {
            let wrong = format!("in the end there is {found:?}, not {expected:?}");
            (run.history, Ended::Wrong(wrong))
        }
        _ => (run.history, ended),
    }
}

impl Run<'_> {
    fn add(&mut self, durable: bool) {
        self.history.add(self.sim, Some(self.state.clone()), durable);
    }

    fn steps(&mut self, fails: bool) -> Result<()> {
        if self.random.below(2) == 0 {
            // From here on records are staged.
            self.table.care()?;
            self.add(true);
        }
        let steps = self.random.below(25) + if self.merges { 15 } else { 5 };
        let fail_at = self.random.below(steps);
        for step in 0..steps {
            if fails && step == fail_at {
                self.sim.fail_sync_at(self.random.below(3) as u64 + 1);
            }
            let durable = self.step(step)?;
            let synced = if self.always { self.table.sync() } else { Ok(()) };
            self.add(durable || self.always && synced.is_ok());
            synced?;
        }
        self.end()?;
        self.look_at_snapshots();
        Ok(())
    }

    /// Opens a snapshot, or looks at those that are open and closes one.
    fn snapshot(&mut self) -> Result<bool> {
        if self.random.below(2) == 0 {
            self.snapshots
                .push((open_snapshot(self.sim, DIR)?, self.state.clone()));
        }
        self.look_at_snapshots();
        if self.snapshots.len() > 2 {
            let at = self.random.below(self.snapshots.len());
            self.snapshots.swap_remove(at).0.close()?;
        }
        Ok(false)
    }

    fn look_at_snapshots(&mut self) {
        for (table, expected) in &self.snapshots {
            let found = objects(table);
            if found != *expected {
                self.wrong = Some(format!("a snapshot shows {found:?}, not {expected:?}"));
            }
        }
    }

    fn backup(&mut self) -> Result<bool> {
        self.backups += 1;
        let dir = format!("/b{}", self.backups);
        self.table.backup(Path::new(&dir))?;
        self.history.add_backup(self.sim, dir, self.state.clone());
        // It has made all records so far durable.
        Ok(true)
    }

    /// One key in two forms.
    fn key(&mut self) -> Vec<u8> {
        let bag = self.kind.is_bag();
        let keys = if bag { 3 } else { 6 };
        let form = if bag { 0 } else { self.random.below(2) };
        [b'a' + self.random.below(keys) as u8, b'~'][..=form].to_vec()
    }

    /// In a bag, objects come again.
    fn value(&mut self, step: usize) -> Vec<u8> {
        let byte = if self.kind.is_bag() { step % 4 } else { step };
        vec![byte as u8; [3, 40, 300][self.random.below(3)]]
    }

    /// One step; whether all so far is durable after it.
    fn step(&mut self, step: usize) -> Result<bool> {
        let bag = self.kind.is_bag();
        if self.expires && self.random.below(5) == 0 {
            return self.put_expiring(step);
        }
        if self.expires && self.random.below(8) == 0 {
            self.clock
                .0
                .fetch_add(self.random.next() % 5_000, Ordering::Relaxed);
            return self.table.sweep().map(|()| false);
        }
        if self.expires && self.merges && self.random.below(6) == 0 {
            return self.outlive(step);
        }
        if self.random.below(12) == 0 {
            return self.snapshot();
        }
        if self.backups < 2 && self.random.below(60) == 0 {
            return self.backup();
        }
        match self.random.below(if self.merges { 28 } else { 21 }) {
            0..=4 => self.put(step),
            5..=6 => self.put_list(step),
            8..=9 if bag => self.remove_object(),
            7 | 8 | 21..=23 => self.remove_key(),
            9 => self.update(step),
            10 => {
                self.table.clear(Wait::May)?;
                self.deadlines.clear();
                self.state.clear();
                Ok(false)
            }
            11 => self.table.sync().map(|()| true),
            12 => self.table.care().map(|_| true),
            13..=14 if self.kind == TableKind::DuplicateBag => self.replace_object(step),
            13..=14 if bag => self.remove_object(),
            13..=14 => self.write_list(step),
            15 => self.reopen(),
            16 | 24..=26 => self.merge_begin(),
            17..=20 => self.merge_on(),
            _ => self.table.care().map(|_| true),
        }
    }

    fn put(&mut self, step: usize) -> Result<bool> {
        let (k, v) = (self.key(), self.value(step));
        if self.kind.is_bag() {
            add(&self.table, &k, &v)?;
        } else {
            self.table.put(key(&k), &v, Wait::May)?;
            self.deadlines.remove(&k[0]);
        }
        store(&mut self.state, self.kind, k, &v);
        Ok(false)
    }

    /// Puts an object that expires.
    fn put_expiring(&mut self, step: usize) -> Result<bool> {
        let (k, v) = (self.key(), self.value(step));
        let ms = 1 + self.random.below(3_000) as u64;
        let table = self.table.expiring(Ttl::Ms(ms));
        let stored = marked(&k, &v);
        let marked = Key::new(&stored, k.len());
        match self.kind {
            TableKind::Bag => {
                table.add(marked, &v, Wait::May, &mut same)?;
                self.forget(&k, &v);
            }
            TableKind::DuplicateBag => {
                table.put(marked, &v, Wait::May)?;
            }
            TableKind::Set | TableKind::OrderedSet => {
                table.put(key(&k), &v, Wait::May)?;
                self.state.retain(|stored, _| stored[0] != k[0]);
                self.deadlines.insert(k[0], self.clock.now_ms() + ms);
            }
        }
        Ok(false)
    }

    /// Puts an object that expires behind segments that may hold an older one of its key, and merges it apart from them once it has expired.
    fn outlive(&mut self, step: usize) -> Result<bool> {
        self.reopen()?;
        self.add(true);
        self.put_expiring(step)?;
        self.add(false);
        self.reopen()?;
        self.add(true);
        self.clock.0.fetch_add(3_000, Ordering::Relaxed);
        let newest = self.table.segments().into_iter().rev();
        let newest = newest.map(|segment| segment.id).take(1 + self.random.below(2));
        if self
            .table
            .merge_start(MergeChoice::Segments(&newest.collect::<Vec<_>>()))?
        {
            self.merge_on()?;
        }
        Ok(false)
    }

    fn put_list(&mut self, step: usize) -> Result<bool> {
        let list: Vec<_> = (0..=self.random.below(4))
            .map(|_| (self.key(), self.value(step)))
            .collect();
        if self.kind.is_bag() {
            put_many(&self.table, &list)?;
        } else {
            let puts: Vec<_> = list.iter().map(|(k, v)| (key(k), v.as_slice())).collect();
            self.table.put_many(&puts, Wait::May)?;
        }
        for (k, v) in list {
            self.deadlines.remove(&k[0]);
            store(&mut self.state, self.kind, k, &v);
        }
        Ok(false)
    }

    /// Puts and deletes in one step, for tables whose keys have one object.
    fn write_list(&mut self, step: usize) -> Result<bool> {
        let mut list = Vec::new();
        for _ in 0..=self.random.below(4) {
            let value = (self.random.below(2) == 0).then(|| self.value(step));
            list.push((self.key(), value));
        }
        let writes: Vec<_> = list.iter().map(|(k, v)| (key(k), v.as_deref())).collect();
        self.table.write_many(&writes, Wait::May)?;
        for (k, v) in list {
            self.deadlines.remove(&k[0]);
            match v {
                Some(v) => store(&mut self.state, TableKind::Set, k, &v),
                None => self.state.retain(|stored, _| stored[0] != k[0]),
            }
        }
        Ok(false)
    }

    fn remove_key(&mut self) -> Result<bool> {
        let k = self.key();
        self.table.delete(key(&k), Wait::May)?;
        self.deadlines.remove(&k[0]);
        self.state.retain(|stored, _| stored[0] != k[0]);
        Ok(false)
    }

    /// An object of a key, if it has one: mostly its first.
    fn some_object(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let k = self.key();
        let last = self.random.below(3) == 0;
        let objects = self.state.get(&k)?;
        let (len, byte) = objects[if last { objects.len() - 1 } else { 0 }];
        Some((k, vec![byte; len]))
    }

    fn remove_object(&mut self) -> Result<bool> {
        if let Some((k, v)) = self.some_object() {
            remove(&self.table, &k, &v)?;
            self.forget(&k, &v);
        }
        Ok(false)
    }

    fn forget(&mut self, k: &[u8], v: &[u8]) -> usize {
        let mut copies = 0;
        self.state.retain(|stored, objects| {
            if stored == k {
                let before = objects.len();
                objects.retain(|object| *object != (v.len(), v[0]));
                copies = before - objects.len();
            }
            !objects.is_empty()
        });
        copies
    }

    /// Puts another object in the place of all copies of one.
    fn replace_object(&mut self, step: usize) -> Result<bool> {
        if let Some((k, old)) = self.some_object() {
            let new = self.value(step);
            let (old_key, new_key) = (marked(&k, &old), marked(&k, &new));
            let (old_key, new_key) = (Key::new(&old_key, k.len()), Key::new(&new_key, k.len()));
            let new_object = (new_key, new.as_slice());
            self.table
                .replace_copies(old_key, &old, new_object, u64::MAX, Wait::May, &mut same)?;
            for _ in 0..self.forget(&k, &old) {
                store(&mut self.state, self.kind, k.clone(), &new);
            }
        }
        Ok(false)
    }

    /// The stored form of a key stays.
    fn update(&mut self, step: usize) -> Result<bool> {
        let (k, v) = (self.key(), self.value(step));
        let expires = self.deadlines.get(&k[0]);
        let expires = expires.is_some_and(|&deadline| deadline > self.clock.now_ms());
        self.table
            .update(key(&k), Wait::May, |_| (Change::Put(v.clone().into()), ()))?;
        if expires {
            // It still does.
            return Ok(false);
        }
        let stored = self.state.keys().find(|stored| stored[0] == k[0]).cloned();
        self.deadlines.remove(&k[0]);
        store(&mut self.state, self.kind, stored.unwrap_or(k), &v);
        Ok(false)
    }

    fn reopen(&mut self) -> Result<bool> {
        self.table.close()?;
        self.table = open_at(self.sim, &EXISTING, self.compressed, &self.clock)?;
        Ok(true)
    }

    /// Begins a merge of everything or of some segments, and goes on with it for some steps.
    fn merge_begin(&mut self) -> Result<bool> {
        let all = self.random.below(3) == 0;
        let mut ids: Vec<u32> = self.table.segments().iter().map(|segment| segment.id).collect();
        ids.retain(|_| self.random.below(3) > 0);
        let choice = if all {
            MergeChoice::Everything
        } else {
            MergeChoice::Segments(&ids)
        };
        match self.table.merge_start(choice) {
            Ok(_) | Err(Error::Merging) => self.merge_on(),
            Err(error) => Err(error),
        }
    }

    /// Goes on with the merge, if there is one: a few steps, or to its end.
    fn merge_on(&mut self) -> Result<bool> {
        let steps = [1, 3, usize::MAX][self.random.below(3)];
        for _ in 0..steps {
            match self.table.merge_step(200)? {
                Some(progress) if progress.phase != Phase::Done => {}
                _ => break,
            }
        }
        if self.random.below(8) == 0 {
            self.table.merge_cancel();
        }
        Ok(false)
    }

    /// Deletes the table or closes it.
    fn end(&mut self) -> Result<()> {
        if self.random.below(4) == 0 {
            // Their files go with the table's.
            self.look_at_snapshots();
            self.snapshots.clear();
            self.table.destroy()?;
            self.history.add(self.sim, None, true);
        } else {
            self.table.close()?;
            self.add(true);
        }
        Ok(())
    }
}
