//! The law on hand-made signals, and its promises as properties.

use proptest::prelude::*;
use schemas::{Action, Mode, Offer, OfferKind, Status, V1};

use super::*;
use crate::controller::tests::{signals, workload};

mod remedies;
mod rollout;

fn pool(cores: f64) -> Pool {
    Pool {
        version: V1,
        time: EventTime::default(),
        pool: PoolId::new("pool").expect("a name"),
        offers: vec![Offer {
            offer: "on-demand".to_owned(),
            kind: OfferKind::OnDemand,
            capacity: Allocation::new(cores, 64e9),
            core_hour: schemas::Money::new(0.04),
            gib_hour: schemas::Money::new(0.004),
        }],
        quotas: BTreeMap::new(),
    }
}

fn state(cores: f64, names: &[&str]) -> PoolState {
    let mut state = PoolState::default();
    state.set_pool(&pool(cores));
    for name in names {
        state.set_workload(&workload(name), None);
    }
    state
}

fn at(seconds: u64) -> EventTime {
    EventTime::from_millis(seconds * 1000)
}

/// One tick with a CPU need for each workload; memory in balance.
fn tick(state: &mut PoolState, second: u64, needs: &[(&str, f64)]) -> Vec<Decision> {
    let needs: Vec<_> = needs.iter().map(|&(name, cores)| (name, cores, Mode::Act)).collect();
    tick_in_modes(state, second, &needs)
}

fn tick_in_modes(state: &mut PoolState, second: u64, needs: &[(&str, f64, Mode)]) -> Vec<Decision> {
    for &(name, cores, mode) in needs {
        let mut signals = signals(name, Some(cores), None);
        signals.workload = Arc::new(Workload { mode, ..workload(name) });
        signals.read_at = Some(at(second));
        state.observe(signals);
    }
    settle(state, at(second), &ScalingSettings::default())
}

fn outcome(decision: &Decision, status: Status, in_force: Allocation, second: u64) -> Outcome {
    Outcome {
        version: V1,
        time: at(second),
        decision: decision.decision.clone(),
        decided: decision.time,
        workload: decision.workload.clone(),
        adapter: "simulated".to_owned(),
        status,
        in_force,
        message: String::new(),
    }
}

fn cpu(state: &PoolState, name: &str) -> f64 {
    state.target(&WorkloadId::new(name).expect("a name")).expect("it is known").cpu_cores.get()
}

#[test]
fn a_rise_is_granted_at_once() {
    let mut state = state(8.0, &["web"]);
    let decisions = tick(&mut state, 1, &[("web", 2.1)]);
    // 2.1 rounds up to 2.25 in steps of a quarter.
    assert_eq!(decisions[0].granted.cpu_cores.get(), 2.25);
    assert_eq!((decisions[0].action, decisions[0].reason), (Action::ScaleUp, Reason::ReactiveFloor));
    assert!(decisions[0].because.contains("2.10 cores"), "{}", decisions[0].because);
}

#[test]
fn a_shadow_costs_its_share_of_what_is_granted_while_there_is_to_be_one() {
    let mut state = state(8.0, &["web"]);
    let mut price =
        |second: u64, cores: f64, shadow: Option<schemas::ShadowSettings>, probe: Option<schemas::ProbeTurn>| {
            let workload = Arc::new(Workload { shadow, ..workload("web") });
            let read_at = Some(at(second));
            state.observe(Signals { workload, read_at, probe, ..signals("web", Some(cores), None) });
            let decisions = settle(&mut state, at(second), &ScalingSettings::default());
            let evidence = &decisions.first().expect("a decision").evidence;
            (evidence.price_after.get(), evidence.price_shadow.map(Money::get))
        };
    let [none, size_ratio, mirrored_share] = [0.0, 0.25, 0.5].map(schemas::Ratio::new);
    let shadow = Some(schemas::ShadowSettings { size_ratio, mirrored_share });
    let (alone, priced) = price(1, 2.0, None, None);
    assert_eq!(priced, None);
    let (beside, priced) = price(2, 4.0, shadow, None);
    assert!(beside > alone, "{beside} after a raise, {alone} before");
    assert_eq!(priced, Some(0.25 * beside));
    // The turn that ends a probe goes before the record, which still names the shadow.
    let over = schemas::ProbeTurn { mirrored_share: none, size_ratio: none, until: at(60), because: String::new() };
    assert_eq!(price(3, 4.0, shadow, Some(over)).1, None);
}

