//! What a user may tune about decisions.

use schemars::JsonSchema;
use schemas::{Resource, Span};
use serde::{Deserialize, Serialize};

/// Settings of the decision law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScalingSettings {
    /// Share of the allocation that may lie idle before it is taken back. Default 0.15, half as much again as the least
    /// raise, so that a raise is not taken back for a little less; lower saves more and changes more often: over the demo's
    /// day 0.1 costs 0.6 % less and changes 7 % more. Safe range 0.02 to 0.5.
    pub scale_down_threshold: f64,
    /// Least raise, as a share of the allocation: a forecast that asks for less is not followed, and what is needed now is
    /// granted with so much at least. Default 0.1, as the HPA's tolerance; lower raises by smaller steps and more often.
    /// Safe range 0 to 0.2.
    pub scale_up_tolerance: f64,
    /// How long after a raise a forecast alone raises no further; what is needed now is never held back. Default 60s, the
    /// dwell that a forecast's horizon has beyond the actuation delay. Safe range 0 to 5m.
    pub raise_rest: Span,
    /// How long less must have been wanted before it is taken back; the largest wish of this window counts. Default
    /// 5m, as the HPA's; shorter follows valleys and risks thrashing. Safe range 1m to 1h.
    pub stabilisation: Span,
    /// The same for memory. Default 24h, the span of the VPA's memory peaks: too little memory kills, and what was
    /// needed an hour ago is needed again. Safe range 1h to 8d.
    pub memory_stabilisation: Span,
    /// How often a workload may be scaled down within `churn_window`. Default 6; 0 to 1000, and 0 never scales down.
    /// Scaling up is never held back.
    pub churn_changes_max: u32,
    /// The window of the churn budget. Default 1h; longer makes the budget tighter. Safe range 10m to 1d.
    pub churn_window: Span,
    /// Age of the newest reading from which signals count as stale and nothing is lowered. Default 15s: more than any
    /// scrape interval in use, less than a demand spike. Safe range 2s to 5m.
    pub stale_after: Span,
    /// Margin over the memory working set below which memory is never sized. Default 0.15, the VPA's margin;
    /// lower saves memory and risks kills. Safe range 0.05 to 1.
    pub memory_margin: f64,
    /// How much memory is raised above what is needed now when it is about to run out, as a share, and where the workload's
    /// policy allows it. Default 0.2, the VPA's after an OOM kill; higher survives steeper rises. Safe range 0.1 to 1.
    pub memory_bump: f64,
    /// How often each remediation of anomalies may be taken for a workload within `remedy_window`. Default 6: with a
    /// quarantine of ten minutes the whole hour; 0 to 1000, and 0 takes none.
    pub remedies_max: u32,
    /// The window of `remedies_max`. Default 1h; longer takes fewer. Safe range 10m to 1d.
    pub remedy_window: Span,
    /// How long a decision may be carried out after its tick. Default 60s: adapters have read it long before, and
    /// a stale scale-down is not applied. Safe range 10s to 10m.
    pub decision_ttl: Span,
}

impl Default for ScalingSettings {
    fn default() -> Self {
        Self {
            scale_down_threshold: 0.15,
            scale_up_tolerance: 0.1,
            raise_rest: Span::from_secs(60),
            stabilisation: Span::from_secs(300),
            memory_stabilisation: Span::from_secs(86_400),
            churn_changes_max: 6,
            churn_window: Span::from_secs(3600),
            stale_after: Span::from_secs(15),
            memory_margin: 0.15,
            memory_bump: 0.2,
            remedies_max: 6,
            remedy_window: Span::from_secs(3600),
            decision_ttl: Span::from_secs(60),
        }
    }
}

impl ScalingSettings {
    /// The stabilisation window of a resource, in milliseconds.
    #[must_use]
    pub const fn stabilisation_ms(&self, resource: Resource) -> u64 {
        match resource {
            Resource::Cpu => self.stabilisation.millis(),
            Resource::Memory => self.memory_stabilisation.millis(),
        }
    }

    /// What is wrong with the settings: every fault, which begins with the setting's name, and its mend. Empty when they
    /// can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let checks = [
            ((0.0..1.0).contains(&self.scale_down_threshold), "scale_down_threshold must lie in [0, 1), such as 0.1"),
            ((0.0..1.0).contains(&self.scale_up_tolerance), "scale_up_tolerance must lie in [0, 1), such as 0.1"),
            (
                self.memory_margin.is_finite() && self.memory_margin >= 0.0,
                "memory_margin must be 0 or more, such as 0.15",
            ),
            (self.memory_bump.is_finite() && self.memory_bump >= 0.0, "memory_bump must be 0 or more, such as 0.2"),
            (self.remedies_max <= REMEDIES_LIMIT, "remedies_max must be at most 1000, such as 6"),
            (self.churn_changes_max <= CHURN_CHANGES_LIMIT, "churn_changes_max must be at most 1000, such as 6"),
            (self.stale_after.millis() > 0, "stale_after must be above zero, such as \"15s\""),
            (self.decision_ttl.millis() > 0, "decision_ttl must be above zero, such as \"60s\""),
        ];
        checks.iter().filter(|(holds, _)| !holds).map(|(_, fault)| (*fault).to_owned()).collect()
    }
}

/// Bound on the remembered changes of one workload: what `churn_changes_max` may be at most.
const CHURN_CHANGES_LIMIT: u32 = 1000;

/// Bound on the remembered takings of one remediation: what `remedies_max` may be at most.
const REMEDIES_LIMIT: u32 = 1000;
