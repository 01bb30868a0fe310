//! The verdict on a pipeline, after whatever its test has done to it.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use dataflow::{EngineSettings, OutputRecord};
use schemas::{EventTime, ForecastRecord, Noun, Progress, Topic};
use topics::{Delivery, Log, Outgoing, Start, read_all};

use crate::binary::Process;
use crate::replay::{INPUTS, OUTPUTS, Published, replay};
use crate::town::Town;

/// The group that a pipeline has by default.
const GROUP: &str = "main";
/// How far behind the samples the outputs may end, in event time: the samples' lateness, and what no later sample closes.
const BEHIND_MS: u64 = 60_000;
/// Longest wait for the outputs; a replay of everything takes a few seconds.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Between two looks at how far they are.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for the pipeline's end.
const END_MAX: Duration = Duration::from_secs(10);

/// Waits until the pipeline of [`GROUP`] has caught up with its town, ends it, and judges what is on the log: everything that
/// the town was told is written, once; and in every output topic what an engine says that reads the whole log in one
/// go and never fails, byte for byte.
///
/// # Panics
/// When it is otherwise, or the scenario is one in which little happens.
pub fn judge(log: &dyn Log, run: &mut Process, town: &Town) {
    wait_for(log, town.now().minus(BEHIND_MS), run);
    let published = end(log, run);
    let published = Published { decisions: town.reminded(&published.decisions), ..published };
    for topic in INPUTS {
        let acknowledged = town.acknowledged().iter().filter(|record| record.topic == topic);
        assert_holds(log, topic, acknowledged.map(written));
    }
    let expected = assert_replayed(log, &EngineSettings::default(), &published);
    let decisions = expected.iter().filter(|record| record.noun == Topic::Decisions.noun()).count();
    assert!(decisions >= 10, "a scenario with decisions: {decisions}");
    let answered = town.answered();
    assert!(answered > 5, "a scenario with outcomes: {answered}");
}

/// Ends the pipeline of [`GROUP`], and waits until all that it has published can be read.
///
/// # Panics
/// When it does not end, or has published nothing.
pub fn end(log: &dyn Log, run: &mut Process) -> Published {
    assert!(run.terminate(END_MAX), "it ends when it is asked to:\n{}", run.told());
    for group in [GROUP, &Progress::of_features(GROUP)] {
        // Whoever takes over waits until the last transaction can be seen in every topic.
        drop(log.writer(Delivery::Transactional { id: format!("foreshadow-{group}") }).expect("the broker serves"));
    }
    Published::of(log, GROUP).expect("it was waited for")
}

/// Compares every output topic with what an engine says that reads the whole log in one go, which is given back.
///
/// # Panics
/// At the first difference.
pub fn assert_replayed(log: &dyn Log, settings: &EngineSettings, published: &Published) -> Vec<OutputRecord> {
    let expected = replay(log, settings, published);
    for topic in OUTPUTS {
        assert_holds(log, topic, expected.iter().filter(|record| record.noun == topic.noun()).map(said));
    }
    expected
}

/// Waits until the outputs of the pipeline of [`GROUP`] reach an event time.
///
/// # Panics
/// When they do not.
pub fn wait_for(log: &dyn Log, frontier: EventTime, run: &Process) {
    let begun = Instant::now();
    while Published::of(log, GROUP).is_none_or(|found| found.frontier() < frontier) {
        assert!(begun.elapsed() < WAIT_MAX, "the outputs do not reach {frontier}:\n{}", run.told());
        thread::sleep(PAUSE);
    }
}

/// The versions of those who made the forecasts between two times.
///
/// # Panics
/// When the log cannot be read.
pub fn forecasters(log: &dyn Log, from: EventTime, until: EventTime) -> Vec<String> {
    let records = read_all(log, Topic::Forecasts, Start::Earliest).expect("the broker serves").into_iter();
    let forecasts =
        records.map(|record| ForecastRecord::from_json(&record.value.expect("a value")).expect("a forecast"));
    let between = forecasts.filter(|forecast| (from..until).contains(&forecast.time));
    between.map(|forecast| forecast.model_version).collect()
}

/// A record's key, time in milliseconds and value.
type Keyed = (String, u64, Vec<u8>);

fn written(record: &Outgoing) -> Keyed {
    let key = String::from_utf8(record.key.clone()).expect("a name");
    (key, record.time.millis(), record.value.clone().expect("no tombstone"))
}

fn said(record: &OutputRecord) -> Keyed {
    (record.key.clone(), record.tick, record.value.clone())
}

/// Compares a topic with what it has to hold: each record once, those of a key in their order.
fn assert_holds(log: &dyn Log, topic: Topic, expected: impl Iterator<Item = Keyed>) {
    let expected = by_key(expected);
    let found = read_all(log, topic, Start::Earliest).expect("the topic can be read").into_iter();
    let found =
        by_key(found.map(|record| (record.source(), record.time.millis(), record.value.expect("no tombstone"))));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{}", topic.noun());
    for (key, expected) in &expected {
        assert_same(topic, key, &found[key], expected);
    }
}

/// A key's records in their order: time and value.
type ByKey = BTreeMap<String, Vec<(u64, Vec<u8>)>>;

fn by_key(records: impl Iterator<Item = Keyed>) -> ByKey {
    let mut keyed = ByKey::new();
    records.for_each(|(key, time, value)| keyed.entry(key).or_default().push((time, value)));
    keyed
}

fn assert_same(topic: Topic, key: &str, found: &[(u64, Vec<u8>)], expected: &[(u64, Vec<u8>)]) {
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let text = |value: &(u64, Vec<u8>)| format!("{} {}", value.0, String::from_utf8_lossy(&value.1));
        assert_eq!(text(found), text(expected), "record {index} of {} for {key}", topic.noun());
    }
    assert_eq!(found.len(), expected.len(), "{} for {key}: a gap or a duplicate", topic.noun());
}
