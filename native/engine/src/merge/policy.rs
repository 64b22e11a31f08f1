//! When a merge is due, and of which segments. The names are those of Bitcask's options.

use std::sync::Arc;

use crate::format::segment::HEADER_LEN;
use crate::segment::Segment;

/// So many small segments side by side make a merge due.
const MANY_SMALL: usize = 8;

/// With more sealed segments than this an opening merges small ones before it is done: the table may never be open for long enough to be merged otherwise.
pub const CROWDED: usize = 64;
/// Then it takes so many at most, and so many bytes of them.
const CROWD_MAX: usize = 1024;
const CROWD_BYTES_MAX: u64 = 16 << 20;

/// When to merge, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A segment of which so many percent are dead makes a merge due.
    pub frag_merge_trigger: u8,
    /// A segment with so many dead bytes makes a merge due.
    pub dead_bytes_merge_trigger: u64,
    /// A merge takes in segments of which so many percent are dead.
    pub frag_threshold: u8,
    /// A merge takes in segments with so many dead bytes.
    pub dead_bytes_threshold: u64,
    /// A merge takes in segments that are smaller than this, in bytes.
    pub small_file_threshold: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            frag_merge_trigger: 60,
            dead_bytes_merge_trigger: 512 << 20,
            frag_threshold: 40,
            dead_bytes_threshold: 128 << 20,
            small_file_threshold: 10 << 20,
        }
    }
}

/// What a segment has to do with merges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Bytes of its records.
    pub bytes: u64,
    /// Bytes that a merge could give back.
    pub dead_bytes: u64,
    /// Bytes of tombstones and the like that the last merge could not give back.
    pub kept_bytes: u64,
    /// No merge may have it.
    pub damaged: bool,
}

impl Share {
    /// That of a sealed segment.
    pub fn of(segment: &Segment) -> Share {
        let bytes = segment
            .sealed()
            .map_or(0, |entry| entry.len - u64::from(HEADER_LEN));
        let kept_bytes = segment.kept_bytes();
        Share {
            bytes,
            dead_bytes: bytes.saturating_sub(segment.live_bytes() + kept_bytes),
            kept_bytes,
            damaged: segment.is_damaged(),
        }
    }

    /// How many percent are dead.
    pub fn fragmentation(&self) -> u8 {
        (self.dead_bytes * 100)
            .checked_div(self.bytes)
            .unwrap_or(100)
            .min(100) as u8
    }
}

/// Once tombstones and the like take more than this part of what is live, all that they may hide is merged with them.
const KEPT_PART: u64 = 5;

/// The index of the last segment with tombstones that no merge of a few segments gets rid of, if there are many of them and a merge of it with all older ones does.
/// Filters of keys are wrong for one key in a hundred and each segment, so such tombstones would become ever more beside segments that never change.
fn outgrown(shares: &[Share], small: u64) -> Option<usize> {
    let kept: u64 = shares.iter().map(|share| share.kept_bytes).sum();
    let bytes: u64 = shares.iter().map(|share| share.bytes - share.dead_bytes).sum();
    let live = bytes.saturating_sub(kept);
    let last = shares.iter().rposition(|share| share.kept_bytes > 0)?;
    // A damaged segment stays, and may hide anything.
    let whole = shares[..=last].iter().all(|share| !share.damaged);
    (whole && kept > small.max(live / KEPT_PART)).then_some(last)
}

impl Policy {
    /// The indices of those of the segments, which come in the order of their seqs, that a merge takes in; none if no merge is due.
    pub fn choose(&self, segments: &[Arc<Segment>], max_file_size: u64) -> Vec<usize> {
        let shares: Vec<Share> = segments.iter().map(|segment| Share::of(segment)).collect();
        self.choose_from(&shares, max_file_size)
    }

