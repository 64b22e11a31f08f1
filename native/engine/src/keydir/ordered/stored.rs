//! The key in a node: short ones in the node itself, so that a comparison on the way through the list needs no second
//! cache miss.

use crate::Key;

/// A key of more bytes is kept outside its node.
pub(super) const INLINE: usize = 21;

/// A key as it was when its node was made. Its suffix is not looked at in comparisons, and the node's cell may know a newer one.
#[derive(Debug)]
pub(super) enum StoredKey {
    /// The first `len` of `bytes`.
    Short {
        len: u8,
        compared: u8,
        bytes: [u8; INLINE],
    },
    /// More than fit.
    Long { compared: u32, bytes: Box<[u8]> },
}

impl StoredKey {
    pub(super) fn new(key: Key<'_>) -> Self {
        let (len, compared) = (key.bytes().len(), key.compared().len());
        if len <= INLINE {
            let mut bytes = [0; INLINE];
            bytes[..len].copy_from_slice(key.bytes());
            StoredKey::Short {
                len: len as u8,
                compared: compared as u8,
                bytes,
            }
        } else {
            StoredKey::Long {
                compared: compared as u32,
                bytes: key.bytes().into(),
            }
        }
    }

    /// The key.
    pub(super) fn key(&self) -> Key<'_> {
        match self {
            StoredKey::Short { len, compared, bytes } => {
                Key::new(&bytes[..usize::from(*len)], usize::from(*compared))
            }
            StoredKey::Long { compared, bytes } => Key::new(bytes, *compared as usize),
        }
    }

    /// Bytes of memory that it holds outside itself.
    pub(super) fn outside(&self) -> usize {
        match self {
            StoredKey::Short { .. } => 0,
            StoredKey::Long { bytes, .. } => bytes.len(),
        }
    }

    /// The compared part of the key.
    #[inline]
    pub(super) fn compared(&self) -> &[u8] {
        match self {
            StoredKey::Short { compared, bytes, .. } => bytes.get(..usize::from(*compared)).unwrap_or(bytes),
            StoredKey::Long { compared, bytes } => bytes.get(..*compared as usize).unwrap_or(bytes),
        }
    }
}
