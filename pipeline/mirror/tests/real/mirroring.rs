//! What followers see, and what is told of it.

use std::collections::BTreeSet;

use mirror::{Audience, Counts, MirrorSettings, Stage};
use schemas::{Role, Sample, Span};

use crate::bed::{Bed, Manner, Seen, Witness, eventually, http2, stage, with_search};
use crate::client::Client;

#[test]
fn a_copy_is_the_request_byte_for_byte_less_credentials_and_with_its_mark() {
    let (primary, shadow) = (Witness::start("primary", Manner::Echo), Witness::start("shadow", Manner::Echo));
    let bed = Bed::of(&primary, &shadow, with_search());
    let body: Vec<u8> = (0..200_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    // By name: whoever takes one out of the settings' list finds it here.
    let credentials = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
        "x-amz-security-token",
        "x-goog-iap-jwt-assertion",
    ];
    let sent: Vec<_> = credentials.iter().map(|&name| (name, "secret")).chain([("x-kind", "large")]).collect();
    Client::http1(bed.mirror.address()).ask("POST", "/search?q=a%20b", &sent, body.clone());
    assert!(bed.comes_to(|counts| counts.answered == 1));
    let (original, copy) = (only(&primary), only(&shadow));
    assert!(copy.body == body && original.body == body);
    assert_eq!((copy.method, copy.target.as_str()), (original.method.clone(), "/search?q=a%20b"));
    let both = |name| (original.header(name), copy.headers.get(name).map(|value| value.to_str().expect("text")));
    for name in credentials {
        assert!(matches!(both(name), (Some(_), None)), "{name}: {:?}", both(name));
    }
    assert_eq!(both("x-foreshadow-role"), (None, Some("shadow")));
    assert_eq!(both("x-kind"), (Some("large"), Some("large")));
    assert_eq!(both("host"), (Some("shop.example"), Some("shop.example")));
}

#[test]
fn a_follower_may_speak_another_version_than_the_primary() {
    let (primary, shadow) = (Witness::start("primary", Manner::Echo), Witness::start("shadow", Manner::Echo));
    let mirrored = |primary, shadow| {
        let bed = Bed::start(MirrorSettings::default(), Stage { shadow: Some(shadow), ..stage(primary) });
        bed.share(Audience::Shadow, 1.0);
        Client::http1(bed.mirror.address()).get("/a?b");
        assert!(bed.comes_to(|counts| counts.answered == 1));
    };
    mirrored(primary.address.into(), http2(shadow.address));
    mirrored(http2(primary.address), shadow.address.into());
    let seen: Vec<_> =
        shadow.seen().into_iter().map(|seen| (seen.target.clone(), seen.header("host").map(str::to_owned))).collect();
    let of = |host: Option<&str>| ("/a?b".to_owned(), host.map(str::to_owned));
    assert_eq!(seen, [of(None), of(Some("shop.example"))], "with HTTP/2 the host is part of the target");
}

#[test]
fn the_same_ids_are_mirrored_for_the_same_share_and_more_for_a_larger_one() {
    let mirrored = |share: f64| -> BTreeSet<String> {
        let (primary, shadow) = (Witness::start("primary", Manner::Echo), Witness::start("shadow", Manner::Echo));
        let bed = Bed::of(&primary, &shadow, MirrorSettings::default());
        bed.share(Audience::Shadow, share);
        let mut client = Client::http1(bed.mirror.address());
        for id in 0..200 {
            client.ask("GET", "/", &[("x-request-id", &format!("id-{id}"))], "");
        }
        assert!(bed.comes_to(|counts| counts.answered + counts.unsampled == 200));
        shadow.seen().iter().map(|seen| seen.header("x-request-id").expect("it was sent").to_owned()).collect()
    };
    let (some, again, more) = (mirrored(0.3), mirrored(0.3), mirrored(0.6));
    assert_eq!(some, again);
    assert!(some.is_subset(&more), "{:?}", some.difference(&more));
    // 60 and 120 expected, with deviations of 6.5 and 6.9: within four of them.
    assert!((34..=86).contains(&some.len()) && (92..=148).contains(&more.len()), "{} {}", some.len(), more.len());
}

