//! Objects return as they were, are canonical, can be changed as bytes, and are never trusted.

#![allow(clippy::unwrap_used, reason = "a failed check")]

mod common;

use std::ops::Range;

use bets_codec::{Budget, DecodeError, Equality, object};
use common::{Made, Mode, Stack, Term, decode_object, encode_element, encode_object, term};
use proptest::prelude::*;

fn key() -> Term {
    Term::Atom("key".into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn objects_return_as_they_were(before in prop::collection::vec(term(), 0..3), after in prop::collection::vec(term(), 0..3)) {
        let keypos = before.len() + 1;
        let elements = [before, vec![key()], after].concat();
        let bytes = encode_object(&elements, keypos);
        let back = decode_object(&bytes, keypos).unwrap();
        prop_assert!(back.is(&Term::Tuple(elements.clone())), "{:?} {:?}", elements, back);
        prop_assert_eq!(object::arity(&bytes), Ok(elements.len()));
        for (place, element) in elements.iter().enumerate() {
            let mut stack = Stack::default();
            let read = object::decode_element(&bytes, keypos, place + 1, &mut stack, &mut Budget::unlimited());
            if place + 1 == keypos {
                prop_assert_eq!(read, Err(DecodeError::NoElement));
            } else {
                prop_assert!(stack.0[0].is(element));
            }
        }
    }

    #[test]
    fn equal_terms_have_equal_bytes(a in term(), b in term()) {
        let (bytes_a, bytes_b) = (encode_object(&[key(), a.clone()], 1), encode_object(&[key(), b.clone()], 1));
        let equal = a.cmp(&b, Mode::Exact).is_eq();
        let same = object::same(&bytes_a, &bytes_b, Equality::ZerosEqual, &mut Budget::unlimited()).unwrap();
        prop_assert_eq!(same, equal, "{:?} {:?}", a, b);
        prop_assert_eq!(bytes_a == bytes_b, a.is(&b));
        prop_assert_eq!(fingerprint(&bytes_a) == fingerprint(&bytes_b), equal, "{:?} {:?}", a, b);
    }

    #[test]
    fn the_order_of_a_maps_pairs_leaves_no_trace(pairs in prop::collection::vec((term(), term()), 2..5)) {
        if let Term::Map(mut pairs) = unique(pairs) {
            let bytes = encode_element(&Term::Map(pairs.clone()));
            pairs.reverse();
            prop_assert_eq!(encode_element(&Term::Map(pairs)), bytes);
        }
    }

    #[test]
    fn elements_are_replaced(elements in prop::collection::vec(term(), 1..6), keypos in any::<prop::sample::Index>(), new in term(), change in any::<[bool; 6]>()) {
        let keypos = keypos.index(elements.len()) + 1;
        let bytes = encode_object(&elements, keypos);
        let mut expected = elements;
        expected[keypos - 1] = key();
        let element = encode_element(&new);
        let mut changes = Vec::new();
        for pos in 1..=expected.len() {
            if pos != keypos && change[pos - 1] {
                expected[pos - 1] = new.clone();
                changes.push((pos, element.as_slice()));
            }
        }
        let mut out = Vec::new();
        object::replace(&bytes, keypos, &changes, &mut out, &mut Budget::unlimited()).unwrap();
        prop_assert!(decode_object(&out, keypos).unwrap().is(&Term::Tuple(expected)));
    }

    #[test]
    fn damaged_objects_never_panic(terms in prop::collection::vec(term(), 1..3), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let whole = encode_object(&[vec![key()], terms].concat(), 1);
        let mut bytes = whole.clone();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if cut {
            prop_assert!(decode_object(&bytes, 1).is_err());
        }
        let _ = decode_object(&bytes, 1);
        let _ = object::element(&bytes, 1, 2, &mut Budget::unlimited());
        let _ = object::same(&bytes, &whole, Equality::ZerosEqual, &mut Budget::unlimited());
        let mut out = Vec::new();
        let _ = object::replace(&bytes, 1, &[(2, &[0])], &mut out, &mut Budget::unlimited());
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), keypos in 0..4usize) {
        let _ = decode_object(&bytes, keypos);
        let _ = object::as_int(&bytes);
        for pos in 0..4 {
            let element = object::element(&bytes, keypos, pos, &mut Budget::unlimited());
            let value = |range: Range<usize>| Some((range.clone(), object::as_int(&bytes[range])?));
            let int = object::int_element(&bytes, keypos, pos, &mut Budget::unlimited());
            prop_assert_eq!(int, element.ok().and_then(value));
        }
    }

    #[test]
    fn integers_are_read_as_bytes(value in prop_oneof![-200..200i64, any::<i64>(), any::<i32>().prop_map(i64::from)]) {
        let mut bytes = Vec::new();
        object::put_int(&mut bytes, value);
        prop_assert_eq!(object::as_int(&bytes), Some(value));
        let object = encode_object(&[key(), Term::Tuple(vec![Term::Int(7)]), Term::Int(value)], 1);
        let from = object.len() - bytes.len();
        let found = object::int_element(&object, 1, 3, &mut Budget::unlimited()).unwrap();
        prop_assert_eq!(found, (from..object.len(), value));
        prop_assert_eq!(encode_element(&Term::Int(value)), bytes);
    }
}

