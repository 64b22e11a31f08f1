//! A stored key in the arena.
//!
//! ```text
//! varint (key length << 1 | more)   if more: varint (suffix length << 1 | expires)   if it expires: deadline 8
//! key bytes (compared part, then suffix)
//! ```
//! Varints are little-endian base 128. A key of up to 63 bytes with neither a suffix nor a deadline costs one byte beyond itself; a deadline costs
//! nine.
#![allow(unsafe_code, reason = "reads entries behind raw pointers")]

use crate::{Deadline, Key};

/// No entry has more bytes than this before its key.
pub(super) const HEADER_MAX: usize = 28;

/// A key and what belongs to it beside its location.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored<'a> {
    pub(super) key: Key<'a>,
    pub(super) deadline: Deadline,
}

impl Stored<'_> {
    /// Whether it is this key to the last byte, with this deadline.
    pub(super) fn is(&self, key: Key<'_>, deadline: Deadline) -> bool {
        self.key.suffix() == key.suffix() && self.deadline == deadline
    }
}

/// The varints before a key; the second one only if there is a need for it.
fn words(Stored { key, deadline }: Stored<'_>) -> (u64, Option<u64>) {
    let suffix = key.suffix().len();
    let more = suffix > 0 || deadline != Deadline::NEVER;
    let word = (key.bytes().len() as u64) << 1 | u64::from(more);
    let more = more.then(|| (suffix as u64) << 1 | u64::from(deadline.ms().is_some()));
    (word, more)
}

/// The bytes that an entry takes in the arena.
pub(super) fn stored_len(stored: Stored<'_>) -> usize {
    let (word, more) = words(stored);
    let deadline = stored.deadline.ms().map_or(0, |_| size_of::<u64>());
    varint_len(word) + more.map_or(0, varint_len) + deadline + stored.key.bytes().len()
}

fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Writes an entry to `at`.
///
/// # Safety
/// [`stored_len`] bytes from `at` on are the caller's to write, and the key stands elsewhere.
pub(super) unsafe fn write(at: *mut u8, stored: Stored<'_>) {
    let mut at = at;
    let mut put = |bytes: &[u8]| {
        // SAFETY: the calls write the parts one behind the other whose lengths `stored_len` adds up.
        unsafe {
            at.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            at = at.add(bytes.len());
        }
    };
    let mut put_varint = |mut value: u64| {
        while value >= 0x80 {
            put(&[value as u8 | 0x80]);
            value >>= 7;
        }
        put(&[value as u8]);
    };
    let (word, more) = words(stored);
    put_varint(word);
    if let Some(more) = more {
        put_varint(more);
    }
    if let Some(ms) = stored.deadline.ms() {
        put(&ms.to_le_bytes());
    }
    put(stored.key.bytes());
}

/// The entry that is stored at `at`.
///
/// # Safety
/// An entry was written at `at` before the caller learned of it, and stays there, unchanged, for `'a`.
#[inline]
pub(super) unsafe fn read<'a>(at: *const u8) -> Stored<'a> {
    let mut at = at;
    // SAFETY: the entry starts with its header, which ends where its varints say.
    let (word, more) = unsafe {
        let word = varint(&mut at);
        (word, if word & 1 == 0 { 0 } else { varint(&mut at) })
    };
    let mut deadline = Deadline::NEVER;
    if more & 1 != 0 {
        // SAFETY: the header says that eight bytes of a deadline follow, at no alignment.
        let ms = unsafe { at.cast::<[u8; 8]>().read() };
        deadline = Deadline::at(u64::from_le_bytes(ms));
        // SAFETY: the key follows the deadline, within the entry or just behind it.
        at = unsafe { at.add(8) };
    }
    let len = (word >> 1) as usize;
    // SAFETY: `len` bytes of key follow the header, by the contract readable and unchanged for `'a`.
    let bytes = unsafe { std::slice::from_raw_parts(at, len) };
    let key = Key::new(bytes, len - (more >> 1) as usize);
    Stored { key, deadline }
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
                for deadline in [Deadline::NEVER, Deadline::at(1), Deadline::at(u64::MAX - 1)] {
                    let entry = Stored { key, deadline };
                    let mut stored = vec![0xff; stored_len(entry) + 1];
                    // SAFETY: there is room for it.
                    unsafe { write(stored.as_mut_ptr(), entry) };
                    assert_eq!(stored.pop(), Some(0xff), "nothing is written behind it");
                    assert!(stored.ends_with(&bytes));
                    // SAFETY: an entry was just written there and lives to the end of the block.
                    let read = unsafe { read(stored.as_ptr()) };
                    assert_eq!(
                        (read.key.bytes(), read.key.compared()),
                        (key.bytes(), key.compared())
                    );
                    assert_eq!(read.deadline, deadline);
                }
            }
        }
    }

    #[test]
    fn a_short_key_costs_one_byte() {
        let stored = |deadline| Stored {
            key: Key::plain(&[0; 63]),
            deadline,
        };
        assert_eq!(stored_len(stored(Deadline::NEVER)), 64);
        assert_eq!(stored_len(stored(Deadline::at(1))), 64 + 9);
    }
}
