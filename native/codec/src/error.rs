//! What can go wrong between terms and bytes.

use crate::budget::Exhausted;

/// Why a term was not encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The budget was used up: make the call again where it may take longer.
    #[error("the budget is used up")]
    Budget,
    /// The VM did not hand the term out, or handed out something that this version does not know.
    #[error("the term cannot be read: {0}")]
    Unreadable(&'static str),
    /// The term has a length beyond what the format holds.
    #[error("the term is too large: {0}")]
    TooLarge(&'static str),
}

impl From<Exhausted> for EncodeError {
    fn from(_: Exhausted) -> Self {
        EncodeError::Budget
    }
}

/// Why bytes were not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The budget was used up: make the call again where it may take longer.
    #[error("the budget is used up")]
    Budget,
    /// The bytes are no encoding of a term.
    #[error("damaged encoding at byte {at}: {what}")]
    Damaged {
        /// Where in the bytes.
        at: usize,
        /// What was expected.
        what: &'static str,
    },
    /// The VM did not make the term (its atom table is full, say).
    #[error("the term cannot be made: {0}")]
    Unmakeable(&'static str),
    /// The element asked for lies beyond the object's arity.
    #[error("the object has no such element")]
    NoElement,
}

impl From<Exhausted> for DecodeError {
    fn from(_: Exhausted) -> Self {
        DecodeError::Budget
    }
}
