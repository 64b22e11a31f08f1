//! Ranges of keys, in the order of the bytes of their compared parts.

use std::ops::Bound;

/// The keys between two bounds. Bounds need not be keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range<'b> {
    /// The lower bound.
    pub lower: Bound<&'b [u8]>,
    /// The upper bound.
    pub upper: Bound<&'b [u8]>,
}

impl<'b> Range<'b> {
    /// All keys.
    pub const ALL: Range<'b> = Range {
        lower: Bound::Unbounded,
        upper: Bound::Unbounded,
    };

    /// What is in both ranges.
    #[must_use]
    pub fn meet(self, other: Range<'b>) -> Range<'b> {
        Range {
            lower: std::cmp::max_by_key(self.lower, other.lower, lower_rank),
            upper: std::cmp::min_by_key(self.upper, other.upper, upper_rank),
        }
    }

    /// The smallest range that has both ranges in it.
    #[must_use]
    pub fn join(self, other: Range<'b>) -> Range<'b> {
        Range {
            lower: std::cmp::min_by_key(self.lower, other.lower, lower_rank),
            upper: std::cmp::max_by_key(self.upper, other.upper, upper_rank),
        }
    }
}

/// Rises with the first key that a lower bound lets in.
fn lower_rank<'b>(bound: &Bound<&'b [u8]>) -> (Option<&'b [u8]>, bool) {
    match *bound {
        Bound::Unbounded => (None, false),
        Bound::Included(bytes) => (Some(bytes), false),
        Bound::Excluded(bytes) => (Some(bytes), true),
    }
}

/// Rises with the last key that an upper bound lets in.
fn upper_rank<'b>(bound: &Bound<&'b [u8]>) -> (bool, &'b [u8], bool) {
    match *bound {
        Bound::Unbounded => (true, &[], false),
        Bound::Included(bytes) => (false, bytes, true),
        Bound::Excluded(bytes) => (false, bytes, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of some one-byte keys are in the range.
    fn keys(range: Range<'_>) -> Vec<u8> {
        let after = |key: &[u8]| match range.lower {
            Bound::Unbounded => true,
            Bound::Included(lower) => key >= lower,
            Bound::Excluded(lower) => key > lower,
        };
        let before = |key: &[u8]| match range.upper {
            Bound::Unbounded => true,
            Bound::Included(upper) => key <= upper,
            Bound::Excluded(upper) => key < upper,
        };
        (0..6u8).filter(|key| after(&[*key]) && before(&[*key])).collect()
    }

    #[test]
    fn meet_is_what_is_in_both_and_join_misses_nothing() {
        let bytes: [&[u8]; 3] = [&[1], &[3], &[4]];
        let bounds = bytes
            .iter()
            .flat_map(|bytes| [Bound::Included(*bytes), Bound::Excluded(*bytes)])
            .chain([Bound::Unbounded]);
        let ranges: Vec<Range<'_>> = bounds
            .clone()
            .flat_map(|lower| bounds.clone().map(move |upper| Range { lower, upper }))
            .collect();
        for a in &ranges {
            for b in &ranges {
                let both: Vec<u8> = keys(*a)
                    .into_iter()
                    .filter(|key| keys(*b).contains(key))
                    .collect();
                assert_eq!(keys(a.meet(*b)), both, "{a:?} {b:?}");
                let joined = keys(a.join(*b));
                assert!(
                    keys(*a).iter().chain(&keys(*b)).all(|key| joined.contains(key)),
                    "{a:?} {b:?}"
                );
            }
        }
    }
}
