//! What the simulated file system loses, and what it never loses.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use bets_engine::io::sim::{CrashPoint, OpKind, Plan, Sim};
use bets_engine::io::{File, Storage};

const DIR: &str = "/t";
const SEEDS: u64 = 200;

/// A simulator with a durable directory.
fn sim() -> Sim {
    let sim = Sim::new();
    sim.create_dir_all(Path::new(DIR)).unwrap();
    sim
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(DIR).join(name)
}

/// A file whose name and bytes are durable.
fn durable(sim: &Sim, name: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = sim.create(&path(name)).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync().unwrap();
    sim.sync_dir(Path::new(DIR)).unwrap();
    file
}

/// The files of the directory and their bytes.
fn contents(sim: &Sim) -> BTreeMap<String, Vec<u8>> {
    let name = |path: &Path| path.strip_prefix(DIR).unwrap().to_str().unwrap().to_owned();
    let files = sim.files().into_iter();
    files.map(|p| (name(&p), sim.read(&p).unwrap())).collect()
}

/// All that a crash now may leave.
fn outcomes(sim: &Sim) -> BTreeSet<BTreeMap<String, Vec<u8>>> {
    let point = sim.crash_point(sim.ops());
    let plans = point.plans(SEEDS);
    plans.iter().map(|plan| contents(&point.image(plan))).collect()
}

/// The bytes that a file may have after a crash now; `None` if it may be missing.
fn outcomes_of(sim: &Sim, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    outcomes(sim)
        .into_iter()
        .map(|mut files| files.remove(name))
        .collect()
}

