//! The canary: a new version beside a baseline of the running one, of equal size, under the same requests.
//!
//! Never a small canary beside a big primary: then size, age and load differ too. The verdict may be read after each tick,
//! and acted on at once: it is no test at a fixed size that looking at it spoils.
//!
//! | verdict | when | wrong with a chance of at most |
//! |---|---|---|
//! | regress | the weighted mean of the capitals against "no worse" reaches 1/alpha | alpha per canary, at all times and criteria together |
//! | pass | of every needed criterion, the capital against "worse by the margin" reaches 1/alpha | alpha |
//! | no data | answers or readings were missing for too long | |
//! | continue | else | |
//!
//! What these capitals are is said in `canary/wager.rs`. A change of half the margin is about as likely to pass as to fail; a
//! smaller one passes first, as evidence grows with the square of the distance. What passed in a criterion fails no more in it
//! while the evidence holds.
//!
//! What fairness asks for: that two alike could change places within a tick without anybody noticing. So they must start
//! together, with caches as warm as each other; what sets one instance apart for minutes (a noisy neighbour) is taken for
//! the version's fault. An answer that did not come is a failed one: the caller must say so, or a dead canary is never slow.
//!
//! Measured in the worlds of `tests/canary.rs`, with heavy tails, moods and stalls, at 100 requests a second and looked at
//! each second; requests at the median and at nine tenths of 400 worlds, beside the sizes at which the test of Mann and
//! Whitney finds the same in nine tenths of them, corrected for six metrics, and looking once:
//!
//! | the new version | mirrored | split | Mann and Whitney |
//! |---|---|---|---|
//! | no different, an hour long: called worse | 1.4 % | 1.6 % | |
//! | 20 % more CPU, where the mix moves it by 9 % | 900, 900 | 1 000, 1 700 | 800 |
//! | 20 % more CPU, where the mix moves it by 34 % | 900, 900 | 1 000, 1 700 | 5 100 |
//! | wider spread of latency, the same mean | 2 300, 6 400 | 7 100, 15 300 | never |
//! | errors from 0.1 % to 1 % | 1 500, 2 600 | 2 500, 4 600 | 1 800 |
//! | no different: passes | 5 800, 16 900 | | |
//!
//! State: below 8 KiB a canary, however long it runs; nothing is kept of single requests. Cost: below 0.3 µs an answer, its
//! part of the tick included.

mod errors;
mod ladder;
mod latency;
mod memory;
mod report;
mod rollout;
mod settings;
mod wager;

use elementary::{ln, ln_1p};
use schemas::{Criterion, Finding, Verdict};
use serde::{Deserialize, Serialize};

pub use self::report::Report;
pub use self::rollout::{Rollout, RolloutSettings};
pub use self::settings::{CanarySettings, Design, Rule};

use self::errors::Errors;
use self::ladder::Ladder;
use self::latency::{Histogram, Quantile};
use self::memory::Growth;
use self::report::Evidence;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// The running version.
    Baseline,
    /// The new one.
    Canary,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// Well, after so many seconds.
    Served(f64),
    /// With an error, or not at all.
    Failed,
}

/// Readings of one side over a tick; what was not read is none. Requests, errors and latency are looked at only where no
/// single answers are handed in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SideTick {
    /// CPU used, cores.
    pub cores: Option<f64>,
    /// The working set, bytes.
    pub memory_bytes: Option<f64>,
    /// Requests that it answered in the tick.
    pub requests: Option<f64>,
    /// Those that failed.
    pub errors: Option<f64>,
    /// The 99th percentile of the tick's latency, seconds.
    pub latency_p99: Option<f64>,
}

/// What a canary and its baseline have shown so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    settings: CanarySettings,
    baseline: Tally,
    canary: Tally,
    requests: u64,
    /// What of the errors that were read is less than a whole one: of baseline and canary.
    owed_errors: [f64; 2],
    silence: Silence,
    histogram: Histogram,
    quantiles: [Quantile; 3],
    errors: Errors,
    cpu: Ladder,
    memory: Growth,
    regressed: bool,
}

/// Answers of one side in the open tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Tally {
    served: u64,
    failed: u64,
}

/// Ticks since both sides were last read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Silence {
    answers: u32,
    latency: u32,
    cpu: u32,
    memory: u32,
}

