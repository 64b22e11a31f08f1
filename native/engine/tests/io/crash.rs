//! What the simulated file system loses, and what it never loses.

mod files;
mod images;
mod names;
mod oracle;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use bets_engine::io::sim::{CrashPoint, OpKind, Plan, Sim};
use bets_engine::io::{File, Storage};

const DIR: &str = "/t";
const SEEDS: u64 = 200;

/// A simulator with a durable directory.
fn sim() -> Sim {
    let sim = Sim::new();
    sim.create_dir_all(Path::new(DIR)).unwrap();
    sim
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(DIR).join(name)
}

/// A file whose name and bytes are durable.
fn durable(sim: &Sim, name: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = sim.create(&path(name)).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync().unwrap();
    sim.sync_dir(Path::new(DIR)).unwrap();
    file
}

/// The files of the directory and their bytes.
fn contents(sim: &Sim) -> BTreeMap<String, Vec<u8>> {
    let name = |path: &Path| path.strip_prefix(DIR).unwrap().to_str().unwrap().to_owned();
    let files = sim.files().into_iter();
    files.map(|p| (name(&p), sim.read(&p).unwrap())).collect()
}

/// All that a crash now may leave.
fn outcomes(sim: &Sim) -> BTreeSet<BTreeMap<String, Vec<u8>>> {
    let point = sim.crash_point(sim.ops());
    let plans = point.plans(SEEDS);
    plans.iter().map(|plan| contents(&point.image(plan))).collect()
}

/// The bytes that a file may have after a crash now; `None` if it may be missing.
fn outcomes_of(sim: &Sim, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    outcomes(sim)
        .into_iter()
        .map(|mut files| files.remove(name))
        .collect()
}

#[allow(clippy::unnecessary_wraps, reason = "what the outcomes are compared with")]
fn some(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}
