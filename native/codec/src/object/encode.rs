//! From a tuple to the bytes of an object.

use smallvec::SmallVec;

use super::{creator, edit::put_int, tag};
use crate::budget::Budget;
use crate::error::EncodeError;
use crate::key::encode_map_key;
use crate::read::put_varint;
use crate::source::{Creator, FunHead, Source, View};

type Todo<T> = SmallVec<[T; 16]>;

/// Appends the object of a tuple without its element `keypos` (from 1). After an error `out` holds a part of it.
///
/// Costs time linear in the object's size; the keys of maps are sorted.
pub fn encode<S: Source>(
    source: &mut S,
    tuple: S::Term,
    keypos: usize,
    out: &mut Vec<u8>,
    budget: &mut Budget,
) -> Result<(), EncodeError> {
    let View::Tuple(arity) = source.view(tuple)? else {
        return Err(EncodeError::Unreadable("an object is a tuple"));
    };
    if keypos == 0 || keypos > arity {
        return Err(EncodeError::Unreadable("an object has a key"));
    }
    budget.charge_bytes(arity * 16)?;
    put_varint(out, arity as u64);
    let mut todo = Todo::new();
    source.elements(tuple, |element| todo.push(element))?;
    todo.remove(keypos - 1);
    todo.reverse();
    terms(source, &mut todo, out, budget)
}

/// Appends one element, as [`replace`](super::replace) takes it.
pub fn encode_element<S: Source>(
    source: &mut S,
    term: S::Term,
    out: &mut Vec<u8>,
    budget: &mut Budget,
) -> Result<(), EncodeError> {
    terms(source, &mut Todo::from_slice(&[term]), out, budget)
}

fn terms<S: Source>(
    source: &mut S,
    todo: &mut Todo<S::Term>,
    out: &mut Vec<u8>,
    budget: &mut Budget,
) -> Result<(), EncodeError> {
    while let Some(term) = todo.pop() {
        budget.charge_term()?;
        match source.view(term)? {
            View::Int(value) => put_int(out, value),
            View::Bits(data, last_bits) => {
                budget.charge_bytes(data.len())?;
                put_bits(out, data, last_bits);
            }
            View::Atom(text) => put_short(out, tag::SHORT_ATOM, 32, tag::ATOM, text.as_bytes()),
            View::Tuple(arity) => {
                budget.charge_bytes(arity * 16)?;
                if arity < 16 {
                    out.push(tag::SHORT_TUPLE + arity as u8);
                } else {
                    out.push(tag::TUPLE);
                    put_varint(out, arity as u64);
                }
                push_elements(source, term, todo)?;
            }
            View::Nil => out.push(tag::NIL),
            View::Cons(..) => list(source, term, todo, out, budget)?,
            View::Map(size) => {
                budget.charge(size)?;
                out.push(tag::MAP);
                put_varint(out, size as u64);
                map(source, term, size, todo, budget)?;
            }
            View::Float(value) => {
                out.push(tag::FLOAT);
                out.extend_from_slice(&value.to_le_bytes());
            }
            View::Big { negative, magnitude } => {
                budget.charge_bytes(magnitude.len())?;
                put_big(out, negative, magnitude);
            }
            View::Pid { creator, id, serial } => {
                out.push(tag::PID);
                put_creator(out, creator);
                out.extend_from_slice(&id.to_le_bytes());
                out.extend_from_slice(&serial.to_le_bytes());
            }
            View::Port(creator, id) => {
                out.push(tag::PORT);
                put_creator(out, creator);
                out.extend_from_slice(&id.to_le_bytes());
            }
            View::Reference(creator, words) => {
                let len = words
                    .iter()
                    .rposition(|&word| word != 0)
                    .map_or(0, |last| last + 1);
                out.push(tag::REFERENCE);
                put_creator(out, creator);
                out.push(u8::try_from(len).map_err(|_| EncodeError::TooLarge("a reference"))?);
                for word in &words[..len] {
                    out.extend_from_slice(&word.to_le_bytes());
                }
            }
            View::Export {
                module,
                function,
                arity,
            } => {
                out.push(tag::EXPORT);
                put_text(out, module);
                put_text(out, function);
                out.push(arity);
            }
            View::Fun(head) => {
                put_fun(out, &head);
                push_elements(source, term, todo)?;
            }
        }
    }
    Ok(())
}

fn push_elements<S: Source>(
    source: &mut S,
    term: S::Term,
    todo: &mut Todo<S::Term>,
) -> Result<(), EncodeError> {
    let first = todo.len();
    source.elements(term, |element| todo.push(element))?;
    todo[first..].reverse();
    Ok(())
}

