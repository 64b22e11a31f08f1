//! Why a table takes no writes: a failure after which it has to be opened again, or that it is a snapshot.

use std::sync::{Arc, OnceLock};

use crate::{Error, Result};

/// The first failure that made the table read-only, if there was one.
#[derive(Debug, Default)]
pub struct Sticky(OnceLock<Arc<Error>>);

impl Sticky {
    /// Records a failure; the first one stays.
    pub fn set(&self, error: Error) {
        let _ = self.0.set(Arc::new(error));
    }

    /// The failure.
    pub fn get(&self) -> Option<Arc<Error>> {
        self.0.get().cloned()
    }

    /// Refuses a write after a failure.
    pub fn check(&self) -> Result<()> {
        match self.0.get() {
            None => Ok(()),
            Some(cause) if matches!(**cause, Error::Snapshot) => Err(Error::Snapshot),
            Some(cause) => Err(Error::ReadOnly {
                cause: Arc::clone(cause),
            }),
        }
    }
}
