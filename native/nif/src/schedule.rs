//! Where a call runs.
//!
//! Every NIF body starts on the scheduler of its process, where it may neither wait nor work for long. If it finds that it
//! has to, it gives up before it changed anything, and is started again from the beginning on a dirty scheduler. Where only a lock is in its way,
//! it is first tried again some times where it is: the thread of a dirty scheduler has to be woken, and with all processors busy waits some milliseconds
//! for one. A panic ends here: the table it happened on fails closed and the caller gets an error.

#![expect(unsafe_code, reason = "the VM calls and is called here")]

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use bets_engine::table::Wait;
use rustler::schedule::consume_timeslice;
use rustler::sys::{
    ERL_NIF_DIRTY_JOB_CPU_BOUND, ERL_NIF_DIRTY_JOB_IO_BOUND, ErlNifEnv, ErlNifTerm, enif_schedule_nif,
};
use rustler::{Encoder, Env, Term};
use smallvec::SmallVec;

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
/// The normal scheduler once more: behind the arguments stands how often the call was tried before.
const AGAIN: u8 = 3;

/// So often a call that meets a lock is tried on a normal scheduler, each time for some microseconds: together about as long as the system keeps a
/// lock's holder off its processor.
const TRIES: u32 = 100;
/// The part of its process's time slice that a try is taken for.
const TRY_PERCENT: i32 = 2;

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
    let _watch = crate::watch::Watch::start(if ON == AGAIN { NORMAL } else { ON });
    let lifetime = ();
    // SAFETY: the VM hands over a live process-bound environment, and this is the only `Env` made of it in this call.
    let env = unsafe { Env::new(&lifetime, raw_env) };
    // SAFETY: the VM hands over `count` terms that live as long as the call.
    let args = unsafe { std::slice::from_raw_parts(first, usize::try_from(count).unwrap_or(0)) };
    let (on, args, tries) = match args.split_last() {
        // SAFETY: as `args`.
        Some((&tries, args)) if ON == AGAIN => (NORMAL, args, unsafe { Term::new(env, tries) }.decode()),
        _ => (ON, args, Ok(0)),
    };
    let call = Call { env, args, on };
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
    let mut args = SmallVec::<[ErlNifTerm; 6]>::from_slice(args);
    let again = match (fail, tries) {
        (Fail::Busy, Ok(tries)) if on == NORMAL && tries < TRIES => {
            consume_timeslice(env, TRY_PERCENT);
            args.push((tries + 1).encode(env).as_c_arg());
            (0, entry::<N, AGAIN> as RawNif)
        }
        (Fail::WouldWait | Fail::Busy, _) => (ERL_NIF_DIRTY_JOB_IO_BOUND, entry::<N, DIRTY_IO> as RawNif),
        (Fail::OverBudget, _) => (ERL_NIF_DIRTY_JOB_CPU_BOUND, entry::<N, DIRTY_CPU> as RawNif),
        (other, _) => return other.term(env).as_c_arg(),
    };
    // SAFETY: the environment is that of this call, the arguments are terms of it, and `entry` has a NIF's signature.
    unsafe {
        enif_schedule_nif(
            raw_env,
            N::NAME.as_ptr(),
            again.0.cast_signed(),
            again.1,
            i32::try_from(args.len()).unwrap_or_default(),
            args.as_ptr(),
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
