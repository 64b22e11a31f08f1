//! What the VM shall read. Nothing here puts the version byte.

use super::tag;
use crate::source::FunHead;

/// Appends an atom.
pub fn put_atom(out: &mut Vec<u8>, text: &str) {
    if let Ok(len) = u8::try_from(text.len()) {
        out.extend_from_slice(&[tag::SMALL_ATOM_UTF8, len]);
    } else {
        // A length beyond 16 bits becomes one that the VM refuses, as it refuses the true one.
        let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
        out.push(tag::ATOM_UTF8);
        out.extend_from_slice(&len.to_be_bytes());
    }
    out.extend_from_slice(text.as_bytes());
}

/// Appends an integer by its magnitude, little-endian.
pub fn put_big(out: &mut Vec<u8>, negative: bool, magnitude: &[u8]) {
    if let Ok(len) = u8::try_from(magnitude.len()) {
        out.extend_from_slice(&[tag::SMALL_BIG, len]);
    } else {
        out.push(tag::LARGE_BIG);
        out.extend_from_slice(&len(magnitude.len()));
    }
    out.push(u8::from(negative));
    out.extend_from_slice(magnitude);
}

/// Appends a bitstring whose last byte counts for `last_bits` bits.
pub fn put_bits(out: &mut Vec<u8>, bytes: &[u8], last_bits: u8) {
    out.push(tag::BIT_BINARY);
    out.extend_from_slice(&len(bytes.len()));
    out.push(last_bits);
    out.extend_from_slice(bytes);
}

/// Appends a pid.
pub fn put_pid(out: &mut Vec<u8>, (name, creation): (&str, u32), id: u32, serial: u32) {
    out.push(tag::NEW_PID);
    put_atom(out, name);
    for word in [id, serial, creation] {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

/// Appends a port.
pub fn put_port(out: &mut Vec<u8>, (name, creation): (&str, u32), id: u64) {
    out.push(tag::V4_PORT);
    put_atom(out, name);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&creation.to_be_bytes());
}

/// Appends a reference. It gets at least three words, and five if it has more: the VM's own have no other number.
pub fn put_reference(out: &mut Vec<u8>, (name, creation): (&str, u32), words: &[u32]) {
    let count = match words.len() {
        0..=3 => 3,
        4..=5 => 5,
        more => more,
    };
    out.push(tag::NEWER_REFERENCE);
    out.extend_from_slice(&(count as u16).to_be_bytes());
    put_atom(out, name);
    out.extend_from_slice(&creation.to_be_bytes());
    for place in 0..count {
        out.extend_from_slice(&words.get(place).copied().unwrap_or(0).to_be_bytes());
    }
}

/// Appends an external fun.
pub fn put_export(out: &mut Vec<u8>, module: &str, function: &str, arity: u8) {
    out.push(tag::EXPORT);
    put_atom(out, module);
    put_atom(out, function);
    out.extend_from_slice(&[tag::SMALL_INTEGER, arity]);
}

/// Appends a local fun, its environment's terms given without their version bytes. Its creator is a pid of `made` with no
/// number: creators are not kept.
pub fn put_fun(out: &mut Vec<u8>, made: (&str, u32), head: &FunHead<'_>, free: &[Vec<u8>]) {
    out.push(tag::NEW_FUN);
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.push(head.version.arity);
    out.extend_from_slice(&head.version.uniq);
    out.extend_from_slice(&head.version.index.to_be_bytes());
    out.extend_from_slice(&len(free.len()));
    put_atom(out, head.module);
    put_int(out, head.old_index);
    put_int(out, head.old_uniq);
    put_pid(out, made, 0, 0);
    for term in free {
        out.extend_from_slice(term);
    }
    let size = len(out.len() - start);
    out[start..start + 4].copy_from_slice(&size);
}

fn put_int(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = u8::try_from(value) {
        out.extend_from_slice(&[tag::SMALL_INTEGER, value]);
    } else if let Ok(value) = i32::try_from(value) {
        out.push(tag::INTEGER);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        put_big(out, value < 0, &value.unsigned_abs().to_le_bytes());
    }
}

/// A length of 32 bits. One beyond them becomes one that the VM refuses, because the bytes are fewer.
fn len(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}
