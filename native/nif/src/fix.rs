//! Tables held fixed by `safe_fixtable/2`.
//!
//! A traversal goes on correctly in any case: it is in the order of hashes, or of keys. What a fixed table has to do more is to remember the
//! keys that were deleted, because `next/2` takes them as long as the table is fixed, and to keep the number of its slots.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use bets_engine::Key;
use bets_engine::table::Wait;
use parking_lot::Mutex;
use rustler::{Env, Monitor};

use crate::error::Fail;
use crate::raw::{is_alive, word_pid};
use crate::resource::TableArc;
use crate::table::TableResource;

/// When a table was fixed first: the VM's monotonic time, and the time of day as `erlang:timestamp/0` has it.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    /// In native units.
    pub monotonic: i64,
    /// Megaseconds, seconds, microseconds.
    pub timestamp: (i64, i64, i64),
}

/// Who holds a table fixed.
#[derive(Default)]
pub struct Fixes {
    /// Read by every deletion, which then need not take the lock.
    fixed: AtomicBool,
    state: Mutex<Option<State>>,
}

struct State {
    since: Since,
    slot_bits: u32,
    holders: Vec<Holder>,
    /// Compared parts of deleted keys.
    deleted: HashSet<Box<[u8]>>,
    all_deleted: bool,
}

struct Holder {
    pid: usize,
    count: u64,
    monitor: Option<Monitor>,
}

impl Fixes {
    /// One more fix of the process. `table` is the table that these are of.
    pub fn fix(&self, env: Env<'_>, table: &TableArc, pid: usize, since: Since) {
        let mut guard = self.state.lock();
        let state = guard.get_or_insert_with(|| State {
            since,
            slot_bits: table.table.slot_bits(),
            holders: Vec::new(),
            deleted: HashSet::new(),
            all_deleted: false,
        });
        match state.holders.iter_mut().find(|holder| holder.pid == pid) {
            Some(holder) => holder.count += 1,
            None => state.holders.push(Holder {
                pid,
                count: 1,
                monitor: table.monitor(Some(env), &word_pid(pid)),
            }),
        }
        self.fixed.store(true, Ordering::Release);
    }

    /// One fix of the process less, if it has one.
    pub fn unfix(&self, env: Env<'_>, table: &TableArc, pid: usize) {
        let mut guard = self.state.lock();
        let Some(state) = guard.as_mut() else { return };
        let Some(at) = state.holders.iter().position(|holder| holder.pid == pid) else {
            return;
        };
        state.holders[at].count -= 1;
        if state.holders[at].count == 0
            && let Some(monitor) = state.holders.swap_remove(at).monitor
        {
            table.demonitor(Some(env), &monitor);
        }
        self.forget_if_free(&mut guard);
    }

    /// No more fixes of a process: it died.
    pub fn release(&self, pid: usize) {
        if self.fixed.load(Ordering::Acquire) {
            let mut guard = self.state.lock();
            if let Some(state) = guard.as_mut() {
                state.holders.retain(|holder| holder.pid != pid);
            }
            self.forget_if_free(&mut guard);
        }
    }

    fn forget_if_free(&self, state: &mut Option<State>) {
        if state.as_ref().is_some_and(|state| state.holders.is_empty()) {
            *state = None;
            self.fixed.store(false, Ordering::Release);
        }
    }

    /// Since when the table is fixed, and by whom how often; `None` if it is not. The VM tells of deaths late, so the dead are not counted.
    pub fn holders(&self, env: Env<'_>) -> Option<(Since, Vec<(usize, u64)>)> {
        let guard = self.state.lock();
        let state = guard.as_ref()?;
        let alive = state
            .holders
            .iter()
            .filter(|holder| is_alive(Some(env), holder.pid));
        let holders: Vec<_> = alive.map(|holder| (holder.pid, holder.count)).collect();
        (!holders.is_empty()).then_some((state.since, holders))
    }

    /// The bits for slots, of the time when the table was fixed.
    pub fn slot_bits(&self) -> Option<u32> {
        self.state.lock().as_ref().map(|state| state.slot_bits)
    }

    /// Whether a key that is not in the table was deleted since it is fixed. Where objects expire nobody notes that, and any key may have been there.
    pub fn has_deleted(&self, key: Key<'_>, expires: bool) -> bool {
        self.fixed.load(Ordering::Acquire)
            && self
                .state
                .lock()
                .as_ref()
                .is_some_and(|state| expires || state.all_deleted || state.deleted.contains(key.compared()))
    }

    /// All keys are about to be deleted: any may have been there.
    pub fn note_all(&self) {
        if self.fixed.load(Ordering::Acquire)
            && let Some(state) = self.state.lock().as_mut()
        {
            state.all_deleted = true;
        }
    }

    fn note(&self, key: Key<'_>) {
        if let Some(state) = self.state.lock().as_mut() {
            state.deleted.insert(key.compared().into());
        }
    }
}

impl TableResource {
    /// To be called before a key may be deleted: while the table is fixed, the key is remembered if it is there.
    pub fn note_deletion(&self, key: Key<'_>, wait: Wait) -> Result<(), Fail> {
        if self.fixes.fixed.load(Ordering::Acquire) && self.table.contains(key, wait)? {
            self.fixes.note(key);
        }
        Ok(())
    }
}
