//! Repairing damaged tables: all that is readable comes back, nothing that was never written or was deleted does, and what is lost is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod cases;
#[path = "../common/mod.rs"]
mod common;
mod disk;
mod hints;
mod lies;
mod sweep;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bets_engine::format::frame::Frame;
use bets_engine::format::record::Kind;
use bets_engine::io::failing::{Call, Failing, Fault};
use bets_engine::io::sim::{Plan, Sim};
use bets_engine::io::{File, Lock, Stat, Storage};
use bets_engine::repair::{Loss, Mode, Report, Status, repair, verify};
use bets_engine::table::{Config, Open, Table, TableKind, Wait};
use bets_engine::{Error, Result};
use common::{ALL_KINDS, KINDS, add, contents, key, merge_all, meta_of, put, put_many, remove};

const DIR: &str = "/t";

type Contents = Vec<(Vec<u8>, Vec<u8>)>;

fn storage(sim: &Sim) -> Arc<dyn Storage> {
    Arc::new(sim.clone())
}

fn open(sim: &Sim, how: &Open) -> Result<Table> {
    let config = Config {
        max_file_size: 1500,
        background: false,
        seed: Some(7),
        cache: false,
        ..Config::default()
    };
    Table::open(&storage(sim), Path::new(DIR), how, config)
}

fn existing() -> Open {
    Open::Existing {
        kind: None,
        keypos: None,
    }
}

fn create(sim: &Sim, kind: TableKind) -> Table {
    open(sim, &Open::OrCreate(meta_of(kind))).unwrap()
}

fn force(sim: &Sim, kind: TableKind) -> Report {
    let how = Open::OrCreate(meta_of(kind));
    let report = repair(
        &storage(sim),
        Path::new(DIR),
        &how,
        Mode::Force,
        Some(9),
        &AtomicU64::new(0),
    )
    .unwrap();
    assert_tidy(sim, &report);
    report
}

fn named(sim: &Sim) -> Report {
    let report = repair(
        &storage(sim),
        Path::new(DIR),
        &existing(),
        Mode::Named,
        None,
        &AtomicU64::new(0),
    )
    .unwrap();
    assert_tidy(sim, &report);
    report
}

/// Behind a repair there is no hint and no checkpoint that is of no use, so that a check finds nothing to tell.
fn assert_tidy(sim: &Sim, report: &Report) {
    if report.status == Status::Repaired {
        assert_eq!(check(sim).spoilt, []);
        let segments = segments(sim);
        for hint in hints(sim) {
            assert!(
                segments.contains(&hint.with_extension("seg")),
                "{}",
                hint.display()
            );
        }
    }
}

fn check(sim: &Sim) -> Report {
    let before = sim.fingerprint();
    let report = verify(&storage(sim), Path::new(DIR), &AtomicU64::new(0)).unwrap();
    assert_eq!(sim.fingerprint(), before, "a check changes nothing");
    report
}

fn read(sim: &Sim) -> Contents {
    let table = open(sim, &existing()).unwrap();
    let all = contents(&table);
    table.kill();
    all
}

fn segments(sim: &Sim) -> Vec<PathBuf> {
    let mut files = sim.files();
    files
        .retain(|path| path.parent() == Some(Path::new(DIR)) && path.extension().is_some_and(|e| e == "seg"));
    files
}

fn hints(sim: &Sim) -> Vec<PathBuf> {
    let mut files = sim.files();
    files.retain(|path| {
        path.parent() == Some(Path::new(DIR)) && path.extension().is_some_and(|e| e == "hint")
    });
    files
}

/// Removes the hints, from which a repair would learn the keys of what it cannot read.
fn forget_hints(sim: &Sim) {
    for path in hints(sim) {
        sim.remove(&path).unwrap();
    }
}

/// Where the frames of a segment stand, with kind, key and seq.
fn frames(bytes: &[u8]) -> Vec<(Range<usize>, Kind, Vec<u8>, u64)> {
    let mut pos = 32;
    let mut all = Vec::new();
    while let Some(Ok(frame)) = bytes.get(pos..).map(Frame::parse) {
        let len = frame.head.frame_len();
        let key = frame.key().compared().to_vec();
        all.push((pos..pos + len, frame.head.kind, key, frame.head.seq));
        pos += len;
    }
    all
}

/// The place of the only frame of this kind (and key).
fn place(sim: &Sim, kind: Kind, k: &[u8]) -> (PathBuf, Range<usize>) {
    let mut found: Vec<_> = segments(sim)
        .into_iter()
        .flat_map(|path| {
            let all = frames(&sim.read(&path).unwrap()).into_iter();
            all.map(move |frame| (path.clone(), frame))
        })
        .filter(|(_, (_, of, key, _))| *of == kind && (k.is_empty() || key == k))
        .map(|(path, (range, ..))| (path, range))
        .collect();
    assert_eq!(found.len(), 1);
    found.pop().unwrap()
}

fn flip(sim: &Sim, path: &Path, byte: usize) {
    sim.flip_bit(path, byte as u64, 3).unwrap();
}

/// A closed table of 100 objects, some of them written as lists, overwritten and deleted.
fn hundred(kind: TableKind) -> Sim {
    let sim = Sim::new();
    let table = create(&sim, kind);
    put(&table, b"gone with the clear", b"1");
    table.clear(Wait::May).unwrap();
    for i in (0..100u8).step_by(4) {
        put(&table, &[i, i], &[i ^ 0x55; 20]);
        put(&table, &[i, 255], b"deleted below");
        let list: Vec<_> = (1..4).map(|n| (vec![i + n, i + n], vec![i ^ n; 20])).collect();
        put_many(&table, &list).unwrap();
        table.delete(key(&[i, 255]), Wait::May).unwrap();
    }
    assert_eq!(table.len(), 100);
    table.close().unwrap();
    sim.kill(sim.ops())
}

/// A killed table whose last records are above the durable mark.
fn killed(kind: TableKind) -> Sim {
    let sim = Sim::new();
    let table = create(&sim, kind);
    for i in 0..30u8 {
        if i % 5 == 0 {
            put_many(&table, &[(vec![i, 1], vec![i; 20]), (vec![i, 2], vec![i; 20])]).unwrap();
        }
        put(&table, &[i, 0], &[i; 20]);
        if i == 12 || i == 20 {
            table.care().unwrap();
        }
    }
    table.kill();
    sim.kill(sim.ops())
}
