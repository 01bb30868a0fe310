//! The windows of many series.

use serde::{Deserialize, Serialize};

use crate::bucket::bucket_of;
use crate::counts::Counts;
use crate::ewma::{Decay, Ewmas, decay};
use crate::features::Features;
use crate::grid::{Grid, TickError, WINDOWS_MS};
use crate::moments::{Moments, Ticks};
use crate::pane::Pane;
use crate::summary::{MAX_MAGNITUDE, Summary};

/// The rolling windows of [`WINDOWS_MS`] over many series (one metric of one role of one workload each), fed tick by tick.
///
/// A series goes by its number, from [`Bank::add`]. Its state is bounded (see [`Bank::memory_bytes`]) and can be carried to
/// another bank: restored, it goes on with the same bits.
///
/// ```
/// use features::Bank;
/// let mut bank = Bank::new(1_000)?;
/// let cpu = bank.add();
/// bank.fold(cpu, 60_000, &[60_000, 60_500], &[1.0, 2.0]);
/// bank.fold(cpu, 61_000, &[61_250], &[6.0]);
/// let [second, ten_seconds, ..] = bank.features(cpu);
/// assert_eq!(second.map(|f| f.mean), Some(6.0));
/// assert_eq!(ten_seconds.map(|f| f.mean), Some(3.0));
/// // Ten ticks on, the short windows hold nothing: unknown, not zero.
/// bank.fold(cpu, 71_000, &[], &[]);
/// assert_eq!(bank.features(cpu)[1], None);
/// # Ok::<(), features::TickError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bank {
    grid: Grid,
    decay: Decay,
    /// Every series' ticks, one stretch after the other: what is touched together lies together.
    ticks: Vec<Pane>,
    series: Vec<Series>,
    /// The buckets of the tick at hand.
    buckets: Vec<i32>,
}

/// What a series keeps beside its ticks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Series {
    /// The first tick that may still be folded.
    next: u64,
    ewmas: Ewmas,
    moments: Moments,
    counts: Counts,
}

/// A series taken out of a bank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    tick_ms: u64,
    series: Series,
    ticks: Vec<Pane>,
}

impl Bank {
    /// No series yet, for ticks of `tick_ms`: 100, 125, 200, 250, 500, 1000, 1250, 2000, 2500, 5000 or 10000.
    ///
    /// # Errors
    /// [`TickError`] for any other tick.
    pub fn new(tick_ms: u64) -> Result<Self, TickError> {
        let grid = Grid::new(tick_ms)?;
        Ok(Self { grid, decay: decay(tick_ms), ticks: Vec::new(), series: Vec::new(), buckets: Vec::new() })
    }

    /// Adds a series without values; its number counts from zero.
    pub fn add(&mut self) -> usize {
        self.ticks.resize(self.ticks.len() + Ticks::len(&self.grid), Pane::EMPTY);
        let empty = Series { next: 0, ewmas: Ewmas::default(), moments: Moments::EMPTY, counts: Counts::default() };
        self.series.push(empty);
        self.series.len() - 1
    }

    /// Takes in all values of the tick that starts at `tick_start_ms`, sorted by time.
    ///
    /// Ticks may be skipped, by any amount. Folding no values is allowed: the windows slide on. Amortised O(values).
    ///
    /// # Panics
    /// If there is no such series, if the tick is not aligned or was passed already, if a time lies outside the tick or
    /// before its predecessor, or if a value is not finite or beyond [`MAX_MAGNITUDE`]: the caller's ingest must have
    /// rejected those.
    pub fn fold(&mut self, series: usize, tick_start_ms: u64, times_ms: &[u64], values: &[f64]) {
        let tick = self.check(series, tick_start_ms, times_ms);
        let grid = &self.grid;
        let length = Ticks::len(grid);
        let mut ticks = Ticks::new(&mut self.ticks[series * length..(series + 1) * length], grid);
        let series = &mut self.series[series];
        series.advance(&mut ticks, grid, tick);

        let summary = Summary::of(grid.block_start_ms(tick), times_ms, values);
        let believed = summary.count == 0 || (summary.min >= -MAX_MAGNITUDE && summary.max <= MAX_MAGNITUDE);
        assert!(believed && !summary.mean.is_nan(), "a value is not finite or beyond {MAX_MAGNITUDE:e}");
        self.buckets.clear();
        self.buckets.extend(values.iter().map(|&value| bucket_of(value)));
        self.buckets.sort_unstable();
        series.counts.add(&self.buckets);
        if summary.count > 0 {
            series.moments.add(&mut ticks, grid, tick, &summary);
            series.ewmas.add(&self.decay, tick, &summary);
        }
    }

