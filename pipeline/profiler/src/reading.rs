//! What a source says at one instant: cumulative counters and gauges, before they become rates.
//!
//! What warns first, CPU and memory, is read [`Often`], at each tick. What moves slowly (limits), comes in bursts (disk,
//! network), or is noise over a tenth of a second (pressure) is read [`Seldom`], about once a second, and the last
//! reading stands in the samples between. A reading of one file costs 1 to 2 µs and up, so this halves the cost.

use crate::disk::Transfer;
use crate::network::Traffic;
use crate::pressure::Stalls;

/// Read at each tick.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Often {
    /// CPU used so far, in nanoseconds.
    pub(crate) cpu_used_ns: Option<u64>,
    /// Scheduling periods so far: those throttled, and all.
    pub(crate) cpu_throttled: Option<(u64, u64)>,
    /// Memory that cannot be reclaimed without pain.
    pub(crate) memory_working_set_bytes: Option<u64>,
}

impl Often {
    /// What is missing here is taken from `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            cpu_used_ns: self.cpu_used_ns.or(other.cpu_used_ns),
            cpu_throttled: self.cpu_throttled.or(other.cpu_throttled),
            memory_working_set_bytes: self.memory_working_set_bytes.or(other.memory_working_set_bytes),
        }
    }
}

/// Read about once a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Seldom {
    /// CPU that may be used at most, in cores.
    pub(crate) cpu_limit_cores: Option<f64>,
    /// Memory that may be used at most.
    pub(crate) memory_limit_bytes: Option<u64>,
    /// Bytes moved to and from block devices so far.
    pub(crate) disk: Option<Transfer>,
    /// Bytes received and sent so far.
    pub(crate) network: Option<Traffic>,
    /// Time so far in which some task waited.
    pub(crate) stalls: Stalls,
}

impl Seldom {
    /// What is missing here is taken from `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            cpu_limit_cores: self.cpu_limit_cores.or(other.cpu_limit_cores),
            memory_limit_bytes: self.memory_limit_bytes.or(other.memory_limit_bytes),
            disk: self.disk.or(other.disk),
            network: self.network.or(other.network),
            stalls: self.stalls.or(other.stalls),
        }
    }
}
