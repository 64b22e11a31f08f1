//! Writing and reading the hint file of a sealed segment, a block at a time.
//!
//! A hint is never synced: it is made of a segment that is durable, and one that a crash tore fails its CRCs and is made anew. So whoever reads one
//! takes any error to mean that there is none.

use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::format::hint::{
    self, BLOCK_HEAD_LEN, Block, Encoder, Entry, HEADER_LEN, Identity, TRAILER_LEN, Wrong, check_header,
    check_trailer, entries_len, entry_count,
};
use crate::format::{manifest, segment::HEADER_LEN as FIRST_FRAME};
use crate::io::{File, Storage};
use crate::seeded::{self, Fault};

/// What is wrong with a hint whose entries do not come in the order of their segment. A load, which reads the blocks by themselves, may not see it.
pub const OUT_OF_ORDER: &str = "an entry of the hint is out of order";

/// Where the hint of a segment stands.
pub fn path(dir: &Path, segment: u32) -> PathBuf {
    dir.join(hint::file_name(segment))
}

/// The identity of a sealed segment of the table with the id `table`.
pub fn identity(table: u64, entry: &manifest::Entry) -> Identity {
    Identity {
        table,
        segment: entry.id,
        len: entry.len,
        first_seq: entry.first_seq,
        last_seq: entry.last_seq,
    }
}

/// Writes a hint while its segment is written or read. Holds one block in memory.
///
/// Dropped before [`HintWriter::finish`], it leaves a file without a header, which nobody takes for a hint.
#[derive(Debug)]
pub struct HintWriter {
    file: Arc<dyn File>,
    encoder: Encoder,
    pos: u64,
}