#[test]
fn what_was_only_watched_begins_from_what_is_in_force() {
    let mut state = state(8.0, &["web"]);
    let watched = tick_in_modes(&mut state, 0, &[("web", 4.0, Mode::Observe)]);
    assert_eq!((watched[0].current.cpu_cores.get(), watched[0].granted.cpu_cores.get()), (1.0, 4.0));
    // It still has its one core, and is told so once: the same need is no news while nobody acts.
    assert!(tick_in_modes(&mut state, 1, &[("web", 4.0, Mode::Observe)]).is_empty());
    let acted_on = tick(&mut state, 2, &[("web", 4.0)]);
    assert_eq!((acted_on[0].current.cpu_cores.get(), acted_on[0].granted.cpu_cores.get()), (1.0, 4.0));
    // The other way round it is watched from what it has.
    state.report(&outcome(&acted_on[0], Status::InForce, acted_on[0].granted, 2));
    assert!(tick_in_modes(&mut state, 3, &[("web", 4.0, Mode::Recommend)]).is_empty());
}

#[test]
fn what_is_only_watched_takes_nothing_of_the_pool_and_gives_nothing_back() {
    let free = |state: &PoolState| state.level().free.cpu_cores.get();
    let mut rising = state(8.0, &["a", "b"]);
    // One core each, and 6 are free: `b` gets all of them, and `a` is told that it is short.
    let told = tick_in_modes(&mut rising, 0, &[("a", 7.0, Mode::Observe), ("b", 7.0, Mode::Act)]);
    let granted =
        |name: &str| told.iter().find(|one| one.workload.as_str() == name).map(|one| one.granted.cpu_cores.get());
    assert_eq!((granted("a"), granted("b")), (Some(1.0), Some(7.0)));
    assert_eq!((told[0].reason, free(&rising)), (Reason::Shortfall, 0.0));

    let mut falling = PoolState::default();
    falling.set_pool(&pool(8.0));
    falling.set_workload(&workload("a"), Some(Allocation::new(6.0, 1e9)));
    falling.set_workload(&workload("b"), None);
    // At 300 s `a` would be lowered to 1 core; the 5 that it really has are not given to `b`.
    for second in 0..=300 {
        tick_in_modes(&mut falling, second, &[("a", 1.0, Mode::Observe), ("b", 1.0, Mode::Act)]);
    }
    assert_eq!((cpu(&falling, "a"), free(&falling)), (1.0, 1.0));
    tick_in_modes(&mut falling, 301, &[("a", 1.0, Mode::Observe), ("b", 5.0, Mode::Act)]);
    assert_eq!(cpu(&falling, "b"), 2.0);
}

#[test]
fn a_workload_comes_into_a_pool_with_what_is_in_force() {
    let mut state = PoolState::default();
    state.set_pool(&pool(8.0));
    // Its record says one core; four are in force, as an adapter has told.
    state.set_workload(&workload("web"), Some(Allocation::new(4.0, 1e9)));
    assert_eq!(state.level().free.cpu_cores.get(), 4.0);
    assert!(
        tick(&mut state, 0, &[("web", 2.0)]).is_empty(),
        "two are needed, and nothing is lowered before its window"
    );
}

#[test]
fn an_excess_is_taken_back_only_after_the_window() {
    let mut state = state(8.0, &["web"]);
    let decision = tick(&mut state, 0, &[("web", 4.0)]).remove(0);
    state.report(&outcome(&decision, Status::InForce, decision.granted, 0));
    for second in 1..=299 {
        assert!(tick(&mut state, second, &[("web", 1.0)]).is_empty(), "second {second}");
    }
    // The wish for 4 cores of second 0 leaves the window of 300 s at second 300.
    let decisions = tick(&mut state, 300, &[("web", 1.0)]);
    assert_eq!((decisions[0].action, decisions[0].granted.cpu_cores.get()), (Action::ScaleDown, 1.0));
}

