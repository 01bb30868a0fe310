//! The reason of a decision as one sentence with figures.

use schemas::{Action, Decision, Reason, Remediation, Remedy, Resource, Span};

use crate::ScalingSettings;

/// One sentence that a person on call understands.
#[must_use]
pub fn because(decision: &Decision, settings: &ScalingSettings) -> String {
    let moved = moved(decision);
    let horizon = decision.evidence.horizon_ms / 1000;
    let level = decision.evidence.target_level;
    let (floor, forecast) = (figure(decision, moved, |e| e.reactive_floor), figure(decision, moved, |e| e.forecast));
    let held_amount = decision.current.get(moved);
    let held = amount(moved, held_amount);
    let wanted = amount(moved, decision.wanted.get(moved));
    let name = moved.name();
    match decision.reason {
        Reason::ReactiveFloor => format!("{name} {floor} is needed now, {held} is allocated"),
        Reason::Forecast => {
            format!(
                "{forecast} of {name} is forecast to be needed (quantile {level:.2}) within {horizon} s, {held} is allocated"
            )
        }
        Reason::Bounds => format!("{name} {held} lay outside the workload's bounds"),
        Reason::Excess => format!(
            "at most {wanted} of {name} was wanted for {}, {held} is allocated: more than {:.0} % idle",
            window(settings, moved),
            settings.scale_down_threshold * 100.0
        ),
        Reason::Shortfall => format!(
            "pool {} is short: {wanted} of {name} wanted, {} granted, {} missing",
            decision.pool,
            amount(moved, decision.granted.get(moved)),
            amount(moved, decision.shortfall.get(moved))
        ),
        Reason::WithinThreshold => format!("the excess of {name} is within the threshold"),
        Reason::Stabilising => format!("less {name} is wanted, but not yet for {}", window(settings, moved)),
        Reason::ChurnBudget => {
            format!(
                "less {name} is wanted, but it was lowered {} times within {}",
                settings.churn_changes_max, settings.churn_window
            )
        }
        Reason::StaleSignals => format!("no reading for more than {}: nothing is lowered", settings.stale_after),
        Reason::Paused => format!("{wanted} of {name} is wanted, but this direction is paused"),
        Reason::BackingOff => {
            format!(
                "{wanted} of {name} is wanted, but the adapter refused or failed: asked again in {}",
                settings.decision_ttl
            )
        }
        Reason::Quarantine => {
            let less = decision.wanted.get(moved) < held_amount;
            let rule = under(decision, Remediation::HoldDown, "nothing is lowered");
            if less { format!("less {name} is wanted, but {rule}") } else { rule }
        }
        Reason::Freeze => {
            let rule = under(decision, Remediation::HoldUp, "nothing is raised on a forecast");
            format!("{rule}; what is needed now is granted all the same")
        }
        Reason::MemoryBump => {
            let kept = amount(Resource::Memory, decision.wanted.get(Resource::Memory));
            under(decision, Remediation::RaiseMemory, &format!("memory is kept at {kept} or more"))
        }
        Reason::RestartSuggested => under(decision, Remediation::Restart, "a restart is asked for, and not again"),
        Reason::RemedyEnded => over(decision),
        Reason::Rollout => rollout(decision),
        Reason::Probe => probe(decision),
    }
}

/// A rule, until when it holds and why: `nothing is lowered until 2026-03-02T09:40:00.000Z, for critical leak: …`.
fn under(decision: &Decision, remediation: Remediation, rule: &str) -> String {
    let remedies = &decision.evidence.remedies;
    match remedies.iter().find(|remedy| remedy.remediation == remediation && decision.time < remedy.until) {
        Some(remedy) => format!("{rule} until {}, for critical {}: {}", remedy.until, remedy.detector, remedy.evidence),
        None => format!("{rule} for now, for an anomaly"),
    }
}

