//! A record's frame, which is its bytes in a segment: how it is laid out, and how it is read.
//!
//! ```text
//! offset size
//!      0    4  head CRC: CRC-32 of bytes 8 .. end of key
//!      4    4  value CRC: CRC-32 of the value, 0 if it has no bytes
//!      8    1  kind (low 4 bits) and flags (high 4 bits)
//!      9    4  segment id
//!     13    8  seq
//!     21    4  durable: seq minus the highest seq known to be durable when this was written
//!     25  1-5  key length, varint
//!          1-5  value length, varint
//!          1-5  suffix length, varint, if flag SUFFIX
//!            8  expiry in milliseconds since 1970, if flag EXPIRY
//!               key (compared part, then suffix)
//!               value
//! ```
//!
//! A byte 8 of zero is the end of the log: preallocated space is zero. The value CRC is outside of the head CRC, so that damage
//! to value or value CRC concerns one key alone.

use super::record::{
    COMPRESSED, EXPIRY, Kind, MAX_KEY_LEN, MAX_VALUE_LEN, MEMBER, NOTHING_KNOWN, Record, SUFFIX, value_crc,
};
use super::{crc32, get_varint};
use crate::Key;

/// The shortest possible frame.
pub const MIN_LEN: usize = 27;
/// The bytes before the key that suffice to know the whole frame's length.
pub const MAX_HEAD_LEN: usize = 25 + 15 + 8;
/// A frame's header, parsed but not yet checked against its CRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the record does.
    pub kind: Kind,
    /// The id of the segment it was written to.
    pub segment: u32,
    /// Its seq.
    pub seq: u64,
    /// The highest seq known to be durable when it was written.
    pub durable_seq: Option<u64>,
    /// When it expires, in milliseconds since 1970; of a mark, the highest time that the table had used.
    pub expiry_ms: Option<u64>,
    /// Whether the value is compressed.
    pub compressed: bool,
    /// Whether it is a member of a batch.
    pub member: bool,
    /// Bytes before the key.
    pub head_len: usize,
    /// Bytes of the whole key.
    pub key_len: usize,
    /// Bytes of the key that are not compared.
    pub suffix_len: usize,
    /// Bytes of the value.
    pub value_len: usize,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// There is a zero where the kind should be: space never written.
    End,
    /// The bytes end before the frame does.
    Cut,
    /// They are not what any writer wrote.
    Wrong(&'static str),
}

impl Head {
    /// Parses a header; its CRC is not checked, so nothing of it may be trusted but for finding out how much to read.
    pub fn parse(bytes: &[u8]) -> Result<Head, Bad> {
        Self::parse_in_place(bytes)
    }

    /// The same as a part of its caller: of what that does not look at, nothing is made.
    #[expect(
        clippy::inline_always,
        reason = "else all of it is written to memory, and read again"
    )]
    #[inline(always)]
    pub fn parse_in_place(bytes: &[u8]) -> Result<Head, Bad> {
        let Some(fixed) = bytes.first_chunk::<25>() else {
            return Err(if bytes.iter().all(|&b| b == 0) {
                Bad::End
            } else {
                Bad::Cut
            });
        };
        let bits = fixed[8];
        if bits == 0 {
            return Err(Bad::End);
        }
        let kind = Kind::from_bits(bits & 0x0f).ok_or(Bad::Wrong("no such record type"))?;
        let mut at = 25;
        let mut varint = |limit: u64| {
            let rest = &bytes[at..];
            let Some((n, len)) = get_varint(rest) else {
                return Err(if rest.len() < 5 {
                    Bad::Cut
                } else {
                    Bad::Wrong("a length is malformed")
                });
            };
            if u64::from(n) > limit {
                return Err(Bad::Wrong("a length is beyond the limit"));
            }
            at += len;
            Ok(n as usize)
        };
        let key_len = varint(MAX_KEY_LEN)?;
        let value_len = varint(MAX_VALUE_LEN)?;
        let suffix_len = if bits & SUFFIX != 0 {
            varint(key_len as u64)?
        } else {
            0
        };
        let mut expiry_ms = None;
        if bits & EXPIRY != 0 {
            let raw = bytes[at..].first_chunk::<8>().ok_or(Bad::Cut)?;
            expiry_ms = Some(u64::from_le_bytes(*raw));
            at += 8;
        }
        let word = |from: usize| {
            u32::from_le_bytes([fixed[from], fixed[from + 1], fixed[from + 2], fixed[from + 3]])
        };
        let seq = u64::from(word(13)) | u64::from(word(17)) << 32;
        let delta = word(21);
        Ok(Head {
            kind,
            segment: word(9),
            seq,
            durable_seq: if delta == NOTHING_KNOWN {
                None
            } else {
                seq.checked_sub(u64::from(delta))
            },
            expiry_ms,
            compressed: bits & COMPRESSED != 0,
            member: bits & MEMBER != 0,
            head_len: at,
            key_len,
            suffix_len,
            value_len,
        })
    }

    /// The whole frame's length in bytes.
    pub fn frame_len(&self) -> usize {
        self.head_len + self.key_len + self.value_len
    }

    /// The bytes that the head CRC vouches for, counted from the frame's start.
    pub fn checked_len(&self) -> usize {
        self.head_len + self.key_len
    }
}

