//! One face, several logs: the same cases against the embedded log in memory and on disk and against a real broker,
//! then what only some of them can have: reopening, refusals, and crashes in a file of their own.

#![allow(clippy::disallowed_methods, reason = "an edge: it waits for real brokers and kills real processes")]

#[path = "topics/crashes.rs"]
mod crashes;
#[path = "topics/fixture.rs"]
mod fixture;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use dataflow::EngineSettings;
use end_to_end::broker;
use fixture::{POLLS_MAX, SOON};
use fixture::{append_again, disk, drain, kafka, memory, namespace_of, now, outgoing, read_count, read_until, values};
use schemas::{Progress, Span, Topic};
use topics::{
    Action, Consumer, Delivery, Embedded, EmbeddedSettings, Error, Kafka, KafkaSettings, Log, Outgoing, Producer,
    RECORD_BYTES_MAX, Record, Start, latest, partition_of, read_all,
};
use wire::{Parts, Pipeline, Stop};

const PARTITIONS: u32 = 4;

macro_rules! on_every_log {
    ($($case:ident),* $(,)?) => {
        mod in_memory {
            $(#[test] fn $case() { super::$case(&super::memory()); })*
        }
        mod on_disk {
            $(#[test] fn $case() {
                let folder = tempfile::tempdir().expect("a folder");
                super::$case(&super::disk(folder.path()));
            })*
        }
        mod on_kafka {
            $(#[test] fn $case() { super::$case(&super::kafka(stringify!($case))); })*
        }
    };
}

on_every_log! {
    a_key_keeps_its_order_on_the_partition_of_its_hash,
    everything_of_a_record_comes_back,
    readers_start_where_they_are_told,
    the_newest_of_each_key_is_left_and_tombstones_remove,
    a_paused_partition_waits_and_goes_on_where_it_was,
    a_reader_catches_up_over_the_marks_of_transactions,
    an_append_that_fails_leaves_nothing_in_any_topic,
    an_append_over_several_topics_is_seen_in_all_of_them,
    a_newer_writer_takes_the_id_over,
    what_does_not_exist_is_named,
    ensure_leaves_what_exists,
    what_several_make_at_once_can_be_used_by_each,
    a_consumer_follows_and_shows_what_it_cannot_read,
}

fn a_key_keeps_its_order_on_the_partition_of_its_hash(log: &dyn Log) {
    log.ensure(&[Topic::Samples], PARTITIONS).expect("a topic");
    let keys: Vec<Vec<u8>> =
        (0..20).map(|i| format!("source-{i}").into_bytes()).chain([vec![], vec![0xff, 0]]).collect();
    let mut writer = log.writer(Delivery::Idempotent).expect("a writer");
    for round in 0u8..10 {
        let records: Vec<_> = keys.iter().map(|key| outgoing(Topic::Samples, key, &[round])).collect();
        writer.append(&records).expect("an append");
    }
    let mut rounds: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for record in read_all(log, Topic::Samples, Start::Earliest).expect("the records") {
        let key = record.key.expect("a key");
        assert_eq!(record.partition, partition_of(&key, PARTITIONS), "{key:?}");
        rounds.entry(key).or_default().extend(record.value.expect("a value"));
    }
    assert_eq!(rounds.len(), keys.len());
    assert!(rounds.values().all(|rounds| rounds.iter().copied().eq(0..10)), "{rounds:?}");
}

fn everything_of_a_record_comes_back(log: &dyn Log) {
    log.ensure(&[Topic::Samples], 1).expect("a topic");
    let header = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    let mut full = outgoing(Topic::Samples, b"k", &[0, 0xff, b'v']);
    full.headers = vec![header("a", b"1"), header("b", b""), header("a", &[0xfe])];
    full.time = now().minus(86_400_000);
    let empty = outgoing(Topic::Samples, b"k", b"");
    let tombstone = Outgoing { value: None, ..outgoing(Topic::Samples, b"k", b"") };
    let written = [full, empty, tombstone];
    log.writer(Delivery::Idempotent).expect("a writer").append(&written).expect("an append");
    let read = read_all(log, Topic::Samples, Start::Earliest).expect("the records");
    let read: Vec<_> = read
        .into_iter()
        .map(|record| {
            let Record { topic, time, key, value, headers, .. } = record;
            Outgoing { topic, time, key: key.expect("a key"), value, headers }
        })
        .collect();
    assert_eq!(read, written, "an empty value is not a missing one");
}

fn readers_start_where_they_are_told(log: &dyn Log) {
    log.ensure(&[Topic::Samples], 1).expect("a topic");
    let first = now().minus(10_000);
    let records: Vec<_> = (0u8..5)
        .map(|i| Outgoing { time: first.plus(1_000 * u64::from(i)), ..outgoing(Topic::Samples, b"k", &[i]) })
        .collect();
    let mut writer = log.writer(Delivery::Idempotent).expect("a writer");
    writer.append(&records).expect("an append");
    let read = |start| values(&read_all(log, Topic::Samples, start).expect("the records"));
    assert_eq!(read(Start::Earliest), [0, 1, 2, 3, 4]);
    assert_eq!(read(Start::Offset(3)), [3, 4]);
    assert_eq!(read(Start::Offset(5)), [] as [u8; 0], "the end is a place too");
    assert_eq!(read(Start::Time(first.plus(2_000))), [2, 3, 4], "at the time itself");
    assert_eq!(read(Start::Time(first.plus(2_001))), [3, 4], "and after it");
    assert_eq!(read(Start::Time(first.plus(60_000))), [] as [u8; 0], "no record is that late");
    let beyond = log.reader(&[(Topic::Samples, 0, Start::Offset(6))]).err().expect("beyond the end");
    assert!(matches!(beyond, Error::Beyond { offset: 6, high: 5, .. }), "{beyond}");

    let mut tail = log.reader(&[(Topic::Samples, 0, Start::Latest)]).expect("a reader");
    assert_eq!(tail.position(Topic::Samples, 0), 5);
    writer.append(&[outgoing(Topic::Samples, b"k", &[9])]).expect("an append");
    assert_eq!(values(&drain(tail.as_mut())), [9]);
}

fn the_newest_of_each_key_is_left_and_tombstones_remove(log: &dyn Log) {
    log.ensure(&[Topic::Progress], PARTITIONS).expect("a topic");
    let mut producer = Producer::new(log, Delivery::Idempotent).expect("a producer");
    producer.send(&[progress("a", 1), progress("b", 1), progress("c", 1)]).expect("an append");
    producer.send(&[progress("a", 2)]).expect("an append");
    producer.remove("b", now()).expect("an append");
    let broken = outgoing(Topic::Progress, b"c", b"{}");
    log.writer(Delivery::Idempotent).expect("a writer").append(&[broken]).expect("an append");
    let view = latest::<Progress>(log).expect("the newest");
    assert_eq!(view.nouns.into_values().map(|p| (p.group, p.sequence)).collect::<Vec<_>>(), [("a".to_owned(), 2)]);
    let [(record, error)] = view.undecodable.as_slice() else { panic!("one is broken: {:?}", view.undecodable) };
    assert_eq!(record.source(), "c");
    assert!(error.to_string().contains("foreshadow.progress.v1"), "{error}");
}

fn a_paused_partition_waits_and_goes_on_where_it_was(log: &dyn Log) {
    log.ensure(&[Topic::Samples, Topic::Features], 1).expect("topics");
    let mut writer = log.writer(Delivery::Idempotent).expect("a writer");
    let both = |value: u8| [outgoing(Topic::Samples, b"k", &[value]), outgoing(Topic::Features, b"k", &[value])];
    (0..3).for_each(|value| writer.append(&both(value)).expect("an append"));
    let starts = [(Topic::Samples, 0, Start::Earliest), (Topic::Features, 0, Start::Earliest)];
    let mut reader = log.reader(&starts).expect("a reader");
    reader.pause(Topic::Features, 0).expect("an assigned partition");
    let samples = read_until(reader.as_mut(), 3);
    assert!(samples.iter().all(|record| record.topic == Topic::Samples));
    assert!(reader.poll(SOON, 10).expect("a poll").is_empty());
    assert!(!reader.caught_up().expect("an answer"), "the paused partition is behind");
    reader.resume(Topic::Features, 0).expect("an assigned partition");
    assert_eq!(values(&read_until(reader.as_mut(), 3)), [0, 1, 2]);

    reader.pause(Topic::Samples, 0).expect("an assigned partition");
    writer.append(&both(3)).expect("an append");
    assert_eq!(read_until(reader.as_mut(), 1)[0].topic, Topic::Features);
    assert_eq!((reader.position(Topic::Samples, 0), reader.position(Topic::Features, 0)), (3, 4));
    reader.resume(Topic::Samples, 0).expect("an assigned partition");
    assert_eq!(values(&drain(reader.as_mut())), [3], "none twice");
    let error = reader.pause(Topic::Pools, 0).expect_err("not assigned");
    assert!(matches!(error, Error::UnknownPartition { .. }), "{error}");
}

fn a_reader_catches_up_over_the_marks_of_transactions(log: &dyn Log) {
    log.ensure(&[Topic::Samples], 1).expect("a topic");
    let mut writer = log.writer(Delivery::Transactional { id: "marks".into() }).expect("a writer");
    let mut reader = log.reader(&[(Topic::Samples, 0, Start::Earliest)]).expect("a reader");
    assert!(reader.caught_up().expect("an answer"), "nothing is there");
    (0..5).for_each(|i| writer.append(&[outgoing(Topic::Samples, b"k", &[i])]).expect("an append"));
    assert_eq!(values(&read_until(reader.as_mut(), 5)), [0, 1, 2, 3, 4]);
    assert_eq!(values(&drain(reader.as_mut())), [] as [u8; 0]);
    let (_, high) = log.watermarks(Topic::Samples, 0).expect("watermarks");
    let position = reader.position(Topic::Samples, 0);
    assert_eq!(position, high, "the last mark is passed too");

    let mut resumed = log.reader(&[(Topic::Samples, 0, Start::Offset(position))]).expect("a reader");
    assert!(resumed.caught_up().expect("an answer"), "before any poll");
    writer.append(&[outgoing(Topic::Samples, b"k", &[5])]).expect("an append");
    assert_eq!(values(&read_until(resumed.as_mut(), 1)), [5]);
}

fn an_append_that_fails_leaves_nothing_in_any_topic(log: &dyn Log) {
    log.ensure(&[Topic::Progress, Topic::Samples], 1).expect("topics");
    let mut writer = log.writer(Delivery::Transactional { id: "whole".into() }).expect("a writer");
    let small = outgoing(Topic::Progress, b"k", b"small");
    let large = outgoing(Topic::Samples, b"k", &vec![0; RECORD_BYTES_MAX]);
    let error = writer.append(&[small.clone(), large]).expect_err("one byte of key too much");
    assert_eq!(error.action(), Action::Skip);
    assert!(error.to_string().contains("16777217 bytes") && error.to_string().contains("split"), "{error}");
    let error = writer.append(&[small.clone(), outgoing(Topic::Pools, b"k", b"v")]).expect_err("no such topic");
    assert!(matches!(error, Error::UnknownTopic { .. }), "{error}");
    assert_eq!(log.watermarks(Topic::Progress, 0).expect("watermarks"), (0, 0));

    let largest = outgoing(Topic::Samples, b"k", &noise(RECORD_BYTES_MAX - 1));
    writer.append(&[small, largest.clone()]).expect("the writer goes on, and the largest record fits");
    let read = read_count(log, Topic::Samples, 1);
    assert!(read[0].value == largest.value, "16 MiB come back");
}

fn an_append_over_several_topics_is_seen_in_all_of_them(log: &dyn Log) {
    let topics = [Topic::Features, Topic::Decisions, Topic::Progress];
    log.ensure(&topics, PARTITIONS).expect("topics");
    let mut writer = log.writer(Delivery::Transactional { id: "wide".into() }).expect("a writer");
    for round in 1u8..=3 {
        let records: Vec<_> =
            topics.iter().flat_map(|&topic| (0..50u8).map(move |key| outgoing(topic, &[key], &[round]))).collect();
        writer.append(&records).expect("an append");
        for topic in topics {
            read_count(log, topic, 50 * usize::from(round));
        }
    }
}

fn a_newer_writer_takes_the_id_over(log: &dyn Log) {
    log.ensure(&[Topic::Samples], 1).expect("a topic");
    let delivery = |id: &str| Delivery::Transactional { id: id.to_owned() };
    let mut older = log.writer(delivery("one")).expect("a writer");
    older.append(&[outgoing(Topic::Samples, b"k", &[1])]).expect("an append");
    let mut newer = log.writer(delivery("one")).expect("a writer");
    let mut other = log.writer(delivery("two")).expect("a writer");
    let error = older.append(&[outgoing(Topic::Samples, b"k", &[2])]).expect_err("the id has a new owner");
    assert!(matches!(&error, Error::Fenced { id, .. } if id == "one"), "{error}");
    assert_eq!(error.action(), Action::Stop);
    newer.append(&[outgoing(Topic::Samples, b"k", &[3])]).expect("an append");
    other.append(&[outgoing(Topic::Samples, b"k", &[4])]).expect("another id is another owner");
    assert_eq!(values(&read_count(log, Topic::Samples, 3)), [1, 3, 4]);
}

fn what_does_not_exist_is_named(log: &dyn Log) {
    log.ensure(&[Topic::Samples], 1).expect("a topic");
    let error = log.partitions(Topic::Pools).expect_err("no such topic");
    assert!(matches!(error, Error::UnknownTopic { .. }), "{error}");
    assert!(error.to_string().contains("foreshadow.pools.v1"), "{error}");
    let errors = [
        log.watermarks(Topic::Pools, 0).expect_err("no such topic"),
        log.reader(&[(Topic::Pools, 0, Start::Earliest)]).err().expect("no such topic"),
        log.writer(Delivery::Idempotent)
            .expect("a writer")
            .append(&[outgoing(Topic::Pools, b"k", b"v")])
            .expect_err("no such topic"),
    ];
    assert!(errors.iter().all(|error| matches!(error, Error::UnknownTopic { .. })), "{errors:?}");
    for partition in [-1, 1] {
        let error = log.watermarks(Topic::Samples, partition).expect_err("no such partition");
        assert!(matches!(error, Error::UnknownPartition { .. }), "{error}");
    }
    let error = log.ensure(&[Topic::Pools], 0).expect_err("no partitions");
    assert!(matches!(error, Error::Setting { .. }), "{error}");
}

fn ensure_leaves_what_exists(log: &dyn Log) {
    log.ensure(&[Topic::Samples], 3).expect("a topic");
    log.writer(Delivery::Idempotent)
        .expect("a writer")
        .append(&[outgoing(Topic::Samples, b"k", &[1])])
        .expect("an append");
    log.ensure(&[Topic::Samples, Topic::Pools], 2).expect("one topic more");
    assert_eq!((log.partitions(Topic::Samples).expect("3"), log.partitions(Topic::Pools).expect("2")), (3, 2));
    assert_eq!(read_all(log, Topic::Samples, Start::Earliest).expect("the record").len(), 1);
}

fn what_several_make_at_once_can_be_used_by_each(log: &dyn Log) {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                log.ensure(Topic::ALL, 4).expect("topics");
                for (topic, partition) in Topic::ALL.iter().flat_map(|topic| (0..4).map(move |p| (*topic, p))) {
                    assert_eq!(log.watermarks(topic, partition).expect("it has a leader"), (0, 0));
                }
            });
        }
    });
}

