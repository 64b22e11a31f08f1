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

#[path = "../common/mod.rs"]
mod common;
mod history;
mod tally;
mod workload;

/// Prints figures where a run shows them that passes, too, in a line of their own: what a test prints otherwise is shown when it fails.
macro_rules! tell {
    ($($words:tt)*) => {{
        use std::io::Write;
        let line = format!($($words)*).replace('\n', " ");
        let _ = std::io::stderr().write_all(format!("\nfigures: {line}\n").as_bytes());
    }};
}

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bets_engine::seeded::{self, Fault};
use tally::Tally;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(default)
}

#[test]
fn every_crash_leaves_a_state_of_the_history() {
    let wanted = number("BETS_CRASH_IMAGES", 100_000) as usize;
    let next = AtomicU64::new(number("BETS_CRASH_SEED", 1));
    let mut tally = Tally::default();
    let distinct = Arc::clone(&tally.distinct);
    let work = || {
        let mut tally = Tally {
            distinct: Arc::clone(&distinct),
            ..Tally::default()
        };
        while distinct.len() < wanted {
            if let Err(wrong) = tally.run(next.fetch_add(1, Ordering::Relaxed)) {
                panic!("{wrong}");
            }
        }
        tally
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            // Its panic has been printed.
            tally.add(worker.join().expect("nothing is wrong"));
        }
    });
    let seed = next.into_inner();
    tell!(
        "{} distinct images, 0 bad, {} kills, {} of them with a stage, {} failed syncs, last workload {seed}",
        tally.distinct.len(),
        tally.kills,
        tally.staged,
        tally.failed_syncs
    );
    assert!(tally.staged > 0, "no kill with a stage");
    assert!(tally.failed_syncs > 0, "no failed sync");
    tell!(
        "{} images read before they were recovered, {} looks at backups",
        tally.snapshots,
        tally.backups
    );
    assert!(tally.snapshots > 0, "no image was read");
    assert!(tally.backups > 0, "no backup was looked at");
    tell!("crash points by the operation before them: {:?}", tally.kinds);
    tell!("in recoveries: {:?}", tally.recovery_kinds);
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
        "link",
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

/// The equipment is worth what it finds: each of these faults has cost other stores data.
#[test]
fn every_seeded_fault_is_found_within_a_thousand_workloads() {
    for fault in [
        Fault::OutputNotSynced,
        Fault::DirNotSynced,
        Fault::TombstoneDropped,
        Fault::RotationNotSynced,
        Fault::FailedSyncIgnored,
        Fault::SuccessorNotSynced,
        Fault::LoadedById,
        Fault::StaleCheckpoint,
        Fault::ExpiredDropped,
    ] {
        seeded::put(Some(fault));
        let mut tally = Tally::default();
        let found = (1..=1_000).find_map(|seed| tally.run(seed).err().map(|wrong| (seed, wrong)));
        seeded::put(None);
        let Some((workloads, wrong)) = found else {
            panic!("{fault:?} was not found");
        };
        tell!("{fault:?}: found by workload {workloads}: {wrong:.200}");
    }
}
