//! The streamed windows against the recomputed ones, and the laws that a replay relies on.

use proptest::prelude::*;

use super::*;
use crate::grid::extents;
use crate::oracle::{disagreement, recompute};

/// One tick: how many ticks after the one before, and its values as (place in the tick from 0 to 1, value).
type Step = (u64, Vec<(f64, f64)>);
pub(super) type Tick = (u64, Vec<(u64, f64)>);

const TICKS_MS: [u64; 11] = [100, 125, 200, 250, 500, 1_000, 1_250, 2_000, 2_500, 5_000, 10_000];

/// Up to 60 ticks with gaps within, around and far beyond the longest window; values around one magnitude, or of all.
pub(super) fn streams() -> impl Strategy<Value = (u64, Vec<Tick>)> {
    let gap = prop_oneof![8 => Just(1u64), 3 => 2u64..30, 2 => 30u64..1_200, 1 => 1_200u64..20_000];
    let scale = prop::sample::select(vec![1e-30, 1e-9, 1.0, 1e9, 1e14]);
    let value = prop_oneof![
        4 => -1.0f64..1.0,
        4 => 5.0f64..5.1,
        1 => Just(0.0),
        1 => (-1.0f64..1.0, -40i32..1).prop_map(|(unit, exponent)| unit * 10f64.powi(exponent)),
    ];
    let step = (gap, prop::collection::vec((0.0f64..1.0, value), 0..12));
    let steps = prop::collection::vec(step, 1..60);
    (prop::sample::select(TICKS_MS.to_vec()), 0u64..2_000_000, scale, steps)
        .prop_map(|(tick_ms, start, scale, steps)| (tick_ms, lay_out(tick_ms, start, scale, steps)))
}

fn lay_out(tick_ms: u64, start: u64, scale: f64, steps: Vec<Step>) -> Vec<Tick> {
    let mut tick = start;
    let laid = steps.into_iter().map(|(gap, values)| {
        tick += gap;
        let start_ms = tick * tick_ms;
        let place = |(at, value)| (start_ms + (at * tick_ms as f64) as u64, value * scale);
        let mut values: Vec<_> = values.into_iter().map(place).collect();
        values.sort_by_key(|&(time_ms, _)| time_ms);
        (start_ms, values)
    });
    laid.collect()
}

/// A bank of one series.
pub(super) fn windows(tick_ms: u64) -> Bank {
    let mut bank = Bank::new(tick_ms).expect("an allowed tick");
    bank.add();
    bank
}

fn fold(bank: &mut Bank, start_ms: u64, values: &[(u64, f64)]) {
    fold_of(bank, 0, start_ms, values);
}

pub(super) fn fold_of(bank: &mut Bank, series: usize, start_ms: u64, values: &[(u64, f64)]) {
    let (times_ms, values): (Vec<u64>, Vec<f64>) = values.iter().copied().unzip();
    bank.fold(series, start_ms, &times_ms, &values);
}

/// The features as they will be at a later tick, if nothing comes until then.
fn at(bank: &Bank, at_ms: u64) -> [Option<Features>; 4] {
    let mut later = bank.clone();
    if bank.series[0][0].next * bank.grid.tick_ms <= at_ms {
        fold(&mut later, at_ms, &[]);
    }
    later.features(0)
}

/// Streamed and recomputed features of all windows; panics where they disagree.
fn assert_agree(streamed: [Option<Features>; 4], recomputed: [Option<Features>; 4], largest: f64) {
    for (index, pair) in streamed.iter().zip(&recomputed).enumerate() {
        match pair {
            (Some(a), Some(b)) => {
                assert_eq!(disagreement(a, b, largest), None, "window {index}: {a:?} {b:?}");
            }
            (a, b) => assert_eq!(a, b, "window {index}"),
        }
    }
}

/// Every bit but those of the mean that depends on history: the debug form tells -0.0 from 0.0 and prints floats in full.
fn bits(features: Option<Features>) -> String {
    format!("{:?}", features.map(|all| Features { ewma: 0.0, ..all }))
}

