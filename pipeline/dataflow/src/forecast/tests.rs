//! Answers do not depend on who asks beside, and whoever cannot be read does not serve.

use std::sync::Arc;

use schemas::{Learning, Metric, Mode, Noun, Role, RolloutAction, Span, TenantId, Workload, WorkloadId};

use super::*;
use crate::models::Champion;
use crate::records::Pair;
use crate::snapshot::{Snapshots, Stage};

/// More than ask at once, in two batches of unlike sizes.
const WORKLOADS: usize = ASK_AT_ONCE + 88;

/// Seconds: 60 steps, a window of the model. A shadow is believed from the sixtieth on.
const TICKS: u64 = 120;

fn settings() -> EngineSettings {
    EngineSettings {
        step: Span::from_secs(2),
        horizon_prior: Span::from_secs(4),
        dwell: Span::from_secs(4),
        ..EngineSettings::default()
    }
}

fn outlooks(settings: &EngineSettings) -> Outlooks {
    let (slots, snapshots) = (Rc::new(Slots::default()), Rc::new(Snapshots::default()));
    Outlooks::new(&slots, settings, &snapshots.of(Stage::Forecast))
}

fn record(number: usize) -> Arc<Workload> {
    let json = format!(
        r#"{{"workload":"w{number}","orchestrator":"simulated","pool":"main","time":0,
        "allocation":{{"cpu_cores":2,"memory_bytes":1000}},"min":{{"cpu_cores":1,"memory_bytes":1000}},
        "max":{{"cpu_cores":8,"memory_bytes":8000}},"step":{{"cpu_cores":0.25,"memory_bytes":1000}},
        "unmet_cost":9,"idle_cost":1}}"#
    );
    Arc::new(Workload::from_json(json.as_bytes()).expect("a workload"))
}

/// A tick of some workloads, each with a load of its own, and a shadow under seven tenths of it.
fn pairs(tick: u64, workloads: impl Iterator<Item = usize>, records: &[Arc<Workload>]) -> Pairs {
    pairs_with(tick, workloads, records, |used| Some(0.7 * used))
}

/// The same with another shadow.
fn pairs_with(
    tick: u64,
    workloads: impl Iterator<Item = usize>,
    records: &[Arc<Workload>],
    shadow: impl Fn(f64) -> Option<f64>,
) -> Pairs {
    let mut pairs = Pairs::default();
    for number in workloads {
        let name = WorkloadId::new(&format!("w{number}")).expect("a name");
        let mut pair = Pair::new(number, TenantId::default(), name);
        pair.record = Some(Arc::clone(&records[number]));
        pairs.begin(pair);
        let times = pairs.add_times([tick].into_iter());
        let used = 1.0 + ((tick / 1_000 * 7 + number as u64 * 13) % 11) as f64 / 10.0;
        pairs.add(Role::Primary, Metric::CpuUsed, times.clone(), [used].into_iter());
        pairs.add(Role::Primary, Metric::MemoryWorkingSet, times.clone(), [1e3 * used].into_iter());
        if let Some(used) = shadow(used) {
            pairs.add(Role::Shadow, Metric::CpuUsed, times, [used].into_iter());
        }
    }
    pairs
}

/// What is known at the end when some workloads live side by side.
fn lived(workloads: &[usize], records: &[Arc<Workload>]) -> Outlooks {
    let mut outlooks = outlooks(&settings());
    for second in 0..TICKS {
        let tick = second * 1_000;
        outlooks.observe(tick, &pairs(tick, workloads.iter().copied(), records), |_| ());
        outlooks.look_ahead(usize::MAX);
    }
    outlooks
}

/// What is known of one of them, to the bit.
fn of(outlooks: &mut Outlooks, workload: usize) -> Vec<u8> {
    postcard::to_allocvec(outlooks.of.of(workload).as_ref().expect("it has lived")).expect("state is plain")
}

#[test]
fn who_takes_a_slot_begins_anew() {
    let records: Vec<_> = (0..WORKLOADS).map(record).collect();
    let mut outlooks = lived(&[0], &records);
    let mut next = pairs(TICKS * 1_000, [0].into_iter(), &records);
    outlooks.begin(&[Rc::new(next.clone())]);
    assert!(outlooks.of.of(0).is_some(), "it is the same workload");
    next.pairs[0].is_new = true;
    outlooks.begin(&[Rc::new(next)]);
    assert!(outlooks.of.of(0).is_none());
}

#[test]
fn who_asks_beside_does_not_change_an_answer() {
    let records: Vec<_> = (0..WORKLOADS).map(record).collect();
    let mut all = lived(&(0..WORKLOADS).collect::<Vec<_>>(), &records);
    for workload in [0, ASK_AT_ONCE - 1, ASK_AT_ONCE, WORKLOADS - 1] {
        let mut alone = lived(&[workload], &records);
        assert!(of(&mut alone, workload) == of(&mut all, workload), "workload {workload} alone and beside {WORKLOADS}");
    }
}

#[test]
fn who_learns_from_its_own_readings_alone_hears_nothing_of_the_model() {
    let shared = record(0);
    let own = Arc::new(Workload { learning: Learning::Own, ..(*shared).clone() });
    let known = |record: Arc<Workload>, settings: &EngineSettings| {
        let mut outlooks = outlooks(settings);
        for second in 0..TICKS {
            let tick = second * 1_000;
            outlooks.observe(tick, &pairs(tick, [0].into_iter(), std::slice::from_ref(&record)), |_| ());
            outlooks.look_ahead(usize::MAX);
        }
        outlooks.of.of(0).as_ref().expect("it has lived").cpu_bytes()
    };
    let without = EngineSettings { lstm: false, ..settings() };
    assert!(known(Arc::clone(&own), &settings()) == known(own, &without), "as where no model serves");
    assert!(known(Arc::clone(&shared), &settings()) != known(shared, &without), "whose model says something");
}

