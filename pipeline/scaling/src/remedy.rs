//! What is done about a workload's anomalies: what its policy allows, how often, and for how long.
//!
//! An alert names what would help, best first. The first of it that the policy allows, and that was not taken too often of
//! late, is taken; everything else is left to people. What is taken ends by itself: it is in force for a while from the
//! newest alert that took it. [`Treatment`](crate::Treatment) is how decisions follow it.
//!
//! | remediation | while it is in force |
//! |---|---|
//! | `raise_memory` | memory is kept above the working set by [`memory_bump`](ScalingSettings::memory_bump) |
//! | `restart` | a decision has asked for a restart; it is not asked for again |
//! | `hold_down` | nothing is lowered |
//! | `hold_up` | nothing is raised on a forecast; what is needed now is granted all the same |
//!
//! State: at most one remedy a remediation, and the instants of the newest takings, at most
//! [`remedies_max`](ScalingSettings::remedies_max) a remediation. Cost: nothing while there is none.

use std::collections::{BTreeMap, VecDeque};

use schemas::{EventTime, Remediation, RemediationPolicy, Remedy};
use serde::{Deserialize, Serialize};

use crate::ScalingSettings;

/// A critical anomaly and what would help.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alert<'a> {
    /// The detector that raised it.
    pub detector: &'a str,
    /// Its sentence.
    pub evidence: &'a str,
    /// What would help, best first.
    pub helps: &'a [Remediation],
}

/// What is in force against one workload's anomalies, and how often something was taken of late.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Remedies {
    in_force: Vec<Remedy>,
    taken: BTreeMap<Remediation, VecDeque<EventTime>>,
}

impl Remedies {
    /// Takes what helps against an alert of this tick for `lasting_ms`, and says what; none when nothing is allowed, or
    /// nothing is allowed again yet. What is in force already goes on for as long from now on.
    pub fn take(
        &mut self,
        now: EventTime,
        alert: Alert<'_>,
        policy: &RemediationPolicy,
        lasting_ms: u64,
        settings: &ScalingSettings,
    ) -> Option<Remediation> {
        if lasting_ms == 0 {
            return None;
        }
        let mut allowed = alert.helps.iter().copied().filter(|help| policy.allows(*help));
        let taken = allowed.find(|help| self.note(*help, now, settings))?;
        let remedy = Remedy {
            remediation: taken,
            detector: alert.detector.to_owned(),
            since: now,
            until: now.plus(lasting_ms),
            evidence: alert.evidence.to_owned(),
        };
        match self.in_force.iter_mut().find(|held| held.remediation == taken && now < held.until) {
            Some(held) => *held = Remedy { since: held.since, ..remedy },
            None => {
                self.in_force.retain(|held| held.remediation != taken);
                self.in_force.push(remedy);
                self.in_force.sort_by_key(|held| held.remediation);
            }
        }
        Some(taken)
    }

    /// What is in force at a tick, in the order of [`Remediation`]; what is over is forgotten.
    pub fn at(&mut self, now: EventTime) -> &[Remedy] {
        self.in_force.retain(|held| now < held.until);
        &self.in_force
    }

    /// Notes one more taking, if the rate limit lets it through.
    fn note(&mut self, remediation: Remediation, now: EventTime, settings: &ScalingSettings) -> bool {
        let taken = self.taken.entry(remediation).or_default();
        while taken.front().is_some_and(|at| at.plus(settings.remedy_window.millis()) <= now) {
            taken.pop_front();
        }
        // Invariant: at most `remedies_max` are remembered.
        let allowed = taken.len() < settings.remedies_max as usize;
        if allowed {
            taken.push_back(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::Span;

    use super::*;

    const LASTING_MS: u64 = 600_000;

    fn at(seconds: u64) -> EventTime {
        EventTime::from_millis(seconds * 1000)
    }

    fn leak(helps: &[Remediation]) -> Alert<'_> {
        Alert { detector: "leak", evidence: "it rises", helps }
    }

    fn settings(remedies_max: u32) -> ScalingSettings {
        ScalingSettings { remedies_max, remedy_window: Span::from_secs(3600), ..ScalingSettings::default() }
    }

    #[test]
    fn the_best_that_is_allowed_is_taken() {
        let helps = [Remediation::RaiseMemory, Remediation::Restart, Remediation::HoldDown];
        let taken = |policy| Remedies::default().take(at(0), leak(&helps), &policy, LASTING_MS, &settings(4));
        assert_eq!(taken(RemediationPolicy::ACT), Some(Remediation::RaiseMemory));
        assert_eq!(taken(RemediationPolicy::default()), Some(Remediation::HoldDown));
        assert_eq!(taken(RemediationPolicy::ALERT_ONLY), None);
    }

    #[test]
    fn what_was_taken_too_often_gives_way_to_the_next() {
        let helps = [Remediation::RaiseMemory, Remediation::Restart];
        let mut remedies = Remedies::default();
        let mut take =
            |second| remedies.take(at(second), leak(&helps), &RemediationPolicy::ACT, LASTING_MS, &settings(2));
        let taken: Vec<_> = [0, 1200, 2400, 3000, 3500, 3600].map(&mut take).into();
        let (memory, restart) = (Some(Remediation::RaiseMemory), Some(Remediation::Restart));
        // Two of each within an hour; the first has left the hour at 3600 s.
        assert_eq!(taken, [memory, memory, restart, restart, None, memory]);
    }

    #[test]
    fn a_remedy_goes_on_from_the_newest_alert_and_ends_by_itself() {
        let mut remedies = Remedies::default();
        let hold = [Remediation::HoldDown];
        let take = |remedies: &mut Remedies, second| {
            remedies.take(at(second), leak(&hold), &RemediationPolicy::default(), LASTING_MS, &settings(6))
        };
        take(&mut remedies, 0);
        take(&mut remedies, 100);
        assert_eq!(
            remedies.at(at(699)).iter().map(|held| (held.since, held.until)).collect::<Vec<_>>(),
            [(at(0), at(700))]
        );
        assert!(remedies.at(at(700)).is_empty());
        take(&mut remedies, 800);
        assert_eq!(remedies.at(at(800))[0].since, at(800), "another one");
    }

    #[test]
    fn no_time_is_no_remedy() {
        let taken = Remedies::default().take(
            at(0),
            leak(&[Remediation::HoldDown]),
            &RemediationPolicy::default(),
            0,
            &settings(6),
        );
        assert_eq!(taken, None);
    }

    proptest! {
        #[test]
        fn the_rate_limit_holds_in_every_window(
            gaps_s in prop::collection::vec(0_u64..2000, 1..200), remedies_max in 0_u32..5,
        ) {
            let helps = [Remediation::RaiseMemory, Remediation::HoldDown];
            let (mut remedies, mut second, mut taken) = (Remedies::default(), 0, Vec::new());
            for gap in gaps_s {
                second += gap;
                let policy = RemediationPolicy::ACT;
                taken.extend(
                    remedies
                        .take(at(second), leak(&helps), &policy, LASTING_MS, &settings(remedies_max))
                        .map(|remediation| (second, remediation)),
                );
                prop_assert!(remedies.at(at(second)).len() <= helps.len());
            }
            for &(from, remediation) in &taken {
                let within = |&&(second, other): &&(u64, Remediation)| {
                    other == remediation && (from..from + 3600).contains(&second)
                };
                prop_assert!(taken.iter().filter(within).count() <= remedies_max as usize);
            }
            prop_assert!(remedies.at(at(second + 600)).is_empty(), "all end by themselves");
        }
    }
}
