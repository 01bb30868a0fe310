//! The quantiles of one series: for every window, how many values lie in each bucket.
//!
//! Counts are integers, so taking off what leaves a window restores the former state exactly, which no sketch of ranks
//! allows. What entered is remembered in few bytes: the buckets of each tick of the last minute, and of each of the last 15
//! minutes. A window follows when it is asked: it takes off the ticks that have left it since, and counts those that have come;
//! where it shares none with what it held it begins anew. At a minute's end the minute's window holds exactly that minute, and
//! is written down for the 15 min window. The window of 1 s is read from the ticks themselves.
//!
//! *Space.* 52 bytes for every eighth of a doubling in which values of the last 15 min lie, twice that for a series with
//! many values a tick, and about one byte a value for 70 to 90 s. *Cost.* Asked at every tick, a value is counted three times
//! and taken off three times; one block serves all windows, so that is one or two cache lines. Asked once a minute, it is
//! counted twice, and between the blocks are not touched. The newest second is read from the buckets at hand where the series
//! was folded just before.

use crate::bucket::{LEVELS, middle_of, rank_of};
use crate::grid::{BLOCKS, Grid, MINUTES, Place};
use crate::runs::{Runs, pack};
use crate::table::{LONGEST, SLIDING, Table};
use crate::words::Word;

/// Where the runs of ticks are cut off: once so many blocks more are held than windows may ask for.
const SURPLUS_BLOCKS: usize = 2;

/// By how much room for runs grows: a vector of its own accord would double.
const ROOM_BYTES: usize = 64;

/// What one series has counted.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    table: Lanes,
    /// Runs of buckets, one stretch a tick: of the last minute and the block before it, at least.
    ticks: Vec<u8>,
    /// Where the newest tick begins and ends.
    newest: Mark,
    end: Mark,
    /// Where the open block begins, and the one before it.
    blocks: [Mark; 2],
    /// The ticks that each sliding window has counted: 10 s, then 60 s.
    sliding: [Counted; SLIDING],
    /// Where those begin that the longest window has not counted yet: the closed minutes are in it.
    longest: Mark,
    /// Runs of buckets, one stretch a closed minute.
    minutes: Vec<u8>,
    minutes_held: u32,
}

/// A mark between two ticks: how many of those that are held lie before it, and how many bytes these take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Mark {
    ticks: u32,
    bytes: u32,
}

/// From where to where a window has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counted {
    from: Mark,
    to: Mark,
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
            newest: Mark::default(),
            end: Mark::default(),
            blocks: [Mark::default(); 2],
            sliding: [Counted::default(); SLIDING],
            longest: Mark::default(),
            minutes: Vec::new(),
            minutes_held: 0,
        }
    }
}

impl Counts {
    /// Opens the tick after the one opened last; what was counted in that one must have been [`add`](Self::add)ed.
    pub(crate) fn open(&mut self, grid: &Grid, place: &Place) {
        if place.position > 0 {
            return;
        }
        if place.block.is_multiple_of(BLOCKS as u64) {
            self.close_minute(grid);
        }
        self.blocks = [self.end, self.blocks[0]];
        let asked_for = grid.minute() as u32 + grid.block as u32;
        if self.end.ticks >= asked_for + (SURPLUS_BLOCKS * grid.block) as u32 {
            self.drop_ticks(self.end.ticks - asked_for);
        }
    }

    /// Counts the buckets of the open tick, ascending: once a tick, also where there are none.
    pub(crate) fn add(&mut self, grid: &Grid, buckets: &[i32]) {
        if let Lanes::Narrow(table) = &self.table
            && buckets.len() as u64 > u64::from(u16::MAX) / grid.longest()
        {
            self.table = Lanes::Wide(table.widen());
        }
        if self.ticks.capacity() - self.ticks.len() < ROOM_BYTES {
            self.ticks.reserve_exact(2 * ROOM_BYTES);
        }
        pack(&mut self.ticks, runs_of(buckets));
        self.newest = self.end;
        self.end = Mark { ticks: self.newest.ticks + 1, bytes: self.ticks.len() as u32 };
    }

    /// Brings all windows to the end of the newest tick, before they are asked.
    pub(crate) fn follow(&mut self, grid: &Grid) {
        let Self { table, ticks, newest, end, sliding, longest, .. } = self;
        if *longest == *newest && sliding.iter().all(|counted| counted.to == *newest) {
            // They are asked at every tick, and so one behind.
            either!(table, table => table.count(Runs::at(ticks, newest.bytes as usize)));
            *longest = *end;
            sliding.iter_mut().for_each(|counted| counted.to = *end);
        }
        self.slide(0, grid.block as u32);
        self.slide(1, grid.minute() as u32);
        self.lengthen();
    }

    /// The quantiles of [`LEVELS`] in a window that holds `count >= 1` values and has [`follow`](Self::follow)ed.
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

    /// Loads what the next tick will touch, so that many series wait for memory at once; the windows too where they are asked.
    pub(crate) fn touch(&self, asked: bool) -> u32 {
        let byte = |place: u32| u32::from(self.ticks.get(place as usize).copied().unwrap_or_default());
        let newest = byte(self.newest.bytes);
        if !asked {
            return newest;
        }
        let oldest = self.sliding.iter().fold(newest, |all, counted| all ^ byte(counted.from.bytes));
        oldest ^ either!(&self.table, table => table.touch())
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        either!(&self.table, table => table.heap_bytes()) + self.ticks.capacity() + self.minutes.capacity()
    }

