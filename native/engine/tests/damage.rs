//! Damaged files: what a crash can have done is cut, everything else is refused by name and place, and nothing wrong is ever read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bets_engine::format::record::{Kind, Record, Stamp};
use bets_engine::io::Storage;
use bets_engine::io::failing::{Call, Failing, Fault};
use bets_engine::io::sim::Sim;
use bets_engine::table::{Config, Cursor, Open, Table, TableKind, Wait};
use bets_engine::{Error, Key, Result};
use common::{ALL_KINDS, all, contents, key, meta, meta_of, put, put_many, remove};

const DIR: &str = "/t";

/// The objects that were read, and the keys that gave an error.
type ReadAll = (BTreeMap<Vec<u8>, Vec<u8>>, Vec<Vec<u8>>);
type Contents = Vec<(Vec<u8>, Vec<u8>)>;

fn open(sim: &Sim, max_file_size: u64) -> Result<Table> {
    open_as(sim, max_file_size, TableKind::Set, false)
}

fn open_as(sim: &Sim, max_file_size: u64, kind: TableKind, compressed: bool) -> Result<Table> {
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    let config = Config {
        max_file_size,
        compressed,
        background: false,
        seed: Some(7),
        cache: false,
        ..Config::default()
    };
    let existing = Open::Existing {
        kind: None,
        keypos: None,
    };
    let missing = matches!(sim.stat(&Path::new(DIR).join("MANIFEST")), Ok(None));
    Table::open(
        &storage,
        Path::new(DIR),
        &if missing {
            Open::OrCreate(meta_of(kind))
        } else {
            existing
        },
        config,
    )
}

/// A log of 100 records of every kind, never synced after the opening; the states after each, and its disk.
fn unsynced_log(kind: TableKind) -> (Sim, PathBuf, Vec<Contents>) {
    let sim = Sim::new();
    let table = open_as(&sim, 1 << 20, kind, false).unwrap();
    let mut states = vec![contents(&table)];
    for i in 0..100u8 {
        match i % 10 {
            3 => drop(table.delete(key(&[i - 1]), Wait::May).unwrap()),
            6 => put_many(&table, &[(vec![i], vec![i; 9]), (vec![200], vec![i; 5])]).unwrap(),
            8 if i > 20 && i < 80 && kind.is_bag() => {
                let removed = remove(&table, &[200], &[i - 12; 5]).unwrap();
                assert!(removed.is_some());
            }
            9 if i > 80 => drop(table.clear(Wait::May).unwrap()),
            _ => put(&table, &[i], &vec![i; usize::from(i)]),
        }
        states.push(contents(&table));
    }
    table.kill();
    (sim.kill(sim.ops()), segment(&sim, 1), states)
}

fn segment(sim: &Sim, id: u32) -> PathBuf {
    let name = format!("{id:010}.seg");
    sim.files()
        .into_iter()
        .find(|path| path.ends_with(&name))
        .unwrap()
}

#[test]
fn every_byte_cut_of_a_log_opens_to_a_prefix() {
    ALL_KINDS.into_iter().for_each(cuts_open_to_a_prefix);
}

fn cuts_open_to_a_prefix(kind: TableKind) {
    let (sim, path, states) = unsynced_log(kind);
    let bytes = sim.read(&path).unwrap();
    let mut last = [0, 0];
    for cut in 32..=bytes.len() {
        for zeros in [false, true] {
            let image = sim.kill(0);
            let mut kept = bytes[..cut].to_vec();
            if zeros {
                kept.resize(bytes.len() + 10, 0);
            }
            image.write(&path, &kept).unwrap();
            let table = open(&image, 1 << 20).unwrap();
            let found = contents(&table);
            // Zeros may complete a frame that ends in zeros, so the two kinds of cut are followed apart.
            let last = &mut last[usize::from(zeros)];
            *last += states[*last..]
                .iter()
                .position(|state| *state == found)
                .expect("a prefix, and no shorter one");
            put(&table, b"~", b"goes on");
            table.kill();
            assert_eq!(contents(&open(&image, 1 << 20).unwrap()).len(), found.len() + 1);
        }
    }
    assert_eq!(last, [100, 100]);
}

