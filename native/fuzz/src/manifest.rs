//! Manifests: what is read has one form.

use bets_engine::format::manifest::Manifest;

use crate::memory::Bound;
use crate::{mended, put_crc};

pub fn check(data: &[u8]) {
    let (mend, bytes) = mended(data);
    let mut bytes = bytes.to_vec();
    if mend && bytes.len() >= 20 {
        let end = bytes.len() - 4;
        bytes[..8].copy_from_slice(b"bets.man");
        bytes[12..16].copy_from_slice(&(end as u32 - 16).to_le_bytes());
        put_crc(&mut bytes, end, 0..end);
    }
    let read = Bound::FILE.watch(bytes.len(), || Manifest::decode(&bytes));
    if let Ok(manifest) = read {
        let again = manifest.encode();
        assert_eq!(Manifest::decode(&again), Ok(manifest));
        assert_eq!(again, bytes, "a second form");
    }
}
