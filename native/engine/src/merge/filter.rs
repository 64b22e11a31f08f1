//! A filter of keys (Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 1970; its probes are the sums of two halves of a
//! hash as in Kirsch and Mitzenmacher, "Less hashing, same performance", 2008): whether a segment may hold records of a key.

/// Bits for each key: with six probes, one absent key in a hundred passes.
const BITS: usize = 10;
const PROBES: u32 = 6;

/// The keys that a segment has objects of.
#[derive(Debug)]
pub struct Filter {
    words: Box<[u64]>,
}

impl Filter {
    /// A filter of the keys with these hashes.
    pub fn new(hashes: &[u64]) -> Self {
        let words = (hashes.len() * BITS).div_ceil(64).max(1);
        let mut filter = Filter {
            words: vec![0; words].into(),
        };
        for &hash in hashes {
            for bit in filter.bits(hash) {
                filter.words[bit / 64] |= 1 << (bit % 64);
            }
        }
        filter
    }

    /// `false` if no key with this hash was put in.
    pub fn may_contain(&self, hash: u64) -> bool {
        self.bits(hash)
            .all(|bit| self.words[bit / 64] & 1 << (bit % 64) != 0)
    }

    /// Bytes of memory that it takes.
    pub fn memory_bytes(&self) -> u64 {
        size_of_val(&*self.words) as u64
    }

    fn bits(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let len = self.words.len() as u64 * 64;
        // The high bits of a hash decide its shard and are no less random.
        let step = hash.rotate_left(32) | 1;
        (0..PROBES).map(move |probe| {
            let mixed = hash.wrapping_add(u64::from(probe).wrapping_mul(step));
            ((u128::from(mixed) * u128::from(len)) >> 64) as usize
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> u64 {
        use std::hash::BuildHasher;
        std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default().hash_one(n)
    }

    #[test]
    fn what_was_put_in_passes_and_little_else() {
        for keys in [0, 1, 7, 1_000, 100_000] {
            let hashes: Vec<u64> = (0..keys).map(hash).collect();
            let filter = Filter::new(&hashes);
            assert!(hashes.iter().all(|&hash| filter.may_contain(hash)));
            let others = (keys..keys + 10_000).filter(|&n| filter.may_contain(hash(n)));
            assert!(others.count() < 250, "{keys} keys");
            assert!(filter.memory_bytes() <= 8 + keys * 10 / 8 + 8);
        }
    }
}
