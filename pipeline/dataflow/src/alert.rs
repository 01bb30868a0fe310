//! An alert on its way to where it is settled: a finding as a record, and what may be done about it.
//!
//! | kind | suggested | what would help, best first, when it is critical |
//! |---|---|---|
//! | spike, oscillation | `hold_down` | `hold_down` |
//! | seasonal, divergence | `investigate` | `hold_down` |
//! | leak | `restart` | `raise_memory`, `restart`, `hold_down` |
//! | stuck-at | `investigate` | `hold_up`: what is forecast from a reading that hangs is worth nothing |
//! | saturation of memory | `raise_memory` | `raise_memory` |
//! | saturation of CPU, level shift | `investigate` | nothing: it is raised in any case, and may be lowered |
//! | novelty | `investigate` | nothing: that it is new says not what it is |
//! | residual above the forecast | `investigate` | nothing: what is needed now is granted, and the window holds it |
//! | residual below the forecast | `hold_up` | `hold_up` |
//!
//! Of what would help, the first that the workload's policy allows is taken: see `scaling::remedy`. Holding down is allowed by
//! default, so it stands only where a lowering would be a mistake: a step down to a lower level is none.

use anomaly::{Finding, Kind, Signal};
use schemas::Remediation::{HoldDown, HoldUp, Investigate, RaiseMemory, Restart};
use schemas::{Anomaly, EventTime, Metric, Remediation, RemediationPolicy, Role, Severity, V1};
use serde::{Deserialize, Serialize};

use crate::records::Pair;

/// An anomaly that is not settled yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Alert {
    pub(crate) anomaly: Box<Anomaly>,
    /// The workload's number with its worker.
    pub(crate) slot: usize,
    /// Best first; empty where nothing would, or it is not critical.
    pub(crate) helps: Vec<Remediation>,
    /// What the workload's owner allows.
    pub(crate) policy: RemediationPolicy,
}

impl Alert {
    /// A finding about a pair at a tick. Nothing may be done about a workload without a record.
    pub(crate) fn of(pair: &Pair, tick: u64, about: Signal, finding: Finding) -> Self {
        let (role, metric) = seen(about);
        let severity = match finding.severity() {
            anomaly::Severity::Warning => Severity::Warning,
            anomaly::Severity::Critical => Severity::Critical,
        };
        let (suggested, helps) = remediation(about, &finding);
        let policy = pair.record.as_ref().map_or(RemediationPolicy::ALERT_ONLY, |record| record.remediation);
        let anomaly = Anomaly {
            version: V1,
            time: EventTime::from_millis(tick),
            tenant: pair.tenant.clone(),
            workload: pair.workload.clone(),
            role,
            metric,
            detector: detector(finding.kind).to_owned(),
            severity,
            score: finding.score,
            threshold: finding.threshold,
            observed: finding.observed,
            expected: finding.expected,
            evidence: finding.evidence,
            suggested,
            taken: None,
        };
        let helps = if severity == Severity::Critical { helps.to_vec() } else { Vec::new() };
        Self { anomaly: Box::new(anomaly), slot: pair.slot, helps, policy }
    }
}

const fn seen(about: Signal) -> (Option<Role>, Option<Metric>) {
    match about {
        Signal::Demand => (Some(Role::Primary), Some(Metric::CpuUsed)),
        Signal::Latency => (Some(Role::Primary), Some(Metric::LatencyP99)),
        Signal::Memory => (Some(Role::Primary), Some(Metric::MemoryWorkingSet)),
        Signal::Amplification => (Some(Role::Shadow), Some(Metric::Requests)),
        Signal::Allocation => (None, None),
        Signal::Requests => (Some(Role::Primary), Some(Metric::Requests)),
        Signal::Errors => (Some(Role::Primary), Some(Metric::Errors)),
        Signal::Network => (Some(Role::Primary), Some(Metric::NetworkReceive)),
        Signal::Disk => (Some(Role::Primary), Some(Metric::DiskRead)),
        Signal::ShadowCost => (Some(Role::Shadow), Some(Metric::CpuUsed)),
    }
}

const fn detector(kind: Kind) -> &'static str {
    match kind {
        Kind::Spike => "spike",
        Kind::SeasonalOutlier => "seasonal",
        Kind::Divergence => "divergence",
        Kind::Leak => "leak",
        Kind::Oscillation => "oscillation",
        Kind::StuckAt => "stuck-at",
        Kind::Saturation => "saturation",
        Kind::LevelShift => "level-shift",
        Kind::Residual => "residual",
        Kind::Novelty => "novelty",
    }
}

/// What to suggest, and what would help: the table above.
fn remediation(about: Signal, finding: &Finding) -> (Remediation, &'static [Remediation]) {
    let sunk = finding.expected.is_some_and(|expected| finding.observed < expected);
    match (finding.kind, about) {
        (Kind::Spike | Kind::Oscillation, _) => (HoldDown, &[HoldDown]),
        (Kind::SeasonalOutlier | Kind::Divergence, _) => (Investigate, &[HoldDown]),
        (Kind::StuckAt, _) => (Investigate, &[HoldUp]),
        (Kind::Leak, _) => (Restart, &[RaiseMemory, Restart, HoldDown]),
        (Kind::Saturation, Signal::Memory) => (RaiseMemory, &[RaiseMemory]),
        (Kind::Residual, _) if sunk => (HoldUp, &[HoldUp]),
        (Kind::Saturation | Kind::LevelShift | Kind::Residual | Kind::Novelty, _) => (Investigate, &[]),
    }
}

#[cfg(test)]
mod tests {
    use schemas::{TenantId, WorkloadId};

    use super::*;

    /// An alert about a workload without a record; the threshold is 5.
    fn alert(kind: Kind, about: Signal, score: f64, (observed, expected): (f64, f64)) -> Alert {
        let pair = Pair::new(0, TenantId::default(), WorkloadId::new("web").expect("a name"));
        let finding = Finding {
            kind,
            time_ms: 0,
            score,
            threshold: 5.0,
            expected: Some(expected),
            observed,
            evidence: String::new(),
        };
        Alert::of(&pair, 1000, about, finding)
    }

    #[test]
    fn only_what_is_critical_asks_for_help() {
        assert!(alert(Kind::Leak, Signal::Memory, 10.0, (2.0, 1.0)).helps.is_empty());
        let critical = alert(Kind::Leak, Signal::Memory, 11.0, (2.0, 1.0));
        assert_eq!(critical.helps, [RaiseMemory, Restart, HoldDown]);
        assert_eq!(critical.policy, RemediationPolicy::ALERT_ONLY, "without a record nothing is allowed");
        assert_eq!((critical.anomaly.suggested, critical.anomaly.taken), (Restart, None));
    }

    #[test]
    fn the_side_of_a_residual_and_the_resource_of_a_saturation_decide() {
        let of = |kind, about, values| {
            let alert = alert(kind, about, 11.0, values);
            (alert.anomaly.suggested, alert.helps)
        };
        assert_eq!(of(Kind::Residual, Signal::Demand, (9.0, 4.0)), (Investigate, vec![]));
        assert_eq!(of(Kind::Residual, Signal::Demand, (1.0, 4.0)), (HoldUp, vec![HoldUp]));
        assert_eq!(of(Kind::Saturation, Signal::Memory, (4.0, 3.9)), (RaiseMemory, vec![RaiseMemory]));
        assert_eq!(of(Kind::Saturation, Signal::Demand, (4.0, 3.9)), (Investigate, vec![]));
    }
}
