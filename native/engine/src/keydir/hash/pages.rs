//! Memory of whole pages, for the slots of large shards, of all tables.
//!
//! Shards grow all at about the same time, and what one leaves is too small for the next. In the allocator's blocks, between others, such memory would stay unused; given back to the
//! system at once, it would be asked for again, page by page. Here it stands beside other slots alone, so that what several shards leave makes room for one, and little is free at any time.
//! The mappings are large, since each change of a process's mappings waits for the page faults of all threads.
#![allow(unsafe_code, reason = "maps memory, clears it and advises the kernel on it")]

#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::param::page_size;
use smallvec::SmallVec;

use crate::sync::Mutex;

/// Bytes of a region.
const REGION: usize = 64 << 20;
/// Less than so many bytes, or so many pages, is left to the allocator.
const LEAST: (usize, usize) = (16 << 10, 4);
/// And more than this.
const MOST: usize = REGION / 8;
/// When more than so many bytes are free that the system has not got back, it gets them all.
const KEPT: usize = 2 << 20;
/// So many pages are asked for at a time.
#[cfg(target_os = "linux")]
const POPULATED: usize = 64;

static ENABLED: AtomicBool = AtomicBool::new(false);
static PAGES: Pages = Pages::new();

/// From now on the slots of large shards lie in mappings of their own, where the system gives zeros for pages that it got back. Where what is allocated is counted,
/// this is better left out.
pub fn enable() {
    if cfg!(target_os = "linux") && gives_zeros().unwrap_or(false) {
        ENABLED.store(true, Ordering::Relaxed);
    }
}

/// Whether the system does what is said of it: under some emulators of a processor it does not.
fn gives_zeros() -> Option<bool> {
    let region = Region::map()?;
    // SAFETY: the page is the region's first, which nobody else has.
    let given = unsafe {
        region.start.write_volatile(1);
        let given = give_back((region.start, 1));
        given && region.start.read_volatile() == 0
    };
    Some(given)
}

/// Gives pages to the system, which makes them zeros. `false` if it does not take them, those that are locked say.
///
/// # Safety
/// They are a region's, and nobody looks at them.
unsafe fn give_back((at, count): Run) -> bool {
    // SAFETY: by this function's contract.
    unsafe { libc::madvise(at.cast(), count * page_size(), libc::MADV_DONTNEED) == 0 }
}

