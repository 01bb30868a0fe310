//! Room for many series, in chunks that stay where they are: growing moves nothing.

use std::ops::{Index, IndexMut};

/// Series of a chunk: a chunk of their minutes is about 250 KiB.
const CHUNK: usize = 256;

/// So many of a thing for each series, side by side.
#[derive(Clone, Debug)]
pub(crate) struct Slab<T> {
    each: usize,
    series: usize,
    chunks: Vec<Vec<T>>,
}

impl<T> Slab<T> {
    /// Room for no series yet, `each` for each to come.
    pub(crate) const fn new(each: usize) -> Self {
        Self { each, series: 0, chunks: Vec::new() }
    }

    /// How many series there are.
    pub(crate) const fn len(&self) -> usize {
        self.series
    }

    /// Adds a series.
    pub(crate) fn push(&mut self, things: impl Iterator<Item = T>) {
        if self.series.is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK * self.each));
        }
        self.series += 1;
        let chunk = self.chunks.last_mut().expect("a chunk was added for the first series");
        chunk.extend(things);
        debug_assert!(chunk.len().is_multiple_of(self.each), "each series has as many");
    }
}

impl<T> Index<usize> for Slab<T> {
    type Output = [T];

    fn index(&self, series: usize) -> &[T] {
        let at = series % CHUNK * self.each;
        &self.chunks[series / CHUNK][at..at + self.each]
    }
}

impl<T> IndexMut<usize> for Slab<T> {
    fn index_mut(&mut self, series: usize) -> &mut [T] {
        let at = series % CHUNK * self.each;
        &mut self.chunks[series / CHUNK][at..at + self.each]
    }
}
