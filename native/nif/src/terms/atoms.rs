//! Atoms and their texts.
#![expect(unsafe_code, reason = "the VM's C interface")]

use std::cell::RefCell;
use std::ffi::c_char;
use std::mem::MaybeUninit;

use bets_codec::etf::{self, Leaf};
use bets_codec::{DecodeError, EncodeError};
use rustler::sys::{
    ErlNifCharEncoding, ErlNifEnv, ErlNifTerm, enif_get_atom, enif_make_atom_len, enif_make_existing_atom_len,
};

use super::external::{self, External};

/// Room for the text of an atom: 255 characters of Latin-1 and the zero that the VM puts behind them.
pub(super) struct Text {
    latin1: [MaybeUninit<u8>; 256],
    wide: String,
}

impl Text {
    #[inline]
    pub(super) const fn new() -> Self {
        Text {
            latin1: [MaybeUninit::uninit(); 256],
            wide: String::new(),
        }
    }

    /// An atom's text.
    #[inline]
    pub(super) fn of(&mut self, env: *mut ErlNifEnv, atom: ErlNifTerm) -> Result<&str, EncodeError> {
        // SAFETY: the VM writes at most as many bytes as it is told, and says how many.
        let written = unsafe {
            let room = self.latin1.as_mut_ptr().cast::<c_char>();
            enif_get_atom(env, atom, room, 256, ErlNifCharEncoding::ERL_NIF_LATIN1)
        };
        if written > 0 {
            // SAFETY: the VM wrote that many bytes, a zero among them that is not of the text.
            let latin1 = unsafe {
                std::slice::from_raw_parts(
                    self.latin1.as_ptr().cast::<u8>(),
                    written.unsigned_abs() as usize - 1,
                )
            };
            if latin1.is_ascii() {
                // SAFETY: ASCII is UTF-8.
                return Ok(unsafe { str::from_utf8_unchecked(latin1) });
            }
            self.wide.clear();
            self.wide.extend(latin1.iter().map(|&byte| char::from(byte)));
            return Ok(&self.wide);
        }
        match etf::leaf(External::of(env, atom)?.bytes())? {
            Leaf::Atom(wide) => {
                self.wide.clear();
                self.wide.push_str(&wide);
                Ok(&self.wide)
            }
            _ => Err(EncodeError::Unreadable("an atom without a text")),
        }
    }
}

/// An atom that was made lately on this thread. Atoms are never collected, so an entry stays true.
#[derive(Clone, Copy)]
struct Recent {
    atom: ErlNifTerm,
    len: u8,
    text: [u8; TEXT_MAX],
}

/// Longer texts are not kept, in bytes.
const TEXT_MAX: usize = 31;
const RECENT: usize = 256;

thread_local! {
    static ATOMS: RefCell<Vec<Recent>> = const { RefCell::new(Vec::new()) };
}

/// The atom of a text; makes it if there is none.
pub(super) fn atom(env: *mut ErlNifEnv, text: &str) -> Result<ErlNifTerm, DecodeError> {
    if text.len() > TEXT_MAX {
        return make(env, text);
    }
    ATOMS.with_borrow_mut(|recent| {
        if recent.is_empty() {
            let none = Recent {
                atom: ErlNifTerm::default(),
                len: u8::MAX,
                text: [0; TEXT_MAX],
            };
            recent.resize(RECENT, none);
        }
        let entry = &mut recent[hash(text.as_bytes()) % RECENT];
        if usize::from(entry.len) == text.len() && entry.text[..text.len()] == *text.as_bytes() {
            return Ok(entry.atom);
        }
        let atom = make(env, text)?;
        entry.atom = atom;
        entry.len = text.len() as u8;
        entry.text[..text.len()].copy_from_slice(text.as_bytes());
        Ok(atom)
    })
}

/// A quick one; a clash costs no more than asking the VM.
fn hash(text: &[u8]) -> usize {
    let mut hash = text.len() as u64;
    let (eights, rest) = text.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    for eight in eights.iter().chain([&last]) {
        hash = (hash.rotate_left(23) ^ u64::from_le_bytes(*eight)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    (hash >> 40) as usize
}

fn make(env: *mut ErlNifEnv, text: &str) -> Result<ErlNifTerm, DecodeError> {
    if !text.is_ascii() {
        let mut bytes = vec![etf::VERSION];
        etf::put_atom(&mut bytes, text);
        return external::make(env, &bytes);
    }
    if text.len() > 255 {
        return Err(DecodeError::Unmakeable("an atom of more than 255 characters"));
    }
    let mut atom = ErlNifTerm::default();
    // SAFETY: the bytes are Latin-1 because they are ASCII; at most 255 of them; the VM sets the atom if it gives a value other
    // than 0. Making a new one must wait for a term that a caller asked for, and this is one.
    unsafe {
        let name = text.as_ptr().cast::<c_char>();
        let latin1 = ErlNifCharEncoding::ERL_NIF_LATIN1;
        if enif_make_existing_atom_len(env, name, text.len(), &raw mut atom, latin1) == 0 {
            atom = enif_make_atom_len(env, name, text.len());
        }
    }
    Ok(atom)
}