fn unique(pairs: Vec<(Term, Term)>) -> Term {
    let mut map: Vec<(Term, Term)> = Vec::new();
    for pair in pairs {
        if map
            .iter()
            .all(|present| present.0.cmp(&pair.0, Mode::MapKey).is_ne())
        {
            map.push(pair);
        }
    }
    Term::Map(map)
}

#[test]
fn the_sign_of_zero_counts_as_the_table_says() {
    let object = |zero: f64| encode_object(&[key(), Term::Tuple(vec![Term::Int(1), Term::Float(zero)])], 1);
    let same = |equality| object::same(&object(0.0), &object(-0.0), equality, &mut Budget::unlimited());
    assert_eq!(same(Equality::ZerosEqual), Ok(true));
    assert_eq!(same(Equality::ZerosDistinct), Ok(false));
    let print =
        |zero, equality| object::fingerprint(&object(zero), equality, &mut Budget::unlimited()).unwrap();
    assert_eq!(
        print(0.0, Equality::ZerosEqual),
        print(-0.0, Equality::ZerosEqual)
    );
    assert_ne!(
        print(0.0, Equality::ZerosDistinct),
        print(-0.0, Equality::ZerosDistinct)
    );
}

fn fingerprint(object: &[u8]) -> u32 {
    object::fingerprint(object, Equality::ZerosEqual, &mut Budget::unlimited()).unwrap()
}

#[test]
fn fingerprints_stay_what_they_were() {
    let object = |value| encode_object(&[key(), value], 1);
    assert_eq!(fingerprint(&object(Term::Int(1))), 0x7c53_ef78);
    assert_eq!(fingerprint(&object(Term::Float(-0.0))), 0xab74_7a5b);
}

#[test]
fn zeros_in_the_keys_of_maps_are_equal_too() {
    let map = |a: f64, b: f64| {
        let key_of = |zero, text: &str| Term::Tuple(vec![Term::Float(zero), Term::Atom(text.into())]);
        let pairs = vec![(key_of(a, "a"), Term::Int(1)), (key_of(b, "b"), Term::Int(2))];
        encode_object(&[key(), Term::Map(pairs)], 1)
    };
    let same = object::same(
        &map(0.0, -0.0),
        &map(-0.0, 0.0),
        Equality::ZerosEqual,
        &mut Budget::unlimited(),
    );
    assert_eq!(same, Ok(true));
    assert_eq!(fingerprint(&map(0.0, -0.0)), fingerprint(&map(-0.0, 0.0)));
}

#[test]
fn counts_beyond_the_bytes_are_refused_before_anything_is_made() {
    for head in [0xCA, 0xCC, 0xCD, 0xCE] {
        let bytes = [2, head, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F];
        assert!(decode_object(&bytes, 1).is_err());
        assert!(object::element(&bytes, 1, 2, &mut Budget::unlimited()).is_err());
    }
}

/// A fuzzer found integers of 58 bits that were taken in the form of longer ones, and came back from a second encoding in another.
#[test]
fn an_integer_has_one_form() {
    let head = |negative: bool, magnitude: &[u8]| {
        let mut bytes = vec![2, 0xC4 + u8::from(negative), magnitude.len() as u8];
        bytes.extend_from_slice(magnitude);
        decode_object(&bytes, 1)
    };
    let (half, one_more) = ((1u64 << 63).to_le_bytes(), ((1u64 << 63) + 1).to_le_bytes());
    for negative in [false, true] {
        for short in [
            &[][..],
            &[1],
            &[0; 8],
            &[1, 0, 0, 0, 0, 0, 0, 1],
            &i64::MAX.to_le_bytes(),
        ] {
            assert!(head(negative, short).is_err(), "{short:?}");
        }
        assert!(head(negative, &one_more).is_ok());
        assert!(head(negative, &[9; 9]).is_ok());
    }
    assert!(head(true, &half).is_err());
    assert!(head(false, &half).is_ok());
}

