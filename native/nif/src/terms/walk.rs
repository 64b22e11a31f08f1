//! Terms of the VM, read.
#![expect(unsafe_code, reason = "the VM's C interface")]

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;

use bets_codec::etf::{self, Leaf, Made};
use bets_codec::{Creator, EncodeError, FunHead, Source, View};
use rustler::sys::{
    ErlNifEnv, ErlNifMapIteratorEntry, ErlNifTerm, ErlNifTermType, c_int, enif_compare, enif_get_double,
    enif_get_list_cell, enif_get_local_pid, enif_get_local_port, enif_get_long, enif_get_map_size,
    enif_get_tuple, enif_get_ulong, enif_inspect_binary, enif_make_double, enif_map_iterator_create,
    enif_map_iterator_destroy, enif_map_iterator_get_pair, enif_map_iterator_next, enif_term_type,
};
use rustler::{Env, Term};

use super::external::{self, External};
use super::{atoms, incarnations};

/// Reads terms of one environment.
pub(super) struct BeamSource<'a> {
    env: *mut ErlNifEnv,
    /// Whether the caller must not be held up.
    limited: bool,
    /// What the last view borrows.
    atom: atoms::Text,
    text: String,
    more_text: String,
    words: Vec<u32>,
    bytes: [u8; 8],
    external: Option<External>,
    /// The environment of the fun that was viewed last.
    free: Vec<ErlNifTerm>,
    lifetime: PhantomData<Env<'a>>,
}

/// The bytes of a binary, or `None` if the term is none.
#[inline]
pub(super) fn binary<'a>(env: Env<'a>, term: Term<'a>) -> Option<&'a [u8]> {
    // SAFETY: the lifetime is that of both.
    unsafe { raw_binary(env.as_c_arg(), term.as_c_arg()) }
}

/// # Safety
/// The term belongs to the environment, which lives as long as the result.
#[inline]
unsafe fn raw_binary<'t>(env: *mut ErlNifEnv, term: ErlNifTerm) -> Option<&'t [u8]> {
    let mut binary = MaybeUninit::uninit();
    // SAFETY: the VM fills the binary if it gives a value other than 0; its bytes live as long as the term.
    unsafe {
        if enif_inspect_binary(env, term, binary.as_mut_ptr()) == 0 {
            return None;
        }
        let binary = binary.assume_init();
        if binary.size == 0 {
            return Some(&[]);
        }
        Some(std::slice::from_raw_parts(binary.data, binary.size))
    }
}

/// An integer of at most 64 bits, or `None` if the term is none.
#[inline]
pub(super) fn int<'a>(env: Env<'a>, term: Term<'a>) -> Option<i64> {
    let mut int = 0;
    // SAFETY: only writes to the integer.
    (unsafe { enif_get_long(env.as_c_arg(), term.as_c_arg(), &raw mut int) } != 0).then_some(int)
}

impl<'a> BeamSource<'a> {
    #[inline]
    pub(super) fn new(env: Env<'a>, limited: bool) -> Self {
        BeamSource {
            env: env.as_c_arg(),
            limited,
            atom: atoms::Text::new(),
            text: String::new(),
            more_text: String::new(),
            words: Vec::new(),
            bytes: [0; 8],
            external: None,
            free: Vec::new(),
            lifetime: PhantomData,
        }
    }

