//! How decisions follow what is in force against a workload's anomalies, and what begins or ends with a tick.
//!
//! A memory bump is a loan: what was granted for it alone is given back once it is over, without waiting for the
//! stabilisation window, but never below what was held before or what the window needed.

use schemas::{Allocation, EventTime, Reason, Remediation, Remedy, Resource};
use serde::{Deserialize, Serialize};

use crate::{ScalingSettings, Signals};

/// Least bump: 100 MiB, as the VPA's, so that a small working set gets room as well.
const BUMP_BYTES_MIN: f64 = 100.0 * 1_048_576.0;

/// What a controller knows of the remedies of its workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Treatment {
    in_force: Vec<Remedy>,
    /// What memory is kept at while a bump is in force.
    memory_bytes: Option<f64>,
    /// What memory was held before the bump; none once nothing of it is left.
    before_bytes: Option<f64>,
}

/// What a tick has changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// The reason's code of what has begun or, failing that, ended.
    pub reason: Option<Reason>,
    /// What has ended.
    pub ended: Vec<Remedy>,
}

impl Treatment {
    /// Takes over what is in force at a tick, while `held` is allocated.
    pub fn follow(&mut self, now: EventTime, signals: &Signals, held: Allocation, settings: &ScalingSettings) -> News {
        if self.in_force.is_empty() && signals.remedies.is_empty() {
            return News::default();
        }
        let current: Vec<Remedy> = signals.remedies.iter().filter(|remedy| now < remedy.until).cloned().collect();
        let same = |a: &Remedy, b: &Remedy| a.remediation == b.remediation && a.since == b.since;
        let known = |remedies: &[Remedy], one: &Remedy| remedies.iter().any(|other| same(other, one));
        let begun = current.iter().find(|remedy| !known(&self.in_force, remedy));
        let ended: Vec<Remedy> = self.in_force.iter().filter(|held| !known(&current, held)).cloned().collect();
        let reason =
            begun.and_then(|remedy| begins(remedy.remediation)).or((!ended.is_empty()).then_some(Reason::RemedyEnded));
        self.bump(&current, signals, held, settings);
        self.in_force = current;
        News { reason, ended }
    }

    /// What is in force.
    #[must_use]
    pub fn in_force(&self) -> &[Remedy] {
        &self.in_force
    }

    /// Whether a remediation is in force.
    #[must_use]
    pub fn has(&self, remediation: Remediation) -> bool {
        self.in_force.iter().any(|remedy| remedy.remediation == remediation)
    }

    /// What memory is to be kept at; none without a bump.
    #[must_use]
    pub const fn memory_bytes(&self) -> Option<f64> {
        self.memory_bytes
    }

    /// What of an excess of memory over all that is needed was lent by a bump that is over. A loan of which nothing is left is
    /// forgotten.
    pub fn lent(&mut self, target: Allocation, excess: Allocation) -> f64 {
        let Some(before) = self.before_bytes.filter(|_| self.memory_bytes.is_none()) else { return 0.0 };
        let memory = Resource::Memory;
        let lent = (target.get(memory) - before).min(excess.get(memory)).max(0.0);
        if lent == 0.0 {
            self.before_bytes = None;
        }
        lent
    }

    /// Sizes a bump when it begins, and again when another alert prolongs it: it grows, and never shrinks while it lasts.
    fn bump(&mut self, current: &[Remedy], signals: &Signals, held: Allocation, settings: &ScalingSettings) {
        let bump = |remedies: &[Remedy]| {
            remedies.iter().find(|remedy| remedy.remediation == Remediation::RaiseMemory).cloned()
        };
        let Some(now) = bump(current) else {
            self.memory_bytes = None;
            return;
        };
        if bump(&self.in_force).is_some_and(|known| (known.since, known.until) == (now.since, now.until)) {
            return;
        }
        let needed = signals.memory.floor.or(signals.memory.demand);
        let asked = needed.map(|bytes| (bytes * (1.0 + settings.memory_bump)).max(bytes + BUMP_BYTES_MIN));
        if asked > self.memory_bytes {
            self.memory_bytes = asked;
        }
        self.before_bytes = self.before_bytes.or(Some(held.get(Resource::Memory)));
    }
}

const fn begins(remediation: Remediation) -> Option<Reason> {
    match remediation {
        Remediation::RaiseMemory => Some(Reason::MemoryBump),
        Remediation::Restart => Some(Reason::RestartSuggested),
        Remediation::HoldDown => Some(Reason::Quarantine),
        Remediation::HoldUp => Some(Reason::Freeze),
        Remediation::Investigate => None,
    }
}
