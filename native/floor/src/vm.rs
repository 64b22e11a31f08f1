//! The VM's C interface as far as it is needed, without what safe wrappers add: no vector of arguments, no look-up of a resource's type.
#![expect(unsafe_code, reason = "the VM's C interface")]

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;

use rustler::Env;
use rustler::sys::{
    ErlNifBinary, ErlNifEnv, ErlNifResourceFlags, ErlNifTerm, enif_alloc_resource, enif_get_list_cell,
    enif_get_long, enif_get_resource, enif_get_tuple, enif_inspect_binary, enif_is_empty_list,
    enif_make_badarg, enif_make_list_cell, enif_make_list_from_array, enif_make_long, enif_make_new_binary,
    enif_make_resource, enif_make_sub_binary, enif_make_tuple_from_array, enif_open_resource_type,
    enif_release_resource,
};

use crate::table::Table;

/// A term of the call.
pub type Term = ErlNifTerm;

/// The address of the type of resource that a table is.
static TABLES: OnceLock<usize> = OnceLock::new();

/// The VM puts binaries up to this length in bytes on the process's own heap.
const HEAP_MAX: usize = 64;

/// Memory for several binaries of one call, as bets has it.
pub struct Piece {
    term: Term,
    data: *mut u8,
    taken: usize,
}

/// The length of each in bytes.
const PIECE: usize = 512;

impl Piece {
    /// None yet.
    pub fn new() -> Self {
        Piece {
            term: Term::default(),
            data: ptr::null_mut(),
            taken: PIECE,
        }
    }
}

/// The environment of one call. All terms that its functions are given are of that call.
#[derive(Clone, Copy)]
pub struct Vm<'a> {
    env: *mut ErlNifEnv,
    call: PhantomData<&'a ()>,
}

impl<'a> Vm<'a> {
    /// # Safety
    /// The environment is that of a call that lasts as long as what is made of it here.
    pub unsafe fn new(env: *mut ErlNifEnv) -> Self {
        Vm {
            env,
            call: PhantomData,
        }
    }

    pub fn tuple(self, term: Term) -> Option<&'a [Term]> {
        let (mut arity, mut elements) = (0, ptr::null());
        // SAFETY: the VM writes both if it gives a value other than 0; the elements live as long as the call.
        unsafe {
            let is = enif_get_tuple(self.env, term, &raw mut arity, &raw mut elements) != 0;
            is.then(|| match usize::try_from(arity) {
                Ok(arity) if arity > 0 => std::slice::from_raw_parts(elements, arity),
                _ => &[],
            })
        }
    }

    pub fn binary(self, term: Term) -> Option<&'a [u8]> {
        let mut binary = MaybeUninit::<ErlNifBinary>::uninit();
        // SAFETY: the VM writes it if it gives a value other than 0; the bytes live as long as the call.
        unsafe {
            (enif_inspect_binary(self.env, term, binary.as_mut_ptr()) != 0).then(|| {
                let binary = binary.assume_init();
                std::slice::from_raw_parts(binary.data, binary.size)
            })
        }
    }

    pub fn integer(self, term: Term) -> Option<i64> {
        let mut value = 0;
        // SAFETY: the VM writes the value if it gives one other than 0.
        (unsafe { enif_get_long(self.env, term, &raw mut value) } != 0).then_some(value)
    }

    pub fn cell(self, list: Term) -> Option<(Term, Term)> {
        let (mut head, mut tail) = (Term::default(), Term::default());
        // SAFETY: the VM writes both if it gives a value other than 0.
        (unsafe { enif_get_list_cell(self.env, list, &raw mut head, &raw mut tail) } != 0)
            .then_some((head, tail))
    }

    pub fn is_nil(self, term: Term) -> bool {
        // SAFETY: the term is of the call.
        unsafe { enif_is_empty_list(self.env, term) != 0 }
    }

    pub fn table(self, term: Term) -> Option<&'a Table> {
        let mut table = ptr::null();
        // SAFETY: a resource of this type has a table, and lives as long as the call.
        unsafe {
            let is = enif_get_resource(self.env, term, *TABLES.get()? as *const _, &raw mut table) != 0;
            is.then(|| &*table.cast::<Table>())
        }
    }

    pub fn make_binary(self, bytes: &[u8]) -> Term {
        let mut term = Term::default();
        // SAFETY: the VM gives memory of the length asked for, or ends.
        unsafe {
            enif_make_new_binary(self.env, bytes.len(), &raw mut term)
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        term
    }

    /// A binary of one of many objects: several have memory in common.
    #[inline]
    pub fn make_part(self, bytes: &[u8], piece: &mut Piece) -> Term {
        if bytes.len() <= HEAP_MAX || bytes.len() > PIECE / 2 {
            return self.make_binary(bytes);
        }
        if bytes.len() > PIECE - piece.taken {
            piece.taken = 0;
            // SAFETY: the VM gives memory of the length asked for, or ends.
            piece.data = unsafe { enif_make_new_binary(self.env, PIECE, &raw mut piece.term) };
        }
        let start = piece.taken;
        piece.taken += bytes.len();
        // SAFETY: so much of the piece is left; the VM lets it be written to until the call returns.
        unsafe {
            piece
                .data
                .add(start)
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            enif_make_sub_binary(self.env, piece.term, start, bytes.len())
        }
    }

    pub fn make_integer(self, value: i64) -> Term {
        // SAFETY: the environment is the call's.
        unsafe { enif_make_long(self.env, value) }
    }

    pub fn make_tuple(self, elements: &[Term]) -> Term {
        // SAFETY: so many terms of the call stand there.
        unsafe { enif_make_tuple_from_array(self.env, elements.as_ptr(), elements.len() as u32) }
    }

    pub fn make_nil(self) -> Term {
        // SAFETY: no element is read.
        unsafe { enif_make_list_from_array(self.env, ptr::null(), 0) }
    }

    pub fn make_cell(self, head: Term, tail: Term) -> Term {
        // SAFETY: both are of the call.
        unsafe { enif_make_list_cell(self.env, head, tail) }
    }

    pub fn make_badarg(self) -> Term {
        // SAFETY: the environment is the call's.
        unsafe { enif_make_badarg(self.env) }
    }

    pub fn make_table(self, table: Table) -> Option<Term> {
        // SAFETY: the memory is large enough and aligned as the VM's allocators align, which a table asks for no more than; the term keeps the resource.
        unsafe {
            let at = enif_alloc_resource(*TABLES.get()? as *const _, size_of::<Table>());
            at.cast::<Table>().write(table);
            let term = enif_make_resource(self.env, at);
            enif_release_resource(at);
            Some(term)
        }
    }
}