fn a_consumer_follows_and_shows_what_it_cannot_read(log: &dyn Log) {
    log.ensure(&[Topic::Progress], PARTITIONS).expect("a topic");
    let mut consumer = Consumer::<Progress>::new(log, Start::Latest).expect("a consumer");
    let mut writer = log.writer(Delivery::Idempotent).expect("a writer");
    let written = progress("g", 7);
    let tombstone = Outgoing::tombstone::<Progress>("g", now());
    writer.append(&[Outgoing::of(&written), outgoing(Topic::Progress, b"g", b"[]"), tombstone]).expect("an append");
    let mut typed = Vec::new();
    for _ in 0..POLLS_MAX {
        typed.extend(consumer.poll(SOON, 10).expect("a poll"));
        if consumer.caught_up().expect("an answer") {
            break;
        }
    }
    let [(first, Ok(Some(noun))), (_, Err(error)), (_, Ok(None))] = typed.as_slice() else { panic!("{typed:?}") };
    assert_eq!((noun, first.header("content-type")), (&written, Some("application/json")));
    assert!(error.to_string().contains("foreshadow.progress.v1"), "{error}");
}

#[test]
fn a_log_on_disk_opens_as_it_was_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = disk(folder.path());
    log.ensure(&[Topic::Samples, Topic::Pools], 2).expect("topics");
    let mut writer = log.writer(Delivery::Idempotent).expect("a writer");
    let records: Vec<_> = (0..100u8).map(|i| outgoing(Topic::Samples, &[i % 7], &[i])).collect();
    writer.append(&records).expect("an append");
    let before = read_all(&log, Topic::Samples, Start::Earliest).expect("the records");
    let error = Embedded::on_disk(folder.path(), EmbeddedSettings::default()).expect_err("it is open");
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    drop((writer, log));

    let log = disk(folder.path());
    assert_eq!(log.torn_bytes(), 0);
    assert_eq!(read_all(&log, Topic::Samples, Start::Earliest).expect("the records"), before);
    assert_eq!(log.partitions(Topic::Pools).expect("the topic"), 2, "an empty topic is remembered");
    let mut writer = log.writer(Delivery::Idempotent).expect("a writer");
    writer.append(&[outgoing(Topic::Samples, b"k", &[100])]).expect("an append");
    assert_eq!(read_all(&log, Topic::Samples, Start::Earliest).expect("the records").len(), 101, "offsets go on");
}

