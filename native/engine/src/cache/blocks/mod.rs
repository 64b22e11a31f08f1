//! What was written lately, in memory as it stands in its segment: blocks of frames, filled as they are appended.
//!
//! A write leaves its record here at the price of one more copy of bytes that are at hand, to where the write before left off: no allocation, no search,
//! and nothing of an older record of the key is touched. A read finds it by its location alone. What a block costs is that it goes as a whole: when most of it is dead,
//! or when it is its turn; what was live in it is read from the file once more and kept as an entry of its own then.
#![allow(
    unsafe_code,
    reason = "memory that is filled by one thread while others read what stands in it already, and hold no count"
)]

mod fill;
mod pages;
pub use fill::Filler;
pub use pages::enable as use_large_pages;
#[cfg(test)]
mod tests;

use std::alloc::{Layout, alloc, dealloc};
use std::collections::VecDeque;
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::{OnceLock, Weak};

use smallvec::SmallVec;

use super::account::Account;
use crate::epoch::{self, Guard};
use crate::keydir::prefetch::{LINE, prefetch};
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Lines, Mutex, Ordering};

/// Bytes of a block.
const LEN: usize = 64 << 10;
/// The first so many bytes of a segment are in blocks of a quarter, so that a small table needs little memory.
const SMALL_LEN: usize = LEN / 4;
/// Blocks of the highest offset, in buckets that double.
const BUCKETS: usize = 17;
/// A block goes when no more than one in so many of its bytes is live.
const MIN_LIVE: usize = 8;
/// So many blocks that were read of late are passed over before one goes all the same.
const MAX_SPARED: usize = 64;
/// So many bytes behind a write are fetched at most.
const AHEAD: usize = 4 * LINE;

/// Bytes of all blocks.
static BYTES: Lines<AtomicU64> = Lines(AtomicU64::new(0));
/// The blocks in the order in which they came, and some that are gone.
static ALL: Mutex<VecDeque<(Weak<Blocks>, u32)>> = Mutex::new(VecDeque::new());

/// The blocks of a segment.
#[derive(Debug)]
pub struct Blocks {
    buckets: [OnceLock<Bucket>; BUCKETS],
    /// The number of the block that is being filled, and how many bytes of it are, in the lower half. On lines of its own: who reads other blocks has no
    /// part in it.
    front: Lines<AtomicU64>,
    held: &'static Account,
}

/// Twice as many blocks as in the bucket before.
#[derive(Debug)]
struct Bucket {
    cells: Box<[Cell]>,
    /// About how many bytes of each block are live; apart, since writers change it and readers look at the rest.
    live: Box<[AtomicU32]>,
    /// What stands in front of this offset of each block was not kept.
    from: Box<[AtomicU32]>,
}

#[derive(Debug)]
struct Cell {
    /// Null before the block is made, [`GONE`] for ever when it went.
    block: AtomicPtr<u8>,
    /// So many bytes from its front on are written, and change no more; 0 while it is filled, and [`Blocks::front`] tells.
    filled: AtomicU32,
    /// Whether it was read since it was last looked at.
    used: AtomicBool,
}

/// In the place of a block that went. None takes its place, so that who has looked it up never takes the length of another one for its length.
const GONE: *mut u8 = without_provenance_mut(1);

/// A block's number in its segment, the offset of a byte in it, and its length.
fn place(offset: u32) -> (u32, usize, usize) {
    let offset = offset as usize;
    if offset < LEN {
        ((offset / SMALL_LEN) as u32, offset % SMALL_LEN, SMALL_LEN)
    } else {
        ((offset / LEN + LEN / SMALL_LEN - 1) as u32, offset % LEN, LEN)
    }
}

fn len_of(index: u32) -> usize {
    if (index as usize) < LEN / SMALL_LEN {
        SMALL_LEN
    } else {
        LEN
    }
}

fn layout(len: usize) -> Option<Layout> {
    Layout::from_size_align(len, align_of::<u64>()).ok()
}

/// Memory of so many bytes, not initialised.
fn allocate(len: usize) -> Option<*mut u8> {
    if len == LEN
        && let Some(block) = pages::take(bytes())
    {
        return Some(block);
    }
    // SAFETY: the length is not zero.
    let block = unsafe { alloc(layout(len)?) };
    (!block.is_null()).then_some(block)
}

