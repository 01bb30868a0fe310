//! What a user may tune about the profiler.

use std::path::PathBuf;

use schemars::JsonSchema;
use schemas::{SourceId, Span};
use serde::{Deserialize, Serialize};

/// Settings of the profiler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProfilerSettings {
    /// How often instances are sampled. Default 100ms: ten readings in the default tick of one second. Safe range 50ms
    /// to 60s: below, the kernel's own accounting steps (4 to 10 ms) would dominate the rates.
    pub interval: Span,
    /// How often instances are looked for. Default 5s: a new instance is seen within it, and the walk over control
    /// groups and processes, the dearest thing that the profiler does, stays rare. Safe range 1s to 5m.
    pub discover_every: Span,
    /// Under which name samples are published; each machine needs its own. By default the machine's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceId>,
    /// Where the machine's processes are mounted. Default `/proc`; in a container often `/host/proc`.
    pub proc_root: PathBuf,
    /// Below which folder control groups are mounted. Default `/sys/fs/cgroup`.
    pub cgroup_root: PathBuf,
    /// How many instances are sampled at most, the first in order; those left out are counted and warned about.
    /// Default 4096: each holds up to a dozen open files and a few kilobytes. 1 to 65536.
    pub instances_max: usize,
    /// Whether the machine itself is sampled too, as workload `host`. Default false.
    pub host: bool,
}

impl Default for ProfilerSettings {
    fn default() -> Self {
        Self {
            interval: Span::from_millis(100),
            discover_every: Span::from_secs(5),
            source: None,
            proc_root: "/proc".into(),
            cgroup_root: "/sys/fs/cgroup".into(),
            instances_max: 4096,
            host: false,
        }
    }
}

impl ProfilerSettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name, and its mend. Empty when they
    /// can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let checks = [
            ((50..=60_000).contains(&self.interval.millis()), "interval must lie in 50ms to 1m, such as \"100ms\""),
            (
                (1_000..=300_000).contains(&self.discover_every.millis()),
                "discover_every must lie in 1s to 5m, such as \"5s\"",
            ),
            ((1..=INSTANCES_LIMIT).contains(&self.instances_max), "instances_max must lie in 1 to 65536"),
            (self.proc_root.is_absolute(), "proc_root must be an absolute path, such as /proc"),
            (self.cgroup_root.is_absolute(), "cgroup_root must be an absolute path, such as /sys/fs/cgroup"),
        ];
        checks.iter().filter(|(holds, _)| !holds).map(|(_, fault)| (*fault).to_owned()).collect()
    }
}

/// Bound on `instances_max`: the kernel's own bound on control groups of one controller.
const INSTANCES_LIMIT: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_used() {
        assert_eq!(ProfilerSettings::default().faults(), Vec::<String>::new());
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let settings = ProfilerSettings {
            interval: Span::from_millis(49),
            discover_every: Span::from_millis(0),
            proc_root: "proc".into(),
            instances_max: 0,
            ..ProfilerSettings::default()
        };
        let faults = settings.faults();
        assert_eq!(faults.len(), 4, "{faults:?}");
        assert!(faults[0].contains("interval"), "{faults:?}");
    }

    #[test]
    fn unknown_settings_are_refused() {
        let json = r#"{"interval": "50ms", "intervall": "1s"}"#;
        let error = serde_json::from_str::<ProfilerSettings>(json).expect_err("a typing error");
        assert!(error.to_string().contains("intervall"), "{error}");
        let settings: ProfilerSettings = serde_json::from_str(r#"{"interval": "50ms"}"#).expect("known settings");
        assert_eq!(settings.interval.millis(), 50);
    }
}
