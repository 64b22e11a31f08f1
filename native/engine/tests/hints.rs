//! Hints and the checkpoint: however a table is loaded, it is the same table; whatever happens to these files, nothing is lost and nothing wrong
//! is read.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bets_engine::format::checkpoint::{HEADER_LEN, Header, Section, SectionPart, Tail, put_one};
use bets_engine::io::Storage;
use bets_engine::io::failing::{Call, Failing, Fault};
use bets_engine::io::sim::{Plan, Sim};
use bets_engine::keydir::Location;
use bets_engine::seeded;
use bets_engine::table::{Config, Open, Table, TableKind, Wait};
use bets_engine::{Deadline, Error, Key, Result};
use common::{ALL_KINDS, Random, TestDir, add, contents, meta_of, put_many, remove};

const DIR: &str = "/t";

const EXISTING: Open = Open::Existing {
    kind: None,
    keypos: None,
};

fn config(threads: usize) -> Config {
    Config {
        max_file_size: 900,
        background: false,
        seed: Some(7),
        cache: false,
        load_threads: threads,
        ..Config::default()
    }
}

fn open_at(storage: &Arc<dyn Storage>, how: &Open, threads: usize) -> Result<Table> {
    Table::open(storage, Path::new(DIR), how, config(threads))
}

fn open(sim: &Sim, threads: usize) -> Result<Table> {
    open_at(&(Arc::new(sim.clone()) as Arc<dyn Storage>), &EXISTING, threads)
}

fn create(sim: &Sim, kind: TableKind) -> Table {
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    open_at(&storage, &Open::OrCreate(meta_of(kind)), 0).unwrap()
}

/// The files whose names end so.
fn files(sim: &Sim, end: &str) -> Vec<PathBuf> {
    let mut files = sim.files();
    files.retain(|path| path.to_string_lossy().ends_with(end));
    files
}

fn without(sim: &Sim, ends: &[&str]) -> Sim {
    let image = sim.kill(0);
    for path in ends.iter().flat_map(|end| files(&image, end)) {
        image.remove(&path).unwrap();
    }
    image
}

/// All that a table is: its objects in their order, and what is live of each segment.
#[derive(Debug, PartialEq)]
struct Whole {
    objects: Vec<(Vec<u8>, Vec<u8>)>,
    /// What `each` gives for every key: in a bag the objects in the order of their seqs.
    each: Vec<Vec<Vec<u8>>>,
    len: u64,
    seq: u64,
    live: BTreeMap<u32, u64>,
}

fn whole(table: &Table) -> Whole {
    let objects = contents(table);
    let each = (0..KEYS).map(|k| {
        let mut all = Vec::new();
        let key = key_bytes(k);
        let looked = table.each(Key::plain(&key), Wait::May, |_, found| {
            all.push(found.value.to_vec());
            ControlFlow::<()>::Continue(())
        });
        assert!(looked.unwrap().is_none());
        all
    });
    let live = table.segments().into_iter();
    Whole {
        each: each.collect(),
        objects,
        len: table.len(),
        seq: table.seq(),
        live: live.map(|s| (s.id, s.share.bytes - s.share.dead_bytes)).collect(),
    }
}

const KEYS: usize = 40;

/// Keys of one to three bytes, none the beginning of another.
fn key_bytes(k: usize) -> Vec<u8> {
    let mut key = vec![k as u8; k % 3];
    key.push(200 + k as u8);
    key
}

