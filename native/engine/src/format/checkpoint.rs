//! The checkpoint: the keydir as a clean close left it, so that the next opening need not build it.
//!
//! ```text
//! offset size
//!      0    8  magic "bets.chk"
//!      8    2  version
//!     10    2  zero
//!     12    4  CRC of the manifest that the close published
//!     16    8  table id
//!     24    8  generation of that manifest
//!     32    8  number of objects
//!     40    8  offset of the tail
//!     48    4  length of the tail
//!     52    4  CRC-32 of the tail
//!     56    4  zero
//!     60    4  CRC-32 of bytes 0 .. 60
//!     64       sections, then the tail
//!
//! section: for each key: varint (key length << 1 | more), if more: varint (suffix length << 1 | expires), key, objects
//! objects: location 8, [deadline 8, if it expires]; in a bag: count varint, then for each location 8, seq 8, fingerprint 4, [deadline 8]
//!
//! tail:    number of segments 4, for each: id 4, number of long frames 4, live bytes 8, kept bytes 8, then for each long frame: offset 4, length 4
//!          number of sections 4, for each: length 4, number of keys 4, CRC-32 4
//! ```
//!
//! A location is as in the keydir, with the segment's place in the tail as its slot. Of a table in hash order there are 256 sections, one for each value of
//! the hash's first eight bits, the keys of each in the order of hash and key; of an ordered one, sections of some length in the order of the keys.

use super::{Fields, crc32, get_varint, put_varint};
use crate::keydir::{Entry, Location};
use crate::{Deadline, Key};

/// The checkpoint's file.
pub const FILE: &str = "CHECKPOINT";

const MAGIC: &[u8; 8] = b"bets.chk";

/// The version of this file alone: one of another version is done without. The first one had no deadlines, the second one no kept bytes.
const VERSION: u16 = 3;

/// Bytes before the first section.
pub const HEADER_LEN: usize = 64;

/// What a checkpoint belongs to: one manifest of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The table's id.
    pub table: u64,
    /// The generation of the manifest.
    pub generation: u64,
    /// The manifest's CRC.
    pub manifest_crc: u32,
}

/// What stands before the sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it belongs to.
    pub identity: Identity,
    /// Objects in all.
    pub objects: u64,
    /// Where the tail stands.
    pub tail: u64,
    /// Its length in bytes.
    pub tail_len: u32,
    /// Its CRC.
    pub tail_crc: u32,
}

/// What is told of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentPart {
    /// Its id.
    pub id: u32,
    /// Bytes of frames of live objects.
    pub live_bytes: u64,
    /// Bytes of tombstones and the like that the merge that wrote it could not drop.
    pub kept_bytes: u64,
    /// Those among them whose length a location cannot tell: offset and length.
    pub long: Vec<(u32, u32)>,
}

/// Bytes of a location.
const LOCATION_LEN: usize = 8;
/// Few tables have longer keys on average.
const USUAL_KEY_LEN: usize = 64;

/// What is told of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionPart {
    /// Its length in bytes.
    pub len: u32,
    /// Its number of keys.
    pub keys: u32,
    /// Its CRC.
    pub crc: u32,
}

impl SectionPart {
    /// What is told of this section.
    pub fn of(bytes: &[u8], keys: u32) -> Self {
        SectionPart {
            len: bytes.len() as u32,
            keys,
            crc: crc32(bytes),
        }
    }

    /// About how many bytes its keys take, with their lengths. Of a bag's, which come with an unknown number of objects, no more than is usual.
    pub fn key_bytes(&self) -> usize {
        let (len, keys) = (self.len as usize, self.keys as usize);
        len.saturating_sub(keys * LOCATION_LEN).min(keys * USUAL_KEY_LEN)
    }

    /// Whether these are the section's bytes.
    pub fn fits(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.len as usize && crc32(bytes) == self.crc
    }
}

/// What stands behind the sections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// The segments that locations name by their place in this list.
    pub segments: Vec<SegmentPart>,
    /// The sections, which stand one behind the other.
    pub sections: Vec<SectionPart>,
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[..8].copy_from_slice(MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.identity.manifest_crc.to_le_bytes());
        out[16..24].copy_from_slice(&self.identity.table.to_le_bytes());
        out[24..32].copy_from_slice(&self.identity.generation.to_le_bytes());
        out[32..40].copy_from_slice(&self.objects.to_le_bytes());
        out[40..48].copy_from_slice(&self.tail.to_le_bytes());
        out[48..52].copy_from_slice(&self.tail_len.to_le_bytes());
        out[52..56].copy_from_slice(&self.tail_crc.to_le_bytes());
        let crc = crc32(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header. `None` if it is not right in every byte, or of another version.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Option<Header> {
        let mut fields = Fields(&bytes[12..]);
        let manifest_crc = fields.u32()?;
        let (table, generation) = (fields.u64()?, fields.u64()?);
        let header = Header {
            identity: Identity {
                table,
                generation,
                manifest_crc,
            },
            objects: fields.u64()?,
            tail: fields.u64()?,
            tail_len: fields.u32()?,
            tail_crc: fields.u32()?,
        };
        (header.encode() == *bytes).then_some(header)
    }
}

