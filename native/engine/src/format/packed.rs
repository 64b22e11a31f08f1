//! Compressed values: the plain length (4 bytes, little-endian), then an LZ4 block.

use std::cell::RefCell;

use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};

use super::frame::Bad;
use super::record::MAX_VALUE_LEN;

/// A block of `n` bytes has no more plain bytes than `n` times this: a byte of it stands for 255 at most.
const RATIO_MAX: usize = 255;
const LEN: usize = 4;
/// Shorter values are not tried, in bytes: what could be gained is lost to the length.
const WORTHWHILE_LEN: usize = 32;

thread_local! {
    static TABLE: RefCell<CompressTable> = RefCell::new(CompressTable::small());
}

/// The compressed form of a value, if that is shorter.
pub fn pack(value: &[u8]) -> Option<Vec<u8>> {
    if value.len() < WORTHWHILE_LEN || value.len() as u64 > MAX_VALUE_LEN {
        return None;
    }
    let mut packed = vec![0; LEN + get_maximum_output_size(value.len())];
    packed[..LEN].copy_from_slice(&(value.len() as u32).to_le_bytes());
    let block_len = TABLE.with_borrow_mut(|table| {
        let block_len = compress_into_with_table(value, &mut packed[LEN..], table).ok();
        // The table for large values is not kept for the small ones that follow.
        if matches!(table, CompressTable::Large(_)) {
            *table = CompressTable::small();
        }
        block_len
    })?;
    packed.truncate(LEN + block_len);
    (packed.len() < value.len()).then_some(packed)
}

/// The plain length that a compressed value tells, in bytes. One that its block cannot have is refused, so that it is safe to allocate.
pub fn plain_len(packed: &[u8]) -> Result<usize, Bad> {
    let (len, block) = packed.split_first_chunk::<LEN>().ok_or(MALFORMED)?;
    let len = u32::from_le_bytes(*len) as usize;
    if len as u64 > MAX_VALUE_LEN || len > block.len().saturating_mul(RATIO_MAX) {
        return Err(MALFORMED);
    }
    Ok(len)
}

/// The plain form of a compressed value.
pub fn unpack(packed: &[u8]) -> Result<Vec<u8>, Bad> {
    let mut plain = vec![0; plain_len(packed)?];
    match decompress_into(&packed[LEN..], &mut plain) {
        Ok(len) if len == plain.len() => Ok(plain),
        _ => Err(MALFORMED),
    }
}

const MALFORMED: Bad = Bad::Wrong("the compressed value is malformed");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(value: Vec<u8>, times in 1..50usize) {
            let value = value.repeat(times);
            if let Some(packed) = pack(&value) {
                prop_assert!(packed.len() < value.len());
                prop_assert_eq!(unpack(&packed).unwrap(), value);
            }
        }

        #[test]
        fn hostile_bytes_are_refused_and_harm_nothing(bytes: Vec<u8>) {
            let _ = unpack(&bytes);
        }

        #[test]
        fn a_damaged_block_never_gives_more_than_it_tells(at in 0..1000usize, with: u8) {
            let mut packed = pack(&b"the same again and again, ".repeat(40)).unwrap();
            let at = at % packed.len();
            packed[at] ^= with;
            if let (Ok(plain), Ok(len)) = (unpack(&packed), plain_len(&packed)) {
                prop_assert_eq!(plain.len(), len);
            }
        }
    }

    #[test]
    fn what_does_not_shrink_stays_plain() {
        assert_eq!(pack(b""), None);
        assert_eq!(pack(&[b'a'; WORTHWHILE_LEN - 1]), None);
        assert!(pack(&[b'a'; WORTHWHILE_LEN]).is_some());
        let mut state = 1u64;
        let random: Vec<u8> = (0..5000)
            .map(|_| {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        assert_eq!(pack(&random), None);
    }

    #[test]
    fn small_values_follow_large_ones() {
        for len in [100, 1_000_000, 100, 70_000, 65_534, 65_535, 65_536] {
            let value: Vec<u8> = (0..len).map(|n: u32| (n / 7 % 251) as u8).collect();
            assert_eq!(unpack(&pack(&value).unwrap()).unwrap(), value);
        }
    }

    #[test]
    fn a_length_that_no_block_can_have_allocates_nothing() {
        for (len, block) in [
            (u32::MAX, 8),
            ((1 << 30) + 1, 8 << 20),
            (1 << 30, 8),
            (256, 1),
            (1, 0),
        ] {
            let mut packed = len.to_le_bytes().to_vec();
            packed.resize(LEN + block, 0);
            assert_eq!(plain_len(&packed), Err(MALFORMED));
        }
        assert_eq!(plain_len(&[1, 2]), Err(MALFORMED));
    }
}
