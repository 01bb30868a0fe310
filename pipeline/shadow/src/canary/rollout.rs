//! A roll-out: a new version gets a larger share step by step, each after a canary passed, and none after one failed.
//!
//! ```text
//!            start                     pass, held long enough               pass on the last step
//!   resting ───────► running step 1 ──────────────────────────► step 2 … ────────────────────────► finished
//!      ▲                   │ regress, no data for too long, no verdict in time
//!      └───────────────────┘ back at once, and no new start before the cooldown, or too often
//! ```
//!
//! A pure state machine: given the canary's verdict at each tick it says what to do, and why. Each step is judged by a
//! canary of its own, as a fault may show only under load, so the chance of a false alarm is shared among them:
//! [`RolloutSettings::alpha_per_step`]. What harms goes back at once; only what gets better waits.
//!
//! State: the stage, and the starts within the window, at most `starts_max`.

use std::collections::VecDeque;

use schemas::{EventTime, Ratio, RolloutAction, RolloutTurn, Verdict};
use serde::{Deserialize, Serialize};

use super::Report;

/// Settings of a roll-out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutSettings {
    /// Shares of the requests that the new version gets, above 0, rising, at most 1. Default 1, 5, 25, 50 and 100 %.
    pub steps: Vec<f64>,
    /// Shortest stay on a step, however soon the canary passes. Default 300000, five minutes: what only shows once caches
    /// are full and timers have run is given the time to.
    pub hold_ms: u64,
    /// Longest stay on a step without a pass; then it goes back. Default 21600000, six hours.
    pub patience_ms: u64,
    /// Longest silence of the canary; then it goes back. Default 300000, five minutes.
    pub silence_ms: u64,
    /// Rest after going back. Default 3600000, an hour: somebody should have looked.
    pub cooldown_ms: u64,
    /// Starts within [`starts_window_ms`](Self::starts_window_ms), at least 1. Default 3: each of them may harm users a
    /// little, and raises the chance that a bad version slips through.
    pub starts_max: usize,
    /// The window that starts are counted in. Default 86400000, a day.
    pub starts_window_ms: u64,
}

/// Where a roll-out stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    settings: RolloutSettings,
    stage: Stage,
    starts: VecDeque<EventTime>,
    rolled_back: Option<EventTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Stage {
    Resting,
    Running { step: usize, since: EventTime, heard: EventTime },
    Finished,
}

impl Default for RolloutSettings {
    fn default() -> Self {
        const MINUTE_MS: u64 = 60_000;
        Self {
            steps: vec![0.01, 0.05, 0.25, 0.5, 1.0],
            hold_ms: 5 * MINUTE_MS,
            patience_ms: 6 * 60 * MINUTE_MS,
            silence_ms: 5 * MINUTE_MS,
            cooldown_ms: 60 * MINUTE_MS,
            starts_max: 3,
            starts_window_ms: 24 * 60 * MINUTE_MS,
        }
    }
}

impl RolloutSettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name.
    #[must_use]
    pub fn faults(&self) -> Vec<&'static str> {
        let rising = self.steps.windows(2).all(|pair| pair[0] < pair[1]);
        let shares = self.steps.iter().all(|share| *share > 0.0 && *share <= 1.0);
        let checks = [
            (
                !self.steps.is_empty() && rising && shares,
                "steps must rise from above 0 to at most 1, such as [0.05, 1.0]",
            ),
            (self.hold_ms <= self.patience_ms, "hold_ms must be at most patience_ms, or no step can be passed"),
            (self.starts_max > 0, "starts_max must be at least 1, or nothing ever starts"),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }

    /// The chance of a false alarm that each step's canary may have, so that the whole has at most `alpha`.
    #[must_use]
    pub fn alpha_per_step(&self, alpha: f64) -> f64 {
        alpha / self.steps.len() as f64
    }
}

impl Rollout {
    /// A roll-out that has not started.
    ///
    /// # Panics
    /// If a setting is outside its documented range: see [`RolloutSettings::faults`].
    #[must_use]
    pub fn new(settings: RolloutSettings) -> Self {
        assert_eq!(settings.faults(), Vec::<&str>::new());
        Self { settings, stage: Stage::Resting, starts: VecDeque::new(), rolled_back: None }
    }

    /// The share of the requests that the new version gets.
    #[must_use]
    pub fn share(&self) -> f64 {
        match self.stage {
            Stage::Resting => 0.0,
            Stage::Running { step, .. } => self.settings.steps[step],
            Stage::Finished => 1.0,
        }
    }