/// # Safety
/// `block` is one of so many bytes that nobody uses any more, and this is the one time.
unsafe fn free(block: *mut u8, len: usize) {
    if len == LEN && pages::give(block) {
        return;
    }
    if let Some(layout) = layout(len) {
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(block, layout) };
    }
}

impl Blocks {
    fn cell(&self, index: u32) -> Option<(&Cell, &AtomicU32)> {
        let (bucket, at) = in_bucket(index);
        let bucket = self.buckets[bucket].get()?;
        Some((&bucket.cells[at], &bucket.live[at]))
    }

    /// A block's bytes as far as they are written.
    fn filled<'g>(&'g self, index: u32, _guard: &'g Guard) -> Option<(&'g Cell, &'g [u8])> {
        let (cell, _) = self.cell(index)?;
        let block = cell.block.load(Ordering::Acquire);
        if block.is_null() || block == GONE {
            return None;
        }
        let filled = self.len_filled(index, cell);
        // SAFETY: a cell has one block in its life, of which so many bytes are written and are written no more; it is freed only after the guard is gone.
        Some((cell, unsafe { std::slice::from_raw_parts(block, filled) }))
    }

    fn len_filled(&self, index: u32, cell: &Cell) -> usize {
        let filled = cell.filled.load(Ordering::Acquire);
        if filled > 0 {
            return filled as usize;
        }
        let (number, filled) = self.front();
        if number == index {
            return filled as usize;
        }
        // It has come to its end since, or was never begun.
        cell.filled.load(Ordering::Acquire) as usize
    }

    fn front(&self) -> (u32, u32) {
        let front = self.front.load(Ordering::Acquire);
        ((front >> 32) as u32, front as u32)
    }

    /// Calls `f` with `len` bytes of the segment from `offset` on, if they are here. What was not kept in front of others in a block is zeros.
    pub fn get<R>(&self, offset: u32, len: usize, guard: &Guard, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let (index, at, block_len) = place(offset);
        let (cell, filled) = self.filled(index, guard)?;
        if let Some(bytes) = filled.get(at..at + len) {
            cell.touch();
            for line in (0..len.min(4 * LINE)).step_by(LINE) {
                prefetch(bytes[line..].as_ptr());
            }
            return Some(f(bytes));
        }
        // It goes on in the next block, or in several.
        let first = filled.get(at..block_len)?;
        let mut whole = SmallVec::<[u8; 512]>::from_slice(first);
        for index in index + 1.. {
            let (cell, filled) = self.filled(index, guard)?;
            if self.from(index) > 0 {
                return None;
            }
            let wanted = (len - whole.len()).min(len_of(index));
            whole.extend_from_slice(filled.get(..wanted)?);
            if whole.len() == len {
                cell.touch();
                break;
            }
        }
        Some(f(&whole))
    }

    fn from(&self, index: u32) -> u32 {
        let (bucket, at) = in_bucket(index);
        let bucket = self.buckets[bucket].get();
        bucket.map_or(0, |bucket| bucket.from[at].load(Ordering::Relaxed))
    }

    /// What [`Blocks::get`] hands on, if it stands in one block. Has the processor fetch its front, where an object's first elements are, or, of `whole` ones, the first
    /// quarter of a kilobyte, without waiting for it.
    #[inline]
    pub fn near<'g>(&'g self, offset: u32, len: usize, whole: bool, guard: &'g Guard) -> Option<&'g [u8]> {
        let (index, at, _) = place(offset);
        let (cell, filled) = self.filled(index, guard)?;
        let bytes = filled.get(at..at + len)?;
        cell.touch();
        let end = len.min(if whole { 4 * LINE } else { LINE });
        // It may begin anywhere in a line.
        for line in (0..end).step_by(LINE).chain(end.checked_sub(1)) {
            prefetch(bytes[line..].as_ptr());
        }
        Some(bytes)
    }

    /// Counts a record that stands here as dead: when a block has hardly anything live, it goes. `false` if it is not here.
    pub fn subtract(&self, offset: u32, len: u32) -> bool {
        let (index, ..) = place(offset);
        let Some((_, live)) = self.cell(index).filter(|(cell, _)| cell.is_there()) else {
            return false;
        };
        let left = live.fetch_sub(len, Ordering::Relaxed).wrapping_sub(len);
        if is_dead(left, index) && !self.is_spared(index) {
            self.let_go(index, &epoch::pin());
        }
        true
    }

    /// Whether a block is being filled, or the one before it is, where the newest record may begin. Its turn to go comes when the next one is made.
    fn is_spared(&self, index: u32) -> bool {
        let front = self.front().0;
        index == front || index + 1 == front
    }

    /// Lets all blocks go.
    pub fn clear(&self) {
        let guard = epoch::pin();
        for (number, bucket) in self.buckets.iter().enumerate() {
            let cells = bucket.get().map_or(0, |bucket| bucket.cells.len() as u32);
            for at in 0..cells {
                self.let_go((1 << number) - 1 + at, &guard);
            }
        }
        guard.flush();
    }

    /// Takes a block out; it is freed once no reader has it.
    fn let_go(&self, index: u32, guard: &Guard) {
        let Some((cell, _)) = self.cell(index) else {
            return;
        };
        // One that was not made yet may still be.
        if !cell.is_there() {
            return;
        }
        let block = cell.block.swap(GONE, Ordering::AcqRel);
        if block == GONE {
            return;
        }
        let len = len_of(index);
        self.forget(block, len);
        // SAFETY: the cell does not point to it any more, and it was taken out by one thread, so this is the one time.
        unsafe { guard.defer_unchecked(move || free(block, len)) };
    }

    fn forget(&self, block: *mut u8, len: usize) {
        BYTES.fetch_sub(len as u64, Ordering::Relaxed);
        self.held.subtract(block.addr(), len as u64);
    }
}

