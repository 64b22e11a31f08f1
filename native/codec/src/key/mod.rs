//! Keys: encodings whose `memcmp` order is the order of terms.
//!
//! ```text
//! key      = compared suffix
//! compared = one term; no compared part is a proper prefix of another
//! suffix   = what the comparison leaves out, so that the stored form comes back; mostly empty
//! ```
//!
//! A term starts with a tag; tags rise in the order of types. See `docs/format-terms.md`.

mod bits;
mod decode;
mod encode;
mod number;
mod suffix;
mod text;

pub use decode::{compared_len, decode, with_binary};
pub(crate) use encode::encode_map_key;
pub use encode::{encode, encode_binary, encode_int};

/// What the integers beyond 64 bits in one key may take together once they are made, in bytes: the zero bits at an integer's end take none in a
/// key, so a short key can be one of gigabytes.
pub const MAX_BIGS_LEN: usize = 64 << 20;

/// Which floats of value zero are one key: a property of the OTP release that a table was created on, and of the table
/// since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Equality {
    /// `0.0 =:= -0.0`, as up to OTP 26.
    ZerosEqual = 1,
    /// `0.0` and `-0.0` are distinct, as from OTP 27.
    ZerosDistinct = 2,
}

impl Equality {
    /// From the number that a table stores.
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Equality::ZerosEqual),
            2 => Some(Equality::ZerosDistinct),
            _ => None,
        }
    }

    /// The number that a table stores.
    pub const fn as_u8(self) -> u8 {
        self as u8
    }
}

/// Which keys are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Those that are `=:=`: of sets and bags.
    Exact(Equality),
    /// Those that are `==`: of ordered sets. The equality applies to the keys of maps, which compare exactly.
    Numeric(Equality),
}

impl Form {
    pub(crate) const fn zeros_distinct(self) -> bool {
        matches!(
            self,
            Form::Exact(Equality::ZerosDistinct) | Form::Numeric(Equality::ZerosDistinct)
        )
    }
}

/// The first byte of a term.
pub(crate) mod tag {
    /// Before every integer in the key of a map.
    pub const INTEGER: u8 = 0x02;
    /// Before every float in the key of a map.
    pub const FLOAT: u8 = 0x03;
    /// Negative, exponent of 64 or more.
    pub const NEG_BIG: u8 = 0x05;
    /// Negative, exponent 63 down to 0 in 64 tags.
    pub const NEG: u8 = 0x06;
    /// Negative, exponent below 0.
    pub const NEG_FRACTION: u8 = 0x46;
    /// `-0.0` where it is distinct from `0.0`.
    pub const NEG_ZERO: u8 = 0x47;
    /// The integer zero; in the numeric form and in the key of a map, the float too.
    pub const ZERO: u8 = 0x48;
    /// `0.0` in the exact form.
    pub const FLOAT_ZERO: u8 = 0x49;
    /// Positive, exponent below 0.
    pub const FRACTION: u8 = 0x4A;
    /// Positive, exponent 0 to 63 in 64 tags.
    pub const POS: u8 = 0x4B;
    /// Positive, exponent of 64 or more.
    pub const BIG: u8 = 0x8B;
    pub const ATOM: u8 = 0x90;
    pub const REFERENCE: u8 = 0x94;
    pub const FUN: u8 = 0x98;
    pub const EXPORT: u8 = 0x99;
    pub const PORT: u8 = 0x9C;
    pub const PID: u8 = 0xA0;
    /// Tuples of 0 to 7 elements in 8 tags.
    pub const TUPLE: u8 = 0xA4;
    /// A tuple of 8 elements or more.
    pub const TUPLE_N: u8 = 0xAC;
    pub const MAP: u8 = 0xB0;
    pub const NIL: u8 = 0xB4;
    pub const CONS: u8 = 0xB8;
    pub const BITS: u8 = 0xBC;
}

/// After the data of a pid, before that of a port or reference: who made it.
pub(crate) mod creator {
    /// A marker of 8 bytes, big-endian.
    pub const LOCAL: u8 = 0;
    /// A name as an atom's text, and a creation of 4 bytes, big-endian.
    pub const NODE: u8 = 1;
}

/// Appends how the key of a tuple of this arity begins: the compared parts of its elements follow.
pub fn put_tuple(out: &mut Vec<u8>, arity: usize) {
    if arity < 8 {
        out.push(tag::TUPLE + arity as u8);
    } else {
        out.push(tag::TUPLE_N);
        put_size(out, arity as u64);
    }
}

/// Appends how the key of a list that is not empty begins: the compared parts of its head and of its tail follow.
pub fn put_cons(out: &mut Vec<u8>) {
    out.push(tag::CONS);
}

/// Appends a size such that longer encodings are of larger sizes.
pub(crate) fn put_size(out: &mut Vec<u8>, size: u64) {
    if size < 0xF8 {
        out.push(size as u8);
    } else {
        let skip = (size.leading_zeros() / 8) as usize;
        out.push(0xF8 + (7 - skip as u8));
        out.extend_from_slice(&size.to_be_bytes()[skip..]);
    }
}

/// Reads what [`put_size`] wrote.
pub(crate) fn size(reader: &mut crate::read::Reader<'_>) -> Result<u64, crate::DecodeError> {
    let first = reader.byte()?;
    if first < 0xF8 {
        return Ok(u64::from(first));
    }
    let bytes = reader.take(usize::from(first - 0xF8) + 1)?;
    let size = bytes.iter().fold(0, |size, &byte| size << 8 | u64::from(byte));
    if bytes[0] == 0 || size < 0xF8 {
        return Err(reader.damaged("a size in its shortest form"));
    }
    Ok(size)
}
