//! Terms to be read.

use crate::error::EncodeError;

/// Who made a pid, a port or a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Creator<'a> {
    /// A VM that stored it in a table of its own, by the marker of that VM's incarnation. The node's name plays no part: it
    /// changes when distribution starts.
    Local(u64),
    /// Another node.
    Node {
        /// The node's name.
        name: &'a str,
        /// Which start of that node.
        creation: u32,
    },
}

/// A local fun without its creator and its environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunHead<'a> {
    /// The module that it was compiled in.
    pub module: &'a str,
    /// Its number in the module, as old compilers counted; compared.
    pub old_index: i64,
    /// A hash of its code; compared.
    pub old_uniq: i64,
    /// How many terms its environment has.
    pub free: u32,
    /// What is not compared.
    pub version: FunVersion,
}

/// What tells apart funs that the VM holds to be equal: the same code in different versions of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunVersion {
    /// How many arguments it takes.
    pub arity: u8,
    /// Its number in the module.
    pub index: u32,
    /// The MD5 of the module.
    pub uniq: [u8; 16],
}

/// One term, seen from outside. Its children are got from the [`Source`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum View<'a, T> {
    /// An integer.
    Int(i64),
    /// An integer that may be beyond 64 bits: sign and magnitude, little-endian.
    Big {
        /// Whether it is below zero.
        negative: bool,
        /// The magnitude's bytes, the lowest first; zeros at the end have no meaning.
        magnitude: &'a [u8],
    },
    /// A float.
    Float(f64),
    /// An atom, by its text.
    Atom(&'a str),
    /// A reference: its words, the lowest first.
    Reference(Creator<'a>, &'a [u32]),
    /// A local fun; its environment's terms are its elements.
    Fun(FunHead<'a>),
    /// An external fun.
    Export {
        /// Its module.
        module: &'a str,
        /// Its function.
        function: &'a str,
        /// Its arity.
        arity: u8,
    },
    /// A port.
    Port(Creator<'a>, u64),
    /// A pid.
    Pid {
        /// Who made it.
        creator: Creator<'a>,
        /// Its number.
        id: u32,
        /// How often the numbers had been used up.
        serial: u32,
    },
    /// A tuple of so many elements.
    Tuple(usize),
    /// A map of so many pairs.
    Map(usize),
    /// The empty list.
    Nil,
    /// A list cell: head and tail.
    Cons(T, T),
    /// A bitstring: its bytes, and how many bits (1 to 8) of the last one count; the others are zero.
    Bits(&'a [u8], u8),
}

/// Where terms are read.
pub trait Source {
    /// A term.
    type Term: Copy;

    /// Looks at a term. Reads no more of it than its head.
    fn view(&mut self, term: Self::Term) -> Result<View<'_, Self::Term>, EncodeError>;

    /// Hands out the elements of a tuple or of a fun's environment, in order. The term is the one that was viewed last.
    fn elements(&mut self, term: Self::Term, each: impl FnMut(Self::Term)) -> Result<(), EncodeError>;

    /// Hands out the keys and values of a map, in any order. The term is the one that was viewed last.
    fn pairs(
        &mut self,
        term: Self::Term,
        each: impl FnMut(Self::Term, Self::Term),
    ) -> Result<(), EncodeError>;
}
