//! Test equipment: a panic in whichever NIF is named.

use std::ffi::CStr;

use parking_lot::Mutex;
use rustler::Encoder;

use crate::atoms;
use crate::error::Fail;
use crate::schedule::{Call, Outcome};

/// The NIF whose next call panics.
static NEXT: Mutex<Option<String>> = Mutex::new(None);

/// Panics if it is this NIF's turn, and prints nothing.
pub fn strike(name: &CStr) {
    let mut next = NEXT.lock();
    if next.as_deref().map(str::as_bytes) == Some(name.to_bytes()) {
        *next = None;
        drop(next);
        std::panic::resume_unwind(Box::new("asked for by a test"));
    }
}

/// `test_panic_in(Name)`: the next call of the NIF with this name panics, on whichever scheduler.
pub fn test_panic_in<'a>(call: &Call<'a>) -> Outcome<'a> {
    let name = call.arg(0).atom_to_string().map_err(|_| Fail::none())?;
    *NEXT.lock() = Some(name);
    Ok(atoms::ok().encode(call.env))
}
