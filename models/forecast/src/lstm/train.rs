//! Training: examples, and the loop over them.
//!
//! The loss is the mean pinball loss over [`LEVELS`], a question counting by what its miss is as a share of the series'
//! level. Adam with a cosine schedule; gradients are cut at a norm of one, because demand has tails. The weights kept are
//! those with the least loss on the validation examples, which the caller keeps apart by time and by workload.
//!
//! Examples belong to tenants, and no tenant is trusted: see [`council`] for whose word counts how much. It guards what is
//! descended and when to stop; [`TrainSettings::guarded`] turns it off.
//!
//! Order, beginnings and arithmetic follow from the seed alone: the same examples and settings give the same weights to
//! the bit, on machines of one kind of processor.

pub mod council;

use burn::grad_clipping::GradientClippingConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::elementary::sin_cos;
use super::input::{BASES, CHANNELS, CONTEXT, Frame, LEVELS, OUTPUTS, Question, Recent, STEPS, Scene};
use super::model::Model;
use super::net::{Batch, Net};
use super::weights::Weights;
use crate::noise::Noise;
use crate::pinball::pinball;
use council::Council;

/// What a network says that repeats the blend of the other experts: all of the mixture on it, and its widths.
const BLEND: [f32; OUTPUTS] = {
    let mut outputs = [0.0; OUTPUTS];
    outputs[1] = 1e3;
    outputs
};

/// A truth this little above a quantile, in units, is covered: single floats cannot say more.
const COVERED_WITHIN: f64 = 1e-5;

/// Questions with known answers.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    sequences: Vec<f32>,
    context: Vec<f32>,
    bases: Vec<f32>,
    heard: Vec<f32>,
    widths: Vec<f32>,
    truths: Vec<f32>,
    weights: Vec<f32>,
    frames: Vec<Frame>,
    tenants: Vec<u32>,
    tenant: u32,
}

/// How well an example was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// The mean pinball loss over [`LEVELS`], as a share of the series' level.
    pub loss: f64,
    /// Whether the truth was at or below the quantile of each level.
    pub covered: [bool; LEVELS.len()],
}

impl Examples {
    /// What is added from now on belongs to the tenant of this number.
    pub fn belong_to(&mut self, tenant: u32) {
        self.tenant = tenant;
    }

    /// Adds what was known of a series, what was asked, and what came true. An example about a series without a newest
    /// value, which no model is asked about, is left out; returns whether it was taken.
    pub fn push(&mut self, recent: &Recent, step_ms: u64, question: &Question, truth: f64) -> bool {
        let Some(scene) = Scene::of(recent, step_ms, &mut self.sequences) else { return false };
        let frame = scene.ask(question, &mut self.context);
        self.bases.extend(frame.bases.map(Option::unwrap_or_default));
        self.heard.extend(frame.bases.map(|base| f32::from(base.is_some())));
        self.widths.extend(frame.scaled_widths());
        self.truths.push(scene.told(truth));
        self.weights.push(scene.weight());
        self.frames.push(frame);
        self.tenants.push(self.tenant);
        true
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.truths.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.truths.is_empty()
    }

    fn batch(&self, chosen: &[usize], device: &Device) -> Batch {
        let rows = |numbers: &[f32], row: usize| -> Vec<f32> {
            chosen.iter().flat_map(|at| &numbers[at * row..][..row]).copied().collect()
        };
        let table = |numbers: &[f32], row: usize| {
            Tensor::<2>::from_data(TensorData::new(rows(numbers, row), [chosen.len(), row]), device)
        };
        let sequences = TensorData::new(rows(&self.sequences, STEPS * CHANNELS), [chosen.len(), STEPS, CHANNELS]);
        Batch {
            sequences: Tensor::from_data(sequences, device),
            context: table(&self.context, CONTEXT),
            bases: table(&self.bases, BASES),
            heard: table(&self.heard, BASES),
            widths: table(&self.widths, LEVELS.len() - 1),
            truths: table(&self.truths, 1),
            weights: table(&self.weights, 1),
        }
    }

    /// How well a model answers each of them.
    pub fn scores(&self, model: &Model) -> Vec<Score> {
        let outputs = model.outputs(&self.sequences, &self.context, 0..self.len());
        let row = outputs.len() / self.len().max(1);
        let rows = outputs.chunks_exact(row.max(1)).map(|row| &row[..OUTPUTS]);
        self.scored(rows)
    }

    /// How well the blend of the other experts does: the baseline that is hard to beat.
    pub fn scores_of_the_blend(&self) -> Vec<Score> {
        self.scored(std::iter::repeat_n(&BLEND[..], self.len()))
    }

