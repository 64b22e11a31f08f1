//! Memory for blocks, in large pages that a background thread makes ready, or a merge for itself.
//!
//! Blocks are read in no order. Above some tens of megabytes hardly any read finds the translation of its address at hand, and finding it takes half as long again as what
//! it is for; a page of 2 MiB needs one translation where 512 were needed. The kernel takes a fifth of a millisecond to clear one, or milliseconds to find one, and a
//! microsecond or two for each small page, which is a tenth of a put. So neither is left to who writes: what is ready is taken, and where nothing is, the allocator gives a
//! block as ever.
//!
//! Nor is memory given back to the system by who lets a block go: each time, all processors that run threads of the process are interrupted, and a large page of which a part goes is
//! torn into small ones. A background thread does so a while later, when the blocks around have gone as well: by whole pages as far as can be.

#![allow(
    unsafe_code,
    reason = "allocates and frees memory, and advises the kernel on it"
)]

#[cfg(test)]
mod tests;

use std::alloc::{Layout, alloc, dealloc};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::LEN;
use crate::sync::Mutex;
use crate::{background, epoch, sched};

/// Bytes of a large page.
const LARGE: usize = 2 << 20;
/// Blocks of a large page: as many as [`Page::gone`] has bits.
const BLOCKS: usize = LARGE / LEN;
/// Large pages of a chunk, which is what the allocator is asked for.
const PAGES: usize = 8;
/// While there are fewer blocks than this, the allocator gives them.
const FROM: usize = 8 * BLOCKS;
/// When fewer blocks than this are ready, more are made so, by a page at a time.
const READY: usize = 2 * BLOCKS;
/// So many free blocks keep their memory.
const KEPT: usize = 4 * BLOCKS;
/// When so many blocks are free the system gets the memory of those that are not kept, after [`DELAY`].
const TOO_MANY: usize = KEPT + BLOCKS;
/// In this time the other blocks of a large page go too, as a rule, if a merge lets them go.
const DELAY: Duration = Duration::from_millis(100);

static ENABLED: AtomicBool = AtomicBool::new(false);
static POOL: Mutex<Pool> = Mutex::new(Pool::new());

#[derive(Debug)]
struct Pool {
    /// By the address of their first byte.
    chunks: BTreeMap<usize, Chunk>,
    /// Blocks to take that have memory, from the back.
    free: Vec<Block>,
    /// A thread makes blocks ready, or is about to.
    filling: bool,
    /// A thread gives memory back, or is about to.
    releasing: bool,
}

/// Large pages side by side.
#[derive(Debug)]
struct Chunk {
    /// What the allocator gave.
    raw: *mut u8,
    /// The first large page in it.
    start: *mut u8,
    pages: [Page; PAGES],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Page {
    /// It was made ready, or a thread is at it. Otherwise it has no memory, and no block of it is in use or free.
    is_ready: bool,
    /// A bit for each block that is not in use and has no memory any more.
    gone: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    let block = pool.free.pop().map(|block| block.0);
    if pool.free.len() < READY && !pool.filling {
        pool.filling = true;
        drop(pool);
        background::run_once(|| fill(&POOL, usize::MAX, sched::step_aside));
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
        fill(&POOL, READY / BLOCKS + 1, || {});
    }
}

/// Takes back what [`take`] gave and nobody uses any more; `false` if it was not from here.
pub(super) fn give(block: *mut u8) -> bool {
    let mut pool = POOL.lock();
    let is_ours = pool.give(Block(block));
    if pool.free.len() >= TOO_MANY && !pool.releasing {
        pool.releasing = true;
        drop(pool);
        background::run_once_after(DELAY, release_again);
    }
    is_ours
}

impl Pool {
    const fn new() -> Self {
        Pool {
            chunks: BTreeMap::new(),
            free: Vec::new(),
            filling: false,
            releasing: false,
        }
    }

    fn chunk_of(&mut self, block: Block) -> Option<&mut Chunk> {
        let address = block.0.addr();
        let (start, chunk) = self.chunks.range_mut(..=address).next_back()?;
        (address - start < PAGES * LARGE).then_some(chunk)
    }

    /// The blocks of a page in use that have no memory any more. They are in nobody's hands but the caller's then.
    fn take_gone(&mut self) -> Option<Vec<Block>> {
        self.chunks.values_mut().find_map(|chunk| {
            let at = chunk.pages.iter().position(|page| page.gone != 0)?;
            let gone = std::mem::take(&mut chunk.pages[at].gone);
            let page = chunk.start.wrapping_add(at * LARGE);
            let blocks = (0..BLOCKS).filter(|number| gone & 1 << number != 0);
            Some(
                blocks
                    .map(|number| Block(page.wrapping_add(number * LEN)))
                    .collect(),
            )
        })
    }

    /// How many blocks of a page of which these are free are not in use; `None` if none is, and some have lost their memory: nothing is won by keeping the others.
    fn unused(&mut self, free: &[Block]) -> Option<usize> {
        let chunk = self.chunk_of(free[0])?;
        let at = (page_of(free[0]) - chunk.start.addr()) / LARGE;
        let gone = chunk.pages[at].gone.count_ones() as usize;
        let unused = free.len() + gone;
        (unused < BLOCKS || gone == 0).then_some(unused)
    }

    fn give(&mut self, block: Block) -> bool {
        let is_ours = self.chunk_of(block).is_some();
        if is_ours {
            self.free.push(block);
        }
        is_ours
    }

