//! Tests of `queueing.rs`.

use proptest::prelude::*;

use super::*;
use crate::demo_fleet;

fn spec() -> PlantSpec {
    PlantSpec {
        cpu_seconds_per_request: 0.01,
        cpu_fixed_cores: 0.0,
        max_parallelism: 64,
        burstiness: 1.0,
        base_latency_seconds: 0.05,
        slo_latency_seconds: 0.1,
        ..demo_fleet()[0].spec.clone()
    }
}

/// Erlang's C from its definition: a^c/c! / (1-ρ) over the sum of the a^k/k! below plus that term.
fn erlang_c_by_sum(servers: u32, utilisation: f64) -> f64 {
    let offered = f64::from(servers) * utilisation;
    let mut term = 1.0;
    let mut below = 0.0;
    for busy in 1..=servers {
        below += term;
        term *= offered / f64::from(busy);
    }
    let all_busy = term / (1.0 - utilisation);
    all_busy / (below + all_busy)
}

/// Erlang's C at a real c, through 1/B(c, a) = a ∫ e^(-at) (1+t)^c dt over t >= 0, by Simpson's rule.
fn erlang_c_continued(cores: f64, utilisation: f64) -> f64 {
    let offered = cores * utilisation;
    let integrand = |t: f64| (-offered * t + cores * (1.0 + t).ln()).exp();
    let (intervals, width) = (40_000, 40.0 / offered.min(1.0) / 40_000.0);
    let sum: f64 = (0..=intervals)
        .map(|i| {
            let weight = if i == 0 || i == intervals {
                1.0
            } else if i % 2 == 1 {
                4.0
            } else {
                2.0
            };
            weight * integrand(f64::from(i) * width)
        })
        .sum();
    let blocked = 1.0 / (offered * sum * width / 3.0);
    blocked / (1.0 - utilisation * (1.0 - blocked))
}

#[test]
fn whole_cores_are_erlangs_c() {
    for servers in 1..=10 {
        for percent in [50, 60, 70, 80, 85, 95] {
            let utilisation = f64::from(percent) / 100.0;
            let expected = erlang_c_by_sum(servers, utilisation);
            // The same formula by another route: rounding alone, ten additions of 1.1e-16 and a division by 0.05.
            assert!((waiting_probability(f64::from(servers), utilisation) - expected).abs() < 1e-13);
        }
    }
}

#[test]
fn fractions_of_a_core_stay_near_the_continued_formula() {
    for tenths in 11..100 {
        let cores = f64::from(tenths) / 10.0;
        let most = if cores < 2.0 { 0.021 } else { 0.007 };
        for utilisation in [0.2, 0.4, 0.6, 0.85, 0.95] {
            let deviation = waiting_probability(cores, utilisation) - erlang_c_continued(cores, utilisation);
            // Below zero only by the error of the quadrature.
            assert!((-1e-6..most).contains(&deviation), "c {cores}, ρ {utilisation}: {deviation}");
        }
    }
}

#[test]
fn worked_waits_hold() {
    // (c, ρ, C, wait99 / D) of the module's table.
    let table = [
        (1.0, 0.50, 0.5000, 7.82),
        (2.0, 0.50, 0.3333, 3.51),
        (4.0, 0.50, 0.1739, 1.43),
        (4.0, 0.75, 0.5094, 3.93),
        (10.0, 0.80, 0.4092, 1.86),
    ];
    for (cores, utilisation, waiting, wait) in table {
        assert!((waiting_probability(cores, utilisation) - waiting).abs() < 5e-5, "C({cores}, {utilisation})");
        let seconds = p99_latency_seconds(&spec(), cores, utilisation) - spec().base_latency_seconds;
        assert!((seconds / spec().cpu_seconds_per_request - wait).abs() < 5e-3, "wait({cores}, {utilisation})");
    }
}

#[test]
fn a_small_quota_stretches_only_what_outlasts_its_period() {
    // Of ln 100 · 10 ms = 46.05 ms a quarter core covers 25 ms; the other 21.05 ms take four times as long, so the
    // base of 50 ms grows by 63.16 ms. Half a core covers all of it.
    assert!((p99_latency_seconds(&spec(), 0.25, 0.0) - 0.113_155).abs() < 1e-6);
    assert_eq!(p99_latency_seconds(&spec(), 0.5, 0.0), 0.05);
}

#[test]
fn worked_demands_hold() {
    for (load, cores) in [(50.0, 1.22), (200.0, 2.79), (800.0, 8.85)] {
        let demand = demand_cores(&spec(), load);
        assert!((demand - cores).abs() < 5e-3, "demand at {load}/s is {demand}");
    }
    assert_eq!(demand_cores(&spec(), 0.0), 0.0);
    // 64 threads cannot carry 70 busy cores.
    assert_eq!(demand_cores(&spec(), 7_000.0), 64.0);
}

#[test]
fn late_shares_have_their_worked_values() {
    // One core at 0.5 of D = 10 ms and v = 1: half wait, and beyond that exponentially with a mean of 20 ms; 50 ms of room.
    let share = |cores: f64, utilisation: f64, behind: f64| late_share(&spec(), cores, utilisation, behind);
    assert!((share(1.0, 0.5, 0.0) - 0.5 * (-2.5_f64).exp()).abs() < 1e-12);
    // Half a core, idle: what takes more than the 50 ms of a period's quota is cut short, and then takes twice as long. At 50 ms of
    // room that is more than 100 ms of CPU: exp(-10).
    assert!((share(0.5, 0.0, 0.0) - (-10.0_f64).exp()).abs() < 1e-9);
    assert_eq!(share(1.0, 0.5, 0.06), 1.0, "all wait for longer than the promise");
}

proptest! {
    #[test]
    fn latency_rises_with_utilisation_and_falls_with_cores(
        cores in 0.2..40.0, utilisation in 0.0..0.97, more in 0.001..0.03, extra in 0.01..4.0,
    ) {
        let spec = spec();
        let latency = p99_latency_seconds(&spec, cores, utilisation);
        prop_assert!(p99_latency_seconds(&spec, cores, utilisation + more) >= latency);
        prop_assert!(p99_latency_seconds(&spec, cores + extra, utilisation) <= latency);
    }

    #[test]
    fn demand_is_enough_and_nothing_less_is(load in 1.0..4_000.0, fixed in 0.0..1.0, burstiness in 0.5..5.0) {
        let spec = PlantSpec { cpu_fixed_cores: fixed, burstiness, ..spec() };
        let demand = demand_cores(&spec, load);
        prop_assert!(meets_slo(&spec, demand, load));
        prop_assert!(!meets_slo(&spec, demand - 2e-6, load));
        prop_assert!(demand_cores(&spec, load * 1.01) > demand);
    }

    #[test]
    fn one_in_a_hundred_is_late_where_the_slo_is_the_p99(
        cores in 0.1..8.0_f64, utilisation in 0.01..0.97_f64, burstiness in 0.5..4.0_f64,
    ) {
        let spec = PlantSpec { burstiness, ..spec() };
        let p99 = p99_latency_seconds(&spec, cores, utilisation);
        prop_assume!(p99 > spec.base_latency_seconds);
        let at = PlantSpec { slo_latency_seconds: p99, ..spec };
        let share = late_share(&at, cores, utilisation, 0.0);
        prop_assert!((share - 0.01).abs() < 1e-9, "{share}");
        prop_assert!(late_share(&at, cores, utilisation + 0.01, 0.0) >= share);
    }
}
