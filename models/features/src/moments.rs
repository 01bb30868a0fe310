//! The sliding moments of one series: summaries of every window, by blocks of panes, without subtraction.
//!
//! Ticks are cut into blocks of ten seconds, blocks into minutes, minutes into quarters, all at absolute multiples. What lies
//! in a window before the open block changes only when a block begins; within the block one *prefix* grows tick by tick, and
//! every window is something kept ⊕ prefix:
//!
//! ```text
//!          g-6      g-5 … g-1       g            suffix of a tick of g-1: from there to its end       10 s
//! | . . . a b c | blocks 1 … 5 | d e . . . |     suffix of a tick of g-6: likewise, ⊕ blocks         60 s
//!        └ suffix of a ───────┘ └ prefix         long: minutes and blocks before block g             15 min
//! ```
//!
//! So an answer costs one merge and a tick one more; what is kept is worked out with the first answer in a block: about 25
//! merges. Which merges are made depends on tick numbers only: a stream that starts with the oldest pane
//! of a window gives the same bits as one that started a year before (van Herk 1992; Gil and Werman 1993).
//!
//! Times are told from the start of the stretch that a pane stands for.

use crate::grid::{BLOCK_MS, BLOCKS, Grid, MINUTE_MS, MINUTES, Place};
use crate::pane::Pane;
use crate::strips::{Strip, StripMut};
use crate::summary::Summary;

/// What one series keeps beside its ticks and minutes.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    /// The open block so far.
    prefix: Pane,
    /// The 15 min window before the open block, told from that block's start.
    long: Pane,
    /// The five blocks before the open one, told from the start of the block before them.
    middle: Pane,
    /// The closed blocks of the open minute.
    minute: Pane,
    /// The oldest closed minute with values in the 15 min window, told from the start of the open minute.
    oldest_minute: Pane,
    /// The newest closed minute with values there, likewise.
    newest_minute: Pane,
    /// The closed minutes of the open quarter.
    quarter: Pane,
    /// The last blocks, by number modulo their count.
    blocks: [Pane; BLOCKS - 1],
    /// The block for which what lies before it was worked out: once it is asked for.
    looked_back: u64,
}

/// The panes of [`Moments`] that do not follow from others: prefix, minute, quarter, blocks.
const OWN: usize = 3 + BLOCKS - 1;

/// A minute of the last fifteen, and of the quarter before the open one from here to its end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Minute {
    pane: Pane,
    suffix: Pane,
}

/// A series' panes, where the bank keeps them.
pub(crate) struct Panes<'a> {
    /// By tick modulo the ticks of a minute.
    pub(crate) ticks: StripMut<'a, Pane>,
    /// By place in the block: of the block before the open one, from there to its end; then, of the block six before,
    /// from there up to the open block.
    pub(crate) suffixes: StripMut<'a, Pane>,
    /// By minute modulo their count.
    pub(crate) minutes: &'a mut [Minute],
}

/// The summaries of the windows, in order, and their rates of change.
pub(crate) struct Slid {
    pub(crate) summaries: [Summary; 4],
    pub(crate) rates_per_second: [Option<f64>; 4],
}

impl Moments {
    pub(crate) const EMPTY: Self = Self {
        prefix: Pane::EMPTY,
        long: Pane::EMPTY,
        middle: Pane::EMPTY,
        minute: Pane::EMPTY,
        oldest_minute: Pane::EMPTY,
        newest_minute: Pane::EMPTY,
        quarter: Pane::EMPTY,
        blocks: [Pane::EMPTY; BLOCKS - 1],
        looked_back: u64::MAX,
    };

    /// Opens the next tick. O(1).
    pub(crate) fn open(&mut self, panes: &mut Panes<'_>, place: &Place) {
        if place.position == 0 && place.tick > 0 {
            self.end_block(panes.minutes, place.block - 1);
            self.prefix = Pane::EMPTY;
        }
        panes.ticks[place.slot] = Pane::EMPTY;
    }

    /// Takes in the values of the open tick; `summary` tells its times from the start of the block.
    pub(crate) fn add(&mut self, panes: &mut Panes<'_>, place: &Place, summary: &Summary) {
        // Rounded first: a constant then has one mean everywhere, and a variance of exactly 0.
        let pane = Pane::of(summary);
        panes.ticks[place.slot] = pane;
        self.prefix = Pane::of(&self.prefix.summary(0.0).merge(&pane.summary(0.0)));
    }

