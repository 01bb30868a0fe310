//! What a tap prints: which records, as lines and as objects.

use schemas::{Cores, EventTime, Progress, Sample, SourceId, WorkloadId};
use serde_json::Value;
use topics::{Delivery, Embedded, EmbeddedSettings, Outgoing};

use super::*;

fn tap(topic: Topic) -> Tap {
    Tap { topic, from: None, key: None, count: None, json: false }
}

/// What is printed of a log that holds these records.
fn printed(tap: &Tap, records: &[Outgoing]) -> String {
    let log = Embedded::in_memory(EmbeddedSettings::default());
    log.ensure(&[tap.topic], 1).expect("a new topic");
    log.writer(Delivery::Idempotent).expect("a writer").append(records).expect("room");
    let stop = Stop::default();
    let reader = reader(&log, tap.topic, Start::Earliest, true, &stop).expect("a log in memory");
    let mut out = Vec::new();
    tap.print(reader.expect("not stopped").as_mut(), true, &stop, &mut out).expect("a vector takes all");
    String::from_utf8(out).expect("text")
}

fn progress(group: &str, second: u64) -> Outgoing {
    let frontier = EventTime::from_millis(second * 1000);
    Outgoing::of(&Progress { group: group.to_owned(), frontier, sequence: second, ..Progress::default() })
}

#[test]
fn keys_and_counts_choose_records() {
    let records = [progress("a", 1), progress("b", 2), progress("a", 3), progress("a", 4)];
    let tap = Tap { key: Some("a".to_owned()), count: Some(2), ..tap(Topic::Progress) };
    let expected = "\
1970-01-01T00:00:01.000Z  a                     published up to 1970-01-01T00:00:01.000Z, commit 1
1970-01-01T00:00:03.000Z  a                     published up to 1970-01-01T00:00:03.000Z, commit 3
";
    assert_eq!(printed(&tap, &records), expected);
}

#[test]
fn every_noun_has_a_line() {
    let golden = [
        (Topic::Workloads, include_str!("../../../../../schemas/golden/workloads.v1.json")),
        (Topic::Pools, include_str!("../../../../../schemas/golden/pools.v1.json")),
        (Topic::Features, include_str!("../../../../../schemas/golden/features.v1.json")),
        (Topic::Forecasts, include_str!("../../../../../schemas/golden/forecasts.v1.json")),
        (Topic::Anomalies, include_str!("../../../../../schemas/golden/anomalies.v1.json")),
        (Topic::Decisions, include_str!("../../../../../schemas/golden/decisions.v1.json")),
        (Topic::Outcomes, include_str!("../../../../../schemas/golden/outcomes.v1.json")),
        (Topic::Models, include_str!("../../../../../schemas/golden/models.v1.json")),
        (Topic::Rejects, include_str!("../../../../../schemas/golden/rejects.v1.json")),
        (Topic::Progress, include_str!("../../../../../schemas/golden/progress.v1.json")),
        (Topic::Samples, include_str!("../../../../../schemas/golden/samples.v1.json")),
    ];
    let mut lines = String::new();
    for (topic, json) in golden {
        let record = Outgoing {
            topic,
            time: EventTime::from_millis(1_772_443_800_000),
            key: topic.noun().as_bytes().to_vec(),
            value: Some(json.as_bytes().to_vec()),
            headers: Vec::new(),
        };
        lines += &printed(&tap(topic), &[record]);
    }
    assert_eq!(lines, include_str!("tests/lines.txt"), "\n{lines}");
}

#[test]
fn a_batch_is_a_line_a_sample_and_what_was_not_read_is_left_out() {
    let time = EventTime::from_millis(5_000);
    let used =
        Sample { cpu_used_cores: Some(Cores::new(0.5)), ..Sample::new(time, WorkloadId::new("web").expect("a name")) };
    let unread = Sample::new(time, WorkloadId::new("db").expect("a name"));
    let batch = Outgoing::samples(&SourceId::new("agent").expect("a name"), time, &[used, unread]);
    let expected = "\
1970-01-01T00:00:05.000Z  agent                 web primary web: cpu 0.50 cores
1970-01-01T00:00:05.000Z  agent                 db primary db: no readings
";
    assert_eq!(printed(&tap(Topic::Samples), std::slice::from_ref(&batch)), expected);
    let object = objects(Topic::Samples, &[batch]).remove(0);
    assert_eq!(object["value"][0]["cpu_used_cores"], 0.5);
    assert_eq!(object["headers"]["foreshadow.rows"], "2");
}

fn objects(topic: Topic, records: &[Outgoing]) -> Vec<Value> {
    let printed = printed(&Tap { json: true, ..tap(topic) }, records);
    printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn programs_get_the_records_place_and_value() {
    let tombstone = Outgoing::tombstone::<Progress>("a", EventTime::from_millis(2_000));
    let mut broken = progress("a", 3);
    broken.value = Some(b"{}".to_vec());
    let objects = objects(Topic::Progress, &[progress("a", 1), tombstone, broken]);
    let expected = serde_json::json!({
        "topic": "foreshadow.progress.v1", "partition": 0, "offset": 0, "time": "1970-01-01T00:00:01.000Z", "key": "a",
        "headers": {"content-type": "application/json"},
        "value": {"version": 1, "group": "a", "frontier": 1000, "sequence": 1},
    });
    assert_eq!(objects[0], expected);
    assert_eq!(objects[1].get("value"), Some(&Value::Null), "a tombstone's value is there, and null");
    // Base64 of the two bytes of an empty object.
    assert_eq!((&objects[2]["value_base64"], objects[2].get("value")), (&Value::from("e30="), None));
    assert!(objects[2]["fault"].as_str().expect("text").contains("missing field"), "{}", objects[2]);
}

#[test]
fn rows_that_cannot_be_read_are_told_beside_those_that_can() {
    let record = Outgoing {
        topic: Topic::Samples,
        time: EventTime::from_millis(5_000),
        key: b"agent".to_vec(),
        value: Some(br#"[{"workload":"web"},{"workload":"web","cpu_used_cores":-1}]"#.to_vec()),
        headers: Vec::new(),
    };
    let lines = printed(&tap(Topic::Samples), std::slice::from_ref(&record));
    assert!(lines.contains("web primary web: no readings\n"), "{lines}");
    assert!(lines.contains("cannot be read: row 1: cpu_used_cores is -1"), "{lines}");
    assert_eq!(objects(Topic::Samples, &[record])[0]["faults"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_stopped_tap_ends() {
    let log = Embedded::in_memory(EmbeddedSettings::default());
    let stop = Stop::default();
    stop.request();
    let none = reader(&log, Topic::Samples, Start::Latest, false, &stop).expect("it waits for the topic");
    assert!(none.is_none());
    log.ensure(&[Topic::Samples], 1).expect("a new topic");
    let mut reader = reader(&log, Topic::Samples, Start::Latest, false, &stop).expect("a topic").expect("a reader");
    tap(Topic::Samples).print(reader.as_mut(), false, &stop, &mut Vec::new()).expect("nothing is printed");
}

#[test]
fn topics_go_by_either_name() {
    assert_eq!(topic("decisions"), Ok(Topic::Decisions));
    assert_eq!(topic("foreshadow.decisions.v1"), Ok(Topic::Decisions));
    assert_eq!(topic("staging.foreshadow.decisions.v1"), Ok(Topic::Decisions), "in a namespace");
    assert!(topic("decision").expect_err("no topic").contains("samples, workloads, pools"));
}
