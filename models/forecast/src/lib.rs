//! Forecasts of demand: cheap experts, their calibration, and the choice of the one that leads.
//!
//! Demand `x_t` (cores, bytes, any nonnegative scalar) arrives once per *step*, a fixed span of event time.
//! What is forecast is the **peak over the horizon**, `Y_h(t) = max(x_{t+1} ..= x_{t+h})`, because an allocation decided
//! at `t` must cover demand until it can be changed again, `h` steps later; or, where it is asked for ([`Aim`]), the value at its end.
//!
//! ```text
//! demand ─► experts ─► voices: base + margin ─► blend ─► conformal level ─► Prediction
//!              ▲            ▲         │            ▲             ▲
//!              │            │         └─► pending ─┴─(the truth, h steps later)
//!   the LSTM, asked with the blend    residuals, losses, leader, coverage
//! ```
//!
//! - [`forecaster`]: the trait of an expert. [`persistence`], [`moving_average`], [`smoothing`], [`holt`], [`peak_histogram`],
//!   [`seasonal_naive`] and [`linear`] compute here; [`batched`] holds the seat of the global [`lstm`], which answers for many series at once.
//! - [`residuals`] and [`volatility`] turn a base into quantiles, [`conformal`] keeps the promised coverage, [`pinball`] scores.
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
