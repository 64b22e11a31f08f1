//! Merging: what is there before is there after it, nothing deleted comes back, and the space does.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bets_engine::Error;
use bets_engine::format::{hint, segment::parse_file_name};
use bets_engine::io::{Storage, real::Os};
use bets_engine::merge::{Phase, Policy, Progress};
use bets_engine::repair::describe;
use bets_engine::seeded::{self, Fault};
use bets_engine::table::{MergeChoice, Table, TableKind, Wait};
use common::{ALL_KINDS, Random, TestDir, all, contents, get, key, merge_all, put, remove, try_merge_all};

fn dir(kind: TableKind) -> TestDir {
    let mut dir = TestDir::of(kind).max_file_size(4_000);
    dir.config.background = false;
    // Nothing is synced: what a power loss leaves is tried elsewhere.
    dir.config.temporary = true;
    dir
}

/// The bytes of the segments on the disk.
fn disk(dir: &TestDir) -> u64 {
    std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".seg"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum()
}

/// What is live of each sealed segment by the table's own account, against that of an opening, which counts anew.
fn check_account(table: &Table, dir: &TestDir) {
    let live = |table: &Table| -> BTreeMap<u32, u64> {
        let segments = table.segments();
        let live = segments
            .iter()
            .map(|s| (s.id, s.share.bytes - s.share.dead_bytes - s.share.kept_bytes));
        live.collect()
    };
    table.sync().unwrap();
    let copy = dir.copy();
    let again = copy.reopen();
    let anew = live(&again);
    for (id, bytes) in live(table) {
        assert_eq!(anew.get(&id), Some(&bytes), "segment {id}");
    }
    assert_eq!(contents(&again), contents(table));
}

fn write_some(table: &Table, random: &mut Random, keys: usize, n: usize) {
    for _ in 0..n {
        let k = [b'k', random.below(keys) as u8];
        let value = vec![random.below(256) as u8; [1, 30, 200][random.below(3)]];
        match random.below(10) {
            0..=5 => put(table, &k, &value),
            6 => {
                let list: Vec<_> = (0..4)
                    .map(|i| ([b'k', random.below(keys) as u8].to_vec(), vec![i; 20]))
                    .collect();
                common::put_many(table, &list).unwrap();
            }
            7 if table.meta().kind.is_bag() => {
                if let Some(value) = all(table, &k).last() {
                    remove(table, &k, value).unwrap().unwrap();
                }
            }
            _ => {
                table.delete(key(&k), Wait::May).unwrap();
            }
        }
    }
}

#[test]
fn a_merge_changes_nothing_but_the_space_that_is_taken() {
    for kind in ALL_KINDS {
        for seed in 0..12 {
            let mut random = Random::new(seed);
            let dir = dir(kind);
            let mut table = dir.open();
            for round in 0..6 {
                write_some(&table, &mut random, 40, 300);
                if round == 3 && seed % 4 == 0 {
                    table.clear(Wait::May).unwrap();
                }
                let before = contents(&table);
                let report = merge_all(&table).unwrap_or_default();
                assert_eq!(contents(&table), before, "{kind:?}, seed {seed}, round {round}");
                assert!(report.damaged.is_empty());
                check_account(&table, &dir);
                if random.below(2) == 0 {
                    table.close().unwrap();
                    table = dir.reopen();
                    assert_eq!(
                        contents(&table),
                        before,
                        "{kind:?}, seed {seed}, round {round}, opened again"
                    );
                }
            }
            // Everything is merged by now, so nothing is dead.
            for segment in table.segments() {
                assert_eq!(segment.share.dead_bytes, 0, "{segment:?}");
            }
        }
    }
}