/// What has ended: `an anomaly's treatment is over: nothing was lowered for critical leak since 2026-03-02T09:30:00.000Z`.
fn over(decision: &Decision) -> String {
    let ended = |remedy: &&Remedy| remedy.until <= decision.time;
    let ended = decision.evidence.remedies.iter().filter(ended).map(|remedy| {
        let what = match remedy.remediation {
            Remediation::RaiseMemory => "memory was kept up",
            Remediation::Restart => "a restart was asked for",
            Remediation::HoldDown => "nothing was lowered",
            Remediation::HoldUp => "nothing was raised on a forecast",
            Remediation::Investigate => "it was looked at",
        };
        format!("{what} for critical {} since {}", remedy.detector, remedy.since)
    });
    let ended: Vec<String> = ended.collect();
    if ended.is_empty() {
        return "what was lent against an anomaly is given back".to_owned();
    }
    format!("an anomaly's treatment is over: {}", ended.join("; "))
}

/// What is done about a new version, and why.
fn rollout(decision: &Decision) -> String {
    decision.rollout.as_ref().map_or("a new version gets another share".to_owned(), |turn| turn.because.clone())
}

/// What the shadow becomes, and why.
fn probe(decision: &Decision) -> String {
    decision.probe.as_ref().map_or("the shadow becomes another one".to_owned(), |turn| turn.because.clone())
}

fn window(settings: &ScalingSettings, resource: Resource) -> Span {
    Span::from_millis(settings.stabilisation_ms(resource))
}

/// An amount with its unit: `2.25 cores`, `1.50 GiB`.
#[must_use]
pub fn amount(resource: Resource, value: f64) -> String {
    match resource {
        Resource::Cpu => format!("{value:.2} cores"),
        Resource::Memory => format!("{:.2} GiB", value / f64::from(1 << 30)),
    }
}

/// The resource with the largest relative move: the one that the sentence is about.
fn moved(decision: &Decision) -> Resource {
    if decision.short() {
        let short = |r: &Resource| decision.shortfall.get(*r) > 0.0;
        return Resource::ALL.into_iter().find(short).unwrap_or(Resource::Cpu);
    }
    // What was granted tells what moves; while all is held, what was wanted tells what is held back.
    let target = if decision.changes() { decision.granted } else { decision.wanted };
    let relative = |r: Resource| {
        let held = decision.current.get(r).max(f64::MIN_POSITIVE);
        let rise = (target.get(r) - held) / held;
        // A reshape's reason is the rise; what falls beside it pays for it.
        if decision.action == Action::Reshape { rise } else { rise.abs() }
    };
    if relative(Resource::Memory) > relative(Resource::Cpu) { Resource::Memory } else { Resource::Cpu }
}

fn figure(decision: &Decision, resource: Resource, get: impl Fn(&schemas::ResourceEvidence) -> Option<f64>) -> String {
    let evidence = decision.evidence.resources.iter().find(|evidence| evidence.resource == resource);
    evidence.and_then(get).map_or_else(|| "an unknown amount".to_owned(), |value| amount(resource, value))
}

#[cfg(test)]
mod tests {
    use schemas::{Allocation, Noun};

    use super::*;

    /// The golden decision, with other amounts.
    fn decision(action: Action, current: Allocation, wanted: Allocation, granted: Allocation) -> Decision {
        let golden = Decision::from_json(include_bytes!("../../../schemas/golden/decisions.v1.json"));
        let shortfall = Allocation::ZERO;
        Decision { action, current, wanted, granted, shortfall, ..golden.expect("it is a decision") }
    }

    #[test]
    fn the_sentence_is_about_what_moves() {
        let of = |cores, gib: f64| Allocation::new(cores, gib * f64::from(1 << 30));
        // Much less memory is wanted, but what is granted is more CPU.
        let raised = decision(Action::ScaleUp, of(2.0, 8.0), of(2.25, 1.0), of(2.25, 8.0));
        assert_eq!(moved(&raised), Resource::Cpu);
        // While all is held, the sentence tells what is held back.
        let held = decision(Action::Hold, of(2.0, 8.0), of(2.0, 1.0), of(2.0, 8.0));
        assert_eq!(moved(&held), Resource::Memory);
        // The rise counts, however much falls beside it.
        let reshaped = decision(Action::Reshape, of(2.0, 8.0), of(2.25, 1.0), of(2.25, 1.0));
        assert_eq!(moved(&reshaped), Resource::Cpu);
    }
}
