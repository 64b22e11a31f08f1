//! Objects: any bytes are refused or make a tuple, which has one form, and can be read and changed as bytes.

use bets_codec::builder::Discard;
use bets_codec::{Budget, Equality, object};

use crate::memory::Bound;
use crate::terms::{Term, decode_object, encode_object};

pub fn check(data: &[u8]) {
    let Some((&keypos, bytes)) = data.split_first() else {
        return;
    };
    let keypos = usize::from(keypos % 4);
    let made = Bound::TERM.watch(bytes.len(), || {
        let key = |_: &mut Discard| Ok(());
        object::decode(bytes, keypos, &mut Discard, key, &mut Budget::unlimited())
    });
    any_bytes(bytes, keypos);
    let Ok(()) = made else { return };
    let Ok(Term::Tuple(elements)) = decode_object(bytes, keypos) else {
        return;
    };
    if Term::Tuple(elements.clone()).has_distinct_keys() {
        returns(&elements, keypos);
    }
}

/// What works on bytes without making terms takes bytes that make none, too.
fn any_bytes(bytes: &[u8], keypos: usize) {
    let unlimited = &mut Budget::unlimited();
    let arity = object::arity(bytes).unwrap_or(0);
    for pos in 0..=arity.min(4) {
        if let Ok(range) = object::element(bytes, keypos, pos, unlimited) {
            let element = &bytes[range.clone()];
            let int = object::int_element(bytes, keypos, pos, unlimited);
            assert_eq!(int, object::as_int(element).map(|int| (range.clone(), int)));
            let mut out = Vec::new();
            if object::replace(bytes, keypos, &[(pos, element)], &mut out, unlimited).is_ok() {
                assert_eq!(out, bytes, "an element was replaced by itself");
            }
        }
    }
    for equality in [Equality::ZerosEqual, Equality::ZerosDistinct] {
        let _ = object::fingerprint(bytes, equality, unlimited);
        let (a, b) = bytes.split_at(bytes.len() / 2);
        let _ = object::same(a, b, equality, unlimited);
    }
}

fn returns(elements: &[Term], keypos: usize) {
    let bytes = encode_object(elements, keypos);
    let back = decode_object(&bytes, keypos).unwrap();
    assert!(
        back.is(&Term::Tuple(elements.to_vec())),
        "{elements:?} came back as {back:?}"
    );
    assert_eq!(object::arity(&bytes), Ok(elements.len()));
    assert_eq!(
        object::same(&bytes, &bytes, Equality::ZerosDistinct, &mut Budget::unlimited()),
        Ok(true)
    );
}
