//! A trained network, ready to answer.

use super::input::{CHANNELS, CONTEXT, Frame, LEVELS, OUTPUTS, Question, Recent, STEPS, Scene};
use super::kernel::{self, Sums};
use super::weights::{WIDE, Weights};

/// A network's weights as the forward pass wants them.
#[derive(Clone, Debug)]
pub struct Model {
    gates: Sums,
    first: Sums,
    second: Sums,
    hidden: usize,
}

/// Series and questions that are answered together.
#[derive(Debug)]
pub struct Batch {
    step_ms: u64,
    sequences: Vec<f32>,
    scenes: Vec<Scene>,
    context: Vec<f32>,
    /// By question: its scene, and what its answer is put together from.
    frames: Vec<(usize, Frame)>,
}

impl Batch {
    /// An empty batch of series with steps of so many milliseconds.
    pub fn new(step_ms: u64) -> Self {
        Self { step_ms, sequences: Vec::new(), scenes: Vec::new(), context: Vec::new(), frames: Vec::new() }
    }

    /// Adds a series and what is asked about it. Returns how many questions were taken: none, where the newest step was
    /// not observed or the series has only been zero.
    pub fn add<'a>(&mut self, recent: &Recent, questions: impl IntoIterator<Item = &'a Question>) -> usize {
        let Some(scene) = Scene::of(recent, self.step_ms, &mut self.sequences) else { return 0 };
        let before = self.frames.len();
        for question in questions {
            self.frames.push((self.scenes.len(), scene.ask(question, &mut self.context)));
        }
        self.scenes.push(scene);
        self.frames.len() - before
    }

    /// How many questions there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

impl Model {
    /// Ready to answer, from weights whose shapes were checked when they were read.
    pub fn new(weights: &Weights) -> Self {
        let hidden = weights.hidden();
        let layers = weights.layers();
        // A gate has one layer over the inputs and one over the former hidden state.
        let weight = |at: usize, unit: usize, gate: usize| match at.checked_sub(CHANNELS) {
            None => layers[2 * gate].matrix[at * hidden + unit],
            Some(from) => layers[2 * gate + 1].matrix[from * hidden + unit],
        };
        let bias = |unit: usize, gate: usize| layers[2 * gate].bias[unit] + layers[2 * gate + 1].bias[unit];
        let [.., wide, narrow] = layers;
        Self {
            gates: Sums::new((CHANNELS + hidden, hidden), bias, weight),
            first: Sums::dense(hidden + CONTEXT, wide.bias, wide.matrix),
            second: Sums::dense(WIDE, narrow.bias, narrow.matrix),
            hidden,
        }
    }

    /// The quantiles at [`LEVELS`] for each question, in their order.
    pub fn answer(&self, batch: &Batch) -> Vec<[f64; LEVELS.len()]> {
        let outputs = self.outputs(&batch.sequences, &batch.context, batch.frames.iter().map(|(scene, _)| *scene));
        let answers = batch.frames.iter().zip(outputs.chunks_exact(self.second.outputs()));
        answers.map(|((scene, frame), row)| batch.scenes[*scene].answer(frame, &row[..OUTPUTS])).collect()
    }

    /// The network alone: the head's outputs for rows of context, each about the sequence of the number given; sequences step
    /// by step, channel by channel. A row of outputs may be wider than [`OUTPUTS`]: what is beyond means nothing.
    pub fn outputs(&self, sequences: &[f32], context: &[f32], of: impl Iterator<Item = usize>) -> Vec<f32> {
        let states = kernel::recur(&self.gates, CHANNELS, sequences, STEPS);
        let mut rows = Vec::with_capacity(context.len() / CONTEXT * (CONTEXT + self.hidden));
        for (scene, context) in of.zip(context.chunks_exact(CONTEXT)) {
            rows.extend_from_slice(&states[scene * self.hidden..][..self.hidden]);
            rows.extend_from_slice(context);
        }
        kernel::perceive((&self.first, &self.second), &rows)
    }
}
