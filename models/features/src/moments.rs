//! The sliding moments of one series: summaries of every window, by blocks of panes, without subtraction.
//!
//! Ticks are cut into blocks of ten seconds, blocks into minutes, minutes into quarters, all at absolute multiples. What lies
//! in a window before the open block changes only when a block begins; within the block one *prefix* grows tick by tick, and
//! every window is something kept ⊕ prefix:
//!
//! ```text
//!          g-6      g-5 … g-1       g            recent[i]: ticks i.. of block g-1              10 s
//! | . . . a b c | blocks 1 … 5 | d e . . . |     oldest[i]: ticks i.. of block g-6 ⊕ blocks     60 s
//!        └ oldest[3] ─────────┘ └ prefix         long:      minutes and blocks before block g   15 min
//! ```
//!
//! So an answer costs one merge and a tick one more; what is kept falls due at the edge of a block, for all series in the
//! same tick: about 30 merges. Which merges are made depends on tick numbers only: a stream that starts with the oldest pane
//! of a window gives the same bits as one that started a year before (van Herk 1992; Gil and Werman 1993).
//!
//! Times are told from the start of the stretch that a pane stands for.

use serde::{Deserialize, Serialize};

use crate::grid::{BLOCK_MS, BLOCKS, Grid, MINUTE_MS, MINUTES};
use crate::pane::Pane;
use crate::summary::Summary;

/// What one series keeps beside its ticks. Everything about ticks lies in the bank's slab, see [`Ticks`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moments {
    /// The open block so far.
    prefix: Pane,
    /// The last blocks, by number modulo their count.
    blocks: [Pane; BLOCKS - 1],
    /// The closed blocks of the open minute.
    minute: Pane,
    /// The last minutes, by number modulo their count.
    minutes: [Pane; MINUTES],
    /// From each minute of the quarter before to its end.
    suffixes: [Pane; MINUTES],
    /// The closed minutes of the open quarter.
    quarter: Pane,
    /// The 15 min window before the open block, told from that block's start.
    long: Pane,
}

/// A series' stretch of the slab: the ticks of six blocks, and what two of the blocks still mean to a window.
pub(crate) struct Ticks<'a> {
    ring: &'a mut [Pane],
    recent: &'a mut [Pane],
    oldest: &'a mut [Pane],
}

impl<'a> Ticks<'a> {
    /// Panes that a series takes in the slab.
    pub(crate) const fn len(grid: &Grid) -> usize {
        (BLOCKS + 2) * grid.block + 1
    }

    pub(crate) fn new(stretch: &'a mut [Pane], grid: &Grid) -> Self {
        let (ring, kept) = stretch.split_at_mut(BLOCKS * grid.block);
        let (recent, oldest) = kept.split_at_mut(grid.block);
        Self { ring, recent, oldest }
    }

    /// Forgets all values.
    pub(crate) fn clear(&mut self) {
        for panes in [&mut *self.ring, &mut *self.recent, &mut *self.oldest] {
            panes.fill(Pane::EMPTY);
        }
    }
}

/// The summaries of the windows, in order, and their rates of change.
pub(crate) struct Slid {
    pub(crate) summaries: [Summary; 4],
    pub(crate) rates_per_second: [Option<f64>; 4],
}

impl Moments {
    pub(crate) const EMPTY: Self = Self {
        prefix: Pane::EMPTY,
        blocks: [Pane::EMPTY; BLOCKS - 1],
        minute: Pane::EMPTY,
        minutes: [Pane::EMPTY; MINUTES],
        suffixes: [Pane::EMPTY; MINUTES],
        quarter: Pane::EMPTY,
        long: Pane::EMPTY,
    };

    /// Opens the next tick. O(1) amortised; about `3 × block` merges where a block begins.
    pub(crate) fn open(&mut self, ticks: &mut Ticks<'_>, grid: &Grid, tick: u64) {
        if grid.position(tick) == 0 && tick > 0 {
            self.begin_block(ticks, grid, tick / grid.block as u64);
        }
        ticks.ring[grid.slot(tick)] = Pane::EMPTY;
    }

    /// Takes in the values of the open tick; `summary` tells its times from the start of the block.
    pub(crate) fn add(&mut self, ticks: &mut Ticks<'_>, grid: &Grid, tick: u64, summary: &Summary) {
        // Rounded first: a constant then has one mean everywhere, and a variance of exactly 0.
        let pane = Pane::of(summary);
        ticks.ring[grid.slot(tick)] = pane;
        self.prefix = Pane::of(&self.prefix.summary(0.0).merge(&pane.summary(0.0)));
    }

    /// Every window as it ends with the open tick. Four merges, and a search for the oldest pane that holds values.
    pub(crate) fn slide(&self, ticks: &[Pane], grid: &Grid, tick: u64) -> Slid {
        let (ring, kept) = ticks.split_at(BLOCKS * grid.block);
        let (recent, oldest) = kept.split_at(grid.block);
        let next = grid.position(tick) + 1;
        let prefix = self.prefix.summary(0.0);
        let before = recent.get(next).map_or(Summary::EMPTY, |pane| pane.summary(-(BLOCK_MS as f64)));
        let middle = oldest[next].summary(-((BLOCKS as u64 * BLOCK_MS) as f64));
        let rate = |panes| rate_within(ring, grid, tick, panes);
        Slid {
            summaries: [
                newest(ring, grid, tick),
                before.merge(&prefix),
                middle.merge(&prefix),
                self.long.summary(0.0).merge(&prefix),
            ],
            rates_per_second: [rate(grid.second), rate(grid.block), rate(BLOCKS * grid.block), self.rate(grid, tick)],
        }
    }

