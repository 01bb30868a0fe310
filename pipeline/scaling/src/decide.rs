//! One pool at one tick: predict, compare with the allocation, allocate or record the shortfall, deallocate an excess.
//!
//! Order within a tick, so that no race can over-grant: what is given back comes first; then what is needed *now* is
//! granted, by priority, price and name; then what is *forecast* to be needed.
//!
//! Workloads whose decisions nobody carries out come last, on a ledger of their own: they are told what they would get of
//! what the others leave, and take nothing of it.

mod record;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::{
    Allocation, Decision, EventTime, Money, Outcome, Pool, PoolId, PoolLevel, Reason, Remediation, Resource, Workload,
    WorkloadId,
};
use serde::{Deserialize, Serialize};

use self::record::record;
use crate::ledger::Ledger;
use crate::treatment::News;
use crate::want::{Raise, Want, want};
use crate::{Controller, ScalingSettings, Signals};

/// Everything that is remembered of one pool.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PoolState {
    ledger: Ledger,
    /// The same, had the decisions about workloads that are only watched been carried out.
    imagined: Ledger,
    /// Whether the pool's own record has come; before it nothing is decided.
    known: bool,
    controllers: BTreeMap<WorkloadId, Controller>,
}

/// What a tick asks of one workload, between the steps of settling.
struct Case<'a> {
    id: &'a WorkloadId,
    controller: &'a mut Controller,
    want: Want,
    before: Allocation,
    lowered: bool,
    blocked: Option<Reason>,
    /// Whether an anomaly holds back what a forecast asks for.
    frozen: bool,
    /// Whether what was lowered was lent to it against an anomaly.
    returns: bool,
    news: News,
    /// What its holding cost before it was changed; none while it was not.
    price_before: Option<Money>,
}

impl PoolState {
    /// Takes over the pool's record.
    pub fn set_pool(&mut self, pool: &Pool) {
        self.ledger.set_pool(pool);
        self.imagined.set_pool(pool);
        self.known = true;
    }

    /// Adds a workload with what is in force of it, by its record where no adapter has told, or takes over its new record;
    /// what it has been granted stays.
    pub fn set_workload(&mut self, workload: &Workload, in_force: Option<Allocation>) {
        if !self.controllers.contains_key(&workload.workload) {
            self.ledger.register(workload, in_force.unwrap_or(workload.allocation));
            self.imagined.copy(&self.ledger, &workload.workload);
            let held = self.ledger.held(&workload.workload);
            self.controllers.insert(workload.workload.clone(), Controller::found(held));
        }
    }

    /// Ends a workload: what it held is free.
    pub fn remove_workload(&mut self, workload: &WorkloadId) {
        self.ledger.forget(workload);
        self.imagined.forget(workload);
        self.controllers.remove(workload);
    }

    /// Takes in what an adapter did.
    pub fn report(&mut self, outcome: &Outcome) {
        if let Some(controller) = self.controllers.get_mut(&outcome.workload) {
            controller.report(outcome);
        }
    }

    /// Takes in what is known of a workload at this tick.
    pub fn observe(&mut self, signals: Signals) {
        if let Some(controller) = self.controllers.get_mut(&signals.workload.workload) {
            controller.signals = Some(signals);
        }
    }

    /// Capacity, and what of it is free.
    #[must_use]
    pub fn level(&self) -> PoolLevel {
        self.ledger.level()
    }

    /// What a workload is granted.
    #[must_use]
    pub fn target(&self, workload: &WorkloadId) -> Option<Allocation> {
        self.controllers.get(workload).map(|controller| controller.target)
    }
}

/// Settles one pool at one closed tick. Decisions come in the order of the workloads' names.
///
/// Cost: O(workloads), and a sort and a few look-ups for each that is to have more or less.
pub fn settle(state: &mut PoolState, now: EventTime, settings: &ScalingSettings) -> Vec<Decision> {
    if !state.known {
        return Vec::new();
    }
    reconcile(state, now);
    let PoolState { ledger, imagined, controllers, .. } = state;
    let (mut acted_on, mut watched): (Vec<_>, Vec<_>) =
        wants(controllers, now, settings).into_iter().partition(|case| case.controller.acted_on);
    let mut decisions = settle_some(ledger, &mut acted_on, now, settings);
    for case in acted_on.iter().filter(|case| case.controller.target != case.before) {
        imagined.copy(ledger, case.id);
    }
    decisions.extend(settle_some(imagined, &mut watched, now, settings));
    decisions.sort_by(|a, b| a.workload.cmp(&b.workload));
    decisions
}

