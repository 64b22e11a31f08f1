//! Power losses and kills at every moment of random workloads, and again during the recovery from them.
//!
//! A workload runs on a simulated disk. At each moment between two of its operations, disks are made that a power loss may leave; each must
//! open to a state of the history that is not older than what was durable and not newer than what was begun. A kill loses nothing that was
//! acknowledged. Then the recovery is crashed in the same way: what it finds must be in the same range, and once it is done it is durable.
//!
//! `BETS_CRASH_IMAGES` says how many distinct images are tried (default 100,000); `BETS_CRASH_SEED` the first workload.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use bets_engine::io::Storage;
use bets_engine::io::sim::{Plan, Sim};
use bets_engine::table::{Change, Config, Open, Table, TableKind, Wait};
use bets_engine::{Error, Key, Result};
use common::{ALL_KINDS, Random, add, contents, meta_of, put_many, remove};

const DIR: &str = "/t";

/// What a table holds: the objects of each key in their order, as length and first byte of the value.
type Objects = BTreeMap<Vec<u8>, Vec<(usize, u8)>>;

/// The same; `None` if there is no table.
type State = Option<Objects>;

fn brief(value: &[u8]) -> (usize, u8) {
    assert!(
        value.iter().all(|&byte| byte == value[0]),
        "a value that was never written"
    );
    (value.len(), value[0])
}

/// What happened in a workload, step by step.
struct History {
    /// The state after each step; the first is that before any.
    states: Vec<State>,
    /// How many operations the disk had seen when the step was acknowledged.
    acked_at: Vec<usize>,
    /// The last step that was durable once this step was acknowledged.
    durable: Vec<usize>,
}

impl History {
    fn new() -> Self {
        History {
            states: vec![None],
            acked_at: vec![0],
            durable: vec![0],
        }
    }

    fn add(&mut self, sim: &Sim, state: State, durable: bool) {
        let step = self.states.len();
        self.states.push(state);
        self.acked_at.push(sim.ops());
        self.durable
            .push(if durable { step } else { self.durable[step - 1] });
    }

    /// The states that may be found after a crash behind `ops` operations.
    fn allowed(&self, ops: usize, kill: bool) -> &[State] {
        let acked = self.acked_at.partition_point(|&at| at <= ops) - 1;
        let from = if kill { acked } else { self.durable[acked] };
        &self.states[from..(acked + 2).min(self.states.len())]
    }
}

fn config(compressed: bool) -> Config {
    Config {
        compressed,
        max_file_size: 700,
        background: false,
        seed: Some(7),
        cache: false,
        ..Config::default()
    }
}

fn open_at(sim: &Sim, open: &Open, compressed: bool) -> Result<Table> {
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    Table::open(&storage, Path::new(DIR), open, config(compressed))
}

