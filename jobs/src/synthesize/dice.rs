//! Draws for synthesis: a function of the seed and of how many came before, in exact arithmetic alone, so that a trace has
//! the same bits everywhere.

use std::f64::consts::LN_2;

use forecast::decay::half_power;
use plant::noise;

/// Means above it are drawn from a normal, whose error is then below the noise of any reading.
const POISSON_SMALL: f64 = 30.0;

/// A stream of draws.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    seed: u64,
    drawn: u64,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    /// A stream of its own for `name`: what it draws does not depend on what this one has drawn.
    pub(super) fn apart(&self, name: &str) -> Self {
        Self::new(noise::workload_seed(self.seed, name))
    }

    /// Uniform on 0..1.
    pub(super) fn uniform(&mut self) -> f64 {
        self.drawn += 1;
        noise::uniform(self.seed, 0, self.drawn)
    }

    /// Uniform between two numbers.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// `low` up to `low · 2^octaves`, each octave as likely.
    pub(super) fn octaves(&mut self, low: f64, octaves: f64) -> f64 {
        low * exp2(octaves * self.uniform())
    }

    /// Mean 0, variance 1, within ±6.
    pub(super) fn normal(&mut self) -> f64 {
        self.drawn += 1;
        noise::normal(self.seed, 1, self.drawn)
    }

    /// Whether something of this chance happens.
    pub(super) fn chance(&mut self, chance: f64) -> bool {
        self.uniform() < chance
    }

    /// At least 1, with the tail P(X > x) = x⁻²: a mean of 2 and no variance.
    pub(super) fn pareto(&mut self) -> f64 {
        1.0 / (1.0 - self.uniform()).sqrt()
    }

    /// How many of something came where `mean` is the mean.
    pub(super) fn poisson(&mut self, mean: f64) -> f64 {
        if mean > POISSON_SMALL {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0);
        }
        // Knuth's: uniforms are multiplied until they fall below e^-mean.
        let least = half_power(mean / LN_2);
        let (mut product, mut count) = (self.uniform(), 0.0);
        while product > least {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }

    /// One of them.
    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[(self.uniform() * all.len() as f64) as usize]
    }

    /// The place of one of them, each as likely as its weight.
    pub(super) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.uniform() * weights.iter().sum::<f64>();
        let fits = weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        fits.unwrap_or(weights.len() - 1)
    }
}

/// 2^x, held to 2^±1000.
pub(super) fn exp2(x: f64) -> f64 {
    if x < 0.0 { half_power((-x).min(1_000.0)) } else { 1.0 / half_power(x.min(1_000.0)) }
}

/// A value that wanders around 0 with deviation `spread` and forgets half of where it was in about 0.7 `memory` steps.
#[derive(Clone, Debug)]
pub(super) struct Drift {
    value: f64,
    keep: f64,
    kick: f64,
}

impl Drift {
    /// Begins anywhere in its range.
    pub(super) fn new(memory_steps: f64, spread: f64, dice: &mut Dice) -> Self {
        let keep = 1.0 - 1.0 / memory_steps.max(1.0);
        Self { value: spread * dice.normal(), keep, kick: spread * (1.0 - keep * keep).sqrt() }
    }

    pub(super) fn next(&mut self, dice: &mut Dice) -> f64 {
        self.value = self.value * self.keep + self.kick * dice.normal();
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_moments_they_name() {
        let mut dice = Dice::new(3);
        let mut mean = |draw: &mut dyn FnMut(&mut Dice) -> f64| (0..20_000).map(|_| draw(&mut dice)).sum::<f64>() / 2e4;
        // Standard errors: √(4/20 000) = 0.014 and √(50/20 000) = 0.05; five of each.
        assert!((mean(&mut |dice| dice.poisson(4.0)) - 4.0).abs() < 0.07);
        assert!((mean(&mut |dice| dice.poisson(50.0)) - 50.0).abs() < 0.25);
        // P(X > 10) of the tail is 1/100, with an error of 0.0007.
        assert!((mean(&mut |dice| f64::from(u8::from(dice.pareto() > 10.0))) - 0.01).abs() < 0.0035);
        let mut drift = Drift::new(10.0, 2.0, &mut Dice::new(4));
        // About 20 000/19 independent values of variance 4: an error of 4·√(2/1 050) = 0.17; four of it.
        assert!((mean(&mut |dice| drift.next(dice).powi(2)) - 4.0).abs() < 0.7);
    }

    #[test]
    fn a_stream_apart_does_not_depend_on_what_was_drawn() {
        let mut dice = Dice::new(5);
        let before = dice.apart("web").uniform();
        dice.uniform();
        assert_eq!(dice.apart("web").uniform(), before);
        assert_ne!(dice.apart("api").uniform(), before);
    }
}
