//! What an adapter is.

use schemas::{Decision, EventTime, Outcome, Pool, Workload};

/// Carries decisions out for one orchestrator.
///
/// Idempotent: a decision that comes twice is carried out once. Nothing is called back: what came of a decision goes
/// out as an [`Outcome`] on its topic.
pub trait Adapter {
    /// The orchestrator's name, as workloads give it.
    fn name(&self) -> &'static str;

    /// What runs and what pays for it, as found at `now`.
    fn inventory(&self, now: EventTime) -> (Vec<Workload>, Vec<Pool>);

    /// Takes a decision on, or refuses it; none when there is nothing to do.
    fn apply(&mut self, decision: &Decision, now: EventTime) -> Option<Outcome>;

    /// Decisions that have come into force since the last call, up to `now`.
    fn poll(&mut self, now: EventTime) -> Vec<Outcome>;
}