/// What opening and reading everything gives: the objects that were read, the error of the opening or that of some key.
fn read_all(sim: &Sim) -> Result<ReadAll> {
    let table = open(sim, 1500)?;
    let (mut good, mut bad) = (BTreeMap::new(), Vec::new());
    let mut cursor = Cursor::default();
    while let Some(stored) = table.next_key(&cursor, Wait::May)? {
        match table.get(Key::plain(&stored), Wait::May, |found| found.value.to_vec()) {
            Ok(Some(value)) => drop(good.insert(stored.clone(), value)),
            Ok(None) => panic!("a key that next_key gives is not there"),
            Err(Error::Damaged { .. }) => bad.push(stored.clone()),
            Err(error) => return Err(error),
        }
        cursor = Cursor::after(key(&stored));
    }
    table.kill();
    Ok((good, bad))
}

/// Flips every bit of every file of a table of 100 objects. Below the durable mark each is reported (at the opening, or for one key alone) or
/// harmless, never a wrong value and never a silent absence.
fn sweep(sim: &Sim, expected: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let (mut refused, mut one_key, mut harmless) = (0, 0, 0);
    for path in sim.files() {
        let bytes = sim.read(&path).unwrap();
        for bit in 0..bytes.len() * 8 {
            let image = sim.kill(0);
            image.flip_bit(&path, bit as u64 / 8, bit as u8 % 8).unwrap();
            let what = format!("bit {bit} of {}", path.display());
            match read_all(&image) {
                Err(Error::Damaged {
                    path: named, offset, ..
                }) => {
                    assert_eq!(named, path, "{what}");
                    assert!(offset as usize <= bit / 8, "{what}: said {offset}");
                    refused += 1;
                }
                Err(Error::NewerVersion { .. }) => refused += 1,
                Err(error) => panic!("{what}: {error}"),
                Ok((good, bad)) => {
                    assert!(bad.len() <= 1, "{what}: {} keys lost", bad.len());
                    assert_eq!(good.len() + bad.len(), expected.len(), "{what}: a silent loss");
                    assert!(
                        good.iter().all(|(k, v)| expected.get(k) == Some(v)),
                        "{what}: a wrong value"
                    );
                    *(if bad.is_empty() {
                        &mut harmless
                    } else {
                        &mut one_key
                    }) += 1;
                }
            }
        }
    }
    println!(
        "{} bits flipped: {refused} refused at opening, {one_key} reported for one key, {harmless} harmless",
        refused + one_key + harmless
    );
    assert!(refused > 0 && one_key > 0);
}

fn hundred_objects(kind: TableKind) -> (Sim, Table, BTreeMap<Vec<u8>, Vec<u8>>) {
    let sim = Sim::new();
    let table = open_as(&sim, 1500, kind, false).unwrap();
    let mut expected = BTreeMap::new();
    for i in 0..100u8 {
        let value = vec![i ^ 0x55; 20];
        put(&table, &[i, i], &value);
        expected.insert(vec![i, i], value);
    }
    (sim, table, expected)
}

#[test]
fn a_flipped_bit_in_compressed_values_is_reported_or_harmless() {
    let sim = Sim::new();
    let table = open_as(&sim, 1500, TableKind::Set, true).unwrap();
    let mut expected = BTreeMap::new();
    for i in 0..50u8 {
        let value = [i, 1, 2, 3].repeat(20);
        put(&table, &[i, i], &value);
        expected.insert(vec![i, i], value);
    }
    assert!(table.stats().disk_bytes < 50 * 80, "the values were compressed");
    table.close().unwrap();
    sweep(&sim.kill(sim.ops()), &expected);
}

