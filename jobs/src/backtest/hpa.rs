//! The law of the Kubernetes horizontal pod autoscaler (HPA) on CPU.
//!
//! ```text
//! ratio   = usage / (replicas ready · replica's CPU · target utilisation)
//! desired = ceil(usage / (replica's CPU · target utilisation))         unless |ratio - 1| ≤ 10 %
//! ```
//!
//! every 15 s. Down only to the highest recommendation of the last 300 s; up by at most the larger of 100 % and 4 replicas
//! a round. Replicas on their way count as idle in a ratio above 1, so they stop a second step for the same need. Without
//! a reading nothing is decided. These constants are the documented defaults; target and replica are the owner's.
//!
//! A plant is all replicas together, so a replica is a slice of it: CPU and memory rise and fall as one, within the bounds.
//!
//! State: the readings' sums and at most [`RECOMMENDATIONS_MAX`] recommendations. Cost: O(recommendations) a round.

use std::collections::VecDeque;

use plant::{Allocation, FleetMember, Reading};
use schemas::EventTime;

use super::Peer;
use super::usage::{Usage, Used};

/// Time between rounds.
const LOOP_MS: u64 = 15_000;

/// Ratios this near to 1 change nothing.
const TOLERANCE: f64 = 0.1;

/// A recommendation to shrink must have held for so long.
const DOWN_STABILISATION_MS: u64 = 300_000;

/// Recommendations within the stabilisation window, both ends included.
const RECOMMENDATIONS_MAX: usize = (DOWN_STABILISATION_MS / LOOP_MS) as usize + 1;

/// Replicas that may always be added in a round, however few there are.
const UP_REPLICAS: u32 = 4;

/// The utilisation most often asked for; higher ones leave no room for the delay of a start.
const TARGET_UTILISATION: f64 = 0.7;

/// CPU of a replica in the demo: small enough that rounding up wastes little.
const REPLICA_CORES: f64 = 0.5;

/// Rounding errors up to here do not buy a replica.
const ROUNDING: f64 = 1e-9;

/// What an owner gives the autoscaler.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HpaSettings {
    /// CPU usage over the request that is aimed at, 0..1.
    pub target_utilisation: f64,
    /// What one replica is given.
    pub replica: Allocation,
    /// Least for all replicas together; its CPU says how many there are at least.
    pub min: Allocation,
    /// Most for all replicas together; its CPU says how many there are at most.
    pub max: Allocation,
}

impl HpaSettings {
    /// What a careful owner would give: replicas of half a core, with memory in the proportion of the allocation that the
    /// workload starts with, and never less memory than that one's: the law does not see memory, and an instance that is
    /// killed again and again reports no CPU to act on.
    #[must_use]
    pub fn of_member(member: &FleetMember) -> Self {
        let replica = member.initial.scaled(REPLICA_CORES / member.initial.cpu_cores);
        let min = Allocation { memory_bytes: member.initial.memory_bytes, ..member.min };
        Self { target_utilisation: TARGET_UTILISATION, replica, min, max: member.max }
    }

    /// Fewest and most replicas.
    fn replicas(&self) -> (u32, u32) {
        let count = |bound: Allocation| bound.cpu_cores / self.replica.cpu_cores;
        let fewest = (count(self.min) - ROUNDING).ceil().max(1.0) as u32;
        (fewest, ((count(self.max) + ROUNDING) as u32).max(fewest))
    }

    fn allocation(&self, replicas: u32) -> Allocation {
        self.replica.scaled(f64::from(replicas)).max(self.min).min(self.max)
    }
}

/// The horizontal autoscaler of one workload.
#[derive(Clone, Debug)]
pub struct Hpa {
    settings: HpaSettings,
    usage: Usage,
    next_round: EventTime,
    /// Invariant: times rise, and none is older than the stabilisation window.
    recommendations: VecDeque<(EventTime, u32)>,
}

impl Hpa {
    /// An autoscaler whose first round is at its first reading.
    #[must_use]
    pub fn new(settings: HpaSettings) -> Self {
        Self {
            settings,
            usage: Usage::default(),
            next_round: EventTime::default(),
            recommendations: VecDeque::with_capacity(RECOMMENDATIONS_MAX),
        }
    }

    fn replicas(&self, allocation: Allocation) -> u32 {
        (allocation.cpu_cores / self.settings.replica.cpu_cores).round().max(1.0) as u32
    }

    fn recommended(&self, used: &Used, replicas: u32) -> u32 {
        let per_replica_cores = self.settings.replica.cpu_cores * self.settings.target_utilisation;
        let ready_ratio = used.cpu_cores / (used.cpu_limit_cores * self.settings.target_utilisation);
        let ratio = if ready_ratio > 1.0 {
            // Never above `ready_ratio` while replicas are on their way; at or below 1 it stops the step.
            (used.cpu_cores / (f64::from(replicas) * per_replica_cores)).max(1.0)
        } else {
            ready_ratio
        };
        if (ratio - 1.0).abs() <= TOLERANCE {
            return replicas;
        }
        (used.cpu_cores / per_replica_cores - ROUNDING).ceil() as u32
    }

    /// The recommendation as far as the recent ones allow it to shrink. At the start the replicas that run count as
    /// recommended, so that a new autoscaler does not shrink at once.
    fn stabilised(&mut self, now: EventTime, recommended: u32, replicas: u32) -> u32 {
        let remembered = if self.recommendations.is_empty() { recommended.max(replicas) } else { recommended };
        self.recommendations.retain(|(at, _)| now.minus(DOWN_STABILISATION_MS) <= *at);
        self.recommendations.push_back((now, remembered));
        let highest = self.recommendations.iter().map(|(_, count)| *count).max().unwrap_or(recommended);
        recommended.max(replicas.min(highest))
    }
}

