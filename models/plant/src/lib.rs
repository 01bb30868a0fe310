//! A deterministic model of a workload under an allocation: what it would use, suffer and report.
//!
//! One straight way: a [`LoadShape`] says how many requests arrive at an event time, a [`Plant`] serves them
//! within the allocation that has landed by then, and each [`Plant::step`] yields one [`Reading`], the same
//! figures a profiler would take of a real instance. [`demand`] inverts the model: the least allocation that
//! would have met the SLO.
//!
//! Determinism: time is an argument and noise is a hash of (seed, stream, time). Only IEEE-exact operations are
//! used (`+ - * /`, `sqrt`, comparisons) with `ln` and `exp` built from them, so a trace is the same bytes on
//! every machine.
//!
//! What the model leaves out, and so must not be claimed from it: arrivals do not react to slowness (no retries,
//! open loop), neighbours do not disturb each other, caches have no warm-up, and disk and network never limit
//! service.
//!
//! Cost, measured on the demo fleet: 0.2 µs a [`Plant::step`], 0.1 to 0.3 µs a [`LoadShape::load`], 2 to 3 µs a
//! [`demand`]. No allocation on the heap in any of them.
//!
//! ```
//! use plant::{Plant, demo_fleet};
//!
//! let web = &demo_fleet()[0];
//! let seed = web.seed(7);
//! let mut plant = Plant::new(web.spec.clone(), seed, web.initial);
//! let noon_ms = 12 * 3_600_000;
//! let reading = plant.step(noon_ms, 1_000, 1.0, web.shape.load(noon_ms, seed));
//! assert!(reading.cpu_used_cores <= reading.cpu_limit_cores);
//! ```

mod actuation;
mod allocation;
mod backlog;
mod demand;
mod fleet;
pub mod load;
pub mod noise;
mod plant;
pub mod queueing;
mod reading;
mod slowest;
mod spec;
mod stress;

pub use actuation::{Actuation, MAX_IN_FLIGHT, ScaleDown};
pub use allocation::Allocation;
pub use demand::demand;
pub use fleet::{FleetMember, ShadowShape, demo_fleet};
pub use load::LoadShape;
pub use plant::Plant;
pub use reading::Reading;
pub use spec::{PerRequestBytes, PlantSpec};