    /// Every window as it ends with the open tick. Three merges, and a search for the oldest pane that holds values; about
    /// `2 × block` merges for the first answer in a block.
    pub(crate) fn slide(&mut self, panes: &mut Panes<'_>, grid: &Grid, place: &Place) -> Slid {
        if self.looked_back != place.block {
            self.looked_back = place.block;
            self.look_back(panes, grid, place.block);
        }
        let (ticks, suffixes) = (panes.ticks.shared(), panes.suffixes.shared());
        let prefix = self.prefix.summary(0.0);
        let (mut before, mut middle) = (Summary::EMPTY, self.middle.summary(-MINUTE));
        if place.position + 1 < grid.block {
            before = suffixes[place.position + 1].summary(-BLOCK);
            middle = suffixes[grid.block + place.position + 1].summary(-MINUTE);
        }
        let block_ago = (place.block_ago, place.block_ago_blocks);
        let minute_ago = (place.minute_ago, place.minute_ago_blocks);
        let second = if grid.second == 1 { None } else { search(ticks, grid, place, grid.second) };
        Slid {
            summaries: [
                newest(ticks, grid, place),
                before.merge(&prefix),
                middle.merge(&prefix),
                self.long.summary(0.0).merge(&prefix),
            ],
            rates_per_second: [
                second,
                rate_within(ticks, grid, place, block_ago, grid.block),
                rate_within(ticks, grid, place, minute_ago, BLOCKS * grid.block),
                self.rate(place),
            ],
        }
    }

    /// Loads what an answer at the next tick will touch.
    pub(crate) fn touch((ticks, suffixes): (Strip<'_, Pane>, Strip<'_, Pane>), grid: &Grid, place: &Place) -> u32 {
        let suffixes = suffixes[place.position].count ^ suffixes[grid.block + place.position].count;
        ticks[place.minute_ago].count ^ ticks[place.block_ago].count ^ suffixes
    }

    /// The panes of a series from which the others follow.
    pub(crate) fn kept(&self, ticks: Strip<'_, Pane>, minutes: &[Minute], grid: &Grid) -> impl Iterator<Item = Pane> {
        let own = [self.prefix, self.minute, self.quarter].into_iter().chain(self.blocks);
        let minutes = minutes.iter().map(|minute| minute.pane);
        own.chain(minutes).chain((0..grid.minute() as usize).map(move |slot| ticks[slot]))
    }

    /// How many panes are kept.
    pub(crate) const fn kept_panes(grid: &Grid) -> usize {
        OWN + MINUTES + grid.minute() as usize
    }

    /// Fills the panes of a new series with what was kept when the tick at `place` was the newest, and works out the rest:
    /// the same merges of the same panes, hence the same bits.
    pub(crate) fn restored(kept: &[Pane], panes: &mut Panes<'_>, place: &Place) -> Self {
        let (own, kept) = kept.split_first_chunk::<OWN>().expect("as many were taken as are kept");
        let [prefix, minute, quarter, blocks @ ..] = *own;
        let (minutes, ticks) = kept.split_at(MINUTES);
        panes.minutes.iter_mut().zip(minutes).for_each(|(minute, kept)| minute.pane = *kept);
        ticks.iter().enumerate().for_each(|(slot, kept)| panes.ticks[slot] = *kept);

        let mut moments = Self { prefix, minute, quarter, blocks, ..Self::EMPTY };
        keep_minute_suffixes(panes.minutes);
        moments.find_ends(panes.minutes, place.block / BLOCKS as u64);
        moments
    }

    /// Works out what lies in the windows before the open block. Ticks of that block may already be there: what is merged from
    /// their slots is not asked for any more.
    fn look_back(&mut self, panes: &mut Panes<'_>, grid: &Grid, block: u64) {
        self.long = Pane::of(&self.before(panes.minutes, block));
        let mut middle = Summary::EMPTY;
        for after in 1..BLOCKS as u64 {
            // Block `block - 6 + after`; six blocks before is one before, modulo five.
            let between = &self.blocks[((block + after - 1) % self.blocks.len() as u64) as usize];
            middle = middle.merge(&between.summary((after * BLOCK_MS) as f64));
        }
        self.middle = Pane::of(&middle);
        // The block before has the slots of the fifth after this one; this one fills those of block `block - 6`.
        keep_suffixes(panes, (grid, block + BLOCKS as u64 - 1), 0, Summary::EMPTY);
        keep_suffixes(panes, (grid, block), grid.block, middle);
    }

    /// Hands the ended block on to its minute, and the minute to its quarter.
    fn end_block(&mut self, minutes: &mut [Minute], ended: u64) {
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
        minutes[within].pane = Pane::of(&so_far);
        if within + 1 < MINUTES {
            let shift = within as f64 * MINUTE;
            self.quarter = Pane::of(&self.quarter.summary(0.0).merge(&minutes[within].pane.summary(shift)));
        } else {
            self.quarter = Pane::EMPTY;
            keep_minute_suffixes(minutes);
        }
        self.find_ends(minutes, minute + 1);
    }

