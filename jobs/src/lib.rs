//! Jobs beside the stream: what is run on demand rather than at every tick.
//!
//! [`backtest`] scores scaling laws against each other over the same load; [`evaluate`] scores the models on data with
//! known answers.

pub mod backtest;
pub mod evaluate;
pub mod history;
pub mod predictability;
pub mod retrain;
pub mod synthesize;
pub mod traces;
pub mod walk;

#[cfg(test)]
mod fixtures;
