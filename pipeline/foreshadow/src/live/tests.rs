//! Which rows a log gives: bounds, keys, faults.

use arrow::array::AsArray;
use arrow::datatypes::TimestampMillisecondType;
use schemas::{Anomaly, Noun, Progress, Sample, SourceId, WorkloadId};
use topics::{Delivery, Embedded, EmbeddedSettings, Outgoing};

use super::*;

fn log(topics: &[Topic], records: &[Outgoing]) -> Arc<dyn Log> {
    let log = Embedded::in_memory(EmbeddedSettings::default());
    log.ensure(topics, 2).expect("new topics");
    log.writer(Delivery::Idempotent).expect("a writer").append(records).expect("room");
    Arc::new(log)
}

fn live(log: &Arc<dyn Log>) -> Live {
    Live::new(Arc::clone(log), &EngineSettings::default(), 1 << 30)
}

fn at(second: u64) -> EventTime {
    EventTime::from_millis(second * 1000)
}

/// A batch of one agent: a sample each second, sent with the last one.
fn samples(seconds: std::ops::Range<u64>) -> Outgoing {
    let sent = at(seconds.end - 1);
    let samples: Vec<Sample> =
        seconds.map(|second| Sample::new(at(second), WorkloadId::new("web").expect("a name"))).collect();
    Outgoing::samples(&SourceId::new("agent").expect("a name"), sent, &samples)
}

fn progress(group: &str, second: u64) -> Outgoing {
    Outgoing::of(&Progress { group: group.to_owned(), frontier: at(second), sequence: second, ..Progress::default() })
}

/// The first column's times, in seconds, of all rows.
fn seconds(live: &Live, topic: Topic, bounds: &Bounds) -> Vec<i64> {
    let batches = live.read(topic, bounds).expect("a log in memory");
    let times = batches.iter().flat_map(|batch| {
        batch.column(0).as_primitive::<TimestampMillisecondType>().values().iter().map(|millis| millis / 1000)
    });
    times.collect()
}

#[test]
fn a_topic_that_does_not_exist_yet_is_empty() {
    let log = log(&[], &[]);
    assert!(live(&log).read(Topic::Samples, &Bounds::default()).expect("no error").is_empty());
}

#[test]
fn a_read_takes_what_can_hold_rows_within_the_bounds() {
    // Batches of ten seconds, sent at seconds 9, 19, … 59.
    let records: Vec<_> = (0..6).map(|ten| samples(ten * 10..ten * 10 + 10)).collect();
    let log = log(&[Topic::Samples], &records);
    let mut live = live(&log);
    assert_eq!(seconds(&live, Topic::Samples, &Bounds::default()), (0..60).collect::<Vec<_>>());
    // Rows from second 35 on lie in the batch that was sent at 39; one sent at 29 may hold them too, since a sample may
    // be 10 s ahead of its record.
    let from = Bounds { from: Some(at(35)), ..Bounds::default() };
    assert_eq!(seconds(&live, Topic::Samples, &from).first(), Some(&20));
    // The batch of second 15 was sent at 19, after the end at 16; samples may be that late.
    let to = Bounds { to: Some(at(16)), ..Bounds::default() };
    assert!(seconds(&live, Topic::Samples, &to).contains(&15));
    live.sample_behind_ms = 5_000;
    assert_eq!(seconds(&live, Topic::Samples, &to).last(), Some(&19), "the record of 29 is past 16 + 5");
    let newest = Bounds { records_max: Some(1), ..Bounds::default() };
    assert_eq!(seconds(&live, Topic::Samples, &newest), (50..60).collect::<Vec<_>>());
}

#[test]
fn a_compacted_topic_gives_the_newest_of_each_key() {
    let gone = Outgoing::tombstone::<Progress>("gone", at(4));
    let records = [progress("gone", 1), progress("kept", 2), progress("kept", 3), gone];
    let log = log(&[Topic::Progress], &records);
    assert_eq!(seconds(&live(&log), Topic::Progress, &Bounds::default()), [3]);
}

#[test]
fn an_older_record_does_not_stand_in_for_one_that_cannot_be_read() {
    let mut broken = progress("kept", 3);
    broken.value = Some(b"{".to_vec());
    let log = log(&[Topic::Progress], &[progress("kept", 2), broken]);
    assert!(seconds(&live(&log), Topic::Progress, &Bounds::default()).is_empty());
}

#[test]
fn faults_cost_their_own_row_and_are_counted() {
    let mut broken = samples(5..6);
    broken.value = Some(br#"[{"time":1,"workload":"web"},{"time":2}]"#.to_vec());
    broken.headers.clear();
    let mut empty = samples(6..7);
    empty.value = None;
    let records: Vec<Record> = [samples(0..3), broken, empty].map(record).into();
    let mut rows = Rows { topic: Topic::Samples, batches: Vec::new(), bytes: 0, bytes_max: usize::MAX, undecodable: 0 };
    rows.add(&records).expect("no bound");
    // Three of the batch and the first of the array; its second row names no workload, and a tombstone is no sample.
    assert_eq!((rows.batches[0].num_rows(), rows.undecodable), (4, 2));
}

#[test]
fn rows_beyond_memory_are_an_error_that_names_the_mend() {
    let log = log(&[Topic::Samples], &[samples(0..1000)]);
    let mut live = live(&log);
    live.bytes_max = 10_000;
    // A thousand rows hold twenty columns of eight bytes each.
    let error = live.read(Topic::Samples, &Bounds::default()).expect_err("160 000 bytes").to_string();
    assert!(error.contains("more than 10000 bytes") && error.contains("--since"), "{error}");
}

#[test]
fn a_detail_topic_is_measured_before_it_is_cut() {
    let record = samples(0..10);
    let bytes = record.value.as_ref().expect("a batch").len();
    let log = log(&[Topic::Samples, Topic::Anomalies], &[record.clone(), record]);
    let extent = Extent::of(log.as_ref(), Topic::Samples, Start::Earliest).expect("a log in memory").expect("a topic");
    let records = detail_records(log.as_ref(), &extent).expect("a log in memory");
    assert_eq!(records, Some(DETAIL_BYTES_MAX / bytes));
    assert!(is_detail(Topic::Samples) && !is_detail(Anomaly::TOPIC));
    let empty = extent.tail(0);
    assert_eq!(detail_records(log.as_ref(), &empty).expect("a log in memory"), None);
}

fn record(outgoing: Outgoing) -> Record {
    let Outgoing { topic, time, key, value, headers } = outgoing;
    Record { topic, partition: 0, offset: 0, time, key: Some(key), value, headers }
}
