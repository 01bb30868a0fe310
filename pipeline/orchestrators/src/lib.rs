//! Orchestrator adapters: they carry decisions out and report what came of it.
//!
//! [`Adapter`] is the contract, [`Gate`] what every adapter checks before it acts, [`Simulated`] a fleet of plants,
//! [`Cgroups`] real processes on this machine.
#![allow(
    clippy::disallowed_methods,
    reason = "an edge crate: how long a resize takes is measured by the machine's clock"
)]

mod adapter;
mod cgroup;
mod error;
mod gate;
mod simulated;

pub use adapter::Adapter;
pub use cgroup::{Cgroups, Counts, HostLimits, Service, Services};
pub use error::Error;
pub use gate::{Gate, LocalPolicy, Verdict};
pub use simulated::{Simulated, Truth};
