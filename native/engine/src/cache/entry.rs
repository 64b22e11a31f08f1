//! One cached record: a header, the stored key's bytes and the value's, in one allocation.
#![allow(
    unsafe_code,
    reason = "an allocation of a size known at run time, shared with readers that hold no count"
)]
#![allow(clippy::cast_ptr_alignment, reason = "the allocation is aligned as an entry")]

use super::account::Account;
use crate::sync::{AtomicBool, AtomicU64, Ordering};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use crate::keydir::Location;
use crate::keydir::prefetch::{LINE, prefetch};

/// A record's place: a table's number in the process, and a location in that table.
pub type Place = (u64, Location);

/// The front of an entry. The key's and the value's bytes stand behind it.
#[derive(Debug)]
#[repr(C)]
pub struct Entry {
    table: u64,
    /// Changes when a merge moves the record.
    location: AtomicU64,
    /// The bytes that the table holds in the cache: its account.
    held: &'static Account,
    key_len: u32,
    value_len: u32,
    /// Whether it was read since the clock's hand came by.
    used: AtomicBool,
}

/// What an entry costs beyond its own allocation, about: the allocator's part and its way in a set.
const OVERHEAD_BYTES: usize = 24;

impl Entry {
    /// A new entry, to be freed by [`Entry::free`]. `None` if the pieces are too long to be cached.
    pub fn new(place: Place, held: &'static Account, key: &[u8], value: &[u8]) -> Option<NonNull<Entry>> {
        let layout = layout(key.len(), value.len())?;
        let header = Entry {
            table: place.0,
            location: AtomicU64::new(place.1.to_bits()),
            held,
            key_len: u32::try_from(key.len()).ok()?,
            value_len: u32::try_from(value.len()).ok()?,
            used: AtomicBool::new(false),
        };
        // SAFETY: the layout is that of a header and more, so its size is not zero.
        let raw = unsafe { alloc(layout) };
        let Some(entry) = NonNull::new(raw.cast::<Entry>()) else {
            handle_alloc_error(layout);
        };
        // SAFETY: the allocation has room and alignment for the header, then the key, then the value, and nobody else has it.
        unsafe {
            entry.write(header);
            let bytes = raw.add(size_of::<Entry>());
            bytes.copy_from_nonoverlapping(key.as_ptr(), key.len());
            bytes
                .add(key.len())
                .copy_from_nonoverlapping(value.as_ptr(), value.len());
        }
        held.add(raw.addr(), cost(layout));
        Some(entry)
    }

    /// Frees an entry and takes it off its table's account.
    ///
    /// # Safety
    /// `entry` is from [`Entry::new`], is freed once, and no other thread uses it.
    pub unsafe fn free(entry: NonNull<Entry>) {
        // SAFETY: by this function's contract the header is valid and ours.
        let header = unsafe { entry.read() };
        if let Some(layout) = layout(header.key_len as usize, header.value_len as usize) {
            header.held.subtract(entry.addr().get(), cost(layout));
            // SAFETY: the layout is the one that it was allocated with.
            unsafe { dealloc(entry.as_ptr().cast(), layout) };
        }
    }

    /// Whose record it is.
    pub fn place(&self) -> Place {
        let location = self.location.load(Ordering::Relaxed);
        (self.table, Location::from_bits(location))
    }

    /// Says where the record stands now. Its bytes are the same there, so a reader that found it by its old place has the right ones.
    pub fn move_to(&self, location: Location) {
        self.location.store(location.to_bits(), Ordering::Relaxed);
    }

    /// What it costs, in bytes.
    pub fn cost(&self) -> u64 {
        (size_of::<Entry>() + self.key_len as usize + self.value_len as usize + OVERHEAD_BYTES) as u64
    }

    /// The stored key's bytes and the value's.
    pub fn bytes(&self) -> (&[u8], &[u8]) {
        let (key, value) = (self.key_len as usize, self.value_len as usize);
        // SAFETY: `new` put that many bytes behind the header, and nobody changes them.
        let bytes =
            unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).add(1).cast::<u8>(), key + value) };
        bytes.split_at(key)
    }

    /// Has the processor fetch the header and what stands behind it, without waiting.
    #[inline]
    pub fn prefetch(&self) {
        let start = std::ptr::from_ref(self).cast::<u8>();
        prefetch(start);
        prefetch(start.wrapping_add(LINE));
    }

    /// The same for what comes behind that, up to a quarter of a kilobyte. Waits for the header.
    #[inline]
    pub fn prefetch_rest(&self) {
        let start = std::ptr::from_ref(self).cast::<u8>();
        let end = size_of::<Entry>() + self.key_len as usize + self.value_len as usize;
        // An entry may begin anywhere in a line.
        for at in (2 * LINE..end.min(4 * LINE) + LINE).step_by(LINE) {
            prefetch(start.wrapping_add(at.min(end - 1)));
        }
    }

    /// Notes that it was read. Writes only the first time since the hand came by, so entries that many threads read stay in all caches.
    pub fn touch(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was read since this was last asked.
    pub fn was_used(&self) -> bool {
        self.used.load(Ordering::Relaxed) && self.used.swap(false, Ordering::Relaxed)
    }
}

fn layout(key: usize, value: usize) -> Option<Layout> {
    let size = size_of::<Entry>().checked_add(key)?.checked_add(value)?;
    Layout::from_size_align(size, align_of::<Entry>()).ok()
}

fn cost(layout: Layout) -> u64 {
    (layout.size() + OVERHEAD_BYTES) as u64
}
