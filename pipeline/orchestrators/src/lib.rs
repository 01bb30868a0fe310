//! Orchestrator adapters: they carry decisions out and report what came of it.
//!
//! [`Adapter`] is the contract, [`Gate`] what every adapter checks before it acts, [`Simulated`] a fleet of plants.

mod adapter;
mod gate;
mod simulated;

pub use adapter::Adapter;
pub use gate::{Gate, LocalPolicy, Verdict};
pub use simulated::{Simulated, Truth};