impl Tail {
    /// The tail's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + self.segments.len() * 16 + self.sections.len() * 12);
        out.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        for segment in &self.segments {
            out.extend_from_slice(&segment.id.to_le_bytes());
            out.extend_from_slice(&(segment.long.len() as u32).to_le_bytes());
            out.extend_from_slice(&segment.live_bytes.to_le_bytes());
            out.extend_from_slice(&segment.kept_bytes.to_le_bytes());
            for (offset, len) in &segment.long {
                out.extend_from_slice(&offset.to_le_bytes());
                out.extend_from_slice(&len.to_le_bytes());
            }
        }
        out.extend_from_slice(&(self.sections.len() as u32).to_le_bytes());
        for section in &self.sections {
            for n in [section.len, section.keys, section.crc] {
                out.extend_from_slice(&n.to_le_bytes());
            }
        }
        out
    }

    /// Reads the tail that a header tells of; allocates no more than its bytes can back.
    pub fn decode(header: &Header, bytes: &[u8]) -> Option<Tail> {
        if bytes.len() != header.tail_len as usize || crc32(bytes) != header.tail_crc {
            return None;
        }
        let mut fields = Fields(bytes);
        let mut tail = Tail::default();
        for _ in 0..fields.u32()? {
            let (id, count) = (fields.u32()?, fields.u32()? as usize);
            let (live_bytes, kept_bytes) = (fields.u64()?, fields.u64()?);
            let (pairs, rest) = fields.bytes(count.checked_mul(8)?)?.as_chunks::<8>();
            let pair = |raw: &[u8; 8]| {
                let both = u64::from_le_bytes(*raw);
                (both as u32, (both >> 32) as u32)
            };
            debug_assert!(rest.is_empty());
            tail.segments.push(SegmentPart {
                id,
                live_bytes,
                kept_bytes,
                long: pairs.iter().map(pair).collect(),
            });
        }
        let mut end = HEADER_LEN as u64;
        for _ in 0..fields.u32()? {
            let section = SectionPart {
                len: fields.u32()?,
                keys: fields.u32()?,
                crc: fields.u32()?,
            };
            // A key takes nine bytes at least: what counts on the number may allocate for it.
            if section.keys > section.len / 9 {
                return None;
            }
            end += u64::from(section.len);
            tail.sections.push(section);
        }
        (fields.0.is_empty() && end == header.tail).then_some(tail)
    }
}

/// Appends a key, its location and its deadline to a section.
pub fn put_one(out: &mut Vec<u8>, key: Key<'_>, location: Location, deadline: Deadline) {
    put_key(out, key, deadline != Deadline::NEVER);
    out.extend_from_slice(&location.to_bits().to_le_bytes());
    if let Some(ms) = deadline.ms() {
        out.extend_from_slice(&ms.to_le_bytes());
    }
}

/// Appends a key and its objects to a section of a bag. `expires` says whether one of them may expire.
pub fn put_objects(
    out: &mut Vec<u8>,
    key: Key<'_>,
    objects: impl ExactSizeIterator<Item = Entry>,
    expires: bool,
) {
    put_key(out, key, expires);
    put_varint(out, objects.len() as u32);
    for object in objects {
        out.extend_from_slice(&object.location.to_bits().to_le_bytes());
        out.extend_from_slice(&object.seq.to_le_bytes());
        out.extend_from_slice(&object.fingerprint.to_le_bytes());
        if expires {
            let ms = object.deadline.ms().unwrap_or(u64::MAX);
            out.extend_from_slice(&ms.to_le_bytes());
        }
    }
}

fn put_key(out: &mut Vec<u8>, key: Key<'_>, expires: bool) {
    let suffix = key.suffix().len();
    let more = suffix > 0 || expires;
    put_varint(out, (key.bytes().len() as u32) << 1 | u32::from(more));
    if more {
        put_varint(out, (suffix as u32) << 1 | u32::from(expires));
    }
    out.extend_from_slice(key.bytes());
}

/// Reads a section whose CRC was right.
#[derive(Clone, Debug)]
pub struct Section<'a>(Fields<'a>);

impl<'a> Section<'a> {
    /// Reads these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Section(Fields(bytes))
    }

    /// Whether all of it was read.
    pub fn is_done(&self) -> bool {
        self.0.0.is_empty()
    }

    /// The next key, its location and its deadline.
    #[inline]
    pub fn one(&mut self) -> Option<(Key<'a>, Location, Deadline)> {
        let (key, expires) = self.key()?;
        let location = Location::from_bits(self.0.u64()?);
        Some((key, location, self.deadline(expires)?))
    }

    #[inline]
    fn deadline(&mut self, expires: bool) -> Option<Deadline> {
        let ms = if expires { self.0.u64()? } else { u64::MAX };
        Some(Deadline::at(ms))
    }

    /// The next key of a bag; its objects take the place of those in `objects`.
    pub fn objects(&mut self, objects: &mut Vec<Entry>) -> Option<Key<'a>> {
        let (key, expires) = self.key()?;
        objects.clear();
        for _ in 0..self.varint()? {
            objects.push(Entry {
                location: Location::from_bits(self.0.u64()?),
                seq: self.0.u64()?,
                fingerprint: self.0.u32()?,
                deadline: self.deadline(expires)?,
            });
        }
        let rises = objects.is_sorted_by(|a, b| a.seq < b.seq);
        (rises && !objects.is_empty()).then_some(key)
    }

    #[inline]
    fn key(&mut self) -> Option<(Key<'a>, bool)> {
        let word = self.varint()?;
        let more = if word & 1 == 0 { 0 } else { self.varint()? };
        let bytes = self.0.bytes((word >> 1) as usize)?;
        let compared = bytes.len().checked_sub((more >> 1) as usize)?;
        Some((Key::new(bytes, compared), more & 1 != 0))
    }

    #[inline]
    fn varint(&mut self) -> Option<u32> {
        let (n, len) = get_varint(self.0.0)?;
        self.0.0 = &self.0.0[len..];
        Some(n)
    }
}

#[cfg(test)]
mod tests;
