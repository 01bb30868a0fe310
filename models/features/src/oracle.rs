//! The windows from scratch: the same features, computed in one go from a recorded series.
//!
//! Training reads history through this form and serving runs the streaming one; that both agree is a property test.

use crate::bucket::{LEVELS, bucket_of, middle_of, rank_of};
use crate::ewma::{kept_per_tick, power};
use crate::features::Features;
use crate::grid::{Extent, TickError, WINDOWS_MS, extents};
use crate::summary::Summary;

/// Rounding allowed between the streamed and the recomputed form, relative to the largest magnitude of a value: a few dozen
/// panes rounded to 24 bits.
const TOLERANCE: f64 = 2e-6;

/// The features that [`Bank`](crate::Bank) gives at the tick starting at `tick_start_ms`, computed
/// from all values of the series, sorted by time. Values later than that tick are left out. O(values) per call.
///
/// Count, extremes and quantiles equal the streamed ones exactly; the rest agrees as
/// [`disagreement`] defines.
///
/// # Errors
/// [`TickError`] for a tick that does not fit the windows.
pub fn recompute(tick_ms: u64, tick_start_ms: u64, values: &[(u64, f64)]) -> Result<[Option<Features>; 4], TickError> {
    let extents = extents(tick_ms)?;
    let known = &values[..first_from(values, tick_start_ms + tick_ms)];
    Ok(std::array::from_fn(|index| {
        let start_ms = extents[index].start_ms(tick_start_ms);
        let inside = &known[first_from(known, start_ms)..];
        let summary = summary(start_ms, inside);
        let rate = rate_per_second(extents[index], start_ms, inside);
        let ewma = weighted_mean(WINDOWS_MS[index], tick_ms, known);
        (summary.count > 0).then(|| Features::assemble(&summary, quantiles(inside), rate, ewma))
    }))
}

/// The first feature in which a streamed window differs from the recomputed one by more than rounding, if any.
///
/// `largest` is the greatest magnitude among all values of the series up to then. Allowed are differences of
/// 2e-6 × `largest` in the means, 2e-6 × `largest`² in the variance, and in the two rates per second 2e-3 × `largest` or
/// 1 %: a rate may come from times 1 ms apart, which multiplies the rounding by 1000, and these are rounded too.
pub fn disagreement(streamed: &Features, recomputed: &Features, largest: f64) -> Option<&'static str> {
    let (a, b) = (streamed, recomputed);
    // Below the smallest normal float rounding is absolute.
    let close = |x: f32, y: f32, scale: f64| f64::from(x - y).abs() <= TOLERANCE * scale + f64::from(f32::MIN_POSITIVE);
    let close_rates = |x: Option<f32>, y: Option<f32>| match (x, y) {
        (Some(x), Some(y)) => close(x, y, 1_000.0 * largest) || (x - y).abs() <= 0.01 * x.abs().max(y.abs()),
        _ => x == y,
    };
    let agreements = [
        ("count", a.count == b.count),
        ("min", a.min == b.min),
        ("max", a.max == b.max),
        ("p50", a.p50 == b.p50),
        ("p95", a.p95 == b.p95),
        ("p99", a.p99 == b.p99),
        ("mean", close(a.mean, b.mean, largest)),
        ("variance", close(a.variance, b.variance, largest * largest)),
        ("ewma", close(a.ewma, b.ewma, largest)),
        ("slope", close_rates(a.slope_per_second, b.slope_per_second)),
        ("rate of change", close_rates(a.rate_of_change_per_second, b.rate_of_change_per_second)),
    ];
    agreements.into_iter().find(|(_, agree)| !agree).map(|(feature, _)| feature)
}

/// The moments of a run, its times told from an origin.
fn summary(origin_ms: u64, values: &[(u64, f64)]) -> Summary {
    let (times_ms, values): (Vec<u64>, Vec<f64>) = values.iter().copied().unzip();
    Summary::of(origin_ms, &times_ms, &values)
}

/// By sorting.
fn quantiles(values: &[(u64, f64)]) -> [f64; LEVELS.len()] {
    let mut buckets: Vec<i32> = values.iter().map(|&(_, value)| bucket_of(value)).collect();
    buckets.sort_unstable();
    LEVELS.map(|level| middle_of(buckets[rank_of(level, buckets.len() as u32) as usize - 1]))
}

/// Index of the first value at or after a time.
fn first_from(values: &[(u64, f64)], time_ms: u64) -> usize {
    values.partition_point(|&(at_ms, _)| at_ms < time_ms)
}

fn rate_per_second(extent: Extent, origin_ms: u64, inside: &[(u64, f64)]) -> Option<f64> {
    let panes = inside.chunk_by(|a, b| a.0 / extent.pane_ms == b.0 / extent.pane_ms);
    let mut panes = panes.map(|pane| summary(origin_ms, pane));
    let oldest = panes.next()?;
    oldest.rate_per_second(&panes.next_back()?)
}

/// `Σ w·x / Σ w` over all of history, newest first, with weights relative to the newest tick.
fn weighted_mean(half_life_ms: u64, tick_ms: u64, known: &[(u64, f64)]) -> f64 {
    let Some(&(newest_ms, _)) = known.last() else {
        return 0.0;
    };
    let kept = kept_per_tick(half_life_ms, tick_ms);
    let (mut weights, mut sum) = (0.0, 0.0);
    for (time_ms, value) in known.iter().rev() {
        let age_ticks = newest_ms / tick_ms - time_ms / tick_ms;
        let weight = power(kept, age_ticks);
        weights += weight;
        sum += weight * value;
    }
    sum / weights
}