#[test]
fn a_flipped_bit_after_a_clean_close_is_reported_or_harmless() {
    let (sim, table, expected) = hundred_objects(TableKind::OrderedSet);
    table.close().unwrap();
    sweep(&sim.kill(sim.ops()), &expected);
}

/// Guards what only an opening sees that has to read the sealed segments themselves.
#[test]
fn a_flipped_bit_where_there_are_no_hints_is_reported_or_harmless() {
    let sim = Sim::new();
    let table = open(&sim, 500).unwrap();
    let expected: BTreeMap<_, _> = (0..20u8).map(|i| (vec![i, i], vec![i ^ 0x55; 20])).collect();
    for (k, value) in &expected {
        put(&table, k, value);
    }
    table.close().unwrap();
    let image = sim.kill(sim.ops());
    without_hints(&image);
    sweep(&image, &expected);
}

#[test]
fn a_flipped_bit_in_a_bag_concerns_one_object_or_is_reported() {
    let sim = Sim::new();
    let table = open_as(&sim, 700, TableKind::DuplicateBag, false).unwrap();
    let object = |k: u8, n: u8| vec![k ^ n; 12];
    for (k, n) in (0..4).flat_map(|k| (0..6).map(move |n| (k, n))) {
        put(&table, &[k], &object(k, n));
    }
    for k in 0..4 {
        remove(&table, &[k], &object(k, k + 1)).unwrap().unwrap();
    }
    let expected: Vec<_> = (0..4).map(|k| all(&table, &[k])).collect();
    table.close().unwrap();
    let image = sim.kill(sim.ops());
    let (mut refused, mut one_key) = (0, 0);
    for path in image.files() {
        for bit in 0..image.read(&path).unwrap().len() as u64 * 8 {
            let flipped = image.kill(0);
            flipped.flip_bit(&path, bit / 8, bit as u8 % 8).unwrap();
            let Ok(table) = open(&flipped, 700) else {
                refused += 1;
                continue;
            };
            let mut bad = 0;
            for (k, expected) in (0..4).zip(&expected) {
                let mut found = Vec::new();
                let read = table.each(key(&[k]), Wait::May, |_, object| {
                    found.push(object.value.to_vec());
                    ControlFlow::<()>::Continue(())
                });
                match read {
                    Ok(_) => assert_eq!(&found, expected, "bit {bit} of {}", path.display()),
                    Err(Error::Damaged { .. }) => bad += 1,
                    Err(error) => panic!("bit {bit} of {}: {error}", path.display()),
                }
            }
            assert!(bad <= 1);
            one_key += bad;
            table.kill();
        }
    }
    println!("{refused} bits refused at opening, {one_key} reported for one key");
    assert!(refused > 0 && one_key > 0);
}

#[test]
fn a_flipped_bit_below_the_durable_mark_is_reported_or_harmless() {
    let (sim, table, expected) = hundred_objects(TableKind::Set);
    table.sync().unwrap();
    // A second mark, so that the first is not the only proof.
    put(&table, &[0, 0], &expected[&vec![0, 0]]);
    table.sync().unwrap();
    put(&table, &[1, 1], &expected[&vec![1, 1]]);
    table.sync().unwrap();
    table.kill();
    let image = sim.kill(sim.ops());
    let (mut lost, mut swept) = (0, 0);
    let last = image
        .files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .max()
        .unwrap();
    for path in image.files() {
        let len = image.read(&path).unwrap().len() as u64;
        for bit in 0..len * 8 {
            let flipped = image.kill(0);
            flipped.flip_bit(&path, bit / 8, bit as u8 % 8).unwrap();
            swept += 1;
            match read_all(&flipped) {
                Err(Error::Damaged { .. } | Error::NewerVersion { .. }) => {}
                Err(error) => panic!("bit {bit} of {}: {error}", path.display()),
                Ok((good, bad)) => {
                    assert!(
                        good.iter().all(|(k, v)| expected.get(k) == Some(v)),
                        "a wrong value"
                    );
                    assert_eq!(good.len() + bad.len(), 100, "bit {bit} of {}", path.display());
                    lost += usize::from(!bad.is_empty());
                    assert!(bad.len() <= 1 || path == last);
                }
            }
        }
    }
    println!("{swept} bits flipped, {lost} reported for one key, none silent");
}

