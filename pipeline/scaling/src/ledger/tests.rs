//! The ledger against a plain count of what was granted.

use proptest::prelude::*;

use super::*;

fn offer(name: &str, kind: OfferKind, cores: f64, price: f64) -> Offer {
    Offer {
        offer: name.to_owned(),
        kind,
        capacity: Allocation::new(cores, cores * 4e9),
        core_hour: Money::new(price),
        gib_hour: Money::new(price / 10.0),
    }
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.set_pool(&Pool {
        version: schemas::V1,
        time: schemas::EventTime::default(),
        pool: schemas::PoolId::new("pool").expect("a name"),
        offers: vec![
            offer("on-demand", OfferKind::OnDemand, 8.0, 0.05),
            offer("spot", OfferKind::Spot, 4.0, 0.01),
            offer("committed", OfferKind::Committed, 4.0, 0.03),
        ],
        quotas: BTreeMap::from([(TenantId::new("small").expect("a name"), Allocation::new(2.0, 2e9))]),
    });
    ledger
}

fn id(name: &str) -> WorkloadId {
    WorkloadId::new(name).expect("a name")
}

#[test]
fn the_cheapest_offer_that_fits_whole_pays() {
    let mut ledger = ledger();
    let tenant = TenantId::default();
    ledger.grant(&id("a"), &tenant, Allocation::new(3.0, 1e9), false);
    // 3 cores fit into the 4 committed ones; spot is cheaper, but not for what may not be interrupted.
    assert_eq!(ledger.main_offer(&id("a")).as_deref(), Some("committed"));
    ledger.grant(&id("b"), &tenant, Allocation::new(3.0, 1e9), true);
    assert_eq!(ledger.main_offer(&id("b")).as_deref(), Some("spot"));
}

#[test]
fn a_pool_that_is_short_gives_what_it_has() {
    let mut ledger = ledger();
    let granted = ledger.grant(&id("a"), &TenantId::default(), Allocation::new(14.0, 1e9), false);
    // 8 on demand and 4 committed; the 4 spot cores are not for it.
    assert_eq!(granted.cpu_cores.get(), 12.0);
}

#[test]
fn a_quota_binds_its_tenant_alone() {
    let mut ledger = ledger();
    let granted = ledger.grant(&id("a"), &TenantId::new("small").expect("a name"), Allocation::new(3.0, 1e9), false);
    assert_eq!(granted, Allocation::new(2.0, 1e9));
}

#[test]
fn what_was_in_force_counts_even_beyond_capacity() {
    let mut ledger = ledger();
    ledger.register(&crate::controller::tests::workload("old"), Allocation::new(20.0, 1e9));
    assert_eq!(ledger.held(&id("old")).cpu_cores.get(), 20.0);
    assert_eq!(ledger.level().free.cpu_cores.get(), 0.0);
    ledger.release(&id("old"), Allocation::new(5.0, 0.0));
    // 20 - 5 = 15 of 16 are held: one core is free again.
    assert_eq!(ledger.level().free.cpu_cores.get(), 1.0);
}

#[test]
fn what_is_held_of_an_offer_that_is_gone_is_given_back_first() {
    let mut ledger = ledger();
    ledger.grant(&id("a"), &TenantId::default(), Allocation::new(6.0, 1e9), false);
    assert_eq!(ledger.main_offer(&id("a")).as_deref(), Some("on-demand"));
    // The offer comes back under another name.
    ledger.set_pool(&Pool {
        version: schemas::V1,
        time: schemas::EventTime::default(),
        pool: schemas::PoolId::new("pool").expect("a name"),
        offers: vec![offer("renamed", OfferKind::OnDemand, 8.0, 0.05)],
        quotas: BTreeMap::new(),
    });
    ledger.grant(&id("a"), &TenantId::default(), Allocation::new(1.0, 0.0), false);
    ledger.release(&id("a"), Allocation::new(4.0, 0.0));
    // 6 of the old name and 1 of the new, less 4 of the old.
    assert_eq!(
        (ledger.held(&id("a")).cpu_cores.get(), ledger.main_offer(&id("a")).as_deref()),
        (3.0, Some("on-demand"))
    );
    ledger.release(&id("a"), Allocation::new(2.5, 0.0));
    assert_eq!((ledger.held(&id("a")).cpu_cores.get(), ledger.main_offer(&id("a")).as_deref()), (0.5, Some("renamed")));
}

#[test]
fn what_may_not_be_interrupted_is_never_registered_on_spot() {
    let mut ledger = ledger();
    ledger.register(&crate::controller::tests::workload("web"), Allocation::new(2.0, 1e9));
    assert_eq!(ledger.main_offer(&id("web")).as_deref(), Some("committed"));
}

proptest! {
    #[test]
    fn grants_never_exceed_capacity_nor_fall_below_zero(
        moves in prop::collection::vec((0_u8..5, any::<bool>(), 0.0..6.0_f64, any::<bool>()), 0..200),
    ) {
        let mut ledger = ledger();
        for (workload, give, cores, interruptible) in moves {
            let id = id(&format!("w{workload}"));
            let amount = Allocation::new(cores, cores * 1e9);
            let before = ledger.held(&id);
            if give {
                let granted = ledger.grant(&id, &TenantId::default(), amount, interruptible);
                prop_assert!(granted.cpu_cores.get() <= cores + 1e-6);
                prop_assert!((ledger.held(&id).cpu_cores.get() - before.cpu_cores.get() - granted.cpu_cores.get()).abs() < 1e-9);
            } else {
                ledger.release(&id, amount);
            }
            let level = ledger.level();
            let held: f64 = (0..5).map(|n| ledger.held(&self::id(&format!("w{n}"))).cpu_cores.get()).sum();
            prop_assert!(held <= level.capacity.cpu_cores.get() + 1e-9, "held {held} of {level:?}");
            prop_assert!((held + level.free.cpu_cores.get() - 16.0).abs() < 1e-6, "granted and free add up");
        }
    }

    #[test]
    fn totals_are_the_sums_over_the_holdings(
        moves in prop::collection::vec((0_u8..5, 0_u8..4, 0.0..6.0_f64, any::<bool>()), 0..100),
    ) {
        let mut ledger = ledger();
        for (workload, act, cores, small) in moves {
            let (id, amount) = (id(&format!("w{workload}")), Allocation::new(cores, cores * 1e9));
            let tenant = if small { TenantId::new("small").expect("a name") } else { TenantId::default() };
            match act {
                0 => _ = ledger.grant(&id, &tenant, amount, false),
                1 => ledger.release(&id, amount),
                2 => ledger.forget(&id),
                _ => {
                    let mut workload = crate::controller::tests::workload(id.as_str());
                    workload.tenant = tenant;
                    ledger.register(&workload, amount);
                }
            }
            let mut sums = Totals::default();
            for Holding { tenant, of_offer } in ledger.holdings.values() {
                of_offer.iter().for_each(|(offer, held)| sums.put(tenant, offer, *held));
            }
            let mut totals = ledger.totals.clone();
            for totals in [&mut sums, &mut totals] {
                totals.of_offer.retain(|_, held| *held != [0, 0]);
                totals.of_tenant.retain(|_, held| *held != [0, 0]);
            }
            prop_assert_eq!(totals, sums);
        }
    }
}
