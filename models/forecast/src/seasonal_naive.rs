//! Seasonal naive: the peak will be what it was over the same steps one season ago.
//!
//! A season is cut into at most [`MAX_SLOTS`] slots and each keeps its peak; with few enough steps a slot is one step and
//! the answer exact, else it is the peak of the slots that the horizon touches: a little high, which the residuals learn.
//! A slot enters the memory when it is over, so that the step just seen cannot pass for last season's. Where a slot was not
//! observed, the season before it stands.
//!
//! | step | a day: slots of | a week: slots of |
//! |---|---|---|
//! | 1 s | 60 steps = 1 min | 420 steps = 7 min |
//! | 10 s | 6 steps = 1 min | 42 steps = 7 min |
//! | 300 s | 1 step | 2 steps = 10 min |
//!
//! State: constant, 8 bytes a slot, 11.5 kB. Cost: one comparison per slot that the horizon touches.

use serde::{Deserialize, Serialize};

use crate::forecaster::{ExpertName, Forecaster};

/// A day in minutes: finer than any horizon worth planning by the season, small enough for many series.
pub const MAX_SLOTS: u64 = 1440;

/// The peaks of one season; silent until a season is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeasonalNaive {
    name: ExpertName,
    season_steps: u64,
    slot_steps: u64,
    newest: Option<u64>,
    /// Peak so far in the slot of the newest step.
    open: Option<f32>,
    /// Peak per slot of the season, from the last season that observed it.
    slots: Box<[Option<f32>]>,
}

impl SeasonalNaive {
    /// An expert that answers to `name`, for a season of `season_steps` (at least one).
    pub fn new(name: ExpertName, season_steps: u64) -> Self {
        let slot_steps = season_steps.div_ceil(MAX_SLOTS);
        let slots = vec![None; season_steps.div_ceil(slot_steps) as usize].into();
        Self { name, season_steps, slot_steps, newest: None, open: None, slots }
    }

    fn slot(&self, step: u64) -> usize {
        (step % self.season_steps / self.slot_steps) as usize
    }

    /// The first step after `step` that belongs to another slot. (The last slot of a season may be short.)
    fn next_slot(&self, step: u64) -> u64 {
        let phase = step % self.season_steps;
        let end = (phase / self.slot_steps + 1) * self.slot_steps;
        step - phase + end.min(self.season_steps)
    }
}

impl Forecaster for SeasonalNaive {
    fn name(&self) -> ExpertName {
        self.name
    }

    fn observe(&mut self, step: u64, value: Option<f64>) {
        if let Some(newest) = self.newest
            && step >= self.next_slot(newest)
        {
            let slot = self.slot(newest);
            self.slots[slot] = self.open.take().or(self.slots[slot]);
        }
        self.newest = Some(step);
        let value = value.map(|value| value as f32);
        self.open = value.map(|value| self.open.map_or(value, |open| open.max(value))).or(self.open);
    }

    fn base(&self, horizon: u32) -> Option<f64> {
        let first = self.newest? + 1;
        // A horizon of a whole season or more touches every slot once.
        let end = first + u64::from(horizon).min(self.season_steps);
        let mut peak = 0.0_f32;
        let mut step = first;
        while step < end {
            peak = peak.max(self.slots[self.slot(step)]?);
            step = self.next_slot(step);
        }
        Some(f64::from(peak))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_the_peak_of_a_season_ago() {
        let mut expert = SeasonalNaive::new(ExpertName::SeasonalDay, 5);
        let season = [1.0, 4.0, 2.0, 8.0, 3.0];
        for step in 0..5 {
            expert.observe(step, Some(season[step as usize]));
            // Step 4's slot is over only when step 5 arrives.
            assert_eq!(expert.base(5), None);
        }
        assert_eq!(expert.base(2), Some(4.0)); // phases 0 and 1
        expert.observe(5, Some(9.0));
        assert_eq!(expert.base(1), Some(4.0)); // phase 1
        assert_eq!(expert.base(3), Some(8.0)); // phases 1, 2, 3
        assert_eq!(expert.base(5), Some(8.0)); // all of last season; the 9 just seen is this season's
        assert_eq!(expert.base(500), Some(8.0));
    }

    #[test]
    fn a_gap_keeps_the_season_before_and_is_no_zero() {
        let mut expert = SeasonalNaive::new(ExpertName::SeasonalDay, 3);
        (0..3).for_each(|step| expert.observe(step, Some(5.0 + step as f64)));
        (3..6).for_each(|step| expert.observe(step, None));
        expert.observe(6, None);
        assert_eq!(expert.base(2), Some(7.0));
        // A whole season skipped leaves the memory as it was, too.
        expert.observe(9, None);
        assert_eq!(expert.base(2), Some(7.0));
    }

    #[test]
    fn long_seasons_are_stored_in_slots() {
        // 3000 steps: slots of ceil(3000 / 1440) = 3 steps, 1000 of them. The peak of slot 2 (steps 6..=8) is 8.
        let mut expert = SeasonalNaive::new(ExpertName::SeasonalDay, 3000);
        assert_eq!(expert.slots.len(), 1000);
        (0..3005).for_each(|step| expert.observe(step, Some((step % 3000) as f64)));
        // From phase 4 (slot 1, steps 3..=5): step 5 touches slot 1, steps 5 and 6 touch slot 2 as well.
        assert_eq!(expert.base(1), Some(5.0));
        assert_eq!(expert.base(2), Some(8.0));
    }
}
