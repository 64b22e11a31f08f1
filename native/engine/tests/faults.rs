//! Every call to the disk fails once, or from then on: each operation is done whole or not at all and says which, nothing acknowledged is
//! lost, and the table goes on when the disk does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bets_engine::format::record::{Kind, Record, Stamp};
use bets_engine::io::Storage;
use bets_engine::io::failing::{Call, Failing, Fault};
use bets_engine::io::sim::{Plan, Sim};
use bets_engine::merge::{Phase, Policy};
use bets_engine::table::{Commit, Config, MergeChoice, Open, Sync, Table, Wait};
use bets_engine::{Error, Result};
use common::{Random, contents, get, key, meta, put};
use parking_lot::Mutex;

const DIR: &str = "/t";

type State = BTreeMap<Vec<u8>, Vec<u8>>;

fn open(storage: &Arc<dyn Storage>, how: &Open) -> Result<Table> {
    open_cached(storage, how, false)
}

fn open_cached(storage: &Arc<dyn Storage>, how: &Open, cache: bool) -> Result<Table> {
    let config = Config {
        max_file_size: 600,
        background: false,
        seed: Some(7),
        cache,
        ..Config::default()
    };
    Table::open(storage, Path::new(DIR), how, config)
}

const EXISTING: Open = Open::Existing {
    kind: None,
    keypos: None,
};

/// Begins a merge or goes on with one, for so many steps.
fn merge(table: &Table, steps: usize) -> Result<()> {
    match table.merge_start(MergeChoice::Everything) {
        Ok(_) | Err(Error::Merging) => {}
        Err(error) => return Err(error),
    }
    for _ in 0..steps {
        if table
            .merge_step(200)?
            .is_none_or(|progress| progress.phase == Phase::Done)
        {
            break;
        }
    }
    Ok(())
}

/// What one run under a fault came to.
#[derive(Default)]
struct Outcome {
    failed_ops: usize,
    failed_reads: usize,
    read_only: bool,
}

/// Runs a workload with `fault` armed once the table is open, checking after each step that the table is what the answers said.
fn run(seed: u64, fault: Fault) -> Outcome {
    let sim = Sim::new();
    let failing = Failing::over_sim(sim.clone());
    let storage: Arc<dyn Storage> = Arc::new(failing.clone());
    // What a write that failed left in memory must not be read either.
    let cache = seed % 3 == 2;
    let mut table = open_cached(&storage, &Open::OrCreate(meta()), cache).unwrap();
    let (mut state, mut durable) = (State::new(), State::new());
    let mut outcome = Outcome::default();
    let (mut random, mut reads) = (Random::new(seed), Random::new(seed + 100));
    failing.arm(fault);
    for step in 0..40u8 {
        let k = vec![b'a' + random.below(5) as u8];
        let v = vec![step; [5, 60, 200][random.below(3)]];
        let mut after = state.clone();
        let done = match random.below(13) {
            0..=3 => {
                after.insert(k.clone(), v.clone());
                table.put(key(&k), &v, Wait::May).map(drop)
            }
            4 | 5 => {
                after.insert(k.clone(), v.clone());
                after.insert(b"z".to_vec(), v.clone());
                table
                    .put_many(&[(key(&k), &v), (key(b"z"), &v)], Wait::May)
                    .map(drop)
            }
            6 => {
                after.remove(&k);
                table.delete(key(&k), Wait::May).map(drop)
            }
            7 => {
                after.clear();
                table.clear(Wait::May).map(drop)
            }
            8 => table.care().map(drop),
            9..=11 => merge(&table, [2, 1_000][random.below(2)]),
            _ => table.sync(),
        };
        match done {
            Ok(()) => state = after,
            Err(error) => {
                outcome.failed_ops += 1;
                outcome.read_only |= matches!(error, Error::ReadOnly { .. });
                // No fault that lasts is one of reads.
                let shown: State = contents(&table).into_iter().collect();
                assert_eq!(shown, state, "{error}, and something was applied");
            }
        }
        let k = vec![b'a' + reads.below(5) as u8];
        match table.get(key(&k), Wait::May, |found| found.value.to_vec()) {
            Ok(found) => assert_eq!(found.as_ref(), state.get(&k), "a read that did not fail"),
            Err(_) => outcome.failed_reads += 1,
        }
        if table.stats().durable_seq == table.stats().seq {
            durable.clone_from(&state);
        }
        if random.below(12) == 0 {
            // A close that fails leaves what a kill would; the next opening recovers it.
            outcome.failed_ops += usize::from(table.close().is_err());
            failing.disarm();
            table = open_cached(&storage, &EXISTING, cache).unwrap();
            durable.clone_from(&state);
        }
    }
    failing.disarm();
    let shown: State = contents(&table).into_iter().collect();
    assert_eq!(shown, state, "what is read is not what the answers said");
    match table.put(key(b"new"), b"value", Wait::May) {
        Ok(_) => drop(state.insert(b"new".to_vec(), b"value".to_vec())),
        Err(Error::ReadOnly { .. }) => outcome.read_only = true,
        Err(error) => panic!("no write after the disk was well again: {error}"),
    }
    table.kill();
    let reopen = |image: Sim| -> State {
        let table = open(&(Arc::new(image) as Arc<dyn Storage>), &EXISTING).unwrap();
        let found = contents(&table).into_iter().collect();
        table.kill();
        found
    };
    assert_eq!(
        reopen(sim.kill(sim.ops())),
        state,
        "an acknowledged write is lost by a kill"
    );
    // Nothing that was durable may depend on what the failed sync dropped.
    let found = reopen(sim.crash(sim.ops(), &Plan::Nothing));
    assert!(
        found == durable || !outcome.read_only,
        "a durable write is lost after a failed sync"
    );
    outcome
}

