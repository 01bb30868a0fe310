//! Runs of buckets at rest: a stretch of bytes that is read once more, when what it counts leaves a window.
//!
//! A stretch is the number of runs, then for each run the step from the bucket before, and its count where that is not one.
//! All numbers are of variable length, 7 bits a byte, low bits first. The lowest bit of a step says whether a count
//! follows, so that a value in the neighbourhood of the one before takes one byte.

/// Appends one stretch; the buckets ascend, counts are at least 1.
pub(crate) fn pack(bytes: &mut Vec<u8>, runs: impl Iterator<Item = (i32, u32)>) {
    let head = bytes.len();
    bytes.push(0);
    let (mut number, mut before) = (0u32, None);
    for (bucket, count) in runs {
        let step = before.map_or_else(|| zigzag(bucket), |before| bucket.abs_diff(before));
        put(bytes, step << 1 | u32::from(count > 1));
        if count > 1 {
            put(bytes, count);
        }
        before = Some(bucket);
        number += 1;
    }
    if number < 0x80 {
        bytes[head] = number as u8;
    } else {
        // Rare: the number needs more than the byte that was left for it.
        let mut longer = Vec::new();
        put(&mut longer, number);
        bytes.splice(head..=head, longer);
    }
}

/// Reads one stretch, run by run.
pub(crate) struct Runs<'a> {
    bytes: &'a [u8],
    place: usize,
    left: u32,
    before: Option<i32>,
}

impl<'a> Runs<'a> {
    /// The stretch that begins at a place. In line, so that a stretch of few runs is read in registers.
    #[inline(always)]
    pub(crate) fn at(bytes: &'a [u8], place: usize) -> Self {
        let mut runs = Self { bytes, place, left: 0, before: None };
        runs.left = runs.number();
        runs
    }

    /// Where reading stands: after the last run, where the next stretch begins.
    pub(crate) const fn place(&self) -> usize {
        self.place
    }

    #[inline(always)]
    fn number(&mut self) -> u32 {
        let byte = self.bytes[self.place];
        self.place += 1;
        if byte < 0x80 { u32::from(byte) } else { self.longer(byte) }
    }

    /// A number of more than one byte.
    #[inline(always)]
    fn longer(&mut self, first: u8) -> u32 {
        let (mut number, mut shift) = (u32::from(first & 0x7f), 7);
        loop {
            let byte = self.bytes[self.place];
            self.place += 1;
            number |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }
}

impl Iterator for Runs<'_> {
    type Item = (i32, u32);

    #[inline(always)]
    fn next(&mut self) -> Option<(i32, u32)> {
        self.left = self.left.checked_sub(1)?;
        let step = self.number();
        let bucket = match self.before {
            None => unzigzag(step >> 1),
            Some(before) => before.wrapping_add_unsigned(step >> 1),
        };
        self.before = Some(bucket);
        let count = if step & 1 == 1 { self.number() } else { 1 };
        Some((bucket, count))
    }
}

#[inline]
fn put(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Small numbers for small magnitudes of either sign.
const fn zigzag(number: i32) -> u32 {
    (number << 1 ^ number >> 31) as u32
}

const fn unzigzag(number: u32) -> i32 {
    (number >> 1) as i32 ^ -((number & 1) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Vec<(i32, u32)> {
        let mut runs = Runs::at(bytes, 0);
        let read = runs.by_ref().collect();
        assert_eq!(runs.place(), bytes.len());
        read
    }

    #[test]
    fn a_neighbour_takes_one_byte() {
        let mut bytes = Vec::new();
        // The number of runs takes 1 byte, the first bucket 3, each neighbour 1, a count of 9 one more.
        pack(&mut bytes, [(65_472, 1), (65_473, 1), (65_480, 9)].into_iter());
        assert_eq!(bytes.len(), 1 + 3 + 1 + 1 + 1);
    }

    proptest! {
        #[test]
        fn reading_restores(counts in prop::collection::btree_map((-1i32 << 17) + 1..1 << 17, 1..=u32::MAX, 0..300)) {
            let mut bytes = Vec::new();
            pack(&mut bytes, counts.iter().map(|(bucket, count)| (*bucket, *count)));
            prop_assert_eq!(read(&bytes), counts.into_iter().collect::<Vec<_>>());
        }
    }
}
