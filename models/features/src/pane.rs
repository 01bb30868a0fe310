//! A summary at rest.
//!
//! A window of many panes is mostly memory, and memory is what bounds speed: a pane keeps a [`Summary`] in 32 bytes, half a
//! cache line. Arithmetic is done in 64 bits, what rests is rounded to 32: each step costs a relative error of at most 2⁻²⁴
//! of the magnitudes involved, and rounding is monotone, so the extremes are those of the rounded values exactly.

use crate::summary::Summary;
use crate::words::Word;

/// Count, extremes and centred moments, rounded. Times are told from the start of the stretch that the pane stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Pane {
    pub(crate) count: u32,
    min: f32,
    max: f32,
    mean: f32,
    m2: f32,
    mean_ms: f32,
    time_m2: f32,
    co_moment: f32,
}

impl Pane {
    /// The pane of no values.
    pub(crate) const EMPTY: Self =
        Self { count: 0, min: 0.0, max: 0.0, mean: 0.0, m2: 0.0, mean_ms: 0.0, time_m2: 0.0, co_moment: 0.0 };

    /// Puts a summary to rest, with its own origin.
    #[inline]
    pub(crate) fn of(summary: &Summary) -> Self {
        if summary.count == 0 {
            return Self::EMPTY;
        }
        Self {
            count: summary.count,
            min: summary.min as f32,
            max: summary.max as f32,
            mean: summary.mean as f32,
            m2: summary.m2 as f32,
            mean_ms: summary.mean_ms as f32,
            time_m2: summary.time_m2 as f32,
            co_moment: summary.co_moment as f32,
        }
    }

    /// The summary, its times told from an origin that lies `shift_ms` before the pane's own.
    #[inline]
    pub(crate) fn summary(&self, shift_ms: f64) -> Summary {
        if self.count == 0 {
            return Summary::EMPTY;
        }
        Summary {
            count: self.count,
            min: f64::from(self.min),
            max: f64::from(self.max),
            mean: f64::from(self.mean),
            m2: f64::from(self.m2),
            mean_ms: f64::from(self.mean_ms) + shift_ms,
            time_m2: f64::from(self.time_m2),
            co_moment: f64::from(self.co_moment),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends panes, to be kept: each a byte that says how, and what that byte asks for.
    pub(crate) fn put(panes: impl Iterator<Item = Self>, bytes: &mut Vec<u8>) {
        let mut panes = panes.peekable();
        while let Some(pane) = panes.next() {
            if pane.is_empty() {
                let mut run = ONE + 1;
                while run < u8::MAX && panes.next_if(Self::is_empty).is_some() {
                    run += 1;
                }
                bytes.push(run);
            } else if pane.is_one() {
                bytes.push(ONE);
                u32::put([pane.mean.to_bits(), pane.mean_ms.to_bits()], bytes);
            } else {
                bytes.push(WHOLE);
                u32::put(pane.words(), bytes);
            }
        }
    }

    /// So many panes that were [`put`](Self::put).
    pub(crate) fn take(left: &mut &[u8], number: usize) -> Option<Vec<Self>> {
        let mut panes = Vec::with_capacity(number);
        while panes.len() < number {
            match *left.split_off_first()? {
                WHOLE => panes.push(Self::of_words(u32::take(left)?)),
                ONE => {
                    let [mean, mean_ms] = u32::take(left)?.map(f32::from_bits);
                    panes.push(Self::of_one(mean, mean_ms));
                }
                run => panes.resize(panes.len() + usize::from(run - ONE), Self::EMPTY),
            }
        }
        (panes.len() == number).then_some(panes)
    }

    /// The pane of one value.
    const fn of_one(value: f32, time_ms: f32) -> Self {
        Self { count: 1, min: value, max: value, mean: value, mean_ms: time_ms, ..Self::EMPTY }
    }

    /// Whether value and time tell all of it. They do not where one value is -0.0: its mean is 0.0.
    fn is_one(&self) -> bool {
        self.count == 1 && self.words() == Self::of_one(self.mean, self.mean_ms).words()
    }

    const fn words(&self) -> [u32; 8] {
        let Self { count, min, max, mean, m2, mean_ms, time_m2, co_moment } = *self;
        let [min, max, mean, m2] = [min.to_bits(), max.to_bits(), mean.to_bits(), m2.to_bits()];
        [count, min, max, mean, m2, mean_ms.to_bits(), time_m2.to_bits(), co_moment.to_bits()]
    }

    fn of_words([count, words @ ..]: [u32; 8]) -> Self {
        let [min, max, mean, m2, mean_ms, time_m2, co_moment] = words.map(f32::from_bits);
        Self { count, min, max, mean, m2, mean_ms, time_m2, co_moment }
    }
}

/// How a pane is kept: by all its words; by value and time, where it holds one value. A greater byte stands for panes
/// without values: one for `ONE + 1`, and so on.
const WHOLE: u8 = 0;
const ONE: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pane_is_half_a_cache_line() {
        assert_eq!(size_of::<Pane>(), 32);
    }

    #[test]
    fn what_32_bits_hold_comes_back_and_shifts() {
        let summary = Summary::of(1_000, &[1_250, 1_750], &[1.0, 3.0]);
        let back = Pane::of(&summary).summary(10_000.0);
        assert_eq!(back, Summary { mean_ms: 10_500.0, ..summary });
        assert_eq!(Pane::of(&Summary::EMPTY).summary(7.0), Summary::EMPTY);
    }

    #[test]
    fn what_is_kept_comes_back_to_the_bit() {
        let one = Pane::of(&Summary::of(0, &[250], &[-1.5]));
        // The mean of one -0.0 is 0.0, so value and time do not tell its extremes.
        let zero = Pane::of(&Summary::of(0, &[250], &[-0.0]));
        let two = Pane::of(&Summary::of(0, &[250, 750], &[1.0, 3.0]));
        let panes: Vec<_> = [vec![one, zero], vec![Pane::EMPTY; 300], vec![two, Pane::EMPTY]].concat();
        let mut bytes = Vec::new();
        Pane::put(panes.iter().copied(), &mut bytes);
        // 300 panes without values are 254 and 46.
        assert_eq!(bytes.len(), 9 + 33 + 2 + 33 + 1);
        let back = Pane::take(&mut bytes.as_slice(), panes.len()).expect("as many as were put");
        let words = |panes: &[Pane]| panes.iter().map(Pane::words).collect::<Vec<_>>();
        assert_eq!(words(&back), words(&panes));
        // A run that goes on beyond the panes that are asked for, and an end too soon.
        assert_eq!(Pane::take(&mut bytes.as_slice(), 200), None);
        assert_eq!(Pane::take(&mut &bytes[..bytes.len() - 1], panes.len()), None);
    }
}
