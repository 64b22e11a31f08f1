//! Keys: any bytes are refused or make a term, and a term that was made has a key whose order is the term's.

use bets_codec::builder::Discard;
use bets_codec::{Budget, Equality, Form, key};

use crate::memory::Bound;
use crate::terms::{Mode, Term, decode_key, encode_key};

pub fn check(data: &[u8]) {
    let (first, second) = data.split_at(data.len() / 2);
    let terms: Vec<Term> = [data, first, second].into_iter().filter_map(decoded).collect();
    for term in &terms {
        returns(term);
    }
    if let [a, b, ..] = terms.as_slice() {
        ordered(a, b);
    }
    let binary = key::with_binary(data, &mut Budget::unlimited(), <[u8]>::to_vec).unwrap();
    match decode_key(data) {
        Ok(Term::Bits(bits, 8)) => assert_eq!(binary.as_deref(), Some(&*bits)),
        _ => assert!(binary.is_none()),
    }
    // Work on a thread that must not be held up ends early, and in no other way.
    let mut short = Budget::limited(40);
    let _ = key::decode(data, &mut Discard, &mut short);
}

fn decoded(bytes: &[u8]) -> Option<Term> {
    Bound::KEY
        .watch(bytes.len(), || {
            let compared = key::compared_len(bytes, &mut Budget::unlimited());
            assert!(compared.is_err() || compared.is_ok_and(|len| len <= bytes.len()));
            key::decode(bytes, &mut Discard, &mut Budget::unlimited())
        })
        .ok()?;
    // The codec leaves it to the VM that the keys of a map differ.
    decode_key(bytes).ok().filter(Term::has_distinct_keys)
}

fn returns(term: &Term) {
    for form in [
        Form::Exact(Equality::ZerosDistinct),
        Form::Numeric(Equality::ZerosEqual),
    ] {
        let (bytes, compared) = encode_key(term, form);
        assert_eq!(
            key::compared_len(&bytes, &mut Budget::unlimited()),
            Ok(compared),
            "{term:?}"
        );
        let back = decode_key(&bytes).unwrap();
        assert!(back.is(term), "{term:?} came back as {back:?}");
    }
}

fn ordered(a: &Term, b: &Term) {
    for (form, mode) in [
        (Form::Exact(Equality::ZerosEqual), Mode::Exact),
        (Form::Numeric(Equality::ZerosEqual), Mode::Numeric),
    ] {
        let ((x, x_len), (y, y_len)) = (encode_key(a, form), encode_key(b, form));
        assert_eq!(x[..x_len].cmp(&y[..y_len]), a.cmp(b, mode), "{a:?} and {b:?}");
    }
}
