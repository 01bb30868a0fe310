//! The demand curve: CPU as a fixed part and a part that grows with the load.
//!
//! `cores = fixed + slope × requests/s`, by least squares over unsaturated ticks, each weighing `1 - 1/MEMORY` of the
//! next one, so that new code shows within minutes. State: six numbers.
//!
//! A forecast's standard error is that of a regression line, `s² (1/n + (x - mean)² / (n var x))` beside the scatter `s²`
//! of a single tick, and never below [`ERROR_MIN`]: far from what was seen the line itself may bend.

use serde::{Deserialize, Serialize};

/// Ticks that the curve remembers, effectively: ten minutes of seconds.
const MEMORY: f64 = 600.0;

/// Weight from which the curve is believed: half a minute of ticks.
const WEIGHT_MIN: f64 = 30.0;

/// Relative error below which no figure of the curve is stated.
const ERROR_MIN: f64 = 0.02;

/// CPU that a load takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Cores.
    pub cores: f64,
    /// Relative standard error.
    pub error: f64,
}

/// A linear law of CPU over load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    weight: f64,
    mean_load: f64,
    mean_cores: f64,
    variance_load: f64,
    covariance: f64,
    variance_cores: f64,
}

impl Curve {
    /// Takes in an unsaturated tick.
    pub fn observe(&mut self, load_per_second: f64, cores: f64) {
        let keep = 1.0 - 1.0 / MEMORY;
        self.weight = self.weight * keep + 1.0;
        let share = 1.0 / self.weight;
        let (load, used) = (load_per_second - self.mean_load, cores - self.mean_cores);
        self.mean_load += share * load;
        self.mean_cores += share * used;
        self.variance_load = (1.0 - share) * (self.variance_load + share * load * load);
        self.covariance = (1.0 - share) * (self.covariance + share * load * used);
        self.variance_cores = (1.0 - share) * (self.variance_cores + share * used * used);
    }

    /// After new code: what was learnt weighs as little as what is just believed, so half a minute of ticks outweighs it.
    pub fn fade(&mut self) {
        self.weight = self.weight.min(WEIGHT_MIN);
    }

    /// CPU that a load takes; none before enough was seen, or while the load has hardly varied.
    #[must_use]
    pub fn cores(&self, load_per_second: f64) -> Option<f64> {
        let slope = self.slope()?;
        Some((self.mean_cores + slope * (load_per_second - self.mean_load)).max(0.0))
    }

    /// [`Curve::cores`] with its error.
    #[must_use]
    pub fn cost(&self, load_per_second: f64) -> Option<Cost> {
        let (cores, slope) = (self.cores(load_per_second)?, self.slope()?);
        let scatter = (self.variance_cores - slope * self.covariance).max(0.0);
        let away = load_per_second - self.mean_load;
        let variance = scatter * (1.0 + (1.0 + away * away / self.variance_load) / self.weight);
        (cores > 0.0).then(|| Cost { cores, error: (variance.sqrt() / cores).max(ERROR_MIN) })
    }

    /// The part that no load takes, in cores; none before the curve is known.
    #[must_use]
    pub fn fixed(&self) -> Option<f64> {
        self.cores(0.0)
    }

    fn slope(&self) -> Option<f64> {
        // Below a spread of 1 % of the mean the slope is noise.
        let varied = self.variance_load > 1e-4 * self.mean_load * self.mean_load;
        (self.weight >= WEIGHT_MIN && varied).then(|| (self.covariance / self.variance_load).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_recovered_and_carried_beyond_what_was_seen() {
        let mut curve = Curve::default();
        for tick in 0..200 {
            let load = f64::from(tick % 50);
            curve.observe(load, 0.2 + 0.01 * load);
        }
        // 0.2 + 0.01 × 300 = 3.2 cores, six times the largest load seen.
        let cores = curve.cores(300.0).expect("200 varied ticks are enough");
        assert!((cores - 3.2).abs() < 1e-9, "{cores}");
    }

    #[test]
    fn the_error_is_the_scatter_of_ticks_and_grows_beyond_what_was_seen() {
        let mut curve = Curve::default();
        for tick in 0..600 {
            // A scatter of 0.05 cores, up and down in turn, about 0.2 + 0.01 × load.
            let load = f64::from(tick % 51);
            curve.observe(load, 0.2 + 0.01 * load + if tick % 2 == 0 { 0.05 } else { -0.05 });
        }
        let error = |load: f64| curve.cost(load).expect("known").error;
        // 0.05 of 0.45 cores is 11 %. The decayed weight is some 380 ticks, so at 6 × 25 the line adds about a twentieth.
        assert!((error(25.0) - 0.111).abs() < 0.003, "{}", error(25.0));
        assert!(error(300.0) * 3.2 > error(25.0) * 0.45, "{}", error(300.0));
        assert!((curve.fixed().expect("known") - 0.2).abs() < 0.01);
    }

    #[test]
    fn a_load_that_never_varies_teaches_no_slope() {
        let mut curve = Curve::default();
        (0..200).for_each(|_| curve.observe(10.0, 1.0));
        assert_eq!(curve.cores(20.0), None);
    }
}
