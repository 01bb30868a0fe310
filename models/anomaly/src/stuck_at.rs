//! The same value again and again where it used to change: a sensor, an exporter or a process that hangs.
//!
//! ```text
//! rate  = changes / ticks, of runs of equal values that are over (about the last hour)
//! score = ticks of the run under way x rate                         changes that usually would have come
//! ```
//!
//! Where changes come independently, P(none in the run) ≤ e^-score: at the least threshold of 20 one run in 5 x 10⁸. A
//! value that is scraped every 15 ticks, or that moves once a minute, is given time accordingly, and one that never moved
//! has a rate of 0 and is never found. A finding needs `least_ticks` equal values as well.
//!
//! Changes do come in bursts, so the threshold is an [`AlarmBudget`]: N ticks give at most about
//! `alarm_rate` x N + 9 findings, and as many again that an incident became critical, whatever the signal. A long run
//! is also learnt, once it is over: a workload that rests every night is soon given the night.
//!
//! State: a few numbers. Cost: O(1).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alarm_budget::{AlarmBudget, RATE_MAX};
use crate::detector::{CRITICAL_RATIO, Detector, Finding, Kind, figure};

/// Changes that usually would have come.
const LEAST_THRESHOLD: f64 = 20.0;

/// Ticks that the rate of changes remembers: an hour at one tick a second.
const MEMORY_TICKS: f64 = 3600.0;

/// Changes before the first judgement: enough to know their rate to about 20 %.
const WARM_UP_CHANGES: f64 = 30.0;

/// What a user may tune.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StuckAtSettings {
    /// Equal values in a row that a finding needs at least, 2 to 86400. Default 60: a minute without any news is one of a
    /// hanging source, less may be a slow scrape.
    pub least_ticks: u32,
    /// Findings per tick that even the wildest signal may cause, above 0 up to 0.01. Default 0.0001: under nine a day at
    /// one tick a second.
    pub alarm_rate: f64,
}

impl Default for StuckAtSettings {
    fn default() -> Self {
        Self { least_ticks: 60, alarm_rate: 1e-4 }
    }
}

impl StuckAtSettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name.
    #[must_use]
    pub fn faults(&self) -> Vec<&'static str> {
        let checks = [
            ((2..=86_400).contains(&self.least_ticks), "least_ticks must lie in 2 to 86400, such as 60"),
            (
                self.alarm_rate > 0.0 && self.alarm_rate <= RATE_MAX,
                "alarm_rate must be above 0, up to 0.01, such as 0.0001",
            ),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }
}

/// Finds a value that has stopped to change. Score and threshold are changes that usually would have come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StuckAt {
    settings: StuckAtSettings,
    budget: AlarmBudget,
    last: Option<f64>,
    /// Repetitions of the last value so far.
    run_ticks: u32,
    /// The threshold that this run exceeded first; none while it has not.
    exceeded: Option<f64>,
    escalated: bool,
    changes: f64,
    ticks: f64,
}

impl StuckAt {
    /// A detector that has seen nothing.
    ///
    /// # Panics
    /// If a setting is outside its documented range.
    pub fn new(settings: StuckAtSettings) -> Self {
        assert_eq!(settings.faults(), Vec::<&str>::new());
        Self {
            budget: AlarmBudget::new(LEAST_THRESHOLD, settings.alarm_rate),
            settings,
            last: None,
            run_ticks: 0,
            exceeded: None,
            escalated: false,
            changes: 0.0,
            ticks: 0.0,
        }
    }

    /// Ends a run of equal values and learns from it.
    fn change(&mut self) {
        self.ticks += 1.0 + f64::from(self.run_ticks);
        self.changes += 1.0;
        if self.ticks > MEMORY_TICKS {
            self.changes *= MEMORY_TICKS / self.ticks;
            self.ticks = MEMORY_TICKS;
        }
        (self.run_ticks, self.exceeded, self.escalated) = (0, None, false);
    }

    /// A finding when the run exceeds the threshold, and one more when it exceeds twice that.
    fn judge(&mut self, time_ms: u64, value: f64) -> Option<Finding> {
        let rate = self.changes / self.ticks;
        let score = self.budget.capped(f64::from(self.run_ticks) * rate);
        let threshold = self.exceeded.unwrap_or(self.budget.threshold());
        let critical = score > CRITICAL_RATIO * threshold;
        let begins = self.exceeded.is_none() && score > threshold;
        let found = begins || (critical && !self.escalated);
        if self.exceeded.is_none() {
            self.budget.note(begins);
        }
        if found {
            (self.exceeded, self.escalated) = (Some(threshold), critical);
        }
        found.then(|| Finding {
            kind: self.kind(),
            time_ms,
            score,
            threshold,
            expected: None,
            observed: value,
            evidence: format!(
                "the same {} for {} ticks, where it usually changes every {} ticks",
                figure(value),
                self.run_ticks,
                figure(1.0 / rate)
            ),
        })
    }
}

