//! A network's weights as an artifact: a file of safetensors with a card that says what they are.
//!
//! The tensors have burn's own names and shapes (a layer's matrix is inputs by outputs), so that whoever reads safetensors
//! can read them. The card is JSON under the key `foreshadow`.
//!
//! Nothing is believed: an artifact with another input version, a tensor that is missing, of another shape or type, or a weight that is
//! not a number, is refused by name.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::input::{CHANNELS, CONTEXT, INPUT_VERSION, OUTPUTS};
use super::train::TrainSettings;
use crate::noise::Noise;

/// Units of the head's first layer.
pub(super) const WIDE: usize = 64;

/// A forward pass is a few microseconds a unit; beyond this a step would not keep up with a fleet.
pub const HIDDEN_MAX: usize = 256;

/// Burn's names of the layers, gate by gate, then the head.
pub(super) const LAYERS: [&str; 10] = [
    "lstm.input_gate.input_transform",
    "lstm.input_gate.hidden_transform",
    "lstm.forget_gate.input_transform",
    "lstm.forget_gate.hidden_transform",
    "lstm.cell_gate.input_transform",
    "lstm.cell_gate.hidden_transform",
    "lstm.output_gate.input_transform",
    "lstm.output_gate.hidden_transform",
    "wide",
    "narrow",
];

/// Where the card stands among a file's metadata.
const CARD: &str = "foreshadow";

/// What an artifact says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The version of [`input`](super::input) that it was trained on.
    pub input_version: u32,
    /// Units of the LSTM.
    pub hidden: usize,
    /// What it was trained on, in a sentence.
    pub trained_on: String,
    /// The seed of its training.
    pub seed: u64,
    /// All settings of its training.
    #[serde(default)]
    pub settings: TrainSettings,
    /// The data that it was trained on.
    #[serde(default)]
    pub data: Data,
    /// Scores on held-out data, by name.
    #[serde(default)]
    pub scores: BTreeMap<String, f64>,
}

/// The data of a training.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// When the oldest series begins, milliseconds since the epoch.
    pub from_ms: u64,
    /// When the newest ends.
    pub to_ms: u64,
    /// SHA-256 of all values, in hexadecimal.
    pub sha256: String,
    /// How many series.
    pub series: usize,
    /// How many examples were trained on.
    pub examples: usize,
    /// How many said when to stop.
    pub validation: usize,
    /// How many it was judged by.
    pub held_out: usize,
}

/// The weights of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    hidden: usize,
    /// By layer: the matrix, inputs by outputs, and the bias.
    layers: [(Vec<f32>, Vec<f32>); LAYERS.len()],
}

/// One layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dense<'a> {
    pub(super) matrix: &'a [f32],
    pub(super) bias: &'a [f32],
}

/// Why an artifact is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It is not a file of safetensors, or was cut or changed.
    #[error("it is not a whole safetensors file: {0}")]
    File(#[from] safetensors::SafeTensorError),
    /// It has no card.
    #[error("it has no card under the key `{CARD}`: it was not made by `foreshadow retrain`")]
    NoCard,
    /// Its card cannot be read.
    #[error("its card cannot be read: {0}")]
    Card(#[from] serde_json::Error),
    /// It was trained on other inputs.
    #[error(
        "it was trained for version {found} of the inputs, and this program has version {INPUT_VERSION}: retrain it"
    )]
    Version {
        /// The card's version.
        found: u32,
    },
    /// A tensor is not what the network takes.
    #[error("its tensor {name} {fault}")]
    Tensor {
        /// Burn's name of it.
        name: String,
        /// What is wrong with it.
        fault: String,
    },
}

impl Weights {
    pub(super) fn new(hidden: usize, layers: [(Vec<f32>, Vec<f32>); LAYERS.len()]) -> Self {
        Self { hidden, layers }
    }

    /// The beginning of training: uniform within √(3 / inputs), so that sums have a variance of one; the last layer a tenth of
    /// that, so that the first answers are those of the blend; biases zero, but one for what a forget gate keeps, and what gives
    /// the blend 19 parts of the mixture in 20.
    pub fn random(hidden: usize, seed: u64) -> Self {
        const FORGET: usize = 3;
        const BLEND: usize = 1;
        const BLEND_SCORE: f32 = 5.0; // e⁵ against eight others: 148 / 156
        let mut noise = Noise::new(seed);
        let layers = std::array::from_fn(|layer| {
            let [inputs, outputs] = shape(layer, hidden);
            let scale = (3.0 / inputs as f64).sqrt() * if layer + 1 == LAYERS.len() { 0.1 } else { 1.0 };
            let matrix = (0..inputs * outputs).map(|_| ((2.0 * noise.uniform() - 1.0) * scale) as f32).collect();
            let mut bias = vec![if layer == FORGET { 1.0 } else { 0.0 }; outputs];
            if layer + 1 == LAYERS.len() {
                bias[BLEND] = BLEND_SCORE;
            }
            (matrix, bias)
        });
        Self { hidden, layers }
    }

