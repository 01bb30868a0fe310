//! Forecast residual: a peak of demand that lies far outside of the quantiles that were promised for it.
//!
//! A *promise* is what was forecast of the peak over the next h steps: its median m and an upper quantile u. One promise
//! is open at a time: the next is taken once h steps are over, so that no spike is judged twice. With the peak y:
//!
//! ```text
//! spread = max(u - m, 1 % of |m|, scale floor)
//! excess = (y - u) / spread  above u,   (m - spread - y) / spread  below the mirrored quantile
//! score  = excess / mean excess         of the excesses of that side so far, at first 0.25, as of a normal tail
//! ```
//!
//! This is the probability integral transform with a tail that is learnt: peaks over u are taken as exponential, so that
//! P(score > s) = P(y > u) e^-s. At u = 0.95 the least threshold of 8.5 is one promise in 100 000. However wrong forecast
//! and tail are, the threshold is an [`AlarmBudget`] a side: N promises give at most about `alarm_rate` x N + 9 findings a
//! side, and as many again that an incident became critical.
//!
//! A step above u proves the promise broken before the peak is over, so that side is found at once. The other is known
//! only at the end, and only where no step is missing. Each side says an incident once, and once more when it becomes
//! critical, until a promise has been kept on that side.
//!
//! State: an open promise and two tails. Cost: O(1) a step.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alarm_budget::{AlarmBudget, RATE_MAX};
use crate::detector::{Finding, Kind, RELATIVE_SCALE_FLOOR, figure};
use crate::episode::Escalation;

/// Mean excesses. With P(y > u) = 0.05: ln(0.05 / 10⁻⁵).
const LEAST_THRESHOLD: f64 = 8.5;

/// Of a normal tail, in spreads: E[z - 1.645 | z > 1.645] / 1.645 = 0.418 / 1.645.
const FIRST_MEAN_EXCESS: f64 = 0.25;

/// Excesses that the first mean counts for: few, since a tail may be quite another.
const FIRST_EXCESSES: u32 = 4;

/// Excesses that the mean remembers.
const MEMORY_EXCESSES: u32 = 30;

/// An excess teaches at most this many means: one catastrophe must not hide the next.
const CLIP_MEANS: f64 = 4.0;

/// The mean excess stays above this many spreads: a tail that is cut off would make an anomaly of its last digit.
const LEAST_MEAN_EXCESS: f64 = 0.1;

/// Promises before the first judgement: by then every expert has its residuals.
const WARM_UP_PROMISES: u32 = 20;

/// Promises in a row under half the threshold that end an incident.
const CALM_PROMISES: u32 = 1;

/// What a user may tune.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResidualSettings {
    /// Findings per promise and side that even the wildest forecast may cause, above 0 up to 0.01. Default 0.001: a
    /// promise lasts a horizon, so at two minutes this is under one a day.
    pub alarm_rate: f64,
}

impl Default for ResidualSettings {
    fn default() -> Self {
        Self { alarm_rate: 1e-3 }
    }
}

impl ResidualSettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name.
    #[must_use]
    pub fn faults(&self) -> Vec<&'static str> {
        let holds = self.alarm_rate > 0.0 && self.alarm_rate <= RATE_MAX;
        if holds { Vec::new() } else { vec!["alarm_rate must be above 0, up to 0.01, such as 0.001"] }
    }
}

/// What is forecast of the peak over some steps to come, in the signal's unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// The first step that it is about.
    pub first_step: u64,
    /// How many steps it is about, at least 1.
    pub steps: u32,
    /// The peak's median.
    pub median: f64,
    /// Its quantile at `level`, not below the median.
    pub upper: f64,
    /// The level of `upper`, for the sentence.
    pub level: f64,
}

/// Finds peaks far outside of what was forecast. Score and threshold are in mean excesses beyond the quantile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Residual {
    scale_floor: f64,
    open: Option<Open>,
    kept: u32,
    above: Tail,
    below: Tail,
}

/// A promise under way.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Open {
    promise: Promise,
    /// Whether every step so far was observed.
    whole: bool,
    next_step: u64,
    /// The largest so far; none before the first observed step.
    peak: Option<f64>,
}

/// What is known of the excesses on one side.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tail {
    mean_excess: f64,
    /// How many the mean is of, as far as they are remembered.
    excesses: u32,
    budget: AlarmBudget,
    escalation: Escalation,
}

