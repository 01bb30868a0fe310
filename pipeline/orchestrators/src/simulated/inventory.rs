//! The simulated fleet as records: its workloads, and the pool that pays for them.

use std::collections::BTreeMap;

use plant::FleetMember;
use schemas::{
    Allocation, EventTime, Learning, Mode, Money, Offer, OfferKind, Pause, Pool, PoolId, Profile, Ratio,
    RemediationPolicy, Seconds, Selector, ShadowSettings, V1, Workload,
};

use super::{NAME, Names, amount};

/// Steps that the simulated orchestrator can set: a quarter of a core, a quarter of a GiB.
const STEP: Allocation = Allocation::new(0.25, 0.25 * GIB);

const GIB: f64 = 1_073_741_824.0;

/// A GiB costs a tenth of a core, near what the large clouds charge.
const GIB_PRICE_RATIO: f64 = 0.1;

/// A member's record with `in_force`. Work without a latency to lose comes last when the pool is short, and may run on
/// capacity that can be taken away.
pub(super) fn workload(names: &Names, member: &FleetMember, in_force: Allocation, now: EventTime) -> Workload {
    let profile = profile(member.profile);
    let is_batch = profile == Profile::Batch;
    Workload {
        version: V1,
        time: now,
        workload: names.workload.clone(),
        tenant: names.tenant.clone(),
        orchestrator: NAME.to_owned(),
        target: member.workload.to_owned(),
        revision: None,
        selector: Selector::default(),
        pool: names.pool.clone(),
        profile,
        allocation: in_force,
        min: amount(member.min),
        max: amount(member.max),
        step: STEP,
        slo_latency_p99: Some(Seconds::new(member.spec.slo_latency_seconds)),
        unmet_cost: Money::new(member.cost_of_unmet_per_core_hour),
        idle_cost: Money::new(member.cost_of_idle_per_core_hour),
        priority: u8::from(!is_batch),
        interruptible: is_batch,
        shadow: member.shadow.map(|shape| ShadowSettings {
            size_ratio: Ratio::new(shape.size_ratio),
            mirrored_share: Ratio::new(shape.mirrored_share),
        }),
        probe: None,
        mode: Mode::Act,
        pause: Pause::default(),
        remediation: RemediationPolicy::default(),
        learning: Learning::default(),
    }
}

/// 24 cores and 64 GiB in three offers: enough for the fleet on a calm day, short in its flash crowd.
pub(super) fn pool(pool: PoolId, now: EventTime) -> Pool {
    let offer = |name: &str, kind, cores: f64, gib: f64, core_hour: f64| Offer {
        offer: name.to_owned(),
        kind,
        capacity: Allocation::new(cores, gib * GIB),
        core_hour: Money::new(core_hour),
        gib_hour: Money::new(core_hour * GIB_PRICE_RATIO),
    };
    let offers = vec![
        offer("committed", OfferKind::Committed, 12.0, 32.0, 0.024),
        offer("on-demand", OfferKind::OnDemand, 8.0, 24.0, 0.04),
        offer("spot", OfferKind::Spot, 4.0, 8.0, 0.012),
    ];
    Pool { version: V1, time: now, pool, offers, quotas: BTreeMap::new() }
}

/// The profile of a member's kind of load; whatever is not batch answers requests.
fn profile(kind: &str) -> Profile {
    if kind == "batch" { Profile::Batch } else { Profile::Service }
}
