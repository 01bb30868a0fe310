//! Retraining and the registry, by the commands that users type, against a real Kafka.

#![allow(clippy::disallowed_methods, reason = "an edge test: it waits for real processes on the machine's clock")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use end_to_end::binary::foreshadow;
use end_to_end::broker;
use schemas::Model;
use topics::{Kafka, KafkaSettings};

/// A training that ends within seconds: 16 workloads, 60 steps.
const SHORT: [&str; 14] = [
    "retrain",
    "--synthetic",
    "5",
    "--workloads",
    "16",
    "--hidden",
    "8",
    "--steps",
    "60",
    "--examples",
    "2000",
    "--batch",
    "64",
    "--champion",
];

struct Desk {
    folder: PathBuf,
    settings: PathBuf,
    kafka: Kafka,
}

impl Desk {
    fn new(folder: &Path) -> Self {
        let broker = broker::shared();
        let namespace = format!("retrain-{}.", std::process::id());
        let settings = folder.join("settings.toml");
        let text = format!("[kafka]\nbrokers = \"{}\"\nnamespace = \"{namespace}\"\n", broker.brokers());
        fs::write(&settings, text).expect("the folder can be written");
        let of = KafkaSettings { brokers: broker.brokers(), namespace, ..KafkaSettings::default() };
        Self { folder: folder.to_owned(), settings, kafka: Kafka::connect(of).expect("the broker is up") }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = foreshadow();
        command.current_dir(&self.folder).arg("--settings").arg(&self.settings).args(arguments);
        command.output().expect("the binary runs")
    }

    /// What it says on standard output.
    fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// What it complains of.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} was not refused");
        String::from_utf8(output.stderr).expect("text")
    }

    /// The champion by the rule of the registry: the latest time.
    fn champion(&self) -> Option<Model> {
        let models = topics::latest::<Model>(&self.kafka).expect("the topic can be read").nouns;
        models.into_values().filter(|model| model.champion).max_by_key(|model| model.time)
    }
}

#[test]
fn a_model_is_trained_published_promoted_and_rolled_back() {
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let desk = Desk::new(folder.path());

    // Beside the blend of the other experts: the first is published as the champion.
    let first = [&SHORT[..], &["none", "--out", "first.safetensors", "--publish"]].concat();
    let said = desk.said(&first);
    assert!(said.contains("\nwins: "), "{said}");
    let champion = desk.champion().expect("one was published");
    let bytes = fs::read(folder.path().join("first.safetensors")).expect("it was written");
    assert_eq!(champion.carried(), Ok(bytes.clone()), "the record carries the artifact");
    assert!(champion.scores["loss"] < champion.scores["loss_of_blend"], "{:?}", champion.scores);

    // The same training again is the same artifact, and no better than itself: it is refused.
    let again = [&SHORT[..], &["first.safetensors", "--out", "again.safetensors", "--publish"]].concat();
    let said = desk.said(&again);
    assert!(said.contains("\nrefused: "), "{said}");
    assert_eq!(fs::read(folder.path().join("again.safetensors")).expect("it was written"), bytes);
    assert_eq!(desk.champion().as_ref(), Some(&champion), "the champion stays");
    let said = desk.said(&["retrain", "--reproduce", "first.safetensors"]);
    assert!(said.contains("reproduced, byte for byte"), "{said}");

    // Another seed is another model, which a person may promote whatever its verdict.
    let second = [&SHORT[..], &["none", "--out", "second.safetensors", "--seed", "2"]].concat();
    desk.said(&second);
    // Whoever wins beside another has not won beside the one that serves.
    let complaint = desk.refused(&[&second[..], &["--publish"]].concat());
    assert!(
        complaint.contains("--champion none: ") && complaint.contains(" serves: leave --champion out"),
        "{complaint}"
    );
    desk.said(&["models", "promote", "second.safetensors"]);
    let promoted = desk.champion().expect("one was promoted");
    assert!(promoted.sha256 != champion.sha256 && promoted.time > champion.time);
    let table = desk.said(&["models", "list"]);
    assert!(table.contains(promoted.model.as_str()) && table.contains(champion.model.as_str()), "{table}");

    // What was changed on its way is refused, and the champion stays.
    let mut rotten = bytes.clone();
    *rotten.last_mut().expect("it has bytes") ^= 1;
    fs::write(folder.path().join("first.safetensors"), &rotten).expect("the folder can be written");
    let complaint = desk.refused(&["models", "promote", "first.safetensors"]);
    assert!(complaint.contains("is the record of another artifact"), "{complaint}");
    fs::write(folder.path().join("cut.safetensors"), &bytes[..bytes.len() / 2]).expect("the folder can be written");
    let complaint = desk.refused(&["models", "promote", "cut.safetensors"]);
    assert!(complaint.contains("cut.safetensors cannot serve: it is not a whole safetensors file"), "{complaint}");
    assert_eq!(desk.champion().map(|model| model.sha256), Some(promoted.sha256.clone()));

    let said = desk.said(&["models", "rollback"]);
    let back = desk.champion().expect("one serves");
    assert!(back.carried().is_ok() && back.sha256 == champion.sha256, "{said}");
    assert!(back.time > promoted.time);
}
