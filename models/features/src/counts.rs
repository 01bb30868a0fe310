//! The quantiles of one series: for every window, how many values lie in each bucket.
//!
//! Counts are integers, so taking off what leaves a window restores the former state exactly, which no sketch of ranks
//! allows. What entered is remembered in few bytes: the buckets of each tick of the last minute, and of each of the last 15
//! minutes. Each window keeps its place among the ticks and takes off one tick a tick; at a minute's end the minute's window
//! holds exactly that minute, and is written down for the 15 min window. The window of 1 s is read from the ticks themselves.
//!
//! *Space.* 52 bytes for every eighth of a doubling in which values of the last 15 min lie, twice that for a series with
//! many values a tick, and about one byte a value for a minute. *Cost.* A value is counted three times and taken off three
//! times; one block serves all windows, so that is one or two cache lines. The newest second is read from the buckets at hand
//! where the series was folded just before.

use crate::bucket::{LEVELS, middle_of, rank_of};
use crate::grid::{Grid, MINUTES};
use crate::runs::{Runs, pack};
use crate::table::{LONGEST, SLIDING, Table};
use crate::words::Word;

/// Where the runs of ticks are cut off once that much of them has been used up.
const USED_BYTES_MAX: usize = 128;

/// By how much room for runs grows: a vector of its own accord would double.
const ROOM_BYTES: usize = 64;

/// What one series has counted.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    table: Lanes,
    /// Runs of buckets, one stretch a tick, from the oldest in the minute's window on.
    ticks: Vec<u8>,
    /// Where the newest tick begins.
    newest: u32,
    /// Where each sliding window's oldest tick begins: 10 s, then 60 s.
    oldest: [u32; SLIDING],
    /// How many ticks each sliding window holds.
    held: [u32; SLIDING],
    /// Runs of buckets, one stretch a closed minute.
    minutes: Vec<u8>,
    minutes_held: u32,
}

/// Two bytes a count do for most series.
#[derive(Clone, Debug)]
enum Lanes {
    Narrow(Table<u16>),
    Wide(Table<u32>),
}

macro_rules! either {
    ($lanes:expr, $table:ident => $body:expr) => {
        match $lanes {
            Lanes::Narrow($table) => $body,
            Lanes::Wide($table) => $body,
        }
    };
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            table: Lanes::Narrow(Table::default()),
            ticks: Vec::new(),
            newest: 0,
            oldest: [0; SLIDING],
            held: [0; SLIDING],
            minutes: Vec::new(),
            minutes_held: 0,
        }
    }
}

impl Counts {
    /// Opens the tick after the one opened last; what was counted in that one must have been [`add`](Self::add)ed.
    pub(crate) fn open(&mut self, grid: &Grid, tick: u64) {
        if tick.is_multiple_of(grid.minute()) {
            self.close_minute();
        }
        for (lane, length) in [grid.block, grid.minute() as usize].into_iter().enumerate() {
            if self.held[lane] as usize == length {
                let mut runs = Runs::at(&self.ticks, self.oldest[lane] as usize);
                either!(&mut self.table, table => table.take_off(lane, runs.by_ref()));
                self.oldest[lane] = runs.place() as u32;
                self.held[lane] -= 1;
            }
        }
        let used = self.oldest[SLIDING - 1];
        if used as usize >= USED_BYTES_MAX {
            self.ticks.drain(..used as usize);
            self.oldest.iter_mut().for_each(|place| *place -= used);
        }
    }

    /// Counts the buckets of the open tick, ascending: once a tick, also where there are none.
    pub(crate) fn add(&mut self, grid: &Grid, buckets: &[i32]) {
        if let Lanes::Narrow(table) = &self.table
            && buckets.len() as u64 > u64::from(u16::MAX) / grid.longest()
        {
            self.table = Lanes::Wide(table.widen());
        }
        either!(&mut self.table, table => table.count(buckets));
        self.newest = self.ticks.len() as u32;
        if self.ticks.capacity() - self.ticks.len() < ROOM_BYTES {
            self.ticks.reserve_exact(2 * ROOM_BYTES);
        }
        pack(&mut self.ticks, runs_of(buckets));
        self.held.iter_mut().for_each(|held| *held += 1);
    }

    /// The quantiles of [`LEVELS`] in a window that holds `count >= 1` values.
    pub(crate) fn quantiles(&self, grid: &Grid, window: usize, count: u32) -> [f64; LEVELS.len()] {
        let ranks = LEVELS.map(|level| rank_of(level, count));
        match window.checked_sub(1) {
            Some(lane) => either!(&self.table, table => table.of_ranks(lane, ranks)).map(middle_of),
            None => self.of_newest(grid, ranks).map(middle_of),
        }
    }

