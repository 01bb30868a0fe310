//! A new version on trial: what its canary shows beside the baseline, and the share of the requests that it gets.
//!
//! A trial begins with the first tick in which both a canary and a baseline are read, and has ended once they were not for
//! [`GONE_MS`]: whoever starts the two asks for the roll-out, and ends it by ending them. Each step of the roll-out has a canary
//! of its own, with its part of the chance of a false alarm. State: below 8 kB while a trial is on, and the starts of a day.

use schemas::{EventTime, Metric, RolloutAction, RolloutTurn};
use serde::{Deserialize, Serialize};
use shadow::{Canary, CanarySettings, Rollout, RolloutSettings, SideTick};

use crate::records::RoleTick;

/// After so long without both a trial has ended: longer than a restart of either, shorter than the cooldown.
const GONE_MS: u64 = 600_000;

/// A workload's roll-outs, and the canary of the one that is on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Trial {
    rollout: Rollout,
    canary: Option<Canary>,
    read: EventTime,
    /// Whether the pair that is there was refused, which has been told.
    is_refused: bool,
}

impl Trial {
    /// A workload of which no new version was seen yet.
    pub(super) fn new() -> Self {
        Self {
            rollout: Rollout::new(RolloutSettings::default()),
            canary: None,
            read: EventTime::default(),
            is_refused: false,
        }
    }

    /// Takes in a tick that starts at `now`; what there is to do, if anything. Those of them that were not read are none.
    pub(super) fn observe(
        &mut self,
        now: EventTime,
        tick_ms: u64,
        (canary, baseline): (Option<RoleTick<'_>>, Option<RoleTick<'_>>),
    ) -> Option<RolloutTurn> {
        let both = canary.is_some() && baseline.is_some();
        let read = if both { std::mem::replace(&mut self.read, now) } else { self.read };
        let gone = read.plus(GONE_MS) <= now;
        let turn = match &mut self.canary {
            // While it is on its way silence rolls it back first.
            Some(_) if gone && !both && !self.rollout.is_running() => {
                self.canary = None;
                return None;
            }
            None if both => {
                let turn = self.rollout.start(now);
                let was_refused = std::mem::replace(&mut self.is_refused, turn.action == RolloutAction::Refuse);
                if self.is_refused {
                    // Until it may begin.
                    return (!was_refused).then_some(turn);
                }
                self.canary = Some(fresh(tick_ms));
                turn
            }
            None => {
                self.is_refused &= !gone;
                return None;
            }
            Some(on) => {
                let side = |role: Option<RoleTick<'_>>| role.map(|role| side(role, tick_ms)).unwrap_or_default();
                on.close(side(baseline), side(canary));
                self.rollout.observe(now, &on.report())
            }
        };
        if turn.action == RolloutAction::Advance {
            self.canary = Some(fresh(tick_ms));
        }
        (turn.action != RolloutAction::Hold).then_some(turn)
    }

    /// Ends a roll-out that is under way, since nobody would act on it any more.
    pub(super) fn end(mut self, now: EventTime) -> Option<RolloutTurn> {
        self.rollout.end(now, "the workload's mode is no longer act")
    }
}

fn fresh(tick_ms: u64) -> Canary {
    let settings = CanarySettings::of_samples();
    let alpha = RolloutSettings::default().alpha_per_step(settings.alpha);
    Canary::new(CanarySettings { alpha, tick_ms, ..settings })
}

/// What was read of a side over the tick: rates become counts.
fn side(role: RoleTick<'_>, tick_ms: u64) -> SideTick {
    let counted = |metric| role.mean(metric).map(|per_second| per_second * tick_ms as f64 / 1e3);
    SideTick {
        cores: role.mean(Metric::CpuUsed),
        memory_bytes: role.mean(Metric::MemoryWorkingSet),
        requests: counted(Metric::Requests),
        errors: counted(Metric::Errors),
        latency_p99: role.mean(Metric::LatencyP99),
    }
}

#[cfg(test)]
mod tests {
    use schemas::{Criterion, Role, TenantId, WorkloadId};

    use super::*;
    use crate::records::{Pair, Pairs};

    /// Turns of an hour in which the canary takes `factor` times the baseline's CPU and both are read until `until`.
    fn turns(factor: f64, until: u64) -> Vec<(u64, RolloutAction)> {
        turns_with_errors(factor, 0.0, until)
    }

    /// The same where the canary has so many errors a second.
    fn turns_with_errors(factor: f64, errors: f64, until: u64) -> Vec<(u64, RolloutAction)> {
        let mut trial = Trial::new();
        let turn = |second| Some((second, observe(&mut trial, second, factor, errors, second < until)?.action));
        (0..3_600).filter_map(turn).collect()
    }

