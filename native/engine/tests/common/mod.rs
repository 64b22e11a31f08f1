//! What the engine's tests share.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bets_engine::io::{Storage, real::Os};
use bets_engine::merge::{Phase, Report};
use bets_engine::table::{Commit, Config, Cursor, MergeChoice, Meta, Open, Table, TableKind, Wait};
use bets_engine::{Key, Result};

/// A directory for one table, removed at the end of the test.
pub struct TestDir {
    path: PathBuf,
    pub config: Config,
    kind: TableKind,
}

/// The types of tables in which a key has one object.
pub const KINDS: [TableKind; 2] = [TableKind::Set, TableKind::OrderedSet];

/// All types of tables.
pub const ALL_KINDS: [TableKind; 4] = [
    TableKind::Set,
    TableKind::OrderedSet,
    TableKind::Bag,
    TableKind::DuplicateBag,
];

impl TestDir {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bets-test-{}-{n}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        TestDir {
            path,
            config: Config::default(),
            kind: TableKind::Set,
        }
    }

    /// A directory for a table of this type.
    pub fn of(kind: TableKind) -> Self {
        let mut dir = TestDir::new();
        dir.kind = kind;
        dir
    }

    /// A table's directory that is there already.
    pub fn at(path: &Path) -> Self {
        TestDir {
            path: path.to_path_buf(),
            config: Config::default(),
            kind: TableKind::Set,
        }
    }

    pub fn max_file_size(mut self, bytes: u64) -> Self {
        self.config.max_file_size = bytes;
        self
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A copy of what is in the directory now, as a killed process would leave it.
    pub fn copy(&self) -> TestDir {
        let mut copy = TestDir::copy_of(&self.path);
        copy.config = self.config.clone();
        copy
    }

    /// A copy of a table's directory, whose table may be open: as it was at one moment.
    pub fn copy_of(path: &Path) -> TestDir {
        let copy = TestDir::new();
        std::fs::create_dir_all(&copy.path).unwrap();
        // What two readings of all files find the same stood so between the two. Threads of the table write meanwhile.
        let mut found = read_files(path);
        loop {
            let again = read_files(path);
            if again.is_some() && again == found {
                break;
            }
            found = again;
        }
        for (name, bytes) in found.unwrap() {
            std::fs::write(copy.path.join(name), bytes).unwrap();
        }
        copy
    }

    pub fn open(&self) -> Table {
        self.try_open(&Open::OrCreate(meta_of(self.kind))).unwrap()
    }

    pub fn reopen(&self) -> Table {
        self.try_reopen().unwrap()
    }

    pub fn try_reopen(&self) -> Result<Table> {
        self.try_open(&Open::Existing {
            kind: None,
            keypos: None,
        })
    }

    pub fn try_open(&self, open: &Open) -> Result<Table> {
        let storage: Arc<dyn Storage> = Arc::new(Os);
        Table::open(&storage, &self.path, open, self.config.clone())
    }
}

/// The files of a directory; `None` if one goes while they are read.
fn read_files(path: &Path) -> Option<BTreeMap<OsString, Vec<u8>>> {
    let entries = std::fs::read_dir(path).unwrap();
    entries
        .map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name(), std::fs::read(entry.path()).ok()?))
        })
        .collect()
}

