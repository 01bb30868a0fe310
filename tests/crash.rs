//! `kill -9` of `foreshadow run` changes nothing: every output is published once, as a run without a crash says it.
//!
//! A fleet is simulated in the test, a minute of event time a second, and its adapter answers what the pipeline has
//! published so far. So what lies on the log depends on the run; what must follow from it does not. The pipeline is killed
//! at instants that a seed gives, and goes on from its last snapshot, each time with another number of workers and processes.
//! Of a cell first one process is killed, which its supervisor has to mend, then the whole. In the end the log is read once more by an engine in this process, without a snapshot, and every output topic is compared with
//! what that engine says.
//!
//! `KILLS` says how many kills (`make kills`: 200), `SEED` with which seed; a failure prints both.

#![allow(clippy::disallowed_methods, reason = "an edge test: it waits for real processes on the machine's clock")]

use std::collections::BTreeMap;
use std::time::Duration;

use dataflow::{EngineSettings, OutputRecord};
use end_to_end::binary::{Process, foreshadow};
use end_to_end::broker;
use end_to_end::replay::{OUTPUTS, Published, replay};
use orchestrators::{Adapter, Simulated};
use schemas::{Decision, EventTime, Outcome, Progress, SourceId, Topic};
use topics::{Consumer, Kafka, KafkaSettings, Log, Outgoing, Start, Writer, latest, read_all};

/// Event time that is written at once, and how long the test waits after it: a minute of event time a second.
const CHUNK_MS: u64 = 10_000;
const CHUNK_PAUSE: Duration = Duration::from_millis(166);
/// Kills without `KILLS`.
const KILLS: u64 = 8;
/// From a start to the kill: from before the log is read to well within the catching up and beyond it.
const LIFE_MIN: Duration = Duration::from_millis(30);
const LIFE_MAX: Duration = Duration::from_secs(3);
/// Chunks after the last kill, and the event time that a kill may take.
const CHUNKS_AFTER: u64 = 60;
const EVENT_TIME_A_KILL_MS: u64 = 300_000;
/// Processes and workers of each life in turn.
const SHAPES: [(u8, u8); 4] = [(1, 1), (1, 2), (2, 1), (1, 4)];
/// Longest wait for the end; a replay of everything takes a few seconds.
const WAIT_MAX: Duration = Duration::from_secs(60);

#[test]
fn a_killed_pipeline_goes_on_without_duplicate_or_gap() {
    let broker = broker::shared();
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let namespace = format!("crash-{}.", std::process::id());
    let settings = folder.path().join("settings.toml");
    let snapshots = folder.path().join("snapshots");
    let text = format!(
        "partitions = 2\n[kafka]\nbrokers = \"{}\"\nnamespace = \"{namespace}\"\n[snapshots]\nfolder = \"{}\"\n",
        broker.brokers(),
        snapshots.display()
    );
    std::fs::write(&settings, text).expect("the folder can be written");
    let told = folder.path().join("run.log");
    let mut shapes = SHAPES.into_iter().cycle();
    let mut start = || {
        let (processes, workers) = shapes.next().expect("an endless circle");
        let mut command = foreshadow();
        command.arg("--settings").arg(&settings).arg("run");
        command.arg(format!("--processes={processes}")).arg(format!("--workers={workers}"));
        (Process::start(command, &told), processes > 1)
    };
    let kafka = KafkaSettings { brokers: broker.brokers(), namespace, ..KafkaSettings::default() };
    let log = Kafka::connect(kafka).expect("the broker serves");
    log.ensure(Topic::ALL, 2).expect("topics can be made");

    let (kills, seed) = (number("KILLS").unwrap_or(KILLS), number("SEED").unwrap_or(1));
    println!("KILLS={kills} SEED={seed}");
    let (mut run, mut cell) = start();
    let mut town = Town::new(&log, kills * EVENT_TIME_A_KILL_MS + CHUNKS_AFTER * CHUNK_MS);
    for kill in 0..kills {
        let life = LIFE_MIN + (LIFE_MAX - LIFE_MIN).mul_f64(plant::noise::uniform(seed, 0, kill));
        let begun = std::time::Instant::now();
        while let Some(left) = life.checked_sub(begun.elapsed()) {
            town.live_on();
            std::thread::sleep(left.min(CHUNK_PAUSE));
            assert!(run.runs(), "the pipeline ended:\n{}", run.told());
        }
        if std::mem::take(&mut cell) {
            run.kill_a_child();
        } else {
            run.kill();
            (run, cell) = start();
        }
    }
    for _ in 0..CHUNKS_AFTER {
        town.live_on();
        std::thread::sleep(CHUNK_PAUSE);
    }
    let begun_from = run.told().matches("begins from a snapshot").count();
    assert!(begun_from > 0, "some life began from a snapshot:\n{}", run.told());
    let published = wait_for(&log, town.now.minus(60_000), &run);
    assert!(run.terminate(Duration::from_secs(10)), "it ends when it is asked to:\n{}", run.told());
    let published = Published::of(&log, "main").unwrap_or(published);

    let expected = replay(&log, &EngineSettings::default(), &published);
    let decisions = expected.iter().filter(|record| record.noun == Topic::Decisions.noun()).count();
    assert!(decisions >= 10, "a scenario with decisions: {decisions}");
    let scaled = town.answered;
    assert!(scaled > 5, "a scenario with outcomes: {scaled}");
    compare(&log, &expected);
}

