//! Until when an object is there, and what time it is.

/// When an object expires, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(u64);

/// The time of a call, which it looks at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now(u64);

impl Deadline {
    /// That of an object which does not expire.
    pub const NEVER: Deadline = Deadline(u64::MAX);

    /// At so many milliseconds since 1970. The last moment that 64 bits can tell is taken for [`Deadline::NEVER`].
    pub fn at(ms: u64) -> Self {
        // Zero is the time at which nothing has expired.
        Deadline(ms.max(1))
    }

    /// That of a record with this expiry.
    pub fn of(expiry_ms: Option<u64>) -> Self {
        expiry_ms.map_or(Deadline::NEVER, Deadline::at)
    }

    /// Milliseconds since 1970; `None` if it never comes.
    #[inline]
    pub fn ms(self) -> Option<u64> {
        (self != Deadline::NEVER).then_some(self.0)
    }

    /// Whether it has come.
    #[inline]
    pub fn is_over(self, now: Now) -> bool {
        self.0 <= now.0
    }
}

impl Now {
    /// The time at which nothing has expired: for those who want all entries, and for tables in which nothing expires.
    pub const BEFORE_ALL: Now = Now(0);

    /// So many milliseconds after 1970.
    pub fn at(ms: u64) -> Self {
        // `NEVER` does not come.
        Now(ms.min(u64::MAX - 1))
    }

    /// Milliseconds since 1970.
    pub fn ms(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_over_when_it_comes_and_never_is_not() {
        let now = Now::at(1000);
        assert!(Deadline::at(1000).is_over(now) && Deadline::at(0).is_over(now));
        assert!(!Deadline::at(1001).is_over(now) && !Deadline::at(0).is_over(Now::BEFORE_ALL));
        assert!(!Deadline::NEVER.is_over(Now::at(u64::MAX)));
        assert_eq!((Deadline::of(None).ms(), Deadline::at(7).ms()), (None, Some(7)));
    }
}
