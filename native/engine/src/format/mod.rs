//! The bytes on disk. `docs/format.md` describes them; this folder is the only code that reads or writes them.
//!
//! All numbers are little-endian. Every file starts with eight bytes of magic and a version.

pub mod checkpoint;
pub mod clock;
pub mod frame;
pub mod hint;
pub mod manifest;
pub mod packed;
pub mod record;
pub mod segment;

use std::sync::LazyLock;

use crc32fast::Hasher;

/// The version of the format that this build writes, and the newest that it reads.
pub const VERSION: u16 = 1;

/// No seq and no generation is higher: a million records a second would take a hundred thousand years. What claims to be is damaged.
pub const MAX_SEQ: u64 = 1 << 62;

/// No table comes to a segment with this id: one a second would take 34 years. A file with such a name is no table's.
pub const IMPOSSIBLE_ID: u32 = 1 << 30;

/// CRC-32 (IEEE) of some bytes.
#[inline]
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut hasher = HASHER.clone();
    hasher.update(bytes);
    hasher.finalize()
}

/// One that has found out what the processor can do. A new one does so again, which takes about as long as the CRC of a short record.
static HASHER: LazyLock<Hasher> = LazyLock::new(Hasher::new);

/// Appends an unsigned LEB128 number: at most five bytes.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut n: u32) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Reads an unsigned LEB128 number from the front; its value and its length in bytes.
/// `None` if it is cut off, longer than needed, or beyond 32 bits: each number has one form.
#[inline]
pub(crate) fn get_varint(bytes: &[u8]) -> Option<(u32, usize)> {
    match bytes.first() {
        Some(&byte) if byte < 0x80 => Some((u32::from(byte), 1)),
        _ => get_long_varint(bytes),
    }
}

fn get_long_varint(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut n: u32 = 0;
    for (i, &byte) in bytes.iter().take(5).enumerate() {
        let bits = u32::from(byte & 0x7f);
        if i == 4 && bits > 0x0f {
            return None;
        }
        n |= bits << (7 * i);
        if byte < 0x80 {
            return (byte != 0 || i == 0).then_some((n, i + 1));
        }
    }
    None
}

/// A reader over bytes that checks every length.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    pub fn u8(&mut self) -> Option<u8> {
        Some(self.bytes(1)?[0])
    }

    pub fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.bytes(2)?.try_into().ok()?))
    }

    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }

    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_one_form() {
        for n in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u32::MAX - 1, u32::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, n);
            assert_eq!(get_varint(&out), Some((n, out.len())));
            for cut in 0..out.len() {
                assert_eq!(get_varint(&out[..cut]), None);
            }
        }
        assert_eq!(get_varint(&[0x80, 0x00]), None, "padded zero");
        assert_eq!(
            get_varint(&[0xff, 0xff, 0xff, 0xff, 0x1f]),
            None,
            "beyond 32 bits"
        );
    }
}