/// Guards against what no CRC shows: a disk that wrote a record elsewhere than it was told leaves one that is right in itself where another one should stand.
#[test]
fn a_right_record_in_a_wrong_place_is_an_error_and_no_other_value() {
    let sim = Sim::new();
    let table = open(&sim, 1500).unwrap();
    put(&table, b"a", b"its own value");
    table.close().unwrap();
    let image = sim.kill(sim.ops());
    let path = segment(&image, 1);
    let frame = |kind, k: &[u8], value: &[u8], segment| {
        let mut bytes = Vec::new();
        let stamp = Stamp {
            segment,
            seq: 1,
            durable_seq: None,
        };
        Record::new(kind, key(k), value).put(&mut bytes, stamp);
        bytes
    };
    for (what, other) in [
        ("another key", frame(Kind::Put, b"b", b"another value", 1)),
        ("another segment", frame(Kind::Put, b"a", b"another value", 2)),
        ("another type", frame(Kind::Delete, b"a", b"another value", 1)),
        ("another length", frame(Kind::Put, b"a", b"another", 1)),
    ] {
        let misplaced = image.kill(0);
        let mut bytes = image.read(&path).unwrap();
        bytes[32..32 + other.len()].copy_from_slice(&other);
        misplaced.write(&path, &bytes).unwrap();
        // The checkpoint tells where the record stands, so the opening does not look at it.
        let table = open(&misplaced, 1500).unwrap();
        let found = table.get(key(b"a"), Wait::May, |found| found.value.to_vec());
        assert!(
            matches!(&found, Err(Error::Damaged { path: named, offset: 32, .. }) if *named == path),
            "{what}: {found:?}"
        );
        table.kill();
    }
}

/// Guards against records that are right in themselves and not where they were written, met by an opening that has neither checkpoint nor hint.
#[test]
fn a_sealed_segment_with_other_records_than_were_written_is_refused() {
    let sim = Sim::new();
    let table = open(&sim, 1500).unwrap();
    for k in [b"a", b"b", b"c"] {
        put(&table, k, b"some value");
    }
    table.close().unwrap();
    let image = sim.kill(sim.ops());
    without_hints(&image);
    let path = segment(&image, 1);
    let bytes = image.read(&path).unwrap();
    let len = 25 + 3 + 10;
    let place = |n: usize| 32 + n * len..32 + (n + 1) * len;
    for (what, at, from) in [
        ("an older record again", 1, 0),
        ("the last one twice, the one before it not", 1, 2),
        ("the last one missing", 2, 1),
    ] {
        let mut misplaced = bytes.clone();
        misplaced.copy_within(place(from), place(at).start);
        refused(&image, &path, &misplaced, what);
    }
    // A mark of the same length in the place of the last record: all that is there is right and in order.
    let mut mark = Vec::new();
    let stamp = Stamp {
        segment: 1,
        seq: 2,
        durable_seq: Some(2),
    };
    Record::new(Kind::Mark, key(&[0; 11]), &[]).put(&mut mark, stamp);
    let mut misplaced = bytes.clone();
    misplaced[place(2)].copy_from_slice(&mark);
    refused(&image, &path, &misplaced, "a mark for the last record");
}

fn refused(image: &Sim, path: &Path, bytes: &[u8], what: &str) {
    let image = image.kill(0);
    image.write(path, bytes).unwrap();
    let files = image.files();
    let opened = open(&image, 1500);
    assert!(
        matches!(&opened, Err(Error::Damaged { path: named, .. }) if named == path),
        "{what}: {opened:?}"
    );
    // Found by hand: hints of what had been read stayed, an empty one among them.
    assert_eq!(image.files(), files, "{what}");
}

