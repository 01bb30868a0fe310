//! What an expert is.

use serde::{Deserialize, Serialize};

/// After so many steps without a value, an expert that lives off the last values falls silent: ten minutes of 10 s steps.
/// By then "as it was" is a guess about a series nobody watches, and the experts with a long memory speak instead.
pub const STALE_STEPS: u64 = 60;

/// What is forecast of the steps ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// The peak over the horizon: what an allocation must cover until it can be changed again.
    #[default]
    Peak,
    /// The value at the horizon's end.
    Value,
}

/// The experts of an ensemble. A closed set, so that it may label metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpertName {
    /// [`Persistence`](crate::persistence::Persistence)
    Persistence,
    /// [`MovingAverage`](crate::moving_average::MovingAverage)
    MovingAverage,
    /// [`PeakHistogram`](crate::peak_histogram::PeakHistogram)
    Histogram,
    /// [`SeasonalNaive`](crate::seasonal_naive::SeasonalNaive) over a day
    SeasonalDay,
    /// [`SeasonalNaive`](crate::seasonal_naive::SeasonalNaive) over a week
    SeasonalWeek,
    /// [`Holt`](crate::holt::Holt)
    Holt,
    /// [`Smoothing`](crate::smoothing::Smoothing)
    Smoothing,
    /// [`SeasonalNaive`](crate::seasonal_naive::SeasonalNaive) over an hour
    SeasonalHour,
    /// The newest value, changed as a day ago
    ChangeOfDay,
    /// The newest value, changed as a week ago
    ChangeOfWeek,
    /// [`Linear`](crate::linear::Linear)
    Linear,
    /// [`Batched`](crate::batched::Batched): the seat of the global LSTM
    Lstm,
}

impl ExpertName {
    /// The name as it appears on the wire and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Persistence => "persistence",
            Self::MovingAverage => "moving_average",
            Self::Histogram => "histogram",
            Self::SeasonalDay => "seasonal_day",
            Self::SeasonalWeek => "seasonal_week",
            Self::Holt => "holt",
            Self::Smoothing => "smoothing",
            Self::SeasonalHour => "seasonal_hour",
            Self::ChangeOfDay => "change_of_day",
            Self::ChangeOfWeek => "change_of_week",
            Self::Linear => "linear",
            Self::Lstm => "lstm",
        }
    }
}

/// An expert on one demand series: it sees every step and says something about the peak over the next `horizon` steps.
///
/// The contract, in the order of one step `t`:
///
/// 1. `observe(t, value)`, with `t` strictly increasing. `None` means not observed; a step that is skipped means the same.
/// 2. `settle(horizon, peak)` for each horizon whose true peak has just become known, from the origin `t - horizon`.
/// 3. `base` and `quantile` are read, any number of times, until just before `observe(t + 1)`. They must not change
///    in between, except that a model computed in batches may still *become* ready: what counts is the answer that
///    stands when the next step arrives. So a batch may run after all series have observed `t`.
///
/// An expert answers in one of two ways. One with a point only answers `base`; its quantiles are then the base plus quantiles
/// of its own past residuals, kept by the ensemble. One that knows its uncertainty also answers `quantile`, and is believed
/// as it stands (conformal calibration comes after). `None` means "I cannot say", is never an error and never a zero.
///
/// Values are in the unit of the demand, finite and nonnegative. State must be bounded, and deterministic to the bit.
pub trait Forecaster: Send {
    /// Which expert this is.
    fn name(&self) -> ExpertName;

    /// Takes in the demand of a step.
    fn observe(&mut self, step: u64, value: Option<f64>);

    /// Takes in the true peak over a horizon that ends at the step last observed. Most experts need only `observe`.
    fn settle(&mut self, _horizon: u32, _peak: f64) {}

    /// The point forecast of the peak over the next `horizon` steps (the median, for an expert that has quantiles).
    fn base(&self, horizon: u32) -> Option<f64>;

    /// The expert's own quantile of that peak at `level` in 0..=1, nondecreasing in `level`.
    fn quantile(&self, _horizon: u32, _level: f64) -> Option<f64> {
        None
    }
}
