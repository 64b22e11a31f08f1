//! Tables whose values are compressed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Instant;

use bets_engine::Error;
use bets_engine::table::{Change, Table, Wait};
use common::{Random, TestDir, contents, get, key, put};

fn compressed() -> TestDir {
    let mut dir = TestDir::new().max_file_size(64 << 10);
    dir.config.compressed = true;
    dir
}

/// Text of few words, as a log line or a document has it.
fn text(random: &mut Random, len: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "the", "table", "of", "keys", "was", "written", "by", "a", "process", "that", "read", "object",
        "and", "its", "value", "again",
    ];
    let mut text = Vec::new();
    while text.len() < len {
        text.extend_from_slice(WORDS[random.below(16)].as_bytes());
        text.push(b' ');
        if random.below(8) == 0 {
            text.extend_from_slice(random.below(100_000).to_string().as_bytes());
        }
    }
    text.truncate(len);
    text
}

/// Values of every sort: empty, short, long, ones that shrink and ones that do not.
fn values() -> Vec<Vec<u8>> {
    let mut random = Random::new(3);
    let mut values: Vec<Vec<u8>> = [0, 1, 31, 32, 33, 100, 4096, 65_535, 65_536, 300_000]
        .iter()
        .flat_map(|&len| [vec![7; len], text(&mut random, len)])
        .collect();
    values.push((0..5000).map(|_| random.next() as u8).collect());
    values
}

fn store(table: &Table, values: &[Vec<u8>]) {
    for (i, value) in values.iter().enumerate() {
        let k = [i as u8];
        match i % 4 {
            0 => put(table, &k, value),
            1 => drop(
                table
                    .put_many(&[(key(&k), value.as_slice()), (key(b"other"), b"x")], Wait::May)
                    .unwrap(),
            ),
            2 => drop(
                table
                    .update(key(&k), Wait::May, |_| (Change::Put(value.clone().into()), ()))
                    .unwrap(),
            ),
            _ => drop(
                table
                    .write_many(&[(key(&k), Some(value)), (key(b"other"), None)], Wait::May)
                    .unwrap(),
            ),
        }
    }
}

fn check(table: &Table, values: &[Vec<u8>]) {
    for (i, value) in values.iter().enumerate() {
        assert!(get(table, &[i as u8]).as_ref() == Some(value), "value {i}");
    }
    assert_eq!(contents(table).len(), values.len(), "a traversal");
}

#[test]
fn values_come_back_whatever_they_were_written_with() {
    for cache in [false, true] {
        let mut dir = compressed();
        dir.config.cache = cache;
        let values = values();
        let table = dir.open();
        store(&table, &values);
        check(&table, &values);
        check(&dir.copy().reopen(), &values);
        table.close().unwrap();
        dir.config.compressed = false;
        let table = dir.reopen();
        check(&table, &values);
        // Some plain ones over and beside compressed ones.
        store(&table, &values[..4]);
        table.close().unwrap();
        dir.config.compressed = true;
        check(&dir.reopen(), &values);
    }
}

#[test]
fn what_could_take_long_to_uncompress_is_left_to_who_may_wait() {
    let mut dir = compressed();
    dir.config.cache = false;
    let table = dir.open();
    put(&table, b"a", &vec![1; 60_000]);
    put(&table, b"b", &vec![1; 70_000]);
    let look = |k: &[u8]| table.get(key(k), Wait::Never, |found| found.value.len());
    assert_eq!(look(b"a").unwrap(), Some(60_000));
    assert!(matches!(look(b"b"), Err(Error::WouldBlock)));
    for i in 0..100u8 {
        put(&table, &[i], &vec![1; 60_000]);
    }
    let mut cursor = bets_engine::table::Cursor::default();
    let step = table.scan(&mut cursor, 100, 64 << 10, Wait::Never, |_, _| {
        panic!("a step of megabytes")
    });
    assert!(matches!(step, Err(Error::WouldBlock)));
}

/// Prints what compression saves and costs; `docs/decisions.md` has figures of a release build.
#[test]
fn text_takes_less_room() {
    const OBJECTS: u32 = 2000;
    for (len, at_most) in [(100, 1.0), (300, 0.9), (1000, 0.75), (10_000, 0.65)] {
        let mut random = Random::new(5);
        let values: Vec<Vec<u8>> = (0..OBJECTS).map(|_| text(&mut random, len)).collect();
        let measure = |compress: bool| {
            let mut dir = compressed().max_file_size(1 << 30);
            (dir.config.compressed, dir.config.cache) = (compress, false);
            let table = dir.open();
            let started = Instant::now();
            for (i, value) in (0..OBJECTS).zip(&values) {
                put(&table, &i.to_be_bytes(), value);
            }
            let write = started.elapsed() / OBJECTS;
            let started = Instant::now();
            for i in 0..OBJECTS {
                let found = table.get(key(&i.to_be_bytes()), Wait::May, |found| found.value.len());
                assert_eq!(found.unwrap(), Some(len));
            }
            (
                table.stats().disk_bytes / u64::from(OBJECTS),
                write,
                started.elapsed() / OBJECTS,
            )
        };
        let (plain, packed) = (measure(false), measure(true));
        println!(
            "{len} bytes of text: plain {plain:?}, compressed {packed:?} (bytes on disk, put, get from the file)"
        );
        assert!((packed.0 as f64) <= plain.0 as f64 * at_most);
    }
}
