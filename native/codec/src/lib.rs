//! Erlang terms as bytes, without the BEAM.
//!
//! Two encodings: *keys* ([`key`]), whose `memcmp` order is the order of terms, and *objects* ([`object`]), compact and
//! canonical. Both read terms through a [`Source`] and make them through a [`Builder`], so that this crate needs no VM:
//! the NIF implements the two over BEAM terms, the tests over an enum. Nothing here recurses: however deep a term is
//! nested, only heap memory grows.
//!
//! `docs/format-terms.md` describes the bytes.

pub mod budget;
pub mod builder;
pub mod error;
pub mod etf;
pub mod incarnation;
pub mod key;
pub mod object;
pub mod source;

mod read;

pub use budget::Budget;
pub use builder::Builder;
pub use error::{DecodeError, EncodeError};
pub use incarnation::Incarnations;
pub use key::{Equality, Form};
pub use source::{Creator, FunHead, Source, View};
