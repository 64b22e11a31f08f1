//! Buffers that each scheduler thread keeps, so that a call allocates nothing for its bytes.

use std::cell::Cell;

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
    static KEPT: Cell<Buffers> = const { Cell::new(Buffers { key: Vec::new(), object: Vec::new(), made: Vec::new() }) };
}

/// Runs `f` with empty buffers.
pub fn with<R>(f: impl FnOnce(&mut Buffers) -> R) -> R {
    // Taken out for the time of the call: a nested use, or one that comes after a panic, finds fresh ones.
    let mut buffers = KEPT.take();
    buffers.key.clear();
    buffers.object.clear();
    buffers.made.clear();
    let result = f(&mut buffers);
    let Buffers { key, object, made } = &buffers;
    if [key, object, made]
        .iter()
        .all(|bytes| bytes.capacity() <= KEPT_MAX)
    {
        KEPT.set(buffers);
    }
    result
}
