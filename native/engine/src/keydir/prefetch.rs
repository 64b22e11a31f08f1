//! Asking the processor for memory ahead of time.
#![allow(unsafe_code, reason = "an instruction of the processor")]

/// A cache line, in bytes.
pub(crate) const LINE: usize = 64;

/// Has the processor fetch the cache line of this address, without waiting. Any address will do.
#[inline]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address has no effect that a program could see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