/// A frame whose header and key passed their CRC.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its header.
    pub head: Head,
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Parses a frame at the front of `bytes` and checks header and key. The value may be missing from `bytes` unless it is asked for.
    pub fn parse(bytes: &'a [u8]) -> Result<Frame<'a>, Bad> {
        let head = Head::parse(bytes)?;
        let checked = bytes.get(8..head.checked_len()).ok_or(Bad::Cut)?;
        let crc = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        if crc32(checked) != crc {
            return Err(Bad::Wrong("the CRC of header and key does not match"));
        }
        Ok(Frame { head, bytes })
    }

    /// The key.
    pub fn key(&self) -> Key<'a> {
        Key::new(
            &self.bytes[self.head.head_len..self.head.checked_len()],
            self.head.key_len - self.head.suffix_len,
        )
    }

    /// The value, checked against its CRC.
    pub fn value(&self) -> Result<&'a [u8], Bad> {
        let value = self
            .bytes
            .get(self.head.checked_len()..self.head.frame_len())
            .ok_or(Bad::Cut)?;
        if value_crc(value) == self.value_crc() {
            Ok(value)
        } else {
            Err(Bad::Wrong("the CRC of the value does not match"))
        }
    }

    fn value_crc(&self) -> u32 {
        u32::from_le_bytes([self.bytes[4], self.bytes[5], self.bytes[6], self.bytes[7]])
    }

    /// The whole frame's bytes.
    pub fn bytes(&self) -> Result<&'a [u8], Bad> {
        self.bytes.get(..self.head.frame_len()).ok_or(Bad::Cut)
    }

    /// Count and length in bytes of the batch that this opens.
    pub fn batch(&self) -> Option<(u32, u32)> {
        let mut fields = super::Fields(self.key().bytes());
        let found = (fields.u32()?, fields.u32()?);
        (self.head.kind == Kind::Batch && fields.0.is_empty()).then_some(found)
    }
}

impl<'a> Record<'a> {
    /// The record that a frame holds, to be written again.
    pub fn from_frame(frame: &Frame<'a>) -> Result<Self, Bad> {
        let Head {
            kind,
            expiry_ms,
            compressed,
            member,
            ..
        } = frame.head;
        Ok(Record {
            kind,
            key: frame.key(),
            value: frame.value()?,
            expiry_ms,
            compressed,
            member,
            value_crc: frame.value_crc(),
        })
    }
}

/// The seqs that the key of a delete-object record lists.
pub fn removed_seqs(key: Key<'_>) -> Option<Vec<u64>> {
    let (seqs, rest) = key.suffix().as_chunks::<8>();
    let seqs: Vec<u64> = seqs.iter().map(|seq| u64::from_le_bytes(*seq)).collect();
    (rest.is_empty() && !seqs.is_empty() && seqs.is_sorted_by(|a, b| a < b)).then_some(seqs)
}

#[cfg(test)]
mod tests;
