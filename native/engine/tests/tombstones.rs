//! Tombstones do not pile up beside data that never changes.
//!
//! `BETS_TOMBSTONE_MIB` says how much never changes (default 4), `BETS_TOMBSTONE_PAIRS` how many other keys are put and deleted (default 300,000); `bin/soak tombstones`
//! is the long form.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use bets_engine::merge::{Phase, Policy};
use bets_engine::table::{MergeChoice, Sync, Table, TableKind, Wait};
use common::{TestDir, key};

/// Bytes of a value that never changes.
const VALUE: usize = 1_000;
/// So many keys are there before the first of them is deleted: mostly in another file than its tombstone.
const OUTSTANDING: u64 = 2_000;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(default)
}

/// Merges as long as a merge is due, as the process does that looks for it. Gives how many merges there were.
fn merge_due(table: &Table, policy: Policy) -> u32 {
    let mut merges = 0;
    while table.merge_start(MergeChoice::Due(policy)).unwrap() {
        while table.merge_step(2 << 20).unwrap().unwrap().phase != Phase::Done {}
        merges += 1;
        assert!(merges < 20, "merges do not end");
    }
    merges
}

/// Of all files. The table's own threads remove some meanwhile.
fn directory_bytes(dir: &TestDir) -> u64 {
    let entries = std::fs::read_dir(dir.path()).unwrap();
    entries
        .filter_map(|entry| Some(entry.unwrap().metadata().ok()?.len()))
        .sum()
}

#[test]
fn beside_data_that_never_changes_tombstones_do_not_pile_up() {
    let mib = number("BETS_TOMBSTONE_MIB", 4);
    let pairs = number("BETS_TOMBSTONE_PAIRS", 300_000);
    // The default of 2 GiB for 100 MiB of data would leave everything in the newest file.
    let max_file_size = (mib << 20) / 16;
    let policy = Policy::default();
    for kind in [TableKind::Set, TableKind::OrderedSet, TableKind::Bag] {
        let mut dir = TestDir::of(kind).max_file_size(max_file_size);
        dir.config.sync = Sync::None;
        let table = dir.open();
        let stays = (mib << 20) / VALUE as u64;
        for n in 0..stays {
            common::put(
                &table,
                &[b"stays".as_slice(), &n.to_be_bytes()].concat(),
                &[n as u8; VALUE],
            );
        }
        let live = table.stats().disk_bytes;
        let name = |n: u64| [b"comes".as_slice(), &n.to_be_bytes()].concat();
        let mut merges = 0;
        let mut most = 0;
        for n in 0..pairs + OUTSTANDING {
            if n < pairs {
                common::put(&table, &name(n), b"and goes");
            }
            if let Some(n) = n.checked_sub(OUTSTANDING) {
                table.delete(key(&name(n)), Wait::May).unwrap();
            }
            if n % 10_000 == 0 {
                merges += merge_due(&table, policy);
                most = most.max(table.stats().disk_bytes);
            }
        }
        merges += merge_due(&table, policy);
        assert_eq!(table.len(), stays);
        let bound = live * 3 / 2 + 2 * max_file_size;
        let found = directory_bytes(&dir);
        println!(
            "{kind:?}: {live} bytes are live, {found} in the directory, at most {most} in files, {merges} merges"
        );
        assert!(found <= bound, "{found} bytes, allowed {bound}");
        assert!(merges > 0);
        // Nothing is due for ever, and nothing that was deleted is there for the next opening.
        assert_eq!(merge_due(&table, policy), 0);
        table.close().unwrap();
        let table = dir.reopen();
        merge_due(&table, policy);
        assert_eq!(table.len(), stays);
        assert!(directory_bytes(&dir) <= bound);
    }
}
