//! Whether less is allowed yet: stabilisation window and churn budget.

use std::collections::VecDeque;

use schemas::{Allocation, EventTime, Resource};
use serde::{Deserialize, Serialize};

/// The largest wish of a sliding window, per resource, in O(1) amortised a tick.
///
/// A monotonic deque per resource: only wishes that no later wish exceeds are kept. Bound: wishes are whole steps within
/// the workload's bounds, so a falling row of them has at most (max - min) / step + 1 entries, however long the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stabiliser {
    since: Option<EventTime>,
    wishes: [VecDeque<(EventTime, f64)>; 2],
}

impl Stabiliser {
    /// Notes the wish of a tick and forgets what is older than the window.
    pub fn note(&mut self, now: EventTime, window_ms: impl Fn(Resource) -> u64, wish: Allocation) {
        self.since.get_or_insert(now);
        for (resource, wishes) in Resource::ALL.into_iter().zip(&mut self.wishes) {
            let amount = wish.get(resource);
            while wishes.back().is_some_and(|(_, older)| *older <= amount) {
                wishes.pop_back();
            }
            wishes.push_back((now, amount));
            while wishes.front().is_some_and(|(at, _)| at.plus(window_ms(resource)) <= now) {
                wishes.pop_front();
            }
        }
    }

    /// Starts the window anew: after a gap the past says nothing about now.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// Whether the window has been seen whole.
    #[must_use]
    pub fn settled(&self, now: EventTime, window_ms: u64) -> bool {
        self.since.is_some_and(|since| since.plus(window_ms) <= now)
    }

    /// The largest wish of the window.
    #[must_use]
    pub fn largest(&self) -> Option<Allocation> {
        let [cpu, memory] = &self.wishes;
        Some(Allocation::new(cpu.front()?.1, memory.front()?.1))
    }
}

/// How often a workload was lowered of late: a sliding window of instants.
///
/// Bound: the budget itself, since nothing is noted beyond it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChurnBudget {
    changes: VecDeque<EventTime>,
}

impl ChurnBudget {
    /// Whether one more change is allowed.
    pub fn allows(&mut self, now: EventTime, window_ms: u64, changes_max: u32) -> bool {
        while self.changes.front().is_some_and(|at| at.plus(window_ms) <= now) {
            self.changes.pop_front();
        }
        self.changes.len() < changes_max as usize
    }

    /// Whether the last change is a while ago. Wishes that fall step by step would else be followed step by step, each at
    /// the price of a change, and the budget be spent before the largest part of the excess is given back.
    #[must_use]
    pub fn rested(&self, now: EventTime, rest_ms: u64) -> bool {
        self.changes.back().is_none_or(|at| at.plus(rest_ms) <= now)
    }

    /// Notes a change.
    pub fn note(&mut self, now: EventTime) {
        self.changes.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> EventTime {
        EventTime::from_millis(seconds * 1000)
    }

    #[test]
    fn the_largest_wish_of_the_window_counts() {
        let mut stabiliser = Stabiliser::default();
        for (second, cpu) in [(0, 4.0), (10, 2.0), (20, 3.0)] {
            stabiliser.note(at(second), |_| 30_000, Allocation::new(cpu, 1.0));
        }
        assert_eq!(stabiliser.largest().map(|a| a.cpu_cores.get()), Some(4.0));
        // At 30 s the wish of 0 s is 30 s old and goes; 3.0 is the largest of what is left.
        stabiliser.note(at(30), |_| 30_000, Allocation::new(1.0, 1.0));
        assert_eq!(stabiliser.largest().map(|a| a.cpu_cores.get()), Some(3.0));
    }

    #[test]
    fn the_budget_refills_as_the_window_slides() {
        let mut budget = ChurnBudget::default();
        budget.note(at(0));
        budget.note(at(10));
        assert!(!budget.allows(at(50), 60_000, 2));
        assert!(budget.allows(at(60), 60_000, 2), "the change of 0 s has left the window");
        assert!(!budget.rested(at(39), 30_000) && budget.rested(at(40), 30_000));
    }
}
