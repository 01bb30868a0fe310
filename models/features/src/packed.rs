//! A sketch at rest: the buckets of a closed pane, which are read once more, when the pane leaves a window.
//!
//! Ascending buckets are stored as pairs of variable-length integers (7 bits per byte, low bits first): the step from
//! the bucket before, and the count. Neighbouring buckets with counts below 128 take 2 bytes instead of 8.

use serde::{Deserialize, Serialize};

use crate::sketch::{BUCKET_BOUND, Sketch};

/// The buckets of a sketch in few bytes; immutable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackedSketch(Box<[u8]>);

impl PackedSketch {
    pub(crate) fn of(sketch: &Sketch) -> Self {
        let mut bytes = Vec::new();
        let mut before = -BUCKET_BOUND;
        for (bucket, count) in sketch.buckets() {
            put(&mut bytes, bucket.abs_diff(before));
            put(&mut bytes, count);
            before = bucket;
        }
        Self(bytes.into_boxed_slice())
    }

    /// The `(bucket, count)` pairs, ascending.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (i32, u32)> {
        let mut bytes = self.0.iter();
        let mut before = -BUCKET_BOUND;
        std::iter::from_fn(move || {
            before = before.wrapping_add_unsigned(take(&mut bytes)?);
            Some((before, take(&mut bytes)?))
        })
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.0.len()
    }
}

fn put(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut std::slice::Iter<'_, u8>) -> Option<u32> {
    let mut number = 0;
    let mut shift = 0;
    for &byte in bytes {
        number |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
        shift += 7;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_take_two_bytes() {
        let sketch = Sketch::of([1.0, 1.02, 1.04]);
        // The first step, from far below zero, takes 3 bytes; its count and two further pairs take 5.
        assert_eq!(PackedSketch::of(&sketch).heap_bytes(), 8);
    }

    proptest! {
        #[test]
        fn unpacking_restores(counts in prop::collection::vec((1 - BUCKET_BOUND..BUCKET_BOUND, 1..=u32::MAX / 64), 0..60)) {
            let mut sketch = Sketch::default();
            for (bucket, count) in counts {
                sketch.add(bucket, count);
            }
            let unpacked: Vec<_> = PackedSketch::of(&sketch).buckets().collect();
            prop_assert_eq!(unpacked, sketch.buckets().collect::<Vec<_>>());
        }
    }
}