/// Puts, overwrites in other forms, batches, removals and clears, over many segments, and a value that is too long for its location to tell.
fn write(table: &Table, random: &mut Random, steps: usize) {
    let bag = table.meta().kind.is_bag();
    for step in 0..steps {
        let k = key_bytes(random.below(KEYS));
        let value = vec![step as u8; [3, 40, 200][random.below(3)]];
        match random.below(40) {
            0 => {
                table.clear(Wait::May).unwrap();
            }
            1..=4 => {
                table.delete(Key::plain(&k), Wait::May).unwrap();
            }
            5..=8 => {
                let list: Vec<_> = (0..5)
                    .map(|i| (key_bytes(random.below(KEYS)), vec![i; 9]))
                    .collect();
                put_many(table, &list).unwrap();
            }
            9..=12 if bag => {
                let first = common::all(table, &k).first().cloned();
                if let Some(first) = first {
                    remove(table, &k, &first).unwrap();
                }
            }
            13 => common::put(table, &k, &vec![7; 66_000]),
            _ if bag => {
                add(table, &k, &value).unwrap();
            }
            _ => {
                let form = [&k[..], &b"form"[..random.below(5)]].concat();
                table.put(Key::new(&form, k.len()), &value, Wait::May).unwrap();
            }
        }
    }
}

/// A table with many segments, closed.
fn closed(kind: TableKind, seed: u64) -> Sim {
    let sim = Sim::new();
    let table = create(&sim, kind);
    let mut random = Random::new(seed);
    for _ in 0..4 {
        write(&table, &mut random, 50);
        table.care().unwrap();
    }
    table.close().unwrap();
    sim.kill(sim.ops())
}

#[test]
fn a_table_is_the_same_however_it_is_loaded() {
    for kind in ALL_KINDS {
        for seed in 0..20 {
            let sim = closed(kind, seed);
            let segments = files(&sim, ".seg").len();
            assert_eq!(files(&sim, ".hint").len(), segments, "each has its hint");
            assert_eq!(files(&sim, "CHECKPOINT").len(), 1);
            let expected = whole(&open(&without(&sim, &["CHECKPOINT", ".hint"]), 1).unwrap());
            for threads in 1..=4 {
                for (what, gone) in [
                    ("checkpoint", &[][..]),
                    ("hints", &["CHECKPOINT"]),
                    ("one hint less", &["CHECKPOINT", "2.hint"]),
                    ("segments", &["CHECKPOINT", ".hint"]),
                ] {
                    let image = without(&sim, gone);
                    let table = open(&image, threads).unwrap();
                    let found = whole(&table);
                    assert_eq!(found, expected, "{kind:?} {seed}, by {what}, {threads} threads");
                    assert_eq!(files(&image, ".hint").len(), segments, "what was missing is made");
                    assert!(files(&image, "CHECKPOINT").is_empty(), "it is of no use any more");
                    table.kill();
                }
            }
        }
    }
}

/// A load goes in rounds only if there is more than one round: many keys, real threads.
#[test]
fn many_threads_load_what_one_does() {
    for kind in ALL_KINDS {
        let mut dir = TestDir::of(kind).max_file_size(1 << 20);
        dir.config.background = false;
        let table = dir.open();
        // Groups of keys that are alike for longer than what is compared first.
        let key_of = |id: u32| [&[(id % 3) as u8][..], &[7; 12], &id.to_be_bytes()].concat();
        for i in 0..60_000u32 {
            let key = key_of(i % 25_000);
            if kind.is_bag() {
                add(&table, &key, &i.to_be_bytes()).unwrap();
            } else {
                table.put(Key::plain(&key), &i.to_be_bytes(), Wait::May).unwrap();
            }
            match i {
                10_000 => {
                    table.clear(Wait::May).unwrap();
                }
                _ if i % 7 == 0 => drop(table.delete(Key::plain(&key_of(i % 1000)), Wait::May).unwrap()),
                _ => {}
            }
        }
        let expected = contents(&table);
        table.close().unwrap();
        for gone in [&["CHECKPOINT"][..], &["CHECKPOINT", ".hint"], &[]] {
            for threads in 1..=4 {
                let mut copy = dir.copy();
                copy.config.load_threads = threads;
                for entry in std::fs::read_dir(copy.path()).unwrap() {
                    let entry = entry.unwrap();
                    let name = entry.file_name().into_string().unwrap();
                    if gone.iter().any(|end| name.ends_with(end)) {
                        std::fs::remove_file(entry.path()).unwrap();
                    }
                }
                let table = copy.reopen();
                assert_eq!(table.len(), expected.len() as u64);
                assert!(
                    contents(&table) == expected,
                    "{kind:?}, {threads} threads, without {gone:?}"
                );
            }
        }
    }
}

