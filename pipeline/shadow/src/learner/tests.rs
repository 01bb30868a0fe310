//! Tests of `learner.rs`.

use super::*;
use crate::Host;

const SLO: f64 = 0.1;

fn tick(cores: f64, limit: f64, requests: f64) -> RoleTick {
    RoleTick { cores: Some(cores), limit_cores: Some(limit), requests: Some(requests), ..RoleTick::default() }
}

fn alone(primary: RoleTick) -> PairTick<'static> {
    PairTick { primary, ..PairTick::default() }
}

/// A pair second by second: 50 ms a request, a tenth mirrored, 20 to 40 requests/s that vary.
fn pair(second: u64) -> PairTick<'static> {
    let requests = 20.0 + (second * 7 % 20) as f64;
    PairTick {
        now_ms: second * 1_000,
        primary: tick(0.05 * requests, 4.0, requests),
        shadow: Some(tick(0.005 * requests, 0.4, 0.1 * requests)),
        mirrored_share: Some(0.1),
        slo_latency: Some(SLO),
        ..PairTick::default()
    }
}

fn watch(learner: &mut Learner, seconds: std::ops::Range<u64>) {
    for second in seconds {
        learner.observe(&pair(second));
    }
}

#[test]
fn without_a_latency_demand_is_work_over_the_knee() {
    let mut learner = Learner::new(Ratio::new(0.7));
    let work = learner.observe(&alone(tick(0.7, 2.0, 10.0)));
    assert_eq!((work.cores, work.censored, work.source), (Some(0.7), false, Some(DemandSource::Usage)));
    assert_eq!(learner.sizing(None).demand(0.7), 1.0);
    assert_eq!(learner.evidence(&work, &learner.sizing(None)), None);
}

#[test]
fn a_saturated_primary_shows_its_demand_through_the_load() {
    let mut learner = Learner::new(Ratio::new(0.8));
    for step in 0..100 {
        let requests = f64::from(step % 20);
        learner.observe(&alone(tick(0.05 * requests, 2.0, requests)));
    }
    // 80 requests/s × 0.05 = 4 cores of work; usage shows only the limit of 2.
    let work = learner.observe(&alone(tick(1.99, 2.0, 80.0)));
    assert_eq!((work.censored, work.source), (true, Some(DemandSource::Requests)));
    let cores = work.cores.expect("the curve tells it");
    assert!((cores - 4.0).abs() < 1e-6, "{cores}");
}

#[test]
fn a_primary_that_counts_only_what_it_completes_is_seen_through_by_the_mirror() {
    let mut learner = Learner::new(Ratio::new(0.8));
    watch(&mut learner, 0..200);
    // 160 requests/s arrive, 8 cores of work; of 4 cores it completes 79. The shadow has a tenth of them, on enough CPU.
    let mut work = None;
    for second in 200..230 {
        let shadow = Some(tick(0.8 + 1e-3 * (second % 3) as f64, 1.2, 16.0));
        work = Some(learner.observe(&PairTick { primary: tick(3.99, 4.0, 79.0), shadow, ..pair(second) }));
    }
    let work = work.expect("30 ticks");
    let cores = work.cores.expect("told");
    assert!((cores / 8.0 - 1.0).abs() < 0.1, "{cores} by {:?}", work.source);
    // Without the shadow it would be taken for the 79 requests/s.
    assert!(work.alone.expect("told") < 4.1);
    let evidence = learner.evidence(&work, &learner.sizing(Some(SLO))).expect("a shadow");
    assert!(matches!(evidence.demand_source, Some(DemandSource::MirroredRequests | DemandSource::ShadowUsage)));
    assert!(evidence.demand_error.expect("known") < 0.2);
}

#[test]
fn a_reading_that_is_missing_gives_no_demand() {
    let work = Learner::new(Ratio::new(0.7)).observe(&PairTick::default());
    assert_eq!((work.cores, work.source), (None, None));
}

#[test]
fn dirty_ticks_are_counted_and_teach_nothing() {
    let mut learner = Learner::new(Ratio::new(0.7));
    let host = Host { used: Some(0.95), stolen: None };
    for second in 0..100 {
        learner.observe(&PairTick { host, ..pair(second) });
    }
    assert_eq!(learner.discarded().busy_host, 100);
    assert_eq!(learner.curve.cores(10.0), None);
    for second in 100..110 {
        let shadow = Some(RoleTick { limit_cores: None, ..pair(second).shadow.expect("a pair") });
        learner.observe(&PairTick { shadow, ..pair(second) });
    }
    assert_eq!((learner.discarded().missing_reading, learner.amplification()), (10, None));
}

