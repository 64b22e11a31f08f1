//! A table that is opened for reading beside its writer is what it was at one moment, and its files stay for as long.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bets_engine::io::{File, Lock, Stat, Storage, real::Os};
use bets_engine::seeded::{self, Fault};
use bets_engine::table::{Change, Config, MergeChoice, Open, Sync, Table, Wait};
use bets_engine::{Error, Result};
use common::{ALL_KINDS, TestDir, contents, get, key, merge_all, meta, put};

const EXISTING: Open = Open::Existing {
    kind: None,
    keypos: None,
};

fn try_read(dir: &Path, storage: impl Storage + 'static) -> Result<Table> {
    let storage: Arc<dyn Storage> = Arc::new(storage);
    let config = Config {
        read_only: true,
        ..Config::default()
    };
    Table::open(&storage, dir, &EXISTING, config)
}

fn read(dir: &TestDir) -> Table {
    try_read(dir.path(), Os).unwrap()
}

/// So that a test decides when files go.
fn quiet(mut dir: TestDir) -> TestDir {
    dir.config.background = false;
    dir
}

fn files(dir: &TestDir) -> usize {
    let names = std::fs::read_dir(dir.path()).unwrap();
    let is_segment = |name: &str| Path::new(name).extension().is_some_and(|ext| ext == "seg");
    names
        .filter(|entry| is_segment(entry.as_ref().unwrap().file_name().to_str().unwrap()))
        .count()
}

#[test]
fn a_snapshot_is_of_one_moment_whatever_is_done_to_the_table_behind_it() {
    for kind in ALL_KINDS {
        let dir = quiet(TestDir::of(kind).max_file_size(4_000));
        let table = dir.open();
        for i in 0..100u8 {
            put(&table, &[i], &[i; 60]);
        }
        // From here on records are staged.
        table.care().unwrap();
        for i in 50..150u8 {
            put(&table, &[i], &[i; 61]);
        }
        let before = contents(&table);
        let snapshot = read(&dir);
        assert_eq!(snapshot.seq(), table.seq());
        for i in 0..150u8 {
            table.delete(key(&[i]), Wait::May).unwrap();
        }
        merge_all(&table);
        assert_eq!(contents(&snapshot), before);
        table.clear(Wait::May).unwrap();
        for i in 0..150u8 {
            put(&table, &[i], b"later");
        }
        merge_all(&table);
        assert_eq!(contents(&snapshot), before);
        // A second one is of its own moment.
        let second = read(&dir);
        assert_eq!(contents(&second), contents(&table));
        table.close().unwrap();
        let table = dir.open();
        assert_eq!(contents(&snapshot), before);
        snapshot.close().unwrap();
        assert!(matches!(snapshot.sync(), Err(Error::Closed)));
        assert_eq!(contents(&second), contents(&table));
    }
}

#[test]
fn files_stay_while_a_snapshot_is_open_and_go_behind_it() {
    let dir = quiet(TestDir::new().max_file_size(4_000));
    let mut table = dir.open();
    for i in 0..200u8 {
        put(&table, &[i], &[i; 60]);
    }
    table.sync().unwrap();
    let snapshot = read(&dir);
    let before = contents(&snapshot);
    let many = files(&dir);
    for i in 0..200u8 {
        table.delete(key(&[i]), Wait::May).unwrap();
    }
    for round in 0..3 {
        merge_all(&table);
        table.care().unwrap();
        assert!(files(&dir) >= many, "in round {round} files went");
        // Neither a kill nor a close of the writer changes that.
        if round == 0 {
            table.kill();
        } else {
            table.close().unwrap();
        }
        table = dir.open();
        put(&table, b"x", b"y");
        assert_eq!(contents(&snapshot), before);
    }
    snapshot.close().unwrap();
    merge_all(&table);
    table.care().unwrap();
    assert!(files(&dir) <= 3, "{} files", files(&dir));
    assert_eq!(contents(&table).len(), 1);
}

#[test]
fn what_was_kept_for_a_snapshot_goes_when_the_table_is_opened_again() {
    let dir = quiet(TestDir::new().max_file_size(4_000));
    let table = dir.open();
    for i in 0..200u8 {
        put(&table, &[i], &[i; 60]);
    }
    let snapshot = read(&dir);
    table.clear(Wait::May).unwrap();
    merge_all(&table);
    table.kill();
    let many = files(&dir);
    snapshot.close().unwrap();
    let table = dir.open();
    assert!(files(&dir) < many.min(4), "{} files of {many}", files(&dir));
    assert!(table.is_empty());
}

