//! The keydir on disk between a clean close and the next opening.
//!
//! A checkpoint is written once everything else of the close is done and published. It names that manifest, by its generation and its CRC, so it fits
//! as long as nothing was published since; an opening publishes a new one before anything is appended. It is not synced: one that a crash
//! tore, or lost, fails its CRCs, and the keydir is made of the hints.

mod load;
mod write;

pub(crate) use load::Loading;
pub(crate) use write::write;

use std::path::{Path, PathBuf};

use crate::format::checkpoint::{FILE, Identity};
use crate::format::manifest::Manifest;

/// Where the checkpoint of the table in `dir` stands.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// What the checkpoint of a table with this manifest names.
pub(crate) fn identity(manifest: &Manifest) -> Identity {
    Identity {
        table: manifest.table,
        generation: manifest.generation,
        manifest_crc: manifest.crc(),
    }
}
