//! The clock file: the highest time of the wall clock that an open table has used, in memory that outlives its process.
//!
//! ```text
//! offset size
//!      0    8  magic "bets.clk"
//!      8    2  version
//!     10    6  zero
//!     16    8  table id
//!     24    8  zero
//!     32   16  a time
//!     48   16  another one
//!
//! time: milliseconds since 1970 8, CRC-32 of these and of the table id 4, zero 4
//! ```
//!
//! The two are written by turns, so that one of them is whole whenever the process dies. The file is never synced: after a power loss anything may stand there. A
//! time whose CRC is not right does not count.

use super::{VERSION, crc32};

/// The clock's file.
pub const FILE: &str = "CLOCK";
/// Its length in bytes.
pub const LEN: usize = 64;

const MAGIC: &[u8; 8] = b"bets.clk";
const HEADER_LEN: usize = 32;
const TIME_LEN: usize = 16;

/// The file of a table without a time.
pub fn header(table: u64) -> [u8; LEN] {
    let mut out = [0; LEN];
    out[..8].copy_from_slice(MAGIC);
    out[8..10].copy_from_slice(&VERSION.to_le_bytes());
    out[16..24].copy_from_slice(&table.to_le_bytes());
    out
}

/// The bytes of a time, and where the `turn`th one to be written stands.
pub fn time(table: u64, ms: u64, turn: u64) -> (u64, [u8; TIME_LEN]) {
    let mut out = [0; TIME_LEN];
    out[..8].copy_from_slice(&ms.to_le_bytes());
    out[8..12].copy_from_slice(&crc(table, ms).to_le_bytes());
    (HEADER_LEN as u64 + turn % 2 * TIME_LEN as u64, out)
}

/// The highest time in the file of the table; `None` if there is none.
pub fn read(table: u64, bytes: &[u8; LEN]) -> Option<u64> {
    let (head, times) = bytes.split_at(HEADER_LEN);
    if head != &header(table)[..HEADER_LEN] {
        return None;
    }
    let (times, _) = times.as_chunks::<TIME_LEN>();
    let valid = times.iter().zip(0..).filter_map(|(bytes, turn)| {
        let ms = u64::from_le_bytes(*bytes.first_chunk()?);
        (time(table, ms, turn).1 == *bytes).then_some(ms)
    });
    valid.max()
}

fn crc(table: u64, ms: u64) -> u32 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&ms.to_le_bytes());
    bytes[8..].copy_from_slice(&table.to_le_bytes());
    crc32(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(times: &[u64]) -> [u8; LEN] {
        let mut file = header(7);
        for (turn, &ms) in (0..).zip(times) {
            let (at, bytes) = time(7, ms, turn);
            file[at as usize..][..TIME_LEN].copy_from_slice(&bytes);
        }
        file
    }

    #[test]
    fn the_highest_time_comes_back() {
        assert_eq!(read(7, &with(&[])), None);
        assert_eq!(read(7, &with(&[5])), Some(5));
        assert_eq!(read(7, &with(&[5, 9])), Some(9));
        assert_eq!(read(7, &with(&[5, 9, 11])), Some(11));
        assert_eq!(read(8, &with(&[5])), None);
    }

    #[test]
    fn no_flipped_bit_makes_another_time() {
        let file = with(&[1_000, 2_000]);
        for bit in 0..LEN * 8 {
            let mut rotten = file;
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert!(
                [None, Some(1_000), Some(2_000)].contains(&read(7, &rotten)),
                "bit {bit}"
            );
        }
    }
}
