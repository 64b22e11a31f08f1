//! The value cache: one for all tables of the process, bounded in bytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use quick_cache::{
    OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};

use crate::keydir::Location;

/// The bound until [`set_capacity`] is called.
const DEFAULT_CAPACITY_BYTES: u64 = 256 << 20;
/// A value larger than this is never cached: it would push out thousands of small ones.
const MAX_VALUE_LEN: usize = 1 << 20;
/// What an entry costs beyond its bytes, about.
const ENTRY_COST_BYTES: u64 = 96;

type Key = (u64, Location);
type Values = Cache<Key, Arc<Cached>, ByBytes>;

static VALUES: LazyLock<ArcSwap<Values>> =
    LazyLock::new(|| ArcSwap::from_pointee(build(DEFAULT_CAPACITY_BYTES)));
static NEXT_TABLE: AtomicU64 = AtomicU64::new(0);

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Arc<Cached>> for ByBytes {
    fn weight(&self, _: &Key, value: &Arc<Cached>) -> u64 {
        value.cost()
    }
}

/// A value in the cache.
#[derive(Debug)]
struct Cached {
    bytes: Box<[u8]>,
    held: Arc<AtomicU64>,
}

impl Cached {
    fn cost(&self) -> u64 {
        self.bytes.len() as u64 + ENTRY_COST_BYTES
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        self.held.fetch_sub(self.cost(), Ordering::Relaxed);
    }
}

fn build(capacity_bytes: u64) -> Values {
    let estimated = (capacity_bytes / 512).max(64) as usize;
    let options = OptionsBuilder::new()
        .estimated_items_capacity(estimated)
        .weight_capacity(capacity_bytes)
        .build();
    match options {
        Ok(options) => Cache::with_options(
            options,
            ByBytes,
            quick_cache::DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        ),
        Err(_) => Cache::with_weighter(estimated, capacity_bytes, ByBytes),
    }
}

/// Empties the cache and gives it a new bound in bytes.
pub fn set_capacity(bytes: u64) {
    VALUES.store(Arc::new(build(bytes)));
}

/// A table's share in the cache.
#[derive(Debug)]
pub struct TableCache {
    table: u64,
    held: Arc<AtomicU64>,
}

impl Default for TableCache {
    fn default() -> Self {
        TableCache {
            table: NEXT_TABLE.fetch_add(1, Ordering::Relaxed),
            held: Arc::default(),
        }
    }
}

impl TableCache {
    /// Calls `f` with the value at a location, if it is cached.
    pub fn get<R>(&self, location: Location, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        VALUES
            .load()
            .get(&(self.table, location))
            .map(|cached| f(&cached.bytes))
    }

    /// Keeps a value, perhaps.
    pub fn put(&self, location: Location, value: &[u8]) {
        if value.len() <= MAX_VALUE_LEN {
            let cached = Cached {
                bytes: value.into(),
                held: Arc::clone(&self.held),
            };
            self.held.fetch_add(cached.cost(), Ordering::Relaxed);
            VALUES.load().insert((self.table, location), Arc::new(cached));
        }
    }

    /// Forgets a value that no reader will ask for again.
    pub fn remove(&self, location: Location) {
        VALUES.load().remove(&(self.table, location));
    }

    /// The bytes that this table holds in the cache.
    pub fn held_bytes(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Forgets all values of the table. Walks the whole cache.
    pub fn clear(&self) {
        if self.held_bytes() > 0 {
            VALUES.load().retain(|(table, _), _| *table != self.table);
        }
    }
}
