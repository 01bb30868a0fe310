//! The demand curve: CPU as a fixed part and a part that grows with the load.
//!
//! `cores = fixed + slope × requests/s`, by least squares over unsaturated ticks, each weighing `1 - 1/MEMORY` of the
//! next one, so that new code shows within minutes. State: six numbers.

use serde::{Deserialize, Serialize};

/// Ticks that the curve remembers, effectively: ten minutes of seconds.
const MEMORY: f64 = 600.0;

/// Weight from which the curve is believed: half a minute of ticks.
const WEIGHT_MIN: f64 = 30.0;

/// A linear law of CPU over load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    weight: f64,
    mean_load: f64,
    mean_cores: f64,
    variance_load: f64,
    covariance: f64,
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
    }

    /// CPU that a load takes; none before enough was seen, or while the load has hardly varied.
    #[must_use]
    pub fn cores(&self, load_per_second: f64) -> Option<f64> {
        // Below a spread of 1 % of the mean the slope is noise.
        let varied = self.variance_load > (0.01 * self.mean_load).powi(2);
        if self.weight < WEIGHT_MIN || !varied {
            return None;
        }
        let slope = (self.covariance / self.variance_load).max(0.0);
        Some((self.mean_cores + slope * (load_per_second - self.mean_load)).max(0.0))
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
    fn a_load_that_never_varies_teaches_no_slope() {
        let mut curve = Curve::default();
        (0..200).for_each(|_| curve.observe(10.0, 1.0));
        assert_eq!(curve.cores(20.0), None);
    }
}
