//! Frames: what is written is read, and nothing else is.

use super::*;
use crate::format::record::Stamp;
use proptest::prelude::*;

fn stamp() -> Stamp {
    Stamp {
        segment: 7,
        seq: 1000,
        durable_seq: Some(990),
    }
}

fn records<'a>(key: &'a [u8], value: &'a [u8]) -> Vec<Record<'a>> {
    let plain = Record::new(Kind::Put, Key::plain(key), value);
    vec![
        plain,
        Record {
            expiry_ms: Some(u64::MAX),
            ..plain
        },
        Record {
            compressed: true,
            member: true,
            ..plain
        },
        Record {
            key: Key::new(key, key.len() / 2),
            ..plain
        },
        Record::new(Kind::Delete, Key::plain(key), &[]),
        Record::new(Kind::DeleteObject, Key::plain(key), value),
        Record::new(Kind::Clear, Key::plain(&[]), &[]),
        Record::new(Kind::Mark, Key::plain(&[]), &[]),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(key: Vec<u8>, value: Vec<u8>) {
        for record in records(&key, &value) {
            let mut out = vec![1, 2, 3];
            record.put(&mut out, stamp());
            let bytes = &out[3..];
            prop_assert_eq!(bytes.len(), record.frame_len());
            let frame = Frame::parse(bytes).unwrap();
            prop_assert_eq!(frame.head.kind, record.kind);
            prop_assert_eq!(frame.head.seq, 1000);
            prop_assert_eq!(frame.head.segment, 7);
            prop_assert_eq!(frame.head.durable_seq, Some(990));
            prop_assert_eq!(frame.head.expiry_ms, record.expiry_ms);
            prop_assert_eq!(frame.head.compressed, record.compressed);
            prop_assert_eq!(frame.head.member, record.member);
            prop_assert_eq!(frame.key().bytes(), record.key.bytes());
            prop_assert_eq!(frame.key().compared(), record.key.compared());
            prop_assert_eq!(frame.value().unwrap(), record.value);
            prop_assert_eq!(frame.head.frame_len(), bytes.len());
        }
    }

    #[test]
    fn hostile_bytes_are_refused_and_harm_nothing(bytes: Vec<u8>) {
        if let Ok(frame) = Frame::parse(&bytes) {
            let _ = frame.value();
        }
    }
}

#[test]
fn every_flipped_bit_is_seen() {
    for record in records(b"a key", b"and its value") {
        let mut out = Vec::new();
        record.put(&mut out, stamp());
        for bit in 0..out.len() * 8 {
            out[bit / 8] ^= 1 << (bit % 8);
            let seen = match Frame::parse(&out) {
                Err(_) => true,
                Ok(frame) => frame.value().is_err(),
            };
            assert!(seen, "bit {bit} of {record:?}");
            out[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn damage_to_the_value_leaves_the_key_readable() {
    let mut out = Vec::new();
    Record::new(Kind::Put, Key::plain(b"key"), b"value").put(&mut out, stamp());
    let last = out.len() - 1;
    for at in [4, 5, 6, 7, last] {
        let mut rotten = out.clone();
        rotten[at] ^= 1;
        let frame = Frame::parse(&rotten).unwrap();
        assert_eq!(frame.key().bytes(), b"key");
        assert!(frame.value().is_err());
    }
}

#[test]
fn every_cut_is_seen() {
    for record in records(b"a key", b"and its value") {
        let mut out = Vec::new();
        record.put(&mut out, stamp());
        for cut in 0..out.len() {
            if let Ok(frame) = Frame::parse(&out[..cut]) {
                assert_eq!(frame.value(), Err(Bad::Cut));
            }
        }
    }
}

#[test]
fn zeros_are_the_end() {
    assert_eq!(Head::parse(&[]), Err(Bad::End));
    assert_eq!(Head::parse(&[0; 10]), Err(Bad::End));
    assert_eq!(Head::parse(&[0; 100]), Err(Bad::End));
}

#[test]
fn a_16_byte_key_and_a_100_byte_value_cost_27_bytes_more() {
    let record = Record::new(Kind::Put, Key::plain(&[1; 16]), &[2; 100]);
    assert_eq!(record.frame_len(), 143);
}

#[test]
fn an_unknown_durable_seq_claims_nothing() {
    for (seq, durable, expected) in [
        (5, Some(5), Some(5)),
        (5, None, None),
        (5, Some(6), None),
        (1 << 40, Some(1), None),
    ] {
        let mut out = Vec::new();
        Record::new(Kind::Mark, Key::plain(&[]), &[]).put(
            &mut out,
            Stamp {
                segment: 1,
                seq,
                durable_seq: durable,
            },
        );
        assert_eq!(Frame::parse(&out).unwrap().head.durable_seq, expected);
    }
}
