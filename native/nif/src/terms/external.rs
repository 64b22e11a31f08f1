//! Terms in the external format, for those that the VM hands out and takes in no other way.
#![expect(unsafe_code, reason = "the VM's C interface")]

use std::mem::MaybeUninit;

use bets_codec::etf::{self, Leaf};
use bets_codec::incarnation::Home;
use bets_codec::{DecodeError, EncodeError};
use rustler::sys::{
    ErlNifBinary, ErlNifEnv, ErlNifTerm, enif_binary_to_term, enif_make_ref, enif_release_binary,
    enif_term_to_binary,
};

/// A term's external format, in memory of the VM's.
pub(super) struct External(ErlNifBinary);

impl External {
    /// Of a term, which must belong to `env`. Costs time linear in its size.
    pub(super) fn of(env: *mut ErlNifEnv, term: ErlNifTerm) -> Result<Self, EncodeError> {
        let mut binary = MaybeUninit::uninit();
        // SAFETY: the environment is the caller's; the VM fills the binary if it gives a value other than 0.
        unsafe {
            if enif_term_to_binary(env, term, binary.as_mut_ptr()) == 0 {
                return Err(EncodeError::Unreadable("the VM has no external format of it"));
            }
            Ok(External(binary.assume_init()))
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the VM allocated that many bytes and filled them; they live until the release in `drop`.
        unsafe { std::slice::from_raw_parts(self.0.data, self.0.size) }
    }
}

impl Drop for External {
    fn drop(&mut self) {
        // SAFETY: the binary was made by `enif_term_to_binary` and is released once.
        unsafe { enif_release_binary(&raw mut self.0) }
    }
}

/// Makes a term of its external format, version byte included.
pub(super) fn make(env: *mut ErlNifEnv, bytes: &[u8]) -> Result<ErlNifTerm, DecodeError> {
    let mut term = ErlNifTerm::default();
    // SAFETY: the environment is the caller's; the VM checks the bytes, and sets the term if it gives their number.
    let read = unsafe { enif_binary_to_term(env, bytes.as_ptr(), bytes.len(), &raw mut term, 0) };
    if read == bytes.len() {
        Ok(term)
    } else {
        Err(DecodeError::Unmakeable("the VM refuses its external format"))
    }
}

/// Who this VM says it is now. It is asked for every time, because it changes when distribution starts or stops.
pub(super) fn home(env: *mut ErlNifEnv) -> Result<Home, EncodeError> {
    // SAFETY: the environment is the caller's.
    let reference = unsafe { enif_make_ref(env) };
    let external = External::of(env, reference)?;
    match etf::leaf(external.bytes())? {
        Leaf::Reference { made, .. } => Ok(Home {
            name: made.name.into_owned(),
            creation: made.creation,
        }),
        _ => Err(EncodeError::Unreadable("a new reference is no reference")),
    }
}
