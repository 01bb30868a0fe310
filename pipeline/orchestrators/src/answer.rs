//! How a decision is answered where a resize is in force as soon as it is done: now that it was taken on, and at the next
//! opportunity that it is in force, with the instant at which it was.

use std::time::Instant;

use schemas::{Allocation, Decision, EventTime, Outcome, Status, V1};

use crate::{Gate, LocalPolicy, Verdict};

/// Where a workload stands when a decision comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) adapter: &'static str,
    pub(crate) in_force: Allocation,
    pub(crate) policy: LocalPolicy,
}

/// What is told at once, and what is told next where the decision was carried out.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) told: Outcome,
    pub(crate) landed: Option<Outcome>,
}

/// Judges a decision and, where it passes, has `resize` carry it out and read back what is in force. None when there is
/// nothing to do.
pub(crate) fn answer(
    gate: &mut Gate,
    standing: Standing,
    decision: &Decision,
    now: EventTime,
    resize: impl FnOnce(&Allocation) -> Result<(), (Status, String)>,
) -> Option<Answer> {
    let began = Instant::now();
    let Standing { adapter, in_force, policy } = standing;
    let turned_down =
        |status, message| Answer { told: outcome(adapter, decision, now, status, in_force, message), landed: None };
    match gate.judge(decision, &in_force, &policy, now) {
        Verdict::Nothing => None,
        Verdict::TurnDown(status, message) => Some(turned_down(status, message)),
        Verdict::Act => match resize(&decision.granted) {
            Err((status, message)) => Some(turned_down(status, message)),
            Ok(()) => {
                // Rounded up: in force is never reported before it is.
                let usable = now.plus(began.elapsed().as_micros().div_ceil(1_000) as u64);
                let landed = outcome(adapter, decision, usable, Status::InForce, decision.granted, String::new());
                Some(Answer { told: turned_down(Status::Accepted, String::new()).told, landed: Some(landed) })
            }
        },
    }
}

/// The answer to a decision for a workload that is not there.
pub(crate) fn stranger(adapter: &'static str, decision: &Decision, now: EventTime) -> Outcome {
    let message = format!("no workload {} runs here", decision.workload);
    outcome(adapter, decision, now, Status::Refused, decision.current, message)
}

/// What an adapter did with a decision.
pub(crate) fn outcome(
    adapter: &'static str,
    decision: &Decision,
    at: EventTime,
    status: Status,
    in_force: Allocation,
    message: String,
) -> Outcome {
    Outcome {
        version: V1,
        time: at,
        decision: decision.decision.clone(),
        decided: decision.time,
        workload: decision.workload.clone(),
        adapter: adapter.to_owned(),
        status,
        in_force,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::tests::decision;

    fn answered(resize: impl FnOnce(&Allocation) -> Result<(), (Status, String)>) -> Answer {
        let (in_force, decision) = (Allocation::new(1.0, 1e9), decision("web", 1, 2.0));
        let standing = Standing { adapter: "cgroup", in_force, policy: LocalPolicy::default() };
        answer(&mut Gate::default(), standing, &decision, decision.time, resize).expect("it passes the gate")
    }

    #[test]
    fn in_force_is_told_after_taken_on_and_with_its_own_time() {
        let slow = |_: &Allocation| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            Ok(())
        };
        let Answer { told, landed } = answered(slow);
        let landed = landed.expect("carried out");
        assert_eq!((told.status, told.in_force.cpu_cores.get()), (Status::Accepted, 1.0));
        assert_eq!((landed.status, landed.in_force.cpu_cores.get()), (Status::InForce, 2.0));
        assert!(landed.time >= told.time.plus(20), "{} after {}", landed.time, told.time);
    }

    #[test]
    fn what_fails_leaves_what_was_in_force() {
        let Answer { told, landed } = answered(|_| Err((Status::Failed, "busy".to_owned())));
        assert_eq!((told.status, told.in_force.cpu_cores.get(), told.message.as_str()), (Status::Failed, 1.0, "busy"));
        assert_eq!(landed, None);
    }
}
