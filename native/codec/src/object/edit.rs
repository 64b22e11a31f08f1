//! Objects read and changed as bytes, without making terms of them.

use std::ops::Range;

use super::{creator, tag};
use crate::budget::Budget;
use crate::error::DecodeError;
use crate::read::Reader;

/// How many elements an object has, its key included.
pub fn arity(bytes: &[u8]) -> Result<usize, DecodeError> {
    head(&mut Reader::new(bytes), 1)
}

/// The bytes of the element at `pos` (from 1). The key's element has none: [`DecodeError::NoElement`], as beyond the arity.
/// Costs time linear in what stands before it and in it.
pub fn element(
    bytes: &[u8],
    keypos: usize,
    pos: usize,
    budget: &mut Budget,
) -> Result<Range<usize>, DecodeError> {
    let mut reader = Reader::new(bytes);
    to_element(&mut reader, keypos, pos, budget)?;
    let start = reader.at();
    skip(&mut reader, 1, budget)?;
    Ok(start..reader.at())
}

/// Where the element at `pos` stands, and its value, if there is one and it is an integer in the range of `i64`: what [`element`] and [`as_int`] tell, but at once.
#[inline]
pub fn int_element(
    bytes: &[u8],
    keypos: usize,
    pos: usize,
    budget: &mut Budget,
) -> Option<(Range<usize>, i64)> {
    let mut reader = Reader::new(bytes);
    to_element(&mut reader, keypos, pos, budget).ok()?;
    let start = reader.at();
    let value = whole_int(&mut reader).ok()?;
    Some((start..reader.at(), value))
}

/// Brings an object's reader to an element. (One that is handed on would be written in pieces and read whole.)
#[inline]
fn to_element(
    reader: &mut Reader<'_>,
    keypos: usize,
    pos: usize,
    budget: &mut Budget,
) -> Result<(), DecodeError> {
    let arity = head(reader, keypos)?;
    if pos == 0 || pos == keypos || pos > arity {
        return Err(DecodeError::NoElement);
    }
    let before = if pos < keypos { pos - 1 } else { pos - 2 };
    if before > 0 {
        skip(reader, before, budget)?;
    }
    Ok(())
}

/// Appends an object to `out` with other elements at some positions: `changes` holds positions (from 1, rising, none of them
/// the key's) and the bytes of elements.
pub fn replace(
    bytes: &[u8],
    keypos: usize,
    changes: &[(usize, &[u8])],
    out: &mut Vec<u8>,
    budget: &mut Budget,
) -> Result<(), DecodeError> {
    budget.charge_bytes(bytes.len())?;
    let mut reader = Reader::new(bytes);
    let arity = head(&mut reader, keypos)?;
    let mut kept = 0;
    let mut next = 1;
    for &(pos, element) in changes {
        if pos < next || pos == keypos || pos > arity {
            return Err(DecodeError::NoElement);
        }
        let before = pos - next - usize::from((next..pos).contains(&keypos));
        skip(&mut reader, before, budget)?;
        out.extend_from_slice(&bytes[kept..reader.at()]);
        out.extend_from_slice(element);
        skip(&mut reader, 1, budget)?;
        kept = reader.at();
        next = pos + 1;
    }
    out.extend_from_slice(&bytes[kept..]);
    Ok(())
}

/// The value of an element's bytes if it is an integer in the range of `i64`.
pub fn as_int(element: &[u8]) -> Option<i64> {
    let mut reader = Reader::new(element);
    let value = whole_int(&mut reader).ok()?;
    reader.is_empty().then_some(value)
}

