//! Writing into a shared mapping of a preallocated file: a copy instead of a system call. The pages are those of the page cache, so what was
//! copied survives the death of the process as what `pwrite` wrote does.
//!
//! A mapped page that cannot be had (the file was cut, the disk fails while the page is fetched, no room for it) raises SIGBUS, which would end
//! the process. A handler of that signal, installed with the first window, puts a page of plain memory there instead, so that the copy ends
//! and the write can be told to have failed. It looks only at faults inside a window that the thread is just writing to; all
//! others go to the handler that was there before. (libwayland guards its shared memory in the same way.)
#![allow(unsafe_code, reason = "maps files and handles a signal")]

use std::cell::Cell;
use std::ffi::c_int;
use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{Ordering, compiler_fence};

use crate::io::Window;

/// File systems whose preallocated blocks are there for good: those that write in place and are on this machine. (ext2 to ext4, XFS, tmpfs)
const IN_PLACE: [i64; 3] = [0xef53, 0x5846_5342, 0x0102_1994];

/// A mapping of a part of a file.
#[derive(Debug)]
pub(super) struct Mapping {
    start: *mut u8,
    len: usize,
    /// The file's offset of `start`.
    offset: u64,
}

// SAFETY: the memory belongs to the mapping alone, and only `&mut` writes to it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the pages that a range lies in. `Unsupported` if the file system may not keep its promise of room.
    pub(super) fn new(fd: &impl AsFd, range: &Range<u64>) -> Result<Self> {
        let fd = fd.as_fd();
        let kind = rustix::fs::fstatfs(fd)?.f_type;
        #[allow(
            clippy::unnecessary_cast,
            clippy::cast_lossless,
            reason = "the type differs between systems"
        )]
        if !IN_PLACE.contains(&(kind as i64)) || !guarded() {
            return Err(ErrorKind::Unsupported.into());
        }
        let offset = range.start - range.start % page_len() as u64;
        let len = usize::try_from(range.end.saturating_sub(offset)).map_err(|_| ErrorKind::InvalidInput)?;
        let at = libc::off_t::try_from(offset).map_err(|_| ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs no other memory.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                at,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let start = start.cast::<u8>();
        Ok(Mapping { start, len, offset })
    }
}

impl Window for Mapping {
    fn write_at(&mut self, buf: &[u8], offset: u64) -> Result<()> {
        let inside = offset
            .checked_sub(self.offset)
            .and_then(|at| usize::try_from(at).ok())
            .filter(|at| at.checked_add(buf.len()).is_some_and(|end| end <= self.len))
            .ok_or(ErrorKind::InvalidInput)?;
        let start = self.start as usize;
        WRITING.set((start, start + self.len));
        // The handler runs on this thread, so it is enough that the compiler keeps the order.
        compiler_fence(Ordering::SeqCst);
        // SAFETY: the bytes are inside of the mapping, which is this window's own; a fault there is caught.
        unsafe { ptr::copy_nonoverlapping(buf.as_ptr(), self.start.add(inside), buf.len()) };
        compiler_fence(Ordering::SeqCst);
        WRITING.set((0, 0));
        if FAULTED.get() {
            FAULTED.set(false);
            return Err(Error::from_raw_os_error(libc::EIO));
        }
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nobody has a reference into it.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

thread_local! {
    /// The addresses that this thread is writing to through a window; none most of the time.
    static WRITING: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    /// Whether a page was missing meanwhile.
    static FAULTED: Cell<bool> = const { Cell::new(false) };
}

/// The handler that was there before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Whether faults are caught; installs the handler when first asked.
fn guarded() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        // SAFETY: zeros are a valid `sigaction`, and the calls get pointers to such.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut before) != 0 || BEFORE.set(before).is_err()
            {
                return false;
            }
            let mut ours: libc::sigaction = std::mem::zeroed();
            ours.sa_sigaction = on_bus_error as *const () as usize;
            ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut ours.sa_mask);
            libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut()) == 0
        }
    })
}

type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// Only async-signal-safe calls stand here: thread locals without destructors that this thread has used before, `mmap`, `sigaction`.
extern "C" fn on_bus_error(signal: c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands over the description of the fault.
    let address = unsafe { (*info).si_addr() } as usize;
    let (start, end) = WRITING.get();
    if (start..end).contains(&address) && put_plain_page(address) {
        FAULTED.set(true);
        return;
    }
    let before = BEFORE.get();
    match before.map_or(libc::SIG_DFL, |before| before.sa_sigaction) {
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: the default action takes over; the instruction faults again when this handler returns.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        // SAFETY: whoever installed it wants to be called like this.
        other => unsafe { std::mem::transmute::<usize, Handler>(other)(signal, info, context) },
    }
}

/// Puts a page of zeros in the place of the mapped page at an address.
fn put_plain_page(address: usize) -> bool {
    let page = address - address % page_len();
    // SAFETY: the page belongs to the window that this thread is writing to, and the write does not outlive the window.
    let plain = unsafe {
        libc::mmap(
            page as *mut libc::c_void,
            page_len(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    plain != libc::MAP_FAILED
}

fn page_len() -> usize {
    rustix::param::page_size()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn file(name: &str, len: u64) -> (std::path::PathBuf, std::fs::File) {
        let path = std::env::temp_dir().join(format!("bets-window-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        file.set_len(len).unwrap();
        (path, file)
    }

    #[test]
    fn what_is_written_through_a_window_is_in_the_file() {
        let (path, file) = file("read", 20_000);
        let mut window = Mapping::new(&file, &(5_000..20_000)).unwrap();
        window.write_at(b"first", 5_000).unwrap();
        window.write_at(b"last", 19_996).unwrap();
        let mut read = [0; 5];
        file.read_exact_at(&mut read, 5_000).unwrap();
        assert_eq!(&read, b"first");
        file.read_exact_at(&mut read[..4], 19_996).unwrap();
        assert_eq!(&read[..4], b"last");
        for (outside, len) in [(0, 1), (19_997, 4), (20_000, 1), (u64::MAX, 2)] {
            let refused = window.write_at(&vec![1; len], outside).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        }
        std::fs::remove_file(path).unwrap();
    }

    /// A page behind the file's end raises SIGBUS, as one that the disk fails to give does.
    #[test]
    fn a_page_that_is_missing_is_an_error_and_not_the_end_of_the_process() {
        let (path, file) = file("cut", 1 << 20);
        let mut window = Mapping::new(&file, &(0..1 << 20)).unwrap();
        window.write_at(b"x", 0).unwrap();
        file.set_len(4_096).unwrap();
        for _ in 0..3 {
            let failed = window.write_at(&[7; 3 * 4096], 8_000).unwrap_err();
            assert_eq!(failed.raw_os_error(), Some(libc::EIO));
            // Pages that were missing are plain memory now: the next fault is on others.
            window = Mapping::new(&file, &(0..1 << 20)).unwrap();
        }
        window.write_at(b"y", 1).unwrap();
        let mut read = [0; 2];
        file.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(&read, b"xy");
        assert_eq!(file.metadata().unwrap().len(), 4_096);
        std::fs::remove_file(path).unwrap();
    }
}
