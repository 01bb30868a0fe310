//! Crashes: torn files, killed processes, a broker that goes away and comes back.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use end_to_end::broker::{self, Broker};
use schemas::{Span, Topic};
use topics::{Action, Delivery, Kafka, KafkaSettings, Log, Record, Start};

use crate::fixture::{POLLS_MAX, SOON, append_again, disk, kafka, kafka_in, namespace_of, outgoing};
use crate::fixture::{read_count, read_until, values};

/// Records per topic in one append of the child.
const CHILD_RECORDS: usize = 2_000;
const CHILD_TOPICS: [Topic; 2] = [Topic::Features, Topic::Decisions];

/// Kills until one has come between two records of a transaction.
const KILLS_MAX: u64 = 40;

#[test]
fn a_torn_tail_costs_the_unfinished_append_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = disk(folder.path());
    log.ensure(&[Topic::Samples, Topic::Progress], 1).expect("topics");
    let mut writer = log.writer(Delivery::Idempotent).expect("a writer");
    let both = [outgoing(Topic::Samples, b"k", &[1]), outgoing(Topic::Progress, b"k", &[1])];
    (0..2).for_each(|_| writer.append(&both).expect("an append"));
    drop((writer, log));
    let path = folder.path().join("topics.log");
    let bytes = std::fs::read(&path).expect("the file");
    std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("a crash");

    let log = disk(folder.path());
    assert!(log.torn_bytes() > 0);
    for topic in [Topic::Samples, Topic::Progress] {
        assert_eq!(log.watermarks(topic, 0).expect("watermarks"), (0, 1), "{topic:?}");
    }
}

#[test]
fn kill_9_in_the_middle_of_appends_leaves_whole_ones_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    disk(folder.path()).ensure(&CHILD_TOPICS, 1).expect("topics");
    let place = folder.path().to_str().expect("a path of text");
    let mut acknowledged = 0;
    for millis in [5, 11, 23] {
        acknowledged = run_and_kill(child_command("disk", place, acknowledged), millis);
        check_whole(&disk(folder.path()), acknowledged);
    }
}

#[test]
fn kill_9_in_the_middle_of_transactions_leaves_whole_ones_and_the_successor_goes_on() {
    let log = kafka("kill9");
    log.ensure(&CHILD_TOPICS, 1).expect("topics");
    let namespace = namespace_of("kill9");
    let mut acknowledged = 0;
    // On a busy machine most kills come before the child has begun a transaction.
    for kill in 1..=KILLS_MAX {
        acknowledged = run_and_kill(child_command("kafka", &namespace, acknowledged), 7 * kill);
        // The successor rolls the open transaction back: its records stay in the log, and stay hidden. One that was being
        // committed is whole only now: the broker marks the topics one after the other.
        drop(log.writer(Delivery::Transactional { id: "child".into() }).expect("a successor"));
        let seen = check_whole(&log, acknowledged);
        let (_, high) = log.watermarks(CHILD_TOPICS[0], 0).expect("watermarks");
        // Each append is CHILD_RECORDS and one mark. Each kill adds one mark at most, and the records that it hid.
        let hidden = u64::try_from(high).expect("from 0") - (seen * (CHILD_RECORDS + 1)) as u64;
        if kill >= 3 && hidden > kill {
            return;
        }
    }
    panic!("{KILLS_MAX} kills, and none came between two records of a transaction");
}

