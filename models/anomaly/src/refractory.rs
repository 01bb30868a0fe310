//! One incident, one alarm: a score counts only where it stands out of those just before it.
//!
//! A score passes when it is above [`RISE`] times the highest of the last `steps` scores, whether that one was an alarm
//! or not. So no threshold is needed to judge it, and one threshold later makes alarms of it: the first tick of an
//! incident passes, its echoes do not, and a clear worsening does.
//!
//! Key: one detector. Time: steps. State: a falling staircase of at most `steps` scores, of which few are ever there.
//! Cost: amortised constant, 5 ns.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A later score of the same incident is told only if it is this many times the highest before it: an eighth to a half
/// more serve equally well, so a third.
pub(crate) const RISE: f64 = 1.3;

/// The highest of the newest scores.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Refractory {
    steps: u32,
    step: u64,
    // Invariant: steps ascend, scores descend, all within the last `steps` steps.
    staircase: VecDeque<(u64, f64)>,
}

impl Refractory {
    /// Scores of the last `steps` steps are what a new one is held against.
    pub(crate) fn new(steps: u32) -> Self {
        Self { steps, step: 0, staircase: VecDeque::new() }
    }

    /// Takes the next step's score, at least 0; gives it back where it stands out, and 0 where it does not.
    pub(crate) fn pass(&mut self, score: f64) -> f64 {
        self.step += 1;
        let oldest = self.step.saturating_sub(u64::from(self.steps));
        while self.staircase.front().is_some_and(|(step, _)| *step < oldest) {
            self.staircase.pop_front();
        }
        let highest = self.staircase.front().map_or(0.0, |(_, score)| *score);
        while self.staircase.back().is_some_and(|(_, lower)| *lower <= score) {
            self.staircase.pop_back();
        }
        self.staircase.push_back((self.step, score));
        if score > RISE * highest { score } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echoes_are_silent_and_a_rise_is_not() {
        let mut refractory = Refractory::new(3);
        // 5 stands out of nothing; 4 and 6 are within 1.3 x 5; 8 is above 1.3 x 6 = 7.8; three steps of 1 later the 8 has
        // still counted (steps 4 to 7), and at step 8 it no longer does, but 1 does not rise above 1.
        let passed = [5.0, 4.0, 6.0, 8.0, 1.0, 1.0, 1.0, 1.0, 2.0].map(|score| refractory.pass(score));
        assert_eq!(passed, [5.0, 0.0, 0.0, 8.0, 0.0, 0.0, 0.0, 0.0, 2.0]);
    }

    #[test]
    fn equals_a_recomputation() {
        let mut noise = crate::noise::Noise(7);
        let scores: Vec<f64> = (0..2000).map(|_| noise.heavy_tailed().abs()).collect();
        let mut refractory = Refractory::new(20);
        for (at, &score) in scores.iter().enumerate() {
            let highest = scores[at.saturating_sub(20)..at].iter().copied().fold(0.0, f64::max);
            assert_eq!(refractory.pass(score), if score > RISE * highest { score } else { 0.0 }, "{at}");
            assert!(refractory.staircase.len() <= 21);
        }
    }
}