#[test]
fn lowerings_are_a_window_apart() {
    let mut state = state(8.0, &["web"]);
    let mut lowered = Vec::new();
    // The need falls from 6 cores by 1 every 100 s: with each tick of the window one more step of it is idle.
    for second in 0..2_000_u64 {
        let decisions = tick(&mut state, second, &[("web", 6.0 - (second / 100).min(5) as f64)]);
        for decision in decisions.iter().filter(|decision| decision.action != Action::Hold) {
            state.report(&outcome(decision, Status::InForce, decision.granted, second));
            if decision.action == Action::ScaleDown {
                lowered.push((second, decision.granted.cpu_cores.get()));
            }
        }
    }
    // 6 cores leave the window at 399 s; 300 s later the largest wish of the window is 6 - 3 - 1 = 2, and at last 1.
    assert_eq!(lowered, [(399, 5.0), (699, 2.0), (999, 1.0)]);
}

#[test]
fn after_a_raise_a_forecast_rests_and_present_need_does_not() {
    let mut state = state(8.0, &["web"]);
    let mut ask = |second: u64, floor: f64, forecast: f64| {
        let mut signals = signals("web", Some(floor), Some(forecast));
        signals.read_at = Some(at(second));
        state.observe(signals);
        settle(&mut state, at(second), &ScalingSettings::default());
        cpu(&state, "web")
    };
    assert_eq!(ask(0, 1.0, 2.0), 2.0);
    assert_eq!((ask(30, 1.0, 4.0), ask(31, 3.0, 4.0)), (2.0, 4.0));
    assert_eq!((ask(90, 3.0, 6.0), ask(91, 3.0, 6.0)), (4.0, 6.0));
}

#[test]
fn of_equal_priorities_the_dearer_want_is_served_first() {
    let mut state = state(4.0, &["a", "b"]);
    let mut b = signals("b", Some(1.0), Some(3.0));
    b.read_at = Some(at(1));
    std::sync::Arc::make_mut(&mut b.workload).unmet_cost = schemas::Money::new(19.0);
    let mut a = signals("a", Some(1.0), Some(3.0));
    a.read_at = Some(at(1));
    state.observe(a);
    state.observe(b);
    settle(&mut state, at(1), &ScalingSettings::default());
    // One core each is in force and two are free: b misses at 19 a core-hour, a at 9.
    assert_eq!((cpu(&state, "a"), cpu(&state, "b")), (1.0, 3.0));
}

#[test]
fn memory_is_lowered_only_after_its_own_longer_window() {
    let mut state = state(8.0, &["web"]);
    let memory =
        |state: &PoolState| state.target(&WorkloadId::new("web").expect("a name")).expect("known").memory_bytes.get();
    // 1 GB is allocated and half of that is enough from the first tick on.
    let lower = |state: &mut PoolState, minute: u64| {
        let mut signals = signals("web", Some(1.0), None);
        signals.read_at = Some(at(minute * 60));
        signals.memory.floor = Some(0.5e9);
        state.observe(signals);
        settle(state, at(minute * 60), &ScalingSettings::default());
        memory(state)
    };
    assert!((0..1440).all(|minute| lower(&mut state, minute) == 1e9), "not within 24 hours");
    assert_eq!(lower(&mut state, 1440), 0.5e9);
}

#[test]
fn a_short_pool_serves_present_need_before_forecasts() {
    let mut state = state(4.0, &["a", "b"]);
    // 1 core each is in force; 2 are free. `a` forecasts 8, `b` needs 2 now.
    let mut a = signals("a", Some(1.0), Some(8.0));
    a.read_at = Some(at(1));
    state.observe(a);
    let decisions = tick(&mut state, 1, &[("b", 2.0)]);
    assert_eq!((cpu(&state, "a"), cpu(&state, "b")), (2.0, 2.0));
    let short = &decisions[0];
    assert_eq!((short.reason, short.shortfall.cpu_cores.get()), (Reason::Shortfall, 6.0));
    assert!(short.because.contains("6.00 cores missing"), "{}", short.because);
}

