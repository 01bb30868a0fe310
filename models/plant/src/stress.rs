//! What a strained instance shows: throttling and pressure.
//!
//! **Throttling.** A quota of c cores is handed out as c · 100 ms of CPU time per period of 100 ms; a period that
//! wants more is cut short. The work of one period is a sum of many requests: mean a · T for a cores busy on
//! average and variance 2 v D a T (compound Poisson with exponential costs, times the burstiness). The share of
//! throttled periods is the chance that this exceeds the quota, Q((c - a) T / sqrt(2 v D a T)), so it grows from a
//! knee well below full use, and the knee lies lower for a small quota and for coarse requests. With D = 5 ms and
//! v = 1, 1 % of periods are throttled at
//!
//! | quota, cores | 1 | 2 | 8 |
//! |---|---|---|---|
//! | utilisation | 0.49 | 0.60 | 0.77 |
//!
//! **CPU pressure** is the share of time in which some request waits for a core: C · ρ in an M/M/c queue, as all
//! cores are busy with chance C and someone waits with chance ρ beyond that. **I/O pressure** is the same at one
//! server, the disk: ρ². **Memory pressure** is reclaim, which starts at [`RECLAIM_START`] of the limit and grows
//! with the square of what remains. All are 0..1, as PSI's `some` average is.

use elementary::exp;

use crate::PlantSpec;
use crate::queueing::{QUOTA_PERIOD_SECONDS, service_cores, waiting_probability};

/// Share of the memory limit at which the kernel begins to reclaim in earnest.
const RECLAIM_START: f64 = 0.85;

/// Share of quota periods that are throttled while nothing is backlogged: 0..1.
///
/// Zero when the limit exceeds what all threads together can use: then a shortage is one of threads, not of CPU.
pub(crate) fn throttled_ratio(spec: &PlantSpec, cpu_limit_cores: f64, load: f64) -> f64 {
    let busy_cores = load * spec.cpu_seconds_per_request;
    if busy_cores == 0.0 || !is_cpu_bound(spec, cpu_limit_cores) {
        return 0.0;
    }
    // One request runs on one core, so it brings at most one period's length of work into a period.
    let cost_seconds = spec.cpu_seconds_per_request.min(QUOTA_PERIOD_SECONDS);
    let room_seconds = (cpu_limit_cores - spec.cpu_fixed_cores - busy_cores) * QUOTA_PERIOD_SECONDS;
    let variance = 2.0 * spec.burstiness * cost_seconds * busy_cores * QUOTA_PERIOD_SECONDS;
    upper_tail(room_seconds / variance.sqrt())
}

/// Share of time in which some request waits for a core while nothing is backlogged: 0..1.
pub(crate) fn cpu_pressure_ratio(spec: &PlantSpec, cpu_limit_cores: f64, utilisation: f64) -> f64 {
    if !is_cpu_bound(spec, cpu_limit_cores) {
        return 0.0;
    }
    let utilisation = utilisation.min(1.0);
    waiting_probability(service_cores(spec, cpu_limit_cores), utilisation) * utilisation
}

/// Share of time lost to reclaim at a working set of `used` of `limit` bytes: 0..1.
pub(crate) fn memory_pressure_ratio(used_bytes: f64, limit_bytes: f64) -> f64 {
    let beyond = (used_bytes / limit_bytes - RECLAIM_START) / (1.0 - RECLAIM_START);
    let beyond = beyond.clamp(0.0, 1.0);
    beyond * beyond
}

/// Share of time in which some request waits for the disk: 0..1.
pub(crate) fn io_pressure_ratio(spec: &PlantSpec, disk_bytes_per_second: f64) -> f64 {
    let utilisation = (disk_bytes_per_second / spec.disk_bytes_per_second_max).min(1.0);
    utilisation * utilisation
}

/// Whether the CPU limit, rather than the number of threads, is what bounds service.
pub(crate) fn is_cpu_bound(spec: &PlantSpec, cpu_limit_cores: f64) -> bool {
    cpu_limit_cores - spec.cpu_fixed_cores < f64::from(spec.max_parallelism)
}

/// Chance that a standard normal exceeds `z`, by the logistic fit of Bowling et al. (2009): within 0.00015.
fn upper_tail(z: f64) -> f64 {
    1.0 / (1.0 + exp(1.5976 * z + 0.070565 * z * z * z))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo_fleet;

    fn spec() -> PlantSpec {
        PlantSpec {
            cpu_seconds_per_request: 0.005,
            cpu_fixed_cores: 0.0,
            max_parallelism: 64,
            burstiness: 1.0,
            ..demo_fleet()[0].spec.clone()
        }
    }

    #[test]
    fn the_normal_tail_is_within_its_fit() {
        for (z, tail) in [(-1.0, 0.841_34), (0.0, 0.5), (1.0, 0.158_66), (2.0, 0.022_75), (3.0, 0.001_35)] {
            assert!((upper_tail(z) - tail).abs() < 1.5e-4, "Q({z})");
        }
    }

    #[test]
    fn the_knee_lies_where_the_table_says() {
        for (quota, knee) in [(1.0, 0.49), (2.0, 0.60), (8.0, 0.77)] {
            let at = |utilisation: f64| throttled_ratio(&spec(), quota, utilisation * quota / 0.005);
            // The table rounds to 0.01 and the ratio rises through 1 % there.
            assert!(at(knee - 0.01) < 0.01 && at(knee + 0.01) > 0.01, "{quota} cores");
        }
    }

    #[test]
    fn without_enough_threads_cpu_signals_stay_silent() {
        let spec = PlantSpec { max_parallelism: 2, ..spec() };
        assert_eq!(throttled_ratio(&spec, 4.0, 390.0), 0.0);
        assert_eq!(cpu_pressure_ratio(&spec, 4.0, 0.98), 0.0);
        assert!(throttled_ratio(&spec, 1.9, 390.0) > 0.5);
    }

    #[test]
    fn pressures_have_their_worked_values() {
        // C(4, 0.5) · 0.5 = 0.1739 / 2.
        assert!((cpu_pressure_ratio(&spec(), 4.0, 0.5) - 0.086_95).abs() < 1e-5);
        // 92.5 % of the limit is halfway from 85 % to 100 %.
        assert!((memory_pressure_ratio(92.5, 100.0) - 0.25).abs() < 1e-12);
        assert_eq!(memory_pressure_ratio(80.0, 100.0), 0.0);
        let half_the_disk = spec().disk_bytes_per_second_max / 2.0;
        assert_eq!(io_pressure_ratio(&spec(), half_the_disk), 0.25);
    }
}
