//! Pair: primary, shadow, canary and baseline of one workload meet.
//!
//! Key: workload. Time: a tick is folded once, when the frontier has passed it, with its samples in canonical order,
//! so that sums of floats do not depend on arrival. State: the open ticks' rows, and the workloads' records. The
//! same reading sent twice counts once. Samples beyond [`SAMPLES_PER_TICK_MAX`] of one workload and tick are refused.
//! Cost: rows are counted into place, workload by workload; they are sorted only where they came out of order.

mod gather;
mod roster;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use schemas::{Allocation, Noun, Outcome, Reject, RejectReason, Status, Topic, V1, Workload, WorkloadId};
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;

use crate::control::Update;
use crate::keys::range;
use crate::records::{Pairs, Rows, Stream};
use crate::slots::Slots;
use crate::snapshot::{Cutter, Pieces};
use crate::stash::Stash;
use gather::Gather;
use roster::Roster;

/// Samples of one workload that one tick takes: 1000 instances at 10 Hz with ticks of a second.
const SAMPLES_PER_TICK_MAX: usize = 10_000;

/// How often an unknown workload is reported again, in milliseconds.
const REMIND_EVERY_MS: u64 = 3_600_000;

/// Unknown workloads that get features at once; bounds what a stranger's names can cost.
const UNKNOWN_MAX: usize = 10_000;

/// A closed tick of all workloads, or a dead letter.
pub(crate) type Paired = Result<Rc<Pairs>, Box<Reject>>;

type Output<'a> = OutputBuilderSession<'a, u64, CapacityContainerBuilder<Vec<Paired>>>;

/// A workload's record and what its adapter last reported: how the control plane tells them.
pub(crate) type WorkloadUpdate = Update<(String, String, Option<String>)>;

/// Brings a workload's roles together, tick by tick.
pub(crate) fn pair<'s>(
    samples: Stream<'s, Rows>,
    workloads: Stream<'s, WorkloadUpdate>,
    (slots, mut cutter): (Rc<Slots>, Cutter),
) -> Stream<'s, Paired> {
    // The range of the workload's name, modulo the number of workers, as ingest has parted the rows.
    let by_workload = Exchange::new(|rows: &Rows| rows.worker);
    let by_key = Exchange::new(|update: &WorkloadUpdate| range(&update.0.0));
    samples.binary_frontier(workloads, by_workload, by_key, "pair", |_, _| {
        let (mut samples, mut updates) = (Stash::new(), Stash::new());
        let mut known = Known::restored(slots, &cutter);
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
                if let Some(at) = cutter.due(*capability.time()) {
                    known.cut(at, &mut updates, &cutter);
                }
                while let Some((_, closed)) = updates.pop_until(*capability.time()) {
                    known.update(closed);
                }
                output.session(&capability).give_iterator(known.fold(*capability.time(), &tick).into_iter());
            }
            if let Some(at) = cutter.due_by(&frontiers) {
                known.cut(at, &mut updates, &cutter);
            }
            // No sample can come before these any more: to keep them would hold the frontier back.
            while let Some((_, closed)) = updates.pop_closed(&frontiers) {
                known.update(closed);
            }
        }
    })
}

struct Known {
    roster: Roster,
    /// By the workload's slot.
    standings: Vec<Standing>,
    gather: Gather,
}

/// What is known of a workload beside its readings.
#[derive(Default, Serialize, Deserialize)]
struct Standing {
    registered: Option<Registered>,
    /// When it was last reported that nobody has registered it.
    reported: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Registered {
    #[serde(with = "schemas::as_json")]
    record: Arc<Workload>,
    /// As last reported: whether an outcome is a raise is told by it.
    in_force: Allocation,
    delay_ms: Option<u64>,
}

impl Known {
    fn restored(slots: Rc<Slots>, cutter: &Cutter) -> Self {
        let mut known =
            Self { roster: Roster::new(Rc::clone(&slots)), standings: Vec::new(), gather: Gather::default() };
        for (workload, standing) in cutter.restored::<(WorkloadId, Standing)>() {
            let slot = known.slot(&workload);
            known.standings[slot] = standing;
        }
        known
    }

    /// Hands out what is known before a tick, its own changes not yet taken in.
    fn cut(&mut self, at: u64, updates: &mut Stash<WorkloadUpdate>, cutter: &Cutter) {
        while let Some((_, closed)) = updates.pop_until(at - 1) {
            self.update(closed);
        }
        cutter.cut(at, |pieces: &mut Pieces| {
            for (slot, standing) in self.standings.iter().enumerate() {
                let (workload, range) = self.roster.workload(slot);
                pieces.add(range, &(workload, standing));
            }
        });
    }

