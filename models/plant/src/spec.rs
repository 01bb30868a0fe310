//! What a workload is made of: the constants of the model.

use serde::{Deserialize, Serialize};

use crate::ScaleDown;
use crate::queueing::SERVICE_P99_FACTOR;

/// One kind of program, at any allocation.
///
/// For a batch job a *request* is one item of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlantSpec {
    /// Mean CPU time of one request, core-seconds (D). Above zero.
    pub cpu_seconds_per_request: f64,
    /// CPU that runs whatever the load (runtime, health checks), cores.
    pub cpu_fixed_cores: f64,
    /// Most requests in service at once (threads). CPU beyond this many cores, plus the fixed ones, helps nobody.
    pub max_parallelism: u32,
    /// How uneven arrivals and request costs are: (Ca² + Cs²) / 2, the squared coefficients of variation of the
    /// times between arrivals and of the service. 1 is Poisson arrivals with exponential service; real web traffic
    /// is 2 to 5.
    pub burstiness: f64,

    /// Memory after start with no load, bytes.
    pub memory_fixed_bytes: f64,
    /// Memory per request/s being served (sessions, buffers, warm heap), bytes.
    pub memory_per_request_rate_bytes: f64,
    /// Memory of one request that waits in the backlog, bytes.
    pub memory_per_queued_request_bytes: f64,
    /// Memory lost per hour at full load share and returned only by a restart, bytes.
    pub leak_bytes_per_hour: f64,
    /// How long a restart after an OOM kill serves nobody, seconds.
    pub memory_oom_restart_seconds: f64,

    /// The promise: p99 latency at or below this, seconds.
    pub slo_latency_seconds: f64,
    /// p99 latency of a lone request at one core or more, seconds. At least ln 100 times
    /// `cpu_seconds_per_request`, the p99 of its CPU part.
    pub base_latency_seconds: f64,
    /// Most requests that wait; any more are refused and counted as errors.
    pub queue_limit_requests: f64,

    /// What one request moves.
    pub bytes: PerRequestBytes,
    /// What the disk gives at most, bytes/s; sets the I/O pressure.
    pub disk_bytes_per_second_max: f64,

    /// From a request for an allocation to its being usable, milliseconds.
    pub actuation_delay_ms: u64,
    /// Whether lowering waits for that delay too.
    pub scale_down: ScaleDown,
}

/// Bytes moved by one request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerRequestBytes {
    /// Read from disk.
    pub disk_read: f64,
    /// Written to disk.
    pub disk_write: f64,
    /// Received from the network.
    pub network_receive: f64,
    /// Sent to the network.
    pub network_transmit: f64,
}

impl PlantSpec {
    /// What makes this specification meaningless, all of it at once; empty when it is sound.
    pub fn faults(&self) -> Vec<&'static str> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let service_p99_seconds = SERVICE_P99_FACTOR * self.cpu_seconds_per_request;
        let rules = [
            (positive(self.cpu_seconds_per_request), "cpu_seconds_per_request must be above 0"),
            (self.cpu_fixed_cores >= 0.0, "cpu_fixed_cores must be 0 or more"),
            (self.max_parallelism > 0, "max_parallelism must be 1 or more"),
            (positive(self.burstiness), "burstiness must be above 0"),
            (positive(self.memory_fixed_bytes), "memory_fixed_bytes must be above 0"),
            (self.memory_per_request_rate_bytes >= 0.0, "memory_per_request_rate_bytes must be 0 or more"),
            (self.memory_per_queued_request_bytes >= 0.0, "memory_per_queued_request_bytes must be 0 or more"),
            (self.leak_bytes_per_hour >= 0.0, "leak_bytes_per_hour must be 0 or more"),
            (self.memory_oom_restart_seconds >= 0.0, "memory_oom_restart_seconds must be 0 or more"),
            (
                self.base_latency_seconds >= service_p99_seconds,
                "base_latency_seconds must be at least 4.61 times cpu_seconds_per_request",
            ),
            (
                self.slo_latency_seconds > self.base_latency_seconds,
                "slo_latency_seconds must be above base_latency_seconds: no allocation could meet it",
            ),
            (self.queue_limit_requests >= 0.0, "queue_limit_requests must be 0 or more"),
            (positive(self.disk_bytes_per_second_max), "disk_bytes_per_second_max must be above 0"),
        ];
        rules.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }

    /// Memory that `load` requests/s need with nothing waiting and nothing leaked, bytes.
    pub(crate) fn memory_bytes(&self, load: f64) -> f64 {
        self.memory_fixed_bytes + self.memory_per_request_rate_bytes * load
    }
}

#[cfg(test)]
mod tests {
    use crate::demo_fleet;

    #[test]
    fn every_fault_is_reported_at_once() {
        let mut spec = demo_fleet()[0].spec.clone();
        assert_eq!(spec.faults(), Vec::<&str>::new());
        spec.burstiness = f64::NAN;
        spec.max_parallelism = 0;
        spec.slo_latency_seconds = spec.base_latency_seconds;
        let faults = spec.faults();
        assert_eq!(faults.len(), 3, "{faults:?}");
    }
}
