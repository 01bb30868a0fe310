//! Data of ticks that are still open, with the right to send at them.
//!
//! State: what arrived for open ticks, bounded by the ticks in flight. A closed tick is handed out once, oldest first.

use std::collections::BTreeMap;

use timely::dataflow::operators::Capability;
use timely::progress::frontier::MutableAntichain;

use crate::control::Update;

/// Open ticks by time.
pub(crate) struct Stash<D> {
    open: BTreeMap<u64, (Capability<u64>, Vec<D>)>,
}

impl<D> Stash<Update<D>> {
    /// Keeps updates of a collection, each at its own time: differential sends later ones under an earlier capability.
    pub(crate) fn keep_updates(&mut self, capability: &Capability<u64>, updates: impl Iterator<Item = Update<D>>) {
        for update in updates {
            let open = self.open.entry(update.1);
            open.or_insert_with(|| (capability.delayed(&update.1), Vec::new())).1.push(update);
        }
    }
}

impl<D> Stash<D> {
    pub(crate) const fn new() -> Self {
        Self { open: BTreeMap::new() }
    }

    /// Keeps data that arrived under a capability.
    pub(crate) fn keep(&mut self, capability: Capability<u64>, data: impl Iterator<Item = D>) {
        let time = *capability.time();
        self.open.entry(time).or_insert_with(|| (capability, Vec::new())).1.extend(data);
    }

    /// The oldest tick that all frontiers have passed.
    pub(crate) fn pop_closed(&mut self, frontiers: &[&MutableAntichain<u64>]) -> Option<(Capability<u64>, Vec<D>)> {
        let time = *self.open.first_key_value()?.0;
        if frontiers.iter().any(|frontier| frontier.less_equal(&time)) {
            return None;
        }
        self.open.pop_first().map(|(_, entry)| entry)
    }

    /// The oldest tick up to `time`.
    pub(crate) fn pop_until(&mut self, time: u64) -> Option<(Capability<u64>, Vec<D>)> {
        if *self.open.first_key_value()?.0 > time {
            return None;
        }
        self.open.pop_first().map(|(_, entry)| entry)
    }
}