    /// Whether a new version is on its way.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running { .. })
    }

    /// Begins with a new version, unless one is under way, or the last one has just failed, or too many have begun of late.
    pub fn start(&mut self, now: EventTime) -> RolloutTurn {
        let window = self.settings.starts_window_ms;
        while self.starts.front().is_some_and(|start| start.plus(window) <= now) {
            self.starts.pop_front();
        }
        if let Some(refusal) = self.refusal(now) {
            return self.turn(RolloutAction::Refuse, refusal);
        }
        // Invariant: at most `starts_max` are remembered.
        self.starts.push_back(now);
        self.enter(0, now);
        self.turn(RolloutAction::Start, format!("a new version begins with {}", percent(self.share())))
    }

    /// What to do at a tick, given the report on the step's canary.
    pub fn observe(&mut self, now: EventTime, report: &Report) -> RolloutTurn {
        let turn = self.judge(now, report.verdict, &report.because);
        RolloutTurn { verdict: Some(report.verdict), findings: report.findings.clone(), ..turn }
    }

    /// Ends what is under way, if anything is.
    pub fn end(&mut self, now: EventTime, why: &str) -> Option<RolloutTurn> {
        self.is_running().then(|| self.roll_back(now, why.to_owned()))
    }

    fn judge(&mut self, now: EventTime, verdict: Verdict, sentence: &str) -> RolloutTurn {
        let Stage::Running { step, since, heard } = &mut self.stage else {
            return self.turn(RolloutAction::Hold, "no roll-out is under way".to_owned());
        };
        if verdict != Verdict::NoData {
            *heard = now;
        }
        let (step, held, silent) = (*step, elapsed(*since, now), elapsed(*heard, now));
        let settings = &self.settings;
        match verdict {
            Verdict::Regress => self.roll_back(now, sentence.to_owned()),
            Verdict::NoData if silent >= settings.silence_ms => {
                self.roll_back(now, format!("silent for {silent} ms: {sentence}"))
            }
            Verdict::Pass if held >= settings.hold_ms => self.advance(step, now, sentence),
            Verdict::Pass => {
                let left = settings.hold_ms - held;
                self.turn(RolloutAction::Hold, format!("passes, held for {left} ms more: {sentence}"))
            }
            _ if held >= settings.patience_ms => {
                self.roll_back(now, format!("not passed within {} ms: {sentence}", settings.patience_ms))
            }
            Verdict::Continue | Verdict::NoData => self.turn(RolloutAction::Hold, sentence.to_owned()),
        }
    }

    fn refusal(&self, now: EventTime) -> Option<String> {
        let settings = &self.settings;
        if matches!(self.stage, Stage::Running { .. }) {
            return Some(format!("a roll-out is under way, at {}: let it end first", percent(self.share())));
        }
        let rest = self.rolled_back.map(|at| elapsed(now, at.plus(settings.cooldown_ms))).filter(|rest| *rest > 0);
        if let Some(rest) = rest {
            return Some(format!("the last one was rolled back: start again in {rest} ms"));
        }
        (self.starts.len() >= settings.starts_max).then(|| {
            let (count, window) = (self.starts.len(), settings.starts_window_ms);
            format!("{count} starts within {window} ms, as many as starts_max allows: wait or raise it")
        })
    }

    fn advance(&mut self, step: usize, now: EventTime, sentence: &str) -> RolloutTurn {
        let from = percent(self.share());
        if step + 1 == self.settings.steps.len() {
            self.stage = Stage::Finished;
            return self.turn(RolloutAction::Finish, format!("passed the last step, {from}: {sentence}"));
        }
        self.enter(step + 1, now);
        self.turn(RolloutAction::Advance, format!("passed {from}, on to {}: {sentence}", percent(self.share())))
    }

    fn roll_back(&mut self, now: EventTime, why: String) -> RolloutTurn {
        let from = percent(self.share());
        self.stage = Stage::Resting;
        self.rolled_back = Some(now);
        self.turn(RolloutAction::RollBack, format!("from {from} to none: {why}"))
    }

    const fn enter(&mut self, step: usize, now: EventTime) {
        self.stage = Stage::Running { step, since: now, heard: now };
    }

    fn turn(&self, action: RolloutAction, because: String) -> RolloutTurn {
        let share = Ratio::new(self.share());
        RolloutTurn { action, share, because, verdict: None, findings: Vec::new() }
    }
}

/// Milliseconds from one instant to a later one; zero if it is not later.
const fn elapsed(from: EventTime, to: EventTime) -> u64 {
    to.millis().saturating_sub(from.millis())
}