impl Detector for StuckAt {
    fn kind(&self) -> Kind {
        Kind::StuckAt
    }

    fn observe(&mut self, time_ms: u64, value: Option<f64>) -> Option<Finding> {
        let value = value.filter(|value| value.is_finite())?;
        let before = self.last.replace(value)?;
        if before != value {
            self.change();
            self.budget.note(false);
            return None;
        }
        self.run_ticks = self.run_ticks.saturating_add(1);
        let lasting = self.run_ticks >= self.settings.least_ticks && self.changes >= WARM_UP_CHANGES;
        if lasting {
            return self.judge(time_ms, value);
        }
        self.budget.note(false);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Severity;
    use crate::noise::Noise;

    /// The findings of a default detector.
    fn found(series: impl IntoIterator<Item = Option<f64>>) -> Vec<Finding> {
        let mut stuck = StuckAt::new(StuckAtSettings::default());
        (0u64..).zip(series).filter_map(|(tick, value)| stuck.observe(tick, value)).collect()
    }

    /// A value that changes with chance `rate` at each tick, but for the ticks from `stuck` on.
    fn changing(seed: u64, rate: f64, ticks: u64, stuck: u64) -> Vec<Option<f64>> {
        let mut noise = Noise(seed);
        let mut value = 1.0;
        let step = |tick| {
            if tick < stuck && noise.uniform() < rate {
                value += noise.normal();
            }
            Some(value)
        };
        (0..ticks).map(step).collect()
    }

    #[test]
    fn a_lively_value_that_hangs_is_found_once() {
        // It changes at every tick; tick 1000 repeats 999. With the 60th repetition, tick 1059, 60 changes are missing:
        // more than twice the threshold of 20, so it is critical at once and said once.
        let findings = found(changing(1, 1.0, 5000, 1000));
        let at: Vec<_> = findings.iter().map(|finding| (finding.time_ms, finding.severity())).collect();
        assert_eq!(at, [(1059, Severity::Critical)]);
        assert!(
            findings[0].evidence.ends_with("for 60 ticks, where it usually changes every 1.00 ticks"),
            "{}",
            findings[0].evidence
        );
    }

    #[test]
    fn a_slow_value_is_given_time_and_escalates() {
        // It changes every 10 ticks, the last time at tick 990: more than 20 changes are missing with the 201st repetition,
        // more than 40 with the 401st.
        let series = (0..5000).map(|tick| Some((tick.min(999) / 10) as f64));
        let at: Vec<_> = found(series).iter().map(|finding| (finding.time_ms, finding.severity())).collect();
        assert_eq!(at, [(1191, Severity::Warning), (1391, Severity::Critical)]);
    }

    #[test]
    fn independent_changes_of_any_rate_are_silent() {
        for (seed, rate) in [(2, 0.9), (3, 0.1), (4, 0.01)] {
            // e^-20 a run, of at most 200 000 runs: 4 x 10^-4 findings are expected.
            assert!(found(changing(seed, rate, 200_000, u64::MAX)).is_empty(), "rate {rate}");
        }
    }

    #[test]
    fn what_never_moved_is_not_stuck() {
        assert!(found((0..100_000).map(|_| Some(4.0))).is_empty());
        // 29 changes are too few to know a rate from.
        assert!(found((0..100_000).map(|tick: u64| Some(tick.min(29) as f64))).is_empty());
    }

    #[test]
    fn bursts_stay_under_the_guarantee_and_are_learnt() {
        // Ten changes, then 200 equal values, for ever: the rate becomes 1/20, and 10 changes are missing at the most.
        let findings = found((0..200_000).map(|tick: u64| Some((10 * (tick / 210) + (tick % 210).min(9)) as f64)));
        assert!(findings.len() <= 2 * (20 + 9), "{}", findings.len());
        let late = findings.iter().filter(|finding| finding.time_ms > 10_000).count();
        assert_eq!(late, 0, "the bursts are usual by then");
    }

    #[test]
    fn no_adversary_beats_the_guarantee() {
        // A thousand changes, then as long a run as is found, and again: each finding doubles the threshold.
        let mut stuck = StuckAt::new(StuckAtSettings { least_ticks: 2, alarm_rate: 0.01 });
        let (mut begun, mut value) = (0, 0.0);
        for tick in 0..200_000_u64 {
            let hangs = tick % 1200 > 1000 && stuck.exceeded.is_none();
            value += if hangs { 0.0 } else { 1.0 };
            let finding = stuck.observe(tick, Some(value));
            begun += u32::from(finding.is_some());
        }
        assert!(begun > 10, "the adversary succeeds: {begun}");
        assert!(f64::from(begun) <= 2.0 * (0.0101 * 200_000.0 + 9.0), "{begun}");
    }

    #[test]
    fn a_missing_value_is_neither_a_change_nor_a_repetition() {
        let mut series = changing(5, 1.0, 1000, u64::MAX);
        series.extend((0..10_000).map(|_| None));
        assert!(found(series).is_empty());
    }
}