    /// The page that is to be made ready next, which is taken for ready from now on; `None` if a chunk is wanted for it.
    fn next_page(&mut self) -> Option<Block> {
        self.chunks.values_mut().find_map(|chunk| {
            let at = chunk.pages.iter().position(|page| !page.is_ready)?;
            chunk.pages[at].is_ready = true;
            Some(Block(chunk.start.wrapping_add(at * LARGE)))
        })
    }

    /// Takes all free blocks out, if there are too many.
    fn take_all(&mut self) -> Vec<Block> {
        if self.free.len() < TOO_MANY {
            return Vec::new();
        }
        std::mem::take(&mut self.free)
    }

    /// Puts blocks that were taken out behind those that are free.
    fn put_back(&mut self, blocks: Vec<Block>) {
        self.free.splice(..0, blocks);
    }

    /// Notes that blocks that were taken out, in the order of their addresses, have lost their memory. Gives the chunks that have none left.
    fn put_gone(&mut self, gone: &[Block]) -> Vec<Chunk> {
        let mut empty = Vec::new();
        for page in gone.chunk_by(|a, b| page_of(*a) == page_of(*b)) {
            let Some(chunk) = self.chunk_of(page[0]) else {
                continue;
            };
            let start = chunk.start.addr();
            let state = &mut chunk.pages[(page_of(page[0]) - start) / LARGE];
            for block in page {
                state.gone |= 1 << (block.0.addr() % LARGE / LEN);
            }
            if state.gone == u32::MAX {
                *state = Page::default();
                if chunk.pages == [Page::default(); PAGES] {
                    empty.extend(self.chunks.remove(&start));
                }
            }
        }
        empty
    }
}

/// The address of a block's page.
fn page_of(block: Block) -> usize {
    block.0.addr() / LARGE * LARGE
}

/// Makes blocks ready until there are enough, or about so many pages of them were made: of pages that have no memory first, then what is missing of others, and
/// of a new chunk only then. Does this before each page. Takes as long as the kernel does.
fn fill(pool: &Mutex<Pool>, mut pages: usize, before_each: fn()) {
    loop {
        before_each();
        let mut held = pool.lock();
        if held.free.len() >= READY + BLOCKS || pages == 0 {
            held.filling = false;
            return;
        }
        let next = held.next_page().map(blocks_of).or_else(|| held.take_gone());
        drop(held);
        if let Some(blocks) = next {
            for (block, at) in blocks
                .iter()
                .flat_map(|block| (0..LEN).step_by(4 << 10).map(move |at| (block, at)))
            {
                // SAFETY: nobody else has the block yet. The kernel finds memory for it now, and not when it is used.
                unsafe { block.0.add(at).write_volatile(0) };
            }
            pool.lock().free.extend(blocks);
            pages -= 1;
        } else if let Some(chunk) = Chunk::new() {
            pool.lock().chunks.insert(chunk.start.addr(), chunk);
        } else {
            pool.lock().filling = false;
            return;
        }
    }
}

fn blocks_of(page: Block) -> Vec<Block> {
    (0..BLOCKS)
        .map(|at| Block(page.0.wrapping_add(at * LEN)))
        .collect()
}

/// Gives memory back as long as there is too much of it.
fn release_again() {
    release(&POOL);
    let mut pool = POOL.lock();
    pool.releasing = pool.free.len() >= TOO_MANY;
    if pool.releasing {
        drop(pool);
        background::run_once_after(DELAY, release_again);
    }
}

/// Gives the system the memory of free blocks that are not kept. Those are kept whose pages have most blocks in use. Takes as long as the kernel does, and nobody waits for it.
fn release(pool: &Mutex<Pool>) {
    let mut all = pool.lock().take_all();
    all.sort_unstable();
    let pages = all.chunk_by(|a, b| page_of(*a) == page_of(*b));
    let (mut kept, mut gone) = (Vec::new(), Vec::<Block>::new());
    for page in pages {
        let unused = pool.lock().unused(page);
        match unused {
            Some(unused) => kept.push((unused, page)),
            None => gone.extend(page),
        }
    }
    kept.sort_by_key(|page| page.0);
    let mut room = KEPT;
    let fits = |page: &&(usize, &[Block])| {
        let rest = room.checked_sub(page.1.len());
        room = rest.unwrap_or(room);
        rest.is_some()
    };
    let count = kept.iter().take_while(fits).count();
    gone.extend(kept.drain(count..).flat_map(|page| page.1));
    // The next ones to be taken are those whose pages have most blocks in use.
    let kept = kept.into_iter().rev().flat_map(|page| page.1).copied();
    pool.lock().put_back(kept.collect());
    gone.sort_unstable();
    for run in gone.chunk_by(|a, b| a.0.addr() + LEN == b.0.addr()) {
        // SAFETY: the memory is that of blocks that nobody uses, and that were taken out of the pool. Where the system does not want it, it says so, and nothing has happened.
        let _ = unsafe { libc::madvise(run[0].0.cast(), run.len() * LEN, libc::MADV_DONTNEED) };
    }
    // By so many, since writers wait for the lock.
    for some in gone.chunks(PAGES * BLOCKS) {
        let empty = pool.lock().put_gone(some);
        empty.into_iter().for_each(Chunk::free);
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
        let pages = [Page::default(); PAGES];
        Some(Chunk { raw, start, pages })
    }

    fn free(self) {
        if let Some(layout) = Self::LAYOUT {
            // SAFETY: no block of it is in use or to be had, and it was allocated with this layout.
            unsafe { dealloc(self.raw, layout) };
        }
    }
}
