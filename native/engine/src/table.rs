//! A table: what the NIF crate calls.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::io::Storage;
use crate::{Error, Key, Result};

/// Whether a call may wait (for a disk, for a lock) or work for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It may not: [`Error::WouldBlock`] instead.
    Never,
    /// It may: the caller is on a thread made for waiting.
    May,
}

/// The type of a table, as stored in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TableKind {
    /// One object a key, in the order of the key's hash.
    Set = 0,
    /// One object a key, in the order of the keys.
    OrderedSet = 1,
    /// Many objects a key, no two the same.
    Bag = 2,
    /// Many objects a key.
    DuplicateBag = 3,
}

/// When a write is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before it is acknowledged.
    Always,
    /// Within so many milliseconds.
    Interval(u64),
    /// When the kernel likes.
    None,
}

/// What is stored once for a table and never changes (but for the name).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The table's type.
    pub kind: TableKind,
    /// The position of the key in an object, from 1.
    pub keypos: u32,
    /// Which equality of keys the table was created with: an opaque number of the caller's.
    pub equality: u8,
    /// The table's name as the caller's bytes; empty if it has none.
    pub name: Vec<u8>,
}

/// How [`Table::open`] treats what is there.
#[derive(Clone, Debug)]
pub enum Open {
    /// Opens what is there and adopts its stored type and keypos; [`Error::NoTable`] if there is none. With a `Some`,
    /// refuses a table of another type or keypos.
    Existing {
        /// The type that must be stored.
        kind: Option<TableKind>,
        /// The keypos that must be stored.
        keypos: Option<u32>,
    },
    /// Opens what is there if type and keypos are the same ([`Error::Mismatch`] otherwise), or creates.
    OrCreate(Meta),
}

/// What may differ from one opening to the next.
#[derive(Clone, Debug)]
pub struct Config {
    /// When writes are made durable.
    pub sync: Sync,
    /// A segment is sealed before it grows beyond this, in bytes.
    pub max_file_size: u64,
    /// Whether the value cache serves this table.
    pub cache: bool,
    /// Whether the table's files are of no use after the process: nothing is synced.
    pub temporary: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            sync: Sync::Interval(1000),
            max_file_size: 2 << 30,
            cache: true,
            temporary: false,
        }
    }
}

/// What a lookup found, valid during the callback.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The value's bytes.
    pub value: &'a [u8],
    /// The stored key's bytes, its suffix included. `None` if they are the same as those asked for.
    pub key: Option<&'a [u8]>,
}

/// What [`Table::update`] shall do.
#[derive(Debug)]
pub enum Change {
    /// Leave everything as it is.
    Keep,
    /// Store this value, keeping the stored form of a present key (and the given form of an absent one).
    Put(Vec<u8>),
    /// Store this value with the given form of the key.
    Replace(Vec<u8>),
    /// Remove the key.
    Delete,
}

/// Names a write whose durability can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Commit(pub u64);

/// Numbers for `info`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Live objects.
    pub objects: u64,
    /// Bytes of memory held by keydir and buffers.
    pub memory_bytes: u64,
    /// Bytes held in the value cache for this table.
    pub cache_bytes: u64,
    /// Bytes of the segments on disk.
    pub disk_bytes: u64,
    /// Number of segments.
    pub segments: u64,
    /// The highest sequence number given.
    pub seq: u64,
    /// The highest sequence number known to be durable.
    pub durable_seq: u64,
}

/// A place in a traversal. The start is `Cursor::default()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    after: Option<Vec<u8>>,
}

impl Cursor {
    /// The place just behind this key (its compared part), whether the key is present or not.
    pub fn after(key: Key<'_>) -> Self {
        Cursor {
            after: Some(key.compared().to_vec()),
        }
    }
}

type Stored = (Vec<u8>, Vec<u8>);

/// An open table.
#[derive(Debug)]
pub struct Table {
    dir: PathBuf,
    meta: Meta,
    map: Mutex<BTreeMap<Vec<u8>, Stored>>,
    seq: AtomicU64,
    closed: AtomicBool,
}

impl Table {
    /// Opens the table in `dir`. Waits for the disk.
    pub fn open(_storage: &Arc<dyn Storage>, dir: &Path, open: Open, _config: Config) -> Result<Table> {
        let meta = match open {
            Open::OrCreate(meta) => meta,
            Open::Existing { .. } => {
                return Err(Error::NoTable {
                    dir: dir.to_path_buf(),
                });
            }
        };
        Ok(Table {
            dir: dir.to_path_buf(),
            meta,
            map: Mutex::default(),
            seq: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        })
    }

    /// The table's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is stored of the table.
    pub fn meta(&self) -> Meta {
        self.meta.clone()
    }

    /// How the table was opened.
    pub fn config(&self) -> Config {
        Config::default()
    }

