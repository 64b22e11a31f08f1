//! Keys as the engine sees them.

/// A key's bytes: a compared part, then a suffix that keeps the stored form and is never compared.
///
/// The compared parts are *prefix-free*: none is a proper prefix of another. So the compared part of a stored key equals
/// `k` exactly when the stored bytes start with `k`, and `memcmp` of whole keys orders them by their compared parts
/// whatever their suffixes are.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    bytes: &'a [u8],
    compared: usize,
}

impl<'a> Key<'a> {
    /// A key whose first `compared` bytes are compared. A `compared` beyond the end means all of it.
    pub fn new(bytes: &'a [u8], compared: usize) -> Self {
        Key {
            bytes,
            compared: compared.min(bytes.len()),
        }
    }

    /// A key without a suffix.
    pub fn plain(bytes: &'a [u8]) -> Self {
        Key {
            bytes,
            compared: bytes.len(),
        }
    }

    /// The compared part followed by the suffix.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The part that decides equality, order and hash.
    pub fn compared(&self) -> &'a [u8] {
        &self.bytes[..self.compared]
    }

    /// A record's key in a bag: the key, and the fingerprint of the object, which is the last four bytes of the suffix. A suffix that
    /// is too short has the fingerprint 0.
    pub fn split_fingerprint(&self) -> (Key<'a>, u32) {
        match self.suffix().split_last_chunk::<4>() {
            Some((_, fingerprint)) => {
                let len = self.bytes.len() - fingerprint.len();
                (
                    Key::new(&self.bytes[..len], self.compared),
                    u32::from_le_bytes(*fingerprint),
                )
            }
            None => (*self, 0),
        }
    }

    /// The part that only keeps the stored form.
    pub fn suffix(&self) -> &'a [u8] {
        &self.bytes[self.compared..]
    }
}
