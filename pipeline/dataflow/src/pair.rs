//! Pair: primary, shadow, canary and baseline of one workload meet.
//!
//! Key: workload. Time: a tick is folded once, when the frontier has passed it, with its samples in canonical order,
//! so that sums of floats do not depend on arrival. State: the open ticks' rows, and the workloads' records. The
//! same reading sent twice counts once. Samples beyond [`SAMPLES_PER_TICK_MAX`] of one workload and tick are refused. A workload
//! that has no record, and was not read for [`FORGET_AFTER_MS`], is forgotten, by all stages; it is looked for each
//! [`LOOK_OVER_EVERY_MS`] of event time, as of that hour, so that all runs forget the same.
//! Cost: rows are counted into place, workload by workload; they are sorted only where they came out of order. A great tick
//! is folded in turns, and detectors and forecasts take each turn's columns while they are in the cache.

mod block;
mod gather;
mod roster;

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use schemas::{Allocation, Noun, Outcome, Reject, RejectReason, Status, Topic, V1, Workload, WorkloadId};
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::OutputBuilderSession;
use timely::dataflow::operators::{Capability, Operator};

use crate::control::Update;
use crate::keys::{RANGES, range};
use crate::records::{Pairs, Rows, Stream};
use crate::slots::Slots;
use crate::snapshot::{Cutter, Pieces};
use crate::stash::Stash;
use block::Block;
use gather::{Columns, Gather};
use roster::Roster;

/// Samples of one workload that one tick takes: 1000 instances at 10 Hz with ticks of a second.
const SAMPLES_PER_TICK_MAX: usize = 10_000;

/// How often an unknown workload is reported again, in milliseconds.
const REMIND_EVERY_MS: u64 = 3_600_000;

/// Unknown workloads of a key range that get features at once, ten thousand in all; bounds what a stranger's names can cost.
const UNKNOWN_MAX: usize = 157;

/// A day: a workload of yesterday that nobody has registered is another one.
const FORGET_AFTER_MS: u64 = 86_400_000;

/// Between two looks at who is to be forgotten.
const LOOK_OVER_EVERY_MS: u64 = 3_600_000;

/// Readings after which a turn ends: half a megabyte of values, so that the stages behind find a turn's columns in the cache,
/// and what they make of them is taken on before the next turn.
const READINGS_PER_TURN: usize = 1 << 16;

/// Columns that are kept for use again: a tick of a million series has no more turns.
const COLUMNS_KEPT_MAX: usize = 256;

/// Some workloads of a closed tick, or a dead letter.
pub(crate) type Paired = Result<Rc<Pairs>, Box<Reject>>;

type Output<'a> = OutputBuilderSession<'a, u64, CapacityContainerBuilder<Vec<Paired>>>;

/// A workload's record and what its adapter last reported: how the control plane tells them.
pub(crate) type WorkloadUpdate = Update<(String, String, Option<String>)>;

/// A closed tick that is being folded, turn by turn.
struct Open {
    capability: Capability<u64>,
    blocks: Vec<Block>,
    /// Workloads that were folded, in the order of names.
    folded: usize,
}

/// Brings a workload's roles together, tick by tick.
pub(crate) fn pair<'s>(
    samples: Stream<'s, Rows>,
    workloads: Stream<'s, WorkloadUpdate>,
    (slots, mut cutter): (Rc<Slots>, Cutter),
) -> Stream<'s, Paired> {
    // The range of the workload's name, modulo the number of workers, as ingest has parted the rows.
    let by_workload = Exchange::new(|rows: &Rows| rows.worker);
    let by_key = Exchange::new(|update: &WorkloadUpdate| range(&update.0.0));
    let scope = samples.scope();
    samples.binary_frontier(workloads, by_workload, by_key, "pair", |_, info| {
        let activator = scope.activator_for(info.address);
        let (mut samples, mut updates) = (Stash::new(), Stash::new());
        let mut known = Known::restored(slots, &cutter);
        let mut open: Option<Open> = None;
        move |(input, frontier), (changes, changes_frontier), output: &mut Output<'_>| {
            input.for_each(|capability, data| {
                if let Some(capability) = capability.retain_least(0) {
                    samples.keep(capability, data.drain(..).map(|rows| Block::new(rows, &known.roster)));
                }
            });
            changes.for_each(|capability, data| {
                if let Some(capability) = capability.retain_least(0) {
                    updates.keep_updates(&capability, data.drain(..));
                }
            });
            let frontiers = [frontier, changes_frontier];
            loop {
                // Invariant: nothing is cut, and no change taken in, while a tick is open.
                let mut tick = match open.take() {
                    Some(tick) => tick,
                    None => {
                        let Some((capability, mut blocks)) = samples.pop_closed(&frontiers) else { break };
                        let at = *capability.time();
                        if let Some(at) = cutter.due(at) {
                            known.cut(at, &mut updates, &cutter);
                        }
                        while let Some((changed, closed)) = updates.pop_until(at) {
                            known.update(*changed.time(), closed);
                        }
                        output.session(&capability).give_iterator(known.open(at, &mut blocks).into_iter());
                        Open { capability, blocks, folded: 0 }
                    }
                };
                let folded = known.fold(*tick.capability.time(), &tick.blocks, &mut tick.folded);
                output.session(&tick.capability).give_iterator(folded.into_iter());
                if tick.folded < known.roster.by_name().len() {
                    open = Some(tick);
                    activator.activate();
                    return;
                }
            }
            if let Some(at) = cutter.due_by(&frontiers) {
                known.cut(at, &mut updates, &cutter);
            }
            // No sample can come before these any more: to keep them would hold the frontier back.
            while let Some((changed, closed)) = updates.pop_closed(&frontiers) {
                known.update(*changed.time(), closed);
            }
        }
    })
}

