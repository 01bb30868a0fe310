//! A step to another level that lasts: a deploy, a lost replica, a client that went away.
//!
//! ```text
//! z    = (value - mean) / deviation              of a slow baseline: about [`MEMORY_TICKS`]
//! lead = ticks beyond the threshold on one side, less the others, since the first of them
//! ```
//!
//! A finding when the lead reaches `lasting_ticks` and the mean z since its beginning, the score, exceeds the threshold as
//! well: a spike has passed by then, and what comes and goes never leads for long. The new level is then the baseline, so
//! that one step is one finding and the way back another. A run that decides nothing within [`RUN_RATIO`] times as many
//! ticks is no step but another way to vary: the baseline begins anew without a finding.
//!
//! *False alarms.* Independent normal noise passes the least threshold of 4 once in 16 000 ticks, and a lead of 60 never.
//! Real signals wander, so the threshold is an [`AlarmBudget`]: N ticks give at most about `alarm_rate` x N + 9 findings,
//! whatever the signal.
//!
//! A daily cycle is no step: its baseline lags by the change of five minutes, which has to exceed the noise four times.
//!
//! State: a few numbers. Cost: O(1).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alarm_budget::{AlarmBudget, RATE_MAX};
use crate::baseline::Baseline;
use crate::detector::{Detector, Finding, Kind, RELATIVE_SCALE_FLOOR, figure};

/// Deviations.
const LEAST_THRESHOLD: f64 = 4.0;

/// Ticks that the baseline remembers: five minutes at one tick a second.
const MEMORY_TICKS: f64 = 300.0;

/// Values before the first judgement, and after each finding: enough to know the deviation to about 7 %.
const WARM_UP_VALUES: u32 = 120;

/// A run is given up after so many times the ticks that a step needs.
const RUN_RATIO: u32 = 4;

/// What a user may tune.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LevelShiftSettings {
    /// Ticks that a new level has to last, more than not, 2 to 3600. Default 60: a minute tells a step from a burst.
    pub lasting_ticks: u32,
    /// Findings per tick that even the wildest signal may cause, above 0 up to 0.01. Default 0.0001: under nine a day at
    /// one tick a second.
    pub alarm_rate: f64,
    /// The least deviation that a step is measured in, in the signal's unit, above 0. Default 0.001: one millicore, one
    /// millisecond.
    pub scale_floor: f64,
}

impl Default for LevelShiftSettings {
    fn default() -> Self {
        Self { lasting_ticks: 60, alarm_rate: 1e-4, scale_floor: 1e-3 }
    }
}

impl LevelShiftSettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name.
    #[must_use]
    pub fn faults(&self) -> Vec<&'static str> {
        let checks = [
            ((2..=3600).contains(&self.lasting_ticks), "lasting_ticks must lie in 2 to 3600, such as 60"),
            (
                self.alarm_rate > 0.0 && self.alarm_rate <= RATE_MAX,
                "alarm_rate must be above 0, up to 0.01, such as 0.0001",
            ),
            (self.scale_floor > 0.0 && self.scale_floor.is_finite(), "scale_floor must be above 0, such as 0.001"),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }
}

/// Finds a lasting step of a signal's level. Score and threshold are in deviations of the level before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LevelShift {
    settings: LevelShiftSettings,
    budget: AlarmBudget,
    baseline: Baseline,
    run: Option<Run>,
}

/// Ticks since the baseline was left.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Run {
    above: bool,
    lead: u32,
    ticks: u32,
    /// Of the values, to know the new level.
    sum: f64,
}

impl LevelShift {
    /// A detector that has seen nothing.
    ///
    /// # Panics
    /// If a setting is outside its documented range.
    pub fn new(settings: LevelShiftSettings) -> Self {
        assert_eq!(settings.faults(), Vec::<&str>::new());
        Self {
            budget: AlarmBudget::new(LEAST_THRESHOLD, settings.alarm_rate),
            settings,
            baseline: Baseline::new(MEMORY_TICKS),
            run: None,
        }
    }

    fn deviation(&self) -> f64 {
        let relative = RELATIVE_SCALE_FLOOR * self.baseline.mean().abs();
        self.baseline.deviation(relative.max(self.settings.scale_floor))
    }

    /// Follows the run under way, or begins one; the finding that it ends with.
    fn judge(&mut self, time_ms: u64, value: f64, deviation: f64) -> Option<Finding> {
        let distance = value - self.baseline.mean();
        let beyond = distance.abs() > self.budget.threshold() * deviation;
        let above = distance > 0.0;
        let run = match self.run.take() {
            Some(run) => run.followed(value, beyond && above == run.above),
            None if beyond => Run { above, lead: 1, ticks: 1, sum: value },
            None => return None,
        };
        let finding = if run.lead >= self.settings.lasting_ticks { self.step(time_ms, &run, deviation) } else { None };
        let ended = finding.is_some() || run.ticks >= RUN_RATIO * self.settings.lasting_ticks;
        if ended {
            self.baseline = Baseline::new(MEMORY_TICKS);
        } else if run.lead > 0 {
            self.run = Some(run);
        }
        finding
    }

    fn step(&self, time_ms: u64, run: &Run, deviation: f64) -> Option<Finding> {
        let (before, after) = (self.baseline.mean(), run.sum / f64::from(run.ticks));
        let score = self.budget.capped((after - before).abs() / deviation);
        let threshold = self.budget.threshold();
        (score > threshold).then(|| Finding {
            kind: self.kind(),
            time_ms,
            score,
            threshold,
            expected: Some(before),
            observed: after,
            evidence: format!(
                "at {} for the last {} ticks, {} ± {} before",
                figure(after),
                run.ticks,
                figure(before),
                figure(deviation)
            ),
        })
    }
}

