//! A part of a table's order, and the direction to go through it.

use std::ops::Bound;

/// Which way a traversal goes. In hash order both are the same, as in `ets`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// From small keys to large ones.
    #[default]
    Forward,
    /// From large keys to small ones.
    Backward,
}

/// The keys from one bound to another, in a direction.
///
/// Bounds are compared with the compared parts of keys by `memcmp`, and need not be keys themselves: a proper prefix of
/// keys stands before all of them. `from` is where the traversal begins, so it is the upper bound of one that goes
/// backward. In hash order, only a `from` that excludes a key has a meaning: the place behind that key.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// Which way to go.
    pub direction: Direction,
    /// The bound where the traversal begins.
    pub from: Bound<&'a [u8]>,
    /// The bound where it ends.
    pub until: Bound<&'a [u8]>,
}

impl<'a> Span<'a> {
    /// The key that the span begins behind, if it begins behind one.
    pub(super) fn behind(&self) -> Option<&'a [u8]> {
        match self.from {
            Bound::Excluded(key) => Some(key),
            Bound::Included(_) | Bound::Unbounded => None,
        }
    }
}
