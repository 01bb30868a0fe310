//! What the pair of primary and shadow teaches, per workload: the knee, the demand curve, uncensored demand.
//!
//! With relative size f and mirrored share p the shadow runs at k = p / f times the primary's load per unit of
//! resource, so it meets the knee when the primary is at 1/k of its own. Everything here is a pure function of the
//! ticks seen so far; bounds and decays are stated with each learner.

mod curve;
mod knee;
mod learner;

pub use curve::Curve;
pub use knee::{Knee, Safe};
pub use learner::{Demand, Learner, RoleTick};