impl Run {
    fn followed(self, value: f64, beyond: bool) -> Self {
        let lead = if beyond { self.lead + 1 } else { self.lead - 1 };
        Self { lead, ticks: self.ticks + 1, sum: self.sum + value, ..self }
    }
}

impl Detector for LevelShift {
    fn kind(&self) -> Kind {
        Kind::LevelShift
    }

    fn observe(&mut self, time_ms: u64, value: Option<f64>) -> Option<Finding> {
        let value = value.filter(|value| value.is_finite())?;
        let deviation = self.deviation();
        if self.baseline.values() >= WARM_UP_VALUES {
            let finding = self.judge(time_ms, value, deviation);
            self.budget.note(finding.is_some());
            // What may be another level must not move this one.
            if self.run.is_some() || finding.is_some() {
                return finding;
            }
        }
        self.baseline.learn(value, deviation);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Severity;
    use crate::noise::Noise;

    /// The findings of a default detector.
    fn found(series: impl IntoIterator<Item = f64>) -> Vec<Finding> {
        let mut shift = LevelShift::new(LevelShiftSettings::default());
        (0u64..).zip(series).filter_map(|(tick, value)| shift.observe(tick, Some(value))).collect()
    }

    fn at(findings: &[Finding]) -> Vec<u64> {
        findings.iter().map(|finding| finding.time_ms).collect()
    }

    #[test]
    fn a_step_and_the_way_back_are_one_finding_each() {
        let mut noise = Noise(1);
        let level = |tick: u64| if (1000..2000).contains(&tick) { 3.0 } else { 2.0 };
        let findings = found((0..4000).map(|tick| level(tick) + 0.05 * noise.normal()));
        // 1 / 0.05 = 20 deviations; the 60th tick of a step at 1000 is 1059. The second finding stands above the doubled
        // threshold of 8, less its fall over 1000 ticks.
        assert_eq!(at(&findings), [1059, 2059]);
        assert_eq!(findings[0].severity(), Severity::Critical);
        assert!((findings[0].score - 20.0).abs() < 3.0, "{}", findings[0].score);
        let (before, after) = (findings[0].expected.expect("a level before"), findings[0].observed);
        assert!((before - 2.0).abs() < 0.02 && (after - 3.0).abs() < 0.02, "{before} {after}");
        assert!(findings[0].evidence.starts_with("at 3.0") || findings[0].evidence.starts_with("at 2.99"));
    }

    #[test]
    fn spikes_and_bursts_are_no_steps() {
        let mut noise = Noise(2);
        let burst = |tick: u64| if tick % 500 < 50 && tick > 500 { 5.0 } else { 1.0 };
        assert_eq!(at(&found((0..20_000).map(|tick| burst(tick) + 0.05 * noise.normal()))), Vec::<u64>::new());
    }

    #[test]
    fn noise_a_daily_cycle_and_a_lasting_ramp_are_silent() {
        let mut noise = Noise(3);
        assert!(found((0..200_000).map(|_| 2.0 + 0.3 * noise.normal())).is_empty());
        // 2 ± 1 cores a day rise by 7.3e-5 a tick at most: 0.022 in five minutes, under half of the noise.
        let cycle = |tick: u64| 2.0 - (std::f64::consts::TAU * tick as f64 / 86_400.0).cos();
        assert!(found((0..172_800).map(|tick| cycle(tick) + 0.05 * noise.normal())).is_empty());
        assert!(found((0..20_000).map(|tick| 2.0 + 1e-4 * tick as f64 + 0.05 * noise.normal())).is_empty());
    }

    #[test]
    fn heavy_tails_and_wanderers_stay_under_the_guarantee() {
        for seed in 0..3 {
            let mut noise = Noise(seed);
            assert!(found((0..100_000).map(|_| 2.0 + 0.3 * noise.heavy_tailed())).len() <= 1);
            let mut walk = 0.0;
            let wander = |_| {
                walk += noise.normal();
                walk
            };
            assert!(found((0..100_000).map(wander)).len() <= 19);
        }
        // Steps of 100 deviations every 400 ticks, 250 of them: the threshold of 4 doubles with each finding, beyond 100 with
        // the fifth, and halves in 10 000 ticks. So 5, and 100 000 x 10⁻⁴ more, of the 19 that the guarantee allows.
        let mut noise = Noise(9);
        let steps = found((0..100_000).map(|tick| 5.0 * ((tick / 400) % 2) as f64 + 0.05 * noise.normal()));
        assert!((5..=19).contains(&steps.len()), "{} findings", steps.len());
    }

    #[test]
    fn what_comes_and_goes_becomes_the_baseline_without_a_finding() {
        // A lead of 30 that neither grows nor falls is given up after 240 ticks; then 1 and 2 are both usual.
        let series = |tick: u64| match tick {
            0..1000 => 1.0,
            1000..1030 => 2.0,
            _ => 1.0 + (tick % 2) as f64,
        };
        let mut shift = LevelShift::new(LevelShiftSettings::default());
        assert!((0..5000).all(|tick| shift.observe(tick, Some(series(tick))).is_none()));
        assert!((shift.baseline.mean() - 1.5).abs() < 0.01 && shift.run.is_none());
    }

    #[test]
    fn a_missing_value_is_not_a_zero() {
        let mut shift = LevelShift::new(LevelShiftSettings::default());
        let mut noise = Noise(4);
        for tick in 0..3000_u64 {
            let value = 5.0 + 0.05 * noise.normal();
            let seen = (tick < 1500 && !tick.is_multiple_of(3)).then_some(value);
            assert_eq!(shift.observe(tick, seen), None);
        }
    }
}
