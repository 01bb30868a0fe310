//! The check over long history: is the newest hour unlike the same hour of the days before?
//!
//! A bounded buffer of equally spaced points. [`SeasonalCheck::check`], run once an hour, asks S-H-ESD for outliers
//! and reports those of the newest hour, each once, if they also stand [`THRESHOLD`] robust standard deviations from
//! the median of their phase (S-H-ESD gives no scores; this one is ours):
//!
//! ```text
//! score = |value - m(phase)| / max(1.4826 median |x - m(phase of x)|, 1 % of |m|)      m: median over the periods
//! ```
//!
//! - Fewer than [`LEAST_PERIODS`] periods: not judged. With two, the seasonal part absorbs the outliers themselves.
//! - Gaps: below 5 % of the points the last value is carried over them (and never reported); at 5 % or more: not
//!   judged.
//! - A lasting change of level floods the test, which takes one median for all the history; `Spike` is the detector
//!   for that.
//! - Without the feature `seasonal-hybrid-esd` the type is the same and so is the snapshot, but it keeps no points
//!   and judges nothing; [`SeasonalCheck::AVAILABLE`] tells.
//!
//! State: 8 bytes a point, at most 2880 points. Late points are dropped.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detector::{DEVIATIONS_PER_MAD, Finding, Kind, RELATIVE_SCALE_FLOOR, SCORE_CAP, figure};
use crate::esd;
use crate::median::median;

/// Robust standard deviations; near the critical value of the test itself (3.9 for 700 points at 5 %).
const THRESHOLD: f64 = 4.0;

/// Enough that a value cannot be taken for its own season.
const LEAST_PERIODS: usize = 4;

/// Gaps allowed: fewer than one point in this many, 5 %.
const POINTS_PER_GAP: usize = 20;

/// 30 days of 15 minutes. Cost grows with the square of the length.
const MAX_POINTS: usize = 2880;

const HOUR_MS: u64 = 3_600_000;

/// What a user may tune.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SeasonalSettings {
    /// Distance of two points in milliseconds of event time, above 0. Default 900000, 15 minutes.
    pub step_ms: u64,
    /// Points kept, 1 to 2880. Default 1344: two weeks of 15 minutes. The cost of a check grows with the square.
    pub points: usize,
}

impl Default for SeasonalSettings {
    fn default() -> Self {
        Self { step_ms: 900_000, points: 1344 }
    }
}

/// Finds values unlike those at the same time of earlier periods. Score and threshold are in robust standard
/// deviations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeasonalCheck {
    settings: SeasonalSettings,
    // Invariant: at most `settings.points`, one a step up to `newest_step`, and the oldest is not a gap.
    points: VecDeque<Option<f32>>,
    newest_step: u64,
    // Invariant: after a check, times of its newest hour only.
    reported_ms: Vec<u64>,
}

/// What is usual at each phase of the period.
struct Usual {
    by_phase: Vec<f64>,
    deviation: f64,
}

impl SeasonalSettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name.
    #[must_use]
    pub fn faults(&self) -> Vec<&'static str> {
        let checks = [
            (self.step_ms > 0, "step_ms must be above 0, such as 900000"),
            ((1..=MAX_POINTS).contains(&self.points), "points must lie in 1 to 2880, such as 1344"),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }
}

impl SeasonalCheck {
    /// Whether this build can judge seasons: the feature `seasonal-hybrid-esd`.
    pub const AVAILABLE: bool = esd::AVAILABLE;

    /// A check without history.
    ///
    /// # Panics
    /// If a setting is outside its documented range.
    pub fn new(settings: SeasonalSettings) -> Self {
        assert_eq!(settings.faults(), Vec::<&str>::new());
        Self { settings, points: VecDeque::new(), newest_step: 0, reported_ms: Vec::new() }
    }

    /// Takes the point of the step that `time_ms` falls in. Steps that were left out become gaps; a second value for
    /// the newest step replaces the first; earlier steps are closed.
    pub fn observe(&mut self, time_ms: u64, value: Option<f64>) {
        if !Self::AVAILABLE {
            return;
        }
        let point = value.map(|value| value as f32).filter(|value| value.is_finite());
        let step = time_ms / self.settings.step_ms;
        if !self.points.is_empty() && step <= self.newest_step {
            self.replace_newest(step, point);
            return;
        }
        let gaps = step.saturating_sub(self.newest_step).saturating_sub(1).min(self.settings.points as u64);
        (0..gaps).for_each(|_| self.push(None));
        self.push(point);
        self.newest_step = step;
    }