    /// Appends them, to be kept.
    pub(crate) fn put(&self, bytes: &mut Vec<u8>) {
        let (wide, blocks) = match &self.table {
            Lanes::Narrow(table) => (0, table.len()),
            Lanes::Wide(table) => (1, table.len()),
        };
        let [blocks, in_ticks, in_minutes] = [blocks, self.ticks.len(), self.minutes.len()].map(|length| length as u32);
        u32::put([wide, blocks, in_ticks, in_minutes, self.minutes_held], bytes);
        let [ten_seconds, minute] = self.sliding;
        let [open, before] = self.blocks;
        let places = [self.newest, self.end, open, before, self.longest];
        let counted = [ten_seconds.from, ten_seconds.to, minute.from, minute.to];
        places.into_iter().chain(counted).for_each(|place| u32::put([place.ticks, place.bytes], bytes));
        either!(&self.table, table => table.put(bytes));
        bytes.extend_from_slice(&self.ticks);
        bytes.extend_from_slice(&self.minutes);
    }

    /// What [`put`](Self::put) kept.
    pub(crate) fn take(left: &mut &[u8]) -> Option<Self> {
        let [wide, blocks, in_ticks, in_minutes, minutes_held] = u32::take(left)?;
        let mut place = || u32::take(left).map(|[ticks, bytes]| Mark { ticks, bytes });
        let (newest, end, blocks_begin, longest) = (place()?, place()?, [place()?, place()?], place()?);
        let mut counted = || Some(Counted { from: place()?, to: place()? });
        let sliding = [counted()?, counted()?];
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
        Some(Self { table, ticks, newest, end, blocks: blocks_begin, sliding, longest, minutes, minutes_held })
    }

    /// The buckets of ascending ranks in the newest second.
    fn of_newest(&self, grid: &Grid, ranks: [u32; LEVELS.len()]) -> [i32; LEVELS.len()] {
        if grid.second == 1 {
            return of_ranks(Runs::at(&self.ticks, self.newest.bytes as usize), ranks);
        }
        // Ticks below a second: the last few.
        let mut place = self.place_before(self.end.ticks.saturating_sub(grid.second as u32));
        let mut all = Vec::new();
        while place != self.end {
            let mut runs = Runs::at(&self.ticks, place.bytes as usize);
            all.extend(runs.by_ref());
            place = Mark { ticks: place.ticks + 1, bytes: runs.place() as u32 };
        }
        all.sort_unstable();
        of_ranks(all.into_iter(), ranks)
    }

    /// Brings a sliding window of so many ticks to the end of the newest.
    fn slide(&mut self, lane: usize, length: u32) {
        let first = self.end.ticks.saturating_sub(length);
        if self.sliding[lane].to.ticks <= first && self.sliding[lane].to != self.end {
            either!(&mut self.table, table => table.clear(lane));
            let from = self.place_before(first);
            self.sliding[lane] = Counted { from, to: from };
        }
        let Self { table, ticks, end, sliding, .. } = self;
        let Counted { from, to } = &mut sliding[lane];
        while from.ticks < first {
            let mut runs = Runs::at(ticks, from.bytes as usize);
            either!(table, table => table.take_off(lane, runs.by_ref()));
            *from = Mark { ticks: from.ticks + 1, bytes: runs.place() as u32 };
        }
        while to.ticks < end.ticks {
            let mut runs = Runs::at(ticks, to.bytes as usize);
            either!(table, table => table.add(lane, runs.by_ref()));
            *to = Mark { ticks: to.ticks + 1, bytes: runs.place() as u32 };
        }
    }

    /// Brings the longest window to the end of the newest tick.
    fn lengthen(&mut self) {
        let Self { table, ticks, end, longest, .. } = self;
        while longest.ticks < end.ticks {
            let mut runs = Runs::at(ticks, longest.bytes as usize);
            either!(table, table => table.add(LONGEST, runs.by_ref()));
            *longest = Mark { ticks: longest.ticks + 1, bytes: runs.place() as u32 };
        }
    }

    /// Where the tick after so many begins: on from the last place that is known.
    fn place_before(&self, ticks: u32) -> Mark {
        let known = self.blocks.into_iter().chain(self.sliding.map(|counted| counted.from));
        let known = known.filter(|place| place.ticks <= ticks).max_by_key(|place| place.ticks);
        let mut place = known.unwrap_or_default();
        while place.ticks < ticks {
            let mut runs = Runs::at(&self.ticks, place.bytes as usize);
            runs.by_ref().for_each(drop);
            place = Mark { ticks: place.ticks + 1, bytes: runs.place() as u32 };
        }
        place
    }

    /// Drops the oldest ticks. A window that counted some of them shares none with the next answer.
    fn drop_ticks(&mut self, number: u32) {
        let used = self.place_before(number);
        self.ticks.drain(..used.bytes as usize);
        let [open, before] = &mut self.blocks;
        for place in [&mut self.newest, &mut self.end, &mut self.longest, open, before] {
            *place = place.less(used);
        }
        for counted in &mut self.sliding {
            let holds = counted.from.ticks >= used.ticks;
            *counted = if holds {
                Counted { from: counted.from.less(used), to: counted.to.less(used) }
            } else {
                Counted::default()
            };
        }
    }

    /// Writes the ended minute down and takes the oldest one off the longest window.
    fn close_minute(&mut self, grid: &Grid) {
        let minute = grid.minute() as u32;
        self.slide(SLIDING - 1, minute);
        if self.longest.ticks + minute == self.end.ticks {
            // It has counted nothing of the minute.
            either!(&mut self.table, table => table.add_lane(SLIDING - 1, LONGEST));
            self.longest = self.end;
        }
        self.lengthen();
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

impl Mark {
    fn less(self, used: Self) -> Self {
        Self { ticks: self.ticks - used.ticks, bytes: self.bytes - used.bytes }
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