/// Writes the head of a list and leaves its elements to be done.
fn list<S: Source>(
    source: &mut S,
    list: S::Term,
    todo: &mut Todo<S::Term>,
    out: &mut Vec<u8>,
    budget: &mut Budget,
) -> Result<(), EncodeError> {
    let first = todo.len();
    let mut rest = list;
    loop {
        match source.view(rest)? {
            View::Cons(head, tail) => {
                todo.push(head);
                rest = tail;
                budget.charge(1)?;
            }
            View::Nil => {
                let len = todo.len() - first;
                if len <= 16 {
                    out.push(tag::SHORT_LIST + len as u8 - 1);
                } else {
                    out.push(tag::LIST);
                    put_varint(out, len as u64);
                }
                break;
            }
            _ => {
                out.push(tag::IMPROPER);
                put_varint(out, (todo.len() - first) as u64);
                todo.push(rest);
                break;
            }
        }
    }
    todo[first..].reverse();
    Ok(())
}

/// Leaves the keys of a map, in order, and then its values to be done.
fn map<S: Source>(
    source: &mut S,
    map: S::Term,
    size: usize,
    todo: &mut Todo<S::Term>,
    budget: &mut Budget,
) -> Result<(), EncodeError> {
    let mut pairs: SmallVec<[(S::Term, S::Term); 8]> = SmallVec::with_capacity(size);
    source.pairs(map, |key, value| pairs.push((key, value)))?;
    let mut order: SmallVec<[usize; 8]> = (0..pairs.len()).collect();
    if pairs.len() > 1 {
        let mut bytes = Vec::with_capacity(size * 16);
        let mut ends: SmallVec<[usize; 8]> = SmallVec::with_capacity(size);
        for (key, _) in &pairs {
            encode_map_key(source, *key, &mut bytes, budget)?;
            ends.push(bytes.len());
        }
        budget.charge(pairs.len() * 4 + bytes.len() / 16)?;
        let key = |place: usize| {
            let start = if place == 0 { 0 } else { ends[place - 1] };
            &bytes[start..ends[place]]
        };
        order.sort_by(|&a, &b| key(a).cmp(key(b)));
    }
    todo.extend(order.iter().rev().map(|&place| pairs[place].1));
    todo.extend(order.iter().rev().map(|&place| pairs[place].0));
    Ok(())
}

fn put_short(out: &mut Vec<u8>, short: u8, shorts: usize, long: u8, bytes: &[u8]) {
    out.reserve(bytes.len() + 6);
    if bytes.len() < shorts {
        out.push(short + bytes.len() as u8);
    } else {
        out.push(long);
        put_varint(out, bytes.len() as u64);
    }
    out.extend_from_slice(bytes);
}

fn put_bits(out: &mut Vec<u8>, bytes: &[u8], last_bits: u8) {
    if last_bits == 8 {
        put_short(out, tag::SHORT_BINARY, 64, tag::BINARY, bytes);
    } else {
        out.extend_from_slice(&[tag::BITS, last_bits]);
        put_varint(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }
}

/// The integer with this sign and magnitude, if it has 64 bits: then it is encoded as such, and in no other way.
pub(super) fn small(negative: bool, magnitude: &[u8]) -> Option<i64> {
    let mut bytes = [0; 8];
    bytes.get_mut(..magnitude.len())?.copy_from_slice(magnitude);
    let value = i128::from(u64::from_le_bytes(bytes));
    i64::try_from(if negative { -value } else { value }).ok()
}

fn put_big(out: &mut Vec<u8>, negative: bool, magnitude: &[u8]) {
    let len = magnitude
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    if let Some(small) = small(negative, &magnitude[..len]) {
        return put_int(out, small);
    }
    out.push(if negative { tag::NEG_BIG } else { tag::BIG });
    put_varint(out, len as u64);
    out.extend_from_slice(&magnitude[..len]);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_creator(out: &mut Vec<u8>, creator: Creator<'_>) {
    match creator {
        Creator::Local(marker) => {
            out.push(creator::LOCAL);
            out.extend_from_slice(&marker.to_le_bytes());
        }
        Creator::Node { name, creation } => {
            out.push(creator::NODE);
            put_text(out, name);
            out.extend_from_slice(&creation.to_le_bytes());
        }
    }
}

fn put_fun(out: &mut Vec<u8>, head: &FunHead<'_>) {
    out.push(tag::FUN);
    out.push(head.version.arity);
    out.extend_from_slice(&head.version.index.to_le_bytes());
    out.extend_from_slice(&head.version.uniq);
    put_text(out, head.module);
    put_int(out, head.old_index);
    put_int(out, head.old_uniq);
    put_varint(out, u64::from(head.free));
}
