//! What rustler has no safe or no cheap form of: tuples and lists without copies, pids and atoms as words for atomics.
#![expect(unsafe_code, reason = "the VM's C interface")]

use std::mem::{MaybeUninit, transmute};
use std::ptr;
use std::sync::OnceLock;

use rustler::sys::{
    ErlNifPid, ErlNifTerm, enif_get_list_cell, enif_get_tuple, enif_is_process_alive, enif_make_pid,
    enif_self,
};
use rustler::{Atom, Env, LocalPid, Term};

/// A term without the environment that it belongs to.
pub type Word = ErlNifTerm;

/// The elements of a tuple, or `None` if the term is none.
pub fn tuple(term: Term<'_>) -> Option<&[Word]> {
    let mut arity = 0;
    let mut elements = ptr::null();
    // SAFETY: the VM writes both if it gives a value other than 0; the elements live as long as the term.
    unsafe {
        if enif_get_tuple(
            term.get_env().as_c_arg(),
            term.as_c_arg(),
            &raw mut arity,
            &raw mut elements,
        ) == 0
        {
            return None;
        }
        match usize::try_from(arity) {
            Ok(arity) if arity > 0 => Some(std::slice::from_raw_parts(elements, arity)),
            _ => Some(&[]),
        }
    }
}

/// A word of this environment, such as an element of a tuple, as a term.
pub fn element(env: Env<'_>, word: Word) -> Term<'_> {
    // SAFETY: the caller has the word from this environment.
    unsafe { Term::new(env, word) }
}

/// The empty list, without a call of the VM for each.
pub fn empty_list(env: Env<'_>) -> Term<'_> {
    static EMPTY: OnceLock<Word> = OnceLock::new();
    let word = *EMPTY.get_or_init(|| Term::list_new_empty(env).as_c_arg());
    // SAFETY: the empty list is a word of its own, as an atom is, which points to no environment's memory.
    unsafe { Term::new(env, word) }
}

/// The head and the tail of a list, which may be improper.
pub fn cell(list: Term<'_>) -> Option<(Term<'_>, Term<'_>)> {
    let env = list.get_env();
    let (mut head, mut tail) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: the VM writes both if it gives a value other than 0, and both belong to the list's environment.
    unsafe {
        (enif_get_list_cell(
            env.as_c_arg(),
            list.as_c_arg(),
            head.as_mut_ptr(),
            tail.as_mut_ptr(),
        ) != 0)
            .then(|| {
                (
                    Term::new(env, head.assume_init()),
                    Term::new(env, tail.assume_init()),
                )
            })
    }
}

/// Has the processor fetch where a term stands, if it stands in memory, without waiting. Nothing but speed depends on how the VM tells that in a word.
pub fn prefetch(word: Word) {
    const TAG_BITS: usize = 3;
    // SAFETY: it is declared as transparent around one.
    let address = unsafe { std::mem::transmute::<Word, usize>(word) } & !TAG_BITS;
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address has no effect that a program could see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// The atom of this text, or `None` if it can be no atom.
pub fn atom(env: Env<'_>, utf8: &[u8]) -> Option<Atom> {
    const ATOM_CHARS_MAX: usize = 255;
    let text = std::str::from_utf8(utf8)
        .ok()
        .filter(|text| text.chars().count() <= ATOM_CHARS_MAX)?;
    // The VM's own functions take Latin-1 only, its external format any script.
    let mut bytes = vec![131, 118];
    bytes.extend(u16::try_from(text.len()).ok()?.to_be_bytes());
    bytes.extend(text.as_bytes());
    // SAFETY: it is one atom in external format, of valid text and length.
    let (term, _) = unsafe { env.binary_to_term_trusted(&bytes) }?;
    Atom::from_term(term).ok()
}

/// A pid of this node as a number that fits an atomic.
pub fn pid_word(pid: LocalPid) -> usize {
    // SAFETY: `enif_make_pid` only reads its second argument, and `ErlNifTerm` is a transparent wrapper of a word.
    unsafe { transmute::<ErlNifTerm, usize>(enif_make_pid(ptr::null_mut(), *pid.as_c_arg())) }
}

/// The pid of [`pid_word`].
pub fn word_pid(word: usize) -> LocalPid {
    // SAFETY: `ErlNifPid` is a C struct of one word, the pid's term, and `word` came from `pid_word` or `caller`.
    LocalPid::from_c_arg(unsafe { transmute::<usize, ErlNifPid>(word) })
}

/// An atom as a number that fits an atomic.
pub fn atom_word(atom: Atom) -> usize {
    // SAFETY: `Atom` is a transparent wrapper of a term, and that one of a word.
    unsafe { transmute::<Atom, usize>(atom) }
}

/// The atom of [`atom_word`].
pub fn word_atom(word: usize) -> Atom {
    // SAFETY: as in `atom_word`, where `word` came from.
    unsafe { transmute::<usize, Atom>(word) }
}

/// The calling process, as [`pid_word`] gives it.
pub fn caller(env: Env<'_>) -> usize {
    let mut pid = MaybeUninit::<ErlNifPid>::zeroed();
    // SAFETY: the environment is bound to a process, so the pid is written; it is a struct of one word.
    unsafe {
        enif_self(env.as_c_arg(), pid.as_mut_ptr());
        transmute::<ErlNifPid, usize>(pid.assume_init())
    }
}

/// Whether a process lives and has not begun to exit. `env` is `None` on a thread that is not the VM's.
pub fn is_alive(env: Option<Env<'_>>, pid: usize) -> bool {
    let pid = word_pid(pid);
    let env = env.map_or(ptr::null_mut(), Env::as_c_arg);
    // SAFETY: the environment is the caller's, or null on a thread that is not the VM's.
    unsafe { enif_is_process_alive(env, pid.as_c_arg()) != 0 }
}
