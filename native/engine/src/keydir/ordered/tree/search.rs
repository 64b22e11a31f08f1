//! Finding a place among sorted keys by eight bytes of each, its *head*: those behind what all of them begin with. Only
//! where heads are equal does a search look at a whole key, which stands elsewhere and is not in the processor's cache.

/// Of what sorted keys begin with in common, so many bytes are left out of their heads at most.
const MAX_PREFIX_LEN: usize = 256;

/// The eight bytes of a key from `skip` on, as a number of the same order. What is missing counts as zeros.
pub(crate) fn head(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    match rest.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => rest
            .iter()
            .zip((0..8).rev())
            .fold(0, |head, (byte, place)| head | u64::from(*byte) << (8 * place)),
    }
}

/// How many bytes both begin with.
pub(crate) fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// What keys between these two begin with, as far as it is left out of heads.
pub(super) fn prefix<'k>(first: &'k [u8], last: &[u8]) -> &'k [u8] {
    &first[..common(first, last).min(MAX_PREFIX_LEN)]
}

/// The first bytes of `above` that tell it from `below`, which comes before it.
pub(super) fn separator<'k>(below: &[u8], above: &'k [u8]) -> &'k [u8] {
    &above[..(common(below, above) + 1).min(above.len())]
}

/// How many of some sorted keys come before this one, it itself among them if `or_equal`. All of them begin with `prefix`,
/// `heads` are theirs behind it, and `full` gives a key.
pub(super) fn before<'k>(
    key: &[u8],
    or_equal: bool,
    prefix: &[u8],
    heads: &[u64],
    full: impl Fn(usize) -> &'k [u8],
) -> usize {
    let shared = &key[..key.len().min(prefix.len())];
    if shared != prefix {
        // A key that is cut off within the prefix comes before all that go on.
        return if shared < prefix { 0 } else { heads.len() };
    }
    behind_prefix(head(key, prefix.len()), key, or_equal, heads, full)
}

/// The same of a key that begins with the prefix as well, and has this head.
pub(super) fn behind_prefix<'k>(
    head: u64,
    key: &[u8],
    or_equal: bool,
    heads: &[u64],
    full: impl Fn(usize) -> &'k [u8],
) -> usize {
    let mut low = heads.partition_point(|at| *at < head);
    let mut high = low;
    if heads.get(low) == Some(&head) {
        high += heads[low..].partition_point(|at| *at == head);
    }
    while low < high {
        let middle = usize::midpoint(low, high);
        let order = full(middle).cmp(key);
        if order.is_lt() || or_equal && order.is_eq() {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(
            prop_oneof![4 => Just(0_u8), 4 => Just(7), 1 => any::<u8>()],
            0..14,
        )
    }

    proptest! {
        #[test]
        fn it_finds_what_a_look_at_all_keys_finds(keys in proptest::collection::btree_set(key(), 0..20), wanted in key()) {
            let keys: Vec<_> = keys.into_iter().collect();
            let prefix = match (keys.first(), keys.last()) {
                (Some(first), Some(last)) => prefix(first, last),
                _ => &[],
            };
            let heads: Vec<_> = keys.iter().map(|key| head(key, prefix.len())).collect();
            prop_assert!(heads.is_sorted());
            for or_equal in [false, true] {
                let expected = keys
                    .iter()
                    .filter(|key| **key < wanted || or_equal && **key == wanted)
                    .count();
                prop_assert_eq!(before(&wanted, or_equal, prefix, &heads, |at| &keys[at]), expected);
            }
        }

        #[test]
        fn a_separator_stands_between_two_keys(a in key(), b in key()) {
            prop_assume!(a < b);
            let between = separator(&a, &b);
            prop_assert!(*a < *between && *between <= *b);
        }
    }
}
