//! Decide: one worker settles each pool, tick by tick.
//!
//! Key: pool. Time: when the frontier passes a tick all demands of that tick are known, so the pool is settled in a
//! fixed order and no race can over-grant. State: the ledger and one controller a workload, see `pipeline/scaling`.

use std::collections::{BTreeMap, BTreeSet};

use scaling::{PoolState, Signals, settle};
use schemas::{Decision, EventTime, Noun, Outcome, Pool, Workload, WorkloadId};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;

use crate::EngineSettings;
use crate::control::Update;
use crate::keys::hash;
use crate::records::{Standing, Stream};
use crate::stash::Stash;

/// Settles every pool at every tick in which something is known of it.
pub(crate) fn decide<'s>(
    signals: Stream<'s, Signals>,
    standings: Stream<'s, Update<Standing>>,
    settings: &EngineSettings,
) -> Stream<'s, Decision> {
    let by_pool = Exchange::new(|signals: &Signals| hash(signals.workload.pool.as_str()));
    let by_key = Exchange::new(|update: &Update<Standing>| hash(&update.0.pool));
    let scaling = settings.scaling.clone();
    signals.binary_frontier(standings, by_pool, by_key, "decide", move |_, _| {
        let (mut signals, mut updates) = (Stash::new(), Stash::new());
        let mut pools = Pools::default();
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
                while let Some((_, closed)) = updates.pop_until(tick) {
                    pools.update(closed);
                }
                let now = EventTime::from_millis(tick);
                let mut session = output.session(&capability);
                for state in pools.observe(closed) {
                    session.give_iterator(settle(state, now, &scaling).into_iter());
                }
            }
            while let Some((_, closed)) = updates.pop_closed(&frontiers) {
                pools.update(closed);
            }
        }
    })
}

#[derive(Default)]
struct Pools {
    states: BTreeMap<String, PoolState>,
    /// What was last taken in of each workload's outcome: a standing comes again when its pool changes.
    reported: BTreeMap<WorkloadId, String>,
}

impl Pools {
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
            if let (Some(state), Ok(workload)) = (self.states.get_mut(&pool), WorkloadId::new(&workload)) {
                state.remove_workload(&workload);
                self.reported.remove(&workload);
            }
        }
    }

    fn take_over(&mut self, standing: &Standing) {
        let (Ok(pool), Ok(workload)) = (
            Pool::from_json(standing.pool_record.as_bytes()),
            Workload::from_json(standing.workload_record.as_bytes()),
        ) else {
            return;
        };
        let state = self.states.entry(standing.pool.clone()).or_default();
        state.set_pool(&pool);
        state.set_workload(&workload);
        let Some(json) = &standing.outcome else { return };
        if self.reported.get(&workload.workload) == Some(json) {
            return;
        }
        if let Ok(outcome) = Outcome::from_json(json.as_bytes()) {
            state.report(&outcome);
            self.reported.insert(workload.workload, json.clone());
        }
    }

    /// Takes in a tick's signals; the pools that they concern, by name.
    fn observe(&mut self, signals: Vec<Signals>) -> impl Iterator<Item = &mut PoolState> {
        let mut concerned = BTreeSet::new();
        for signals in signals {
            let pool = signals.workload.pool.to_string();
            if let Some(state) = self.states.get_mut(&pool) {
                state.observe(signals);
                concerned.insert(pool);
            }
        }
        self.states.iter_mut().filter(move |(pool, _)| concerned.contains(*pool)).map(|(_, state)| state)
    }
}