    /// The oldest and the newest closed minute with values in the 15 min window of an open minute.
    fn find_ends(&mut self, minutes: &[Minute], open: u64) {
        let told =
            |number: u64| minutes[(number % MINUTES as u64) as usize].pane.summary(-((open - number) as f64 * MINUTE));
        let mut held = (open.saturating_sub(MINUTES as u64 - 1)..open).map(told).filter(|summary| summary.count > 0);
        let oldest = held.next().unwrap_or(Summary::EMPTY);
        self.oldest_minute = Pane::of(&oldest);
        self.newest_minute = Pane::of(&held.next_back().unwrap_or(oldest));
    }

    /// The 15 min window up to the start of a block, from where its times are told.
    fn before(&self, minutes: &[Minute], block: u64) -> Summary {
        let within = (block / BLOCKS as u64 % MINUTES as u64) as usize;
        let into_minute = (block % BLOCKS as u64 * BLOCK_MS) as f64;
        let into_quarter = into_minute + within as f64 * MINUTE;
        let earlier = minutes.get(within + 1).map_or(Pane::EMPTY, |minute| minute.suffix);
        let earlier = earlier.summary(-into_quarter - MINUTES as f64 * MINUTE);
        earlier.merge(&self.quarter.summary(-into_quarter)).merge(&self.minute.summary(-into_minute))
    }

    /// From the oldest to the newest minute with values in the 15 min window; the newest may be the open one.
    fn rate(&self, place: &Place) -> Option<f64> {
        let into_minute = (place.block % BLOCKS as u64 * BLOCK_MS) as f64;
        let open = self.minute.summary(0.0).merge(&self.prefix.summary(into_minute));
        let (oldest, newest) = (self.oldest_minute.summary(0.0), self.newest_minute.summary(0.0));
        if open.count > 0 {
            return oldest.rate_per_second(&open);
        }
        (oldest.mean_ms < newest.mean_ms).then(|| oldest.rate_per_second(&newest)).flatten()
    }
}

/// A block and a minute, in ms.
const BLOCK: f64 = BLOCK_MS as f64;
const MINUTE: f64 = MINUTE_MS as f64;

/// Merges the ticks of a block from its end, onto what follows it, and keeps each from `kept` on. The first is never asked
/// for.
fn keep_suffixes(panes: &mut Panes<'_>, (grid, block): (&Grid, u64), kept: usize, mut suffix: Summary) {
    let first = grid.slot(block * grid.block as u64);
    for at in (1..grid.block).rev() {
        suffix = panes.ticks[first + at].summary(0.0).merge(&suffix);
        panes.suffixes[kept + at] = Pane::of(&suffix);
    }
}

/// Merges the minutes of a quarter from its end. The first is never asked for, nor are those that a minute of the next quarter
/// has taken the place of.
fn keep_minute_suffixes(minutes: &mut [Minute]) {
    let mut suffix = Summary::EMPTY;
    for at in (1..MINUTES).rev() {
        suffix = minutes[at].pane.summary(at as f64 * MINUTE).merge(&suffix);
        minutes[at].suffix = Pane::of(&suffix);
    }
}

/// The newest second: one tick, or the last few.
fn newest(ticks: Strip<'_, Pane>, grid: &Grid, place: &Place) -> Summary {
    if grid.second == 1 {
        return ticks[place.slot].summary(0.0);
    }
    let first = (place.tick + 1).saturating_sub(grid.second as u64);
    (first..=place.tick).fold(Summary::EMPTY, |all, at| all.merge(&told(ticks, grid, place, at)))
}

/// From the oldest to the newest tick with values among the last `panes`, of which `oldest` is the slot of the first and
/// how many blocks it lies back.
fn rate_within(
    ticks: Strip<'_, Pane>,
    grid: &Grid,
    place: &Place,
    (oldest, blocks): (usize, usize),
    panes: usize,
) -> Option<f64> {
    let (first, last) = (&ticks[oldest], &ticks[place.slot]);
    if panes == 1 || first.is_empty() || last.is_empty() {
        return search(ticks, grid, place, panes);
    }
    first.summary(-(blocks as f64 * BLOCK)).rate_per_second(&last.summary(0.0))
}

/// As [`rate_within`], tick by tick.
fn search(ticks: Strip<'_, Pane>, grid: &Grid, place: &Place, panes: usize) -> Option<f64> {
    let first = (place.tick + 1).saturating_sub(panes as u64);
    let holds = |at: &u64| !ticks[grid.slot(*at)].is_empty();
    let newest = (first..=place.tick).rev().find(holds)?;
    let oldest = (first..newest).find(holds)?;
    told(ticks, grid, place, oldest).rate_per_second(&told(ticks, grid, place, newest))
}

/// A tick's summary, its times told from the start of the open block.
fn told(ticks: Strip<'_, Pane>, grid: &Grid, place: &Place, at: u64) -> Summary {
    let blocks_apart = place.block - at / grid.block as u64;
    ticks[grid.slot(at)].summary(-(blocks_apart as f64 * BLOCK))
}
