//! The pinball loss: the price of a quantile forecast.
//!
//! With `q = Cu / (Cu + Co)` it is, up to a factor, the money lost by allocating the forecast: each unit too little costs `q`,
//! each unit too much `1 - q`. It is least, in expectation, at the true quantile (Koenker and Bassett 1978).

/// The loss of having said `forecast` for the quantile at `level` when `truth` came, in the unit of the demand.
///
/// | level | forecast | truth | loss |
/// |---|---|---|---|
/// | 0.95 | 10 | 12 | 1.9 |
/// | 0.95 | 12 | 10 | 0.1 |
pub fn pinball(level: f64, forecast: f64, truth: f64) -> f64 {
    let shortfall = truth - forecast;
    (level * shortfall).max((level - 1.0) * shortfall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_costs_q_and_too_much_the_rest() {
        assert_eq!(pinball(0.75, 10.0, 12.0), 1.5);
        assert_eq!(pinball(0.75, 12.0, 10.0), 0.5);
        assert_eq!(pinball(0.75, 10.0, 10.0), 0.0);
    }
}