/// Appends an integer's element.
#[inline]
pub fn put_int(out: &mut Vec<u8>, value: i64) {
    if (0..64).contains(&value) {
        out.push(value.cast_unsigned() as u8);
    } else if let Ok(value) = i8::try_from(value) {
        out.push(tag::INT_1);
        out.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = i16::try_from(value) {
        out.push(tag::INT_2);
        out.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(tag::INT_4);
        out.extend_from_slice(&value.to_le_bytes());
    } else {
        out.push(tag::INT_8);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Reads an object's arity.
#[inline]
pub(super) fn head(reader: &mut Reader<'_>, keypos: usize) -> Result<usize, DecodeError> {
    let arity = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
    if keypos == 0 || arity < keypos || arity - 1 > reader.rest().len() {
        return Err(reader.damaged("an arity that the bytes can hold"));
    }
    Ok(arity)
}

/// Reads an integer behind its tag.
#[inline]
pub(super) fn int(reader: &mut Reader<'_>, first: u8) -> Result<i64, DecodeError> {
    let value = match first {
        ..tag::SHORT_BINARY => return Ok(i64::from(first)),
        tag::INT_1 => {
            let value = i64::from(i8::from_le_bytes(reader.array()?));
            if (0..64).contains(&value) {
                None
            } else {
                Some(value)
            }
        }
        tag::INT_2 => {
            let value = i16::from_le_bytes(reader.array()?);
            i8::try_from(value).is_err().then_some(i64::from(value))
        }
        tag::INT_4 => {
            let value = i32::from_le_bytes(reader.array()?);
            i16::try_from(value).is_err().then_some(i64::from(value))
        }
        tag::INT_8 => {
            let value = i64::from_le_bytes(reader.array()?);
            i32::try_from(value).is_err().then_some(value)
        }
        _ => None,
    };
    value.ok_or_else(|| reader.damaged("an integer in its shortest form"))
}

/// Reads an integer with its tag.
pub(super) fn whole_int(reader: &mut Reader<'_>) -> Result<i64, DecodeError> {
    let first = reader.byte()?;
    int(reader, first)
}

/// Passes over so many terms.
pub(super) fn skip(reader: &mut Reader<'_>, terms: usize, budget: &mut Budget) -> Result<(), DecodeError> {
    let mut left = terms;
    while left > 0 {
        left = left - 1 + step(reader)?;
        if left > reader.rest().len() {
            return Err(reader.damaged("a count that the bytes can hold"));
        }
        budget.charge(1)?;
    }
    Ok(())
}

/// Passes over a leaf, or over the head of a compound term; says how many terms belong to it.
#[inline]
pub(super) fn step(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let first = reader.byte()?;
    let len = match first {
        ..tag::SHORT_BINARY | tag::NIL => 0,
        tag::SHORT_BINARY..tag::SHORT_ATOM => usize::from(first - tag::SHORT_BINARY),
        tag::SHORT_ATOM..tag::SHORT_TUPLE => usize::from(first - tag::SHORT_ATOM),
        tag::SHORT_TUPLE..tag::SHORT_LIST => return Ok(usize::from(first - tag::SHORT_TUPLE)),
        tag::SHORT_LIST..tag::INT_1 => return Ok(usize::from(first - tag::SHORT_LIST) + 1),
        tag::INT_1..=tag::INT_8 => 1 << (first - tag::INT_1),
        tag::FLOAT => 8,
        tag::BIG | tag::NEG_BIG | tag::BINARY | tag::ATOM => reader.count(1)?,
        tag::BITS => {
            reader.byte()?;
            reader.count(1)?
        }
        tag::TUPLE | tag::LIST => return reader.count(1),
        tag::IMPROPER => return Ok(reader.count(1)? + 1),
        tag::MAP => return Ok(reader.count(2)? * 2),
        tag::PID | tag::PORT => {
            pass_creator(reader)?;
            8
        }
        tag::REFERENCE => {
            pass_creator(reader)?;
            usize::from(reader.byte()?) * 4
        }
        tag::EXPORT => {
            pass_text(reader)?;
            pass_text(reader)?;
            1
        }
        tag::FUN => {
            reader.take(FUN_VERSION)?;
            pass_text(reader)?;
            whole_int(reader)?;
            whole_int(reader)?;
            return reader.count(1);
        }
        _ => return Err(reader.damaged("the tag of a term")),
    };
    reader.take(len)?;
    Ok(0)
}

/// The bytes behind a fun's tag that are not compared: arity, index, MD5.
pub(super) const FUN_VERSION: usize = 21;

fn pass_text(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let len = reader.count(1)?;
    reader.take(len).map(drop)
}

fn pass_creator(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    match reader.byte()? {
        creator::LOCAL => reader.take(8).map(drop),
        creator::NODE => {
            pass_text(reader)?;
            reader.take(4).map(drop)
        }
        _ => Err(reader.damaged("a creator")),
    }
}
