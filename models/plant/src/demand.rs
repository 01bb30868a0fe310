//! Demand: the least allocation that would have met the SLO.

use crate::queueing::demand_cores;
use crate::{Allocation, PlantSpec};

/// The least allocation that meets the SLO at a steady `load` requests/s, with nothing leaked and nothing waiting.
///
/// The yardstick of every score: supply above it is slack, supply below it is unmet demand.
/// [`crate::Plant::demand`] adds what that one instance has leaked so far.
pub fn demand(spec: &PlantSpec, load: f64) -> Allocation {
    Allocation { cpu_cores: demand_cores(spec, load), memory_bytes: spec.memory_bytes(load) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo_fleet;

    #[test]
    fn an_idle_workload_still_demands_its_fixed_part() {
        for member in demo_fleet() {
            let idle = demand(&member.spec, 0.0);
            assert_eq!(idle.cpu_cores, member.spec.cpu_fixed_cores);
            assert_eq!(idle.memory_bytes, member.spec.memory_fixed_bytes);
        }
    }
}
