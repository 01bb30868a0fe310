//! The newest values in order of arrival and in order of size, so that their median and its MAD are cheap.
//!
//! `push` costs one pass over the values and a move of what lies between the one that goes and the one that comes (2.4 kB at
//! most, at 300 values): a search would wait for memory at each of its steps, where a pass finds it loaded ahead. `median` is
//! O(1), `mad` is O(log n).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A bounded window of finite values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RankedWindow {
    capacity: usize,
    arrived: VecDeque<f64>,
    // Invariant: the same values as `arrived`, ascending.
    ranked: Vec<f64>,
}

impl RankedWindow {
    /// An empty window of at most `capacity` values.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, arrived: VecDeque::with_capacity(capacity), ranked: Vec::with_capacity(capacity) }
    }

    /// Whether the next push evicts the oldest value.
    pub(crate) fn is_full(&self) -> bool {
        self.arrived.len() == self.capacity
    }

    /// The values, ascending.
    pub(crate) fn ranked(&self) -> &[f64] {
        &self.ranked
    }

    /// Adds the newest value in place of the oldest.
    pub(crate) fn push(&mut self, value: f64) {
        if self.is_full()
            && let Some(oldest) = self.arrived.pop_front()
        {
            let [gone, rank] = self.ranks([oldest, value]);
            self.replace(gone, rank, value);
        } else {
            let [rank] = self.ranks([value]);
            self.ranked.insert(rank, value);
        }
        self.arrived.push_back(value);
    }

    /// The median, the upper of the two middle values of an even number. The window must not be empty.
    pub(crate) fn median(&self) -> f64 {
        self.ranked[self.ranked.len() / 2]
    }

    /// The median absolute deviation from the median, likewise the upper one.
    ///
    /// The k values nearest to the median are neighbours in rank, so their largest deviation is the least, over all
    /// runs of k ranks, of the larger deviation of the run's two ends. From left to right the lower end comes nearer
    /// to the median and the upper end moves away from it: the least is where the two cross.
    pub(crate) fn mad(&self) -> f64 {
        let median = self.median();
        let k = self.ranked.len() / 2 + 1;
        let runs = self.ranked.len() - k + 1;
        let below = |start: usize| median - self.ranked[start];
        let above = |start: usize| self.ranked[start + k - 1] - median;
        let (mut crossing, mut end) = (0, runs);
        while crossing < end {
            let middle = usize::midpoint(crossing, end);
            if above(middle) < below(middle) {
                crossing = middle + 1;
            } else {
                end = middle;
            }
        }
        // Left of the crossing the lower end is the farther one, from the crossing on the upper end is.
        let left = crossing.checked_sub(1).map(below);
        let right = (crossing < runs).then(|| above(crossing));
        match (left, right) {
            (Some(left), Some(right)) => left.min(right),
            (only, None) | (None, only) => only.expect("a window that is not empty has a run"),
        }
    }

    /// Puts a value in the place of one that goes; `rank` is its own while that one is still there.
    fn replace(&mut self, gone: usize, rank: usize, value: f64) {
        let place = if gone < rank { rank - 1 } else { rank };
        if gone < place {
            self.ranked.copy_within(gone + 1..=place, gone);
        } else {
            self.ranked.copy_within(place..gone, place + 1);
        }
        self.ranked[place] = value;
    }

    /// How many of the values are smaller than each of these.
    fn ranks<const N: usize>(&self, values: [f64; N]) -> [usize; N] {
        let mut smaller = [0_u64; N];
        for held in &self.ranked {
            smaller.iter_mut().zip(values).for_each(|(smaller, value)| *smaller += u64::from(*held < value));
        }
        smaller.map(|smaller| smaller as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn worked_values() {
        let mut window = RankedWindow::new(5);
        for value in [9.0, 1.0, 2.0, 3.0, 4.0, 100.0] {
            window.push(value);
        }
        // 9 was evicted: 1 2 3 4 100. Median 3; deviations 2 1 0 1 97, in order 0 1 1 2 97.
        assert_eq!((window.median(), window.mad()), (3.0, 1.0));
    }

    proptest! {
        #[test]
        fn equals_recomputation(values in prop::collection::vec(-100i32..100, 1..60), capacity in 1usize..20) {
            let mut window = RankedWindow::new(capacity);
            values.iter().for_each(|&value| window.push(f64::from(value)));
            let mut newest: Vec<i32> = values.iter().rev().take(capacity).copied().collect();
            newest.sort_unstable();
            let median = newest[newest.len() / 2];
            let mut deviations: Vec<i32> = newest.iter().map(|value| (value - median).abs()).collect();
            deviations.sort_unstable();
            prop_assert_eq!(window.median(), f64::from(median));
            prop_assert_eq!(window.mad(), f64::from(deviations[deviations.len() / 2]));
        }
    }
}