#[test]
fn a_probe_is_ended_by_a_busy_host_and_only_blinded_by_a_stolen_tick() {
    let mut learner = Learner::new(Ratio::new(0.7));
    watch(&mut learner, 0..100);
    let seen = |host: Host| learner.seen(&PairTick { host, ..pair(100) });
    let of = |seen: Seen| (seen.breach, seen.disturbed);
    assert_eq!(of(seen(Host::default())), (Some(false), false));
    assert_eq!(of(seen(Host { used: Some(0.2), stolen: Some(0.05) })), (None, false));
    assert_eq!(of(seen(Host { used: Some(0.95), stolen: Some(0.05) })), (None, true));
}

#[test]
fn requests_of_another_cost_are_discarded_while_they_last() {
    let mut learner = Learner::new(Ratio::new(0.7));
    watch(&mut learner, 0..300);
    assert_eq!(learner.discarded().total(), 0);
    for second in 300..320 {
        let own = pair(second).shadow.expect("a pair");
        let shadow = Some(RoleTick { cores: own.cores.map(|cores| 1.8 * cores), ..own });
        learner.observe(&PairTick { shadow, ..pair(second) });
    }
    // The mean of ten ticks passes 1.25 after 1 - 0.9^n = 0.31, the fourth tick.
    assert!((15..=18).contains(&learner.discarded().unequal_mix), "{:?}", learner.discarded());
}

#[test]
fn another_image_is_another_workload() {
    let mut learner = Learner::new(Ratio::new(0.7));
    for second in 0..600 {
        let mut tick = PairTick { generation: "image-1", ..pair(second) };
        tick.primary.latency = Some(0.05 + 0.001 * tick.primary.requests.expect("a pair"));
        learner.observe(&tick);
    }
    let known = |learner: &Learner| (learner.points.of(600_000, &[Role::Primary]).len(), learner.trust());
    assert!(known(&learner).0 > 2);
    assert_eq!(known(&learner).1, ShadowTrust::Trusted);
    learner.observe(&PairTick { generation: "image-2", ..pair(600) });
    assert_eq!(known(&learner), (0, ShadowTrust::Unproven));
    // The cost of a request is kept until it is outweighed: 100 requests/s are 5 cores.
    assert!((learner.curve.cores(100.0).expect("kept") - 5.0).abs() < 1e-6);
}

#[test]
fn what_a_bad_shadow_says_of_the_knee_lowers_nothing() {
    // The primary is well as far as it goes, to the prior of 0.7; a liar shows health at 0.9.
    let feed = |shadow: fn(u64) -> Option<RoleTick>| {
        let mut learner = Learner::new(Ratio::new(0.7));
        for second in 0..400 {
            let utilisation = 0.5 + 0.01 * (second % 20) as f64;
            let primary = tick(2.0 * utilisation, 2.0, 40.0 * utilisation);
            let shadow = shadow(second);
            let mirrored_share = shadow.map(|_| 0.1);
            learner.observe(&PairTick { primary, shadow, mirrored_share, slo_latency: None, ..pair(second) });
        }
        learner
    };
    let without = feed(|_| None);
    fn at_nine_tenths(second: u64, limit: f64) -> RoleTick {
        tick(0.9 * limit + 1e-4 * (second % 9) as f64, limit, 20.0 * 0.9 * limit)
    }
    let frozen = feed(|second| Some(at_nine_tenths(second.min(40), 0.14)));
    assert_eq!(frozen.trust(), ShadowTrust::Frozen);
    let foreign = feed(|second| Some(at_nine_tenths(second, 1.5)));
    assert_eq!(foreign.trust(), ShadowTrust::OtherLoad);
    let honest = feed(|second| Some(at_nine_tenths(second, 0.14)));
    assert_eq!(honest.trust(), ShadowTrust::Trusted);
    let demand = |learner: &Learner| learner.sizing(None).demand(1.0);
    assert!(demand(&honest) < demand(&without), "one that is believed lowers");
    assert!(demand(&frozen) >= demand(&without) && demand(&foreign) >= demand(&without));
}

