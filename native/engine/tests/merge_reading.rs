//! What a merge reads: inputs once, hints in the place of other segments, and the keydir as a whole or key by key.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::PathBuf;

use bets_engine::merge::{Phase, Report};
use bets_engine::seeded::{self, Fault};
use bets_engine::table::{MergeChoice, Table, TableKind, Wait};
use common::{ALL_KINDS, TestDir, contents, key, put};

fn dir(kind: TableKind) -> TestDir {
    let mut dir = TestDir::of(kind).max_file_size(4_000);
    dir.config.background = false;
    dir
}

fn segment(dir: &TestDir, id: u32) -> PathBuf {
    dir.path().join(format!("{id:010}.seg"))
}

fn hint(dir: &TestDir, id: u32) -> PathBuf {
    dir.path().join(format!("{id:010}.hint"))
}

/// Seals the active segment, and makes the hints that are missing.
fn seal(table: &Table) {
    table.merge_start(MergeChoice::Everything).unwrap();
    table.merge_cancel();
    table.care().unwrap();
}

/// Merges these segments, in small steps.
fn merge(table: &Table, ids: &[u32]) -> Report {
    assert!(table.merge_start(MergeChoice::Segments(ids)).unwrap());
    let (mut done, mut total) = (0, u64::MAX);
    loop {
        let progress = table.merge_step(300).unwrap().unwrap();
        if progress.report.damaged.is_empty() {
            assert!(progress.done >= done, "{progress:?} after {done}");
        }
        (done, total) = (progress.done, total.min(progress.total));
        assert!(progress.done <= progress.total, "{progress:?}");
        if progress.phase == Phase::Done {
            return progress.report;
        }
    }
}

/// Flips a bit of the last one of these bytes in a file.
fn damage(path: &PathBuf, byte: u8) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.iter().rposition(|&b| b == byte).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn is_damaged(table: &Table, id: u32) -> bool {
    let segments = table.segments();
    segments.iter().any(|s| s.id == id && s.share.damaged)
}

/// Of a damaged input some records were copied before the damage was met: no trace of that may stay.
#[test]
fn damage_that_is_met_late_undoes_what_was_copied() {
    for kind in ALL_KINDS {
        let dir = dir(kind);
        let table = dir.open();
        for (id, byte) in [(1, 0xa1), (2, 0xa3), (3, 0xa5)] {
            for n in 0..10u8 {
                put(&table, &[id, n], &[byte; 100]);
            }
            seal(&table);
        }
        let ids: Vec<u32> = table.segments().iter().map(|s| s.id).collect();
        assert_eq!(ids.len(), 3, "{kind:?}");
        let before = contents(&table);
        damage(&segment(&dir, ids[1]), 0xa3);
        let report = merge(&table, &ids);
        assert_eq!((report.damaged, report.copied), (vec![ids[1]], 20), "{kind:?}");
        assert_eq!(report.outputs.len(), 2, "the damaged one stays between them");
        for segment in table.segments().iter().filter(|s| !s.share.damaged) {
            assert_eq!(
                (segment.share.dead_bytes, segment.share.kept_bytes),
                (0, 0),
                "{kind:?}"
            );
        }
        // All of it is in the cache of this opening.
        assert_eq!(contents(&table), before);
        let files = std::fs::read_dir(dir.path()).unwrap();
        let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        let segments = names
            .iter()
            .filter(|name| name.to_string_lossy().ends_with(".seg"));
        assert!(
            segments.count() <= 3 + 2,
            "outputs that were given up went: {names:?}"
        );
        let again = dir.copy().reopen();
        assert_eq!(again.len(), table.len());
    }
}

/// Merges a segment with a tombstone beside an older one with a damaged record. Whether the tombstone stayed, and whether the damage was met.
fn tombstone_beside_damage(remove_hint: bool, damage_hint: bool) -> (u64, bool) {
    let dir = dir(TableKind::Set);
    let table = dir.open();
    put(&table, b"one", &[0xa1; 50]);
    put(&table, &[0xa7; 20], b"two");
    seal(&table);
    put(&table, b"junk", &[2; 500]);
    table.delete(key(b"junk"), Wait::May).unwrap();
    seal(&table);
    let ids: Vec<u32> = table.segments().iter().map(|s| s.id).collect();
    damage(&segment(&dir, ids[0]), 0xa7);
    if remove_hint {
        std::fs::remove_file(hint(&dir, ids[0])).unwrap();
    }
    if damage_hint {
        damage(&hint(&dir, ids[0]), 0xa7);
    }
    let report = merge(&table, &ids[1..]);
    (report.kept, is_damaged(&table, ids[0]))
}

#[test]
fn filters_are_made_of_hints_and_of_segments_where_a_hint_is_not_right() {
    assert_eq!(
        tombstone_beside_damage(false, false),
        (0, false),
        "the segment is not read"
    );
    assert_eq!(tombstone_beside_damage(true, false), (1, true));
    assert_eq!(tombstone_beside_damage(false, true), (1, true));
}