    fn scored<'a>(&self, outputs: impl Iterator<Item = &'a [f32]>) -> Vec<Score> {
        let score = |(at, (frame, row)): (usize, (&Frame, &[f32]))| {
            let told = frame.quantiles(row);
            let truth = f64::from(self.truths[at]);
            let loss: f64 = told.iter().zip(LEVELS).map(|(told, level)| pinball(level, *told, truth)).sum();
            Score {
                loss: loss / LEVELS.len() as f64 * f64::from(self.weights[at]),
                covered: told.map(|told| truth <= told + COVERED_WITHIN),
            }
        };
        self.frames.iter().zip(outputs).enumerate().map(score).collect()
    }

    /// The model's mean loss on them, as it is trained for.
    pub fn loss(&self, model: &Model) -> f64 {
        self.scores(model).iter().map(|score| score.loss).sum::<f64>() / self.len() as f64
    }

    /// The same as [`council`] hears it: tenants by their capped shares, without the worst and the best quarter of them.
    fn guarded_loss(&self, model: &Model) -> f64 {
        let losses: Vec<f64> = self.scores(model).iter().map(|score| score.loss).collect();
        council::trimmed_loss(&losses, &self.tenants)
    }
}

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSettings {
    /// Units of the LSTM.
    pub hidden: usize,
    /// Everything random follows from it.
    pub seed: u64,
    /// Examples a step.
    pub batch: usize,
    /// Steps at most.
    pub steps: usize,
    /// Steps between looks at the validation examples.
    pub look_every: usize,
    /// Looks without a better one before training ends.
    pub patience: usize,
    /// The learning rate after the first looks' warm-up; it falls to a hundredth along a cosine.
    pub learning_rate: f64,
    /// Whether tenants are heard as [`council`] says. Without it every example counts alike, whoever sent it.
    pub guarded: bool,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            hidden: 48,
            seed: 1,
            batch: 256,
            steps: 3_000,
            look_every: 100,
            patience: 8,
            learning_rate: 3e-3,
            guarded: true,
        }
    }
}

/// A look at the validation examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Look {
    /// Steps so far.
    pub step: usize,
    /// Mean loss on the training examples since the look before.
    pub training: f64,
    /// Loss on the validation examples.
    pub validation: f64,
    /// The least so far.
    pub best: f64,
}

/// Trains from `start`, or from random weights, and gives the weights that were best on `validation`. `look` is told of
/// every look and may end the training by answering `false`.
///
/// # Panics
/// Without examples of either kind.
pub fn train(
    examples: &Examples,
    validation: &Examples,
    settings: &TrainSettings,
    start: Option<&Weights>,
    mut look: impl FnMut(&Look) -> bool,
) -> Weights {
    assert!(!examples.is_empty() && !validation.is_empty(), "there are examples to train on and to validate with");
    let device = Device::flex().autodiff();
    let beginning = start.cloned().unwrap_or_else(|| Weights::random(settings.hidden, settings.seed));
    let mut net = Net::of(&beginning, &device);
    let clipping = GradientClippingConfig::Norm(1.0);
    let mut optimizer = AdamConfig::new().with_grad_clipping(Some(clipping)).init();
    let mut deck = Deck::new(examples.len(), settings.seed);
    let mut council = settings.guarded.then(|| Council::new(examples, settings.seed));
    let judge = |weights: &Weights| match settings.guarded {
        true => validation.guarded_loss(&Model::new(weights)),
        false => validation.loss(&Model::new(weights)),
    };
    let mut best = (judge(&beginning), beginning);
    let (mut since, mut worse) = (0.0, 0);
    for step in 1..=settings.steps {
        let (loss, gradients) = match &mut council {
            Some(council) => council.ask(&net, examples, settings.batch, &device),
            None => descent(&net, examples.batch(&deck.deal(settings.batch.min(examples.len())), &device)),
        };
        since += loss;
        net = optimizer.step(settings.rate(step), net, gradients);
        if !step.is_multiple_of(settings.look_every) && step != settings.steps {
            continue;
        }
        let weights = net.clone().weights();
        let loss = judge(&weights);
        worse += 1;
        if loss < best.0 {
            best = (loss, weights);
            worse = 0;
        }
        let steps = (step - 1) % settings.look_every + 1;
        let seen = Look { step, training: since / steps as f64, validation: loss, best: best.0 };
        since = 0.0;
        if !look(&seen) || worse >= settings.patience {
            break;
        }
    }
    best.1
}

/// The loss on a batch, and its gradients.
fn descent(net: &Net, batch: Batch) -> (f64, GradientsParams) {
    let loss = net.loss(batch);
    let told = f64::from(loss.clone().into_scalar::<f32>());
    (told, GradientsParams::from_grads(loss.backward(), net))
}

impl TrainSettings {
    /// A linear warm-up over as many steps as to the first look, then half a cosine down to a hundredth.
    fn rate(&self, step: usize) -> f64 {
        let warm = step as f64 / self.look_every.max(1) as f64;
        let (_, cosine) = sin_cos(0.5 * step as f64 / self.steps as f64);
        self.learning_rate * warm.min(1.0) * (0.01 + 0.99 * (0.5 + 0.5 * cosine))
    }
}

/// Numbers of examples in random order, each once before any comes again.
struct Deck {
    cards: Vec<usize>,
    dealt: usize,
    noise: Noise,
}

impl Deck {
    fn new(cards: usize, seed: u64) -> Self {
        Self { cards: (0..cards).collect(), dealt: cards, noise: Noise::new(!seed) }
    }

    fn deal(&mut self, number: usize) -> Vec<usize> {
        (0..number).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> usize {
        if self.dealt == self.cards.len() {
            self.dealt = 0;
        }
        let left = self.cards.len() - self.dealt;
        let chosen = self.dealt + (self.noise.uniform() * left as f64) as usize;
        self.cards.swap(self.dealt, chosen);
        self.dealt += 1;
        self.cards[self.dealt - 1]
    }
}

#[cfg(test)]
mod tests;
