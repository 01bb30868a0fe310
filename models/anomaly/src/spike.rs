//! A value far from the recent median, on every tick, under a bounded rate of false alarms.
//!
//! # Score
//!
//! ```text
//! score = |value - median| / max(1.4826 MAD, 1 % of |median|, scale floor)       median and MAD of the last W values
//! ```
//!
//! Both estimates ignore up to half of the window, so a spike does not hide the next one.
//!
//! # Threshold
//!
//! An [`AlarmBudget`] of rate α: for every series whatever, N armed ticks give at most about αN + 9 findings. Ticks within
//! an episode are not armed: they neither count nor teach.
//!
//! | signal, α = 10⁻⁴ | findings in 100 000 ticks |
//! |---|---|
//! | normal noise, P(score > 5) = 1.5 x 10⁻⁶ | 0 or 1 |
//! | Student's t with 3 degrees of freedom | 12 or 13, of 19 that the guarantee allows |
//!
//! # Time
//!
//! No findings until the window is full. A step to a new level is one finding; after W/2 ticks the median has
//! followed it, and [`CALM_TICKS`] later the detector is armed again. State: two copies of the window, 16 W bytes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alarm_budget::{AlarmBudget, RATE_MAX};
use crate::detector::{DEVIATIONS_PER_MAD, Detector, Finding, Kind, RELATIVE_SCALE_FLOOR, figure};
use crate::episode::Episode;
use crate::ranked_window::RankedWindow;

/// Five robust standard deviations: normal noise passes them 1.5 times in a million ticks, errors of the scale
/// included.
const LEAST_THRESHOLD: f64 = 5.0;

/// Ticks in a row under half the threshold that end an episode: a burst with shorter pauses is one incident.
const CALM_TICKS: u32 = 10;

/// What a user may tune.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpikeSettings {
    /// Ticks that count as recent, 3 to 3600. Default 300: long against a spike, short against the daily cycle.
    pub window_ticks: usize,
    /// Findings per tick that even the wildest signal may cause, above 0 up to 0.01. Default 0.0001: under nine a day at
    /// one tick a second. Higher finds smaller spikes and more that are none.
    pub alarm_rate: f64,
    /// The least scale that a value's distance is measured in, in the signal's unit, above 0. Default 0.001: one
    /// millicore, one millisecond. Higher ignores the noise of a signal near zero.
    pub scale_floor: f64,
}

impl Default for SpikeSettings {
    fn default() -> Self {
        Self { window_ticks: 300, alarm_rate: 1e-4, scale_floor: 1e-3 }
    }
}

/// Finds values far from the recent median. Score and threshold are in robust standard deviations.
///
/// N armed ticks (ticks outside an incident) give at most about `alarm_rate` x N + 9 findings, whatever the signal.
///
/// ```
/// use anomaly::{Detector, Spike, SpikeSettings};
/// let mut spike = Spike::new(SpikeSettings { window_ticks: 60, ..SpikeSettings::default() });
/// let found: Vec<u64> = (0..200)
///     .filter(|&tick| spike.observe(tick * 1000, Some(if tick == 150 { 3.0 } else { 1.0 })).is_some())
///     .collect();
/// assert_eq!(found, [150]);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spike {
    settings: SpikeSettings,
    window: RankedWindow,
    budget: AlarmBudget,
    episode: Episode,
}

impl SpikeSettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name.
    #[must_use]
    pub fn faults(&self) -> Vec<&'static str> {
        let checks = [
            ((3..=3600).contains(&self.window_ticks), "window_ticks must lie in 3 to 3600, such as 300"),
            (
                self.alarm_rate > 0.0 && self.alarm_rate <= RATE_MAX,
                "alarm_rate must be above 0, up to 0.01, such as 0.0001",
            ),
            (self.scale_floor > 0.0 && self.scale_floor.is_finite(), "scale_floor must be above 0, such as 0.001"),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }
}

impl Spike {
    /// A detector that has seen nothing.
    ///
    /// # Panics
    /// If a setting is outside its documented range.
    pub fn new(settings: SpikeSettings) -> Self {
        assert_eq!(settings.faults(), Vec::<&str>::new());
        Self {
            window: RankedWindow::new(settings.window_ticks),
            budget: AlarmBudget::new(LEAST_THRESHOLD, settings.alarm_rate),
            settings,
            episode: Episode::new(CALM_TICKS),
        }
    }

    fn judge(&mut self, time_ms: u64, value: f64) -> Option<Finding> {
        let expected = self.window.median();
        let scale = (DEVIATIONS_PER_MAD * self.window.mad())
            .max(RELATIVE_SCALE_FLOOR * expected.abs())
            .max(self.settings.scale_floor);
        let score = self.budget.capped((value - expected).abs() / scale);
        let threshold = self.budget.threshold();
        let armed = self.episode.is_armed();
        let begins = self.episode.begins(score / threshold);
        if armed {
            self.budget.note(begins);
        }
        begins.then(|| Finding {
            kind: self.kind(),
            time_ms,
            score,
            threshold,
            expected: Some(expected),
            observed: value,
            evidence: format!(
                "observed {}, expected {} ± {} over the last {} ticks",
                figure(value),
                figure(expected),
                figure(scale),
                self.settings.window_ticks
            ),
        })
    }
}

impl Detector for Spike {
    fn kind(&self) -> Kind {
        Kind::Spike
    }

