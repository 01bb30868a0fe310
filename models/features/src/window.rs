//! One sliding window of `W` panes: summaries by van Herk and Gil-Werman, quantiles by subtracting what leaves.
//!
//! Panes are cut into blocks of `W` at absolute multiples of `W`. A window that ends at position `p` of a block is the
//! last `W-1-p` panes of the block before and the first `p+1` of this one:
//!
//! ```text
//!      block k-1            block k
//! | . . . a b c d e | f g h . . . . . |        W = 8, p = 2:  window = suffix(a..e) ⊕ prefix(f..h)
//! ```
//!
//! The suffixes of a block are summed once, from the right, when the block ends; the prefix grows pane by pane. That is
//! two merges per pane and one per answer, whatever `W` (van Herk 1992; Gil and Werman 1993), without subtraction and so
//! without drift. Which merges are made depends on pane numbers only: a stream that starts with the oldest pane of the
//! window gives the same bits as one that started a year before.
//!
//! *Slots.* When position `p` is filled, suffix `p` of the block before is no longer needed: panes and suffixes share
//! `W` slots. *Cost.* The suffixes fall due at once, `W` merges in the tick that crosses a block edge; as edges are
//! absolute, all series of a tick length pay them in the same tick (60 merges are about half a microsecond).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::packed::PackedSketch;
use crate::sketch::Sketch;
use crate::summary::Summary;

/// Where a pane's values lie: their mean and mean time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PaneMean {
    pane: u64,
    mean: f64,
    /// Mean time in ms after the pane's start.
    offset_ms: f64,
}

impl PaneMean {
    /// `None` for a pane without values.
    pub(crate) fn of(pane: u64, pane_ms: u64, values: &Summary) -> Option<Self> {
        Some(Self { pane, mean: values.mean()?, offset_ms: values.mean_time_ms(pane * pane_ms) })
    }

    /// Change of the mean per second up to a later pane.
    pub(crate) fn rate_per_second(&self, later: &Self, pane_ms: u64) -> f64 {
        let apart_ms = ((later.pane - self.pane) * pane_ms) as f64 + later.offset_ms - self.offset_ms;
        1_000.0 * (later.mean - self.mean) / apart_ms
    }
}

/// A pane that holds values and gets no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClosedPane {
    pub(crate) mean: PaneMean,
    pub(crate) sketch: PackedSketch,
}

/// The window's summaries and sketch, and its place in its tier's queue of closed panes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    /// Up to the position of `pane`: panes of this block. Beyond it: suffixes of the block before.
    slots: Vec<Summary>,
    /// Of this block's panes so far.
    prefix: Summary,
    /// The newest pane in the window.
    pane: u64,
    sketch: Sketch,
    /// How many of the newest closed panes lie in the window.
    live: usize,
}

impl Window {
    /// A window of `panes >= 1`, at the epoch.
    pub(crate) fn new(panes: u64) -> Self {
        Self {
            slots: vec![Summary::EMPTY; panes as usize],
            prefix: Summary::EMPTY,
            pane: 0,
            sketch: Sketch::default(),
            live: 0,
        }
    }

    /// Slides on until `pane` is the newest. Amortised O(1) per pane skipped, and O(W) for any gap.
    pub(crate) fn advance(&mut self, pane: u64, closed: &VecDeque<ClosedPane>) {
        let (filled, position) = (self.position(self.pane), self.position(pane));
        match pane / self.panes() - self.pane / self.panes() {
            0 => self.slots[filled + 1..=position].fill(Summary::EMPTY),
            1 => {
                self.slots[filled + 1..].fill(Summary::EMPTY);
                self.end_block();
                self.slots[..=position].fill(Summary::EMPTY);
            }
            _ => {
                self.slots.fill(Summary::EMPTY);
                self.prefix = Summary::EMPTY;
            }
        }
        self.pane = pane;
        self.evict(closed);
    }

