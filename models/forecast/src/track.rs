//! What is learned about one horizon: residuals and losses per expert, who leads, and the conformal level.
//!
//! Predictions are written down for learning at *origins*: every step for horizons up to 8 steps, else every 8th part of the
//! horizon. The peaks over horizons that overlap almost wholly are almost the same number, so more origins would cost
//! without teaching: a window of 512 residuals at every step would be little more than one hour of peaks over an hour. And with
//! at most 8 origins per horizon everything counted in origins (window, half-life, patience, conformal gain) means about the
//! same for every horizon. State: bounded by `settings`; about 25 kB with a window of 512.

use std::array;

use serde::{Deserialize, Serialize};

use crate::conformal::{Conformal, Promise};
use crate::decay::DecayedMean;
use crate::experts::EXPERTS;
use crate::forecaster::{ExpertName, Forecaster};
use crate::leadership::{Leadership, best};
use crate::pending::{PeakWindow, Pending};
use crate::persistence::cold_quantile;
use crate::pinball::pinball;
use crate::prediction::{Levels, Prediction};
use crate::residuals::Residuals;
use crate::settings::EnsembleSettings;

/// At most so many.
const ORIGINS_PER_HORIZON: u32 = 8;

/// Recent means: an hour of 10 s steps at short horizons, 45 horizons at long ones.
const HALF_LIFE_ORIGINS: f64 = 360.0;

/// A mean of fewer losses is no ground for a lead.
const MIN_LOSSES: u32 = 20;

/// A shortfall of less than a millionth of the peak is rounding (residuals are f32), not a miss.
const SHORTFALL_TOLERANCE: f64 = 1e-6;

const PERSISTENCE: usize = ExpertName::Persistence as usize;

type Voices<'a> = [&'a dyn Forecaster; EXPERTS];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Track {
    horizon: u32,
    target: f64,
    window: PeakWindow,
    pending: Pending<Said>,
    tallies: [Tally; EXPERTS],
    conformal: Conformal,
    /// The same for the share of time.
    of_time: Conformal,
    leadership: Leadership,
    /// Recent mean loss of the calibrated answers.
    loss: DecayedMean,
    /// Recent share of peaks that the calibrated answers covered.
    coverage: DecayedMean,
}

/// What was said at an origin.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Said {
    guesses: [Guess; EXPERTS],
    calibrated: Option<f64>,
    of_time: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Guess {
    /// The base, if residuals are to be learned around it.
    base: Option<f64>,
    /// The quantile asked for, if enough has been learned.
    quantile: Option<f64>,
}

/// The record of one expert.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tally {
    residuals: Residuals,
    loss: DecayedMean,
}

impl Tally {
    fn guess(&self, expert: &dyn Forecaster, horizon: u32, level: f64) -> Guess {
        if let own @ Some(_) = expert.quantile(horizon, level) {
            return Guess { base: None, quantile: own };
        }
        let base = expert.base(horizon);
        let quantile = base.zip(self.residuals.quantile(level)).map(|(base, residual)| (base + residual).max(0.0));
        Guess { base, quantile }
    }

    fn learn(&mut self, guess: &Guess, target: f64, peak: f64) {
        if let Some(base) = guess.base {
            self.residuals.push(peak - base);
        }
        if let Some(quantile) = guess.quantile {
            self.loss.push(pinball(target, quantile, peak));
        }
    }

    /// The recent mean loss, once it means something.
    fn standing(&self) -> Option<f64> {
        self.loss.mean().filter(|_| self.loss.count() >= MIN_LOSSES)
    }
}

impl Track {
    pub(crate) fn new(horizon: u32, settings: &EnsembleSettings) -> Self {
        let mean = DecayedMean::new(HALF_LIFE_ORIGINS);
        Self {
            horizon,
            target: settings.target,
            window: PeakWindow::new(horizon),
            pending: Pending::default(),
            tallies: array::from_fn(|_| Tally {
                residuals: Residuals::new(settings.residual_window),
                loss: mean.clone(),
            }),
            conformal: Conformal::new(of_peaks(horizon), settings.target),
            of_time: Conformal::new(Promise::Steps, settings.target),
            leadership: Leadership::new(PERSISTENCE, settings.lead_margin, settings.lead_origins),
            loss: mean.clone(),
            coverage: mean,
        }
    }

    /// A track of another horizon that starts from what this one has learned, with nothing pending.
    pub(crate) fn successor(&self, horizon: u32) -> Self {
        Self {
            horizon,
            window: PeakWindow::new(horizon),
            pending: Pending::default(),
            conformal: self.conformal.clone().promising(of_peaks(horizon)),
            ..self.clone()
        }
    }

    pub(crate) fn horizon(&self) -> u32 {
        self.horizon
    }

    pub(crate) fn retarget(&mut self, target: f64) {
        self.target = target;
        self.conformal.retarget(target);
        self.of_time.retarget(target);
    }

