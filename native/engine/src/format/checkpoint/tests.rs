//! Checkpoints: what is written is read, and nothing else is.

use super::*;
use proptest::prelude::*;

fn sample() -> (Header, Vec<u8>) {
    let tail = Tail {
        segments: vec![
            SegmentPart {
                id: 4,
                live_bytes: 1 << 31,
                kept_bytes: 77,
                long: vec![(32, 70_000), (90_000, 1 << 20)],
            },
            SegmentPart {
                id: 9,
                live_bytes: 0,
                kept_bytes: 1 << 40,
                long: Vec::new(),
            },
        ],
        sections: vec![SectionPart::of(&[1; 90], 3), SectionPart::of(&[], 0)],
    };
    let bytes = tail.encode();
    let header = Header {
        identity: Identity {
            table: 99,
            generation: 7,
            manifest_crc: 0x1234_5678,
        },
        objects: 3,
        tail: 64 + 90,
        tail_len: bytes.len() as u32,
        tail_crc: crc32(&bytes),
    };
    assert_eq!(Tail::decode(&header, &bytes), Some(tail));
    (header, bytes)
}

#[test]
fn every_flipped_bit_and_every_cut_is_seen() {
    let (header, tail) = sample();
    let good = header.encode();
    assert_eq!(Header::decode(&good), Some(header));
    for bit in 0..good.len() * 8 {
        let mut bad = good;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Header::decode(&bad), None, "bit {bit}");
    }
    for bit in 0..tail.len() * 8 {
        let mut bad = tail.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Tail::decode(&header, &bad), None, "bit {bit}");
    }
    for cut in 0..tail.len() {
        assert_eq!(Tail::decode(&header, &tail[..cut]), None);
    }
    let section = SectionPart::of(&[1; 90], 3);
    assert!(section.fits(&[1; 90]) && !section.fits(&[1; 89]) && !section.fits(&[2; 90]));
}

/// Guards the memory of who loads a checkpoint: room is made for as many keys as a section tells, so it may tell no more than its bytes can hold.
#[test]
fn a_section_of_more_keys_than_its_bytes_can_hold_is_refused() {
    let decoded = |keys| {
        let tail = Tail {
            segments: Vec::new(),
            sections: vec![SectionPart {
                len: 90,
                keys,
                crc: 0,
            }],
        };
        let bytes = tail.encode();
        let header = Header {
            tail: HEADER_LEN as u64 + 90,
            tail_len: bytes.len() as u32,
            tail_crc: crc32(&bytes),
            ..sample().0
        };
        Tail::decode(&header, &bytes).is_some()
    };
    assert!(decoded(10) && !decoded(11) && !decoded(u32::MAX));
}

#[test]
fn another_version_is_not_read() {
    let mut newer = sample().0.encode();
    newer[8..10].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let crc = crc32(&newer[..60]);
    newer[60..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(Header::decode(&newer), None);
}

proptest! {
    #[test]
    fn sections_come_back(keys: Vec<(Vec<u8>, usize, u64)>) {
        let (mut one, mut many) = (Vec::new(), Vec::new());
        let deadline = |n: u64| if n % 3 == 0 { Deadline::at(n) } else { Deadline::NEVER };
        let objects = |n: u64| (0..=n % 5).map(move |i| Entry {
            location: Location::from_bits(n ^ i),
            seq: i * 3 + n % 100,
            fingerprint: n as u32,
            deadline: deadline(n.wrapping_add(i)),
        });
        let expires = |n: u64| objects(n).any(|object| object.deadline != Deadline::NEVER);
        for (bytes, suffix, n) in &keys {
            let key = Key::new(bytes, bytes.len() - suffix % (bytes.len() + 1));
            put_one(&mut one, key, Location::from_bits(*n), deadline(*n));
            put_objects(&mut many, key, objects(*n).collect::<Vec<_>>().into_iter(), expires(*n));
        }
        let (mut one, mut many, mut found) = (Section::new(&one), Section::new(&many), Vec::new());
        for (bytes, suffix, n) in &keys {
            let (key, location, at) = one.one().unwrap();
            let again = many.objects(&mut found).unwrap();
            prop_assert_eq!((key.bytes(), again.bytes()), (bytes.as_slice(), bytes.as_slice()));
            prop_assert_eq!(key.suffix().len(), suffix % (bytes.len() + 1));
            prop_assert_eq!((location.to_bits(), at), (*n, deadline(*n)));
            prop_assert!(found.iter().copied().eq(objects(*n)));
        }
        prop_assert!(one.is_done() && many.is_done());
    }

    /// Whoever can make a right CRC can tell lies, but not break anything.
    #[test]
    fn hostile_bytes_are_refused_or_read(bytes: Vec<u8>, tail in 64u64..200) {
        let mut section = Section::new(&bytes);
        while !section.is_done() && section.one().is_some() {}
        let (mut section, mut objects) = (Section::new(&bytes), Vec::new());
        while !section.is_done() && section.objects(&mut objects).is_some() {}
        let (header, _) = sample();
        let header = Header { tail, tail_len: bytes.len() as u32, tail_crc: crc32(&bytes), ..header };
        let _ = Tail::decode(&header, &bytes);
    }
}
