//! Terms that the VM hands out in its external format: read as far as they are known, refused otherwise.

use bets_codec::etf::{Leaf, leaf, put_bits};

use crate::memory::Bound;

pub fn check(data: &[u8]) {
    let mut bytes = vec![bets_codec::etf::VERSION];
    bytes.extend_from_slice(data);
    for bytes in [data, &bytes] {
        Bound::TERM.watch(bytes.len(), || {
            if let Ok(Leaf::Fun(fun)) = leaf(bytes) {
                let parts: usize = fun.free.iter().map(|part| part.len()).sum();
                assert!(parts <= bytes.len());
            }
        });
        if let Ok(Leaf::Bits(found, last_bits)) = leaf(bytes) {
            let mut again = vec![bets_codec::etf::VERSION];
            put_bits(&mut again, found, last_bits);
            assert_eq!(leaf(&again), Ok(Leaf::Bits(found, last_bits)));
        }
    }
}
