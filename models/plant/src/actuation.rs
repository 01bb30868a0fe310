//! The time from asking for an allocation to having it.
//!
//! Each request lands `delay_ms` after it was made, whatever is asked in between: a later one never restarts the
//! clock of an earlier one, or a load that rises at every tick would never get anything. Landings are absolute
//! allocations and arrive in order, so the newest wins in the end.
//!
//! Bound: [`MAX_IN_FLIGHT`] landings. Asking again for what is already on its way costs nothing. Cost: O(1) a request
//! and a step; O(landings) for a request under [`ScaleDown::Immediate`].

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::Allocation;

/// Most allocations on their way at once: one a second, the finest tick, for the longest delay that we model, two
/// minutes. A request beyond it is refused and changes nothing that is under way.
pub const MAX_IN_FLIGHT: usize = 128;

/// What lowering an allocation costs in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleDown {
    /// Lowered parts take effect at once (an in-place resize), and raises still on their way are cut to the new
    /// target without changing when they land.
    Immediate,
    /// Lowering lands after the delay, as raising does (instances that drain).
    Delayed,
}

/// The allocation in force and those on their way.
#[derive(Clone, Debug, PartialEq)]
pub struct Actuation {
    delay_ms: u64,
    scale_down: ScaleDown,
    in_force: Allocation,
    /// Invariant: ordered by `usable_at_ms`; under [`ScaleDown::Immediate`] also never falling in either part, and
    /// never below `in_force`.
    landings: VecDeque<Landing>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Landing {
    target: Allocation,
    usable_at_ms: u64,
}

impl Actuation {
    /// Starts with `initial` in force and nothing on its way.
    pub fn new(delay_ms: u64, scale_down: ScaleDown, initial: Allocation) -> Self {
        Self { delay_ms, scale_down, in_force: initial, landings: VecDeque::with_capacity(MAX_IN_FLIGHT) }
    }

    /// Asks for `target` at `now_ms`, which must not run backwards. Returns when it is usable, or none when
    /// [`MAX_IN_FLIGHT`] are already on their way: ask again later.
    pub fn request(&mut self, target: Allocation, now_ms: u64) -> Option<u64> {
        self.advance(now_ms);
        if self.scale_down == ScaleDown::Immediate {
            self.lower(target);
        }
        match self.landings.back() {
            Some(last) if last.target == target => return Some(last.usable_at_ms),
            None if self.in_force == target => return Some(now_ms),
            _ => {}
        }
        if self.landings.len() == MAX_IN_FLIGHT {
            return None;
        }
        let usable_at_ms = now_ms + self.delay_ms;
        self.landings.push_back(Landing { target, usable_at_ms });
        Some(usable_at_ms)
    }

    /// Lands whatever is due at `now_ms` and returns the allocation in force.
    pub fn advance(&mut self, now_ms: u64) -> Allocation {
        while let Some(landing) = self.landings.front().filter(|landing| landing.usable_at_ms <= now_ms) {
            self.in_force = landing.target;
            self.landings.pop_front();
        }
        self.in_force
    }

    /// The allocation in force as of the last request or advance.
    pub fn in_force(&self) -> Allocation {
        self.in_force
    }

    fn lower(&mut self, target: Allocation) {
        self.in_force = self.in_force.min(target);
        for landing in &mut self.landings {
            landing.target = landing.target.min(target);
        }
        // All on their way now lie between `in_force` and `target`: where those meet, none has anything left to do.
        if self.in_force == target {
            self.landings.clear();
        }
    }
}

#[cfg(test)]
mod tests;
