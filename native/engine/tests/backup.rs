//! A backup is a table of its own, with what was there at its moment.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::sync::Arc;

use bets_engine::io::Storage;
use bets_engine::io::failing::{Call, Failing, Fault};
use bets_engine::io::sim::{Plan, Sim};
use bets_engine::table::{Config, Open, Table, Wait};
use bets_engine::{Error, Result};
use common::{ALL_KINDS, TestDir, contents, get, key, merge_all, meta, put};

const EXISTING: Open = Open::Existing {
    kind: None,
    keypos: None,
};

fn open(storage: &Arc<dyn Storage>, dir: &str, how: &Open) -> Result<Table> {
    let config = Config {
        max_file_size: 600,
        background: false,
        cache: false,
        ..Config::default()
    };
    Table::open(storage, Path::new(dir), how, config)
}

#[test]
fn a_backup_holds_its_moment_whatever_becomes_of_the_table() {
    for kind in ALL_KINDS {
        let dir = TestDir::of(kind).max_file_size(4_000);
        let table = dir.open();
        for i in 0..200u8 {
            put(&table, &[i], &[i; 50]);
        }
        for i in 0..50u8 {
            table.delete(key(&[i]), Wait::May).unwrap();
        }
        let backup = TestDir::new();
        let commit = table.backup(backup.path()).unwrap();
        assert_eq!(commit.0, table.seq());
        let before = contents(&table);
        for i in 0..100u8 {
            put(&table, &[i], b"later");
        }
        merge_all(&table).unwrap();
        let copy = backup.reopen();
        assert_eq!(contents(&copy), before);
        put(&copy, b"new", b"1");
        merge_all(&copy).unwrap();
        assert_eq!(get(&table, b"new"), None);
        copy.close().unwrap();
        assert_eq!(contents(&backup.reopen()).len(), before.len() + 1);
        assert!(
            matches!(table.backup(backup.path()), Err(Error::NotATable { .. })),
            "it is not empty"
        );
        assert!(matches!(table.backup(dir.path()), Err(Error::AlreadyOpen { .. })));
    }
}

#[test]
fn a_backup_of_nothing_and_one_of_what_is_not_synced_are_whole() {
    let dir = TestDir::new();
    let table = dir.open();
    let empty = TestDir::new();
    table.backup(empty.path()).unwrap();
    assert!(empty.reopen().is_empty());
    put(&table, b"a", b"1");
    let one = TestDir::new();
    table.backup(one.path()).unwrap();
    assert_eq!(get(&one.reopen(), b"a").unwrap(), b"1");
}

#[test]
fn where_nothing_can_be_linked_files_are_copied() {
    let sim = Sim::new();
    let failing = Failing::over_sim(sim.clone());
    let storage: Arc<dyn Storage> = Arc::new(failing.clone());
    let table = open(&storage, "/t", &Open::OrCreate(meta())).unwrap();
    for i in 0..100u8 {
        put(&table, &[i], &[i; 50]);
    }
    failing.arm(Fault::nth(1, &[Call::Link]).persistent());
    table.backup(Path::new("/b")).unwrap();
    failing.disarm();
    let copy = open(&storage, "/b", &EXISTING).unwrap();
    assert_eq!(contents(&copy), contents(&table));
}

#[test]
fn a_crash_leaves_the_backup_whole_or_no_table() {
    for linked in [true, false] {
        crash_a_backup(linked);
    }
}

fn crash_a_backup(linked: bool) {
    let sim = Sim::new();
    let failing = Failing::over_sim(sim.clone());
    let storage: Arc<dyn Storage> = Arc::new(failing.clone());
    if !linked {
        failing.arm(Fault::nth(1, &[Call::Link]).persistent());
    }
    let table = open(&storage, "/t", &Open::OrCreate(meta())).unwrap();
    for i in 0..60u8 {
        put(&table, &[i], &[i; 50]);
    }
    let (begun, before) = (sim.ops(), contents(&table));
    table.backup(Path::new("/b")).unwrap();
    let done = sim.ops();
    put(&table, b"later", b"1");
    table.sync().unwrap();
    let (mut whole, mut none) = (0, 0);
    for point in sim.crash_points().filter(|point| point.at() >= begun) {
        for plan in [Plan::Nothing, Plan::Everything]
            .into_iter()
            .chain((1..12).map(Plan::Seeded))
        {
            let image: Arc<dyn Storage> = Arc::new(point.image(&plan));
            match open(&image, "/b", &EXISTING) {
                Ok(copy) => {
                    assert_eq!(contents(&copy), before, "at {} {plan:?}", point.at());
                    whole += 1;
                }
                Err(Error::NoTable { .. } | Error::Missing { .. }) if point.at() < done => none += 1,
                Err(error) => panic!("at {} of {done} {plan:?}: {error}", point.at()),
            }
        }
    }
    assert!(whole > 0 && none > 0, "{whole} whole, {none} none");
}
