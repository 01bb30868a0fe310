//! What a user may tune, with the reasons for the defaults.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::forecaster::Aim;
use crate::histogram::FIRST_BUCKET_CORES;
use crate::residuals::MIN_RESIDUALS;

/// At most so many horizons per series: the actuation delay, the planning hour, and one of each that is being replaced.
pub const MAX_HORIZONS: usize = 4;

/// The longest horizon: 11 hours of 10 s steps, 68 minutes of 1 s steps. Bounds the memory of a falling series to 64 kB.
pub const MAX_HORIZON_STEPS: u32 = 4096;

/// The largest window of residuals: beyond it f32 ranks and memory buy nothing that calibration does not.
pub const MAX_RESIDUAL_WINDOW: usize = 4096;

/// The length of the shortest season.
pub const DAY_MS: u64 = 86_400_000;

/// Settings of an [`Ensemble`](crate::Ensemble) for one demand series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnsembleSettings {
    /// Horizons to learn, in steps: 1 to [`MAX_HORIZONS`] different ones, each 1 to [`MAX_HORIZON_STEPS`].
    pub horizons_steps: Vec<u32>,
    /// What is forecast.
    pub aim: Aim,
    /// The quantile that experts are judged and calibrated at, between 0 and 1: `Cu / (Cu + Co)`.
    pub target: f64,
    /// Length of a step, which must divide a day into at least two.
    pub step_ms: u64,
    /// End of the first histogram bucket in the unit of the demand: the resolution near zero, and 1e-5 of the largest
    /// demand told apart. See [`FIRST_BUCKET_CORES`] and [`FIRST_BUCKET_BYTES`](crate::histogram::FIRST_BUCKET_BYTES).
    pub first_bucket: f64,
    /// A challenger's loss must be lower by this share of the leader's, 0 up to 1 (exclusive). Less is noise.
    pub lead_margin: f64,
    /// ... at so many settled origins in a row: five minutes of 10 s steps at a horizon of up to 8 steps.
    pub lead_origins: u32,
    /// Residuals kept per voice and horizon, 19 to [`MAX_RESIDUAL_WINDOW`]. The standard error of the coverage at 0.95 is
    /// one point with 512.
    pub residual_window: usize,
}

impl Default for EnsembleSettings {
    fn default() -> Self {
        Self {
            horizons_steps: vec![6],
            aim: Aim::Peak,
            target: 0.95,
            step_ms: 10_000,
            first_bucket: FIRST_BUCKET_CORES,
            lead_margin: 0.05,
            lead_origins: 30,
            residual_window: 512,
        }
    }
}

impl EnsembleSettings {
    /// Checks every setting; the first fault is returned.
    pub fn check(&self) -> Result<(), SettingsError> {
        check_horizons(&self.horizons_steps)?;
        check_target(self.target)?;
        let step_divides_day = self.step_ms > 0 && self.step_ms < DAY_MS && DAY_MS.is_multiple_of(self.step_ms);
        require(step_divides_day, "step_ms", "a divisor of a day (86400000), less than the day")?;
        require(self.first_bucket.is_finite() && self.first_bucket > 0.0, "first_bucket", "a positive number")?;
        require((0.0..1.0).contains(&self.lead_margin), "lead_margin", "at least 0 and less than 1")?;
        require(self.lead_origins > 0, "lead_origins", "at least 1")?;
        let window = MIN_RESIDUALS..=MAX_RESIDUAL_WINDOW;
        require(window.contains(&self.residual_window), "residual_window", "19 to 4096")
    }
}

/// A setting out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// The field of [`EnsembleSettings`].
    pub setting: &'static str,
    /// What it must be.
    pub must_be: &'static str,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the forecast setting {} must be {}", self.setting, self.must_be)
    }
}

impl std::error::Error for SettingsError {}

pub(crate) fn check_horizons(horizons: &[u32]) -> Result<(), SettingsError> {
    let bounded = (1..=MAX_HORIZONS).contains(&horizons.len());
    let in_range = horizons.iter().all(|horizon| (1..=MAX_HORIZON_STEPS).contains(horizon));
    let different = horizons.iter().enumerate().all(|(at, horizon)| !horizons[..at].contains(horizon));
    require(bounded && in_range && different, "horizons_steps", "1 to 4 different horizons of 1 to 4096 steps")
}

pub(crate) fn check_target(target: f64) -> Result<(), SettingsError> {
    require(target > 0.0 && target < 1.0, "target", "more than 0 and less than 1")
}

fn require(holds: bool, setting: &'static str, must_be: &'static str) -> Result<(), SettingsError> {
    if holds { Ok(()) } else { Err(SettingsError { setting, must_be }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(EnsembleSettings::default().check(), Ok(()));
    }

    #[test]
    fn faults_name_the_setting() {
        let faulty = |change: fn(&mut EnsembleSettings)| {
            let mut settings = EnsembleSettings::default();
            change(&mut settings);
            settings.check().map_err(|error| error.setting)
        };
        assert_eq!(faulty(|s| s.horizons_steps = vec![]), Err("horizons_steps"));
        assert_eq!(faulty(|s| s.horizons_steps = vec![6, 6]), Err("horizons_steps"));
        assert_eq!(faulty(|s| s.horizons_steps = vec![0]), Err("horizons_steps"));
        assert_eq!(faulty(|s| s.target = 1.0), Err("target"));
        assert_eq!(faulty(|s| s.target = f64::NAN), Err("target"));
        assert_eq!(faulty(|s| s.step_ms = 7_001), Err("step_ms"));
        assert_eq!(faulty(|s| s.step_ms = 0), Err("step_ms"));
        assert_eq!(faulty(|s| s.first_bucket = 0.0), Err("first_bucket"));
        assert_eq!(faulty(|s| s.lead_margin = 1.0), Err("lead_margin"));
        assert_eq!(faulty(|s| s.lead_origins = 0), Err("lead_origins"));
        assert_eq!(faulty(|s| s.residual_window = 18), Err("residual_window"));
    }
}
