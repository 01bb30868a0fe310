//! What is learned about one horizon: what each voice has missed by and lost, who leads, and the conformal level.
//!
//! **The answer** at a level is a blend of the voices that have a standing ([`voice`](crate::voice)), each weighted by
//!
//! ```text
//! weight = (least loss / its loss)^12        recent mean pinball loss at the judged level nearest to the one asked for
//! ```
//!
//! | loss over the least | 1.02 | 1.05 | 1.1 | 1.5 |
//! |---|---|---|---|---|
//! | weight | 0.79 | 0.56 | 0.32 | 0.008 |
//!
//! so that equals are averaged, which errs less than either, and whoever is clearly worse is not heard. The leader, who gives the
//! answer its name, is whoever weighs most, with hysteresis ([`Leadership`]). Until a voice has a standing, persistence answers, and before
//! it has missed anything the batched model, if one was asked.
//!
//! **Origins.** Predictions are written down for learning at *origins*: every step for horizons up to 8 steps, else every 8th
//! part of the horizon. Peaks over horizons that overlap almost wholly are almost the same number, so more origins would cost
//! without teaching: a window of 512 residuals at every step would be little more than one hour of peaks over an hour. And with
//! at most 8 origins per horizon everything counted in origins (window, half-life, patience, conformal gain) means about the
//! same for every horizon. State: bounded by `settings`; about 30 kB with a window of 512.

use std::array;

use serde::{Deserialize, Serialize};

use crate::conformal::{Conformal, Promise};
use crate::decay::{DecayedMean, power};
use crate::experts::{Answers, Experts};
use crate::forecaster::{Aim, ExpertName};
use crate::leadership::{Leadership, best};
use crate::linear::{Linear, Signs};
use crate::pending::{PeakWindow, Pending};
use crate::persistence::cold_quantile;
use crate::pinball::pinball;
use crate::prediction::{Levels, Prediction};
use crate::settings::EnsembleSettings;
use crate::voice::{CHOIR, Guess, JUDGED, Judged, Record, Spread, VOICES, levels, nearest};

/// At most so many.
const ORIGINS_PER_HORIZON: u32 = 8;

/// Recent means: an hour of 10 s steps at short horizons, 45 horizons at long ones.
const HALF_LIFE_ORIGINS: f64 = 360.0;

/// How sharply the blend listens to the better of its voices. 6 heard too many, 24 was no better than 12 on public traces.
const SHARPNESS: u64 = 12;

/// A shortfall of less than a millionth of the peak is rounding (residuals are f32), not a miss.
const SHORTFALL_TOLERANCE: f64 = 1e-6;

/// The voice of persistence, which always speaks.
const PERSISTENCE: usize = 0;

/// The voice of the batched model, the last one.
const LSTM: usize = VOICES - 1;

/// Where the loss at the target is kept.
const AT_TARGET: usize = JUDGED.len();

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Track {
    horizon: u32,
    aim: Aim,
    target: f64,
    window: PeakWindow,
    pending: Pending<Said>,
    linear: Linear,
    records: [Record; VOICES],
    conformal: Conformal,
    /// The same for the share of time.
    of_time: Conformal,
    leadership: Leadership,
    /// Recent mean loss of the calibrated answers.
    loss: DecayedMean,
    /// Recent share of truths that the calibrated answers covered.
    coverage: DecayedMean,
}

/// What was said at an origin.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Said {
    signs: Option<Signs>,
    guesses: [Option<Guess>; VOICES],
    /// The voices' quantiles at the judged levels.
    judged: [Option<Judged>; VOICES],
    calibrated: Option<f64>,
    of_time: Option<f64>,
}

/// What is known of a horizon at the newest step.
struct View {
    answers: Answers,
    guesses: [Option<Guess>; VOICES],
}

