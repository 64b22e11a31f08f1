//! Keys order as terms do, return as they were, and are never trusted.

#![allow(clippy::panic, reason = "a failed check")]

mod common;

use std::cmp::Ordering;

use bets_codec::{Budget, EncodeError, Equality, Form, key};
use common::{At, Mode, Term, Terms, decode_key, encode_key, number_term, term};
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
