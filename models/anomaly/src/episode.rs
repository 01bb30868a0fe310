//! De-duplication: one incident, one finding.
//!
//! An episode begins when the ratio of score to threshold exceeds 1 and ends after enough ticks in a row below
//! [`CALM_RATIO`]. A signal that hovers about the threshold, or bursts every few ticks, is therefore one episode.

use serde::{Deserialize, Serialize};

use crate::detector::CRITICAL_RATIO;

/// A tick is calm when the score is under half of its threshold: the gap to 1 is the hysteresis.
const CALM_RATIO: f64 = 0.5;

/// Whether an incident is going on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Episode {
    active: bool,
    calm_ticks: u32,
    calm_ticks_needed: u32,
}

impl Episode {
    /// An episode that ends after `calm_ticks_needed` calm ticks in a row.
    pub(crate) fn new(calm_ticks_needed: u32) -> Self {
        Self { active: false, calm_ticks: 0, calm_ticks_needed }
    }

    /// Whether the next excess would begin an episode.
    pub(crate) fn is_armed(&self) -> bool {
        !self.active
    }

    /// Takes one tick's ratio of score to threshold; true exactly when an episode begins with it.
    pub(crate) fn begins(&mut self, ratio: f64) -> bool {
        if self.is_armed() {
            self.active = ratio > 1.0;
            self.calm_ticks = 0;
            return self.active;
        }
        self.calm_ticks = if ratio < CALM_RATIO { self.calm_ticks + 1 } else { 0 };
        self.active = self.calm_ticks < self.calm_ticks_needed;
        false
    }
}

/// Two episodes in one, for what grows slowly: it is reported as a warning, and once more if it becomes critical.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Escalation {
    warning: Episode,
    critical: Episode,
}

impl Escalation {
    /// Both episodes end after `calm_ticks_needed` calm ticks in a row.
    pub(crate) fn new(calm_ticks_needed: u32) -> Self {
        Self { warning: Episode::new(calm_ticks_needed), critical: Episode::new(calm_ticks_needed) }
    }

    /// Whether no episode is going on.
    pub(crate) fn is_armed(&self) -> bool {
        self.warning.is_armed()
    }

    /// Takes one tick's ratio of score to threshold; true when it begins an episode at either level.
    pub(crate) fn begins(&mut self, ratio: f64) -> bool {
        let warns = self.warning.begins(ratio);
        self.critical.begins(ratio / CRITICAL_RATIO) || warns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_only_after_enough_calm_ticks_in_a_row() {
        let mut episode = Episode::new(2);
        // Begins; goes on; hovers; one calm tick; not calm; two calm ticks end it; the next excess begins another.
        let ratios = [1.1, 3.0, 0.9, 0.1, 0.6, 0.1, 0.1, 1.1];
        let begins = ratios.map(|ratio| episode.begins(ratio));
        assert_eq!(begins, [true, false, false, false, false, false, false, true]);
    }

    #[test]
    fn escalates_once() {
        let mut escalation = Escalation::new(1);
        assert_eq!([1.1, 1.5, 2.1, 3.0].map(|ratio| escalation.begins(ratio)), [true, false, true, false]);
        // From calm straight to critical is one finding, not two.
        assert_eq!([0.0, 2.5, 2.5].map(|ratio| escalation.begins(ratio)), [false, true, false]);
    }
}
