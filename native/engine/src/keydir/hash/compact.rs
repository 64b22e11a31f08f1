//! Winning back the bytes of deleted keys, a few slots with each write.
//!
//! When too much of the arena is not in use, the worst chunks become victims. Then a pass goes over the slots in hash
//! order and moves each key that stands in a victim to a chunk that is none. The order does not depend on the capacity,
//! so one hash is all there is to remember between two steps, whatever grows or moves meanwhile. A victim is freed with
//! its last key, at the latest when the pass ends.
#![allow(unsafe_code, reason = "holds a key while its copy is made")]

use super::arena::Role;
use super::slots::{self, Slot};
use super::write::Writer;
use crate::keydir::prefetch::prefetch;

/// No pass begins for less than this.
const DEAD_MIN: usize = 512;
/// A pass begins when one byte of keys in so many is not in use, and so many as are one byte of slots in [`SLOTS_PART`].
const DEAD_PART: usize = 6;
/// Slots are seldom full, and keys need not be closer together than they are.
const SLOTS_PART: usize = 4;
/// What a pass moves at most is one byte in so many that are in use.
const MOVED_PART: usize = 4;
/// What a step may cost: a slot costs 1, moving a key 1 for each 64 bytes more.
const STEP: usize = 64;
/// So many slots ahead the processor is told which chunk a key stands in, and half as many ahead which key is to be moved.
const AHEAD: usize = 16;

impl Writer<'_> {
    /// As [`Writer::compact`], when a key went. While keys go and none come, slots get sparse before they shrink; to keep keys closer together than that would move each of them several times.
    pub(super) fn compact_sparse(&mut self) {
        let empty = self.slots().len() - self.len() as usize;
        self.compact_beyond(empty * size_of::<Slot>());
    }

    /// Does a step of the pass that is under way, or begins one if it is worth it. Called by each write that adds or
    /// removes a key.
    pub(super) fn compact(&mut self) {
        self.compact_beyond(DEAD_MIN);
    }

    /// Begins no pass for fewer bytes than these.
    fn compact_beyond(&mut self, least: usize) {
        if let Some(from) = self.state.pass {
            self.state.pass = self.step(from);
            return;
        }
        let live = self.state.arena.live();
        let slots = size_of_val(self.slots());
        let least = least.max(DEAD_MIN).max(live / DEAD_PART).max(slots / SLOTS_PART);
        if self.state.arena.dead() > least {
            self.choose_victims((live / MOVED_PART).max(DEAD_MIN));
            self.state.pass = Some(0);
        }
    }

    /// Goes on with the entries from the hash `from` on; gives the hash to go on with.
    fn step(&mut self, from: u32) -> Option<u32> {
        let start = slots::home(from, self.capacity());
        let mut left = STEP;
        let mut last = None;
        for at in start..self.slots().len() {
            let meta = self.slots()[at].meta();
            let hash = slots::hash_of(meta);
            if meta == 0 || hash < from {
                left = left.saturating_sub(1);
                continue;
            }
            // Entries of equal hash are all done or none, since a hash is all that is remembered.
            if left == 0 && last != Some(hash) {
                return Some(hash);
            }
            last = Some(hash);
            self.look_ahead(at);
            left = left.saturating_sub(1 + self.move_key(at, meta)?);
        }
        None
    }

    /// Has the processor fetch what the step will come to, without waiting for it.
    fn look_ahead(&self, at: usize) {
        let key_ref = |ahead: usize| {
            let meta = self.slots().get(at + ahead)?.meta();
            (meta != 0).then(|| slots::key_ref_of(meta))
        };
        if let Some(far) = key_ref(AHEAD) {
            self.prefetch_head(far);
        }
        if let Some(near) = key_ref(AHEAD / 2)
            && self.head(near >> 16).role == Role::Victim
        {
            prefetch(self.address(near));
        }
    }

    /// Moves the key of the entry at `at` if it stands in a victim; gives what that cost, or `None` if there is no room.
    fn move_key(&mut self, at: usize, meta: u64) -> Option<usize> {
        let old = slots::key_ref_of(meta);
        if self.head(old >> 16).role != Role::Victim {
            return Some(0);
        }
        // SAFETY: the reference stands in a slot, and its chunk goes no sooner than `drop_key` below.
        let stored = unsafe { self.stored(old) };
        let new = self.store_key(stored).ok()?;
        let cost = 1 + stored.key.bytes().len() / 64;
        self.slots()[at].set_meta(slots::meta(slots::hash_of(meta), new));
        self.drop_key(old);
        Some(cost)
    }
}
