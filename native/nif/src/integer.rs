//! Integers of any size, for counters.
//!
//! The VM's interface gives integers of 64 bits only; larger ones are read from and written to their external format.

use std::cmp::Ordering;

use rustler::{Encoder, Env, Term};

/// An Erlang integer.
#[derive(Clone, Debug)]
pub enum Integer {
    /// One of 64 bits.
    Small(i64),
    /// Any other: whether it is negative, and its magnitude, lowest byte first, without leading zero bytes.
    Large(bool, Vec<u8>),
}

use Integer::{Large, Small};

impl Integer {
    /// The integer that a term is, or `None` if it is none.
    pub fn decode(term: Term<'_>) -> Option<Integer> {
        if let Ok(small) = term.decode::<i64>() {
            return Some(Small(small));
        }
        if !term.is_integer() {
            return None;
        }
        match &*term.to_binary() {
            [131, 110, len, sign, digits @ ..] if digits.len() == usize::from(*len) => {
                Some(Large(*sign != 0, digits.to_vec()))
            }
            [131, 111, a, b, c, d, sign, digits @ ..]
                if digits.len() == u32::from_be_bytes([*a, *b, *c, *d]) as usize =>
            {
                Some(Large(*sign != 0, digits.to_vec()))
            }
            _ => None,
        }
    }

    /// The integer as a term, or `None` if it is too large for the VM.
    pub fn encode<'a>(&self, env: Env<'a>) -> Option<Term<'a>> {
        let (negative, digits) = match self {
            Small(small) => return Some(small.encode(env)),
            Large(negative, digits) => (*negative, digits),
        };
        let mut bytes = Vec::with_capacity(digits.len() + 7);
        if let Ok(len) = u8::try_from(digits.len()) {
            bytes.extend([131, 110, len]);
        } else {
            bytes.extend([131, 111]);
            bytes.extend(u32::try_from(digits.len()).ok()?.to_be_bytes());
        }
        bytes.push(u8::from(negative));
        bytes.extend(digits);
        env.binary_to_term(&bytes).map(|(term, _)| term)
    }

    /// Whether it is below 0.
    pub fn is_negative(&self) -> bool {
        match self {
            Small(small) => *small < 0,
            Large(negative, _) => *negative,
        }
    }

    /// The sum.
    pub fn plus(&self, other: &Integer) -> Integer {
        if let (Small(a), Small(b)) = (self, other)
            && let Some(sum) = a.checked_add(*b)
        {
            return Small(sum);
        }
        let ((a_negative, a), (b_negative, b)) = (self.parts(), other.parts());
        if a_negative == b_negative {
            return normal(a_negative, add(&a, &b));
        }
        match magnitude(&a, &b) {
            Ordering::Less => normal(b_negative, subtract(&b, &a)),
            _ => normal(a_negative, subtract(&a, &b)),
        }
    }

    /// The order of numbers.
    pub fn compare(&self, other: &Integer) -> Ordering {
        if let (Small(a), Small(b)) = (self, other) {
            return a.cmp(b);
        }
        let ((a_negative, a), (b_negative, b)) = (self.parts(), other.parts());
        match (a_negative, b_negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => magnitude(&a, &b),
            (true, true) => magnitude(&b, &a),
        }
    }

    fn parts(&self) -> (bool, Vec<u8>) {
        match self {
            Small(small) => (*small < 0, trimmed(small.unsigned_abs().to_le_bytes().to_vec())),
            Large(negative, digits) => (*negative, digits.clone()),
        }
    }
}

fn trimmed(mut digits: Vec<u8>) -> Vec<u8> {
    while digits.last() == Some(&0) {
        digits.pop();
    }
    digits
}

fn normal(negative: bool, digits: Vec<u8>) -> Integer {
    if digits.len() <= 8 {
        let mut bytes = [0; 8];
        bytes[..digits.len()].copy_from_slice(&digits);
        let value = i128::from(u64::from_le_bytes(bytes));
        if let Ok(small) = i64::try_from(if negative { -value } else { value }) {
            return Small(small);
        }
    }
    Large(negative, digits)
}

fn magnitude(a: &[u8], b: &[u8]) -> Ordering {
    a.len()
        .cmp(&b.len())
        .then_with(|| a.iter().rev().cmp(b.iter().rev()))
}

fn add(a: &[u8], b: &[u8]) -> Vec<u8> {
    let (long, short) = if a.len() < b.len() { (b, a) } else { (a, b) };
    let mut carry = 0;
    let mut sum = Vec::with_capacity(long.len() + 1);
    for (i, digit) in long.iter().enumerate() {
        let total = u16::from(*digit) + u16::from(short.get(i).copied().unwrap_or(0)) + carry;
        sum.push(total as u8);
        carry = total >> 8;
    }
    sum.push(carry as u8);
    trimmed(sum)
}

/// `a - b`, which must not be negative.
fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut difference = Vec::with_capacity(a.len());
    for (i, digit) in a.iter().enumerate() {
        let total = 256 + u16::from(*digit) - u16::from(b.get(i).copied().unwrap_or(0)) - borrow;
        difference.push(total as u8);
        borrow = 1 - (total >> 8);
    }
    trimmed(difference)
}
