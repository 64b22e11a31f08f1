//! Numbers, so that integers of any size and floats compare by value.
//!
//! A number that is not zero is `±(1 + fraction) × 2^exponent`. Sign and exponent make the tag (and, for exponents below 0 and
//! from 64 on, 2 or 4 bytes behind it); the fraction's bits follow from the highest on, seven to a byte, each byte's lowest
//! bit telling whether another byte follows. Trailing zero bits are left out, so a value has one encoding. Behind the sign,
//! a negative number has every bit inverted.
//!
//! A *marked* number has one more byte of zero bits: it sorts just behind the unmarked one. The exact form marks the floats
//! that have the value of an integer.

use super::tag;
use crate::error::DecodeError;
use crate::read::Reader;

/// The exponent of the smallest float above zero.
const MIN_EXPONENT: i32 = -1074;

/// Appends an integer.
#[inline]
pub(super) fn put_int(out: &mut Vec<u8>, value: i64) {
    if value == 0 {
        out.push(tag::ZERO);
        return;
    }
    let magnitude = value.unsigned_abs();
    let zeros = magnitude.leading_zeros();
    let fraction = (magnitude << zeros) << 1;
    put_short(out, value < 0, 63 - zeros as u8, fraction, false);
}

/// Appends an integer by its magnitude, little-endian.
pub(super) fn put_big(out: &mut Vec<u8>, negative: bool, magnitude: &[u8]) {
    let len = magnitude
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    let magnitude = &magnitude[..len];
    if len <= 8 {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(magnitude);
        let value = u64::from_le_bytes(bytes);
        if value == 0 {
            out.push(tag::ZERO);
        } else {
            let zeros = value.leading_zeros();
            put_short(out, negative, 63 - zeros as u8, (value << zeros) << 1, false);
        }
        return;
    }
    let exponent = (len as u64) * 8 - 1 - u64::from(magnitude[len - 1].leading_zeros());
    let low_zeros = magnitude.iter().position(|&byte| byte != 0).unwrap_or(0);
    let trailing = low_zeros as u64 * 8 + u64::from(magnitude[low_zeros].trailing_zeros());
    let flip = put_long_head(out, negative, exponent as u32);
    // The fraction has `exponent` bits; the lowest `trailing` of them are zero.
    let groups = (exponent - trailing).div_ceil(7).max(1);
    for group in 0..groups {
        let mut seven = 0;
        for bit in 0..7 {
            let below_top = group * 7 + bit;
            seven <<= 1;
            if below_top < exponent {
                let at = exponent - 1 - below_top;
                seven |= magnitude[(at / 8) as usize] >> (at % 8) & 1;
            }
        }
        out.push((seven << 1 | u8::from(group + 1 < groups)) ^ flip);
    }
}

/// Whether a finite float has the value of an integer.
pub(super) fn is_integral(value: f64) -> bool {
    value.fract().to_bits() << 1 == 0
}

/// Appends a finite float that is not zero.
#[inline]
pub(super) fn put_float(out: &mut Vec<u8>, value: f64, marked: bool) {
    let bits = value.to_bits();
    let negative = bits >> 63 == 1;
    let mantissa = bits & ((1 << 52) - 1);
    let (exponent, fraction) = match (bits >> 52 & 0x7FF) as i32 {
        0 => {
            let zeros = mantissa.leading_zeros();
            (63 - zeros.cast_signed() + MIN_EXPONENT, (mantissa << zeros) << 1)
        }
        biased => (biased - 1023, mantissa << 12),
    };
    if exponent < 0 {
        let flip = if negative { 0xFF } else { 0 };
        out.push(if negative {
            tag::NEG_FRACTION
        } else {
            tag::FRACTION
        });
        let [high, low] = ((exponent - MIN_EXPONENT).cast_unsigned() as u16).to_be_bytes();
        out.extend_from_slice(&[high ^ flip, low ^ flip]);
        put_fraction(out, flip, fraction, marked);
    } else if exponent < 64 {
        put_short(out, negative, exponent.cast_unsigned() as u8, fraction, marked);
    } else {
        let flip = put_long_head(out, negative, exponent.cast_unsigned());
        put_fraction(out, flip, fraction, marked);
    }
}

fn put_long_head(out: &mut Vec<u8>, negative: bool, exponent: u32) -> u8 {
    let (tag, flip) = if negative {
        (tag::NEG_BIG, 0xFF)
    } else {
        (tag::BIG, 0)
    };
    out.push(tag);
    out.extend_from_slice(&exponent.to_be_bytes().map(|byte| byte ^ flip));
    flip
}

#[inline]
fn put_short(out: &mut Vec<u8>, negative: bool, exponent: u8, fraction: u64, marked: bool) {
    if negative {
        out.push(tag::NEG + 63 - exponent);
        put_fraction(out, 0xFF, fraction, marked);
    } else {
        out.push(tag::POS + exponent);
        put_fraction(out, 0, fraction, marked);
    }
}

#[inline]
fn put_fraction(out: &mut Vec<u8>, flip: u8, mut fraction: u64, marked: bool) {
    // At most ten groups of seven bits and a mark.
    let mut bytes = [0; 11];
    let mut len = 0;
    loop {
        let seven = (fraction >> 57) as u8;
        fraction <<= 7;
        let more = fraction != 0;
        bytes[len] = (seven << 1 | u8::from(more || marked)) ^ flip;
        len += 1;
        if !more {
            break;
        }
    }
    if marked {
        bytes[len] = flip;
        len += 1;
    }
    out.extend_from_slice(&bytes[..len]);
}

/// What a number's bytes say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Number {
    /// An integer in the range of `i64`.
    Int(i64),
    /// An integer beyond it: sign and magnitude, little-endian.
    Big(bool, Vec<u8>),
    /// A float that no integer equals, or a marked one.
    Float(f64),
}

