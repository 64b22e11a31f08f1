//! Records that are staged and not in their segment yet: read, recovered after a death of the process, and never half.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bets_engine::table::{Sync, Table, Wait};
use common::{TestDir, contents, get, key, put};

/// A table whose writes are staged from here on, with nothing done behind its back.
fn staging(dir: &mut TestDir) -> Table {
    dir.config.background = false;
    dir.config.cache = false;
    let table = dir.open();
    put(&table, b"durable", b"0");
    table.care().unwrap();
    assert!(stage(dir).exists());
    table
}

fn stage(dir: &TestDir) -> PathBuf {
    dir.path().join("STAGE")
}

/// The bytes of the segments that are not zero.
fn written(dir: &Path) -> usize {
    let segments = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    segments
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .map(|path| std::fs::read(path).unwrap().iter().filter(|&&b| b != 0).count())
        .sum()
}

#[test]
fn a_staged_record_is_read_and_survives_the_process() {
    let mut dir = TestDir::new();
    let table = staging(&mut dir);
    let before = written(dir.path());
    for i in 0..100u32 {
        put(&table, &i.to_be_bytes(), &[i as u8; 100]);
    }
    table
        .put_many(&[(key(b"list1"), b"x"), (key(b"list2"), b"y")], Wait::May)
        .unwrap();
    table.delete(key(&7u32.to_be_bytes()), Wait::May).unwrap();
    assert_eq!(written(dir.path()), before, "nothing is in a segment yet");
    assert_eq!(get(&table, &99u32.to_be_bytes()).unwrap(), [99; 100]);
    let all = contents(&table);
    assert_eq!(all.len(), 102);
    let killed = dir.copy();
    assert_eq!(contents(&killed.reopen()), all);
    assert!(!stage(&killed).exists() || written(killed.path()) > before);
    table.close().unwrap();
    assert!(!stage(&dir).exists(), "a clean close needs no stage");
    assert_eq!(contents(&dir.reopen()), all);
}

#[test]
fn a_stage_that_is_full_goes_to_its_segment_and_starts_again() {
    let mut dir = TestDir::new().max_file_size(200_000);
    let table = staging(&mut dir);
    let value = |i: u32| vec![i as u8; (i as usize * 37) % 3_000];
    for i in 0..1_000u32 {
        put(&table, &i.to_be_bytes(), &value(i));
        // Larger than the stage: it goes past it.
        if i % 200 == 0 {
            put(&table, format!("large{i}").as_bytes(), &vec![i as u8; 70_000]);
        }
        if i % 97 == 0 {
            let killed = dir.copy();
            assert_eq!(contents(&killed.reopen()), contents(&table), "killed after {i}");
        }
        assert_eq!(get(&table, &i.to_be_bytes()).unwrap(), value(i));
    }
    assert!(table.stats().segments > 5);
    for i in 0..1_000u32 {
        assert_eq!(get(&table, &i.to_be_bytes()).unwrap(), value(i));
    }
}

#[test]
fn what_must_be_durable_is_not_staged() {
    let mut dir = TestDir::new();
    dir.config.sync = Sync::Always;
    dir.config.background = false;
    let table = dir.open();
    put(&table, b"a", b"b");
    table.care().unwrap();
    assert!(!stage(&dir).exists());
}

/// Nothing durable is in the stage alone, so whatever happens to it costs unsynced records only, from some place on.
#[test]
fn a_flipped_bit_in_the_stage_leaves_a_prefix() {
    let mut dir = TestDir::new();
    let table = staging(&mut dir);
    for i in 0..10u8 {
        put(&table, &[b'k', i], &[i; 20]);
    }
    let killed = dir.copy();
    let bytes = std::fs::read(stage(&killed)).unwrap();
    let used = bytes.len() - bytes.iter().rev().take_while(|&&b| b == 0).count();
    assert!(used > 400);
    let mut shorter = 0;
    // Not each bit, since each takes an opening; eleven is prime to eight, so all positions in a byte have their turn.
    for bit in (0..used * 8).step_by(11) {
        let damaged = killed.copy();
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(stage(&damaged), flipped).unwrap();
        let found = contents(&damaged.reopen());
        let kept = found.iter().filter(|(k, _)| k[0] == b'k').count();
        for i in 0..kept as u8 {
            assert!(
                found.contains(&(vec![b'k', i], vec![i; 20])),
                "bit {bit}: {i} of {kept}"
            );
        }
        assert!(found.contains(&(b"durable".to_vec(), b"0".to_vec())), "bit {bit}");
        shorter += usize::from(kept < 10);
    }
    assert!(shorter > used / 2, "hardly a flip was noticed");
}

/// Readers that find a record staged wait for no more than the end of the log, and never see another record's bytes.
#[test]
fn readers_go_on_while_the_stage_is_written_out() {
    let mut dir = TestDir::new();
    let table = staging(&mut dir);
    let newest = AtomicU32::new(0);
    put(&table, &0u32.to_be_bytes(), &0u32.to_be_bytes().repeat(25));
    let until = Instant::now() + Duration::from_millis(500);
    // Who fails is not waited for.
    let limit = until + Duration::from_mins(1);
    let (is_written, reads) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for back in 0..2u32 {
            let (table, newest, is_written, reads) = (&table, &newest, &is_written, &reads);
            scope.spawn(move || {
                while !is_written.load(Ordering::Relaxed) && Instant::now() < limit {
                    let i = newest.load(Ordering::Acquire).saturating_sub(back * 300);
                    let value = get(table, &i.to_be_bytes()).unwrap();
                    assert_eq!(value, i.to_be_bytes().repeat(25));
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for i in 1.. {
            put(&table, &u32::to_be_bytes(i), &i.to_be_bytes().repeat(25));
            newest.store(i, Ordering::Release);
            let is_enough = i > 1_000 && reads.load(Ordering::Relaxed) > 1_000;
            if Instant::now() > if is_enough { until } else { limit } {
                break;
            }
        }
        is_written.store(true, Ordering::Relaxed);
    });
    assert!(reads.into_inner() > 1_000);
}

#[test]
fn a_temporary_table_stages_in_memory_alone() {
    let mut dir = TestDir::new();
    dir.config.temporary = true;
    dir.config.background = false;
    dir.config.cache = false;
    let table = dir.open();
    put(&table, b"a", b"1");
    table.care().unwrap();
    let before = written(dir.path());
    put(&table, b"b", b"2");
    assert_eq!(
        (get(&table, b"b").unwrap(), written(dir.path())),
        (b"2".to_vec(), before)
    );
    assert!(!stage(&dir).exists());
    let shared = Arc::new(table);
    assert_eq!(contents(&shared).len(), 2);
}
