//! Decisions in, carried out by an adapter, outcomes out. What is particular to an orchestrator is in its adapter.
//!
//! At the start decisions are read from as far back as one may still be carried out, or is on its way; what was answered
//! by a predecessor is left alone, and the adapter's gate turns down what is expired, stale or a duplicate.

use std::time::Duration;

use orchestrators::Adapter;
use schemas::{Decision, EventTime, Outcome, Span, Status};
use topics::{Delivery, Log, Outgoing, Start};

use super::predecessor::{Duty, Predecessor};
use crate::following::Following;
use crate::outbox::{self, Outbox};

/// Follows the decisions and reports what came of them.
pub(crate) struct Actuator {
    decisions: Following<Decision>,
    predecessor: Predecessor,
    outcomes: Outbox,
    counts: Counts,
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Decisions that were read.
    pub(crate) decisions: u64,
    /// Of those, taken on.
    pub(crate) accepted: u64,
    /// Turned down: refused, failed, expired or stale.
    pub(crate) turned_down: u64,
    /// Come into force.
    pub(crate) in_force: u64,
}

impl Actuator {
    /// Goes on where `predecessor` ended; decisions can be carried out for `decision_ttl`.
    pub(crate) fn start(
        log: &dyn Log,
        predecessor: Predecessor,
        decision_ttl: Span,
        now: EventTime,
    ) -> anyhow::Result<Self> {
        let unexpired = now.minus(decision_ttl.millis());
        let from = predecessor.oldest_on_its_way().map_or(unexpired, |oldest| oldest.min(unexpired));
        let decisions = Following::new(log, Start::Time(from))?;
        let outcomes = Outbox::start("outcomes", log.writer(Delivery::Idempotent)?, outbox::BYTES_MAX)?;
        Ok(Self { decisions, predecessor, outcomes, counts: Counts::default() })
    }

    /// Reports what has come into force, and hands the decisions that have come to the adapter, without waiting.
    pub(crate) fn round(&mut self, adapter: &mut dyn Adapter, now: EventTime) -> anyhow::Result<()> {
        adapter.poll(now).iter().for_each(|outcome| self.report(outcome));
        for (_, decision) in self.decisions.poll(Duration::ZERO)? {
            if let Some(decision) = decision {
                self.counts.decisions += 1;
                self.carry_out(adapter, &decision, now);
            }
        }
        Ok(self.outcomes.check()?)
    }

    /// What was done so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Writes the outcomes that wait.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        self.outcomes.finish(outbox::FLUSH_MAX)?;
        Ok(())
    }

    fn carry_out(&mut self, adapter: &mut dyn Adapter, decision: &Decision, now: EventTime) {
        let outcome = match self.predecessor.duty(decision) {
            Duty::Answered => None,
            Duty::New => adapter.apply(decision, now),
            Duty::OnItsWay(accepted) => {
                adapter.apply(decision, accepted).filter(|outcome| outcome.status != Status::Accepted)
            }
        };
        outcome.iter().for_each(|outcome| self.report(outcome));
    }

    fn report(&mut self, outcome: &Outcome) {
        match outcome.status {
            Status::Accepted => self.counts.accepted += 1,
            Status::InForce => self.counts.in_force += 1,
            Status::Refused | Status::Failed | Status::Expired | Status::Stale => self.counts.turned_down += 1,
        }
        let Outcome { workload, decision, status, in_force, message: why, .. } = outcome;
        tracing::info!(
            %workload,
            %decision,
            ?status,
            in_force_cores = in_force.cpu_cores.get(),
            in_force_mib = (in_force.memory_bytes.get() / 1_048_576.0).round(),
            why,
            "outcome"
        );
        self.outcomes.put(Outgoing::of(outcome));
    }
}

#[cfg(test)]
mod tests {
    use orchestrators::Simulated;
    use schemas::{Noun, Topic};
    use topics::{Embedded, EmbeddedSettings, read_all};

    use super::super::fixtures::decision;
    use super::*;

    const TTL: Span = Span::from_secs(60);

    fn at(second: u64) -> EventTime {
        EventTime::from_millis(second * 1_000)
    }

    fn log(decisions: &[Decision]) -> Embedded {
        let log = Embedded::in_memory(EmbeddedSettings::default());
        log.ensure(&[Topic::Decisions, Topic::Outcomes], 2).expect("new topics");
        let records: Vec<_> = decisions.iter().map(Outgoing::of).collect();
        log.writer(Delivery::Idempotent).expect("a writer").append(&records).expect("in memory");
        log
    }

