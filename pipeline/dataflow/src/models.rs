//! Models: which champion serves, from which tick on.
//!
//! Key: none; one worker keeps the registry and tells all workers of each swap. Time: the tick that a record names, or the
//! first open one. Of the champions the one with the latest time serves; of equal times the later offset, then the later id.
//! State: the newest record of each model, bounded: [`CHAMPIONS_MAX`] artifacts, [`RECORDS_MAX`] records; what is pushed
//! out has to be published again to serve again. Where no champion is left, the shipped one serves. Cost: nothing between swaps.

use std::collections::BTreeMap;

use schemas::{Model, Noun};
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;
use timely::dataflow::operators::vec::Broadcast;

use crate::records::{Change, Stream};
use crate::snapshot::Cutter;
use crate::stash::Stash;

/// Champions whose artifacts are kept, 100 kB each: as many as may be rolled back to by withdrawing newer ones.
const CHAMPIONS_MAX: usize = 8;

/// Records that are kept in all, most of them marks without an artifact: years of daily trainings.
const RECORDS_MAX: usize = 1024;

/// The worker that keeps the registry, and the range that always lies with it.
const KEEPER: u64 = 0;

/// A model that serves, as it travels to the workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Champion {
    /// What forecasts and decisions call it.
    pub(crate) name: String,
    #[serde(with = "serde_bytes")]
    pub(crate) artifact: Vec<u8>,
}

/// Who serves from a tick on; none is the shipped champion.
pub(crate) type Swap = Option<Champion>;

/// Tells every worker who serves, at the ticks at which that changes. What a snapshot held comes again just before its tick.
pub(crate) fn models<'s>(changes: Stream<'s, Change>, mut cutter: Cutter) -> Stream<'s, Swap> {
    let swaps = changes.unary_frontier(Exchange::new(|_: &Change| KEEPER), "models", move |capability, _| {
        let mut stash = Stash::new();
        let mut registry = Registry::default();
        cutter.restored::<Change>().into_iter().for_each(|change| registry.take(change));
        let mut restored = Some(capability.delayed(&cutter.restored_at().saturating_sub(1)));
        move |(input, frontier), output: &mut OutputBuilderSession<'_, u64, CapacityContainerBuilder<Vec<Swap>>>| {
            if let Some(capability) = restored.take() {
                output.session(&capability).give_iterator(registry.swap().into_iter());
            }
            input.for_each(|capability, data| {
                if let Some(capability) = capability.retain_least(0) {
                    stash.keep(capability, data.drain(..));
                }
            });
            while let Some((capability, changes)) = stash.pop_closed(&[frontier]) {
                if let Some(at) = cutter.due(*capability.time()) {
                    cutter.cut(at, |pieces| registry.held.values().for_each(|change| pieces.add(KEEPER, change)));
                }
                changes.into_iter().for_each(|change| registry.take(change));
                registry.bound();
                output.session(&capability).give_iterator(registry.swap().into_iter());
            }
            if let Some(at) = cutter.due_by(&[frontier]) {
                cutter.cut(at, |pieces| registry.held.values().for_each(|change| pieces.add(KEEPER, change)));
            }
        }
    });
    swaps.broadcast()
}

/// The newest record of each model, and whom the workers were told of last.
#[derive(Default)]
struct Registry {
    held: BTreeMap<String, Change>,
    told: Option<(u64, i64, String)>,
}

impl Registry {
    /// Puts a change in place of what was held of its model, unless that is newer: the order of arrival does not count.
    fn take(&mut self, change: Change) {
        let newer = |held: &Change| rank(held) > rank(&change);
        if !self.held.get(&change.key).is_some_and(newer) {
            self.held.insert(change.key.clone(), change);
        }
    }

    /// Lets go of artifacts, then of records, oldest first, once a tick's changes are taken in.
    fn bound(&mut self) {
        let mut by_rank: Vec<_> = self.held.values_mut().collect();
        by_rank.sort_by(|a, b| rank(b).cmp(&rank(a)));
        let champions = by_rank.iter_mut().filter(|change| change.value.is_some());
        champions.skip(CHAMPIONS_MAX).for_each(|change| change.value = None);
        let over: Vec<String> = by_rank.iter().skip(RECORDS_MAX).map(|change| change.key.clone()).collect();
        over.iter().for_each(|key| _ = self.held.remove(key));
    }