#[test]
fn a_broker_that_is_not_there_is_named_within_the_timeout() {
    let settings = KafkaSettings {
        brokers: "127.0.0.1:1".into(),
        contact_timeout: Span::from_millis(1_500),
        ..KafkaSettings::default()
    };
    let started = SystemTime::now();
    let error = Kafka::connect(settings).expect_err("nobody listens on port 1");
    let waited = started.elapsed().expect("a clock that goes forward");
    assert_eq!(error.action(), Action::Retry);
    let text = error.to_string();
    assert!(text.contains("127.0.0.1:1 ") && text.contains("refused") && text.contains("make kafka"), "{text}");
    assert!(waited < Duration::from_secs(3), "{waited:?}");
}

#[test]
fn a_record_that_the_broker_refuses_is_left_out_and_the_writer_goes_on() {
    let log = kafka("refused");
    log.ensure(&[Topic::Samples], 1).expect("a topic");
    for delivery in [Delivery::Idempotent, Delivery::Transactional { id: "refused".into() }] {
        let mut writer = log.writer(delivery).expect("a writer");
        let ahead = Outgoing { time: now().plus(2 * 3_600_000), ..outgoing(Topic::Samples, b"agent", b"v") };
        let error = writer.append(&[ahead]).expect_err("two hours ahead of the broker's clock");
        assert!(matches!(&error, Error::Refused { source_id, .. } if source_id == "agent"), "{error}");
        assert_eq!(error.action(), Action::Skip);
        append_again(writer.as_mut(), &[outgoing(Topic::Samples, b"agent", &[1])]);
    }
    assert_eq!(values(&read_count(&log, Topic::Samples, 2)), [1, 1]);
}