#[test]
fn every_failing_call_is_survived() {
    let (mut failed, mut failed_reads) = (0, 0);
    let mut runs = 0;
    for seed in 0..6 {
        for nth in 1..120 {
            for fault in [
                Fault::nth(nth, &Call::ALL),
                Fault::nth(nth, &Call::CHANGES).persistent(),
                Fault::nth(nth, &Call::NEED_ROOM).no_space().persistent(),
                Fault::nth(nth, &[Call::Write]).half(),
                Fault::nth(nth, &[Call::Write, Call::Truncate])
                    .half()
                    .persistent(),
                Fault::nth(nth, &[Call::Sync]),
                Fault::nth(nth, &[Call::Read, Call::ReadNowait]),
            ] {
                let outcome = run(seed, fault);
                failed += usize::from(outcome.failed_ops > 0);
                failed_reads += outcome.failed_reads;
                runs += 1;
            }
        }
    }
    println!("{runs} runs, {failed} of them with operations that failed, {failed_reads} failed reads");
    assert!(failed * 4 > runs && failed_reads > 10);
}

fn open_failing() -> (Sim, Failing, Table) {
    let sim = Sim::new();
    let failing = Failing::over_sim(sim.clone());
    let table = open(
        &(Arc::new(failing.clone()) as Arc<dyn Storage>),
        &Open::OrCreate(meta()),
    )
    .unwrap();
    (sim, failing, table)
}

#[test]
fn after_a_failed_sync_the_table_is_read_only_until_it_is_opened_again() {
    let (sim, failing, table) = open_failing();
    put(&table, b"a", b"1");
    table.sync().unwrap();
    put(&table, b"b", b"2");
    failing.arm(Fault::nth(1, &[Call::Sync]));
    assert!(matches!(table.sync(), Err(Error::Io { op: "sync", .. })));
    for _ in 0..2 {
        assert!(matches!(
            table.put(key(b"c"), b"3", Wait::May),
            Err(Error::ReadOnly { .. })
        ));
        assert!(
            matches!(table.sync(), Err(Error::ReadOnly { .. })),
            "never tried again on that file"
        );
    }
    assert_eq!(get(&table, b"b").unwrap(), b"2", "reads go on");
    assert!(table.close().is_err());
    let image = sim.kill(sim.ops());
    let storage: Arc<dyn Storage> = Arc::new(image.clone());
    let table = open(&storage, &EXISTING).unwrap();
    put(&table, b"c", b"3");
    table.sync().unwrap();
    // What the failed sync dropped was copied where it can be synced.
    let crashed = image.crash(image.ops(), &Plan::Nothing);
    let found = contents(&open(&(Arc::new(crashed) as Arc<dyn Storage>), &EXISTING).unwrap());
    assert_eq!(found.len(), 3);
}

