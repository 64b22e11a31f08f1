//! The storage engine of bets: bytes in, bytes out.
//!
//! A table is a directory of append-only segments, a manifest that names them, and a keydir in memory that says
//! where the newest record of each key stands. The engine knows nothing of the BEAM.

pub mod background;
pub mod cache;
mod checkpoint;
pub mod clock;
mod current;
mod deadline;
mod dir;
pub mod epoch;
pub mod error;
pub mod format;
pub mod io;
pub mod key;
pub mod keydir;
mod lock;
pub mod log;
pub mod merge;
mod ram;
pub mod recovery;
pub mod repair;
pub mod sched;
pub mod seeded;
pub mod segment;
mod sticky;
mod sync;
pub mod table;

pub use deadline::{Deadline, Now};
pub use error::{Error, Result};
pub use key::Key;