/// Removes what an opening would do with in place of the segments.
fn without_hints(image: &Sim) {
    for path in image.files() {
        if path.ends_with("CHECKPOINT") || path.extension().is_some_and(|e| e == "hint") {
            image.remove(&path).unwrap();
        }
    }
}

#[test]
fn a_missing_or_cut_sealed_segment_is_named() {
    let (sim, table, _) = hundred_objects(TableKind::OrderedSet);
    table.close().unwrap();
    let image = sim.kill(sim.ops());
    for path in image
        .files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
    {
        let gone = image.kill(0);
        gone.remove(&path).unwrap();
        assert!(matches!(read_all(&gone), Err(Error::Missing { path: named }) if named == path));
        for len in 0..image.read(&path).unwrap().len() as u64 {
            let cut = image.kill(0);
            cut.set_len(&path, len).unwrap();
            assert!(matches!(read_all(&cut), Err(Error::Damaged { path: named, .. }) if named == path));
        }
    }
    let headless = image.kill(0);
    headless.remove(&Path::new(DIR).join("MANIFEST")).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(headless.clone());
    for how in [
        Open::OrCreate(meta()),
        Open::Existing {
            kind: None,
            keypos: None,
        },
    ] {
        let refused = Table::open(&storage, Path::new(DIR), &how, Config::default());
        assert!(
            matches!(refused, Err(Error::Missing { .. })),
            "segments without a manifest are no new table"
        );
    }
}

#[test]
fn damage_below_the_mark_is_refused_wherever_the_mark_stands_behind_it() {
    let sim = Sim::new();
    let table = open(&sim, 1 << 20).unwrap();
    put(&table, b"a", b"durable");
    put(&table, b"b", b"durable");
    table.sync().unwrap();
    put(&table, b"c", b"above the mark");
    table.kill();
    let image = sim.kill(sim.ops());
    let path = segment(&image, 1);
    // The records are 35 bytes each, the mark is 27.
    for (offset, refused) in [
        (32, true),
        (32 + 35, true),
        (32 + 70, false),
        (32 + 70 + 27, false),
    ] {
        let flipped = image.kill(0);
        flipped.flip_bit(&path, offset + 15, 0).unwrap();
        match read_all(&flipped) {
            Err(Error::Damaged { offset: named, .. }) => {
                assert!(refused && named == offset, "{offset}: said {named}")
            }
            Ok((good, bad)) => assert!(
                !refused && good.len() == 2 && bad.is_empty(),
                "{offset}: {good:?} {bad:?}"
            ),
            Err(error) => panic!("{offset}: {error}"),
        }
    }
}

/// Guards against a mark that is looked for in the damaged file alone: it stands in the next one when the sync came behind the switch, and the manifest could not yet
/// tell that the first one was sealed.
#[test]
fn damage_is_refused_too_where_the_mark_stands_in_the_next_segment() {
    let sim = Sim::new();
    let failing = Failing::over_sim(sim.clone());
    let storage: Arc<dyn Storage> = Arc::new(failing.clone());
    let config = Config {
        max_file_size: 700,
        background: false,
        ..Config::default()
    };
    let table = Table::open(&storage, Path::new(DIR), &Open::OrCreate(meta()), config).unwrap();
    for k in 0..10u8 {
        put(&table, &[k], &[k; 50]);
    }
    failing.arm(Fault::nth(1, &[Call::Create]).no_space().persistent());
    table.sync().unwrap();
    assert!(
        failing.failed() > 0,
        "the manifest names the first one as unsealed"
    );
    table.kill();
    let image = sim.kill(sim.ops());
    assert_eq!(open(&image.kill(0), 700).unwrap().len(), 10);
    let path = segment(&image, 1);
    image.flip_bit(&path, 32 + 15, 0).unwrap();
    let opened = open(&image, 700);
    assert!(
        matches!(&opened, Err(Error::Damaged { path: named, offset: 32, .. }) if *named == path),
        "{opened:?}"
    );
}
