//! Where a call runs.
//!
//! Every NIF body starts on the scheduler of its process, where it may neither wait nor work for long. If it finds that it
//! has to, it gives up before it changed anything, and is started again from the beginning on a dirty scheduler. A panic
//! ends here: the table it happened on fails closed and the caller gets an error.

#![expect(unsafe_code, reason = "the VM calls and is called here")]

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use bets_engine::table::Wait;
use rustler::schedule::consume_timeslice;
use rustler::sys::{
    ERL_NIF_DIRTY_JOB_CPU_BOUND, ERL_NIF_DIRTY_JOB_IO_BOUND, ErlNifEnv, ErlNifTerm, enif_schedule_nif,
};
use rustler::{Env, Term};

use crate::codec::Budget;
use crate::error::Fail;
use crate::registry;

/// A function that Erlang calls, made by [`nif!`].
pub trait Nif {
    /// Its name in `bets_nif`.
    const NAME: &'static CStr;
    /// What it does.
    fn run<'a>(call: &Call<'a>) -> Outcome<'a>;
}

/// What a body gives.
pub type Outcome<'a> = Result<Term<'a>, Fail>;

/// The normal scheduler of the calling process.
pub const NORMAL: u8 = 0;
/// A dirty CPU scheduler: long work is allowed, waiting is not.
pub const DIRTY_CPU: u8 = 1;
/// A dirty I/O scheduler: all is allowed.
pub const DIRTY_IO: u8 = 2;

/// One call of a NIF.
pub struct Call<'a> {
    /// The calling process's environment.
    pub env: Env<'a>,
    args: &'a [ErlNifTerm],
    on: u8,
}

impl<'a> Call<'a> {
    /// The argument at this place, from 0. The place must be below the arity the NIF is registered with.
    pub fn arg(&self, index: usize) -> Term<'a> {
        // SAFETY: the arguments belong to the environment of this call.
        unsafe { Term::new(self.env, self.args[index]) }
    }

    /// The number of arguments.
    pub fn arity(&self) -> usize {
        self.args.len()
    }

    /// Whether the engine may wait in this call.
    pub fn wait(&self) -> Wait {
        if self.on == DIRTY_IO {
            Wait::May
        } else {
            Wait::Never
        }
    }

    /// Whether this call runs on a normal scheduler.
    pub fn is_normal(&self) -> bool {
        self.on == NORMAL
    }

    /// Tells the VM what part of its process's time slice this call has used, so that a row of calls does not hold up others.
    pub fn consume(&self, started: Instant) {
        if self.on == NORMAL {
            // A time slice is meant to be a millisecond.
            let percent = (started.elapsed().as_micros() / 10).clamp(1, 100);
            consume_timeslice(self.env, percent as i32);
        }
    }

    /// How much of terms this call may encode or decode.
    pub fn budget(&self) -> Budget {
        if self.on == NORMAL {
            Budget::normal()
        } else {
            Budget::unlimited()
        }
    }
}

/// The C entry of a NIF, for one kind of scheduler.
///
/// # Safety
/// Only the VM may call it, as a NIF.
pub unsafe extern "C" fn entry<N: Nif, const ON: u8>(
    raw_env: *mut ErlNifEnv,
    count: i32,
    first: *const ErlNifTerm,
) -> ErlNifTerm {
    #[cfg(feature = "testing")]
    let _watch = crate::watch::Watch::start(ON);
    let lifetime = ();
    // SAFETY: the VM hands over a live process-bound environment, and this is the only `Env` made of it in this call.
    let env = unsafe { Env::new(&lifetime, raw_env) };
    // SAFETY: the VM hands over `count` terms that live as long as the call.
    let args = unsafe { std::slice::from_raw_parts(first, usize::try_from(count).unwrap_or(0)) };
    let call = Call { env, args, on: ON };
    let body = || {
        #[cfg(feature = "testing")]
        crate::panics::strike(N::NAME);
        N::run(&call)
    };
    let fail = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(term)) => return term.as_c_arg(),
        Ok(Err(fail)) => fail,
        Err(_panic) => {
            registry::fail_closed(&call);
            Fail::Panicked
        }
    };
    let again = match fail {
        Fail::WouldWait => (ERL_NIF_DIRTY_JOB_IO_BOUND, entry::<N, DIRTY_IO> as RawNif),
        Fail::OverBudget => (ERL_NIF_DIRTY_JOB_CPU_BOUND, entry::<N, DIRTY_CPU> as RawNif),
        other => return other.term(env).as_c_arg(),
    };
    // SAFETY: the environment and the arguments are those of this call, and `entry` has a NIF's signature.
    unsafe {
        enif_schedule_nif(
            raw_env,
            N::NAME.as_ptr(),
            again.0.cast_signed(),
            again.1,
            count,
            first,
        )
    }
}

type RawNif = unsafe extern "C" fn(*mut ErlNifEnv, i32, *const ErlNifTerm) -> ErlNifTerm;

/// Registers NIFs: `nif! { name / arity on NORMAL => body; .. }`, the body being a `fn(&Call<'a>) -> Outcome<'a>`.
macro_rules! nif {
    ($($name:ident / $arity:literal on $on:ident => $body:path;)*) => {
        $(const _: () = {
            struct Registered;
            impl $crate::schedule::Nif for Registered {
                const NAME: &'static std::ffi::CStr =
                    match std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => c"",
                    };
                fn run<'a>(call: &$crate::schedule::Call<'a>) -> $crate::schedule::Outcome<'a> {
                    $body(call)
                }
            }
            rustler::codegen_runtime::inventory::submit!(rustler::Nif {
                name: <Registered as $crate::schedule::Nif>::NAME.as_ptr(),
                arity: $arity,
                flags: $crate::schedule::flags($crate::schedule::$on),
                raw_func: $crate::schedule::entry::<Registered, { $crate::schedule::$on }>,
            });
        };)*
    };
}
pub(crate) use nif;

/// The VM's flags for a NIF that starts on this kind of scheduler.
pub const fn flags(on: u8) -> u32 {
    match on {
        DIRTY_CPU => ERL_NIF_DIRTY_JOB_CPU_BOUND,
        DIRTY_IO => ERL_NIF_DIRTY_JOB_IO_BOUND,
        _ => 0,
    }
}