    /// Takes over the control plane's changes of one tick: what is only retracted is gone.
    fn update(&mut self, mut updates: Vec<WorkloadUpdate>) {
        updates.sort_by(|a, b| (&a.0.0, a.2).cmp(&(&b.0.0, b.2)));
        let mut gone = BTreeSet::new();
        for ((_, record, outcome), _, diff) in updates {
            let Ok(record) = Workload::from_json(record.as_bytes()) else { continue };
            let slot = self.slot(&record.workload);
            if diff < 0 {
                gone.insert(slot);
                continue;
            }
            gone.remove(&slot);
            let outcome = outcome.and_then(|json| Outcome::from_json(json.as_bytes()).ok());
            let known = self.standings[slot].registered.as_ref();
            let held = known.map_or(record.allocation, |known| known.in_force);
            let delay_ms =
                outcome.as_ref().and_then(|outcome| delay(outcome, &held)).or(known.and_then(|known| known.delay_ms));
            let in_force = outcome.map_or(held, |outcome| outcome.in_force);
            self.standings[slot].registered = Some(Registered { record: Arc::new(record), in_force, delay_ms });
        }
        for slot in gone {
            self.standings[slot].registered = None;
        }
    }

    fn slot(&mut self, workload: &WorkloadId) -> usize {
        let slot = self.roster.slot(workload);
        self.standings.resize_with(self.roster.len(), Standing::default);
        slot
    }

    /// Folds one closed tick into columns, workload by workload in the order of their names.
    fn fold(&mut self, tick: u64, blocks: &[Rows]) -> Vec<Paired> {
        let mut folded = Vec::new();
        let room = UNKNOWN_MAX.saturating_sub(self.strangers());
        let identities: Vec<_> = blocks.iter().map(Rows::identities).collect();
        let turned_away = self.roster.admit(identities.iter().flatten().copied().flatten(), room);
        self.standings.resize_with(self.roster.len(), Standing::default);
        if let Some(workload) = turned_away {
            let detail = format!("more than {UNKNOWN_MAX} unknown workloads: register them before sampling");
            folded.push(Err(reject(tick, &workload, RejectReason::Bound, detail)));
        }
        let mut pairs = Pairs::default();
        self.gather.place(blocks, &identities, &self.roster);
        for &slot in self.roster.by_name() {
            let Some(mut pair) = self.gather.begin(slot, blocks, &self.roster) else { continue };
            if self.gather.bound(SAMPLES_PER_TICK_MAX) {
                let detail =
                    format!("more than {SAMPLES_PER_TICK_MAX} samples of one workload in one tick: sample less often");
                folded.push(Err(reject(tick, &pair.workload, RejectReason::Bound, detail)));
            }
            let standing = &mut self.standings[slot];
            if let Some(registered) = &standing.registered {
                pair.tenant = registered.record.tenant.clone();
                pair.record = Some(Arc::clone(&registered.record));
                pair.delay_ms = registered.delay_ms;
            } else if standing.reported.is_none_or(|last| last + REMIND_EVERY_MS <= tick) {
                standing.reported = Some(tick);
                let detail =
                    "no record of this workload: it gets features but no decisions; write one to the workloads topic";
                folded.push(Err(reject(tick, &pair.workload, RejectReason::UnknownWorkload, detail.to_owned())));
            }
            self.gather.fold(pair, blocks, &self.roster, &mut pairs);
        }
        folded.push(Ok(Rc::new(pairs)));
        folded
    }

    /// Workloads that were seen without having been registered.
    fn strangers(&self) -> usize {
        self.standings.iter().filter(|standing| standing.reported.is_some() && standing.registered.is_none()).count()
    }
}

/// The actuation delay that an outcome shows: of a raise only, since lowering is often at once and says nothing of
/// how long more takes to come.
fn delay(outcome: &Outcome, held: &Allocation) -> Option<u64> {
    let took = outcome.time.millis().checked_sub(outcome.decided.millis())?;
    (outcome.status == Status::InForce && !outcome.in_force.fits(held)).then_some(took)
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
    use crate::snapshot::{Snapshots, Stage};

    #[test]
    fn only_the_rows_own_workloads_get_a_slot() {
        let mut builder = schemas::samples::Builder::default();
        for name in ["another-tick", "web"] {
            builder.push(&schemas::Sample::new(EventTime::from_millis(1_000), WorkloadId::new(name).expect("a name")));
        }
        let rows = Rows { worker: 0, samples: Arc::new(builder.take()), rows: vec![1] };
        let mut known = Known::restored(Rc::default(), &Rc::new(Snapshots::default()).of(Stage::Pair));
        let folded = known.fold(1_000, &[rows]);
        assert_eq!(known.roster.len(), 1, "a block also holds what is not of this tick");
        let pairs = folded.into_iter().find_map(Result::ok).expect("a tick");
        let names: Vec<&str> = pairs.pairs.iter().map(|pair| pair.workload.as_str()).collect();
        assert_eq!(names, ["web"]);
    }

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