    /// What an actuator of a new fleet does from `begin` to `end`: one process, from its start to its end.
    fn live(log: &Embedded, begin: u64, end: u64) -> Counts {
        let mut fleet = Simulated::new(plant::demo_fleet(), 1).expect("identifiers");
        let predecessor = Predecessor::read(log, fleet.name(), at(begin)).expect("in memory");
        predecessor.in_force().for_each(|outcome| assert!(fleet.restore(outcome)));
        let mut actuator = Actuator::start(log, predecessor, TTL, at(begin)).expect("in memory");
        for second in begin..end {
            actuator.round(&mut fleet, at(second)).expect("in memory");
            fleet.step(at(second), 1_000);
        }
        let counts = actuator.counts();
        actuator.finish().expect("in memory");
        counts
    }

    /// The outcomes on the log: when, of the decision of which second, what, and the cores in force.
    fn outcomes(log: &Embedded) -> Vec<(u64, u64, Status, f64)> {
        let records = read_all(log, Topic::Outcomes, Start::Earliest).expect("in memory");
        let outcomes = records.iter().map(|record| Outcome::from_json(record.value.as_deref().expect("a value")));
        let told = outcomes.map(|outcome| outcome.expect("an outcome")).map(|outcome| {
            let second = |time: EventTime| time.millis() / 1_000;
            (second(outcome.time), second(outcome.decided), outcome.status, outcome.in_force.cpu_cores.get())
        });
        told.collect()
    }

    /// Cores that the demo fleet's leaker starts with. A resize of it takes 30 s.
    fn initial() -> f64 {
        let fleet = plant::demo_fleet();
        fleet.iter().find(|member| member.workload == "leaker").expect("a member").initial.cpu_cores
    }

    #[test]
    fn a_decision_is_carried_out_and_reported() {
        let log = log(&[decision("leaker", 5, 2.0), decision("leaker", 6, 100.0)]);
        let counts = live(&log, 10, 45);
        assert_eq!(counts, Counts { decisions: 2, accepted: 1, turned_down: 1, in_force: 1 });
        let told = outcomes(&log);
        assert_eq!(told[0], (10, 5, Status::Accepted, initial()));
        assert_eq!(told[1], (10, 6, Status::Refused, initial()));
        assert_eq!(told[2..], [(40, 5, Status::InForce, 2.0)]);
    }

    #[test]
    fn a_restart_repeats_nothing_and_keeps_what_is_in_force() {
        let log = log(&[decision("leaker", 5, 2.0), decision("leaker", 6, 100.0)]);
        live(&log, 10, 45);
        let counts = live(&log, 50, 55);
        assert_eq!(counts, Counts { decisions: 2, ..Counts::default() });
        assert_eq!(outcomes(&log).len(), 3);
        // What is in force now is told by the next answer.
        let mut writer = log.writer(Delivery::Idempotent).expect("a writer");
        writer.append(&[Outgoing::of(&decision("leaker", 56, 100.0))]).expect("in memory");
        live(&log, 60, 62);
        assert_eq!(outcomes(&log)[3..], [(60, 56, Status::Refused, 2.0)]);
    }

    #[test]
    fn what_is_on_its_way_at_a_crash_comes_into_force_when_it_would_have() {
        let log = log(&[decision("leaker", 5, 2.0)]);
        live(&log, 10, 20);
        assert_eq!(outcomes(&log), [(10, 5, Status::Accepted, initial())]);
        // The decision has expired long since; its resize lands at 40 s all the same.
        live(&log, 300, 303);
        assert_eq!(outcomes(&log)[1..], [(40, 5, Status::InForce, 2.0)]);
    }

    #[test]
    fn what_nobody_carried_out_in_time_is_not_carried_out() {
        let log = log(&[decision("leaker", 5, 2.0)]);
        // From 60 s back it is read; at 65 s it may be carried out for the last time.
        live(&log, 65, 66);
        assert_eq!(outcomes(&log), [(65, 5, Status::Accepted, initial())]);
        let log = self::log(&[decision("leaker", 5, 2.0)]);
        assert_eq!(live(&log, 66, 67), Counts::default());
    }
}
