//! Equality of objects as the VM has it.

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

fn is_zero(float: &[u8]) -> bool {
    matches!(float, [0, 0, 0, 0, 0, 0, 0, 0 | 0x80])
}