    fn observe(&mut self, time_ms: u64, value: Option<f64>) -> Option<Finding> {
        let value = value.filter(|value| value.is_finite())?;
        let finding = if self.window.is_full() { self.judge(time_ms, value) } else { None };
        self.window.push(value);
        finding
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    /// The ticks at which a default detector finds something.
    fn found(series: impl IntoIterator<Item = Option<f64>>) -> Vec<u64> {
        let mut spike = Spike::new(SpikeSettings::default());
        let ticks = (0u64..).zip(series);
        ticks.filter_map(|(tick, value)| spike.observe(tick, value).map(|finding| finding.time_ms)).collect()
    }

    #[test]
    fn finds_injected_spikes_at_their_tick() {
        let mut noise = Noise(1);
        // 12 standard deviations up, then down: each beyond the threshold of its time (5, then 10 less a little).
        let series = (0..3000).map(|tick| {
            let spike = if tick == 1000 {
                1.2
            } else if tick == 2000 {
                -1.2
            } else {
                0.0
            };
            Some(4.0 + 0.1 * noise.normal() + spike)
        });
        assert_eq!(found(series), [1000, 2000]);
    }

    #[test]
    fn reports_what_was_expected() {
        let mut spike = Spike::new(SpikeSettings::default());
        (0..300).for_each(|tick| assert_eq!(spike.observe(tick, Some(1.0)), None));
        // The window is constant, so the scale is its floor of 1 %: (1.12 - 1) / 0.01 = 12, above 2 x 5.
        let finding = spike.observe(300, Some(1.12)).expect("12 deviations exceed 5");
        assert!((finding.score - 12.0).abs() < 1e-9);
        assert_eq!((finding.threshold, finding.expected, finding.observed), (5.0, Some(1.0), 1.12));
        assert_eq!(finding.severity(), crate::Severity::Critical);
        assert_eq!(finding.evidence, "observed 1.12, expected 1.00 ± 0.01 over the last 300 ticks");
    }

    #[test]
    fn normal_noise_stays_under_the_stated_rate() {
        for seed in 0..5 {
            let mut noise = Noise(seed);
            // The stated rate allows 10^-4 x 100 000 = 10. With the scale's relative error of 1.17 / sqrt(300) = 7 %,
            // P(score > 5) is 1.5 x 10^-6: 0.15 findings are expected, and 10 or more have a chance under 10^-14.
            assert!(found((0..100_000).map(|_| Some(2.0 + 0.3 * noise.normal()))).len() < 10);
        }
    }

    #[test]
    fn a_heavy_tail_stays_under_the_guarantee() {
        for seed in 0..5 {
            let mut noise = Noise(seed);
            let findings = found((0..100_000).map(|_| Some(2.0 + 0.3 * noise.heavy_tailed()))).len();
            // With the threshold fixed at 5, P(|t3| > 5.67) = 1 % would give about 500; the guarantee is 10 + 9.
            assert!((1..=19).contains(&findings), "{findings} findings");
        }
    }

    #[test]
    fn no_adversary_beats_the_guarantee() {
        let settings = SpikeSettings { window_ticks: 60, alarm_rate: 0.01, scale_floor: 1.0 };
        let mut spike = Spike::new(settings);
        (0..60).for_each(|tick| assert_eq!(spike.observe(tick, Some(0.0)), None));
        let (mut armed_ticks, mut findings) = (0, 0);
        for tick in 60..100_000 {
            // Just beyond the threshold whenever that is found, calm otherwise. One tick in eleven leaves median and
            // MAD at 0.
            let armed = spike.episode.is_armed();
            let strike = 1.01 * spike.budget.threshold();
            let value = if armed && spike.budget.capped(strike) == strike { strike } else { 0.0 };
            armed_ticks += u32::from(armed);
            findings += u32::from(spike.observe(tick, Some(value)).is_some());
        }
        // -log2(1 - 0.01 ln 2) = 0.01003 findings a tick, and 9.
        let bound = 0.01003 * f64::from(armed_ticks) + 9.0;
        assert!(f64::from(findings) <= bound, "{findings} in {armed_ticks}");
        assert!(
            f64::from(findings) > bound - 10.0,
            "the adversary should nearly reach the bound: {findings} in {armed_ticks}"
        );
    }

    #[test]
    fn a_constant_series_is_silent() {
        assert!(found((0..5000).map(|_| Some(0.0))).is_empty());
        assert!(found((0..5000).map(|_| Some(7.3e9))).is_empty());
    }

    #[test]
    fn a_level_shift_is_one_finding_and_then_normal() {
        let mut noise = Noise(3);
        let mut spike = Spike::new(SpikeSettings::default());
        let mut found = Vec::new();
        for tick in 0..2000 {
            let level = if tick < 1000 { 1.0 } else { 3.0 };
            found.extend(spike.observe(tick, Some(level + 0.05 * noise.normal())).map(|finding| finding.time_ms));
            // 151 of 300 values are of the new level at tick 1150; ten calm ticks more; some slack for a tick that is
            // not calm.
            assert!(tick < 1180 || spike.episode.is_armed(), "not absorbed at {tick}");
        }
        assert_eq!(found, [1000]);
    }

    #[test]
    fn a_missing_value_is_not_a_zero() {
        let mut noise = Noise(4);
        let series: Vec<Option<f64>> = (0..2000)
            .map(|tick| if tick % 7 == 3 || tick > 1500 { None } else { Some(5.0 + 0.1 * noise.normal()) })
            .collect();
        assert!(found(series).is_empty());
        assert!(found((0..2000).map(|tick| Some(if tick == 900 { f64::NAN } else { 5.0 }))).is_empty());
    }
}
