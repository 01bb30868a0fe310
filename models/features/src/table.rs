//! Counts by bucket, for three windows at once.

use crate::bucket::LEVELS;
use crate::words::Word;

/// The windows that slide by ticks: 10 s and 60 s. The last lane is that of 15 min, which holds all that they hold.
pub(crate) const SLIDING: usize = 2;
pub(crate) const LONGEST: usize = SLIDING;

/// Neighbouring buckets that are kept together: an eighth of a doubling.
const BLOCK: usize = 8;

/// A count; how many bytes it takes is the series' own matter.
pub(crate) trait Count: Default + Into<u32> + PartialEq + Word {
    /// Adds to it.
    fn add(&mut self, number: u32);
    /// Takes off what was added.
    fn take_off(&mut self, number: u32);
}

macro_rules! count {
    ($($number:ty),*) => {$(
        impl Count for $number {
            #[inline]
            fn add(&mut self, number: u32) {
                *self += number as Self;
            }

            #[inline]
            fn take_off(&mut self, number: u32) {
                *self -= number as Self;
            }
        }
    )*};
}

count!(u16, u32);

/// The blocks in which values lie.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table<C> {
    // Invariant: ascending by number. Of blocks that hold nothing in the longest window those are left that were emptied since
    // they were last dropped.
    blocks: Vec<Block<C>>,
}

/// Counts of buckets `8·number ..= 8·number + 7` in each window.
#[derive(Clone, Debug)]
struct Block<C> {
    number: i32,
    lanes: [[C; BLOCK]; SLIDING + 1],
}

impl<C: Count> Table<C> {
    /// Counts ascending runs in every window.
    #[inline(always)]
    pub(crate) fn count(&mut self, runs: impl Iterator<Item = (i32, u32)>) {
        for (bucket, count) in runs {
            let (block, slot) = self.block_of(bucket);
            block.lanes.iter_mut().for_each(|lane| lane[slot].add(count));
        }
    }

    /// Counts ascending runs in one window.
    #[inline(always)]
    pub(crate) fn add(&mut self, lane: usize, runs: impl Iterator<Item = (i32, u32)>) {
        for (bucket, count) in runs {
            let (block, slot) = self.block_of(bucket);
            block.lanes[lane][slot].add(count);
        }
    }

    /// Counts in one window what another holds.
    pub(crate) fn add_lane(&mut self, from: usize, to: usize) {
        for block in &mut self.blocks {
            let counted = block.lanes[from];
            block.lanes[to].iter_mut().zip(counted).for_each(|(count, more)| count.add(more.into()));
        }
    }

    /// Empties one window.
    pub(crate) fn clear(&mut self, lane: usize) {
        self.blocks.iter_mut().for_each(|block| block.lanes[lane] = Default::default());
    }

    /// The block of a bucket, there or made, and the bucket's slot in it.
    #[inline(always)]
    fn block_of(&mut self, bucket: i32) -> (&mut Block<C>, usize) {
        let (number, slot) = place(bucket);
        let at = self.find(number).unwrap_or_else(|at| {
            self.blocks.reserve_exact(1);
            self.blocks.insert(at, Block { number, lanes: [[C::default(); BLOCK]; SLIDING + 1] });
            at
        });
        (&mut self.blocks[at], slot)
    }

    /// Takes ascending runs, which were counted, off a window.
    #[inline(always)]
    pub(crate) fn take_off(&mut self, lane: usize, runs: impl Iterator<Item = (i32, u32)>) {
        for (bucket, count) in runs {
            let (number, slot) = place(bucket);
            let at = self.find(number).expect("what was counted has its block");
            self.blocks[at].lanes[lane][slot].take_off(count);
        }
    }

    /// Where a block is; where it would be inserted if there is none.
    ///
    /// Most series keep to neighbouring blocks, or to those and zero: then the place is told by the distance to the last, and
    /// no branch hangs on the values.
    #[inline]
    fn find(&self, number: i32) -> Result<usize, usize> {
        let last = self.blocks.last().map_or(0, |block| block.number);
        let guess = (self.blocks.len() as isize - 1).wrapping_sub(last as isize - number as isize) as usize;
        if self.blocks.get(guess).is_some_and(|block| block.number == number) {
            return Ok(guess);
        }
        self.blocks.binary_search_by_key(&number, |block| block.number)
    }

    /// Drops the blocks in which no value of the longest window lies.
    pub(crate) fn drop_empty(&mut self) {
        self.blocks.retain(|block| block.lanes[LONGEST] != [C::default(); BLOCK]);
    }

    /// What a window holds, as ascending runs.
    pub(crate) fn held(&self, lane: usize) -> impl Iterator<Item = (i32, u32)> {
        self.blocks.iter().flat_map(move |block| {
            let first = block.number * BLOCK as i32;
            let counted = (first..).zip(block.lanes[lane].map(C::into));
            counted.filter(|(_, count)| *count > 0)
        })
    }

    /// The buckets of ranks in a window, from 1 to what it holds. The way through the blocks is the same for all ranks.
    pub(crate) fn of_ranks(&self, lane: usize, ranks: [u32; LEVELS.len()]) -> [i32; LEVELS.len()] {
        let (mut at, mut below) = ([0; LEVELS.len()], [0; LEVELS.len()]);
        let mut up_to = 0;
        for block in &self.blocks {
            up_to += block.lanes[lane].iter().fold(0, |sum, &count| sum + count.into());
            for ((at, below), rank) in at.iter_mut().zip(&mut below).zip(ranks) {
                let beyond = up_to < rank;
                *at += usize::from(beyond);
                *below = if beyond { up_to } else { *below };
            }
        }
        let mut answers = [0; LEVELS.len()];
        for (level, answer) in answers.iter_mut().enumerate() {
            let block = &self.blocks[at[level]];
            *answer = block.number * BLOCK as i32 + nth(&block.lanes[lane], ranks[level] - below[level]);
        }
        answers
    }

    /// Loads the blocks.
    pub(crate) fn touch(&self) -> u32 {
        self.blocks.iter().fold(0, |all, block| all ^ block.number as u32)
    }

    /// How many blocks there are.
    pub(crate) const fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Appends the blocks, to be kept.
    pub(crate) fn put(&self, bytes: &mut Vec<u8>) {
        for Block { number, lanes } in &self.blocks {
            u32::put([number.cast_unsigned()], bytes);
            lanes.iter().for_each(|lane| C::put(*lane, bytes));
        }
    }

    /// So many blocks that were [`put`](Self::put).
    pub(crate) fn take(left: &mut &[u8], number: usize) -> Option<Self> {
        // A garbled number gets no more room than there are bytes.
        let mut blocks = Vec::with_capacity(number.min(left.len() / size_of::<Block<C>>()));
        for _ in 0..number {
            let [number] = u32::take(left)?.map(u32::cast_signed);
            blocks.push(Block { number, lanes: [C::take(left)?, C::take(left)?, C::take(left)?] });
        }
        Some(Self { blocks })
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block<C>>()
    }
}

impl Table<u16> {
    /// The same counts with room for more.
    pub(crate) fn widen(&self) -> Table<u32> {
        let wide =
            |block: &Block<u16>| Block { number: block.number, lanes: block.lanes.map(|lane| lane.map(u32::from)) };
        Table { blocks: self.blocks.iter().map(wide).collect() }
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
fn nth<C: Count>(lane: &[C; BLOCK], rank: u32) -> i32 {
    let (mut up_to, mut before) = (0, 0);
    for &count in lane {
        up_to += count.into();
        before += i32::from(up_to < rank);
    }
    before
}