#[test]
fn what_was_removed_is_gone_and_can_be_removed_again() {
    let log = kafka("removed");
    log.ensure(&[Topic::Samples, Topic::Progress], 1).expect("topics");
    log.remove(&[Topic::Samples, Topic::Pools]).expect("one is there, one never was");
    // A broker forgets a topic a moment after it has said so.
    let gone = |_| {
        std::thread::sleep(SOON);
        matches!(log.partitions(Topic::Samples), Err(Error::UnknownTopic { .. }))
    };
    assert!((0..POLLS_MAX).any(gone), "it is still there");
    log.remove(&[Topic::Samples]).expect("it is gone already");
    assert_eq!(log.partitions(Topic::Progress).expect("it was left"), 1);
}

#[test]
fn a_pipeline_ends_where_a_topic_has_partitions_that_it_does_not_read() {
    let (log, engine) = (kafka("grown"), EngineSettings::default());
    log.ensure(Topic::ALL, 1).expect("topics");
    let parts = Parts::new("grown", &engine, Duration::from_secs(5));
    let pipeline = Pipeline::start(&log, parts, Stop::default()).expect("the broker serves");
    let name = format!("{}{}", namespace_of("grown"), Topic::Outcomes.name());
    let mut tool = broker::shared().tool("topics");
    let altered = tool.args(["--alter", "--partitions", "2", "--topic", &name]).status().expect("the tool runs");
    assert!(altered.success());
    let fault = pipeline.join().expect_err("it looks every ten seconds").to_string();
    assert!(fault.contains("outcomes.v1 has 2 partitions by now, and 1 are read: start it again"), "{fault}");
}

fn progress(group: &str, sequence: u64) -> Progress {
    Progress { group: group.to_owned(), frontier: now(), sequence, ..Progress::default() }
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}