    /// A tick of both, where they are read.
    fn observe(trial: &mut Trial, second: u64, factor: f64, errors: f64, read: bool) -> Option<RolloutTurn> {
        let mut pairs = Pairs::default();
        pairs.begin(Pair::new(0, TenantId::default(), WorkloadId::new("web").expect("a plain name")));
        // Load and cost wander together, as they do under mirrored requests.
        let wave = 1.0 + 0.1 * ((second % 7) as f64 - 3.0) / 3.0;
        let own = |phase: u64| 1.0 + 0.02 * (((second + phase) % 11) as f64 - 5.0) / 5.0;
        for (role, factor, phase) in [(Role::Canary, factor, 0), (Role::Baseline, 1.0, 4)] {
            let mut add = |metric, value| {
                let times = pairs.add_times([second * 1_000].into_iter());
                pairs.add(role, metric, times, [value].into_iter());
            };
            add(Metric::CpuUsed, 0.5 * wave * factor * own(phase));
            add(Metric::MemoryWorkingSet, 1e8);
            add(Metric::Requests, 100.0);
            add(Metric::Errors, if role == Role::Canary { errors } else { 0.0 });
            add(Metric::LatencyP99, 0.05 * wave * own(phase + 1));
        }
        let role = |role| pairs.role(&pairs.pairs[0], role).filter(|_| read);
        trial.observe(EventTime::from_millis(second * 1_000), 1_000, (role(Role::Canary), role(Role::Baseline)))
    }

    #[test]
    fn a_version_that_takes_more_is_rolled_back_and_one_alike_goes_on() {
        let worse = turns(1.3, 3_600);
        assert_eq!(worse[0], (0, RolloutAction::Start));
        assert!(worse.len() == 2 && worse[1].1 == RolloutAction::RollBack && worse[1].0 < 60, "{worse:?}");
        let alike = turns(1.0, 3_600);
        let first = alike.iter().find(|(_, action)| *action == RolloutAction::Advance).expect("it passes");
        // No sooner than the hold of five minutes.
        assert!(first.0 >= 300 && alike.iter().all(|(_, action)| *action != RolloutAction::RollBack), "{alike:?}");
    }

    #[test]
    fn less_than_an_error_a_tick_adds_up() {
        // 0.45 errors in each tick of a hundred requests, where the baseline has none.
        let failing = turns_with_errors(1.0, 0.45, 3_600);
        assert!(failing.len() == 2 && failing[1].1 == RolloutAction::RollBack, "{failing:?}");
        let mut canary = fresh(1_000);
        let side = |errors| SideTick { requests: Some(20.0), errors: Some(errors), ..SideTick::default() };
        for _ in 0..1_000 {
            canary.close(side(0.0), side(0.4));
        }
        let errors = canary.report().findings.into_iter().find(|finding| finding.criterion == Criterion::Errors);
        let effect = errors.and_then(|errors| errors.effect).expect("errors were read");
        assert!((effect - 0.02).abs() < 0.002, "{effect}");
    }

    #[test]
    fn a_pair_that_comes_too_soon_is_refused_once_and_begins_after_the_cooldown() {
        // Rolled back within a minute, and gone for ten; then one that is no worse, 45 minutes before the cooldown ends.
        let mut trial = Trial::new();
        let mut turns = Vec::new();
        for second in 0..5_000 {
            let gone = (60..900).contains(&second);
            let factor = if second < 60 { 1.5 } else { 1.0 };
            let turn = observe(&mut trial, second, factor, 0.0, !gone);
            turns.extend(turn.map(|turn| (second, turn.action)));
        }
        let of = |action: RolloutAction| turns.iter().filter(move |(_, turned)| *turned == action);
        let refused: Vec<_> = of(RolloutAction::Refuse).collect();
        assert!(matches!(refused[..], [(900, _)]), "{turns:?}");
        let rolled_back = of(RolloutAction::RollBack).next().expect("half as much again").0;
        let starts: Vec<u64> = of(RolloutAction::Start).map(|(second, _)| *second).collect();
        assert_eq!(starts, [0, rolled_back + 3_600], "{turns:?}");
    }

    #[test]
    fn a_pair_that_is_gone_ends_its_roll_out() {
        let turns = turns(1.0, 120);
        // Silent for five minutes since the last word at second 179, when sixty silent ticks were no data.
        assert!(
            turns.len() == 2 && turns[1].1 == RolloutAction::RollBack && (419..600).contains(&turns[1].0),
            "{turns:?}"
        );
    }
}
