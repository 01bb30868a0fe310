//! Room for many series, the same place of neighbouring series side by side.
//!
//! All series are folded at the same tick, one after the other, and each then touches the same few of its panes. So what a
//! tick touches lies in a few long runs, which the processor loads ahead; were a series' own panes side by side, each would
//! be waited for. The price is paid where one series' panes are gone through: with the first answer in a block.

use std::ops::{Index, IndexMut};

/// Series of a chunk: a tick's panes fill half a page, and even a chunk of 600 panes a series takes only a megabyte. No power
/// of two, lest a series' own panes displace each other from the cache.
const CHUNK: usize = 60;

/// So many of a thing for each series.
#[derive(Clone, Debug)]
pub(crate) struct Strips<T> {
    each: usize,
    series: usize,
    /// Place by place, each with all series of the chunk.
    chunks: Vec<Vec<T>>,
}

/// The things of one series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strip<'a, T> {
    chunk: &'a [T],
    series: usize,
}

/// The things of one series, to be changed.
#[derive(Debug)]
pub(crate) struct StripMut<'a, T> {
    chunk: &'a mut [T],
    series: usize,
}

impl<T: Copy + Default> Strips<T> {
    /// Room for no series yet, `each` for each to come.
    pub(crate) const fn new(each: usize) -> Self {
        Self { each, series: 0, chunks: Vec::new() }
    }

    /// Adds a series, its things by default.
    pub(crate) fn push(&mut self) {
        if self.series.is_multiple_of(CHUNK) {
            self.chunks.push(vec![T::default(); CHUNK * self.each]);
        }
        self.series += 1;
    }

    /// A series' own.
    pub(crate) fn of(&self, series: usize) -> Strip<'_, T> {
        Strip { chunk: &self.chunks[series / CHUNK], series: series % CHUNK }
    }

    /// A series' own, to be changed.
    pub(crate) fn of_mut(&mut self, series: usize) -> StripMut<'_, T> {
        StripMut { chunk: &mut self.chunks[series / CHUNK], series: series % CHUNK }
    }

    /// Bytes of a series.
    pub(crate) const fn bytes_each(&self) -> usize {
        self.each * size_of::<T>()
    }
}

impl<T: Copy> StripMut<'_, T> {
    /// The same, to be read.
    pub(crate) fn shared(&self) -> Strip<'_, T> {
        Strip { chunk: self.chunk, series: self.series }
    }

    /// Puts the same thing everywhere.
    pub(crate) fn fill(&mut self, thing: T) {
        self.chunk.iter_mut().skip(self.series).step_by(CHUNK).for_each(|held| *held = thing);
    }
}

impl<T> Index<usize> for Strip<'_, T> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.chunk[at * CHUNK + self.series]
    }
}

impl<T> Index<usize> for StripMut<'_, T> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.chunk[at * CHUNK + self.series]
    }
}

impl<T> IndexMut<usize> for StripMut<'_, T> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.chunk[at * CHUNK + self.series]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_series_has_its_own() {
        let mut strips = Strips::new(3);
        for series in 0..2 * CHUNK + 1 {
            strips.push();
            for at in 0..3 {
                strips.of_mut(series)[at] = 1_000 * at + series;
            }
        }
        let (filled, next) = (CHUNK - 1, CHUNK);
        strips.of_mut(filled).fill(7);
        strips.of_mut(next)[1] = 8;
        let held = |series| [0, 1, 2].map(|at| strips.of(series)[at]);
        assert_eq!(held(filled), [7, 7, 7]);
        assert_eq!(held(next), [next, 8, 2_000 + next]);
        assert_eq!(held(2 * CHUNK)[2], 2_000 + 2 * CHUNK);
        assert_eq!(held(0), [0, 1_000, 2_000]);
    }
}
