//! A hint file: which records a sealed segment has and where, so that the keydir is loaded without reading the segment.
//!
//! ```text
//! offset size
//!      0    8  magic "bets.hnt"
//!      8    2  version
//!     10    2  zero
//!     12    4  segment id
//!     16    8  table id
//!     24    8  length of the segment
//!     32    8  its first seq
//!     40    8  its last seq
//!     48   12  zero
//!     60    4  CRC-32 of bytes 0 .. 60
//!     64       blocks, then the trailer
//!
//! block:   CRC-32 4, length of the entries 4, number of entries 4, seq 8, offset 4, entries
//! trailer: CRC-32 4, zero 4, number of blocks 4, number of entries 8
//!
//! entry:   kind (low 4 bits) and flags (high 4 bits) 1, seq varint, offset varint, frame length varint,
//!          key length varint, [suffix length varint], [expiry 8], key
//! ```
//!
//! A block's CRC is that of table id, segment id and the block's number, followed by the block's bytes behind the CRC; so a block that stands in
//! another place, or in another file, is refused. Seqs and offsets are told as distances from the entry before: the first entry's from the
//! block's own. The header is written last.

use super::record::{Kind, MAX_KEY_LEN};
use super::{Fields, VERSION, crc32, get_varint, put_varint};
use crate::Key;

const MAGIC: &[u8; 8] = b"bets.hnt";

/// Bytes before the first block.
pub const HEADER_LEN: usize = 64;
/// Bytes of a block before its entries.
pub const BLOCK_HEAD_LEN: usize = 24;
/// Bytes of the trailer.
pub const TRAILER_LEN: usize = 20;
/// A block is closed once its entries take so many bytes.
pub const BLOCK_LEN: usize = 64 << 10;

/// What stands before a key at most: kind, four varints and a longer one, expiry.
const MAX_ENTRY_HEAD_LEN: u64 = 1 + 4 * 5 + 10 + 8;
/// The longest entries of a block: one of the longest key may come when the block is nearly full.
const MAX_ENTRIES_LEN: u64 = BLOCK_LEN as u64 + MAX_KEY_LEN + MAX_ENTRY_HEAD_LEN;

const EXPIRY: u8 = 0x40;
const SUFFIX: u8 = 0x80;

/// The name of the hint file of a segment.
pub fn file_name(id: u32) -> String {
    format!("{id:010}.hint")
}

/// The id in a hint file's name, or `None` for any other name.
pub fn parse_file_name(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".hint")?;
    let id = digits.parse().ok()?;
    (digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit())).then_some(id)
}

/// The segment that a hint belongs to, as the manifest tells of it. A sealed segment never changes, so a hint that names all of this is
/// the segment's for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The table's id.
    pub table: u64,
    /// The segment's id.
    pub segment: u32,
    /// Its length in bytes.
    pub len: u64,
    /// Its lowest seq.
    pub first_seq: u64,
    /// Its highest seq.
    pub last_seq: u64,
}

/// Why a hint is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong(pub &'static str);

/// A record as a hint tells of it. Batches' headers, commits and marks have none.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// What the record does: put, delete, delete-object or clear.
    pub kind: Kind,
    /// Its seq.
    pub seq: u64,
    /// Where its frame stands in the segment, in bytes.
    pub offset: u32,
    /// The length of its frame, in bytes.
    pub frame_len: u32,
    /// When it expires, in milliseconds since 1970.
    pub expiry_ms: Option<u64>,
    /// Its whole key, as in the frame.
    pub key: Key<'a>,
}

