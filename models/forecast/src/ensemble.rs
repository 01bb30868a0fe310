//! The forecast of one demand series.
//!
//! Per horizon the answer is the mean of what the experts' voices say, weighted by their recent pinball loss, and calibrated
//! ([`conformal`](crate::conformal)). The voice that weighs most leads and names the answer, with hysteresis: a rival must be better by 5 %
//! at 30 origins in a row. From the first value on the network answers, which knows other series; where there is none, persistence
//! with a margin of 15 % at level 0.95 (2.0 cores → 2.3; [`cold_quantile`](crate::persistence::cold_quantile)), and from its
//! first 19 residuals on by these.
//!
//! Example, at one origin with target 0.95: persistence says 2.0 cores and its residuals' 95 % quantile is 0.3, the linear expert says
//! 2.1 and 0.1; its loss is a tenth less, so it weighs three and a half times as much: 2.22. After a few misses the conformal level stands at
//! 0.96, where the residuals are 0.4 and 0.13, and 2.27 is what to allocate.
//!
//! **What to expect.** At target 0.95 the answers covered 0.93 to 0.98 of the values on public traces (Alibaba, Azure, Bitbrains,
//! Google 2011, World Cup 1998, NASA; 1 to 60 min ahead), at a pinball loss 0 to 60 % below that of the best classical expert of each
//! trace: `foreshadow evaluate forecast` measures it. Their mean loss is at most twice that of the best expert chosen in hindsight on
//! mixtures of unlike stretches (a property test; the median is below 1). There is no bound for a series made to mislead: a follower of
//! recent losses can always be led astray.
//!
//! **State** per series, by its arrays: 15 kB of seasons and about 30 kB per horizon. **Cost** of a step with three horizons, on one core
//! of a busy machine: 20 µs, and 47 µs more where the LSTM answers (`foreshadow evaluate forecast --origins 1` over 560 280 steps of
//! CPU usage at 5 min, with and without `--without-lstm`).
//!
//! ```
//! use forecast::{Ensemble, EnsembleSettings};
//!
//! let mut cpu = Ensemble::new(EnsembleSettings { horizons_steps: vec![6], ..Default::default() })?;
//! for step in 0..600 {
//!     cpu.observe(step, Some(2.0 + 0.1 * (step % 3) as f64)); // cores: 2.0, 2.1, 2.2, 2.0, ...
//! }
//! let minute = cpu.forecast(6, 0.95).expect("demand has been seen");
//! assert!((minute.calibrated - 2.2).abs() < 1e-6); // every minute holds a 2.2
//! # Ok::<(), forecast::SettingsError>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::experts::Experts;
use crate::lstm::{About, Batch, LEVELS, Question, Recent};
use crate::settings::{EnsembleSettings, SettingsError, check_horizons, check_target};
use crate::track::Track;

pub use crate::prediction::Prediction;

/// Larger demand is taken for a fault of the source: no machine has an exabyte, and f32 residuals still hold it.
pub const MAX_DEMAND: f64 = 1e18;

/// A horizon inherits from a tracked one that is at most this many times longer or shorter.
const KINDRED_RATIO: u32 = 2;

/// The experts of one series, what is known about them, and the calibrated answer. Serialisable whole: restored, it goes on to
/// the same bits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ensemble {
    settings: EnsembleSettings,
    newest: Option<u64>,
    /// The newest step, if it was observed: what is said there will be held to the truth.
    origin: Option<u64>,
    experts: Experts,
    tracks: Vec<Track>,
    recent: Recent,
}

impl Ensemble {
    /// An ensemble that has seen nothing.
    ///
    /// # Errors
    /// A setting out of range.
    pub fn new(settings: EnsembleSettings) -> Result<Self, SettingsError> {
        settings.check()?;
        let tracks = settings.horizons_steps.iter().map(|horizon| Track::new(*horizon, &settings)).collect();
        let (experts, recent) = (Experts::new(&settings), Recent::default());
        Ok(Self { experts, newest: None, origin: None, tracks, recent, settings })
    }

