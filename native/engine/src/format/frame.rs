//! A record's frame: its bytes in a segment.
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

use super::{crc32, get_varint, put_varint};
use crate::{Deadline, Key};

/// What a record does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Stores a value under a key.
    Put = 1,
    /// Removes a key: a tombstone.
    Delete = 2,
    /// Removes some objects of a key; the key's suffix lists their seqs, 8 bytes each, rising.
    DeleteObject = 3,
    /// Removes every object.
    Clear = 4,
    /// Opens a batch; the key holds its count (4 bytes) and the bytes of its members and commit (4 bytes). Its seq is the first member's.
    Batch = 5,
    /// Closes a batch: its members exist only if this is valid. Its seq is the last member's; the key holds the batch's first seq.
    Commit = 6,
    /// Tells only that a sync was done, or, in its expiry, the time. Its seq is that of the record before it.
    Mark = 7,
}

impl Kind {
    fn from_bits(bits: u8) -> Option<Kind> {
        Some(match bits {
            1 => Kind::Put,
            2 => Kind::Delete,
            3 => Kind::DeleteObject,
            4 => Kind::Clear,
            5 => Kind::Batch,
            6 => Kind::Commit,
            7 => Kind::Mark,
            _ => return None,
        })
    }
}

/// The value bytes are compressed (LZ4 block behind the 4-byte length of the plain bytes).
const COMPRESSED: u8 = 0x10;
/// The record is a member of a batch.
const MEMBER: u8 = 0x20;
/// The record expires.
const EXPIRY: u8 = 0x40;
/// The key ends with bytes that are not compared.
const SUFFIX: u8 = 0x80;

/// The shortest possible frame.
pub const MIN_LEN: usize = 27;
/// The bytes before the key that suffice to know the whole frame's length.
pub const MAX_HEAD_LEN: usize = 25 + 15 + 8;
/// The longest key and value, in bytes.
pub const MAX_KEY_LEN: u64 = 64 << 20;
/// The longest value, in bytes.
pub const MAX_VALUE_LEN: u64 = 1 << 30;

const NOTHING_KNOWN: u32 = u32::MAX;

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What it does.
    pub kind: Kind,
    /// Its key; empty where the kind has none.
    pub key: Key<'a>,
    /// Its value; empty where the kind has none.
    pub value: &'a [u8],
    /// When it expires, in milliseconds since 1970.
    pub expiry_ms: Option<u64>,
    /// Whether `value` is compressed.
    pub compressed: bool,
    /// Whether it is a member of a batch.
    pub member: bool,
    /// The CRC of `value`: made with the record, so that no lock is held over it.
    value_crc: u32,
}

impl<'a> Record<'a> {
    /// A plain record of a kind.
    pub fn new(kind: Kind, key: Key<'a>, value: &'a [u8]) -> Self {
        let value_crc = value_crc(value);
        Record {
            kind,
            key,
            value,
            expiry_ms: None,
            compressed: false,
            member: false,
            value_crc,
        }
    }

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

    /// The same record as a member of a batch.
    #[must_use]
    pub fn as_member(&self) -> Self {
        Record {
            member: true,
            ..*self
        }
    }

    /// The same record, which expires then.
    #[must_use]
    pub fn until(&self, deadline: Deadline) -> Self {
        Record {
            expiry_ms: deadline.ms(),
            ..*self
        }
    }

    /// The same record standing alone.
    #[must_use]
    pub fn as_lone(&self) -> Self {
        Record {
            member: false,
            ..*self
        }
    }

    /// The same record, whose value is compressed.
    #[must_use]
    pub fn as_compressed(&self) -> Self {
        Record {
            compressed: true,
            ..*self
        }
    }

    /// The length of its frame in bytes.
    pub fn frame_len(&self) -> usize {
        let suffix = self.key.suffix().len();
        25 + varint_len(self.key.bytes().len())
            + varint_len(self.value.len())
            + if suffix > 0 { varint_len(suffix) } else { 0 }
            + if self.expiry_ms.is_some() { 8 } else { 0 }
            + self.key.bytes().len()
            + self.value.len()
    }

    /// Appends its frame.
    pub fn put(&self, out: &mut Vec<u8>, at: Stamp) {
        let start = out.len();
        let suffix = self.key.suffix().len();
        let mut bits = self.kind as u8;
        for (on, flag) in [
            (self.compressed, COMPRESSED),
            (self.member, MEMBER),
            (self.expiry_ms.is_some(), EXPIRY),
            (suffix > 0, SUFFIX),
        ] {
            bits |= if on { flag } else { 0 };
        }
        let mut head = [0u8; 25];
        head[4..8].copy_from_slice(&self.value_crc.to_le_bytes());
        head[8] = bits;
        head[9..13].copy_from_slice(&at.segment.to_le_bytes());
        head[13..21].copy_from_slice(&at.seq.to_le_bytes());
        head[21..25].copy_from_slice(&durable_delta(at.seq, at.durable_seq).to_le_bytes());
        out.extend_from_slice(&head);
        put_varint(out, self.key.bytes().len() as u32);
        put_varint(out, self.value.len() as u32);
        if suffix > 0 {
            put_varint(out, suffix as u32);
        }
        if let Some(expiry) = self.expiry_ms {
            out.extend_from_slice(&expiry.to_le_bytes());
        }
        out.extend_from_slice(self.key.bytes());
        let head_crc = crc32(&out[start + 8..]);
        out[start..start + 4].copy_from_slice(&head_crc.to_le_bytes());
        out.extend_from_slice(self.value);
    }
}

/// Where and when a record is written.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// The id of the segment.
    pub segment: u32,
    /// The record's seq.
    pub seq: u64,
    /// The highest seq known to be durable; `None` for a record that is written outside of the log's order.
    pub durable_seq: Option<u64>,
}

fn value_crc(value: &[u8]) -> u32 {
    if value.is_empty() { 0 } else { crc32(value) }
}

fn durable_delta(seq: u64, durable_seq: Option<u64>) -> u32 {
    durable_seq
        .and_then(|d| u32::try_from(seq.checked_sub(d)?).ok())
        .unwrap_or(NOTHING_KNOWN)
}

fn varint_len(n: usize) -> usize {
    match n {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        0x20_0000..0x1000_0000 => 4,
        _ => 5,
    }
}

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

/// The whole key of a delete-object record: the seqs of the records that it removes, which must rise, stand in the suffix. So the head CRC
/// covers them, and they are known without reading a value.
pub fn delete_object_key(compared: &[u8], seqs: &[u64]) -> Vec<u8> {
    let mut key = compared.to_vec();
    key.extend(seqs.iter().flat_map(|seq| seq.to_le_bytes()));
    key
}

/// The seqs that the key of a delete-object record lists.
pub fn removed_seqs(key: Key<'_>) -> Option<Vec<u64>> {
    let (seqs, rest) = key.suffix().as_chunks::<8>();
    let seqs: Vec<u64> = seqs.iter().map(|seq| u64::from_le_bytes(*seq)).collect();
    (rest.is_empty() && !seqs.is_empty() && seqs.is_sorted_by(|a, b| a < b)).then_some(seqs)
}

/// The key of a batch's opening frame.
pub fn batch_key(count: u32, len: u32) -> [u8; 8] {
    let mut key = [0; 8];
    key[..4].copy_from_slice(&count.to_le_bytes());
    key[4..].copy_from_slice(&len.to_le_bytes());
    key
}

#[cfg(test)]
mod tests;