    /// Forgets all values.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Loads what the next tick will touch, so that many series wait for memory at once.
    pub(crate) fn touch(&self) -> u32 {
        let byte = |place: u32| u32::from(self.ticks.get(place as usize).copied().unwrap_or_default());
        let table = either!(&self.table, table => table.touch());
        table ^ byte(self.newest) ^ byte(self.oldest[0]) ^ byte(self.oldest[1])
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        either!(&self.table, table => table.heap_bytes()) + self.ticks.capacity() + self.minutes.capacity()
    }

    /// Appends them, to be kept; ticks that are used up are left out.
    pub(crate) fn put(&self, bytes: &mut Vec<u8>) {
        let [ten_seconds, used] = self.oldest;
        let [newest, ten_seconds] = [self.newest, ten_seconds].map(|place| place - used);
        let (ticks, minutes) = (&self.ticks[used as usize..], &self.minutes);
        let (wide, blocks) = match &self.table {
            Lanes::Narrow(table) => (0, table.len()),
            Lanes::Wide(table) => (1, table.len()),
        };
        let [blocks, in_ticks, in_minutes] = [blocks, ticks.len(), minutes.len()].map(|length| length as u32);
        u32::put([wide, blocks, in_ticks, in_minutes, newest, ten_seconds, self.minutes_held], bytes);
        u32::put(self.held, bytes);
        either!(&self.table, table => table.put(bytes));
        bytes.extend_from_slice(ticks);
        bytes.extend_from_slice(minutes);
    }

    /// What [`put`](Self::put) kept.
    pub(crate) fn take(left: &mut &[u8]) -> Option<Self> {
        let [wide, blocks, in_ticks, in_minutes, newest, ten_seconds, minutes_held] = u32::take(left)?;
        let held = u32::take(left)?;
        let table = match wide {
            0 => Lanes::Narrow(Table::take(left, blocks as usize)?),
            1 => Lanes::Wide(Table::take(left, blocks as usize)?),
            _ => return None,
        };
        let kept = left.split_off(..in_ticks as usize)?;
        // With room for the next ticks, lest all series ask for it at once in the first tick after a restart.
        let mut ticks = Vec::with_capacity(kept.len() + 2 * ROOM_BYTES);
        ticks.extend_from_slice(kept);
        let minutes = left.split_off(..in_minutes as usize)?.to_vec();
        Some(Self { table, ticks, newest, oldest: [ten_seconds, 0], held, minutes, minutes_held })
    }

    /// The buckets of ascending ranks in the newest second.
    fn of_newest(&self, grid: &Grid, ranks: [u32; LEVELS.len()]) -> [i32; LEVELS.len()] {
        if grid.second == 1 {
            return of_ranks(Runs::at(&self.ticks, self.newest as usize), ranks);
        }
        // Ticks below a second: the last few of those that the window of 10 s holds.
        let mut place = self.oldest[0] as usize;
        let mut all = Vec::new();
        for tick in 0..self.held[0] as usize {
            let mut runs = Runs::at(&self.ticks, place);
            let within = tick + grid.second >= self.held[0] as usize;
            all.extend(runs.by_ref().filter(|_| within));
            place = runs.place();
        }
        all.sort_unstable();
        of_ranks(all.into_iter(), ranks)
    }

    /// Writes the ended minute down and takes the oldest one off the longest window.
    fn close_minute(&mut self) {
        either!(&self.table, table => pack(&mut self.minutes, table.held(SLIDING - 1)));
        self.minutes_held += 1;
        if (self.minutes_held as usize) < MINUTES {
            return;
        }
        self.minutes_held -= 1;
        let mut runs = Runs::at(&self.minutes, 0);
        either!(&mut self.table, table => {
            table.take_off(LONGEST, runs.by_ref());
            table.drop_empty();
        });
        let used = runs.place();
        self.minutes.drain(..used);
        self.minutes.shrink_to(self.minutes.len() + ROOM_BYTES);
    }
}

/// The buckets of ascending ranks among ascending runs.
fn of_ranks(runs: impl Iterator<Item = (i32, u32)>, ranks: [u32; LEVELS.len()]) -> [i32; LEVELS.len()] {
    let mut answers = [0; LEVELS.len()];
    let (mut answered, mut up_to) = (0, 0);
    for (bucket, count) in runs {
        up_to += count;
        while answered < ranks.len() && up_to >= ranks[answered] {
            answers[answered] = bucket;
            answered += 1;
        }
    }
    answers
}

/// Ascending buckets as runs of equal ones.
fn runs_of(buckets: &[i32]) -> impl Iterator<Item = (i32, u32)> {
    buckets.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u32))
}