fn reopen(sim: &Sim) -> Result<State> {
    match open_at(
        sim,
        &Open::Existing {
            kind: None,
            keypos: None,
        },
        // Reading does not depend on it.
        false,
    ) {
        Ok(table) => {
            let mut found = Objects::new();
            for (k, v) in contents(&table) {
                found.entry(k).or_default().push(brief(&v));
            }
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

/// What a put does, which replaces the key's form too, or in a bag adds an object.
fn store(state: &mut Objects, kind: TableKind, k: Vec<u8>, value: &[u8]) {
    if !kind.is_bag() {
        state.retain(|stored, _| stored[0] != k[0]);
    }
    let objects = state.entry(k).or_default();
    if kind != TableKind::Bag || !objects.contains(&brief(value)) {
        objects.push(brief(value));
    }
}

/// Removes an object of a key, if it has one: mostly its first.
fn remove_object(table: &Table, random: &mut Random, state: &mut Objects, k: &[u8]) {
    let Some(objects) = state.get_mut(k) else { return };
    let (len, byte) = objects[if random.below(3) == 0 {
        objects.len() - 1
    } else {
        0
    }];
    assert!(remove(table, k, &vec![byte; len]).is_some());
    objects.retain(|object| *object != (len, byte));
    state.retain(|_, objects| !objects.is_empty());
}

fn remove_key(table: &Table, state: &mut Objects, k: &[u8]) {
    table.delete(key(k), Wait::May).unwrap();
    state.retain(|stored, _| stored[0] != k[0]);
}

/// Puts and deletes in one step.
fn write_list(table: &Table, state: &mut Objects, list: &[(Vec<u8>, Option<Vec<u8>>)]) {
    let writes: Vec<_> = list.iter().map(|(k, v)| (key(k), v.as_deref())).collect();
    table.write_many(&writes, Wait::May).unwrap();
    for (k, v) in list {
        match v {
            Some(v) => store(state, TableKind::Set, k.clone(), v),
            None => state.retain(|stored, _| stored[0] != k[0]),
        }
    }
}

/// Runs a random workload and gives its history.
fn workload(sim: &Sim, random: &mut Random) -> History {
    let mut history = History::new();
    let kind = ALL_KINDS[random.below(ALL_KINDS.len())];
    let compressed = random.below(3) == 0;
    let mut table = open_at(sim, &Open::OrCreate(meta_of(kind)), compressed).unwrap();
    let mut state = Objects::new();
    history.add(sim, Some(state.clone()), true);
    let always = random.below(3) == 0;
    if random.below(2) == 0 {
        // From here on records are staged.
        table.care().unwrap();
        history.add(sim, Some(state.clone()), true);
    }
    for step in 0..random.below(25) + 5 {
        // One key in two forms.
        let bag = kind.is_bag();
        let k = |random: &mut Random| {
            let keys = if bag { 3 } else { 6 };
            let form = if bag { 0 } else { random.below(2) };
            [b'a' + random.below(keys) as u8, b'~'][..=form].to_vec()
        };
        // In a bag, objects come again.
        let byte = if bag { step % 4 } else { step } as u8;
        let v = |random: &mut Random| vec![byte; [3, 40, 300][random.below(3)]];
        let mut durable = false;
        match random.below(16) {
            0..=4 => {
                let (k, v) = (k(random), v(random));
                if bag {
                    add(&table, &k, &v);
                } else {
                    table.put(key(&k), &v, Wait::May).unwrap();
                }
                store(&mut state, kind, k, &v);
            }
            5..=6 => {
                let list: Vec<_> = (0..=random.below(4)).map(|_| (k(random), v(random))).collect();
                if bag {
                    put_many(&table, &list);
                } else {
                    let puts: Vec<_> = list.iter().map(|(k, v)| (key(k), v.as_slice())).collect();
                    table.put_many(&puts, Wait::May).unwrap();
                }
                for (k, v) in &list {
                    store(&mut state, kind, k.clone(), v);
                }
            }
            8..=9 if bag => {
                let k = k(random);
                remove_object(&table, random, &mut state, &k);
            }
            7 | 8 => remove_key(&table, &mut state, &k(random)),
            9 => {
                let (k, v) = (k(random), v(random));
                table
                    .update(key(&k), Wait::May, |_| (Change::Put(v.clone()), ()))
                    .unwrap();
                // The stored form stays.
                let stored = state.keys().find(|stored| stored[0] == k[0]).cloned();
                store(&mut state, kind, stored.unwrap_or(k), &v);
            }
            10 => {
                table.clear(Wait::May).unwrap();
                state.clear();
            }
            11..=12 => {
                if random.below(2) == 0 {
                    table.sync().unwrap();
                } else {
                    table.care().unwrap();
                }
                durable = true;
            }
            13..=14 => {
                let list: Vec<_> = (0..=random.below(4))
                    .map(|_| (k(random), (random.below(2) == 0).then(|| v(random))))
                    .collect();
                // For tables whose keys have one object.
                if !bag {
                    write_list(&table, &mut state, &list);
                }
            }
            _ => {
                table.close().unwrap();
                table = open_at(
                    sim,
                    &Open::Existing {
                        kind: None,
                        keypos: None,
                    },
                    compressed,
                )
                .unwrap();
                durable = true;
            }
        }
        if always {
            table.sync().unwrap();
        }
        history.add(sim, Some(state.clone()), durable || always);
    }
    end(sim, table, random, state, &mut history);
    history
}

/// Deletes the table or closes it.
fn end(sim: &Sim, table: Table, random: &mut Random, state: Objects, history: &mut History) {
    if random.below(4) == 0 {
        table.destroy().unwrap();
        history.add(sim, None, true);
    } else {
        table.close().unwrap();
        history.add(sim, Some(state), true);
    }
    table.kill();
}

#[derive(Default)]
struct Tally {
    distinct: HashSet<u64>,
    kinds: BTreeMap<&'static str, u64>,
    recovery_kinds: BTreeMap<&'static str, u64>,
    kills: u64,
    /// Kills that found records in the stage.
    staged: u64,
}

/// Whether there is a stage with a record in it.
fn is_staged(image: &Sim) -> bool {
    let stage = image.open(&Path::new(DIR).join("STAGE"), false);
    let mut start = [0; 64];
    stage.is_ok_and(|file| file.read_at(&mut start, 0).is_ok() && start[32..].iter().any(|&b| b != 0))
}

impl Tally {
    /// Opens an image and checks what is found. With `in_recovery`, crashes the opening too, which may leave these states.
    fn check(&mut self, image: &Sim, allowed: &[State], in_recovery: Option<&[State]>, what: &str) {
        if !self.distinct.insert(image.fingerprint()) {
            return;
        }
        let found = match reopen(image) {
            Ok(found) => found,
            Err(error) => panic!("{what}: {error}"),
        };
        assert!(
            allowed.contains(&found),
            "{what}: found {found:?}, allowed {allowed:?}"
        );
        let Some(in_recovery) = in_recovery else { return };
        let after = image.ops();
        for point in image.crash_points() {
            *self.recovery_kinds.entry(point.kind().name()).or_default() += 1;
            let settled = std::slice::from_ref(&found);
            let allowed = if point.at() == after { settled } else { in_recovery };
            for plan in [Plan::Nothing, Plan::Everything, Plan::Seeded(1), Plan::Seeded(2)] {
                let what = format!(
                    "{what}, then in recovery at {} ({:?}) {plan:?}",
                    point.at(),
                    point.kind()
                );
                self.check(&point.image(&plan), allowed, None, &what);
            }
        }
    }
}

#[test]
fn every_crash_leaves_a_state_of_the_history() {
    let number = |name: &str, default| {
        std::env::var(name)
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(default)
    };
    let wanted = number("BETS_CRASH_IMAGES", 100_000) as usize;
    let mut seed = number("BETS_CRASH_SEED", 1u64);
    let mut tally = Tally::default();
    while tally.distinct.len() < wanted {
        let mut random = Random::new(seed);
        let sim = Sim::new();
        let history = workload(&sim, &mut random);
        for point in sim.crash_points() {
            *tally.kinds.entry(point.kind().name()).or_default() += 1;
            let (allowed, survivors) = (
                history.allowed(point.at(), true),
                history.allowed(point.at(), false),
            );
            let mut crash_again = |one_in| (random.below(one_in) == 0).then_some(survivors);
            let what = format!("workload {seed}, kill at {} ({:?})", point.at(), point.kind());
            let image = point.kill();
            tally.staged += u64::from(is_staged(&image));
            tally.check(&image, allowed, crash_again(8), &what);
            if let Some(image) = point.kill_within(point.at() % 40) {
                let allowed = history.allowed(point.at() - 1, true);
                tally.check(&image, allowed, None, &format!("{what}, within the write"));
            }
            tally.kills += 1;
            for plan in point.plans(3) {
                let what = format!(
                    "workload {seed}, power loss at {} ({:?}) {plan:?}",
                    point.at(),
                    point.kind()
                );
                tally.check(&point.image(&plan), survivors, crash_again(40), &what);
            }
        }
        seed += 1;
    }
    println!(
        "{} distinct images, 0 bad, {} kills, {} of them with a stage, last workload {seed}",
        tally.distinct.len(),
        tally.kills,
        tally.staged
    );
    assert!(tally.staged > 0, "no kill with a stage");
    println!("crash points by the operation before them: {:?}", tally.kinds);
    println!("in recoveries: {:?}", tally.recovery_kinds);
    for kind in [
        "start",
        "append",
        "truncate",
        "preallocate",
        "create",
        "rename",
        "unlink",
        "sync",
        "sync_dir",
    ] {
        assert!(
            tally.kinds.get(kind).is_some_and(|&n| n > 0),
            "no crash point of kind {kind}"
        );
    }
    for kind in [
        "start", "append", "create", "rename", "unlink", "sync", "sync_dir",
    ] {
        assert!(
            tally.recovery_kinds.get(kind).is_some_and(|&n| n > 0),
            "no recovery crashed at {kind}"
        );
    }
}
