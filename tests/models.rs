//! Models that change under way: the same one answers at the same tick, whatever the order of arrival, the number of
//! workers and the snapshot that a run begins from; and what cannot serve changes nothing but the dead letters.

use std::collections::BTreeMap;

use dataflow::snapshot::Restore;
use dataflow::{Delivery, EngineSettings, OutputRecord, Rest, Start};
use end_to_end::by_hand::{self, Feed, Turns};
use end_to_end::fixtures::{name, pool, workload};
use end_to_end::unsteady::{STEP_S, artifact, champion, samples};
use forecast::lstm::input::INPUT_VERSION;
use schemas::{
    ARTIFACT_BYTES_MAX, Decision, EventTime, ForecastRecord, Model, Noun, Reject, RejectReason, Span, Topic,
};

/// A whole hour, in milliseconds: the first event time.
const START: EventTime = EventTime::from_millis(1_767_225_600_000);
const SECONDS: u64 = 800;
const WORKLOADS: u64 = 4;
const PARTITIONS: u64 = 2;

/// When the first champion comes, when the second takes its place, and when that is withdrawn, in seconds.
const FIRST_S: u64 = 60;
const SECOND_S: u64 = 400;
const WITHDRAWN_S: u64 = 600;

#[test]
fn every_order_and_number_of_workers_swaps_at_the_same_tick() {
    let (expected, _) = run(1, Turns::InTurn, story(), None);
    let names = |from: u64, until: u64| models_of(&expected, from, until);
    let [first, second] = [champion("first", 1.5, START), champion("second", 1.4, START)]
        .map(|model| format!("experts-2+{}", model.name()));
    let before = names(0, FIRST_S);
    assert!(before.len() == 1 && before.keys().all(|name| name.starts_with("experts-2+shipped@")), "{before:?}");
    // A forecast stands until its step ends, so the one before still answers for a step.
    let served = names(FIRST_S + STEP_S, SECOND_S);
    assert!(served.len() == 1 && served[&first] > 100, "{first} serves: {served:?}");
    let served = names(SECOND_S + STEP_S, WITHDRAWN_S);
    assert!(served.len() == 1 && served[&second] > 100, "{second} serves: {served:?}");
    let served = names(WITHDRAWN_S + STEP_S, SECONDS);
    assert!(served.len() == 1 && served[&first] > 100, "{first} serves again: {served:?}");
    let decided = of(&expected, Topic::Decisions).map(|record| Decision::from_json(&record.value).expect("a decision"));
    let named = decided.flat_map(|decision| decision.evidence.resources).filter_map(|resource| resource.expert);
    assert!(named.filter(|expert| expert.ends_with(&first)).count() > 0, "a decision names its model");

    for workers in [1, 2, 4] {
        for turns in [Turns::InTurn, Turns::OneByOne] {
            let (found, _) = run(workers, turns, story(), None);
            assert_same(&found, expected.iter(), &format!("{workers} workers, {turns:?}"));
        }
    }
}

#[test]
fn a_snapshot_goes_on_with_the_model_that_served() {
    let (whole, snapshots) = run(2, Turns::InTurn, story(), None);
    assert!(snapshots.len() > 10, "a scenario with snapshots: {}", snapshots.len());
    for restore in snapshots.into_iter().skip(1).step_by(6) {
        let at = restore.at();
        let expected = || whole.iter().filter(|record| record.tick >= at.millis());
        for workers in [1, 4] {
            let (found, _) = run(workers, Turns::InTurn, story(), Some(restore.clone()));
            assert_same(&found, expected(), &format!("{workers} workers from {at}"));
            // As after a long while: the log has let go of the older records, and the snapshot alone knows who serves.
            let later =
                story().into_iter().filter(|delivery| delivery.topic != Topic::Models || counts(delivery) >= at);
            let (found, _) = run(workers, Turns::InTurn, later.collect(), Some(restore.clone()));
            assert_same(&found, expected(), &format!("{workers} workers from {at}, by the snapshot alone"));
        }
    }
}

