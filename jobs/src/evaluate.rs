//! Evaluation: how well forecasts and detectors do on data that they have not seen.

pub mod faults;
pub mod forecast;
pub mod nab;
pub mod scores;
