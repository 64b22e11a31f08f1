//! Reading one record where the keydir says it stands.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::sync::Arc;

use super::handles::Handles;
use super::{Handle, Segment};
use crate::Key;
use crate::epoch::{self, Guard};
use crate::format::frame::{Bad, Frame, Head, MAX_HEAD_LEN, MIN_LEN};
use crate::format::packed::{plain_len, unpack};
use crate::format::record::Kind;
use crate::keydir::Location;
use crate::table::Wait;
use crate::{Error, Result};

/// A read that may not wait copies no more than this, in bytes: some 100 µs.
const MAX_NOWAIT_LEN: usize = 1 << 20;

/// A value that is longer than this, in bytes, is not uncompressed where nothing may wait: some 100 µs.
const MAX_NOWAIT_PLAIN_LEN: usize = 64 << 10;

/// Reads and checks the put record at `offset` of `segment` into `buf`: CRCs, segment id, and that its key starts with `compared`.
/// `len` is its frame's length in bytes if it is known. Gives the frame; its value has passed its CRC.
pub fn read_put<'b>(
    handles: &Handles,
    segment: &Arc<Segment>,
    offset: u32,
    len: Option<usize>,
    compared: &[u8],
    wait: Wait,
    buf: &'b mut Vec<u8>,
) -> Result<Frame<'b>> {
    let damaged = |what| Error::Damaged {
        path: segment.path(),
        offset: u64::from(offset),
        what,
    };
    let guard = handles.get(segment, wait)?;
    let Some(handle) = guard.as_deref() else {
        return Err(Error::WouldBlock);
    };
    let len = match len {
        Some(len) => len,
        None => frame_len(handle, segment, offset, wait, buf)?,
    };
    if len < MIN_LEN {
        return Err(damaged("the record is too short"));
    }
    if wait == Wait::Never && len > MAX_NOWAIT_LEN {
        return Err(Error::WouldBlock);
    }
    buf.resize(len, 0);
    read(handle, segment, offset, wait, buf)?;
    check_put(segment, offset, compared, buf)
}

/// Checks the bytes that stand at `offset` of `segment`, as [`read_put`] does.
pub fn check_put<'b>(segment: &Segment, offset: u32, compared: &[u8], bytes: &'b [u8]) -> Result<Frame<'b>> {
    let damaged = |what| Error::Damaged {
        path: segment.path(),
        offset: u64::from(offset),
        what,
    };
    let frame = Frame::parse(bytes).map_err(|bad| damaged(explain(bad)))?;
    let Head {
        kind, segment: id, ..
    } = frame.head;
    if kind != Kind::Put || id != segment.id || frame.head.frame_len() != bytes.len() {
        return Err(damaged("another record stands where the keydir points"));
    }
    if !frame.key().bytes().starts_with(compared) {
        return Err(damaged("the record has another key than the keydir says"));
    }
    frame.value().map_err(|bad| damaged(explain(bad)))?;
    Ok(frame)
}

/// Calls `f` with the stored key's bytes and the value of the put record at a location, if it is in a block of its segment and not compressed.
pub fn cached_put<R>(
    segment: &Segment,
    location: Location,
    guard: &Guard,
    f: impl FnOnce(&[u8], &[u8]) -> R,
) -> Option<R> {
    Near::with(segment, location, guard, |near| {
        near.put().map(|(key, value)| f(key, value))
    })
}

/// The bytes in a block where the frame of a put record of this segment stands, unless the location is older than the segment's slot.
#[derive(Clone, Copy, Debug)]
pub struct Near<'g> {
    frame: &'g [u8],
    id: u32,
}

impl<'g> Near<'g> {
    /// What stands at a location, if it is in one block. It is fetched as [`Blocks::near`](crate::cache::Blocks::near) says.
    #[inline]
    pub fn find(segment: &'g Segment, location: Location, whole: bool, guard: &'g Guard) -> Option<Self> {
        let len = usize::from(location.frame_len()?);
        let frame = segment.blocks()?.near(location.offset(), len, whole, guard)?;
        Some(Near {
            frame,
            id: segment.id,
        })
    }

