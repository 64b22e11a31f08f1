//! The key arena of a shard: chunks of memory that key bytes are appended to.
//!
//! A key is named by 32 bits: the number of its chunk, from 1, and its offset in it. Chunks hold at most 64 KiB and are
//! small in a small shard; a long key has a chunk of its own. Bytes are written once. What deleted keys leave behind is
//! counted, and won back by moving the rest of a chunk elsewhere (`compact`) or when a chunk's last key goes.
#![allow(unsafe_code, reason = "reads and writes the chunks' memory")]
#![allow(
    clippy::cast_ptr_alignment,
    reason = "the memory was allocated with the alignment"
)]

use std::alloc::Layout;
use std::ptr;

use super::entry::{self, Stored};
use super::reclaim::{allocate, allocate_zeroed};
use super::write::Writer;
use crate::Key;
use crate::keydir::Full;
use crate::keydir::prefetch::{LINE, prefetch};
use crate::sync::{AtomicPtr, Ordering};

const CHUNK_MIN: usize = 256;
const CHUNK_MAX: usize = 1 << 16;
/// A new chunk is this part of all that the shard has, so that the unused end of the last one stays small beside them.
const CHUNK_PART: usize = 16;
/// An entry longer than this has a chunk of its own.
const LONG: usize = CHUNK_MAX / 4;
const NUMBER_MAX: u32 = u16::MAX as u32;
const HEAD: usize = size_of::<Head>();

/// What stands at the start of a chunk. Readers never look at it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub(super) struct Head {
    /// Bytes of the chunk, this head included.
    size: u32,
    /// Bytes taken, this head included.
    used: u32,
    /// Bytes of entries that are in use.
    live: u32,
    /// What the chunk is for.
    pub(super) role: Role,
}

/// What a chunk is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Role {
    /// It has, or had, room for many entries.
    Shared,
    /// It has one long entry.
    Long,
    /// It is being emptied.
    Victim,
}

/// The arena's books.
#[derive(Debug, Default)]
pub(super) struct Arena {
    /// Length of the table of chunks.
    table_len: u32,
    /// The highest chunk number ever given.
    top: u32,
    /// The chunk that takes new entries, or 0.
    current: u32,
    /// Numbers to give again.
    free: Vec<u16>,
    /// Bytes of all chunks.
    allocated: usize,
    /// Bytes that it is about to hold, where that is known.
    expected: usize,
    /// Bytes of entries in shared chunks, in use or not.
    used: usize,
    /// Bytes of entries in shared chunks that are in use.
    live: usize,
}

impl Arena {
    /// Bytes of entries in use, long ones apart.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// Bytes of entries that are in use no more.
    pub(super) fn dead(&self) -> usize {
        self.used - self.live
    }

    fn has_number(&self) -> bool {
        !self.free.is_empty() || self.top < NUMBER_MAX
    }
}

