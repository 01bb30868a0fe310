//! Every setting of the binary: defaults, then the file, then the environment, then flags.

use std::path::PathBuf;

use anyhow::Context;
use dataflow::EngineSettings;
use profiler::ProfilerSettings;
use query::HistorySettings;
use schemas::Span;
use serde::{Deserialize, Serialize};
use topics::{EmbeddedSettings, KafkaSettings};

use crate::cli::Common;

/// All settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Name of the worker group: one running pipeline each. Default main. Output progress is kept under it.
    pub(crate) group: String,
    /// How many partitions topics get that are made at the start. Default 4; existing topics stay as they are.
    pub(crate) partitions: u32,
    /// After how long without records a partition of the samples no longer holds the others back. Default 5s.
    pub(crate) idle_after: Span,
    /// The connection to Kafka.
    pub(crate) kafka: KafkaSettings,
    /// The embedded log, which stands in for Kafka where a folder is named.
    pub(crate) embedded: Embedded,
    /// The dataflow and the decision law.
    pub(crate) engine: EngineSettings,
    /// The profiler.
    pub(crate) profiler: ProfilerSettings,
    /// History as Parquet.
    pub(crate) history: History,
}

/// The embedded log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Embedded {
    /// The folder; none stands for Kafka.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) folder: Option<PathBuf>,
    /// Its bounds.
    #[serde(flatten)]
    pub(crate) log: EmbeddedSettings,
}

/// History.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct History {
    /// The folder; none writes no history.
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
            history: History::default(),
        }
    }
}

impl Settings {
    /// Loads the settings that a command line asks for.
    pub(crate) fn load(common: &Common) -> anyhow::Result<Self> {
        let mut settings = match &common.settings {
            Some(path) => toml::from_str(&std::fs::read_to_string(path).context(path.display().to_string())?)?,
            None => Self::default(),
        };
        if let Some(brokers) = &common.brokers {
            settings.kafka.brokers.clone_from(brokers);
        }
        if let Some(folder) = &common.embedded {
            settings.embedded.folder = Some(folder.clone());
        }
        Ok(settings)
    }
}
