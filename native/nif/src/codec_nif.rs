//! The codec as functions of Erlang, for its tests against the VM.

use bets_codec::{Budget, Equality, Form, object};
use rustler::{Binary, Encoder, Env, NewBinary, NifResult, Term};

use crate::raw::element;
use crate::terms;

/// `key_encode(Term, Form) -> {Compared, Bytes}`: `Form` is 1 or 2 for the exact form, 3 or 4 for the numeric one; of both, the
/// first has zeros equal and the second distinct.
#[rustler::nif]
fn key_encode<'a>(env: Env<'a>, term: Term<'a>, form: u8) -> NifResult<Term<'a>> {
    let equality = if form % 2 == 1 {
        Equality::ZerosEqual
    } else {
        Equality::ZerosDistinct
    };
    let form = match form {
        1 | 2 => Form::Exact(equality),
        3 | 4 => Form::Numeric(equality),
        _ => return Err(rustler::Error::BadArg),
    };
    let mut out = Vec::new();
    match terms::encode_key(env, term, form, &mut out, &mut Budget::unlimited()) {
        Ok(compared) => Ok((compared, binary(env, &out)).encode(env)),
        Err(error) => Ok((rustler::types::atom::error(), error.to_string()).encode(env)),
    }
}

/// `key_decode(Bytes) -> Term`.
#[rustler::nif]
fn key_decode<'a>(env: Env<'a>, bytes: Binary<'a>) -> NifResult<Term<'a>> {
    terms::decode_key(env, &bytes, &mut Budget::unlimited())
        .map_err(|error| rustler::Error::RaiseTerm(Box::new(error.to_string())))
}

/// `object_encode(Tuple, Keypos) -> Bytes`.
#[rustler::nif]
fn object_encode<'a>(env: Env<'a>, tuple: Term<'a>, keypos: usize) -> NifResult<Term<'a>> {
    let mut out = Vec::new();
    terms::encode_object(env, tuple, keypos, &mut out, &mut Budget::unlimited())
        .map_err(|error| rustler::Error::RaiseTerm(Box::new(error.to_string())))?;
    Ok(binary(env, &out))
}

/// `object_decode(Key, Keypos, Bytes) -> Tuple`.
#[rustler::nif]
fn object_decode<'a>(env: Env<'a>, key: Term<'a>, keypos: usize, bytes: Binary<'a>) -> NifResult<Term<'a>> {
    terms::decode_object(key, keypos, &bytes, None, &mut Budget::unlimited())
        .map(|word| element(env, word))
        .map_err(|error| rustler::Error::RaiseTerm(Box::new(error.to_string())))
}

/// `object_element(Bytes, Keypos, Pos) -> Term`.
#[rustler::nif]
fn object_element<'a>(env: Env<'a>, bytes: Binary<'a>, keypos: usize, pos: usize) -> NifResult<Term<'a>> {
    terms::decode_element(env, &bytes, keypos, pos, &mut Budget::unlimited())
        .map_err(|error| rustler::Error::RaiseTerm(Box::new(error.to_string())))
}

/// `object_replace(Bytes, Keypos, Pos, Term) -> Bytes`.
#[rustler::nif]
fn object_replace<'a>(
    env: Env<'a>,
    bytes: Binary<'a>,
    keypos: usize,
    pos: usize,
    term: Term<'a>,
) -> NifResult<Term<'a>> {
    let (mut element, mut out) = (Vec::new(), Vec::new());
    terms::encode_element(env, term, &mut element, &mut Budget::unlimited())
        .map_err(|error| rustler::Error::RaiseTerm(Box::new(error.to_string())))?;
    object::replace(
        &bytes,
        keypos,
        &[(pos, &element)],
        &mut out,
        &mut Budget::unlimited(),
    )
    .map_err(|error| rustler::Error::RaiseTerm(Box::new(error.to_string())))?;
    Ok(binary(env, &out))
}

fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Term<'a> {
    let mut binary = NewBinary::new(env, bytes.len());
    binary.as_mut_slice().copy_from_slice(bytes);
    binary.into()
}
