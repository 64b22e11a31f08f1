//! What a merge costs without the BEAM, phase by phase: `cargo run --release -p bets_engine --example merge_bench [DIR [OBJECTS]]`.
//! Keys of 19 bytes in random order, values of 103 bytes, each overwritten once before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bets_engine::io::{Storage, real::Os};
use bets_engine::table::{Config, MergeChoice, Meta, Open, Table, TableKind, Wait};
use bets_engine::{Key, Result};

/// As long as those of the process that merges.
const STEP: u64 = 2 << 20;

fn key(i: u64) -> [u8; 19] {
    let mut key = [7; 19];
    let mixed = (i ^ (i << 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    key[1..9].copy_from_slice(&mixed.to_le_bytes());
    key[9..17].copy_from_slice(&i.to_le_bytes());
    key
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let objects = args.next().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    for kind in [TableKind::Set, TableKind::OrderedSet] {
        run(&dir, kind, objects)?;
    }
    Ok(())
}

fn run(dir: &Path, kind: TableKind, objects: u64) -> Result<()> {
    let dir = dir.join(format!("bets-merge-{}", std::process::id()));
    let storage: Arc<dyn Storage> = Arc::new(Os);
    let meta = Meta {
        kind,
        keypos: 1,
        equality: 0,
        name: Vec::new(),
    };
    let table = Table::open(&storage, &dir, &Open::OrCreate(meta), Config::default())?;
    for _ in 0..2 {
        for i in 0..objects {
            let at = i.wrapping_mul(0x9e37_79b1) % objects;
            table.put(Key::plain(&key(at)), &[5; 103], Wait::May)?;
        }
    }
    let mut phases: BTreeMap<String, (Duration, Duration, u32)> = BTreeMap::new();
    let start = Instant::now();
    let mut phase = "0 Start".to_owned();
    let mut step = Instant::now();
    table.merge_start(MergeChoice::Everything)?;
    loop {
        let took = step.elapsed();
        let (sum, longest, steps) = phases.entry(phase).or_default();
        *sum += took;
        *longest = took.max(*longest);
        *steps += 1;
        step = Instant::now();
        let Some(progress) = table.merge_step(STEP)? else {
            break;
        };
        phase = format!("{} {:?}", progress.phase as u8 + 1, progress.phase);
    }
    println!(
        "{kind:?}, {objects} objects: {:.0} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
    for (phase, (sum, longest, steps)) in phases {
        let (sum, longest) = (sum.as_secs_f64() * 1e3, longest.as_secs_f64() * 1e3);
        println!("  {phase:12} {sum:8.1} ms, {steps:4} steps, the longest {longest:6.1} ms");
    }
    table.destroy()
}
