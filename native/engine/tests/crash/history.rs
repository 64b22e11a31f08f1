//! What a table held, step by step, and what may be found of it after a crash.

use std::collections::BTreeMap;

use bets_engine::io::sim::Sim;
use bets_engine::table::{Table, TableKind};

use crate::common::contents;

/// What a table holds: the objects of each key in their order, as length and first byte of the value.
pub type Objects = BTreeMap<Vec<u8>, Vec<(usize, u8)>>;

/// The same; `None` if there is no table.
pub type State = Option<Objects>;

/// What stands for a value.
pub fn brief(value: &[u8]) -> (usize, u8) {
    assert!(
        value.iter().all(|&byte| byte == value[0]),
        "a value that was never written"
    );
    (value.len(), value[0])
}

/// What is in a table.
pub fn objects(table: &Table) -> Objects {
    let mut found = Objects::new();
    for (k, v) in contents(table) {
        found.entry(k).or_default().push(brief(&v));
    }
    found
}

/// What a put does, which replaces the key's form too, or in a bag adds an object.
pub fn store(state: &mut Objects, kind: TableKind, k: Vec<u8>, value: &[u8]) {
    if !kind.is_bag() {
        state.retain(|stored, _| stored[0] != k[0]);
    }
    let objects = state.entry(k).or_default();
    if kind != TableKind::Bag || !objects.contains(&brief(value)) {
        objects.push(brief(value));
    }
}

/// What happened in a workload.
pub struct History {
    /// The state after each step; the first is that before any.
    states: Vec<State>,
    /// How many operations the disk had seen when the step was acknowledged.
    acked_at: Vec<usize>,
    /// The last step that was durable once this step was acknowledged.
    durable: Vec<usize>,
    /// Backups: behind how many operations they were acknowledged, where they are, and what they hold.
    backups: Vec<(usize, String, Objects)>,
}

impl History {
    pub fn new() -> Self {
        History {
            states: vec![None],
            acked_at: vec![0],
            durable: vec![0],
            backups: Vec::new(),
        }
    }

    pub fn add_backup(&mut self, sim: &Sim, dir: String, state: Objects) {
        self.backups.push((sim.ops(), dir, state));
    }

    /// The backups that must be there after a crash behind `ops` operations.
    pub fn backups(&self, ops: usize) -> impl Iterator<Item = (&str, &Objects)> {
        let there = self.backups.iter().filter(move |(at, ..)| *at <= ops);
        there.map(|(_, dir, state)| (dir.as_str(), state))
    }

    pub fn add(&mut self, sim: &Sim, state: State, durable: bool) {
        let step = self.states.len();
        self.states.push(state);
        self.acked_at.push(sim.ops());
        self.durable
            .push(if durable { step } else { self.durable[step - 1] });
    }

    /// The states that may be found after a crash behind `ops` operations.
    pub fn allowed(&self, ops: usize, kill: bool) -> &[State] {
        let acked = self.acked_at.partition_point(|&at| at <= ops) - 1;
        let from = if kill { acked } else { self.durable[acked] };
        &self.states[from..(acked + 2).min(self.states.len())]
    }
}
