//! A small fleet to show, backtest and simulate with: six workloads that differ in what makes them hard.

mod members;

use serde::Serialize;

use crate::{Allocation, LoadShape, PlantSpec, noise};

/// A workload with all that its neighbours in the pipeline need to know of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FleetMember {
    /// Workload id.
    pub workload: &'static str,
    /// Who owns it.
    pub tenant: &'static str,
    /// What kind of load it has: `daily`, `steady`, `batch`, `ramp` or `erratic`.
    pub profile: &'static str,
    /// The pool it draws from.
    pub pool: &'static str,
    /// The model; its `slo_latency_seconds` is the promise.
    pub spec: PlantSpec,
    /// The load.
    pub shape: LoadShape,
    /// What it starts with.
    pub initial: Allocation,
    /// Never less than this.
    pub min: Allocation,
    /// Never more than this.
    pub max: Allocation,
    /// Its shadow, where it has one.
    pub shadow: Option<ShadowShape>,
    /// Price of a core that is allocated and not needed, for an hour (Co).
    pub cost_of_idle_per_core_hour: f64,
    /// Price of a core that is needed and not allocated, for an hour (Cu).
    pub cost_of_unmet_per_core_hour: f64,
}

/// How large a shadow is and how much it is sent.
///
/// Its amplification is k = p / f: it carries k times the primary's load per core, so it meets its knee when the
/// primary is at about 1/k of its own. Somewhat before that, in truth: a small quota pools less randomness, so its
/// own knee lies lower (see the table of throttling knees: 0.60 of 2 cores, 0.77 of 8), and its estimate of the
/// primary's knee is pessimistic by that ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ShadowShape {
    /// f: the shadow's resources over the primary's.
    pub size_ratio: f64,
    /// p: share of the requests mirrored to it.
    pub mirrored_share: f64,
}

impl FleetMember {
    /// Its own seed in a run with `seed`, for its load and its primary.
    pub fn seed(&self, seed: u64) -> u64 {
        noise::workload_seed(seed, self.workload)
    }
}

impl ShadowShape {
    /// k = p / f.
    pub fn amplification(&self) -> f64 {
        self.mirrored_share / self.size_ratio
    }

    /// What a shadow of a primary with `primary` gets: f of the CPU and memory that lie above the fixed parts. The program
    /// itself is as large in a shadow as in a primary: f of its memory would not even start, f of its CPU leave nothing to
    /// serve with.
    pub fn allocation(&self, spec: &PlantSpec, primary: Allocation) -> Allocation {
        let share = |fixed: f64, whole: f64| fixed + (whole - fixed).max(0.0) * self.size_ratio;
        Allocation {
            cpu_cores: share(spec.cpu_fixed_cores, primary.cpu_cores),
            memory_bytes: share(spec.memory_fixed_bytes, primary.memory_bytes),
        }
    }
}

/// The six of the demo. They share the pool `main`, meant to hold 24 cores and 64 GiB: enough on a calm day, too
/// little for the ten minutes or so in which the flash crowd at 13:00 UTC meets lunch and the midday job.
///
/// | workload | hard because | busy cores at its peak | delay |
/// |---|---|---|---|
/// | `web` | a flash crowd on a daily course | 4.8, in the crowd 11 | 60 s |
/// | `api` | large, with a tight SLO | 3.6 | 45 s |
/// | `leaker` | leaks 300 MiB an hour | 0.4 | 30 s |
/// | `batch` | from nothing to everything, by the clock | 5 | 120 s |
/// | `noisy` | nothing to forecast | 1.4, in bursts 4 | 30 s |
/// | `queue-worker` | climbs for hours | 3 | 90 s |
pub fn demo_fleet() -> Vec<FleetMember> {
    vec![members::web(), members::api(), members::leaker(), members::batch(), members::noisy(), members::queue_worker()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand;

    const POOL_CORES: f64 = 24.0;
    const POOL_BYTES: f64 = 64.0 * 1_073_741_824.0;

    /// What the fleet demands at each minute of day 4, a Monday, within each member's bounds.
    fn demanded_by_minute() -> Vec<Allocation> {
        let fleet = demo_fleet();
        (0..1_440)
            .map(|minute| {
                let time_ms = 4 * 86_400_000 + minute * 60_000;
                let none = Allocation { cpu_cores: 0.0, memory_bytes: 0.0 };
                fleet.iter().fold(none, |sum, member| {
                    let demand = demand(&member.spec, member.shape.load(time_ms, member.seed(1)));
                    let bounded = demand.max(member.min).min(member.max);
                    Allocation {
                        cpu_cores: sum.cpu_cores + bounded.cpu_cores,
                        memory_bytes: sum.memory_bytes + bounded.memory_bytes,
                    }
                })
            })
            .collect()
    }

    #[test]
    fn the_pool_falls_short_near_the_flash_crowd_and_seldom_else() {
        let demanded = demanded_by_minute();
        let short: Vec<usize> = (0..1_440).filter(|&minute| demanded[minute].cpu_cores > POOL_CORES).collect();
        assert!(short.iter().any(|minute| (780..800).contains(minute)), "{short:?}");
        assert!(short.len() < 60, "short for {} minutes of the day", short.len());
        assert!(demanded.iter().all(|demand| demand.memory_bytes < POOL_BYTES));
    }

    #[test]
    fn every_member_is_sound_and_within_its_bounds() {
        let fleet = demo_fleet();
        for member in &fleet {
            assert_eq!(member.spec.faults(), Vec::<&str>::new(), "{}", member.workload);
            assert_eq!(member.initial.max(member.min).min(member.max), member.initial, "{}", member.workload);
            assert!((30_000..=120_000).contains(&member.spec.actuation_delay_ms));
            assert!(member.cost_of_unmet_per_core_hour > member.cost_of_idle_per_core_hour);
        }
        let initial: f64 = fleet.iter().map(|member| member.initial.cpu_cores).sum();
        assert!(initial < POOL_CORES);
        assert!(fleet.windows(2).all(|pair| pair[0].seed(1) != pair[1].seed(1)));
    }

    #[test]
    fn a_shadow_is_smaller_but_has_room_to_start() {
        let web = &demo_fleet()[0];
        let shadow = web.shadow.expect("web has a shadow");
        // f 0.1 and p 0.125.
        assert!((shadow.amplification() - 1.25).abs() < 1e-12);
        let allocation = shadow.allocation(&web.spec, web.initial);
        // 0.05 fixed and a tenth of the 4.95 above.
        assert!((allocation.cpu_cores - 0.545).abs() < 1e-12);
        assert!(allocation.memory_bytes > demand(&web.spec, 0.0).memory_bytes);
    }
}
