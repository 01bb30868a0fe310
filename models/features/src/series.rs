//! All windows of one series (one metric of one role of one workload).

use serde::{Deserialize, Serialize};

use crate::ewma::Ewma;
use crate::features::Features;
use crate::grid::{TickError, WINDOWS_MS, extents};
use crate::summary::{MAX_MAGNITUDE, Summary};
use crate::tier::Tier;

/// The rolling windows of [`WINDOWS_MS`] over one series, fed tick by tick.
///
/// The state is bounded (see [`memory_bytes`](Self::memory_bytes)) and serialisable: a restored copy goes on with the
/// same bits.
///
/// ```
/// use features::SeriesWindows;
/// let mut cpu = SeriesWindows::new(1_000)?;
/// cpu.fold(60_000, &[(60_000, 1.0), (60_500, 2.0)]);
/// cpu.fold(61_000, &[(61_250, 6.0)]);
/// let [second, ten_seconds, ..] = cpu.features(61_000);
/// assert_eq!(second.map(|f| f.mean), Some(6.0));
/// assert_eq!(ten_seconds.map(|f| f.mean), Some(3.0));
/// // Ten ticks on, the short windows hold nothing: unknown, not zero.
/// assert_eq!(cpu.features(71_000)[1], None);
/// # Ok::<(), features::TickError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeriesWindows {
    tick_ms: u64,
    /// Start of the first tick that may still be folded.
    next_ms: u64,
    /// 1 s, 10 s and 60 s over ticks.
    fine: Tier,
    /// 15 min over panes of 10 s.
    coarse: Tier,
    ewmas: [Ewma; 4],
}

impl SeriesWindows {
    /// Empty windows for ticks of `tick_ms`: 100, 125, 200, 250, 500, 1000, 1250, 2000, 2500, 5000 or 10000.
    ///
    /// # Errors
    /// [`TickError`] for any other tick.
    pub fn new(tick_ms: u64) -> Result<Self, TickError> {
        let extents = extents(tick_ms)?;
        let (fine, coarse) = extents.split_at(3);
        Ok(Self {
            tick_ms,
            next_ms: 0,
            fine: Tier::new(fine),
            coarse: Tier::new(coarse),
            ewmas: WINDOWS_MS.map(|half_life_ms| Ewma::new(half_life_ms, tick_ms)),
        })
    }

    /// Takes in all values of the tick that starts at `tick_start_ms`, as `(time in ms, value)` sorted by time.
    ///
    /// Ticks may be skipped, by any amount. Folding no values is allowed: it changes no answer, and keeps
    /// [`features`](Self::features) for that tick cheap. Amortised O(values).
    ///
    /// # Panics
    /// If the tick is not aligned or was passed already, if a time lies outside the tick or before its predecessor, or
    /// if a value is not finite or beyond [`MAX_MAGNITUDE`]: the caller's ingest must have rejected those.
    pub fn fold(&mut self, tick_start_ms: u64, values: &[(u64, f64)]) {
        self.check(tick_start_ms, values);
        self.advance(tick_start_ms);
        if values.is_empty() {
            return;
        }
        let summary = Summary::of(values);
        self.fine.add(values, &summary);
        self.coarse.add(values, &summary);
        for ewma in &mut self.ewmas {
            ewma.add(tick_start_ms / self.tick_ms, &summary);
        }
    }

    /// What each window of [`WINDOWS_MS`] holds at the end of the tick that starts at `tick_start_ms`; `None` for a
    /// window without values.
    ///
    /// O(buckets) for the tick folded last, whatever the windows' length. For a later tick the state is copied first:
    /// fold that tick, if only with no values, when every tick is asked for.
    ///
    /// # Panics
    /// If the tick is not aligned or lies before the last one folded.
    pub fn features(&self, tick_start_ms: u64) -> [Option<Features>; 4] {
        let folded = tick_start_ms + self.tick_ms == self.next_ms;
        if folded {
            return self.read();
        }
        let mut later = self.clone();
        later.check(tick_start_ms, &[]);
        later.advance(tick_start_ms);
        later.read()
    }

    /// Bytes held by this series, without the allocator's own. O(panes).
    ///
    /// Summaries of panes are the fixed part; buckets grow with the spread of the values within a window, by at most
    /// one block of a [`Sketch`](crate::Sketch) per value. Settled, in KiB, after 20 min:
    ///
    /// | samples, tick | values within 10 % | values over two decades |
    /// |---|---|---|
    /// | 1 Hz, 1 s | 22 | 28 |
    /// | 10 Hz, 1 s | 23 | 47 |
    /// | 10 Hz, 100 ms | 90 | 113 |
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.fine.heap_bytes() + self.coarse.heap_bytes()
    }

    fn read(&self) -> [Option<Features>; 4] {
        let ewma = |index: usize| self.ewmas[index].mean();
        [
            self.fine.features(0, ewma(0)),
            self.fine.features(1, ewma(1)),
            self.fine.features(2, ewma(2)),
            self.coarse.features(0, ewma(3)),
        ]
    }

    fn advance(&mut self, tick_start_ms: u64) {
        self.fine.advance(tick_start_ms);
        self.coarse.advance(tick_start_ms);
        self.next_ms = tick_start_ms + self.tick_ms;
    }

    fn check(&self, tick_start_ms: u64, values: &[(u64, f64)]) {
        assert!(
            tick_start_ms.is_multiple_of(self.tick_ms),
            "tick {tick_start_ms} is not a multiple of {} ms",
            self.tick_ms
        );
        assert!(
            tick_start_ms >= self.next_ms,
            "tick {tick_start_ms} was closed: the next may start at {} ms",
            self.next_ms
        );
        assert!(
            values.is_sorted_by_key(|&(time_ms, _)| time_ms),
            "values of tick {tick_start_ms} are not sorted by time"
        );
        let tick = tick_start_ms..tick_start_ms + self.tick_ms;
        for (time_ms, value) in values {
            assert!(tick.contains(time_ms), "time {time_ms} is outside tick {tick:?}");
            assert!(value.abs() <= MAX_MAGNITUDE, "value {value} is not finite or beyond {MAX_MAGNITUDE:e}");
        }
    }
}

#[cfg(test)]
mod tests;
