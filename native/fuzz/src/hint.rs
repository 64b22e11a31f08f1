//! Hints: a wrong one is refused, and one that passes has its records in order and inside its segment.

use std::path::{Path, PathBuf};

use bets_engine::Key;
use bets_engine::format::hint::{BLOCK_HEAD_LEN, Entry, HEADER_LEN, Identity, TRAILER_LEN, header};
use bets_engine::io::Storage;
use bets_engine::io::sim::Sim;
use bets_engine::segment::hint::{HintReader, HintWriter, path};

use crate::memory::Bound;
use crate::mended;

const DIR: &str = "/t";

const IDENTITY: Identity = Identity {
    table: 99,
    segment: 3,
    len: 1 << 30,
    first_seq: 10,
    last_seq: 1 << 40,
};

pub fn check(data: &[u8]) {
    let (mend, bytes) = mended(data);
    let bytes = if mend { mend_hint(bytes) } else { bytes.to_vec() };
    let sim = Sim::new();
    let dir = PathBuf::from(DIR);
    sim.create_dir_all(&dir).unwrap();
    let place = path(&dir, IDENTITY.segment);
    sim.write(&place, &bytes).unwrap();
    // What the check itself keeps is not counted: the entries are looked at as they come.
    let read = Bound::FILE.watch(bytes.len(), || entries(&sim, |_| {}));
    if read {
        write_again(&sim, &bytes);
    }
}

/// What a block is made of: two bytes for the length of its entries, two for their number, 8 for the seq and 4 for the offset.
const BLOCK_SEED: usize = 16;

/// A hint whose header, lengths and CRCs are right, with the bytes as its blocks. What is too short for a block is left out.
fn mend_hint(bytes: &[u8]) -> Vec<u8> {
    let mut out = header(&IDENTITY).to_vec();
    let (mut blocks, mut entries) = (0u32, 0u64);
    let mut rest = bytes;
    while let Some((seed, behind)) = rest.split_first_chunk::<BLOCK_SEED>() {
        let len = usize::from(u16::from_le_bytes([seed[0], seed[1]])).clamp(1, behind.len().max(1));
        let count = u16::from_le_bytes([seed[2], seed[3]]);
        let Some((body, next)) = behind.split_at_checked(len) else {
            break;
        };
        let mut block = Vec::with_capacity(BLOCK_HEAD_LEN + len);
        block.extend_from_slice(&[0; 4]);
        block.extend_from_slice(&(len as u32).to_le_bytes());
        block.extend_from_slice(&u32::from(count).to_le_bytes());
        block.extend_from_slice(&seed[4..]);
        block.extend_from_slice(body);
        let crc = block_crc(blocks, &block[4..]);
        block[..4].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&block);
        blocks += 1;
        entries += u64::from(count);
        rest = next;
    }
    let mut trailer = [0; TRAILER_LEN];
    trailer[8..12].copy_from_slice(&blocks.to_le_bytes());
    trailer[12..].copy_from_slice(&entries.to_le_bytes());
    let crc = block_crc(blocks, &trailer[4..]);
    trailer[..4].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&trailer);
    out
}

/// As `docs/format.md` has it.
fn block_crc(number: u32, bytes: &[u8]) -> u32 {
    let mut place = IDENTITY.table.to_le_bytes().to_vec();
    place.extend_from_slice(&IDENTITY.segment.to_le_bytes());
    place.extend_from_slice(&number.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new_with_initial(crc32fast::hash(&place));
    hasher.update(bytes);
    hasher.finalize()
}

/// Whether the hint is read to its end. Each entry is in order and inside the segment.
fn entries(sim: &Sim, mut each: impl FnMut(&Entry<'_>)) -> bool {
    let Ok(reader) = HintReader::open(sim, Path::new(DIR), IDENTITY) else {
        return false;
    };
    let (mut seq, mut end) = (0, 0);
    reader
        .for_each(|entry| {
            assert!(entry.seq > seq && entry.seq <= IDENTITY.last_seq);
            assert!(u64::from(entry.offset) >= end);
            (seq, end) = (entry.seq, u64::from(entry.offset) + u64::from(entry.frame_len));
            assert!(end <= IDENTITY.len);
            each(entry);
        })
        .is_ok()
}

/// The same entries make a hint that has the same entries.
fn write_again(sim: &Sim, bytes: &[u8]) {
    assert!(bytes.len() >= HEADER_LEN + TRAILER_LEN);
    let mut first = Vec::new();
    let keep = |all: &mut Vec<_>| {
        entries(sim, |entry| {
            let key = (entry.key.bytes().to_vec(), entry.key.suffix().len());
            all.push((
                entry.kind,
                entry.seq,
                entry.offset,
                entry.frame_len,
                entry.expiry_ms,
                key,
            ));
        })
    };
    assert!(keep(&mut first));
    let mut writer = HintWriter::create(sim, Path::new(DIR), IDENTITY.table, IDENTITY.segment).unwrap();
    for (kind, seq, offset, frame_len, expiry_ms, (key, suffix)) in &first {
        let entry = Entry {
            kind: *kind,
            seq: *seq,
            offset: *offset,
            frame_len: *frame_len,
            expiry_ms: *expiry_ms,
            key: Key::new(key, key.len() - suffix),
        };
        writer.add(&entry).unwrap();
    }
    writer.finish(&IDENTITY).unwrap();
    let mut second = Vec::new();
    assert!(keep(&mut second));
    assert_eq!(first, second);
}
