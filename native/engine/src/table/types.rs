//! What goes in and out of a table's calls.

use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Arc;

use crate::Deadline;
#[allow(unused_imports, reason = "for the links in the docs")]
use crate::Error;
use crate::clock::{Clock, WallClock};
pub use crate::keydir::Direction;

/// Whether a call may wait (for a disk, for a lock) or work for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It may not: [`Error::WouldBlock`] or [`Error::Busy`] instead.
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

impl TableKind {
    /// Whether a key may have many objects.
    pub fn is_bag(self) -> bool {
        matches!(self, TableKind::Bag | TableKind::DuplicateBag)
    }

    /// The type with this number.
    pub(crate) fn from_u8(n: u8) -> Option<Self> {
        [
            TableKind::Set,
            TableKind::OrderedSet,
            TableKind::Bag,
            TableKind::DuplicateBag,
        ]
        .into_iter()
        .nth(usize::from(n))
    }
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

/// How long an object is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// As long as the table's own option says.
    OfTable,
    /// So many milliseconds from now on.
    Ms(u64),
    /// Up to this moment.
    Until(Deadline),
    /// Until it is deleted.
    Infinite,
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

/// How [`Table::open`](super::Table::open) treats what is there.
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
#[expect(clippy::struct_excessive_bools, reason = "they are options")]
pub struct Config {
    /// When writes are made durable.
    pub sync: Sync,
    /// A segment is sealed before it grows beyond this, in bytes.
    pub max_file_size: u64,
    /// Whether the value cache serves this table.
    pub cache: bool,
    /// Whether values are compressed when they are written. Reading does not depend on it.
    pub compressed: bool,
    /// Whether the table's files are of no use after the process: nothing is synced.
    pub temporary: bool,
    /// Whether the table is a snapshot: what is there now, read beside whoever writes. Nothing in its directory is changed but the lock's file made.
    pub read_only: bool,
    /// Whether syncs and the like are done by the process's background threads. Without, [`Table::care`](super::Table::care) has to be
    /// called: for tests that decide themselves what happens when.
    pub background: bool,
    /// How many threads may load the keydir at the opening; 0 means as many as there are processors, up to four.
    pub load_threads: usize,
    /// How long objects are there, in milliseconds, unless something else is said when they are stored; `None` means that they do not expire.
    pub ttl_ms: Option<u64>,
    /// Where expiry has the time from.
    pub clock: Arc<dyn Clock>,
    /// Takes the place of the random numbers that a new table gets: for tests that compare files.
    pub seed: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            sync: Sync::Interval(1000),
            max_file_size: 2 << 30,
            cache: true,
            compressed: false,
            temporary: false,
            read_only: false,
            background: true,
            load_threads: 0,
            ttl_ms: None,
            clock: Arc::new(WallClock),
            seed: None,
        }
    }
}

/// What a lookup found, valid during the callback.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The value's bytes.
    pub value: &'a [u8],
    /// The stored key's bytes, its suffix (but not an object's fingerprint) included. `None` if they are the same as those asked for.
    pub key: Option<&'a [u8]>,
}

/// What [`Table::update`](super::Table::update) shall do.
#[derive(Debug)]
pub enum Change<'v> {
    /// Leave everything as it is.
    Keep,
    /// Store this value, keeping the stored form of a present key (and the given form of an absent one). A present object keeps its deadline; an
    /// absent one gets the table's.
    Put(Cow<'v, [u8]>),
    /// Store this value with the given form of the key; of deadlines the same holds.
    Replace(Cow<'v, [u8]>),
    /// Remove the key.
    Delete,
}

/// Names a write whose durability can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Commit(pub u64);

/// Numbers for `info`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Live objects, and those that have expired and were not swept yet.
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

/// A place in a traversal, the direction in which it goes on, and its end. `Cursor::default()` goes from the first key to the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) direction: Direction,
    pub(super) from: Bound<Vec<u8>>,
    pub(super) until: Bound<Vec<u8>>,
    /// A seq: the objects of the key at `from` with higher ones are still to come.
    pub(super) within: Option<u64>,
}
