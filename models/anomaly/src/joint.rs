//! The heavy detector: how new the state of a whole workload is, over any number of signals.
//!
//! # Score
//!
//! Each signal's [novelty](crate::novelty) ν becomes evidence ln(1 + ν/[`UNIT`]), which counts a hundredfold novelty
//! about as four signals that are slightly new: a likelihood, not a distance. Signals that tell of the same thing (three
//! quantiles of one latency) are one *aspect*, and count by their greatest. So
//!
//! ```text
//! score = Σ over aspects of the greatest evidence + λ · score of the last step
//! ```
//!
//! λ is 0 for one aspect and [`PERSISTENCE`] for more. In the score of many signals noise is new somewhere all the time, a
//! fault stays; of one signal an outlier stands for itself, and must not make its successors suspicious.
//!
//! # Memory
//!
//! What is new is learned, so that it is new only once. With several aspects, values of a novelty above [`HELD_BACK`]
//! are held back until they have stayed for [`HOLD_STEPS`]: a fault that comes again next week is a fault again, a new
//! level that stays is the new normal. One aspect alone cannot tell the two apart, and learns at once.
//!
//! # Alarm
//!
//! The score passes the [refractory](crate::refractory) filter, so that one incident is one alarm, and has to exceed a
//! threshold that noise passes at a [stated rate](crate::TailThreshold). A fixed threshold stands in before the
//! tail is known, and is the least later: evidence is the same for all series, and a tail of zeros is no licence. No alarm
//! in the first `learning_steps`.
//!
//! Key: one workload (or one series). Time: steps of any one length. Late data: none, the dataflow orders it. Missing: a
//! signal that is `None` says nothing and learns nothing. State: 2 kB a signal at most, 16 kB for the threshold. Cost a
//! step, by estimate: 0.1 µs a signal and 0.3 µs; meant for one step a minute, not for each sample.

use elementary::ln;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::novelty::Memory;
use crate::refractory::Refractory;
use crate::tail::TailThreshold;

/// A novelty that counts as some evidence: a value an eighth of the range beyond all that an hour of minutes has shown. Chosen, like
/// [`PERSISTENCE`], [`HELD_BACK`] and [`FIRST_THRESHOLD_OF_SEVERAL`], on labelled faults of two applications: others may need more.
const UNIT: f64 = 1.0;

/// What is left of a score after a step: half of it, so that a second step of a fault
/// says half as much again as the first.
const PERSISTENCE: f64 = 0.5;

/// Novelties above this are not learned at once.
const HELD_BACK: f64 = 9.0;

/// A value that was held back so often in a row has come to stay.
const HOLD_STEPS: u32 = 20;

/// The refractory period of one aspect, as a part of the learning period.
const REFRACTORY_PART: u32 = 3;

/// The refractory period of several aspects, in steps: what goes on is in their score, so that a fault soon after another
/// is told.
const REFRACTORY_STEPS: u32 = 3;

/// A signal says nothing before it has so many values: the range of fewer is no range.
const VALUES_MIN: u32 = 30;

/// The threshold of one aspect until the tail of its own scores is known: twice the [`UNIT`].
const FIRST_THRESHOLD: f64 = 0.7;

/// The same for several aspects: for example two at sixty units and one at two (2 · 4.1 + 1.1 = 9.3) with a half of as much before.
const FIRST_THRESHOLD_OF_SEVERAL: f64 = 12.0;

/// Most signals of one detector: a bound on its state of 150 kB.
const SIGNALS_MAX: usize = 64;

/// What a user may tune.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoveltySettings {
    /// Steps before the first alarm, 10 to 10 000; of one aspect three refractory periods. Default 60.
    pub learning_steps: u32,
    /// Steps after which what was not seen again may be forgotten, 1000 to 1 000 000. Default 20 160: two weeks of
    /// minutes, so that a weekly cycle is never new.
    pub generation_steps: u32,
    /// Alarms a step that noise alone may cause, above 0 and below 0.1. Default 0.00035: one in two days of minutes.
    pub alarm_rate: f64,
}

impl Default for NoveltySettings {
    fn default() -> Self {
        Self { learning_steps: 60, generation_steps: 20_160, alarm_rate: 3.5e-4 }
    }
}

/// What one step says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// How new this step is, at least 0, in natural logarithms of likelihood; 0 where it is the echo of a step before.
    pub score: f64,
    /// What the score has to exceed; `None` until it is known.
    pub threshold: Option<f64>,
    /// Whether an incident begins with this step.
    pub alarm: bool,
    /// The signal that says most, by its place; `None` where none says anything.
    pub signal: Option<usize>,
    /// The known value nearest to that signal's.
    pub expected: Option<f64>,
}

