//! A week of days of 96 points, 15 minutes each: 10 + 5 sin, noise 0.3.

use super::*;
use crate::noise::Noise;

const DAY: usize = 96;
const STEP_MS: u64 = 900_000;

/// A check that has taken `days` of the week above, with `alter` applied to each point.
fn after(days: usize, alter: impl Fn(usize, f64) -> Option<f64>) -> SeasonalCheck {
    let mut noise = Noise(21);
    let mut seasonal = SeasonalCheck::new(SeasonalSettings::default());
    for index in 0..days * DAY {
        let phase = std::f64::consts::TAU * index as f64 / DAY as f64;
        let usual = 10.0 + 5.0 * phase.sin() + 0.3 * noise.normal();
        seasonal.observe(index as u64 * STEP_MS, alter(index, usual));
    }
    seasonal
}

fn times(findings: Option<Vec<Finding>>) -> Option<Vec<u64>> {
    findings.map(|findings| findings.iter().map(|finding| finding.time_ms / STEP_MS).collect())
}

#[cfg(feature = "seasonal-hybrid-esd")]
mod with_the_test {
    use proptest::prelude::*;

    use super::*;

    /// 669 to 671 of 672 points are in the newest hour with 668; 100 and 400 are not.
    const INJECTED: [usize; 4] = [100, 400, 669, 671];

    #[test]
    fn outliers_of_the_newest_hour_are_reported_once() {
        let spiked = |index, usual| Some(if INJECTED.contains(&index) { usual + 4.0 } else { usual });
        let mut seasonal = after(7, spiked);
        let findings = seasonal.check(DAY).expect("seven periods can be judged");
        // 4.0 above a phase whose usual value is 10 + 5 sin(2π 93/96) = 9.02, with deviations of about 0.3: a score
        // near 13.
        assert_eq!((findings[0].time_ms, findings[0].kind), (669 * STEP_MS, Kind::SeasonalOutlier));
        assert!((findings[0].expected.expect("a usual value") - 9.02).abs() < 0.5);
        assert!((8.0..20.0).contains(&findings[0].score), "{}", findings[0].score);
        assert!(findings[0].evidence.contains("usual at this time of the period"));
        assert_eq!(times(Some(findings)), Some(vec![669, 671]));
        assert_eq!(times(seasonal.check(DAY)), Some(vec![]));
    }

    #[test]
    fn an_ordinary_value_at_the_wrong_time_is_found() {
        // 14.9 is usual at the height of the day, but not at its end, where 9.7 is.
        let mut seasonal = after(7, |index, usual| Some(if index == 671 { 14.9 } else { usual }));
        assert_eq!(times(seasonal.check(DAY)), Some(vec![671]));
    }

    #[test]
    fn a_usual_week_and_a_constant_one_are_silent() {
        assert_eq!(times(after(7, |_, usual| Some(usual)).check(DAY)), Some(vec![]));
        assert_eq!(times(after(7, |_, _| Some(3.0)).check(DAY)), Some(vec![]));
    }

    #[test]
    fn a_few_gaps_are_carried_and_never_reported() {
        // 3 % of the points are missing, with them the one after a spike, which is carried into it.
        let gappy = |index, usual| match index {
            670 => Some(usual + 4.0),
            671 => None,
            _ => (index % 33 != 5).then_some(usual),
        };
        assert_eq!(times(after(7, gappy).check(DAY)), Some(vec![670]));
    }

    #[test]
    fn the_buffer_is_bounded_and_steps_left_out_are_gaps() {
        let mut seasonal = after(20, |_, usual| Some(usual));
        assert_eq!(seasonal.points.len(), 1344);
        // An outage longer than the buffer leaves nothing but the point after it.
        seasonal.observe(u64::MAX, Some(1.0));
        assert_eq!((seasonal.points.len(), seasonal.check(DAY)), (1, None));
    }

    /// Mostly finite and often equal, at times huge, missing, or not a number; 4 periods of up to 50 are judged.
    fn points() -> impl Strategy<Value = Vec<(u64, Option<f64>)>> {
        let value = prop_oneof![
            60 => (0i32..5).prop_map(f64::from),
            40 => any::<f32>().prop_map(f64::from),
            1 => Just(f64::NAN),
            1 => Just(f64::INFINITY),
            1 => Just(f64::MAX),
        ];
        // Mostly the next step, at times the same, an earlier or a later one.
        let advance = prop_oneof![200 => Just(2u64), 1 => Just(1), 1 => Just(0), 1 => Just(4)];
        prop::collection::vec((advance, prop::option::weighted(0.99, value)), 0..400)
    }

    proptest! {
        #[test]
        fn never_panics(points in points(), period in 0usize..100) {
            let mut seasonal = SeasonalCheck::new(SeasonalSettings { points: 300, ..SeasonalSettings::default() });
            let mut step = 0u64;
            for (advance, value) in points {
                step = (step + advance).saturating_sub(1);
                seasonal.observe(step * STEP_MS, value);
            }
            for finding in seasonal.check(period).into_iter().flatten() {
                prop_assert!(finding.score.is_finite() && finding.score > finding.threshold);
            }
        }
    }
}

#[test]
fn too_little_history_is_not_judged() {
    assert_eq!(after(3, |_, usual| Some(usual)).check(DAY), None);
    assert_eq!(after(7, |_, usual| Some(usual)).check(1), None);
    assert_eq!(after(7, |_, usual| Some(usual)).check(0), None);
}

#[test]
fn many_gaps_are_not_judged_and_not_zeros() {
    // Every 20th point: exactly 5 %.
    assert_eq!(after(7, |index, usual| (index % 20 != 7).then_some(usual)).check(DAY), None);
    assert_eq!(after(7, |_, _| None).check(DAY), None);
}

#[cfg(not(feature = "seasonal-hybrid-esd"))]
#[test]
fn without_the_test_nothing_is_judged_or_kept() {
    let mut seasonal = after(7, |_, usual| Some(usual));
    const { assert!(!SeasonalCheck::AVAILABLE) };
    assert_eq!((times(seasonal.check(DAY)), seasonal.points.len()), (None, 0));
}