fn some(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

#[test]
fn what_is_synced_is_never_lost() {
    let sim = sim();
    durable(&sim, "f", b"bytes");
    assert_eq!(outcomes_of(&sim, "f"), BTreeSet::from([some(b"bytes")]));
}

#[test]
fn an_unsynced_append_is_there_lost_torn_or_zeros() {
    let sim = sim();
    durable(&sim, "f", b"ab").write_at(b"cdef", 2).unwrap();
    let seen = outcomes_of(&sim, "f");
    for expected in [
        b"ab".as_slice(),
        b"abcdef",
        b"abc",
        b"abcd",
        b"ab\0\0\0\0",
        b"ab\0\0ef",
    ] {
        assert!(seen.contains(&some(expected)), "never {expected:?}");
    }
}

#[test]
fn an_unsynced_overwrite_leaves_old_and_new_bytes_mixed() {
    let sim = sim();
    durable(&sim, "f", &[1; 9000]).write_at(&[2; 8000], 100).unwrap();
    let seen = outcomes_of(&sim, "f");
    let with = |ranges: &[std::ops::Range<usize>]| {
        let mut bytes = vec![1; 9000];
        ranges.iter().for_each(|r| bytes[r.clone()].fill(2));
        Some(bytes)
    };
    assert!(seen.contains(&with(&[])) && seen.contains(&with(&[100..8100])));
    // Each combination of the three pages that the write touches is one of eight, most of them torn.
    let pages = [100..4096, 4096..8100];
    for page in &pages {
        assert!(
            seen.contains(&with(std::slice::from_ref(page))),
            "never torn at a page: {page:?}"
        );
    }
    let sectors = |bytes: &Vec<u8>| {
        let edges = (1..9000).filter(|n| bytes[*n] != bytes[*n - 1]);
        let inner: Vec<usize> = edges.filter(|n| ![100, 8100].contains(n)).collect();
        inner.len() > 2 && inner.iter().all(|n| n % 512 == 0)
    };
    assert!(seen.iter().flatten().any(sectors), "never torn at sectors");
    assert!(seen.iter().flatten().all(|bytes| bytes.len() == 9000));
}

#[test]
fn a_later_write_is_there_while_an_earlier_is_lost() {
    let sim = sim();
    let file = durable(&sim, "f", b"");
    file.write_at(b"aa", 0).unwrap();
    file.write_at(b"bb", 2).unwrap();
    file.write_at(b"cc", 4).unwrap();
    let seen = outcomes_of(&sim, "f");
    for expected in [
        b"".as_slice(),
        b"aa",
        b"\0\0bb",
        b"\0\0\0\0cc",
        b"aa\0\0cc",
        b"\0\0bbcc",
        b"aabbcc",
    ] {
        assert!(seen.contains(&some(expected)), "never {expected:?}");
    }
}

#[test]
fn each_of_many_writes_is_lost_alone_and_kept_alone() {
    let sim = sim();
    let file = durable(&sim, "f", &[0; 40]);
    (0..40).for_each(|n| file.write_at(&[1], n).unwrap());
    let seen = outcomes_of(&sim, "f");
    for n in 0..40 {
        let (mut kept, mut lost) = (vec![0; 40], vec![1; 40]);
        (kept[n], lost[n]) = (1, 0);
        assert!(seen.contains(&Some(kept)) && seen.contains(&Some(lost)));
        let prefix = [vec![1; n], vec![0; 40 - n]].concat();
        assert!(seen.contains(&Some(prefix)));
    }
}

#[test]
fn truncations_and_reservations_are_lost_or_kept() {
    let sim = sim();
    let file = durable(&sim, "f", b"abcd");
    file.truncate(1).unwrap();
    file.preallocate(3).unwrap();
    let expected = [b"abcd".as_slice(), b"a", b"a\0\0"].map(some);
    assert_eq!(outcomes_of(&sim, "f"), BTreeSet::from(expected));
}

#[test]
fn reserved_space_holds_zeros_where_a_write_is_lost() {
    let sim = sim();
    let file = durable(&sim, "f", b"");
    file.preallocate(6).unwrap();
    file.sync().unwrap();
    file.write_at(b"ab", 0).unwrap();
    file.write_at(b"cd", 2).unwrap();
    let seen = outcomes_of(&sim, "f");
    assert!(seen.contains(&some(b"\0\0cd\0\0")) && seen.contains(&some(b"ab\0\0\0\0")));
    assert!(seen.iter().flatten().all(|bytes| bytes.len() == 6));
}

#[test]
fn a_new_name_is_lost_though_the_file_is_synced() {
    let sim = sim();
    let file = sim.create(&path("f")).unwrap();
    file.write_at(b"x", 0).unwrap();
    file.sync().unwrap();
    assert_eq!(outcomes_of(&sim, "f"), BTreeSet::from([None, some(b"x")]));
}

#[test]
fn a_name_is_durable_before_the_bytes_are() {
    let sim = sim();
    let file = sim.create(&path("f")).unwrap();
    file.write_at(b"x", 0).unwrap();
    sim.sync_dir(Path::new(DIR)).unwrap();
    assert_eq!(
        outcomes_of(&sim, "f"),
        BTreeSet::from([b"".as_slice(), b"x", b"\0"].map(some))
    );
}

#[test]
fn an_unlinked_name_comes_back() {
    let sim = sim();
    durable(&sim, "f", b"x");
    sim.unlink(&path("f")).unwrap();
    assert_eq!(outcomes_of(&sim, "f"), BTreeSet::from([None, some(b"x")]));
    sim.sync_dir(Path::new(DIR)).unwrap();
    assert_eq!(outcomes_of(&sim, "f"), BTreeSet::from([None]));
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_one_never_none() {
    let sim = sim();
    durable(&sim, "cur", b"old");
    let from = sim.ops();
    let new = sim.create(&path("tmp")).unwrap();
    new.write_at(b"new", 0).unwrap();
    new.sync().unwrap();
    sim.rename(&path("tmp"), &path("cur")).unwrap();
    let both = BTreeSet::from([some(b"old"), some(b"new")]);
    for at in from..=sim.ops() {
        let seen = outcomes_of(&sim.kill(at), "cur");
        assert!(seen.is_subset(&both), "{at}: {seen:?}");
    }
    assert_eq!(outcomes_of(&sim, "cur"), both);
    // The name that the file had before goes with the rename.
    let named_twice = |files: &BTreeMap<String, Vec<u8>>| files.get("cur") == files.get("tmp");
    assert!(!outcomes(&sim).iter().any(named_twice));
    sim.sync_dir(Path::new(DIR)).unwrap();
    assert_eq!(outcomes_of(&sim, "cur"), BTreeSet::from([some(b"new")]));
}

#[test]
fn a_replaced_file_that_was_not_synced_may_be_empty() {
    let sim = sim();
    durable(&sim, "cur", b"old");
    sim.create(&path("tmp")).unwrap().write_at(b"new", 0).unwrap();
    sim.rename(&path("tmp"), &path("cur")).unwrap();
    assert!(outcomes_of(&sim, "cur").contains(&some(b"")));
}

#[test]
fn a_file_renamed_twice_has_one_name() {
    let sim = sim();
    durable(&sim, "a", b"x");
    sim.rename(&path("a"), &path("b")).unwrap();
    sim.rename(&path("b"), &path("c")).unwrap();
    let names: BTreeSet<_> = outcomes(&sim)
        .into_iter()
        .map(|f| f.into_keys().collect::<Vec<_>>())
        .collect();
    let expected = ["a", "b", "c"].map(|name| vec![name.to_owned()]);
    assert_eq!(names, BTreeSet::from(expected));
}

#[test]
fn names_in_two_directories_are_lost_independently() {
    let sim = Sim::new();
    for dir in ["/a", "/b"] {
        sim.create_dir_all(Path::new(dir)).unwrap();
        sim.create(&Path::new(dir).join("f")).unwrap();
    }
    let point = sim.crash_point(sim.ops());
    let seen: BTreeSet<_> = point.plans(0).iter().map(|p| point.image(p).files()).collect();
    assert_eq!(seen.len(), 4);
    // One synced, the other is still at risk.
    sim.sync_dir(Path::new("/b")).unwrap();
    let point = sim.crash_point(sim.ops());
    let seen: BTreeSet<_> = point.plans(0).iter().map(|p| point.image(p).files()).collect();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|files| files.contains(&"/b/f".into())));
}

