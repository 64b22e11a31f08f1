//! What an opening takes of memory, counted by the allocator. One test, since it counts for the whole process.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_precision_loss)]

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bets_engine::Key;
use bets_engine::io::{Storage, real::Os};
use bets_engine::table::{Config, Open, Table, TableKind, Wait};
use common::{TestDir, meta_of};

const KEYS: u64 = 300_000;
/// What files are read into, however large the table is.
const BUFFERS: usize = 2 << 20;

/// Waits until the background has freed what a closed table had.
fn settled() -> usize {
    let (mut before, mut same) = (0, 0);
    // A thread that has something to free may not come to it for a while.
    while same < 4 {
        same = if counting::held() == before { same + 1 } else { 0 };
        before = counting::held();
        for _ in 0..1_000 {
            bets_engine::epoch::pin().flush();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    before
}

fn remove(dir: &Path, end: &str) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().ends_with(end) {
            std::fs::remove_file(path).unwrap();
        }
    }
}

fn open(dir: &TestDir, kind: TableKind, threads: usize) -> Table {
    let storage: Arc<dyn Storage> = Arc::new(Os);
    let config = Config {
        load_threads: threads,
        background: false,
        cache: false,
        ..Config::default()
    };
    Table::open(&storage, dir.path(), &Open::OrCreate(meta_of(kind)), config).unwrap()
}

#[test]
fn an_opening_takes_a_quarter_more_than_the_running_table_at_most() {
    for kind in [TableKind::Set, TableKind::OrderedSet, TableKind::DuplicateBag] {
        let dir = TestDir::of(kind);
        let table = open(&dir, kind, 0);
        let mut key = [7; 20];
        for i in 0..KEYS {
            // Four objects a key in a bag. The last four bytes are its fingerprint there.
            let name = if kind.is_bag() { i / 4 } else { i };
            key[..8].copy_from_slice(&name.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            key[16..].copy_from_slice(&(i as u32).to_be_bytes());
            let compared = if kind.is_bag() { 16 } else { 20 };
            table.put(Key::new(&key, compared), &[5; 20], Wait::May).unwrap();
        }
        table.close().unwrap();
        drop(table);
        for gone in [&[][..], &["CHECKPOINT"], &["CHECKPOINT", ".hint"]] {
            for threads in [1, 2] {
                for end in gone {
                    remove(dir.path(), end);
                }
                let before = settled();
                counting::begin_peak();
                let table = open(&dir, kind, threads);
                let peak = counting::peak() - before;
                // What it has when nothing waits for anybody any more.
                let running = settled() - before;
                let part = peak as f64 / running as f64;
                println!(
                    "{kind:?} without {gone:?}, {threads} threads: {running} bytes, {part:.2} of that at the peak"
                );
                assert!(
                    peak <= running + running / 4 + BUFFERS,
                    "{kind:?} without {gone:?}: {part:.2}"
                );
                table.close().unwrap();
            }
        }
    }
}