impl Peer for Hpa {
    fn name(&self) -> &'static str {
        "hpa"
    }

    fn observe(&mut self, _now: EventTime, reading: &Reading) {
        self.usage.add(reading);
    }

    fn decide(&mut self, now: EventTime, current: Allocation) -> Option<Allocation> {
        if now < self.next_round {
            return None;
        }
        self.next_round = now.plus(LOOP_MS);
        let used = self.usage.take()?;
        let replicas = self.replicas(current);
        let recommended = self.recommended(&used, replicas);
        let stabilised = self.stabilised(now, recommended, replicas);
        let reachable = stabilised.min((2 * replicas).max(replicas + UP_REPLICAS));
        let (fewest, most) = self.settings.replicas();
        let target = self.settings.allocation(reachable.clamp(fewest, most));
        (target != current).then_some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::super::usage::tests::reading;
    use super::*;

    const REPLICA: Allocation = Allocation { cpu_cores: 1.0, memory_bytes: 1e9 };

    fn hpa() -> Hpa {
        let (min, max) = (REPLICA.scaled(2.0), REPLICA.scaled(50.0));
        Hpa::new(HpaSettings { target_utilisation: 0.7, replica: REPLICA, min, max })
    }

    /// One round at `second` with `ready` replicas that use `cores` in all and `desired` ones asked for.
    fn round(hpa: &mut Hpa, second: u64, cores: f64, (ready, desired): (u32, u32)) -> Option<u32> {
        let now = EventTime::from_millis(second * 1_000);
        hpa.observe(now, &reading(cores, f64::from(ready), 0.0));
        let target = hpa.decide(now, REPLICA.scaled(f64::from(desired)))?;
        assert_eq!(target.memory_bytes, target.cpu_cores * 1e9, "memory comes with the replicas");
        Some(target.cpu_cores as u32)
    }

    #[test]
    fn replicas_follow_usage_outside_the_tolerance() {
        // 10 replicas at 0.7 aim at 7 cores. 7.6 is a ratio of 1.09, 8.4 one of 1.2 and 8.4 / 0.7 = 12 replicas.
        assert_eq!(round(&mut hpa(), 0, 7.6, (10, 10)), None);
        assert_eq!(round(&mut hpa(), 0, 8.4, (10, 10)), Some(12));
        // A tenth of a core more needs a thirteenth.
        assert_eq!(round(&mut hpa(), 0, 8.5, (10, 10)), Some(13));
    }

    #[test]
    fn growth_is_limited_to_twice_or_four_more_and_to_the_bounds() {
        // 3 replicas that use 30 cores want 43: four more is 7, twice is 6.
        assert_eq!(round(&mut hpa(), 0, 30.0, (3, 3)), Some(7));
        assert_eq!(round(&mut hpa(), 0, 30.0, (10, 10)), Some(20));
        assert_eq!(round(&mut hpa(), 0, 40.0, (40, 40)), Some(50));
    }

    #[test]
    fn replicas_on_their_way_are_not_asked_for_again() {
        // 10 ready use 10 cores: 15 are wanted. Once 15 are asked for, 10 / (15 · 0.7) = 0.95 stops a second step.
        assert_eq!(round(&mut hpa(), 0, 10.0, (10, 10)), Some(15));
        assert_eq!(round(&mut hpa(), 0, 10.0, (10, 15)), None);
        assert_eq!(round(&mut hpa(), 0, 10.0, (10, 30)), None);
    }

    #[test]
    fn shrinking_waits_for_the_whole_window() {
        let mut hpa = hpa();
        // 3.5 cores want 5 replicas, but 10 were right at 0 s; the round at 300 s still sees that, the next does not.
        for second in (0..=300).step_by(15) {
            assert_eq!(round(&mut hpa, second, 3.5, (10, 10)), None, "at {second} s");
        }
        assert_eq!(round(&mut hpa, 315, 3.5, (10, 10)), Some(5));
        assert_eq!(hpa.recommendations.len(), RECOMMENDATIONS_MAX);
    }

    #[test]
    fn rounds_are_fifteen_seconds_apart_and_nothing_known_is_nothing_done() {
        let mut hpa = hpa();
        assert_eq!(hpa.decide(EventTime::from_millis(0), REPLICA), None);
        assert_eq!(round(&mut hpa, 14, 2.1, (2, 2)), None);
        assert_eq!(round(&mut hpa, 15, 2.1, (2, 2)), Some(3));
        let starting = Reading { restarting: true, ..reading(0.0, 3.0, 0.0) };
        hpa.observe(EventTime::from_millis(400_000), &starting);
        assert_eq!(hpa.decide(EventTime::from_millis(400_000), REPLICA.scaled(3.0)), None);
    }

    #[test]
    fn a_member_stays_within_its_bounds() {
        let fleet = plant::demo_fleet();
        // web: 0.5 to 14 cores, and 6 GiB to 5 cores, of which it keeps 6 and may have 12.
        let web = HpaSettings::of_member(&fleet[0]);
        assert_eq!(web.replicas(), (1, 28));
        let gib = |replicas| (web.allocation(replicas).memory_bytes / 1_073_741_824.0 * 10.0).round() / 10.0;
        assert_eq!((gib(1), gib(10), gib(15), gib(28)), (6.0, 6.0, 9.0, 12.0));
        for settings in fleet.iter().map(HpaSettings::of_member) {
            let (fewest, most) = settings.replicas();
            for replicas in fewest..=most {
                let allocation = settings.allocation(replicas);
                assert_eq!(allocation.max(settings.min).min(settings.max), allocation);
            }
        }
    }
}