    /// Calls `f` with what stands at a location, in one block or put together of two.
    pub fn with<R>(
        segment: &Segment,
        location: Location,
        guard: &Guard,
        f: impl FnOnce(Near<'_>) -> Option<R>,
    ) -> Option<R> {
        let len = usize::from(location.frame_len()?);
        let id = segment.id;
        let blocks = segment.blocks()?;
        blocks.get(location.offset(), len, guard, |frame| f(Near { frame, id }))?
    }

    /// The stored key's bytes and the value, if it is the record and not compressed. It was written by this process, so no CRC is checked.
    #[inline]
    pub fn put(self) -> Option<(&'g [u8], &'g [u8])> {
        let Near { frame, id } = self;
        let head = Head::parse_in_place(frame).ok()?;
        let is_it = head.kind == Kind::Put && head.segment == id && head.frame_len() == frame.len();
        if !is_it || head.compressed {
            return None;
        }
        let key = frame.get(head.head_len..head.checked_len())?;
        Some((key, frame.get(head.checked_len()..)?))
    }

    /// The stored key in its parts, of what [`Near::put`] says is the record.
    pub fn key(self) -> Option<Key<'g>> {
        let head = Head::parse_in_place(self.frame).ok()?;
        let key = self.frame.get(head.head_len..head.checked_len())?;
        Some(Key::new(key, key.len().checked_sub(head.suffix_len)?))
    }
}

/// The value of a record of [`read_put`], uncompressed.
pub fn plain_value<'b>(
    segment: &Segment,
    offset: u32,
    frame: &Frame<'b>,
    wait: Wait,
) -> Result<Cow<'b, [u8]>> {
    let damaged = |bad| Error::Damaged {
        path: segment.path(),
        offset: u64::from(offset),
        what: explain(bad),
    };
    let value = frame.value().map_err(damaged)?;
    if !frame.head.compressed {
        return Ok(Cow::Borrowed(value));
    }
    if wait == Wait::Never && plain_len(value).map_err(damaged)? > MAX_NOWAIT_PLAIN_LEN {
        return Err(Error::WouldBlock);
    }
    unpack(value).map(Cow::Owned).map_err(damaged)
}

fn frame_len(
    handle: &Handle,
    segment: &Segment,
    offset: u32,
    wait: Wait,
    buf: &mut Vec<u8>,
) -> Result<usize> {
    buf.resize(MAX_HEAD_LEN, 0);
    read(handle, segment, offset, wait, buf)?;
    let damaged = |bad| Error::Damaged {
        path: segment.path(),
        offset: u64::from(offset),
        what: explain(bad),
    };
    Ok(Head::parse(buf).map_err(damaged)?.frame_len())
}

fn read(handle: &Handle, segment: &Segment, offset: u32, wait: Wait, buf: &mut [u8]) -> Result<()> {
    debug_assert!(
        wait == Wait::Never || !epoch::is_pinned(),
        "what waits for the disk holds up the freeing of memory everywhere"
    );
    let done = match wait {
        Wait::Never => handle.0.read_at_nowait(buf, u64::from(offset)),
        Wait::May => handle.0.read_at(buf, u64::from(offset)),
    };
    done.map_err(|e| match e.kind() {
        ErrorKind::WouldBlock => Error::WouldBlock,
        ErrorKind::UnexpectedEof => Error::Damaged {
            path: segment.path(),
            offset: u64::from(offset),
            what: "the file ends before the record does",
        },
        _ => Error::io("read", &segment.path(), e),
    })
}

/// What is wrong with bytes, in words.
pub fn explain(bad: Bad) -> &'static str {
    match bad {
        Bad::End => "zeros stand where a record should",
        Bad::Cut => "the record is cut off",
        Bad::Wrong(what) => what,
    }
}