    /// Takes in the demand of a step; `None` is "not observed", and so are a skipped step and a value that is negative, not
    /// finite or above [`MAX_DEMAND`]. A step that is not later than the last is ignored: the past is settled.
    pub fn observe(&mut self, step: u64, value: Option<f64>) {
        self.observe_beside(step, value, None);
    }

    /// The same, with what the shadow showed of the same measure.
    pub fn observe_beside(&mut self, step: u64, value: Option<f64>, shadow: Option<f64>) {
        if self.newest.is_some_and(|newest| step <= newest) {
            return;
        }
        let sound = |value: &f64| (0.0..=MAX_DEMAND).contains(value);
        let (value, shadow) = (value.filter(sound), shadow.filter(sound));
        self.note_answers();
        self.experts.observe(step, value);
        self.recent.observe(step, value, shadow);
        for track in &mut self.tracks {
            if let Some(truth) = track.observe(step, value) {
                self.experts.settle(track.horizon(), truth);
            }
        }
        self.newest = Some(step);
        self.origin = value.map(|_| step);
    }

    /// Quantiles of the peak over the next `horizon_steps`, and the calibrated value at level `q`.
    ///
    /// `None` if the horizon is not tracked, `q` is not between 0 and 1, or no expert can say anything (yet, or because
    /// nothing has been observed for too long). Calibration is exact at the target and carried over to any other `q`.
    pub fn forecast(&self, horizon_steps: u32, q: f64) -> Option<Prediction> {
        let track = self.track_of(horizon_steps).filter(|_| q > 0.0 && q < 1.0)?;
        track.predict(&self.experts, q)
    }

    /// Hands the batched model's quantiles `(level, value)` for the newest step to its seat; see
    /// [`Batched::offer`](crate::batched::Batched::offer). They count if they come before the next step is observed.
    pub fn offer(&mut self, horizon_steps: u32, quantiles: &[(f64, f64)]) {
        self.experts.lstm.offer(horizon_steps, quantiles);
    }

    /// What the global LSTM is asked about a tracked horizon; `None` for one that is not.
    pub fn question(&self, horizon_steps: u32, about: &About) -> Option<Question> {
        let (answers, quantiles) = self.track_of(horizon_steps)?.question(&self.experts, &LEVELS);
        Some(Question::new(horizon_steps, self.settings.aim, about, |expert| answers.base(expert), quantiles))
    }

    /// The newest steps, as the LSTM reads them.
    pub fn recent(&self) -> &Recent {
        &self.recent
    }

    /// Adds this series to a batch, with a question for each tracked horizon. Returns how many questions were taken: none, where
    /// the newest step was not observed or the series has only been zero.
    pub fn ask(&self, batch: &mut Batch, about: &About) -> usize {
        let horizons = self.tracks.iter().map(Track::horizon);
        let questions: Vec<Question> = horizons.filter_map(|horizon| self.question(horizon, about)).collect();
        batch.add(&self.recent, &questions)
    }

    /// Takes the answers to what was asked, in the same order.
    pub fn hear(&mut self, answers: &[[f64; LEVELS.len()]]) {
        for (track, answer) in self.tracks.iter().zip(answers) {
            let quantiles: [(f64, f64); LEVELS.len()] = std::array::from_fn(|at| (LEVELS[at], answer[at]));
            self.experts.lstm.offer(track.horizon(), &quantiles);
        }
    }

    /// Makes `horizons_steps` the horizons to learn from now on, for instance after the actuation delay has changed.
    ///
    /// A horizon that was tracked before is untouched. A new one that is within a factor of two of an old one starts from the
    /// nearest old one's residuals, losses, leader and conformal level, which then age out; any other starts cold. Learned
    /// anew in any case: what was pending (nothing is learned for one horizon) and the histogram's peaks. All experts keep
    /// everything else, for they follow the series and not the horizon.
    ///
    /// # Errors
    /// As for [`EnsembleSettings::horizons_steps`]; nothing changes then.
    pub fn track(&mut self, horizons_steps: &[u32]) -> Result<(), SettingsError> {
        check_horizons(horizons_steps)?;
        self.tracks = horizons_steps.iter().map(|horizon| self.track_for(*horizon)).collect();
        self.settings.horizons_steps = horizons_steps.to_vec();
        Ok(())
    }

