//! A record to be written: what it does and holds, and how it becomes a frame, whose layout [`frame`](super::frame) shows.

use super::{crc32, put_varint};
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
    pub(super) fn from_bits(bits: u8) -> Option<Kind> {
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
pub(super) const COMPRESSED: u8 = 0x10;
/// The record is a member of a batch.
pub(super) const MEMBER: u8 = 0x20;
/// The record expires.
pub(super) const EXPIRY: u8 = 0x40;
/// The key ends with bytes that are not compared.
pub(super) const SUFFIX: u8 = 0x80;

/// The longest key and value, in bytes.
pub const MAX_KEY_LEN: u64 = 64 << 20;
/// The longest value, in bytes.
pub const MAX_VALUE_LEN: u64 = 1 << 30;

pub(super) const NOTHING_KNOWN: u32 = u32::MAX;

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
    pub(super) value_crc: u32,
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

pub(super) fn value_crc(value: &[u8]) -> u32 {
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

/// The whole key of a delete-object record: the seqs of the records that it removes, which must rise, stand in the suffix. So the head CRC
/// covers them, and they are known without reading a value.
pub fn delete_object_key(compared: &[u8], seqs: &[u64]) -> Vec<u8> {
    let mut key = compared.to_vec();
    key.extend(seqs.iter().flat_map(|seq| seq.to_le_bytes()));
    key
}

/// The key of a batch's opening frame.
pub fn batch_key(count: u32, len: u32) -> [u8; 8] {
    let mut key = [0; 8];
    key[..4].copy_from_slice(&count.to_le_bytes());
    key[4..].copy_from_slice(&len.to_le_bytes());
    key
}
