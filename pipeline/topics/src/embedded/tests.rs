//! Tests of `embedded.rs`.

use std::time::Duration;

use schemas::EventTime;

use super::*;

const SOON: Duration = Duration::from_secs(5);

fn outgoing(topic: Topic, key: &str, value: &[u8]) -> Outgoing {
    Outgoing {
        topic,
        time: EventTime::from_millis(1),
        key: key.into(),
        value: Some(value.to_vec()),
        headers: Vec::new(),
    }
}

fn bounded(partition_bytes_max: u64) -> Embedded {
    let log = Embedded::in_memory(EmbeddedSettings { partition_bytes_max, sync: false });
    log.ensure(&[Topic::Samples, Topic::Pools], 1).expect("memory");
    log
}

#[test]
fn a_reader_that_retention_overtook_is_told_once_and_goes_on() {
    // A record costs 160 + 1 + 1 = 162 bytes: 400 bytes hold two.
    let log = bounded(400);
    let mut reader = log.reader(&[(Topic::Samples, 0, Start::Earliest)]).expect("the topic");
    let records: Vec<_> = (0..5).map(|_| outgoing(Topic::Samples, "k", b"v")).collect();
    log.writer(Delivery::Idempotent).expect("memory").append(&records).expect("memory");
    let error = reader.poll(Duration::ZERO, 10).expect_err("offsets 0 to 3 are gone");
    assert!(matches!(error, Error::Overrun { position: 0, low: 3, .. }), "{error}");
    let offsets: Vec<_> = reader.poll(Duration::ZERO, 10).expect("what is left").iter().map(|r| r.offset).collect();
    assert_eq!(offsets, [3, 4]);
    assert!(reader.caught_up().expect("memory"));
}

#[test]
fn a_full_compacted_topic_refuses_the_whole_append() {
    let log = bounded(400);
    let mut writer = log.writer(Delivery::Idempotent).expect("memory");
    let keys =
        [outgoing(Topic::Samples, "k", b"v"), outgoing(Topic::Pools, "a", b"v"), outgoing(Topic::Pools, "b", b"v")];
    writer.append(&keys).expect("two keys of 162 bytes each fit");
    let more = [outgoing(Topic::Samples, "k", b"v"), outgoing(Topic::Pools, "c", b"v")];
    let error = writer.append(&more).expect_err("three do not");
    assert!(matches!(error, Error::Full { limit_bytes: 400, .. }), "{error}");
    assert_eq!(log.watermarks(Topic::Samples, 0).expect("the topic"), (0, 1), "the other topic got nothing either");
}

#[test]
fn a_busy_partition_does_not_starve_the_others() {
    let log = bounded(1 << 20);
    let mut writer = log.writer(Delivery::Idempotent).expect("memory");
    let busy: Vec<_> = (0..100).map(|_| outgoing(Topic::Samples, "k", b"v")).collect();
    writer.append(&busy).expect("memory");
    writer.append(&[outgoing(Topic::Pools, "k", b"v")]).expect("memory");
    let starts = [(Topic::Samples, 0, Start::Earliest), (Topic::Pools, 0, Start::Earliest)];
    let mut reader = log.reader(&starts).expect("the topics");
    let polled = (0..2).flat_map(|_| reader.poll(Duration::ZERO, 10).expect("memory"));
    assert_eq!(polled.filter(|record| record.topic == Topic::Pools).count(), 1, "within a turn of each partition");
}

#[test]
fn a_poll_stops_at_its_byte_bound() {
    let log = bounded(1 << 30);
    let value = vec![0; 16 << 20 >> 1];
    let records: Vec<_> = (0..10).map(|_| outgoing(Topic::Samples, "k", &value)).collect();
    log.writer(Delivery::Idempotent).expect("memory").append(&records).expect("memory");
    let mut reader = log.reader(&[(Topic::Samples, 0, Start::Earliest)]).expect("the topic");
    // A record holds 8 MiB and one byte: the eighth passes 64 MiB.
    assert_eq!(reader.poll(Duration::ZERO, 100).expect("memory").len(), 8);
    assert_eq!(reader.poll(Duration::ZERO, 100).expect("memory").len(), 2);
}

#[test]
fn a_waiting_reader_wakes_with_the_append() {
    let log = bounded(1 << 20);
    let mut reader = log.reader(&[(Topic::Samples, 0, Start::Latest)]).expect("the topic");
    let waiting = std::thread::spawn(move || reader.poll(SOON, 10).expect("memory").len());
    log.writer(Delivery::Idempotent).expect("memory").append(&[outgoing(Topic::Samples, "k", b"v")]).expect("memory");
    assert_eq!(waiting.join().expect("the reader"), 1);
}

#[test]
fn a_file_that_outgrew_its_records_is_rewritten_and_keeps_every_offset() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = EmbeddedSettings { partition_bytes_max: 3 << 20, sync: false };
    let log = Embedded::on_disk(folder.path(), settings.clone()).expect("a new log");
    log.ensure(&[Topic::Samples, Topic::Pools], 1).expect("space");
    let mut writer = log.writer(Delivery::Idempotent).expect("memory");
    writer.append(&[outgoing(Topic::Pools, "pool", b"v")]).expect("space");
    for _ in 0..40 {
        writer.append(&[outgoing(Topic::Samples, "k", &vec![7; 1 << 20])]).expect("space");
    }
    // 40 MiB were written and two of the records, each a little over 1 MiB, fit in 3 MiB.
    let length = std::fs::metadata(folder.path().join("topics.log")).expect("the file").len();
    assert!(length < 20 << 20, "rewritten at 16 MiB, {length} bytes now");
    drop((writer, log));
    let log = Embedded::on_disk(folder.path(), settings).expect("the same log");
    assert_eq!(log.watermarks(Topic::Samples, 0).expect("the topic"), (38, 40));
    assert_eq!(log.watermarks(Topic::Pools, 0).expect("the topic"), (0, 1));
    let records = crate::read_all(&log, Topic::Samples, Start::Earliest).expect("the records");
    assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [38, 39]);
}
