//! How much of a segment is live, kept with every write, so that asking costs nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::keydir::Location;
use crate::sync::Mutex;

/// The bytes of a segment's live frames.
///
/// A record becomes live and dead under the write lock of its key, so each is counted once. The counters are shared by the writers of all
/// keys.
#[derive(Debug, Default)]
pub struct Live {
    /// What was appended, less what died of it as that which took its place was; only who holds the lock of the log's end changes it, and needs no locked instruction
    /// for that. Nothing is taken off that was not put on here.
    appended: AtomicU64,
    /// What became live in other ways, less what else is dead, modulo 2^64.
    others: AtomicU64,
    /// By offset, the lengths of frames that are too long for their location to tell: at most one for each 64 KiB of the segment.
    long: Mutex<HashMap<u32, u64>>,
}

impl Live {
    /// The bytes of live frames.
    pub fn bytes(&self) -> u64 {
        // What is dead first: what it was when it was appended is seen then.
        let others = self.others.load(Ordering::Acquire);
        others.wrapping_add(self.appended.load(Ordering::Relaxed))
    }

    /// Counts a frame of so many bytes. Only for who holds the lock of the log's end.
    pub fn append(&self, location: Location, frame_len: u64) {
        self.note(location, frame_len);
        self.append_bytes(frame_len);
    }

    /// Counts frames of so many bytes in all, the long ones of which are noted. Only for who holds the lock of the log's end.
    pub fn append_bytes(&self, bytes: u64) {
        let appended = self.appended.load(Ordering::Relaxed).wrapping_add(bytes);
        self.appended.store(appended, Ordering::Relaxed);
    }

    /// Counts a frame that was appended no more. Only for who holds the lock of the log's end.
    pub fn append_dead(&self, location: Location) {
        self.append_bytes(self.forget(location).wrapping_neg());
    }

    /// Counts a frame of so many bytes.
    pub fn add(&self, location: Location, frame_len: u64) {
        self.note(location, frame_len);
        self.add_bytes(frame_len);
    }

    /// Takes down the length of a frame if its location does not tell it.
    pub fn note(&self, location: Location, frame_len: u64) {
        if location.frame_len().is_none() {
            self.long.lock().insert(location.offset(), frame_len);
        }
    }

    /// The length of a frame that is counted.
    pub fn frame_len(&self, location: Location) -> u64 {
        match location.frame_len() {
            Some(len) => u64::from(len),
            None => self
                .long
                .lock()
                .get(&location.offset())
                .copied()
                .unwrap_or_default(),
        }
    }

    /// Counts frames of so many bytes in all, none of them long.
    pub fn add_bytes(&self, bytes: u64) {
        self.others.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The long frames: offset and length.
    pub fn long_frames(&self) -> Vec<(u32, u64)> {
        self.long
            .lock()
            .iter()
            .map(|(&offset, &len)| (offset, len))
            .collect()
    }

    /// Counts a frame no more.
    pub fn subtract(&self, location: Location) {
        self.others.fetch_sub(self.forget(location), Ordering::Release);
    }

    /// The length of a frame that is to be counted no more.
    fn forget(&self, location: Location) -> u64 {
        match location.frame_len() {
            Some(len) => u64::from(len),
            None => self.long.lock().remove(&location.offset()).unwrap_or_default(),
        }
    }

    /// Counts none of the frames any more. Nobody else may count meanwhile, nor append; who asks for the bytes sees those of before or none.
    pub fn clear(&self) {
        self.long.lock().clear();
        let appended = self.appended.load(Ordering::Relaxed);
        self.others.store(appended.wrapping_neg(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_frames_are_counted_with_their_whole_length() {
        let live = Live::default();
        let at = |offset, len| (Location::new(3, offset, len), len);
        let frames = [
            at(32, 100),
            at(132, 65_534),
            at(70_000, 65_535),
            at(140_000, 5 << 20),
        ];
        for (location, len) in frames {
            live.add(location, len);
        }
        assert_eq!(live.bytes(), frames.iter().map(|(_, len)| len).sum::<u64>());
        for (location, len) in frames {
            assert_eq!(live.frame_len(location), len);
            live.subtract(location);
        }
        assert_eq!(live.bytes(), 0);
        for (location, len) in frames {
            live.append(location, len);
            live.add_bytes(10);
            live.subtract(location);
        }
        assert_eq!(live.bytes(), 40);
        for (location, len) in frames {
            live.note(location, len);
            live.append_bytes(len);
            assert_eq!(live.frame_len(location), len);
            live.append_dead(location);
        }
        assert_eq!((live.bytes(), live.long_frames()), (40, Vec::new()));
        live.add(frames[2].0, frames[2].1);
        live.append(frames[3].0, frames[3].1);
        live.clear();
        assert_eq!(live.bytes(), 0);
    }

    /// The counters were cleared one after the other: a merge that looked between found live bytes in an input that had none, and gave up as if a bug had been met.
    #[test]
    fn who_asks_while_all_is_cleared_sees_what_was_there_or_nothing() {
        let live = Live::default();
        let location = Location::new(3, 32, 100);
        let (rounds, is_over) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while is_over.load(Ordering::Relaxed) == 0 {
                    // More than there are may be seen while others append, but never fewer than none.
                    let bytes = live.bytes();
                    assert!(bytes < 1 << 63, "{bytes}");
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
            let began = std::time::Instant::now();
            while rounds.load(Ordering::Relaxed) < 1_000_000 && began.elapsed().as_secs() < 60 {
                live.append(location, 100);
                live.append(location, 100);
                live.subtract(location);
                live.clear();
            }
            is_over.store(1, Ordering::Relaxed);
        });
    }
}