/// Finds steps at which a workload is in a state that it has not been in.
///
/// ```
/// use anomaly::{JointNovelty, NoveltySettings};
/// // Processor, and two quantiles of one latency: two aspects.
/// let mut detector = JointNovelty::new(NoveltySettings::default(), &[0, 1, 1]);
/// for step in 0..500 {
///     let wave = f64::from(step % 10);
///     assert!(!detector.observe(&[Some(wave), Some(0.1 * wave), None]).alarm);
/// }
/// assert!(detector.observe(&[Some(300.0), Some(40.0), None]).alarm);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JointNovelty {
    settings: NoveltySettings,
    signals: Vec<Signal>,
    aspects: usize,
    steps: u32,
    last: f64,
    refractory: Refractory,
    tail: TailThreshold,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Signal {
    aspect: usize,
    memory: Memory,
    held: u32,
}

impl NoveltySettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name.
    #[must_use]
    pub fn faults(&self) -> Vec<&'static str> {
        let checks = [
            ((10..=10_000).contains(&self.learning_steps), "learning_steps must lie in 10 to 10000, such as 60"),
            (
                (1000..=1_000_000).contains(&self.generation_steps),
                "generation_steps must lie in 1000 to 1000000, such as 20160",
            ),
            (self.alarm_rate > 0.0 && self.alarm_rate < 0.1, "alarm_rate must be above 0, below 0.1, such as 0.00035"),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }
}

impl JointNovelty {
    /// A detector that has seen nothing. `aspects` names for each signal the aspect that it tells of.
    ///
    /// # Panics
    /// If a setting is outside its documented range, or there are no signals or more than 64, or an aspect above 63.
    pub fn new(settings: NoveltySettings, aspects: &[usize]) -> Self {
        assert_eq!(settings.faults(), Vec::<&str>::new());
        assert!((1..=SIGNALS_MAX).contains(&aspects.len()), "{} signals", aspects.len());
        assert!(aspects.iter().all(|&aspect| aspect < SIGNALS_MAX), "an aspect above {SIGNALS_MAX}");
        let signal = |&aspect| Signal { aspect, memory: Memory::new(settings.generation_steps), held: 0 };
        let mut distinct = aspects.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let several = distinct.len() > 1;
        let refractory_steps = if several { REFRACTORY_STEPS } else { settings.learning_steps / REFRACTORY_PART };
        Self {
            settings,
            signals: aspects.iter().map(signal).collect(),
            aspects: distinct.len(),
            steps: 0,
            last: 0.0,
            refractory: Refractory::new(refractory_steps),
            tail: TailThreshold::new(settings.alarm_rate),
        }
    }

    /// Takes the next step's values, one a signal. A value that is `None` or not finite is missing.
    pub fn observe(&mut self, values: &[Option<f64>]) -> Judgement {
        self.steps = self.steps.saturating_add(1);
        let evidence = self.evidence(values);
        let signal = strongest(&evidence);
        let expected = signal.and_then(|at| self.signals[at].memory.nearest(values[at]?));
        self.learn(values, &evidence);
        let score = self.accumulate(&evidence);
        let passed = self.refractory.pass(score);
        let threshold = self.threshold();
        let alarm = threshold.is_some_and(|threshold| passed > threshold);
        if self.steps > self.settings.learning_steps {
            self.tail.observe(score);
        }
        Judgement { score: passed, threshold, alarm, signal, expected }
    }

    fn threshold(&self) -> Option<f64> {
        let first = if self.aspects > 1 { FIRST_THRESHOLD_OF_SEVERAL } else { FIRST_THRESHOLD };
        let armed = self.steps > self.settings.learning_steps;
        armed.then(|| self.tail.threshold().map_or(first, |threshold| threshold.max(first)))
    }

    /// Each signal's evidence; 0 where it is missing or knows too little.
    fn evidence(&self, values: &[Option<f64>]) -> Vec<f64> {
        let each = self.signals.iter().zip(values).map(|(signal, value)| {
            let known = signal.memory.seen() >= VALUES_MIN;
            let novelty = value.filter(|value| known && value.is_finite());
            let novelty = novelty.and_then(|value| signal.memory.novelty(value));
            ln(1.0 + novelty.unwrap_or(0.0).min(f64::MAX) / UNIT)
        });
        each.collect()
    }

    fn accumulate(&mut self, evidence: &[f64]) -> f64 {
        let mut greatest = vec![0.0; SIGNALS_MAX];
        for (signal, &each) in self.signals.iter().zip(evidence) {
            greatest[signal.aspect] = each.max(greatest[signal.aspect]);
        }
        let kept = if self.aspects > 1 { PERSISTENCE * self.last } else { 0.0 };
        self.last = greatest.iter().sum::<f64>() + kept;
        self.last
    }