impl Writer<'_> {
    /// Where the entry stands that a reference of a slot names.
    pub(super) fn address(&self, key_ref: u32) -> *const u8 {
        self.chunk(key_ref >> 16)
            .wrapping_add((key_ref & 0xffff) as usize)
    }

    /// The entry that a reference names.
    ///
    /// # Safety
    /// The reference stands in a slot of this shard, and its chunk is not freed during `'k`.
    pub(super) unsafe fn stored<'k>(&self, key_ref: u32) -> Stored<'k> {
        // SAFETY: an entry was written where a slot's reference points, and by the contract stays for `'k`.
        unsafe { entry::read(self.address(key_ref)) }
    }

    /// Whether [`Writer::store_key`] will find room for this key.
    pub(super) fn has_room(&self, key: Key<'_>) -> bool {
        let len = key.bytes().len() + entry::HEADER_MAX;
        len < u32::MAX as usize - HEAD && (self.state.arena.has_number() || self.fits_current(len))
    }

    /// Tells how many bytes of keys are about to come in all: they get few chunks, which matters where threads wait for each other in the allocator.
    pub(super) fn expect_keys(&mut self, bytes: usize) {
        self.state.arena.expected = bytes;
    }

    /// Appends a key to the arena and gives its reference, which no slot has yet.
    pub(super) fn store_key(&mut self, stored: Stored<'_>) -> Result<u32, Full> {
        let len = entry::stored_len(stored);
        let number = if len > LONG {
            self.add_chunk(len + HEAD, Role::Long)?
        } else if self.fits_current(len) {
            self.state.arena.current
        } else {
            let arena = &self.state.arena;
            let to_come = match arena.expected.saturating_sub(arena.used) {
                0 => 0,
                bytes => bytes + HEAD,
            };
            let size = to_come
                .max(arena.allocated / CHUNK_PART)
                .clamp(CHUNK_MIN, CHUNK_MAX);
            let number = self.add_chunk(size.max(len + HEAD).next_multiple_of(HEAD), Role::Shared)?;
            let left = self.state.arena.current;
            self.state.arena.current = number;
            if left != 0 && self.head(left).live == 0 {
                self.free_chunk(left);
            }
            number
        };
        let mut head = self.head(number);
        let offset = head.used;
        let at = self.chunk(number).wrapping_add(offset as usize);
        // SAFETY: the chunk has `len` bytes left behind `used`, which no reader looks at before a slot names them, and the key is
        // not among them.
        unsafe { entry::write(at, stored) };
        // The next key but some comes to a line that is not at hand yet, and the lock would wait for it.
        prefetch(at.wrapping_add(len + LINE).cast_const());
        head.used += len as u32;
        head.live += len as u32;
        self.set_head(number, head);
        if head.role == Role::Shared {
            self.state.arena.used += len;
            self.state.arena.live += len;
        }
        Ok(number << 16 | offset)
    }

    /// Gives up a key's bytes. No slot has the reference any more.
    pub(super) fn drop_key(&mut self, key_ref: u32) {
        let number = key_ref >> 16;
        // SAFETY: the chunk of a reference that was in a slot until now is still there.
        let len = entry::stored_len(unsafe { self.stored(key_ref) });
        let mut head = self.head(number);
        head.live -= len as u32;
        self.set_head(number, head);
        if head.role != Role::Long {
            self.state.arena.live -= len;
        }
        if head.live == 0 {
            if number == self.state.arena.current {
                // Filled up again and again by keys that do not stay, it would never go.
                if head.used < head.size / 2 {
                    return;
                }
                self.state.arena.current = 0;
            }
            self.free_chunk(number);
        }
    }

    /// Has the processor fetch the head of the chunk that an entry stands in.
    pub(super) fn prefetch_head(&self, key_ref: u32) {
        prefetch(self.chunk(key_ref >> 16).cast_const());
    }

    /// The head of a chunk that is there.
    pub(super) fn head(&self, number: u32) -> Head {
        // SAFETY: a chunk starts with its head, which only the holder of the lock reads and writes.
        unsafe { self.chunk(number).cast::<Head>().read() }
    }

    /// Marks the shared chunks with the most bytes not in use to be emptied, so many that moving the rest of them takes
    /// no more than `budget` bytes, but at least one. They take no new entries.
    pub(super) fn choose_victims(&mut self, budget: usize) {
        let mut chunks: Vec<(u32, Head)> = (1..=self.state.arena.top)
            .filter(|&number| !self.chunk(number).is_null())
            .map(|number| (number, self.head(number)))
            .filter(|(_, head)| head.role != Role::Long && (head.live as usize) < head.used as usize - HEAD)
            .collect();
        chunks.sort_unstable_by_key(|(_, head)| u64::from(head.live) * 1000 / u64::from(head.used));
        let mut moved = 0;
        for (number, mut head) in chunks {
            if moved > 0 && moved + head.live as usize > budget {
                break;
            }
            moved += head.live as usize;
            if number == self.state.arena.current {
                self.state.arena.current = 0;
            }
            if head.live == 0 {
                self.free_chunk(number);
            } else {
                head.role = Role::Victim;
                self.set_head(number, head);
            }
        }
    }

    /// Bytes of all entries in use, as the chunks' heads have it.
    #[cfg(test)]
    pub(super) fn live_bytes(&self) -> usize {
        let heads = (1..=self.state.arena.top)
            .filter(|&number| !self.chunk(number).is_null())
            .map(|number| self.head(number));
        let (shared, long): (Vec<Head>, Vec<Head>) = heads.partition(|head| head.role != Role::Long);
        let sum = |heads: &[Head]| heads.iter().map(|head| head.live as usize).sum::<usize>();
        assert_eq!(sum(&shared), self.state.arena.live);
        let used = shared.iter().map(|head| head.used as usize - HEAD).sum::<usize>();
        assert_eq!(used, self.state.arena.used);
        sum(&shared) + sum(&long)
    }

    /// Frees all chunks and their table. The shard is not used after it.
    pub(super) fn free_arena(&mut self) {
        for number in 1..=self.state.arena.top {
            if !self.chunk(number).is_null() {
                self.free_chunk(number);
            }
        }
        let table = self.shard.chunks.swap(ptr::null_mut(), Ordering::Release);
        if !table.is_null() {
            // SAFETY: the table was allocated with this layout, and the shard has let go of it.
            unsafe {
                self.reclaim
                    .free(table.cast(), table_layout(self.state.arena.table_len));
            }
        }
    }

    fn set_head(&mut self, number: u32, head: Head) {
        // SAFETY: as in `head`; the entries that readers may look at stand behind it.
        unsafe { self.chunk(number).cast::<Head>().write(head) };
    }

    fn fits_current(&self, len: usize) -> bool {
        let current = self.state.arena.current;
        current != 0 && {
            let head = self.head(current);
            len <= (head.size - head.used) as usize
        }
    }

    fn chunk(&self, number: u32) -> *mut u8 {
        self.chunk_cell(number).load(Ordering::Relaxed)
    }

    fn chunk_cell(&self, number: u32) -> &AtomicPtr<u8> {
        debug_assert!(0 < number && number < self.state.arena.table_len);
        // SAFETY: numbers given are within the table, which only the holder of the lock replaces.
        unsafe { &*self.shard.chunks.load(Ordering::Relaxed).add(number as usize) }
    }

    fn add_chunk(&mut self, size: usize, role: Role) -> Result<u32, Full> {
        let head = Head {
            size: u32::try_from(size).map_err(|_| Full)?,
            used: HEAD as u32,
            live: 0,
            role,
        };
        if !self.state.arena.has_number() {
            return Err(Full);
        }
        let number = self.state.arena.free.pop().map_or_else(
            || {
                self.state.arena.top += 1;
                self.state.arena.top
            },
            u32::from,
        );
        if number >= self.state.arena.table_len {
            self.grow_table();
        }
        let chunk = allocate(chunk_layout(size));
        // No slot names this number, so no reader looks at the cell before one does.
        self.chunk_cell(number).store(chunk, Ordering::Release);
        self.set_head(number, head);
        self.state.arena.allocated += size;
        self.grew(size);
        Ok(number)
    }

    fn free_chunk(&mut self, number: u32) {
        let head = self.head(number);
        let size = head.size as usize;
        let cell = self.chunk_cell(number);
        let chunk = cell.load(Ordering::Relaxed);
        // The number will be given again: readers that have it from a slot must notice.
        self.shard
            .change(|| cell.store(ptr::null_mut(), Ordering::Release));
        if head.role != Role::Long {
            self.state.arena.used -= head.used as usize - HEAD;
            self.state.arena.live -= head.live as usize;
        }
        self.state.arena.allocated -= size;
        self.shrank(size);
        let before = self.state.arena.free.capacity();
        self.state.arena.free.push(number as u16);
        self.grew((self.state.arena.free.capacity() - before) * size_of::<u16>());
        // SAFETY: allocated with this layout in `add_chunk`, and the shard has just let go of it.
        unsafe { self.reclaim.free(chunk, chunk_layout(size)) };
    }

    fn grow_table(&mut self) {
        let old_len = self.state.arena.table_len;
        let new_len = (old_len + old_len / 2).max(4);
        let old = self.shard.chunks.load(Ordering::Relaxed);
        let new = allocate_zeroed(table_layout(new_len)).cast::<AtomicPtr<u8>>();
        for number in 1..old_len as usize {
            // SAFETY: `number` is within the old table and thus the longer new one, which zeros have made an array of
            // null pointers that nobody else sees yet.
            unsafe {
                (*new.add(number)).store((*old.add(number)).load(Ordering::Relaxed), Ordering::Relaxed);
            };
        }
        // A reader with the shorter table must not meet a slot with a number beyond it.
        self.shard
            .change(|| self.shard.chunks.store(new, Ordering::Release));
        self.state.arena.table_len = new_len;
        self.grew(table_layout(new_len).size());
        if !old.is_null() {
            self.shrank(table_layout(old_len).size());
            // SAFETY: allocated with this layout, and the shard has just let go of it.
            unsafe { self.reclaim.free(old.cast(), table_layout(old_len)) };
        }
    }
}

fn chunk_layout(size: usize) -> Layout {
    // SAFETY: 16 is a power of two, and sizes are below 2^32, far from overflowing when rounded up.
    unsafe { Layout::from_size_align_unchecked(size, align_of::<Head>()) }
}

fn table_layout(len: u32) -> Layout {
    // SAFETY: the length is at most 2^17, far from overflowing.
    unsafe {
        Layout::from_size_align_unchecked(
            len as usize * size_of::<AtomicPtr<u8>>(),
            align_of::<AtomicPtr<u8>>(),
        )
    }
}