#[test]
fn a_pair_sees_the_same_requests_and_tells_of_each_together() {
    let (primary, shadow) = (Witness::start("primary", Manner::Echo), Witness::start("shadow", Manner::Echo));
    let (canary, baseline) = (Witness::start("canary", Manner::Refuse), Witness::start("baseline", Manner::Echo));
    let pair = Some((canary.address.into(), baseline.address.into()));
    let of = Stage { shadow: Some(shadow.address.into()), pair, ..stage(primary.address.into()) };
    let bed = Bed::start(MirrorSettings { interval: Span::from_millis(100), ..MirrorSettings::default() }, of);
    bed.share(Audience::Pair, 0.5);
    let mut client = Client::http1(bed.mirror.address());
    (0..100).for_each(|at| assert_eq!(client.get(&format!("/{at}")).witness(), "primary"));
    let counts = || bed.handle.counts(Audience::Pair).expect("a pair");
    assert!(eventually(|| counts().answered + counts().unsampled == 100));
    let paths = |of: &Witness| of.seen().into_iter().map(|seen| seen.target).collect::<BTreeSet<_>>();
    assert_eq!(paths(&canary), paths(&baseline));
    assert_eq!(canary.count() as u64, counts().answered);
    assert!((30..=70).contains(&canary.count()), "50 expected, 4 deviations of 5: {}", canary.count());
    assert_eq!(shadow.count(), 0, "its own share was never set");
    assert_eq!(only_role(&canary.seen()), Some("canary"));
    let told =
        || bed.reports.lock().expect("no panic").iter().flat_map(|report| report.pairs.clone()).collect::<Vec<_>>();
    assert!(eventually(|| told().len() == canary.count()));
    let status = |answer: Option<mirror::Answer>| answer.map(|answer| answer.status);
    assert!(told().iter().all(|pair| (status(pair.canary), status(pair.baseline)) == (Some(503), Some(200))));
}

#[test]
fn readings_are_told_by_role_and_only_of_roles_that_see_requests() {
    let (primary, shadow) = (Witness::start("primary", Manner::Echo), Witness::start("shadow", Manner::Refuse));
    let bed = Bed::of(&primary, &shadow, MirrorSettings { interval: Span::from_millis(100), ..with_search() });
    let mut client = Client::http1(bed.mirror.address());
    (0..20).for_each(|_| assert_eq!(client.get("/").witness(), "primary"));
    // Rates times intervals are requests; an interval may be a little longer than it should be.
    let told = |role| -> (f64, f64) {
        let reports = bed.reports.lock().expect("no panic");
        let of: Vec<&Sample> = reports.iter().flat_map(|report| &report.samples).filter(|of| of.role == role).collect();
        let sum = |rate: fn(&Sample) -> Option<schemas::PerSecond>| {
            of.iter().filter_map(|sample| rate(sample)).map(|rate| rate.get() * 0.1).sum::<f64>()
        };
        (sum(|of| of.requests_per_second), sum(|of| of.errors_per_second))
    };
    assert!(eventually(|| told(Role::Shadow).0 > 0.0 && bed.handle.copies_under_way(Audience::Shadow) == 0));
    let Bed { mirror, reports, .. } = bed;
    mirror.finish();
    let reports = reports.lock().expect("no panic");
    let samples: Vec<&Sample> = reports.iter().flat_map(|report| &report.samples).collect();
    assert!(samples.iter().all(|sample| sample.check().is_ok()));
    assert!(samples.iter().all(|sample| sample.instance_name() == "mirror" && sample.workload.as_str() == "web"));
    let of = |role| samples.iter().filter(move |sample| sample.role == role);
    assert!(of(Role::Primary).all(|sample| sample.errors_per_second.is_some_and(|errors| errors.get() == 0.0)));
    for sample in of(Role::Shadow) {
        assert_eq!(sample.errors_per_second, sample.requests_per_second, "503 is an error");
        let asked = sample.requests_per_second.is_some_and(|rate| rate.get() > 0.0);
        assert_eq!(sample.latency_p99_seconds.is_some(), asked, "a latency that was not measured is missing");
    }
    assert_eq!(of(Role::Canary).count(), 0);
}

