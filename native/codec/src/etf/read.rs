//! What the VM wrote.

use std::borrow::Cow;

use super::{VERSION, tag};
use crate::error::{DecodeError, EncodeError};
use crate::read::Reader;
use crate::source::FunVersion;

/// Where a pid, a port or a reference is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made<'a> {
    /// The node's name.
    pub name: Cow<'a, str>,
    /// Its creation.
    pub creation: u32,
}

/// A term that the VM hands out in this format only.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf<'a> {
    /// An integer: its magnitude, little-endian.
    Big {
        /// Whether it is below zero.
        negative: bool,
        /// The magnitude.
        magnitude: &'a [u8],
    },
    /// A bitstring, and how many bits of its last byte count.
    Bits(&'a [u8], u8),
    /// An atom's text.
    Atom(Cow<'a, str>),
    /// A pid.
    Pid {
        /// Where it is from.
        made: Made<'a>,
        /// Its number.
        id: u32,
        /// Its serial.
        serial: u32,
    },
    /// A port.
    Port {
        /// Where it is from.
        made: Made<'a>,
        /// Its number.
        id: u64,
    },
    /// A reference.
    Reference {
        /// Where it is from.
        made: Made<'a>,
        /// Its words, the lowest first.
        words: Vec<u32>,
    },
    /// An external fun.
    Export {
        /// Its module.
        module: Cow<'a, str>,
        /// Its function.
        function: Cow<'a, str>,
        /// Its arity.
        arity: u8,
    },
    /// A local fun.
    Fun(Fun<'a>),
}

/// A local fun.
#[derive(Clone, Debug, PartialEq)]
pub struct Fun<'a> {
    /// Its module.
    pub module: Cow<'a, str>,
    /// Its old index.
    pub old_index: i64,
    /// Its old uniq.
    pub old_uniq: i64,
    /// What is not compared.
    pub version: FunVersion,
    /// The terms of its environment, each without the version byte.
    pub free: Vec<&'a [u8]>,
}

/// Reads one such term, its version byte included.
pub fn leaf(bytes: &[u8]) -> Result<Leaf<'_>, EncodeError> {
    read(bytes).map_err(|_| EncodeError::Unreadable("an external term of a kind not known here"))
}

fn read(bytes: &[u8]) -> Result<Leaf<'_>, DecodeError> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? != VERSION {
        return Err(reader.damaged("the version"));
    }
    let leaf = match reader.byte()? {
        first @ (tag::SMALL_BIG | tag::LARGE_BIG) => {
            let len = if first == tag::SMALL_BIG {
                usize::from(reader.byte()?)
            } else {
                long(&mut reader)?
            };
            let negative = reader.byte()? != 0;
            let magnitude = reader.take(len)?;
            Leaf::Big { negative, magnitude }
        }
        tag::BIT_BINARY => {
            let len = long(&mut reader)?;
            let last_bits = reader.byte()?;
            if len == 0 || !(1..=8).contains(&last_bits) {
                return Err(reader.damaged("the bits of the last byte"));
            }
            Leaf::Bits(reader.take(len)?, last_bits)
        }
        tag::NEW_PID => {
            let name = atom(&mut reader)?;
            let id = word(&mut reader)?;
            let serial = word(&mut reader)?;
            let creation = word(&mut reader)?;
            let made = Made { name, creation };
            Leaf::Pid { made, id, serial }
        }
        first @ (tag::NEW_PORT | tag::V4_PORT) => {
            let name = atom(&mut reader)?;
            let id = if first == tag::NEW_PORT {
                u64::from(word(&mut reader)?)
            } else {
                u64::from_be_bytes(reader.array()?)
            };
            let creation = word(&mut reader)?;
            let made = Made { name, creation };
            Leaf::Port { made, id }
        }
        tag::NEWER_REFERENCE => {
            let len = usize::from(short(&mut reader)?);
            let name = atom(&mut reader)?;
            let creation = word(&mut reader)?;
            let (words, _) = reader.take(len * 4)?.as_chunks::<4>();
            let words = words.iter().map(|word| u32::from_be_bytes(*word)).collect();
            let made = Made { name, creation };
            Leaf::Reference { made, words }
        }
        tag::EXPORT => {
            let module = atom(&mut reader)?;
            let function = atom(&mut reader)?;
            let arity = u8::try_from(int(&mut reader)?).map_err(|_| reader.damaged("an arity"))?;
            Leaf::Export {
                module,
                function,
                arity,
            }
        }
        tag::NEW_FUN => Leaf::Fun(fun(&mut reader)?),
        first => Leaf::Atom(atom_text(&mut reader, first)?),
    };
    if !reader.is_empty() {
        return Err(reader.damaged("the end of the term"));
    }
    Ok(leaf)
}