#[test]
fn a_rename_between_directories_is_whole_and_durable_with_either() {
    for synced in [None, Some("/a"), Some("/b")] {
        let sim = Sim::new();
        sim.create_dir_all(Path::new("/a")).unwrap();
        sim.create_dir_all(Path::new("/b")).unwrap();
        sim.create(Path::new("/a/f")).unwrap();
        sim.sync_dir(Path::new("/a")).unwrap();
        // Earlier in the target directory, and not synced when only the source is.
        sim.create(Path::new("/b/f")).unwrap();
        sim.rename(Path::new("/a/f"), Path::new("/b/f")).unwrap();
        synced.map(|dir| sim.sync_dir(Path::new(dir)).unwrap());
        let point = sim.crash_point(sim.ops());
        for plan in point.plans(SEEDS) {
            let image = point.image(&plan);
            let id = |path| image.stat(Path::new(path)).unwrap().map(|stat| stat.id);
            let moved = sim.stat(Path::new("/b/f")).unwrap().map(|stat| stat.id);
            let (old, new) = (id("/a/f") == moved, id("/b/f") == moved);
            assert!(old != new, "{synced:?} {plan:?}");
            assert!(new || synced.is_none(), "{synced:?} {plan:?}");
        }
    }
}

#[test]
fn made_directories_are_durable_when_create_dir_all_returns() {
    let sim = Sim::new();
    sim.create_dir_all(Path::new("/a/b/c")).unwrap();
    let is_there = |sim: &Sim| sim.stat(Path::new("/a/b/c")).unwrap().is_some();
    assert!(is_there(&sim.crash(sim.ops(), &Plan::Nothing)));
    // Also when the maker of the first was killed before its sync.
    let killed = sim
        .crash_points()
        .find(|point| point.kind() == OpKind::CreateDir)
        .unwrap()
        .kill();
    killed.create_dir_all(Path::new("/a/b/c")).unwrap();
    assert!(is_there(&killed.crash(killed.ops(), &Plan::Nothing)));
}

