//! The windows from scratch: the same features, computed in one go from a recorded series.
//!
//! Training reads history through this form and serving runs the streaming one; that both agree is a property test.

use crate::ewma::{kept_per_tick, power};
use crate::features::Features;
use crate::grid::{Extent, TickError, WINDOWS_MS, extents};
use crate::sketch::Sketch;
use crate::summary::Summary;
use crate::window::PaneMean;

/// Rounding allowed between the streamed and the recomputed form, relative to the largest magnitude of a value.
const TOLERANCE: f64 = 1e-12;

/// The features that [`SeriesWindows`](crate::SeriesWindows) gives at the tick starting at `tick_start_ms`, computed
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
        Features::assemble(
            &Summary::of(inside),
            &Sketch::of(inside.iter().map(|&(_, value)| value)),
            rate_per_second(extents[index], inside),
            weighted_mean(WINDOWS_MS[index], tick_ms, known),
        )
    }))
}

/// The first feature in which a streamed window differs from the recomputed one by more than rounding, if any.
///
/// `largest` is the greatest magnitude among all values of the series up to then. Allowed are differences of
/// 1e-12 × `largest` in the means, 1e-12 × `largest`² in the variance, and 1e-9 × `largest` in the two rates per
/// second: a rate may come from times 1 ms apart, which multiplies the rounding by 1000.
pub fn disagreement(streamed: &Features, recomputed: &Features, largest: f64) -> Option<&'static str> {
    let (a, b) = (streamed, recomputed);
    // Below the smallest normal float rounding is absolute.
    let close = |x: f64, y: f64, scale: f64| (x - y).abs() <= TOLERANCE * scale + f64::MIN_POSITIVE;
    let close_rates = |x: Option<f64>, y: Option<f64>| match (x, y) {
        (Some(x), Some(y)) => close(x, y, 1_000.0 * largest),
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

/// Index of the first value at or after a time.
fn first_from(values: &[(u64, f64)], time_ms: u64) -> usize {
    values.partition_point(|&(at_ms, _)| at_ms < time_ms)
}

fn rate_per_second(extent: Extent, inside: &[(u64, f64)]) -> Option<f64> {
    let mut panes = inside
        .chunk_by(|a, b| a.0 / extent.pane_ms == b.0 / extent.pane_ms)
        .filter_map(|pane| PaneMean::of(pane[0].0 / extent.pane_ms, extent.pane_ms, &Summary::of(pane)));
    let oldest = panes.next()?;
    Some(oldest.rate_per_second(&panes.next_back()?, extent.pane_ms))
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
