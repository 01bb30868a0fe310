//! Tests of `gate.rs`.

use schemas::{Action, Evidence, Money, PoolId, PoolLevel, Ratio, Reason, TenantId, V1};

use super::*;

/// A decision taken at `second` that grants `cores` and 2 GiB and can be carried out for ten seconds.
pub(crate) fn decision(workload: &str, second: u64, cores: f64) -> Decision {
    let workload = WorkloadId::new(workload).expect("a plain name");
    let time = EventTime::from_millis(second * 1_000);
    let granted = Allocation::new(cores, 2.0 * GIB);
    Decision {
        version: V1,
        decision: Decision::id(&workload, time).expect("a short name"),
        time,
        sequence: time.millis(),
        expires: time.plus(10_000),
        tenant: TenantId::default(),
        workload,
        orchestrator: "simulated".to_owned(),
        pool: PoolId::new("main").expect("a plain name"),
        mode: Mode::Act,
        action: Action::ScaleUp,
        reason: Reason::Forecast,
        because: String::new(),
        current: Allocation::new(1.0, GIB),
        wanted: granted,
        granted,
        shortfall: Allocation::ZERO,
        offer: None,
        evidence: evidence(),
        rollout: None,
        probe: None,
    }
}

fn evidence() -> Evidence {
    Evidence {
        target_level: 0.95,
        horizon_ms: 60_000,
        actuation_delay_ms: None,
        knee: Ratio::new(0.7),
        knee_from_shadow: false,
        amplification: None,
        resources: Vec::new(),
        pool_before: PoolLevel::default(),
        pool_after: PoolLevel::default(),
        price_before: Money::new(0.0),
        price_after: Money::new(0.0),
        price_shadow: None,
        remedies: Vec::new(),
        shadow: None,
    }
}

const IN_FORCE: Allocation = Allocation::new(1.0, GIB);

fn judge(gate: &mut Gate, decision: &Decision) -> Verdict {
    gate.judge(decision, &IN_FORCE, &LocalPolicy::default(), decision.time)
}

fn status(verdict: &Verdict) -> Option<Status> {
    match verdict {
        Verdict::TurnDown(status, _) => Some(*status),
        _ => None,
    }
}

#[test]
fn each_decision_passes_once_and_in_order() {
    let mut gate = Gate::default();
    let (first, second) = (decision("web", 1, 2.0), decision("web", 2, 3.0));
    assert_eq!(judge(&mut gate, &second), Verdict::Act);
    assert_eq!(judge(&mut gate, &second), Verdict::Nothing);
    assert_eq!(status(&judge(&mut gate, &first)), Some(Status::Stale));
    assert_eq!(judge(&mut gate, &decision("api", 1, 2.0)), Verdict::Act, "another workload has its own order");
}

#[test]
fn a_decision_is_good_up_to_its_expiry_and_not_after() {
    let decision = decision("web", 1, 2.0);
    let judge = |now| Gate::default().judge(&decision, &IN_FORCE, &LocalPolicy::default(), now);
    assert_eq!(judge(decision.expires), Verdict::Act);
    assert_eq!(status(&judge(decision.expires.plus(1))), Some(Status::Expired));
}

#[test]
fn only_mode_act_acts_and_a_hold_is_nothing() {
    for mode in [Mode::Observe, Mode::Recommend] {
        let verdict = judge(&mut Gate::default(), &Decision { mode, ..decision("web", 1, 2.0) });
        assert!(matches!(&verdict, Verdict::TurnDown(Status::Refused, why) if why.starts_with("recommend only")));
    }
    let hold = Decision { action: Action::Hold, ..decision("web", 1, 2.0) };
    assert_eq!(judge(&mut Gate::default(), &hold), Verdict::Nothing);
}

#[test]
fn a_decision_that_was_turned_down_does_not_use_up_its_sequence() {
    let mut gate = Gate::default();
    let observed = Decision { mode: Mode::Observe, ..decision("web", 1, 2.0) };
    assert_eq!(status(&judge(&mut gate, &observed)), Some(Status::Refused));
    assert_eq!(judge(&mut gate, &decision("web", 1, 2.0)), Verdict::Act);
}

#[test]
fn the_local_policy_has_the_last_word() {
    let policy = LocalPolicy {
        min: Allocation::new(0.5, GIB),
        max: Some(Allocation::new(16.0, 4.0 * GIB)),
        step_ratio_max: 8.0,
    };
    let objection = |cores, gib| policy.objection(&IN_FORCE, &Allocation::new(cores, gib * GIB));
    assert_eq!(objection(8.0, 4.0), None);
    assert_eq!(objection(0.25, 1.0).as_deref(), Some("0.25 cores is below the local minimum, 0.50 cores"));
    assert_eq!(objection(1.0, 5.0).as_deref(), Some("5.00 GiB is above the local maximum, 4.00 GiB"));
    assert_eq!(objection(9.0, 1.0).as_deref(), Some("from 1.00 cores to 9.00 cores is more than ×8"));
    assert_eq!(objection(f64::NAN, 1.0).as_deref(), Some("cpu is not an amount"));
}

#[test]
fn a_turn_of_a_probe_passes_once_in_order_and_in_time() {
    let turned = |second: u64| {
        let turn = ProbeTurn {
            mirrored_share: Ratio::new(0.2),
            size_ratio: Ratio::new(0.25),
            until: EventTime::from_millis(second * 1_000 + 5_000),
            because: String::new(),
        };
        Decision { action: Action::Hold, probe: Some(turn), ..decision("web", second, 1.0) }
    };
    let at = |second: u64| EventTime::from_millis(second * 1_000);
    let mut gate = Gate::default();
    assert!(gate.probe(&turned(10), at(11)).is_some(), "though it holds the allocation");
    assert!(gate.probe(&turned(10), at(11)).is_none(), "it came twice");
    assert!(gate.probe(&turned(9), at(11)).is_none(), "it was overtaken");
    assert!(gate.probe(&turned(12), at(18)).is_none(), "it is over");
    assert!(gate.probe(&Decision { mode: Mode::Recommend, ..turned(13) }, at(13)).is_none(), "nobody may act on it");
    assert!(gate.probe(&turned(14), at(14)).is_some());
}
