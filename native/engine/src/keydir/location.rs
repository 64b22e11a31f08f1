//! Where a record stands.

/// The place of a record's frame: segment slot, offset, and the frame's length as far as it fits.
///
/// ```text
/// bit 63        48 47                     16 15         0
///     segment slot        offset, bytes       size code
/// ```
/// The size code is the frame's length in bytes if that is below 65535, else 65535, which means "read the header first".
/// No two records of a table have the same place, so equal locations mean the same record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location(u64);

const UNKNOWN: u16 = u16::MAX;

impl Location {
    /// The place of a frame of `frame_len` bytes at `offset` in the segment that has the slot `segment`.
    pub fn new(segment: u16, offset: u32, frame_len: u64) -> Self {
        let code = u16::try_from(frame_len).unwrap_or(UNKNOWN);
        Location(u64::from(segment) << 48 | u64::from(offset) << 16 | u64::from(code))
    }

    /// The slot of the segment in the table's list of segments.
    pub fn segment(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The same place in the segment that has another slot.
    #[must_use]
    pub fn in_segment(self, slot: u16) -> Self {
        Location(self.0 & !(0xffff << 48) | u64::from(slot) << 48)
    }

    /// The place of a copy of the record in the segment that has another slot, at another offset.
    #[must_use]
    pub fn moved(self, slot: u16, offset: u32) -> Self {
        Location(u64::from(slot) << 48 | u64::from(offset) << 16 | self.0 & 0xffff)
    }

    /// The frame's first byte in the segment, in bytes.
    pub fn offset(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// Whether a location tells that a frame has so many bytes.
    pub fn tells(frame_len: u64) -> bool {
        frame_len < u64::from(UNKNOWN)
    }

    /// The frame's length in bytes, or `None` if it is 65535 or more.
    pub fn frame_len(self) -> Option<u16> {
        let code = self.0 as u16;
        (code != UNKNOWN).then_some(code)
    }

    /// The location as one word.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The location that [`Location::to_bits`] gave.
    pub fn from_bits(bits: u64) -> Self {
        Location(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_at_their_limits() {
        for (segment, offset, len, known) in [
            (0, 0, 0, Some(0)),
            (u16::MAX, u32::MAX, 65534, Some(65534)),
            (1, u32::MAX, 65535, None),
            (u16::MAX, 1, u64::MAX, None),
        ] {
            let location = Location::new(segment, offset, len);
            assert_eq!(
                (location.segment(), location.offset(), location.frame_len()),
                (segment, offset, known)
            );
            assert_eq!(Location::from_bits(location.to_bits()), location);
            assert_eq!(location.in_segment(9), Location::new(9, offset, len));
            assert_eq!(location.moved(9, 7), Location::new(9, 7, len));
        }
    }
}