    /// What each window of [`WINDOWS_MS`] of a series holds at the end of the tick folded last; `None` for a window without
    /// values. O(buckets), whatever the windows' length.
    ///
    /// # Panics
    /// If there is no such series.
    #[must_use]
    pub fn features(&self, series: usize) -> [Option<Features>; WINDOWS_MS.len()] {
        let length = Ticks::len(&self.grid);
        let ticks = &self.ticks[series * length..(series + 1) * length];
        let series = &self.series[series];
        let Some(tick) = series.next.checked_sub(1) else { return [None; WINDOWS_MS.len()] };
        let slid = series.moments.slide(ticks, &self.grid, tick);
        let ewmas = series.ewmas.means();
        std::array::from_fn(|window| {
            let summary = &slid.summaries[window];
            (summary.count > 0).then(|| {
                let quantiles = series.counts.quantiles(window, summary.count);
                Features::assemble(summary, quantiles, slid.rates_per_second[window], ewmas[window])
            })
        })
    }

    /// A copy of a series, to be kept.
    ///
    /// # Panics
    /// If there is no such series.
    #[must_use]
    pub fn save(&self, series: usize) -> Saved {
        let length = Ticks::len(&self.grid);
        let ticks = self.ticks[series * length..(series + 1) * length].to_vec();
        Saved { tick_ms: self.grid.tick_ms, series: self.series[series].clone(), ticks }
    }

    /// Adds a series that was saved by a bank of the same tick; gives it back where the tick is another.
    ///
    /// # Errors
    /// The series, unchanged.
    pub fn restore(&mut self, saved: Saved) -> Result<usize, Box<Saved>> {
        if saved.tick_ms != self.grid.tick_ms || saved.ticks.len() != Ticks::len(&self.grid) {
            return Err(Box::new(saved));
        }
        self.ticks.extend(saved.ticks);
        self.series.push(saved.series);
        Ok(self.series.len() - 1)
    }

    /// Bytes held by a series, without the allocator's own.
    ///
    /// Panes are the fixed part; counts grow with the spread of the values within a window. Settled, in KiB, after 20 min:
    ///
    /// | samples, tick | values within 10 % | values over two decades |
    /// |---|---|---|
    /// | 1 Hz, 1 s | 6 | 14 |
    /// | 10 Hz, 1 s | 6 | 23 |
    /// | 10 Hz, 100 ms | 32 | 47 |
    ///
    /// # Panics
    /// If there is no such series.
    #[must_use]
    pub fn memory_bytes(&self, series: usize) -> usize {
        Ticks::len(&self.grid) * size_of::<Pane>() + size_of::<Series>() + self.series[series].counts.heap_bytes()
    }

    fn check(&self, series: usize, tick_start_ms: u64, times_ms: &[u64]) -> u64 {
        let tick_ms = self.grid.tick_ms;
        assert!(tick_start_ms.is_multiple_of(tick_ms), "tick {tick_start_ms} is not a multiple of {tick_ms} ms");
        let (tick, next) = (tick_start_ms / tick_ms, self.series[series].next);
        assert!(tick >= next, "tick {tick_start_ms} was closed: the next may start at {} ms", next * tick_ms);
        assert!(times_ms.is_sorted(), "times of tick {tick_start_ms} are not sorted");
        let inside =
            |time_ms: Option<&u64>| time_ms.is_none_or(|at| (tick_start_ms..tick_start_ms + tick_ms).contains(at));
        assert!(
            inside(times_ms.first()) && inside(times_ms.last()),
            "a time is outside tick {tick_start_ms} of {tick_ms} ms"
        );
        tick
    }
}

impl Series {
    /// Opens every tick up to `tick`.
    fn advance(&mut self, ticks: &mut Ticks<'_>, grid: &Grid, tick: u64) {
        if tick - self.next > grid.longest() {
            self.moments = Moments::EMPTY;
            ticks.clear();
            self.counts.clear();
            self.next = tick;
        }
        for skipped in self.next..tick {
            self.moments.open(ticks, grid, skipped);
            self.counts.open(grid, skipped);
            self.counts.add(&[]);
        }
        self.moments.open(ticks, grid, tick);
        self.counts.open(grid, tick);
        self.next = tick + 1;
    }
}

#[cfg(test)]
mod tests;
