//! The decision law: what each workload gets from the next moment on, and who pays.
//!
//! ```text
//! q*      = Cu / (Cu + Co)                    price of unmet demand against price of idle
//! wanted  = max(reactive floor, forecast at q* over the horizon)  → bounds → steps of the orchestrator
//! if wanted > current   : allocate the difference from the pool, or what it has, and record the shortfall
//! if wanted < current   : deallocate an excess above the threshold, after the stabilisation window,
//!                         within the churn budget
//! else                  : hold
//! ```
//!
//! Pure: time is the tick, all state is in [`PoolState`], and the same calls give the same decisions. A forecast may
//! raise, never lower below what is needed now; nothing is lowered on missing or stale signals; memory is never
//! lowered below the working set plus a margin.
//!
//! [`decide::settle`] is the way in: it settles one pool at one tick. Its steps are [`want`] (how much),
//! [`hysteresis`] (whether less is allowed yet), [`ledger`] (what the pool gives) and [`because`] (the sentence).
//! What is done about anomalies is settled before ([`remedy`]), and followed here ([`treatment`]).

pub mod because;
mod controller;
pub mod decide;
pub mod hysteresis;
pub mod ledger;
pub mod remedy;
mod settings;
mod signals;
pub mod treatment;
pub mod want;

pub use controller::Controller;
pub use decide::{PoolState, settle};
pub use remedy::{Alert, Remedies};
pub use settings::ScalingSettings;
pub use signals::{QUANTILES, Signal, Signals};
pub use treatment::Treatment;
