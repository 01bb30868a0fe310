//! A sample: one reading of one instance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Bytes, BytesPerSecond, Cores, EventTime, InstanceId, Metric, PerSecond, Ratio, ReadingFault, Seconds, TenantId, V1,
    WorkloadId,
};

/// What an instance is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The deployed instance that serves.
    #[default]
    Primary,
    /// The smaller copy of the same version under a mirrored share of the requests.
    Shadow,
    /// The copy of a new version.
    Canary,
    /// The copy of the running version beside a canary, of the same size.
    Baseline,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Primary, Self::Shadow, Self::Canary, Self::Baseline];

    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Shadow => "shadow",
            Self::Canary => "canary",
            Self::Baseline => "baseline",
        }
    }

    /// The role of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// One reading of one instance at one instant; readings that were not taken are `None`.
///
/// In JSON only `workload` must be given: `time` falls back to the log's time of the record, `instance` to the
/// workload's name, `tenant` to `default` and `role` to `primary`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Version of the record.
    #[serde(default)]
    pub version: V1,
    /// When the reading was taken; [`EventTime::default`] while unknown.
    #[serde(default)]
    pub time: EventTime,
    /// Who owns the workload.
    #[serde(default)]
    pub tenant: TenantId,
    /// The workload.
    pub workload: WorkloadId,
    /// The running copy that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// What the instance is for.
    #[serde(default)]
    pub role: Role,
    /// CPU used since the reading before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_used_cores: Option<Cores>,
    /// CPU that the instance may use at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit_cores: Option<Cores>,
    /// Share of scheduling periods in which the instance was throttled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_throttled_ratio: Option<Ratio>,
    /// Memory that cannot be reclaimed without pain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_working_set_bytes: Option<Bytes>,
    /// Memory at which the instance is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<Bytes>,
    /// Bytes read from block devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_read_bytes_per_second: Option<BytesPerSecond>,
    /// Bytes written to block devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_write_bytes_per_second: Option<BytesPerSecond>,
    /// Bytes received from the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_receive_bytes_per_second: Option<BytesPerSecond>,
    /// Bytes sent to the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_transmit_bytes_per_second: Option<BytesPerSecond>,
    /// Share of time in which some task waited for CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_pressure_ratio: Option<Ratio>,
    /// Share of time in which some task waited for memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_pressure_ratio: Option<Ratio>,
    /// Share of time in which some task waited for I/O.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_pressure_ratio: Option<Ratio>,
    /// Requests served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<PerSecond>,
    /// Requests that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors_per_second: Option<PerSecond>,
    /// Requests that took longer than the workload's promise of latency. Unlike a percentile they add up over time, so that few
    /// requests a second can be judged as well as many. Whoever counts them tells the percentile of the same requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_per_second: Option<PerSecond>,
    /// Requests that might have been mirrored, whatever the share: those of routes that are, and no larger than a copy may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirrorable_per_second: Option<PerSecond>,
    /// The 99th percentile of the latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_p99_seconds: Option<Seconds>,
    /// Share of its machine's CPU time that is used, by whomever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_cpu_used_ratio: Option<Ratio>,
    /// Share of its machine's CPU time that the hypervisor gave to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_cpu_stolen_ratio: Option<Ratio>,
}

impl Sample {
    /// A sample of a primary without readings.
    #[must_use]
    pub fn new(time: EventTime, workload: WorkloadId) -> Self {
        Self {
            version: V1,
            time,
            tenant: TenantId::default(),
            workload,
            instance: None,
            role: Role::Primary,
            cpu_used_cores: None,
            cpu_limit_cores: None,
            cpu_throttled_ratio: None,
            memory_working_set_bytes: None,
            memory_limit_bytes: None,
            disk_read_bytes_per_second: None,
            disk_write_bytes_per_second: None,
            network_receive_bytes_per_second: None,
            network_transmit_bytes_per_second: None,
            cpu_pressure_ratio: None,
            memory_pressure_ratio: None,
            io_pressure_ratio: None,
            requests_per_second: None,
            errors_per_second: None,
            late_per_second: None,
            mirrorable_per_second: None,
            latency_p99_seconds: None,
            host_cpu_used_ratio: None,
            host_cpu_stolen_ratio: None,
        }
    }

    /// The running copy's name: the workload's where none was given.
    #[must_use]
    pub fn instance_name(&self) -> &str {
        self.instance.as_ref().map_or(self.workload.as_str(), InstanceId::as_str)
    }

    /// Checks every reading that was taken.
    ///
    /// # Errors
    /// The first [`ReadingFault`], in column order.
    pub fn check(&self) -> Result<(), ReadingFault> {
        Metric::ALL.iter().try_for_each(|&metric| self.reading(metric).map_or(Ok(()), |value| metric.check(value)))
    }
}
