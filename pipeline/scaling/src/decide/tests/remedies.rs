//! The law under remedies of anomalies: each is told when it begins and ends, and none costs what is needed.

use proptest::prelude::*;
use schemas::{Remedy, Span};

use super::*;
use crate::remedy::{Alert, Remedies};

/// How long a remedy lasts, in seconds.
const LASTING_S: u64 = 600;

const GB: f64 = 1e9;

fn remedy(remediation: Remediation, since: u64) -> Remedy {
    Remedy {
        remediation,
        detector: "leak".to_owned(),
        since: at(since),
        until: at(since + LASTING_S),
        evidence: "floor rose".to_owned(),
    }
}

/// One tick with a need of CPU and memory, a forecast of CPU, and what is in force.
fn treated(
    state: &mut PoolState,
    second: u64,
    (cores, forecast, memory): (f64, Option<f64>, f64),
    remedies: &[Remedy],
    settings: &ScalingSettings,
) -> Option<Decision> {
    let mut signals = signals("web", Some(cores), forecast);
    signals.read_at = Some(at(second));
    signals.memory.floor = Some(memory);
    signals.remedies = remedies.to_vec();
    state.observe(signals);
    let decision = settle(state, at(second), settings).pop();
    if let Some(decision) = &decision {
        state.report(&outcome(decision, Status::InForce, decision.granted, second));
    }
    decision
}

fn memory(state: &PoolState) -> f64 {
    state.target(&WorkloadId::new("web").expect("a name")).expect("it is known").memory_bytes.get()
}

#[test]
fn a_bump_raises_at_once_and_is_given_back_when_it_is_over() {
    let (mut state, settings) = (state(8.0, &["web"]), ScalingSettings::default());
    let bump = [remedy(Remediation::RaiseMemory, 10)];
    assert_eq!(treated(&mut state, 9, (1.0, None, GB), &[], &settings), None);
    // 20 % over 1 GB is 1.2 GB, 1.25 in steps of a quarter.
    let raised = treated(&mut state, 10, (1.0, None, GB), &bump, &settings).expect("a raise");
    assert_eq!((raised.action, raised.reason), (Action::ScaleUp, Reason::MemoryBump));
    assert_eq!((raised.granted.memory_bytes.get(), raised.evidence.remedies.clone()), (1.25 * GB, bump.to_vec()));
    assert_eq!(
        raised.because,
        "memory is kept at 1.16 GiB or more until 1970-01-01T00:10:10.000Z, for critical leak: floor rose"
    );
    for second in 11..10 + LASTING_S {
        assert_eq!(treated(&mut state, second, (1.0, None, GB), &bump, &settings), None, "second {second}");
    }
    // Over with the first tick that it does not reach, long before the 24 hours of memory's window.
    let back = treated(&mut state, 10 + LASTING_S, (1.0, None, GB), &bump, &settings).expect("it is given back");
    assert_eq!((back.action, back.reason), (Action::ScaleDown, Reason::RemedyEnded));
    assert_eq!((back.granted.memory_bytes.get(), back.evidence.remedies.len()), (GB, 1));
    assert!(back.because.ends_with("memory was kept up for critical leak since 1970-01-01T00:00:10.000Z"));
    assert_eq!(treated(&mut state, 11 + LASTING_S, (1.0, None, GB), &[], &settings), None);
}

#[test]
fn what_was_needed_in_the_meantime_is_not_given_back() {
    let (mut state, settings) = (state(8.0, &["web"]), ScalingSettings::default());
    let bump = [remedy(Remediation::RaiseMemory, 0)];
    treated(&mut state, 0, (1.0, None, GB), &bump, &settings);
    // 1.1 GB are needed for a while: in steps that is the bump's own 1.25, and memory's window remembers it.
    (1..LASTING_S).for_each(|second| drop(treated(&mut state, second, (1.0, None, 1.1 * GB), &bump, &settings)));
    let ended = treated(&mut state, LASTING_S, (1.0, None, GB), &[], &settings).expect("the end is told");
    assert_eq!((ended.action, ended.reason, memory(&state)), (Action::Hold, Reason::RemedyEnded, 1.25 * GB));
}

#[test]
fn nothing_is_given_back_on_stale_signals() {
    let (mut state, settings) = (state(8.0, &["web"]), ScalingSettings::default());
    treated(&mut state, 0, (1.0, None, GB), &[remedy(Remediation::RaiseMemory, 0)], &settings);
    (1..2 * LASTING_S).for_each(|second| drop(settle(&mut state, at(second), &settings)));
    assert_eq!(memory(&state), 1.25 * GB);
    treated(&mut state, 2 * LASTING_S, (1.0, None, GB), &[], &settings);
    assert_eq!(memory(&state), GB, "once they come again");
}

