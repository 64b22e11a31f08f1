//! Faults that tests put in on purpose, to see that their equipment finds them. In what is shipped there are none.

/// A way in which a store like this one has lost data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A merge's outputs are not synced.
    OutputNotSynced,
    /// Names in the directory are not synced.
    DirNotSynced,
    /// A tombstone is dropped by a merge that leaves older segments out.
    TombstoneDropped,
    /// A segment that was left is sealed without having been synced.
    RotationNotSynced,
    /// A failed sync is taken for a good one.
    FailedSyncIgnored,
    /// A value is merged away while the one that replaced it is not durable.
    SuccessorNotSynced,
    /// A segment that left a merge for its damage no longer counts as one that may hold something older.
    DamagedForgotten,
    /// A record that has expired is dropped by a merge that leaves older segments out.
    ExpiredDropped,
    /// A restart forgets the highest time used.
    ClockForgotten,
    /// No fault: a writer takes its time between appending a record and showing it.
    ShownLate,
    /// No fault: a writer takes its time between showing a record and the last that is to be done about the one before it.
    CountedLate,
    /// A merge does not wait for those who write: what was appended but is not shown yet is taken for dead, and what is not counted yet for live.
    WritersNotAwaited,
    /// Segments are loaded in the order of their ids, not of their seqs.
    LoadedById,
    /// A hint is used whatever length and seqs of its segment it names.
    StaleHint,
    /// A merge removes its inputs whatever snapshots are open.
    SnapshotIgnored,
    /// A checkpoint is used whatever manifest it names.
    StaleCheckpoint,
    /// A merge points a key at the copy of its record whatever the key points at by now.
    RelocationNotCompared,
}

/// Whether the fault was put in on this thread.
#[cfg(any(test, feature = "testing"))]
pub fn has(fault: Fault) -> bool {
    FAULT.get() == Some(fault)
}

/// Whether the fault was put in.
#[cfg(not(any(test, feature = "testing")))]
pub const fn has(_: Fault) -> bool {
    false
}

#[cfg(any(test, feature = "testing"))]
thread_local! {
    static FAULT: std::cell::Cell<Option<Fault>> = const { std::cell::Cell::new(None) };
}

/// Puts a fault in for what this thread does from now on, or takes it out.
#[cfg(any(test, feature = "testing"))]
pub fn put(fault: Option<Fault>) {
    FAULT.set(fault);
}
