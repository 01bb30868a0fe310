//! What a pool gives and to whom: grants by offer, cheapest first, in whole units.
//!
//! Amounts are kept as whole microcores and bytes, so that sums are exact and nothing is ever granted twice through
//! rounding.
//!
//! // Invariant: what is granted of an offer never exceeds its capacity through a grant, and never falls below zero.
//! A holding that is *registered* (it was in force before the ledger knew it) may exceed capacity: then nothing is
//! free until enough of it is released.

use std::collections::BTreeMap;

use schemas::{Allocation, Money, Offer, OfferKind, Pool, PoolLevel, Resource, TenantId, Workload, WorkloadId};
use serde::{Deserialize, Serialize};

/// Microcores of a core, bytes of a byte: the ledger's whole units.
const UNITS: [f64; 2] = [1e6, 1.0];

/// An amount of each resource in whole units.
type Units = [u64; 2];

/// Who holds how much of which offer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    offers: Vec<Offer>,
    quotas: BTreeMap<TenantId, Units>,
    holdings: BTreeMap<WorkloadId, Holding>,
    totals: Totals,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Holding {
    tenant: TenantId,
    /// Units held, by the offer's name.
    of_offer: BTreeMap<String, Units>,
}

/// Sums over all holdings, kept beside them so that a grant does not walk them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Totals {
    all: Units,
    of_offer: BTreeMap<String, Units>,
    of_tenant: BTreeMap<TenantId, Units>,
}

impl Ledger {
    /// Takes over a pool's record: capacities, prices and quotas; holdings stay.
    pub fn set_pool(&mut self, pool: &Pool) {
        self.offers.clone_from(&pool.offers);
        // Cheapest first; a tie goes by name, so that the order never depends on the record's.
        let price = |offer: &Offer| offer.price_per_hour(&REFERENCE).get();
        self.offers.sort_by(|a, b| price(a).total_cmp(&price(b)).then_with(|| a.offer.cmp(&b.offer)));
        self.quotas = pool.quotas.iter().map(|(tenant, quota)| (tenant.clone(), units(quota))).collect();
    }

    /// Makes a workload's holding exactly `allocation`, whatever the pool has: it is in force already.
    pub fn register(&mut self, workload: &Workload, allocation: Allocation) {
        let (id, tenant) = (&workload.workload, &workload.tenant);
        self.forget(id);
        self.grant(id, tenant, allocation, workload.interruptible);
        let held = self.units_of(id);
        let missing = less(units(&allocation), held);
        let last = self.offers.last().map_or_else(|| UNPRICED.to_owned(), |offer| offer.offer.clone());
        self.put(id, tenant, last, missing);
    }

    /// Makes a workload's holding what it is in another ledger of the same pool.
    pub fn copy(&mut self, other: &Self, workload: &WorkloadId) {
        self.forget(workload);
        let Some(holding) = other.holdings.get(workload) else { return };
        for (offer, held) in &holding.of_offer {
            self.put(workload, &holding.tenant, offer.clone(), *held);
        }
    }

    /// Ends a workload's holding.
    pub fn forget(&mut self, workload: &WorkloadId) {
        let Some(holding) = self.holdings.remove(workload) else { return };
        holding.of_offer.iter().for_each(|(offer, held)| self.totals.take(&holding.tenant, offer, *held));
    }

    /// Grants as much of `more` as quota and offers hold, from the cheapest offers that fit it whole, else from the
    /// cheapest on. Returns what was granted.
    pub fn grant(
        &mut self,
        workload: &WorkloadId,
        tenant: &TenantId,
        more: Allocation,
        interruptible: bool,
    ) -> Allocation {
        let mut asked = units(&more);
        if let Some(quota) = self.quotas.get(tenant) {
            asked = least(asked, less(*quota, self.units_of_tenant(tenant)));
        }
        let allowed: Vec<String> = self
            .offers
            .iter()
            .filter(|offer| interruptible || offer.kind != OfferKind::Spot)
            .map(|offer| offer.offer.clone())
            .collect();
        let whole = allowed.iter().find(|offer| least(asked, self.free_of(offer)) == asked);
        let sources = whole.map_or_else(|| allowed.clone(), |offer| vec![offer.clone()]);
        let mut granted = [0, 0];
        for offer in sources {
            let part = least(less(asked, granted), self.free_of(&offer));
            if part == [0, 0] {
                continue;
            }
            self.put(workload, tenant, offer, part);
            add(&mut granted, part);
        }
        amount(granted)
    }

    /// Gives back `excess` of a holding, at most what is held: first of offers that the pool has no longer, or not yet, then
    /// from the dearest on.
    pub fn release(&mut self, workload: &WorkloadId, excess: Allocation) {
        let mut left = units(&excess);
        let Some(holding) = self.holdings.get_mut(workload) else { return };
        let is_offered = |name: &&String| self.offers.iter().any(|offer| offer.offer == **name);
        let gone = holding.of_offer.keys().filter(|name| !is_offered(name)).cloned();
        let first: Vec<String> = gone.chain(self.offers.iter().rev().map(|offer| offer.offer.clone())).collect();
        for offer in first {
            if let Some(held) = holding.of_offer.get_mut(&offer) {
                let part = least(left, *held);
                *held = less(*held, part);
                left = less(left, part);
                self.totals.take(&holding.tenant, &offer, part);
            }
        }
        holding.of_offer.retain(|_, held| *held != [0, 0]);
    }