proptest! {
    #[test]
    fn streaming_equals_recomputing((tick_ms, ticks) in streams(), later in 0u64..200) {
        let mut streamed = windows(tick_ms);
        let (mut history, mut largest) = (Vec::new(), 0.0f64);
        for (start_ms, values) in ticks {
            fold(&mut streamed, start_ms, &values);
            largest = values.iter().fold(largest, |most, (_, value)| most.max(value.abs()));
            history.extend(values);
            for at_ms in [start_ms, start_ms + later * tick_ms] {
                let recomputed = recompute(tick_ms, at_ms, &history).expect("an allowed tick");
                assert_agree(at(&streamed, at_ms), recomputed, largest);
            }
        }
    }

    #[test]
    fn asking_changes_no_answer((tick_ms, ticks) in streams(), asked in prop::collection::vec(any::<bool>(), 60)) {
        let mut streamed = windows(tick_ms);
        for ((start_ms, values), asked) in ticks.into_iter().zip(asked) {
            fold(&mut streamed, start_ms, &values);
            let answer = at(&streamed, start_ms);
            if asked {
                prop_assert_eq!(streamed.features(0), answer);
            }
        }
    }

    #[test]
    fn a_replay_from_the_windows_start_gives_the_same_bits((tick_ms, ticks) in streams()) {
        let mut whole = windows(tick_ms);
        for (start_ms, values) in &ticks {
            fold(&mut whole, *start_ms, values);
        }
        let &(end_ms, _) = ticks.last().expect("at least one tick");
        let answers = at(&whole, end_ms);
        for (index, extent) in extents(tick_ms).expect("an allowed tick").iter().enumerate() {
            let mut replayed = windows(tick_ms);
            for (start_ms, values) in ticks.iter().filter(|tick| tick.0 >= extent.start_ms(end_ms)) {
                fold(&mut replayed, *start_ms, values);
            }
            prop_assert_eq!(bits(at(&replayed, end_ms)[index]), bits(answers[index]));
        }
    }

    #[test]
    fn who_takes_a_removed_place_is_new((tick_ms, ticks) in streams(), (_, before) in streams()) {
        let (mut fresh, mut used) = (windows(tick_ms), windows(tick_ms));
        for (start_ms, values) in before {
            let start_ms = start_ms / tick_ms * tick_ms;
            let values: Vec<_> = values.iter().map(|(_, value)| (start_ms, *value)).collect();
            if used.series[0][0].next * tick_ms <= start_ms {
                fold(&mut used, start_ms, &values);
            }
        }
        used.remove(0);
        prop_assert_eq!(used.add(), 0);
        for (start_ms, values) in &ticks {
            fold(&mut fresh, *start_ms, values);
            fold(&mut used, *start_ms, values);
            prop_assert_eq!(format!("{:?}", used.features(0)), format!("{:?}", fresh.features(0)));
        }
    }

    #[test]
    fn folding_no_values_changes_no_answer((tick_ms, ticks) in streams()) {
        let (mut passing, mut skipping) = (windows(tick_ms), windows(tick_ms));
        for (start_ms, values) in &ticks {
            fold(&mut passing, *start_ms, values);
            if !values.is_empty() {
                fold(&mut skipping, *start_ms, values);
            }
            prop_assert_eq!(at(&passing, *start_ms), at(&skipping, *start_ms));
        }
    }
}

#[test]
fn a_ramp_in_every_window() {
    // 10 Hz for 20 min, rising by 2 per second.
    let mut ramp = windows(1_000);
    for tick in 0..1_200 {
        let values = (0..10).map(|i| tick * 1_000 + i * 100);
        let values: Vec<_> = values.map(|time_ms| (time_ms, time_ms as f64 / 500.0)).collect();
        fold(&mut ramp, tick * 1_000, &values);
    }
    // 15 min end with the tick 1199 s, the last of its minute: 300 s to 1200 s in full.
    let expected_counts = [10, 100, 600, 9_000];
    for (features, count) in at(&ramp, 1_199_000).into_iter().zip(expected_counts) {
        let features = features.expect("every window holds values");
        assert_eq!(features.count, count);
        // Newest value 2·1199.9; oldest (count - 1)·0.1 s before.
        assert_eq!(features.max, 2_399.8);
        assert_eq!(features.min, (2_400.0 - 0.2 * f64::from(count)) as f32);
        // Panes are rounded to 24 bits: 2400·2⁻²⁴ is 1.5e-4.
        assert!((features.mean - (features.min + features.max) / 2.0).abs() < 2e-4);
        // Uniform steps of 0.2: variance 0.04·(n² - 1)/12.
        let variance = 0.04 * (f64::from(count * count) - 1.0) / 12.0;
        assert!((f64::from(features.variance) / variance - 1.0).abs() < 1e-4);
        assert!((features.slope_per_second.expect("many times") - 2.0).abs() < 1e-4);
        // The 1 s window is one pane: no rate between panes.
        let rate = features.rate_of_change_per_second;
        assert!(rate.is_none_or(|rate| (rate - 2.0).abs() < 1e-4));
        assert_eq!(rate.is_none(), count == 10);
    }
}