#[test]
fn a_quarantine_holds_what_would_be_lowered_and_says_when_it_ends() {
    let (mut state, settings) = (state(8.0, &["web"]), ScalingSettings::default());
    treated(&mut state, 0, (4.0, None, GB), &[], &settings);
    let hold = [remedy(Remediation::HoldDown, 200)];
    (1..200).for_each(|second| assert_eq!(treated(&mut state, second, (1.0, None, GB), &[], &settings), None));
    let begun = treated(&mut state, 200, (1.0, None, GB), &hold, &settings).expect("the beginning is told");
    assert_eq!((begun.action, begun.reason), (Action::Hold, Reason::Quarantine));
    assert!(begun.because.starts_with("less cpu is wanted, but nothing is lowered until "), "{}", begun.because);
    // Once more when the wish for 4 cores leaves the window of 300 s, so that there is something to lower, and no more.
    let told = (201..200 + LASTING_S).filter_map(|second| {
        let decision = treated(&mut state, second, (1.0, None, GB), &hold, &settings)?;
        Some((second, decision.action, decision.reason))
    });
    assert_eq!(told.collect::<Vec<_>>(), [(300, Action::Hold, Reason::Quarantine)]);
    let lowered = treated(&mut state, 200 + LASTING_S, (1.0, None, GB), &[], &settings).expect("a scale-down");
    assert_eq!((lowered.action, lowered.reason), (Action::ScaleDown, Reason::Excess));
    assert_eq!(lowered.evidence.remedies, hold, "it says what has ended");
}

#[test]
fn a_freeze_holds_forecasts_and_grants_what_is_needed_now() {
    let (mut state, settings) = (state(8.0, &["web"]), ScalingSettings::default());
    let freeze = [remedy(Remediation::HoldUp, 0)];
    let begun = treated(&mut state, 0, (1.0, Some(4.0), GB), &freeze, &settings).expect("the beginning is told");
    assert_eq!((begun.action, begun.reason, begun.short()), (Action::Hold, Reason::Freeze, false));
    let needed = treated(&mut state, 1, (2.0, Some(4.0), GB), &freeze, &settings).expect("a raise");
    assert_eq!((needed.reason, needed.granted.cpu_cores.get()), (Reason::ReactiveFloor, 2.0));
    // It ends, and the forecast is followed again; its raise waits for a minute after the last one in any case.
    let after = treated(&mut state, LASTING_S, (2.0, Some(4.0), GB), &freeze, &settings).expect("a raise");
    assert_eq!((after.reason, after.granted.cpu_cores.get()), (Reason::Forecast, 4.0));
}

#[test]
fn a_restart_is_asked_for_once_and_nothing_changes() {
    let (mut state, settings) = (state(8.0, &["web"]), ScalingSettings::default());
    let restart = [remedy(Remediation::Restart, 5)];
    treated(&mut state, 4, (1.0, None, GB), &[], &settings);
    let asked = treated(&mut state, 5, (1.0, None, GB), &restart, &settings).expect("it is told");
    assert_eq!((asked.action, asked.reason), (Action::Hold, Reason::RestartSuggested));
    assert!(asked.because.starts_with("a restart is asked for, and not again until "), "{}", asked.because);
    let asking = 6..5 + LASTING_S;
    asking.for_each(|second| assert_eq!(treated(&mut state, second, (1.0, None, GB), &restart, &settings), None));
    let ended = treated(&mut state, 5 + LASTING_S, (1.0, None, GB), &[], &settings).expect("its end is told");
    assert_eq!((ended.action, ended.reason), (Action::Hold, Reason::RemedyEnded));
}

#[test]
fn a_bump_waits_for_a_pause_and_for_the_pool() {
    let (mut paused, settings) = (state(8.0, &["web"]), ScalingSettings::default());
    let mut signals = signals("web", Some(1.0), None);
    signals.read_at = Some(at(0));
    signals.remedies = vec![remedy(Remediation::RaiseMemory, 0)];
    Arc::make_mut(&mut signals.workload).pause.up = true;
    paused.observe(signals);
    let held = settle(&mut paused, at(0), &settings).remove(0);
    assert_eq!((held.action, held.reason, memory(&paused)), (Action::Hold, Reason::Paused, GB));
    // 64 GB in all, of which a neighbour holds all but the workload's own 1 GB.
    let mut short = state(8.0, &["web"]);
    let mut neighbour = workload("neighbour");
    neighbour.allocation = Allocation::new(1.0, 63.0 * GB);
    short.set_workload(&neighbour, None);
    let held = treated(&mut short, 0, (1.0, None, GB), &[remedy(Remediation::RaiseMemory, 0)], &settings);
    let held = held.expect("it is told");
    assert_eq!((held.reason, held.shortfall.memory_bytes.get()), (Reason::Shortfall, 0.25 * GB));
}

