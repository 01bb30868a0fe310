//! Promises that are kept, broken and left open, on made series.

use super::*;
use crate::Severity;
use crate::noise::Noise;

/// Steps of a promise.
const STEPS: u32 = 4;

/// Findings over the steps of `demand`, each promise of `STEPS` steps with this median and upper quantile.
fn found(demand: impl IntoIterator<Item = Option<f64>>, median: f64, upper: f64) -> Vec<Finding> {
    let mut residual = Residual::new(ResidualSettings::default(), 1e-3);
    let mut findings = Vec::new();
    for (step, value) in (0u64..).zip(demand) {
        residual.promise(Promise { first_step: step, steps: STEPS, median, upper, level: 0.95 });
        findings.extend(residual.observe(step, step, value));
    }
    findings
}

/// The median of the peak of four uniforms is 0.5^(1/4), their 95 % quantile 0.95^(1/4).
const MEDIAN: f64 = 0.840_896;
const UPPER: f64 = 0.987_259;

#[test]
fn a_rise_is_found_at_its_step_and_said_once() {
    let mut noise = Noise(1);
    // Step 202 lies within the promise of 200 to 203. The excess of 3 is (3 - 0.987) / 0.146 = 13.75 spreads, of which the
    // usual miss is at most a quarter: 55 times, above 2 x 8.5.
    let demand = (0..400).map(|step| Some(if (202..230).contains(&step) { 3.0 } else { noise.uniform() }));
    let findings = found(demand, MEDIAN, UPPER);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((findings[0].time_ms, findings[0].severity()), (202, Severity::Critical));
    assert_eq!((findings[0].expected, findings[0].observed), (Some(UPPER), 3.0));
    assert!(
        findings[0]
            .evidence
            .starts_with("peak of 3.00 within 4 steps, forecast 0.84 at the median and 0.99 at quantile 0.95: "),
        "{}",
        findings[0].evidence
    );
}

#[test]
fn a_fall_is_found_when_the_promise_is_over() {
    let mut noise = Noise(2);
    // From step 201 on nothing is left: the promise of 200 to 203 still saw demand, that of 204 to 207 did not. Its peak of
    // 0.01 lies (0.841 - 0.01) / 0.146 - 1 = 4.7 spreads below the mirrored quantile: 18.7 times a quarter of one.
    let demand = (0..400).map(|step| Some(if step > 200 { 0.01 } else { 0.9 + 0.1 * noise.uniform() }));
    let findings = found(demand, MEDIAN, UPPER);
    assert_eq!(findings.iter().map(|finding| finding.time_ms).collect::<Vec<_>>(), [207]);
    assert!(findings[0].expected.is_some_and(|expected| (expected - (2.0 * MEDIAN - UPPER)).abs() < 1e-9));
}

#[test]
fn a_fall_with_missing_steps_is_not_known() {
    let demand = (0..400).map(|step| match step {
        0..=200 => Some(0.95),
        _ => (step % 4 != 1).then_some(0.01),
    });
    assert!(found(demand, MEDIAN, UPPER).is_empty());
    assert!(found((0..400).map(|step| (step < 200).then_some(0.95)), MEDIAN, UPPER).is_empty());
}

#[test]
fn what_was_promised_is_silent() {
    for seed in 0..5 {
        let mut noise = Noise(seed);
        // 25 000 promises; the tail of a uniform ends at 1, 0.09 spreads above the upper quantile.
        assert!(found((0..100_000).map(|_| Some(noise.uniform())), MEDIAN, UPPER).is_empty());
    }
}

#[test]
fn the_stated_rate_holds_for_an_exponential_tail() {
    // Peaks of one step: the median of an exponential is ln 2, its 95 % quantile 2.996, and beyond that it is exponential
    // again with mean 1, 0.434 spreads. P(found) = 0.05 e^-8.5 = 10^-5: 1 of 100 000 is expected, and 8 or more have a
    // chance of 10^-5. Below nothing can be found: 0 is no spread under the median.
    let mut residual = Residual::new(ResidualSettings::default(), 1e-3);
    let mut noise = Noise(7);
    let mut findings = 0;
    for step in 0..100_000 {
        residual.promise(Promise { first_step: step, steps: 1, median: 0.693, upper: 2.996, level: 0.95 });
        findings += u32::from(residual.observe(step, step, Some(-noise.uniform().ln())).is_some());
    }
    assert!(findings <= 7, "{findings}");
    assert!((residual.above.mean_excess - 0.434).abs() < 0.2, "{}", residual.above.mean_excess);
}

#[test]
fn heavy_tails_and_wrong_forecasts_stay_under_the_guarantee() {
    for seed in 0..3 {
        let mut noise = Noise(seed);
        let demand = (0..100_000).map(|_| Some(noise.heavy_tailed().abs()));
        // 25 000 promises at 10^-3: 25 + 9 a side, twice if each of them becomes critical.
        let findings = found(demand, 0.5, 0.6).len();
        assert!((1..=136).contains(&findings), "{findings}");
    }
}

#[test]
fn a_tail_of_catastrophes_is_learnt_only_slowly() {
    let mut noise = Noise(3);
    // A spike every 100 promises is an incident each; the threshold doubles with each finding.
    let demand = (0..40_000).map(|step| Some(if step % 400 == 399 { 50.0 } else { noise.uniform() }));
    let findings = found(demand, MEDIAN, UPPER).len();
    assert!((3..=19).contains(&findings), "{findings}");
}

#[test]
fn a_promise_made_late_or_unsound_is_not_taken() {
    let mut residual = Residual::new(ResidualSettings::default(), 1e-3);
    let sound = Promise { first_step: 5, steps: 2, median: 1.0, upper: 2.0, level: 0.95 };
    residual.promise(Promise { steps: 0, ..sound });
    residual.promise(Promise { upper: f64::NAN, ..sound });
    assert!(residual.wants());
    residual.promise(sound);
    residual.promise(Promise { first_step: 6, ..sound });
    assert!(!residual.wants());
    // A gap past its end closes it, and teaches nothing.
    assert_eq!(residual.observe(9, 9, Some(100.0)), None);
    assert!(residual.wants());
    assert_eq!(residual.above.mean_excess, FIRST_MEAN_EXCESS);
}

#[test]
fn a_restored_snapshot_continues_to_the_bit() {
    let mut noise = Noise(9);
    let mut whole = Residual::new(ResidualSettings::default(), 1e-3);
    let run = |residual: &mut Residual, steps: std::ops::Range<u64>, noise: &mut Noise| -> Vec<Finding> {
        steps
            .filter_map(|step| {
                let value = noise.heavy_tailed().abs();
                residual.promise(Promise { first_step: step, steps: STEPS, median: 0.5, upper: 0.8, level: 0.9 });
                residual.observe(step, step, Some(value))
            })
            .collect()
    };
    run(&mut whole, 0..501, &mut noise);
    let text = serde_json::to_string(&whole).expect("plain data");
    let mut restored: Residual = serde_json::from_str(&text).expect("written above");
    let mut same = Noise(noise.0);
    let findings = run(&mut whole, 501..20_000, &mut noise);
    assert!(!findings.is_empty());
    assert_eq!(findings, run(&mut restored, 501..20_000, &mut same));
}
