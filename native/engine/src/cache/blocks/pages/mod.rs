//! Memory for blocks, in large pages that a background thread makes ready, or a merge for itself.
//!
//! Blocks are read in no order. Above some tens of megabytes hardly any read finds the translation of its address at hand, and finding it takes half as long again as what
//! it is for; a page of 2 MiB needs one translation where 512 were needed. The kernel takes a fifth of a millisecond to clear one, or milliseconds to find one, and a
//! microsecond or two for each small page, which is a tenth of a put. So neither is left to who writes: what is ready is taken, and where nothing is, the allocator gives a
//! block as ever.

#![allow(
    unsafe_code,
    reason = "allocates and frees memory, and advises the kernel on it"
)]

#[cfg(test)]
mod tests;

use std::alloc::{Layout, alloc, dealloc};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::LEN;
use crate::{background, epoch};

/// Bytes of a large page.
const LARGE: usize = 2 << 20;
/// Blocks of a large page.
const BLOCKS: usize = LARGE / LEN;
/// Large pages of a chunk, which is what the allocator is asked for.
const PAGES: usize = 8;
/// While there are fewer blocks than this, the allocator gives them.
const FROM: usize = 8 * BLOCKS;
/// When fewer blocks than this are ready, more are made so, by a page at a time.
const READY: usize = 2 * BLOCKS;
/// When more than this are free, the system may have the memory of those that come.
const KEPT: usize = 4 * BLOCKS;

static ENABLED: AtomicBool = AtomicBool::new(false);
static POOL: Mutex<Pool> = Mutex::new(Pool::new());

#[derive(Debug)]
struct Pool {
    /// By the address of their first byte.
    chunks: BTreeMap<usize, Chunk>,
    /// Blocks to take, from the back; at the front those whose memory the system may have taken.
    free: VecDeque<Block>,
    /// A thread is at it.
    filling: bool,
}

/// Large pages side by side.
#[derive(Debug)]
struct Chunk {
    /// What the allocator gave.
    raw: *mut u8,
    /// The first large page in it.
    start: *mut u8,
    /// Pages that were made ready.
    ready: usize,
    /// Blocks that are in use.
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Block(*mut u8);

// SAFETY: whoever has it may use its memory, on any thread.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Send for Chunk {}

/// From now on blocks lie in large pages, as soon as there are many. Where what is allocated is counted, this is better left out.
pub fn enable() {
    ENABLED.store(true, Ordering::Relaxed);
}

/// Memory for one more block than so many bytes of them, if any is ready.
pub(super) fn take(bytes: u64) -> Option<*mut u8> {
    if !ENABLED.load(Ordering::Relaxed) || bytes < (FROM * LEN) as u64 {
        return None;
    }
    let mut pool = POOL.lock();
    let block = pool.take();
    if pool.free.len() < READY && !pool.filling {
        pool.filling = true;
        background::run_once(|| fill(usize::MAX));
    }
    block
}

/// Makes blocks ready, if few are and there are more than so many bytes of them: for who may take that long, some milliseconds, and would only take a processor from others with
/// a thread beside itself. Without a guard of the epoch, which would keep memory from being freed.
pub(super) fn make_ready(bytes: u64) {
    debug_assert!(!epoch::is_pinned());
    if !ENABLED.load(Ordering::Relaxed) || bytes < (FROM * LEN) as u64 {
        return;
    }
    let mut pool = POOL.lock();
    if pool.free.len() < READY + BLOCKS && !pool.filling {
        pool.filling = true;
        drop(pool);
        fill(READY / BLOCKS + 1);
    }
}

/// Takes back what [`take`] gave and nobody uses any more; `false` if it was not from here.
pub(super) fn give(block: *mut u8) -> bool {
    match POOL.lock().give(Block(block)) {
        Back::Elsewhere => false,
        Back::Kept => true,
        Back::Emptied(chunk) => {
            background::run_once(move || chunk.free());
            true
        }
    }
}

enum Back {
    /// No chunk has it.
    Elsewhere,
    Kept,
    /// It was the last of this chunk, which the pool does without.
    Emptied(Chunk),
}

impl Pool {
    const fn new() -> Self {
        Pool {
            chunks: BTreeMap::new(),
            free: VecDeque::new(),
            filling: false,
        }
    }