    /// Writes down what is said at `step`, if it is an origin.
    pub(crate) fn note(&mut self, step: u64, experts: &Voices) {
        if !self.is_origin(step) {
            return;
        }
        let guesses = array::from_fn(|expert| self.guess(expert, experts, self.target));
        let speaker = self.speaker(|expert| guesses[expert].quantile.is_some());
        let calibrated = self.quantile(speaker, experts, self.conformal.level_for(self.target));
        let of_time = self.quantile(speaker, experts, self.of_time.level_for(self.target));
        self.pending.push(step, Said { guesses, calibrated, of_time });
    }

    /// Takes in a step, learns from the prediction that falls due, and returns the peak if its origin counts.
    pub(crate) fn observe(&mut self, step: u64, value: Option<f64>) -> Option<f64> {
        let peak = self.window.observe(step, value);
        let origin = step.checked_sub(u64::from(self.horizon))?;
        let said = self.pending.take(origin); // whether or not the peak is known: this bounds what waits
        let of_time = said.as_ref().and_then(|said| said.of_time);
        if let Some((value, answer)) = value.zip(of_time).filter(|_| self.is_origin(origin)) {
            self.of_time.update(covers(answer, value));
        }
        let peak = peak.filter(|_| self.is_origin(origin))?;
        if let Some(said) = said {
            self.learn(&said, peak);
        }
        Some(peak)
    }

    pub(crate) fn predict(&self, experts: &Voices, level: f64) -> Option<Prediction> {
        let speaker = self.speaker(|expert| self.guess(expert, experts, self.target).quantile.is_some());
        let expert = experts[speaker];
        let base = expert.base(self.horizon)?;
        let levels =
            Levels { asked: level, of_peaks: self.conformal.level_for(level), of_time: self.of_time.level_for(level) };
        Prediction::new(expert.name(), base, levels, |level| self.quantile(speaker, experts, level))
    }

    pub(crate) fn leader(&self) -> usize {
        self.leadership.leader()
    }

    pub(crate) fn expert_losses(&self) -> [Option<f64>; EXPERTS] {
        array::from_fn(|expert| self.tallies[expert].loss.mean())
    }

    pub(crate) fn loss(&self) -> Option<f64> {
        self.loss.mean()
    }

    pub(crate) fn coverage(&self) -> Option<f64> {
        self.coverage.mean()
    }

    /// Origins are aligned to the step count, so that they do not depend on when a series began.
    fn is_origin(&self, step: u64) -> bool {
        step.is_multiple_of(u64::from(stride(self.horizon)))
    }

    fn guess(&self, expert: usize, experts: &Voices, level: f64) -> Guess {
        self.tallies[expert].guess(experts[expert], self.horizon, level)
    }

    /// What the speaker answers; persistence always answers, cold if it must.
    fn quantile(&self, speaker: usize, experts: &Voices, level: f64) -> Option<f64> {
        let guess = self.guess(speaker, experts, level);
        let cold = guess.base.filter(|_| speaker == PERSISTENCE).map(|base| cold_quantile(base, level));
        guess.quantile.or(cold)
    }

    /// The leader; while it is silent, the best of those that speak; failing them, persistence.
    fn speaker(&self, speaks: impl Fn(usize) -> bool) -> usize {
        let leader = self.leadership.leader();
        if speaks(leader) {
            return leader;
        }
        let losses = array::from_fn(|expert| self.tallies[expert].standing().filter(|_| speaks(expert)));
        best(&losses).map_or(PERSISTENCE, |(expert, _)| expert)
    }

    fn learn(&mut self, said: &Said, peak: f64) {
        for (tally, guess) in self.tallies.iter_mut().zip(&said.guesses) {
            tally.learn(guess, self.target, peak);
        }
        if let Some(calibrated) = said.calibrated {
            let hit = covers(calibrated, peak);
            self.conformal.update(hit);
            self.coverage.push(if hit { 1.0 } else { 0.0 });
            self.loss.push(pinball(self.target, calibrated, peak));
        }
        self.review(said);
    }

    /// There is nothing to compare before persistence, the slowest to be scored, has a standing.
    fn review(&mut self, said: &Said) {
        if self.tallies[PERSISTENCE].standing().is_some() {
            let spoke = |expert: usize| said.guesses[expert].quantile.is_some();
            let losses = array::from_fn(|expert| self.tallies[expert].standing().filter(|_| spoke(expert)));
            self.leadership.review(&losses);
        }
    }
}

/// Steps from origin to origin.
fn stride(horizon: u32) -> u32 {
    horizon.div_ceil(ORIGINS_PER_HORIZON)
}

/// The promise of peaks whose origins lie a stride apart.
fn of_peaks(horizon: u32) -> Promise {
    Promise::Peaks(horizon.div_ceil(stride(horizon)))
}

fn covers(answer: f64, truth: f64) -> bool {
    truth - answer <= SHORTFALL_TOLERANCE * truth
}