/// Of the records that the writer's death left unsynced nothing stays where the snapshot has them.
#[test]
fn a_snapshot_outlives_its_writer_and_the_recovery_behind_it() {
    let dir = quiet(TestDir::new());
    let table = dir.open();
    put(&table, b"a", b"1");
    table.care().unwrap();
    for i in 0..100u8 {
        put(&table, &[b'b', i], &[i; 3_000]);
    }
    let snapshot = read(&dir);
    let before = contents(&table);
    table.kill();
    for _ in 0..2 {
        let table = dir.open();
        table.clear(Wait::May).unwrap();
        merge_all(&table);
        assert_eq!(contents(&snapshot), before);
        table.kill();
    }
}

#[test]
fn a_snapshot_takes_no_writes_and_leaves_nothing() {
    let dir = quiet(TestDir::new());
    let table = dir.open();
    put(&table, b"a", b"1");
    table.care().unwrap();
    put(&table, b"b", b"2");
    table.kill();
    let listed = |dir: &TestDir| {
        let read = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.unwrap();
            (entry.file_name(), std::fs::read(entry.path()).unwrap())
        };
        std::fs::read_dir(dir.path())
            .unwrap()
            .map(read)
            .collect::<BTreeMap<_, _>>()
    };
    let before = listed(&dir);
    let snapshot = read(&dir);
    assert_eq!(get(&snapshot, b"b").unwrap(), b"2");
    let refused = |result: Result<()>| assert!(matches!(result, Err(Error::Snapshot)), "{result:?}");
    refused(snapshot.put(key(b"c"), b"3", Wait::May).map(drop));
    refused(snapshot.delete(key(b"a"), Wait::May).map(drop));
    refused(snapshot.clear(Wait::May).map(drop));
    refused(snapshot.put_many(&[(key(b"c"), b"3")], Wait::May).map(drop));
    refused(
        snapshot
            .update(key(b"a"), Wait::May, |_| (Change::Put(b"4".into()), ()))
            .map(drop),
    );
    refused(snapshot.merge_start(MergeChoice::Everything).map(drop));
    refused(snapshot.backup(Path::new("/nowhere")).map(drop));
    refused(snapshot.rename(Path::new("/nowhere"), b""));
    refused(snapshot.destroy());
    snapshot.sync().unwrap();
    snapshot.care().unwrap();
    let mut check = snapshot.begin_check().unwrap();
    while snapshot.check(&mut check, 1_000).unwrap() {}
    assert!(check.report().faults.is_empty());
    snapshot.close().unwrap();
    drop(snapshot);
    assert_eq!(listed(&dir), before);
    assert_eq!(contents(&dir.open()).len(), 2);
}

#[test]
fn there_is_no_snapshot_of_no_table() {
    let dir = quiet(TestDir::new());
    let none = |dir: &TestDir| {
        let opened = try_read(dir.path(), Os);
        assert!(matches!(opened, Err(Error::NoTable { .. })), "{opened:?}");
    };
    none(&dir);
    std::fs::create_dir(dir.path()).unwrap();
    none(&dir);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let table = dir.open();
    put(&table, b"a", b"1");
    let snapshot = read(&dir);
    table.destroy().unwrap();
    none(&dir);
    // Its file is gone: an error, and not the object of another table that comes to stand there.
    let table = dir.open();
    put(&table, b"a", b"2");
    let found = snapshot.get(key(b"a"), Wait::May, |found| found.value.to_vec());
    assert!(matches!(found, Err(Error::Io { op: "open", .. })), "{found:?}");
}

