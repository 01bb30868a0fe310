//! What the pair of primary and shadow teaches, per workload: the knee, the headroom that
//! the latency target takes, the demand curve, the work behind a saturated limit.
//!
//! With relative size f and mirrored share p the shadow runs at k = p / f times the primary's load per unit of
//! resource, so it meets the knee when the primary is at 1/k of its own. Everything here is a pure function of the
//! ticks seen so far; bounds and decays are stated with each learner.

mod canary;
mod curve;
mod headroom;
mod knee;
mod learner;

pub use canary::{Answer, Canary, CanarySettings, Design, Report, Rollout, RolloutSettings, Rule, Side, SideTick};
pub use curve::Curve;
pub use headroom::Headroom;
pub use knee::{Knee, Safe};
pub use learner::{Learner, RoleTick, Sizing, Work};
