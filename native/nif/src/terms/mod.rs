//! Terms to bytes and back: the codec over the terms of the VM.
//!
//! No function here touches the disk. With a limited [`Budget`] each ends before a normal scheduler is held up, with
//! `Budget` as its error; what the VM hands out or takes in only in pieces of unknown size (funs, bitstrings of odd
//! length, huge integers) is refused at once with the same error. The call is then to be made again on a dirty scheduler
//! with [`Budget::unlimited`].

mod atoms;
mod build;
mod external;
mod shared;
mod walk;

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use bets_codec::{Budget, DecodeError, EncodeError, Form, Incarnations, key, object};
use rustler::{Env, Term};

use build::BeamBuilder;
pub use shared::Binaries;
use walk::BeamSource;

use crate::raw::Word;

/// Appends a key to `out`: its compared part, whose length is the result, and its suffix.
#[inline]
pub fn encode_key<'a>(
    env: Env<'a>,
    term: Term<'a>,
    form: Form,
    out: &mut Vec<u8>,
    budget: &mut Budget,
) -> Result<usize, EncodeError> {
    // What most keys are.
    if let Some(bytes) = walk::binary(env, term) {
        return key::encode_binary(bytes, out, budget);
    }
    if let Some(int) = walk::int(env, term) {
        return key::encode_int(int, out, budget);
    }
    let mut source = BeamSource::new(env, budget.is_limited());
    key::encode(&mut source, term.as_c_arg(), form, out, budget)
}

/// The term of a key's bytes, in the form that it was stored in.
pub fn decode_key<'a>(env: Env<'a>, bytes: &[u8], budget: &mut Budget) -> Result<Term<'a>, DecodeError> {
    // What most keys are.
    if let Some(binary) = key::with_binary(bytes, budget, |bytes| build::binary(env, bytes))? {
        return binary;
    }
    let mut builder = BeamBuilder::new(env, budget.is_limited(), None);
    key::decode(bytes, &mut builder, budget)?;
    builder.finish()
}

/// Appends the object of a tuple without its element `keypos` (from 1).
pub fn encode_object<'a>(
    env: Env<'a>,
    tuple: Term<'a>,
    keypos: usize,
    out: &mut Vec<u8>,
    budget: &mut Budget,
) -> Result<(), EncodeError> {
    let mut source = BeamSource::new(env, budget.is_limited());
    object::encode(&mut source, tuple.as_c_arg(), keypos, out, budget)
}

/// Appends one element's bytes, as [`object::replace`] takes them.
pub fn encode_element<'a>(
    env: Env<'a>,
    term: Term<'a>,
    out: &mut Vec<u8>,
    budget: &mut Budget,
) -> Result<(), EncodeError> {
    let mut source = BeamSource::new(env, budget.is_limited());
    object::encode_element(&mut source, term.as_c_arg(), out, budget)
}

/// The tuple of an object's bytes, with `key` as its element `keypos`, as a word of this environment: a term is passed on in memory.
/// Of many objects, the `binaries` may share memory.
pub fn decode_object<'a>(
    key: Term<'a>,
    keypos: usize,
    bytes: &[u8],
    binaries: Option<&mut Binaries<'a>>,
    budget: &mut Budget,
) -> Result<Word, DecodeError> {
    let mut builder = BeamBuilder::new(key.get_env(), budget.is_limited(), binaries);
    let push_key = |builder: &mut BeamBuilder<'a, '_>| {
        builder.push(key);
        Ok(())
    };
    object::decode(bytes, keypos, &mut builder, push_key, budget)?;
    builder.pop()
}

/// The element at `pos` of an object's bytes; not the key's. The elements before it are passed over.
pub fn decode_element<'a>(
    env: Env<'a>,
    bytes: &[u8],
    keypos: usize,
    pos: usize,
    budget: &mut Budget,
) -> Result<Term<'a>, DecodeError> {
    let mut builder = BeamBuilder::new(env, budget.is_limited(), None);
    object::decode_element(bytes, keypos, pos, &mut builder, budget)?;
    builder.finish()
}

/// The incarnations of this VM: its own marker is drawn at random at the first use.
pub fn incarnations() -> &'static Incarnations {
    static INCARNATIONS: OnceLock<Incarnations> = OnceLock::new();
    INCARNATIONS.get_or_init(|| {
        let now = std::time::SystemTime::now();
        Incarnations::new(RandomState::new().hash_one((now, std::process::id())))
    })
}