#[test]
fn what_cannot_serve_is_refused_and_the_champion_stays() {
    let good = || story().into_iter().filter(|delivery| delivery.topic != Topic::Models).chain([first()]).collect();
    let (expected, _) = run(1, Turns::InTurn, good(), None);
    let time = START.plus(500_000);
    let record = champion("bad", 3.0, time);
    let carrying = |artifact: &[u8]| {
        let mut record = record.clone();
        record.carry(artifact).expect("it is small enough");
        record
    };
    let sound = artifact(3.0, INPUT_VERSION);
    let mut turned = sound.clone();
    *turned.last_mut().expect("it has bytes") ^= 1;
    let mut large = carrying(&sound);
    large.artifact_base64 = Some("A".repeat(ARTIFACT_BYTES_MAX * 2));
    let mut other_hash = carrying(&turned);
    other_hash.sha256 = carrying(&sound).sha256;
    let bad = [
        (other_hash.to_json(), RejectReason::Artifact, "SHA-256"),
        (carrying(&sound[..sound.len() - 1]).to_json(), RejectReason::Artifact, "not a whole safetensors file"),
        (carrying(&artifact(3.0, INPUT_VERSION + 1)).to_json(), RejectReason::Artifact, "retrain it"),
        (large.to_json(), RejectReason::TooLarge, "at most 524288"),
        (Model { artifact_base64: None, ..record.clone() }.to_json(), RejectReason::Artifact, "carries no artifact"),
        (replaced(&record, "\"version\":1", "\"version\":2"), RejectReason::UnknownVersion, "unknown version 2"),
        (b"no record".to_vec(), RejectReason::Schema, "not a record"),
    ];
    let deliveries =
        good().into_iter().chain(bad.iter().map(|(value, ..)| delivery(Topic::Models, "bad", value.clone())));
    let (mut found, _) = run(1, Turns::InTurn, deliveries.collect(), None);
    let about_models = |record: &OutputRecord| {
        let reject =
            (record.noun == Topic::Rejects.noun()).then(|| Reject::from_json(&record.value).expect("a reject"));
        reject.filter(|reject| reject.topic == Topic::Models.name())
    };
    let rejects: Vec<_> = found.iter().filter_map(about_models).collect();
    assert_eq!(rejects.len(), bad.len(), "{rejects:?}");
    for (_, reason, detail) in &bad {
        let told = |reject: &&Reject| reject.reason == *reason && reject.detail.contains(detail);
        assert!(rejects.iter().any(|reject| told(&reject)), "{reason:?}: {detail} in {rejects:#?}");
    }
    found.retain(|record| about_models(record).is_none());
    assert_same(&found, expected.iter(), "beside the dead letters");
}

#[test]
fn without_the_global_model_the_cheap_experts_answer_alone() {
    let settings = EngineSettings { lstm: false, ..settings(1) };
    let feed = Feed { control: story(), partitions: partitions() };
    let (found, _) = by_hand::run(&settings, feed, Turns::InTurn, 1, Start::default());
    let names = models_of(&found, 0, SECONDS);
    assert!(names.len() == 1 && names["experts-2"] > 100, "{names:?}");
}

fn settings(workers: usize) -> EngineSettings {
    EngineSettings {
        workers,
        step: Span::from_secs(STEP_S),
        horizon_prior: Span::from_secs(4),
        dwell: Span::from_secs(4),
        floor_window: Span::from_secs(10),
        forecasts_every: Span::from_secs(STEP_S),
        features_every: Span::from_secs(60),
        // Fewer than lie between two snapshots: no stage passes two of them at once and leaves one out.
        ticks_in_flight_max: 16,
        ..EngineSettings::default()
    }
}