#[test]
fn space_comes_back() {
    for kind in ALL_KINDS {
        let dir = TestDir::of(kind).max_file_size(1 << 20);
        let table = dir.open();
        for i in 0..20_000u32 {
            put(&table, &i.to_le_bytes(), &[7; 100]);
        }
        let before = disk(&dir);
        for i in 0..18_000u32 {
            table.delete(key(&i.to_le_bytes()), Wait::May).unwrap();
        }
        merge_all(&table).unwrap();
        let (now, live) = (disk(&dir), before / 10);
        assert!(
            now < live + live / 10 + (64 << 10),
            "{kind:?}: {now} bytes, {live} live"
        );
        let sealed: u64 = table.segments().iter().map(|s| s.share.bytes + 32).sum();
        assert!(
            table.stats().disk_bytes.abs_diff(sealed) < 100,
            "no more than a mark in the active one"
        );
        table.close().unwrap();
        let table = dir.reopen();
        assert_eq!(table.len(), 2_000);
        merge_all(&table);
        table.clear(Wait::May).unwrap();
        merge_all(&table).unwrap();
        assert!(table.segments().is_empty(), "{:?}", table.segments());
        put(&table, b"after", b"1");
        table.close().unwrap();
        let table = dir.reopen();
        assert_eq!(contents(&table).len(), 1);
    }
}

/// Merges only the segments with these positions, by making only them look worth it.
fn merge_due(table: &Table, policy: &Policy) -> Option<Progress> {
    table.merge_start(MergeChoice::Due(*policy)).unwrap().then(|| {
        loop {
            let progress = table.merge_step(500).unwrap().unwrap();
            if progress.phase == Phase::Done {
                return progress;
            }
        }
    })
}

#[test]
fn a_tombstone_stays_for_as_long_as_something_older_may_be_elsewhere() {
    let mut dir = dir(TableKind::Set);
    dir.config.temporary = false;
    // With some seeds the filter takes one key for another, and keeps a tombstone more.
    dir.config.seed = Some(7);
    let table = dir.open();
    let policy = Policy {
        small_file_threshold: 0,
        ..Policy::default()
    };
    // Segment 1 holds the key, and much that lives.
    put(&table, b"old", b"value");
    put(&table, b"stays", &[1; 2_000]);
    seal(&table);
    // Segment 2 holds its tombstone, and much that is dead.
    table.delete(key(b"old"), Wait::May).unwrap();
    put(&table, b"junk", &[2; 500]);
    table.delete(key(b"junk"), Wait::May).unwrap();
    seal(&table);
    let progress = merge_due(&table, &policy).unwrap();
    assert_eq!(
        (progress.report.inputs.len(), progress.report.kept),
        (1, 1),
        "{progress:?}"
    );
    assert!(
        !table.merge_due(&policy),
        "what cannot be dropped makes no merge due"
    );
    let copy = dir.copy();
    assert_eq!(get(&copy.reopen(), b"old"), None);
    let kept = table.segments();
    table.close().unwrap();
    let table = dir.reopen();
    assert_eq!(
        table.segments(),
        kept,
        "a clean close keeps account of what stayed"
    );
    assert!(!table.merge_due(&policy));
    // Once the first segment is merged, it goes.
    table.delete(key(b"stays"), Wait::May).unwrap();
    put(&table, b"other", b"1");
    seal(&table);
    while merge_due(&table, &policy).is_some() {}
    let kept: u64 = table.segments().iter().map(|s| s.share.kept_bytes).sum();
    assert_eq!(kept, 0, "{:?}", table.segments());
    assert_eq!(contents(&dir.copy().reopen()).len(), 1);
}

/// Guards the deletion of one object of several, and that of all, which a merge must not drop while what they removed stands in a segment that it leaves out.
#[test]
fn other_deletions_stay_as_tombstones_do() {
    for kind in ALL_KINDS {
        for clears in [false, true] {
            let mut dir = dir(kind);
            dir.config.temporary = false;
            let table = dir.open();
            put(&table, b"k", b"gone");
            put(&table, b"k", b"stays");
            seal(&table);
            if clears {
                table.clear(Wait::May).unwrap();
            } else if kind.is_bag() {
                remove(&table, b"k", b"gone").unwrap().unwrap();
            }
            put(&table, b"other", b"1");
            seal(&table);
            let before = contents(&table);
            let newer = table.segments().last().unwrap().id;
            assert!(table.merge_start(MergeChoice::Segments(&[newer])).unwrap());
            while table.merge_step(1_000).unwrap().unwrap().phase != Phase::Done {}
            assert_eq!(contents(&table), before);
            // As a killed process leaves it: a close would leave a checkpoint.
            table.sync().unwrap();
            assert_eq!(
                contents(&dir.copy().reopen()),
                before,
                "{kind:?}, clear: {clears}"
            );
        }
    }
}