#[test]
fn damage_is_told_as_an_opening_for_writing_tells_it() {
    let dir = quiet(TestDir::new());
    let table = dir.open();
    put(&table, b"a", b"1");
    table.sync().unwrap();
    put(&table, b"b", b"2");
    table.kill();
    let path = dir.path().join("0000000001.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let opened = try_read(dir.path(), Os);
    assert!(
        matches!(opened, Err(Error::Damaged { offset: 32, .. })),
        "{opened:?}"
    );
}

/// The state at a seq is known: the nth write puts n under its key, or removes all, or is one of two in a list.
#[test]
fn under_load_a_snapshot_equals_the_history_at_its_seq() {
    for (sync, file_size) in [
        (Sync::Interval(5), 20_000),
        (Sync::Interval(1000), 200_000),
        (Sync::Always, 20_000),
    ] {
        let mut dir = TestDir::new().max_file_size(file_size);
        dir.config.sync = sync;
        let table = dir.open();
        let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let n = table.seq() + 1;
                    if n % 1_000 == 0 {
                        table.clear(Wait::May).unwrap();
                    } else if n % 5 == 0 {
                        let values = [n.to_le_bytes(), (n + 1).to_le_bytes()];
                        let keys = [[(n % 97) as u8], [((n + 1) % 97) as u8]];
                        let list = [(key(&keys[0]), &values[0][..]), (key(&keys[1]), &values[1][..])];
                        table.put_many(&list, Wait::May).unwrap();
                    } else {
                        put(&table, &[(n % 97) as u8], &n.to_le_bytes());
                    }
                    acknowledged.store(table.seq(), Ordering::Release);
                }
            });
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    merge_all(&table);
                }
            });
            let end = Instant::now() + Duration::from_secs(2);
            let mut opened = 0;
            // The rate is the machine's.
            while Instant::now() < end || opened <= 20 {
                let before = acknowledged.load(Ordering::Acquire);
                let snapshot = read(&dir);
                let seq = snapshot.seq();
                assert!(
                    seq >= before,
                    "{before} was acknowledged, the snapshot ends at {seq}"
                );
                assert_eq!(contents(&snapshot), expected(seq), "at {seq}");
                opened += 1;
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}

fn expected(seq: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let cleared = seq / 1_000 * 1_000;
    let puts = (cleared + 1)..=seq;
    let last: BTreeMap<_, _> = puts
        .map(|n| (vec![(n % 97) as u8], n.to_le_bytes().to_vec()))
        .collect();
    last.into_iter().collect()
}

#[test]
fn a_merge_that_looks_for_no_snapshots_is_found() {
    let dir = quiet(TestDir::new().max_file_size(4_000));
    let table = dir.open();
    for i in 0..200u8 {
        put(&table, &[i], &[i; 60]);
    }
    let snapshot = read(&dir);
    table.clear(Wait::May).unwrap();
    seeded::put(Some(Fault::SnapshotIgnored));
    merge_all(&table);
    seeded::put(None);
    let read = |i: u8| snapshot.get(key(&[i]), Wait::May, |_| ());
    assert!((0..200).any(|i| read(i).is_err()));
}

/// The disk of a reader. Nothing can be removed or renamed, nor made unless it is `writable`; `before` runs before each call, with the call's number.
struct ReadersDisk<F> {
    calls: AtomicU64,
    writable: bool,
    before: F,
}

impl<F> std::fmt::Debug for ReadersDisk<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReadersDisk({:?} calls)", self.calls)
    }
}

impl<F: Fn(u64)> ReadersDisk<F> {
    fn new(writable: bool, before: F) -> Self {
        let calls = AtomicU64::new(0);
        ReadersDisk {
            calls,
            writable,
            before,
        }
    }

    fn os(&self) -> Os {
        (self.before)(self.calls.fetch_add(1, Ordering::SeqCst));
        Os
    }
}

fn refused<T>() -> std::io::Result<T> {
    Err(std::io::ErrorKind::ReadOnlyFilesystem.into())
}

impl<F: Fn(u64) + Send + std::marker::Sync> Storage for ReadersDisk<F> {
    fn create(&self, path: &Path) -> std::io::Result<Arc<dyn File>> {
        if self.writable {
            self.os().create(path)
        } else {
            refused()
        }
    }
    fn open(&self, path: &Path, write: bool) -> std::io::Result<Arc<dyn File>> {
        if self.writable || !write {
            self.os().open(path, write)
        } else {
            refused()
        }
    }
    fn stat(&self, path: &Path) -> std::io::Result<Option<Stat>> {
        self.os().stat(path)
    }
    fn stat_follow(&self, path: &Path) -> std::io::Result<Option<Stat>> {
        self.os().stat_follow(path)
    }
    fn list(&self, dir: &Path) -> std::io::Result<Vec<String>> {
        self.os().list(dir)
    }
    fn create_dir_all(&self, _: &Path) -> std::io::Result<()> {
        refused()
    }
    fn remove_dir(&self, _: &Path) -> std::io::Result<()> {
        refused()
    }
    fn rename(&self, _: &Path, _: &Path) -> std::io::Result<()> {
        refused()
    }
    fn unlink(&self, _: &Path) -> std::io::Result<()> {
        refused()
    }
    fn link(&self, _: &Path, _: &Path) -> std::io::Result<()> {
        refused()
    }
    fn sync_dir(&self, _: &Path) -> std::io::Result<()> {
        refused()
    }
    fn lock(&self, path: &Path, shared: bool) -> std::io::Result<Option<Box<dyn Lock>>> {
        self.os().lock(path, shared)
    }
}