/// # Safety
/// The VM calls it once for each resource, with what `make_table` has put there.
unsafe extern "C" fn destroy(_env: *mut ErlNifEnv, table: *mut c_void) {
    // SAFETY: by this function's contract.
    unsafe { table.cast::<Table>().drop_in_place() };
}

/// Registers the type of tables; what loading the library does.
pub fn load(env: Env<'_>, _info: rustler::Term<'_>) -> bool {
    const { assert!(align_of::<Table>() <= 8) };
    // SAFETY: the name ends with a zero, and the destructor is that of the type.
    let made = unsafe {
        enif_open_resource_type(
            env.as_c_arg(),
            ptr::null(),
            c"floor".as_ptr().cast(),
            Some(destroy),
            ErlNifResourceFlags::ERL_NIF_RT_CREATE,
            ptr::null_mut(),
        )
    };
    !made.is_null() && TABLES.set(made as usize).is_ok()
}

/// Has the processor fetch the line of this byte, without waiting.
#[inline]
pub fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address has no effect that a program could see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// A function that Erlang calls, made by [`nifs!`].
pub trait Nif<const ARITY: usize> {
    fn run(vm: Vm<'_>, args: [Term; ARITY]) -> Option<Term>;
}

/// What the VM calls. A panic ends the VM.
///
/// # Safety
/// It is registered with this arity.
pub unsafe extern "C" fn entry<N: Nif<ARITY>, const ARITY: usize>(
    env: *mut ErlNifEnv,
    _count: c_int,
    args: *const Term,
) -> Term {
    // SAFETY: the VM calls with its environment and as many arguments as are registered.
    let (vm, args) = unsafe { (Vm::new(env), *args.cast::<[Term; ARITY]>()) };
    N::run(vm, args).unwrap_or_else(|| vm.make_badarg())
}

/// Registers functions `fn(Vm<'_>, [Term; ARITY]) -> Option<Term>` as NIFs; `None` is `badarg`.
macro_rules! nifs {
    ($($name:ident / $arity:literal;)*) => {$(
        const _: () = {
            struct Registered;
            impl $crate::vm::Nif<$arity> for Registered {
                fn run(vm: $crate::vm::Vm<'_>, args: [$crate::vm::Term; $arity]) -> Option<$crate::vm::Term> {
                    $name(vm, args)
                }
            }
            rustler::codegen_runtime::inventory::submit!(rustler::Nif {
                name: concat!(stringify!($name), "\0").as_ptr().cast(),
                arity: $arity,
                flags: 0,
                raw_func: $crate::vm::entry::<Registered, $arity>,
            });
        };
    )*};
}
pub(crate) use nifs;