/// Flips every bit of every hint and of the checkpoint, cuts them everywhere, and fills them up with zeros: the table is loaded another way and is the same.
#[test]
fn whatever_happens_to_a_hint_or_a_checkpoint_the_table_is_the_same() {
    let mut swept = 0;
    for kind in ALL_KINDS {
        let sim = Sim::new();
        let table = create(&sim, kind);
        write(&table, &mut Random::new(4), 25);
        table.close().unwrap();
        let sim = sim.kill(sim.ops());
        let expected = contents(&open(&without(&sim, &["CHECKPOINT", ".hint"]), 1).unwrap());
        assert!(expected.len() > 3);
        for end in ["CHECKPOINT", ".hint"] {
            // A hint matters only without the checkpoint.
            let sim = without(&sim, if end == ".hint" { &["CHECKPOINT"] } else { &[] });
            for path in files(&sim, end).into_iter().take(3) {
                let bytes = sim.read(&path).unwrap();
                let check = |image: Sim, what: String| {
                    let table = open(&image, 1).unwrap();
                    assert_eq!(contents(&table), expected, "{what} of {}", path.display());
                    table.kill();
                    image
                };
                for bit in 0..bytes.len() as u64 * 8 {
                    let image = sim.kill(0);
                    image.flip_bit(&path, bit / 8, bit as u8 % 8).unwrap();
                    let image = check(image, format!("bit {bit}"));
                    swept += 1;
                    if bit % 64 == 0 {
                        check(image, format!("what was made anew for bit {bit}"));
                    }
                }
                for len in (0..=bytes.len() as u64 + 1).filter(|&len| len != bytes.len() as u64) {
                    let image = sim.kill(0);
                    image.set_len(&path, len).unwrap();
                    check(image, format!("length {len}"));
                }
                // What a power loss leaves of a file whose length was durable before its bytes.
                for lost in (0..bytes.len()).step_by(5) {
                    let image = sim.kill(0);
                    let mut left = bytes.clone();
                    left[lost..].fill(0);
                    image.write(&path, &left).unwrap();
                    check(image, format!("zeros from {lost} on"));
                }
            }
        }
    }
    println!("{swept} bits of hints and checkpoints flipped: the same table each time");
}

