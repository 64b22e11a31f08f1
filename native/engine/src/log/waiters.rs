//! Those who wait for their write to be durable.

use crate::sync::Mutex;
use crate::{Error, Result};

/// What is called once when a write is durable, or known never to be.
pub type Notify = Box<dyn FnOnce(Result<()>) + Send>;

/// Who waits for which seq.
#[derive(Default)]
pub struct Waiters {
    list: Mutex<Vec<(u64, Notify)>>,
}

impl Waiters {
    /// One more.
    pub fn add(&self, seq: u64, notify: Notify) {
        self.list.lock().push((seq, notify));
    }

    /// Whether anybody waits.
    pub fn any(&self) -> bool {
        !self.list.lock().is_empty()
    }

    /// Tells those whose write is durable; with `failed`, tells it to all the others.
    pub fn answer(&self, durable_seq: u64, failed: Option<Error>) {
        let (done, rest): (Vec<_>, Vec<_>) = {
            let mut list = self.list.lock();
            let (done, rest) = std::mem::take(&mut *list)
                .into_iter()
                .partition(|(seq, _)| *seq <= durable_seq);
            if failed.is_some() {
                (done, rest)
            } else {
                *list = rest;
                (done, Vec::new())
            }
        };
        for (_, notify) in done {
            notify(Ok(()));
        }
        if let Some(error) = failed {
            for (_, notify) in rest {
                notify(Err(error.clone()));
            }
        }
    }
}

impl std::fmt::Debug for Waiters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiters")
            .field("waiting", &self.list.lock().len())
            .finish()
    }
}
