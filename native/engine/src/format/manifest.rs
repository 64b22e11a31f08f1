//! The manifest: which segments make up the table, and what never changes about it.
//!
//! ```text
//! offset size
//!      0    8  magic "bets.man"
//!      8    2  version
//!     10    2  zero
//!     12    4  length of the body
//!     16       body
//!           4  CRC-32 of all before it
//!
//! body: generation 8, table id 8, hash seed 8, last seq 8, clock 8, type 1, equality 1, zero 2, keypos 4, next segment id 4,
//!       name length 4, name, number of segments 4, then for each: id 4, state 1, zero 3, length 8, first seq 8, last seq 8;
//!       behind them, for each retired segment: id 4
//! ```

use super::{Fields, MAX_SEQ, VERSION, crc32};
use crate::table::{Meta, TableKind};

/// The manifest's file.
pub const FILE: &str = "MANIFEST";
/// Where the next manifest is prepared.
pub const NEW_FILE: &str = "MANIFEST.new";
/// What the manifest is called once its table is deleted.
pub const DELETED_FILE: &str = "DELETED";

/// The longest manifest that is read, in bytes: 65,535 segments and a name.
pub const MAX_LEN: u64 = 4 << 20;

const MAGIC: &[u8; 8] = b"bets.man";
const SEGMENT_LEN: usize = 32;

/// Whether a segment may still be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It may hold records that are not durable yet; its end is found by reading it.
    Unsealed,
    /// Every record up to its length is durable.
    Sealed,
}

/// What the manifest tells of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The segment's id.
    pub id: u32,
    /// Whether it may still be written to.
    pub state: State,
    /// Where its last record ends, in bytes, if sealed. The file may be longer; what is beyond is not the table's.
    pub len: u64,
    /// Its lowest seq, if sealed and not empty.
    pub first_seq: u64,
    /// Its highest seq, if sealed and not empty.
    pub last_seq: u64,
}

/// A table's manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Rises by one with every manifest of the table.
    pub generation: u64,
    /// A random number that all files of the table carry.
    pub table: u64,
    /// The seed of the key hash.
    pub hash_seed: u64,
    /// Every record up to this seq is in a sealed segment, or has been merged away. Unsealed segments go on from there.
    pub last_seq: u64,
    /// The highest time of the wall clock that was used, in milliseconds since 1970.
    pub clock_ms: u64,
    /// Type, keypos, name.
    pub meta: Meta,
    /// No segment has this id or a higher one yet.
    pub next_segment: u32,
    /// The table's segments, in the order of their ids.
    pub segments: Vec<Entry>,
    /// Segments that are no part of the table any more, whose files stay while snapshots may read them; in the order of their ids.
    pub retired: Vec<u32>,
}

/// Why a manifest is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadManifest {
    /// Written by a newer version.
    Newer(u16),
    /// Not what any writer wrote.
    Wrong(&'static str),
}