    fn begin_block(&mut self, ticks: &mut Ticks<'_>, grid: &Grid, block: u64) {
        self.keep_recent(ticks, grid, block - 1);
        self.end_block(block - 1);
        self.long = Pane::of(&self.before(block));
        self.keep_oldest(ticks, grid, block);
        self.prefix = Pane::EMPTY;
    }

    /// The suffixes of the block that has ended.
    fn keep_recent(&self, ticks: &mut Ticks<'_>, grid: &Grid, ended: u64) {
        let first = grid.slot(ended * grid.block as u64);
        let mut suffix = Summary::EMPTY;
        for at in (1..grid.block).rev() {
            suffix = ticks.ring[first + at].summary(0.0).merge(&suffix);
            ticks.recent[at] = Pane::of(&suffix);
        }
    }

    /// The suffixes of the block that will leave the minute's window tick by tick, with the blocks between.
    fn keep_oldest(&self, ticks: &mut Ticks<'_>, grid: &Grid, block: u64) {
        let mut suffix = Summary::EMPTY;
        for after in 1..BLOCKS as u64 {
            // Block `block - 6 + after`; six blocks before is one before, modulo five.
            let between = &self.blocks[((block + after - 1) % self.blocks.len() as u64) as usize];
            suffix = suffix.merge(&between.summary((after * BLOCK_MS) as f64));
        }
        ticks.oldest[grid.block] = Pane::of(&suffix);
        let first = grid.slot(block * grid.block as u64);
        for at in (1..grid.block).rev() {
            suffix = ticks.ring[first + at].summary(0.0).merge(&suffix);
            ticks.oldest[at] = Pane::of(&suffix);
        }
    }

    /// Hands the ended block on to its minute, and the minute to its quarter.
    fn end_block(&mut self, ended: u64) {
        self.blocks[(ended % self.blocks.len() as u64) as usize] = self.prefix;
        let within = ended % BLOCKS as u64;
        let so_far = self.minute.summary(0.0).merge(&self.prefix.summary((within * BLOCK_MS) as f64));
        if within + 1 < BLOCKS as u64 {
            self.minute = Pane::of(&so_far);
            return;
        }
        self.minute = Pane::EMPTY;
        let minute = ended / BLOCKS as u64;
        let within = (minute % MINUTES as u64) as usize;
        self.minutes[within] = Pane::of(&so_far);
        if within + 1 < MINUTES {
            let shift_ms = (within as u64 * MINUTE_MS) as f64;
            self.quarter = Pane::of(&self.quarter.summary(0.0).merge(&self.minutes[within].summary(shift_ms)));
            return;
        }
        self.quarter = Pane::EMPTY;
        let mut suffix = Summary::EMPTY;
        for at in (1..MINUTES).rev() {
            suffix = self.minutes[at].summary((at as u64 * MINUTE_MS) as f64).merge(&suffix);
            self.suffixes[at] = Pane::of(&suffix);
        }
    }

    /// The 15 min window up to the start of a block, from where its times are told.
    fn before(&self, block: u64) -> Summary {
        let minute = block / BLOCKS as u64;
        let within = (minute % MINUTES as u64) as usize;
        let into_minute = (block % BLOCKS as u64 * BLOCK_MS) as f64;
        let into_quarter = into_minute + (within as u64 * MINUTE_MS) as f64;
        let earlier = self.suffixes.get(within + 1).copied().unwrap_or(Pane::EMPTY);
        let earlier = earlier.summary(-into_quarter - (MINUTES as u64 * MINUTE_MS) as f64);
        earlier.merge(&self.quarter.summary(-into_quarter)).merge(&self.minute.summary(-into_minute))
    }

    /// From the oldest to the newest minute with values in the 15 min window; the newest may be the open one.
    fn rate(&self, grid: &Grid, tick: u64) -> Option<f64> {
        let block = tick / grid.block as u64;
        let (minute, into_minute) = (block / BLOCKS as u64, block % BLOCKS as u64);
        let told = |number: u64| {
            let pane = self.minutes[(number % MINUTES as u64) as usize];
            pane.summary(-(((minute - number) * MINUTE_MS) as f64))
        };
        let open = self.minute.summary(0.0).merge(&self.prefix.summary((into_minute * BLOCK_MS) as f64));
        let closed = (minute.saturating_sub(MINUTES as u64 - 1)..minute).map(told);
        let mut held = closed.chain(std::iter::once(open)).filter(|summary| summary.count > 0);
        let oldest = held.next()?;
        oldest.rate_per_second(&held.next_back()?)
    }
}

/// The newest second: one tick, or the last few.
fn newest(ring: &[Pane], grid: &Grid, tick: u64) -> Summary {
    let first = (tick + 1).saturating_sub(grid.second as u64);
    (first..=tick).fold(Summary::EMPTY, |all, at| all.merge(&told(ring, grid, tick, at)))
}

/// From the oldest to the newest tick with values among the last `panes`.
fn rate_within(ring: &[Pane], grid: &Grid, tick: u64, panes: usize) -> Option<f64> {
    let first = (tick + 1).saturating_sub(panes as u64);
    let holds = |at: &u64| !ring[grid.slot(*at)].is_empty();
    let newest = (first..=tick).rev().find(holds)?;
    let oldest = (first..newest).find(holds)?;
    told(ring, grid, tick, oldest).rate_per_second(&told(ring, grid, tick, newest))
}

/// A tick's summary, its times told from the start of the block of `tick`.
fn told(ring: &[Pane], grid: &Grid, tick: u64, at: u64) -> Summary {
    let blocks_apart = tick / grid.block as u64 - at / grid.block as u64;
    ring[grid.slot(at)].summary(-((blocks_apart * BLOCK_MS) as f64))
}
