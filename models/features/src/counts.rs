//! The quantiles of one series: for every window, how many values lie in each bucket.
//!
//! Counts are integers, so taking off what leaves a window restores the former state exactly, which no sketch of ranks
//! allows. What entered is remembered in few bytes: the buckets of each tick of the last minute, and of each of the last 15
//! minutes. Each window keeps its place among the ticks and takes off one tick a tick; at a minute's end the minute's window
//! holds exactly that minute, and is written down for the 15 min window.
//!
//! *Space.* 132 bytes for every eighth of a doubling in which values of the last 15 min lie, and about one byte a value for
//! a minute. *Cost.* A value is counted four times and taken off four times; one block serves all windows, so that is one
//! or two cache lines.

use serde::{Deserialize, Serialize};

use crate::bucket::{LEVELS, middle_of, rank_of};
use crate::grid::{Grid, MINUTES};
use crate::runs::{Runs, pack};

/// Neighbouring buckets that are kept together: an eighth of a doubling.
const BLOCK: usize = 8;

/// The windows that slide by ticks: 1 s, 10 s and 60 s. The last lane is that of 15 min, which holds all that they hold.
const SLIDING: usize = 3;
const LONGEST: usize = SLIDING;

/// Where the runs of ticks are cut off once that much of them has been used up.
const USED_BYTES_MAX: usize = 256;

/// Counts of buckets `8·number ..= 8·number + 7` in each window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Block {
    number: i32,
    lanes: [[u32; BLOCK]; SLIDING + 1],
}

/// What one series has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    // Invariant: ascending by number, no lane of 15 min is all zeros.
    blocks: Vec<Block>,
    /// Runs of buckets, one stretch a tick, from the oldest in the minute's window on.
    ticks: Vec<u8>,
    /// Where each sliding window's oldest tick begins.
    oldest: [u32; SLIDING],
    /// How many ticks each sliding window holds.
    held: [u32; SLIDING],
    /// Runs of buckets, one stretch a closed minute.
    minutes: Vec<u8>,
    minutes_held: u32,
}

impl Counts {
    /// Opens the tick after the one opened last; what was counted in that one must have been [`add`](Self::add)ed.
    pub(crate) fn open(&mut self, grid: &Grid, tick: u64) {
        if tick.is_multiple_of(grid.minute()) {
            self.close_minute();
        }
        let lengths = [grid.second, grid.block, grid.minute() as usize];
        for window in 0..SLIDING {
            if self.held[window] as usize == lengths[window] {
                self.evict(window);
                self.held[window] -= 1;
            }
        }
        let used = self.oldest[SLIDING - 1];
        if used as usize >= USED_BYTES_MAX {
            self.ticks.drain(..used as usize);
            self.oldest.iter_mut().for_each(|place| *place -= used);
        }
    }

    /// Counts the buckets of the open tick, ascending: once a tick, also where there are none.
    pub(crate) fn add(&mut self, buckets: &[i32]) {
        let mut at = 0;
        for &bucket in buckets {
            let (number, slot) = place(bucket);
            at = self.find(at, number);
            for lane in &mut self.blocks[at].lanes {
                lane[slot] += 1;
            }
        }
        pack(&mut self.ticks, runs_of(buckets));
        self.held.iter_mut().for_each(|held| *held += 1);
    }

    /// The quantiles of [`LEVELS`] in a window that holds `count >= 1` values.
    pub(crate) fn quantiles(&self, window: usize, count: u32) -> [f64; LEVELS.len()] {
        let ranks = LEVELS.map(|level| rank_of(level, count));
        let mut answers = [0.0; LEVELS.len()];
        let (mut answered, mut below) = (0, 0);
        for block in &self.blocks {
            let lane = &block.lanes[window];
            let total: u32 = lane.iter().sum();
            while answered < ranks.len() && below + total >= ranks[answered] {
                answers[answered] = middle_of(block.number * BLOCK as i32 + nth(lane, ranks[answered] - below));
                answered += 1;
            }
            below += total;
        }
        debug_assert_eq!(below, count, "as many values are counted as were summarised");
        answers
    }

    /// Forgets all values.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>() + self.ticks.capacity() + self.minutes.capacity()
    }

    /// Takes the oldest tick off a sliding window.
    fn evict(&mut self, window: usize) {
        let mut runs = Runs::at(&self.ticks, self.oldest[window] as usize);
        let mut at = 0;
        while let Some((bucket, count)) = runs.next() {
            let (number, slot) = place(bucket);
            while self.blocks[at].number < number {
                at += 1;
            }
            self.blocks[at].lanes[window][slot] -= count;
        }
        self.oldest[window] = runs.place() as u32;
    }

    /// Writes the ended minute down and takes the oldest one off the longest window.
    fn close_minute(&mut self) {
        let held = self.blocks.iter().flat_map(|block| {
            let first = block.number * BLOCK as i32;
            let counted = (first..).zip(block.lanes[SLIDING - 1]);
            counted.filter(|(_, count)| *count > 0)
        });
        pack(&mut self.minutes, held);
        self.minutes_held += 1;
        if (self.minutes_held as usize) < MINUTES {
            return;
        }
        self.minutes_held -= 1;
        let mut runs = Runs::at(&self.minutes, 0);
        let mut at = 0;
        while let Some((bucket, count)) = runs.next() {
            let (number, slot) = place(bucket);
            while self.blocks[at].number < number {
                at += 1;
            }
            self.blocks[at].lanes[LONGEST][slot] -= count;
        }
        let used = runs.place();
        self.minutes.drain(..used);
        self.blocks.retain(|block| block.lanes[LONGEST] != [0; BLOCK]);
    }

    /// The place of a block from `at` on; it is made where there is none.
    #[inline]
    fn find(&mut self, mut at: usize, number: i32) -> usize {
        while at < self.blocks.len() && self.blocks[at].number < number {
            at += 1;
        }
        if self.blocks.get(at).is_none_or(|block| block.number != number) {
            self.blocks.insert(at, Block { number, lanes: [[0; BLOCK]; SLIDING + 1] });
        }
        at
    }
}

/// The block of a bucket and its slot there; both ascend, also below zero.
#[inline]
const fn place(bucket: i32) -> (i32, usize) {
    let block = BLOCK as i32;
    (bucket.div_euclid(block), bucket.rem_euclid(block) as usize)
}

/// The slot of the value of a rank within a lane, from 1 to its total.
#[inline]
fn nth(lane: &[u32; BLOCK], rank: u32) -> i32 {
    let mut up_to = 0;
    let before = lane.iter().take_while(|&&count| {
        up_to += count;
        up_to < rank
    });
    before.count() as i32
}

/// Ascending buckets as runs of equal ones.
fn runs_of(buckets: &[i32]) -> impl Iterator<Item = (i32, u32)> + Clone {
    buckets.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u32))
}
