//! What can be done about an anomaly, what of it a workload's owner allows, and what is in force.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::EventTime;

/// What helps against an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Remediation {
    /// Raise memory above the working set.
    RaiseMemory,
    /// Restart the instance before it is killed.
    Restart,
    /// Stop scaling down for a while.
    HoldDown,
    /// Look at it.
    Investigate,
    /// Stop raising on a forecast for a while; what is needed now is granted all the same.
    HoldUp,
}

/// What Foreshadow may do by itself about a critical anomaly of a workload. What it may not do is only suggested.
///
/// By default it holds scaling down, and no more. With every field false it alerts only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RemediationPolicy {
    /// Raise memory above the working set for a while, when it is about to run out or leaks fast.
    pub raise_memory: bool,
    /// Ask for a restart in a decision; no adapter restarts anything by itself.
    pub restart: bool,
    /// Stop scaling down for a while. Default true.
    pub hold_down: bool,
    /// Stop raising on a forecast for a while, when the forecast is what went wrong.
    pub hold_up: bool,
}

impl Default for RemediationPolicy {
    fn default() -> Self {
        Self { hold_down: true, ..Self::ALERT_ONLY }
    }
}

impl RemediationPolicy {
    /// Nothing is done, people are told.
    pub const ALERT_ONLY: Self = Self { raise_memory: false, restart: false, hold_down: false, hold_up: false };

    /// Everything that there is.
    pub const ACT: Self = Self { raise_memory: true, restart: true, hold_down: true, hold_up: true };

    /// Whether it may be done; to look at it is for people.
    #[must_use]
    pub const fn allows(&self, remediation: Remediation) -> bool {
        match remediation {
            Remediation::RaiseMemory => self.raise_memory,
            Remediation::Restart => self.restart,
            Remediation::HoldDown => self.hold_down,
            Remediation::HoldUp => self.hold_up,
            Remediation::Investigate => false,
        }
    }
}

/// A remediation in force: a decision that rests on it says so. It ends by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    /// What is done.
    pub remediation: Remediation,
    /// The detector of the anomaly that it was taken for.
    pub detector: String,
    /// The tick of that anomaly.
    pub since: EventTime,
    /// The first instant at which it is over; in a decision of that instant or later, it has just ended.
    pub until: EventTime,
    /// The anomaly's sentence.
    pub evidence: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_what_it_says_and_holding_down_is_what_it_says_nothing_of() {
        let policy = |json: &str| serde_json::from_str::<RemediationPolicy>(json);
        assert_eq!(policy("{}").expect("all have defaults"), RemediationPolicy::default());
        assert!(policy("{}").expect("all have defaults").allows(Remediation::HoldDown));
        let bump = policy(r#"{"raise_memory": true, "hold_down": false}"#).expect("known fields");
        assert_eq!(bump, RemediationPolicy { raise_memory: true, ..RemediationPolicy::ALERT_ONLY });
        assert!(policy(r#"{"reboot": true}"#).is_err());
        assert!(!RemediationPolicy::ACT.allows(Remediation::Investigate));
    }
}
