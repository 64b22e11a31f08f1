//! The frame of a record: any bytes are refused or read, and what is read is what its writer wrote.

use bets_engine::Key;
use bets_engine::format::frame::{Bad, Frame, Head, removed_seqs};
use bets_engine::format::packed;
use bets_engine::format::record::{Kind, Record, Stamp};

use crate::memory::Bound;
use crate::{mended, put_crc};

const KINDS: [Kind; 7] = [
    Kind::Put,
    Kind::Delete,
    Kind::DeleteObject,
    Kind::Clear,
    Kind::Batch,
    Kind::Commit,
    Kind::Mark,
];

pub fn check(data: &[u8]) {
    let (mend, bytes) = mended(data);
    let mut bytes = bytes.to_vec();
    if mend {
        mend_frame(&mut bytes);
    }
    Bound::FILE.watch(bytes.len(), || parsed(&bytes));
    written(data);
    let _ = packed::plain_len(&bytes);
    if bytes.len() < 4096
        && let Ok(plain) = packed::unpack(&bytes)
    {
        assert!(plain.len() <= bytes.len() * 255);
        assert_eq!(
            packed::pack(&plain).map_or(Ok(plain.clone()), |p| packed::unpack(&p)),
            Ok(plain)
        );
    }
}

/// Makes the CRCs of a frame right, as far as there is one. Its length in bytes, if all of it is there.
pub fn mend_frame(bytes: &mut [u8]) -> Option<usize> {
    let head = Head::parse(bytes).ok()?;
    let checked = head.checked_len();
    if checked > bytes.len() {
        return None;
    }
    let whole = head.frame_len();
    if whole > bytes.len() {
        put_crc(bytes, 0, 8..checked);
        return None;
    }
    // A value without bytes has the CRC 0.
    bytes[4..8].fill(0);
    if head.value_len > 0 {
        put_crc(bytes, 4, checked..whole);
    }
    put_crc(bytes, 0, 8..checked);
    Some(whole)
}

fn parsed(bytes: &[u8]) {
    let Ok(frame) = Frame::parse(bytes) else { return };
    let head = frame.head;
    assert!(head.checked_len() <= bytes.len());
    let key = frame.key();
    assert_eq!(key.bytes().len(), head.key_len);
    assert_eq!(key.suffix().len(), head.suffix_len);
    let seqs = removed_seqs(key);
    assert!(seqs.is_none_or(|seqs| seqs.len() * 8 == head.suffix_len));
    let _ = frame.batch();
    let Ok(value) = frame.value() else { return };
    assert_eq!(value.len(), head.value_len);
    // A merge writes it again; nothing of it may change but the place.
    let record = Record::from_frame(&frame).unwrap();
    let mut again = Vec::with_capacity(record.frame_len());
    let stamp = Stamp {
        segment: head.segment,
        seq: head.seq,
        durable_seq: head.durable_seq,
    };
    record.put(&mut again, stamp);
    assert_eq!(again.len(), record.frame_len());
    let second = Frame::parse(&again).unwrap();
    let same_place = Head {
        head_len: head.head_len,
        ..second.head
    };
    assert_eq!(same_place, head);
    assert_eq!((second.key().bytes(), second.value()), (key.bytes(), Ok(value)));
}

/// A record made of the bytes is read as it was written, and none of its cuts is one.
fn written(data: &[u8]) {
    let Some((options, rest)) = data.split_first_chunk::<4>() else {
        return;
    };
    let (key, value) = rest.split_at(usize::from(options[0]).min(rest.len()));
    let mut record = Record::new(
        KINDS[usize::from(options[1]) % KINDS.len()],
        Key::new(key, usize::from(options[2])),
        value,
    );
    record.expiry_ms = (options[3] & 1 == 1).then_some(u64::MAX - u64::from(options[1]));
    record.compressed = options[3] & 2 == 2;
    record.member = options[3] & 4 == 4;
    let stamp = Stamp {
        segment: 7,
        seq: 1 << options[2].min(63),
        durable_seq: (options[3] & 8 == 8).then_some(1),
    };
    let mut out = Vec::new();
    record.put(&mut out, stamp);
    let frame = Frame::parse(&out).unwrap();
    assert_eq!((frame.head.kind, frame.head.seq), (record.kind, stamp.seq));
    assert_eq!(
        (frame.head.expiry_ms, frame.head.member),
        (record.expiry_ms, record.member)
    );
    assert_eq!((frame.key().bytes(), frame.value()), (key, Ok(value)));
    assert_eq!(frame.key().suffix(), record.key.suffix());
    assert_eq!(frame.bytes(), Ok(out.as_slice()));
    let cut = out.len() * usize::from(options[0]) / 256;
    let whole = Frame::parse(&out[..cut]).and_then(|frame| frame.value());
    assert!(
        matches!(whole, Err(Bad::Cut | Bad::End)),
        "a cut at {cut} of {}",
        out.len()
    );
}
