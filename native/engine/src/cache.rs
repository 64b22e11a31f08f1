//! The value cache: one for all tables of the process, bounded in bytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use quick_cache::{
    OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};
use triomphe::ThinArc;

use crate::keydir::Location;

/// The bound until [`set_capacity`] is called.
const DEFAULT_CAPACITY_BYTES: u64 = 256 << 20;
/// A value larger than this is never cached: it would push out thousands of small ones.
const MAX_VALUE_LEN: usize = 1 << 20;
/// What an entry costs beyond its bytes, about.
const ENTRY_COST_BYTES: u64 = 96;

type Key = (u64, Location);
/// A value and its table's account in one allocation.
type Value = ThinArc<Account, u8>;
type Values = Cache<Key, Value, ByBytes>;

static VALUES: LazyLock<ArcSwap<Values>> =
    LazyLock::new(|| ArcSwap::from_pointee(build(DEFAULT_CAPACITY_BYTES)));
static NEXT_TABLE: AtomicU64 = AtomicU64::new(0);

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Value> for ByBytes {
    fn weight(&self, _: &Key, value: &Value) -> u64 {
        value.header.header.cost
    }
}

/// Counts a value's bytes to its table for as long as the value is there.
#[derive(Debug)]
struct Account {
    held: Arc<AtomicU64>,
    cost: u64,
}

impl Account {
    fn new(held: &Arc<AtomicU64>, len: usize) -> Self {
        let cost = len as u64 + ENTRY_COST_BYTES;
        held.fetch_add(cost, Ordering::Relaxed);
        Account {
            held: Arc::clone(held),
            cost,
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.held.fetch_sub(self.cost, Ordering::Relaxed);
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
            .map(|cached| f(&cached.slice))
    }

    /// Keeps a value, perhaps.
    pub fn put(&self, location: Location, value: &[u8]) {
        if value.len() <= MAX_VALUE_LEN {
            let value = ThinArc::from_header_and_slice(Account::new(&self.held, value.len()), value);
            VALUES.load().insert((self.table, location), value);
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