/// A checkpoint of the same table with these keys in each of its sections, right to the last CRC.
fn checkpoint_of(bytes: &[u8], sections: &[Vec<(Key<'_>, Location, Deadline)>]) -> Vec<u8> {
    let header = Header::decode(bytes.first_chunk().unwrap()).unwrap();
    let mut tail = Tail::decode(&header, &bytes[header.tail as usize..]).unwrap();
    let (mut file, mut objects) = (vec![0; HEADER_LEN], 0);
    tail.sections.clear();
    for keys in sections {
        let mut section = Vec::new();
        for &(key, location, deadline) in keys {
            put_one(&mut section, key, location, deadline);
        }
        tail.sections.push(SectionPart::of(&section, keys.len() as u32));
        file.extend(section);
        objects += keys.len() as u64;
    }
    let (at, tail) = (file.len() as u64, tail.encode());
    let header = Header {
        objects,
        tail: at,
        tail_len: tail.len() as u32,
        tail_crc: crc32fast::hash(&tail),
        ..header
    };
    file.extend(tail);
    file[..HEADER_LEN].copy_from_slice(&header.encode());
    file
}

/// A tree that is filled with keys out of order would not find some of them.
#[test]
fn a_checkpoint_whose_keys_are_not_in_order_is_not_used() {
    let sim = Sim::new();
    let table = create(&sim, TableKind::OrderedSet);
    (0..100).for_each(|k| common::put(&table, &[k], &[k; 20]));
    table.close().unwrap();
    let path = Path::new(DIR).join("CHECKPOINT");
    let bytes = sim.read(&path).unwrap();
    let header = Header::decode(bytes.first_chunk().unwrap()).unwrap();
    let mut section = Section::new(&bytes[HEADER_LEN..header.tail as usize]);
    let keys: Vec<_> = std::iter::from_fn(|| (!section.is_done()).then(|| section.one().unwrap())).collect();
    assert_eq!(keys.len(), 100);
    let (lower, upper) = (keys[..50].to_vec(), keys[50..].to_vec());
    let mut swapped = keys.clone();
    swapped.swap(10, 11);
    let mut twice = keys.clone();
    twice[10] = twice[11];
    for sections in [
        vec![lower.clone(), upper.clone()],
        vec![upper, lower],
        vec![swapped],
        vec![twice],
    ] {
        let image = sim.kill(sim.ops());
        image.write(&path, &checkpoint_of(&bytes, &sections)).unwrap();
        let table = open(&image, 1).unwrap();
        assert_eq!(contents(&table).len(), 100);
        for (key, ..) in &keys {
            assert!(table.contains(*key, Wait::May).unwrap(), "{key:?}");
        }
    }
}

/// Whether an older checkpoint in the place of the one that is missing, or of the newer one, changes what an opening finds.
fn older_checkpoint_changes_something() -> bool {
    let sim = Sim::new();
    let table = create(&sim, TableKind::Set);
    write(&table, &mut Random::new(1), 30);
    table.close().unwrap();
    let path = Path::new(DIR).join("CHECKPOINT");
    let older = sim.read(&path).unwrap();
    let table = open(&sim, 1).unwrap();
    write(&table, &mut Random::new(2), 30);
    table.delete(Key::plain(&key_bytes(1)), Wait::May).unwrap();
    table.sync().unwrap();
    let expected = contents(&table);
    let killed = sim.kill(sim.ops());
    killed.write(&path, &older).unwrap();
    table.close().unwrap();
    let closed = sim.kill(sim.ops());
    closed.write(&path, &older).unwrap();
    [killed, closed]
        .iter()
        .any(|image| open(image, 1).is_ok_and(|table| contents(&table) != expected))
}

#[test]
fn a_checkpoint_of_an_older_generation_is_not_used() {
    assert!(!older_checkpoint_changes_something());
    seeded::put(Some(seeded::Fault::StaleCheckpoint));
    let found = older_checkpoint_changes_something();
    seeded::put(None);
    assert!(found, "the seeded fault is found");
}

/// Whether the hint of a shorter life of the same segment changes what an opening finds.
fn stale_hint_changes_something() -> bool {
    let sim = Sim::new();
    let table = create(&sim, TableKind::Set);
    let put = |table: &Table, k: u8| common::put(table, &[k], &[k; 20]);
    (0..5).for_each(|k| put(&table, k));
    table.sync().unwrap();
    // What a backup of this moment would become.
    let other = sim.kill(sim.ops());
    open(&other, 1).unwrap().close().unwrap();
    (5..10).for_each(|k| put(&table, k));
    table.close().unwrap();
    let sim = without(&sim.kill(sim.ops()), &["CHECKPOINT"]);
    let hint = files(&other, "1.hint").pop().unwrap();
    sim.write(&hint, &other.read(&hint).unwrap()).unwrap();
    open(&sim, 1).is_ok_and(|table| table.len() != 10)
}

#[test]
fn a_hint_of_another_length_of_its_segment_is_not_used() {
    assert!(!stale_hint_changes_something());
    seeded::put(Some(seeded::Fault::StaleHint));
    let found = stale_hint_changes_something();
    seeded::put(None);
    assert!(found, "the seeded fault is found");
}

#[test]
fn an_opening_and_a_close_survive_every_failing_call() {
    let (mut refused, mut opened) = (0, 0);
    for kind in ALL_KINDS {
        let sim = closed(kind, 5);
        let expected = whole(&open(&sim.kill(0), 1).unwrap());
        for gone in [&["CHECKPOINT"][..], &["CHECKPOINT", ".hint"], &[]] {
            for nth in 1..120 {
                for fault in [
                    Fault::nth(nth, &Call::ALL),
                    Fault::nth(nth, &Call::CHANGES).no_space().persistent(),
                    Fault::nth(nth, &[Call::Write]).half(),
                    Fault::nth(nth, &[Call::Read]).persistent(),
                ] {
                    let image = without(&sim, gone);
                    let failing = Failing::over_sim(image.clone());
                    let storage: Arc<dyn Storage> = Arc::new(failing.clone());
                    failing.arm(fault);
                    match open_at(&storage, &EXISTING, 1) {
                        Ok(table) => {
                            opened += 1;
                            // Whether it succeeds or not, it leaves a table.
                            let _ = table.close();
                        }
                        Err(Error::Io { .. }) => refused += 1,
                        Err(error) => panic!("{kind:?}, call {nth}: {error}"),
                    }
                    failing.disarm();
                    let table = open_at(&storage, &EXISTING, 1).unwrap();
                    let found = whole(&table);
                    assert_eq!(
                        (&found.objects, &found.each),
                        (&expected.objects, &expected.each),
                        "{kind:?}, call {nth}"
                    );
                    table.kill();
                }
            }
        }
    }
    println!("{opened} openings went on, {refused} were refused");
    assert!(opened > 0 && refused > 0);
}

/// Neither is synced: a power loss may take all of them.
#[test]
fn nothing_durable_depends_on_them() {
    let sim = Sim::new();
    let table = create(&sim, TableKind::OrderedSet);
    write(&table, &mut Random::new(9), 100);
    table.close().unwrap();
    let expected = contents(&open(&sim.kill(sim.ops()), 1).unwrap());
    let (mut torn, mut gone) = (0, 0);
    for plan in [Plan::Nothing, Plan::Everything]
        .into_iter()
        .chain((0..50).map(Plan::Seeded))
    {
        let image = sim.crash(sim.ops(), &plan);
        let before = files(&sim.kill(sim.ops()), ".hint").len();
        gone += usize::from(files(&image, ".hint").len() < before);
        torn += usize::from(
            files(&image, "CHECKPOINT")
                .iter()
                .any(|path| image.read(path).unwrap() != sim.read(path).unwrap()),
        );
        assert_eq!(contents(&open(&image, 1).unwrap()), expected);
    }
    assert!(torn > 0 && gone > 0, "{torn} torn, {gone} lost");
}

#[test]
fn temporary_tables_have_none_and_deleted_ones_leave_none() {
    let mut dir = TestDir::new().max_file_size(1000);
    dir.config.temporary = true;
    let names = |dir: &TestDir| -> Vec<String> {
        std::fs::read_dir(dir.path())
            .map(|all| {
                all.map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .collect()
            })
            .unwrap_or_default()
    };
    let made = |dir: &TestDir| {
        let names = names(dir);
        ["hint", "CHECKPOINT"]
            .iter()
            .any(|end| names.iter().any(|name| name.ends_with(end)))
    };
    let table = dir.open();
    write(&table, &mut Random::new(1), 50);
    table.close().unwrap();
    assert!(!made(&dir));
    let mut dir = TestDir::new().max_file_size(1000);
    dir.config.background = false;
    let table = dir.open();
    write(&table, &mut Random::new(1), 50);
    table.close().unwrap();
    assert!(made(&dir));
    dir.reopen().destroy().unwrap();
    assert!(names(&dir).is_empty());
}

/// A hint of no segment is left over, and goes; so does one that was never finished.
#[test]
fn orphans_are_removed() {
    let sim = closed(TableKind::Set, 1);
    let path = Path::new(DIR).join("0000009999.hint");
    sim.write(&path, b"anything").unwrap();
    open(&sim, 1).unwrap().kill();
    assert!(sim.read(&path).is_err());
}