    fn integer(&mut self, term: ErlNifTerm) -> Result<View<'_, ErlNifTerm>, EncodeError> {
        let (mut int, mut natural) = (0, 0);
        // SAFETY: both only write to the integer that they are handed.
        unsafe {
            if enif_get_long(self.env, term, &raw mut int) != 0 {
                return Ok(View::Int(int));
            }
            if enif_get_ulong(self.env, term, &raw mut natural) != 0 {
                self.bytes = natural.to_le_bytes();
                return Ok(View::Big {
                    negative: false,
                    magnitude: &self.bytes,
                });
            }
        }
        if self.limited && self.is_huge(term) {
            return Err(EncodeError::Budget);
        }
        self.external(term)
    }

    /// Whether an integer has more than about a thousand bits.
    fn is_huge(&self, term: ErlNifTerm) -> bool {
        const BOUND: f64 = 1.0e300;
        // SAFETY: all are terms of this environment.
        unsafe {
            enif_compare(term, enif_make_double(self.env, BOUND)) > 0
                || enif_compare(term, enif_make_double(self.env, -BOUND)) < 0
        }
    }

    fn bitstring(&mut self, term: ErlNifTerm) -> Result<View<'_, ErlNifTerm>, EncodeError> {
        // SAFETY: the term belongs to the environment, which outlives the view.
        match unsafe { raw_binary(self.env, term) } {
            Some(bytes) => Ok(View::Bits(bytes, 8)),
            None => self.unbounded(term),
        }
    }

    fn map_size(&self, term: ErlNifTerm) -> usize {
        let mut size = 0;
        // SAFETY: only writes to the size.
        unsafe { enif_get_map_size(self.env, term, &raw mut size) };
        size
    }

    fn tuple(&self, term: ErlNifTerm) -> &[ErlNifTerm] {
        let (mut arity, mut elements) = (0, ptr::null());
        // SAFETY: the VM writes both if it gives a value other than 0; the elements live as long as the term.
        unsafe {
            if enif_get_tuple(self.env, term, &raw mut arity, &raw mut elements) == 0 || arity == 0 {
                return &[];
            }
            std::slice::from_raw_parts(elements, arity.unsigned_abs() as usize)
        }
    }

    /// A term whose external format may be of any size.
    fn unbounded(&mut self, term: ErlNifTerm) -> Result<View<'_, ErlNifTerm>, EncodeError> {
        if self.limited {
            return Err(EncodeError::Budget);
        }
        self.external(term)
    }

    /// A term that is read in its external format.
    fn external(&mut self, term: ErlNifTerm) -> Result<View<'_, ErlNifTerm>, EncodeError> {
        let external = &*self.external.insert(External::of(self.env, term)?);
        let env = self.env;
        match etf::leaf(external.bytes())? {
            Leaf::Big { negative, magnitude } => Ok(View::Big { negative, magnitude }),
            Leaf::Bits(bytes, last_bits) => Ok(View::Bits(bytes, last_bits)),
            Leaf::Pid { made, id, serial } => {
                set(&mut self.text, &made.name);
                let creator = creator(&self.text, made.creation, is_local(env, term, false));
                Ok(View::Pid { creator, id, serial })
            }
            Leaf::Port { made, id } => {
                set(&mut self.text, &made.name);
                let creator = creator(&self.text, made.creation, is_local(env, term, true));
                Ok(View::Port(creator, id))
            }
            Leaf::Reference { made, words } => {
                let Made { name, creation } = made;
                set(&mut self.text, &name);
                self.words = words;
                let creator =
                    external::with_home(env, |home| incarnations().creator(&self.text, creation, home))?;
                Ok(View::Reference(creator, &self.words))
            }
            Leaf::Export {
                module,
                function,
                arity,
            } => {
                set(&mut self.text, &module);
                set(&mut self.more_text, &function);
                Ok(View::Export {
                    module: &self.text,
                    function: &self.more_text,
                    arity,
                })
            }
            Leaf::Fun(fun) => {
                set(&mut self.text, &fun.module);
                self.free.clear();
                let mut bytes = Vec::new();
                for term in &fun.free {
                    bytes.clear();
                    bytes.push(etf::VERSION);
                    bytes.extend_from_slice(term);
                    let term = external::make(env, &bytes)
                        .map_err(|_| EncodeError::Unreadable("the environment of a fun"))?;
                    self.free.push(term);
                }
                Ok(View::Fun(FunHead {
                    module: &self.text,
                    old_index: fun.old_index,
                    old_uniq: fun.old_uniq,
                    free: fun.free.len() as u32,
                    version: fun.version,
                }))
            }
            Leaf::Atom(_) => Err(EncodeError::Unreadable("an atom in the place of another term")),
        }
    }
}

fn is_local(env: *mut ErlNifEnv, term: ErlNifTerm, port: bool) -> bool {
    // SAFETY: both only write to the identifier that they are handed.
    unsafe {
        if port {
            enif_get_local_port(env, term, MaybeUninit::uninit().as_mut_ptr()) != 0
        } else {
            enif_get_local_pid(env, term, MaybeUninit::uninit().as_mut_ptr()) != 0
        }
    }
}

