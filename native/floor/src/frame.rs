//! One record's bytes: a frame with a header as long as that of bets, the key, the object without its key.
//!
//! A key is a byte for its type and a binary's bytes. Elements are as in objects of bets: integers and binaries, more types are not needed.

use crate::vm::{Piece, Term, Vm};

/// The kinds of records, as in bets.
pub const PUT: u8 = 1;
pub const DELETE: u8 = 2;
pub const BATCH: u8 = 5;
pub const COMMIT: u8 = 6;

/// What stands before the lengths of key and value.
const FIXED: usize = 25;
/// Room for the longest header.
const ROOM: usize = FIXED + 10;
const KEY_BINARY: u8 = 0xbc;
const ELEMENTS_MAX: usize = 8;

/// A frame in the making. Its header is written last, right before the key.
pub struct Frame {
    bytes: Vec<u8>,
    value: usize,
    value_crc: u32,
}

impl Frame {
    pub const fn new() -> Self {
        Frame {
            bytes: Vec::new(),
            value: ROOM,
            value_crc: 0,
        }
    }

    /// Begins with a key.
    pub fn key(&mut self, vm: Vm<'_>, key: Term) -> Option<&[u8]> {
        self.raw_key(&[KEY_BINARY], vm.binary(key)?);
        Some(self.key_bytes())
    }

    /// Begins with a key of these bytes.
    pub fn raw_key(&mut self, first: &[u8], rest: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&[0; ROOM]);
        self.bytes.extend_from_slice(first);
        self.bytes.extend_from_slice(rest);
        self.value = self.bytes.len();
        self.value_crc = 0;
    }

    pub fn key_bytes(&self) -> &[u8] {
        &self.bytes[ROOM..self.value]
    }

    /// Goes on with an object's elements but its key.
    pub fn object(&mut self, vm: Vm<'_>, elements: &[Term]) -> Option<()> {
        if elements.len() > ELEMENTS_MAX {
            return None;
        }
        self.bytes.push(elements.len() as u8);
        for &element in &elements[1..] {
            put(vm, element, &mut self.bytes)?;
        }
        Some(())
    }

    /// Goes on with the object of a value with an increment added to its second element; gives the sum.
    pub fn sum(&mut self, value: &[u8], increment: i64) -> Option<i64> {
        let (&arity, mut rest) = value.split_first()?;
        let Element::Integer(old) = take(&mut rest)? else {
            return None;
        };
        let sum = old.checked_add(increment)?;
        self.bytes.push(arity);
        put_integer(sum, &mut self.bytes);
        self.bytes.extend_from_slice(rest);
        Some(sum)
    }

    /// Checksums the value, which needs no lock.
    pub fn seal(&mut self) {
        self.value_crc = crc32fast::hash(&self.bytes[self.value..]);
    }

    /// The whole frame.
    pub fn finish(&mut self, kind: u8, seq: u64) -> &[u8] {
        let (key, value) = (self.value - ROOM, self.bytes.len() - self.value);
        let start = ROOM - FIXED - varint_len(key) - varint_len(value);
        let head = &mut self.bytes[start..];
        head[4..8].copy_from_slice(&self.value_crc.to_le_bytes());
        head[8] = kind;
        // The segment: there is one.
        head[9..13].copy_from_slice(&1u32.to_le_bytes());
        head[13..21].copy_from_slice(&seq.to_le_bytes());
        head[21..25].copy_from_slice(&u32::MAX.to_le_bytes());
        let at = put_varint(key, head, FIXED);
        put_varint(value, head, at);
        let crc = crc32fast::hash(&self.bytes[start + 8..self.value]);
        self.bytes[start..start + 4].copy_from_slice(&crc.to_le_bytes());
        &self.bytes[start..]
    }
}

/// A stored record.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    /// Bytes of the frame.
    pub len: usize,
}

impl<'a> Record<'a> {
    /// The record whose frame is in front.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes.get(FIXED..)?;
        let key_len = take_varint(&mut rest)?;
        let value_len = take_varint(&mut rest)?;
        let (key, rest) = rest.split_at_checked(key_len)?;
        let (value, rest) = rest.split_at_checked(value_len)?;
        Some(Record {
            key,
            value,
            len: bytes.len() - rest.len(),
        })
    }

    pub fn make_key(&self, vm: Vm<'_>) -> Option<Term> {
        Some(vm.make_binary(self.key.get(1..)?))
    }

    /// The object, with this term as its key, its binaries made by `binary`.
    #[inline]
    pub fn make_object(&self, vm: Vm<'_>, key: Term, mut binary: impl FnMut(&[u8]) -> Term) -> Option<Term> {
        let (&arity, mut rest) = self.value.split_first()?;
        let mut terms = [key; ELEMENTS_MAX];
        let terms = terms.get_mut(..usize::from(arity))?;
        for term in &mut terms[1..] {
            *term = make(vm, &mut rest, &mut binary)?;
        }
        Some(vm.make_tuple(terms))
    }

    /// Makes the element that stands behind these bytes of the value, if those begin it.
    pub fn make_behind(&self, vm: Vm<'_>, begin: &[u8], piece: &mut Piece) -> Option<Term> {
        make(vm, &mut self.value.strip_prefix(begin)?, |bytes| {
            vm.make_part(bytes, piece)
        })
    }
}

enum Element<'a> {
    Integer(i64),
    Binary(&'a [u8]),
}

/// Writes an integer as an element.
pub fn put_integer(value: i64, out: &mut Vec<u8>) {
    if let Ok(small @ 0..0x40) = u8::try_from(value) {
        out.push(small);
    } else {
        out.push(0xc3);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn put(vm: Vm<'_>, term: Term, out: &mut Vec<u8>) -> Option<()> {
    if let Some(bytes) = vm.binary(term) {
        if bytes.len() < 0x40 {
            out.push(0x40 | bytes.len() as u8);
        } else {
            let mut head = [0xc7; 6];
            let end = put_varint(bytes.len(), &mut head, 1);
            out.extend_from_slice(&head[..end]);
        }
        out.extend_from_slice(bytes);
    } else {
        put_integer(vm.integer(term)?, out);
    }
    Some(())
}

#[inline]
fn take<'a>(rest: &mut &'a [u8]) -> Option<Element<'a>> {
    let (&tag, bytes) = rest.split_first()?;
    *rest = bytes;
    let len = match tag {
        0..0x40 => return Some(Element::Integer(i64::from(tag))),
        0xc3 => {
            let (value, behind) = rest.split_first_chunk()?;
            *rest = behind;
            return Some(Element::Integer(i64::from_le_bytes(*value)));
        }
        0x40..0x80 => usize::from(tag & 0x3f),
        _ => take_varint(rest)?,
    };
    let (bytes, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    Some(Element::Binary(bytes))
}

#[inline]
fn make(vm: Vm<'_>, rest: &mut &[u8], mut binary: impl FnMut(&[u8]) -> Term) -> Option<Term> {
    Some(match take(rest)? {
        Element::Integer(value) => vm.make_integer(value),
        Element::Binary(bytes) => binary(bytes),
    })
}

fn varint_len(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Writes a varint and gives where it ends.
fn put_varint(mut value: usize, out: &mut [u8], mut at: usize) -> usize {
    while value >= 0x80 {
        out[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    out[at] = value as u8;
    at + 1
}

#[inline]
fn take_varint(rest: &mut &[u8]) -> Option<usize> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return Some(value);
        }
    }
}