/// Seals the active segment.
fn seal(table: &Table) {
    // A segment that is full is left with the next write.
    table.merge_start(MergeChoice::Everything).unwrap();
    table.merge_cancel();
}

/// Writes, reads and merges side by side for a while. What is wrong in the end, if anything is.
fn merge_beside_others(kind: TableKind, merges: u32, writers_are: Option<Fault>) -> Result<(), String> {
    const KEYS: u32 = 200;
    /// Of each writer, beside each merge.
    const WRITES: u32 = 500;
    let mut dir = TestDir::of(kind).max_file_size(1_000);
    // Nothing is synced: what is tried is the order of things in memory.
    dir.config.temporary = true;
    let table = dir.open();
    let value = |k: u32, n: u32| [k.to_le_bytes(), n.to_le_bytes()].concat().repeat(6);
    for k in 0..KEYS {
        put(&table, &k.to_le_bytes(), &value(k, 0));
    }
    let (stop, merged) = (AtomicBool::new(false), AtomicU32::new(0));
    let stuck = std::thread::scope(|scope| {
        let (table, stop, merged) = (&table, &stop, &merged);
        let stopped = move || stop.load(Ordering::Relaxed);
        for writer in 0..2u32 {
            scope.spawn(move || {
                seeded::put(writers_are);
                let mut random = Random::new(u64::from(writer));
                for n in 1.. {
                    // Each has keys of its own.
                    let k = random.below(KEYS as usize / 2) as u32 * 2 + writer;
                    if kind.is_bag() {
                        table.delete(key(&k.to_le_bytes()), Wait::May).unwrap();
                    }
                    put(table, &k.to_le_bytes(), &value(k, n));
                    // What a quick machine writes would have each merge take longer than the one before.
                    while n / WRITES > merged.load(Ordering::Relaxed) && !stopped() {
                        std::thread::yield_now();
                    }
                    if stopped() {
                        break;
                    }
                }
            });
        }
        scope.spawn(move || {
            let mut random = Random::new(9);
            while !stopped() {
                let k = random.below(KEYS as usize) as u32;
                match get(table, &k.to_le_bytes()) {
                    Some(found) => assert_eq!(found[..4], k.to_le_bytes()),
                    None => assert!(kind.is_bag(), "key {k} was not there"),
                }
                if random.below(50) == 0 {
                    assert!(kind.is_bag() || contents(table).len() == KEYS as usize);
                }
            }
        });
        let stuck = (0..merges).any(|_| {
            let result = try_merge_all(table);
            merged.fetch_add(1, Ordering::Relaxed);
            matches!(result, Err(Error::MergeStuck))
        });
        stop.store(true, Ordering::Relaxed);
        stuck
    });
    if stuck {
        return Err("objects were live in a merged segment".into());
    }
    let before = contents(&table);
    table.close().unwrap();
    if contents(&dir.reopen()) == before {
        Ok(())
    } else {
        Err("other objects are there after an opening".into())
    }
}

#[test]
fn readers_and_writers_go_on_during_a_merge() {
    for kind in ALL_KINDS {
        merge_beside_others(kind, 60, None).unwrap();
    }
}

/// A writer that had appended its record, and not yet shown it in the keydir, lost it: a merge of the segment, which had been sealed in between, took it for dead.
#[test]
fn a_record_that_is_not_shown_yet_is_not_taken_for_dead() {
    merges_wait_for_writers_that_are(Fault::ShownLate);
}