impl Canary {
    /// A canary of which nothing has been seen.
    ///
    /// # Panics
    /// If a setting is outside its documented range: see [`CanarySettings::faults`].
    #[must_use]
    pub fn new(settings: CanarySettings) -> Self {
        assert_eq!(settings.faults(), Vec::<String>::new());
        let errors = match settings.design {
            Design::Mirrored => Errors::mirrored(),
            Design::Split => Errors::split(),
        };
        // Margins of latency and CPU are factors: their ladders are in logarithms.
        let factor = |rule: Rule| Ladder::new(ln_1p(rule.margin));
        let quantile = |level, rule| Quantile::new(level, factor(rule));
        Self {
            settings,
            baseline: Tally::default(),
            canary: Tally::default(),
            requests: 0,
            owed_errors: [0.0; 2],
            silence: Silence::default(),
            histogram: Histogram::new(),
            quantiles: [
                quantile(0.5, settings.latency_p50),
                quantile(0.95, settings.latency_p95),
                quantile(0.99, settings.latency_p99),
            ],
            errors,
            cpu: factor(settings.cpu),
            memory: Growth::new(settings.tick_ms, Ladder::new(settings.memory_growth.margin)),
            regressed: false,
        }
    }

    /// Takes in an answer of the open tick. A latency that is not finite counts as failed.
    pub fn observe(&mut self, side: Side, answer: Answer) {
        let tally = match side {
            Side::Baseline => &mut self.baseline,
            Side::Canary => &mut self.canary,
        };
        let Answer::Served(latency) = answer else {
            tally.failed += 1;
            return;
        };
        if !latency.is_finite() {
            tally.failed += 1;
            return;
        }
        tally.served += 1;
        match side {
            Side::Baseline => {
                self.histogram.observe(latency);
                self.quantiles.iter_mut().for_each(|quantile| quantile.observe_baseline(latency));
            }
            Side::Canary => self.quantiles.iter_mut().for_each(|quantile| quantile.observe_canary(latency)),
        }
    }

    /// Closes the tick with what was read of both sides over it.
    pub fn close(&mut self, baseline: SideTick, canary: SideTick) {
        let served = weigh(self.baseline.served, self.canary.served);
        self.quantiles.iter_mut().for_each(|quantile| quantile.close(served, &self.histogram));
        let [owed_by_baseline, owed_by_canary] = &mut self.owed_errors;
        let (ours, theirs) = (self.baseline.or(&baseline, owed_by_baseline), self.canary.or(&canary, owed_by_canary));
        let timed = self.baseline.served.min(self.canary.served) > 0;
        let latency = timed || baseline.latency_p99.is_some() && canary.latency_p99.is_some();
        let answered = (ours.answers(), theirs.answers());
        if self.baseline.served + self.canary.served == 0 {
            self.settle_p99(&baseline, &canary);
        }
        if let Some(weigh) = weigh(answered.0, answered.1) {
            let requests = match self.settings.design {
                Design::Mirrored => answered.0.min(answered.1),
                Design::Split => answered.0 + answered.1,
            };
            self.errors.close(requests, theirs.failed, ours.failed, weigh);
            self.requests += requests;
        }
        let difference = ln_cpu_factor((baseline, answered.0), (canary, answered.1));
        if let Some(difference) = difference {
            self.cpu.settle_difference(difference);
        }
        let working_sets = baseline.memory_bytes.zip(canary.memory_bytes);
        self.memory.close(working_sets);
        self.silence.note([answered.0 > 0 && answered.1 > 0, latency, difference.is_some(), working_sets.is_some()]);
        (self.baseline, self.canary) = (Tally::default(), Tally::default());
        self.regressed |= report::ln_evidence(&self.evidence(), &self.settings) >= report::ln_sure(&self.settings);
    }

