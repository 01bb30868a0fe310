//! A slot for every workload of a worker: stages keep what they know of it at that place.
//!
//! Pair gives the slots; the stages behind it see a workload only after it has one. The slot of who is forgotten is given to
//! the next who comes: what stages kept at it stays until then, and is dropped at the first pair of its new holder, see
//! [`BySlot::of_pair`]. So nothing grows beyond the most workloads that there were at one time.
//!
//! A stage may lie behind pair, and cut what it knew of somebody under the name that has the slot since, or under none. It is of
//! no use to anybody: who is forgotten is not read again before pair forgets him, in the run that restores it as well, and
//! whoever comes after him begins anew.

use std::cell::RefCell;
use std::collections::BTreeMap;

use schemas::WorkloadId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::keys::range;
use crate::records::Pair;
use crate::snapshot::{Cutter, Pieces};

/// The workloads of a worker by slot, shared by its stages.
#[derive(Default)]
pub(crate) struct Slots(RefCell<Inner>);

#[derive(Default)]
struct Inner {
    by_name: BTreeMap<WorkloadId, usize>,
    /// Name and key range of each slot; none where it is free.
    workloads: Vec<Option<(WorkloadId, u64)>>,
    free: Vec<usize>,
}

impl Slots {
    /// How many slots there are, free ones among them.
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().workloads.len()
    }

    /// How many workloads have one.
    pub(crate) fn taken(&self) -> usize {
        self.0.borrow().by_name.len()
    }

    /// A workload's slot; it gets one where it has none.
    pub(crate) fn slot(&self, workload: &WorkloadId) -> usize {
        if let Some(slot) = self.find(workload) {
            return slot;
        }
        let mut inner = self.0.borrow_mut();
        let slot = inner.free.pop().unwrap_or_else(|| {
            inner.workloads.push(None);
            inner.workloads.len() - 1
        });
        inner.by_name.insert(workload.clone(), slot);
        inner.workloads[slot] = Some((workload.clone(), range(workload.as_str())));
        slot
    }

    /// Frees a slot.
    pub(crate) fn forget(&self, slot: usize) {
        let mut inner = self.0.borrow_mut();
        if let Some((workload, _)) = inner.workloads[slot].take() {
            inner.by_name.remove(&workload);
            inner.free.push(slot);
        }
    }

    /// A workload's slot, if it has one.
    pub(crate) fn find(&self, workload: &WorkloadId) -> Option<usize> {
        self.0.borrow().by_name.get(workload).copied()
    }

    /// The slots of all workloads, in the order of their names.
    pub(crate) fn by_name(&self) -> Vec<usize> {
        self.0.borrow().by_name.values().copied().collect()
    }

    /// The workload of a slot, and its key range; none of a free one.
    pub(crate) fn workload(&self, slot: usize) -> Option<(WorkloadId, u64)> {
        self.0.borrow().workloads[slot].clone()
    }
}

/// What a stage knows of each workload.
pub(crate) struct BySlot<T>(Vec<Option<T>>);

impl<T: Serialize + DeserializeOwned + Send> BySlot<T> {
    /// What a snapshot held.
    pub(crate) fn restored(slots: &Slots, cutter: &Cutter) -> Self {
        let mut known = Self(Vec::new());
        for (workload, of) in cutter.restored::<(WorkloadId, T)>() {
            *known.of(slots.slot(&workload)) = Some(of);
        }
        known
    }

    /// What is known of a pair's workload; none at first, for what was known of who had the slot before is dropped.
    pub(crate) fn of_pair(&mut self, pair: &Pair) -> &mut Option<T> {
        let known = self.of(pair.slot);
        if pair.is_new {
            *known = None;
        }
        known
    }

    /// What is known of a slot's workload.
    pub(crate) fn of(&mut self, slot: usize) -> &mut Option<T> {
        if self.0.len() <= slot {
            self.0.resize_with(slot + 1, || None);
        }
        &mut self.0[slot]
    }

    /// Hands out all of it.
    pub(crate) fn cut(&self, slots: &Slots, pieces: &mut Pieces) {
        for (slot, of) in self.0.iter().enumerate() {
            if let (Some(of), Some((workload, range))) = (of, slots.workload(slot)) {
                pieces.add(range, &(workload, of));
            }
        }
    }
}