/// A merge whose last key was overwritten just then found the replaced record still counted as live, and stood still until the table was closed.
#[test]
fn what_is_not_counted_yet_does_not_hold_a_merge_up() {
    merges_wait_for_writers_that_are(Fault::CountedLate);
}

fn merges_wait_for_writers_that_are(late: Fault) {
    let late = Some(late);
    for _ in 0..3 {
        merge_beside_others(TableKind::Set, 60, late).unwrap();
    }
    seeded::put(Some(Fault::WritersNotAwaited));
    let found = (0..400).any(|_| merge_beside_others(TableKind::Set, 60, late).is_err());
    seeded::put(None);
    assert!(found, "the seeded fault is found");
}

/// Guards the order of a clear: a merge waits for the keydir that is there, so what the clear removed is counted before it puts another one there.
#[test]
fn a_clear_does_not_hold_a_merge_up() {
    for kind in ALL_KINDS {
        let mut dir = TestDir::of(kind).max_file_size(1_000);
        dir.config.temporary = true;
        let table = dir.open();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                seeded::put(Some(Fault::CountedLate));
                while !stop.load(Ordering::Relaxed) {
                    for k in 0..100u8 {
                        put(&table, &[k], &[k; 50]);
                    }
                    table.clear(Wait::May).unwrap();
                }
            });
            let stuck = (0..300).any(|_| matches!(try_merge_all(&table), Err(Error::MergeStuck)));
            stop.store(true, Ordering::Relaxed);
            assert!(!stuck, "{kind:?}: what was cleared was live in a merged segment");
        });
    }
}