/// The header of a hint.
pub fn header(identity: &Identity) -> [u8; HEADER_LEN] {
    let mut out = [0; HEADER_LEN];
    out[..8].copy_from_slice(MAGIC);
    out[8..10].copy_from_slice(&VERSION.to_le_bytes());
    out[12..16].copy_from_slice(&identity.segment.to_le_bytes());
    out[16..24].copy_from_slice(&identity.table.to_le_bytes());
    out[24..32].copy_from_slice(&identity.len.to_le_bytes());
    out[32..40].copy_from_slice(&identity.first_seq.to_le_bytes());
    out[40..48].copy_from_slice(&identity.last_seq.to_le_bytes());
    let crc = crc32(&out[..60]);
    out[60..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Whether this is the header of the segment's hint.
pub fn check_header(bytes: &[u8; HEADER_LEN], identity: &Identity) -> Result<(), Wrong> {
    // Every byte of the header follows from the identity.
    if *bytes == header(identity) {
        Ok(())
    } else {
        Err(Wrong("the hint belongs to another segment, or is damaged"))
    }
}

/// The CRC that a block begins with.
fn block_crc(table: u64, segment: u32, number: u32, bytes: &[u8]) -> u32 {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&table.to_le_bytes());
    place[8..12].copy_from_slice(&segment.to_le_bytes());
    place[12..].copy_from_slice(&number.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new_with_initial(crc32(&place));
    hasher.update(bytes);
    hasher.finalize()
}

/// Makes the blocks of a hint.
#[derive(Debug)]
pub struct Encoder {
    table: u64,
    segment: u32,
    /// Blocks and entries that were taken.
    blocks: u32,
    entries: u64,
    /// The block that is being filled, its head included.
    block: Vec<u8>,
    count: u32,
    seq: u64,
    offset: u64,
}

impl Encoder {
    /// For the hint of this segment.
    pub fn new(table: u64, segment: u32) -> Self {
        Encoder {
            table,
            segment,
            blocks: 0,
            entries: 0,
            block: Vec::new(),
            count: 0,
            seq: 0,
            offset: 0,
        }
    }

    /// Adds an entry. Entries come in the order of the segment, their seqs rising. `true` if the block has to be taken now.
    pub fn push(&mut self, entry: &Entry<'_>) -> bool {
        if self.count == 0 {
            self.block.clear();
            self.block.resize(BLOCK_HEAD_LEN, 0);
            self.block[12..20].copy_from_slice(&entry.seq.to_le_bytes());
            self.block[20..24].copy_from_slice(&entry.offset.to_le_bytes());
            (self.seq, self.offset) = (entry.seq, u64::from(entry.offset));
        }
        let suffix = entry.key.suffix().len();
        let mut bits = entry.kind as u8;
        bits |= if entry.expiry_ms.is_some() { EXPIRY } else { 0 };
        bits |= if suffix > 0 { SUFFIX } else { 0 };
        let out = &mut self.block;
        out.push(bits);
        put_varint64(out, entry.seq.wrapping_sub(self.seq));
        put_varint(out, u64::from(entry.offset).wrapping_sub(self.offset) as u32);
        put_varint(out, entry.frame_len);
        put_varint(out, entry.key.bytes().len() as u32);
        if suffix > 0 {
            put_varint(out, suffix as u32);
        }
        if let Some(expiry) = entry.expiry_ms {
            out.extend_from_slice(&expiry.to_le_bytes());
        }
        out.extend_from_slice(entry.key.bytes());
        self.seq = entry.seq;
        self.offset = u64::from(entry.offset) + u64::from(entry.frame_len);
        self.count += 1;
        self.block.len() - BLOCK_HEAD_LEN >= BLOCK_LEN
    }

    /// Ends the block and gives its bytes, none if it has no entries.
    pub fn take(&mut self) -> &[u8] {
        if self.count == 0 {
            return &[];
        }
        let len = (self.block.len() - BLOCK_HEAD_LEN) as u32;
        self.block[4..8].copy_from_slice(&len.to_le_bytes());
        self.block[8..12].copy_from_slice(&self.count.to_le_bytes());
        let crc = block_crc(self.table, self.segment, self.blocks, &self.block[4..]);
        self.block[..4].copy_from_slice(&crc.to_le_bytes());
        self.blocks += 1;
        self.entries += u64::from(self.count);
        self.count = 0;
        &self.block
    }

    /// What stands behind the last block. The block that was being filled must have been taken.
    pub fn trailer(&self) -> [u8; TRAILER_LEN] {
        let mut out = [0; TRAILER_LEN];
        out[8..12].copy_from_slice(&self.blocks.to_le_bytes());
        out[12..].copy_from_slice(&self.entries.to_le_bytes());
        let crc = block_crc(self.table, self.segment, self.blocks, &out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }
}

/// The bytes of entries that a block has, from its first [`TRAILER_LEN`] bytes; 0 for the trailer. Not checked by any CRC yet: good for finding
/// out how much to read.
pub fn entries_len(head: &[u8; TRAILER_LEN]) -> Result<usize, Wrong> {
    let len = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    if u64::from(len) > MAX_ENTRIES_LEN {
        return Err(Wrong("a block of the hint is too long"));
    }
    Ok(len as usize)
}

/// Checks the trailer behind `blocks` blocks with `entries` entries.
pub fn check_trailer(
    identity: &Identity,
    blocks: u32,
    entries: u64,
    bytes: &[u8; TRAILER_LEN],
) -> Result<(), Wrong> {
    let encoder = Encoder {
        blocks,
        entries,
        ..Encoder::new(identity.table, identity.segment)
    };
    if *bytes == encoder.trailer() {
        Ok(())
    } else {
        Err(Wrong("the hint does not end where it should"))
    }
}

/// The number of entries that a block says it has, from its first bytes, unchecked as they are.
pub fn entry_count(head: &[u8; TRAILER_LEN]) -> u32 {
    u32::from_le_bytes([head[8], head[9], head[10], head[11]])
}

/// A block that passed its CRC.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    entries: Fields<'a>,
    left: u32,
    seq: u64,
    offset: u64,
    last_seq: u64,
    end: u64,
}

impl<'a> Block<'a> {
    /// Checks the bytes of block number `number`.
    pub fn check(identity: &Identity, number: u32, bytes: &'a [u8]) -> Result<Block<'a>, Wrong> {
        let parsed = (|| {
            let mut fields = Fields(bytes);
            let crc = fields.u32()?;
            if crc != block_crc(identity.table, identity.segment, number, fields.0) {
                return None;
            }
            let (len, left) = (fields.u32()?, fields.u32()?);
            let (seq, offset) = (fields.u64()?, fields.u32()?);
            (fields.0.len() == len as usize && left > 0).then_some(Block {
                entries: fields,
                left,
                seq,
                offset: u64::from(offset),
                last_seq: identity.last_seq,
                end: identity.len,
            })
        })();
        parsed.ok_or(Wrong("the CRC of a block of the hint does not match"))
    }

    /// Bytes of the entries that were not read yet: where in the block the next one begins, counted from the block's end.
    pub fn bytes_left(&self) -> usize {
        self.entries.0.len()
    }

    /// The next entry. An error means that the writer of the hint was wrong: nothing of it counts.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'a>>, Wrong> {
        if self.left == 0 {
            return if self.entries.0.is_empty() {
                Ok(None)
            } else {
                Err(Wrong("a block of the hint has more bytes than entries"))
            };
        }
        let entry = self.entry().ok_or(Wrong("an entry of the hint is malformed"))?;
        self.left -= 1;
        Ok(Some(entry))
    }

    #[inline]
    fn entry(&mut self) -> Option<Entry<'a>> {
        let bits = self.entries.u8()?;
        let kind = match bits & 0x0f {
            1 => Kind::Put,
            2 => Kind::Delete,
            3 => Kind::DeleteObject,
            4 => Kind::Clear,
            _ => return None,
        };
        if bits & 0x30 != 0 {
            return None;
        }
        let seq = self.seq.checked_add(self.varint64()?)?;
        let offset = self.offset.checked_add(u64::from(self.varint()?))?;
        let frame_len = self.varint()?;
        let key_len = self.varint()? as usize;
        let suffix_len = if bits & SUFFIX == 0 {
            0
        } else {
            self.varint()? as usize
        };
        let expiry_ms = if bits & EXPIRY == 0 {
            None
        } else {
            Some(self.entries.u64()?)
        };
        let key = self.entries.bytes(key_len)?;
        self.seq = seq;
        self.offset = offset + u64::from(frame_len);
        let fits = seq <= self.last_seq && self.offset <= self.end;
        Some(Entry {
            kind,
            seq,
            offset: u32::try_from(offset).ok().filter(|_| fits)?,
            frame_len,
            expiry_ms,
            key: Key::new(key, key_len.checked_sub(suffix_len)?),
        })
    }

    #[inline]
    fn varint(&mut self) -> Option<u32> {
        let (n, len) = get_varint(self.entries.0)?;
        self.entries.0 = &self.entries.0[len..];
        Some(n)
    }

    #[inline]
    fn varint64(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for (i, &byte) in self.entries.0.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if i == 9 && bits > 1 {
                return None;
            }
            n |= bits << (7 * i);
            if byte < 0x80 {
                self.entries.0 = &self.entries.0[i + 1..];
                return (byte != 0 || i == 0).then_some(n);
            }
        }
        None
    }
}

/// Appends an unsigned LEB128 number: at most ten bytes.
fn put_varint64(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

#[cfg(test)]
mod tests;
