//! Atoms and their texts.
#![expect(unsafe_code, reason = "the VM's C interface")]

use std::cell::RefCell;
use std::ffi::c_char;

use bets_codec::etf::{self, Leaf};
use bets_codec::{DecodeError, EncodeError};
use rustler::sys::{
    ErlNifCharEncoding, ErlNifEnv, ErlNifTerm, enif_get_atom, enif_make_atom_len, enif_make_existing_atom_len,
};

use super::external::{self, External};

/// Appends an atom's text to `text`.
pub(super) fn push_text(env: *mut ErlNifEnv, atom: ErlNifTerm, text: &mut String) -> Result<(), EncodeError> {
    // 255 characters of Latin-1 and the zero that the VM puts behind them.
    let mut latin1 = [0u8; 256];
    // SAFETY: the VM writes at most as many bytes as it is told, and says how many.
    let written = unsafe {
        enif_get_atom(
            env,
            atom,
            latin1.as_mut_ptr().cast::<c_char>(),
            latin1.len() as u32,
            ErlNifCharEncoding::ERL_NIF_LATIN1,
        )
    };
    if let Some(len) = usize::try_from(written)
        .ok()
        .and_then(|written| written.checked_sub(1))
    {
        match str::from_utf8(&latin1[..len]) {
            Ok(ascii) if ascii.is_ascii() => text.push_str(ascii),
            _ => text.extend(latin1[..len].iter().map(|&byte| char::from(byte))),
        }
        return Ok(());
    }
    match etf::leaf(External::of(env, atom)?.bytes())? {
        Leaf::Atom(wide) => {
            text.push_str(&wide);
            Ok(())
        }
        _ => Err(EncodeError::Unreadable("an atom without a text")),
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