#[test]
fn an_interval_is_told_as_of_the_tick_that_it_covers() {
    let (primary, shadow) = (Witness::start("primary", Manner::Echo), Witness::start("shadow", Manner::Echo));
    let bed =
        Bed::of(&primary, &shadow, MirrorSettings { interval: Span::from_millis(200), ..MirrorSettings::default() });
    let times = || {
        let reports = bed.reports.lock().expect("no panic");
        reports.iter().map(|report| report.samples[0].time.millis()).collect::<Vec<u64>>()
    };
    assert!(eventually(|| times().len() >= 3));
    assert!(times().iter().all(|time| time % 200 == 199), "{:?}", times());
}

#[test]
fn requests_that_might_be_mirrored_are_told_apart() {
    let (primary, shadow) = (Witness::start("primary", Manner::Echo), Witness::start("shadow", Manner::Echo));
    let told = || {
        let settings = MirrorSettings { interval: Span::from_secs(10), ..MirrorSettings::default() };
        let bed = Bed::of(&primary, &shadow, settings);
        bed.share(Audience::Shadow, 0.0);
        let mut client = Client::http1(bed.mirror.address());
        (0..6).for_each(|_| assert_eq!(client.get("/").witness(), "primary"));
        (0..4).for_each(|_| assert_eq!(client.ask("POST", "/buy", &[], "").witness(), "primary"));
        let Bed { mirror, reports, .. } = bed;
        mirror.finish();
        let reports = reports.lock().expect("no panic");
        reports.iter().flat_map(|report| report.samples.clone()).collect::<Vec<Sample>>()
    };
    // An interval may end while they are asked.
    let told = (0..3).map(|_| told()).find(|told| told.len() == 1).expect("one of three lies within an interval");
    let [mirrorable, all] =
        [told[0].mirrorable_per_second, told[0].requests_per_second].map(|rate| rate.expect("counted").get());
    assert!((mirrorable / all - 0.6).abs() < 1e-9, "{mirrorable} of {all}");
}

#[test]
fn a_shadow_that_nothing_is_mirrored_to_has_no_readings() {
    let (primary, shadow) = (Witness::start("primary", Manner::Echo), Witness::start("shadow", Manner::Echo));
    let bed = Bed::of(&primary, &shadow, MirrorSettings::default());
    bed.share(Audience::Shadow, 0.0);
    Client::http1(bed.mirror.address()).get("/");
    let Bed { mirror, reports, .. } = bed;
    mirror.finish();
    let roles: Vec<Role> =
        reports.lock().expect("no panic").iter().flat_map(|report| &report.samples).map(|sample| sample.role).collect();
    assert_eq!(roles, [Role::Primary]);
}

#[test]
fn every_request_has_one_fate() {
    let (primary, shadow) = (Witness::start("primary", Manner::Echo), Witness::start("shadow", Manner::Echo));
    let settings =
        MirrorSettings { body_bytes_max: 10, except: "GET /logout".parse().expect("a route"), ..with_search() };
    let bed = Bed::of(&primary, &shadow, settings);
    let mut client = Client::http1(bed.mirror.address());
    client.get("/");
    client.get("/logout");
    client.ask("GET", "/", &[("x-foreshadow-role", "shadow")], "");
    client.ask("POST", "/search", &[], "ten bytes.");
    client.ask("POST", "/search", &[], "more than ten bytes");
    bed.share(Audience::Shadow, 0.0);
    client.get("/");
    let fates = Counts { answered: 2, excluded: 1, marked: 1, too_large: 1, unsampled: 1, ..Counts::default() };
    assert!(bed.comes_to(|counts| *counts == fates));
    assert_eq!(primary.count(), 6);
    assert_eq!(shadow.count(), 2);
}

fn only(witness: &Witness) -> Seen {
    let mut seen = witness.seen();
    assert_eq!(seen.len(), 1);
    seen.pop().expect("one")
}

/// The one role that all copies are marked with.
fn only_role(seen: &[Seen]) -> Option<&str> {
    let role = seen.first()?.header("x-foreshadow-role");
    role.filter(|_| seen.iter().all(|of| of.header("x-foreshadow-role") == role))
}