    /// Who serves now, if the workers have not been told.
    fn swap(&mut self) -> Option<Swap> {
        let champions = self.held.values().filter(|change| change.value.is_some());
        let champion = champions.max_by(|a, b| rank(a).cmp(&rank(b)));
        let own = champion.map(|change| (change.time, change.offset, change.key.clone()));
        if own == self.told {
            return None;
        }
        self.told = own;
        Some(champion.and_then(|change| {
            let record = Model::from_json(change.value.as_ref()?.as_bytes()).ok()?;
            Some(Champion { name: record.name(), artifact: record.carried().ok()? })
        }))
    }
}

fn rank(change: &Change) -> (u64, i64, &str) {
    (change.time, change.offset, &change.key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::ControlNoun;

    fn champion(key: &str, time: u64, offset: i64) -> Change {
        let mut record = Model::from_json(include_bytes!("../../../schemas/golden/models.v1.json")).expect("a record");
        record.model = schemas::ModelId::new(key).expect("a name");
        record.carry(key.as_bytes()).expect("a few bytes fit");
        let value = String::from_utf8(record.to_json()).expect("JSON is UTF-8");
        Change { noun: ControlNoun::Models, key: key.to_owned(), time, offset, value: Some(value) }
    }

    fn gone(key: &str, time: u64, offset: i64) -> Change {
        Change { value: None, ..champion(key, time, offset) }
    }

    /// Whom the workers are told of after a change: the model's bytes are its key here.
    fn told(registry: &mut Registry, change: Change) -> Option<Option<String>> {
        registry.take(change);
        registry.bound();
        let artifact = |champion: Champion| String::from_utf8(champion.artifact).expect("a key");
        registry.swap().map(|swap| swap.map(artifact))
    }

    #[test]
    fn the_newest_champion_serves_until_it_is_withdrawn() {
        let mut registry = Registry::default();
        let mut told = |change| told(&mut registry, change);
        let serves = |key: &str| Some(Some(key.to_owned()));
        assert_eq!(told(champion("a", 10, 0)), serves("a"));
        assert_eq!(told(champion("b", 20, 1)), serves("b"));
        assert_eq!(told(champion("c", 15, 2)), None, "b is newer");
        assert_eq!(told(gone("c", 30, 3)), None, "it did not serve");
        assert_eq!(told(gone("b", 40, 4)), serves("a"), "the newest that is left");
        assert_eq!(told(champion("b", 20, 1)), None, "an older record does not bring it back");
        assert_eq!(told(champion("b", 50, 5)), serves("b"), "an older model that is published again does: a rollback");
        assert_eq!(told(gone("b", 60, 6)), serves("a"));
        assert_eq!(told(gone("a", 70, 7)), Some(None), "the shipped one");
    }

    #[test]
    fn equal_times_are_told_apart_by_the_offset_whatever_the_order() {
        for order in [[0, 1], [1, 0]] {
            let mut registry = Registry::default();
            let changes = [champion("a", 10, 8), champion("b", 10, 7)];
            order.into_iter().for_each(|at: usize| registry.take(changes[at].clone()));
            let name = registry.swap().flatten().map(|champion| champion.name);
            assert!(name.is_some_and(|name| name.starts_with("a@")), "{order:?}");
        }
    }

    #[test]
    fn artifacts_and_records_are_bounded() {
        let mut registry = Registry::default();
        for number in 0..(RECORDS_MAX as u64 + 5) {
            registry.take(champion(&format!("m{number:04}"), number, 0));
            registry.bound();
        }
        let kept = registry.held.values().filter(|change| change.value.is_some());
        assert_eq!((registry.held.len(), kept.count()), (RECORDS_MAX, CHAMPIONS_MAX));
        assert!(!registry.held.contains_key("m0004"), "five were too many, and the oldest went");
        assert!(registry.held["m1021"].value.is_some(), "the newest eight are those from 1021 to 1028");
        assert!(registry.held["m1020"].value.is_none());
    }
}
