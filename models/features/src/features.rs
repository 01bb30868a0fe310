//! What a window says about its values.

use serde::{Deserialize, Serialize};

use crate::sketch::Sketch;
use crate::summary::Summary;

/// The features of one window that holds at least one value, in the unit of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// How many values the window holds; at least 1.
    pub count: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Least value, exact.
    pub min: f64,
    /// Greatest value, exact.
    pub max: f64,
    /// Population variance, in the unit squared; 0 for a single value.
    pub variance: f64,
    /// Median, within [`Sketch::RELATIVE_ERROR`] as all quantiles here, and never outside `min ..= max`.
    pub p50: f64,
    /// 95 % quantile.
    pub p95: f64,
    /// 99 % quantile; with fewer than 100 values this is the greatest.
    pub p99: f64,
    /// Least-squares slope over the values, in the unit per second; `None` with fewer than two distinct times.
    pub slope_per_second: Option<f64>,
    /// Exponentially weighted mean whose half-life is the window's length. It alone depends on values before the window.
    pub ewma: f64,
    /// Difference between the means of the newest and the oldest pane that hold values, over the difference between
    /// their mean times, in the unit per second; `None` when only one pane holds values.
    ///
    /// Beside the slope it tells a step at the window's ends from a trend through it.
    pub rate_of_change_per_second: Option<f64>,
}

impl Features {
    /// Features from the parts of a window; `None` when the window is empty.
    pub(crate) fn assemble(
        summary: &Summary,
        sketch: &Sketch,
        rate_of_change_per_second: Option<f64>,
        ewma: f64,
    ) -> Option<Self> {
        let (min, max) = (summary.min()?, summary.max()?);
        // A bucket's middle may lie beyond the extremes, the true quantile never does.
        let quantile = |q| Some(sketch.quantile(q)?.clamp(min, max));
        Some(Self {
            count: summary.count(),
            mean: summary.mean()?,
            min,
            max,
            variance: summary.variance()?,
            p50: quantile(0.50)?,
            p95: quantile(0.95)?,
            p99: quantile(0.99)?,
            slope_per_second: summary.slope_per_second(),
            ewma,
            rate_of_change_per_second,
        })
    }
}
