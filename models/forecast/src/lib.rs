//! Forecasts of demand: cheap experts, their calibration, and the choice of the one that leads.
//!
//! Demand `x_t` (cores, bytes, any nonnegative scalar) arrives once per *step*, a fixed span of event time.
//! What is forecast is the **peak over the horizon**, `Y_h(t) = max(x_{t+1} ..= x_{t+h})`, because an allocation decided
//! at `t` must cover demand until it can be changed again, `h` steps later. Every quantile in this crate is one of that peak.
//!
//! ```text
//! demand ─► experts ─► base or quantile ─► pending ──(h steps later: the true peak)──► residuals, losses, leader, conformal level
//!              │                                                                                            │
//!              └──────────► the leader's quantiles, at the conformal level ─► Prediction ◄──────────────────┘
//! ```
//!
//! - [`forecaster`]: the trait of an expert. [`persistence`], [`moving_average`], [`peak_histogram`], [`seasonal_naive`] and
//!   [`holt`] compute here; [`batched`] holds the seat of a model that runs elsewhere for many series at once.
//! - [`residuals`] turn a base into quantiles, [`conformal`] keeps the promised coverage, [`pinball`] scores.
//! - [`ensemble`]: one demand series from end to end. **Start here.**
//!
//! Missing is never zero: a step without a value is `None`, and a peak over a horizon with any step missing is unobserved.
//! Nothing reads a clock, draws randomness or calls a function whose precision the platform decides, so the same input
//! gives the same bits everywhere.

pub mod batched;
pub mod conformal;
pub mod decay;
pub mod ensemble;
pub mod forecaster;
pub mod histogram;
pub mod holt;
pub mod linear;
pub mod lstm;
pub mod moving_average;
pub mod peak_histogram;
pub mod pending;
pub mod persistence;
pub mod pinball;
pub mod residuals;
pub mod seasonal_naive;
pub mod settings;
pub mod smoothing;
pub mod volatility;

mod experts;
mod leadership;
mod noise;
mod prediction;
mod track;
mod voice;

pub use ensemble::{Ensemble, Prediction};
pub use forecaster::{Aim, ExpertName, Forecaster};
pub use histogram::DecayingHistogram;
pub use settings::{EnsembleSettings, SettingsError};