fn fun<'a>(reader: &mut Reader<'a>) -> Result<Fun<'a>, DecodeError> {
    long(reader)?;
    let arity = reader.byte()?;
    let uniq = reader.array()?;
    let index = word(reader)?;
    let free = long(reader)?;
    let module = atom(reader)?;
    let old_index = int(reader)?;
    let old_uniq = int(reader)?;
    pass(reader)?;
    let mut terms = Vec::new();
    for _ in 0..free {
        let before = *reader;
        pass(reader)?;
        terms.push(&before.rest()[..reader.at() - before.at()]);
    }
    Ok(Fun {
        module,
        old_index,
        old_uniq,
        version: FunVersion { arity, index, uniq },
        free: terms,
    })
}

fn short(reader: &mut Reader<'_>) -> Result<u16, DecodeError> {
    Ok(u16::from_be_bytes(reader.array()?))
}

fn word(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    Ok(u32::from_be_bytes(reader.array()?))
}

fn long(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    Ok(word(reader)? as usize)
}

fn int(reader: &mut Reader<'_>) -> Result<i64, DecodeError> {
    match reader.byte()? {
        tag::SMALL_INTEGER => Ok(i64::from(reader.byte()?)),
        tag::INTEGER => Ok(i64::from(i32::from_be_bytes(reader.array()?))),
        tag::SMALL_BIG => {
            let len = usize::from(reader.byte()?);
            let negative = reader.byte()? != 0;
            let mut bytes = [0; 8];
            if len > 7 {
                return Err(reader.damaged("a small integer"));
            }
            bytes[..len].copy_from_slice(reader.take(len)?);
            let value = i64::from_le_bytes(bytes);
            Ok(if negative { -value } else { value })
        }
        _ => Err(reader.damaged("an integer")),
    }
}

fn atom<'a>(reader: &mut Reader<'a>) -> Result<Cow<'a, str>, DecodeError> {
    let first = reader.byte()?;
    atom_text(reader, first)
}

fn atom_text<'a>(reader: &mut Reader<'a>, first: u8) -> Result<Cow<'a, str>, DecodeError> {
    let len = match first {
        tag::ATOM | tag::ATOM_UTF8 => usize::from(short(reader)?),
        tag::SMALL_ATOM | tag::SMALL_ATOM_UTF8 => usize::from(reader.byte()?),
        _ => return Err(reader.damaged("an atom")),
    };
    let text = reader.take(len)?;
    match std::str::from_utf8(text) {
        Ok(text) if text.is_ascii() || matches!(first, tag::ATOM_UTF8 | tag::SMALL_ATOM_UTF8) => {
            Ok(Cow::Borrowed(text))
        }
        _ if matches!(first, tag::ATOM | tag::SMALL_ATOM) => {
            Ok(Cow::Owned(text.iter().map(|&byte| char::from(byte)).collect()))
        }
        _ => Err(reader.damaged("the text of an atom in UTF-8")),
    }
}

/// Passes over one term of any kind.
fn pass(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let mut left = 1;
    while left > 0 {
        left = left - 1 + step(reader)?;
        if left > reader.rest().len() {
            return Err(reader.damaged("more bytes"));
        }
    }
    Ok(())
}

/// Passes over a leaf or the head of a compound term; says how many terms belong to it.
fn step(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let first = reader.byte()?;
    let len = match first {
        tag::NIL => 0,
        tag::SMALL_INTEGER => 1,
        tag::INTEGER => 4,
        tag::NEW_FLOAT => 8,
        tag::SMALL_ATOM | tag::SMALL_ATOM_UTF8 => usize::from(reader.byte()?),
        tag::ATOM | tag::ATOM_UTF8 | tag::STRING => usize::from(short(reader)?),
        tag::BINARY => long(reader)?,
        tag::SMALL_BIG => usize::from(reader.byte()?) + 1,
        tag::BIT_BINARY | tag::LARGE_BIG => long(reader)?.saturating_add(1),
        // Its length counts its own four bytes.
        tag::NEW_FUN => long(reader)?.saturating_sub(4),
        tag::SMALL_TUPLE => return Ok(usize::from(reader.byte()?)),
        tag::LARGE_TUPLE => return long(reader),
        tag::LIST => return Ok(long(reader)?.saturating_add(1)),
        tag::MAP => return Ok(long(reader)?.saturating_mul(2)),
        tag::EXPORT => return Ok(3),
        tag::NEW_PID | tag::V4_PORT => {
            atom(reader)?;
            12
        }
        tag::NEW_PORT => {
            atom(reader)?;
            8
        }
        tag::NEWER_REFERENCE => {
            let words = usize::from(short(reader)?);
            atom(reader)?;
            4 + words * 4
        }
        _ => return Err(reader.damaged("a term of a kind known here")),
    };
    reader.take(len)?;
    Ok(0)
}
