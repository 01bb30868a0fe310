//! What became of the requests that an audience might have seen.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::budget::Short;

/// Counts of an audience since the start. Each request of the primary is in exactly one of them, except that copies under
/// way are not counted yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Copies that every follower answered.
    pub answered: u64,
    /// Outside the share, or while nothing was mirrored.
    pub unsampled: u64,
    /// Methods and paths that may not be mirrored, and tunnels.
    pub excluded: u64,
    /// Requests that came with a role's mark: copies themselves, which are not copied again.
    pub marked: u64,
    /// Dropped: too many copies were under way.
    pub busy: u64,
    /// Dropped: copies under way held too many bytes.
    pub over_bytes: u64,
    /// Dropped: the body was larger than a copy may be.
    pub too_large: u64,
    /// Dropped: the request ended before it was whole.
    pub cut_off: u64,
    /// A follower could not be reached.
    pub unreachable: u64,
    /// A follower did not answer in time.
    pub timed_out: u64,
    /// A follower broke the connection off.
    pub broken: u64,
}

/// The same, while they are counted.
#[derive(Debug, Default)]
pub(crate) struct Counters([AtomicU64; Fate::COUNT]);

/// What became of a request, in the order of [`Counts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    Unsampled,
    Excluded,
    Marked,
    Busy,
    OverBytes,
    TooLarge,
    CutOff,
    Unreachable,
    TimedOut,
    Broken,
}

impl Fate {
    const COUNT: usize = Self::Broken as usize + 1;
}

impl From<Short> for Fate {
    fn from(short: Short) -> Self {
        match short {
            Short::Copies => Self::Busy,
            Short::Bytes => Self::OverBytes,
        }
    }
}

impl Counts {
    /// Copies that were dropped here, whatever the reason.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.busy + self.over_bytes + self.too_large + self.cut_off
    }

    /// Copies that a follower did not answer, whatever the reason.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.unreachable + self.timed_out + self.broken
    }
}

impl Counters {
    pub(crate) fn add(&self, fate: Fate) {
        self.0[fate as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Counts {
        let of = |fate: Fate| self.0[fate as usize].load(Ordering::Relaxed);
        Counts {
            answered: of(Fate::Answered),
            unsampled: of(Fate::Unsampled),
            excluded: of(Fate::Excluded),
            marked: of(Fate::Marked),
            busy: of(Fate::Busy),
            over_bytes: of(Fate::OverBytes),
            too_large: of(Fate::TooLarge),
            cut_off: of(Fate::CutOff),
            unreachable: of(Fate::Unreachable),
            timed_out: of(Fate::TimedOut),
            broken: of(Fate::Broken),
        }
    }
}