/// What may happen at a tick: needs, and an alert now and then.
fn ticks() -> impl Strategy<Value = Vec<(u64, f64, f64, Option<usize>)>> {
    prop::collection::vec((1_u64..120, 0.5..8.0_f64, 0.5..8.0_f64, prop::option::weighted(0.2, 0_usize..4)), 1..150)
}

proptest! {
    #[test]
    fn no_remedy_costs_what_is_needed_and_every_one_ends(ticks in ticks()) {
        let settings = ScalingSettings { remedies_max: 3, ..ScalingSettings::default() };
        let all = [Remediation::RaiseMemory, Remediation::Restart, Remediation::HoldDown, Remediation::HoldUp];
        let (mut state, mut remedies) = (state(64.0, &["web"]), Remedies::default());
        let (mut second, mut begun, mut ended) = (0, Vec::new(), Vec::new());
        let mut note = |decision: Option<Decision>, now: EventTime| {
            for remedy in decision.into_iter().flat_map(|decision| decision.evidence.remedies) {
                let key = (remedy.remediation, remedy.since);
                if remedy.until <= now { ended.push(key) } else if !begun.contains(&key) { begun.push(key) }
            }
        };
        for (gap, cores, gigabytes, alert) in ticks {
            second += gap;
            if let Some(help) = alert {
                let alert = Alert { detector: "leak", evidence: "", helps: &all[help..=help] };
                let policy = schemas::RemediationPolicy::ACT;
                remedies.take(at(second), alert, &policy, LASTING_S * 1000, &settings);
            }
            let in_force = remedies.at(at(second)).to_vec();
            let need = (cores, Some(cores * 1.5), gigabytes * GB);
            note(treated(&mut state, second, need, &in_force, &settings), at(second));
            // Steps of a quarter, bounds of 8: what is needed now is granted, and never more than the bounds.
            prop_assert!(cpu(&state, "web") + 1e-9 >= cores && cpu(&state, "web") <= 8.0);
            prop_assert!(memory(&state) + 1.0 >= gigabytes * GB && memory(&state) <= 8.0 * GB);
        }
        let over = at(second + LASTING_S);
        let last = treated(&mut state, second + LASTING_S, (0.5, None, 0.5 * GB), &[], &settings);
        note(last, over);
        begun.sort_unstable();
        ended.sort_unstable();
        prop_assert_eq!(begun, ended, "what begins ends, once, and both are told");
    }

    #[test]
    fn a_bump_leaves_memory_as_it_was(needed in 0.5..5.0_f64, share in 0.0..1.0_f64, lasting in 1_u64..600) {
        let mut state = state(8.0, &["web"]);
        let settings = ScalingSettings { memory_bump: share, ..ScalingSettings::default() };
        treated(&mut state, 0, (1.0, None, needed * GB), &[], &settings);
        let before = memory(&state);
        let bump = Remedy { until: at(1 + lasting), ..remedy(Remediation::RaiseMemory, 1) };
        for second in 1..1 + lasting {
            treated(&mut state, second, (1.0, None, needed * GB), std::slice::from_ref(&bump), &settings);
            prop_assert!(memory(&state) >= before.max(f64::min(needed * (1.0 + share), 8.0) * GB - 1.0));
        }
        treated(&mut state, 1 + lasting, (1.0, None, needed * GB), &[], &settings);
        prop_assert_eq!(memory(&state), before);
    }

    #[test]
    fn fewer_remedies_are_taken_than_the_limit_whatever_is_alerted(gaps_s in prop::collection::vec(1_u64..60, 1..200)) {
        let settings =
            ScalingSettings { remedies_max: 2, remedy_window: Span::from_secs(600), ..ScalingSettings::default() };
        let (mut state, mut remedies, mut second) = (state(8.0, &["web"]), Remedies::default(), 0);
        let mut raised = Vec::new();
        for gap in gaps_s {
            second += gap;
            let alert = Alert { detector: "leak", evidence: "", helps: &[Remediation::RaiseMemory] };
            remedies.take(at(second), alert, &schemas::RemediationPolicy::ACT, 30_000, &settings);
            let in_force = remedies.at(at(second)).to_vec();
            let decision = treated(&mut state, second, (1.0, None, GB), &in_force, &settings);
            raised.extend(decision.filter(|decision| decision.reason == Reason::MemoryBump).map(|_| second));
        }
        for from in &raised {
            prop_assert!(raised.iter().filter(|second| (*from..*from + 600).contains(*second)).count() <= 2);
        }
    }
}