#[test]
fn after_a_failed_sync_bytes_are_seen_but_gone_at_a_crash() {
    let sim = sim();
    let file = durable(&sim, "f", b"ab");
    file.write_at(b"cd", 2).unwrap();
    sim.fail_sync_at(1);
    file.sync().unwrap_err();
    file.sync().unwrap();
    assert_eq!(sim.read(&path("f")).unwrap(), b"abcd");
    // What is written and synced afterwards is durable; what the failed sync dropped is not, whatever was synced since.
    file.write_at(b"ef", 4).unwrap();
    file.sync().unwrap();
    let crashed = sim.crash(sim.ops(), &Plan::Everything);
    assert_eq!(crashed.read(&path("f")).unwrap(), b"ab\0\0ef");
    let seen = outcomes_of(&sim, "f");
    assert!(
        seen.contains(&some(b"abcdef")),
        "part of a failed sync can have been done"
    );
    assert!(seen.iter().flatten().all(|bytes| bytes.ends_with(b"ef")));
    let kinds: Vec<_> = (0..sim.ops()).filter_map(|n| sim.op(n)).collect();
    assert!(kinds.contains(&OpKind::SyncFailed));
}

#[test]
fn after_a_failed_sync_of_a_directory_its_names_stay_at_risk() {
    let sim = sim();
    sim.create(&path("f")).unwrap();
    sim.fail_sync_dir_at(1);
    sim.sync_dir(Path::new(DIR)).unwrap_err();
    sim.sync_dir(Path::new(DIR)).unwrap();
    sim.create(&path("g")).unwrap();
    sim.sync_dir(Path::new(DIR)).unwrap();
    let crashed = sim.crash(sim.ops(), &Plan::Everything);
    assert_eq!(crashed.files(), [path("g")]);
    assert!(outcomes_of(&sim, "g").iter().all(Option::is_some));
}

#[test]
fn a_kill_loses_nothing_and_makes_nothing_durable() {
    let sim = sim();
    durable(&sim, "f", b"ab").write_at(b"cd", 2).unwrap();
    sim.create(&path("g")).unwrap();
    let killed = sim.kill(sim.ops());
    assert_eq!(contents(&killed), contents(&sim));
    assert_eq!(killed.ops(), 0);
    assert_eq!(outcomes(&killed), outcomes(&sim));
    // A sync by the next process covers what the killed one wrote.
    killed.open(&path("f"), false).unwrap().sync().unwrap();
    assert_eq!(outcomes_of(&killed, "f"), BTreeSet::from([some(b"abcd")]));
}

#[test]
fn a_kill_in_the_middle_of_a_write_leaves_its_beginning() {
    let sim = sim();
    durable(&sim, "f", b"ab").write_at(b"cdef", 2).unwrap();
    let point = sim.crash_point(sim.ops());
    assert_eq!(point.kind(), OpKind::Append);
    let killed = point.kill_within(3).unwrap();
    assert_eq!(killed.read(&path("f")).unwrap(), b"abcde");
    assert_eq!(outcomes_of(&killed, "f").first(), Some(&some(b"ab")));
    assert!(point.kill_within(5).is_none());
    assert!(sim.crash_point(sim.ops() - 1).kill_within(0).is_none());
}

#[test]
fn operations_after_the_crash_never_happened() {
    let sim = sim();
    let file = durable(&sim, "f", b"ab");
    let at = sim.ops();
    file.write_at(b"cd", 0).unwrap();
    file.sync().unwrap();
    assert_eq!(sim.kill(at).read(&path("f")).unwrap(), b"ab");
    assert_eq!(sim.crash(at, &Plan::Everything).read(&path("f")).unwrap(), b"ab");
    assert_eq!(sim.kill(at + 1).read(&path("f")).unwrap(), b"cd");
}