impl Track {
    pub(crate) fn new(horizon: u32, settings: &EnsembleSettings) -> Self {
        let mean = DecayedMean::new(HALF_LIFE_ORIGINS);
        Self {
            horizon,
            aim: settings.aim,
            target: settings.target,
            window: PeakWindow::new(horizon),
            pending: Pending::default(),
            linear: Linear::default(),
            records: array::from_fn(|_| Record::new(settings.residual_window)),
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
    pub(crate) fn note(&mut self, step: u64, experts: &Experts) {
        if !self.is_origin(step) {
            return;
        }
        let view = self.view(experts);
        let judged = array::from_fn(|voice| self.judged(&view, experts, voice));
        let calibrated = self.quantile(&view, experts, self.conformal.level_for(self.target));
        let of_time = self.quantile(&view, experts, self.of_time.level_for(self.target));
        let said = Said { signs: view.answers.signs, guesses: view.guesses, judged, calibrated, of_time };
        self.pending.push(step, said);
    }

    /// Takes in a step, learns from the prediction that falls due, and returns the truth if its origin counts.
    pub(crate) fn observe(&mut self, step: u64, value: Option<f64>) -> Option<f64> {
        let truth = match self.aim {
            Aim::Peak => self.window.observe(step, value),
            Aim::Value => value,
        };
        let origin = step.checked_sub(u64::from(self.horizon))?;
        let said = self.pending.take(origin); // whether or not the truth is known: this bounds what waits
        let of_time = said.as_ref().and_then(|said| said.of_time);
        if let Some((value, answer)) = value.zip(of_time).filter(|_| self.is_origin(origin)) {
            self.of_time.update(covers(answer, value));
        }
        let truth = truth.filter(|_| self.is_origin(origin))?;
        if let Some(said) = said {
            self.learn(&said, truth);
        }
        Some(truth)
    }

    pub(crate) fn predict(&self, experts: &Experts, level: f64) -> Option<Prediction> {
        let view = self.view(experts);
        let base = self.quantile(&view, experts, JUDGED[0])?;
        let levels =
            Levels { asked: level, of_peaks: self.conformal.level_for(level), of_time: self.of_time.level_for(level) };
        Prediction::new(self.speaker(&view, experts), base, levels, |level| self.quantile(&view, experts, level))
    }

    /// Who leads, and the name of its voice.
    pub(crate) fn leader(&self) -> (ExpertName, &'static str) {
        let (expert, _, voice) = CHOIR[self.leadership.leader()];
        (expert, voice)
    }

    /// The quantiles of the blend of all but the model that is being asked, and what its bases are.
    pub(crate) fn question(&self, experts: &Experts, levels: &[f64]) -> (Answers, Option<Vec<f64>>) {
        let mut view = self.view(experts);
        view.guesses[LSTM] = None;
        let quantiles = levels.iter().map(|level| self.blend(&view, experts, *level)).collect();
        (view.answers, quantiles)
    }

    /// What each voice says that can, by its name in [`CHOIR`].
    pub(crate) fn voices(&self, experts: &Experts, level: f64) -> Vec<(&'static str, f64)> {
        let view = self.view(experts);
        let say = |voice: usize| Some((CHOIR[voice].2, self.voice(&view, experts, voice, level)?));
        (0..VOICES).filter_map(say).collect()
    }

    /// The blend as it stands, before calibration.
    pub(crate) fn uncalibrated(&self, experts: &Experts, level: f64) -> Option<f64> {
        self.quantile(&self.view(experts), experts, level)
    }

    /// The least recent loss of each expert's voices at the target, in the order of [`CHOIR`].
    pub(crate) fn losses(&self) -> Vec<(ExpertName, f64)> {
        let mut losses: Vec<(ExpertName, f64)> = Vec::new();
        for (record, (expert, ..)) in self.records.iter().zip(CHOIR) {
            let Some(loss) = record.loss(AT_TARGET) else { continue };
            match losses.iter_mut().find(|(known, _)| *known == expert) {
                Some((_, least)) => *least = least.min(loss),
                None => losses.push((expert, loss)),
            }
        }
        losses
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

    fn view(&self, experts: &Experts) -> View {
        let mut answers = experts.answers(self.horizon);
        answers.bases[ExpertName::Linear as usize] = answers.signs.as_ref().map(|signs| self.linear.answer(signs));
        let guesses = array::from_fn(|voice| Guess::of(voice, &answers));
        View { answers, guesses }
    }

    /// What a voice says at a level, at least 0.
    fn voice(&self, view: &View, experts: &Experts, voice: usize, level: f64) -> Option<f64> {
        let guess = view.guesses[voice]?;
        match CHOIR[voice] {
            (expert, Spread::Own, _) => experts.own_quantile(expert, self.horizon, level).map(|own| own.max(0.0)),
            _ => self.records[voice].quantile(guess, level),
        }
    }

    /// What it says at the levels that it is judged at.
    fn judged(&self, view: &View, experts: &Experts, voice: usize) -> Option<Judged> {
        let mut quantiles = levels(self.target);
        for level in &mut quantiles {
            *level = self.voice(view, experts, voice, *level)?;
        }
        Some(quantiles)
    }

    /// The blend; failing it, persistence as it stands, the batched model, or persistence with a margin that is as good as any.
    fn quantile(&self, view: &View, experts: &Experts, level: f64) -> Option<f64> {
        let persistence = view.guesses[PERSISTENCE];
        self.blend(view, experts, level)
            .or_else(|| self.records[PERSISTENCE].quantile(persistence?, level))
            .or_else(|| experts.own_quantile(ExpertName::Lstm, self.horizon, level))
            .or_else(|| Some(cold_quantile(view.answers.base(ExpertName::Persistence)?, level)))
            .or_else(|| experts.own_quantile(ExpertName::Histogram, self.horizon, level))
    }

    /// The weighted mean of the voices' quantiles; `None` while none has a standing.
    fn blend(&self, view: &View, experts: &Experts, level: f64) -> Option<f64> {
        let judged = nearest(level, self.target);
        let heard = |voice: usize| {
            let loss = self.records[voice].standing(judged)?;
            Some((loss, self.voice(view, experts, voice, level)?))
        };
        let heard: [Option<(f64, f64)>; VOICES] = array::from_fn(heard);
        let least = heard.iter().flatten().map(|(loss, _)| *loss).min_by(f64::total_cmp)?;
        let weight = |loss: f64| if loss > least { power(least / loss, SHARPNESS) } else { 1.0 };
        let (weights, sum) = heard.iter().flatten().fold((0.0, 0.0), |(weights, sum), (loss, quantile)| {
            (weights + weight(*loss), sum + weight(*loss) * quantile)
        });
        Some(sum / weights)
    }

    /// Whose name the answer bears: the leader; while it is silent, the best of those that speak; failing them, who stands in.
    fn speaker(&self, view: &View, experts: &Experts) -> ExpertName {
        let leader = self.leadership.leader();
        let speaks = |voice: usize| view.guesses[voice].is_some() && self.records[voice].standing(AT_TARGET).is_some();
        if speaks(leader) {
            return CHOIR[leader].0;
        }
        let losses = array::from_fn(|voice| self.records[voice].standing(AT_TARGET).filter(|_| speaks(voice)));
        let stands_in = || {
            let persistence =
                view.guesses[PERSISTENCE].and_then(|guess| self.records[PERSISTENCE].quantile(guess, self.target));
            let model = experts.own_quantile(ExpertName::Lstm, self.horizon, self.target);
            if persistence.is_none() && model.is_some() { ExpertName::Lstm } else { ExpertName::Persistence }
        };
        best(&losses).map_or_else(stands_in, |(voice, _)| CHOIR[voice].0)
    }

    fn learn(&mut self, said: &Said, truth: f64) {
        if let Some(signs) = &said.signs {
            self.linear.learn(signs, truth);
        }
        for (voice, record) in self.records.iter_mut().enumerate() {
            let guess = said.guesses[voice].filter(|_| CHOIR[voice].1 != Spread::Own);
            record.learn(guess, said.judged[voice], self.target, truth);
        }
        if let Some(calibrated) = said.calibrated {
            let hit = covers(calibrated, truth);
            self.conformal.update(hit);
            self.coverage.push(if hit { 1.0 } else { 0.0 });
            self.loss.push(pinball(self.target, calibrated, truth));
        }
        self.review(said);
    }

    /// There is nothing to compare before persistence, the slowest to be scored, has a standing.
    fn review(&mut self, said: &Said) {
        if self.records[PERSISTENCE].standing(AT_TARGET).is_some() {
            let spoke = |voice: usize| said.judged[voice].is_some();
            let losses = array::from_fn(|voice| self.records[voice].standing(AT_TARGET).filter(|_| spoke(voice)));
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