    /// Syncs, seals and unlocks. Every call after it gives [`Error::Closed`]. Waits for the disk. A second close is `Ok`.
    pub fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        Ok(())
    }

    /// Closes and removes the table with its files, and nothing that is not the table's. Waits for the disk.
    pub fn destroy(&self) -> Result<()> {
        self.close()
    }

    /// Makes all writes so far durable. Waits for the disk.
    pub fn sync(&self) -> Result<()> {
        self.check()
    }

    /// Calls `notify` once when the write is durable, or when it is known that it never will be. Never waits.
    pub fn on_durable(&self, _commit: Commit, notify: Box<dyn FnOnce(Result<()>) + Send>) {
        notify(Ok(()));
    }

    /// Looks a key up and hands what is found to `f`, which may be called again if a writer interfered: only the last
    /// call's result counts. Touches the disk when the value is not cached.
    pub fn get<R>(&self, key: Key<'_>, _wait: Wait, mut f: impl FnMut(Found<'_>) -> R) -> Result<Option<R>> {
        self.check()?;
        let map = self.map.lock();
        Ok(map.get(key.compared()).map(|(stored, value)| {
            f(Found {
                value,
                key: (stored.as_slice() != key.bytes()).then_some(stored),
            })
        }))
    }

    /// Whether the key is there. Never touches the disk.
    pub fn contains(&self, key: Key<'_>, wait: Wait) -> Result<bool> {
        Ok(self.get(key, wait, |_| ())?.is_some())
    }

    /// Stores a value under a key, replacing what was there (the key's stored form too).
    pub fn put(&self, key: Key<'_>, value: &[u8], _wait: Wait) -> Result<Commit> {
        self.check()?;
        self.map
            .lock()
            .insert(key.compared().to_vec(), (key.bytes().to_vec(), value.to_vec()));
        Ok(self.commit())
    }

    /// Stores all of them or none, isolated from every reader; of equal keys the last wins.
    pub fn put_many(&self, puts: &[(Key<'_>, &[u8])], _wait: Wait) -> Result<Commit> {
        self.check()?;
        let mut map = self.map.lock();
        for (key, value) in puts {
            map.insert(key.compared().to_vec(), (key.bytes().to_vec(), value.to_vec()));
        }
        Ok(self.commit())
    }

    /// Like [`Table::put_many`], but `None` and no change if one of the keys is present.
    pub fn put_many_new(&self, puts: &[(Key<'_>, &[u8])], wait: Wait) -> Result<Option<Commit>> {
        for (key, _) in puts {
            if self.contains(*key, wait)? {
                return Ok(None);
            }
        }
        self.put_many(puts, wait).map(Some)
    }

    /// Reads a key's object and decides what becomes of it, in one step that no other writer of the key comes between. `f` is
    /// called at most once, or not at all if the result is an error that comes before it ([`Error::WouldBlock`] too).
    pub fn update<R>(
        &self,
        key: Key<'_>,
        _wait: Wait,
        f: impl FnOnce(Option<Found<'_>>) -> (Change, R),
    ) -> Result<(Option<Commit>, R)> {
        self.check()?;
        let mut map = self.map.lock();
        let old = map.get(key.compared());
        let (change, result) = f(old.map(|(stored, value)| Found {
            value,
            key: (stored.as_slice() != key.bytes()).then_some(stored),
        }));
        let form = old.map_or(key.bytes(), |(stored, _)| stored).to_vec();
        match change {
            Change::Keep => return Ok((None, result)),
            Change::Put(value) => map.insert(key.compared().to_vec(), (form, value)),
            Change::Replace(value) => map.insert(key.compared().to_vec(), (key.bytes().to_vec(), value)),
            Change::Delete => map.remove(key.compared()),
        };
        Ok((Some(self.commit()), result))
    }

    /// Removes a key; `None` if it was not there. Does not read the value.
    pub fn delete(&self, key: Key<'_>, _wait: Wait) -> Result<Option<Commit>> {
        self.check()?;
        Ok(self.map.lock().remove(key.compared()).map(|_| self.commit()))
    }

    /// Removes every object in one step.
    pub fn clear(&self, _wait: Wait) -> Result<Commit> {
        self.check()?;
        self.map.lock().clear();
        Ok(self.commit())
    }

    /// The first key behind the cursor, in the table's order, as stored bytes (suffix included). Never touches the disk.
    pub fn next_key(&self, cursor: &Cursor, _wait: Wait) -> Result<Option<Vec<u8>>> {
        self.check()?;
        let map = self.map.lock();
        let start = cursor
            .after
            .as_ref()
            .map_or(Bound::Unbounded, |k| Bound::Excluded(k.clone()));
        Ok(map
            .range((start, Bound::Unbounded))
            .next()
            .map(|(_, (stored, _))| stored.clone()))
    }

    /// Hands the objects behind the cursor to `f` in the table's order, at most `objects` of them and not many more than `bytes`, and
    /// moves the cursor behind the last. `true` if there may be more. An object present throughout a traversal is seen
    /// exactly once. `f` gets the stored key bytes and the value.
    pub fn scan(
        &self,
        cursor: &mut Cursor,
        objects: usize,
        _bytes: usize,
        _wait: Wait,
        mut f: impl FnMut(&[u8], &[u8]),
    ) -> Result<bool> {
        self.check()?;
        let map = self.map.lock();
        let start = cursor.after.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut seen = 0;
        for (compared, (stored, value)) in map.range((start.clone(), Bound::Unbounded)).take(objects) {
            f(stored, value);
            seen += 1;
            cursor.after = Some(compared.clone());
        }
        if seen == 0 {
            if let Bound::Excluded(k) = start {
                cursor.after = Some(k);
            }
        }
        Ok(seen == objects)
    }

    /// Number of objects. Never touches the disk.
    pub fn len(&self) -> u64 {
        self.map.lock().len() as u64
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers for `info`. Never touches the disk.
    pub fn stats(&self) -> Stats {
        Stats {
            objects: self.len(),
            seq: self.seq.load(Ordering::Relaxed),
            ..Stats::default()
        }
    }

    fn commit(&self) -> Commit {
        Commit(self.seq.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn check(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }
}
