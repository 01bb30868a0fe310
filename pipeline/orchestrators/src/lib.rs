//! Orchestrator adapters: they carry decisions out and report what came of it.
//!
//! [`Adapter`] is the contract, [`Gate`] what every adapter checks before it acts, [`Simulated`] a fleet of plants,
//! [`Cgroups`] real processes on this machine, [`Docker`] its containers.
#![allow(
    clippy::disallowed_methods,
    reason = "an edge crate: how long a resize takes is measured by the machine's clock"
)]

mod adapter;
mod answer;
mod cgroup;
mod docker;
mod error;
mod gate;
mod limits;
mod services;
mod simulated;

pub use adapter::Adapter;
pub use cgroup::{Cgroups, Counts, HostLimits};
pub use docker::Docker;
pub use error::Error;
pub use gate::{Gate, LocalPolicy, Verdict};
pub use services::{ServiceSpec, Services};
pub use simulated::{Simulated, Truth};
