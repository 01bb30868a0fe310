//! Detect: what is out of the ordinary about a workload.
//!
//! Key: workload. Time: every tick; once a minute all signals together, the seasonal test once an hour of event time. State:
//! see `models/anomaly`, 13 to 46 kB a workload and its seasonal history. Cost: about 0.6 µs a tick. What is done about an alert, the
//! stage of forecasts settles, since it has alerts of its own.

use std::rc::Rc;

use anomaly::{DetectorSettings, Finding, Readings, Signal, WorkloadDetectors};
use schemas::{Metric, Role};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;

use crate::EngineSettings;
use crate::alert::Alert;
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
    let settings = settings.anomaly;
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
                        let findings = look(detectors, tick, &readings(&pairs, pair), &settings);
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

fn look(
    detectors: &mut WorkloadDetectors,
    tick: u64,
    readings: &Readings,
    settings: &DetectorSettings,
) -> Vec<(Signal, Finding)> {
    let mut findings = detectors.observe(tick, readings);
    if tick.is_multiple_of(SEASONAL_EVERY_MS) {
        let period = (SEASON_MS / settings.seasonal.step_ms) as usize;
        let seasonal = detectors.seasonal.check(period).unwrap_or_default();
        findings.extend(seasonal.into_iter().map(|finding| (Signal::Demand, finding)));
    }
    findings
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