/// Reads the rest of a number that is not zero. `as_float` says that it is a float although it has the value of an integer.
#[inline]
pub(super) fn number(reader: &mut Reader<'_>, first: u8, as_float: bool) -> Result<Number, DecodeError> {
    let negative = first <= tag::NEG_FRACTION;
    let flip = if negative { 0xFF } else { 0 };
    let exponent = match first {
        tag::NEG..tag::NEG_FRACTION => i64::from(tag::NEG + 63 - first),
        tag::POS..tag::BIG => i64::from(first - tag::POS),
        tag::NEG_FRACTION | tag::FRACTION => {
            let bytes = reader.array::<2>()?.map(|byte| byte ^ flip);
            let biased = i32::from(u16::from_be_bytes(bytes));
            if biased >= -MIN_EXPONENT {
                return Err(reader.damaged("an exponent of a float"));
            }
            i64::from(biased + MIN_EXPONENT)
        }
        _ => {
            let bytes = reader.array::<4>()?.map(|byte| byte ^ flip);
            let exponent = u32::from_be_bytes(bytes);
            if exponent < 64 {
                return Err(reader.damaged("an exponent in its shortest form"));
            }
            i64::from(exponent)
        }
    };
    let groups = groups(reader, flip)?;
    let (groups, marked) = match groups {
        [groups @ .., last] if *last == flip && !groups.is_empty() => (groups, true),
        groups => (groups, false),
    };
    // A fraction that ends in a byte of zero bits is longer than it need be, but for that of a power of two.
    if groups.len() > 1 && (groups[groups.len() - 1] ^ flip) >> 1 == 0 {
        return Err(reader.damaged("a fraction in its shortest form"));
    }
    if groups.len() <= 9 {
        let fraction = short_fraction(groups, flip);
        let integral = exponent >= 0 && (exponent >= 64 || fraction << exponent == 0);
        // What is known to be a float has no mark.
        if marked && (as_float || !integral) {
            return Err(reader.damaged("a mark on a whole number"));
        }
        if marked || as_float || !integral {
            return float(reader, negative, exponent, fraction).map(Number::Float);
        }
        if exponent < 64 {
            let magnitude = 1 << exponent
                | if exponent == 0 {
                    0
                } else {
                    fraction >> (64 - exponent)
                };
            return Ok(int(negative, magnitude));
        }
    } else if marked || as_float || exponent < 64 {
        return Err(reader.damaged("a fraction that fits its number"));
    }
    big(reader, negative, exponent.cast_unsigned(), groups, flip)
}

fn groups<'a>(reader: &mut Reader<'a>, flip: u8) -> Result<&'a [u8], DecodeError> {
    let rest = reader.rest();
    match rest.iter().position(|byte| (byte ^ flip) & 1 == 0) {
        Some(last) => reader.take(last + 1),
        None => Err(reader.damaged("the end of a number")),
    }
}

fn short_fraction(groups: &[u8], flip: u8) -> u64 {
    let mut fraction = 0;
    let mut shift = 57;
    for byte in groups {
        fraction |= u64::from((byte ^ flip) >> 1) << shift;
        shift -= 7;
        if shift < 0 {
            break;
        }
    }
    fraction
}

fn int(negative: bool, magnitude: u64) -> Number {
    match i64::try_from(magnitude) {
        Ok(value) => Number::Int(if negative { -value } else { value }),
        Err(_) if negative && magnitude == 1 << 63 => Number::Int(i64::MIN),
        Err(_) => Number::Big(negative, magnitude.to_le_bytes().to_vec()),
    }
}

fn float(reader: &Reader<'_>, negative: bool, exponent: i64, fraction: u64) -> Result<f64, DecodeError> {
    let bits = if exponent >= -1022 {
        if exponent > 1023 || fraction << 52 != 0 {
            return Err(reader.damaged("a float"));
        }
        (exponent + 1023).cast_unsigned() << 52 | fraction >> 12
    } else {
        // Below the normal range the leading one stands in the mantissa.
        let mantissa = 1 << 63 | fraction >> 1;
        let places = 63 - (exponent - i64::from(MIN_EXPONENT)).cast_unsigned() as u32;
        if fraction & 1 != 0 || mantissa.trailing_zeros() < places {
            return Err(reader.damaged("a float"));
        }
        mantissa >> places
    };
    Ok(f64::from_bits(bits | u64::from(negative) << 63))
}

fn big(
    reader: &Reader<'_>,
    negative: bool,
    exponent: u64,
    groups: &[u8],
    flip: u8,
) -> Result<Number, DecodeError> {
    // An exponent in a few bytes may ask for half a gigabyte of zeros; no VM has integers beyond this.
    if exponent >= MAX_BITS {
        return Err(reader.damaged("an integer that the VM can hold"));
    }
    let mut magnitude = vec![0u8; (exponent / 8 + 1) as usize];
    magnitude[(exponent / 8) as usize] |= 1 << (exponent % 8);
    for (group, byte) in groups.iter().enumerate() {
        let seven = (byte ^ flip) >> 1;
        for bit in 0..7 {
            if seven >> (6 - bit) & 1 == 1 {
                let below_top = group as u64 * 7 + bit;
                let Some(at) = (exponent - 1).checked_sub(below_top) else {
                    return Err(reader.damaged("an integer"));
                };
                magnitude[(at / 8) as usize] |= 1 << (at % 8);
            }
        }
    }
    Ok(Number::Big(negative, magnitude))
}

/// One more than the highest exponent of an integer: OTP's own limit is 2^25 bits or fewer.
const MAX_BITS: u64 = 1 << 26;