#[test]
fn what_another_workload_has_taught_is_forgotten_before_a_shadow_is_believed_again() {
    let mut learner = Learner::new(Ratio::new(0.7));
    let mut watch = |seconds: std::ops::Range<u64>, utilisation: f64, requests: f64| {
        for second in seconds {
            let own = 0.5 + 0.01 * (second % 20) as f64;
            let (primary, used) = (tick(2.0 * own, 2.0, 40.0 * own), utilisation * 0.14 + 1e-4 * (second % 9) as f64);
            let shadow = Some(tick(used, 0.14, requests));
            learner.observe(&PairTick {
                primary,
                shadow,
                mirrored_share: Some(0.1),
                slo_latency: None,
                ..pair(second)
            });
        }
        (learner.trust(), learner.knees[1].safe().utilisation.get())
    };
    // Health at nine tenths is learnt until it is found out: six requests a second, where two and a half are mirrored.
    assert_eq!(watch(0..40, 0.9, 6.0).0, ShadowTrust::Unproven);
    assert_eq!(watch(40..100, 0.9, 6.0), (ShadowTrust::OtherLoad, 0.7));
    // Its own shadow, which shows nothing above a half.
    assert_eq!(watch(100..400, 0.5, 2.4), (ShadowTrust::Trusted, 0.7));
}

#[test]
fn a_load_that_may_mostly_not_be_mirrored_is_no_other_load() {
    let mut learner = Learner::new(Ratio::new(0.7));
    for second in 0..200 {
        let PairTick { primary, .. } = pair(second);
        let requests = primary.requests.expect("a pair");
        let (mirrorable, got) = (0.4 * requests, 0.04 * requests);
        let shadow = Some(tick(0.05 * got, 0.4, got));
        learner.observe(&PairTick {
            primary: RoleTick { mirrorable: Some(mirrorable), ..primary },
            shadow,
            ..pair(second)
        });
    }
    assert_eq!(learner.trust(), ShadowTrust::Trusted);
}

#[test]
fn what_a_bad_shadow_says_of_hidden_demand_does_not_count() {
    // After a while in which it is found out, the primary is saturated: a tenth of it would be 12 requests/s.
    let mut learner = Learner::new(Ratio::new(0.7));
    let mut observed = |second: u64, primary| {
        let shadow = Some(tick(0.6 + 1e-4 * (second % 9) as f64, 1.0, 12.0));
        let work = learner.observe(&PairTick { primary, shadow, ..pair(second) });
        (learner.trust(), work)
    };
    (0..100).for_each(|second| _ = observed(second, pair(second).primary));
    for second in 100..120 {
        let (trust, work) = observed(second, tick(3.9 + 1e-3 * (second % 5) as f64, 4.0, 79.0));
        assert_eq!((trust, work.censored), (ShadowTrust::OtherLoad, true));
        assert!(work.cores.is_some_and(|cores| cores < 4.5) && work.cores == work.alone, "{work:?}");
    }
}

#[test]
fn the_state_survives_the_form_that_it_is_kept_in() {
    let mut learner = Learner::new(Ratio::new(0.7));
    for second in 0..500 {
        let mut tick = pair(second);
        tick.primary.latency = Some(0.03 + 0.02 / (1.0 - 0.0125 * tick.primary.requests.expect("a pair")));
        learner.observe(&tick);
    }
    let bytes = postcard::to_allocvec(&learner).expect("plain state");
    let mut read: Learner = postcard::from_bytes(&bytes).expect("its own form");
    assert_eq!(read, learner);
    (500..600).for_each(|second| assert_eq!(read.observe(&pair(second)), learner.observe(&pair(second))));
    assert_eq!(postcard::to_allocvec(&read), postcard::to_allocvec(&learner));
}

#[test]
fn under_a_promise_a_shadow_that_is_not_throttled_proves_health_by_its_latency_alone() {
    // Five minutes at rest, then ten at 0.82 of its limit, where it is hardly throttled.
    let knee = |latency: f64, late: Option<f64>| {
        let mut learner = Learner::new(Ratio::new(0.7));
        for second in 0..900 {
            let (used, latency, late) =
                if second < 300 { (0.1, 0.03, late.map(|_| 0.0)) } else { (0.328, latency, late) };
            let throttled = Some(0.05);
            let primary = RoleTick { latency: Some(0.02), throttled, ..tick(1.0, 4.0, 1_000.0) };
            let shadow = RoleTick { latency: Some(latency), late, throttled, ..tick(used, 0.4, 100.0) };
            learner.observe(&PairTick { primary, shadow: Some(shadow), ..pair(second) });
        }
        learner.knees[1].safe().utilisation.get()
    };
    // The primary's room below 100 ms is 80 ms; the shadow rises by 30 or 170 ms.
    assert_eq!([knee(0.06, None), knee(0.2, None)], [0.85, 0.7]);
    // Where they are counted, what counts is the share of late requests: half of a hundredth, and two.
    assert_eq!([knee(0.2, Some(0.5)), knee(0.06, Some(2.0))], [0.85, 0.7]);
}