    fn choose_from(&self, shares: &[Share], max_file_size: u64) -> Vec<usize> {
        // Several small ones must make fewer.
        let small = self.small_file_threshold.min(max_file_size / 4);
        let is_small = |share: &Share| share.bytes < small && !share.damaged;
        let triggers = shares.iter().any(|share| {
            !share.damaged
                && (share.fragmentation() >= self.frag_merge_trigger
                    || share.dead_bytes >= self.dead_bytes_merge_trigger)
        });
        let crowded = shares
            .split(|share| !is_small(share))
            .any(|run| run.len() >= MANY_SMALL);
        if let Some(last) = outgrown(shares, small) {
            return (0..=last).collect();
        }
        if !triggers && !crowded {
            return Vec::new();
        }
        let wants = |share: &Share| {
            !share.damaged
                && (share.fragmentation() >= self.frag_threshold
                    || share.dead_bytes >= self.dead_bytes_threshold)
        };
        taken(shares, |share| wants(share) || is_small(share), wants)
    }

    /// The indices of small segments that an opening merges, if there are very many segments.
    pub fn crowd(&self, segments: &[Arc<Segment>], max_file_size: u64) -> Vec<usize> {
        let shares: Vec<Share> = segments.iter().map(|segment| Share::of(segment)).collect();
        self.crowd_of(&shares, max_file_size)
    }

    fn crowd_of(&self, shares: &[Share], max_file_size: u64) -> Vec<usize> {
        if shares.len() <= CROWDED {
            return Vec::new();
        }
        let small = self.small_file_threshold.min(max_file_size / 4);
        let is_small = |share: &Share| share.bytes < small && !share.damaged;
        let mut chosen = taken(shares, is_small, |_| false);
        let bytes = |some: &[usize]| some.iter().map(|&at| shares[at].bytes).sum::<u64>();
        // Fewer would not be worth it, and would be taken again and again. Those in front that leave them no room are passed over.
        let worth = |some: &[usize]| bytes(some) <= CROWD_BYTES_MAX;
        let Some(first) = chosen.windows(MANY_SMALL).position(worth) else {
            return Vec::new();
        };
        chosen.drain(..first);
        chosen.truncate(CROWD_MAX);
        let mut bytes = 0;
        chosen.retain(|&at| {
            bytes += shares[at].bytes;
            bytes <= CROWD_BYTES_MAX
        });
        chosen
    }

    /// The indices of all segments that a merge can make smaller or fewer.
    pub fn everything(segments: &[Arc<Segment>], max_file_size: u64) -> Vec<usize> {
        let shares: Vec<Share> = segments.iter().map(|segment| Share::of(segment)).collect();
        let gains = |share: &Share| !share.damaged && share.dead_bytes + share.kept_bytes > 0;
        let small = |share: &Share| !share.damaged && share.bytes < max_file_size / 4;
        taken(&shares, |share| gains(share) || small(share), gains)
    }
}

