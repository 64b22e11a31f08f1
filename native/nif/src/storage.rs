//! The file system that tables stand on.

use std::sync::{Arc, LazyLock};

use bets_engine::io::Storage;
use bets_engine::io::real::Os;

static STORAGE: LazyLock<Arc<dyn Storage>> = LazyLock::new(|| Arc::new(Os));

/// The file system that tables stand on.
pub fn storage() -> &'static Arc<dyn Storage> {
    &STORAGE
}
