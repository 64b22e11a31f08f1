//! Keys order as terms do, return as they were, and are never trusted.

#![allow(clippy::panic, reason = "a failed check")]

mod common;

use std::cmp::Ordering;

use bets_codec::{Budget, DecodeError, EncodeError, Equality, Form, key};
use common::{At, Made, Mode, Term, Terms, decode_key, encode_key, number_term, term};
use proptest::prelude::*;

const FORMS: [(Form, Mode); 2] = [
    (Form::Exact(Equality::ZerosEqual), Mode::Exact),
    (Form::Numeric(Equality::ZerosEqual), Mode::Numeric),
];

fn check_order(a: &Term, b: &Term) {
    for (form, mode) in FORMS {
        let ((key_a, len_a), (key_b, len_b)) = (encode_key(a, form), encode_key(b, form));
        let (compared_a, compared_b) = (&key_a[..len_a], &key_b[..len_b]);
        let order = a.cmp(b, mode);
        assert_eq!(
            compared_a.cmp(compared_b),
            order,
            "{a:?} {b:?} {form:?} {key_a:x?} {key_b:x?}"
        );
        if order != Ordering::Equal {
            assert!(!compared_a.starts_with(compared_b) && !compared_b.starts_with(compared_a));
            assert_eq!(key_a.cmp(&key_b), order);
        }
    }
}

