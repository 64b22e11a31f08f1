//! The one place where the NIF meets the codec of terms.

use bets_codec::{DecodeError, EncodeError, key, object};
use bets_engine::table::{Found, TableKind};
use rustler::{Env, Term};

use crate::error::Fail;
use crate::raw::{Word, element};
use crate::terms;

pub use crate::terms::Binaries;
pub use bets_codec::{Budget, Equality, Form};

impl From<EncodeError> for Fail {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::Budget => Fail::OverBudget,
            EncodeError::Unreadable(what) | EncodeError::TooLarge(what) => Fail::Unstorable(Box::new(what)),
            _ => Fail::Unstorable(Box::new("unknown")),
        }
    }
}

impl From<DecodeError> for Fail {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Budget => Fail::OverBudget,
            _ => Fail::Undecodable,
        }
    }
}

/// What makes a table's terms into bytes: which keys are equal, and where the key stands in an object.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    kind: TableKind,
    form: Form,
    equality: Equality,
    keypos: usize,
}

impl Layout {
    /// Of a table with these properties.
    pub fn new(kind: TableKind, equality: Equality, keypos: u32) -> Layout {
        let form = match kind {
            TableKind::OrderedSet => Form::Numeric(equality),
            _ => Form::Exact(equality),
        };
        Layout {
            kind,
            form,
            equality,
            keypos: keypos as usize,
        }
    }

    /// The type of the table.
    pub fn kind(&self) -> TableKind {
        self.kind
    }

    /// Appends to the bytes of a key those by which the engine finds equal objects of it, in a bag.
    pub fn mark_key(&self, key: &mut Vec<u8>, object: &[u8], budget: &mut Budget) -> Result<(), Fail> {
        if self.kind.is_bag() {
            let fingerprint = object::fingerprint(object, self.equality, budget)?;
            key.extend_from_slice(&fingerprint.to_le_bytes());
        }
        Ok(())
    }

    /// Whether the table is in the order of its keys.
    pub fn is_ordered(&self) -> bool {
        matches!(self.form, Form::Numeric(_))
    }

    /// The key's position in an object, from 1.
    pub fn keypos(&self) -> usize {
        self.keypos
    }

    /// Appends a key's bytes to `out` and tells how many of them are compared.
    #[inline]
    pub fn encode_key(&self, key: Term<'_>, out: &mut Vec<u8>, budget: &mut Budget) -> Result<usize, Fail> {
        Ok(terms::encode_key(key.get_env(), key, self.form, out, budget)?)
    }

    /// Appends the bytes of an object, which is a tuple that has a key, without its key.
    pub fn encode_object(
        &self,
        object: Term<'_>,
        out: &mut Vec<u8>,
        budget: &mut Budget,
    ) -> Result<(), Fail> {
        Ok(terms::encode_object(
            object.get_env(),
            object,
            self.keypos,
            out,
            budget,
        )?)
    }

    /// The object that was found under the key `asked` for, as a word of the key's environment.
    #[inline]
    pub fn decode_object(
        &self,
        asked: Term<'_>,
        found: Found<'_>,
        budget: &mut Budget,
    ) -> Result<Word, Fail> {
        let key = stored_key(asked, found, budget)?;
        self.decode(key, found.value, None, budget)
    }

    /// One of the objects that were found under the key `asked` for.
    pub fn decode_one_of<'a>(
        &self,
        asked: Term<'a>,
        found: Found<'_>,
        binaries: Option<&mut Binaries<'a>>,
        budget: &mut Budget,
    ) -> Result<Term<'a>, Fail> {
        let key = stored_key(asked, found, budget)?;
        let word = self.decode(key, found.value, binaries, budget)?;
        Ok(element(asked.get_env(), word))
    }

    /// The object of this key and these bytes, as a word of the key's environment. Of many objects, binaries may share memory.
    #[inline]
    pub fn decode<'a>(
        &self,
        key: Term<'a>,
        bytes: &[u8],
        binaries: Option<&mut Binaries<'a>>,
        budget: &mut Budget,
    ) -> Result<Word, Fail> {
        Ok(terms::decode_object(key, self.keypos, bytes, binaries, budget)?)
    }

    /// One element of an object, which is not its key. `badarg` if there is no such one.
    pub fn decode_element<'a>(
        &self,
        env: Env<'a>,
        bytes: &[u8],
        position: usize,
        budget: &mut Budget,
    ) -> Result<Term<'a>, Fail> {
        terms::decode_element(env, bytes, self.keypos, position, budget).map_err(|error| match error {
            DecodeError::NoElement => Fail::none(),
            error => error.into(),
        })
    }

    /// Whether the object that was found under the key `asked` for is `=:=` one of that very key and these bytes.
    pub fn same(
        &self,
        asked: Term<'_>,
        found: Found<'_>,
        bytes: &[u8],
        budget: &mut Budget,
    ) -> Result<bool, Fail> {
        // Where keys are found by `==`, the stored one may be another.
        if self.is_ordered()
            && let Some(stored) = found.key
        {
            let stored = decode_key(asked.get_env(), stored, budget)?;
            if !equal(stored, asked, Form::Exact(self.equality), budget)? {
                return Ok(false);
            }
        }
        same_value(found.value, bytes, self.equality, budget)
    }

    /// Whether two terms are one key of the table.
    pub fn same_key(&self, a: Term<'_>, b: Term<'_>, budget: &mut Budget) -> Result<bool, Fail> {
        equal(a, b, self.form, budget)
    }

    /// Whether the zeros are one.
    pub fn equality(&self) -> Equality {
        self.equality
    }
}

/// Whether two objects are `=:=` but for their keys.
pub fn same_value(a: &[u8], b: &[u8], zeros: Equality, budget: &mut Budget) -> Result<bool, Fail> {
    Ok(object::same(a, b, zeros, budget)?)
}

/// Whether two terms are one key in this form. The VM is not asked, for what it takes for one depends on its release.
fn equal(a: Term<'_>, b: Term<'_>, form: Form, budget: &mut Budget) -> Result<bool, Fail> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let compared = (
        terms::encode_key(a.get_env(), a, form, &mut first, budget)?,
        terms::encode_key(b.get_env(), b, form, &mut second, budget)?,
    );
    Ok(first[..compared.0] == second[..compared.1])
}

/// How many bytes of a stored key are compared.
pub fn compared(bytes: &[u8], budget: &mut Budget) -> Result<usize, Fail> {
    Ok(key::compared_len(bytes, budget)?)
}

/// The key that is stored as these bytes.
pub fn decode_key<'a>(env: Env<'a>, bytes: &[u8], budget: &mut Budget) -> Result<Term<'a>, Fail> {
    Ok(terms::decode_key(env, bytes, budget)?)
}

/// Appends the bytes of an element of an object.
pub fn encode_element(term: Term<'_>, out: &mut Vec<u8>, budget: &mut Budget) -> Result<(), Fail> {
    Ok(terms::encode_element(term.get_env(), term, out, budget)?)
}

/// The stored form of the key `asked` for, which was found.
pub fn stored_key<'a>(asked: Term<'a>, found: Found<'_>, budget: &mut Budget) -> Result<Term<'a>, Fail> {
    match found.key {
        Some(bytes) => decode_key(asked.get_env(), bytes, budget),
        None => Ok(asked),
    }
}