    fn learn(&mut self, values: &[Option<f64>], evidence: &[f64]) {
        let held_back = if self.aspects > 1 { ln(1.0 + HELD_BACK / UNIT) } else { f64::INFINITY };
        for ((signal, value), &each) in self.signals.iter_mut().zip(values).zip(evidence) {
            let Some(value) = value.filter(|value| value.is_finite()) else { continue };
            if each > held_back && signal.held < HOLD_STEPS {
                signal.held += 1;
            } else {
                signal.held = signal.held.saturating_sub(1);
                signal.memory.learn(value);
            }
        }
    }
}

/// The place of the greatest evidence above 0, the first of equals.
fn strongest(evidence: &[f64]) -> Option<usize> {
    let some = evidence.iter().enumerate().filter(|(_, each)| **each > 0.0);
    some.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    /// The steps of alarms of a detector over three aspects.
    fn alarms(rows: impl IntoIterator<Item = [f64; 3]>) -> Vec<usize> {
        let mut detector = JointNovelty::new(NoveltySettings::default(), &[0, 1, 2]);
        let alarm = |row: [f64; 3]| detector.observe(&row.map(Some)).alarm;
        rows.into_iter().map(alarm).enumerate().filter(|(_, alarm)| *alarm).map(|(step, _)| step).collect()
    }

    /// Three signals of normal noise, and `extra` on two of them in some steps.
    fn rows(extra: impl Fn(usize) -> f64) -> Vec<[f64; 3]> {
        let mut noise = Noise(11);
        let row = |step| [noise.normal() + extra(step), noise.normal() + extra(step), noise.normal()];
        (0..900).map(row).collect()
    }

    #[test]
    fn a_fault_of_two_aspects_is_one_alarm() {
        // 200 beyond a range of about 6, among 500 values: novelty 200/6 · √500 = 745, evidence 6.6 each, 13 in its first
        // step: above 12. In the next, the half of it and what is not yet learned: a rise, at most one more alarm.
        let found = alarms(rows(|step| if (500..505).contains(&step) { 200.0 } else { 0.0 }));
        assert!(found[0] == 500 && found.len() <= 2 && found.iter().all(|step| *step < 505), "{found:?}");
    }

    #[test]
    fn a_fault_that_comes_again_is_told_again() {
        let faulty = |step: usize| (500..505).contains(&step) || (700..705).contains(&step);
        let found = alarms(rows(|step| if faulty(step) { 200.0 } else { 0.0 }));
        assert!(found.contains(&500) && found.contains(&700), "{found:?}");
    }

    #[test]
    fn noise_is_silent() {
        // Among n normal values the novelty of one is seldom above 0.5/6 · √n = 2.5 at n = 900: evidence 1.25 for each of
        // three aspects, and as much again from before, is 7.5, under 12.
        assert_eq!(alarms(rows(|_| 0.0)), Vec::<usize>::new());
    }

    #[test]
    fn one_aspect_learns_at_once() {
        let mut detector = JointNovelty::new(NoveltySettings::default(), &[0]);
        let value = |step: usize| if step == 500 || step == 700 { 90.0 } else { (step % 10) as f64 };
        let alarms: Vec<usize> = (0..900).filter(|&step| detector.observe(&[Some(value(step))]).alarm).collect();
        assert_eq!(alarms, [500]);
    }

    #[test]
    fn what_is_missing_says_and_teaches_nothing() {
        let mut with = JointNovelty::new(NoveltySettings::default(), &[0, 1]);
        let mut noise = Noise(3);
        for step in 0..2000 {
            let second = (step % 3 == 0).then_some(f64::NAN);
            let judgement = with.observe(&[Some(noise.normal()), second]);
            assert!(judgement.signal != Some(1) && judgement.score.is_finite());
        }
        assert_eq!(with.signals[1].memory.seen(), 0);
    }

    #[test]
    fn a_restored_snapshot_continues_to_the_bit() {
        let series = rows(|step| if step % 97 == 0 { 30.0 } else { 0.0 });
        let mut whole = JointNovelty::new(NoveltySettings::default(), &[0, 1, 2]);
        series[..450].iter().for_each(|row| {
            whole.observe(&row.map(Some));
        });
        let snapshot = serde_json::to_string(&whole).expect("plain data");
        let mut restored: JointNovelty = serde_json::from_str(&snapshot).expect("written above");
        for row in &series[450..] {
            assert_eq!(whole.observe(&row.map(Some)), restored.observe(&row.map(Some)));
        }
    }

    #[test]
    fn faults_name_the_setting() {
        let settings = NoveltySettings { learning_steps: 1, alarm_rate: f64::NAN, ..NoveltySettings::default() };
        let faults = settings.faults();
        assert!(faults.len() == 2 && faults[0].starts_with("learning_steps") && faults[1].starts_with("alarm_rate"));
    }
}
