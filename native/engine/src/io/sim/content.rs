//! The bytes of one file, shared between images until they differ.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The unit of sharing: small enough that a record costs a small copy, large enough that preallocated files are short
/// lists.
const CHUNK: usize = 1024;

/// Bytes past the file's length are zero, always: growing it shows them.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    len: u64,
    /// `None`, and what is beyond the list, is zeros.
    chunks: Arc<Vec<Option<Arc<Chunk>>>>,
}

#[derive(Debug)]
struct Chunk {
    bytes: [u8; CHUNK],
    /// 0 if not known yet: images share chunks, so that most are hashed once for thousands of images.
    hash: AtomicU64,
}

impl Clone for Chunk {
    fn clone(&self) -> Self {
        Self {
            bytes: self.bytes,
            hash: AtomicU64::new(0),
        }
    }
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buf`; the part beyond the end is left alone. Returns how many bytes there were.
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let there = self.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        for (at, index, from, n) in pieces(offset, there) {
            let target = &mut buf[at..at + n];
            match self.chunks.get(index) {
                Some(Some(chunk)) => target.copy_from_slice(&chunk.bytes[from..from + n]),
                _ => target.fill(0),
            }
        }
        there
    }

    pub(super) fn write(&mut self, data: &[u8], offset: u64) {
        if data.is_empty() {
            return;
        }
        self.len = self.len.max(offset + data.len() as u64);
        for (at, index, from, n) in pieces(offset, data.len()) {
            let data = &data[at..at + n];
            // Zeros over zeros change nothing.
            if matches!(self.chunks.get(index), None | Some(None)) && data.iter().all(|b| *b == 0) {
                continue;
            }
            self.chunk(index)[from..from + n].copy_from_slice(data);
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let (keep, cut) = ((len / CHUNK as u64) as usize, (len % CHUNK as u64) as usize);
            if keep < self.chunks.len() {
                Arc::make_mut(&mut self.chunks).truncate(keep + 1);
                if cut == 0 {
                    Arc::make_mut(&mut self.chunks).truncate(keep);
                } else if self.chunks[keep].is_some() {
                    self.chunk(keep)[cut..].fill(0);
                }
            }
        }
        self.len = len;
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(&mut bytes, 0);
        bytes
    }

    /// The same for the same length and bytes, in every run of every build.
    pub(super) fn hash(&self) -> u64 {
        let mut hash = self.len;
        for (index, chunk) in self.chunks.iter().enumerate() {
            if let Some(chunk) = chunk {
                // A sum, so that a chunk of zeros counts as little as one that is not there.
                hash = hash.wrapping_add(chunk.hash_at(index as u64));
            }
        }
        hash
    }

    /// A chunk for writing to.
    fn chunk(&mut self, index: usize) -> &mut [u8; CHUNK] {
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.len() <= index {
            chunks.resize(index + 1, None);
        }
        let chunk = chunks[index].get_or_insert_with(|| {
            Arc::new(Chunk {
                bytes: [0; CHUNK],
                hash: AtomicU64::new(0),
            })
        });
        let chunk = Arc::make_mut(chunk);
        *chunk.hash.get_mut() = 0;
        &mut chunk.bytes
    }
}

impl Chunk {
    fn hash_at(&self, index: u64) -> u64 {
        let known = self.hash.load(Ordering::Relaxed);
        if known != 0 {
            return if known == ZERO { 0 } else { known };
        }
        // A chunk never moves to another index, so that the index can be part of what is remembered.
        let hash = if self.bytes.iter().all(|b| *b == 0) {
            ZERO
        } else {
            xxh3_64_with_seed(&self.bytes, index).max(ZERO + 1)
        };
        self.hash.store(hash, Ordering::Relaxed);
        if hash == ZERO { 0 } else { hash }
    }
}

/// What [`Chunk::hash`] holds for zeros.
const ZERO: u64 = 1;

/// How `len` bytes at `offset` lie in chunks: position in the buffer, chunk, position in the chunk, bytes.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let from = (at % CHUNK as u64) as usize;
        let n = (CHUNK - from).min(len - done);
        let piece = (done, (at / CHUNK as u64) as usize, from, n);
        done += n;
        (n > 0).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn content_is_a_vector_of_bytes(steps in prop::collection::vec(
            (0u8..3, 0u64..5000, prop::collection::vec(0u8..3, 0..2500)), 1..12)) {
            let (mut content, mut model) = (Content::default(), Vec::<u8>::new());
            for (what, at, data) in steps {
                if what == 0 {
                    content.set_len(at);
                    model.resize(at as usize, 0);
                } else {
                    content.write(&data, at);
                    let end = at as usize + data.len();
                    if !data.is_empty() && model.len() < end { model.resize(end, 0); }
                    if !data.is_empty() { model[at as usize..end].copy_from_slice(&data); }
                }
                prop_assert_eq!(content.len(), model.len() as u64);
                prop_assert_eq!(&content.to_vec(), &model);
                let mut fresh = Content::default();
                fresh.write(&model, 0);
                prop_assert_eq!(content.hash(), fresh.hash());
            }
        }
    }

    #[test]
    fn a_changed_bit_or_length_changes_the_hash() {
        let mut content = Content::default();
        content.write(b"bets", 3000);
        let before = content.hash();
        content.set_len(3005);
        assert_ne!(before, content.hash());
        content.set_len(3004);
        assert_eq!(before, content.hash());
        content.write(b"s", 3000);
        assert_ne!(before, content.hash());
    }
}
