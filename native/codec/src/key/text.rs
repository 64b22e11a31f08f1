//! The text of atoms, so that it compares as the VM compares it: by code points, the shorter first.
//!
//! UTF-8 already has the order of code points. A zero byte ends the text; the bytes 0 and 1, which are characters of control
//! that atoms seldom have, are written as 1 and one more than themselves.

use std::borrow::Cow;

use crate::error::DecodeError;
use crate::read::Reader;

/// Appends a text.
#[inline]
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| byte <= 1) {
        for byte in text.bytes() {
            if byte <= 1 {
                out.extend_from_slice(&[1, byte + 1]);
            } else {
                out.push(byte);
            }
        }
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(0);
}

/// Reads a text.
pub(super) fn text<'a>(reader: &mut Reader<'a>) -> Result<Cow<'a, str>, DecodeError> {
    let Some(end) = reader.rest().iter().position(|&byte| byte == 0) else {
        return Err(reader.damaged("the end of an atom"));
    };
    let raw = reader.take(end)?;
    reader.byte()?;
    if !raw.contains(&1) {
        return match std::str::from_utf8(raw) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(_) => Err(reader.damaged("the text of an atom in UTF-8")),
        };
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut raw = raw.iter();
    while let Some(&byte) = raw.next() {
        match (byte, if byte == 1 { raw.next() } else { None }) {
            (1, Some(&escaped @ 1..=2)) => bytes.push(escaped - 1),
            (1, _) => return Err(reader.damaged("an escaped character of an atom")),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| reader.damaged("the text of an atom in UTF-8"))
}