#[test]
fn a_forecast_does_not_hear_of_a_shadow_that_is_not_believed() {
    let records = [record(0)];
    let known = |shadow: fn(f64) -> Option<f64>| {
        let mut outlooks = outlooks(&settings());
        for second in 0..TICKS {
            let tick = second * 1_000;
            outlooks.observe(tick, &pairs_with(tick, [0].into_iter(), &records, shadow), |_| ());
            outlooks.look_ahead(usize::MAX);
        }
        outlooks.of.of(0).as_ref().expect("it has lived").cpu_bytes()
    };
    let [without, frozen, honest] = [known(|_| None), known(|_| Some(0.7)), known(|used| Some(0.7 * used))];
    assert!(frozen == without, "it is frozen from the tenth tick on, and was not believed before");
    assert!(honest != without, "one that is believed is heard of");
}

#[test]
fn that_a_shadow_stands_still_is_told_before_it_was_ever_believed() {
    let records = [record(0)];
    let told = |shadow: fn(f64) -> Option<f64>| {
        let mut outlooks = outlooks(&settings());
        for second in 0..TICKS / 2 {
            let tick = second * 1_000;
            outlooks.observe(tick, &pairs_with(tick, [0].into_iter(), &records, shadow), |_| ());
        }
        outlooks.distrust.told
    };
    assert!(told(|_| Some(0.7)) > 0);
    assert_eq!(told(|used| Some(0.7 * used)), 0);
}

#[test]
fn a_roll_out_is_for_mode_act_and_ends_with_it() {
    let in_mode = |mode| Arc::new(Workload { mode, ..(*record(0)).clone() });
    let mut outlooks = outlooks(&settings());
    let mut turn = |second: u64, mode| {
        let tick = second * 1_000;
        let mut pairs = pairs(tick, [0].into_iter(), &[in_mode(mode)]);
        for role in [Role::Canary, Role::Baseline] {
            let times = pairs.add_times([tick].into_iter());
            pairs.add(role, Metric::CpuUsed, times, [0.5].into_iter());
        }
        let mut turn = None;
        outlooks.observe(tick, &pairs, |ahead| {
            if let Ahead::Signals(signals) = ahead {
                turn = signals.rollout.map(|turn| turn.action);
            }
        });
        turn
    };
    assert_eq!((0..5).find_map(|second| turn(second, Mode::Recommend)), None);
    assert_eq!(turn(5, Mode::Act), Some(RolloutAction::Start));
    assert_eq!((6..9).find_map(|second| turn(second, Mode::Act)), None, "it is on its way");
    assert_eq!(turn(9, Mode::Observe), Some(RolloutAction::RollBack));
    assert_eq!((10..15).find_map(|second| turn(second, Mode::Observe)), None);
}

#[test]
fn every_workload_has_signals_at_every_tick_and_forecasts_after_its_first_step() {
    let records: Vec<_> = (0..WORKLOADS).map(record).collect();
    let mut outlooks = outlooks(&EngineSettings { forecasts_every: Span::from_secs(1), ..settings() });
    for second in 0..8 {
        let tick = second * 1_000;
        let (mut signals, mut forecasts) = (0, 0);
        outlooks.look_ahead(usize::MAX);
        outlooks.observe(tick, &pairs(tick, 0..WORKLOADS, &records), |ahead| match ahead {
            Ahead::Signals(_) => signals += 1,
            Ahead::Forecast(_) => forecasts += 1,
            Ahead::Alert(alert) => panic!("nothing is known yet that could be missed: {alert:?}"),
        });
        assert_eq!(signals, WORKLOADS);
        // Steps of two ticks: about half of the workloads end their first step at the second tick, the others at the third;
        // what they then see ahead is told from the tick after.
        let expected = match second {
            0 | 1 => 0..=0,
            2 => WORKLOADS / 2..=3 * WORKLOADS / 2,
            _ => 2 * WORKLOADS..=2 * WORKLOADS,
        };
        assert!(expected.contains(&forecasts), "{forecasts} forecasts in second {second}");
    }
}

#[test]
fn an_artifact_that_cannot_be_read_leaves_the_seat_as_it_was() {
    let mut serving = Serving::new(true);
    let shipped = serving.answer(None).versions.with_model;
    assert!(shipped.starts_with("experts-2+shipped@"), "{shipped}");
    serving.swap(Some(Champion { name: "rotten@00000000".to_owned(), artifact: b"no artifact".to_vec() }));
    assert!(serving.questions(1_000).is_some(), "somebody serves");
    assert_eq!(serving.answer(None).versions.with_model, shipped);
}

#[test]
fn calibration_follows_the_prices() {
    let before = record(1);
    let mut outlooks = lived(&[1], &[Arc::clone(&before), Arc::clone(&before)]);
    let dearer = Workload { unmet_cost: schemas::Money::new(99.0 * before.idle_cost.get()), ..(*before).clone() };
    let target = |outlooks: &mut Outlooks| outlooks.of.of(1).as_ref().expect("it has lived").targets();
    assert_eq!(target(&mut outlooks), [before.target_quantile(); 2]);
    let records = [Arc::new(dearer.clone()), Arc::new(dearer)];
    outlooks.observe(10_000_000, &pairs(10_000_000, [1].into_iter(), &records), |_| ());
    assert_eq!(target(&mut outlooks), [0.99; 2]);
}

#[test]
fn nobody_is_asked_where_the_model_is_off() {
    let mut serving = Serving::new(false);
    assert!(serving.questions(1_000).is_none());
    serving.swap(None);
    assert!(serving.questions(1_000).is_none(), "not after a swap either");
}
