//! Pair: primary, shadow, canary and baseline of one workload meet.
//!
//! Key: workload. Time: a tick is folded once, when the frontier has passed it, with its samples in canonical order,
//! so that sums of floats do not depend on arrival. State: the open ticks' samples, and the workloads' records. The
//! same reading sent twice counts once. Samples beyond [`SAMPLES_PER_TICK_MAX`] of one workload and tick are refused.
//! Cost: a sort of each tick's samples.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemas::{
    Allocation, Metric, Noun, Outcome, Reject, RejectReason, Role, Sample, Status, Topic, V1, Workload, WorkloadId,
};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;

use crate::control::Update;
use crate::keys::hash;
use crate::records::{PairTick, RoleTick, Stream};
use crate::stash::Stash;

/// Samples of one workload that one tick takes: 1000 instances at 10 Hz with ticks of a second.
const SAMPLES_PER_TICK_MAX: usize = 10_000;

/// How often an unknown workload is reported again, in milliseconds.
const REMIND_EVERY_MS: u64 = 3_600_000;

/// Unknown workloads that get features at once; bounds what a stranger's names can cost.
const UNKNOWN_MAX: usize = 10_000;

/// A tick of a pair, or a dead letter.
pub(crate) type Paired = Result<PairTick, Box<Reject>>;

type Output<'a> = OutputBuilderSession<'a, u64, CapacityContainerBuilder<Vec<Paired>>>;
type WorkloadUpdate = Update<(String, String, Option<String>)>;

/// Brings a workload's roles together, tick by tick.
pub(crate) fn pair<'s>(samples: Stream<'s, Sample>, workloads: Stream<'s, WorkloadUpdate>) -> Stream<'s, Paired> {
    let by_workload = Exchange::new(|sample: &Sample| hash(sample.workload.as_str()));
    let by_key = Exchange::new(|update: &WorkloadUpdate| hash(&update.0.0));
    samples.binary_frontier(workloads, by_workload, by_key, "pair", |_, _| {
        let (mut samples, mut updates) = (Stash::new(), Stash::new());
        let mut known = Known::default();
        move |(input, frontier), (changes, changes_frontier), output: &mut Output<'_>| {
            input.for_each(|capability, data| {
                if let Some(capability) = capability.retain_least(0) {
                    samples.keep(capability, data.drain(..));
                }
            });
            changes.for_each(|capability, data| {
                if let Some(capability) = capability.retain_least(0) {
                    updates.keep_updates(&capability, data.drain(..));
                }
            });
            let frontiers = [frontier, changes_frontier];
            while let Some((capability, tick)) = samples.pop_closed(&frontiers) {
                while let Some((_, closed)) = updates.pop_until(*capability.time()) {
                    known.update(closed);
                }
                output.session(&capability).give_iterator(known.fold(*capability.time(), tick).into_iter());
            }
            // No sample can come before these any more: to keep them would hold the frontier back.
            while let Some((_, closed)) = updates.pop_closed(&frontiers) {
                known.update(closed);
            }
        }
    })
}

#[derive(Default)]
struct Known {
    records: BTreeMap<WorkloadId, Registered>,
    /// When an unknown workload was last reported.
    reported: BTreeMap<WorkloadId, u64>,
}

struct Registered {
    record: Arc<Workload>,
    /// As last reported: whether an outcome is a raise is told by it.
    in_force: Allocation,
    delay_ms: Option<u64>,
}

impl Known {
    /// Takes over the control plane's changes of one tick: what is only retracted is gone.
    fn update(&mut self, mut updates: Vec<WorkloadUpdate>) {
        updates.sort_by(|a, b| (&a.0.0, a.2).cmp(&(&b.0.0, b.2)));
        let mut gone = BTreeSet::new();
        for ((_, record, outcome), _, diff) in updates {
            let Ok(record) = Workload::from_json(record.as_bytes()) else { continue };
            let id = record.workload.clone();
            if diff < 0 {
                gone.insert(id);
                continue;
            }
            gone.remove(&id);
            let outcome = outcome.and_then(|json| Outcome::from_json(json.as_bytes()).ok());
            let known = self.records.get(&id);
            let held = known.map_or(record.allocation, |known| known.in_force);
            let delay_ms =
                outcome.as_ref().and_then(|outcome| delay(outcome, &held)).or(known.and_then(|known| known.delay_ms));
            let in_force = outcome.map_or(held, |outcome| outcome.in_force);
            self.records.insert(id, Registered { record: Arc::new(record), in_force, delay_ms });
        }
        self.records.retain(|id, _| !gone.contains(id));
    }

    /// Folds one closed tick into one record a workload, in the order of their names.
    fn fold(&mut self, tick: u64, samples: Vec<Sample>) -> Vec<Paired> {
        let mut by_workload: BTreeMap<WorkloadId, Vec<Sample>> = BTreeMap::new();
        for sample in samples {
            by_workload.entry(sample.workload.clone()).or_default().push(sample);
        }
        let mut folded = Vec::with_capacity(by_workload.len());
        for (workload, mut samples) in by_workload {
            sort(&mut samples);
            samples.dedup_by(|later, first| same_reading(later, first));
            if samples.len() > SAMPLES_PER_TICK_MAX {
                samples.truncate(SAMPLES_PER_TICK_MAX);
                let detail =
                    format!("more than {SAMPLES_PER_TICK_MAX} samples of one workload in one tick: sample less often");
                folded.push(Err(reject(tick, &workload, RejectReason::Bound, detail)));
            }
            if !self.records.contains_key(&workload) && self.remind(tick, &workload) {
                if self.reported.len() > UNKNOWN_MAX {
                    self.reported.remove(&workload);
                    let detail = format!("more than {UNKNOWN_MAX} unknown workloads: register them before sampling");
                    folded.push(Err(reject(tick, &workload, RejectReason::Bound, detail)));
                    continue;
                }
                let detail =
                    "no record of this workload: it gets features but no decisions; write one to the workloads topic";
                folded.push(Err(reject(tick, &workload, RejectReason::UnknownWorkload, detail.to_owned())));
            }
            folded.push(Ok(self.pair(workload, &samples)));
        }
        folded
    }