#[test]
fn nothing_is_lowered_on_stale_signals() {
    let mut state = state(8.0, &["web"]);
    for second in 0..=400 {
        tick(&mut state, second, &[("web", 0.9)]);
    }
    let mut old = signals("web", Some(0.5), None);
    old.read_at = Some(at(400));
    state.observe(old);
    for second in 401..2_000 {
        settle(&mut state, at(second), &ScalingSettings::default());
    }
    assert_eq!(cpu(&state, "web"), 1.0);
}

#[test]
fn an_unanswered_decision_expires_and_is_taken_again() {
    let mut state = state(8.0, &["web"]);
    tick(&mut state, 0, &[("web", 2.0)]);
    for second in 1..=60 {
        assert!(tick(&mut state, second, &[("web", 2.0)]).is_empty());
    }
    let again = tick(&mut state, 61, &[("web", 2.0)]);
    assert_eq!(again[0].granted.cpu_cores.get(), 2.0);
}

#[test]
fn a_refusing_adapter_is_asked_again_only_after_a_while() {
    let mut state = state(8.0, &["web"]);
    let decision = tick(&mut state, 0, &[("web", 4.0)]).remove(0);
    state.report(&outcome(&decision, Status::Refused, Allocation::new(1.0, 1e9), 1));
    let held = tick(&mut state, 2, &[("web", 4.0)]);
    assert_eq!((held[0].action, held[0].reason), (Action::Hold, Reason::BackingOff));
    assert!(tick(&mut state, 60, &[("web", 4.0)]).is_empty(), "the hold is recorded once");
    assert_eq!(tick(&mut state, 61, &[("web", 4.0)])[0].action, Action::ScaleUp);
}

#[test]
fn a_failed_decision_frees_what_it_held() {
    let mut state = state(8.0, &["web"]);
    let decision = tick(&mut state, 0, &[("web", 4.0)]).remove(0);
    state.report(&outcome(&decision, Status::Failed, Allocation::new(1.0, 1e9), 1));
    tick(&mut state, 1, &[("web", 1.0)]);
    assert_eq!(state.level().free.cpu_cores.get(), 7.0);
}

proptest! {
    #[test]
    fn the_pool_is_never_oversubscribed_and_bounds_hold(
        needs in prop::collection::vec((0_usize..4, 0.0..12.0_f64, any::<bool>()), 1..300),
    ) {
        let names = ["a", "b", "c", "d"];
        let mut state = state(10.0, &names);
        for (second, (index, cores, answered)) in needs.into_iter().enumerate() {
            let second = second as u64 * 20;
            for decision in tick(&mut state, second, &[(names[index], cores)]) {
                prop_assert!((0.5..=8.0).contains(&decision.granted.cpu_cores.get()));
                if answered {
                    state.report(&outcome(&decision, Status::Accepted, decision.granted, second));
                }
            }
            let held: f64 = names.iter().map(|name| cpu(&state, name)).sum();
            prop_assert!(held <= 10.0 + 1e-9, "held {held}");
        }
    }

    #[test]
    fn a_rising_request_lands(slope in 0.01..0.5_f64) {
        let mut state = state(8.0, &["web"]);
        let mut need = 1.0;
        for second in 0..60 {
            tick(&mut state, second, &[("web", need)]);
            need = f64::min(need + slope, 8.0);
        }
        prop_assert!(cpu(&state, "web") >= need - slope, "granted {} of {need}", cpu(&state, "web"));
    }

    #[test]
    fn more_is_never_granted_for_less_need(low in 0.5..4.0_f64, more in 0.0..4.0_f64) {
        let granted = |need: f64| {
            let mut state = state(8.0, &["web"]);
            tick(&mut state, 0, &[("web", need)]);
            cpu(&state, "web")
        };
        prop_assert!(granted(low) <= granted(low + more));
    }
}
