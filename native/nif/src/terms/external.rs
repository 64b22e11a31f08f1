//! Terms in the external format, for those that the VM hands out and takes in no other way.
#![expect(unsafe_code, reason = "the VM's C interface")]

use std::cell::RefCell;
use std::mem::MaybeUninit;

use bets_codec::etf::{self, Leaf};
use bets_codec::incarnation::Home;
use bets_codec::{DecodeError, EncodeError};
use rustler::sys::{
    ErlNifBinary, ErlNifEnv, ErlNifTerm, enif_binary_to_term, enif_get_local_pid, enif_make_ref,
    enif_release_binary, enif_term_to_binary,
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

/// What this thread knows of who this VM is.
struct Known {
    home: Home,
    /// The external format of a pid of this VM.
    pid: Vec<u8>,
}

thread_local! {
    static KNOWN: RefCell<Option<Known>> = const { RefCell::new(None) };
}

/// Hands out who this VM says it is now. That changes when distribution starts or stops, so it is checked every time: a pid
/// made under the name is a local one only as long as the name holds.
pub(super) fn with_home<R>(env: *mut ErlNifEnv, f: impl FnOnce(&Home) -> R) -> Result<R, EncodeError> {
    KNOWN.with_borrow_mut(|known| {
        if known.as_ref().is_none_or(|known| !is_local_pid(env, &known.pid)) {
            let home = home(env)?;
            let mut pid = vec![etf::VERSION];
            etf::put_pid(&mut pid, (&home.name, home.creation), 0, 0);
            *known = Some(Known { home, pid });
        }
        match known {
            Some(known) => Ok(f(&known.home)),
            None => Err(EncodeError::Unreadable("the node's own name")),
        }
    })
}

fn is_local_pid(env: *mut ErlNifEnv, pid: &[u8]) -> bool {
    // SAFETY: only writes to the identifier that it is handed.
    make(env, pid)
        .is_ok_and(|pid| unsafe { enif_get_local_pid(env, pid, MaybeUninit::uninit().as_mut_ptr()) } != 0)
}

/// Asks the VM for a term of its own.
fn home(env: *mut ErlNifEnv) -> Result<Home, EncodeError> {
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
