//! Memory that lock-free readers may still look at after a writer let go of it.
#![allow(unsafe_code, reason = "allocates and frees raw memory")]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};

use crate::epoch;

/// When memory that was taken out of a shard is freed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reclaim {
    /// When no reader that was there at the time is left.
    Later,
    /// At once: nobody else can see the shard.
    Now,
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

impl Reclaim {
    /// Frees `ptr`.
    ///
    /// # Safety
    /// `ptr` came from an allocation of `layout`, is freed once, and can no longer be reached through the shard. With
    /// [`Reclaim::Now`], no other thread has it.
    pub(super) unsafe fn free(self, ptr: *mut u8, layout: Layout) {
        match self {
            Reclaim::Later => {
                let guard = epoch::pin();
                // SAFETY: by this function's contract the memory is unreachable for readers that pin from now on, and
                // the closure runs once, after all that were pinned before have gone.
                unsafe { guard.defer_unchecked(move || dealloc(ptr, layout)) };
                // A writer may be idle for ever after this call: hand the memory to whoever comes by.
                guard.flush();
            }
            // SAFETY: by this function's contract.
            Reclaim::Now => unsafe { dealloc(ptr, layout) },
        }
    }
}
