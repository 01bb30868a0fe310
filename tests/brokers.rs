//! Three brokers keep a copy of everything each, and losing any one of them loses nothing; nor does losing the only one for a
//! minute.
//!
//! A fleet writes samples all the while, a minute of event time a second, and one life of the pipeline lasts through all of
//! it. Each broker in turn is killed once the pipeline has caught up with the fleet, and started again once the pipeline
//! has gone on without it. A role stays with its broker until that one dies. So whichever broker leads the partition of
//! the progress, coordinates the transactions or is the active controller dies in that role, at the latest as the third. A
//! minute is longer than an output may be on its way: the pipeline ends, cannot begin while there is no broker, and its
//! supervisor does not give up.
//! In the end all is judged that lies on the log: what the fleet was told is written, and every output.

#![allow(clippy::disallowed_methods, reason = "an edge test: it waits for real processes on the machine's clock")]

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use end_to_end::binary::{Process, foreshadow};
use end_to_end::broker::{self, Broker};
use end_to_end::town::{CHUNK_PAUSE, Town};
use end_to_end::verdict::judge;
use schemas::{EventTime, Progress, Topic};
use topics::{Action, Consumer, Kafka, KafkaSettings, Log, Start};

const BROKERS: usize = 3;
/// Longest wait for outputs. They go on once the dead broker's session is over, after 4 s; where it was the active
/// controller, that begins only once the others have missed it and elected another, 2 to 4 s later.
const WAIT_MAX: Duration = Duration::from_secs(40);
/// Longer than anything waits for a broker.
const AWAY: Duration = Duration::from_secs(60);
/// Chunks of the fleet's life before it and after it.
const CHUNKS: usize = 60;
/// Event time that passes at most: at a minute a second, two longest waits a broker and a start of it, a minute at most.
const EVENT_TIME_MAX_MS: u64 = 7 * 3_600_000;

#[test]
fn each_of_three_brokers_dies_in_turn_and_nothing_is_lost() {
    let mut brokers = broker::cluster(BROKERS);
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let mut scene = Scene::new(&brokers, folder.path(), "--workers=2");
    scene.live_while(|| check_copies(&brokers[0]));

    let mut gaps = Vec::new();
    for broker in &mut brokers {
        scene.wait_for_outputs();
        broker.stop();
        let lost = Instant::now();
        scene.wait_for_outputs();
        gaps.push(lost.elapsed());
        scene.live_while(|| broker.restart());
    }
    println!("from the loss of a broker to outputs of what was written after it: {gaps:.1?}");
    judge(&scene.log, &mut scene.run, &scene.town);
}

#[test]
fn a_minute_without_any_broker_costs_nothing() {
    let mut broker = Broker::start();
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let mut scene = Scene::new(std::slice::from_ref(&broker), folder.path(), "--processes=2");
    (0..CHUNKS).for_each(|_| scene.live_on());
    broker.stop();
    thread::sleep(AWAY);
    broker.restart();
    (0..CHUNKS).for_each(|_| scene.live_on());
    scene.wait_for_outputs();
    judge(&scene.log, &mut scene.run, &scene.town);
}

/// The fleet, the pipeline, and how far its outputs reach.
struct Scene {
    log: Kafka,
    run: Process,
    town: Town,
    progress: Consumer<Progress>,
    /// Of decisions, and of features.
    frontiers: [EventTime; 2],
}

impl Scene {
    fn new(brokers: &[Broker], folder: &Path, shape: &str) -> Self {
        let addresses: Vec<_> = brokers.iter().map(Broker::brokers).collect();
        let (addresses, replicas) = (addresses.join(","), u8::try_from(brokers.len()).expect("few brokers"));
        let settings = folder.join("settings.toml");
        let text = format!("partitions = 2\n[kafka]\nbrokers = \"{addresses}\"\nreplicas = {replicas}\n");
        fs::write(&settings, text).expect("the folder can be written");
        let mut command = foreshadow();
        command.arg("--settings").arg(&settings).arg("run").arg(shape);
        let run = Process::start(command, &folder.join("run.log"));

        let kafka = KafkaSettings { brokers: addresses, replicas: Some(replicas), ..KafkaSettings::default() };
        let log = Kafka::connect(kafka).expect("the brokers serve");
        log.ensure(Topic::ALL, 2).expect("topics can be made");
        let town = Town::new(&log, EVENT_TIME_MAX_MS);
        let progress = Consumer::new(&log, Start::Earliest).expect("the brokers serve");
        Self { log, run, town, progress, frontiers: <[EventTime; 2]>::default() }
    }

    /// Lives on while something is done beside it.
    fn live_while(&mut self, done: impl FnOnce() + Send) {
        thread::scope(|scope| {
            let done = scope.spawn(done);
            while !done.is_finished() {
                self.live_on();
            }
        });
    }

    fn live_on(&mut self) {
        self.town.live_on();
        thread::sleep(CHUNK_PAUSE);
        let progress = self.progress.poll(Duration::from_millis(1), 1000).unwrap_or_else(|error| {
            assert_eq!(error.action(), Action::Retry, "{error}");
            Vec::new()
        });
        for (_, progress) in progress {
            let progress = progress.expect("it can be read").expect("it is no tombstone");
            self.frontiers[usize::from(progress.is_of_features())] = progress.frontier;
        }
        assert!(self.run.runs(), "the pipeline ended:\n{}", self.run.told());
    }

    /// Lives on until the outputs reach the present. Samples close what is some seconds older than they are: so it takes
    /// some that are written only from now on.
    fn wait_for_outputs(&mut self) {
        let (begun, now) = (Instant::now(), self.town.now());
        while self.frontiers.iter().any(|frontier| *frontier < now) {
            let waited = begun.elapsed();
            assert!(waited < WAIT_MAX, "outputs reach {:?}, not {now}:\n{}", self.frontiers, self.run.told());
            self.live_on();
        }
    }
}

/// Checks that the setting of replicas holds for every topic of ours.
fn check_copies(broker: &Broker) {
    let output = broker.tool("topics").arg("--describe").output().expect("the tool runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let ours: Vec<_> =
        told.lines().filter(|line| line.contains("foreshadow.") && line.contains("PartitionCount")).collect();
    assert_eq!(ours.len(), Topic::ALL.len(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let kept = |line: &&str| line.contains("ReplicationFactor: 3") && line.contains("min.insync.replicas=2");
    assert!(ours.iter().all(kept), "{told}");
}
