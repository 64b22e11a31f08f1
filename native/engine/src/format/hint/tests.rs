//! Hints: what is written is read, and nothing else is.

use super::*;
use proptest::prelude::*;

const IDENTITY: Identity = Identity {
    table: 0x0123_4567_89ab_cdef,
    segment: 7,
    len: 1 << 32,
    first_seq: 3,
    last_seq: u64::MAX,
};

/// What a test keeps of an entry.
type Kept = (u8, u64, u32, u32, Option<u64>, Vec<u8>, usize);

fn kept(entry: &Entry<'_>) -> Kept {
    (
        entry.kind as u8,
        entry.seq,
        entry.offset,
        entry.frame_len,
        entry.expiry_ms,
        entry.key.bytes().to_vec(),
        entry.key.suffix().len(),
    )
}

fn kind(n: u8) -> Kind {
    [Kind::Put, Kind::Delete, Kind::DeleteObject, Kind::Clear][usize::from(n % 4)]
}

/// Entries with rising seqs and offsets, made of any numbers.
fn entries() -> impl Strategy<Value = Vec<Kept>> {
    let gap = prop_oneof![3 => Just(0u32), 1 => 0u32..1000];
    let step = prop_oneof![5 => 1u64..3, 1 => 1u64..1 << 40];
    let one = (
        any::<u8>(),
        step,
        gap,
        27u32..70_000,
        any::<Option<u64>>(),
        any::<Vec<u8>>(),
        any::<usize>(),
    );
    prop::collection::vec(one, 0..50).prop_map(|raw| {
        let (mut seq, mut offset) = (3, 32);
        raw.into_iter()
            .map(|(n, step, gap, len, expiry, key, suffix)| {
                seq += step;
                offset += gap;
                let at = offset;
                offset += len;
                let suffix = suffix % (key.len() + 1);
                (kind(n) as u8, seq, at, len, expiry, key, suffix)
            })
            .collect()
    })
}

fn write(entries: &[Kept], every: usize) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(IDENTITY.table, IDENTITY.segment);
    let mut parts = Vec::new();
    for (i, (bits, seq, offset, frame_len, expiry_ms, key, suffix)) in entries.iter().enumerate() {
        let full = encoder.push(&Entry {
            kind: kind(bits - 1),
            seq: *seq,
            offset: *offset,
            frame_len: *frame_len,
            expiry_ms: *expiry_ms,
            key: Key::new(key, key.len() - suffix),
        });
        if full || i % every == every - 1 {
            parts.push(encoder.take().to_vec());
        }
    }
    parts.push(encoder.take().to_vec());
    parts.retain(|part| !part.is_empty());
    parts.push(encoder.trailer().to_vec());
    parts
}

fn read(parts: &[Vec<u8>]) -> Result<Vec<Kept>, Wrong> {
    let mut all = Vec::new();
    let (trailer, blocks) = parts.split_last().unwrap();
    for (number, bytes) in (0..).zip(blocks) {
        let mut block = Block::check(&IDENTITY, number, bytes)?;
        while let Some(entry) = block.next_entry()? {
            all.push(kept(&entry));
        }
    }
    let trailer = trailer.first_chunk().ok_or(Wrong("cut"))?;
    check_trailer(&IDENTITY, blocks.len() as u32, all.len() as u64, trailer)?;
    Ok(all)
}

