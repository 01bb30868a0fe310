//! How unlike anything seen so far a value is: the gap to its nearest earlier value.
//!
//! # Score
//!
//! ```text
//! novelty = gap / range · √n        gap to the nearest value in memory, range of the memory, n values seen
//! ```
//!
//! The nearest neighbour is the simplest density estimate that needs no shape: a new extreme, a value in a hole between
//! two habits and a first departure from a constant all have a great gap, whatever the distribution looks like. √n keeps
//! the score comparable over time: among n values of a bulk the typical gap falls as 1/n, in a light tail as 1/ln n, so
//! that the same gap means more after a month than after an hour. √n lies between the two.
//!
//! | after n = 900 values, range 10 | novelty |
//! |---|---|
//! | 0.01 beyond the highest | 0.03 |
//! | 1 beyond the highest | 3 |
//! | 10 beyond the highest | 30 |
//!
//! # Memory
//!
//! Values nearer to a remembered one than 1/[`RESOLUTION`] of the range add nothing and are not stored, so a generation
//! holds at most [`VALUES_MAX`] values (1 kB), thinned when the range grows. There are two generations: the current one,
//! and the one before it, which is forgotten when the current one is full. So what was last seen more than two
//! generations ago is new again, and the state is bounded for ever.
//!
//! Key: one series. Time: steps; a missing value takes none. Cost: two binary searches, by estimate 50 to 100 ns; a stored value moves
//! 1 kB at most.

use serde::{Deserialize, Serialize};

use crate::detector::RELATIVE_SCALE_FLOOR;

/// Values closer than this part of the range count as the same.
const RESOLUTION: f64 = 128.0;

/// Most values in a generation: thinned to the resolution at twice as many as that can leave.
const VALUES_MAX: usize = 256;

/// What has been seen of one series.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Memory {
    generation_steps: u32,
    current: Generation,
    before: Generation,
}

/// The values of one stretch of time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Generation {
    // Invariant: ascending, finite, at most VALUES_MAX. Single floats: a known value needs no more digits than the resolution.
    values: Vec<f32>,
    steps: u32,
}

impl Memory {
    /// A memory that has seen nothing; a generation takes `generation_steps` values.
    pub(crate) fn new(generation_steps: u32) -> Self {
        Self { generation_steps, current: Generation::default(), before: Generation::default() }
    }

    /// How many values the two generations have seen.
    pub(crate) fn seen(&self) -> u32 {
        self.current.steps + self.before.steps
    }

    /// How new a finite value would be; `None` before the first was remembered.
    pub(crate) fn novelty(&self, value: f64) -> Option<f64> {
        let gap = self.gap(value)?;
        Some(gap / self.range()? * f64::from(self.seen()).sqrt())
    }

    /// Remembers a finite value.
    pub(crate) fn learn(&mut self, value: f64) {
        // As it is kept: else rounding would widen the range at every repeat of an extreme.
        let value = f64::from(value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32);
        if self.current.steps >= self.generation_steps {
            self.before = std::mem::take(&mut self.current);
        }
        self.current.steps += 1;
        let cell = self.range().unwrap_or(0.0) / RESOLUTION;
        if self.current.gap(value).is_none_or(|gap| gap > cell || self.current.widens(value)) {
            self.current.insert(value, cell);
        }
    }

    /// The remembered value that is nearest to another.
    pub(crate) fn nearest(&self, value: f64) -> Option<f64> {
        let both = [&self.current, &self.before].into_iter().filter_map(|generation| generation.nearest(value));
        both.min_by(|a, b| (a - value).abs().total_cmp(&(b - value).abs()))
    }

    fn gap(&self, value: f64) -> Option<f64> {
        self.nearest(value).map(|nearest| (nearest - value).abs())
    }

    /// The spread of the values, not under [`RELATIVE_SCALE_FLOOR`] of the greatest: the last digit of a constant is no
    /// range.
    fn range(&self) -> Option<f64> {
        let ends = [&self.current, &self.before].into_iter().filter_map(Generation::ends);
        let (low, high) = ends.reduce(|(low, high), (least, most)| (least.min(low), most.max(high)))?;
        let floor = RELATIVE_SCALE_FLOOR * low.abs().max(high.abs());
        Some((high - low).max(floor).max(f64::MIN_POSITIVE))
    }
}

impl Generation {
    fn ends(&self) -> Option<(f64, f64)> {
        Some((f64::from(*self.values.first()?), f64::from(*self.values.last()?)))
    }

    fn nearest(&self, value: f64) -> Option<f64> {
        let rank = self.rank(value);
        let above = self.values.get(rank).copied().map(f64::from);
        let below = rank.checked_sub(1).map(|rank| f64::from(self.values[rank]));
        match (below, above) {
            (Some(below), Some(above)) => Some(if value - below <= above - value { below } else { above }),
            (only, None) | (None, only) => only,
        }
    }

