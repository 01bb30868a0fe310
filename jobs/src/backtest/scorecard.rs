//! How well a law did: promises missed, capacity idle, money spent, changes made.

use std::collections::BTreeMap;

use schemas::{Allocation, Offer, OfferKind, Pool};
use serde::Serialize;

const HOUR_MS: f64 = 3_600_000.0;

/// The one price that all laws pay, whatever they were really granted from: otherwise the law that comes first to the
/// cheap offer wins.
#[derive(Clone, Debug, PartialEq)]
pub struct ListPrice(Offer);

impl ListPrice {
    /// A pool's on-demand price, or that of its first offer where it has none; none for a pool without offers.
    #[must_use]
    pub fn of_pool(pool: &Pool) -> Option<Self> {
        let on_demand = pool.offers.iter().find(|offer| offer.kind == OfferKind::OnDemand);
        on_demand.or_else(|| pool.offers.first()).cloned().map(Self)
    }

    /// What an amount costs in an hour.
    #[must_use]
    pub fn per_hour(&self, amount: &Allocation) -> f64 {
        self.0.price_per_hour(amount).get()
    }
}

/// One workload over one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Length of the step, milliseconds.
    pub dt_ms: u64,
    /// The least allocation that would have met the SLO.
    pub demand: Allocation,
    /// The allocation that was usable.
    pub in_force: Allocation,
    /// What the shadow held; zero without one.
    pub shadow: Allocation,
    /// Whether the SLO was missed.
    pub violated: bool,
    /// Whether the workload was killed for memory.
    pub oom: bool,
}

/// A law's figures, of one workload or of several together. Sums only, so its size does not grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Scorecard {
    workload_ms: u64,
    violated_ms: u64,
    allocated_core_ms: f64,
    needed_core_ms: f64,
    cost: f64,
    changes: u64,
    oom_kills: u64,
}

/// A law's figures, workload by workload: what the law as a whole did well may hide one that it starved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scorecards(BTreeMap<String, Scorecard>);

impl Scorecards {
    /// The scorecard of one workload, blank at first.
    pub fn of(&mut self, workload: &str) -> &mut Scorecard {
        self.0.entry(workload.to_owned()).or_default()
    }

    /// All workloads together.
    #[must_use]
    pub fn total(&self) -> Scorecard {
        self.0.values().fold(Scorecard::default(), |sum, score| sum.plus(score))
    }

    /// Each workload's name and scorecard, by name.
    pub fn workloads(&self) -> impl Iterator<Item = (&str, &Scorecard)> {
        self.0.iter().map(|(workload, score)| (workload.as_str(), score))
    }
}

impl Scorecard {
    /// Adds one workload's step at the list price.
    pub fn note(&mut self, step: &Step, price: &ListPrice) {
        let dt_ms = step.dt_ms as f64;
        let (allocated, demanded) = (step.in_force.cpu_cores.get(), step.demand.cpu_cores.get());
        self.workload_ms += step.dt_ms;
        self.violated_ms += if step.violated { step.dt_ms } else { 0 };
        self.allocated_core_ms += allocated * dt_ms;
        self.needed_core_ms += demanded.min(allocated) * dt_ms;
        self.cost += price.per_hour(&step.in_force.plus(step.shadow)) * dt_ms / HOUR_MS;
        self.oom_kills += u64::from(step.oom);
    }

