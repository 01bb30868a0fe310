//! Seasonal naive: the steps ahead will be what they were one season ago.
//!
//! A season is cut into slots and each keeps what is asked for ([`Aim`]): its peak, or its mean. With few enough steps a slot is
//! one step and the answer exact; else a peak is that of the slots that the horizon touches, a little high, and a value is that of
//! its slot, a little smooth, which the residuals learn. A slot enters the memory when it is over, so that the step just seen cannot
//! pass for last season's. Where a slot was not observed, the season before it stands.
//!
//! | step | an hour: slots of | a day: slots of | a week: slots of |
//! |---|---|---|---|
//! | 1 s | 10 s | 1 min | 5 min |
//! | 10 s | 10 s | 1 min | 5 min |
//! | 300 s | 5 min | 5 min | 5 min |
//!
//! State: constant, 4 bytes a slot: 1.4 kB an hour, 5.8 kB a day, 8 kB a week. Cost: one comparison per slot that the horizon
//! touches.

use serde::{Deserialize, Serialize};

use crate::forecaster::{Aim, ExpertName, Forecaster};

/// One season's memory; silent until a season is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeasonalNaive {
    name: ExpertName,
    season_steps: u64,
    slot_steps: u64,
    aim: Aim,
    newest: Option<u64>,
    /// What the slot of the newest step has come to so far.
    open: Option<Slot>,
    /// By slot of the season, from the last season that observed it.
    slots: Slots,
}

/// A slot under way.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Slot {
    peak: f64,
    sum: f64,
    count: u32,
}

/// What is remembered of each slot, of which no number tells that nothing is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "SavedSlots", from = "SavedSlots")]
struct Slots(Box<[f32]>);

/// From the first known slot to the last, by their bits, little-endian.
#[derive(Serialize, Deserialize)]
struct SavedSlots {
    count: usize,
    first: usize,
    #[serde(with = "serde_bytes")]
    known: Vec<u8>,
}

impl Slots {
    fn unknown(count: u64) -> Self {
        Self(vec![f32::NAN; count as usize].into())
    }

    fn get(&self, slot: usize) -> Option<f32> {
        Some(self.0[slot]).filter(|value| !value.is_nan())
    }

    fn set(&mut self, slot: usize, value: f32) {
        self.0[slot] = value;
    }
}

impl From<Slots> for SavedSlots {
    fn from(Slots(slots): Slots) -> Self {
        let is_known = |slot: &f32| !slot.is_nan();
        let first = slots.iter().position(is_known).unwrap_or_default();
        let end = slots.iter().rposition(is_known).map_or(first, |last| last + 1);
        let known = slots[first..end].iter().flat_map(|slot| slot.to_le_bytes()).collect();
        Self { count: slots.len(), first, known }
    }
}

impl From<SavedSlots> for Slots {
    fn from(saved: SavedSlots) -> Self {
        let mut slots = Self::unknown(saved.count as u64);
        let (known, _) = saved.known.as_chunks::<4>();
        for (slot, bits) in slots.0.iter_mut().skip(saved.first).zip(known) {
            *slot = f32::from_le_bytes(*bits);
        }
        slots
    }
}

impl Slot {
    fn with(open: Option<Self>, value: f64) -> Self {
        let Self { peak, sum, count } = open.unwrap_or(Self { peak: value, sum: 0.0, count: 0 });
        Self { peak: peak.max(value), sum: sum + value, count: count + 1 }
    }

    fn kept(self, aim: Aim) -> f32 {
        match aim {
            Aim::Peak => self.peak as f32,
            Aim::Value => (self.sum / f64::from(self.count)) as f32,
        }
    }
}

impl SeasonalNaive {
    /// An expert that answers to `name`, for a season of `season_steps` in at most `slots_max` slots (at least one of each).
    pub fn new(name: ExpertName, aim: Aim, season_steps: u64, slots_max: u64) -> Self {
        let slot_steps = season_steps.div_ceil(slots_max);
        let slots = Slots::unknown(season_steps.div_ceil(slot_steps));
        Self { name, season_steps, slot_steps, aim, newest: None, open: None, slots }
    }

    /// What is remembered of the slot of a step: of a season ago, for a step from the newest one's slot up to a season later.
    pub fn at(&self, step: u64) -> Option<f64> {
        self.slots.get(self.slot(step)).map(f64::from)
    }

    /// What is remembered of the steps `first ..= first + horizon - 1`, as the aim has it.
    pub fn ahead(&self, first: u64, horizon: u32) -> Option<f64> {
        if self.aim == Aim::Value {
            return self.at(first + u64::from(horizon) - 1);
        }
        // A horizon of a whole season or more touches every slot once.
        let end = first + u64::from(horizon).min(self.season_steps);
        let mut peak = 0.0_f64;
        let mut step = first;
        while step < end {
            peak = peak.max(self.at(step)?);
            step = self.next_slot(step);
        }
        Some(peak)
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
            if let Some(open) = self.open.take() {
                self.slots.set(slot, open.kept(self.aim));
            }
        }
        self.newest = Some(step);
        self.open = value.map(|value| Slot::with(self.open, value)).or(self.open);
    }

    fn base(&self, horizon: u32) -> Option<f64> {
        self.ahead(self.newest? + 1, horizon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_the_peak_of_a_season_ago() {
        let mut expert = SeasonalNaive::new(ExpertName::SeasonalDay, Aim::Peak, 5, 1440);
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
        let mut expert = SeasonalNaive::new(ExpertName::SeasonalDay, Aim::Peak, 3, 1440);
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
        let mut expert = SeasonalNaive::new(ExpertName::SeasonalDay, Aim::Peak, 3000, 1440);
        assert_eq!(expert.slots.0.len(), 1000);
        (0..3005).for_each(|step| expert.observe(step, Some((step % 3000) as f64)));
        // From phase 4 (slot 1, steps 3..=5): step 5 touches slot 1, steps 5 and 6 touch slot 2 as well.
        assert_eq!(expert.base(1), Some(5.0));
        assert_eq!(expert.base(2), Some(8.0));
    }

    #[test]
    fn what_is_known_is_kept_and_no_more() {
        let mut expert = SeasonalNaive::new(ExpertName::SeasonalDay, Aim::Peak, 1440, 1440);
        let bytes = |expert: &SeasonalNaive| postcard::to_stdvec(expert).expect("plain numbers");
        let empty = bytes(&expert).len();
        (100..111).for_each(|step| expert.observe(step, (step != 105).then_some(step as f64)));
        // Slots 100 to 109 of 4 bytes, the unknown one among them, a slot under way and a few longer numbers.
        assert!((40..100).contains(&(bytes(&expert).len() - empty)), "{} {empty}", bytes(&expert).len());
        let restored: SeasonalNaive = postcard::from_bytes(&bytes(&expert)).expect("what was written");
        assert_eq!([104, 105, 109, 110].map(|step| restored.at(step)), [Some(104.0), None, Some(109.0), None]);
        assert_eq!(bytes(&restored), bytes(&expert));
    }

    #[test]
    fn a_value_is_that_of_its_slot() {
        // Slots of two steps keep means: 1.5, 3.5, 5.5.
        let mut expert = SeasonalNaive::new(ExpertName::SeasonalDay, Aim::Value, 6, 3);
        (0..7).for_each(|step| expert.observe(step, Some((step % 6 + 1) as f64)));
        // From step 6, two ahead is phase 2, in the second slot; four ahead is phase 4, in the third.
        assert_eq!((expert.base(2), expert.base(4)), (Some(3.5), Some(5.5)));
        assert_eq!(expert.at(6), Some(1.5));
    }
}
