//! Decide: one worker settles each pool, tick by tick.
//!
//! Key: pool. Time: when the frontier passes a tick all demands of that tick are known, so the pool is settled in a
//! fixed order and no race can over-grant. State: the ledger and one controller a workload, see `pipeline/scaling`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use scaling::{PoolState, Signals, settle};
use schemas::{Decision, EventTime, Noun, Outcome, Pool, Workload, WorkloadId};
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;

use crate::EngineSettings;
use crate::control::Update;
use crate::keys::range;
use crate::records::{Standing, Stream};
use crate::snapshot::{Cutter, Pieces};
use crate::stash::Stash;

/// They change hands several times on their way, and are large.
type Boxed = Box<Signals>;

/// Settles every pool at every tick in which something is known of it.
pub(crate) fn decide<'s>(
    signals: Stream<'s, Boxed>,
    standings: Stream<'s, Update<Standing>>,
    settings: &EngineSettings,
    mut cutter: Cutter,
) -> Stream<'s, Decision> {
    let by_pool = Exchange::new(|signals: &Boxed| range(signals.workload.pool.as_str()));
    let by_key = Exchange::new(|update: &Update<Standing>| range(&update.0.pool));
    let scaling = settings.scaling.clone();
    signals.binary_frontier(standings, by_pool, by_key, "decide", move |_, _| {
        let (mut signals, mut updates) = (Stash::new(), Stash::new());
        let mut pools = Pools { pools: cutter.restored().into_iter().collect() };
        move |(input, frontier),
              (changes, changes_frontier),
              output: &mut OutputBuilderSession<'_, u64, CapacityContainerBuilder<Vec<Decision>>>| {
            input.for_each(|capability, data| {
                if let Some(capability) = capability.retain_least(0) {
                    signals.keep(capability, data.drain(..));
                }
            });
            changes.for_each(|capability, data| {
                if let Some(capability) = capability.retain_least(0) {
                    updates.keep_updates(&capability, data.drain(..));
                }
            });
            let frontiers = [frontier, changes_frontier];
            while let Some((capability, closed)) = signals.pop_closed(&frontiers) {
                let tick = *capability.time();
                if let Some(at) = cutter.due(tick) {
                    pools.cut(at, &mut updates, &cutter);
                }
                while let Some((_, closed)) = updates.pop_until(tick) {
                    pools.update(closed);
                }
                let now = EventTime::from_millis(tick);
                let mut session = output.session(&capability);
                for state in pools.observe(closed) {
                    session.give_iterator(settle(state, now, &scaling).into_iter());
                }
            }
            if let Some(at) = cutter.due_by(&frontiers) {
                pools.cut(at, &mut updates, &cutter);
            }
            while let Some((_, closed)) = updates.pop_closed(&frontiers) {
                pools.update(closed);
            }
        }
    })
}

/// Every pool that the worker settles, by name.
struct Pools {
    pools: BTreeMap<String, Settled>,
}

/// A pool, and what its workloads' adapters reported.
#[derive(Default, Serialize, Deserialize)]
struct Settled {
    state: PoolState,
    /// What was last taken in of each workload's outcome: a standing comes again when its pool changes.
    reported: BTreeMap<WorkloadId, String>,
}

impl Pools {
    /// Hands out the pools as they are before a tick, its own changes not yet taken in.
    fn cut(&mut self, at: u64, updates: &mut Stash<Update<Standing>>, cutter: &Cutter) {
        while let Some((_, closed)) = updates.pop_until(at - 1) {
            self.update(closed);
        }
        cutter.cut(at, |pieces: &mut Pieces| self.pools.iter().for_each(|pool| pieces.add(range(pool.0), &pool)));
    }

    /// Takes over the control plane's changes of one tick, by pool and workload; what is only retracted is gone.
    fn update(&mut self, mut updates: Vec<Update<Standing>>) {
        updates.sort_by(|a, b| (&a.0.pool, &a.0.workload, a.2).cmp(&(&b.0.pool, &b.0.workload, b.2)));
        let mut gone = BTreeSet::new();
        for (standing, _, diff) in updates {
            let key = (standing.pool.clone(), standing.workload.clone());
            if diff < 0 {
                gone.insert(key);
            } else {
                gone.remove(&key);
                self.take_over(&standing);
            }
        }
        for (pool, workload) in gone {
            if let (Some(pool), Ok(workload)) = (self.pools.get_mut(&pool), WorkloadId::new(&workload)) {
                pool.state.remove_workload(&workload);
                pool.reported.remove(&workload);
            }
        }
    }

    fn take_over(&mut self, standing: &Standing) {
        let (Ok(record), Ok(workload)) = (
            Pool::from_json(standing.pool_record.as_bytes()),
            Workload::from_json(standing.workload_record.as_bytes()),
        ) else {
            return;
        };
        let pool = self.pools.entry(standing.pool.clone()).or_default();
        let outcome = standing.outcome.as_ref().filter(|json| pool.reported.get(&workload.workload) != Some(*json));
        let outcome = outcome.and_then(|json| Some((json, Outcome::from_json(json.as_bytes()).ok()?)));
        pool.state.set_pool(&record);
        pool.state.set_workload(&workload, outcome.as_ref().map(|(_, outcome)| outcome.in_force));
        if let Some((json, outcome)) = outcome {
            pool.state.report(&outcome);
            pool.reported.insert(workload.workload, json.clone());
        }
    }

    /// Takes in a tick's signals; the pools that they concern, by name.
    fn observe(&mut self, signals: impl IntoIterator<Item = Boxed>) -> impl Iterator<Item = &mut PoolState> {
        let mut concerned = BTreeSet::new();
        for signals in signals {
            let workload = Arc::clone(&signals.workload);
            if let Some(pool) = self.pools.get_mut(workload.pool.as_str()) {
                pool.state.observe(*signals);
                if !concerned.contains(workload.pool.as_str()) {
                    concerned.insert(workload.pool.to_string());
                }
            }
        }
        self.pools.iter_mut().filter(move |(name, _)| concerned.contains(*name)).map(|(_, pool)| &mut pool.state)
    }
}
