//! Small workloads, the pool that pays for them, and the time.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use schemas::{
    Allocation, EventTime, Learning, Mode, Money, Offer, OfferKind, Pause, Pool, PoolId, Profile, Ratio,
    RemediationPolicy, Selector, ShadowSettings, TenantId, V1, Workload, WorkloadId,
};

/// The machine's time.
///
/// # Panics
/// On a machine whose clock stands before 1970.
#[must_use]
pub fn now() -> EventTime {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch");
    EventTime::from_millis(u64::try_from(wall.as_millis()).expect("a date"))
}

/// A workload's name, by its number.
#[must_use]
pub fn name(number: u64) -> WorkloadId {
    WorkloadId::new(&format!("w{number}")).expect("a name")
}

/// A workload of one core, with a shadow of half its size; its number is its priority.
///
/// # Panics
/// For a number that is no priority.
#[must_use]
pub fn workload(number: u64, time: EventTime) -> Workload {
    Workload {
        version: V1,
        time,
        workload: name(number),
        tenant: TenantId::default(),
        orchestrator: "simulated".to_owned(),
        target: String::new(),
        revision: None,
        selector: Selector::default(),
        pool: PoolId::new("main").expect("a name"),
        profile: Profile::Service,
        allocation: Allocation::new(1.0, 1e9),
        min: Allocation::new(0.25, 0.25e9),
        max: Allocation::new(6.0, 8e9),
        step: Allocation::new(0.25, 0.25e9),
        slo_latency_p99: None,
        unmet_cost: Money::new(9.0),
        idle_cost: Money::new(1.0),
        priority: u8::try_from(number).expect("few workloads"),
        interruptible: false,
        shadow: Some(ShadowSettings { size_ratio: Ratio::new(0.5), mirrored_share: Ratio::new(0.75) }),
        probe: None,
        mode: Mode::Recommend,
        pause: Pause::default(),
        remediation: RemediationPolicy::default(),
        learning: Learning::default(),
    }
}

/// Their pool, of so many cores.
#[must_use]
pub fn pool(time: EventTime, cores: f64) -> Pool {
    let offer = Offer {
        offer: "on-demand".to_owned(),
        kind: OfferKind::OnDemand,
        capacity: Allocation::new(cores, 64e9),
        core_hour: Money::new(0.04),
        gib_hour: Money::new(0.004),
    };
    let quotas = BTreeMap::new();
    Pool { version: V1, time, pool: PoolId::new("main").expect("a name"), offers: vec![offer], quotas }
}
