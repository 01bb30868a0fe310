//! What one step shows of one instance.

use serde::{Deserialize, Serialize};

/// The figures of one interval; rates and shares are means over it.
///
/// `violated`, `oom` and `restarting` are the model's own truth, for scoring; a profiler would not see the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// CPU used, cores; at most the limit.
    pub cpu_used_cores: f64,
    /// CPU limit in force, cores.
    pub cpu_limit_cores: f64,
    /// Share of quota periods cut short: 0..1.
    pub throttled_ratio: f64,
    /// Memory in use at the end, bytes; at most the limit.
    pub memory_working_set_bytes: f64,
    /// Memory limit in force, bytes.
    pub memory_limit_bytes: f64,
    /// Disk reads, bytes/s.
    pub disk_read_bytes_per_second: f64,
    /// Disk writes, bytes/s.
    pub disk_write_bytes_per_second: f64,
    /// Network input, bytes/s.
    pub network_receive_bytes_per_second: f64,
    /// Network output, bytes/s.
    pub network_transmit_bytes_per_second: f64,
    /// Share of time in which some request waited for CPU: 0..1.
    pub cpu_pressure_ratio: f64,
    /// Share of time lost to reclaim: 0..1.
    pub memory_pressure_ratio: f64,
    /// Share of time in which some request waited for the disk: 0..1.
    pub io_pressure_ratio: f64,
    /// Requests that arrived, per second, whatever became of them.
    pub requests_per_second: f64,
    /// Requests refused or lost, per second.
    pub errors_per_second: f64,
    /// Requests that were completed later than the SLO, per second.
    pub late_per_second: f64,
    /// p99 latency of the interval's own requests, seconds; none when no request was completed.
    pub latency_p99_seconds: Option<f64>,
    /// Whether the instance was killed for memory in this interval.
    pub oom: bool,
    /// Whether it was starting again throughout.
    pub restarting: bool,
    /// Whether the SLO was missed: the steady state's p99 above it, requests lost, a growing backlog, an OOM kill or a restart.
    pub violated: bool,
}
