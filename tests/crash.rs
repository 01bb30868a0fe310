//! `kill -9` of `foreshadow run` changes nothing: every output is published once, as a run without a crash says it.
//!
//! A fleet is simulated in the test, a minute of event time a second, and its adapter answers what the pipeline has
//! published so far. So what lies on the log depends on the run; what must follow from it does not. The pipeline is killed
//! at instants that a seed gives, and goes on from its last snapshot, each time with another number of workers and processes.
//! Of a cell first one process is killed, which its supervisor has to mend, then the whole. In the end the log is read
//! once more by an engine in this process, without a snapshot, and every output topic is compared with what that engine
//! says.
//!
//! `KILLS` says how many kills (`make kills`: 200), `SEED` with which seed; a failure prints both.

#![allow(clippy::disallowed_methods, reason = "an edge test: it waits for real processes on the machine's clock")]

use std::time::{Duration, Instant};

use end_to_end::binary::{Process, foreshadow};
use end_to_end::broker;
use end_to_end::town::{CHUNK_MS, CHUNK_PAUSE, Town};
use end_to_end::verdict::judge;
use schemas::{Progress, Topic};
use topics::{Consumer, Kafka, KafkaSettings, Log, Start};

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
    let mut progress = Consumer::<Progress>::new(&log, Start::Earliest).expect("the broker serves");
    let mut town = Town::new(&log, kills * EVENT_TIME_A_KILL_MS + CHUNKS_AFTER * CHUNK_MS);
    for kill in 0..kills {
        let life = LIFE_MIN + (LIFE_MAX - LIFE_MIN).mul_f64(plant::noise::uniform(seed, 0, kill));
        let begun = Instant::now();
        while let Some(left) = life.checked_sub(begun.elapsed()) {
            town.live_on();
            std::thread::sleep(left.min(CHUNK_PAUSE));
            assert!(run.runs(), "the pipeline ended:\n{}", run.told());
        }
        for (_, said) in progress.poll(Duration::ZERO, 10_000).expect("the broker serves") {
            let said = said.expect("progress can be read").expect("progress is no tombstone");
            town.remember(&said);
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
    judge(&log, &mut run, &town);
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text}: give a number")))
}
