//! What an adapter is.

use schemas::{Decision, EventTime, Outcome, Pool, Workload};

/// Carries decisions out for one orchestrator.
///
/// - Idempotent: a decision that comes twice is carried out once.
/// - Careful: nothing is done that its [`crate::Gate`] does not let through, whoever signed it.
/// - Never silent: a decision that it takes on or turns down is reported at once. One that it has taken on is reported
///   again when its allocation is in force, unless a later decision overtook it before that.
/// - Nothing is called back: what came of a decision goes out as an [`Outcome`] on its topic.
pub trait Adapter {
    /// The orchestrator's name, as workloads give it.
    fn name(&self) -> &'static str;

    /// What runs and what pays for it, as found at `now`.
    fn inventory(&self, now: EventTime) -> (Vec<Workload>, Vec<Pool>);

    /// Takes a decision on, or turns it down. None when there is nothing to do: a hold, a decision that was carried out
    /// before, or one for another adapter.
    fn apply(&mut self, decision: &Decision, now: EventTime) -> Option<Outcome>;

    /// Decisions that have come into force since the last call, up to `now`, each with the time at which it did.
    fn poll(&mut self, now: EventTime) -> Vec<Outcome>;
}