#[test]
fn those_who_wait_for_a_sync_are_told_that_it_failed() {
    let (_sim, failing, table) = open_failing();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let wait = |commit: Commit| {
        let answers = Arc::clone(&answers);
        table.on_durable(
            commit,
            Box::new(move |answer| answers.lock().push(answer.is_ok())),
        );
    };
    let write = |k: &[u8]| table.put(key(k), b"v", Wait::May).unwrap();
    wait(write(b"a"));
    wait(write(b"b"));
    assert!(answers.lock().is_empty(), "not durable yet");
    table.care().unwrap();
    assert_eq!(*answers.lock(), [true, true]);
    let third = write(b"c");
    wait(third);
    failing.arm(Fault::nth(1, &[Call::Sync]));
    assert!(table.care().is_err());
    assert_eq!(*answers.lock(), [true, true, false]);
    wait(third);
    assert_eq!(*answers.lock(), [true, true, false, false]);
}

/// Found by failing system calls on a real kernel: the directory's sync failed while a manifest was published, the table became read-only, and whoever
/// had written under `{sync, always}` before waited for ever, since nobody synced any more.
#[test]
fn those_who_wait_are_told_whatever_made_the_table_read_only() {
    for in_a_manifest in [true, false] {
        let (_sim, failing, table) = open_failing();
        let answers = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&answers);
        let commit = table.put(key(b"a"), b"v", Wait::May).unwrap();
        table.on_durable(commit, Box::new(move |answer| told.lock().push(answer.is_ok())));
        if in_a_manifest {
            // A segment that is needed at once is published by the writer.
            failing.arm(Fault::nth(2, &[Call::SyncDir]));
            while table.put(key(b"b"), &[1; 1000], Wait::May).is_ok() {}
        } else {
            table.fail();
            assert!(table.care().is_err());
        }
        assert_eq!(*answers.lock(), [false], "in a manifest: {in_a_manifest}");
    }
}

#[test]
fn those_who_wait_are_answered_when_the_table_closes() {
    let (_sim, _failing, table) = open_failing();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&answers);
    let commit = table.put(key(b"a"), b"v", Wait::May).unwrap();
    table.on_durable(commit, Box::new(move |answer| told.lock().push(answer.is_ok())));
    table.close().unwrap();
    assert_eq!(*answers.lock(), [true]);
}

#[test]
fn a_write_that_fails_half_way_leaves_no_trace() {
    let (sim, failing, table) = open_failing();
    let segment = Path::new(DIR).join("0000000001.seg");
    for i in 0..5u8 {
        let before = sim.read(&segment).unwrap();
        failing.arm(Fault::nth(1, &[Call::Write]).half().no_space());
        assert!(matches!(
            table.put(key(b"a"), &[i; 50], Wait::May),
            Err(Error::Io { op: "write", .. })
        ));
        assert_eq!(
            sim.read(&segment).unwrap(),
            before,
            "what was written is cut off again"
        );
        assert_eq!(get(&table, b"a"), i.checked_sub(1).map(|i| vec![i; 50]));
        put(&table, b"a", &[i; 50]);
    }
    table.kill();
    let storage: Arc<dyn Storage> = Arc::new(sim.kill(sim.ops()));
    assert_eq!(
        contents(&open(&storage, &EXISTING).unwrap()),
        vec![(b"a".to_vec(), vec![4; 50])]
    );
}

/// Guards against what a failed write left behind the end: its value may hold bytes that look like this table's next record, and a record that is written over its front must not
/// bring them to life.
#[test]
fn what_a_failed_write_left_is_no_record() {
    for calls in [&[Call::Write][..], &[Call::Write, Call::Truncate]] {
        let (sim, failing, table) = open_failing();
        let mut ghost = Vec::new();
        let stamp = Stamp {
            segment: 1,
            seq: 2,
            durable_seq: None,
        };
        Record::new(Kind::Put, key(b"ghost"), b"never written").put(&mut ghost, stamp);
        let (front, value) = (29, [ghost, vec![0; 200]].concat());
        failing.arm(Fault::nth(1, calls).half().persistent());
        assert!(table.put(key(b"a"), &value, Wait::May).is_err());
        failing.disarm();
        let short = Record::new(Kind::Put, key(b"b"), b"1");
        assert_eq!(short.frame_len(), front, "it ends where the value began");
        put(&table, b"b", b"1");
        table.kill();
        let storage: Arc<dyn Storage> = Arc::new(sim.kill(sim.ops()));
        let found = contents(&open(&storage, &EXISTING).unwrap());
        assert_eq!(found, vec![(b"b".to_vec(), b"1".to_vec())], "{calls:?} failed");
    }
}