/// Compares every output topic with what it has to hold.
fn compare(log: &dyn Log, expected: &[OutputRecord]) {
    for topic in OUTPUTS {
        let expected = by_key(
            expected
                .iter()
                .filter(|record| record.noun == topic.noun())
                .map(|record| (record.key.clone(), record.tick, record.value.clone())),
        );
        let found = read_all(log, topic, Start::Earliest).expect("the topic can be read");
        let found = by_key(
            found
                .into_iter()
                .map(|record| (record.source(), record.time.millis(), record.value.expect("an output has a value"))),
        );
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{}", topic.noun());
        for (key, expected) in &expected {
            assert_same(topic, key, &found[key], expected);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text}: give a number")))
}

/// A key's records in their order: tick and value.
type ByKey = BTreeMap<String, Vec<(u64, Vec<u8>)>>;

fn by_key(records: impl Iterator<Item = (String, u64, Vec<u8>)>) -> ByKey {
    let mut keyed = ByKey::new();
    records.for_each(|(key, tick, value)| keyed.entry(key).or_default().push((tick, value)));
    keyed
}

fn assert_same(topic: Topic, key: &str, found: &[(u64, Vec<u8>)], expected: &[(u64, Vec<u8>)]) {
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let text = |value: &(u64, Vec<u8>)| format!("{} {}", value.0, String::from_utf8_lossy(&value.1));
        assert_eq!(text(found), text(expected), "record {index} of {} for {key}", topic.noun());
    }
    assert_eq!(found.len(), expected.len(), "{} for {key}: a gap or a duplicate", topic.noun());
}

/// The fleet, its adapter and what carries records between them and the log.
struct Town {
    fleet: Simulated,
    writer: Box<dyn Writer>,
    decisions: Consumer<Decision>,
    now: EventTime,
    answered: usize,
}

impl Town {
    /// The demo's fleet, long enough ago that its event times lie neither in the future nor beyond any retention.
    fn new(log: &dyn Log, event_time_ms: u64) -> Self {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after the epoch");
        let now =
            EventTime::from_millis(u64::try_from(wall.as_millis()).expect("a date")).minus(event_time_ms).tick(60_000);
        let fleet = Simulated::new(plant::demo_fleet(), 1).expect("the demo fleet has good names");
        let mut writer = log.writer(topics::Delivery::Idempotent).expect("the broker serves");
        let (workloads, pools) = fleet.inventory(now);
        let records: Vec<_> = pools.iter().map(Outgoing::of).chain(workloads.iter().map(Outgoing::of)).collect();
        writer.append(&records).expect("the broker serves");
        let decisions = Consumer::new(log, Start::Earliest).expect("the broker serves");
        Self { fleet, writer, decisions, now, answered: 0 }
    }

    /// Writes a chunk of samples, and the outcomes of the decisions that have come until now.
    fn live_on(&mut self) {
        let mut samples = Vec::new();
        for step in 0..CHUNK_MS / 1000 {
            samples.extend(self.fleet.step(self.now.plus(step * 1000), 1000));
        }
        self.now = self.now.plus(CHUNK_MS);
        let decisions = self.decisions.poll(Duration::from_millis(1), 1000).expect("the broker serves");
        let mut outcomes: Vec<Outcome> = self.fleet.poll(self.now);
        for (_, decision) in decisions {
            let decision = decision.expect("decisions can be read").expect("decisions are no tombstones");
            outcomes.extend(self.fleet.apply(&decision, self.now));
        }
        self.answered += outcomes.len();
        // Two sources, so that both partitions are in use.
        let (some, others): (Vec<_>, Vec<_>) = samples.into_iter().partition(|sample| sample.workload.as_str() < "l");
        let mut records: Vec<_> = outcomes.iter().map(Outgoing::of).collect();
        for (source, samples) in [("agent-1", some), ("agent-2", others)] {
            let source = SourceId::new(source).expect("a name");
            records.push(Outgoing::samples(&source, self.now, &samples));
        }
        records.push(garbage(self.now));
        self.writer.append(&records).expect("the broker serves");
    }
}

/// Bytes that are no samples: they must be told as such, once.
fn garbage(time: EventTime) -> Outgoing {
    let (key, value) = (b"agent-1".to_vec(), Some(b"{\"time\": \"yesterday\"}".to_vec()));
    Outgoing { topic: Topic::Samples, time, key, value, headers: Vec::new() }
}

fn wait_for(log: &dyn Log, frontier: EventTime, run: &Process) -> Published {
    let begun = std::time::Instant::now();
    loop {
        if let Some(found) = Published::of(log, "main").filter(|found| found.frontier() >= frontier) {
            return found;
        }
        assert!(begun.elapsed() < WAIT_MAX, "the outputs do not reach {frontier}:\n{}", run.told());
        std::thread::sleep(Duration::from_millis(200));
    }
}
