//! Repairing damaged tables: all that is readable comes back, nothing that was never written or was deleted does, and what is lost is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bets_engine::format::frame::{Frame, Kind};
use bets_engine::io::Storage;
use bets_engine::io::sim::{Plan, Sim};
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
    repair(
        &storage(sim),
        Path::new(DIR),
        &how,
        Mode::Force,
        Some(9),
        &AtomicU64::new(0),
    )
    .unwrap()
}

fn named(sim: &Sim) -> Report {
    repair(
        &storage(sim),
        Path::new(DIR),
        &existing(),
        Mode::Named,
        None,
        &AtomicU64::new(0),
    )
    .unwrap()
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

#[derive(Default)]
struct Tally {
    bits: u64,
    harmless: u64,
    whole: u64,
    lost_objects: u64,
    named: u64,
    older: u64,
}

/// Flips every bit of every file, repairs, and compares. Only objects of the record that was hit may be missing, and if so the report says it.
fn sweep(image: &Sim, kind: TableKind, step: usize) -> Tally {
    let expected = read(&image.kill(0));
    let mut tally = Tally::default();
    for path in image.files() {
        let bytes = image.read(&path).unwrap();
        let frames = frames(&bytes);
        for bit in (0..bytes.len() * 8).step_by(step) {
            let what = format!("bit {bit} of {}", path.display());
            let flipped = image.kill(0);
            flipped.flip_bit(&path, bit as u64 / 8, bit as u8 % 8).unwrap();
            let found = check(&flipped);
            let report = force(&flipped, kind);
            assert_eq!(report.faults.len() as u64, report.fault_count());
            assert_eq!(found.is_sound(), report.is_sound(), "{what}");
            assert!(check(&flipped).is_sound(), "{what}: not sound after the repair");
            let left = read(&flipped);
            let (mut missing, mut rest) = (Vec::new(), left.clone());
            for object in &expected {
                match rest.iter().position(|other| other == object) {
                    Some(at) => drop(rest.remove(at)),
                    None => missing.push(object.clone()),
                }
            }
            let deletion = frames.iter().any(|(range, kind, ..)| {
                range.contains(&(bit / 8)) && matches!(kind, Kind::Delete | Kind::Clear)
            });
            if !rest.is_empty() {
                let told = report.worst == Some(Loss::Records);
                assert!(
                    deletion && told && rest.len() == 1,
                    "{what}: comes back: {rest:?}"
                );
                tally.older += 1;
            }
            let hit: BTreeSet<Vec<u8>> = frames
                .iter()
                .filter(|(range, kind, ..)| range.contains(&(bit / 8)) && *kind == Kind::Put)
                .map(|(_, _, key, _)| key.clone())
                .collect();
            // Without its commit a batch does not exist.
            let commit = frames
                .iter()
                .any(|(range, kind, ..)| range.contains(&(bit / 8)) && *kind == Kind::Commit);
            let most = if commit { 3 } else { 1 };
            assert!(missing.len() <= most, "{what}: {} lost", missing.len());
            for (k, _) in &missing {
                let k = &k[..2];
                assert!(commit || hit.contains(k), "{what}: {k:?} was not hit");
                let told = report.faults.iter().any(|fault| {
                    let key = fault.key.as_ref().map(|(key, compared)| &key[..*compared]);
                    fault.loss > Loss::Nothing && fault.path == path && key.is_none_or(|key| key == k)
                });
                assert!(
                    told,
                    "{what}: {k:?} is lost, and the report says {:?}",
                    report.faults
                );
            }
            if report.status == Status::Repaired {
                let kept = Path::new(DIR).join("quarantine").join(path.file_name().unwrap());
                let mut hit = bytes.clone();
                hit[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(
                    flipped.read(&kept).unwrap(),
                    hit,
                    "{what}: what was damaged is kept"
                );
            }
            tally.bits += 1;
            tally.harmless += u64::from(report.is_sound());
            tally.whole += u64::from(!report.is_sound() && missing.is_empty());
            tally.lost_objects += missing.len() as u64;
            tally.named += u64::from(report.worst == Some(Loss::Object));
        }
    }
    println!(
        "{kind:?}: {} bits flipped, {} harmless, {} repaired without a loss, {} objects lost and told, {} of them by their key, {} deleted objects back and told, 0 wrong",
        tally.bits, tally.harmless, tally.whole, tally.lost_objects, tally.named, tally.older
    );
    tally
}

#[test]
fn every_object_whose_bytes_were_not_hit_comes_back() {
    for kind in KINDS {
        let tally = sweep(&hundred(kind), kind, if kind == TableKind::Set { 5 } else { 31 });
        assert!(tally.harmless > 0 && tally.whole > 0 && tally.lost_objects > 0);
    }
}

#[test]
fn every_object_of_a_bag_whose_bytes_were_not_hit_comes_back() {
    let sim = Sim::new();
    let table = create(&sim, TableKind::Bag);
    for (k, n) in (0..6u8).flat_map(|k| (0..6u8).map(move |n| (k, n))) {
        add(&table, &[k, k], &[k ^ n; 12]).unwrap();
    }
    table.close().unwrap();
    let tally = sweep(&sim.kill(sim.ops()), TableKind::Bag, 3);
    assert!(tally.whole > 0 && tally.lost_objects > 0);
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

#[test]
fn of_a_killed_table_a_repair_leaves_what_an_opening_would_and_what_damage_spared() {
    for kind in KINDS {
        let image = killed(kind);
        let expected = read(&image.kill(0));
        assert!(check(&image).is_sound(), "a crash is no damage");
        let (mut refused, mut cut) = (0, 0);
        for path in image.files() {
            let bytes = image.read(&path).unwrap();
            // Behind what is written there are only zeros.
            let written = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 3);
            for bit in (0..written.min(bytes.len()) * 8).step_by(7) {
                let what = format!("bit {bit} of {}", path.display());
                let flipped = image.kill(0);
                flipped.flip_bit(&path, bit as u64 / 8, bit as u8 % 8).unwrap();
                let strict = open(&flipped.kill(0), &existing()).map(|table| {
                    let len = table.len();
                    table.kill();
                    len
                });
                let found = check(&flipped);
                let report = force(&flipped, kind);
                let left = read(&flipped);
                assert!(left.iter().all(|object| expected.contains(object)), "{what}");
                assert!(check(&flipped).is_sound(), "{what}");
                match strict {
                    Ok(len) if found.is_sound() => {
                        assert_eq!(left.len() as u64, len, "{what}: not what an opening finds");
                        cut += u64::from(len < expected.len() as u64);
                    }
                    // A rotten value of one key, or bytes that only describe others.
                    Ok(len) => assert!(left.len() as u64 + 1 >= len, "{what}"),
                    Err(_) => {
                        assert_eq!(report.status, Status::Repaired, "{what}");
                        let lost = expected.len() - left.len();
                        assert!(lost <= 2, "{what}: {lost} lost");
                        refused += 1;
                    }
                }
            }
        }
        println!("{kind:?}: {refused} flips refused at opening and repaired, {cut} cut as a crash");
        assert!(refused > 0 && cut > 0);
    }
}

#[test]
fn a_rotten_value_is_buried_and_no_older_one_comes_back() {
    let sim = Sim::new();
    let table = create(&sim, TableKind::Set);
    put(&table, b"a", b"old");
    put(&table, b"b", b"other");
    table.close().unwrap();
    let table = open(&sim, &existing()).unwrap();
    put(&table, b"a", b"new");
    table.close().unwrap();
    let image = sim.kill(sim.ops());
    let path = segments(&image).pop().unwrap();
    let end = frames(&image.read(&path).unwrap())[0].0.end;
    flip(&image, &path, end - 1);
    let report = named(&image);
    assert_eq!(
        (report.status, report.worst),
        (Status::Repaired, Some(Loss::Object))
    );
    assert_eq!(report.faults[0].key, Some((b"a".to_vec(), 1)));
    assert_eq!(report.faults[0].path, path);
    assert_eq!(read(&image), [(b"b".to_vec(), b"other".to_vec())]);
}

#[test]
fn of_a_batch_the_members_that_were_not_hit_come_back_if_it_was_committed() {
    let batched = || {
        let sim = Sim::new();
        let table = create(&sim, TableKind::Set);
        put(&table, b"a", b"old");
        put_many(
            &table,
            &[
                (vec![b'a'], vec![1; 9]),
                (vec![b'b'], vec![2; 9]),
                (vec![b'c'], vec![3; 9]),
            ],
        )
        .unwrap();
        put(&table, b"d", b"after");
        table.close().unwrap();
        sim.kill(sim.ops())
    };
    let keys = |sim: &Sim| read(sim).into_iter().map(|(k, _)| k[0]).collect::<Vec<_>>();

    let header = batched();
    let (path, range) = place(&header, Kind::Batch, b"");
    flip(&header, &path, range.start + 15);
    let report = named(&header);
    assert_eq!(
        (report.status, report.worst),
        (Status::Repaired, Some(Loss::Nothing))
    );
    assert_eq!(keys(&header), b"abcd");

    let member = batched();
    let (path, range) = place(&member, Kind::Put, b"b");
    flip(&member, &path, range.start + 15);
    assert_eq!(named(&member).status, Status::Refused);
    assert_eq!(force(&member, TableKind::Set).faults[0].seqs, Some((3, 3)));
    assert_eq!(keys(&member), b"acd");

    let commit = batched();
    let (path, range) = place(&commit, Kind::Commit, b"");
    flip(&commit, &path, range.start + 15);
    assert_eq!(named(&commit).status, Status::Refused);
    let report = force(&commit, TableKind::Set);
    let lost: Vec<_> = report
        .faults
        .iter()
        .filter_map(|fault| fault.key.clone())
        .collect();
    assert_eq!(lost.len(), 3, "{report:?}");
    let table = open(&commit, &existing()).unwrap();
    assert_eq!(
        common::get(&table, b"a"),
        Some(b"old".to_vec()),
        "none of the batch"
    );
    assert_eq!(table.len(), 2);
}

#[test]
fn a_missing_segment_costs_its_records_and_two_damaged_ones_theirs() {
    let image = hundred(TableKind::Set);
    let expected = read(&image.kill(0));
    let files = segments(&image);
    assert!(files.len() > 3);
    let gone = image.kill(0);
    gone.remove(&files[1]).unwrap();
    assert_eq!(named(&gone).status, Status::Refused);
    let report = force(&gone, TableKind::Set);
    assert_eq!((report.faults.len(), report.worst), (1, Some(Loss::Records)));
    assert_eq!(report.faults[0].path, files[1]);
    let of_segment = frames(&image.read(&files[1]).unwrap());
    let seqs: Vec<_> = of_segment.iter().map(|frame| frame.3).collect();
    let (first, last) = report.faults[0].seqs.unwrap();
    assert_eq!((first, last), (seqs[0], *seqs.last().unwrap()));
    let left = read(&gone);
    assert!(left.len() > expected.len() - of_segment.len());
    put(&open(&gone, &existing()).unwrap(), b"~", b"goes on");

    let cut = image.kill(0);
    let len = of_segment[of_segment.len() / 2].0.start;
    cut.set_len(&files[1], len as u64).unwrap();
    let report = force(&cut, TableKind::Set);
    assert_eq!(
        (report.faults[0].offset, report.worst),
        (len as u64, Some(Loss::Records))
    );
    assert!(read(&cut).len() > left.len());

    let two = image.kill(0);
    for path in &files[1..3] {
        flip(&two, path, 32 + 15);
    }
    let report = force(&two, TableKind::Set);
    assert_eq!(report.quarantined.len(), 2);
    assert!(read(&two).len() >= expected.len() - 2);
}

#[test]
fn a_manifest_that_is_gone_is_made_anew_if_the_type_is_told() {
    for kind in ALL_KINDS {
        let image = if kind.is_bag() {
            let sim = Sim::new();
            let table = create(&sim, kind);
            for i in 0..60u8 {
                add(&table, &[i % 7], &[i / 2; 20]).unwrap();
            }
            remove(&table, &[3], &[1; 20]).unwrap().unwrap();
            table.kill();
            sim.kill(sim.ops())
        } else {
            killed(kind)
        };
        let expected = read(&image.kill(0));
        for rotten in [false, true] {
            let headless = image.kill(0);
            let manifest = Path::new(DIR).join("MANIFEST");
            if rotten {
                flip(&headless, &manifest, 40);
            } else {
                headless.remove(&manifest).unwrap();
            }
            for (how, mode) in [
                (existing(), Mode::Force),
                (Open::OrCreate(meta_of(kind)), Mode::Named),
            ] {
                let refused = repair(
                    &storage(&headless),
                    Path::new(DIR),
                    &how,
                    mode,
                    None,
                    &AtomicU64::new(0),
                );
                assert!(
                    matches!(refused, Err(Error::Missing { path } | Error::Damaged { path, .. }) if path == manifest)
                );
            }
            let report = force(&headless, kind);
            assert_eq!(report.status, Status::Repaired);
            assert_eq!(read(&headless), expected, "{kind:?}");
            assert_eq!(report.quarantined.len(), usize::from(rotten));
        }
    }
}

#[test]
fn frames_inside_of_values_are_no_records() {
    let sim = Sim::new();
    let table = create(&sim, TableKind::Set);
    put(&table, b"k", b"deleted");
    table.delete(key(b"k"), Wait::May).unwrap();
    table.sync().unwrap();
    let log = sim.read(&segments(&sim)[0]).unwrap();
    let embedded = log[frames(&log)[0].0.clone()].to_vec();
    // Behind a damaged header, the search meets the frame in the value first.
    put(&table, b"file", &embedded);
    put(&table, b"z", b"after");
    table.close().unwrap();
    let image = sim.kill(sim.ops());
    for byte in [9, 15, 25, 26, 27] {
        let flipped = image.kill(0);
        let (path, range) = place(&flipped, Kind::Put, b"file");
        flip(&flipped, &path, range.start + byte);
        force(&flipped, TableKind::Set);
        assert_eq!(
            read(&flipped),
            [(b"z".to_vec(), b"after".to_vec())],
            "byte {byte}"
        );
    }
}

#[test]
fn a_segment_of_another_table_is_not_taken_in() {
    let image = hundred(TableKind::Set);
    let other = Sim::new();
    let config = Config {
        seed: Some(8),
        background: false,
        max_file_size: 1500,
        ..Config::default()
    };
    let how = Open::OrCreate(meta_of(TableKind::Set));
    let table = Table::open(&storage(&other), Path::new(DIR), &how, config).unwrap();
    for i in 0..60 {
        put(&table, &[i, 99], b"of another table");
    }
    table.close().unwrap();
    let path = &segments(&image)[1];
    image.write(path, &other.read(path).unwrap()).unwrap();
    let report = force(&image, TableKind::Set);
    assert_eq!(report.worst, Some(Loss::Records));
    assert!(read(&image).iter().all(|(_, v)| v != b"of another table"));
    let kept = Path::new(DIR).join("quarantine").join(path.file_name().unwrap());
    assert_eq!(image.read(&kept).unwrap(), other.read(path).unwrap());
}

#[test]
fn the_quarantine_keeps_what_is_in_it() {
    let image = hundred(TableKind::Set);
    let file = segments(&image)[0].clone();
    let folder = Path::new(DIR).join("quarantine");
    image.create_dir_all(&folder).unwrap();
    let taken = folder.join(file.file_name().unwrap());
    image.write(&taken, b"from an earlier repair").unwrap();
    flip(&image, &file, 32 + 15);
    let report = force(&image, TableKind::Set);
    assert_eq!(image.read(&taken).unwrap(), b"from an earlier repair");
    assert_eq!(report.quarantined.len(), 1);
    assert_ne!(report.quarantined[0], taken);
}

#[test]
fn a_crash_in_a_repair_changes_nothing_of_its_outcome() {
    let mut images = Vec::new();
    for kind in [TableKind::Set, TableKind::OrderedSet] {
        let image = hundred(kind);
        let files = segments(&image);
        let rotten = image.kill(0);
        flip(&rotten, &files[1], 32 + 15);
        flip(&rotten, &files[2], 32 + 40);
        images.push((kind, rotten, true));
        let headless = image.kill(0);
        flip(&headless, &Path::new(DIR).join("MANIFEST"), 20);
        flip(&headless, &files[0], 32 + 15);
        images.push((kind, headless, true));
        let tail = killed(kind);
        let last = segments(&tail)[0].clone();
        flip(&tail, &last, 32 + 15);
        images.push((kind, tail, false));
    }
    let mut crashed = 0;
    for (kind, image, durable) in images {
        let whole = image.kill(0);
        force(&whole, kind);
        let expected = read(&whole.kill(whole.ops()));
        for point in whole.crash_points() {
            // What a killed table has not synced may go with the power, whatever is repaired.
            let plans = [Plan::Nothing, Plan::Seeded(1), Plan::Seeded(2), Plan::Seeded(3)];
            let plans = plans.iter().filter(|_| durable).map(|plan| point.image(plan));
            for again in plans.chain([point.kill()]) {
                force(&again, kind);
                assert!(check(&again).is_sound());
                assert_eq!(
                    read(&again),
                    expected,
                    "crash at {} ({:?})",
                    point.at(),
                    point.kind()
                );
                crashed += 1;
            }
        }
    }
    println!("{crashed} crashed repairs repeated");
    assert!(crashed > 500);
}

#[test]
fn an_open_table_is_checked_while_it_is_written_to() {
    for kind in ALL_KINDS {
        let sim = Sim::new();
        let table = create(&sim, kind);
        for i in 0..60u8 {
            put(&table, &[i % 30, i % 30], &[i; 20]);
            if i == 30 {
                table.care().unwrap();
            }
        }
        let run = |table: &Table| {
            let mut check = table.begin_check().unwrap();
            let mut i = 0u8;
            while table.check(&mut check, 200).unwrap() {
                put(table, &[i % 40, 200], &[i; 5]);
                i += 1;
            }
            check.into_report()
        };
        let report = run(&table);
        assert!(report.is_sound(), "{:?}", report.faults);
        assert!(report.segments > 1 && report.records >= 60 && report.objects >= Some(30));
        table.sync().unwrap();
        let path = segments(&sim)[0].clone();
        let (range, ..) = frames(&sim.read(&path).unwrap())[5].clone();
        sim.flip_bit(&path, range.end as u64 - 1, 0).unwrap();
        let report = run(&table);
        assert_eq!(report.fault_count(), 1, "{:?}", report.faults);
        assert_eq!(
            (&report.faults[0].path, report.faults[0].offset),
            (&path, range.start as u64)
        );
        let (k, compared) = report.faults[0].key.clone().unwrap();
        assert_eq!(&k[..compared], [5, 5]);
        table.kill();
    }
}

#[test]
fn without_a_manifest_what_an_interrupted_merge_left_is_put_together() {
    for kind in ALL_KINDS {
        let sim = Sim::new();
        let table = create(&sim, kind);
        let mut k = 0u8;
        for i in 0..120u8 {
            k = k.wrapping_mul(5).wrapping_add(3);
            put(&table, &[k % 16], &[i / 2; 30]);
            if i % 9 == 0 {
                table.delete(key(&[k % 7]), Wait::May).unwrap();
            }
        }
        table.sync().unwrap();
        let before = sim.kill(sim.ops());
        merge_all(&table);
        let expected = contents(&table);
        table.kill();
        let after = sim.kill(sim.ops());
        assert!(
            segments(&before)
                .iter()
                .any(|path| !segments(&after).contains(path))
        );
        for path in segments(&before) {
            if !segments(&after).contains(&path) {
                after.write(&path, &before.read(&path).unwrap()).unwrap();
            }
        }
        after.remove(&Path::new(DIR).join("MANIFEST")).unwrap();
        let report = force(&after, kind);
        assert_eq!(report.status, Status::Repaired);
        assert!(check(&after).is_sound());
        assert_eq!(read(&after), expected, "{kind:?}");
    }
}

#[test]
fn of_merged_segments_too_all_that_was_not_hit_comes_back() {
    let sim = Sim::new();
    let table = create(&sim, TableKind::Set);
    for i in 0..200u8 {
        put(&table, &[i % 50, 7], &[i; 20]);
    }
    merge_all(&table);
    table.close().unwrap();
    let tally = sweep(&sim.kill(sim.ops()), TableKind::Set, 11);
    assert!(tally.whole > 0 && tally.lost_objects > 0);
}