    /// Capacity, and what of it is free.
    #[must_use]
    pub fn level(&self) -> PoolLevel {
        let mut level = PoolLevel::default();
        let mut free = [0, 0];
        for offer in &self.offers {
            level.capacity = level.capacity.plus(offer.capacity);
            add(&mut free, self.free_of(&offer.offer));
        }
        level.free = amount(least(free, self.free()));
        level
    }

    /// What a workload holds.
    #[must_use]
    pub fn held(&self, workload: &WorkloadId) -> Allocation {
        amount(self.units_of(workload))
    }

    /// What everybody holds, by name.
    pub fn holders(&self) -> impl Iterator<Item = (&WorkloadId, Allocation)> {
        self.holdings.iter().map(|(id, holding)| (id, amount(holding.sum())))
    }

    /// What a workload's holding costs per hour.
    #[must_use]
    pub fn price_per_hour(&self, workload: &WorkloadId) -> Money {
        let Some(holding) = self.holdings.get(workload) else { return Money::new(0.0) };
        let parts = self.offers.iter().filter_map(|offer| {
            holding.of_offer.get(&offer.offer).map(|held| offer.price_per_hour(&amount(*held)).get())
        });
        Money::new(parts.sum())
    }

    /// The offer that pays for the largest part of a workload's CPU.
    #[must_use]
    pub fn main_offer(&self, workload: &WorkloadId) -> Option<String> {
        let holding = self.holdings.get(workload)?;
        let largest = holding.of_offer.iter().max_by_key(|(_, held)| held[0])?;
        (largest.0 != UNPRICED).then(|| largest.0.clone())
    }

    /// What is free of an offer: never more than what is free of the pool as a whole.
    fn free_of(&self, name: &str) -> Units {
        let Some(offer) = self.offers.iter().find(|offer| offer.offer == name) else { return [0, 0] };
        let held = self.totals.of_offer.get(name).copied().unwrap_or_default();
        least(less(units(&offer.capacity), held), self.free())
    }

    /// What is free of the pool as a whole.
    fn free(&self) -> Units {
        let capacity = self.offers.iter().fold(Allocation::ZERO, |sum, offer| sum.plus(offer.capacity));
        less(units(&capacity), self.totals.all)
    }

    /// Adds a part of an offer to a workload's holding, which is this tenant's from now on.
    fn put(&mut self, workload: &WorkloadId, tenant: &TenantId, offer: String, part: Units) {
        let holding = self.holdings.entry(workload.clone()).or_default();
        if holding.tenant != *tenant {
            let before = std::mem::replace(&mut holding.tenant, tenant.clone());
            self.totals.hand_over(&before, tenant, holding.sum());
        }
        self.totals.put(tenant, &offer, part);
        add(holding.of_offer.entry(offer).or_default(), part);
    }

    fn units_of(&self, workload: &WorkloadId) -> Units {
        self.holdings.get(workload).map_or([0, 0], Holding::sum)
    }

    fn units_of_tenant(&self, tenant: &TenantId) -> Units {
        self.totals.of_tenant.get(tenant).copied().unwrap_or_default()
    }
}

impl Totals {
    fn put(&mut self, tenant: &TenantId, offer: &str, part: Units) {
        add(&mut self.all, part);
        add(self.of_offer.entry(offer.to_owned()).or_default(), part);
        add(self.of_tenant.entry(tenant.clone()).or_default(), part);
    }

    fn take(&mut self, tenant: &TenantId, offer: &str, part: Units) {
        let whole = "what is taken was put before";
        self.all = less(self.all, part);
        let of_offer = self.of_offer.get_mut(offer).expect(whole);
        *of_offer = less(*of_offer, part);
        let of_tenant = self.of_tenant.get_mut(tenant).expect(whole);
        *of_tenant = less(*of_tenant, part);
    }

    fn hand_over(&mut self, from: &TenantId, to: &TenantId, part: Units) {
        if let Some(before) = self.of_tenant.get_mut(from) {
            *before = less(*before, part);
        }
        add(self.of_tenant.entry(to.clone()).or_default(), part);
    }
}

impl Holding {
    fn sum(&self) -> Units {
        self.of_offer.values().fold([0, 0], |mut sum, held| {
            add(&mut sum, *held);
            sum
        })
    }
}

/// Holdings of which no offer is known yet: registered before the pool's record came.
const UNPRICED: &str = "";

/// The bundle by which offers are compared: one core with 4 GiB, the usual shape of a general-purpose machine.
const REFERENCE: Allocation = Allocation::new(1.0, 4.0 * 1_073_741_824.0);

/// An amount as the ledger keeps it: 6 × 0.05 cores are 0.3, however the product rounds.
pub(crate) fn whole(resource: Resource, amount: f64) -> f64 {
    let unit = UNITS[resource as usize];
    (amount * unit).round() / unit
}

fn units(allocation: &Allocation) -> Units {
    let mut units = [0, 0];
    for (index, resource) in Resource::ALL.into_iter().enumerate() {
        // Amounts are checked where records enter; a negative or absurd one must still not wrap here.
        units[index] = (allocation.get(resource) * UNITS[index]).round().clamp(0.0, 9e15) as u64;
    }
    units
}

fn amount(units: Units) -> Allocation {
    Allocation::new(units[0] as f64 / UNITS[0], units[1] as f64 / UNITS[1])
}

fn add(sum: &mut Units, part: Units) {
    sum[0] += part[0];
    sum[1] += part[1];
}

fn less(a: Units, b: Units) -> Units {
    [a[0].saturating_sub(b[0]), a[1].saturating_sub(b[1])]
}

fn least(a: Units, b: Units) -> Units {
    [a[0].min(b[0]), a[1].min(b[1])]
}

#[cfg(test)]
mod tests;