/// Has the system find memory for all of a region's pages at once, which takes a part of the time that it takes when each is met. All slots will be written to, for a hash
/// may have any place. Where the system does not do it, it will find memory for each page when it is met.
fn populate((at, count): Run) {
    // In steps: who changes the process's mappings waits for one.
    #[cfg(target_os = "linux")]
    for from in (0..count).step_by(POPULATED) {
        let len = POPULATED.min(count - from) * page_size();
        // SAFETY: the pages are mapped, and what is in them stays.
        unsafe { libc::madvise(at.add(from * page_size()).cast(), len, libc::MADV_POPULATE_WRITE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (at, count);
}

/// Bytes of zeros that begin with a page, as many as [`taken`] says. `None` if they are too few or too many for this, or the process may have no more mappings.
pub(super) fn allocate(len: usize) -> Option<*mut u8> {
    let is_for_us = (least()..=MOST).contains(&len) && ENABLED.load(Ordering::Relaxed);
    is_for_us.then(|| PAGES.allocate(len)).flatten()
}

fn least() -> usize {
    LEAST.0.max(LEAST.1 * page_size())
}

/// The bytes that an allocation of so many takes.
pub(super) fn taken(len: usize) -> usize {
    len.next_multiple_of(page_size())
}

/// Frees what [`allocate`] gave for so many bytes.
///
/// # Safety
/// It is freed once, and nobody looks at it any more.
pub(super) unsafe fn free(at: *mut u8, len: usize) {
    // SAFETY: by this function's contract.
    unsafe { PAGES.free(at, len) };
}

#[derive(Debug)]
struct Pages(Mutex<Pool>);

#[derive(Debug)]
struct Pool {
    regions: Vec<Region>,
    /// Pages that are free and that the system has not got back.
    dirty: usize,
    /// So many bytes of them may be free.
    kept: usize,
}

/// Where pages side by side begin, and how many they are.
type Run = (*mut u8, usize);

/// A mapping.
#[derive(Debug)]
struct Region {
    start: *mut u8,
    pages: Box<[Page]>,
    used: usize,
    dirty: usize,
    /// All pages before this one are in use.
    full_to: usize,
    /// There are not so many free pages side by side.
    too_many: usize,
}

// SAFETY: a region's memory belongs to no thread.
unsafe impl Send for Region {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// Free, and nothing but zeros.
    Clean,
    /// Free.
    Dirty,
    Used,
}

impl Pages {
    const fn new() -> Self {
        Pages(Mutex::new(Pool {
            regions: Vec::new(),
            dirty: 0,
            kept: KEPT,
        }))
    }

    fn allocate(&self, len: usize) -> Option<*mut u8> {
        let count = len.div_ceil(page_size());
        let found = {
            let mut pool = self.0.lock();
            pool.take(count).or_else(|| {
                pool.regions.push(Region::map()?);
                pool.take(count)
            })
        };
        let (at, dirty) = found?;
        if dirty.len() < count {
            populate((at, count));
        }
        for page in dirty {
            // SAFETY: the page was just taken, and nobody else has it.
            unsafe { at.add(page * page_size()).write_bytes(0, page_size()) };
        }
        Some(at)
    }

    /// # Safety
    /// `allocate` gave it for so many bytes, it is freed once, and nobody looks at it any more.
    unsafe fn free(&self, at: *mut u8, len: usize) {
        // Regions that are not needed any more go behind the lock.
        let mut emptied = SmallVec::<[Region; 1]>::new();
        let mut pool = self.0.lock();
        emptied.extend(pool.give((at, len.div_ceil(page_size())), Page::Dirty));
        if pool.dirty * page_size() <= pool.kept {
            return;
        }
        let runs = pool.take_dirty();
        // Who may not give back is not to try each time.
        pool.kept = KEPT;
        drop(pool);
        for run in runs {
            // SAFETY: the pages count as used, by nobody, until they are given below.
            let given = unsafe { give_back(run) };
            let mut pool = self.0.lock();
            emptied.extend(pool.give(run, if given { Page::Clean } else { Page::Dirty }));
            if !given {
                pool.kept = KEPT.max(2 * pool.dirty * page_size());
            }
        }
    }
}

impl Pool {
    /// The first free pages of so many side by side, and which of them are to be cleared.
    fn take(&mut self, count: usize) -> Option<(*mut u8, SmallVec<[usize; 32]>)> {
        let (region, first) = self
            .regions
            .iter_mut()
            .find_map(|region| region.room(count).map(|first| (region, first)))?;
        let pages = &mut region.pages[first..first + count];
        let dirty: SmallVec<_> = (0..count).filter(|&page| pages[page] == Page::Dirty).collect();
        pages.fill(Page::Used);
        region.used += count;
        region.dirty -= dirty.len();
        self.dirty -= dirty.len();
        Some((region.start.wrapping_add(first * page_size()), dirty))
    }

    /// All dirty pages, those side by side together.
    fn take_dirty(&mut self) -> Vec<Run> {
        let mut runs = Vec::new();
        for region in self.regions.iter_mut().filter(|region| region.dirty > 0) {
            region.dirty = 0;
            let mut first = 0;
            for pages in region.pages.chunk_by_mut(|a, b| a == b) {
                if pages[0] == Page::Dirty {
                    pages.fill(Page::Used);
                    region.used += pages.len();
                    runs.push((region.start.wrapping_add(first * page_size()), pages.len()));
                }
                first += pages.len();
            }
        }
        self.dirty = 0;
        runs
    }

    /// Takes pages back. Gives the region if it is not needed any more.
    fn give(&mut self, (at, count): Run, page: Page) -> Option<Region> {
        let inside = |region: &Region| (at.addr().wrapping_sub(region.start.addr())) < REGION;
        let index = self.regions.iter().position(inside)?;
        let region = &mut self.regions[index];
        let first = (at.addr() - region.start.addr()) / page_size();
        region.pages[first..first + count].fill(page);
        region.used -= count;
        region.full_to = region.full_to.min(first);
        region.too_many = usize::MAX;
        if page == Page::Dirty {
            region.dirty += count;
            self.dirty += count;
        }
        if region.used > 0 || self.regions.len() == 1 {
            return None;
        }
        let emptied = self.regions.swap_remove(index);
        self.dirty -= emptied.dirty;
        Some(emptied)
    }
}

impl Region {
    fn map() -> Option<Region> {
        let (access, kind) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        );
        // SAFETY: a new mapping changes nothing that is there.
        let start = unsafe { libc::mmap(ptr::null_mut(), REGION, access, kind, -1, 0) };
        (start != libc::MAP_FAILED).then(|| Region {
            start: start.cast(),
            pages: vec![Page::Clean; REGION / page_size()].into(),
            used: 0,
            dirty: 0,
            full_to: 0,
            too_many: usize::MAX,
        })
    }

    /// Where so many free pages begin.
    fn room(&mut self, count: usize) -> Option<usize> {
        if count >= self.too_many || self.pages.len() - self.used < count {
            return None;
        }
        let is_used = |page: &Page| *page == Page::Used;
        self.full_to += self.pages[self.full_to..]
            .iter()
            .take_while(|page| is_used(page))
            .count();
        let mut free = 0;
        for (at, page) in self.pages.iter().enumerate().skip(self.full_to) {
            free = if is_used(page) { 0 } else { free + 1 };
            if free == count {
                return Some(at + 1 - count);
            }
        }
        self.too_many = count;
        None
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, and nobody has memory of it.
        unsafe { libc::munmap(self.start.cast(), REGION) };
    }
}
