//! Terms of the VM, made.
#![expect(unsafe_code, reason = "the VM's C interface")]

use bets_codec::{Builder, Creator, DecodeError, FunHead, etf};
use rustler::sys::{
    ErlNifEnv, ErlNifTerm, enif_make_double, enif_make_list_cell, enif_make_list_from_array, enif_make_long,
    enif_make_map_from_arrays, enif_make_new_binary, enif_make_tuple_from_array,
};
use rustler::{Env, Term};
use smallvec::SmallVec;

use super::external::{self, External};
use super::shared::Binaries;
use super::{atoms, incarnations};

/// The VM's own limit.
const ARITY_MAX: usize = (1 << 24) - 1;

/// Makes terms of one environment.
pub(super) struct BeamBuilder<'a, 'b> {
    env: Env<'a>,
    raw: *mut ErlNifEnv,
    /// Whether the caller must not be held up.
    limited: bool,
    /// Where binaries come from, if they need not have memory of their own.
    binaries: Option<&'b mut Binaries<'a>>,
    stack: SmallVec<[ErlNifTerm; 24]>,
}

impl<'a, 'b> BeamBuilder<'a, 'b> {
    #[inline]
    pub(super) fn new(env: Env<'a>, limited: bool, binaries: Option<&'b mut Binaries<'a>>) -> Self {
        BeamBuilder {
            env,
            raw: env.as_c_arg(),
            limited,
            binaries,
            stack: SmallVec::new(),
        }
    }

    /// Pushes a term that was made elsewhere.
    pub(super) fn push(&mut self, term: Term<'a>) {
        self.stack.push(term.as_c_arg());
    }

    /// The term that was made.
    pub(super) fn finish(&mut self) -> Result<Term<'a>, DecodeError> {
        let term = self.pop()?;
        // SAFETY: everything on the stack belongs to the environment.
        Ok(unsafe { Term::new(self.env, term) })
    }

    /// The same, without its environment.
    pub(super) fn pop(&mut self) -> Result<ErlNifTerm, DecodeError> {
        self.stack.pop().ok_or(TOO_FEW)
    }

    /// Where the topmost `count` terms start.
    fn top(&self, count: usize) -> Result<usize, DecodeError> {
        self.stack.len().checked_sub(count).ok_or(TOO_FEW)
    }

    /// Pushes a term that `put` writes in its external format.
    fn external(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> Result<(), DecodeError> {
        let mut bytes = vec![etf::VERSION];
        put(&mut bytes);
        self.stack.push(external::make(self.raw, &bytes)?);
        Ok(())
    }

    /// Pushes a pid, a port or a reference.
    fn made(
        &mut self,
        creator: Creator<'_>,
        put: impl FnOnce(&mut Vec<u8>, (&str, u32)),
    ) -> Result<(), DecodeError> {
        if let Some(made) = incarnations().foreign_name(creator) {
            return self.external(|bytes| put(bytes, made));
        }
        let bytes = self.at_home(|bytes, made| put(bytes, made))?;
        self.stack.push(external::make(self.raw, &bytes)?);
        Ok(())
    }

    /// An external format that names this VM.
    fn at_home(&self, put: impl FnOnce(&mut Vec<u8>, (&str, u32))) -> Result<Vec<u8>, DecodeError> {
        let mut bytes = vec![etf::VERSION];
        external::with_home(self.raw, |home| put(&mut bytes, (&home.name, home.creation)))
            .map_err(|_| DecodeError::Unmakeable("the node's own name is not known"))?;
        Ok(bytes)
    }
}

/// A binary of these bytes.
#[inline]
pub(super) fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Result<Term<'a>, DecodeError> {
    let mut term = ErlNifTerm::default();
    // SAFETY: the VM gives memory of the length asked for, which nothing else uses yet, and the term is one of this environment.
    unsafe {
        let data = enif_make_new_binary(env.as_c_arg(), bytes.len(), &raw mut term);
        if data.is_null() {
            return Err(DecodeError::Unmakeable("no memory for a binary"));
        }
        data.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        Ok(Term::new(env, term))
    }
}

const TOO_FEW: DecodeError = DecodeError::Unmakeable("too few parts");

impl Builder for BeamBuilder<'_, '_> {
    fn reset(&mut self) {
        self.stack.clear();
    }

    #[inline]
    fn int(&mut self, value: i64) -> Result<(), DecodeError> {
        // SAFETY: the environment is the caller's.
        self.stack.push(unsafe { enif_make_long(self.raw, value) });
        Ok(())
    }

