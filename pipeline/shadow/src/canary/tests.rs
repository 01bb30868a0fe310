//! The canary as a whole, on worlds that are told by hand; figures over many random ones are in `tests/canary.rs`.

use super::*;

const CALM: SideTick =
    SideTick { cores: Some(1.0), memory_bytes: Some(1e9), requests: None, errors: None, latency_p99: None };

/// A hundred answers of a tick, from 1 to 2 ms, the same to both but for the canary's factor.
fn tick(canary: &mut Canary, factor: f64, cores: f64) {
    for request in 0..100 {
        let latency = 1e-3 * (1.0 + f64::from(request * 37 % 100) / 100.0);
        canary.observe(Side::Baseline, Answer::Served(latency));
        canary.observe(Side::Canary, Answer::Served(latency * factor));
    }
    canary.close(CALM, SideTick { cores: Some(cores), ..CALM });
}

fn after(ticks: u32, factor: f64, cores: f64) -> Canary {
    let mut canary = Canary::new(CanarySettings::default());
    (0..ticks).for_each(|_| tick(&mut canary, factor, cores));
    canary
}

#[test]
fn two_alike_pass_and_are_never_called_worse() {
    assert_eq!(after(5, 1.0, 1.0).verdict(), Verdict::Continue);
    let report = after(60, 1.0, 1.0).report();
    assert_eq!((report.verdict, report.requests, report.more_requests), (Verdict::Pass, 6_000, Some(0)));
    assert_eq!(report.because, "nothing is worse by its margin, after 6000 requests");
}

#[test]
fn a_hungrier_version_is_named_with_its_bounds() {
    let report = after(60, 1.0, 1.3).report();
    assert_eq!(report.verdict, Verdict::Regress);
    let cpu = report.findings[4];
    // 1.3 lies between the factors 1.1² and 1.1⁴ = 1.46, neighbouring rungs.
    let (lower, upper) = cpu.lower.zip(cpu.upper).expect("both bounds are on the ladder");
    assert!((lower - 0.21).abs() < 1e-9 && (upper - 0.4641).abs() < 1e-9);
    assert!(report.because.starts_with("cpu is worse by "), "{}", report.because);
}

#[test]
fn a_slower_version_is_found_in_all_quantiles() {
    let report = after(60, 1.3, 1.0).report();
    assert_eq!(report.verdict, Verdict::Regress);
    assert!(["latency_p50", "latency_p95", "latency_p99"].iter().all(|name| report.because.contains(name)));
}

#[test]
fn a_regression_stays_one() {
    let mut canary = after(60, 1.0, 1.3);
    (0..600).for_each(|_| tick(&mut canary, 1.0, 0.5));
    assert_eq!(canary.verdict(), Verdict::Regress);
}

#[test]
fn a_difference_that_is_surely_below_the_margin_passes_for_good() {
    // 2 % more CPU in each tick is proven within seconds, and proven to be below 10 % as well.
    assert_eq!(after(3_000, 1.0, 1.02).verdict(), Verdict::Pass);
}

#[test]
fn what_is_not_read_is_no_data_and_no_pass() {
    let mut canary = after(60, 1.0, 1.0);
    (0..59).for_each(|_| canary.close(CALM, CALM));
    assert_eq!(canary.verdict(), Verdict::Pass);
    canary.close(CALM, CALM);
    assert_eq!(canary.verdict(), Verdict::NoData);
    assert!(canary.report().because.starts_with("answers of one side or both missing for 60 ticks"));
    tick(&mut canary, 1.0, 1.0);
    assert_eq!(canary.verdict(), Verdict::Pass);
}

#[test]
fn a_canary_that_answers_nothing_fails() {
    let mut canary = Canary::new(CanarySettings::default());
    for _ in 0..20 {
        (0..100).for_each(|_| canary.observe(Side::Baseline, Answer::Served(1e-3)));
        (0..100).for_each(|_| canary.observe(Side::Canary, Answer::Failed));
        canary.close(CALM, CALM);
    }
    assert_eq!(canary.verdict(), Verdict::Regress);
    assert!(canary.report().because.starts_with("errors is worse by 100.00 points"), "{}", canary.report().because);
}

#[test]
fn answers_that_one_side_lacks_are_weighed_not_counted() {
    let mut canary = Canary::new(CanarySettings::default());
    for _ in 0..300 {
        (0..100).for_each(|i| canary.observe(Side::Baseline, Answer::Served(1e-3 * f64::from(100 + i))));
        (0..50).for_each(|i| canary.observe(Side::Canary, Answer::Served(1e-3 * f64::from(100 + 2 * i))));
        canary.close(CALM, SideTick { cores: Some(0.5), ..CALM });
    }
    assert_eq!(canary.verdict(), Verdict::Pass, "{}", canary.report().because);
}

#[test]
fn samples_alone_are_enough() {
    let side = |latency, errors| SideTick { requests: Some(100.0), errors, latency_p99: Some(latency), ..CALM };
    let verdict_on = |canary: SideTick| {
        let mut judged = Canary::new(CanarySettings::of_samples());
        (0..200).for_each(|_| judged.close(side(0.1, Some(1.0)), canary));
        judged.report()
    };
    assert_eq!(verdict_on(side(0.1, Some(1.0))).verdict, Verdict::Pass);
    assert!(verdict_on(side(0.15, Some(1.0))).because.starts_with("latency_p99 is worse by "));
    assert!(verdict_on(side(0.1, Some(5.0))).because.starts_with("errors is worse by 4.00 points"));
    // Errors that nobody read are not zero errors.
    assert_eq!(verdict_on(side(0.1, None)).verdict, Verdict::NoData);
}

#[test]
fn the_state_is_bounded_and_goes_on_after_being_stored() {
    let mut canary = after(90, 1.01, 1.01);
    let mut stored: Canary =
        serde_json::from_str(&serde_json::to_string(&canary).expect("a record")).expect("the same");
    tick(&mut canary, 1.2, 1.0);
    tick(&mut stored, 1.2, 1.0);
    assert_eq!(stored, canary);
    let bytes = size_of::<Canary>() + 4 * 336;
    assert!(bytes < 8 * 1024, "{bytes}");
}
