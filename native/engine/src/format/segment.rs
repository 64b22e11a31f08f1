//! A segment's file: its name and its first bytes.
//!
//! ```text
//! offset size
//!      0    8  magic "bets.seg"
//!      8    2  version
//!     10    2  zero
//!     12    4  segment id
//!     16    8  table id
//!     24    4  zero
//!     28    4  CRC-32 of bytes 0 .. 28
//!     32       frames
//! ```

use super::{Fields, VERSION, crc32};

const MAGIC: &[u8; 8] = b"bets.seg";

/// Bytes before the first frame.
pub const HEADER_LEN: u32 = 32;

/// The name of a segment's file.
pub fn file_name(id: u32) -> String {
    format!("{id:010}.seg")
}

/// The id in a segment's file name, or `None` for any other name.
pub fn parse_file_name(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".seg")?;
    let id = digits.parse().ok()?;
    (digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit())).then_some(id)
}

/// The first bytes of a segment.
pub fn header(id: u32, table: u64) -> [u8; HEADER_LEN as usize] {
    let mut out = [0; HEADER_LEN as usize];
    out[..8].copy_from_slice(MAGIC);
    out[8..10].copy_from_slice(&VERSION.to_le_bytes());
    out[12..16].copy_from_slice(&id.to_le_bytes());
    out[16..24].copy_from_slice(&table.to_le_bytes());
    let crc = crc32(&out[..28]);
    out[28..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Why a header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// Written by a newer version.
    Newer(u16),
    /// Not this segment's header.
    Wrong(&'static str),
}

/// Checks the first bytes of a segment.
pub fn check_header(bytes: &[u8], id: u32, table: u64) -> Result<(), BadHeader> {
    let parsed = (|| {
        let mut fields = Fields(bytes.get(..HEADER_LEN as usize)?);
        let magic = fields.bytes(8)?;
        let (version, zero) = (fields.u16()?, fields.u16()?);
        let (found_id, found_table) = (fields.u32()?, fields.u64()?);
        let (zero_too, crc) = (fields.u32()?, fields.u32()?);
        Some((
            magic,
            version,
            u32::from(zero) | zero_too,
            found_id,
            found_table,
            crc,
        ))
    })();
    let Some((magic, version, zeros, found_id, found_table, crc)) = parsed else {
        return Err(BadHeader::Wrong("the segment's header is cut off"));
    };
    if magic != MAGIC {
        return Err(BadHeader::Wrong("this is no segment"));
    }
    if crc != crc32(&bytes[..28]) {
        return Err(BadHeader::Wrong("the CRC of the segment's header does not match"));
    }
    if version > VERSION {
        return Err(BadHeader::Newer(version));
    }
    if zeros != 0 || version == 0 {
        return Err(BadHeader::Wrong("the segment's header is malformed"));
    }
    if found_table != table {
        return Err(BadHeader::Wrong("the segment belongs to another table"));
    }
    if found_id != id {
        return Err(BadHeader::Wrong("the file holds another segment"));
    }
    Ok(())
}

/// The ids of segment and table that a header tells, if its CRC is right.
pub fn identity(bytes: &[u8]) -> Option<(u32, u64)> {
    let mut fields = Fields(bytes.get(..HEADER_LEN as usize)?);
    fields.bytes(12)?;
    let (id, table, _zero, crc) = (fields.u32()?, fields.u64()?, fields.u32()?, fields.u32()?);
    (crc == crc32(&bytes[..28])).then_some((id, table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_no_segments() {
        for id in [0, 1, 77, u32::MAX] {
            assert_eq!(parse_file_name(&file_name(id)), Some(id));
        }
        for name in [
            "1.seg",
            "00000000001.seg",
            "+000000001.seg",
            "0000000001.hint",
            "MANIFEST",
            "9999999999.seg",
        ] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_seen() {
        let good = header(3, 99);
        assert_eq!(check_header(&good, 3, 99), Ok(()));
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(check_header(&bad, 3, 99).is_err(), "bit {bit}");
        }
        assert!(check_header(&good, 4, 99).is_err());
        assert!(check_header(&good, 3, 98).is_err());
        assert!(check_header(&good[..31], 3, 99).is_err());
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut newer = header(3, 99);
        newer[8..10].copy_from_slice(&(VERSION + 1).to_le_bytes());
        let crc = crc32(&newer[..28]);
        newer[28..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(check_header(&newer, 3, 99), Err(BadHeader::Newer(VERSION + 1)));
    }
}