impl HintWriter {
    /// Begins the hint of a segment in the table's directory, in place of what stands there. Waits for the disk.
    pub fn create(storage: &dyn Storage, dir: &Path, table: u64, segment: u32) -> Result<Self> {
        let path = path(dir, segment);
        match storage.unlink(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        Ok(HintWriter {
            file: storage.create(&path)?,
            encoder: Encoder::new(table, segment),
            pos: HEADER_LEN as u64,
        })
    }

    /// Adds a record: a put, a delete, a delete-object or a clear. They come in the order of the segment. After an error the file is of no use.
    pub fn add(&mut self, entry: &Entry<'_>) -> Result<()> {
        if self.encoder.push(entry) {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Completes the hint. Gives the file, which was not synced. `identity` is what the manifest tells of the segment once it is sealed.
    pub fn finish(mut self, identity: &Identity) -> Result<Arc<dyn File>> {
        self.flush()?;
        self.file.write_at(&self.encoder.trailer(), self.pos)?;
        self.file.write_at(&hint::header(identity), 0)?;
        Ok(self.file)
    }

    fn flush(&mut self) -> Result<()> {
        let block = self.encoder.take();
        self.file.write_at(block, self.pos)?;
        self.pos += block.len() as u64;
        Ok(())
    }
}

/// Why a hint cannot be used: whatever it is, the segment has to be read instead.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// There is none, or it cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is not what its writer wrote for this segment.
    #[error("{0}")]
    Wrong(&'static str),
}

impl From<Wrong> for Unusable {
    fn from(Wrong(what): Wrong) -> Self {
        Unusable::Wrong(what)
    }
}

/// Reads a hint from front to back. Holds no more than a block, which is as long as the file at most.
#[derive(Debug)]
pub struct HintReader {
    file: Arc<dyn File>,
    identity: Identity,
    len: u64,
    pos: u64,
    blocks: u32,
    entries: u64,
}

impl HintReader {
    /// Opens the hint of the segment with this identity.
    pub fn open(
        storage: &dyn Storage,
        dir: &Path,
        identity: Identity,
    ) -> std::result::Result<Self, Unusable> {
        let file = storage.open(&path(dir, identity.segment), false)?;
        let len = file.len()?;
        let mut header = [0; HEADER_LEN];
        file.read_at(&mut header, 0)?;
        if !seeded::has(Fault::StaleHint) {
            check_header(&header, &identity)?;
        }
        Ok(HintReader {
            file,
            identity,
            len,
            pos: HEADER_LEN as u64,
            blocks: 0,
            entries: 0,
        })
    }

    /// What the hint is bound to.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The length of the file in bytes.
    pub fn file_len(&self) -> u64 {
        self.len
    }

    /// Finds the next block; `None` once the hint has ended as it should. What was found counts only if every block passes [`Blocks::read`].
    pub fn next_place(&mut self) -> std::result::Result<Option<Place>, Unusable> {
        let left = self.len - self.pos;
        let mut head = [0; TRAILER_LEN];
        if left < head.len() as u64 {
            return Err(Unusable::Wrong("the hint is cut off"));
        }
        self.file.read_at(&mut head, self.pos)?;
        let entries = entries_len(&head)?;
        if entries == 0 {
            check_trailer(&self.identity, self.blocks, self.entries, &head)?;
            return if left == head.len() as u64 {
                Ok(None)
            } else {
                Err(Unusable::Wrong("the hint goes on behind its end"))
            };
        }
        let len = BLOCK_HEAD_LEN + entries;
        if len as u64 > left {
            return Err(Unusable::Wrong("the hint is cut off"));
        }
        let place = Place {
            number: self.blocks,
            pos: self.pos,
            len,
        };
        self.pos += len as u64;
        self.blocks = place
            .number
            .checked_add(1)
            .ok_or(Unusable::Wrong("the hint is too long"))?;
        self.entries += u64::from(entry_count(&head));
        Ok(Some(place))
    }

    /// A second hold on the file, with which another thread reads blocks that were found.
    pub fn blocks(&self) -> Blocks {
        Blocks {
            file: Arc::clone(&self.file),
            identity: self.identity,
        }
    }

    /// Hands all entries to `each` in the order of the segment. After an error none of them counts.
    pub fn for_each(mut self, mut each: impl FnMut(&Entry<'_>)) -> std::result::Result<(), Unusable> {
        let mut buf = Vec::new();
        let mut seq = self.identity.first_seq.saturating_sub(1);
        let mut end = u64::from(FIRST_FRAME);
        let blocks = self.blocks();
        while let Some(place) = self.next_place()? {
            let mut block = blocks.read(place, &mut buf)?;
            while let Some(entry) = block.next_entry()? {
                if entry.seq <= seq || u64::from(entry.offset) < end {
                    return Err(Unusable::Wrong(OUT_OF_ORDER));
                }
                (seq, end) = (entry.seq, u64::from(entry.offset) + u64::from(entry.frame_len));
                each(&entry);
            }
        }
        Ok(())
    }
}

/// Where a block of a hint stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    number: u32,
    pos: u64,
    len: usize,
}

impl Place {
    /// Bytes of the block, at least one.
    #[expect(clippy::len_without_is_empty, reason = "no block is empty")]
    pub fn len(&self) -> usize {
        self.len
    }
}

/// Reads the blocks of a hint in any order.
#[derive(Clone, Debug)]
pub struct Blocks {
    file: Arc<dyn File>,
    identity: Identity,
}

impl Blocks {
    /// Reads a block into `buf` and checks it.
    pub fn read<'b>(&self, place: Place, buf: &'b mut Vec<u8>) -> std::result::Result<Block<'b>, Unusable> {
        buf.resize(place.len, 0);
        self.file.read_at(buf, place.pos)?;
        Ok(Block::check(&self.identity, place.number, buf)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;
    use crate::format::record::Kind;
    use crate::io::sim::Sim;

    const IDENTITY: Identity = Identity {
        table: 99,
        segment: 3,
        len: 1 << 30,
        first_seq: 10,
        last_seq: 100_000,
    };

    fn dir(sim: &Sim) -> PathBuf {
        let dir = PathBuf::from("/t");
        sim.create_dir_all(&dir).unwrap();
        dir
    }

    fn write(sim: &Sim, count: u32) -> PathBuf {
        let dir = dir(sim);
        let mut writer = HintWriter::create(sim, &dir, IDENTITY.table, IDENTITY.segment).unwrap();
        for i in 0..count {
            writer
                .add(&Entry {
                    kind: Kind::Put,
                    seq: 10 + u64::from(i),
                    offset: 32 + i * 100,
                    frame_len: 100,
                    expiry_ms: None,
                    key: Key::plain(&i.to_be_bytes()),
                })
                .unwrap();
        }
        writer.finish(&IDENTITY).unwrap();
        path(&dir, IDENTITY.segment)
    }

    fn read(sim: &Sim) -> std::result::Result<Vec<(u64, u32, Vec<u8>)>, Unusable> {
        let mut all = Vec::new();
        HintReader::open(sim, Path::new("/t"), IDENTITY)?
            .for_each(|e| all.push((e.seq, e.offset, e.key.bytes().to_vec())))?;
        Ok(all)
    }

    #[test]
    fn many_blocks_stream_through_one_buffer() {
        for count in [0, 1, 50_000] {
            let sim = Sim::new();
            write(&sim, count);
            let all = read(&sim).unwrap();
            assert_eq!(all.len(), count as usize);
            for (i, (seq, offset, key)) in (0..).zip(all) {
                assert_eq!((seq, offset), (10 + u64::from(i), 32 + i * 100));
                assert_eq!(key, i.to_be_bytes());
            }
        }
    }

    #[test]
    fn every_flipped_bit_every_cut_and_every_addition_makes_it_unusable() {
        let sim = Sim::new();
        let path = write(&sim, 20);
        let bytes = sim.read(&path).unwrap();
        for bit in 0..bytes.len() as u64 * 8 {
            let image = sim.kill(sim.ops());
            image.flip_bit(&path, bit / 8, bit as u8 % 8).unwrap();
            assert!(read(&image).is_err(), "bit {bit}");
        }
        for len in (0..bytes.len() as u64).chain([bytes.len() as u64 + 1]) {
            let image = sim.kill(sim.ops());
            image.set_len(&path, len).unwrap();
            assert!(read(&image).is_err(), "length {len}");
        }
        assert!(read(&sim).is_ok());
    }

    /// Guards the memory of who reads a hint: nothing is allocated for a block that is longer than what is left of the file.
    #[test]
    fn a_block_that_cannot_be_there_is_refused_before_it_is_read() {
        let sim = Sim::new();
        let path = write(&sim, 5);
        let mut bytes = sim.read(&path).unwrap();
        bytes[HEADER_LEN + 4..HEADER_LEN + 8].copy_from_slice(&(60u32 << 20).to_le_bytes());
        sim.write(&path, &bytes).unwrap();
        let mut reader = HintReader::open(&sim, Path::new("/t"), IDENTITY).unwrap();
        assert!(matches!(reader.next_place(), Err(Unusable::Wrong(_))));
    }

    #[test]
    fn what_was_not_finished_is_no_hint() {
        let sim = Sim::new();
        let dir = dir(&sim);
        drop(HintWriter::create(&sim, &dir, IDENTITY.table, IDENTITY.segment).unwrap());
        assert!(read(&sim).is_err());
        write(&sim, 5);
        assert_eq!(read(&sim).unwrap().len(), 5, "in place of what was there");
    }
}
