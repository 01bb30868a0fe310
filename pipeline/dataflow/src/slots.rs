//! A slot for every workload of a worker: stages keep what they know of it at that place.
//!
//! Pair gives the slots; the stages behind it see a workload only after it has one. Slots are counted from zero and
//! never given twice.

use std::cell::RefCell;
use std::collections::BTreeMap;

use schemas::WorkloadId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::keys::range;
use crate::snapshot::{Cutter, Pieces};

/// The workloads of a worker by slot, shared by its stages.
#[derive(Default)]
pub(crate) struct Slots(RefCell<Inner>);

#[derive(Default)]
struct Inner {
    by_name: BTreeMap<WorkloadId, usize>,
    /// Name and key range of each slot.
    workloads: Vec<(WorkloadId, u64)>,
}

impl Slots {
    /// How many slots there are.
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().workloads.len()
    }

    /// A workload's slot; it gets one where it has none.
    pub(crate) fn slot(&self, workload: &WorkloadId) -> usize {
        if let Some(slot) = self.find(workload) {
            return slot;
        }
        let mut inner = self.0.borrow_mut();
        let slot = inner.workloads.len();
        inner.by_name.insert(workload.clone(), slot);
        inner.workloads.push((workload.clone(), range(workload.as_str())));
        slot
    }

    /// A workload's slot, if it has one.
    pub(crate) fn find(&self, workload: &WorkloadId) -> Option<usize> {
        self.0.borrow().by_name.get(workload).copied()
    }

    /// All slots, in the order of the workloads' names.
    pub(crate) fn by_name(&self) -> Vec<usize> {
        self.0.borrow().by_name.values().copied().collect()
    }

    /// The workload of a slot, and its key range.
    pub(crate) fn workload(&self, slot: usize) -> (WorkloadId, u64) {
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

    /// What is known of a slot's workload; none at first.
    pub(crate) fn of(&mut self, slot: usize) -> &mut Option<T> {
        if self.0.len() <= slot {
            self.0.resize_with(slot + 1, || None);
        }
        &mut self.0[slot]
    }

    /// Hands out all of it.
    pub(crate) fn cut(&self, slots: &Slots, pieces: &mut Pieces) {
        for (slot, of) in self.0.iter().enumerate() {
            if let Some(of) = of {
                let (workload, range) = slots.workload(slot);
                pieces.add(range, &(workload, of));
            }
        }
    }
}
