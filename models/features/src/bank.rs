//! The windows of many series.

use crate::bucket::{LEVELS, bucket_of, middle_of, rank_of, sort};
use crate::counts::Counts;
use crate::ewma::{Decay, Ewmas, decay};
use crate::features::Features;
use crate::grid::{Grid, MINUTES, Place, TickError, WINDOWS_MS};
use crate::moments::{Minute, Moments, Panes};
use crate::pane::Pane;
use crate::slab::Slab;
use crate::strips::Strips;
use crate::summary::{MAX_MAGNITUDE, Summary};

mod saved;

pub use saved::RestoreError;

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
    series: Slab<Series>,
    /// Numbers of series that were removed.
    free: Vec<usize>,
    ticks: Strips<Pane>,
    suffixes: Strips<Pane>,
    minutes: Slab<Minute>,
    /// The tick at hand.
    place: Place,
    /// The series folded last, and the buckets of its tick, ascending.
    at_hand: usize,
    buckets: Vec<i32>,
    /// The tick after the one at which features were last asked for.
    asked: u64,
}

/// What a series keeps beside its ticks.
#[derive(Clone, Debug)]
struct Series {
    /// The first tick that may still be folded.
    next: u64,
    ewmas: Ewmas,
    moments: Moments,
    counts: Counts,
}

impl Bank {
    /// No series yet, for ticks of `tick_ms`: 100, 125, 200, 250, 500, 1000, 1250, 2000, 2500, 5000 or 10000.
    ///
    /// # Errors
    /// [`TickError`] for any other tick.
    pub fn new(tick_ms: u64) -> Result<Self, TickError> {
        let grid = Grid::new(tick_ms)?;
        Ok(Self {
            grid,
            decay: decay(tick_ms),
            series: Slab::new(1),
            free: Vec::new(),
            ticks: Strips::new(grid.minute() as usize),
            suffixes: Strips::new(2 * grid.block),
            minutes: Slab::new(MINUTES),
            place: grid.place(0),
            at_hand: usize::MAX,
            buckets: Vec::new(),
            asked: 0,
        })
    }

    /// Adds a series without values: its number is that of the series removed last, or one more than there were.
    pub fn add(&mut self) -> usize {
        if let Some(number) = self.free.pop() {
            self.ticks.of_mut(number).fill(Pane::EMPTY);
            self.suffixes.of_mut(number).fill(Pane::EMPTY);
            self.minutes[number].fill(Minute::default());
            return number;
        }
        self.ticks.push();
        self.suffixes.push();
        self.minutes.push(std::iter::repeat_n(Minute::default(), MINUTES));
        self.series.push(std::iter::once(Series::new()));
        self.series.len() - 1
    }

    /// Removes a series; the next that is added takes its place.
    ///
    /// # Panics
    /// If there is no such series.
    pub fn remove(&mut self, series: usize) {
        self.series[series][0] = Series::new();
        if self.at_hand == series {
            self.at_hand = usize::MAX;
        }
        self.free.push(series);
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
        if self.place.tick != tick {
            self.place = self.grid.place(tick);
        }
        self.at_hand = series;
        let (grid, place) = (&self.grid, &self.place);
        let mut panes = Panes {
            ticks: self.ticks.of_mut(series),
            suffixes: self.suffixes.of_mut(series),
            minutes: &mut self.minutes[series],
        };
        let series = &mut self.series[series][0];
        series.advance(&mut panes, grid, place);

        let summary = Summary::of(grid.block_start_ms(tick), times_ms, values);
        let believed = summary.count == 0 || (summary.min >= -MAX_MAGNITUDE && summary.max <= MAX_MAGNITUDE);
        assert!(believed && !summary.mean.is_nan(), "a value is not finite or beyond {MAX_MAGNITUDE:e}");
        self.buckets.clear();
        self.buckets.extend(values.iter().map(|&value| bucket_of(value)));
        sort(&mut self.buckets);
        series.counts.add(grid, &self.buckets);
        if summary.count > 0 {
            series.moments.add(&mut panes, place, &summary);
            series.ewmas.add(&self.decay, tick, &summary);
        }
    }