struct Known {
    roster: Roster,
    /// By the workload's slot.
    standings: Vec<Standing>,
    /// The hour as of which it was last looked who is to be forgotten.
    looked_over: u64,
    gather: Gather,
    /// Columns that were handed on, oldest first: the stages behind let go of them in that order.
    handed_on: VecDeque<Rc<Pairs>>,
}

/// What is known of a workload beside its readings.
#[derive(Default, Serialize, Deserialize)]
struct Standing {
    registered: Option<Registered>,
    /// When it was last reported that nobody has registered it.
    reported: Option<u64>,
    /// The tick in which it was last read.
    read: Option<u64>,
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
        let mut known = Self {
            roster: Roster::new(slots),
            standings: Vec::new(),
            looked_over: 0,
            gather: Gather::default(),
            handed_on: VecDeque::new(),
        };
        for (workload, standing) in cutter.restored::<(WorkloadId, Standing)>() {
            let slot = known.slot(&workload);
            known.standings[slot] = standing;
        }
        known
    }

    /// Hands out what is known before a tick, its own changes not yet taken in.
    fn cut(&mut self, at: u64, updates: &mut Stash<WorkloadUpdate>, cutter: &Cutter) {
        while let Some((changed, closed)) = updates.pop_until(at - 1) {
            self.update(*changed.time(), closed);
        }
        cutter.cut(at, |pieces: &mut Pieces| {
            for (slot, standing) in self.standings.iter().enumerate() {
                let Some((workload, range)) = self.roster.workload(slot) else { continue };
                pieces.add(range, &(workload, standing));
            }
        });
    }

    /// Forgets who is to be forgotten, as of the last full hour before a tick, or at it: the first change or reading since then
    /// is about to be taken in.
    fn look_over(&mut self, tick: u64) {
        let hour = tick - tick % LOOK_OVER_EVERY_MS;
        if hour <= self.looked_over {
            return;
        }
        self.looked_over = hour;
        let is_gone = |standing: &Standing| {
            standing.registered.is_none() && standing.read.is_none_or(|read| read + FORGET_AFTER_MS <= hour)
        };
        let standings = self.standings.iter_mut().enumerate();
        self.roster.begin_anew(standings.filter(|(_, standing)| is_gone(standing)).map(|(slot, standing)| {
            *standing = Standing::default();
            slot
        }));
    }

    /// Takes over the control plane's changes of one tick: what is only retracted is gone.
    fn update(&mut self, tick: u64, mut updates: Vec<WorkloadUpdate>) {
        self.look_over(tick);
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

    /// Counts the rows of a closed tick into place; who was turned away, the first of each range.
    fn open(&mut self, tick: u64, blocks: &mut [Block]) -> Vec<Paired> {
        self.look_over(tick);
        blocks.iter_mut().for_each(|block| block.follow(&self.roster));
        let room = self.strangers().map(|strangers| UNKNOWN_MAX.saturating_sub(strangers));
        let turned_away = self.roster.admit(blocks.iter().flat_map(Block::strangers), room);
        self.standings.resize_with(self.roster.len(), Standing::default);
        blocks.iter_mut().for_each(|block| block.look_up(&self.roster));
        self.gather.place(blocks, self.roster.len());
        let turned_away = turned_away.iter().map(|workload| {
            let all = UNKNOWN_MAX * RANGES as usize;
            let detail = format!("more than some {all} unknown workloads within a day: register them before sampling");
            Err(reject(tick, workload, RejectReason::Bound, detail))
        });
        turned_away.collect()
    }

    /// Folds one turn of an open tick into columns, workload by workload in the order of their names, from the first that was
    /// not folded yet.
    fn fold(&mut self, tick: u64, blocks: &[Block], workloads: &mut usize) -> Vec<Paired> {
        let (mut folded, mut fresh, columns) = (Vec::new(), self.fresh(), Columns::of(blocks));
        let pairs = Rc::get_mut(&mut fresh).expect("nobody else holds columns that are new or were let go");
        for &slot in &self.roster.by_name()[*workloads..] {
            if pairs.readings_held() >= READINGS_PER_TURN {
                break;
            }
            *workloads += 1;
            let Some(mut pair) = self.gather.begin(slot, blocks, &self.roster) else { continue };
            if self.gather.bound(SAMPLES_PER_TICK_MAX) {
                let detail =
                    format!("more than {SAMPLES_PER_TICK_MAX} samples of one workload in one tick: sample less often");
                folded.push(Err(reject(tick, &pair.workload, RejectReason::Bound, detail)));
            }
            let standing = &mut self.standings[slot];
            pair.is_new = standing.read.replace(tick).is_none();
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
            self.gather.fold(pair, &columns, &self.roster, pairs);
        }
        if self.handed_on.len() < COLUMNS_KEPT_MAX {
            self.handed_on.push_back(Rc::clone(&fresh));
        }
        folded.push(Ok(fresh));
        folded
    }

    /// Pairs to fill: the oldest that were handed on, once all stages behind have let go of them.
    fn fresh(&mut self) -> Rc<Pairs> {
        let free = self.handed_on.front_mut().and_then(Rc::get_mut).map(Pairs::clear).is_some();
        if free { self.handed_on.pop_front() } else { None }.unwrap_or_default()
    }

    /// Workloads that were seen without having been registered, by range.
    fn strangers(&self) -> [usize; RANGES as usize] {
        let mut strangers = [0; RANGES as usize];
        let is_stranger = |standing: &Standing| standing.reported.is_some() && standing.registered.is_none();
        for (slot, _) in self.standings.iter().enumerate().filter(|(_, standing)| is_stranger(standing)) {
            let (_, range) = self.roster.workload(slot).expect("a free slot has no standing");
            strangers[range as usize] += 1;
        }
        strangers
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
        let mut blocks = [Block::new(rows, &known.roster)];
        assert!(known.open(1_000, &mut blocks).is_empty(), "there is room");
        let folded = known.fold(1_000, &blocks, &mut 0);
        assert_eq!(known.roster.len(), 1, "a block also holds what is not of this tick");
        let pairs = folded.into_iter().find_map(Result::ok).expect("a tick");
        let names: Vec<&str> = pairs.pairs.iter().map(|pair| pair.workload.as_str()).collect();
        assert_eq!(names, ["web"]);
    }

    const HOUR: u64 = LOOK_OVER_EVERY_MS;

    fn block(known: &Known, tick: u64, names: &[&str]) -> Block {
        let mut builder = schemas::samples::Builder::default();
        for name in names {
            builder.push(&schemas::Sample::new(EventTime::from_millis(tick), WorkloadId::new(name).expect("a name")));
        }
        let rows = (0..names.len() as u32).collect();
        Block::new(Rows { worker: 0, samples: Arc::new(builder.take()), rows }, &known.roster)
    }

    /// Closes a tick: who was read, at which slot, and whether he was new; then how many were turned away.
    fn close(known: &mut Known, tick: u64, mut block: [Block; 1]) -> (Vec<(String, usize, bool)>, usize) {
        let turned_away = known.open(tick, &mut block).len();
        let folded = known.fold(tick, &block, &mut 0);
        let pairs = folded.into_iter().find_map(Result::ok).expect("a tick");
        let of = |pair: &crate::records::Pair| (pair.workload.to_string(), pair.slot, pair.is_new);
        (pairs.pairs.iter().map(of).collect(), turned_away)
    }

    fn registered(name: &str, diff: isize) -> Vec<WorkloadUpdate> {
        let record = format!(
            r#"{{"workload":"{name}","orchestrator":"simulated","pool":"main",
            "allocation":{{"cpu_cores":1,"memory_bytes":1e9}},"min":{{"cpu_cores":1,"memory_bytes":1e9}},
            "max":{{"cpu_cores":2,"memory_bytes":2e9}},"step":{{"cpu_cores":1,"memory_bytes":1e9}},
            "unmet_cost":9,"idle_cost":1}}"#
        );
        assert!(Workload::from_json(record.as_bytes()).is_ok(), "{record}");
        vec![((name.to_owned(), record, None), 0, diff)]
    }

    #[test]
    fn who_has_no_record_and_was_not_read_for_a_day_is_forgotten() {
        let mut known = Known::restored(Rc::default(), &Rc::new(Snapshots::default()).of(Stage::Pair));
        known.update(HOUR, registered("known", 1));
        let was = |name: &str, slot, is_new| (name.to_owned(), slot, is_new);
        let read = |known: &mut Known, tick, names: &[&str]| {
            let block = block(known, tick, names);
            close(known, tick, [block]).0
        };
        let first = read(&mut known, HOUR, &["known", "left", "stays"]);
        assert_eq!(first, [was("known", 0, true), was("left", 1, true), was("stays", 2, true)]);
        // As of hour 24 it is 23 hours ago; as of hour 25 a day.
        assert_eq!(read(&mut known, 25 * HOUR - 1_000, &["stays"]), [was("stays", 2, false)]);
        // Its tick is open, and its row looked up, when the hour ends.
        let early = block(&known, 25 * HOUR + 1_000, &["known", "left", "stays"]);
        assert_eq!(read(&mut known, 25 * HOUR, &["new"]), [was("new", 1, true)]);
        let again = close(&mut known, 25 * HOUR + 1_000, [early]).0;
        assert_eq!(again, [was("known", 0, false), was("left", 3, true), was("stays", 2, false)]);
        // Whose record is removed stays until he was not read for a day.
        known.update(26 * HOUR, registered("known", -1));
        assert_eq!(read(&mut known, 49 * HOUR, &["known"]), [was("known", 0, false)]);
        assert_eq!(read(&mut known, 73 * HOUR, &["known"]), [was("known", 3, true)], "at the slot that was freed last");
    }

    #[test]
    fn the_bound_on_strangers_is_on_those_of_a_day() {
        let mut known = Known::restored(Rc::default(), &Rc::new(Snapshots::default()).of(Stage::Pair));
        // All of one key range, more than it has room for.
        let names: Vec<String> =
            (0..).map(|number| format!("job-{number}")).filter(|name| range(name) == 0).take(200).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (earlier, later) = names.split_at(UNKNOWN_MAX);
        let mut told = Vec::new();
        for (hour, names) in [(1, earlier), (24, later), (25, later)] {
            let block = block(&known, hour * HOUR, names);
            let (pairs, turned_away) = close(&mut known, hour * HOUR, [block]);
            told.push((pairs.len(), turned_away));
        }
        assert_eq!(told, [(UNKNOWN_MAX, 0), (0, 1), (200 - UNKNOWN_MAX, 0)]);
        assert_eq!(known.roster.len(), UNKNOWN_MAX, "slots are used again");
    }

    #[test]
    fn a_great_tick_takes_turns_and_columns_are_used_again() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let mut builder = schemas::samples::Builder::default();
        for name in names {
            for reading in 0..9_000 {
                let time = EventTime::from_millis(1_000 + reading / 9);
                let mut sample = schemas::Sample::new(time, WorkloadId::new(name).expect("a name"));
                sample.instance = Some(schemas::InstanceId::new(&format!("{}", reading % 9)).expect("a name"));
                sample.set(schemas::Metric::CpuUsed, Some(1.0));
                builder.push(&sample);
            }
        }
        let samples = Arc::new(builder.take());
        let rows = (0..samples.len() as u32).collect();
        let mut known = Known::restored(Rc::default(), &Rc::new(Snapshots::default()).of(Stage::Pair));
        let mut blocks = [Block::new(Rows { worker: 0, samples, rows }, &known.roster)];
        assert!(known.open(1_000, &mut blocks).is_empty(), "there is room");
        let mut folded = 0;
        let mut turn = |known: &mut Known| known.fold(1_000, &blocks, &mut folded).into_iter().find_map(Result::ok);
        let first = turn(&mut known).expect("columns");
        // Eight workloads of 9000 readings are the first to reach 2^16.
        assert_eq!((first.pairs.len(), first.readings_held()), (8, 72_000));
        let columns = Rc::as_ptr(&first);
        drop(first);
        let second = turn(&mut known).expect("columns");
        assert_eq!(Rc::as_ptr(&second), columns);
        let left: Vec<&str> = second.pairs.iter().map(|pair| pair.workload.as_str()).collect();
        assert_eq!((left, second.readings_held()), (vec!["i", "j"], 18_000));
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
