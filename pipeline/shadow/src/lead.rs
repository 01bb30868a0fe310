//! Lead: how long before the primary the shadow suffers.
//!
//! An episode of suffering begins with [`RUN`] suffering ticks in a row, at the first of them, and ends [`CALM_MS`] after
//! the last. Where the primary's begins while the shadow's lasts, the time between is a lead; where the shadow was well, it
//! gave no warning: a lead of zero. A shadow that has suffered for [`LEAD_MAX_MS`] suffers always, and warns of nothing.
//! The lead is the median of the last [`LEADS_MAX`], so that a single odd one moves it by a rank.
//!
//! State: 15 leads and six numbers. Cost: a comparison or two a tick; a sort of 15 when asked.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Suffering ticks in a row that are no accident.
const RUN: u32 = 3;

/// A minute without suffering ends an episode.
const CALM_MS: u64 = 60_000;

/// Half an hour: no ramp that anyone is warned of takes longer.
const LEAD_MAX_MS: u64 = 1_800_000;

/// Leads that are kept: the last two weeks of a workload with a peak a day.
const LEADS_MAX: usize = 15;

/// Leads seen, newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lead {
    shadow: Episode,
    primary: Episode,
    leads_ms: VecDeque<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Episode {
    run: u32,
    since_ms: u64,
    last_ms: u64,
}

impl Lead {
    /// Takes in a tick: whether each suffers; none for a shadow that was not read or is not believed.
    pub fn observe(&mut self, now_ms: u64, primary: bool, shadow: Option<bool>) {
        if let Some(suffers) = shadow {
            self.shadow.observe(now_ms, suffers);
        }
        let begins = self.primary.observe(now_ms, primary);
        if !begins || shadow.is_none() {
            return;
        }
        // The primary may have begun a tick or two before a shadow that began in the same run.
        let warned = self.shadow.lasts().then(|| self.primary.since_ms.saturating_sub(self.shadow.since_ms));
        if let Some(lead_ms) = Some(warned.unwrap_or_default()).filter(|lead_ms| *lead_ms <= LEAD_MAX_MS) {
            if self.leads_ms.len() == LEADS_MAX {
                self.leads_ms.pop_front();
            }
            self.leads_ms.push_back(lead_ms);
        }
    }

    /// The median lead in milliseconds; none before the primary has suffered beside a shadow.
    #[must_use]
    pub fn median_ms(&self) -> Option<u64> {
        let mut sorted: Vec<u64> = self.leads_ms.iter().copied().collect();
        sorted.sort_unstable();
        // The lower of the two middle ones: a warning is not promised longer than it has been.
        sorted.get(sorted.len().saturating_sub(1) / 2).copied()
    }

    /// How many leads the median is of.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.leads_ms.len()
    }
}

impl Episode {
    /// Whether an episode begins with this tick's run.
    fn observe(&mut self, now_ms: u64, suffers: bool) -> bool {
        let over = now_ms.saturating_sub(self.last_ms) >= CALM_MS;
        let lasts = self.lasts();
        match (suffers, lasts) {
            (true, true) if !over => self.last_ms = now_ms,
            (true, false) if self.run > 0 => (self.run, self.last_ms) = (self.run + 1, now_ms),
            (true, _) => *self = Self { run: 1, since_ms: now_ms, last_ms: now_ms },
            (false, true) if !over => {}
            (false, _) => self.run = 0,
        }
        !lasts && self.lasts()
    }

    const fn lasts(&self) -> bool {
        self.run >= RUN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks of one second, over which the shadow suffers from one second to another, and the primary from `primary` on
    /// for half a minute.
    fn ramp(lead: &mut Lead, start: u64, shadow: std::ops::Range<u64>, primary: u64) {
        for second in start..start + 300 {
            let after = second - start;
            lead.observe(second * 1_000, (primary..primary + 30).contains(&after), Some(shadow.contains(&after)));
        }
    }

    #[test]
    fn the_lead_is_the_median_of_ramps() {
        let mut lead = Lead::default();
        assert_eq!(lead.median_ms(), None);
        for (ramp_of, primary) in [60, 90, 250].into_iter().enumerate() {
            ramp(&mut lead, 1_000 * ramp_of as u64, 20..200, primary);
        }
        // 40 s and 70 s of warning; the third came 50 s after the shadow was last seen suffering, within its minute: 230 s.
        assert_eq!((lead.seen(), lead.median_ms()), (3, Some(70_000)));
    }

    #[test]
    fn no_warning_is_a_lead_of_zero_and_two_ticks_are_none() {
        let mut lead = Lead::default();
        ramp(&mut lead, 0, 10..12, 100);
        assert_eq!(lead.median_ms(), Some(0));
    }

    #[test]
    fn a_shadow_that_always_suffers_warns_of_nothing() {
        let mut lead = Lead::default();
        (0..2_000).for_each(|second| lead.observe(second * 1_000, second > 1_900, Some(true)));
        assert_eq!(lead.median_ms(), None);
        // And one that nobody believes is no witness.
        let mut unseen = Lead::default();
        (0..200).for_each(|second| unseen.observe(second * 1_000, second > 100, None));
        assert_eq!(unseen.median_ms(), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut lead = Lead::default();
        (0..40).for_each(|n| ramp(&mut lead, 1_000 * n, 20..80, 60));
        assert_eq!(lead.seen(), LEADS_MAX);
    }
}