fn set(text: &mut String, to: &str) {
    text.clear();
    text.push_str(to);
}

fn creator(name: &str, creation: u32, is_local: bool) -> Creator<'_> {
    if is_local {
        Creator::Local(incarnations().own())
    } else {
        incarnations().foreign(name, creation)
    }
}

impl Source for BeamSource<'_> {
    type Term = ErlNifTerm;

    #[inline]
    fn view(&mut self, term: ErlNifTerm) -> Result<View<'_, ErlNifTerm>, EncodeError> {
        use ErlNifTermType as Type;
        // SAFETY: the term belongs to the environment.
        match unsafe { enif_term_type(self.env, term) } {
            Type::ERL_NIF_TERM_TYPE_BITSTRING => self.bitstring(term),
            Type::ERL_NIF_TERM_TYPE_INTEGER => self.integer(term),
            Type::ERL_NIF_TERM_TYPE_ATOM => Ok(View::Atom(self.atom.of(self.env, term)?)),
            Type::ERL_NIF_TERM_TYPE_TUPLE => {
                // What a fun left behind whose elements nobody asked for.
                self.free.clear();
                Ok(View::Tuple(self.tuple(term).len()))
            }
            Type::ERL_NIF_TERM_TYPE_LIST => {
                let (mut head, mut tail) = (term, term);
                // SAFETY: the VM writes both if the list is not empty, and both belong to the environment.
                let is_cell =
                    unsafe { enif_get_list_cell(self.env, term, &raw mut head, &raw mut tail) } != 0;
                Ok(if is_cell {
                    View::Cons(head, tail)
                } else {
                    View::Nil
                })
            }
            Type::ERL_NIF_TERM_TYPE_MAP => Ok(View::Map(self.map_size(term))),
            Type::ERL_NIF_TERM_TYPE_FLOAT => {
                let mut value = 0.0;
                // SAFETY: only writes to the float.
                unsafe { enif_get_double(self.env, term, &raw mut value) };
                Ok(View::Float(value))
            }
            Type::ERL_NIF_TERM_TYPE_PID
            | Type::ERL_NIF_TERM_TYPE_PORT
            | Type::ERL_NIF_TERM_TYPE_REFERENCE => self.external(term),
            Type::ERL_NIF_TERM_TYPE_FUN => self.unbounded(term),
            Type::ERL_NIF_TERM_TYPE__MISSING_DEFAULT_CASE__READ_THE_MANUAL => {
                Err(EncodeError::Unreadable("a term of a type not known here"))
            }
        }
    }

    #[inline]
    fn elements(&mut self, term: ErlNifTerm, mut each: impl FnMut(ErlNifTerm)) -> Result<(), EncodeError> {
        if self.free.is_empty() {
            self.tuple(term).iter().for_each(|&element| each(element));
        } else {
            self.free.drain(..).for_each(each);
        }
        Ok(())
    }

    fn pairs(
        &mut self,
        term: ErlNifTerm,
        mut each: impl FnMut(ErlNifTerm, ErlNifTerm),
    ) -> Result<(), EncodeError> {
        let mut iterator = MaybeUninit::uninit();
        let first = ErlNifMapIteratorEntry::ERL_NIF_MAP_ITERATOR_HEAD;
        // SAFETY: the iterator is made before it is used and destroyed afterwards; keys and values are written if the VM gives a
        // value other than 0, and belong to the environment.
        unsafe {
            if enif_map_iterator_create(self.env, term, iterator.as_mut_ptr(), first) == 0 {
                return Err(EncodeError::Unreadable("a map without pairs"));
            }
            let mut iterator = iterator.assume_init();
            let (mut key, mut value) = (term, term);
            while enif_map_iterator_get_pair(self.env, &raw mut iterator, &raw mut key, &raw mut value)
                != 0 as c_int
            {
                each(key, value);
                enif_map_iterator_next(self.env, &raw mut iterator);
            }
            enif_map_iterator_destroy(self.env, &raw mut iterator);
        }
        Ok(())
    }
}