impl Residual {
    /// A detector that has seen nothing. `scale_floor` is the least spread that an excess is measured in, in the signal's
    /// unit, above 0.
    ///
    /// # Panics
    /// If a setting is outside its documented range.
    pub fn new(settings: ResidualSettings, scale_floor: f64) -> Self {
        assert_eq!(settings.faults(), Vec::<&str>::new());
        let tail = Tail {
            mean_excess: FIRST_MEAN_EXCESS,
            excesses: FIRST_EXCESSES,
            budget: AlarmBudget::new(LEAST_THRESHOLD, settings.alarm_rate),
            escalation: Escalation::new(CALM_PROMISES),
        };
        Self { scale_floor, open: None, kept: 0, above: tail.clone(), below: tail }
    }

    /// Whether a promise is wanted: none is open.
    pub fn wants(&self) -> bool {
        self.open.is_none()
    }

    /// Takes a promise, made before its first step, if none is open.
    pub fn promise(&mut self, promise: Promise) {
        let sound = promise.steps > 0 && promise.median.is_finite() && promise.upper.is_finite();
        if sound && self.open.is_none() {
            self.open = Some(Open { promise, whole: true, next_step: promise.first_step, peak: None });
        }
    }

    /// Takes what came of `step`, at event time `time_ms`; the finding, if an incident begins or becomes critical with it.
    pub fn observe(&mut self, time_ms: u64, step: u64, value: Option<f64>) -> Option<Finding> {
        let mut open = self.open.filter(|open| step >= open.promise.first_step)?;
        let over = step + 1 >= open.promise.first_step + u64::from(open.promise.steps);
        // A step beyond the last one is not the promise's; those between are missing.
        let own = step < open.promise.first_step + u64::from(open.promise.steps);
        let value = value.filter(|value| own && value.is_finite());
        open.whole &= value.is_some() && step == open.next_step;
        open.next_step = step + 1;
        open.peak = match (open.peak, value) {
            (Some(peak), Some(value)) => Some(peak.max(value)),
            (peak, value) => peak.or(value),
        };
        let finding = self.judge(time_ms, &open, over);
        self.open = (!over).then_some(open);
        finding
    }

    fn judge(&mut self, time_ms: u64, open: &Open, over: bool) -> Option<Finding> {
        let peak = open.peak?;
        let Promise { median, upper, .. } = open.promise;
        let spread = (upper - median).max(RELATIVE_SCALE_FLOOR * median.abs()).max(self.scale_floor);
        let armed = self.kept >= WARM_UP_PROMISES;
        let found = self.above.judge((peak - upper) / spread, armed, over);
        // Until it is over a peak may still come.
        let sunk =
            if over && open.whole { self.below.judge((median - peak) / spread - 1.0, armed, over) } else { None };
        if over {
            self.kept = self.kept.saturating_add(1);
        }
        let (score, threshold) = found.or(sunk)?;
        let expected = if found.is_some() { upper } else { (median - spread).max(0.0) };
        Some(Finding {
            kind: Kind::Residual,
            time_ms,
            score,
            threshold,
            expected: Some(expected),
            observed: peak,
            evidence: format!(
                "peak of {} within {} steps, forecast {} at the median and {} at quantile {}: {} times the usual miss",
                figure(peak),
                open.promise.steps,
                figure(median),
                figure(upper),
                figure(open.promise.level),
                figure(score)
            ),
        })
    }
}

impl Tail {
    /// Score and threshold when an incident begins on this side or becomes critical. `excess` is in spreads, of the peak so
    /// far or, once the promise is `over`, of the whole.
    fn judge(&mut self, excess: f64, armed: bool, over: bool) -> Option<(f64, f64)> {
        let score = self.budget.capped(excess.max(0.0) / self.mean_excess);
        let threshold = self.budget.threshold();
        let was_armed = self.escalation.is_armed();
        // Before the end only an excess counts: calm is told by whole promises.
        let told = armed && (over || score > threshold) && self.escalation.begins(score / threshold);
        if armed && was_armed && (over || told) {
            self.budget.note(told);
        }
        if over && excess > 0.0 {
            self.learn(excess);
        }
        told.then_some((score, threshold))
    }

    fn learn(&mut self, excess: f64) {
        self.excesses = (self.excesses + 1).min(MEMORY_EXCESSES);
        let surprise = excess.min(CLIP_MEANS * self.mean_excess) - self.mean_excess;
        self.mean_excess = (self.mean_excess + surprise / f64::from(self.excesses)).max(LEAST_MEAN_EXCESS);
    }
}

#[cfg(test)]
mod tests;
