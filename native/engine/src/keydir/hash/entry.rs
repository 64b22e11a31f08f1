//! A stored key in the arena.
//!
//! ```text
//! varint (key length << 1 | has suffix)   [varint suffix length]   key bytes (compared part, then suffix)
//! ```
//! Varints are little-endian base 128. A key of up to 63 bytes without a suffix costs one byte beyond itself.
#![allow(unsafe_code, reason = "reads entries behind raw pointers")]

use crate::Key;

const HEADER_MAX: usize = 20;

/// The bytes that stand before a key.
#[derive(Debug)]
pub(super) struct Header {
    bytes: [u8; HEADER_MAX],
    len: usize,
}

impl Header {
    /// The header of this key.
    pub(super) fn of(key: Key<'_>) -> Self {
        let mut header = Header {
            bytes: [0; HEADER_MAX],
            len: 0,
        };
        let suffix = key.suffix().len();
        header.push((key.bytes().len() as u64) << 1 | u64::from(suffix > 0));
        if suffix > 0 {
            header.push(suffix as u64);
        }
        header
    }

    /// The header's bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes[self.len] = value as u8 | 0x80;
            self.len += 1;
            value >>= 7;
        }
        self.bytes[self.len] = value as u8;
        self.len += 1;
    }
}

/// The bytes that a key takes in the arena.
pub(super) fn stored_len(key: Key<'_>) -> usize {
    Header::of(key).bytes().len() + key.bytes().len()
}

/// The key that is stored at `at`.
///
/// # Safety
/// An entry was written at `at` before the caller learned of it, and stays there, unchanged, for `'a`.
#[inline]
pub(super) unsafe fn read<'a>(at: *const u8) -> Key<'a> {
    let mut at = at;
    // SAFETY: the entry starts with its header, which ends where its varints say.
    let (word, suffix) = unsafe {
        let word = varint(&mut at);
        (word, if word & 1 == 0 { 0 } else { varint(&mut at) })
    };
    let len = (word >> 1) as usize;
    // SAFETY: `len` bytes of key follow the header, by the contract readable and unchanged for `'a`.
    let bytes = unsafe { std::slice::from_raw_parts(at, len) };
    Key::new(bytes, len - suffix as usize)
}

/// # Safety
/// A varint stands at `at`.
#[inline]
unsafe fn varint(at: &mut *const u8) -> u64 {
    let mut value = 0;
    let mut shift = 0;
    loop {
        // SAFETY: the varint has not ended yet, so a byte of it stands here and one step on is still inside or just
        // behind the entry.
        let byte = unsafe {
            let byte = **at;
            *at = at.add(1);
            byte
        };
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_with_its_parts() {
        for len in [0, 1, 63, 64, 127, 128, 8191, 8192, 70_000, 1 << 21] {
            for suffix in [0, 1, 200] {
                if suffix > len {
                    continue;
                }
                let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
                let key = Key::new(&bytes, len - suffix);
                let mut stored = Header::of(key).bytes().to_vec();
                stored.extend_from_slice(&bytes);
                assert_eq!(stored.len(), stored_len(key));
                // SAFETY: an entry was just written there and lives to the end of the block.
                let read = unsafe { read(stored.as_ptr()) };
                assert_eq!((read.bytes(), read.compared()), (key.bytes(), key.compared()));
            }
        }
    }

    #[test]
    fn a_short_key_costs_one_byte() {
        assert_eq!(stored_len(Key::plain(&[0; 63])), 64);
    }
}