    /// Puts more values, later than all before, into the newest pane; `summary` is theirs.
    pub(crate) fn add(&mut self, values: &[(u64, f64)], summary: &Summary) {
        let position = self.position(self.pane);
        self.slots[position] = self.slots[position].merge(summary);
        self.prefix = self.prefix.merge(summary);
        values.iter().for_each(|&(_, value)| self.sketch.insert(value));
    }

    /// Notes that the newest pane holds values and was put at the end of the queue of closed panes.
    pub(crate) fn close_pane(&mut self) {
        self.live += 1;
    }

    /// The summary of all values in the window.
    pub(crate) fn summary(&self) -> Summary {
        match self.slots.get(self.position(self.pane) + 1) {
            Some(suffix) => suffix.merge(&self.prefix),
            None => self.prefix,
        }
    }

    /// The sketch of all values in the window.
    pub(crate) fn sketch(&self) -> &Sketch {
        &self.sketch
    }

    /// How many of the newest closed panes lie in the window.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Summary>() + self.sketch.heap_bytes()
    }

    fn panes(&self) -> u64 {
        self.slots.len() as u64
    }

    fn position(&self, pane: u64) -> usize {
        (pane % self.panes()) as usize
    }

    /// Turns the panes of a finished block into its suffixes, in place; slot 0 is refilled before it could be read.
    fn end_block(&mut self) {
        for at in (2..self.slots.len()).rev() {
            self.slots[at - 1] = self.slots[at - 1].merge(&self.slots[at]);
        }
        self.prefix = Summary::EMPTY;
    }

    /// Takes the closed panes that fell out of the window off the sketch.
    fn evict(&mut self, closed: &VecDeque<ClosedPane>) {
        let oldest = (self.pane + 1).saturating_sub(self.panes());
        let leaving = closed.range(closed.len() - self.live..);
        for gone in leaving.take_while(|closed| closed.mean.pane < oldest) {
            for (bucket, count) in gone.sketch.buckets() {
                self.sketch.remove(bucket, count);
            }
            self.live -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pane `i` holds the one value `i`; panes divisible by 5 are empty.
    fn pane(index: u64) -> Summary {
        let value = (index * 1_000, index as f64);
        Summary::of(if index.is_multiple_of(5) { &[] } else { std::slice::from_ref(&value) })
    }

    fn slide(window: &mut Window, to: u64) {
        window.advance(to, &VecDeque::new());
        window.add(&[], &pane(to));
    }

    #[test]
    fn the_window_is_the_last_panes() {
        let mut window = Window::new(4);
        for at in 0..20 {
            slide(&mut window, at);
            let inside: Vec<_> = ((at + 1).saturating_sub(4)..=at).map(pane).collect();
            let expected = inside.iter().fold(Summary::EMPTY, |all, pane| all.merge(pane));
            let answer = window.summary();
            assert_eq!(
                (answer.count(), answer.min(), answer.max()),
                (expected.count(), expected.min(), expected.max())
            );
            // Means of at most 4 integers below 20, merged in another order.
            let apart = answer.mean().zip(expected.mean()).map_or(0.0, |(a, b)| (a - b).abs());
            assert!(apart < 1e-14, "{apart}");
        }
    }

    proptest! {
        #[test]
        fn skipping_panes_is_passing_empty_ones(gaps in prop::collection::vec(1u64..30, 1..20), panes in 1u64..9) {
            let (mut skipping, mut passing) = (Window::new(panes), Window::new(panes));
            let mut at = 0;
            for gap in gaps {
                for between in at + 1..at + gap {
                    passing.advance(between, &VecDeque::new());
                }
                at += gap;
                slide(&mut skipping, at);
                slide(&mut passing, at);
                prop_assert_eq!(&skipping, &passing);
            }
        }

        #[test]
        fn a_later_start_gives_the_same_bits(panes in 1u64..9, extra in 0u64..40) {
            let end = panes + extra;
            let (mut whole, mut replayed) = (Window::new(panes), Window::new(panes));
            (0..=end).for_each(|at| slide(&mut whole, at));
            (end + 1 - panes..=end).for_each(|at| slide(&mut replayed, at));
            prop_assert_eq!(format!("{:?}", whole.summary()), format!("{:?}", replayed.summary()));
        }
    }
}
