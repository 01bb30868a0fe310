//! Tests of `probe.rs`: a shadow that breaches from a knee on, under a primary of a given utilisation.

use proptest::prelude::*;

use super::*;

const HOUR_MS: u64 = 3_600_000;

/// What is seen of the pair under a setting.
fn seen(setting: Setting, primary: f64, knee: f64) -> Seen {
    if setting.size_ratio == 0.0 {
        return Seen { primary: Some(primary), ..Seen::default() };
    }
    let offered = setting.mirrored_share / setting.size_ratio * primary;
    Seen { primary: Some(primary), shadow: Some(offered.min(1.0)), breach: Some(offered > knee), ..Seen::default() }
}

/// Runs a plan second by second, and gives every setting.
fn run(probe: &mut Probe, from_ms: u64, to_ms: u64, look: impl Fn(Setting, u64) -> Seen) -> Vec<Setting> {
    let mut setting = Setting { mirrored_share: 0.0, size_ratio: 0.0, until_ms: 0 };
    let ticks = (from_ms..to_ms).step_by(1_000);
    ticks
        .map(|now_ms| {
            setting = probe.next(now_ms, look(setting, now_ms));
            setting
        })
        .collect()
}

#[test]
fn the_knee_is_bracketed_within_five_minutes_and_five_percent() {
    for (primary, knee) in [(0.1, 0.55), (0.35, 0.68), (0.6, 0.85)] {
        let mut probe = Probe::new(ProbePolicy::default());
        run(&mut probe, 0, 6 * HOUR_MS, |setting, _| seen(setting, primary, knee));
        let found = probe.last().expect("a probe has ended");
        assert_eq!(found.stop, Stop::Found);
        let (low, high) = (found.low.expect("well once"), found.high.expect("breached once"));
        assert!(low <= knee + 1e-9 && knee <= high && high <= 1.07 * low, "{low} {knee} {high}");
        assert!(found.took_ms <= 300_000, "{} ms", found.took_ms);
        // A cycle that has just begun costs more than its mean: a probe in six hours is the tolerance.
        assert!(probe.overhead() <= 0.05 + 0.004, "{}", probe.overhead());
    }
}

#[test]
fn the_first_breach_ends_the_climb() {
    let mut probe = Probe::new(ProbePolicy::default());
    let settings = run(&mut probe, 0, 300_000, |setting, _| seen(setting, 0.4, 0.65));
    let reached: Vec<f64> = settings.iter().map(|s| s.mirrored_share / s.size_ratio.max(1e-9) * 0.4).collect();
    let first = reached.iter().position(|x| *x > 0.65).expect("it climbs to the knee");
    // 0.3, 0.39, 0.507, 0.6591: no rung is higher than the first that breached, which is held for ten judged seconds.
    assert!(reached.iter().all(|x| *x < 0.6592), "{reached:?}");
    let held = reached[first..].iter().take_while(|x| **x == reached[first]).count();
    assert_eq!(held, 20);
}

#[test]
fn a_primary_that_suffers_ends_the_probe_at_once() {
    let mut probe = Probe::new(ProbePolicy::default());
    let look = |setting: Setting, now_ms: u64| Seen { disturbed: now_ms == 50_000, ..seen(setting, 0.4, 0.7) };
    let settings = run(&mut probe, 0, 90_000, look);
    assert!(settings[49].mirrored_share > 0.0);
    assert!(settings[50..].iter().all(|setting| setting.mirrored_share == 0.0 && setting.size_ratio == 0.0));
    assert_eq!(probe.last().map(|bracket| bracket.stop), Some(Stop::Disturbed));
}

#[test]
fn a_shadow_that_is_not_read_ends_it_and_without_a_primary_it_never_begins() {
    let mut blind = Probe::new(ProbePolicy::default());
    run(&mut blind, 0, 120_000, |_, _| Seen { primary: Some(0.4), ..Seen::default() });
    assert_eq!(blind.last().map(|bracket| bracket.stop), Some(Stop::Blind));
    let mut unread = Probe::new(ProbePolicy::default());
    let settings = run(&mut unread, 0, 60_000, |_, _| Seen::default());
    assert!(settings.iter().all(|setting| setting.size_ratio == 0.0));
}

#[test]
fn a_knee_beyond_the_cap_is_said_to_be_beyond() {
    let tenth = Ratio::new(0.1);
    let policy = ProbePolicy { share_max: tenth, size_min: tenth, size_max: tenth, ..ProbePolicy::default() };
    let mut probe = Probe::new(policy);
    run(&mut probe, 0, 120_000, |setting, _| seen(setting, 0.4, 0.7));
    // At most k = 1: 0.4, and well there.
    let found = probe.last().expect("it ended");
    assert_eq!((found.stop, found.high), (Stop::Beyond, None));
    assert!((found.low.expect("well") - 0.4).abs() < 1e-9);
}

proptest! {
    #[test]
    fn whatever_is_seen_the_caps_hold_and_settings_expire(
        share_max in 0.05..1.0_f64, size_min in 0.02..0.3_f64, wider in 1.0..3.0_f64, overhead_max in 0.02..0.1_f64,
        looks in prop::collection::vec((prop::option::of(0.0..1.2_f64), prop::option::of(any::<bool>()), 0..50_u32), 1..200),
    ) {
        let size_max = (size_min * wider).min(1.0);
        let [share, least, most, overhead] = [share_max, size_min, size_max, overhead_max].map(Ratio::new);
        let mut probe = Probe::new(ProbePolicy {
            share_max: share,
            size_min: least,
            size_max: most,
            overhead_max: overhead,
            dwell_ms: 30_000,
        });
        let mut last_ms = 0;
        for second in 0..20_000_u64 {
            let (primary, breach, rare) = looks[(second / 7) as usize % looks.len()];
            let seen = Seen { primary, shadow: primary, breach, counts: None, disturbed: rare == 0 };
            let setting = probe.next(second * 1_000, seen);
            prop_assert!((0.0..=share_max).contains(&setting.mirrored_share));
            prop_assert!(setting.size_ratio == 0.0 || (size_min..=size_max).contains(&setting.size_ratio));
            prop_assert!(setting.until_ms >= second * 1_000);
            prop_assert!(setting.size_ratio == 0.0 || setting.until_ms <= second * 1_000 + 60_000);
            last_ms = second * 1_000;
        }
        // One probe, of ten minutes at most, may not have been rested off yet.
        prop_assert!(probe.spent <= overhead_max * last_ms as f64 + 600_000.0 * size_max);
        let bytes = postcard::to_allocvec(&probe).expect("plain state");
        prop_assert_eq!(postcard::from_bytes::<Probe>(&bytes).expect("its own form"), probe);
    }
}