/// Stores its seq under a key, in so many records.
fn put_seqs(table: &Table, count: u64) {
    for _ in 0..count {
        let n = table.seq() + 1;
        put(table, &[(n % 97) as u8], &n.to_le_bytes());
    }
}

/// Guards the order in which a reader looks at the manifest, the stage and the segments, and that it begins again when a recovery has moved what it looks for: what was
/// acknowledged before it opened is there at whichever of its calls a writer fills its stage anew, or dies and is followed by another one.
#[test]
fn whenever_a_writer_comes_between_all_that_was_acknowledged_is_seen() {
    for dies in [false, true] {
        for at in 0.. {
            let dir = quiet(TestDir::new());
            let table = dir.open();
            // So that what comes is staged.
            put_seqs(&table, 10);
            table.care().unwrap();
            put_seqs(&table, 300);
            let acknowledged = table.seq();
            let held = Arc::new(Mutex::new(Some(table)));
            let (writer, config) = (Arc::clone(&held), dir.config.clone());
            let path = dir.path().to_path_buf();
            let write = move |call| {
                if call != at {
                    return;
                }
                let mut table = writer.lock().unwrap();
                if dies {
                    table.take().unwrap().kill();
                    let storage: Arc<dyn Storage> = Arc::new(Os);
                    *table = Some(Table::open(&storage, &path, &EXISTING, config.clone()).unwrap());
                    put_seqs(table.as_ref().unwrap(), 5);
                } else {
                    // The stage is written out, and then has others alone.
                    put_seqs(table.as_ref().unwrap(), 3_000);
                }
            };
            let disk = Arc::new(ReadersDisk::new(true, write));
            let storage: Arc<dyn Storage> = Arc::clone(&disk) as Arc<dyn Storage>;
            let config = Config {
                read_only: true,
                ..Config::default()
            };
            let snapshot = Table::open(&storage, dir.path(), &EXISTING, config).unwrap();
            let seq = snapshot.seq();
            assert!(
                seq >= acknowledged,
                "call {at}: {acknowledged} was acknowledged, the snapshot ends at {seq}"
            );
            assert_eq!(contents(&snapshot), expected_of_puts(seq), "call {at}, at {seq}");
            if disk.calls.load(Ordering::SeqCst) <= at {
                assert!(at > 8, "{at} calls");
                break;
            }
        }
    }
}

fn expected_of_puts(seq: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let last: BTreeMap<_, _> = (1..=seq)
        .map(|n| (vec![(n % 97) as u8], n.to_le_bytes().to_vec()))
        .collect();
    last.into_iter().collect()
}

#[test]
fn a_disk_that_cannot_be_written_to_is_read() {
    for lock in [true, false] {
        for killed in [true, false] {
            let dir = quiet(TestDir::new());
            let table = dir.open();
            put(&table, b"a", b"1");
            table.care().unwrap();
            put(&table, b"b", b"2");
            if killed {
                table.kill();
            } else {
                table.close().unwrap();
            }
            if !lock {
                std::fs::remove_file(dir.path().join("snapshot.lock")).unwrap();
            }
            let snapshot = try_read(dir.path(), ReadersDisk::new(false, |_| {})).unwrap();
            assert_eq!(contents(&snapshot).len(), 2);
            assert!(lock || !dir.path().join("snapshot.lock").exists());
        }
    }
}

#[test]
fn a_repair_waits_for_no_snapshot() {
    let dir = quiet(TestDir::new());
    let table = dir.open();
    put(&table, b"a", b"1");
    table.close().unwrap();
    let snapshot = read(&dir);
    let storage: Arc<dyn Storage> = Arc::new(Os);
    let repair = || {
        let progress = AtomicU64::new(0);
        let open = Open::OrCreate(meta());
        bets_engine::repair::repair(
            &storage,
            dir.path(),
            &open,
            bets_engine::repair::Mode::Named,
            None,
            &progress,
        )
    };
    assert!(matches!(repair(), Err(Error::Locked { .. })));
    snapshot.close().unwrap();
    repair().unwrap();
}
