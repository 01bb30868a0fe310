//! A scaling law that is raced against.

use plant::{Allocation, Reading};
use schemas::EventTime;

/// One law on one workload. It sees what a metrics server would show, at event time, and keeps its own timers.
pub trait Peer: Send {
    /// The law's name in tables.
    fn name(&self) -> &'static str;

    /// Takes in a reading that was complete at `now`. Times rise from call to call.
    fn observe(&mut self, now: EventTime, reading: &Reading);

    /// What the workload should get; none when nothing is to change or nothing is known. Called after every reading;
    /// a law with a loop of its own answers once a round.
    ///
    /// `current` is the desired state that the orchestrator holds: the last grant, usable already or on its way.
    fn decide(&mut self, now: EventTime, current: Allocation) -> Option<Allocation>;
}

/// Never changes anything.
#[derive(Clone, Copy, Debug)]
pub struct Static;

impl Peer for Static {
    fn name(&self) -> &'static str {
        "static"
    }

    fn observe(&mut self, _now: EventTime, _reading: &Reading) {}

    fn decide(&mut self, _now: EventTime, _current: Allocation) -> Option<Allocation> {
        None
    }
}
