//! The one place where the NIF meets the codec of terms.

use rustler::{Env, Term};

use crate::error::Fail;

/// How many bytes of terms a call may still encode or decode.
pub struct Budget {
    left: usize,
}

impl Budget {
    /// A budget of so many bytes.
    pub const fn new(bytes: usize) -> Self {
        Budget { left: bytes }
    }

    /// No limit.
    pub const fn unlimited() -> Self {
        Budget { left: usize::MAX }
    }

    fn take(&mut self, bytes: usize) -> Result<(), Fail> {
        self.left = self.left.checked_sub(bytes).ok_or(Fail::OverBudget)?;
        Ok(())
    }
}

/// Appends a key's bytes to `out` and tells how many of them are compared.
pub fn encode_key(key: Term<'_>, out: &mut Vec<u8>, budget: &mut Budget) -> Result<usize, Fail> {
    encode_object(key, out, budget)
}

/// How many bytes of a stored key are compared.
pub fn compared(key: &[u8]) -> usize {
    key.len()
}

/// Appends an object's bytes to `out` and tells how many there are.
pub fn encode_object(object: Term<'_>, out: &mut Vec<u8>, budget: &mut Budget) -> Result<usize, Fail> {
    let binary = object.to_binary();
    budget.take(binary.len())?;
    out.extend_from_slice(&binary);
    Ok(binary.len())
}

/// The key that is stored as these bytes.
pub fn decode_key<'a>(env: Env<'a>, bytes: &[u8], budget: &mut Budget) -> Result<Term<'a>, Fail> {
    decode_object(env, bytes, budget)
}

/// The object that is stored as these bytes.
pub fn decode_object<'a>(env: Env<'a>, bytes: &[u8], budget: &mut Budget) -> Result<Term<'a>, Fail> {
    budget.take(bytes.len())?;
    env.binary_to_term(bytes).map(|(term, _)| term).ok_or(Fail::Undecodable)
}
