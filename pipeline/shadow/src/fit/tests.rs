//! Tests of `fit.rs`.

use super::*;

/// Latency in seconds over cores and utilisation.
type Program<'a> = &'a dyn Fn(f64, f64) -> f64;

/// Points of a primary of `cores` between two utilisations, and of a shadow a tenth as large between two others.
fn points(cores: f64, latency: impl Fn(f64, f64) -> f64) -> Vec<Point> {
    let of = |series, role, cores: f64, from: u32, to: u32| {
        (from..to).map(move |percent| (series, role, cores, f64::from(percent) / 100.0)).step_by(3)
    };
    let both = of(0, Role::Primary, cores, 25, 50).chain(of(1, Role::Shadow, cores / 10.0, 40, 90));
    let point = |(series, role, cores, utilisation)| Point {
        series,
        role,
        cores,
        utilisation,
        latency: latency(cores, utilisation),
        weight: 60.0,
    };
    both.map(point).collect()
}

fn fitted(cores: f64, slo: Option<f64>, latency: impl Fn(f64, f64) -> f64) -> Fitted {
    Fitted::of(&points(cores, latency), cores, slo).expect("a clean rise")
}

#[test]
fn a_queue_is_found_and_its_knee_is_where_it_crosses() {
    // 20 ms + 20 ms / (c (1-ρ)) is 50 ms at c (1-ρ) = 2/3: ρ = 5/6 of 4 cores.
    let knee = fitted(4.0, Some(0.05), |cores, rho| 0.02 + 0.02 / (cores * (1.0 - rho))).knee;
    assert!((knee.utilisation.get() - 5.0 / 6.0).abs() < 0.005, "{knee:?}");
    assert!(knee.low.get() <= 5.0 / 6.0 && 5.0 / 6.0 <= knee.high.get());
    assert!(knee.shown);
}

#[test]
fn a_law_without_pooling_is_told_from_one_with_it() {
    // The same at every size: 20 ms + 10 ms / (1-ρ) is 50 ms at ρ = 2/3.
    let knee = fitted(4.0, Some(0.05), |_, rho| 0.02 + 0.01 / (1.0 - rho)).knee;
    assert!((knee.utilisation.get() - 2.0 / 3.0).abs() < 0.01, "{knee:?}");
}

#[test]
fn a_bend_is_found() {
    // Flat at 20 ms up to ρ = 0.6, then 40 ms a unit of 1/(1-ρ): 50 ms at 1/(1-ρ) = 2.5 + 0.75.
    let knee = fitted(2.0, Some(0.05), |_, rho| 0.02 + 0.04 * (1.0 / (1.0 - rho) - 2.5).max(0.0)).knee;
    assert!((knee.utilisation.get() - (1.0 - 1.0 / 3.25)).abs() < 0.03, "{knee:?}");
}

#[test]
fn contention_is_found() {
    // r = 20 ms + 0.6 ρ r: 50 ms at ρ = 0.03 / (0.6 × 0.05) = 1; 35 ms at 0.015 / 0.021 = 0.714.
    let knee = fitted(4.0, Some(0.035), |_, rho| 0.02 / (1.0 - 0.6 * rho)).knee;
    assert!((knee.utilisation.get() - 0.714).abs() < 0.02, "{knee:?}");
}

#[test]
fn without_a_promise_the_knee_is_where_latency_has_doubled() {
    // 10 ms + 10 ms / (1-ρ) is 20 ms when idle, 40 ms at ρ = 2/3.
    let knee = fitted(4.0, None, |_, rho| 0.01 + 0.01 / (1.0 - rho)).knee;
    assert!((knee.utilisation.get() - 2.0 / 3.0).abs() < 0.02, "{knee:?}");
}

#[test]
fn the_headroom_keeps_the_target_at_any_work() {
    let fitted = fitted(4.0, Some(0.05), |cores, rho| 0.02 + 0.02 / (cores * (1.0 - rho)));
    // Two thirds of a core at any work, and the band's margin of a hundredth of the utilisation, 12 % at most here.
    for work in [0.6, 1.5, 3.0, 7.0, 12.0] {
        let headroom = fitted.headroom(work);
        let margin = fitted.knee.utilisation.get() / fitted.knee.low.get();
        let worth = margin * (work + 2.0 / 3.0) - work;
        assert!((headroom - worth).abs() < 0.05 * (work + 1.0), "{headroom} at {work}, {worth}");
        assert!(headroom >= 0.6);
    }
}

#[test]
fn what_was_not_seen_is_not_shown() {
    let steep = |cores: f64, rho: f64| 0.02 + 0.02 / (cores * (1.0 - rho));
    let far: Vec<Point> = points(4.0, steep).into_iter().filter(|point| point.latency < 0.04).collect();
    let beyond = Fitted::of(&far, 4.0, Some(0.3));
    assert!(beyond.is_none_or(|fitted| !fitted.knee.shown));
}

#[test]
fn flat_or_few_points_teach_nothing() {
    assert_eq!(Fitted::of(&points(4.0, |_, _| 0.02), 4.0, Some(0.05)), None);
    assert_eq!(Fitted::of(&points(4.0, |_, rho| 0.02 + rho)[..4], 4.0, Some(0.05)), None);
}

/// A number within ±1 that looks like chance: a fraction of a multiple of the golden ratio.
fn chance(n: usize) -> f64 {
    2.0 * (n as f64 * 0.618_033_988_749_894_8).fract() - 1.0
}

#[test]
fn services_that_follow_no_candidate_are_known_within_a_tenth_and_covered() {
    // A soft bend over what the root of the work leaves idle; contention of the second order; pooling between the exponents.
    let soft = |cores: f64, rho: f64| 0.02 + 0.01 * (3.0 - (1.0 - rho) * (20.0 * cores / rho).sqrt()).max(0.0).powi(2);
    let contended = |_: f64, rho: f64| 0.02 / (1.0 - 0.4 * rho - 0.35 * rho * rho);
    let between = |cores: f64, rho: f64| 0.02 + 0.012 / (cores.powf(0.75) * (1.0 - rho).powf(1.3));
    let services: [(Program<'_>, f64); 3] = [(&soft, 0.04), (&contended, 0.04), (&between, 0.045)];
    let (mut errors, mut covered) = (Vec::new(), 0);
    for (latency, slo) in services {
        for cores in [2.0, 4.0, 8.0] {
            let truth = (1..980).map(|n| f64::from(n) / 1_000.0).take_while(|rho| latency(cores, *rho) <= slo).last();
            let mut points = points(cores, latency);
            // Each size has its own chance, of a twentieth at most.
            let own = 100 * cores as usize;
            points.iter_mut().enumerate().for_each(|(n, point)| point.latency *= 1.0 + 0.05 * chance(own + n));
            let knee = Fitted::of(&points, cores, Some(slo)).expect("a rise").knee;
            let (found, truth) = (knee.utilisation.get(), truth.expect("idle is well"));
            errors.push((found / truth - 1.0).abs());
            covered += usize::from((knee.low.get()..=knee.high.get()).contains(&truth));
        }
    }
    errors.sort_by(f64::total_cmp);
    assert!(errors[4] <= 0.1 && errors[8] <= 0.2, "{errors:?}");
    assert!(covered >= 8, "{covered} of 9");
}
