//! What the detectors cost, on this machine: `make bench`.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "a measurement tells what it measured")]

use std::hint::black_box;
use std::time::Instant;

use anomaly::{
    Detector, DetectorSettings, LevelShift, LevelShiftSettings, Promise, Readings, Residual, ResidualSettings,
    Saturation, Spike, SpikeSettings, StuckAt, StuckAtSettings, WorkloadDetectors,
};

/// Observations of each run: few enough that some run has its core for itself.
const TICKS: u64 = 2_000;

/// Runs, of which the quickest counts.
const RUNS: usize = 300;

/// Cheap enough for every sample, in nanoseconds.
const GATE_NS: f64 = 20.0;

#[test]
#[ignore = "a measurement: its figures depend on the machine"]
fn detectors() {
    let noise = noise();
    let at = |tick: u64| noise[tick as usize % noise.len()];
    let mut spike = Spike::new(SpikeSettings::default());
    told("spike", &mut |tick| spike.observe(tick, Some(1.0 + at(tick))).is_some());
    let (mut saturation, mut stuck) = (Saturation::new(0.95, 60), StuckAt::new(StuckAtSettings::default()));
    let mut shift = LevelShift::new(LevelShiftSettings::default());
    let gates = [
        told("saturation", &mut |tick| saturation.observe(tick, Some(1.0 + at(tick)), Some(2.0)).is_some()),
        told("stuck-at", &mut |tick| stuck.observe(tick, Some(1.0 + at(tick))).is_some()),
    ];
    told("level shift", &mut |tick| shift.observe(tick, Some(1.0 + at(tick))).is_some());
    let mut residual = Residual::new(ResidualSettings::default(), 0.01);
    told("residual, a step", &mut |step| {
        residual.promise(Promise { first_step: step, steps: 12, median: 1.0, upper: 1.1, level: 0.95 });
        residual.observe(step, step, Some(1.0 + at(step))).is_some()
    });
    let mut all = WorkloadDetectors::new(&DetectorSettings::default());
    told("all of a workload, a tick", &mut |tick| !all.observe(tick * 1000, &readings(at(tick))).is_empty());
    assert!(gates.iter().all(|ns| *ns <= GATE_NS), "more than {GATE_NS} ns: {gates:?}");
}

/// Nanoseconds an observation, of the quickest run.
fn told(name: &str, observe: &mut dyn FnMut(u64) -> bool) -> f64 {
    let mut tick = 0;
    let mut run = || {
        let begin = Instant::now();
        for _ in 0..TICKS {
            black_box(observe(black_box(tick)));
            tick += 1;
        }
        begin.elapsed().as_secs_f64() * 1e9 / TICKS as f64
    };
    let quickest = (0..RUNS).map(|_| run()).fold(f64::INFINITY, f64::min);
    println!("{name}: {quickest:.1} ns");
    quickest
}

fn readings(noise: f64) -> Readings {
    Readings {
        demand_cores: Some(1.0 + noise),
        limit_cores: Some(2.0),
        latency_s: Some(0.02 + 0.01 * noise),
        memory_bytes: Some(1e9 * (1.0 + noise)),
        memory_limit_bytes: Some(2e9),
        primary_load: Some(0.4 + 0.1 * noise),
        shadow_load: Some(1.6 + 0.4 * noise),
        amplification: Some(4.0),
        allocation: Some(2.0),
        requests_per_second: Some(100.0 * (1.0 + noise)),
        errors_per_second: Some(0.0),
        network_bytes_per_second: Some(1e6 * (1.0 + noise)),
        disk_bytes_per_second: Some(1e5),
        shadow_cost_ratio: Some(1.0 + noise),
    }
}

/// Values within ± 0.1 that repeat only after long (a multiplicative congruence).
fn noise() -> Vec<f64> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        0.2 * ((state >> 33) as f64 / f64::from(1_u32 << 31) - 0.5)
    };
    (0..4096).map(|_| next()).collect()
}
