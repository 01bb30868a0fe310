//! Who is who: a slot for every workload, a number for every instance.
//!
//! Slots are given in the order of names within a tick, never in that of arrival, since a full roster turns the others away.
//!
//! Instances come and go, with names that are never used again: so the roster is begun anew now and then, and whoever is read
//! afterwards is enlisted once more, at the cost of one hash each.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use schemas::samples::Hashed;
use schemas::{Identity, WorkloadId};

use crate::keys::{RANGES, range};
use crate::slots::Slots;

/// Workloads and instances by number.
pub(super) struct Roster {
    slots: Rc<Slots>,
    /// The slots in the order of the workloads' names, as of the last tick; empty where it is not known.
    by_name: Vec<usize>,
    members: Vec<Member>,
    /// Places among the members, by the hash of their names.
    places: HashMap<u64, usize, Hashed>,
    issue: u64,
}

/// An instance in a role, with the workload that it is of.
pub(super) struct Member {
    pub(super) identity: Arc<Identity>,
    pub(super) slot: usize,
    /// Who came after it the last time that anybody did.
    next: Cell<usize>,
}

impl Roster {
    /// Nobody beside the workloads that have their slots already.
    pub(super) fn new(slots: Rc<Slots>) -> Self {
        Self { slots, by_name: Vec::new(), members: Vec::new(), places: HashMap::default(), issue: 0 }
    }

    /// How often it was begun anew: the numbers of instances, and slots, of another issue are nobody's.
    pub(super) const fn issue(&self) -> u64 {
        self.issue
    }

    /// Strikes out all instances, and frees these slots.
    pub(super) fn begin_anew(&mut self, gone: impl Iterator<Item = usize>) {
        gone.for_each(|slot| self.slots.forget(slot));
        self.by_name.clear();
        self.members.clear();
        self.places.clear();
        self.issue += 1;
    }

    /// How many slots there are, free ones among them.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slots in the order of names, once the tick's identities were admitted.
    pub(super) fn by_name(&self) -> &[usize] {
        &self.by_name
    }

    /// A workload's slot; it gets one where it has none.
    pub(super) fn slot(&self, workload: &WorkloadId) -> usize {
        self.slots.slot(workload)
    }

    /// The workload of a slot, and its key range; none of a free one.
    pub(super) fn workload(&self, slot: usize) -> Option<(WorkloadId, u64)> {
        self.slots.workload(slot)
    }

    /// Gives every workload of these identities a slot, up to `room` new ones; the first that was turned away, if any.
    pub(super) fn admit<'a>(
        &mut self,
        identities: impl Iterator<Item = &'a Arc<Identity>>,
        mut room: [usize; RANGES as usize],
    ) -> Vec<WorkloadId> {
        let strangers: Vec<&Arc<Identity>> = identities.filter(|identity| self.place(identity).is_none()).collect();
        let names: BTreeSet<&WorkloadId> = strangers
            .iter()
            .map(|identity| &identity.workload)
            .filter(|name| self.slots.find(name).is_none())
            .collect();
        // By range: what a worker has of them must not depend on how many workers there are.
        let mut turned_away = BTreeMap::new();
        for name in names {
            let range = range(name.as_str());
            match room[range as usize].checked_sub(1) {
                Some(left) => {
                    room[range as usize] = left;
                    self.slots.slot(name);
                }
                None => drop(turned_away.entry(range).or_insert_with(|| name.clone())),
            }
        }
        if self.by_name.len() != self.slots.taken() {
            self.by_name = self.slots.by_name();
        }
        for identity in strangers {
            if let Some(slot) = self.slots.find(&identity.workload) {
                self.enlist(identity, slot);
            }
        }
        turned_away.into_values().collect()
    }

    /// The member of an identity, if it was admitted.
    pub(super) fn place(&self, identity: &Arc<Identity>) -> Option<usize> {
        let mut hash = identity.hash;
        loop {
            let place = *self.places.get(&hash)?;
            let known = &self.members[place].identity;
            if Arc::ptr_eq(known, identity) || known == identity {
                return Some(place);
            }
            // Two names with one hash: the next place is as good.
            hash = hash.wrapping_add(1);
        }
    }

    /// The same for one that comes after another. Blocks name who is read in the order of those before, so whoever followed the
    /// last time is tried first: neither a hash nor a walk through memory.
    pub(super) fn place_after(&self, last: Option<usize>, identity: &Arc<Identity>) -> Option<usize> {
        let Some(last) = last.map(|last| &self.members[last]) else { return self.place(identity) };
        let next = last.next.get();
        if self.members.get(next).is_some_and(|next| Arc::ptr_eq(&next.identity, identity)) {
            return Some(next);
        }
        let found = self.place(identity)?;
        last.next.set(found);
        Some(found)
    }

    /// A member by its place.
    pub(super) fn member(&self, place: usize) -> &Member {
        &self.members[place]
    }

    fn enlist(&mut self, identity: &Arc<Identity>, slot: usize) {
        let mut hash = identity.hash;
        while let Some(&place) = self.places.get(&hash) {
            if self.members[place].identity == *identity {
                return;
            }
            hash = hash.wrapping_add(1);
        }
        self.places.insert(hash, self.members.len());
        let next = Cell::new(self.members.len() + 1);
        self.members.push(Member { identity: Arc::clone(identity), slot, next });
    }
}