#[test]
fn an_image_logs_and_crashes_in_its_turn() {
    let sim = sim();
    durable(&sim, "f", b"ab").write_at(b"cd", 2).unwrap();
    let once = sim.crash(sim.ops(), &Plan::Nothing);
    assert_eq!(once.ops(), 0);
    assert_eq!(outcomes(&once).len(), 1, "all of an image is durable");
    once.open(&path("f"), true).unwrap().write_at(b"xy", 2).unwrap();
    once.rename(&path("f"), &path("g")).unwrap();
    let twice = once.crash(once.ops(), &Plan::Only(1));
    assert_eq!(contents(&twice), BTreeMap::from([("g".into(), b"ab".to_vec())]));
    assert_eq!(contents(&sim)["f"], b"abcd");
    assert_eq!(contents(&once)["g"], b"abxy");
}

#[test]
fn a_crash_ends_every_lock() {
    let sim = sim();
    let _lock = sim.lock(Path::new(DIR), false).unwrap().unwrap();
    let image = sim.crash(sim.ops(), &Plan::Nothing);
    assert!(image.lock(Path::new(DIR), false).unwrap().is_some());
}

#[test]
fn every_kind_of_operation_is_a_crash_point() {
    let sim = sim();
    let file = durable(&sim, "f", b"ab");
    file.write_at(b"c", 0).unwrap();
    file.truncate(1).unwrap();
    file.preallocate(10).unwrap();
    file.write_at(b"d", 1).unwrap();
    sim.link(&path("f"), &path("g")).unwrap();
    sim.rename(&path("f"), &path("h")).unwrap();
    sim.unlink(&path("g")).unwrap();
    sim.create_dir_all(&path("d")).unwrap();
    sim.remove_dir(&path("d")).unwrap();
    sim.fail_sync_at(1);
    file.sync().unwrap_err();
    sim.fail_sync_dir_at(1);
    sim.sync_dir(Path::new(DIR)).unwrap_err();
    let kinds: BTreeSet<&str> = sim.crash_points().map(|point| point.kind().name()).collect();
    assert_eq!(kinds.len(), 15, "{kinds:?}");
    assert_eq!(sim.crash_points().count(), sim.ops() + 1);
    // A write into reserved space is still an append.
    assert_eq!(
        sim.op(10),
        Some(OpKind::Append),
        "{:?}",
        (0..sim.ops()).map(|n| sim.op(n)).collect::<Vec<_>>()
    );
}

#[test]
fn the_same_plan_gives_the_same_image() {
    let sim = sim();
    let file = durable(&sim, "f", &[7; 100]);
    (0..20).for_each(|n| file.write_at(&[n as u8; 600], n * 500).unwrap());
    let images = |point: &CrashPoint| -> Vec<u64> {
        point
            .plans(100)
            .iter()
            .map(|plan| point.image(plan).fingerprint())
            .collect()
    };
    let (one, two) = (sim.crash_point(sim.ops()), sim.crash_points().last().unwrap());
    assert_eq!(images(&one), images(&two));
    let distinct: HashSet<u64> = images(&one).into_iter().collect();
    assert!(distinct.len() > 150, "{}", distinct.len());
}

#[test]
fn the_fingerprint_is_of_names_lengths_and_bytes() {
    let build = |names: [&str; 2], bytes: &[u8]| {
        let sim = sim();
        durable(&sim, names[0], bytes);
        durable(&sim, names[1], b"");
        sim
    };
    let base = build(["a", "b"], b"xy").fingerprint();
    assert_eq!(build(["a", "b"], b"xy").fingerprint(), base);
    // Made in another order, or in several steps: the same disk.
    let other = sim();
    durable(&other, "b", b"");
    durable(&other, "a", b"xyz").truncate(2).unwrap();
    assert_eq!(other.fingerprint(), base);
    let different = [
        build(["a", "b"], b"xz"),
        build(["a", "b"], b"xy\0"),
        build(["a", "c"], b"xy"),
        build(["b", "a"], b"xy"),
    ];
    assert!(different.iter().all(|sim| sim.fingerprint() != base));
}

