//! Series at rest: a series of a bank as bytes, and back.
//!
//! | what | bytes |
//! |---|---|
//! | length of a tick in ms, next tick, newest tick of the EWMAs, their weights and means | 11 × 8 |
//! | panes: the open block, minute and quarter, five blocks, 15 minutes, the ticks of a minute | 33 each, 9 for a pane of one value, next to none for panes without values |
//! | counts: where windows begin, blocks of buckets, ticks, minutes | 92, 52 or 100 each, as they are |
//! | checksum of all that | 4 |
//!
//! A third of all panes follow from these and are worked out again, in a few dozen merges. Everything is kept by its bits, so
//! that a restored series goes on with the same ones.

use std::fmt;

use super::{Bank, Series};
use crate::counts::Counts;
use crate::ewma::Ewmas;
use crate::grid::Grid;
use crate::moments::{Moments, Panes};
use crate::pane::Pane;
use crate::words::Word;

/// Why a saved series was not taken in. There is nothing to retry: the series begins anew, or another copy is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// A bank of another tick saved it.
    OtherTick {
        /// That bank's tick, in ms.
        tick_ms: u64,
    },
    /// It is not what [`Bank::save`] wrote: cut off, or garbled.
    Garbled,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherTick { tick_ms } => write!(f, "the series was saved at ticks of {tick_ms} ms, which are others"),
            Self::Garbled => write!(f, "the bytes are no saved series: they were cut off or garbled"),
        }
    }
}

impl std::error::Error for RestoreError {}

impl Bank {
    /// Appends a series, to be kept: at ticks of 1 s and one sample a second 2.2 to 6 KiB, settled, by the spread of its values;
    /// 4.2 to 14 KiB at ten samples a second. A series without values takes some two hundred bytes.
    ///
    /// # Panics
    /// If there is no such series.
    pub fn save(&self, series: usize, bytes: &mut Vec<u8>) {
        let begin = bytes.len();
        let Series { next, ewmas, moments, counts } = &self.series[series][0];
        u64::put([self.grid.tick_ms, *next], bytes);
        ewmas.put(bytes);
        Pane::put(moments.kept(self.ticks.of(series), &self.minutes[series], &self.grid), bytes);
        counts.put(bytes);
        u32::put([crc32fast::hash(&bytes[begin..])], bytes);
    }

    /// Adds a series that a bank of the same tick saved: all of these bytes and no more. It goes on with the same bits, beside
    /// whatever series there are.
    ///
    /// # Errors
    /// [`RestoreError`]; the bank is then as it was.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<usize, RestoreError> {
        let (mut left, sum) = bytes.split_last_chunk().ok_or(RestoreError::Garbled)?;
        if crc32fast::hash(left) != u32::from_le_bytes(*sum) {
            return Err(RestoreError::Garbled);
        }
        let [tick_ms] = u64::take(&mut left).ok_or(RestoreError::Garbled)?;
        if tick_ms != self.grid.tick_ms {
            return Err(RestoreError::OtherTick { tick_ms });
        }
        let (saved, kept) = take(left, &self.grid).ok_or(RestoreError::Garbled)?;

        let number = self.add();
        let mut panes = Panes {
            ticks: self.ticks.of_mut(number),
            suffixes: self.suffixes.of_mut(number),
            minutes: &mut self.minutes[number],
        };
        let place = self.grid.place(saved.next.saturating_sub(1));
        let moments = Moments::restored(&kept, &mut panes, &place);
        self.series[number][0] = Series { moments, ..saved };
        Ok(number)
    }
}

/// A series whose moments are still to be worked out, and the panes that they follow from.
fn take(mut left: &[u8], grid: &Grid) -> Option<(Series, Vec<Pane>)> {
    let [next] = u64::take(&mut left)?;
    let ewmas = Ewmas::take(&mut left)?;
    let kept = Pane::take(&mut left, Moments::kept_panes(grid))?;
    let counts = Counts::take(&mut left)?;
    // A right checksum under wrong numbers is nobody's accident; not even that may end the process.
    let time_fits = next.checked_mul(grid.tick_ms).is_some();
    let counts_fit = u32::try_from(kept.iter().map(|pane| u64::from(pane.count)).sum::<u64>()).is_ok();
    let all = left.is_empty() && time_fits && counts_fit;
    all.then_some((Series { next, ewmas, moments: Moments::EMPTY, counts }, kept))
}

#[cfg(test)]
mod tests;
