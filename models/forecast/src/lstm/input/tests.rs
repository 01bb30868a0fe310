//! What the network is told, and what its outputs mean.

use super::super::elementary::softplus;
use super::*;

const MINUTE_MS: u64 = 60_000;

fn question() -> Question {
    Question {
        horizon_steps: 5,
        peak: false,
        bases: [Some(4.0), None, None, Some(2.0), None, None, None, None],
        spread: Some([0.0, 1.0, 2.0, 3.0, 5.0]),
        limit: None,
        measure: Measure::Cpu,
    }
}

fn recent(values: &[Option<f64>]) -> Recent {
    let mut recent = Recent::default();
    values.iter().zip(0..).for_each(|(value, step)| recent.observe(step, *value, None));
    recent
}

#[test]
fn rows_are_as_long_as_they_say() {
    let (mut rows, mut row) = (Vec::new(), Vec::new());
    let scene = Scene::of(&recent(&[Some(1.0), None, Some(3.0)]), MINUTE_MS, &mut rows).expect("the newest is known");
    scene.ask(&question(), &mut row);
    assert_eq!((rows.len(), row.len()), (STEPS * CHANNELS, CONTEXT));
    // Before the first step, nothing was observed; of the gap only the time of day is known.
    assert!(rows[..(STEPS - 3) * CHANNELS].iter().all(|number| *number == 0.0));
    let steps: Vec<&[f32]> = rows.chunks_exact(CHANNELS).skip(STEPS - 3).collect();
    assert_eq!(steps[1][..6], [0.0; 6]);
    // 1 and 3 lie 2 and 0 from the newest: the unit is 1, and 1 is two units below.
    assert_eq!(steps[0][..2], [squeeze(-2.0), 1.0]);
    assert_eq!(steps[2][..2], [0.0, 1.0]);
}

#[test]
fn a_shadow_is_told_in_units_of_its_own_beside_the_primary_and_masked_where_it_is_missing() {
    let mut recent = Recent::default();
    let steps = [(Some(2.0), Some(1.0)), (None, Some(1.5)), (Some(4.0), None), (Some(4.0), Some(3.0))];
    steps.into_iter().zip(0..).for_each(|((value, shadow), step)| recent.observe(step, value, shadow));
    let mut rows = Vec::new();
    Scene::of(&recent, MINUTE_MS, &mut rows).expect("the newest is known");
    let shadow: Vec<&[f32]> = rows.chunks_exact(CHANNELS).skip(STEPS - 4).map(|row| &row[3..6]).collect();
    // 1, 1.5 and 3 lie 2, 1.5 and 0 from the newest: the unit is 3.5 / 3. Where both were seen the shadow has 4 of 6.
    let [unit, ratio] = [3.5 / 3.0, 4.0 / 6.0];
    let expected = [
        [squeeze(-2.0 / unit), squeeze(0.5 / ratio - 1.0), 1.0],
        // Without the primary nothing can be said beside it.
        [squeeze(-1.5 / unit), 0.0, 1.0],
        [0.0; 3],
        [0.0, squeeze(0.75 / ratio - 1.0), 1.0],
    ];
    for (at, (found, expected)) in shadow.iter().zip(&expected).enumerate() {
        let near = |(one, other): (&f32, &f32)| (one - other).abs() < 1e-6;
        assert!(found.iter().zip(expected).all(near), "step {at}: {found:?}, not {expected:?}");
    }
}

#[test]
fn silence_is_no_answer() {
    let mut rows = Vec::new();
    for silent in [&[][..], &[Some(1.0), None], &[None], &[Some(0.0), Some(0.0)]] {
        assert!(Scene::of(&recent(silent), MINUTE_MS, &mut rows).is_none());
    }
    assert!(rows.is_empty());
}

#[test]
fn a_series_that_has_idled_for_days_is_silent_before_its_level_is_nothing() {
    let mut recent = recent(&[Some(1.0)]);
    // The level halves every 288 steps: after 36 000 it is 2^-125, and a hundredth of that no single float any more.
    (1..=40_000).for_each(|step| recent.observe(step, Some(0.0), None));
    let mut rows = Vec::new();
    assert!(Scene::of(&recent, MINUTE_MS, &mut rows).is_none() && rows.is_empty());
}

#[test]
fn a_network_of_zeros_is_what_the_experts_say_with_the_widths_of_the_blend() {
    let (mut rows, mut row) = (Vec::new(), Vec::new());
    let scene = Scene::of(&recent(&[Some(1.0), Some(3.0)]), MINUTE_MS, &mut rows).expect("the newest is known");
    let frame = scene.ask(&question(), &mut row);
    let answer = scene.answer(&frame, &[0.0; OUTPUTS]);
    // Three bases are heard, 3, 4 and 2, and count alike: 3. Widths are 1, 1, 1, 2 and a fiftieth of the unit, 1, each.
    for (found, wanted) in answer.into_iter().zip([3.0, 4.02, 5.04, 6.06, 8.08]) {
        assert!((found - wanted).abs() < 1e-3, "{answer:?}");
    }
    assert!((softplus(f64::from(WIDTH_BIAS)) - 1.0).abs() < 1e-4);
}

#[test]
fn the_scale_of_a_series_does_not_matter() {
    let rows_of = |scale: f64| {
        let (mut rows, mut row) = (Vec::new(), Vec::new());
        let values: Vec<_> = [1.0, 3.0, 2.0, 5.0].map(|value| Some(scale * value)).into();
        let scene = Scene::of(&recent(&values), MINUTE_MS, &mut rows).expect("the newest is known");
        let mut question = question();
        question.bases = question.bases.map(|base| base.map(|base| base * scale));
        question.spread = question.spread.map(|spread| spread.map(|above| above * scale));
        scene.ask(&question, &mut row);
        (rows, row)
    };
    // By powers of two, so that it is true to the bit.
    assert_eq!(rows_of(1.0), rows_of(1024.0));
}
