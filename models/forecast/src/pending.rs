//! Predictions that wait for their truth, and the truth: the peak over the horizon that ends now.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// What was said at past steps (*origins*), until the peak it was about is known.
///
/// Bound: `take` is called at every step with the origin that falls due and forgets all older ones, so what waits are the
/// origins pushed during one horizon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pending<T> {
    /// Invariant: origins ascend.
    waiting: VecDeque<(u64, T)>,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<T> Pending<T> {
    /// Keeps what was said at `origin`, which must be later than every origin before.
    pub fn push(&mut self, origin: u64, said: T) {
        self.waiting.push_back((origin, said));
    }

    /// What was said at `origin`, if anything; everything up to it is forgotten.
    pub fn take(&mut self, origin: u64) -> Option<T> {
        while let Some((oldest, _)) = self.waiting.front() {
            if *oldest > origin {
                return None;
            }
            let (oldest, said) = self.waiting.pop_front()?;
            if oldest == origin {
                return Some(said);
            }
        }
        None
    }
}

/// The largest of the last `horizon` values, in amortised constant time (a queue of the values nothing later exceeds).
///
/// State: at most `horizon` values, and that only while demand falls monotonically; a handful as a rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeakWindow {
    horizon: u64,
    /// Start of the run of observed steps that lasts until now, and the step that comes next.
    run: std::ops::Range<u64>,
    /// Invariant: steps ascend, values descend strictly.
    peaks: VecDeque<(u64, f64)>,
}

impl PeakWindow {
    /// A window of `horizon` steps (at least one).
    pub fn new(horizon: u32) -> Self {
        Self { horizon: u64::from(horizon), run: 0..0, peaks: VecDeque::new() }
    }

    /// Takes in a step and returns the peak over `step - horizon + 1 ..= step`; `None` if any of them was not observed.
    pub fn observe(&mut self, step: u64, value: Option<f64>) -> Option<f64> {
        let Some(value) = value else {
            self.run = step + 1..step + 1;
            self.peaks.clear();
            return None;
        };
        if step != self.run.end {
            self.run.start = step;
            self.peaks.clear();
        }
        self.run.end = step + 1;
        while self.peaks.back().is_some_and(|(_, peak)| *peak <= value) {
            self.peaks.pop_back();
        }
        self.peaks.push_back((step, value));
        while self.peaks.front().is_some_and(|(at, _)| at + self.horizon <= step) {
            self.peaks.pop_front();
        }
        let covered = self.run.end - self.run.start >= self.horizon;
        self.peaks.front().filter(|_| covered).map(|(_, peak)| *peak)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pending_finds_its_origin_and_forgets_the_older() {
        let mut pending = Pending::default();
        [2, 4, 6].into_iter().for_each(|origin| pending.push(origin, origin * 10));
        assert_eq!(pending.take(1), None);
        assert_eq!(pending.take(4), Some(40));
        assert_eq!(pending.take(5), None);
        assert_eq!(pending.waiting.len(), 1);
    }

    proptest! {
        #[test]
        fn peak_equals_the_maximum_of_the_slice(
            steps in prop::collection::vec((1u64..3, prop::option::weighted(0.9, 0u8..9)), 1..60),
            horizon in 1u32..8,
        ) {
            let mut window = PeakWindow::new(horizon);
            let mut seen: Vec<Option<u8>> = vec![None; horizon as usize];
            let mut step = 100;
            for (advance, value) in steps {
                step += advance;
                seen.extend(std::iter::repeat_n(None, advance as usize - 1));
                seen.push(value);
                let last: Option<Vec<u8>> = seen[seen.len() - horizon as usize..].iter().copied().collect();
                let wanted = last.and_then(|last| last.into_iter().max()).map(f64::from);
                prop_assert_eq!(window.observe(step, value.map(f64::from)), wanted);
            }
        }
    }
}