#[test]
fn what_a_merge_writes_has_its_hint_at_once() {
    for kind in ALL_KINDS {
        let dir = dir(kind);
        let table = dir.open();
        for round in 0..3 {
            for n in 0..20u8 {
                put(&table, &[n; 20], &[round; 50]);
                if n % 7 == 0 {
                    table.delete(key(&[n; 20]), Wait::May).unwrap();
                }
            }
        }
        seal(&table);
        let ids: Vec<u32> = table.segments().iter().map(|s| s.id).collect();
        let report = merge(&table, &ids);
        let before = contents(&table);
        let copy = dir.copy();
        for id in &report.outputs {
            assert!(hint(&copy, *id).exists(), "{kind:?}");
            // An opening that read the segment would find this.
            damage(&segment(&copy, *id), 19);
        }
        assert_eq!(copy.reopen().len() as usize, before.len(), "{kind:?}");
        let without = dir.copy();
        for id in &report.outputs {
            std::fs::remove_file(hint(&without, *id)).unwrap();
        }
        assert_eq!(contents(&without.reopen()), before, "{kind:?}");
    }
}

/// A merge begins with sealing the active segment, whose hint was made while the merge copied what it is of: a tenth of the work beside a merge, for a file that went with its segment.
#[test]
fn what_is_merged_gets_a_hint_only_if_it_stays() {
    for end in ["cancel", "close", "end"] {
        let dir = dir(TableKind::Set);
        let table = dir.open();
        for n in 0..100u8 {
            put(&table, &[n / 2; 20], &[n; 200]);
        }
        assert!(table.merge_start(MergeChoice::Everything).unwrap());
        let inputs: Vec<u32> = table.segments().iter().map(|s| s.id).collect();
        let hinted = |ids: &[u32]| ids.iter().filter(|id| hint(&dir, **id).exists()).count();
        table.care().unwrap();
        assert_eq!(hinted(&inputs), 0, "none is made in vain");
        match end {
            "cancel" => {
                assert!(table.merge_cancel());
                table.care().unwrap();
            }
            "close" => table.close().unwrap(),
            _ => while table.merge_step(1_000).unwrap().unwrap().phase != Phase::Done {},
        }
        let stay = if end == "end" { 0 } else { inputs.len() };
        assert_eq!(hinted(&inputs), stay, "{end}");
    }
}

/// Merges a tombstone without the older segment that has what it hides. Whether that is there again after an opening that reads the segments.
fn deleted_comes_back(filler: u16) -> bool {
    let dir = dir(TableKind::Set);
    let table = dir.open();
    put(&table, b"old", b"value");
    for n in 0..filler {
        put(&table, &n.to_be_bytes(), &[1; 60]);
    }
    seal(&table);
    let before: Vec<u32> = table.segments().iter().map(|s| s.id).collect();
    put(&table, b"new", b"value");
    table.delete(key(b"old"), Wait::May).unwrap();
    seal(&table);
    let ids: Vec<u32> = table.segments().iter().map(|s| s.id).collect();
    merge(&table, &ids[before.len()..]);
    let copy = dir.copy();
    copy.reopen().contains(key(b"old"), Wait::May).unwrap()
}

#[test]
fn what_a_tombstone_hides_elsewhere_stays_hidden() {
    for filler in [0, 500] {
        assert!(!deleted_comes_back(filler));
        seeded::put(Some(Fault::TombstoneDropped));
        assert!(deleted_comes_back(filler), "the seeded fault is found");
        seeded::put(None);
    }
}

/// A small part of a large table: the keydir is asked for its records one by one.
#[test]
fn a_few_segments_of_many_are_merged_as_well() {
    for kind in ALL_KINDS {
        let dir = dir(kind);
        let table = dir.open();
        for round in 0..2u8 {
            for n in 0..2_000u16 {
                if round == 0 || n % 5 == 0 {
                    put(&table, &n.to_be_bytes(), &[round; 60]);
                }
                if n % 11 == 0 {
                    table.delete(key(&n.to_be_bytes()), Wait::May).unwrap();
                }
            }
        }
        seal(&table);
        let before = contents(&table);
        let ids: Vec<u32> = table.segments().iter().map(|s| s.id).collect();
        assert!(ids.len() > 30);
        for few in ids.chunks(2) {
            let report = merge(&table, few);
            assert!(report.damaged.is_empty());
        }
        assert_eq!(contents(&table), before, "{kind:?}");
        for segment in table.segments() {
            assert_eq!(segment.share.dead_bytes, 0, "{kind:?}: {segment:?}");
        }
        assert_eq!(contents(&dir.copy().reopen()), before, "{kind:?}");
    }
}