    /// What is known after the last closed tick.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match () {
            () if self.regressed => Verdict::Regress,
            () if self.unread().is_some() => Verdict::NoData,
            () if report::passes(&self.evidence(), &self.settings) => Verdict::Pass,
            () => Verdict::Continue,
        }
    }

    /// All that is known after the last closed tick.
    #[must_use]
    pub fn report(&self) -> Report {
        let evidence = self.evidence();
        let mut report = Report {
            verdict: self.verdict(),
            ln_evidence: report::ln_evidence(&evidence, &self.settings),
            requests: self.requests,
            more_requests: report::more_requests(&evidence, self.requests, &self.settings),
            findings: Criterion::ALL
                .into_iter()
                .zip(evidence)
                .map(|(of, evidence)| self.finding(of, evidence))
                .collect(),
            because: String::new(),
        };
        report.because = report::because(&report, self.unread(), &self.settings);
        report
    }

    /// Where no single answer is known, the tick's own percentiles are its score.
    fn settle_p99(&mut self, baseline: &SideTick, canary: &SideTick) {
        let [.., p99] = &mut self.quantiles;
        if let (Some(ours), Some(theirs)) = (baseline.latency_p99, canary.latency_p99) {
            p99.ladder.settle_difference(ln(theirs / ours));
        }
    }

    fn evidence(&self) -> Evidence {
        let of = |ladder: &Ladder| (ladder.ln_worse(), ladder.ln_within());
        let [median, high, highest] = &self.quantiles;
        let errors = (self.errors.ln_worse(), self.errors.ln_within(self.settings.errors.margin));
        [of(&median.ladder), of(&high.ladder), of(&highest.ladder), errors, of(&self.cpu), of(&self.memory.ladder)]
    }

    fn finding(&self, criterion: Criterion, (ln_worse, ln_within): (f64, f64)) -> Finding {
        // Two bounds share the chance of being wrong.
        let ln_sure = report::ln_sure(&self.settings) + std::f64::consts::LN_2;
        let on = |ladder: &Ladder, unit: fn(f64) -> f64| {
            let (lower, upper) = ladder.interval(ln_sure);
            (ladder.effect().map(unit), lower.map(unit), upper.map(unit))
        };
        let (effect, lower, upper) = match criterion {
            Criterion::LatencyP50 => on(&self.quantiles[0].ladder, f64::exp_m1),
            Criterion::LatencyP95 => on(&self.quantiles[1].ladder, f64::exp_m1),
            Criterion::LatencyP99 => on(&self.quantiles[2].ladder, f64::exp_m1),
            Criterion::Cpu => on(&self.cpu, f64::exp_m1),
            Criterion::MemoryGrowth => on(&self.memory.ladder, |share| share),
            Criterion::Errors => {
                let (lower, upper) = self.errors.interval(ln_sure);
                (self.errors.effect(), lower, upper)
            }
        };
        Finding { criterion, effect, lower, upper, ln_worse, ln_within }
    }

    /// What is needed and was missing for too long.
    fn unread(&self) -> Option<&'static str> {
        let Silence { answers, latency, cpu, memory } = self.silence;
        let needed = |criterion| self.settings.rule(criterion).needed;
        let late = |ticks: u32| ticks >= self.settings.silent_ticks;
        match () {
            () if late(answers) => Some("answers"),
            () if needed(Criterion::LatencyP99) && late(latency) => Some("readings of latency"),
            () if needed(Criterion::Cpu) && late(cpu) => Some("readings of CPU"),
            () if needed(Criterion::MemoryGrowth) && late(memory) => Some("readings of memory"),
            () => None,
        }
    }
}

impl Tally {
    const fn answers(&self) -> u64 {
        self.served + self.failed
    }

    /// The answers that were handed in or, failing that, read. Errors that were not read are not zero errors: then there are
    /// none of either. A rate of few errors is less than one in a tick: such parts are owed until they make a whole one.
    fn or(self, tick: &SideTick, owed: &mut f64) -> Self {
        match (self.answers(), tick.requests, tick.errors) {
            (0, Some(requests), Some(errors)) => {
                *owed += errors.min(requests);
                let failed = owed.floor();
                *owed -= failed;
                Self { served: (requests.round() - failed).max(0.0) as u64, failed: failed as u64 }
            }
            _ => self,
        }
    }
}

impl Silence {
    /// What both sides gave in a tick: answers, latency, CPU, memory.
    fn note(&mut self, read: [bool; 4]) {
        let Self { answers, latency, cpu, memory } = self;
        for (silent, read) in [answers, latency, cpu, memory].into_iter().zip(read) {
            *silent = if read { 0 } else { silent.saturating_add(1) };
        }
    }
}

/// What an answer of canary and of baseline counts in a tick; none when one gave none. Where one answered less often, each of
/// its answers counts more.
fn weigh(baseline: u64, canary: u64) -> Option<(f64, f64)> {
    let mean = (baseline + canary) as f64 / 2.0;
    (baseline > 0 && canary > 0).then(|| (mean / canary as f64, mean / baseline as f64))
}

/// Logarithm of the canary's CPU per answer over the baseline's; none when a side was not read, idle or silent.
fn ln_cpu_factor(baseline: (SideTick, u64), canary: (SideTick, u64)) -> Option<f64> {
    let per_answer = |(tick, answers): (SideTick, u64)| {
        let cores = tick.cores.filter(|cores| *cores > 0.0)?;
        (answers > 0).then(|| cores / answers as f64)
    };
    Some(ln(per_answer(canary)? / per_answer(baseline)?))
}

#[cfg(test)]
mod tests;
