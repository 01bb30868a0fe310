//! What the pair of primary and shadow teaches, per workload: the knee, the headroom that
//! the latency target takes, the demand curve, the work behind a saturated limit, and the lead.
//!
//! With relative size f and mirrored share p the shadow runs at k = p / f times the primary's load per unit of
//! resource, so it meets the knee when the primary is at 1/k of its own. Everything here is a pure function of the
//! ticks seen so far; bounds and decays are stated with each learner.
//!
//! One straight way, in [`Learner::observe`]: is the shadow believed (`trust.rs`), is the tick clean (`dirt.rs`), is
//! the promise broken (`lateness.rs`); then the tick is learnt from (`tail.rs`, `points.rs`, `headroom.rs`, `knee.rs`,
//! `curve.rs`, `lead.rs`); now and then a law is fitted (`law.rs`, `fit.rs`). Out come the tick's [`Work`], a [`Sizing`] that makes
//! demand of it, and what of both is the shadow's doing. A [`Probe`] moves k on purpose.

mod amplification;
mod canary;
mod curve;
mod dirt;
mod fit;
mod headroom;
mod knee;
mod lateness;
mod law;
mod lead;
mod learner;
mod points;
mod probe;
mod sizing;
mod tail;
mod tick;
mod trust;
mod uncensored;

pub use canary::{Answer, Canary, CanarySettings, Design, Report, Rollout, RolloutSettings, Rule, Side, SideTick};
pub use curve::{Cost, Curve};
pub use dirt::{Dirt, Discarded, Host};
pub use headroom::Headroom;
pub use knee::{Knee, Safe};
pub use lead::Lead;
pub use learner::{Learner, Work};
pub use probe::{Bracket, Probe, Seen, Setting, Stop};
pub use sizing::Sizing;
pub use tick::{PairTick, RoleTick};
pub use uncensored::Estimate;
