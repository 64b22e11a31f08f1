//! Filling blocks.
#![allow(
    unsafe_code,
    reason = "writes to memory that others read at the same time, where they do not look yet"
)]

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::pages::make_ready;
use super::{
    AHEAD, ALL, Account, BUCKETS, BYTES, Blocks, Bucket, GONE, SMALL_LEN, allocate, in_bucket, is_dead,
    is_there, len_of, make_room, place,
};
use crate::epoch::{self, Guard};
use crate::keydir::prefetch::{LINE, prefetch};
use crate::sync::{AtomicU64, Lines, Ordering};

/// A number that no block has, so that none is spared.
const NO_FRONT: u64 = u32::MAX as u64;

/// Fills the blocks of a segment: the one who writes to it.
#[derive(Debug)]
pub struct Filler {
    blocks: Arc<Blocks>,
    /// Whether others go when there is no room.
    presses: bool,
    /// Bytes of the block that is being filled that are known to be dead here alone.
    dead: u32,
}

/// Nothing more is written to the segment: its last blocks go as the others do.
impl Drop for Filler {
    fn drop(&mut self) {
        let guard = epoch::pin();
        self.leave_front(NO_FRONT as u32, self.dead, &guard);
        self.blocks.front.store(NO_FRONT << 32, Ordering::Release);
    }
}

impl Filler {
    pub(in crate::cache) fn new(held: &'static Account, presses: bool) -> Self {
        let blocks = Arc::new(Blocks {
            buckets: [const { OnceLock::new() }; BUCKETS],
            front: Lines(AtomicU64::new(0)),
            held,
        });
        Filler {
            blocks,
            presses,
            dead: 0,
        }
    }

    /// What it fills.
    pub fn blocks(&self) -> &Arc<Blocks> {
        &self.blocks
    }

    /// Keeps frames that go to `offset` of the segment, as far as there is room, but for some ranges of them, in their order, whose frames are too long to be read from here.
    /// What was kept from there on before, by a write that failed, is forgotten.
    pub fn write(&mut self, offset: u32, frames: &[u8], too_long: &[Range<usize>]) {
        let limit = crate::cache::block_limit();
        let mut done = 0;
        for skip in too_long {
            self.write_within(limit, offset + done as u32, &frames[done..skip.start]);
            done = skip.end;
        }
        self.write_within(limit, offset + done as u32, &frames[done..]);
    }

    /// What [`Blocks::subtract`] does, without a locked instruction, for a record in the block that is being filled. `false` if it is not in that one.
    pub fn subtract_in_front(&mut self, offset: u32, len: u32) -> bool {
        let (index, ..) = place(offset);
        let is_there = index == self.blocks.front().0
            && self.blocks.cell(index).is_some_and(|(cell, _)| cell.is_there());
        if is_there {
            self.dead += len;
        }
        is_there
    }

    /// The same, where all blocks may take so many bytes.
    pub(super) fn write_within(&mut self, limit: u64, offset: u32, bytes: &[u8]) {
        // Who does not press others out is a merge.
        if !self.presses {
            make_ready(BYTES.load(Ordering::Relaxed));
        }
        let guard = &epoch::pin();
        let mut done = 0;
        while done < bytes.len() {
            let (index, at, len) = place(offset + done as u32);
            let part = (len - at).min(bytes.len() - done);
            self.fill(index, at, &bytes[done..done + part], limit, guard);
            done += part;
        }
    }

    fn fill(&mut self, index: u32, at: usize, bytes: &[u8], limit: u64, guard: &Guard) {
        let (number, within) = in_bucket(index);
        let bucket = self.blocks.buckets[number].get_or_init(|| Bucket::new(number));
        let cell = &bucket.cells[within];
        if cell.block.load(Ordering::Relaxed).is_null() {
            let dead = std::mem::take(&mut self.dead);
            self.leave_front(index, dead, guard);
            self.make(index, at, limit, guard);
        }
        let block = cell.block.load(Ordering::Relaxed);
        let filled = self.blocks.len_filled(index, cell);
        if block.is_null() || block == GONE || at > filled {
            return;
        }
        if at < filled {
            return self.blocks.let_go(index, guard);
        }
        // SAFETY: the block has room for them, nobody looks behind what is filled, and `self`, of which there is one, is borrowed by this call alone.
        unsafe {
            block
                .add(at)
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        let filled = at + bytes.len();
        let front = u64::from(index) << 32 | filled as u64;
        self.blocks.front.store(front, Ordering::Release);
        // Where the next write goes, so that it need not wait for memory.
        for line in (filled..filled + bytes.len().min(AHEAD)).step_by(LINE) {
            prefetch(block.wrapping_add(line + LINE));
        }
    }

    /// Comes to the end of the block that was filled until now, of which so many bytes are dead beside those that it knows of, where another one is the next to be filled.
    fn leave_front(&self, next: u32, dead: u32, guard: &Guard) {
        let (index, filled) = self.blocks.front();
        if let Some((cell, live)) = self.blocks.cell(index) {
            cell.filled.store(filled, Ordering::Release);
            live.fetch_sub(dead, Ordering::Relaxed);
        }
        // These were spared until now.
        let left = (index.saturating_sub(1)..=index).filter(|left| left + 1 < next);
        for index in left {
            let live = self
                .blocks
                .cell(index)
                .map(|(_, live)| live.load(Ordering::Relaxed));
            if live.is_some_and(|live| is_dead(live, index)) {
                self.blocks.let_go(index, guard);
            }
        }
    }

    /// Makes a block, whose first `at` bytes are zeros, if there is room.
    fn make(&self, index: u32, at: usize, limit: u64, guard: &Guard) {
        let (number, within) = in_bucket(index);
        let Some(bucket) = self.blocks.buckets[number].get() else {
            return;
        };
        let len = len_of(index);
        if self.presses && len as u64 <= limit {
            make_room(limit - len as u64, guard);
        }
        if BYTES.load(Ordering::Relaxed) + len as u64 > limit {
            return;
        }
        let Some(block) = allocate(len) else {
            return;
        };
        // SAFETY: so many bytes and more were allocated.
        unsafe { block.write_bytes(0, at) };
        BYTES.fetch_add(len as u64, Ordering::Relaxed);
        self.blocks.held.add(block.addr(), len as u64);
        bucket.live[within].store(len as u32, Ordering::Relaxed);
        bucket.from[within].store(at as u32, Ordering::Relaxed);
        bucket.cells[within].block.store(block, Ordering::Release);
        let front = u64::from(index) << 32 | at as u64;
        self.blocks.front.store(front, Ordering::Release);
        let mut all = ALL.lock();
        all.push_back((Arc::downgrade(&self.blocks), index));
        // Segments that went leave theirs behind.
        if all.len() as u64 > 64 + 2 * BYTES.load(Ordering::Relaxed) / SMALL_LEN as u64 {
            all.retain(|(blocks, index)| is_there(blocks, *index));
        }
    }
}
