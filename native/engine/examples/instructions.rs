//! Does some operations on a table of 20,000 keys, for a tool that counts instructions: `instructions KIND OPERATION COUNT`. `bin/soak callgrind` runs it twice
//! for each operation, with different counts, so that what comes before them cancels out.

use std::process::ExitCode;
use std::sync::Arc;

use bets_engine::io::{Storage, real::Os};
use bets_engine::table::{Change, Config, Meta, Open, Sync, Table, TableKind, Wait};
use bets_engine::{Key, Result};

const KEYS: u64 = 20_000;
const VALUE: [u8; 103] = [5; 103];

fn key(i: u64) -> [u8; 19] {
    let mut key = [7; 19];
    let mixed = (i ^ (i << 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    key[1..9].copy_from_slice(&mixed.to_le_bytes());
    key[9..17].copy_from_slice(&i.to_le_bytes());
    key
}

fn run(kind: TableKind, operation: &str, count: u64) -> Result<bool> {
    let storage: Arc<dyn Storage> = Arc::new(Os);
    let meta = Meta {
        kind,
        keypos: 1,
        equality: 0,
        name: Vec::new(),
    };
    let config = Config {
        sync: Sync::None,
        background: false,
        ..Config::default()
    };
    bets_engine::cache::set_capacity(1 << 28);
    let dir = std::env::temp_dir().join(format!("bets-instructions-{}", std::process::id()));
    let table = Table::open(&storage, &dir, &Open::OrCreate(meta), config)?;
    for i in 0..KEYS {
        table.put(Key::plain(&key(i)), &VALUE, Wait::May)?;
    }
    // Makes the stage, and room in the file.
    table.care()?;
    let mut known = true;
    for n in 0..count {
        let bytes = key(n.wrapping_mul(7919) % KEYS);
        match operation {
            "key" => {
                std::hint::black_box(bytes);
            }
            "hit" => drop(table.get(Key::plain(&bytes), Wait::May, |found| found.value.len())?),
            "miss" => drop(table.get(Key::plain(&key(KEYS + n)), Wait::May, |found| found.value.len())?),
            "member" => drop(table.contains(Key::plain(&bytes), Wait::May)?),
            "overwrite" => drop(table.put(Key::plain(&bytes), &VALUE, Wait::May)?),
            "insert" => drop(table.put(Key::plain(&key(KEYS + n)), &VALUE, Wait::May)?),
            // As a counter of one row.
            "update" => drop(table.update(Key::plain(&key(0)), Wait::Never, |found| {
                let first = found.and_then(|found| found.value.first().copied()).unwrap_or(0);
                (Change::Replace([first.wrapping_add(1); 10].to_vec().into()), ())
            })?),
            "delete" => drop(table.delete(Key::plain(&key(n)), Wait::May)?),
            _ => known = false,
        }
    }
    table.destroy()?;
    Ok(known)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [kind, operation, count] = args.as_slice() else {
        return ExitCode::from(2);
    };
    let kind = match kind.as_str() {
        "set" => TableKind::Set,
        "ordered_set" => TableKind::OrderedSet,
        _ => return ExitCode::from(2),
    };
    match run(kind, operation, count.parse().unwrap_or(0)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