fn percent(share: f64) -> String {
    // To a hundredth of a percent: 0.07 is not quite 7 %.
    format!("{} %", (1e4 * share).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE_MS: u64 = 60_000;

    fn at(minutes: u64) -> EventTime {
        EventTime::from_millis(minutes * MINUTE_MS)
    }

    fn started() -> Rollout {
        let mut rollout = Rollout::new(RolloutSettings::default());
        assert_eq!(rollout.start(at(0)).action, RolloutAction::Start);
        rollout
    }

    #[test]
    fn passes_lead_to_the_end_no_faster_than_the_hold() {
        let mut rollout = started();
        let turns: Vec<RolloutTurn> = (1..=25).map(|minute| rollout.judge(at(minute), Verdict::Pass, "fine")).collect();
        let moves: Vec<(usize, RolloutAction, f64)> = turns
            .iter()
            .enumerate()
            .filter(|(_, turn)| turn.action != RolloutAction::Hold)
            .map(|(index, turn)| (index + 1, turn.action, turn.share.get()))
            .collect();
        // Five minutes on each of five steps.
        let expected = [(5, 0.05), (10, 0.25), (15, 0.5), (20, 1.0)]
            .map(|(minute, share)| (minute, RolloutAction::Advance, share));
        assert_eq!(moves[..4], expected);
        assert_eq!(moves[4..], [(25, RolloutAction::Finish, 1.0)]);
    }

    #[test]
    fn a_regression_goes_back_at_once_and_rests() {
        let mut rollout = started();
        let turn = rollout.judge(at(1), Verdict::Regress, "cpu is worse");
        assert_eq!((turn.action, turn.share.get()), (RolloutAction::RollBack, 0.0));
        assert_eq!(turn.because, "from 1 % to none: cpu is worse");
        // The cooldown of an hour ends at minute 61.
        assert_eq!(rollout.start(at(60)).action, RolloutAction::Refuse);
        assert_eq!(rollout.start(at(61)).action, RolloutAction::Start);
    }

    #[test]
    fn silence_is_borne_for_a_while_and_a_word_ends_it() {
        let mut rollout = started();
        assert_eq!(rollout.judge(at(4), Verdict::NoData, "").action, RolloutAction::Hold);
        assert_eq!(rollout.judge(at(4), Verdict::Continue, "").action, RolloutAction::Hold);
        assert_eq!(rollout.judge(at(8), Verdict::NoData, "").action, RolloutAction::Hold);
        assert_eq!(rollout.judge(at(9), Verdict::NoData, "").action, RolloutAction::RollBack);
    }

    #[test]
    fn without_a_verdict_in_time_it_goes_back() {
        let mut rollout = started();
        assert_eq!(rollout.judge(at(359), Verdict::Continue, "").action, RolloutAction::Hold);
        assert_eq!(rollout.judge(at(360), Verdict::Continue, "").action, RolloutAction::RollBack);
    }

    #[test]
    fn starts_are_rationed_and_one_runs_at_a_time() {
        let mut rollout = started();
        assert_eq!(rollout.start(at(1)).action, RolloutAction::Refuse);
        for hour in [2, 4] {
            rollout.judge(at(60 * hour - 61), Verdict::Regress, "");
            assert_eq!(rollout.start(at(60 * hour)).action, RolloutAction::Start);
        }
        rollout.judge(at(300), Verdict::Regress, "");
        assert_eq!(rollout.start(at(600)).action, RolloutAction::Refuse);
        // The first start, at minute 0, is forgotten after a day.
        assert_eq!(rollout.start(at(24 * 60)).action, RolloutAction::Start);
    }

    #[test]
    fn every_fault_is_told() {
        let settings = RolloutSettings {
            steps: vec![0.5, 0.2],
            hold_ms: 2,
            patience_ms: 1,
            starts_max: 0,
            ..RolloutSettings::default()
        };
        assert_eq!(settings.faults().len(), 3);
        assert!(RolloutSettings::default().faults().is_empty());
    }

    proptest! {
        // Whatever comes: shares are those of the steps, rise one step at a time, and only on a pass; harm takes all at once.
        #[test]
        fn shares_rise_only_on_a_pass_and_fall_only_to_none(verdicts in prop::collection::vec(0..4usize, 1..200)) {
            let all = [Verdict::Pass, Verdict::Regress, Verdict::Continue, Verdict::NoData];
            let mut rollout = started();
            let steps = RolloutSettings::default().steps;
            for (minute, verdict) in verdicts.into_iter().enumerate() {
                let (verdict, before) = (all[verdict], rollout.share());
                let turn = rollout.judge(at(minute as u64), verdict, "");
                prop_assert_eq!(turn.share.get(), rollout.share());
                if turn.share.get() > before {
                    prop_assert_eq!(verdict, Verdict::Pass);
                    prop_assert_eq!(steps.iter().position(|s| *s == turn.share.get()), steps.iter().position(|s| *s == before).map(|i| i + 1));
                }
                prop_assert!(turn.share.get() >= before || turn.share.get() == 0.0);
                prop_assert!(verdict != Verdict::Regress || rollout.stage == Stage::Finished || turn.share.get() == 0.0);
            }
        }
    }
}
