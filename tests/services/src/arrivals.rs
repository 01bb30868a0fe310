//! When requests are due: a rate over time, and how requests lie around it.
//!
//! With Λ(t) the number of requests expected until t, request n is due at Λ⁻¹(Sₙ). Even spacing has Sₙ = n + ½; a Poisson
//! process has as Sₙ a sum of n + 1 exponentials of mean 1, whatever the rate does. The instants do not depend on answers:
//! that is what makes the load open-loop.

use std::str::FromStr;
use std::time::Duration;

use crate::dice::Dice;

/// Highest rate, per second: a pacer that sleeps between requests keeps no better time.
const RATE_MAX: f64 = 100_000.0;

/// A rate over time: `500` stays, `100..2000` climbs, `100,200,400` goes in steps of equal length.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Rates at the beginning and the end of each part, requests per second.
    parts: Vec<(f64, f64)>,
}

/// How requests lie around their rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// At equal distances: the load's own noise is nil.
    Even,
    /// At random, independent of each other, as those of many users.
    Poisson {
        /// The same seed gives the same instants.
        seed: u64,
    },
}

/// The instants at which requests are due, from the start of the load on, in order.
#[derive(Clone, Debug)]
pub struct Arrivals {
    parts: Vec<(f64, f64)>,
    part_seconds: f64,
    /// The part at hand, and how many requests are expected before it.
    part: usize,
    before: f64,
    /// How many requests are expected until the next one is due.
    due: f64,
    dice: Option<Dice>,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Result<Vec<_>, String> = match text.split_once("..") {
            Some((from, to)) => Ok(vec![(rate(from)?, rate(to)?)]),
            None => text.split(',').map(|step| rate(step).map(|rate| (rate, rate))).collect(),
        };
        Ok(Self { parts: parts? })
    }
}

impl Arrivals {
    /// The arrivals of a shape over so long, its parts of equal length.
    #[must_use]
    pub fn new(shape: &Shape, lasting: Duration, spacing: Spacing) -> Self {
        let part_seconds = lasting.as_secs_f64() / shape.parts.len() as f64;
        let mut dice = match spacing {
            Spacing::Even => None,
            Spacing::Poisson { seed } => Some(Dice::new(seed)),
        };
        let due = dice.as_mut().map_or(0.5, Dice::exponential);
        Self { parts: shape.parts.clone(), part_seconds, part: 0, before: 0.0, due, dice }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        loop {
            let &(from, to) = self.parts.get(self.part)?;
            let expected = (from + to) / 2.0 * self.part_seconds;
            let within = self.due - self.before;
            if within <= expected {
                self.due += self.dice.as_mut().map_or(1.0, Dice::exponential);
                let seconds = self.part as f64 * self.part_seconds + instant(from, to, self.part_seconds, within);
                return Some(Duration::from_secs_f64(seconds));
            }
            self.part += 1;
            self.before += expected;
        }
    }
}

/// When so many requests have come in a part whose rate goes from `from` to `to`: the root of
/// from·t + (to − from)·t²/(2·length) = count, in the form that does not divide by a difference near zero.
fn instant(from: f64, to: f64, length: f64, count: f64) -> f64 {
    let root = (from * from + 2.0 * (to - from) / length * count).max(0.0).sqrt();
    if count == 0.0 { 0.0 } else { (2.0 * count / (from + root)).min(length) }
}

fn rate(text: &str) -> Result<f64, String> {
    let mend =
        || format!("a rate of \"{text}\" requests/s: write 500, 100..2000 or 100,200,400, each from 0 to {RATE_MAX}");
    text.trim().parse().ok().filter(|rate| (0.0..=RATE_MAX).contains(rate)).ok_or_else(mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(shape: &str, lasting_s: u64, spacing: Spacing) -> Vec<f64> {
        let shape = shape.parse().expect("a shape");
        Arrivals::new(&shape, Duration::from_secs(lasting_s), spacing).map(|due| due.as_secs_f64()).collect()
    }

    #[test]
    fn even_arrivals_lie_in_the_middle_of_their_share_of_time() {
        // 4 a second: one in each quarter of a second, at its middle.
        assert_eq!(seconds("4", 1, Spacing::Even), [0.125, 0.375, 0.625, 0.875]);
    }

    #[test]
    fn a_ramp_from_zero_grows_with_the_square_root() {
        // Rate 2t over 3 s: t² requests until t, 9 in all, the n-th at the root of n + 1/2.
        let due = seconds("0..6", 3, Spacing::Even);
        assert_eq!(due.len(), 9);
        for (n, due) in due.iter().enumerate() {
            assert!((due - (n as f64 + 0.5).sqrt()).abs() < 1e-6, "{n}: {due}");
        }
    }

    #[test]
    fn a_falling_ramp_is_the_rising_one_mirrored() {
        let (rising, mut falling) = (seconds("1..9", 4, Spacing::Even), seconds("9..1", 4, Spacing::Even));
        falling.reverse();
        assert_eq!(rising.len(), 20);
        assert!(rising.iter().zip(&falling).all(|(rise, fall)| (rise + fall - 4.0).abs() < 1e-6));
    }

    #[test]
    fn steps_have_equal_lengths_and_silence_is_a_step() {
        // One second each: 2, then nothing, then 4.
        let due = seconds("2,0,4", 3, Spacing::Even);
        assert_eq!(due, [0.25, 0.75, 2.125, 2.375, 2.625, 2.875]);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_scatter_of_their_law() {
        let due = seconds("1000", 100, Spacing::Poisson { seed: 7 });
        // 100 000 expected, with a standard deviation of 316: within four of them.
        assert!((98_736..=101_264).contains(&due.len()), "{}", due.len());
        // Counts per 100 ms have mean 100 and, this being the law's mark, the same variance: over 1000 of them its
        // estimate scatters by 4.5 %, so that 20 % is more than four deviations.
        let mut counts = [0.0; 1_000];
        due.iter().for_each(|due| counts[((due * 10.0) as usize).min(999)] += 1.0);
        let variance = counts.iter().map(|count: &f64| (count - 100.0).powi(2)).sum::<f64>() / 1_000.0;
        assert!((80.0..120.0).contains(&variance), "{variance}");
    }

    #[test]
    fn the_same_seed_gives_the_same_instants() {
        let of = |seed| seconds("50", 2, Spacing::Poisson { seed });
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }

    #[test]
    fn what_is_no_rate_is_refused_with_the_mend() {
        for wrong in ["", "fast", "-1", "1..", "1,,2", "1e9", "NaN"] {
            let fault = wrong.parse::<Shape>().expect_err(wrong);
            assert!(fault.contains("100..2000"), "{fault}");
        }
    }
}
