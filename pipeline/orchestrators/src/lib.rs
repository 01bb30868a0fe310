//! Orchestrator adapters: they carry decisions out and report what came of it.
//!
//! [`Adapter`] is the contract, [`Gate`] what every adapter checks before it acts, [`Simulated`] a fleet of plants.
#![allow(clippy::disallowed_methods, reason = "an edge crate: adapters may read clocks")]

mod adapter;
mod gate;
mod simulated;

pub use adapter::Adapter;
pub use gate::Gate;
pub use simulated::{Simulated, Truth};