/// Settles some workloads of a pool on one ledger.
fn settle_some(
    ledger: &mut Ledger,
    cases: &mut [Case<'_>],
    now: EventTime,
    settings: &ScalingSettings,
) -> Vec<Decision> {
    let level_before = ledger.level();
    deallocate(ledger, cases, now, settings);
    allocate(ledger, cases, now, settings, |want| want.floor);
    allocate(ledger, cases, now, settings, |want| want.wanted);
    let levels = [level_before, ledger.level()];
    cases.iter_mut().filter_map(|case| record(ledger, case, levels, now, settings)).collect()
}

/// Brings the ledgers in line with targets that a lost decision or another mode has put back.
fn reconcile(state: &mut PoolState, now: EventTime) {
    let PoolState { ledger, imagined, controllers, .. } = state;
    for controller in controllers.values_mut() {
        controller.expire(now);
        controller.follow_mode();
    }
    for id in astray(ledger, controllers, Controller::held) {
        let Some(controller) = controllers.get_mut(&id) else { continue };
        let Some(signals) = &controller.signals else { continue };
        ledger.register(&signals.workload, controller.held());
        // As the ledger rounds it.
        let held = ledger.held(&id);
        if controller.acted_on { controller.target = held } else { controller.in_force = held }
    }
    for id in astray(imagined, controllers, |controller| controller.target) {
        let Some(controller) = controllers.get_mut(&id) else { continue };
        let Some(signals) = &controller.signals else { continue };
        if controller.acted_on {
            imagined.copy(ledger, &id);
        } else {
            imagined.register(&signals.workload, controller.target);
            controller.target = imagined.held(&id);
        }
    }
}

/// Whose holding is another one than it should be.
fn astray(
    ledger: &Ledger,
    controllers: &BTreeMap<WorkloadId, Controller>,
    should_hold: impl Fn(&Controller) -> Allocation,
) -> Vec<WorkloadId> {
    let mut holders = ledger.holders().peekable();
    let astray = controllers.iter().filter(|(id, controller)| {
        while holders.next_if(|(holder, _)| holder < id).is_some() {}
        let held = holders.next_if(|(holder, _)| holder == id).map_or(Allocation::ZERO, |(_, held)| held);
        held != should_hold(controller) && controller.signals.is_some()
    });
    astray.map(|(id, _)| id.clone()).collect()
}

/// Predict and compare: what each workload wants.
fn wants<'a>(
    controllers: &'a mut BTreeMap<WorkloadId, Controller>,
    now: EventTime,
    settings: &ScalingSettings,
) -> Vec<Case<'a>> {
    let mut cases = Vec::with_capacity(controllers.len());
    for (id, controller) in controllers {
        let Some(signals) = &controller.signals else { continue };
        let raise = Raise {
            least: settings.scale_up_tolerance,
            rested: controller.raised_at.is_none_or(|at| at.plus(settings.raise_rest.millis()) <= now),
        };
        let before = controller.target;
        let plain = want(signals, before, raise, None);
        if signals.stale(now, settings.stale_after.millis()) {
            controller.stabiliser.restart();
        } else {
            controller.stabiliser.note(now, |resource| settings.stabilisation_ms(resource), plain.wanted);
        }
        let news = controller.treatment.follow(now, signals, before, settings);
        // The window above has seen what is wanted without it, so that it leaves nothing behind.
        let bump = controller.treatment.memory_bytes();
        let treated = if bump.is_some() { want(signals, before, raise, bump) } else { plain };
        let held_up = controller.treatment.has(Remediation::HoldUp);
        let frozen = if held_up { treated.frozen(&signals.workload, before) } else { None };
        cases.push(Case {
            id,
            want: frozen.unwrap_or(treated),
            before,
            lowered: false,
            blocked: None,
            frozen: frozen.is_some(),
            returns: false,
            news,
            price_before: None,
            controller,
        });
    }
    cases
}

impl Case<'_> {
    /// Notes what its holding costs before it is changed for the first time.
    fn note_price(&mut self, ledger: &Ledger) {
        self.price_before.get_or_insert_with(|| ledger.price_per_hour(self.id));
    }
}