    fn chunk_of(&mut self, block: Block) -> Option<&mut Chunk> {
        let address = block.0.addr();
        let (start, chunk) = self.chunks.range_mut(..=address).next_back()?;
        (address - start < PAGES * LARGE).then_some(chunk)
    }

    fn take(&mut self) -> Option<*mut u8> {
        let block = self.free.pop_back()?;
        self.chunk_of(block)?.used += 1;
        Some(block.0)
    }

    fn give(&mut self, block: Block) -> Back {
        let Some(chunk) = self.chunk_of(block) else {
            return Back::Elsewhere;
        };
        chunk.used -= 1;
        let start = chunk.start.addr();
        let is_empty = chunk.used == 0 && chunk.ready == PAGES;
        if is_empty && self.free.len() >= READY + PAGES * BLOCKS {
            let range = start..start + PAGES * LARGE;
            self.free.retain(|block| !range.contains(&block.0.addr()));
            if let Some(chunk) = self.chunks.remove(&start) {
                return Back::Emptied(chunk);
            }
        }
        if self.free.len() < KEPT {
            self.free.push_back(block);
        } else {
            // SAFETY: the memory is a block's that nobody uses. Where the system does not want it, it says so, and nothing has happened.
            let _ = unsafe { libc::madvise(block.0.cast(), LEN, libc::MADV_DONTNEED) };
            self.free.push_front(block);
        }
        Back::Kept
    }

    /// The address of the page that is to be made ready next; `None` if a chunk is wanted for it.
    fn next_page(&self) -> Option<(usize, Block)> {
        let chunk = self.chunks.values().find(|chunk| chunk.ready < PAGES)?;
        Some((
            chunk.start.addr(),
            Block(chunk.start.wrapping_add(chunk.ready * LARGE)),
        ))
    }

    /// Counts a page as ready.
    fn add_page(&mut self, chunk: usize, page: Block) {
        if let Some(chunk) = self.chunks.get_mut(&chunk) {
            chunk.ready += 1;
            let blocks = (0..BLOCKS).map(|at| Block(page.0.wrapping_add(at * LEN)));
            self.free.extend(blocks);
        }
    }
}

/// Makes blocks ready until there are enough, or so many pages were made. Takes as long as the kernel does.
fn fill(mut pages: usize) {
    loop {
        let mut pool = POOL.lock();
        if pool.free.len() >= READY + BLOCKS || pages == 0 {
            pool.filling = false;
            return;
        }
        let next = pool.next_page();
        drop(pool);
        if let Some((chunk, page)) = next {
            for at in (0..LARGE).step_by(4 << 10) {
                // SAFETY: it lies in a page that nobody else has yet. The kernel finds memory for it now, and not when it is used.
                unsafe { page.0.add(at).write_volatile(0) };
            }
            POOL.lock().add_page(chunk, page);
            pages -= 1;
        } else if let Some(chunk) = Chunk::new() {
            POOL.lock().chunks.insert(chunk.start.addr(), chunk);
        } else {
            POOL.lock().filling = false;
            return;
        }
    }
}

impl Chunk {
    /// With what is lost in front of the first page: the VM's allocator, asked for this alignment, does not survive that there is no memory.
    const LAYOUT: Option<Layout> = match Layout::from_size_align((PAGES + 1) * LARGE, align_of::<u64>()) {
        Ok(layout) => Some(layout),
        Err(_) => None,
    };

    /// `None` if there is no memory.
    fn new() -> Option<Chunk> {
        // SAFETY: the size is not zero.
        let raw = unsafe { alloc(Self::LAYOUT?) };
        if raw.is_null() {
            return None;
        }
        let start = raw.wrapping_add(raw.addr().next_multiple_of(LARGE) - raw.addr());
        // What was in use before has small pages, which the kernel would leave there.
        #[cfg(target_os = "linux")]
        for advice in [libc::MADV_DONTNEED, libc::MADV_HUGEPAGE] {
            // SAFETY: the memory is ours, and nothing is in it yet. A kernel that does not take the advice gives small pages.
            let _ = unsafe { libc::madvise(start.cast(), PAGES * LARGE, advice) };
        }
        let (ready, used) = (0, 0);
        Some(Chunk {
            raw,
            start,
            ready,
            used,
        })
    }

    fn free(self) {
        if let Some(layout) = Self::LAYOUT {
            // SAFETY: no block of it is in use or to be had, and it was allocated with this layout.
            unsafe { dealloc(self.raw, layout) };
        }
    }
}
