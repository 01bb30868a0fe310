//! What the tests of this folder carry out.

use schemas::{Allocation, Decision, EventTime, Noun, WorkloadId};

/// A decision of the simulated fleet, taken at `second`, that grants `cores` and 2 GiB and expires a minute later.
pub(super) fn decision(workload: &str, second: u64, cores: f64) -> Decision {
    let golden = include_bytes!("../../../../../schemas/golden/decisions.v1.json");
    let time = EventTime::from_millis(second * 1_000);
    let workload = WorkloadId::new(workload).expect("a plain name");
    Decision {
        decision: Decision::id(&workload, time).expect("a short name"),
        time,
        sequence: time.millis(),
        expires: time.plus(60_000),
        workload,
        orchestrator: "simulated".to_owned(),
        granted: Allocation::new(cores, 2_147_483_648.0),
        ..Decision::from_json(golden).expect("the golden decision")
    }
}
