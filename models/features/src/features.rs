//! What a window says about its values.

use crate::bucket::LEVELS;
use crate::summary::Summary;

/// The features of one window that holds at least one value, in the unit of the metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Features {
    /// How many values the window holds; at least 1.
    pub count: u32,
    /// Arithmetic mean.
    pub mean: f32,
    /// Least value.
    pub min: f32,
    /// Greatest value.
    pub max: f32,
    /// Population variance, in the unit squared; 0 for a single value.
    pub variance: f32,
    /// Median, within [`RELATIVE_ERROR`](crate::RELATIVE_ERROR) as all quantiles here, and never outside `min ..= max`.
    pub p50: f32,
    /// 95 % quantile.
    pub p95: f32,
    /// 99 % quantile; with fewer than 100 values this is the greatest.
    pub p99: f32,
    /// Least-squares slope over the values, in the unit per second; `None` with fewer than two distinct times.
    pub slope_per_second: Option<f32>,
    /// Exponentially weighted mean whose half-life is the window's length. It alone depends on values before the window.
    pub ewma: f32,
    /// Difference between the means of the newest and the oldest pane that hold values, over the difference between
    /// their mean times, in the unit per second; `None` when only one pane holds values.
    ///
    /// Beside the slope it tells a step at the window's ends from a trend through it.
    pub rate_of_change_per_second: Option<f32>,
}

impl Features {
    /// Features from the parts of a window that holds at least one value.
    pub(crate) fn assemble(
        summary: &Summary,
        quantiles: [f64; LEVELS.len()],
        rate_of_change_per_second: Option<f64>,
        ewma: f64,
    ) -> Self {
        // A bucket's middle may lie beyond the extremes, the true quantile never does.
        let [p50, p95, p99] = quantiles.map(|quantile| quantile.clamp(summary.min, summary.max) as f32);
        Self {
            count: summary.count,
            mean: summary.mean as f32,
            min: summary.min as f32,
            max: summary.max as f32,
            variance: summary.variance() as f32,
            p50,
            p95,
            p99,
            slope_per_second: summary.slope_per_second().map(|slope| slope as f32),
            ewma: ewma as f32,
            rate_of_change_per_second: rate_of_change_per_second.map(|rate| rate as f32),
        }
    }
}