#[test]
fn a_call_that_may_not_wait_says_so_and_changes_nothing() {
    let (sim, _failing, table) = open_failing();
    put(&table, b"a", b"1");
    sim.set_cold(true);
    assert!(matches!(
        table.get(key(b"a"), Wait::Never, |_| ()),
        Err(Error::WouldBlock)
    ));
    let update = table.update(key(b"a"), Wait::Never, |_| {
        (bets_engine::table::Change::Delete, ())
    });
    assert!(matches!(update, Err(Error::WouldBlock)));
    assert_eq!(get(&table, b"a").unwrap(), b"1");
    sim.set_cold(false);
    assert!(table.get(key(b"a"), Wait::Never, |_| ()).unwrap().is_some());
    let refused = loop {
        match table.put(key(b"b"), &[0; 100], Wait::Never) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(
        matches!(refused, Error::WouldBlock),
        "a rotation without a spare waits for the disk"
    );
    put(&table, b"b", b"2");
}

#[test]
fn an_opening_that_fails_at_any_call_harms_nothing() {
    let (sim, _failing, table) = open_failing();
    for i in 0..30u8 {
        put(&table, &[i], &[i; 40]);
        if i == 15 {
            table.care().unwrap();
        }
    }
    let expected = contents(&table);
    table.kill();
    let mut failed = 0;
    for nth in 1..200 {
        for fault in [
            Fault::nth(nth, &Call::ALL),
            Fault::nth(nth, &Call::CHANGES).no_space().persistent(),
        ] {
            let image = sim.kill(sim.ops());
            let failing = Failing::over_sim(image.clone());
            let storage: Arc<dyn Storage> = Arc::new(failing.clone());
            failing.arm(fault);
            match open(&storage, &EXISTING) {
                Ok(table) => table.kill(),
                Err(Error::Io { .. }) => failed += 1,
                Err(error) => panic!("call {nth}: {error}"),
            }
            failing.disarm();
            let table = open(&storage, &EXISTING).unwrap();
            assert_eq!(contents(&table), expected, "call {nth}");
            table.kill();
        }
    }
    println!("{failed} openings failed");
    assert!(failed > 60);
}

/// An opening goes on without the merge of its many small segments if that fails.
#[test]
fn a_merge_at_an_opening_that_fails_harms_nothing() {
    let (sim, _failing, table) = open_failing();
    table.kill();
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    for i in 0..70u8 {
        let table = open(&storage, &EXISTING).unwrap();
        put(&table, &[i], &[i; 40]);
        table.close().unwrap();
    }
    let expected: State = (0..70u8).map(|i| (vec![i], vec![i; 40])).collect();
    let (mut failed, mut merged) = (0, 0);
    for nth in (1..300).step_by(2) {
        for fault in [
            Fault::nth(nth, &Call::ALL),
            Fault::nth(nth, &Call::NEED_ROOM).no_space().persistent(),
        ] {
            let image = sim.kill(sim.ops());
            let failing = Failing::over_sim(image.clone());
            let storage: Arc<dyn Storage> = Arc::new(failing.clone());
            let table = open(&storage, &EXISTING).unwrap();
            failing.arm(fault);
            let done = table.merge_crowd(&Policy::default());
            failing.disarm();
            failed += usize::from(done.is_err());
            merged += usize::from(done.is_ok() && table.segments().len() < 70);
            let shown: State = contents(&table).into_iter().collect();
            assert_eq!(shown, expected, "call {nth}");
            let more = table.put(key(b"more"), b"1", Wait::May);
            assert!(
                matches!(more, Ok(_) | Err(Error::ReadOnly { .. })),
                "call {nth}: {more:?}"
            );
            let _ = table.delete(key(b"more"), Wait::May);
            let _ = table.close();
            let table = open(&storage, &EXISTING).unwrap();
            let shown: State = contents(&table).into_iter().collect();
            assert_eq!(shown, expected, "call {nth}, opened again");
            table.merge_crowd(&Policy::default()).unwrap();
            assert!(table.segments().len() < 70);
            table.kill();
        }
    }
    println!("{failed} merges failed, {merged} did not");
    assert!(failed > 20 && merged > 0);
}

/// What is durable is safe whether the manifest can say so or not.
#[test]
fn no_room_for_a_manifest_fails_neither_a_sync_nor_a_close() {
    let (sim, failing, table) = open_failing();
    for i in 0..30u8 {
        put(&table, &[i], &[i; 40]);
    }
    let expected = contents(&table);
    failing.arm(Fault::nth(1, &[Call::Create]).no_space().persistent());
    table.sync().unwrap();
    assert_eq!(table.stats().durable_seq, table.stats().seq);
    table.close().unwrap();
    assert!(failing.failed() > 1);
    for image in [sim.kill(sim.ops()), sim.crash(sim.ops(), &Plan::Nothing)] {
        let table = open(&(Arc::new(image) as Arc<dyn Storage>), &EXISTING).unwrap();
        assert_eq!(contents(&table), expected);
        table.kill();
    }
}

/// The directory is free again after a close that failed.
#[test]
fn a_close_that_fails_unlocks() {
    let (_sim, failing, table) = open_failing();
    put(&table, b"a", b"1");
    failing.arm(Fault::nth(1, &[Call::Sync]));
    assert!(matches!(table.close(), Err(Error::Io { op: "sync", .. })));
    table.close().unwrap();
    assert!(matches!(
        table.get(key(b"a"), Wait::May, |_| ()),
        Err(Error::Closed)
    ));
    let table = open(&(Arc::new(failing) as Arc<dyn Storage>), &EXISTING).unwrap();
    assert_eq!(get(&table, b"a").unwrap(), b"1");
}

/// While there was no room for a spare segment, writes came that no care was planned for but the one that failed.
#[test]
fn syncs_go_on_by_themselves_when_there_is_room_again() {
    let failing = Failing::over_sim(Sim::new());
    let storage: Arc<dyn Storage> = Arc::new(failing.clone());
    let config = Config {
        max_file_size: 64 << 20,
        sync: Sync::Interval(1),
        cache: false,
        ..Config::default()
    };
    let table = Table::open(&storage, Path::new(DIR), &Open::OrCreate(meta()), config).unwrap();
    failing.arm(Fault::nth(1, &[Call::Create]).no_space().persistent());
    put(&table, b"half a segment", &vec![0; 33 << 20]);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for k in [b"a", b"b", b"c"] {
            let table = &table;
            scope.spawn(move || {
                while start.elapsed() < Duration::from_millis(600) {
                    put(table, k, b"1");
                    // Without it a quick machine fills the segment, and there is no other.
                    std::thread::sleep(Duration::from_micros(20));
                }
            });
        }
    });
    assert!(failing.failed() > 0, "care met the full disk");
    failing.disarm();
    let start = Instant::now();
    while table.stats().durable_seq < table.stats().seq {
        assert!(start.elapsed() < Duration::from_secs(20), "no sync came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An output is synced by another thread while the next one is written: a failure is seen all the same, before anything is published.
#[test]
fn a_sync_beside_the_copying_that_fails_gives_the_merge_up() {
    let mut given_up = 0;
    for nth in 1..=6 {
        let sim = Sim::new();
        let failing = Failing::over_sim(sim.clone());
        let storage: Arc<dyn Storage> = Arc::new(failing.clone());
        let config = Config {
            max_file_size: 600,
            sync: Sync::None,
            cache: false,
            ..Config::default()
        };
        let table = Table::open(&storage, Path::new(DIR), &Open::OrCreate(meta()), config).unwrap();
        // Half of each segment is dead, wherever the marks of syncs in the background come to lie: so all are merged, into three.
        for k in 0..20u8 {
            for round in 0..2u8 {
                put(&table, &[k], &[round; 50]);
            }
        }
        table.merge_start(MergeChoice::Everything).unwrap();
        // So that the syncs to come are the merge's.
        table.care().unwrap();
        let before = contents(&table);
        let ids = |table: &Table| table.segments().iter().map(|s| s.id).collect::<Vec<_>>();
        let inputs = ids(&table);
        failing.arm(Fault::nth(nth, &[Call::Sync]));
        let merged = merge(&table, usize::MAX);
        let failed = failing.failed() > 0;
        failing.disarm();
        assert_eq!(merged.is_err(), failed, "the {nth}th sync: {merged:?}");
        assert_eq!(contents(&table), before);
        if failed && table.put(key(b"more"), b"1", Wait::May).is_ok() {
            // It was an output's, and nothing was published: the inputs are all there, and the next merge goes well.
            given_up += 1;
            assert!(ids(&table).starts_with(&inputs), "the {nth}th sync");
            merge(&table, usize::MAX).unwrap();
            assert_ne!(ids(&table), inputs);
        }
        let _ = table.close();
        let again = open(&(Arc::new(sim) as Arc<dyn Storage>), &EXISTING).unwrap();
        assert!(contents(&again).len() >= before.len());
    }
    assert!(
        given_up >= 2,
        "of the first syncs {given_up} were those of outputs"
    );
}
