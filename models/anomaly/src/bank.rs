//! The detectors that one workload carries, and which of its readings goes to which.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detector::{Detector, Finding};
use crate::divergence::Divergence;
use crate::leak::{Leak, LeakSettings};
use crate::oscillation::{Oscillation, OscillationSettings};
use crate::seasonal::{SeasonalCheck, SeasonalSettings};
use crate::spike::{Spike, SpikeSettings};

/// What a user may tune, per detector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DetectorSettings {
    /// Spikes of the primary's CPU demand; the scale floor is in cores.
    pub demand: SpikeSettings,
    /// Spikes of the primary's latency; the scale floor is in seconds.
    pub latency: SpikeSettings,
    /// Leaks of the primary's memory: a floor that rises steadily over an hour.
    pub memory: LeakSettings,
    /// Oscillation of the primary's allocation: changes of direction.
    pub allocation: OscillationSettings,
    /// Outliers against the same time of earlier days; only in builds with the feature `seasonal-hybrid-esd`.
    pub seasonal: SeasonalSettings,
}

impl DetectorSettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name. Empty when they can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let detectors = [
            ("demand", self.demand.faults()),
            ("latency", self.latency.faults()),
            ("memory", self.memory.faults()),
            ("allocation", self.allocation.faults()),
            ("seasonal", self.seasonal.faults()),
        ];
        let named = |(detector, faults): (&str, Vec<&str>)| -> Vec<String> {
            faults.iter().map(|fault| format!("{detector}.{fault}")).collect()
        };
        detectors.into_iter().flat_map(named).collect()
    }
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// The primary's CPU demand, in cores.
    Demand,
    /// The primary's latency, in seconds.
    Latency,
    /// The primary's memory, in bytes.
    Memory,
    /// The shadow's load per unit of resource over the primary's.
    Amplification,
    /// The primary's allocation, in the unit it was given in.
    Allocation,
}

/// One tick of one workload; what was not observed is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Readings {
    /// CPU demand of the primary, in cores.
    pub demand_cores: Option<f64>,
    /// Latency of the primary, in seconds.
    pub latency_s: Option<f64>,
    /// Memory of the primary, in bytes.
    pub memory_bytes: Option<f64>,
    /// The primary's memory limit in force, in bytes.
    pub memory_limit_bytes: Option<f64>,
    /// The primary's load per unit of resource.
    pub primary_load: Option<f64>,
    /// The shadow's load per unit of resource, in the same unit.
    pub shadow_load: Option<f64>,
    /// The amplification k that the shadow is set to.
    pub amplification: Option<f64>,
    /// The primary's allocation, in any one unit.
    pub allocation: Option<f64>,
}

/// Every detector of one workload, about 12 kB and, once it has its history, 8 bytes a seasonal point.
///
/// A restored set keeps the settings that it was made with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkloadDetectors {
    /// Kept apart from the ticks: it takes a point a step, and is run once an hour.
    pub seasonal: SeasonalCheck,
    demand: Spike,
    latency: Spike,
    memory: Leak,
    divergence: Divergence,
    allocation: Oscillation,
}

impl WorkloadDetectors {
    /// Detectors that have seen nothing.
    ///
    /// # Panics
    /// If a setting is outside its documented range.
    pub fn new(settings: &DetectorSettings) -> Self {
        Self {
            seasonal: SeasonalCheck::new(settings.seasonal),
            demand: Spike::new(settings.demand),
            latency: Spike::new(settings.latency),
            memory: Leak::new(settings.memory),
            divergence: Divergence::new(),
            allocation: Oscillation::new(settings.allocation),
        }
    }