    fn remind(&mut self, tick: u64, workload: &WorkloadId) -> bool {
        let due = self.reported.get(workload).is_none_or(|last| last + REMIND_EVERY_MS <= tick);
        if due {
            self.reported.insert(workload.clone(), tick);
        }
        due
    }

    fn pair(&self, workload: WorkloadId, samples: &[Sample]) -> PairTick {
        let registered = self.records.get(&workload);
        let newest = samples.iter().filter(|sample| sample.role == Role::Primary).map(|sample| sample.time).max();
        PairTick {
            tenant: registered.map_or_else(|| samples[0].tenant.clone(), |known| known.record.tenant.clone()),
            workload,
            record: registered.map(|known| Arc::clone(&known.record)),
            delay_ms: registered.and_then(|known| known.delay_ms),
            read_at: newest,
            roles: Role::ALL.into_iter().filter_map(|role| Some((role, role_tick(role, samples)?))).collect(),
        }
    }
}

/// The actuation delay that an outcome shows: of a raise only, since lowering is often at once and says nothing of
/// how long more takes to come.
fn delay(outcome: &Outcome, held: &Allocation) -> Option<u64> {
    let took = outcome.time.millis().checked_sub(outcome.decided.millis())?;
    (outcome.status == Status::InForce && !outcome.in_force.fits(held)).then_some(took)
}

/// Canonical order: role, time, instance; a sample sent twice with other readings is ordered by its text.
fn sort(samples: &mut [Sample]) {
    samples.sort_by(|a, b| {
        let key = |s: &Sample| (s.role, s.time);
        key(a)
            .cmp(&key(b))
            .then_with(|| a.instance_name().cmp(b.instance_name()))
            .then_with(|| readings(a).cmp(&readings(b)))
    });
}

fn readings(sample: &Sample) -> Vec<Option<u64>> {
    Metric::ALL.iter().map(|&metric| sample.reading(metric).map(f64::to_bits)).collect()
}

fn same_reading(a: &Sample, b: &Sample) -> bool {
    a.role == b.role && a.time == b.time && a.instance_name() == b.instance_name()
}

/// A role's series: at each reading, the total over its instances as last known within the tick.
fn role_tick(role: Role, samples: &[Sample]) -> Option<RoleTick> {
    let own: Vec<&Sample> = samples.iter().filter(|sample| sample.role == role).collect();
    if own.is_empty() {
        return None;
    }
    let series = Metric::ALL.iter().filter_map(|&metric| {
        let values = series(metric, &own);
        (!values.is_empty()).then_some((metric, values))
    });
    Some(RoleTick { series: series.collect() })
}

fn series(metric: Metric, samples: &[&Sample]) -> Vec<(u64, f64)> {
    let mut last: BTreeMap<&str, f64> = BTreeMap::new();
    // Instances that have not been read yet in this tick count with their first reading of it.
    for sample in samples.iter().rev() {
        if let Some(value) = sample.reading(metric) {
            last.insert(sample.instance_name(), value);
        }
    }
    let mut values = Vec::with_capacity(samples.len());
    for sample in samples {
        if let Some(value) = sample.reading(metric) {
            last.insert(sample.instance_name(), value);
            values.push((sample.time.millis(), combined(metric, &last)));
        }
    }
    values
}

/// Amounts add up over instances, ratios are averaged, of latencies the worst counts.
fn combined(metric: Metric, last: &BTreeMap<&str, f64>) -> f64 {
    let sum: f64 = last.values().sum();
    match metric {
        Metric::CpuThrottled | Metric::CpuPressure | Metric::MemoryPressure | Metric::IoPressure => {
            sum / last.len() as f64
        }
        Metric::LatencyP99 => last.values().copied().fold(0.0, f64::max),
        _ => sum,
    }
}

fn reject(tick: u64, workload: &WorkloadId, reason: RejectReason, detail: String) -> Box<Reject> {
    Box::new(Reject {
        version: V1,
        time: schemas::EventTime::from_millis(tick),
        source: workload.to_string(),
        topic: Topic::Samples.name().to_owned(),
        partition: -1,
        offset: -1,
        row: None,
        reason,
        detail,
        length_bytes: 0,
        excerpt_base64: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use schemas::{DecisionId, EventTime};

    use super::*;

    #[test]
    fn only_a_raise_shows_the_actuation_delay() {
        let outcome = |cores| Outcome {
            version: V1,
            time: EventTime::from_millis(91_000),
            decision: DecisionId::new("web@1000").expect("a name"),
            decided: EventTime::from_millis(1_000),
            workload: WorkloadId::new("web").expect("a name"),
            adapter: "simulated".to_owned(),
            status: Status::InForce,
            in_force: Allocation::new(cores, 1e9),
            message: String::new(),
        };
        let held = Allocation::new(2.0, 1e9);
        assert_eq!(delay(&outcome(3.0), &held), Some(90_000));
        assert_eq!(delay(&outcome(1.0), &held), None);
    }
}
