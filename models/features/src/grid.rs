//! How the windows lie on time: which ticks are allowed, and of which panes each window is made.
//!
//! Panes are numbered from the epoch: pane `i` of length `p` holds the times `i·p <= t < (i+1)·p`.
//! A window of `W` panes read in pane `i` holds the panes `i-W+1 ..= i`, the newest of them perhaps still filling.
//! Nothing here depends on where a stream began, so a replay from any earlier point sees the same panes.

use std::fmt;
use std::ops::RangeInclusive;

/// Length of each window, in ms, in the order in which features are returned: 1 s, 10 s, 60 s, 15 min.
///
/// A window shorter than the tick is one tick long.
pub const WINDOWS_MS: [u64; 4] = [1_000, 10_000, 60_000, 900_000];

/// Length of a block of panes, in ms. Every allowed tick divides it.
pub(crate) const BLOCK_MS: u64 = 10_000;

/// Blocks of a minute, the longest window that slides by ticks.
pub(crate) const BLOCKS: usize = 6;

/// Pane of the 15 min window, in ms.
pub(crate) const MINUTE_MS: u64 = 60_000;

/// Panes of the 15 min window: few, at the price of an edge that moves by a minute.
pub(crate) const MINUTES: usize = 15;

/// Below 100 ms a 60 s window needs more than 600 panes; above 10 s a tick no longer fits a block.
const TICKS_MS: RangeInclusive<u64> = 100..=10_000;

/// Why a tick cannot carry the windows. Mend the setting; there is nothing to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TickError {
    /// The tick is shorter than 100 ms or longer than 10 s.
    OutOfRange {
        /// The refused tick, in ms.
        tick_ms: u64,
    },
    /// The tick does not divide 10 s, or is below 1 s and does not divide 1 s: some window would end inside a tick.
    Misaligned {
        /// The refused tick, in ms.
        tick_ms: u64,
    },
}

impl fmt::Display for TickError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { tick_ms } => {
                write!(f, "a tick of {tick_ms} ms is outside 100 ms to 10 s")
            }
            Self::Misaligned { tick_ms } => write!(
                f,
                "a tick of {tick_ms} ms does not fit the windows: below 1 s it must divide 1 s, above it must divide 10 s \
                 (100, 125, 200, 250, 500, 1000, 1250, 2000, 2500, 5000 or 10000 ms)"
            ),
        }
    }
}

impl std::error::Error for TickError {}

/// A window as a number of panes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) pane_ms: u64,
    pub(crate) panes: u64,
}

impl Extent {
    /// Start of the oldest pane in the window that is read at `at_ms`; clipped at the epoch.
    pub(crate) fn start_ms(self, at_ms: u64) -> u64 {
        (at_ms / self.pane_ms + 1).saturating_sub(self.panes) * self.pane_ms
    }
}

/// How ticks lie in blocks and windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) tick_ms: u64,
    /// Ticks of a second, at least one.
    pub(crate) second: usize,
    /// Ticks of a block.
    pub(crate) block: usize,
}

impl Grid {
    pub(crate) fn new(tick_ms: u64) -> Result<Self, TickError> {
        let [second, block, ..] = extents(tick_ms)?;
        Ok(Self { tick_ms, second: second.panes as usize, block: block.panes as usize })
    }

    /// A tick's place in its block.
    pub(crate) const fn position(&self, tick: u64) -> usize {
        (tick % self.block as u64) as usize
    }

    /// A tick's place among the ticks of a minute.
    pub(crate) const fn slot(&self, tick: u64) -> usize {
        (tick % self.minute()) as usize
    }

    /// Where a tick lies, worked out once for all series.
    pub(crate) const fn place(&self, tick: u64) -> Place {
        let position = self.position(tick);
        let last = position + 1 == self.block;
        Place {
            tick,
            position,
            slot: self.slot(tick),
            minute_ago: self.slot(tick + 1),
            minute_ago_blocks: if last { BLOCKS - 1 } else { BLOCKS },
            block_ago: self.slot(tick + self.minute() + 1 - self.block as u64),
            block_ago_blocks: if last { 0 } else { 1 },
            block: tick / self.block as u64,
        }
    }

    /// Ticks of a minute.
    pub(crate) const fn minute(&self) -> u64 {
        (BLOCKS * self.block) as u64
    }

    /// Ticks after which nothing is left in any window.
    pub(crate) const fn longest(&self) -> u64 {
        self.minute() * (MINUTES as u64 + 1)
    }

    /// Start of the block of a tick, in ms.
    pub(crate) const fn block_start_ms(&self, tick: u64) -> u64 {
        (tick - tick % self.block as u64) * self.tick_ms
    }
}

/// A tick among blocks, and the oldest ticks of the windows that end with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) tick: u64,
    /// Its place in its block.
    pub(crate) position: usize,
    /// Its place among the ticks of a minute.
    pub(crate) slot: usize,
    /// The slot of the oldest tick in the window of 60 s, and how many blocks it lies back.
    pub(crate) minute_ago: usize,
    pub(crate) minute_ago_blocks: usize,
    /// Likewise in the window of 10 s.
    pub(crate) block_ago: usize,
    pub(crate) block_ago_blocks: usize,
    /// The number of its block.
    pub(crate) block: u64,
}

/// The extents of [`WINDOWS_MS`] for a tick.
pub(crate) fn extents(tick_ms: u64) -> Result<[Extent; 4], TickError> {
    if !TICKS_MS.contains(&tick_ms) {
        return Err(TickError::OutOfRange { tick_ms });
    }
    let divides_second = tick_ms >= 1_000 || 1_000_u64.is_multiple_of(tick_ms);
    if !divides_second || !BLOCK_MS.is_multiple_of(tick_ms) {
        return Err(TickError::Misaligned { tick_ms });
    }
    Ok(WINDOWS_MS.map(|window_ms| {
        let pane_ms = if window_ms > MINUTE_MS { MINUTE_MS } else { tick_ms };
        Extent { pane_ms, panes: (window_ms / pane_ms).max(1) }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panes(tick_ms: u64) -> [u64; 4] {
        extents(tick_ms).expect("an allowed tick").map(|e| e.panes)
    }

    #[test]
    fn panes_per_window() {
        assert_eq!(panes(100), [10, 100, 600, 15]);
        assert_eq!(panes(1_000), [1, 10, 60, 15]);
        // 1 s is shorter than the tick, hence one tick; 10 s and 60 s are 8 and 48 ticks of 1.25 s.
        assert_eq!(panes(1_250), [1, 8, 48, 15]);
        assert_eq!(panes(10_000), [1, 1, 6, 15]);
    }

    #[test]
    fn unfit_ticks_are_refused() {
        for tick_ms in [0, 99, 10_001, u64::MAX] {
            assert_eq!(extents(tick_ms), Err(TickError::OutOfRange { tick_ms }));
        }
        // 400 and 625 divide 10 s but not 1 s; 3000 divides 60 s but not 10 s.
        for tick_ms in [300, 400, 625, 3_000] {
            assert_eq!(extents(tick_ms), Err(TickError::Misaligned { tick_ms }));
        }
    }

    #[test]
    fn a_window_starts_on_a_pane_edge() {
        let [_, ten, _, quarter] = extents(1_000).expect("an allowed tick");
        // Read in the tick 59..60 s, ten ticks back: 50 s.
        assert_eq!(ten.start_ms(59_000), 50_000);
        // Tick 1004 s lies in minute 16; 15 minutes up to it start with minute 2.
        assert_eq!(quarter.start_ms(1_004_000), 120_000);
        assert_eq!(quarter.start_ms(5_000), 0);
    }
}
