//! A race of scaling laws: each runs its own copy of the fleet under the same load, and each gets
//! [`Scorecards`].
//!
//! ```text
//! load ─┬─► plants of HPA    ─► readings ─► Hpa    ─► decision ─(latency)─► pool ─► plants of HPA
//!       ├─► plants of VPA    ─► …
//!       └─► plants of static ─► …
//! ```
//!
//! What is equal for all: the load and its seed, the delay of actuation, the latency of a decision, the pool's capacity
//! and the list price. [`Peer`] is a law, [`Race`] runs them, and whoever runs Foreshadow beside it notes its steps on
//! [`Scorecards`] of the same kind.
//!
//! What a race does not show: arrivals do not react to slowness (open loop), and every law starts without history.

mod hpa;
mod peer;
mod race;
mod scorecard;
mod usage;
mod vpa;

pub use hpa::{Hpa, HpaSettings};
pub use peer::{Peer, Static};
pub use race::{Race, RaceSettings};
pub use scorecard::{ListPrice, Scorecard, Scorecards, Step};
pub use vpa::Vpa;
