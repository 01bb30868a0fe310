//! What a workload has been given.

use serde::{Deserialize, Serialize};

/// Limits of one instance: CPU in cores, memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allocation {
    /// CPU limit, cores; fractions allowed.
    pub cpu_cores: f64,
    /// Memory limit, bytes.
    pub memory_bytes: f64,
}

impl Allocation {
    /// Both parts times `ratio`.
    #[must_use]
    pub fn scaled(self, ratio: f64) -> Self {
        Self { cpu_cores: self.cpu_cores * ratio, memory_bytes: self.memory_bytes * ratio }
    }

    /// The smaller of each part.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self { cpu_cores: self.cpu_cores.min(other.cpu_cores), memory_bytes: self.memory_bytes.min(other.memory_bytes) }
    }

    /// The larger of each part.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { cpu_cores: self.cpu_cores.max(other.cpu_cores), memory_bytes: self.memory_bytes.max(other.memory_bytes) }
    }
}
