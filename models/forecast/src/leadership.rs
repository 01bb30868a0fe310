//! Which voice leads, and when it is replaced.
//!
//! Invariant: the leader's recent loss exceeds the best rival's by more than a factor of `1 / (1 - margin)` (1.053 at 5 %) in
//! fewer than `patience` reviews in a row; the last of `patience` seats the best rival.

use serde::{Deserialize, Serialize};

use crate::voice::VOICES;

/// The seat of the leader and how long it has been under challenge.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Leadership {
    leader: usize,
    margin: f64,
    patience: u32,
    /// Reviews in a row in which some rival was better by the margin. Which one may change: two equal rivals must not
    /// keep each other from the seat.
    beaten: u32,
}

impl Leadership {
    pub(crate) fn new(leader: usize, margin: f64, patience: u32) -> Self {
        Self { leader, margin, patience, beaten: 0 }
    }

    pub(crate) fn leader(&self) -> usize {
        self.leader
    }

    /// Compares recent losses; `None` is an expert that did not speak or is too new to judge. A silent leader is beaten by any.
    pub(crate) fn review(&mut self, losses: &[Option<f64>; VOICES]) {
        let Some((rival, least)) = best(losses) else { return };
        let holds = losses[self.leader].is_some_and(|loss| least >= loss * (1.0 - self.margin));
        self.beaten = if holds { 0 } else { self.beaten + 1 };
        if self.beaten >= self.patience {
            self.leader = rival;
            self.beaten = 0;
        }
    }
}

/// The voice with the least loss, the first of equals.
pub(crate) fn best(losses: &[Option<f64>; VOICES]) -> Option<(usize, f64)> {
    let known = losses.iter().enumerate().filter_map(|(expert, loss)| Some((expert, (*loss)?)));
    known.min_by(|a, b| a.1.total_cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(first: Option<f64>, second: Option<f64>, third: Option<f64>) -> [Option<f64>; VOICES] {
        let mut losses = [None; VOICES];
        losses[..3].copy_from_slice(&[first, second, third]);
        losses
    }

    #[test]
    fn a_rival_must_be_better_by_the_margin_for_long_enough() {
        let mut leadership = Leadership::new(0, 0.05, 3);
        let (close, ahead) = (losses(Some(1.0), Some(0.96), None), losses(Some(1.0), Some(0.94), None));
        (0..9).for_each(|_| leadership.review(&close));
        (0..2).for_each(|_| leadership.review(&ahead));
        leadership.review(&close);
        (0..2).for_each(|_| leadership.review(&ahead));
        assert_eq!(leadership.leader(), 0);
        leadership.review(&ahead);
        assert_eq!(leadership.leader(), 1);
    }

    #[test]
    fn alternating_rivals_do_not_save_the_leader() {
        let mut leadership = Leadership::new(0, 0.05, 4);
        for review in 0..4 {
            let (second, third) = if review % 2 == 0 { (0.8, 0.7) } else { (0.7, 0.8) };
            leadership.review(&losses(Some(1.0), Some(second), Some(third)));
        }
        assert_eq!(leadership.leader(), 1);
    }

    #[test]
    fn a_silent_leader_is_replaced() {
        let mut leadership = Leadership::new(0, 0.05, 2);
        leadership.review(&losses(None, None, None));
        (0..2).for_each(|_| leadership.review(&losses(None, None, Some(5.0))));
        assert_eq!(leadership.leader(), 2);
    }
}