fn check_return(term: &Term) {
    for equality in [Equality::ZerosEqual, Equality::ZerosDistinct] {
        for form in [Form::Exact(equality), Form::Numeric(equality)] {
            let (key, compared) = encode_key(term, form);
            let Ok(back) = decode_key(&key) else {
                panic!("{term:?} {form:?} {key:x?}");
            };
            assert!(back.is(term), "{term:?} {back:?} {form:?} {key:x?}");
            let Ok(binary) = key::with_binary(&key, &mut Budget::unlimited(), <[u8]>::to_vec) else {
                panic!("{term:?} {key:x?}");
            };
            let binary = binary.map(|bytes| Term::Bits(bytes, 8));
            assert_eq!(binary.is_some(), matches!(term, Term::Bits(_, 8)), "{term:?}");
            assert!(binary.is_none_or(|binary| binary.is(term)), "{term:?}");
            assert_eq!(key::compared_len(&key, &mut Budget::unlimited()), Ok(compared));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn keys_order_as_terms_do(a in term(), b in term()) {
        check_order(&a, &b);
    }

    #[test]
    fn numbers_order_by_value(a in number_term(), b in number_term()) {
        check_order(&a, &b);
        check_order(&Term::Tuple(vec![a.clone(), b.clone()]), &Term::Tuple(vec![b, a]));
    }

    #[test]
    fn a_float_is_ordered_against_the_integers_around_it(bits in any::<u64>(), off in -1..=1i64) {
        let value = f64::from_bits(bits);
        if value.abs() < 9.0e18 {
            check_order(&Term::Float(value), &Term::Int((value as i64).saturating_add(off)));
        }
    }

    #[test]
    fn short_ways_lead_to_the_same_bytes(int in any::<i64>(), bytes in prop::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..80)) {
        for (form, _) in FORMS {
            // Behind what is there already.
            let (mut out, budget) = (vec![7], &mut Budget::unlimited());
            let len = key::encode_int(int, &mut out, budget).unwrap();
            prop_assert_eq!((&out[1..], len), (&*encode_key(&Term::Int(int), form).0, out.len() - 1));
            out.truncate(1);
            let len = key::encode_binary(&bytes, &mut out, budget).unwrap();
            prop_assert_eq!((&out[1..], len), (&*encode_key(&Term::Bits(bytes.clone(), 8), form).0, out.len() - 1));
        }
    }

    #[test]
    fn keys_return_as_they_were(term in term()) {
        check_return(&term);
    }

    #[test]
    fn damaged_keys_never_panic(term in term(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        for (form, _) in FORMS {
            let (mut key, _) = encode_key(&term, form);
            let at = at.index(key.len());
            if cut { key.truncate(at) } else { key[at] = byte }
            let _ = decode_key(&key);
            let _ = key::compared_len(&key, &mut Budget::unlimited());
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = decode_key(&bytes);
        let _ = key::compared_len(&bytes, &mut Budget::unlimited());
    }

    #[test]
    fn a_key_has_one_encoding(bytes in prop::collection::vec(prop_oneof![Just(0x4B), Just(2), Just(0), Just(0xBC), any::<u8>()], 0..12)) {
        if let Ok(number @ (Term::Int(_) | Term::Big(..) | Term::Float(_) | Term::Bits(..))) = decode_key(&bytes) {
            let forms = [Equality::ZerosEqual, Equality::ZerosDistinct].map(|e| [Form::Exact(e), Form::Numeric(e)]);
            prop_assert!(forms.as_flattened().iter().any(|form| encode_key(&number, *form).0 == bytes), "{:?} {:x?}", number, bytes);
        }
        let binary = key::with_binary(&bytes, &mut Budget::unlimited(), <[u8]>::to_vec).unwrap();
        match decode_key(&bytes) {
            Ok(Term::Bits(bits, 8)) => prop_assert_eq!(binary.as_deref(), Some(&*bits)),
            _ => prop_assert!(binary.is_none(), "{:x?}", bytes),
        }
    }
}

#[test]
fn zeros_are_equal_or_distinct_as_the_table_says() {
    let compared = |value: f64, form| {
        let (mut key, compared) = encode_key(&Term::Float(value), form);
        key.truncate(compared);
        key
    };
    let [equal, distinct] = [Equality::ZerosEqual, Equality::ZerosDistinct];
    assert_eq!(
        compared(0.0, Form::Exact(equal)),
        compared(-0.0, Form::Exact(equal))
    );
    assert_ne!(
        compared(0.0, Form::Exact(distinct)),
        compared(-0.0, Form::Exact(distinct))
    );
    assert_eq!(
        compared(0.0, Form::Numeric(distinct)),
        compared(-0.0, Form::Numeric(distinct))
    );
}

#[test]
fn a_map_with_both_zeros_as_keys_returns() {
    let map = Term::Map(vec![
        (Term::Float(0.0), Term::Int(1)),
        (Term::Float(-0.0), Term::Int(2)),
    ]);
    let (key, _) = encode_key(&map, Form::Exact(Equality::ZerosDistinct));
    let Ok(Term::Map(pairs)) = decode_key(&key) else {
        panic!("no map");
    };
    assert!(
        matches!(pairs[..], [(Term::Float(a), Term::Int(2)), (Term::Float(b), Term::Int(1))] if a.is_sign_negative() && b == 0.0)
    );
}

#[test]
fn an_integer_beyond_the_limit_of_the_vm_is_refused_before_it_is_made() {
    // A positive number with the exponent 2^32 - 1 and an empty fraction, in six bytes.
    assert!(decode_key(&[0x8B, 0xFF, 0xFF, 0xFF, 0xFF, 0x00]).is_err());
}

#[test]
fn a_budget_stops_the_work() {
    let long = Term::List(vec![Term::Int(1); 10_000], Box::new(Term::Nil));
    let mut out = Vec::new();
    let form = Form::Exact(Equality::ZerosEqual);
    let stopped = key::encode(
        &mut Terms::default(),
        At(&long, 0),
        form,
        &mut out,
        &mut Budget::normal(),
    );
    assert_eq!(stopped, Err(EncodeError::Budget));
    let (key, _) = encode_key(&long, form);
    assert!(key::compared_len(&key, &mut Budget::normal()).is_err());
    assert!(key::compared_len(&key, &mut Budget::unlimited()).is_ok());
}

#[test]
fn the_bytes_of_keys_are_those_of_the_format() {
    let exact = Form::Exact(Equality::ZerosEqual);
    let distinct = Form::Exact(Equality::ZerosDistinct);
    let numeric = Form::Numeric(Equality::ZerosEqual);
    let atom = |text: &str| Term::Atom(text.into());
    let map = Term::Map(vec![
        (Term::Float(1.0), atom("a")),
        (Term::Int(2), Term::Float(1.0)),
    ]);
    let zeros = |count| Term::Bits(vec![0; count], 8);
    let cases: [(Term, Form, &[u8]); 29] = [
        (Term::Int(0), exact, &[0x48]),
        (Term::Int(1), exact, &[0x4B, 0x00]),
        (Term::Int(-1), exact, &[0x45, 0xFF]),
        (Term::Int(300), exact, &[0x53, 0x2C]),
        (Term::Int(301), exact, &[0x53, 0x2D, 0x80]),
        (Term::Float(1.5), exact, &[0x4B, 0x80]),
        (Term::Float(1.0), exact, &[0x4B, 0x01, 0x00]),
        (Term::Float(-1.0), exact, &[0x45, 0xFE, 0xFF]),
        (Term::Float(1.0), numeric, &[0x4B, 0x00, 0x00]),
        (Term::Float(0.25), exact, &[0x4A, 0x04, 0x30, 0x00]),
        (Term::Float(0.0), exact, &[0x49]),
        (Term::Float(-0.0), exact, &[0x49, 0x01]),
        (Term::Float(-0.0), distinct, &[0x47]),
        (Term::Float(-0.0), numeric, &[0x48, 0x01]),
        (
            Term::Big(false, vec![0, 0, 0, 0, 0, 0, 0, 0, 3]),
            exact,
            &[0x8B, 0, 0, 0, 65, 0x80],
        ),
        (atom("ab"), exact, &[0x90, b'a', b'b', 0]),
        (atom("\u{0}"), exact, &[0x90, 1, 1, 0]),
        (
            Term::Bits(b"xyz".to_vec(), 8),
            exact,
            &[0xBC, b'x', b'y', b'z', 1],
        ),
        (Term::Bits(vec![1, 0xA0], 3), exact, &[0xBC, 2, 0xFE, 0xA0, 0, 3]),
        (Term::Bits(vec![0, 0, 9], 8), exact, &[0xBC, 2, 0xBE, 9, 1]),
        (zeros(2), exact, &[0xBC, 2, 2, 1]),
        (zeros(65), exact, &[0xBC, 2, 0x41, 2, 1, 1]),
        (Term::Nil, exact, &[0xB4]),
        (
            Term::List(vec![Term::Int(0)], Box::new(Term::Nil)),
            exact,
            &[0xB8, 0x48, 0xB4],
        ),
        (
            Term::Tuple(vec![Term::Int(0), Term::Nil]),
            exact,
            &[0xA6, 0x48, 0xB4],
        ),
        (
            Term::Tuple(vec![Term::Nil; 8]),
            exact,
            &[0xAC, 8, 0xB4, 0xB4, 0xB4, 0xB4, 0xB4, 0xB4, 0xB4, 0xB4],
        ),
        (
            map,
            numeric,
            &[0xB0, 2, 2, 0x4C, 0, 3, 0x4B, 0, 0x4B, 0, 0x90, b'a', 0, 8],
        ),
        (
            Term::Pid(Made::Local(0x0102_0304_0506_0708), 5, 6),
            exact,
            &[0xA0, 0, 0, 0, 6, 0, 0, 0, 5, 0, 1, 2, 3, 4, 5, 6, 7, 8],
        ),
        (
            Term::Reference(Made::Node("n".into(), 1), vec![5, 6]),
            exact,
            &[0x94, 1, b'n', 0, 0, 0, 0, 1, 2, 0, 0, 0, 6, 0, 0, 0, 5],
        ),
    ];
    for (term, form, bytes) in cases {
        assert_eq!(encode_key(&term, form).0, bytes, "{term:?}");
    }
}

#[test]
fn a_long_binary_is_not_copied_against_the_budget() {
    let long = Term::Bits(vec![7; 10 << 20], 8);
    let form = Form::Exact(Equality::ZerosEqual);
    let mut out = Vec::new();
    let stopped = key::encode(
        &mut Terms::default(),
        At(&long, 0),
        form,
        &mut out,
        &mut Budget::normal(),
    );
    assert_eq!(stopped, Err(EncodeError::Budget));
    let (key, _) = encode_key(&long, form);
    assert!(key::with_binary(&key, &mut Budget::normal(), <[u8]>::len).is_err());
    let stopped = key::encode_binary(&vec![7; 10 << 20], &mut out, &mut Budget::normal());
    assert_eq!(stopped, Err(EncodeError::Budget));
    assert!(out.is_empty());
}

/// Found by the fuzzer of keys. An integer's trailing zero bits take no room in a key, so 6 bytes are one of 8 MiB, which is as the format wants it. But a tuple
/// of a thousand such integers has 6 KB and was made as 8 GiB, which ends the VM.
#[test]
fn a_short_key_does_not_make_gigabytes() {
    let power = |bits: usize| {
        let mut magnitude = vec![0; bits / 8 + 1];
        magnitude[bits / 8] = 1;
        Term::Big(false, magnitude)
    };
    let form = Form::Exact(Equality::ZerosEqual);
    let seven = Term::Tuple(vec![power(64_000_000); 7]);
    let (bytes, _) = encode_key(&seven, form);
    assert!(bytes.len() < 50 && decode_key(&bytes).unwrap().is(&seven));

    let nine = Term::Tuple(vec![power(64_000_000); 9]);
    let mut out = Vec::new();
    let encoded = key::encode(
        &mut Terms::default(),
        At(&nine, 0),
        form,
        &mut out,
        &mut Budget::unlimited(),
    );
    assert_eq!(encoded, Err(EncodeError::TooLarge("the integers of a key")));
    // What the encoder would have written: the tag of nine elements, and nine times the same integer.
    let integer = encode_key(&power(64_000_000), form).0;
    let hostile = [&[0xAC, 9][..], &integer.repeat(9)].concat();
    assert!(matches!(decode_key(&hostile), Err(DecodeError::Damaged { .. })));
}
