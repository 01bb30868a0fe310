//! The detectors that one workload carries, and which of its readings goes to which.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detector::{Detector, Finding};
use crate::divergence::Divergence;
use crate::joint::NoveltySettings;
use crate::leak::{Leak, LeakSettings};
use crate::level_shift::{LevelShift, LevelShiftSettings};
use crate::minutes::Minutes;
use crate::oscillation::{Oscillation, OscillationSettings};
use crate::residual::ResidualSettings;
use crate::saturation::{Saturation, SaturationSettings};
use crate::seasonal::{SeasonalCheck, SeasonalSettings};
use crate::spike::{Spike, SpikeSettings};
use crate::stuck_at::{StuckAt, StuckAtSettings};

/// Share of the limit from which demand may be the limit itself, read with the noise of a tick's ends.
const PINNED_SHARE: f64 = 0.98;

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
    /// Demand or latency of the primary that has stopped to change.
    pub stuck_at: StuckAtSettings,
    /// CPU or memory of the primary that stays at its limit.
    pub saturation: SaturationSettings,
    /// Lasting steps of the primary's demand or latency; the scale floor is in cores and in seconds.
    pub level_shift: LevelShiftSettings,
    /// Peaks of work far outside of what was forecast.
    pub residual: ResidualSettings,
    /// Minutes in which the workload is as a whole unlike anything before.
    pub novelty: NoveltySettings,
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
            ("stuck_at", self.stuck_at.faults()),
            ("saturation", self.saturation.faults()),
            ("level_shift", self.level_shift.faults()),
            ("residual", self.residual.faults()),
            ("novelty", self.novelty.faults()),
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
    /// The primary's requests per second.
    Requests,
    /// The primary's errors per second.
    Errors,
    /// The primary's bytes per second, received and transmitted.
    Network,
    /// The primary's bytes per second, read and written.
    Disk,
    /// The shadow's CPU for a request over the primary's.
    ShadowCost,
}

impl Signal {
    /// In words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Demand => "CPU demand",
            Self::Latency => "latency",
            Self::Memory => "memory",
            Self::Amplification => "the shadow's load over the primary's",
            Self::Allocation => "the allocation",
            Self::Requests => "the rate of requests",
            Self::Errors => "the rate of errors",
            Self::Network => "network traffic",
            Self::Disk => "disk traffic",
            Self::ShadowCost => "the shadow's CPU for a request over the primary's",
        }
    }
}

/// One tick of one workload; what was not observed is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Readings {
    /// CPU demand of the primary, in cores.
    pub demand_cores: Option<f64>,
    /// The primary's CPU limit in force, in cores.
    pub limit_cores: Option<f64>,
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
    /// Requests of the primary.
    pub requests_per_second: Option<f64>,
    /// Errors of the primary.
    pub errors_per_second: Option<f64>,
    /// Network traffic of the primary, both ways.
    pub network_bytes_per_second: Option<f64>,
    /// Disk traffic of the primary, both ways.
    pub disk_bytes_per_second: Option<f64>,
    /// The shadow's CPU for a request over the primary's.
    pub shadow_cost_ratio: Option<f64>,
}