#[test]
fn a_window_forgets_at_its_edge() {
    let mut windows = windows(1_000);
    fold(&mut windows, 100_000, &[(100_999, 7.0)]);
    let held = |at_ms| at(&windows, at_ms).map(|features| features.is_some());
    // The value's tick is the 1st of 10 in the tick 109 s, and of 60 in 159 s.
    assert_eq!(held(100_000), [true; 4]);
    assert_eq!(held(101_000), [false, true, true, true]);
    assert_eq!(held(110_000), [false, false, true, true]);
    assert_eq!(held(160_000), [false, false, false, true]);
    // Its minute 1 is the 1st of 15 in minute 15, which ends at 960 s.
    assert_eq!(held(959_000), [false, false, false, true]);
    assert_eq!(held(960_000), [false; 4]);
}

#[test]
fn one_constant_value_is_exact() {
    let mut windows = windows(10_000);
    fold(&mut windows, 0, &[(3, 0.3)]);
    let expected = Features {
        count: 1,
        mean: 0.3,
        min: 0.3,
        max: 0.3,
        variance: 0.0,
        p50: 0.3,
        p95: 0.3,
        p99: 0.3,
        slope_per_second: None,
        ewma: 0.3,
        rate_of_change_per_second: None,
    };
    assert_eq!(at(&windows, 0), [Some(expected); 4]);
}

/// After 20 min of pseudo-random values from 1 to `10^decades`.
pub(super) fn settled(tick_ms: u64, step_ms: u64, decades: f64) -> Bank {
    let mut windows = windows(tick_ms);
    let mut seed = 1u64;
    for start_ms in (0..1_200_000).step_by(tick_ms as usize) {
        let times = (start_ms..start_ms + tick_ms).step_by(step_ms as usize);
        let values = times.map(|time_ms| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (time_ms, 10f64.powf(decades * (seed >> 11) as f64 / (1u64 << 53) as f64))
        });
        fold(&mut windows, start_ms, &values.collect::<Vec<_>>());
    }
    windows
}

#[test]
fn memory_stays_within_the_documented_bound() {
    // 10^0.041 = 1.1: within 10 %.
    for (tick_ms, step_ms, steady_kib, spread_kib) in [(1_000, 1_000, 5, 9), (1_000, 100, 6, 15), (100, 100, 31, 40)] {
        for (decades, kib) in [(0.041, steady_kib), (2.0, spread_kib)] {
            let bytes = settled(tick_ms, step_ms, decades).memory_bytes(0);
            assert!(bytes <= kib * 1_024, "{tick_ms} ms, {step_ms} ms, {decades} decades: {bytes} bytes");
        }
    }
}

#[test]
#[should_panic(expected = "was closed")]
fn a_closed_tick_takes_no_more() {
    let mut windows = windows(1_000);
    fold(&mut windows, 5_000, &[]);
    fold(&mut windows, 5_000, &[(5_000, 1.0)]);
}

#[test]
#[should_panic(expected = "not finite")]
fn a_value_that_is_no_number_is_refused() {
    fold(&mut windows(1_000), 0, &[(0, f64::NAN)]);
}

#[test]
#[should_panic(expected = "outside tick")]
fn a_value_of_another_tick_is_refused() {
    fold(&mut windows(1_000), 0, &[(1_000, 1.0)]);
}
