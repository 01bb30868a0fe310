//! Logs to test, records to write, and patience.

use std::path::Path;
use std::time::{Duration, SystemTime};

use end_to_end::broker;
use schemas::{EventTime, Topic};
use topics::{
    Action, Embedded, EmbeddedSettings, Kafka, KafkaSettings, Log, Outgoing, Reader, Record, Start, Writer, read_all,
};

pub(crate) const SOON: Duration = Duration::from_millis(500);
/// Polls after which a test calls a reader stuck: 50 s.
pub(crate) const POLLS_MAX: usize = 100;

pub(crate) fn memory() -> Embedded {
    Embedded::in_memory(EmbeddedSettings { partition_bytes_max: 256 << 20, ..EmbeddedSettings::default() })
}

pub(crate) fn disk(folder: &Path) -> Embedded {
    let settings = EmbeddedSettings { partition_bytes_max: 256 << 20, ..EmbeddedSettings::default() };
    Embedded::on_disk(folder, settings).expect("a log on disk")
}

pub(crate) fn kafka(case: &str) -> Kafka {
    kafka_in(namespace_of(case))
}

pub(crate) fn namespace_of(case: &str) -> String {
    format!("topics-{case}-{}.", std::process::id())
}

pub(crate) fn kafka_in(namespace: String) -> Kafka {
    let brokers = std::env::var("CHILD_BROKERS").unwrap_or_else(|_| broker::shared().brokers());
    Kafka::connect(KafkaSettings { brokers, namespace, ..KafkaSettings::default() }).expect("the broker")
}

pub(crate) fn outgoing(topic: Topic, key: &[u8], value: &[u8]) -> Outgoing {
    Outgoing { topic, time: now(), key: key.to_vec(), value: Some(value.to_vec()), headers: Vec::new() }
}

/// Brokers drop records by their own times: these must be of today.
pub(crate) fn now() -> EventTime {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970");
    EventTime::from_millis(u64::try_from(since.as_millis()).expect("before the year 9998"))
}

pub(crate) fn values(records: &[Record]) -> Vec<u8> {
    records.iter().flat_map(|record| record.value.clone().expect("a value")).collect()
}

/// Appends as a caller does: again for as long as the error says so.
pub(crate) fn append_again(writer: &mut dyn Writer, records: &[Outgoing]) {
    let appended = (0..POLLS_MAX).any(|_| match writer.append(records) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.action(), Action::Retry, "{error}");
            false
        }
    });
    assert!(appended, "still not after {POLLS_MAX} times");
}

/// All records of a topic, once there are at least so many: a transaction is seen a little after its commit.
pub(crate) fn read_count(log: &dyn Log, topic: Topic, count: usize) -> Vec<Record> {
    for _ in 0..POLLS_MAX {
        let records = read_all(log, topic, Start::Earliest).expect("the records");
        if records.len() >= count {
            return records;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("fewer than {count} records in {topic:?}");
}

/// Polls until so many records came; one more is a fault of the log.
pub(crate) fn read_until(reader: &mut dyn Reader, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    for _ in 0..POLLS_MAX {
        records.extend(reader.poll(SOON, 100).expect("a poll"));
        if records.len() >= count {
            break;
        }
    }
    assert_eq!(records.len(), count);
    records
}

/// Polls until the reader is caught up.
pub(crate) fn drain(reader: &mut dyn Reader) -> Vec<Record> {
    let mut records = Vec::new();
    for _ in 0..POLLS_MAX {
        records.extend(reader.poll(SOON, 100).expect("a poll"));
        if reader.caught_up().expect("an answer") {
            return records;
        }
    }
    panic!("not caught up after {POLLS_MAX} polls");
}