impl Drop for TestDir {
    fn drop(&mut self) {
        // A table that is gone may still be closing, in the background, and put files there.
        for _ in 0..200 {
            match std::fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
                _ => return,
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub fn meta() -> Meta {
    meta_of(TableKind::Set)
}

pub fn meta_of(kind: TableKind) -> Meta {
    Meta {
        kind,
        keypos: 1,
        equality: 0,
        name: Vec::new(),
    }
}

/// Keys of the tests are prefix-free by being of one length, or by never being prefixes of one another.
pub fn key(bytes: &[u8]) -> Key<'_> {
    Key::plain(bytes)
}

/// Stores a value, in a bag as one more.
pub fn put(table: &Table, k: &[u8], value: &[u8]) {
    if is_bag(table) {
        add(table, k, value).unwrap();
    } else {
        table.put(key(k), value, Wait::May).unwrap();
    }
}

/// Stores a list in one step.
pub fn put_many(table: &Table, list: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
    if is_bag(table) {
        let keys: Vec<_> = list.iter().map(|(k, v)| (k.len(), marked(k, v))).collect();
        let puts: Vec<_> = keys
            .iter()
            .zip(list)
            .map(|((len, key), (_, v))| (Key::new(key, *len), v.as_slice()))
            .collect();
        if table.meta().kind == TableKind::Bag {
            table.add_many(&puts, Wait::May, &mut same)?;
        } else {
            table.put_many(&puts, Wait::May)?;
        }
    } else {
        let puts: Vec<_> = list.iter().map(|(k, v)| (key(k), v.as_slice())).collect();
        table.put_many(&puts, Wait::May)?;
    }
    Ok(())
}

pub fn get(table: &Table, k: &[u8]) -> Option<Vec<u8>> {
    table
        .get(key(k), Wait::May, |found| found.value.to_vec())
        .unwrap()
}

/// Merges whatever can be merged, in small steps. `None` if there is nothing to merge.
pub fn merge_all(table: &Table) -> Option<Report> {
    try_merge_all(table).unwrap()
}

/// Like [`merge_all`], with its errors.
pub fn try_merge_all(table: &Table) -> Result<Option<Report>> {
    if !table.merge_start(MergeChoice::Everything)? {
        return Ok(None);
    }
    loop {
        let progress = table.merge_step(1_000)?.unwrap();
        assert!(progress.done <= progress.total, "{progress:?}");
        if progress.phase == Phase::Done {
            return Ok(Some(progress.report));
        }
    }
}

/// All stored keys and values, sorted; in an ordered table they must come so.
pub fn contents(table: &Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    let mut cursor = Cursor::default();
    while table
        .scan(&mut cursor, 100, 1 << 20, Wait::May, |key, value| {
            all.push((key.to_vec(), value.to_vec()))
        })
        .unwrap()
    {}
    if table.meta().kind == TableKind::OrderedSet {
        assert!(all.is_sorted(), "out of order");
    }
    // The objects of a key in a bag stay in their order.
    all.sort_by(|a, b| if is_bag(table) { a.0.cmp(&b.0) } else { a.cmp(b) });
    all
}

fn is_bag(table: &Table) -> bool {
    table.meta().kind.is_bag()
}

/// Random numbers that are the same for the same seed (splitmix64, Steele et al. 2014), or choices that someone else made.
pub struct Random {
    state: u64,
    choices: Option<Vec<u8>>,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Random {
            state: seed.wrapping_mul(0x2545_f491_4f6c_dd1d),
            choices: None,
        }
    }

    /// Takes a byte for each number. Where there are no more, all numbers are 0.
    pub fn chosen(bytes: &[u8]) -> Self {
        Random {
            state: 0,
            choices: Some(bytes.iter().rev().copied().collect()),
        }
    }

    pub fn next(&mut self) -> u64 {
        if let Some(choices) = &mut self.choices {
            return choices.pop().map_or(0, u64::from);
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// The bytes of the key of an object in a bag. The tests' fingerprints are made to be equal for many objects.
pub fn marked(k: &[u8], value: &[u8]) -> Vec<u8> {
    let first = value.first().copied().unwrap_or_default();
    [k, &(u32::from(first) % 4).to_le_bytes()].concat()
}

/// The key of one byte whose bytes [`marked`] gave.
pub fn bag_key(marked: &[u8]) -> Key<'_> {
    Key::new(marked, 1)
}

/// Objects of the tests are the same if their bytes are.
#[expect(clippy::unnecessary_wraps, reason = "the engine's signature")]
pub fn same(a: &[u8], b: &[u8]) -> Option<bool> {
    Some(a == b)
}

/// Adds an object as the table's type asks for.
pub fn add(table: &Table, k: &[u8], value: &[u8]) -> Result<Option<Commit>> {
    let bytes = marked(k, value);
    let key = Key::new(&bytes, k.len());
    if table.meta().kind == TableKind::Bag {
        table.add(key, value, Wait::May, &mut same)
    } else {
        table.put(key, value, Wait::May).map(Some)
    }
}

/// Removes an object.
pub fn remove(table: &Table, k: &[u8], value: &[u8]) -> Result<Option<Commit>> {
    let bytes = marked(k, value);
    table.delete_object(Key::new(&bytes, k.len()), value, Wait::May, &mut same)
}

/// The objects of a key.
pub fn all(table: &Table, k: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let stopped = table
        .each(key(k), Wait::May, |at, found| {
            all.truncate(at);
            all.push(found.value.to_vec());
            ControlFlow::<()>::Continue(())
        })
        .unwrap();
    assert!(stopped.is_none());
    all
}