#[test]
fn a_budget_stops_the_work() {
    let long = vec![key(), Term::List(vec![Term::Int(1); 20_000], Box::new(Term::Nil))];
    let bytes = encode_object(&long, 1);
    assert_eq!(
        object::element(&bytes, 1, 2, &mut Budget::normal()),
        Err(DecodeError::Budget)
    );
    assert!(object::element(&bytes, 1, 2, &mut Budget::unlimited()).is_ok());
}

#[test]
fn the_bytes_of_objects_are_those_of_the_format() {
    let atom = |text: &str| Term::Atom(text.into());
    let bits = |len, last_bits| Term::Bits(vec![0x80; len], last_bits);
    let list = |len, tail| Term::List(vec![Term::Nil; len], Box::new(tail));
    let cases: [(Term, &[u8]); 24] = [
        (Term::Int(0), &[0x00]),
        (Term::Int(63), &[0x3F]),
        (Term::Int(64), &[0xC0, 0x40]),
        (Term::Int(-1), &[0xC0, 0xFF]),
        (Term::Int(128), &[0xC1, 0x80, 0x00]),
        (Term::Int(32768), &[0xC2, 0x00, 0x80, 0x00, 0x00]),
        (Term::Int(1 << 31), &[0xC3, 0, 0, 0, 0x80, 0, 0, 0, 0]),
        (
            Term::Big(false, vec![0, 0, 0, 0, 0, 0, 0, 0x80]),
            &[0xC4, 8, 0, 0, 0, 0, 0, 0, 0, 0x80],
        ),
        (
            Term::Big(true, vec![1, 0, 0, 0, 0, 0, 0, 0x80]),
            &[0xC5, 8, 1, 0, 0, 0, 0, 0, 0, 0x80],
        ),
        (Term::Float(1.0), &[0xC6, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F]),
        (bits(2, 8), &[0x42, 0x80, 0x80]),
        (bits(1, 1), &[0xC8, 1, 1, 0x80]),
        (atom("ab"), &[0x82, b'a', b'b']),
        (Term::Tuple(vec![Term::Nil]), &[0xA1, 0xCB]),
        (Term::Nil, &[0xCB]),
        (list(2, Term::Nil), &[0xB1, 0xCB, 0xCB]),
        (list(1, atom("t")), &[0xCD, 1, 0xCB, 0x81, b't']),
        (
            Term::Map(vec![(Term::Int(2), atom("x")), (Term::Int(1), atom("y"))]),
            &[0xCE, 2, 1, 2, 0x81, b'y', 0x81, b'x'],
        ),
        (
            Term::Pid(Made::Local(1), 5, 6),
            &[0xCF, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0],
        ),
        (
            Term::Port(Made::Node("n".into(), 2), 5),
            &[0xD0, 1, 1, b'n', 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0],
        ),
        (
            Term::Reference(Made::Local(1), vec![5]),
            &[0xD1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 5, 0, 0, 0],
        ),
        (
            Term::Export("m".into(), "f".into(), 3),
            &[0xD2, 1, b'm', 1, b'f', 3],
        ),
        (
            Term::Fun("m".into(), 1, 2, [9; 16], vec![Term::Nil]),
            &[
                0xD3, 9, 7, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 1, b'm', 1, 2, 1, 0xCB,
            ],
        ),
        (Term::Map(vec![]), &[0xCE, 0]),
    ];
    for (term, bytes) in cases {
        assert_eq!(encode_element(&term), bytes, "{term:?}");
    }
    for (term, head) in [
        (bits(64, 8), &[0xC7, 64][..]),
        (atom(&"a".repeat(32)), &[0xC9, 32]),
        (Term::Tuple(vec![Term::Nil; 16]), &[0xCA, 16]),
        (list(17, Term::Nil), &[0xCC, 17]),
    ] {
        assert!(encode_element(&term).starts_with(head), "{term:?}");
    }
    assert_eq!(encode_object(&[Term::Int(1), key(), Term::Int(2)], 2), [3, 1, 2]);
}
