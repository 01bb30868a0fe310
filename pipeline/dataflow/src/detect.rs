//! Detect: what is out of the ordinary about a workload.
//!
//! Key: workload. Time: every tick; once a minute all signals together, once an hour of event time the seasonal test, at
//! a tick of each workload's own: it takes milliseconds, and ten thousand at once would be a minute's work. State: see
//! `models/anomaly`, 13 to 46 kB a workload and its seasonal history. Cost: about 0.6 µs a tick. What is done about an alert,
//! the stage of forecasts settles, since it has alerts of its own.

use std::rc::Rc;

use anomaly::{DetectorSettings, Finding, Readings, Signal, WorkloadDetectors};
use schemas::{Metric, Role};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;

use crate::EngineSettings;
use crate::alert::Alert;
use crate::keys::phase_ms;
use crate::records::{Pair, Pairs, RoleTick, Stream};
use crate::slots::{BySlot, Slots};
use crate::snapshot::Cutter;

/// How often the seasonal test runs, in milliseconds.
const SEASONAL_EVERY_MS: u64 = 3_600_000;

/// A day, the season that is tested.
const SEASON_MS: u64 = 86_400_000;

/// Looks at every tick of every pair.
pub(crate) fn detect<'s>(
    pairs: Stream<'s, Rc<Pairs>>,
    settings: &EngineSettings,
    (slots, mut cutter): (Rc<Slots>, Cutter),
) -> Stream<'s, Alert> {
    let (settings, tick_ms) = (settings.anomaly, settings.tick.millis());
    pairs.unary_frontier(Pipeline, "detect", move |_, _| {
        let mut workloads = BySlot::<WorkloadDetectors>::restored(&slots, &cutter);
        move |(input, frontier), output: &mut OutputBuilderSession<'_, u64, CapacityContainerBuilder<Vec<Alert>>>| {
            input.for_each(|capability, data| {
                let Some(&tick) = capability.least() else { return };
                if let Some(at) = cutter.due(tick) {
                    cutter.cut(at, |pieces| workloads.cut(&slots, pieces));
                }
                let mut session = output.session(&capability);
                for pairs in data.drain(..) {
                    for pair in &pairs.pairs {
                        let detectors = workloads.of_pair(pair);
                        let detectors = detectors.get_or_insert_with(|| WorkloadDetectors::new(&settings));
                        let mut findings = detectors.observe(tick, &readings(&pairs, pair));
                        if is_seasonal(pair.workload.as_str(), tick, tick_ms) {
                            findings.extend(seasonal(detectors, &settings));
                        }
                        let alerts = findings.into_iter().map(|(about, finding)| Alert::of(pair, tick, about, finding));
                        session.give_iterator(alerts);
                    }
                }
            });
            if let Some(at) = cutter.due_by(&[frontier]) {
                cutter.cut(at, |pieces| workloads.cut(&slots, pieces));
            }
        }
    })
}

/// Whether a tick is the one of its hour at which a workload's seasons are tested.
fn is_seasonal(workload: &str, tick: u64, tick_ms: u64) -> bool {
    (tick + phase_ms(workload, SEASONAL_EVERY_MS, tick_ms)).is_multiple_of(SEASONAL_EVERY_MS)
}

fn seasonal(detectors: &mut WorkloadDetectors, settings: &DetectorSettings) -> impl Iterator<Item = (Signal, Finding)> {
    let period = (SEASON_MS / settings.seasonal.step_ms) as usize;
    let findings = detectors.seasonal.check(period).unwrap_or_default();
    findings.into_iter().map(|finding| (Signal::Demand, finding))
}

fn readings(pairs: &Pairs, pair: &Pair) -> Readings {
    let primary = pairs.role(pair, Role::Primary);
    let mean = |metric| primary.and_then(|role| role.mean(metric));
    let shadow = pairs.role(pair, Role::Shadow);
    let both = |one, other| mean(one).zip(mean(other)).map(|(one, other)| one + other);
    Readings {
        demand_cores: mean(Metric::CpuUsed),
        limit_cores: mean(Metric::CpuLimit),
        latency_s: mean(Metric::LatencyP99),
        memory_bytes: mean(Metric::MemoryWorkingSet),
        memory_limit_bytes: mean(Metric::MemoryLimit),
        primary_load: primary.and_then(load),
        shadow_load: shadow.and_then(load),
        amplification: pair.record.as_ref().and_then(|record| record.shadow).map(|shadow| shadow.amplification()),
        allocation: mean(Metric::CpuLimit),
        requests_per_second: mean(Metric::Requests),
        errors_per_second: mean(Metric::Errors),
        network_bytes_per_second: both(Metric::NetworkReceive, Metric::NetworkTransmit),
        disk_bytes_per_second: both(Metric::DiskRead, Metric::DiskWrite),
        shadow_cost_ratio: shadow.and_then(cost).zip(primary.and_then(cost)).map(|(shadow, primary)| shadow / primary),
    }
}

/// CPU for a request, where there are any.
fn cost(role: RoleTick<'_>) -> Option<f64> {
    let requests = role.mean(Metric::Requests).filter(|requests| *requests > 0.0)?;
    role.mean(Metric::CpuUsed).filter(|cores| *cores > 0.0).map(|cores| cores / requests)
}

/// Requests per second and core: what the shadow runs at k times of.
fn load(role: RoleTick<'_>) -> Option<f64> {
    let limit = role.mean(Metric::CpuLimit).filter(|limit| *limit > 0.0)?;
    Some(role.mean(Metric::Requests)? / limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seasons_are_tested_once_an_hour_and_not_all_at_once() {
        let tested = |number: u64| {
            let name = format!("workload-{number}");
            let ticks = (0..SEASONAL_EVERY_MS).step_by(1_000).filter(|tick| is_seasonal(&name, *tick, 1_000));
            ticks.collect::<Vec<u64>>()
        };
        let mut minutes = [0_u32; 60];
        for tested in (0..6_000).map(tested) {
            let [tick] = tested[..] else { panic!("once an hour, and not at {tested:?}") };
            minutes[(tick / 60_000) as usize] += 1;
        }
        assert!(minutes.iter().all(|tested| (50..150).contains(tested)), "{minutes:?}");
    }
}
