//! The control plane: workloads ⋈ pools ⋈ outcomes, in differential dataflow.
//!
//! Key: workload and pool. Time: the tick from which a record counts. State: the newest record of each key, and what
//! differential arranges for the joins: a few rows a workload. Rows are few and must be retracted exactly, which is
//! what differential is for; they travel as JSON, since an ordered, hashable row is needed and floats are neither.

use std::collections::BTreeMap;

use differential_dataflow::VecCollection;
use differential_dataflow::collection::AsCollection;
use schemas::{Noun, Workload};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;

use crate::keys::range;
use crate::records::{Change, ControlNoun, Standing, Stream};
use crate::snapshot::Cutter;
use crate::stash::Stash;

/// A row, the tick from which it holds or no longer holds, and +1 or -1.
pub(crate) type Update<D> = (D, u64, isize);

/// The newest record of a key.
type Row = (ControlNoun, String, String);

/// The control plane's two views.
pub(crate) struct Control<'s> {
    /// Workloads with what their adapters last reported: (workload, record, outcome).
    pub(crate) workloads: Stream<'s, Update<(String, String, Option<String>)>>,
    /// Workloads with their pools.
    pub(crate) standings: Stream<'s, Update<Standing>>,
}

/// Joins what runs with what pays and what was done.
pub(crate) fn control(changes: Stream<'_, Change>, cutter: Cutter) -> Control<'_> {
    let rows = newest(changes, cutter).as_collection();
    let workloads = of(rows.clone(), ControlNoun::Workloads);
    let pools = of(rows.clone(), ControlNoun::Pools);
    let outcomes = of(rows, ControlNoun::Outcomes);

    let answered = workloads.clone().join_map(outcomes.clone(), |workload, record, outcome| {
        (workload.clone(), record.clone(), Some(outcome.clone()))
    });
    let unanswered =
        workloads.antijoin(outcomes.map(|(workload, _)| workload)).map(|(workload, record)| (workload, record, None));
    let workloads = answered.concat(unanswered).consolidate();

    let standings = workloads
        .clone()
        .flat_map(|(workload, record, outcome)| {
            let pool = Workload::from_json(record.as_bytes()).ok()?.pool.to_string();
            Some((pool, (workload, record, outcome)))
        })
        .join_map(pools, |pool, (workload, record, outcome), pool_record| Standing {
            pool: pool.clone(),
            pool_record: pool_record.clone(),
            workload: workload.clone(),
            workload_record: record.clone(),
            outcome: outcome.clone(),
        })
        .consolidate();
    Control { workloads: workloads.inner, standings: standings.inner }
}

/// The rows of one noun, as (key, record).
fn of(rows: VecCollection<'_, u64, Row>, noun: ControlNoun) -> VecCollection<'_, u64, (String, String)> {
    rows.flat_map(move |(of, key, record)| (of == noun).then_some((key, record)))
}

/// Keeps the newest record of each key, as exact changes. What a snapshot held comes again just before its tick, and
/// differential arranges it anew: at the tick itself a removal would cancel it, and the stages behind, which remember it, would
/// never hear of the removal.
fn newest(changes: Stream<'_, Change>, mut cutter: Cutter) -> Stream<'_, Update<Row>> {
    changes.unary_frontier(Exchange::new(|change: &Change| range(&change.key)), "newest", |capability, _| {
        let mut stash = Stash::new();
        let held = cutter.restored::<Change>().into_iter().map(|change| ((change.noun, change.key.clone()), change));
        let mut held: Held = held.collect();
        let mut restored = Some(capability.delayed(&cutter.restored_at().saturating_sub(1)));
        move |(input, frontier),
              output: &mut OutputBuilderSession<'_, u64, CapacityContainerBuilder<Vec<Update<Row>>>>| {
            if let Some(capability) = restored.take() {
                let rows = held.values().filter_map(row).map(|row| (row, *capability.time(), 1));
                output.session(&capability).give_iterator(rows);
            }
            input.for_each(|capability, data| {
                if let Some(capability) = capability.retain_least(0) {
                    stash.keep(capability, data.drain(..));
                }
            });
            while let Some((capability, mut changes)) = stash.pop_closed(&[frontier]) {
                if let Some(at) = cutter.due(*capability.time()) {
                    cutter.cut(at, |pieces| held.values().for_each(|change| pieces.add(range(&change.key), change)));
                }
                // By time, then by offset: the order of arrival must not count.
                changes.sort_by(|a, b| (a.noun, &a.key, a.time, a.offset).cmp(&(b.noun, &b.key, b.time, b.offset)));
                let mut session = output.session(&capability);
                for change in changes {
                    let ends = change.noun == ControlNoun::Workloads && change.value.is_none();
                    // Whoever comes under its name begins anew.
                    let outcome = ends.then(|| Change { noun: ControlNoun::Outcomes, ..change.clone() });
                    for change in std::iter::once(change).chain(outcome) {
                        replace(&mut held, change, |row, diff| session.give((row, *capability.time(), diff)));
                    }
                }
            }
            if let Some(at) = cutter.due_by(&[frontier]) {
                cutter.cut(at, |pieces| held.values().for_each(|change| pieces.add(range(&change.key), change)));
            }
        }
    })
}

/// The newest change of each key.
type Held = BTreeMap<(ControlNoun, String), Change>;

/// The row that a change leaves; none where it removes the key.
fn row(change: &Change) -> Option<Row> {
    change.value.clone().map(|value| (change.noun, change.key.clone(), value))
}

/// Puts a change in place of what was held, unless that is newer.
fn replace(held: &mut Held, change: Change, mut give: impl FnMut(Row, isize)) {
    let id = (change.noun, change.key.clone());
    let older = held.get(&id);
    if older.is_some_and(|older| (older.time, older.offset) > (change.time, change.offset)) {
        return;
    }
    if let Some(older) = older.and_then(row) {
        give(older, -1);
    }
    if let Some(newer) = row(&change) {
        give(newer, 1);
    }
    // A removed key is kept as a mark: an older record of it must not bring it back.
    held.insert(id, change);
}
