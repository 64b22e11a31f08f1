//! Memory that lock-free readers may still look at after a writer let go of it.
#![allow(unsafe_code, reason = "allocates and frees raw memory")]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::Range;

use rustix::param::page_size;

use super::pages;
use crate::epoch;

/// When memory that was taken out of a shard is freed. A word, so that a guard that has it moves by words alone.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(super) enum Reclaim {
    /// When no reader that was there at the time is left.
    Later,
    /// At once: nobody else can see the shard.
    Now,
}

/// From this size on, in bytes, memory goes back to the system with its block; a block of the other one has a mapping of its own in the VM's allocator.
const GIVEN_BACK: Range<usize> = 4 << 10..512 << 10;

/// Frees `ptr`, and lets the system have the pages that lie within: all shards grow at about the same time, so what is freed is too small for what comes, and would stay
/// unused as long as the table is there.
///
/// # Safety
/// As that of `dealloc`.
unsafe fn give_back(ptr: *mut u8, layout: Layout) {
    if GIVEN_BACK.contains(&layout.size()) {
        let page = page_size();
        let from = ptr.addr().next_multiple_of(page);
        let len = (ptr.addr() + layout.size()).saturating_sub(from) / page * page;
        // SAFETY: the pages are all the block's own, and nobody reads what is in it any more. Where the system does not want them it says so, and nothing has happened.
        unsafe { libc::madvise(ptr.with_addr(from).cast(), len, libc::MADV_DONTNEED) };
    }
    // SAFETY: by this function's contract.
    unsafe { dealloc(ptr, layout) };
}

/// Memory that is not initialised.
pub(super) fn allocate(layout: Layout) -> *mut u8 {
    debug_assert!(layout.size() > 0);
    // SAFETY: all layouts of this module tree have a size above zero.
    let ptr = unsafe { alloc(layout) };
    if ptr.is_null() {
        handle_alloc_error(layout);
    }
    ptr
}

/// Memory of zeros.
pub(super) fn allocate_zeroed(layout: Layout) -> *mut u8 {
    debug_assert!(layout.size() > 0);
    // SAFETY: all layouts of this module tree have a size above zero.
    let ptr = unsafe { alloc_zeroed(layout) };
    if ptr.is_null() {
        handle_alloc_error(layout);
    }
    ptr
}

/// The memory of a shard's slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotMemory {
    layout: Layout,
    in_pages: bool,
}

impl SlotMemory {
    /// Memory of zeros.
    pub(super) fn allocate(layout: Layout) -> (*mut u8, SlotMemory) {
        let pages = pages::allocate(layout.size());
        let memory = SlotMemory {
            layout,
            in_pages: pages.is_some(),
        };
        (pages.unwrap_or_else(|| allocate_zeroed(layout)), memory)
    }

    /// Bytes of it.
    pub(super) fn len(self) -> usize {
        let len = self.layout.size();
        if self.in_pages { pages::taken(len) } else { len }
    }

    /// Frees it.
    ///
    /// # Safety
    /// As that of [`Reclaim::free`], for what `allocate` gave.
    pub(super) unsafe fn free(self, ptr: *mut u8, reclaim: Reclaim) {
        if self.in_pages {
            // SAFETY: the pages are unreachable, and `reclaim` says when nobody looks at them any more.
            unsafe { reclaim.run(move || pages::free(ptr, self.layout.size())) };
        } else {
            // SAFETY: by this function's contract.
            unsafe { reclaim.free(ptr, self.layout) };
        }
    }
}

impl Reclaim {
    /// Frees `ptr`.
    ///
    /// # Safety
    /// `ptr` came from an allocation of `layout`, is freed once, and can no longer be reached through the shard. With
    /// [`Reclaim::Now`], no other thread has it.
    pub(super) unsafe fn free(self, ptr: *mut u8, layout: Layout) {
        match self {
            // SAFETY: by this function's contract.
            Reclaim::Later => unsafe { self.run(move || give_back(ptr, layout)) },
            // A table that is being loaded soon wants the memory again, and page faults would take a third of the load; with that of one that was closed another is loaded.
            // SAFETY: by this function's contract.
            Reclaim::Now => unsafe { dealloc(ptr, layout) },
        }
    }

    /// Calls `f` when no reader is left.
    ///
    /// # Safety
    /// What `f` frees is unreachable for readers that come from now on. With [`Reclaim::Now`], no other thread has it.
    unsafe fn run(self, f: impl FnOnce()) {
        match self {
            Reclaim::Later => {
                let guard = epoch::pin();
                // SAFETY: by this function's contract, and the closure runs once, after all that were pinned before have gone.
                unsafe { guard.defer_unchecked(f) };
                // A writer may be idle for ever after this call: hand the memory to whoever comes by.
                guard.flush();
            }
            Reclaim::Now => f(),
        }
    }
}