impl Manifest {
    /// The manifest's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(64 + self.meta.name.len() + self.segments.len() * SEGMENT_LEN);
        for n in [
            self.generation,
            self.table,
            self.hash_seed,
            self.last_seq,
            self.clock_ms,
        ] {
            body.extend_from_slice(&n.to_le_bytes());
        }
        body.extend_from_slice(&[self.meta.kind as u8, self.meta.equality, 0, 0]);
        for n in [self.meta.keypos, self.next_segment, self.meta.name.len() as u32] {
            body.extend_from_slice(&n.to_le_bytes());
        }
        body.extend_from_slice(&self.meta.name);
        body.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        for segment in &self.segments {
            body.extend_from_slice(&segment.id.to_le_bytes());
            body.extend_from_slice(&[u8::from(segment.state == State::Sealed), 0, 0, 0]);
            for n in [segment.len, segment.first_seq, segment.last_seq] {
                body.extend_from_slice(&n.to_le_bytes());
            }
        }
        for id in &self.retired {
            body.extend_from_slice(&id.to_le_bytes());
        }
        let mut out = Vec::with_capacity(body.len() + 20);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&body);
        let crc = crc32(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// The CRC that its bytes end with.
    pub fn crc(&self) -> u32 {
        let bytes = self.encode();
        bytes.last_chunk().map_or(0, |crc| u32::from_le_bytes(*crc))
    }

    /// Reads a manifest's bytes; allocates no more than they can back.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, BadManifest> {
        if bytes.get(..8) != Some(MAGIC) {
            return Err(BadManifest::Wrong("this is no manifest"));
        }
        let Some((checked, crc)) = bytes.split_last_chunk::<4>() else {
            return Err(BadManifest::Wrong("the manifest is cut off"));
        };
        if u32::from_le_bytes(*crc) != crc32(checked) {
            return Err(BadManifest::Wrong("the manifest's CRC does not match"));
        }
        let mut fields = Fields(&checked[8..]);
        let version = fields.u16().unwrap_or(0);
        if version > VERSION {
            return Err(BadManifest::Newer(version));
        }
        if version == 0 {
            return Err(BadManifest::Wrong("the manifest is malformed"));
        }
        Self::decode_fields(&mut fields).ok_or(BadManifest::Wrong("the manifest is malformed"))
    }

    fn decode_fields(fields: &mut Fields<'_>) -> Option<Manifest> {
        if fields.u16()? != 0 || fields.u32()? as usize != fields.0.len() {
            return None;
        }
        let (generation, table, hash_seed) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (last_seq, clock_ms) = (fields.u64()?, fields.u64()?);
        if generation.max(last_seq) > MAX_SEQ {
            return None;
        }
        let (kind, equality) = (TableKind::from_u8(fields.u8()?)?, fields.u8()?);
        if fields.u16()? != 0 {
            return None;
        }
        let (keypos, next_segment) = (fields.u32()?, fields.u32()?);
        let name_len = fields.u32()? as usize;
        let name = fields.bytes(name_len)?.to_vec();
        let count = fields.u32()? as usize;
        let retired_len = fields.0.len().checked_sub(count.checked_mul(SEGMENT_LEN)?)?;
        if keypos == 0 || retired_len % 4 != 0 {
            return None;
        }
        let mut segments = Vec::with_capacity(count);
        for _ in 0..count {
            let id = fields.u32()?;
            let state = match fields.u32()? {
                0 => State::Unsealed,
                1 => State::Sealed,
                _ => return None,
            };
            let entry = Entry {
                id,
                state,
                len: fields.u64()?,
                first_seq: fields.u64()?,
                last_seq: fields.u64()?,
            };
            if entry.last_seq > MAX_SEQ
                || entry.first_seq > entry.last_seq
                || id >= next_segment
                || segments.last().is_some_and(|last: &Entry| last.id >= id)
            {
                return None;
            }
            segments.push(entry);
        }
        let mut retired = Vec::with_capacity(retired_len / 4);
        for _ in 0..retired_len / 4 {
            let id = fields.u32()?;
            let named = segments
                .binary_search_by_key(&id, |entry: &Entry| entry.id)
                .is_ok();
            if id >= next_segment || named || retired.last().is_some_and(|&last| last >= id) {
                return None;
            }
            retired.push(id);
        }
        let meta = Meta {
            kind,
            keypos,
            equality,
            name,
        };
        Some(Manifest {
            generation,
            table,
            hash_seed,
            last_seq,
            clock_ms,
            meta,
            next_segment,
            segments,
            retired,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Manifest {
        Manifest {
            generation: 5,
            table: 0x1234_5678_9abc_def0,
            hash_seed: 42,
            last_seq: 79,
            clock_ms: 1_700_000_000_000,
            meta: Meta {
                kind: TableKind::Set,
                keypos: 2,
                equality: 1,
                name: b"name".to_vec(),
            },
            next_segment: 9,
            segments: vec![
                Entry {
                    id: 3,
                    state: State::Sealed,
                    len: 1 << 33,
                    first_seq: 1,
                    last_seq: 77,
                },
                Entry {
                    id: 8,
                    state: State::Unsealed,
                    len: 0,
                    first_seq: 0,
                    last_seq: 0,
                },
            ],
            retired: vec![1, 7],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Manifest::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let good = sample().encode();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&bad).is_err(), "bit {bit}");
        }
        for cut in 0..good.len() {
            assert!(Manifest::decode(&good[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut newer = sample().encode();
        newer[8..10].copy_from_slice(&(VERSION + 1).to_le_bytes());
        let end = newer.len() - 4;
        let crc = crc32(&newer[..end]);
        newer[end..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Manifest::decode(&newer), Err(BadManifest::Newer(VERSION + 1)));
    }

    /// Found by the fuzzer of manifests: version 0, which there never was, was read as the current one.
    /// A fuzzer found that the seq behind the highest there is was computed.
    #[test]
    fn seqs_and_generations_are_never_near_their_end() {
        let with = |change: fn(&mut Manifest)| {
            let mut manifest = sample();
            change(&mut manifest);
            Manifest::decode(&manifest.encode())
        };
        assert!(with(|manifest| manifest.last_seq = MAX_SEQ).is_ok());
        assert!(with(|manifest| manifest.last_seq = MAX_SEQ + 1).is_err());
        assert!(with(|manifest| manifest.generation = u64::MAX).is_err());
        assert!(with(|manifest| manifest.segments[0].last_seq = u64::MAX).is_err());
        assert!(with(|manifest| manifest.segments[0].first_seq = 78).is_err());
    }

    #[test]
    fn no_version_is_zero() {
        let mut bytes = sample().encode();
        bytes[8..10].fill(0);
        let end = bytes.len() - 4;
        let crc = crc32(&bytes[..end]);
        bytes[end..].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(Manifest::decode(&bytes), Err(BadManifest::Wrong(_))));
    }

    proptest! {
        #[test]
        fn hostile_bytes_with_a_right_crc_are_refused_or_read(body: Vec<u8>) {
            let mut bytes = MAGIC.to_vec();
            bytes.extend_from_slice(&VERSION.to_le_bytes());
            bytes.extend_from_slice(&[0, 0]);
            bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&body);
            let crc = crc32(&bytes);
            bytes.extend_from_slice(&crc.to_le_bytes());
            let _ = Manifest::decode(&bytes);
        }
    }
}