/// Every detector of one workload that looks at ticks, about 13 kB, up to 33 kB of what minutes have been like, and
/// 8 bytes a seasonal point.
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
    stuck_at: [StuckAt; 2],
    saturation: [Saturation; 2],
    level_shift: [LevelShift; 2],
    minutes: Minutes,
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
            stuck_at: [StuckAt::new(settings.stuck_at), StuckAt::new(settings.stuck_at)],
            saturation: [
                Saturation::new(settings.saturation.share, settings.saturation.cpu_ticks),
                Saturation::new(settings.saturation.share, settings.saturation.memory_ticks),
            ],
            level_shift: [LevelShift::new(settings.level_shift), LevelShift::new(settings.level_shift)],
            minutes: Minutes::new(settings.novelty),
        }
    }

    /// Takes one tick at event time `time_ms`, never decreasing. The findings, mostly none, come in one fixed order.
    pub fn observe(&mut self, time_ms: u64, readings: &Readings) -> Vec<(Signal, Finding)> {
        self.memory.set_limit(readings.memory_limit_bytes);
        let Readings { primary_load, shadow_load, demand_cores, limit_cores, latency_s, .. } = *readings;
        let [cpu, memory] = &mut self.saturation;
        let [stuck_demand, stuck_latency] = &mut self.stuck_at;
        let [demand_level, latency_level] = &mut self.level_shift;
        let diverged = readings.amplification;
        let diverged = diverged.and_then(|k| self.divergence.observe(time_ms, primary_load, shadow_load, k));
        let findings = [
            (Signal::Demand, self.demand.observe(time_ms, demand_cores)),
            (Signal::Latency, self.latency.observe(time_ms, latency_s)),
            (Signal::Memory, self.memory.observe(time_ms, readings.memory_bytes)),
            (Signal::Amplification, diverged),
            (Signal::Allocation, self.allocation.observe(time_ms, readings.allocation)),
            (Signal::Demand, stuck_demand.observe(time_ms, free(demand_cores, limit_cores))),
            (Signal::Latency, stuck_latency.observe(time_ms, latency_s)),
            (Signal::Demand, cpu.observe(time_ms, demand_cores, limit_cores)),
            (Signal::Memory, memory.observe(time_ms, readings.memory_bytes, readings.memory_limit_bytes)),
            (Signal::Demand, demand_level.observe(time_ms, demand_cores)),
            (Signal::Latency, latency_level.observe(time_ms, latency_s)),
        ];
        let findings = findings.into_iter().filter_map(|(signal, finding)| Some((signal, finding?)));
        findings.chain(self.minutes.observe(time_ms, readings)).collect()
    }
}

/// Demand that no limit holds down: what lies at its limit does not change, and is not stuck.
fn free(demand: Option<f64>, limit: Option<f64>) -> Option<f64> {
    demand.filter(|demand| limit.is_none_or(|limit| *demand < PINNED_SHARE * limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use crate::noise::Noise;

    /// A second of a busy life: demand spikes at 2000 and hangs from 5000 on, latency spikes at 3001 and stays high from
    /// 3500 on, memory leaks and is given less from 4800 on, the shadow's load halves at 4000, the allocation thrashes.
    fn readings(noise: &mut Noise, second: u64) -> Readings {
        let spike = |at| if second == at { 5.0 } else { 0.0 };
        let demand = 1.0 + 0.05 * noise.normal() + spike(2000);
        let latency = if second < 3500 { 0.02 } else { 0.06 };
        Readings {
            demand_cores: Some(if second < 5000 { demand } else { 1.0 }),
            limit_cores: Some(8.0),
            latency_s: (!second.is_multiple_of(5)).then(|| latency + 0.001 * noise.normal() + spike(3001)),
            memory_bytes: Some(1e9 + 1e5 * second as f64),
            memory_limit_bytes: Some(if second < 4800 { 2e9 } else { 1.5e9 }),
            primary_load: Some(0.2 + 0.01 * noise.uniform()),
            shadow_load: Some(if second < 4000 { 0.8 } else { 0.4 }),
            amplification: Some(4.0),
            allocation: Some(if (second / 60).is_multiple_of(2) { 1.0 } else { 2.0 }),
            ..Readings::default()
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
        let at = |wanted: Signal| -> Vec<(u64, Kind)> {
            let of_signal = findings.iter().filter(|(signal, _)| *signal == wanted);
            of_signal.map(|(_, finding)| (finding.time_ms / 1000, finding.kind)).collect()
        };
        // The 60th repetition of the value of 5000.
        assert_eq!(at(Signal::Demand), [(2000, Kind::Spike), (5060, Kind::StuckAt)]);
        // The 60th value of the new level, of four in five seconds.
        assert_eq!(at(Signal::Latency), [(3001, Kind::Spike), (3501, Kind::Spike), (3574, Kind::LevelShift)]);
        assert_eq!(at(Signal::Amplification), [(4009, Kind::Divergence)]);
        // 1e5 bytes a second leave 1e9 / 1e5 = 10 000 s less 1740 s at the first judgement: critical, below 3 h. At 4800 it
        // has 1.48e9, above 95 % of 1.5e9: levels 6 and 11.
        let saturated = [(4805, Kind::Saturation), (4810, Kind::Saturation)];
        assert_eq!(at(Signal::Memory), [vec![(1800, Kind::Leak)], saturated.into()].concat());
        // See the oscillation tests: reversals 7 and 13.
        assert_eq!(at(Signal::Allocation), [(480, Kind::Oscillation), (840, Kind::Oscillation)]);
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
