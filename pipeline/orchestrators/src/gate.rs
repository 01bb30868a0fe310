//! What every adapter checks before it acts. A decision is refused rather than carried out late, twice or out of order.

use std::collections::BTreeMap;

use schemas::{Decision, EventTime, Mode, Status, WorkloadId};

/// Largest step up that is carried out, as a multiple of the allocation: a forged or broken decision must not take
/// the whole cluster at once.
const STEP_RATIO_MAX: f64 = 16.0;

/// Sequences that were carried out: one number a workload.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    carried_out: BTreeMap<WorkloadId, u64>,
}

impl Gate {
    /// Lets a decision through once, or says why not.
    ///
    /// # Errors
    /// The status and the reason to report.
    pub fn admit(&mut self, decision: &Decision, now: EventTime) -> Result<(), (Status, String)> {
        if now > decision.expires {
            return Err((Status::Expired, format!("it expired at {}", decision.expires)));
        }
        if decision.mode != Mode::Act {
            return Err((Status::Refused, "the workload's mode is not `act`".to_owned()));
        }
        if let Some(last) = self.carried_out.get(&decision.workload)
            && decision.sequence <= *last
        {
            return Err((Status::Stale, format!("sequence {} is not above {last}", decision.sequence)));
        }
        let (held, granted) = (decision.current.cpu_cores.get(), decision.granted.cpu_cores.get());
        if granted > STEP_RATIO_MAX * held {
            return Err((
                Status::Refused,
                format!("from {held:.2} to {granted:.2} cores in one step is more than ×{STEP_RATIO_MAX}"),
            ));
        }
        self.carried_out.insert(decision.workload.clone(), decision.sequence);
        Ok(())
    }
}