/// Deallocate what exceeds the threshold, where it is allowed.
fn deallocate(ledger: &mut Ledger, cases: &mut [Case<'_>], now: EventTime, settings: &ScalingSettings) {
    for case in cases {
        let excess = excess(case.controller, &case.want);
        let lent = case.controller.treatment.lent(case.controller.target, excess);
        if excess == Allocation::ZERO {
            continue;
        }
        // A loan goes back at once and by itself; the rest waits for its window.
        case.returns = lent > 0.0;
        let excess = match case.returns {
            true => Allocation::ZERO.with(Resource::Memory, lent),
            false => settled(case.controller, excess, now, settings),
        };
        case.blocked = blocked(case, excess, now, settings);
        if case.blocked.is_none() {
            case.note_price(ledger);
            ledger.release(case.id, excess);
            case.controller.target = ledger.held(case.id);
            if !case.returns && case.controller.target != case.before {
                case.controller.churn.note(now);
            }
            case.lowered = true;
        }
    }
}

/// What of the target even the largest wish of the stabilisation window did not need.
fn excess(controller: &Controller, want: &Want) -> Allocation {
    let needed = controller.stabiliser.largest().map_or(want.wanted, |largest| largest.max(want.wanted));
    controller.target.minus(needed).max(Allocation::ZERO)
}

/// The part of an excess whose resource has been seen for its whole stabilisation window.
fn settled(controller: &Controller, excess: Allocation, now: EventTime, settings: &ScalingSettings) -> Allocation {
    Resource::ALL.into_iter().fold(excess, |excess, resource| {
        let settled = controller.stabiliser.settled(now, settings.stabilisation_ms(resource));
        if settled { excess } else { excess.with(resource, 0.0) }
    })
}

/// Why an excess is not taken back; none when it is.
fn blocked(case: &mut Case<'_>, excess: Allocation, now: EventTime, settings: &ScalingSettings) -> Option<Reason> {
    let controller = &mut *case.controller;
    let signals = controller.signals.as_ref().expect("a case has signals");
    if controller.backs_off(now, settings.decision_ttl.millis()) {
        return Some(Reason::BackingOff);
    }
    let threshold = |r: Resource| excess.get(r) > settings.scale_down_threshold * controller.target.get(r);
    if signals.stale(now, settings.stale_after.millis()) {
        return Some(Reason::StaleSignals);
    }
    if signals.workload.pause.down {
        return Some(Reason::Paused);
    }
    if controller.treatment.has(Remediation::HoldDown) {
        return Some(Reason::Quarantine);
    }
    if case.returns {
        return None;
    }
    if excess == Allocation::ZERO || !controller.churn.rested(now, settings.stabilisation.millis()) {
        return Some(Reason::Stabilising);
    }
    if !Resource::ALL.into_iter().any(threshold) {
        return Some(Reason::WithinThreshold);
    }
    let allowed = controller.churn.allows(now, settings.churn_window.millis(), settings.churn_changes_max);
    (!allowed).then_some(Reason::ChurnBudget)
}

/// Allocate from the pool up to `goal`, or what the pool has: by priority, then by the price of unmet demand, so that what is
/// short is missed where it costs least; then by name.
fn allocate(
    ledger: &mut Ledger,
    cases: &mut [Case<'_>],
    now: EventTime,
    settings: &ScalingSettings,
    goal: impl Fn(&Want) -> Allocation,
) {
    let mut asking = Vec::new();
    for case in cases {
        let more = goal(&case.want).minus(case.controller.target).max(Allocation::ZERO);
        let Some(workload) = case.controller.signals.as_ref().map(|signals| Arc::clone(&signals.workload)) else {
            continue;
        };
        let waits = workload.pause.up || case.controller.backs_off(now, settings.decision_ttl.millis());
        if more != Allocation::ZERO && !waits {
            asking.push((case, workload, more));
        }
    }
    asking.sort_by(|(_, a, _), (_, b, _)| {
        b.priority.cmp(&a.priority).then_with(|| b.unmet_cost.get().total_cmp(&a.unmet_cost.get()))
    });
    for (case, workload, more) in asking {
        case.note_price(ledger);
        let granted = ledger.grant(case.id, &workload.tenant, more, workload.interruptible);
        let usable = whole_steps(&workload, case.controller.target, granted, more);
        ledger.release(case.id, granted.minus(usable).max(Allocation::ZERO));
        if usable != Allocation::ZERO {
            case.controller.raised_at = Some(now);
        }
        case.controller.target = ledger.held(case.id);
    }
}

/// A partial grant, rounded down to what the orchestrator can set.
fn whole_steps(workload: &Workload, target: Allocation, granted: Allocation, asked: Allocation) -> Allocation {
    let mut usable = granted;
    for resource in Resource::ALL {
        if granted.get(resource) < asked.get(resource) {
            let step = workload.step.get(resource);
            let steps = ((target.get(resource) + granted.get(resource)) / step + 1e-6).floor();
            usable = usable.with(resource, (steps * step - target.get(resource)).clamp(0.0, granted.get(resource)));
        }
    }
    usable
}

/// The pools of a worker, by name.
pub type Pools = BTreeMap<PoolId, PoolState>;

#[cfg(test)]
mod tests;