fn run(
    workers: usize,
    turns: Turns,
    control: Vec<Delivery>,
    restore: Option<Restore>,
) -> (Vec<OutputRecord>, Vec<Restore>) {
    let feed = Feed { control, partitions: partitions() };
    // One partition after the other needs all ticks open at once.
    let ticks = if turns == Turns::OneByOne { 10_000 } else { 16 };
    let settings = EngineSettings { ticks_in_flight_max: ticks, ..settings(workers) };
    by_hand::run(&settings, feed, turns, workers, Start { restore, ..Start::default() })
}

/// The control plane's records: who runs, who pays, and two champions, the second of which is withdrawn.
fn story() -> Vec<Delivery> {
    let mut records = vec![delivery(Topic::Pools, "main", pool(START, 40.0).to_json())];
    records.extend((0..WORKLOADS).map(|number| {
        let record = workload(number, START).to_json();
        delivery(Topic::Workloads, name(number).as_str(), record)
    }));
    let second = champion("second", 1.4, START.plus(SECOND_S * 1_000));
    let withdrawn = Delivery {
        value: None,
        offset: 2,
        time: START.plus(WITHDRAWN_S * 1_000),
        ..delivery(Topic::Models, "second", Vec::new())
    };
    records.extend([first(), Delivery { offset: 1, ..delivery(Topic::Models, "second", second.to_json()) }, withdrawn]);
    records
}

fn first() -> Delivery {
    delivery(Topic::Models, "first", champion("first", 1.5, START.plus(FIRST_S * 1_000)).to_json())
}

/// From when on a record of the registry counts.
fn counts(delivery: &Delivery) -> EventTime {
    delivery.value.as_ref().map_or(delivery.time, |value| Model::from_json(value).expect("a record").time)
}

fn partitions() -> Vec<Vec<Delivery>> {
    let of = |partition: u64| {
        let own = (0..WORKLOADS).filter(move |number| number % PARTITIONS == partition);
        let batch = |second| own.clone().flat_map(|number| samples(number, START, second)).collect::<Vec<_>>();
        let value = |second| schemas::batch::encode(&batch(second));
        let partition = i32::try_from(partition).expect("few partitions");
        (0..SECONDS).map(|second| Delivery { partition, ..delivery(Topic::Samples, "agent", value(second)) }).collect()
    };
    (0..PARTITIONS).map(of).collect()
}

fn delivery(topic: Topic, key: &str, value: Vec<u8>) -> Delivery {
    Delivery {
        topic,
        partition: 0,
        offset: 0,
        time: START.plus(SECONDS * 1_000),
        key: key.to_owned(),
        content_type: None,
        value: Some(value),
        counts_from: None,
        settled: false,
        rest: Rest::Free,
    }
}

fn of(records: &[OutputRecord], topic: Topic) -> impl Iterator<Item = &OutputRecord> {
    records.iter().filter(move |record| record.noun == topic.noun())
}

/// The versions that forecasts name between two seconds, and how often.
fn models_of(records: &[OutputRecord], from: u64, until: u64) -> BTreeMap<String, usize> {
    let between = START.plus(from * 1_000).millis()..START.plus(until * 1_000).millis();
    let mut names = BTreeMap::new();
    for record in of(records, Topic::Forecasts).filter(|record| between.contains(&record.tick)) {
        let forecast = ForecastRecord::from_json(&record.value).expect("a forecast");
        *names.entry(forecast.model_version).or_default() += 1;
    }
    names
}

fn assert_same<'a>(found: &[OutputRecord], expected: impl Iterator<Item = &'a OutputRecord>, of: &str) {
    let expected: Vec<_> = expected.collect();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(&found, expected, "{of}");
    }
    assert_eq!(found.len(), expected.len(), "{of}");
}

/// A record's JSON with a part of it replaced.
fn replaced(record: &Model, old: &str, new: &str) -> Vec<u8> {
    let text = String::from_utf8(record.to_json()).expect("JSON is UTF-8");
    assert!(text.contains(old), "{old} is part of it");
    text.replacen(old, new, 1).into_bytes()
}
