//! What outcomes on the log tell of whoever carried decisions out before: so that a restart repeats nothing, and
//! nothing that was on its way is forgotten.
//!
//! State: two records a workload, and the decisions that were accepted and are not in force yet.

use std::collections::BTreeMap;

use schemas::{Decision, DecisionId, EventTime, Outcome, Status, WorkloadId};
use topics::{Log, Start};

use crate::following::Following;

/// How long ago a decision may have been accepted to be still on its way: an hour, thirty times the longest delay that we
/// model.
const ON_ITS_WAY_MAX_MS: u64 = 3_600_000;

/// What became of the decisions so far.
#[derive(Debug, Default)]
pub(crate) struct Predecessor {
    in_force: BTreeMap<WorkloadId, Outcome>,
    /// When the newest decision was taken that was answered, one a workload.
    answered: BTreeMap<WorkloadId, EventTime>,
    on_their_way: BTreeMap<DecisionId, Accepted>,
}

/// A decision on its way.
#[derive(Debug)]
struct Accepted {
    workload: WorkloadId,
    decided: EventTime,
    accepted: EventTime,
}

/// What is to be done with a decision that is read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Carry it out, and report.
    New,
    /// It was accepted then, which is reported already: carry it out as of then.
    OnItsWay(EventTime),
    /// Nothing: it was answered.
    Answered,
}

impl Predecessor {
    /// Reads the outcomes that `adapter` reported, as of `now`.
    ///
    /// Reads the whole topic, of which records stay for months: some seconds for a million.
    pub(crate) fn read(log: &dyn Log, adapter: &str, now: EventTime) -> anyhow::Result<Self> {
        let mut predecessor = Self::default();
        Following::<Outcome>::new(log, Start::Earliest)?.catch_up(|(_, outcome)| {
            if let Some(outcome) = outcome.filter(|outcome| outcome.adapter == adapter) {
                predecessor.note(outcome);
            }
        })?;
        let oldest = now.minus(ON_ITS_WAY_MAX_MS);
        predecessor.on_their_way.retain(|_, one| one.accepted >= oldest);
        Ok(predecessor)
    }

    /// The newest outcome in force of each workload.
    pub(crate) fn in_force(&self) -> impl Iterator<Item = &Outcome> {
        self.in_force.values()
    }

    /// When the oldest decision was taken that is on its way.
    pub(crate) fn oldest_on_its_way(&self) -> Option<EventTime> {
        self.on_their_way.values().map(|one| one.decided).min()
    }

    /// What is to be done with a decision; asked once for each.
    pub(crate) fn duty(&mut self, decision: &Decision) -> Duty {
        if let Some(one) = self.on_their_way.remove(&decision.decision) {
            return Duty::OnItsWay(one.accepted);
        }
        let answered = self.answered.get(&decision.workload);
        if answered.is_some_and(|answered| decision.time <= *answered) { Duty::Answered } else { Duty::New }
    }

    /// Takes in the next outcome; a workload's come in the order of their decisions.
    fn note(&mut self, outcome: Outcome) {
        let answered = self.answered.entry(outcome.workload.clone()).or_default();
        *answered = outcome.decided.max(*answered);
        let Outcome { workload, decided, time: accepted, .. } = outcome.clone();
        match outcome.status {
            Status::Accepted => {
                self.on_their_way.insert(outcome.decision, Accepted { workload, decided, accepted });
            }
            Status::InForce => {
                // What was decided before it landed before it, or was overtaken.
                self.on_their_way.retain(|_, one| one.workload != workload || one.decided > decided);
                self.in_force.insert(workload, outcome);
            }
            Status::Refused | Status::Failed | Status::Expired | Status::Stale => {
                self.on_their_way.remove(&outcome.decision);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::{Allocation, Noun, Topic, V1};
    use topics::{Delivery, Embedded, EmbeddedSettings, Outgoing};

    use super::super::fixtures::decision;
    use super::*;

    fn at(second: u64) -> EventTime {
        EventTime::from_millis(second * 1_000)
    }

    /// An outcome at `second` of the decision that was taken for web at `decided`.
    fn outcome(decided: u64, second: u64, status: Status) -> Outcome {
        let decision = decision("web", decided, 1.0);
        Outcome {
            version: V1,
            time: at(second),
            decision: decision.decision,
            decided: decision.time,
            workload: decision.workload,
            adapter: "simulated".to_owned(),
            status,
            in_force: Allocation::new(decided as f64, 1e9),
            message: String::new(),
        }
    }

    fn read(outcomes: &[Outcome], now: EventTime) -> Predecessor {
        let log = Embedded::in_memory(EmbeddedSettings::default());
        log.ensure(&[Topic::Outcomes], 2).expect("a new topic");
        let records: Vec<_> = outcomes.iter().map(Outgoing::of).collect();
        log.writer(Delivery::Idempotent).expect("a writer").append(&records).expect("in memory");
        Predecessor::read(&log, "simulated", now).expect("in memory")
    }

    #[test]
    fn what_was_answered_is_left_alone_and_what_is_on_its_way_goes_on() {
        let outcomes = [
            outcome(10, 11, Status::Accepted),
            outcome(20, 21, Status::Accepted),
            outcome(10, 41, Status::InForce),
            outcome(30, 31, Status::Refused),
        ];
        let mut predecessor = read(&outcomes, at(60));
        assert_eq!(predecessor.oldest_on_its_way(), Some(at(20)));
        let mut duty = |decided| predecessor.duty(&decision("web", decided, 1.0));
        assert_eq!(duty(10), Duty::Answered);
        assert_eq!(duty(20), Duty::OnItsWay(at(21)));
        assert_eq!(duty(20), Duty::Answered, "once");
        assert_eq!(duty(30), Duty::Answered);
        assert_eq!(duty(40), Duty::New);
        assert_eq!(predecessor.duty(&decision("api", 10, 1.0)), Duty::New, "another workload");
        let in_force: Vec<f64> = predecessor.in_force().map(|outcome| outcome.in_force.cpu_cores.get()).collect();
        assert_eq!(in_force, [10.0]);
    }

    #[test]
    fn a_later_decision_in_force_ends_the_wait_for_those_before_it() {
        let outcomes =
            [outcome(10, 11, Status::Accepted), outcome(20, 21, Status::Accepted), outcome(20, 21, Status::InForce)];
        assert_eq!(read(&outcomes, at(60)).oldest_on_its_way(), None);
    }

    #[test]
    fn what_was_accepted_long_ago_or_by_another_adapter_is_not_waited_for() {
        let elsewhere = Outcome { adapter: "elsewhere".to_owned(), ..outcome(5_000, 5_001, Status::Accepted) };
        let outcomes = [outcome(10, 11, Status::Accepted), elsewhere];
        // Accepted at 11 s: an hour later it is given up.
        assert_eq!(read(&outcomes, at(3_611)).oldest_on_its_way(), Some(at(10)));
        assert_eq!(read(&outcomes, at(3_612)).oldest_on_its_way(), None);
    }

    #[test]
    fn an_empty_log_has_no_predecessor() {
        let mut predecessor = read(&[], at(60));
        assert_eq!(predecessor.in_force().count(), 0);
        let web = decision("web", 10, 1.0);
        assert_eq!((web.key(), predecessor.duty(&web)), ("web", Duty::New));
    }
}
