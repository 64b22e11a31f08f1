//! A bound on the work of one call.

/// Counts work down, so that a call on a thread that must not be held up stops early and can be made again elsewhere.
///
/// A unit is about ten nanoseconds of work: a term costs four, and 64 bytes cost one.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    left: usize,
    limited: bool,
}

/// The budget was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Budget {
    /// What visiting one term costs.
    pub const TERM: usize = 4;
    /// About a tenth of a millisecond.
    pub const NORMAL: usize = 10_000;

    /// A budget for a normal scheduler.
    pub const fn normal() -> Self {
        Self::limited(Self::NORMAL)
    }

    /// A budget of so many units.
    pub const fn limited(units: usize) -> Self {
        Budget {
            left: units,
            limited: true,
        }
    }

    /// No bound: for threads that may work for long.
    pub const fn unlimited() -> Self {
        Budget {
            left: usize::MAX,
            limited: false,
        }
    }

    /// Whether there is a bound.
    pub const fn is_limited(&self) -> bool {
        self.limited
    }

    /// Takes `units` off.
    #[inline]
    pub fn charge(&mut self, units: usize) -> Result<(), Exhausted> {
        if self.limited {
            match self.left.checked_sub(units) {
                Some(left) => self.left = left,
                None => return Err(Exhausted),
            }
        }
        Ok(())
    }

    /// Takes the cost of a term off.
    #[inline]
    pub fn charge_term(&mut self) -> Result<(), Exhausted> {
        self.charge(Self::TERM)
    }

    /// Takes the cost of copying bytes off; to be asked for before they are copied.
    #[inline]
    pub fn charge_bytes(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.charge(bytes / 64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_exactly_when_it_is_used_up() {
        let mut budget = Budget::limited(8);
        assert_eq!(budget.charge(4), Ok(()));
        assert_eq!(budget.charge(4), Ok(()));
        assert_eq!(budget.charge(1), Err(Exhausted));
        assert_eq!(Budget::limited(usize::MAX).charge(usize::MAX), Ok(()));
        assert_eq!(Budget::unlimited().charge(usize::MAX), Ok(()));
    }
}