impl Cell {
    fn is_there(&self) -> bool {
        let block = self.block.load(Ordering::Relaxed);
        !block.is_null() && block != GONE
    }

    /// Notes that it was read; writes only the first time in a while.
    fn touch(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether hardly anything of a block is live.
fn is_dead(live: u32, index: u32) -> bool {
    // Records that begin in a block may be longer than it.
    usize::try_from(live.cast_signed()).unwrap_or_default() <= len_of(index) / MIN_LIVE
}

/// The bucket of a block, and its place there.
fn in_bucket(index: u32) -> (usize, usize) {
    let number = index + 1;
    let bucket = number.ilog2();
    (bucket as usize, (number - (1 << bucket)) as usize)
}

impl Drop for Blocks {
    fn drop(&mut self) {
        for (number, bucket) in self.buckets.iter().enumerate() {
            let cells = bucket.get().into_iter().flat_map(|bucket| &*bucket.cells);
            for (at, cell) in cells.enumerate() {
                let block = cell.block.swap(GONE, Ordering::AcqRel);
                if !block.is_null() && block != GONE {
                    let len = len_of((1 << number) - 1 + at as u32);
                    self.forget(block, len);
                    // SAFETY: nobody else has the blocks any more.
                    unsafe { free(block, len) };
                }
            }
        }
    }
}

impl Bucket {
    fn new(number: usize) -> Self {
        let cell = |_| Cell {
            block: AtomicPtr::new(null_mut()),
            filled: AtomicU32::new(0),
            used: AtomicBool::new(false),
        };
        Bucket {
            cells: (0..1usize << number).map(cell).collect(),
            live: (0..1usize << number).map(|_| AtomicU32::new(0)).collect(),
            from: (0..1usize << number).map(|_| AtomicU32::new(0)).collect(),
        }
    }
}

fn is_there(blocks: &Weak<Blocks>, index: u32) -> bool {
    let blocks = blocks.upgrade();
    blocks.is_some_and(|blocks| blocks.cell(index).is_some_and(|(cell, _)| cell.is_there()))
}

/// Lets the oldest blocks go until there are no more than so many bytes of them; those that were read of late have another turn.
pub(super) fn make_room(limit: u64, guard: &Guard) {
    let mut spared = 0;
    while BYTES.load(Ordering::Relaxed) > limit {
        let Some((owner, index)) = ALL.lock().pop_front() else {
            return;
        };
        let Some(blocks) = owner.upgrade() else {
            continue;
        };
        let used = blocks
            .cell(index)
            .is_some_and(|(cell, _)| cell.is_there() && cell.used.swap(false, Ordering::Relaxed));
        if used && spared < MAX_SPARED {
            spared += 1;
            ALL.lock().push_back((owner, index));
        } else {
            blocks.let_go(index, guard);
        }
    }
}

/// Bytes of all blocks.
pub(super) fn bytes() -> u64 {
    BYTES.load(Ordering::Relaxed)
}