    /// Outliers of the newest hour that were not reported yet; `None` if there is too little history, too many gaps,
    /// a `period` (in points) below 2, or no test in this build.
    pub fn check(&mut self, period: usize) -> Option<Vec<Finding>> {
        let series = self.filled(period)?;
        let outliers = esd::outliers(&to_unit_range(&series), period)?;
        let usual = Usual::of(&series, period);
        let hour_start_ms = (self.newest_step * self.settings.step_ms).saturating_sub(HOUR_MS - 1);
        self.reported_ms.retain(|time_ms| *time_ms >= hour_start_ms);
        let fresh = outliers.into_iter().filter(|index| {
            let time_ms = self.time_ms(*index);
            time_ms >= hour_start_ms && self.points[*index].is_some() && !self.reported_ms.contains(&time_ms)
        });
        let findings: Vec<Finding> =
            fresh.filter_map(|index| usual.judge(index, series[index], self.time_ms(index))).collect();
        self.reported_ms.extend(findings.iter().map(|finding| finding.time_ms));
        Some(findings)
    }

    fn replace_newest(&mut self, step: u64, point: Option<f32>) {
        if step == self.newest_step && point.is_some() {
            self.points.pop_back();
            self.push(point);
        }
    }

    fn push(&mut self, point: Option<f32>) {
        self.points.push_back(point);
        while self.points.len() > self.settings.points || self.points.front().is_some_and(Option::is_none) {
            self.points.pop_front();
        }
    }

    fn time_ms(&self, index: usize) -> u64 {
        let age_steps = (self.points.len() - 1 - index) as u64;
        (self.newest_step - age_steps) * self.settings.step_ms
    }

    /// The points with gaps carried over, if they can be judged.
    fn filled(&self, period: usize) -> Option<Vec<f32>> {
        let gaps = self.points.iter().filter(|point| point.is_none()).count();
        let enough = period >= 2 && self.points.len() / LEAST_PERIODS >= period;
        if !enough || gaps * POINTS_PER_GAP >= self.points.len() {
            return None;
        }
        let carried = self.points.iter().scan(None, |last: &mut Option<f32>, point| {
            *last = point.or(*last);
            *last
        });
        Some(carried.collect())
    }
}

impl Usual {
    fn of(series: &[f32], period: usize) -> Self {
        let series = || series.iter().copied().map(f64::from);
        let of_phase = |phase| median(series().skip(phase).step_by(period).collect());
        let by_phase: Vec<f64> = (0..period).map(of_phase).collect();
        let residuals = series().zip(by_phase.iter().cycle()).map(|(value, usual)| (value - usual).abs());
        let deviation = DEVIATIONS_PER_MAD * median(residuals.collect());
        Self { by_phase, deviation }
    }

    fn judge(&self, index: usize, observed: f32, time_ms: u64) -> Option<Finding> {
        let expected = self.by_phase[index % self.by_phase.len()];
        let observed = f64::from(observed);
        let scale = self.deviation.max(RELATIVE_SCALE_FLOOR * expected.abs()).max(f64::from(f32::MIN_POSITIVE));
        let score = ((observed - expected).abs() / scale).min(SCORE_CAP);
        (score > THRESHOLD).then(|| Finding {
            kind: Kind::SeasonalOutlier,
            time_ms,
            score,
            threshold: THRESHOLD,
            expected: Some(expected),
            observed,
            evidence: format!(
                "observed {}, usual at this time of the period {} ± {}",
                figure(observed),
                figure(expected),
                figure(scale)
            ),
        })
    }
}

/// Shifted and scaled into [-1/2, 1/2]: the test does not mind, and its squares can then neither overflow nor lose a
/// small variation of a large value.
fn to_unit_range(series: &[f32]) -> Vec<f32> {
    let least = f64::from(series.iter().copied().fold(f32::INFINITY, f32::min));
    let greatest = f64::from(series.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let (middle, range) = (f64::midpoint(least, greatest), (greatest - least).max(f64::MIN_POSITIVE));
    series.iter().map(|value| ((f64::from(*value) - middle) / range) as f32).collect()
}

#[cfg(test)]
mod tests;