/// Of the wanted ones, all but those that stand alone and gain nothing.
fn taken(shares: &[Share], wanted: impl Fn(&Share) -> bool, gains: impl Fn(&Share) -> bool) -> Vec<usize> {
    let is_wanted = |at: Option<usize>| at.and_then(|at| shares.get(at)).is_some_and(&wanted);
    (0..shares.len())
        .filter(|&at| {
            let neighbour = is_wanted(at.checked_sub(1)) || is_wanted(Some(at + 1));
            is_wanted(Some(at)) && (neighbour || gains(&shares[at]))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn share(bytes: u64, dead_bytes: u64) -> Share {
        Share {
            bytes,
            dead_bytes,
            kept_bytes: 0,
            damaged: false,
        }
    }

    fn chosen(shares: &[Share]) -> Vec<usize> {
        Policy::default().choose_from(shares, 2 << 30)
    }

    #[test]
    fn one_segment_over_a_trigger_takes_those_over_a_threshold_with_it() {
        let calm = [share(100 * MB, 59 * MB), share(1000 * MB, 500 * MB), share(MB, 0)];
        assert_eq!(chosen(&calm), []);
        let shares = [
            share(100 * MB, 10 * MB),
            share(100 * MB, 60 * MB),
            share(100 * MB, 39 * MB),
            share(100 * MB, 40 * MB),
            share(1000 * MB, 128 * MB),
            share(100 * MB, 0),
            share(9 * MB, 0),
        ];
        // The last one is small, but alone.
        assert_eq!(chosen(&shares), [1, 3, 4]);
        assert_eq!(chosen(&[share(2000 * MB, 512 * MB)]), [0]);
        let damaged = Share {
            damaged: true,
            ..share(MB, MB)
        };
        assert_eq!(chosen(&[damaged]), []);
    }

    #[test]
    fn many_small_ones_side_by_side_become_one() {
        let mut shares = vec![share(MB, 0); MANY_SMALL - 1];
        assert_eq!(chosen(&shares), []);
        shares.push(share(MB, 0));
        assert_eq!(chosen(&shares), (0..MANY_SMALL).collect::<Vec<_>>());
        // They are not small where no file may be larger: merging them would never end.
        assert_eq!(Policy::default().choose_from(&shares, 2 * MB), []);
    }

    #[test]
    fn an_opening_merges_a_part_of_very_many_small_ones() {
        let crowd = |shares: &[Share]| Policy::default().crowd_of(shares, 2 << 30);
        assert_eq!(crowd(&vec![share(100, 0); CROWDED]), []);
        let all: Vec<_> = (0..=CROWDED).collect();
        assert_eq!(crowd(&vec![share(100, 0); CROWDED + 1]), all);
        assert_eq!(crowd(&vec![share(100, 0); 10 * CROWD_MAX]).len(), CROWD_MAX);
        assert_eq!(crowd(&vec![share(MB, 0); 100]), (0..16).collect::<Vec<_>>());
        assert_eq!(crowd(&vec![share(9 * MB, 0); 100]), []);
        // Two that fill a merge do not keep those behind them from it.
        let mut behind = vec![share(9 * MB, 0); 2];
        behind.extend([share(100, 0); CROWDED]);
        assert_eq!(crowd(&behind), (1..CROWDED + 2).collect::<Vec<_>>());
        // Nor do those between them.
        let turns = [share(3 * MB, 0), share(100, 0)].repeat(CROWDED);
        assert_eq!(crowd(&turns), (0..10).collect::<Vec<_>>());
        assert_eq!(crowd(&vec![share(100 * MB, 0); 100]), []);
        let damaged = Share {
            damaged: true,
            ..share(100, 0)
        };
        let mut shares = vec![share(100 * MB, 0); 100];
        shares.extend([share(100, 0); MANY_SMALL - 1]);
        shares.push(damaged);
        assert_eq!(crowd(&shares), []);
        shares.extend([share(100, 0); 2]);
        assert_eq!(crowd(&shares), [100, 101, 102, 103, 104, 105, 106, 108, 109]);
    }

    #[test]
    fn what_could_not_be_dropped_is_no_reason() {
        let kept = Share {
            kept_bytes: 10 * MB,
            ..share(10 * MB, 0)
        };
        assert_eq!(chosen(&[kept]), []);
        assert_eq!(share(0, 0).fragmentation(), 100);
    }

    #[test]
    fn many_tombstones_that_could_not_be_dropped_are_merged_with_all_that_is_older() {
        let kept = |bytes| Share {
            kept_bytes: bytes,
            ..share(bytes, 0)
        };
        let stays = share(100 * MB, 0);
        assert_eq!(chosen(&[stays, kept(20 * MB), stays]), []);
        assert_eq!(
            chosen(&[stays, kept(20 * MB), stays, kept(41 * MB), stays]),
            [0, 1, 2, 3]
        );
        assert_eq!(chosen(&[share(10 * MB, 0), kept(9 * MB)]), []);
        let damaged = Share {
            damaged: true,
            ..stays
        };
        assert_eq!(chosen(&[damaged, kept(50 * MB)]), []);
    }
}