#[test]
fn an_outage_of_the_broker_is_a_retry_and_everything_goes_on_after_it() {
    let mut broker = Broker::start();
    let brokers = broker.brokers();
    let timeouts = KafkaSettings {
        contact_timeout: Span::from_secs(1),
        delivery_timeout: Span::from_secs(3),
        ..KafkaSettings::default()
    };
    let log = Kafka::connect(KafkaSettings { brokers, ..timeouts }).expect("the broker");
    log.ensure(&[Topic::Samples], 1).expect("a topic");
    let mut writer = log.writer(Delivery::Transactional { id: "outage".into() }).expect("a writer");
    let mut reader = log.reader(&[(Topic::Samples, 0, Start::Earliest)]).expect("a reader");
    writer.append(&[outgoing(Topic::Samples, b"k", &[1])]).expect("an append");
    assert_eq!(values(&read_until(reader.as_mut(), 1)), [1]);

    broker.stop();
    let errors = [
        writer.append(&[outgoing(Topic::Samples, b"k", &[2])]).expect_err("no broker"),
        log.watermarks(Topic::Samples, 0).expect_err("no broker"),
    ];
    assert!(errors.iter().all(|error| error.action() == Action::Retry), "{errors:?}");
    assert!(matches!(reader.poll(SOON, 10), Err(error) if error.action() == Action::Retry));

    broker.restart();
    append_again(writer.as_mut(), &[outgoing(Topic::Samples, b"k", &[3])]);
    let read = (0..POLLS_MAX).find_map(|_| match reader.poll(SOON, 10) {
        Ok(records) if records.is_empty() => None,
        Ok(records) => Some(records),
        Err(error) if error.action() == Action::Retry => None,
        Err(error) => panic!("{error}"),
    });
    assert_eq!(values(&read.expect("the broker is back")), [3], "what failed was rolled back");
}

/// Appends numbered batches over two topics and prints each number once its append has returned, until it is killed.
#[test]
#[ignore = "the child of the tests that kill"]
fn child() {
    let variable = |name: &str| std::env::var(name).expect("set by the parent");
    let log: Box<dyn Log> = match variable("CHILD_LOG").as_str() {
        "disk" => Box::new(disk(Path::new(&variable("CHILD_PLACE")))),
        _ => Box::new(kafka_in(variable("CHILD_PLACE"))),
    };
    let mut writer = log.writer(Delivery::Transactional { id: "child".into() }).expect("a writer");
    let first: u64 = variable("CHILD_FIRST").parse().expect("a number");
    for number in first..first + 10_000 {
        let value = number.to_be_bytes();
        let records: Vec<_> = CHILD_TOPICS
            .iter()
            .flat_map(|&topic| std::iter::repeat_n(outgoing(topic, b"k", &value), CHILD_RECORDS))
            .collect();
        writer.append(&records).expect("an append");
        println!("appended {number}");
    }
}

fn child_command(log: &str, place: &str, acknowledged: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command
        .args(["--ignored", "--exact", "crashes::child", "--nocapture"])
        .env("CHILD_LOG", log)
        .env("CHILD_PLACE", place)
        .env("CHILD_BROKERS", if log == "kafka" { broker::shared().brokers() } else { String::new() })
        .env("CHILD_FIRST", (acknowledged + 1).to_string())
        .stdout(Stdio::piped());
    command
}

/// Kills the child so long after its third append, and returns the last number that it was told is written.
fn run_and_kill(mut command: Command, millis: u64) -> u64 {
    let mut child = command.spawn().expect("this test as a child");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut numbers = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("appended ")?.parse().ok());
    let third = numbers.nth(2).expect("a child that appends");
    std::thread::sleep(Duration::from_millis(millis));
    child.kill().expect("a running child");
    child.wait().expect("a killed child");
    numbers.last().unwrap_or(third)
}

/// Checks that every append is there whole or not at all, in order and at least up to `acknowledged`; returns how many
/// there are.
fn check_whole(log: &dyn Log, acknowledged: u64) -> usize {
    let [first, second] = CHILD_TOPICS.map(|topic| {
        let records = read_count(log, topic, CHILD_RECORDS * usize::try_from(acknowledged).expect("few appends"));
        let number =
            |record: &Record| u64::from_be_bytes(record.value.clone().expect("a value").try_into().expect("8 bytes"));
        let numbers: Vec<u64> = records.iter().map(number).collect();
        assert!(numbers.is_sorted(), "in order");
        assert!(numbers.chunk_by(|a, b| a == b).all(|append| append.len() % CHILD_RECORDS == 0), "whole");
        assert!(numbers.last().copied().unwrap_or_default() >= acknowledged, "nothing acknowledged is lost");
        numbers
    });
    assert_eq!(first, second, "in both topics or in none");
    first.len() / CHILD_RECORDS
}
