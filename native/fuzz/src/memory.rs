//! Counting what a thread holds of the heap, so that a check can say how much reading some bytes may take at most.
//!
//! The allocator is that of every program this crate is part of: the test that replays the corpora, and the fuzzer.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn add(bytes: isize) {
    // A thread that is ending has no cells any more, and nothing is measured in it.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

#[allow(unsafe_code, reason = "an allocator that counts")]
// SAFETY: all work is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size().cast_signed());
        // SAFETY: passed on as it came.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        add(-layout.size().cast_signed());
        // SAFETY: passed on as it came.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How much memory something may take: so many bytes for each byte that it was given, and so many in any case.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// For each byte.
    pub each: usize,
    /// In any case.
    pub fixed: usize,
}

impl Bound {
    /// What is read of a file: twice the file.
    pub const FILE: Bound = Bound {
        each: 2,
        fixed: 16 << 10,
    };
    /// What a decoder keeps of terms that are open: a byte can open one, and while the stack of these grows there are two of it.
    pub const TERM: Bound = Bound {
        each: 128,
        fixed: 16 << 10,
    };
    /// The same for a key, whose integers may end in zero bits that take no room in it: one of 8 MiB in a few bytes.
    pub const KEY: Bound = Bound {
        each: 128,
        fixed: 9 << 20,
    };
    /// Nothing is said.
    pub const NONE: Bound = Bound {
        each: 0,
        fixed: usize::MAX,
    };

    /// Does something with `len` bytes. Panics if the thread held more meanwhile than it may, beyond what it held before.
    pub fn watch<R>(self, len: usize, f: impl FnOnce() -> R) -> R {
        let before = HELD.get();
        MOST.set(before);
        let result = f();
        let most = (MOST.get() - before).cast_unsigned();
        let bound = self.each.saturating_mul(len).saturating_add(self.fixed);
        assert!(
            most <= bound,
            "{len} bytes took {most} bytes of memory, {bound} are allowed"
        );
        result
    }
}

#[cfg(test)]
mod tests {
    use super::Bound;

    #[test]
    fn what_is_taken_is_seen() {
        Bound::FILE.watch(1 << 20, || drop(vec![1u8; 2 << 20]));
        let greedy = std::panic::catch_unwind(|| Bound::FILE.watch(1 << 20, || drop(vec![1u8; 3 << 20])));
        assert!(greedy.is_err());
    }
}