#[test]
fn damage_by_hand_is_durable_and_starts_the_log_anew() {
    let sim = sim();
    durable(&sim, "f", b"abc");
    sim.flip_bit(&path("f"), 1, 0).unwrap();
    sim.write(&path("g"), b"new").unwrap();
    sim.set_len(&path("g"), 4).unwrap();
    assert_eq!(sim.ops(), 0);
    let expected = BTreeMap::from([("f".into(), b"acc".to_vec()), ("g".into(), b"new\0".to_vec())]);
    assert_eq!(outcomes(&sim), BTreeSet::from([expected]));
    sim.remove(&path("f")).unwrap();
    assert_eq!(outcomes_of(&sim, "f"), BTreeSet::from([None]));
}

#[test]
fn a_cold_file_is_never_read_without_waiting() {
    let sim = sim();
    let file = durable(&sim, "f", b"abc");
    sim.set_cold(true);
    let error = file.read_at_nowait(&mut [0], 0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    file.read_at(&mut [0], 0).unwrap();
}

/// A random history of a few files in one directory, with an oracle that knows only what each byte and name may be.
mod oracle {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(usize, u64, Vec<u8>),
        Truncate(usize, u64),
        Sync(usize),
        Replace(usize, Vec<u8>),
        Unlink(usize),
        SyncDir,
    }

    fn step() -> impl Strategy<Value = Step> {
        let name = 0usize..3;
        let bytes = || prop::collection::vec(1u8.., 1..700);
        prop_oneof![
            4 => (name.clone(), 0u64..1500, bytes()).prop_map(|(f, at, b)| Step::Write(f, at, b)),
            1 => (name.clone(), 0u64..1500).prop_map(|(f, len)| Step::Truncate(f, len)),
            3 => name.clone().prop_map(Step::Sync),
            1 => (name.clone(), bytes()).prop_map(|(f, b)| Step::Replace(f, b)),
            1 => name.prop_map(Step::Unlink),
            2 => Just(Step::SyncDir),
        ]
    }

    /// What one file may hold: at each offset, which bytes; and which lengths.
    #[derive(Clone, Debug, Default)]
    struct May {
        now: Vec<u8>,
        bytes: Vec<HashSet<u8>>,
        /// The shortest possible length.
        len_min: usize,
        exact: bool,
    }

    impl May {
        fn change(&mut self, change: impl Fn(&mut Vec<u8>)) {
            change(&mut self.now);
            self.exact = false;
            self.len_min = self.len_min.min(self.now.len());
            let longest = self.bytes.len().max(self.now.len());
            self.bytes.resize(longest, HashSet::new());
            // Where the file may have ended, what is lost reads as zero.
            self.bytes[self.len_min..]
                .iter_mut()
                .for_each(|may| _ = may.insert(0));
            for (at, byte) in self.now.iter().enumerate() {
                self.bytes[at].insert(*byte);
            }
        }

        fn sync(&mut self) {
            self.bytes = self.now.iter().map(|b| HashSet::from([*b])).collect();
            self.len_min = self.now.len();
            self.exact = true;
        }

        fn check(&self, found: &[u8]) {
            assert!(!self.exact || found == self.now, "synced bytes changed");
            assert!(
                found.len() >= self.len_min && found.len() <= self.bytes.len(),
                "length {}",
                found.len()
            );
            for (at, byte) in found.iter().enumerate() {
                assert!(self.bytes[at].contains(byte), "{byte} at {at} was never written");
            }
        }
    }

    fn run(steps: Vec<Step>) {
        let sim = super::sim();
        let mut files: Vec<(May, Arc<dyn File>)> = Vec::new();
        // Name to file, as seen; and what each name may stand for after a crash.
        let mut names: [Option<usize>; 3] = [None; 3];
        let mut may_name: [HashSet<Option<usize>>; 3] = [(); 3].map(|()| HashSet::from([None]));
        let label = |n: usize| path(["a", "b", "c"][n]);
        for step in steps {
            match step {
                Step::Write(n, ..) | Step::Truncate(n, _) | Step::Sync(n) if names[n].is_none() => {
                    files.push((May::default(), sim.create(&label(n)).unwrap()));
                    names[n] = Some(files.len() - 1);
                    may_name[n].insert(names[n]);
                }
                Step::Write(n, at, bytes) => {
                    let (may, file) = &mut files[names[n].unwrap()];
                    file.write_at(&bytes, at).unwrap();
                    may.change(|now| {
                        let (from, to) = (at as usize, at as usize + bytes.len());
                        now.resize(now.len().max(to), 0);
                        now[from..to].copy_from_slice(&bytes);
                    });
                }
                Step::Truncate(n, len) => {
                    let (may, file) = &mut files[names[n].unwrap()];
                    file.truncate(len).unwrap();
                    may.change(|now| now.resize(len as usize, 0));
                }
                Step::Sync(n) => {
                    let (may, file) = &mut files[names[n].unwrap()];
                    file.sync().unwrap();
                    may.sync();
                }
                Step::Replace(n, bytes) => {
                    let file = sim.create(&path("tmp")).unwrap();
                    let mut may = May::default();
                    file.write_at(&bytes, 0).unwrap();
                    may.change(|now| *now = bytes.clone());
                    file.sync().unwrap();
                    may.sync();
                    sim.rename(&path("tmp"), &label(n)).unwrap();
                    files.push((may, file));
                    names[n] = Some(files.len() - 1);
                    may_name[n].insert(names[n]);
                }
                Step::Unlink(n) => {
                    if names[n].take().is_some() {
                        sim.unlink(&label(n)).unwrap();
                        may_name[n].insert(None);
                    }
                }
                Step::SyncDir => {
                    sim.sync_dir(Path::new(DIR)).unwrap();
                    may_name = names.map(|n| HashSet::from([n]));
                }
            }
            let point = sim.crash_point(sim.ops());
            let ids: Vec<(u64, u64)> = (0..3)
                .filter_map(|n| sim.stat(&label(n)).unwrap())
                .map(|s| s.id)
                .collect();
            assert_eq!(ids.len(), names.iter().flatten().count());
            for plan in point.plans(20) {
                let image = point.image(&plan);
                for n in 0..3 {
                    let Some(found) = image
                        .open(&label(n), false)
                        .ok()
                        .map(|_| image.read(&label(n)).unwrap())
                    else {
                        assert!(may_name[n].contains(&None), "{plan:?}: a durable name is gone");
                        continue;
                    };
                    let candidates: Vec<&May> = may_name[n].iter().flatten().map(|f| &files[*f].0).collect();
                    match candidates.as_slice() {
                        [] => panic!("{plan:?}: a name came back"),
                        [only] => only.check(&found),
                        many => assert!(many.iter().any(|may| !may.exact || may.now == found)),
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn every_image_is_explained_by_what_was_not_synced(steps in prop::collection::vec(step(), 1..25)) {
            run(steps);
        }
    }
}

/// How many images a second: run with `--release --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn images_per_second() {
    let sim = sim();
    let file = durable(&sim, "1.seg", &[1; 3000]);
    durable(&sim, "MANIFEST", &[2; 300]);
    file.preallocate(65536).unwrap();
    for n in 0..40u64 {
        file.write_at(&[n as u8; 120], 3000 + n * 120).unwrap();
        if n % 8 == 7 {
            file.sync().unwrap();
        }
        if n % 16 == 15 {
            let tmp = durable(&sim, "tmp", &[n as u8; 300]);
            drop(tmp);
            sim.rename(&path("tmp"), &path("MANIFEST")).unwrap();
            sim.sync_dir(Path::new(DIR)).unwrap();
        }
    }
    for fingerprint in [false, true] {
        let start = std::time::Instant::now();
        let (mut images, mut distinct) = (0u32, HashSet::new());
        for point in sim.crash_points() {
            for plan in point.plans(5000) {
                let image = point.image(&plan);
                images += 1;
                if fingerprint {
                    distinct.insert(image.fingerprint());
                }
            }
        }
        let rate = f64::from(images) / start.elapsed().as_secs_f64();
        println!("{images} images, {} distinct, {rate:.0} a second", distinct.len());
    }
}
