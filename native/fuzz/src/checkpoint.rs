//! Checkpoints: header, tail and sections are refused or read, and what is read has one form.

use bets_engine::Deadline;
use bets_engine::format::checkpoint::{HEADER_LEN, Header, Identity, Section, Tail, put_objects, put_one};

use crate::memory::Bound;
use crate::{mended, put_crc};

pub fn check(data: &[u8]) {
    let (mend, bytes) = mended(data);
    whole(bytes, mend);
    Bound::FILE.watch(bytes.len(), || tail(bytes));
    sections(bytes);
}

fn whole(bytes: &[u8], mend: bool) {
    let Some(first) = bytes.first_chunk::<HEADER_LEN>() else {
        return;
    };
    let mut head = *first;
    if mend {
        head[..8].copy_from_slice(b"bets.chk");
        put_crc(&mut head, 60, 0..60);
    }
    if let Some(header) = Header::decode(&head) {
        assert_eq!(header.encode(), head);
        let _ = Tail::decode(&header, &bytes[HEADER_LEN..]);
    }
}

/// The bytes as a tail whose CRC is right.
fn tail(bytes: &[u8]) {
    let Some((place, bytes)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let header = Header {
        identity: Identity {
            table: 1,
            generation: 2,
            manifest_crc: 3,
        },
        objects: 4,
        tail: HEADER_LEN as u64 + u64::from(u16::from_le_bytes(*place)),
        tail_len: bytes.len() as u32,
        tail_crc: crc32fast::hash(bytes),
    };
    if let Some(tail) = Tail::decode(&header, bytes) {
        let sections: u64 = tail.sections.iter().map(|section| u64::from(section.len)).sum();
        assert_eq!(HEADER_LEN as u64 + sections, header.tail);
        let again = Bound::FILE.each * bytes.len();
        assert!(tail.segments.len() * 16 + tail.sections.len() * 12 <= again);
        assert_eq!(tail.encode(), bytes, "a second form");
    }
}

/// The bytes as a section: of one object a key, and of a bag.
fn sections(bytes: &[u8]) {
    let (mut section, mut again) = (Section::new(bytes), Vec::new());
    while let Some((key, location, deadline)) = section.one() {
        put_one(&mut again, key, location, deadline);
        assert!(again.len() <= bytes.len());
    }
    let (mut section, mut again, mut objects) = (Section::new(bytes), Vec::new(), Vec::new());
    while let Some(key) = section.objects(&mut objects) {
        let expires = objects.iter().any(|object| object.deadline != Deadline::NEVER);
        put_objects(&mut again, key, objects.iter().copied(), expires);
        assert!(again.len() <= bytes.len());
    }
}