    fn big(&mut self, negative: bool, magnitude: &[u8]) -> Result<(), DecodeError> {
        self.external(|bytes| etf::put_big(bytes, negative, magnitude))
    }

    fn float(&mut self, value: f64) -> Result<(), DecodeError> {
        if !value.is_finite() {
            return Err(DecodeError::Unmakeable("a float that is not finite"));
        }
        // SAFETY: the environment is the caller's; the value is finite.
        self.stack.push(unsafe { enif_make_double(self.raw, value) });
        Ok(())
    }

    #[inline]
    fn atom(&mut self, text: &str) -> Result<(), DecodeError> {
        self.stack.push(atoms::atom(self.raw, text)?);
        Ok(())
    }

    #[inline]
    fn binary(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let word = match &mut self.binaries {
            None => binary(self.env, bytes)?.as_c_arg(),
            Some(binaries) => binaries.make(bytes)?,
        };
        self.stack.push(word);
        Ok(())
    }

    fn bits(&mut self, bytes: &[u8], last_bits: u8) -> Result<(), DecodeError> {
        self.external(|out| etf::put_bits(out, bytes, last_bits))
    }

    fn pid(&mut self, creator: Creator<'_>, id: u32, serial: u32) -> Result<(), DecodeError> {
        self.made(creator, |bytes, made| etf::put_pid(bytes, made, id, serial))
    }

    fn port(&mut self, creator: Creator<'_>, id: u64) -> Result<(), DecodeError> {
        self.made(creator, |bytes, made| etf::put_port(bytes, made, id))
    }

    fn reference(&mut self, creator: Creator<'_>, words: &[u32]) -> Result<(), DecodeError> {
        self.made(creator, |bytes, made| etf::put_reference(bytes, made, words))
    }

    fn export(&mut self, module: &str, function: &str, arity: u8) -> Result<(), DecodeError> {
        self.external(|bytes| etf::put_export(bytes, module, function, arity))
    }

    fn fun(&mut self, head: &FunHead<'_>) -> Result<(), DecodeError> {
        if self.limited {
            return Err(DecodeError::Budget);
        }
        let start = self.top(head.free as usize)?;
        let mut free = Vec::new();
        for &term in &self.stack[start..] {
            let external = External::of(self.raw, term)
                .map_err(|_| DecodeError::Unmakeable("the environment of a fun"))?;
            free.push(external.bytes()[1..].to_vec());
        }
        self.stack.truncate(start);
        let bytes = self.at_home(|bytes, made| etf::put_fun(bytes, made, head, &free))?;
        self.stack.push(external::make(self.raw, &bytes)?);
        Ok(())
    }

    #[inline]
    fn tuple(&mut self, arity: usize) -> Result<(), DecodeError> {
        let start = self.top(arity)?;
        if arity > ARITY_MAX {
            return Err(DecodeError::Unmakeable(
                "a tuple of more elements than the VM allows",
            ));
        }
        let elements = &self.stack[start..];
        // SAFETY: the elements belong to the environment.
        let tuple = unsafe { enif_make_tuple_from_array(self.raw, elements.as_ptr(), elements.len() as u32) };
        self.stack.truncate(start);
        self.stack.push(tuple);
        Ok(())
    }

    fn nil(&mut self) -> Result<(), DecodeError> {
        // SAFETY: the environment is the caller's; no element is read.
        self.stack
            .push(unsafe { enif_make_list_from_array(self.raw, [].as_ptr(), 0) });
        Ok(())
    }

    fn list(&mut self, len: usize) -> Result<(), DecodeError> {
        let mut list = self.pop()?;
        let start = self.top(len)?;
        for &element in self.stack[start..].iter().rev() {
            // SAFETY: both belong to the environment.
            list = unsafe { enif_make_list_cell(self.raw, element, list) };
        }
        self.stack.truncate(start);
        self.stack.push(list);
        Ok(())
    }

    fn map(&mut self, pairs: usize) -> Result<(), DecodeError> {
        let start = self.top(pairs.saturating_mul(2))?;
        let (keys, values) = self.stack[start..].split_at(pairs);
        let mut map = ErlNifTerm::default();
        // SAFETY: keys and values belong to the environment and are as many as said; the VM sets the map if it gives a value other
        // than 0.
        if unsafe { enif_make_map_from_arrays(self.raw, keys.as_ptr(), values.as_ptr(), pairs, &raw mut map) }
            == 0
        {
            return Err(DecodeError::Unmakeable("a map with a key twice"));
        }
        self.stack.truncate(start);
        self.stack.push(map);
        Ok(())
    }
}