    /// Takes one tick at event time `time_ms`, never decreasing. The findings, mostly none, come in the order of
    /// [`Signal`].
    pub fn observe(&mut self, time_ms: u64, readings: &Readings) -> Vec<(Signal, Finding)> {
        self.memory.set_limit(readings.memory_limit_bytes);
        let Readings { primary_load, shadow_load, .. } = *readings;
        let diverged = readings.amplification;
        let diverged = diverged.and_then(|k| self.divergence.observe(time_ms, primary_load, shadow_load, k));
        let findings = [
            (Signal::Demand, self.demand.observe(time_ms, readings.demand_cores)),
            (Signal::Latency, self.latency.observe(time_ms, readings.latency_s)),
            (Signal::Memory, self.memory.observe(time_ms, readings.memory_bytes)),
            (Signal::Amplification, diverged),
            (Signal::Allocation, self.allocation.observe(time_ms, readings.allocation)),
        ];
        findings.into_iter().filter_map(|(signal, finding)| Some((signal, finding?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    /// A second of a busy life: demand spikes at 2000, latency at 3001, memory leaks, the shadow's load halves at 4000,
    /// the allocation thrashes.
    fn readings(noise: &mut Noise, second: u64) -> Readings {
        let spike = |at| if second == at { 5.0 } else { 0.0 };
        Readings {
            demand_cores: Some(1.0 + 0.05 * noise.normal() + spike(2000)),
            latency_s: (!second.is_multiple_of(5)).then(|| 0.02 + 0.001 * noise.normal() + spike(3001)),
            memory_bytes: Some(1e9 + 1e5 * second as f64),
            memory_limit_bytes: Some(2e9),
            primary_load: Some(0.2 + 0.01 * noise.uniform()),
            shadow_load: Some(if second < 4000 { 0.8 } else { 0.4 }),
            amplification: Some(4.0),
            allocation: Some(if (second / 60).is_multiple_of(2) { 1.0 } else { 2.0 }),
        }
    }

    #[test]
    fn faults_name_their_detector() {
        let mut settings = DetectorSettings::default();
        assert_eq!(settings.faults(), Vec::<String>::new());
        settings.latency.alarm_rate = f64::NAN;
        settings.seasonal.points = 0;
        let faults = settings.faults();
        assert!(
            faults[0].starts_with("latency.alarm_rate ") && faults[1].starts_with("seasonal.points "),
            "{faults:?}"
        );
    }

    /// All findings of seconds `from..to`.
    fn run(
        detectors: &mut WorkloadDetectors,
        noise: &mut Noise,
        seconds: std::ops::Range<u64>,
    ) -> Vec<(Signal, Finding)> {
        seconds.flat_map(|second| detectors.observe(second * 1000, &readings(noise, second))).collect()
    }

    #[test]
    fn each_signal_reaches_its_detector() {
        let mut detectors = WorkloadDetectors::new(&DetectorSettings::default());
        let findings = run(&mut detectors, &mut Noise(31), 0..6000);
        let at = |wanted: Signal| -> Vec<u64> {
            findings.iter().filter(|(signal, _)| *signal == wanted).map(|(_, finding)| finding.time_ms / 1000).collect()
        };
        assert_eq!(at(Signal::Demand), [2000]);
        assert_eq!(at(Signal::Latency), [3001]);
        assert_eq!(at(Signal::Amplification), [4009]);
        // 1e5 bytes a second leave 1e9 / 1e5 = 10 000 s less 1740 s at the first judgement: critical, below 3 h.
        assert_eq!(at(Signal::Memory), [1800]);
        // See the oscillation tests: reversals 7 and 13.
        assert_eq!(at(Signal::Allocation), [480, 840]);
    }

    #[test]
    fn nothing_observed_is_nothing_found() {
        let mut detectors = WorkloadDetectors::new(&DetectorSettings::default());
        run(&mut detectors, &mut Noise(31), 0..1500);
        let silent = |second: u64| detectors.observe(second * 1000, &Readings::default()).is_empty();
        assert!((1500..9000).all(silent));
    }

    #[test]
    fn a_restored_snapshot_continues_to_the_bit() {
        let mut noise = Noise(31);
        let mut whole = WorkloadDetectors::new(&DetectorSettings::default());
        run(&mut whole, &mut noise, 0..1900);
        let snapshot = serde_json::to_string(&whole).expect("plain data");
        let mut restored: WorkloadDetectors = serde_json::from_str(&snapshot).expect("written above");
        let mut same_noise = Noise(noise.0);
        let findings = run(&mut whole, &mut noise, 1900..6000);
        assert_eq!(findings, run(&mut restored, &mut same_noise, 1900..6000));
        assert_eq!(serde_json::to_string(&whole).ok(), serde_json::to_string(&restored).ok());
    }

    #[test]
    fn settings_refuse_what_they_do_not_know() {
        let settings: DetectorSettings =
            serde_json::from_str(r#"{"demand":{"window_ticks":60}}"#).expect("known fields");
        assert_eq!(settings.demand, SpikeSettings { window_ticks: 60, ..SpikeSettings::default() });
        assert!(serde_json::from_str::<DetectorSettings>(r#"{"demand":{"windows":60}}"#).is_err());
    }
}
