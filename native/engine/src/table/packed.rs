//! Which form a value is stored in.

use super::Inner;
use crate::Key;
use crate::format::packed::pack;
use crate::format::record::{Kind, Record};

/// The compressed values of a write: none at all in a table without compression, and none for those that do not shrink.
pub(super) struct Packed(Vec<Option<Vec<u8>>>);

impl Inner {
    /// Compresses values if the table asks for it. No lock need be held.
    pub(super) fn pack<'a>(&self, values: impl IntoIterator<Item = &'a [u8]>) -> Packed {
        if self.log.config().compressed {
            Packed(values.into_iter().map(pack).collect())
        } else {
            Packed(Vec::new())
        }
    }
}

impl Packed {
    /// The put of the value with this number.
    pub(super) fn record<'a>(&'a self, number: usize, key: Key<'a>, value: &'a [u8]) -> Record<'a> {
        match self.0.get(number) {
            Some(Some(packed)) => Record::new(Kind::Put, key, packed).as_compressed(),
            _ => Record::new(Kind::Put, key, value),
        }
    }
}
