//! What the comparison leaves out.
//!
//! Every number and every local fun of a key is a *point*, counted from 0 in the order of the encoding. The suffix lists the
//! points whose stored form is not the usual one: `varint(points since the last one << 2 | kind)`, and for a fun 21 bytes.

use crate::error::DecodeError;
use crate::read::{Reader, put_varint};
use crate::source::FunVersion;

/// How a point differs from the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A float that has the value of an integer.
    Float,
    /// `-0.0`.
    NegativeZero,
    /// Which version of the module a fun is from.
    Fun(FunVersion),
}

/// A point and how it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exception {
    pub(super) point: u64,
    pub(super) kind: Kind,
}

/// Appends a suffix.
pub(super) fn put_suffix(out: &mut Vec<u8>, exceptions: &[Exception]) {
    let mut next = 0;
    for exception in exceptions {
        let distance = (exception.point - next) << 2;
        next = exception.point + 1;
        match exception.kind {
            Kind::Float => put_varint(out, distance),
            Kind::NegativeZero => put_varint(out, distance | 1),
            Kind::Fun(version) => {
                put_varint(out, distance | 2);
                out.push(version.arity);
                out.extend_from_slice(&version.index.to_le_bytes());
                out.extend_from_slice(&version.uniq);
            }
        }
    }
}

/// Reads a suffix along with its key.
#[derive(Debug)]
pub(super) struct Suffix<'a> {
    reader: Reader<'a>,
    points: u64,
    next: Option<Exception>,
}

impl<'a> Suffix<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut suffix = Suffix {
            reader: Reader::new(bytes),
            points: 0,
            next: None,
        };
        suffix.advance()?;
        Ok(suffix)
    }

    /// How the next point differs.
    #[inline]
    pub(super) fn point(&mut self) -> Result<Option<Kind>, DecodeError> {
        let point = self.points;
        self.points += 1;
        match self.next {
            Some(exception) if exception.point == point => {
                self.advance()?;
                Ok(Some(exception.kind))
            }
            _ => Ok(None),
        }
    }

    /// Whether every exception was met.
    pub(super) fn is_done(&self) -> bool {
        self.next.is_none()
    }

    fn advance(&mut self) -> Result<(), DecodeError> {
        self.next = None;
        if self.reader.is_empty() {
            return Ok(());
        }
        let coded = self.reader.varint()?;
        let kind = match coded & 3 {
            0 => Kind::Float,
            1 => Kind::NegativeZero,
            2 => Kind::Fun(FunVersion {
                arity: self.reader.byte()?,
                index: u32::from_le_bytes(self.reader.array()?),
                uniq: self.reader.array()?,
            }),
            _ => return Err(self.reader.damaged("a kind of exception")),
        };
        let point = self.points + (coded >> 2);
        self.next = Some(Exception { point, kind });
        Ok(())
    }
}
