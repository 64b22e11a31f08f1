//! Objects: the value bytes of a table.
//!
//! ```text
//! object = varint(arity) element...        every element but the key, in order
//! ```
//!
//! The key's element is left out: the key's own bytes have it. The encoding is canonical: terms that are `=:=` have the same
//! bytes, except that `0.0` and `-0.0` keep their form and a fun its version; [`same`] takes care of these. See
//! `docs/format-terms.md`.

mod decode;
mod edit;
mod encode;
pub mod filter;
pub mod range;
mod same;

pub use decode::{decode, decode_element};
pub use edit::{arity, as_int, element, int_element, put_int, replace};
pub use encode::{encode, encode_element};
pub use same::{fingerprint, same};

/// The first byte of a term.
pub(crate) mod tag {
    /// Binaries of 0 to 63 bytes in 64 tags. The 64 tags below are the integers 0 to 63.
    pub const SHORT_BINARY: u8 = 0x40;
    /// Atoms of 0 to 31 bytes in 32 tags.
    pub const SHORT_ATOM: u8 = 0x80;
    /// Tuples of 0 to 15 elements in 16 tags.
    pub const SHORT_TUPLE: u8 = 0xA0;
    /// Proper lists of 1 to 16 elements in 16 tags.
    pub const SHORT_LIST: u8 = 0xB0;
    /// Integers of 1, 2, 4, 8 bytes, little-endian, two's complement.
    pub const INT_1: u8 = 0xC0;
    pub const INT_2: u8 = 0xC1;
    pub const INT_4: u8 = 0xC2;
    pub const INT_8: u8 = 0xC3;
    pub const BIG: u8 = 0xC4;
    pub const NEG_BIG: u8 = 0xC5;
    pub const FLOAT: u8 = 0xC6;
    pub const BINARY: u8 = 0xC7;
    pub const BITS: u8 = 0xC8;
    pub const ATOM: u8 = 0xC9;
    pub const TUPLE: u8 = 0xCA;
    pub const NIL: u8 = 0xCB;
    pub const LIST: u8 = 0xCC;
    pub const IMPROPER: u8 = 0xCD;
    pub const MAP: u8 = 0xCE;
    pub const PID: u8 = 0xCF;
    pub const PORT: u8 = 0xD0;
    pub const REFERENCE: u8 = 0xD1;
    pub const EXPORT: u8 = 0xD2;
    pub const FUN: u8 = 0xD3;
}

/// In a pid, a port or a reference: who made it.
pub(crate) mod creator {
    /// A marker of 8 bytes.
    pub const LOCAL: u8 = 0;
    /// A name (length as a varint, text) and a creation of 4 bytes.
    pub const NODE: u8 = 1;
}
