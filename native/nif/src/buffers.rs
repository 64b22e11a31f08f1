//! Buffers that each scheduler thread keeps, so that a call allocates nothing for its bytes.

use std::cell::RefCell;

/// A buffer that grew beyond this is given back instead of kept, in bytes.
const KEPT_MAX: usize = 256 * 1024;

/// The bytes of one call: its key or keys, and its object or objects.
#[derive(Default)]
pub struct Buffers {
    /// Key bytes.
    pub key: Vec<u8>,
    /// Object bytes.
    pub object: Vec<u8>,
    /// The bytes of an object that is made of another.
    pub made: Vec<u8>,
}

thread_local! {
    static KEPT: RefCell<Buffers> = const { RefCell::new(Buffers { key: Vec::new(), object: Vec::new(), made: Vec::new() }) };
}

/// Runs `f` once, with empty buffers. (What may be called once alone would be moved to where it is called: written in pieces and read whole, for which the processor waits.)
#[inline]
pub fn with<R>(mut f: impl FnMut(&mut Buffers) -> R) -> R {
    KEPT.with(|kept| {
        // A nested use finds fresh ones, and what a panic left is seen to by the next use.
        let (mut held, mut fresh) = (kept.try_borrow_mut().ok(), Buffers::default());
        let buffers = held.as_deref_mut().unwrap_or(&mut fresh);
        buffers.key.clear();
        buffers.object.clear();
        buffers.made.clear();
        let result = f(buffers);
        for bytes in [&mut buffers.key, &mut buffers.object, &mut buffers.made] {
            if bytes.capacity() > KEPT_MAX {
                *bytes = Vec::new();
            }
        }
        result
    })
}
