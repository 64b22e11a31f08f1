//! The storage engine of bets: bytes in, bytes out.
//!
//! A table is a directory of append-only segments, a manifest that names them, and a keydir in memory that says
//! where the newest record of each key stands. The engine knows nothing of the BEAM.

pub mod error;
pub mod io;
pub mod key;
pub mod keydir;
mod sync;
pub mod table;

pub use error::{Error, Result};
pub use key::Key;