proptest! {
    #[test]
    fn what_is_written_is_read(entries in entries(), every in 1usize..20) {
        prop_assert_eq!(read(&write(&entries, every)), Ok(entries));
    }

    #[test]
    fn blocks_count_only_in_their_place(entries in entries(), every in 1usize..20, a: usize, b: usize) {
        let mut parts = write(&entries, every);
        let (a, b) = (a % parts.len(), b % parts.len());
        if a != b {
            parts.swap(a, b);
            prop_assert!(read(&parts).is_err(), "swapped");
            parts.swap(a, b);
        }
        let twice = parts[a].clone();
        parts.insert(a, twice);
        prop_assert!(read(&parts).is_err(), "twice");
        parts.remove(a);
        parts.remove(a);
        prop_assert!(parts.is_empty() || read(&parts).is_err(), "left out");
    }

    /// Whoever can make a right CRC can tell lies, but not break anything.
    #[test]
    fn hostile_entries_with_a_right_crc_are_refused_or_read(bytes: Vec<u8>, count: u32, seq: u64, offset: u32) {
        let mut block = vec![0; 4];
        block.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        block.extend_from_slice(&count.to_le_bytes());
        block.extend_from_slice(&seq.to_le_bytes());
        block.extend_from_slice(&offset.to_le_bytes());
        block.extend_from_slice(&bytes);
        let crc = block_crc(IDENTITY.table, IDENTITY.segment, 0, &block[4..]);
        block[..4].copy_from_slice(&crc.to_le_bytes());
        if let Ok(mut block) = Block::check(&IDENTITY, 0, &block) {
            while let Ok(Some(entry)) = block.next_entry() {
                prop_assert!(entry.key.bytes().len() <= bytes.len());
            }
        }
    }
}

#[test]
fn every_flipped_bit_is_seen() {
    let entries: Vec<Kept> = (0..20u32)
        .map(|i| {
            (
                kind(i as u8) as u8,
                3 + u64::from(i) * 100,
                32 + i * 50,
                50,
                None,
                vec![i as u8; 5],
                2,
            )
        })
        .collect();
    let parts = write(&entries, 7);
    assert_eq!(parts.len(), 4);
    for at in 0..parts.len() {
        for bit in 0..parts[at].len() * 8 {
            let mut bad = parts.clone();
            bad[at][bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bad).is_err(), "bit {bit} of part {at}");
        }
    }
    let good = header(&IDENTITY);
    assert_eq!(check_header(&good, &IDENTITY), Ok(()));
    for bit in 0..good.len() * 8 {
        let mut bad = good;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(check_header(&bad, &IDENTITY).is_err(), "bit {bit}");
    }
}

#[test]
fn a_hint_is_bound_to_all_of_its_segments_identity() {
    let good = header(&IDENTITY);
    for other in [
        Identity { table: 1, ..IDENTITY },
        Identity {
            segment: 1,
            ..IDENTITY
        },
        Identity { len: 1, ..IDENTITY },
        Identity {
            first_seq: 1,
            ..IDENTITY
        },
        Identity {
            last_seq: 1,
            ..IDENTITY
        },
    ] {
        assert!(check_header(&good, &other).is_err());
    }
    let parts = write(&[(1, 5, 32, 40, None, vec![1], 0)], 1);
    for other in [
        Identity { table: 1, ..IDENTITY },
        Identity {
            segment: 1,
            ..IDENTITY
        },
    ] {
        assert!(Block::check(&other, 0, &parts[0]).is_err());
    }
    assert!(Block::check(&IDENTITY, 1, &parts[0]).is_err());
    let short = Identity { len: 71, ..IDENTITY };
    let mut block = Block::check(&short, 0, &parts[0]).unwrap();
    assert!(block.next_entry().is_err(), "beyond the segment's end");
}

#[test]
fn an_entry_of_a_short_key_takes_six_bytes_more() {
    let mut encoder = Encoder::new(1, 1);
    for i in 0..1000u32 {
        encoder.push(&Entry {
            kind: Kind::Put,
            seq: 1 + u64::from(i),
            offset: 32 + i * 148,
            frame_len: 148,
            expiry_ms: None,
            key: Key::plain(&[7; 16]),
        });
    }
    assert_eq!(encoder.take().len(), BLOCK_HEAD_LEN + 1000 * 22);
}

#[test]
fn names_round_trip() {
    for id in [0, 1, 77, u32::MAX] {
        assert_eq!(parse_file_name(&file_name(id)), Some(id));
    }
    for name in [
        "1.hint",
        "0000000001.seg",
        "+000000001.hint",
        "MANIFEST",
        "9999999999.hint",
    ] {
        assert_eq!(parse_file_name(name), None, "{name}");
    }
}
