//! What a user may tune of a canary.

use schemas::Criterion;
use serde::{Deserialize, Serialize};

/// How requests reach baseline and canary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Design {
    /// Both get the same requests at the same time: the mood of the load and each request's own weight are shared, and cancel.
    #[default]
    Mirrored,
    /// Each request goes to one of them at random, to either as often: an A/B split. Where the new version gets a small share of
    /// all requests, the baseline is an instance that gets as small a one, and all others are not looked at.
    Split,
}

/// What is asked of one criterion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A canary worse by less than this is as good as the baseline; above 0. Latency and CPU: a share of the baseline's.
    /// Errors: points of all answers, below 1. Memory: a share of the baseline's working set per hour.
    pub margin: f64,
    /// Part of the alarm rate that is spent here, relative to the others, at least 0. At 0 harm is shown, not judged.
    pub weight: f64,
    /// Whether to pass needs evidence here. Otherwise the criterion may only fail the canary.
    pub needed: bool,
}

/// Settings of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CanarySettings {
    /// Chance that a canary no worse than its baseline is ever called a regression, however long and often one looks;
    /// above 0, below 1. The same bounds that one worse by a margin ever passes. Default 0.05.
    pub alpha: f64,
    /// How requests reach the two. Default mirrored.
    pub design: Design,
    /// Length of a tick, above 0. Default 1000.
    pub tick_ms: u64,
    /// So many ticks without answers of both sides are no data. Default 60: a minute of seconds.
    pub silent_ticks: u32,
    /// The median of latency. Default: a tenth.
    pub latency_p50: Rule,
    /// The 95th percentile of latency. Default: a tenth.
    pub latency_p95: Rule,
    /// The 99th percentile of latency. Default: a fifth, since a hundredth of the answers teaches slowly.
    pub latency_p99: Rule,
    /// Failed answers. Default: half a point; it weighs most, as nothing harms users more.
    pub errors: Rule,
    /// CPU per request. Default: a tenth.
    pub cpu: Rule,
    /// Growth of memory. Default: a fifth per hour, and not needed to pass: that takes hours.
    pub memory_growth: Rule,
}

impl Default for CanarySettings {
    fn default() -> Self {
        let rule = |margin, weight| Rule { margin, weight, needed: true };
        Self {
            alpha: 0.05,
            design: Design::Mirrored,
            tick_ms: 1_000,
            silent_ticks: 60,
            latency_p50: rule(0.1, 0.1),
            latency_p95: rule(0.1, 0.15),
            latency_p99: rule(0.2, 0.2),
            errors: rule(0.005, 0.25),
            cpu: rule(0.1, 0.2),
            memory_growth: Rule { needed: false, ..rule(0.2, 0.1) },
        }
    }
}

impl CanarySettings {
    /// Defaults where only samples are known, which hold no quantile of latency but the 99th percentile.
    #[must_use]
    pub fn of_samples() -> Self {
        let settings = Self::default();
        let unknown = |rule| Rule { weight: 0.0, needed: false, ..rule };
        Self { latency_p50: unknown(settings.latency_p50), latency_p95: unknown(settings.latency_p95), ..settings }
    }

    /// The rule of a criterion.
    #[must_use]
    pub const fn rule(&self, criterion: Criterion) -> Rule {
        match criterion {
            Criterion::LatencyP50 => self.latency_p50,
            Criterion::LatencyP95 => self.latency_p95,
            Criterion::LatencyP99 => self.latency_p99,
            Criterion::Errors => self.errors,
            Criterion::Cpu => self.cpu,
            Criterion::MemoryGrowth => self.memory_growth,
        }
    }

    /// What is wrong with the settings: every fault, which begins with the setting's name.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let within = |value: f64| value > 0.0 && value < 1.0;
        let checks = [
            (within(self.alpha), "alpha must lie above 0 and below 1, such as 0.05"),
            (self.tick_ms > 0, "tick_ms must be above 0, such as 1000"),
            (self.errors.margin < 1.0, "errors: margin must lie below 1, such as 0.005"),
            (self.weights() > 0.0, "weight: at least one must be above 0"),
        ];
        let general = checks.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault.to_owned());
        general.chain(Criterion::ALL.into_iter().filter_map(|criterion| self.rule_fault(criterion))).collect()
    }

    /// The part of the alarm rate that is spent on a criterion; all parts make 1.
    pub(super) fn part(&self, criterion: Criterion) -> f64 {
        self.rule(criterion).weight / self.weights()
    }

    fn weights(&self) -> f64 {
        Criterion::ALL.into_iter().map(|criterion| self.rule(criterion).weight).sum()
    }

    fn rule_fault(&self, criterion: Criterion) -> Option<String> {
        let Rule { margin, weight, .. } = self.rule(criterion);
        let holds = margin > 0.0 && margin.is_finite() && weight >= 0.0 && weight.is_finite();
        let name = criterion.name();
        (!holds).then(|| format!("{name}: margin must be above 0 and weight at least 0, such as 0.1 and 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_without_fault() {
        assert_eq!(CanarySettings::default().faults(), Vec::<String>::new());
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let none = Rule { margin: 0.0, weight: -0.1, needed: true };
        let settings = CanarySettings { alpha: 1.0, tick_ms: 0, cpu: none, ..CanarySettings::default() };
        let faults = settings.faults();
        let named = ["alpha", "tick_ms", "cpu"];
        assert_eq!(faults.len(), named.len(), "{faults:?}");
        assert!(faults.iter().zip(named).all(|(fault, name)| fault.starts_with(name)), "{faults:?}");
    }

    #[test]
    fn parts_make_a_whole() {
        let parts: f64 = Criterion::ALL.into_iter().map(|criterion| CanarySettings::default().part(criterion)).sum();
        assert!((parts - 1.0).abs() < 1e-12);
    }
}
