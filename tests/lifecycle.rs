//! A model's whole life on the demonstration's fleet, against a real broker: its history is kept, a model is trained on it
//! and takes over while the pipeline runs on, forecasts name it from its tick on, and an engine that reads the log once
//! more says the same, byte for byte.

#![allow(clippy::disallowed_methods, reason = "an edge test: it waits for real processes on the machine's clock")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dataflow::EngineSettings;
use end_to_end::binary::{Process, foreshadow};
use end_to_end::broker;
use end_to_end::fixtures::now;
use end_to_end::verdict::{assert_replayed, end, forecasters, wait_for};
use orchestrators::{Adapter, Simulated};
use schemas::{EventTime, Model, SourceId, Span, Topic};
use topics::{Delivery, Kafka, KafkaSettings, Log, Outgoing, Writer};

const MINUTE_MS: u64 = 60_000;
/// Event time that is learnt from: enough that a part of it can be held out beyond the longest horizon of an hour.
const HISTORY_MS: u64 = 6 * 60 * MINUTE_MS;
/// Event time after it, in whose middle the model takes over.
const REST_MS: u64 = 10 * MINUTE_MS;
/// Event time that goes in before the outputs are waited for.
const LEG_MS: u64 = 30 * MINUTE_MS;
/// Samples of a message, and steps of the plants.
const CHUNK_MS: u64 = 10_000;
const STEP_MS: u64 = 1_000;
/// How far outputs may end behind the samples: lateness, and what no later sample closes.
const BEHIND_MS: u64 = MINUTE_MS;
/// Longest wait for the end of a pipeline, which writes history's last slot.
const END_MAX: Duration = Duration::from_secs(20);

#[test]
fn the_demos_own_history_trains_a_model_that_takes_over() {
    let broker = broker::shared();
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let namespace = format!("lifecycle-{}.", std::process::id());
    let text = format!(
        "[kafka]\nbrokers = \"{}\"\nnamespace = \"{namespace}\"\n[engine]\nfeatures_every = \"60s\"\n\
         forecasts_every = \"10s\"\n",
        broker.brokers()
    );
    std::fs::write(folder.path().join("settings.toml"), text).expect("the folder can be written");
    let engine = EngineSettings {
        features_every: Span::from_secs(60),
        forecasts_every: Span::from_secs(10),
        ..EngineSettings::default()
    };
    let kafka = KafkaSettings { brokers: broker.brokers(), namespace, ..KafkaSettings::default() };
    let log = Kafka::connect(kafka).expect("the broker serves");
    log.ensure(Topic::ALL, 1).expect("topics can be made");

    let begin = now().minus(HISTORY_MS + REST_MS).tick(MINUTE_MS);
    let learnt = begin.plus(HISTORY_MS);
    let takes_over = learnt.plus(REST_MS / 2);
    let mut fleet = Fleet::new(&log, begin);
    let mut run = pipeline(folder.path());
    fleet.live_until(learnt, &log, &run);
    assert!(run.terminate(END_MAX), "it ends when it is asked to:\n{}", run.told());

    let verdict = said(folder.path(), &["retrain", "--history", "history", "--champion", "none"], &SHORT);
    assert!(verdict.contains("wins: ") || verdict.contains("refused: "), "{verdict}");
    let at = takes_over.millis().to_string();
    // A person may promote it, whatever a verdict on so short a life was.
    said(folder.path(), &["models", "promote", "own.safetensors"], &["--at", &at]);
    let own = topics::latest::<Model>(&log).expect("the topic can be read").nouns.into_values().next();
    let own = own.expect("it was published");
    assert!(own.trained_from >= begin && own.trained_to <= learnt, "{} to {}", own.trained_from, own.trained_to);

    let mut run = pipeline(folder.path());
    fleet.live_until(learnt.plus(REST_MS), &log, &run);
    let published = end(&log, &mut run);
    assert_replayed(&log, &engine, &published);

    let of = |from: EventTime, until: EventTime| {
        let mut found = forecasters(&log, from, until);
        assert!(found.len() > 100, "forecasts from {from} to {until}: {}", found.len());
        found.sort_unstable();
        found.dedup();
        found
    };
    let before = of(learnt, takes_over);
    assert!(before.len() == 1 && before[0].starts_with("experts-2+shipped@"), "{before:?}");
    // The last steps that began under the shipped one close within a step.
    let after = of(takes_over.plus(2 * engine.step.millis()), learnt.plus(REST_MS - BEHIND_MS));
    assert_eq!(after, [format!("experts-2+{}", own.name())]);
}

/// A training that ends within seconds.
const SHORT: [&str; 10] =
    ["--hidden", "8", "--steps", "60", "--examples", "4000", "--batch", "64", "--out", "own.safetensors"];

/// The demonstration's fleet, whose samples are written as fast as they are read.
struct Fleet {
    plants: Simulated,
    writer: Box<dyn Writer>,
    source: SourceId,
    now: EventTime,
}

impl Fleet {
    fn new(log: &dyn Log, begin: EventTime) -> Self {
        let plants = Simulated::new(plant::demo_fleet(), 1).expect("the demonstration's names are names");
        let mut writer = log.writer(Delivery::Idempotent).expect("the broker serves");
        let (workloads, pools) = plants.inventory(begin);
        let inventory: Vec<_> = pools.iter().map(Outgoing::of).chain(workloads.iter().map(Outgoing::of)).collect();
        writer.append(&inventory).expect("the broker serves");
        Self { plants, writer, source: SourceId::new("fleet").expect("a name"), now: begin }
    }

    /// Lives on, leg by leg, each until the pipeline has seen it.
    fn live_until(&mut self, until: EventTime, log: &dyn Log, run: &Process) {
        while self.now < until {
            let leg = self.now.plus(LEG_MS).min(until);
            while self.now < leg {
                let steps = (0..CHUNK_MS / STEP_MS).map(|step| self.now.plus(step * STEP_MS));
                let samples: Vec<_> = steps.flat_map(|from| self.plants.step(from, STEP_MS)).collect();
                self.now = self.now.plus(CHUNK_MS);
                let message = Outgoing::samples(&self.source, self.now, &samples);
                self.writer.append(&[message]).expect("the broker serves");
            }
            wait_for(log, leg.minus(BEHIND_MS), run);
        }
    }
}

fn pipeline(folder: &Path) -> Process {
    let mut command = in_folder(folder);
    command.args(["run", "--workers=2", "--history=history"]);
    Process::start(command, &folder.join("run.log"))
}

/// What a command says on standard output.
fn said(folder: &Path, arguments: &[&str], more: &[&str]) -> String {
    let output = in_folder(folder).args(arguments).args(more).output().expect("the binary runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn in_folder(folder: &Path) -> Command {
    let mut command = foreshadow();
    command.current_dir(folder).args(["--settings", "settings.toml"]);
    command
}
