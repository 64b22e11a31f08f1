//! Which of the unsynced changes reach the disk before the power goes.

/// Says for each unsynced change ("unit", counted from 0 in the order of the operations) what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    /// Nothing that was not synced is there.
    Nothing,
    /// Everything is there, but for what a failed sync dropped.
    Everything,
    /// The first so many units are there, in the order of the operations.
    First(usize),
    /// One unit alone is there.
    Only(usize),
    /// One unit alone is lost.
    AllBut(usize),
    /// The units whose bits are set are there; units from 64 on are lost.
    Subset(u64),
    /// The units before this one are there, this one in part, later ones are lost.
    Torn(usize, Tear),
    /// Each unit is there, lost or torn, as the seed has it.
    Seeded(u64),
}

/// What a crash leaves of one write. What is lost reads as it did before, as zeros beyond the old end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tear {
    /// The new length without the bytes.
    Length,
    /// The first so many bytes.
    Prefix(u64),
    /// All but the first so many bytes.
    Suffix(u64),
    /// Some of the pieces between multiples of the first number, which the second chooses: 4096 for pages, 512 for
    /// sectors.
    Pieces(u32, u64),
}

/// What becomes of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Lost,
    Torn(Tear),
}

impl Plan {
    /// The fate of a unit. `len` is how many bytes it writes, 0 if it is no write.
    pub(super) fn fate(&self, unit: usize, doomed: bool, len: u64) -> Fate {
        let kept = match *self {
            Plan::Nothing => false,
            Plan::Everything => !doomed,
            Plan::First(n) => unit < n,
            Plan::Only(one) => unit == one,
            Plan::AllBut(one) => unit != one,
            Plan::Subset(bits) => unit < 64 && bits >> unit & 1 == 1,
            Plan::Torn(one, tear) if unit == one => return Fate::Torn(tear),
            Plan::Torn(one, _) => unit < one,
            Plan::Seeded(seed) => return seeded(seed, unit, len),
        };
        if kept { Fate::Kept } else { Fate::Lost }
    }
}

/// A seed has a temper of its own, so that disks that lose nearly everything, and nearly nothing, are as frequent as
/// those that lose half.
fn seeded(seed: u64, unit: usize, len: u64) -> Fate {
    let temper = mix(seed);
    let draw = mix(temper ^ unit as u64);
    let keep = [8, 64, 128, 192, 248][(temper % 5) as usize];
    let tear = [0, 0, 32, 128][(temper >> 8 & 3) as usize];
    if len > 0 && draw & 0xff < tear {
        let (cut, chooser) = (mix(draw) % len, mix(!draw));
        return Fate::Torn(match draw >> 8 & 7 {
            0 => Tear::Length,
            1 | 2 => Tear::Prefix(cut),
            3 => Tear::Suffix(cut),
            4 => Tear::Pieces(4096, chooser),
            _ => Tear::Pieces(512, chooser),
        });
    }
    if draw >> 16 & 0xff < keep {
        Fate::Kept
    } else {
        Fate::Lost
    }
}

impl Tear {
    /// The parts that reached the disk, of a write of `len` bytes at `offset`, as ranges within the write.
    pub(super) fn parts(self, offset: u64, len: u64, mut part: impl FnMut(std::ops::Range<usize>)) {
        match self {
            Tear::Length => {}
            Tear::Prefix(n) => part(0..n.min(len) as usize),
            Tear::Suffix(n) => part(n.min(len) as usize..len as usize),
            Tear::Pieces(grain, chooser) => {
                let grain = u64::from(grain.max(1));
                let mut from = 0;
                while from < len {
                    let piece = (offset + from) / grain;
                    let to = ((piece + 1) * grain - offset).min(len);
                    if mix(chooser ^ piece) & 1 == 1 {
                        part(from as usize..to as usize);
                    }
                    from = to;
                }
            }
        }
    }
}

/// Plans worth trying for units of these lengths (0 for what is no write): every subset of few units, else each one
/// alone kept and alone lost and each prefix; tears of the latest writes; and `seeds` chosen ones.
pub(super) fn enumerate(lens: &[u64], seeds: u64) -> Vec<Plan> {
    const SUBSETS_MAX: usize = 6;
    const TORN_MAX: usize = 8;
    let n = lens.len();
    let mut plans = Vec::with_capacity(8 + 3 * n + seeds as usize);
    plans.extend([Plan::Everything, Plan::Nothing]);
    if n == 0 {
        plans.truncate(1);
        return plans;
    }
    if n <= SUBSETS_MAX {
        plans.extend((1..1 << n).map(Plan::Subset));
    } else {
        for unit in 0..n {
            plans.extend([Plan::Only(unit), Plan::AllBut(unit), Plan::First(unit)]);
        }
    }
    let writes = lens.iter().copied().enumerate().filter(|(_, len)| *len > 0);
    for (unit, len) in writes.rev().take(TORN_MAX) {
        let mut tears = vec![Tear::Length];
        if len > 1 {
            tears.extend([1, len / 2, len - 1].map(Tear::Prefix));
            tears.extend([1, len / 2].map(Tear::Suffix));
        }
        for grain in [512, 4096] {
            if len > u64::from(grain) {
                tears.extend([1, 2].map(|chooser| Tear::Pieces(grain, chooser)));
            }
        }
        plans.extend(tears.into_iter().map(|tear| Plan::Torn(unit, tear)));
    }
    plans.extend((0..seeds).map(|seed| Plan::Seeded(mix(seed ^ (n as u64) << 32))));
    plans
}

/// Spreads a number over all bits (the finalizer of `SplitMix64`).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}
