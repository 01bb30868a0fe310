//! Turns of a roll-out and of a probe ride on decisions: each is told once, beside whatever is decided about the allocation.

use schemas::{ProbeTurn, Ratio, RolloutAction, RolloutTurn};

use super::*;

/// One tick in balance at a core, or with a need of two, and a turn of a roll-out.
fn turned(state: &mut PoolState, second: u64, cores: f64, action: RolloutAction) -> Option<Decision> {
    let mut signals = signals("web", Some(cores), None);
    signals.read_at = Some(at(second));
    signals.rollout = Some(RolloutTurn {
        action,
        share: Ratio::new(0.05),
        because: "passed 1 %, on to 5 %".to_owned(),
        verdict: None,
        findings: Vec::new(),
    });
    state.observe(signals);
    settle(state, at(second), &ScalingSettings::default()).pop()
}

#[test]
fn a_turn_is_told_once_though_nothing_else_changes() {
    let mut state = state(8.0, &["web"]);
    let told = turned(&mut state, 1, 1.0, RolloutAction::Advance).expect("a turn is news");
    assert_eq!(
        (told.action, told.reason, told.because.as_str()),
        (Action::Hold, Reason::Rollout, "passed 1 %, on to 5 %")
    );
    assert_eq!(told.rollout.expect("the turn itself").share, Ratio::new(0.05));
    // The same signals stand at the next tick; the turn was taken from them.
    assert_eq!(settle(&mut state, at(2), &ScalingSettings::default()), []);
    assert_eq!(turned(&mut state, 3, 1.0, RolloutAction::Hold), None);
}

#[test]
fn a_turn_rides_on_a_raise() {
    let told = turned(&mut state(8.0, &["web"]), 1, 2.0, RolloutAction::RollBack).expect("a raise");
    assert_eq!((told.action, told.reason), (Action::ScaleUp, Reason::ReactiveFloor));
    assert_eq!(told.rollout.expect("the turn beside it").action, RolloutAction::RollBack);
}

#[test]
fn a_turn_of_a_probe_is_told_once_and_beside_a_raise() {
    let probed = |state: &mut PoolState, second: u64, cores: f64| {
        let mut signals = signals("web", Some(cores), None);
        signals.read_at = Some(at(second));
        signals.probe = Some(ProbeTurn {
            mirrored_share: Ratio::new(0.2),
            size_ratio: Ratio::new(0.25),
            until: at(second + 60),
            because: "looks for the knee".to_owned(),
        });
        state.observe(signals);
        settle(state, at(second), &ScalingSettings::default()).pop().expect("a turn is news")
    };
    let mut state = state(8.0, &["web"]);
    let told = probed(&mut state, 1, 1.0);
    assert_eq!((told.action, told.reason, told.because.as_str()), (Action::Hold, Reason::Probe, "looks for the knee"));
    assert_eq!(told.probe.map(|turn| turn.until), Some(at(61)));
    assert_eq!(settle(&mut state, at(2), &ScalingSettings::default()), []);
    let told = probed(&mut state, 3, 2.0);
    assert!(told.action == Action::ScaleUp && told.reason == Reason::ReactiveFloor && told.probe.is_some(), "{told:?}");
}