/// Merges a table in which a segment rots that holds an object, and what a tombstone in another one hides. Whether the hidden comes back.
fn merge_beside_damage() -> bool {
    let dir = dir(TableKind::Set);
    let table = dir.open();
    put(&table, b"a", &[1; 300]);
    put(&table, b"gone", &[3; 300]);
    seal(&table);
    table.delete(key(b"gone"), Wait::May).unwrap();
    put(&table, b"b", &[2; 300]);
    seal(&table);
    // The value of the deleted object rots, and with it the segment leaves the merge.
    let path = dir.path().join("0000000001.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.iter().rposition(|&b| b == 3).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let report = merge_all(&table).unwrap();
    assert_eq!(report.damaged, [1]);
    assert!(path.exists());
    assert_eq!(get(&table, b"gone"), None);
    assert!(!table.merge_due(&Policy::default()), "it would be left out again");
    // As a killed process leaves it: the checkpoint of a close would not look into the segments.
    let copy = dir.copy();
    let table = copy.reopen();
    assert_eq!(get(&table, b"a").unwrap(), [1; 300]);
    table.contains(key(b"gone"), Wait::May).unwrap()
}

#[test]
fn a_damaged_segment_stays_out_and_nothing_in_it_comes_back() {
    assert!(!merge_beside_damage());
    seeded::put(Some(Fault::DamagedForgotten));
    assert!(merge_beside_damage(), "the seeded fault is found");
    seeded::put(None);
}

#[test]
fn a_merge_that_is_given_up_leaves_everything_as_it_was() {
    let dir = dir(TableKind::Set);
    let table = dir.open();
    let mut random = Random::new(3);
    write_some(&table, &mut random, 40, 500);
    let before = contents(&table);
    let mut most = 0;
    for steps in (0..).step_by(3) {
        assert!(table.merge_start(MergeChoice::Everything).unwrap());
        assert!(matches!(
            table.merge_start(MergeChoice::Everything),
            Err(Error::Merging)
        ));
        let mut phase = Phase::Mark;
        for _ in 0..steps {
            let progress = table.merge_step(1_000).unwrap().unwrap();
            most = most.max(progress.report.outputs.len());
            phase = progress.phase;
            if phase == Phase::Publish {
                break;
            }
        }
        assert!(table.merge_cancel());
        assert!(!table.merge_cancel());
        assert_eq!(contents(&table), before);
        let files = std::fs::read_dir(dir.path()).unwrap().count();
        assert!(files <= table.segments().len() + 6, "{files} files");
        if phase == Phase::Publish {
            break;
        }
    }
    assert!(most > 0, "an output was there to be removed");
    assert!(table.merge_start(MergeChoice::Everything).unwrap());
    table.merge_step(300).unwrap();
    table.close().unwrap();
    assert!(matches!(table.merge_step(300), Err(Error::Closed)));
    assert_eq!(contents(&dir.reopen()), before);
}

/// Guards the room that a merge takes which nobody carries on: its files have no place in the manifest, and the next opening removes them.
#[test]
fn what_a_killed_merge_left_is_removed_by_the_next_opening() {
    let mut dir = dir(TableKind::Set);
    dir.config.temporary = false;
    let table = dir.open();
    write_some(&table, &mut Random::new(3), 40, 500);
    assert!(table.merge_start(MergeChoice::Everything).unwrap());
    while table.merge_step(1_000).unwrap().unwrap().phase != Phase::Publish {}
    let before = contents(&table);
    table.kill();
    let storage: Arc<dyn Storage> = Arc::new(Os);
    let orphans = || {
        let (manifest, _) = describe(&*storage, dir.path()).unwrap();
        let named: Vec<u32> = manifest.segments.iter().map(|entry| entry.id).collect();
        let names = std::fs::read_dir(dir.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let ids = names.filter_map(|name| parse_file_name(&name).or(hint::parse_file_name(&name)));
        ids.filter(|id| !named.contains(id)).count()
    };
    assert!(orphans() >= 2, "an output and its hint");
    let table = dir.reopen();
    assert_eq!(orphans(), 0);
    assert_eq!(contents(&table), before);
}

/// At whatever step of a merge a close comes, readers get the right value or are told that the table is closed.
#[test]
fn readers_go_on_until_a_close_in_the_midst_of_a_merge_is_through() {
    for kind in ALL_KINDS {
        for steps in [3, 10, 40, 70, 90] {
            let mut dir = TestDir::of(kind).max_file_size(4_000);
            dir.config.cache = false;
            let table = dir.open();
            for k in 0..200u8 {
                put(&table, &[k], &[k; 100]);
            }
            for k in 0..100u8 {
                table.delete(key(&[k]), Wait::May).unwrap();
            }
            assert!(table.merge_start(MergeChoice::Everything).unwrap());
            for _ in 0..steps {
                table.merge_step(500).unwrap();
            }
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for k in (100..200u8).cycle() {
                        match table.get(key(&[k]), Wait::May, |found| found.value.to_vec()) {
                            Ok(Some(value)) => assert_eq!(value, [k; 100]),
                            Err(Error::Closed) => break,
                            other => panic!("{other:?}"),
                        }
                    }
                });
                std::thread::sleep(std::time::Duration::from_millis(2));
                table.close().unwrap();
            });
            assert_eq!(dir.reopen().len(), 100);
        }
    }
}

/// Found by a soak of openings: each left a segment behind, and a table that was never open for long enough to be merged came to thousands of them. With 65,536 it
/// could not have been opened any more.
#[test]
fn openings_do_not_pile_up_segments() {
    for kind in ALL_KINDS {
        let dir = dir(kind);
        for n in 0..300_u32 {
            let table = dir.open();
            table.merge_crowd(&Policy::default()).unwrap();
            let segments = table.segments().len();
            assert!(segments <= 65, "{kind:?}: {segments}");
            put(&table, &n.to_be_bytes(), b"1");
            if n % 3 == 0 {
                table.delete(key(&n.to_be_bytes()), Wait::May).unwrap();
            }
            if n % 2 == 0 {
                table.close().unwrap();
            } else {
                table.kill();
            }
        }
        let table = dir.open();
        assert_eq!(table.len(), 200, "{kind:?}");
        for n in 0..300_u32 {
            let expected = if n % 3 == 0 { vec![] } else { vec![b"1".to_vec()] };
            assert_eq!(all(&table, &n.to_be_bytes()), expected, "{kind:?}: {n}");
        }
    }
}