    fn gap(&self, value: f64) -> Option<f64> {
        self.nearest(value).map(|nearest| (nearest - value).abs())
    }

    fn widens(&self, value: f64) -> bool {
        self.ends().is_none_or(|(low, high)| value < low || value > high)
    }

    fn insert(&mut self, value: f64, cell: f64) {
        if self.values.len() == VALUES_MAX {
            self.thin(cell);
        }
        let rank = self.rank(value);
        self.values.insert(rank, value as f32);
    }

    /// Leaves the ends, and between them one value a cell at most; where that is not enough, every second value.
    fn thin(&mut self, cell: f64) {
        let highest = self.values.last().copied();
        let mut kept = f32::NEG_INFINITY;
        self.values.retain(|&value| {
            let keep = f64::from(value - kept) > cell || Some(value) == highest;
            kept = if keep { value } else { kept };
            keep
        });
        if self.values.len() == VALUES_MAX {
            let mut rank = 0;
            self.values.retain(|_| {
                rank += 1;
                rank % 2 == 1 || rank == VALUES_MAX
            });
        }
    }

    /// How many values are smaller.
    fn rank(&self, value: f64) -> usize {
        self.values.partition_point(|other| f64::from(*other).total_cmp(&value).is_lt())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(values: impl IntoIterator<Item = f64>) -> Memory {
        let mut memory = Memory::new(100_000);
        values.into_iter().for_each(|value| memory.learn(value));
        memory
    }

    #[test]
    fn worked_values() {
        // 900 values from 0 to 10, none nearer to 5 than 4 and 6: every value is remembered at least at 0, 4, 6 and 10.
        let memory = filled((0..900).map(|step| [0.0, 4.0, 6.0, 10.0][step % 4]));
        let novelty = |value| memory.novelty(value).expect("900 values are remembered");
        // gap / range · √n: 1/10 · 30, 1/10 · 30 in the hole, 10/10 · 30, and nothing new at a known value.
        for (value, expected) in [(11.0, 3.0), (5.0, 3.0), (20.0, 30.0), (4.0, 0.0)] {
            assert!((novelty(value) - expected).abs() < 1e-12, "{value}: {}", novelty(value));
        }
    }

    #[test]
    fn the_last_digit_of_a_constant_is_not_new() {
        let memory = filled((0..100).map(|_| 50.0));
        // The range is floored at 1 % of 50: 0.05 / 0.5 · √100 = 1; 5 / 0.5 · 10 = 100.
        assert!((memory.novelty(50.05).expect("known") - 1.0).abs() < 1e-9);
        assert!((memory.novelty(55.0).expect("known") - 100.0).abs() < 1e-9);
    }

    #[test]
    fn a_repeated_extreme_is_stored_once() {
        // 0.7 is less as a single float, and would be a new extreme each time.
        let memory = filled((0..2000).map(|step| [0.0, 0.4, 0.6, 0.7][step % 4]));
        assert_eq!(memory.current.values.len(), 4);
    }

    #[test]
    fn what_was_last_seen_two_generations_ago_is_new_again() {
        let mut memory = Memory::new(100);
        memory.learn(9.0);
        (0..99).for_each(|_| memory.learn(1.0));
        (0..100).for_each(|_| memory.learn(1.0));
        assert_eq!(memory.novelty(9.0), Some(0.0));
        // The 201st value begins a third generation, and the first is forgotten.
        memory.learn(1.0);
        assert!(memory.novelty(9.0).expect("ones are known") > 1.0);
        assert_eq!(memory.seen(), 101);
    }

    proptest! {
        #[test]
        fn bounded_and_ascending_and_never_far_from_exact(values in prop::collection::vec(-1e6..1e6f64, 1..3000)) {
            // Ends are as they are kept.
            let values: Vec<f64> = values.iter().map(|value| f64::from(*value as f32)).collect();
            let memory = filled(values.iter().copied());
            let stored = &memory.current.values;
            prop_assert!(stored.len() <= VALUES_MAX && stored.is_sorted());
            let (low, high) = memory.current.ends().expect("not empty");
            prop_assert_eq!(low, values.iter().copied().fold(f64::INFINITY, f64::min));
            prop_assert_eq!(high, values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            // What is left out lay within a cell of something kept, which thinning may drop for one a cell away.
            let cell = (high - low).max(RELATIVE_SCALE_FLOOR * low.abs().max(high.abs())) / RESOLUTION;
            for value in values {
                prop_assert!(memory.gap(value).expect("not empty") <= 3.0 * cell);
            }
        }
    }
}
