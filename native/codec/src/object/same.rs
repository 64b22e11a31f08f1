//! Equality of objects as the VM has it.

use xxhash_rust::xxh3::xxh3_64;

use super::edit::{FUN_VERSION, step};
use super::tag;
use crate::budget::Budget;
use crate::error::DecodeError;
use crate::key::Equality;
use crate::read::Reader;

/// Whether two objects, but for their keys, are `=:=`. Equal bytes are equal objects; others are only if they differ in the sign
/// of a float zero, where the table holds those to be equal, or in the version of a fun.
///
/// Costs time linear in what is common to both.
pub fn same(a: &[u8], b: &[u8], equality: Equality, budget: &mut Budget) -> Result<bool, DecodeError> {
    budget.charge_bytes(a.len())?;
    if a == b {
        return Ok(true);
    }
    if a.len() != b.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (Reader::new(a), Reader::new(b));
    if left.varint()? != right.varint()? {
        return Ok(false);
    }
    while !left.is_empty() && !right.is_empty() {
        budget.charge(1)?;
        let (a_from, b_from) = (left.at(), right.at());
        let parts = step(&mut left)?;
        if step(&mut right)? != parts {
            return Ok(false);
        }
        let (a, b) = (&a[a_from..left.at()], &b[b_from..right.at()]);
        if a == b {
            continue;
        }
        let equal = match (a, b) {
            ([tag::FLOAT, a @ ..], [tag::FLOAT, b @ ..]) => {
                equality == Equality::ZerosEqual && is_zero(a) && is_zero(b)
            }
            ([tag::FUN, a @ ..], [tag::FUN, b @ ..]) => a.get(FUN_VERSION..) == b.get(FUN_VERSION..),
            _ => false,
        };
        if !equal {
            return Ok(false);
        }
    }
    Ok(left.is_empty() && right.is_empty())
}

/// A number that is the same for objects that [`same`] holds to be equal, their keys left out: the low half of XXH3 of the bytes, in which
/// zeros that are equal have no sign and funs a version of zero bytes. It is stored, so it never changes.
///
/// Costs time linear in the object.
pub fn fingerprint(object: &[u8], equality: Equality, budget: &mut Budget) -> Result<u32, DecodeError> {
    budget.charge_bytes(object.len())?;
    let mut reader = Reader::new(object);
    reader.varint()?;
    // Most objects are hashed as they are.
    let mut plain = Vec::new();
    while !reader.is_empty() {
        budget.charge(1)?;
        let from = reader.at();
        step(&mut reader)?;
        let blank = match &object[from..reader.at()] {
            [tag::FLOAT, float @ ..] if equality == Equality::ZerosEqual && is_zero(float) => 1..9,
            [tag::FUN, ..] => 1..1 + FUN_VERSION,
            _ => continue,
        };
        if plain.is_empty() {
            plain.extend_from_slice(object);
        }
        if let Some(bytes) = plain.get_mut(from + blank.start..from + blank.end) {
            bytes.fill(0);
        }
    }
    Ok(xxh3_64(if plain.is_empty() { object } else { &plain }) as u32)
}

fn is_zero(float: &[u8]) -> bool {
    matches!(float, [0, 0, 0, 0, 0, 0, 0, 0 | 0x80])
}
