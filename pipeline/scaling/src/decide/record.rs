//! The record of what was decided: its action, its reason, and the evidence that it carries.

use schemas::{
    Action, Allocation, Decision, EventTime, Evidence, Mode, Money, PoolLevel, ProbeTurn, Reason, Resource,
    ResourceEvidence, RolloutAction, ShadowSettings, V1,
};

use super::Case;
use crate::because::because;
use crate::ledger::Ledger;
use crate::{ScalingSettings, Signals};

/// Makes the record of what was decided; none when nothing changed and nothing new is to be said.
pub(super) fn record(
    ledger: &Ledger,
    case: &mut Case<'_>,
    levels: [PoolLevel; 2],
    now: EventTime,
    settings: &ScalingSettings,
) -> Option<Decision> {
    let granted = case.controller.target;
    let action = action(case.before, granted);
    let shortfall = case.want.wanted.minus(granted).max(Allocation::ZERO);
    // Taken, so that it is told once, even if the same signals stand for a while.
    let signals = case.controller.signals.as_mut()?;
    let rollout = signals.rollout.take().filter(|turn| turn.action != RolloutAction::Hold);
    let probe = signals.probe.take();
    let signals = case.controller.signals.as_ref()?;
    // A turn of a probe goes before the record, which its adapter writes once it has carried the turn out.
    let shadow = probe.as_ref().map_or(signals.workload.shadow, ProbeTurn::shadow);
    let waits = match shortfall == Allocation::ZERO {
        true => None,
        false if signals.workload.pause.up => Some(Reason::Paused),
        false if case.controller.backs_off(now, settings.decision_ttl.millis()) => Some(Reason::BackingOff),
        false => Some(Reason::Shortfall),
    };
    let mut reason = waits.or_else(|| reason(case, action));
    if action == Action::Hold {
        let told = reason.filter(|reason| case.controller.held_for != Some(*reason));
        case.controller.held_for = reason;
        let turn = rollout.is_some().then_some(Reason::Rollout).or_else(|| probe.is_some().then_some(Reason::Probe));
        reason = Some(told.or(case.news.reason).or(turn)?);
    } else {
        case.controller.held_for = None;
    }
    let decision = Decision::id(case.id, now).ok()?;
    let expires = now.plus(settings.decision_ttl.millis());
    let mut record = Decision {
        version: V1,
        decision: decision.clone(),
        time: now,
        sequence: now.millis(),
        expires,
        tenant: signals.workload.tenant.clone(),
        workload: case.id.clone(),
        orchestrator: signals.workload.orchestrator.clone(),
        pool: signals.workload.pool.clone(),
        mode: signals.workload.mode,
        action,
        reason: reason.unwrap_or(case.want.reason),
        because: String::new(),
        current: case.before,
        wanted: case.want.wanted,
        granted,
        shortfall: if waits == Some(Reason::Shortfall) { shortfall } else { Allocation::ZERO },
        offer: ledger.main_offer(case.id),
        evidence: evidence(signals, case, levels, (ledger.price_per_hour(case.id), shadow)),
        rollout,
        probe,
    };
    record.because = because(&record, settings);
    if action != Action::Hold && record.mode == Mode::Act {
        case.controller.pending = Some((decision, expires));
    }
    Some(record)
}

fn action(before: Allocation, after: Allocation) -> Action {
    let change = after.minus(before);
    let up = Resource::ALL.into_iter().any(|r| change.get(r) > 0.0);
    let down = Resource::ALL.into_iter().any(|r| change.get(r) < 0.0);
    match (up, down) {
        (true, true) => Action::Reshape,
        (true, false) => Action::ScaleUp,
        (false, true) => Action::ScaleDown,
        (false, false) => Action::Hold,
    }
}

/// The reason of a decision; none for a hold in balance.
fn reason(case: &Case<'_>, action: Action) -> Option<Reason> {
    match action {
        Action::ScaleUp | Action::Reshape => Some(case.want.reason),
        Action::ScaleDown if case.returns => Some(Reason::RemedyEnded),
        Action::ScaleDown => Some(Reason::Excess),
        Action::Hold if case.frozen => Some(Reason::Freeze),
        // The threshold and the window hold most workloads most of the time: that is balance, not news.
        Action::Hold => case.blocked.filter(|r| !matches!(r, Reason::WithinThreshold | Reason::Stabilising)),
    }
}

fn evidence(
    signals: &Signals,
    case: &Case<'_>,
    levels: [PoolLevel; 2],
    (price_after, shadow): (Money, Option<ShadowSettings>),
) -> Evidence {
    let [pool_before, pool_after] = levels;
    let resources = Resource::ALL.into_iter().zip(case.want.raw).map(|(resource, raw)| {
        let signal = signals.of(resource);
        ResourceEvidence {
            resource,
            usage: signal.usage,
            demand: signal.demand,
            censored: signal.censored,
            reactive_floor: signal.floor,
            forecast: signal.forecast,
            quantiles: signal.quantiles.map(Vec::from).unwrap_or_default(),
            expert: signal.expert.as_ref().map(|(expert, version)| format!("{expert} {version}")),
            raw,
        }
    });
    Evidence {
        target_level: signals.workload.target_quantile(),
        horizon_ms: signals.horizon_ms,
        actuation_delay_ms: signals.actuation_delay_ms,
        knee: signals.knee,
        knee_from_shadow: signals.knee_from_shadow,
        amplification: signals.workload.shadow.map(|shadow| shadow.amplification()),
        resources: resources.collect(),
        pool_before,
        pool_after,
        price_before: case.price_before.unwrap_or(price_after),
        price_after,
        price_shadow: shadow.map(|of| Money::new(of.size_ratio.get() * price_after.get())),
        remedies: case.controller.treatment.in_force().iter().chain(&case.news.ended).cloned().collect(),
        shadow: signals.shadow.clone(),
    }
}
