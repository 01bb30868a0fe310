//! A champion that is published while the pipeline runs, against a real broker: forecasts name it from the tick on that its
//! record names, a damaged one becomes a dead letter, an older one published again takes its place back, and an engine that
//! reads the log once more says the same, byte for byte.

#![allow(clippy::disallowed_methods, reason = "an edge test: it waits for real processes on the machine's clock")]

use std::thread;
use std::time::Duration;

use dataflow::EngineSettings;
use end_to_end::binary::{Process, foreshadow};
use end_to_end::broker;
use end_to_end::fixtures::{now, pool, workload};
use end_to_end::unsteady::{STEP_S, champion, samples};
use end_to_end::verdict::{assert_replayed, end, forecasters, wait_for};
use schemas::{EventTime, Model, Noun, Reject, RejectReason, SourceId, Span, Topic};
use topics::{Delivery, Kafka, KafkaSettings, Log, Outgoing, Start, Writer, read_all};

const WORKLOADS: u64 = 4;
/// Seconds of event time: under the shipped champion, under the first, under the second, and under the first again.
const SECONDS: u64 = 600;
const FIRST_S: u64 = 60;
const SECOND_S: u64 = 300;
const ROLLED_BACK_S: u64 = 450;
/// Seconds of event time that are written at once, and the rest after them: a minute of event time a second.
const CHUNK_S: u64 = 10;
const CHUNK_PAUSE: Duration = Duration::from_millis(166);
/// How far ahead of its tick a champion is published.
const AHEAD_S: u64 = 20;

#[test]
fn a_promotion_and_its_rollback_are_seen_in_forecasts_and_replayed() {
    let broker = broker::shared();
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let namespace = format!("promotion-{}.", std::process::id());
    let settings = folder.path().join("settings.toml");
    let text = format!(
        "partitions = 2\n[kafka]\nbrokers = \"{}\"\nnamespace = \"{namespace}\"\n[engine]\nstep = \"{STEP_S}s\"\n\
         horizon_prior = \"4s\"\ndwell = \"4s\"\nforecasts_every = \"{STEP_S}s\"\nfeatures_every = \"60s\"\n",
        broker.brokers()
    );
    std::fs::write(&settings, text).expect("the folder can be written");
    let mut command = foreshadow();
    command.arg("--settings").arg(&settings).args(["run", "--workers=2"]);
    let mut run = Process::start(command, &folder.path().join("run.log"));
    let kafka = KafkaSettings { brokers: broker.brokers(), namespace, ..KafkaSettings::default() };
    let log = Kafka::connect(kafka).expect("the broker serves");
    log.ensure(Topic::ALL, 2).expect("topics can be made");

    let begin = now().minus(SECONDS * 1_000).tick(60_000);
    let models = live(&log, begin);
    wait_for(&log, begin.plus((SECONDS - 10) * 1_000), &run);
    let published = end(&log, &mut run);
    let engine = EngineSettings {
        step: Span::from_secs(STEP_S),
        horizon_prior: Span::from_secs(4),
        dwell: Span::from_secs(4),
        forecasts_every: Span::from_secs(STEP_S),
        features_every: Span::from_secs(60),
        ..EngineSettings::default()
    };
    assert_replayed(&log, &engine, &published);

    let [first, second] = models.map(|model| format!("experts-2+{}", model.name()));
    for (from, until, name) in [
        (FIRST_S + STEP_S, SECOND_S, &first),
        (SECOND_S + STEP_S, ROLLED_BACK_S, &second),
        (ROLLED_BACK_S + STEP_S, SECONDS - 20, &first),
    ] {
        let found = forecasters(&log, begin.plus(from * 1_000), begin.plus(until * 1_000));
        assert!(
            found.len() > 20 && found.iter().all(|model| model == name),
            "{name} serves from {from} s on: {found:?}"
        );
    }
    let rejects = read_all(&log, Topic::Rejects, Start::Earliest).expect("the broker serves").into_iter();
    let rejects = rejects.map(|record| Reject::from_json(&record.value.expect("a value")).expect("a reject"));
    let damaged: Vec<_> = rejects.filter(|reject| reject.reason == RejectReason::Artifact).collect();
    assert!(damaged.len() == 1 && damaged[0].detail.contains("it was damaged"), "{damaged:?}");
}

/// Lets the workloads live, and publishes champions on the way: the first, a damaged one, the second, the first again.
fn live(log: &dyn Log, begin: EventTime) -> [Model; 2] {
    let mut writer = log.writer(Delivery::Idempotent).expect("the broker serves");
    let mut records = vec![Outgoing::of(&pool(begin, 40.0))];
    records.extend((0..WORKLOADS).map(|number| Outgoing::of(&workload(number, begin))));
    writer.append(&records).expect("the broker serves");
    let at = |second: u64| begin.plus(second * 1_000);
    let models = [champion("first", 1.5, at(FIRST_S)), champion("second", 1.4, at(SECOND_S))];
    let mut damaged = Model { time: at(SECOND_S - 100), ..models[1].clone() };
    damaged.sha256 = schemas::sha256(b"another artifact");
    let again = Model { time: at(ROLLED_BACK_S), ..models[0].clone() };
    let mut publications = vec![
        (FIRST_S, Outgoing::of(&models[0])),
        (SECOND_S - 100, Outgoing::of(&damaged)),
        (SECOND_S, Outgoing::of(&models[1])),
        (ROLLED_BACK_S, Outgoing::of(&again)),
    ];
    for second in (0..SECONDS).step_by(CHUNK_S as usize) {
        let due = publications.iter().take_while(|(counts, _)| *counts <= second + AHEAD_S).count();
        let records: Vec<_> = publications.drain(..due).map(|(_, record)| record).collect();
        if !records.is_empty() {
            writer.append(&records).expect("the broker serves");
        }
        write_samples(writer.as_mut(), begin, second);
        thread::sleep(CHUNK_PAUSE);
    }
    models
}

fn write_samples(writer: &mut dyn Writer, begin: EventTime, second: u64) {
    let chunk = second..second + CHUNK_S;
    // Two sources, so that both partitions are in use.
    let of = |source: u64| {
        let own = (0..WORKLOADS).filter(move |number| number % 2 == source);
        let samples: Vec<_> = chunk
            .clone()
            .flat_map(|second| own.clone().flat_map(move |number| samples(number, begin, second)))
            .collect();
        let source = SourceId::new(&format!("agent-{source}")).expect("a name");
        Outgoing::samples(&source, begin.plus((second + CHUNK_S) * 1_000), &samples)
    };
    writer.append(&[of(0), of(1)]).expect("the broker serves");
}
