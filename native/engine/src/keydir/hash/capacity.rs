//! How many slots a shard has.
//!
//! Shards have nearly the same number of keys, so with the same capacities all would grow at the same number of keys, and
//! a table's memory a key would swing with it. Each shard's capacities stand in another phase of the growth factor
//! instead, so that the sum over the shards is smooth.

use std::cmp::Ordering;

use super::SHARDS;

/// The least capacity.
pub(super) const MIN: u32 = 6;

/// Up to this capacity a shard doubles, beyond it grows by a quarter.
const SMALL: u32 = 96;

/// The most entries that a capacity may have: 29 of 32. Growth by a quarter leaves it filled to three quarters.
pub(super) fn max_len(capacity: u32) -> u32 {
    (u64::from(capacity) * 29 / 32) as u32
}

/// The capacity that comes after this one.
pub(super) fn next(capacity: u32, shard: usize) -> u32 {
    match capacity.cmp(&SMALL) {
        Ordering::Less => capacity * 2,
        Ordering::Equal => phased(120, shard),
        Ordering::Greater => capacity.saturating_add(capacity / 4),
    }
}

/// A capacity for so many entries, and up to a quarter more.
pub(super) fn for_len(len: u32, shard: usize) -> u32 {
    let least = (u64::from(len) * 32 / 29 + 1).min(u64::from(u32::MAX / 2)) as u32;
    if least <= SMALL {
        let mut capacity = MIN;
        while capacity < least {
            capacity *= 2;
        }
        capacity
    } else {
        phased(least, shard)
    }
}

/// Whether so few entries are left that the slots shall shrink.
pub(super) fn is_sparse(len: u32, capacity: u32) -> bool {
    capacity > SMALL && len < capacity / 5
}

/// Moving the entries of so many slots takes a tenth of a millisecond. A shard has more of them from three million keys in the table on.
const QUICK: u32 = 1 << 14;

/// So many keys before it has to be done, a long move is to be done by who may take that long.
const AHEAD: u32 = 64;

/// The capacity that the entries are to be moved to soon, if that takes long.
pub(super) fn due(len: u32, capacity: u32, shard: usize) -> Option<u32> {
    if capacity <= QUICK {
        None
    } else if len + AHEAD > max_len(capacity) {
        Some(next(capacity, shard))
    } else {
        is_sparse(len.saturating_sub(AHEAD), capacity).then(|| for_len(len + len / 2, shard))
    }
}

/// The slots behind the last home that a table of this capacity begins with.
pub(super) fn overflow(capacity: u32) -> usize {
    (capacity as usize / 8).clamp(2, 64)
}

fn phased(capacity: u32, shard: usize) -> u32 {
    let phase = (shard % SHARDS) as u64;
    (u64::from(capacity) * (4 * SHARDS as u64 + phase) / (4 * SHARDS as u64)) as u32
}
