//! Every setting of the binary: defaults in code, then the file, then the environment, then flags.
//!
//! The structs and their doc comments are the reference: [`known`] reads them through their JSON Schema, [`layers`]
//! checks what is set against it, [`mod@reference`] prints it.

mod fault;
mod known;
mod layers;
mod reference;

use std::path::PathBuf;

use dataflow::EngineSettings;
use mirror::MirrorSettings;
use profiler::ProfilerSettings;
use query::HistorySettings;
use schemars::JsonSchema;
use schemas::Span;
use serde::{Deserialize, Serialize};
use topics::{EmbeddedSettings, KafkaSettings};

use crate::cli::Common;
use fault::{Fault, Place, refuse};
pub(crate) use known::schema;
pub(crate) use layers::Loaded;
pub(crate) use reference::{effective, masked, reference};

/// Foreshadow's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Name of the worker group: one running pipeline each. Default `main`; letters, digits, `.`, `_` and `-`. How far
    /// the outputs reach is kept under it, so another name begins anew.
    pub(crate) group: String,
    /// How many partitions topics get that are made at the start. Default 4, 1 to 10000; existing topics stay as they
    /// are. More partitions let more workers read at once.
    pub(crate) partitions: u32,
    /// After how long without records a partition of the samples no longer holds the others back. Default 5s; shorter
    /// decides sooner when a producer stops, and calls slow producers late. Safe range 1s to 1m.
    pub(crate) idle_after: Span,
    /// The connection to Kafka.
    pub(crate) kafka: KafkaSettings,
    /// The embedded log, which stands in for Kafka where a folder is named.
    pub(crate) embedded: Embedded,
    /// The dataflow and the decision law.
    pub(crate) engine: EngineSettings,
    /// The profiler, which samples the workloads of a machine.
    pub(crate) profiler: ProfilerSettings,
    /// The mirror, which lets a shadow see a share of the requests: its bounds, and the local policy.
    pub(crate) mirror: MirrorSettings,
    /// History: every topic as Parquet files.
    pub(crate) history: History,
    /// Snapshots of what the dataflow remembers, so that a restart is quick.
    pub(crate) snapshots: Snapshots,
}

/// Snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Snapshots {
    /// The folder that they are kept in. By default none, and a restart reads the inputs from their oldest records. How often
    /// one is made is `engine.snapshot_every`; where history is written too, a restart begins at history's last slot, since
    /// that has to be written again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) folder: Option<PathBuf>,
}

/// The embedded log. That unknown keys are refused is [`layers`]' work: serde cannot do it beside a flattened field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Embedded {
    /// The folder of the log. By default none, and Kafka is used. One process has it open at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) folder: Option<PathBuf>,
    /// Its bounds.
    #[serde(flatten)]
    pub(crate) log: EmbeddedSettings,
}

/// History. Unknown keys as in [`Embedded`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct History {
    /// The folder that history is written to and queries read. By default none, and no history is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) folder: Option<PathBuf>,
    /// How it is cut.
    #[serde(flatten)]
    pub(crate) cut: HistorySettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            group: "main".to_owned(),
            partitions: 4,
            idle_after: Span::from_secs(5),
            kafka: KafkaSettings::default(),
            embedded: Embedded::default(),
            engine: EngineSettings::default(),
            profiler: ProfilerSettings::default(),
            mirror: MirrorSettings::default(),
            history: History::default(),
            snapshots: Snapshots::default(),
        }
    }
}

impl Settings {
    /// Loads the settings that a command line asks for.
    ///
    /// # Errors
    /// As [`Loaded::of`].
    pub(crate) fn load(common: &Common) -> anyhow::Result<Self> {
        Ok(Loaded::of(common, std::env::vars_os())?.settings)
    }

    /// Checks settings again after a command has set fields of them by flags of its own: pairs of a key and its flag,
    /// such as `("engine.workers", "--workers")`.
    ///
    /// # Errors
    /// Every fault, each with its flag.
    pub(crate) fn check(&self, flags: &[(&str, &'static str)]) -> anyhow::Result<()> {
        refuse(self.faults_at(|key| flags.iter().find(|(set, _)| *set == key).map(|(_, flag)| Place::Flag(flag))))
    }

    /// Every value that cannot be used, with the place that a key was set at.
    fn faults_at(&self, place: impl Fn(&str) -> Option<Place>) -> Vec<Fault> {
        let at = |text: String| {
            let key = text.split([' ', ':']).next().unwrap_or_default();
            Fault { place: place(key).unwrap_or(Place::Default), text }
        };
        self.faults().into_iter().map(at).collect()
    }

    /// Every value that cannot be used; each fault begins with the setting's key.
    fn faults(&self) -> Vec<String> {
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let group = (1..=GROUP_BYTES_MAX).contains(&self.group.len()) && self.group.chars().all(legal);
        let whole = |folder: &Option<PathBuf>| folder.as_ref().is_none_or(|folder| !folder.as_os_str().is_empty());
        let checks = [
            (group, "group must be 1 to 128 letters, digits, '.', '_' and '-', such as main"),
            ((1..=PARTITIONS_MAX).contains(&self.partitions), "partitions must lie in 1 to 10000, such as 4"),
            (self.idle_after.millis() > 0, "idle_after must be above zero, such as \"5s\""),
            (whole(&self.embedded.folder), "embedded.folder is empty: name a folder, or leave it out"),
            (whole(&self.history.folder), "history.folder is empty: name a folder, or leave it out"),
            (whole(&self.snapshots.folder), "snapshots.folder is empty: name a folder, or leave it out"),
        ];
        let sections = [
            ("kafka", self.kafka.faults()),
            ("embedded", self.embedded.log.faults()),
            ("engine", self.engine.faults()),
            ("profiler", self.profiler.faults()),
            ("mirror", self.mirror.faults()),
            ("history", self.history.cut.faults()),
        ];
        let own = checks.iter().filter(|(holds, _)| !holds).map(|(_, fault)| (*fault).to_owned());
        let theirs =
            sections.iter().flat_map(|(section, faults)| faults.iter().map(move |fault| format!("{section}.{fault}")));
        own.chain(theirs).collect()
    }
}

/// Bound on a group's name: with a namespace it must fit into a transactional id and a file's name.
const GROUP_BYTES_MAX: usize = 128;

/// Bound on the partitions of a new topic: beyond it brokers slow down before readers gain.
const PARTITIONS_MAX: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_used() {
        assert_eq!(Settings::default().faults(), Vec::<String>::new());
    }

    #[test]
    fn a_fault_of_a_commands_flag_names_the_flag() {
        let mut settings = Settings::default();
        settings.engine.workers = 0;
        let error = settings.check(&[("engine.workers", "--workers")]).expect_err("no workers").to_string();
        assert_eq!(error, "--workers: engine.workers must lie in 1 to 64");
    }
}
