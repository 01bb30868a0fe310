//! What is remembered of one workload from tick to tick.

use schemas::{Allocation, DecisionId, EventTime, Mode, Outcome, Reason};
use serde::{Deserialize, Serialize};

use crate::hysteresis::{ChurnBudget, Stabiliser};
use crate::{Signals, Treatment};

/// The state of one workload under the law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Controller {
    /// What is granted: in force, or on its way.
    pub target: Allocation,
    /// The newest signals; none before the first.
    pub signals: Option<Signals>,
    /// Whether its decisions are carried out: they are not where it is only watched.
    pub acted_on: bool,
    /// The decision that no adapter has answered yet, and when it expires.
    pub pending: Option<(DecisionId, EventTime)>,
    /// When the last decision was refused or failed; none once one came through.
    pub lost_at: Option<EventTime>,
    /// When it was last raised; none before.
    pub raised_at: Option<EventTime>,
    /// What was last reported to be in force.
    pub in_force: Allocation,
    /// The reason of the last recorded hold, so that a hold is recorded only when its reason changes.
    pub held_for: Option<Reason>,
    /// The largest wishes of the stabilisation window.
    pub stabiliser: Stabiliser,
    /// How often it was lowered of late.
    pub churn: ChurnBudget,
    /// What is in force against its anomalies.
    pub treatment: Treatment,
}

impl Controller {
    /// A workload as it was found.
    #[must_use]
    pub fn found(allocation: Allocation) -> Self {
        Self {
            target: allocation,
            signals: None,
            acted_on: false,
            pending: None,
            lost_at: None,
            raised_at: None,
            in_force: allocation,
            held_for: None,
            stabiliser: Stabiliser::default(),
            churn: ChurnBudget::default(),
            treatment: Treatment::default(),
        }
    }

    /// Takes in what an adapter did. A lost decision puts the target back to what is in force.
    pub fn report(&mut self, outcome: &Outcome) {
        self.in_force = outcome.in_force;
        let Some((pending, _)) = &self.pending else { return };
        if *pending != outcome.decision {
            return;
        }
        self.pending = None;
        self.lost_at = outcome.status.lost().then_some(outcome.time);
        if outcome.status.lost() {
            self.target = outcome.in_force;
        }
    }

    /// What it has of the pool: what it is granted, or, while it is only watched, what is in force.
    #[must_use]
    pub fn held(&self) -> Allocation {
        if self.acted_on { self.target } else { self.in_force }
    }

    /// Whether the adapter is left alone for a while: asking again at once would only repeat its answer.
    #[must_use]
    pub fn backs_off(&self, now: EventTime, for_ms: u64) -> bool {
        self.lost_at.is_some_and(|lost_at| now < lost_at.plus(for_ms))
    }

    /// Follows the mode. While a workload was only watched its target was what it would have had: from the first decision that
    /// counts on it is what it has.
    pub fn follow_mode(&mut self) {
        let Some(signals) = &self.signals else { return };
        let acted_on = signals.workload.mode == Mode::Act;
        if acted_on != self.acted_on {
            self.target = self.in_force;
            self.stabiliser.restart();
        }
        self.acted_on = acted_on;
    }

    /// Gives up a decision that expired without an answer.
    pub fn expire(&mut self, now: EventTime) {
        if self.pending.as_ref().is_some_and(|(_, expires)| *expires < now) {
            self.pending = None;
            self.target = self.in_force;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use schemas::{Money, PoolId, Profile, Ratio, V1, Workload, WorkloadId};

    use super::*;
    use crate::Signal;

    /// A workload of 0.5 to 8 cores in steps of a quarter.
    pub(crate) fn workload(name: &str) -> Workload {
        Workload {
            version: V1,
            time: EventTime::default(),
            workload: WorkloadId::new(name).expect("a name"),
            tenant: schemas::TenantId::default(),
            orchestrator: "simulated".to_owned(),
            target: String::new(),
            revision: None,
            selector: schemas::Selector::default(),
            pool: PoolId::new("pool").expect("a name"),
            profile: Profile::Service,
            allocation: Allocation::new(1.0, 1e9),
            min: Allocation::new(0.5, 0.5e9),
            max: Allocation::new(8.0, 8e9),
            step: Allocation::new(0.25, 0.25e9),
            slo_latency_p99: None,
            unmet_cost: Money::new(9.0),
            idle_cost: Money::new(1.0),
            priority: 0,
            interruptible: false,
            shadow: None,
            probe: None,
            mode: schemas::Mode::Act,
            pause: schemas::Pause::default(),
            remediation: schemas::RemediationPolicy::default(),
            learning: schemas::Learning::default(),
        }
    }

    /// Signals with a CPU floor and forecast, and memory in balance at 1 GB.
    pub(crate) fn signals(name: &str, floor: Option<f64>, forecast: Option<f64>) -> Signals {
        Signals {
            workload: Arc::new(workload(name)),
            read_at: Some(EventTime::default()),
            horizon_ms: 60_000,
            actuation_delay_ms: None,
            knee: Ratio::new(0.7),
            knee_from_shadow: false,
            cpu: Signal { floor, forecast, demand: floor, ..Signal::default() },
            memory: Signal { floor: Some(1e9), demand: Some(1e9), ..Signal::default() },
            remedies: Vec::new(),
            rollout: None,
            probe: None,
            shadow: None,
        }
    }
}