    /// Adds changes of an allocation.
    pub fn changed(&mut self, changes: u64) {
        self.changes += changes;
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            workload_ms: self.workload_ms + other.workload_ms,
            violated_ms: self.violated_ms + other.violated_ms,
            allocated_core_ms: self.allocated_core_ms + other.allocated_core_ms,
            needed_core_ms: self.needed_core_ms + other.needed_core_ms,
            cost: self.cost + other.cost,
            changes: self.changes + other.changes,
            oom_kills: self.oom_kills + other.oom_kills,
        }
    }

    /// Share of workload-time in which the SLO was missed, 0..1; none before the first step.
    #[must_use]
    pub fn violation_share(&self) -> Option<f64> {
        (self.workload_ms > 0).then(|| self.violated_ms as f64 / self.workload_ms as f64)
    }

    /// Relative slack of CPU, 0..1: (∫ s dt - ∫ min(r, s) dt) / ∫ s dt, with s the usable cores of all workloads and r
    /// those that would just have met the SLO. Idle capacity of one workload is not made good by want in another. The
    /// shadow's cores are in the cost, not here. None before any core was allocated.
    ///
    /// | s | r | slack |
    /// |---|---|---|
    /// | 4 cores | 3 cores | 0.25 |
    /// | 4 cores | 6 cores | 0 |
    /// | half the time 4, half 2 | 2 cores | 1/3 |
    #[must_use]
    pub fn slack(&self) -> Option<f64> {
        (self.allocated_core_ms > 0.0).then(|| 1.0 - self.needed_core_ms / self.allocated_core_ms)
    }

    /// What all allocations cost, the shadows' included, in the price list's currency.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.cost
    }

    /// How often an allocation was changed.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// How often a workload was killed for memory.
    #[must_use]
    pub fn oom_kills(&self) -> u64 {
        self.oom_kills
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use schemas::{EventTime, Money, PoolId, V1};

    use super::*;

    const GIB: f64 = 1_073_741_824.0;

    /// 24 cores and 64 GiB: a committed half, then 0.04 a core-hour and 0.004 a GiB-hour.
    pub(crate) fn pool() -> Pool {
        let offer = |kind, price| Offer {
            offer: format!("{kind:?}"),
            kind,
            capacity: Allocation::new(12.0, 32.0 * GIB),
            core_hour: Money::new(price),
            gib_hour: Money::new(price / 10.0),
        };
        Pool {
            version: V1,
            time: EventTime::default(),
            pool: PoolId::new("main").expect("a plain name"),
            offers: vec![offer(OfferKind::Committed, 0.024), offer(OfferKind::OnDemand, 0.04)],
            quotas: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn figures_have_their_worked_values() {
        let price = ListPrice::of_pool(&pool()).expect("the pool has offers");
        let mut score = Scorecard::default();
        assert_eq!((score.violation_share(), score.slack()), (None, None));
        let amount = |cores| Allocation::new(cores, 10.0 * GIB);
        let step = Step {
            dt_ms: 3_600_000,
            demand: amount(3.0),
            in_force: amount(4.0),
            shadow: Allocation::new(1.0, 0.0),
            violated: false,
            oom: false,
        };
        score.note(&step, &price);
        score.note(&Step { demand: amount(6.0), violated: true, oom: true, ..step }, &price);
        score.changed(2);
        assert_eq!(score.violation_share(), Some(0.5));
        // 8 core-hours allocated, of which 3 and 4 were needed.
        assert_eq!(score.slack(), Some(0.125));
        // Two hours of (4 + 1) · 0.04 + 10 · 0.004.
        assert!((score.cost() - 0.48).abs() < 1e-12);
        assert_eq!((score.changes(), score.oom_kills()), (2, 1));
    }

    #[test]
    fn workloads_add_up_to_their_law() {
        let price = ListPrice::of_pool(&pool()).expect("the pool has offers");
        let step = |violated| Step {
            dt_ms: 3_600_000,
            demand: Allocation::new(1.0, GIB),
            in_force: Allocation::new(2.0, 0.0),
            shadow: Allocation::ZERO,
            violated,
            oom: violated,
        };
        let mut scores = Scorecards::default();
        scores.of("web").note(&step(true), &price);
        scores.of("api").note(&step(false), &price);
        scores.of("api").changed(3);
        let shares: Vec<_> = scores.workloads().map(|(name, score)| (name, score.violation_share())).collect();
        assert_eq!(shares, [("api", Some(0.0)), ("web", Some(1.0))]);
        let total = scores.total();
        assert_eq!((total.violation_share(), total.slack()), (Some(0.5), Some(0.5)));
        // Twice an hour of two cores at 0.04.
        assert!((total.cost() - 0.16).abs() < 1e-12);
        assert_eq!((total.changes(), total.oom_kills()), (3, 1));
    }

    #[test]
    fn a_pool_without_on_demand_is_priced_by_its_first_offer() {
        let mut pool = pool();
        pool.offers.truncate(1);
        let price = ListPrice::of_pool(&pool).expect("one offer is left");
        assert!((price.per_hour(&Allocation::new(1.0, 0.0)) - 0.024).abs() < 1e-12);
        pool.offers.clear();
        assert_eq!(ListPrice::of_pool(&pool), None);
    }
}
