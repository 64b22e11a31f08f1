//! Bitstrings, so that they compare bit by bit, the shorter first.
//!
//! ```text
//! 00 p         end, p (1 to 7) bits of the last byte count
//! 01           end, all bits count
//! 02 k         k (1 to 64) zero bytes, and the end follows
//! 02 41        64 zero bytes, and another zero byte follows
//! 02 C0-k      k (1 to 64) zero bytes, and a byte that is not zero follows
//! 02 FE, 02 FF a byte 01, a byte 02
//! 03 to FF     that byte
//! ```
//!
//! An end sorts before every byte, and so does a run of zeros before its end; a longer run sorts before a shorter one that
//! another byte follows. A run is always written whole, so a bitstring has one encoding.

use smallvec::SmallVec;

use crate::error::DecodeError;
use crate::read::Reader;

const END_PART: u8 = 0;
const END: u8 = 1;
const ESCAPE: u8 = 2;
const RUN: usize = 64;
const RUN_GOES_ON: u8 = 0x41;
const RUN_THEN_BYTE: u8 = 0xC0;
const ONE: u8 = 0xFE;
const TWO: u8 = 0xFF;

/// Appends a bitstring.
#[inline]
pub(super) fn put_bits(out: &mut Vec<u8>, mut bytes: &[u8], last_bits: u8) {
    out.reserve(bytes.len() + 2);
    loop {
        let plain = low_byte(bytes);
        out.extend_from_slice(&bytes[..plain]);
        bytes = &bytes[plain..];
        match bytes {
            [] => break,
            [0, ..] => {
                let zeros = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
                put_zeros(out, zeros, zeros == bytes.len());
                bytes = &bytes[zeros..];
            }
            [byte, rest @ ..] => {
                out.extend_from_slice(&[ESCAPE, if *byte == 1 { ONE } else { TWO }]);
                bytes = rest;
            }
        }
    }
    if last_bits == 8 {
        out.push(END);
    } else {
        out.extend_from_slice(&[END_PART, last_bits]);
    }
}

fn put_zeros(out: &mut Vec<u8>, mut zeros: usize, then_end: bool) {
    while zeros > RUN {
        out.extend_from_slice(&[ESCAPE, RUN_GOES_ON]);
        zeros -= RUN;
    }
    let run = zeros as u8;
    out.extend_from_slice(&[ESCAPE, if then_end { run } else { RUN_THEN_BYTE - run }]);
}

/// Where the first byte below 3 stands, or the length.
#[inline]
fn low_byte(bytes: &[u8]) -> usize {
    const LOW: u64 = u64::from_le_bytes([ESCAPE + 1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        let eight = u64::from_le_bytes(*eight);
        // The lowest set bit is exact: a borrow only spoils bytes above a byte that is below 3.
        let found = eight.wrapping_sub(LOW) & !eight & HIGH;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    bytes[at..]
        .iter()
        .position(|&byte| byte <= ESCAPE)
        .map_or(bytes.len(), |place| at + place)
}

/// Reads a bitstring and hands it on: its bytes, as they stand in the key or unescaped, and how many bits of the last one count. They are not moved,
/// which would take longer than all else.
#[inline]
pub(super) fn with_bits<'a, R>(
    reader: &mut Reader<'a>,
    f: impl FnOnce(&mut Reader<'a>, &[u8], u8) -> R,
) -> Result<R, DecodeError> {
    let plain = reader.take(low_byte(reader.rest()))?;
    if reader.peek() == Some(END) {
        reader.byte()?;
        return Ok(f(reader, plain, 8));
    }
    let mut bytes = SmallVec::new();
    bytes.extend_from_slice(plain);
    let last_bits = escaped(reader, &mut bytes)?;
    Ok(f(reader, &bytes, last_bits))
}

/// What must follow a run of zeros.
#[derive(PartialEq)]
enum Next {
    Any,
    End,
    Zero,
    Byte,
}

fn escaped(reader: &mut Reader<'_>, bytes: &mut SmallVec<[u8; 64]>) -> Result<u8, DecodeError> {
    let mut next = Next::Any;
    loop {
        let plain = reader.take(low_byte(reader.rest()))?;
        if !plain.is_empty() {
            if !matches!(next, Next::Any | Next::Byte) {
                return Err(reader.damaged("a run of zeros in one piece"));
            }
            next = Next::Any;
            bytes.extend_from_slice(plain);
        }
        let (first, is_end) = match reader.byte()? {
            ESCAPE => (reader.byte()?, false),
            end => (end, true),
        };
        if is_end {
            if !matches!(next, Next::Any | Next::End) {
                return Err(reader.damaged("what the run of zeros announced"));
            }
            return if first == END {
                Ok(8)
            } else {
                last_bits(reader, bytes)
            };
        }
        let was = std::mem::replace(&mut next, Next::Any);
        let is_byte = matches!(first, ONE | TWO);
        let fits = match was {
            Next::Any => is_byte || bytes.last() != Some(&0),
            Next::End => false,
            Next::Zero => !is_byte,
            Next::Byte => is_byte,
        };
        if !fits {
            return Err(reader.damaged("what the run of zeros announced"));
        }
        let run = match first {
            ONE | TWO => {
                bytes.push(first - ONE + 1);
                continue;
            }
            1..RUN_GOES_ON => {
                next = Next::End;
                first
            }
            RUN_GOES_ON => {
                next = Next::Zero;
                RUN as u8
            }
            0x80..RUN_THEN_BYTE => {
                next = Next::Byte;
                RUN_THEN_BYTE - first
            }
            _ => return Err(reader.damaged("an escape")),
        };
        bytes.resize(bytes.len() + usize::from(run), 0);
    }
}

fn last_bits(reader: &mut Reader<'_>, bytes: &[u8]) -> Result<u8, DecodeError> {
    let last_bits = reader.byte()?;
    match bytes.last() {
        Some(last) if matches!(last_bits, 1..8) && last << last_bits == 0 => Ok(last_bits),
        _ => Err(reader.damaged("the bits of the last byte")),
    }
}