    /// The target quantile.
    pub fn target(&self) -> f64 {
        self.settings.target
    }

    /// Changes the target quantile, for instance after a price has changed. Residuals stay, the conformal level is carried
    /// over, and losses at the old target fade with their half-life.
    ///
    /// # Errors
    /// A target not between 0 and 1; nothing changes then.
    pub fn retarget(&mut self, target: f64) -> Result<(), SettingsError> {
        check_target(target)?;
        self.settings.target = target;
        self.tracks.iter_mut().for_each(|track| track.retarget(target));
        Ok(())
    }

    /// The expert that leads at a tracked horizon.
    pub fn leader(&self, horizon_steps: u32) -> Option<&'static str> {
        Some(self.track_of(horizon_steps)?.leader().0.as_str())
    }

    /// The voice that leads: an expert, and what scales its margin where it has several voices.
    pub fn leading_voice(&self, horizon_steps: u32) -> Option<&'static str> {
        Some(self.track_of(horizon_steps)?.leader().1)
    }

    /// What each voice says by itself at level `q`, of those that can say something: for comparison.
    pub fn voices(&self, horizon_steps: u32, q: f64) -> Vec<(&'static str, f64)> {
        self.track_of(horizon_steps).map_or_else(Vec::new, |track| track.voices(&self.experts, q))
    }

    /// The blend before calibration: for comparison.
    pub fn uncalibrated(&self, horizon_steps: u32, q: f64) -> Option<f64> {
        self.track_of(horizon_steps)?.uncalibrated(&self.experts, q)
    }

    /// The recent mean pinball loss at the target of each expert that has been scored, before calibration, in the unit of the
    /// demand. Empty for a horizon that is not tracked.
    pub fn losses(&self, horizon_steps: u32) -> Vec<(&'static str, f64)> {
        let Some(track) = self.track_of(horizon_steps) else { return Vec::new() };
        track.losses().into_iter().map(|(expert, loss)| (expert.as_str(), loss)).collect()
    }

    /// The recent mean pinball loss at the target of the calibrated answers themselves.
    pub fn loss(&self, horizon_steps: u32) -> Option<f64> {
        self.track_of(horizon_steps)?.loss()
    }

    /// The recent share of peaks that the calibrated answers at the target covered; promised is the target.
    pub fn coverage(&self, horizon_steps: u32) -> Option<f64> {
        self.track_of(horizon_steps)?.coverage()
    }

    /// Writes down the answers that stand for the last step. Done only when the next step comes, so that a batched model has had
    /// all the time between; and only where the step was observed, so that a missing step and a skipped one are the same.
    fn note_answers(&mut self) {
        let Some(origin) = self.origin else { return };
        for track in &mut self.tracks {
            track.note(origin, &self.experts);
        }
    }

    fn track_of(&self, horizon: u32) -> Option<&Track> {
        self.tracks.iter().find(|track| track.horizon() == horizon)
    }

    fn track_for(&self, horizon: u32) -> Track {
        let ratio = |track: &Track| {
            let (short, long) = (horizon.min(track.horizon()), horizon.max(track.horizon()));
            f64::from(long) / f64::from(short)
        };
        let nearest = self.tracks.iter().min_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        match nearest {
            Some(same) if same.horizon() == horizon => same.clone(),
            Some(kindred) if ratio(kindred) <= f64::from(KINDRED_RATIO) => kindred.successor(horizon),
            _ => Track::new(horizon, &self.settings),
        }
    }
}

#[cfg(test)]
mod tests;