    /// A network that says the same to every question, whatever it is told: which mixture of the bases, which shift and widths.
    pub fn constant(hidden: usize, outputs: [f32; OUTPUTS]) -> Self {
        let layers = std::array::from_fn(|layer| {
            let [inputs, units] = shape(layer, hidden);
            (vec![0.0; inputs * units], if layer + 1 == LAYERS.len() { outputs.to_vec() } else { vec![0.0; units] })
        });
        Self { hidden, layers }
    }

    /// Units of the LSTM.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// How many numbers they are.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(|(matrix, bias)| matrix.len() + bias.len()).sum()
    }

    pub(super) fn layers(&self) -> [Dense<'_>; LAYERS.len()] {
        self.layers.each_ref().map(|(matrix, bias)| Dense { matrix, bias })
    }

    /// The artifact, with its card.
    pub fn to_bytes(&self, card: &Card) -> Vec<u8> {
        let bytes = |numbers: &[f32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
        let mut tensors = Vec::new();
        for (layer, (matrix, bias)) in self.layers.iter().enumerate() {
            let [inputs, outputs] = shape(layer, self.hidden);
            tensors.push((format!("{}.weight", LAYERS[layer]), vec![inputs, outputs], bytes(matrix)));
            tensors.push((format!("{}.bias", LAYERS[layer]), vec![outputs], bytes(bias)));
        }
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view =
                TensorView::new(Dtype::F32, shape.clone(), bytes).expect("as many bytes as the shape has numbers");
            (name.as_str(), view)
        });
        let card = serde_json::to_string(card).expect("a card is plain data");
        let metadata = HashMap::from([(CARD.to_owned(), card)]);
        safetensors::serialize(views, Some(metadata)).expect("names are different and shapes fit")
    }

    /// Reads an artifact.
    ///
    /// # Errors
    /// What is wrong with it; nothing of it is taken then.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, Card), ArtifactError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let card = header.metadata().as_ref().and_then(|metadata| metadata.get(CARD)).ok_or(ArtifactError::NoCard)?;
        let card: Card = serde_json::from_str(card)?;
        if card.input_version != INPUT_VERSION {
            return Err(ArtifactError::Version { found: card.input_version });
        }
        if !(1..=HIDDEN_MAX).contains(&card.hidden) {
            return Err(fault("lstm", format!("would have {} units: 1 to {HIDDEN_MAX} are taken", card.hidden)));
        }
        let tensors = SafeTensors::deserialize(bytes)?;
        let mut layers = std::array::from_fn(|_| Default::default());
        for (at, layer) in layers.iter_mut().enumerate() {
            let [inputs, outputs] = shape(at, card.hidden);
            let read = |part: &str, shape: &[usize]| numbers(&tensors, format!("{}.{part}", LAYERS[at]), shape);
            *layer = (read("weight", &[inputs, outputs])?, read("bias", &[outputs])?);
        }
        Ok((Self { hidden: card.hidden, layers }, card))
    }
}

/// A layer's inputs and outputs.
fn shape(layer: usize, hidden: usize) -> [usize; 2] {
    match LAYERS[layer] {
        "wide" => [hidden + CONTEXT, WIDE],
        "narrow" => [WIDE, OUTPUTS],
        _ if layer.is_multiple_of(2) => [CHANNELS, hidden],
        _ => [hidden, hidden],
    }
}

fn numbers(tensors: &SafeTensors<'_>, name: String, shape: &[usize]) -> Result<Vec<f32>, ArtifactError> {
    let Ok(view) = tensors.tensor(&name) else { return Err(fault(&name, "is missing".to_owned())) };
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        let found = format!("is {:?} {:?}: F32 {shape:?} is wanted", view.dtype(), view.shape());
        return Err(fault(&name, found));
    }
    let numbers: Vec<f32> = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    match numbers.iter().position(|number| !number.is_finite()) {
        Some(at) => Err(fault(&name, format!("is not a number at place {at}"))),
        None => Ok(numbers),
    }
}

fn fault(name: &str, fault: String) -> ArtifactError {
    ArtifactError::Tensor { name: name.to_owned(), fault }
}

#[cfg(test)]
mod tests;
