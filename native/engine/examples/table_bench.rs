//! What a table's calls cost without the BEAM: `cargo run --release -p bets_engine --example table_bench [DIR [KEYS]]`.
//! One thread, 1,000,000 operations of each kind, on so many keys (1,000,000) of 19 bytes in random order; few of them show what the instructions cost without cache misses. Values of 103 bytes: {16-byte binary, 100-byte binary} as stored.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bets_engine::io::{Storage, real::Os};
use bets_engine::table::{Config, Cursor, Meta, Open, Table, TableKind, Wait};
use bets_engine::{Key, Result};

const N: u64 = 1_000_000;

fn key(i: u64) -> [u8; 19] {
    let mut key = [7; 19];
    let mixed = (i ^ (i << 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    key[1..9].copy_from_slice(&mixed.to_le_bytes());
    key[9..17].copy_from_slice(&i.to_le_bytes());
    key
}

fn time(what: &str, n: u64, f: impl FnOnce() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    f()?;
    let ns = start.elapsed().as_nanos() as u64;
    println!(
        "{what:24} {:9.1} ns an operation, {:7.1} ms in all",
        ns as f64 / n as f64,
        ns as f64 / 1e6
    );
    Ok(())
}

fn main() -> Result<()> {
    let dir = std::env::args()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("bets-bench-{}", std::process::id()));
    let storage: Arc<dyn Storage> = Arc::new(Os);
    bets_engine::cache::set_capacity(1 << 30);
    let meta = Meta {
        kind: TableKind::Set,
        keypos: 1,
        equality: 0,
        name: Vec::new(),
    };
    let table = Table::open(&storage, &dir, &Open::OrCreate(meta), Config::default())?;
    let value = [5; 103];
    let keys: u64 = std::env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(N);
    let random = |i: u64| i.wrapping_mul(0x9e37_79b1) % keys;
    for round in ["insert", "overwrite"] {
        time(round, N, || {
            (0..N).try_for_each(|i| {
                table
                    .put(Key::plain(&key(random(i))), &value, Wait::May)
                    .map(drop)
            })
        })?;
    }
    let lookups = |table: &Table, what| {
        time(what, N, || {
            (0..N).try_for_each(|i| {
                table
                    .get(Key::plain(&key(random(i))), Wait::May, |found| found.value.len())
                    .map(drop)
            })
        })
    };
    lookups(&table, "hit, cached")?;
    time("miss", N, || {
        (N..2 * N).try_for_each(|i| table.contains(Key::plain(&key(i)), Wait::May).map(drop))
    })?;
    time("traversal", keys, || {
        let mut cursor = Cursor::default();
        while table.scan(&mut cursor, 100, 1 << 16, Wait::May, |_, _| ())? {}
        Ok(())
    })?;
    let stats = table.stats();
    println!(
        "{stats:?}: {} bytes of memory a key beyond the key",
        stats.memory_bytes / keys - 19
    );
    time("close", 1, || table.close())?;
    let open = || {
        Table::open(
            &storage,
            &dir,
            &Open::Existing {
                kind: None,
                keypos: None,
            },
            Config::default(),
        )
    };
    let mut table = None;
    time("open", 1, || open().map(|opened| table = Some(opened)))?;
    if let Some(table) = table {
        lookups(&table, "hit, first read")?;
        lookups(&table, "hit, cached")?;
        table.destroy()?;
    }
    Ok(())
}