    /// Loads what folding and reading these series will touch, for a caller who is about to do so one by one: memory answers
    /// many questions at once sooner than one after the other. Changes nothing.
    ///
    /// # Panics
    /// If there is no such series.
    pub fn touch(&self, series: impl Iterator<Item = usize> + Clone, tick_start_ms: u64) {
        let place = self.grid.place(tick_start_ms / self.grid.tick_ms);
        let asked = self.asked >= place.tick;
        let panes = series.clone().fold(0, |all, number| {
            let (ticks, suffixes) = (self.ticks.of(number), self.suffixes.of(number));
            let answer = if asked { Moments::touch((ticks, suffixes), &self.grid, &place) } else { 0 };
            all ^ answer ^ ticks[place.slot].count ^ self.series[number][0].next as u32
        });
        let counts = series.fold(0, |all, number| all ^ self.series[number][0].counts.touch(asked));
        // Nobody needs the answer; the compiler must not see that.
        std::hint::black_box(panes ^ counts);
    }

    /// What each window of [`WINDOWS_MS`] of a series holds at the end of the tick folded last; `None` for a window without
    /// values. O(buckets), whatever the windows' length, and less just after the series was folded; where the series was not
    /// asked for a while, O(values since, of the last minute).
    ///
    /// # Panics
    /// If there is no such series.
    #[must_use]
    pub fn features(&mut self, series: usize) -> [Option<Features>; WINDOWS_MS.len()] {
        let newest = (self.at_hand == series && self.grid.second == 1).then_some(self.buckets.as_slice());
        let mut panes = Panes {
            ticks: self.ticks.of_mut(series),
            suffixes: self.suffixes.of_mut(series),
            minutes: &mut self.minutes[series],
        };
        let series = &mut self.series[series][0];
        let Some(tick) = series.next.checked_sub(1) else { return [None; WINDOWS_MS.len()] };
        self.asked = tick + 1;
        let place = if self.place.tick == tick { self.place } else { self.grid.place(tick) };
        let slid = series.moments.slide(&mut panes, &self.grid, &place);
        series.counts.follow(&self.grid);
        let ewmas = series.ewmas.means();
        std::array::from_fn(|window| {
            let summary = &slid.summaries[window];
            (summary.count > 0).then(|| {
                let quantiles = match newest.filter(|_| window == 0) {
                    Some(buckets) => LEVELS.map(|level| middle_of(buckets[rank_of(level, summary.count) as usize - 1])),
                    None => series.counts.quantiles(&self.grid, window, summary.count),
                };
                Features::assemble(summary, quantiles, slid.rates_per_second[window], ewmas[window])
            })
        })
    }

    /// Bytes held by a series, without the allocator's own.
    ///
    /// Panes are the fixed part; counts grow with the spread of the values within a window. Settled, in KiB, after 20 min:
    ///
    /// | samples, tick | values within 10 % | values over two decades |
    /// |---|---|---|
    /// | 1 Hz, 1 s | 5 | 9 |
    /// | 10 Hz, 1 s | 6 | 15 |
    /// | 10 Hz, 100 ms | 31 | 40 |
    ///
    /// # Panics
    /// If there is no such series.
    #[must_use]
    pub fn memory_bytes(&self, series: usize) -> usize {
        let panes = self.ticks.bytes_each() + self.suffixes.bytes_each();
        let minutes = size_of_val(&self.minutes[series]);
        panes + minutes + size_of::<Series>() + self.series[series][0].counts.heap_bytes()
    }

    fn check(&self, series: usize, tick_start_ms: u64, times_ms: &[u64]) -> u64 {
        let tick_ms = self.grid.tick_ms;
        assert!(tick_start_ms.is_multiple_of(tick_ms), "tick {tick_start_ms} is not a multiple of {tick_ms} ms");
        let (tick, next) = (tick_start_ms / tick_ms, self.series[series][0].next);
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
    fn new() -> Self {
        Self { next: 0, ewmas: Ewmas::default(), moments: Moments::EMPTY, counts: Counts::default() }
    }

    /// Opens every tick up to `tick`.
    fn advance(&mut self, panes: &mut Panes<'_>, grid: &Grid, place: &Place) {
        let tick = place.tick;
        if tick - self.next > grid.longest() {
            self.moments = Moments::EMPTY;
            panes.ticks.fill(Pane::EMPTY);
            panes.suffixes.fill(Pane::EMPTY);
            panes.minutes.fill(Minute::default());
            self.counts.clear();
            self.next = tick;
        }
        for skipped in self.next..tick {
            let place = grid.place(skipped);
            self.moments.open(panes, &place);
            self.counts.open(grid, &place);
            self.counts.add(grid, &[]);
        }
        self.moments.open(panes, place);
        self.counts.open(grid, place);
        self.next = tick + 1;
    }
}

#[cfg(test)]
mod tests;
